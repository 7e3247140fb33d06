"""ARKit coefficients of scanned faces: the shapes' weights that come nearest to vertices.

Table 3 of DiffusionTalker needs them (section 4.1, after EmoTalk's conversion of VOCASET into 52 coefficients).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import lsq_linear

from render.rig import Rig
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES

MOVES = 1e-6
"""Metres: a shape that moves no vertex further is one that the face lacks, and stays 0."""


def fit_coefficients(displacements: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """Coefficients (T, 52) float32 in [0, 1] that minimise the squared distance of sum(c_k deltas_k) to displacements.

    displacements : (T, V, 3) metres, vertices less the resting face
    deltas        : (52, V, 3) metres
    A least-squares problem with bounds for each frame, solved exactly by scipy's BVLS (Stark and Parker 1995) after
    the QR decomposition of the shapes has brought it from 3 V equations to one for each shape.
    Raises TalkerError when the vertices do not fit together.
    """
    if displacements.shape[1:] != deltas.shape[1:]:
        raise TalkerError(
            f"The face to fit has {displacements.shape[1]} vertices and the shapes have {deltas.shape[1]}; "
            "give --rig a face of the same topology."
        )
    moving = np.flatnonzero(np.abs(deltas).max(axis=(1, 2)) > MOVES)
    coefficients = np.zeros((len(displacements), len(ARKIT_NAMES)), np.float32)
    if len(moving):
        basis, reduced = np.linalg.qr(deltas[moving].reshape(len(moving), -1).T.astype(np.float64))
        wanted = displacements.reshape(len(displacements), -1).astype(np.float64) @ basis
        for row, target in enumerate(wanted):
            coefficients[row, moving] = lsq_linear(reduced, target, bounds=(0, 1), method="bvls").x
    return np.clip(coefficients, 0, 1)


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
