"""A face as files hold it, made into a Rig: units, orientation, neck, colours, and a report on what was found."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

from render.rig import Rig
from render.rigs.names import arkit_name, shortened
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES

MAX_VERTICES = 300_000
"""Thirty times the default head; more than any face that is animated in real time."""

MAX_TRIANGLES = 2 * MAX_VERTICES

LARGEST = 1e6
"""Of any number in a mesh, in its own units: a kilometre in millimetres."""

UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}

HEAD_HEIGHT = (0.15, 0.35)
"""Metres from chin to crown that heads have, children's and drawn ones included; outside it no unit fits."""

USUAL_HEAD_HEIGHT = 0.23
"""Metres; men 0.232, women 0.218 on average (menton to vertex, ANSUR 1988)."""

EYE_DISTANCE = 0.063 / USUAL_HEAD_HEIGHT
"""Between the pupils, in heights of a head (0.063 m on average, Dodgson 2004)."""

PIVOT_BELOW_EYES, PIVOT_BEHIND_EYES = 1.5, 1.6
"""Where the neck turns, from the middle between the eyes, in distances between the eyes: as on the default head."""

FIGURE, BUST = 1.6, (1.1, 0.7)
"""In heights of a head: a mesh that reaches farther below the neck is a figure, of which this much to the sides and
below the neck is kept."""

NECK_LENGTH = 1.2
"""Of the part of the neck that bends, in distances between the eyes."""

SKIN = (205, 163, 141, 255)
PUPIL, IRIS, WHITE = (14, 12, 12, 255), (92, 116, 120, 255), (240, 238, 234, 255)
"""sRGB colours of a face whose file has none."""

IRIS_ANGLE = 29.0
"""Degrees from an eyeball's axis to the edge of the iris, seen from its centre: 5.9 mm on a ball of 12 mm."""


