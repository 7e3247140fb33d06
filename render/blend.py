"""Blend: where a rig's vertices are and which way they face, for many frames and takes at once.

Shapes move about half of a head: hair, clothes and the back of the skull keep still. So only the vertices that
some shape moves, and their neighbours, whose normals change, are blended and sent to OpenGL.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from render.rig import Rig

STILL = 1e-7
"""Metres below which a shape does not move a vertex."""


class Blend:
    """The moving part of a rig, which comes first in the order of vertices that it defines.

    order    : (V,) vertex indices of the rig; the first `moving` of them move or change their normals
    faces    : (F, 3) int32, the rig's triangles in that order's numbers
    vertices : (V, 3) float32, normals : (V, 3) float32, neutral, in that order; normals have their area's length
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        targets = rig.targets
        moves = np.zeros(len(rig.vertices), bool)
        for delta in targets:  # one at a time: all of a large rig's would take as much memory again
            moves |= (np.abs(delta) > STILL).any(axis=1)
        bent = moves[rig.faces].any(axis=1)
        changes = moves.copy()
        changes[rig.faces[bent]] = True
        self.order = np.argsort(~changes, kind="stable")
        self.moving = int(changes.sum())
        place = np.empty_like(self.order)
        place[self.order] = np.arange(len(self.order))
        self.faces = place[rig.faces].astype(np.int32)
        self.vertices = np.ascontiguousarray(rig.vertices[self.order], np.float32)
        self.normals = vertex_normals(self.vertices, self.faces)
        self._targets = np.ascontiguousarray(targets[:, self.order[: self.moving]]).reshape(len(targets), -1)
        self._bent = np.ascontiguousarray(self.faces[bent].T)
        self._incidence = incidence(self._bent.T, self.moving)
        still = np.ones(len(rig.faces), bool)
        still[bent] = False
        self._normals = vertex_normals(self.vertices, self.faces[still])[: self.moving]

    @property
    def frame_bytes(self) -> int:
        """What one frame of one take needs while it is blended."""
        return 36 * max(1, self.moving)

    def __call__(self, coefficients: np.ndarray) -> np.ndarray:
        """Posed vertices and normals of the moving part: coefficients (..., 52) -> (..., 2, moving, 3) float32.

        One matrix product for all frames and takes: 24 bytes a moving vertex, frame and take, so long motions go
        in pieces. Normals have their area's length.
        """
        weights = self._rig.weights(coefficients)
        rows = weights.reshape(-1, weights.shape[-1])
        blended = np.empty((len(rows), 2, self.moving, 3), np.float32)
        moved = (rows @ self._targets).reshape(len(rows), self.moving, 3)
        np.add(moved, self.vertices[: self.moving], out=blended[:, 0])
        for vertices, normals in blended:
            np.add(self._incidence @ _cross(vertices, self._bent), self._normals, out=normals)
        return blended.reshape(*weights.shape[:-1], 2, self.moving, 3)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, adjacent: csr_array | None = None) -> np.ndarray:
    """Area-weighted vertex normals, as long as the sum of their triangles' doubled areas.

    (V, 3), (F, 3), adjacent : incidence(faces, V), for who needs it more than once -> (V, 3) float32
    """
    return (incidence(faces, len(vertices)) if adjacent is None else adjacent) @ _cross(vertices, faces.T)


def incidence(faces: np.ndarray, vertices: int) -> csr_array:
    """(V, F) float32 sparse matrix with a one where a vertex belongs to a triangle."""
    columns = np.repeat(np.arange(len(faces)), 3)
    ones = np.ones(faces.size, np.float32)
    return csr_array((ones, (faces.reshape(-1), columns)), shape=(vertices, len(faces)))


def _cross(vertices: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Cross products of two sides of triangles: (V, 3), (3, F) -> (F, 3). np.cross takes five times as long."""
    a = vertices.take(corners[0], axis=0)
    u, v = vertices.take(corners[1], axis=0), vertices.take(corners[2], axis=0)
    u -= a
    v -= a
    cross = np.empty_like(u)
    cross[:, 0] = u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1]
    cross[:, 1] = u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2]
    cross[:, 2] = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    return cross
