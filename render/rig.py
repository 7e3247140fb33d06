"""Rig: a neutral head, what each of the 52 ARKit shapes adds to it, and what mends their combinations."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from talker.atomic import whole_file
from talker.blend_weights import Corrective, blend_weights
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES

LOOKS = ("lena", "kofi", "mei")
"""The heads that ship with the project, the default first; render.head_looks says who they are."""
LOOKS_FOLDER = Path(__file__).resolve().parent.parent / "assets" / "head"


@dataclass(frozen=True)
class Rig:
    """A face that coefficients can move. Metres; +X to the face's own left, +Y up, +Z out of the face.

    vertices    : (V, 3) float32, the neutral head
    faces       : (F, 3) int32, triangles, counter-clockwise seen from outside
    deltas      : (52, V, 3) float32, one row per name in talker.motion.ARKIT_NAMES
    colors      : (V, 4) uint8 RGBA vertex colours
    pivot       : (3,) float32, the point of the neck about which the head turns
    landmarks   : name -> (n,) int32 vertex indices; "inner_lip_upper" and "inner_lip_lower" are
                  matching rows along the middle third of the lips' inner edge
    parts       : name -> (n,) int32 vertex indices ("skin", "lips", "teeth_upper", ...)
    head_weight : (V,) float32 in [0, 1], how far a vertex goes with the head: 1 on the head, 0 on the
                  shoulders, in between on the neck. All ones unless given: the rig turns as one piece
    correctives : K of them, none unless given
    corrective_deltas : (K, V, 3) float32, one row per corrective
    components  : (R, V, 3) float32, of an animation of vertices (render.vertex_animation), none unless given. Their
                  weights are further columns behind the 52 coefficients, and are taken as they are; no file keeps them
    """

    vertices: np.ndarray
    faces: np.ndarray
    deltas: np.ndarray
    colors: np.ndarray
    pivot: np.ndarray
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    name: str = "default"
    head_weight: np.ndarray | None = None
    correctives: tuple[Corrective, ...] = ()
    corrective_deltas: np.ndarray | None = None
    components: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.head_weight is None:
            object.__setattr__(self, "head_weight", np.ones(len(self.vertices), np.float32))
        if self.corrective_deltas is None:
            object.__setattr__(self, "corrective_deltas", np.zeros((0, *self.vertices.shape), np.float32))
        if self.components is None or not len(self.components):  # also of a part of a rig, which has fewer vertices
            object.__setattr__(self, "components", np.zeros((0, *self.vertices.shape), np.float32))

    @cached_property
    def targets(self) -> np.ndarray:
        """All that is blended, (52 + K + R, V, 3) float32: the shapes' deltas, the correctives', the components."""
        if not self.correctives and not len(self.components):
            return np.ascontiguousarray(self.deltas)
        return np.concatenate([self.deltas, self.corrective_deltas, self.components])

    @cached_property
    def fingerprint(self) -> str:
        """What tells a face that moves from every other, as 16 hex digits: its resting vertices and its targets."""
        digest = hashlib.blake2b(digest_size=8)
        for array in (self.vertices, self.targets):
            digest.update(np.ascontiguousarray(array, np.float32).tobytes())
        return digest.hexdigest()

    @property
    def columns(self) -> int:
        """52 + R, numbers of a frame that pose it."""
        return len(ARKIT_NAMES) + len(self.components)

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names (52 + K + R) of the rows of targets."""
        components = (f"component_{number + 1}" for number in range(len(self.components)))
        return (*ARKIT_NAMES, *(corrective.name for corrective in self.correctives), *components)

    def weights(self, coefficients: np.ndarray) -> np.ndarray:
        """Blend weights that the targets get: coefficients (..., 52 + R) -> (..., 52 + K + R) float32 in [0, 1].

        See talker.blend_weights, where combinations are corrected.
        """
        coefficients = np.asarray(coefficients, np.float32)
        shapes = coefficients.shape[-1] - len(self.components)
        weights = blend_weights(coefficients[..., :shapes], self.correctives)
        return weights if not len(self.components) else np.concatenate([weights, coefficients[..., shapes:]], axis=-1)

    def pose(self, coefficients: np.ndarray) -> np.ndarray:
        """Vertices in metres, before head rotation: coefficients (..., 52) -> (..., V, 3) float32.

        One matrix product for all frames. Long motions need 12 V bytes a frame: pose them in pieces.
        """
        weights = self.weights(coefficients)
        moved = weights @ self.targets.reshape(len(self.targets), -1)
        moved += self.vertices.reshape(-1)
        return moved.reshape(*weights.shape[:-1], -1, 3)

    def turn(self, vertices: np.ndarray, head: np.ndarray) -> np.ndarray:
        """Posed vertices after head rotation: (..., V, 3) metres, head (..., 3) radians -> (..., V, 3).

        Linear blend skinning (Magnenat-Thalmann et al. 1988) of two joints, the resting bust and the head:
        v' = v + w (R (v - pivot) + pivot - v), w = head_weight. The one definition of how a head turns; the
        renderer's shader and the skin in a GLB do the same.
        """
        turned = (vertices - self.pivot) @ rotation_matrices(head).swapaxes(-1, -2) + self.pivot
        return vertices + self.head_weight[:, None] * (turned - vertices)

    def turn_normals(self, normals: np.ndarray, head: np.ndarray) -> np.ndarray:
        """Normals of posed vertices after head rotation, of length one: as turn, without the pivot."""
        turned = normals @ rotation_matrices(head).swapaxes(-1, -2)
        blended = normals + self.head_weight[:, None] * (turned - normals)
        return blended / np.maximum(np.linalg.norm(blended, axis=-1, keepdims=True), 1e-20)