@dataclass
class Face:
    """What a reader found in a file, in the file's own units and axes. Arrays of V vertices.

    source      : "GLB", "ICT-FaceKit", "OBJ" or "FLAME"
    name        : of the file
    vertices    : (V, 3) float, the neutral
    faces       : (F, 3) int, triangles
    deltas      : ARKit name, or half of one (names.arkit_shapes) -> (V, 3) float
    labels      : all names of shapes that the file has
    colors      : (V, 4) uint8 sRGB, opacity 0 where the file has none; or None
    head_weight : (V,) float in [0, 1], how far a vertex goes with the head, or None where the file does not say
    pivot       : (3,) float where the head turns, or None where the file does not say
    landmarks   : as Rig.landmarks
    notes       : sentences for the report
    """

    source: str
    name: str
    vertices: np.ndarray
    faces: np.ndarray
    deltas: dict[str, np.ndarray]
    labels: list[str]
    colors: np.ndarray | None = None
    head_weight: np.ndarray | None = None
    pivot: np.ndarray | None = None
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RigReport:
    """What was made of a file: report.json, the command line and the page all say this.

    source    : kind of file
    name      : of the rig
    vertices, triangles : counts
    shapes    : how many of the 52 ARKit shapes it has
    missing   : the others; they move nothing
    ignored   : the file's shapes that are not ARKit's
    units     : what its numbers were taken for, "metres" after normalisation
    notes     : sentences on anything else that was changed
    """

    source: str
    name: str
    vertices: int
    triangles: int
    shapes: int
    missing: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    units: str = "metres"
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict:
        """For report.json."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    def summary(self) -> str:
        """One line for people."""
        said = f"{self.name} ({self.source}): {self.shapes} of {len(ARKIT_NAMES)} shapes, {self.vertices} vertices"
        said += f", read in {self.units}"
        if self.missing:
            said += f"; missing and skipped: {', '.join(self.missing)}"
        return "; ".join([said, *self.notes]) + "."


def report_of(rig: Rig) -> RigReport:
    """The report on a rig that ships with the project."""
    return RigReport("Talker", rig.name, len(rig.vertices), len(rig.faces), *_present(rig.deltas))


def make_rig(face: Face) -> tuple[Rig, RigReport]:
    """A Rig in metres, +Y up and +Z out of the face, and what was found.

    Raises TalkerError where numbers are not finite, indices point nowhere, it is too large, or it has no ARKit shape.
    """
    _check(face)
    deltas = _arkit_deltas(face)
    present = [i for i in range(len(ARKIT_NAMES)) if deltas[i].any()]
    if not present:
        had = f"its shapes are {shortened(face.labels)}" if face.labels else "it has no shapes at all"
        raise TalkerError(f"{face.name} has none of the 52 ARKit shapes ({had}); name them as ARKit does, such as jawOpen.")
    notes = list(face.notes)

    turn = _orientation(face.vertices, deltas)
    if not np.array_equal(turn, np.eye(3)):
        notes.append("turned so that +Y is up and the face looks along +Z")
    vertices = face.vertices @ turn.T
    deltas = deltas @ turn.T.astype(np.float32)
    head = face.head_weight
    units, scale = _units(vertices, deltas, head)
    vertices, deltas = vertices * scale, deltas * np.float32(scale)
    eyes, apart = _eyes(vertices, deltas)
    pivot = turn @ face.pivot * scale if face.pivot is not None else _neck(vertices, eyes, apart)
    if head is None:
        head = _neck_weights(vertices, deltas, apart)
    if not _left_is_left(vertices, deltas):
        notes.append("its Left shapes move the side that is its right, as seen in a mirror")
    # The head stands where the default one does, so that one camera serves both.
    shift = np.array([pivot[0], eyes[1], pivot[2] + 0.02])
    vertices, pivot = vertices - shift, pivot - shift

    near = _near_head(vertices, face.faces, pivot, apart)
    if not near.all():
        notes.append("the body below the shoulders is left out")
    used, place = _used(face.faces[near], len(vertices))
    faces = place[face.faces[near]]
    landmarks = {key: place[indices] for key, indices in face.landmarks.items()}
    rig = Rig(
        vertices=vertices[used].astype(np.float32),
        faces=faces,
        deltas=np.ascontiguousarray(deltas[:, used]),
        colors=_colors(face)[used],
        pivot=pivot.astype(np.float32),
        landmarks={key: indices for key, indices in landmarks.items() if (indices >= 0).all()},
        name=face.name,
        head_weight=None if head is None else np.clip(head, 0, 1)[used].astype(np.float32),
    )
    shapes, missing = _present(rig.deltas)
    ignored = tuple(label for label in face.labels if arkit_name(label) is None)
    return rig, RigReport(face.source, face.name, len(rig.vertices), len(faces), shapes, missing, ignored, units, tuple(notes))


def check_size(name: str, vertices: int, triangles: int = 0) -> None:
    """Refuse a mesh that is too large, before anything of its size is made."""
    if vertices > MAX_VERTICES or triangles > MAX_TRIANGLES:
        raise TalkerError(
            f"{name} has {max(vertices, triangles // 2):,} vertices or more; give a face of at most {MAX_VERTICES:,}, "
            "such as a lower level of detail."
        )


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN, infinities, and numbers so large that sums of them would lose their digits."""
    if not (np.abs(array) < LARGEST).all():  # NaN compares false
        raise TalkerError(f"{name} has vertices that are not finite numbers, or far too large; export it again.")


def _check(face: Face) -> None:
    count = len(face.vertices)
    check_size(face.name, count, len(face.faces))
    if count < 3 or len(face.faces) == 0:
        raise TalkerError(f"{face.name} holds no triangles; give a mesh of a face.")
    if face.faces.min() < 0 or face.faces.max() >= count:
        raise TalkerError(f"{face.name} has triangles that point at vertices it does not have; export it again.")
    for label, array in (("neutral", face.vertices), *face.deltas.items()):
        if array.shape != (count, 3):
            raise TalkerError(
                f"{face.name}: the shape {label} has {len(array):,} vertices and the neutral {count:,}; "
                "export all shapes from one mesh."
            )
        check_finite(f"{face.name}/{label}", array)
    if not np.ptp(face.vertices, axis=0).max() > 0:
        raise TalkerError(f"{face.name} has all its vertices in one place; export it again.")


