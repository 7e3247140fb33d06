"""Shading: how a rig's parts take light, and which of them are seen from both sides."""

from __future__ import annotations

import numpy as np

from render.rig import Rig
from talker.motion import ARKIT_INDEX

# (roughness exponent, specular strength, subsurface) by what a part's name contains, first match wins.
MATERIALS: tuple[tuple[tuple[str, ...], tuple[float, float, float]], ...] = (
    (("eyebrow", "brow", "lash", "hair"), (12.0, 0.06, 0.0)),
    (("eyelid",), (14.0, 0.10, 1.0)),
    (("eye", "iris", "pupil", "sclera", "cornea", "caruncle"), (160.0, 0.70, 0.2)),
    (("teeth", "tooth"), (60.0, 0.30, 0.3)),
    (("tongue", "gum", "cavity", "inner"), (30.0, 0.20, 0.6)),
    (("lip",), (28.0, 0.20, 1.0)),
)
SKIN = (14.0, 0.10, 1.0)
CLOSED_PARTS = ("hair", "clothes", "skin")
"""Parts whose inside nobody sees, what lies outermost first; all else is drawn from both sides."""

INSIDE_MOUTH = ("teeth", "tooth", "tongue", "gum", "cavity", "inner", "throat")
MOUTH_DARKENING_DEPTH = 0.030
"""Metres behind the lips' arc at which light inside the mouth has fallen by 1 - 1/e of what it loses."""
MOUTH_LIGHT = 0.3
"""Share of the light that reaches the throat."""

JAW_SHARE = 0.3
"""Share of the furthest drop of an open jaw from which on a vertex belongs to the jaw."""


def closed_first(rig: Rig) -> tuple[np.ndarray, int]:
    """Numbers (F,) of the rig's triangles, those of CLOSED_PARTS in that order before all others, and how many
    those are. Otherwise they follow their vertices, which are then shaded once and not for every triangle anew."""
    part = np.full(len(rig.vertices), len(CLOSED_PARTS))
    for rank, name in enumerate(CLOSED_PARTS):
        part[rig.parts.get(name, np.empty(0, np.int32))] = rank
    rank = part[rig.faces].max(axis=1)
    return np.lexsort([rig.faces.min(axis=1), rank]), int((rank < len(CLOSED_PARTS)).sum())


def occluder(rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Centre and radii, (3,) each in metres, of an ellipsoid that stands for the jaw, and turns with the head.

    It keeps the key light from the neck. Radii are infinite, and no shadow falls, where jawOpen moves nothing.
    """
    drop = -rig.deltas[ARKIT_INDEX["jawOpen"], :, 1]
    jaw = rig.vertices[drop > max(JAW_SHARE * drop.max(), 1e-4)]
    if len(jaw) < 4:
        return np.zeros(3, np.float32), np.full(3, np.inf, np.float32)
    low, high = jaw.min(axis=0), jaw.max(axis=0)
    return (low + high) / 2, np.maximum((high - low) / 2, 1e-3)


def _lips_arc(rig: Rig) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the lips meet, seen from above: x in rising order and z, (n,) each in metres; None without landmarks.

    Side teeth lie as near to the lips before them as the front teeth do, although far behind the middle of the mouth.
    """
    for keys in (("lip_contact_upper", "lip_contact_lower"), ("inner_lip_upper", "inner_lip_lower")):
        marks = [rig.landmarks[key] for key in keys if key in rig.landmarks]
        if marks:
            line = rig.vertices[np.concatenate(marks)]
            line = line[np.argsort(line[:, 0], kind="stable")]
            return line[:, 0], line[:, 2]
    return None


def materials(rig: Rig) -> np.ndarray:
    """How each vertex takes light: (V, 4) float32 of roughness exponent, specular strength, subsurface and shade.

    Found from the names of the rig's parts. Shade darkens what lies behind the lips, where little light comes.
    """
    values = np.tile(np.array([*SKIN, 1.0], np.float32), (len(rig.vertices), 1))
    lips = _lips_arc(rig)
    for part, indices in rig.parts.items():
        for words, material in MATERIALS:
            if any(word in part.lower() for word in words):
                values[indices, :3] = material
                break
        if lips is not None and any(word in part.lower() for word in INSIDE_MOUTH):
            x, _, z = rig.vertices[indices].T
            depth = np.maximum(np.interp(x, *lips) - z, 0)
            values[indices, 3] = MOUTH_LIGHT + (1 - MOUTH_LIGHT) * np.exp(-depth / MOUTH_DARKENING_DEPTH)
    return values