def rotation_matrices(head: np.ndarray) -> np.ndarray:
    """Rotations of the head about the rig's pivot: yaw, pitch, roll (..., 3) in radians -> (..., 3, 3) float32.

    R = Ry(yaw) @ Rx(pitch) @ Rz(roll), see talker.motion.HEAD_NAMES; it acts on column vectors.
    """
    head = np.asarray(head, np.float64)
    (cy, cx, cz), (sy, sx, sz) = np.moveaxis(np.cos(head), -1, 0), np.moveaxis(np.sin(head), -1, 0)
    rows = [
        [cy * cz + sy * sx * sz, -cy * sz + sy * sx * cz, sy * cx],
        [cx * sz, cx * cz, -sx],
        [-sy * cz + cy * sx * sz, sy * sz + cy * sx * cz, cy * cx],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2).astype(np.float32)


def lip_aperture(rig: Rig, coefficients: np.ndarray) -> np.ndarray:
    """Mean distance between the inner lips in metres: coefficients (..., 52) -> (...) float32.

    Only the landmarks "inner_lip_upper" and "inner_lip_lower" are posed, so hours of motion are cheap.
    """
    try:
        upper, lower = rig.landmarks["inner_lip_upper"], rig.landmarks["inner_lip_lower"]
    except KeyError as missing:
        message = f"The rig '{rig.name}' has no landmark {missing}; use one that names its inner lips."
        raise TalkerError(message) from None
    gap = rig.vertices[upper] - rig.vertices[lower]
    gap_deltas = (rig.targets[:, upper] - rig.targets[:, lower]).reshape(len(rig.targets), -1)
    weights = rig.weights(coefficients)
    gaps = (weights @ gap_deltas).reshape(*weights.shape[:-1], -1, 3) + gap
    return np.linalg.norm(gaps, axis=-1).mean(axis=-1)