def _arkit_deltas(face: Face) -> np.ndarray:
    """(52, V, 3) float32: each shape under its ARKit name, halves of one name summed."""
    deltas = np.zeros((len(ARKIT_NAMES), *face.vertices.shape), np.float32)
    for shape, delta in face.deltas.items():
        deltas[ARKIT_INDEX[arkit_name(shape)]] += delta
    return deltas


def _present(deltas: np.ndarray) -> tuple[int, tuple[str, ...]]:
    """How many shapes move anything, and the names of those that do not."""
    missing = tuple(name for name, delta in zip(ARKIT_NAMES, deltas) if not delta.any())
    return len(ARKIT_NAMES) - len(missing), missing


def _centre(vertices: np.ndarray, deltas: np.ndarray, *stems: str) -> np.ndarray | None:
    """Middle of what the shapes whose names begin with a stem move, each weighed by how far; None if nothing."""
    rows = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(stems) and deltas[i].any()]
    if not rows:
        return None
    moved = sum(np.linalg.norm(deltas[i], axis=1) for i in rows).astype(np.float64)
    return moved @ vertices / moved.sum()


def _sides(vertices: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """From what the shapes of the right move to what those of the left move, summed over pairs (3,)."""
    away = np.zeros(3)
    for name in ARKIT_NAMES:
        if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
            left, right = (_centre(vertices, deltas, side) for side in (name, name.removesuffix("Left") + "Right"))
            if left is not None and right is not None:
                away += left - right
    return away


def _orientation(vertices: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """The rotation (3, 3), one of the 24 that swap axes, after which +Y is up and the face looks along +Z.

    The shapes say where up and front are: brows and eyes lie above mouth and jaw, an opening jaw goes down, left
    shapes lie opposite to right ones, and all that moves lies before the middle of the head. With little to go by
    the file's own axes stay, which are right by the rules of glTF and of ICT-FaceKit.
    """
    size = np.ptp(vertices, axis=0).max()
    up, front, left = np.zeros(3), np.zeros(3), np.zeros(3)
    upper, lower = _centre(vertices, deltas, "brow", "eye"), _centre(vertices, deltas, "mouth", "jaw")
    if upper is not None and lower is not None:
        up += (upper - lower) / size
    above = up / max(np.linalg.norm(up), 1e-12)
    for middle in (upper, lower):
        if middle is not None:
            ahead = (middle - vertices.mean(axis=0)) / size
            front += ahead - (ahead @ above) * above  # a face is also high above the middle of a body
    for name, axis, sign in (("jawOpen", up, -1), ("jawForward", front, 1)):
        total = deltas[ARKIT_INDEX[name]].sum(axis=0)
        axis += sign * total / max(np.linalg.norm(total), 1e-12)
    away = _sides(vertices, deltas)
    left += away / max(np.linalg.norm(away), 1e-12)
    best, turn = -np.inf, np.eye(3)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            candidate = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(candidate) < 0:
                continue
            # Left counts least: some files name sides as seen in a mirror.
            score = candidate[1] @ up + candidate[2] @ front + 0.3 * candidate[0] @ left
            score += 0.05 * np.trace(candidate)
            if score > best + 1e-9:
                best, turn = score, candidate
    return turn


def _eyes(vertices: np.ndarray, deltas: np.ndarray) -> tuple[np.ndarray, float]:
    """The middle between the eyes (3,), and how far these are apart; guessed from the head's size without shapes."""
    left, right = (_centre(vertices, deltas, f"eyeBlink{s}", f"eyeSquint{s}", f"eyeWide{s}") for s in ("Left", "Right"))
    if left is not None and right is not None and np.linalg.norm(left - right) > 0:
        return (left + right) / 2, float(np.linalg.norm(left - right))
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    height = min(high[1] - low[1], 1.6 * (high[0] - low[0]))
    return np.array([(low[0] + high[0]) / 2, high[1] - height / 2, high[2] - 0.12 * height]), EYE_DISTANCE * height


def _units(vertices: np.ndarray, deltas: np.ndarray, head: np.ndarray | None) -> tuple[str, float]:
    """The unit in which the head has the size of a head, and metres in one of it.

    The eyes' distance says how large the head is, whatever else belongs to the mesh; without eyes its height.
    """
    _, apart = _eyes(vertices, deltas)
    height = apart / EYE_DISTANCE
    unit, scale = min(UNITS.items(), key=lambda item: abs(np.log(height * item[1] / USUAL_HEAD_HEIGHT)))
    if HEAD_HEIGHT[0] <= height * scale <= HEAD_HEIGHT[1]:
        return unit, scale
    return f"no known unit, scaled to a head of {USUAL_HEAD_HEIGHT:g} m", USUAL_HEAD_HEIGHT / height


def _neck(vertices: np.ndarray, eyes: np.ndarray, apart: float) -> np.ndarray:
    """Where a neck turns, guessed from the eyes."""
    pivot = eyes - apart * np.array([0, PIVOT_BELOW_EYES, PIVOT_BEHIND_EYES])
    return np.clip(pivot, vertices.min(axis=0), vertices.max(axis=0))


def _neck_weights(vertices: np.ndarray, deltas: np.ndarray, apart: float) -> np.ndarray | None:
    """How far vertices go with the head (V,): 1 down to the chin, 0 on shoulders, smooth along the neck between;
    None for a mesh that ends soon below the chin."""
    jaw = np.linalg.norm(deltas[ARKIT_INDEX["jawOpen"]], axis=1)
    if not jaw.any():
        return None
    chin = vertices[jaw > 0.3 * jaw.max(), 1].min()
    if vertices[:, 1].min() > chin - 0.7 * apart:
        return None
    below = np.clip((chin - vertices[:, 1]) / (NECK_LENGTH * apart), 0, 1)
    return 1 - below * below * (3 - 2 * below)


def _colors(face: Face) -> np.ndarray:
    """Colours (V, 4) uint8 sRGB: the file's, and skin where it has none."""
    skin = np.tile(np.array(SKIN, np.uint8), (len(face.vertices), 1))
    return skin if face.colors is None else np.where(face.colors[:, 3:] > 0, face.colors, skin)


def eyeball_colors(vertices: np.ndarray) -> np.ndarray:
    """Colours (n, 4) uint8 sRGB of one eyeball's vertices (n, 3), which looks along +Z: pupil, iris, white."""
    out = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    angle = np.degrees(np.arccos(np.clip(out[:, 2] / np.maximum(np.linalg.norm(out, axis=1), 1e-12), -1, 1)))
    return np.where((angle < 11)[:, None], PUPIL, np.where((angle < IRIS_ANGLE)[:, None], IRIS, WHITE)).astype(np.uint8)


def _left_is_left(vertices: np.ndarray, deltas: np.ndarray) -> bool:
    return _sides(vertices, deltas)[0] >= 0


def _near_head(vertices: np.ndarray, faces: np.ndarray, pivot: np.ndarray, apart: float) -> np.ndarray:
    """Which triangles (F,) to keep: all, or, of a figure that reaches far below its neck, head and shoulders."""
    height = apart / EYE_DISTANCE
    if vertices[:, 1].min() > pivot[1] - FIGURE * height:
        return np.ones(len(faces), bool)
    near = (vertices[:, 1] > pivot[1] - BUST[1] * height) & (np.abs(vertices[:, 0] - pivot[0]) < BUST[0] * height)
    kept = near[faces].all(axis=1)
    return kept if kept.any() else np.ones(len(faces), bool)


def _used(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n,) that triangles use, and the number that each of `count` gets among them, -1 for the others."""
    used = np.unique(faces)
    place = np.full(count, -1, np.int32)
    place[used] = np.arange(len(used))
    return used, place
