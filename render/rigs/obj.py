"""OBJ: a neutral and one file per shape in a folder or zip, as ICT-FaceKit and many modelling programs write them.

A parser of our own, because only two kinds of lines matter here (positions and polygons), general readers merge or
reorder vertices, on whose order the shapes depend, and a folder has 50 files of 30 000 lines.
"""

from __future__ import annotations

import re
import warnings
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from render.rigs.archive import Files, open_folder, open_zip
from render.rigs.face import MAX_TRIANGLES, MAX_VERTICES, Face, check_finite, check_size
from render.rigs.ict import ICT_VERTICES, ict_face
from render.rigs.names import arkit_shapes, shortened
from talker.errors import TalkerError

_NEUTRAL = re.compile(r"(^|[^a-z])(neutral|basis|base|rest|default)([^a-z]|$)", re.IGNORECASE)

MAX_CORNERS = 64
"""Of one polygon."""

MAX_LINE = 4096
"""Bytes of one line."""

_VERTEX, _POLYGON = re.compile(rb"^v[ \t]+(.*)$", re.MULTILINE), re.compile(rb"^f[ \t]+(.*)$", re.MULTILINE)
_AFTER_SLASH = re.compile(rb"/\S*")


def read_obj(path: Path) -> Face:
    """A face from a folder of OBJs or a zip of one; the file whose name says neutral (or basis, base, rest) is it.

    Files that are neither neutral nor an ARKit shape, such as ICT-FaceKit's identities, are not opened. Raises
    TalkerError for anything that is not such a set of files.
    """
    if path.is_dir():
        return _read(open_folder(path, ".obj"))
    with open_zip(path, ".obj") as files:
        return _read(files)


def _read(files: Files) -> Face:
    labels = {PurePosixPath(name).stem: name for name in files.names}
    if not labels:
        raise TalkerError(f"{files.label} holds no OBJ files; give a neutral OBJ and one per shape.")
    shapes = arkit_shapes(labels)
    neutral = min((label for label in labels if _NEUTRAL.search(label) and label not in shapes), key=len, default=None)
    if neutral is None:
        raise TalkerError(
            f"{files.label} has no neutral among {shortened(labels)}; add the face at rest as neutral.obj."
        )
    content = files.read(labels[neutral])
    name = PurePosixPath(files.label).stem
    vertices, colors = _positions(content, f"{name}/{neutral}.obj")
    faces = _triangles(content, f"{name}/{neutral}.obj", len(vertices))
    deltas = {}
    for label, shape in shapes.items():
        moved, _ = _positions(files.read(labels[label]), f"{name}/{label}.obj")
        if len(moved) != len(vertices):
            raise TalkerError(
                f"{name}: {label}.obj has {len(moved):,} vertices and {neutral}.obj {len(vertices):,}; "
                "export all shapes from one mesh."
            )
        deltas[shape] = (moved - vertices).astype(np.float32)
    others = [label for label in labels if label != neutral]
    face = Face("OBJ", name, vertices, faces, deltas, others, colors)
    return ict_face(face) if len(vertices) == ICT_VERTICES and neutral == "generic_neutral_mesh" else face


def _positions(content: bytes, label: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Vertices (V, 3) float64, and sRGB colours (V, 4) uint8 where lines have them, from the lines "v x y z [r g b]"."""
    rows = _lines(_VERTEX, content, label, MAX_VERTICES)
    check_size(label, len(rows))
    if not rows:
        raise TalkerError(f"{label} holds no vertices; export it again.")
    columns = len(rows[0].split())
    values = _numbers(rows, np.float64)
    if columns not in (3, 4, 6, 7) or values is None or len(values) != columns * len(rows):
        raise TalkerError(f"{label} has vertices that are not three numbers each; export it again.")
    check_finite(label, values)
    values = values.reshape(len(rows), columns)
    if values.shape[1] < 6:
        return values[:, :3], None
    colors = np.clip(values[:, -3:], 0, 1) * 255
    return values[:, :3], np.pad(np.round(colors).astype(np.uint8), ((0, 0), (0, 1)), constant_values=255)


def _triangles(content: bytes, label: str, count: int) -> np.ndarray:
    """Triangles (F, 3) int32 from the polygons "f v/vt/vn ...", fanned from the first corner."""
    lines = _lines(_POLYGON, content, label, MAX_TRIANGLES)
    check_size(label, 0, len(lines))
    polygons: dict[int, list[bytes]] = {}
    for line in lines:
        polygons.setdefault(len(line.split()), []).append(line)
    triangles = [np.zeros((0, 3), np.int64)]
    for size, rows in polygons.items():
        if not 3 <= size <= MAX_CORNERS:
            raise TalkerError(f"{label} has a polygon of {size} corners; export it as triangles or quads.")
        indices = _numbers([_AFTER_SLASH.sub(b"", b" ".join(rows))], np.int64)
        if indices is None or len(indices) != size * len(rows):
            raise TalkerError(f"{label} has a polygon whose corners are not numbers; export it again.")
        indices = indices.reshape(-1, size)
        indices = np.where(indices < 0, indices + count, indices - 1)  # negative ones count from the last vertex
        triangles += [indices[:, [0, k, k + 1]] for k in range(1, size - 1)]
    faces = np.concatenate(triangles)
    check_size(label, 0, len(faces))
    if len(faces) and (faces.min() < 0 or faces.max() >= count):
        raise TalkerError(f"{label} has triangles that point at vertices it does not have; export it again.")
    return faces.astype(np.int32)


def _lines(pattern: re.Pattern, content: bytes, label: str, limit: int) -> list[bytes]:
    """What stands behind a keyword, line by line, at most limit + 1 of them."""
    rows = [match[1] for match in islice(pattern.finditer(content), limit + 1)]
    if rows and max(map(len, rows)) > MAX_LINE:
        raise TalkerError(f"{label} has lines of more than {MAX_LINE} characters; export it again.")
    return rows


def _numbers(rows: list[bytes], dtype: type) -> np.ndarray | None:
    """All numbers of some lines; None where something else stands among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy's way to say that it stopped early
        try:
            return np.fromstring(b" ".join(rows), dtype, sep=" ")
        except (DeprecationWarning, ValueError):
            return None