def save_rig(rig: Rig, path: str | Path) -> None:
    """Write a rig as one compressed NumPy file, the same bytes for the same rig, whole or not at all."""
    path = Path(path)
    arrays = {
        "vertices": np.asarray(rig.vertices, np.float32),
        "faces": np.asarray(rig.faces, np.int32),
        "deltas": np.asarray(rig.deltas, np.float32),
        "colors": np.asarray(rig.colors, np.uint8),
        "pivot": np.asarray(rig.pivot, np.float32),
        "head_weight": np.asarray(rig.head_weight, np.float32),
        "names": np.array(ARKIT_NAMES),
        "name": np.array(rig.name),
    }
    if rig.correctives:
        arrays |= {
            "corrective_deltas": np.asarray(rig.corrective_deltas, np.float32),
            "corrective_names": np.array([corrective.name for corrective in rig.correctives]),
            "corrective_shapes": np.array([" ".join(corrective.shapes) for corrective in rig.correctives]),
        }
    for group, indices in (("landmarks", rig.landmarks), ("parts", rig.parts)):
        arrays |= {f"{group}/{key}": np.asarray(value, np.int32) for key, value in indices.items()}
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_rig(path: str | Path) -> Rig:
    """Read what save_rig wrote. Raises TalkerError when the file is missing, broken or inconsistent."""
    path = Path(path)
    if not path.is_file():
        raise TalkerError(f"The head {path.name} is missing from {path.parent}; run `python -m render.head` to build it.")
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {key: file[key] for key in file.files}
        named = tuple(str(name) for name in stored["names"])
        groups = {
            group: {key.split("/", 1)[1]: value for key, value in stored.items() if key.startswith(f"{group}/")}
            for group in ("landmarks", "parts")
        }
        correctives = zip(stored.get("corrective_names", ()), stored.get("corrective_shapes", ()), strict=True)
        rig = Rig(
            **{key: stored[key] for key in ("vertices", "faces", "deltas", "colors", "pivot")},
            **groups,
            name=str(stored["name"]),
            head_weight=stored.get("head_weight"),  # files without one hold rigs that turn as one piece
            correctives=tuple(Corrective(str(name), tuple(str(shapes).split())) for name, shapes in correctives),
            corrective_deltas=stored.get("corrective_deltas"),
        )
        consistent = named == ARKIT_NAMES and _is_consistent(rig)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        consistent = False
    if not consistent:
        raise TalkerError(f"The head {path} is broken; run `python -m render.head` to build it again.")
    return rig


def _is_consistent(rig: Rig) -> bool:
    """Whether shapes agree, numbers are finite and every index points at a vertex."""
    count = len(rig.vertices)
    indices = [rig.faces, *rig.landmarks.values(), *rig.parts.values()]
    return (
        count > 0
        and rig.vertices.shape == (count, 3)
        and rig.faces.ndim == 2
        and rig.faces.shape[1] == 3
        and rig.deltas.shape == (len(ARKIT_NAMES), count, 3)
        and rig.corrective_deltas.shape == (len(rig.correctives), count, 3)
        and all(corrective.shapes and set(corrective.shapes) <= set(ARKIT_NAMES) for corrective in rig.correctives)
        and rig.colors.shape == (count, 4)
        and rig.pivot.shape == (3,)
        and rig.head_weight.shape == (count,)
        and bool(np.isfinite(rig.vertices).all() and np.isfinite(rig.targets).all() and np.isfinite(rig.pivot).all())
        and bool((rig.head_weight >= 0).all() and (rig.head_weight <= 1).all())
        and all(i.size == 0 or (i.min() >= 0 and i.max() < count) for i in indices)
    )


@cache
def load_look(name: str) -> Rig:
    """One of the heads that ship with the project, read once per process. Raises TalkerError for an unknown name."""
    if name not in LOOKS:
        raise TalkerError(f"There is no look '{name}'; choose one of {', '.join(LOOKS)}.")
    return load_rig(LOOKS_FOLDER / f"{name}.npz")


def default_rig() -> Rig:
    """The first of LOOKS, read once per process."""
    return load_look(LOOKS[0])
