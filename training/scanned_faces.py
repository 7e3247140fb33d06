"""Faces of scans beside a rig of their topology: how they move by coefficients, and where their lips are."""

from __future__ import annotations

import numpy as np

from render.rig import Rig
from talker.blendshape_fit import MOVES
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES


def face_vertices(rig: Rig, template: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Vertices (T, V, 3) float32 in metres of a face (V, 3) of the rig's topology that moves as the rig's shapes do."""
    return (rig.pose(coefficients) - rig.vertices + template).astype(np.float32)


def lip_vertices(rig: Rig) -> np.ndarray:
    """Indices of the lips' vertices: the rig's own part where it names one, else those that mouthPucker and
    mouthFunnel, which move nothing as far as the lips, move at least half as far as any. For FLAME's topology without
    these shapes, and where the rig says nothing, TalkerError."""
    if "lips" in rig.parts:
        return np.asarray(rig.parts["lips"])
    rounding = [ARKIT_NAMES.index(name) for name in ("mouthPucker", "mouthFunnel")]
    reach = np.linalg.norm(rig.deltas[rounding], axis=-1).sum(axis=0)
    if reach.max() < MOVES:
        raise TalkerError(
            f"The face {rig.name} has neither a part named lips nor the shapes mouthPucker and mouthFunnel, so nothing "
            "tells where its lips are; give --rig ARKit's 52 shapes in VOCASET's topology."
        )
    return np.flatnonzero(reach >= 0.5 * reach.max())
