"""Regions of a rig's surface on which vertex measures are taken."""

from __future__ import annotations

import dataclasses

import numpy as np

from render.rig import Rig
from talker.motion import LIP_REGION, UPPER_FACE_REGION

MOVES = 1e-4
"""Metres: what all shapes of a region together move less is not of the region."""


def face_of(rig: Rig) -> Rig:
    """The skin and lips of a rig that names them, as VOCASET's scans have no hair, teeth and clothes; else all of it."""
    if not {"skin", "lips"} <= set(rig.parts):
        return rig
    kept = np.union1d(rig.parts["skin"], rig.parts["lips"])
    return dataclasses.replace(
        rig,
        vertices=rig.vertices[kept],
        faces=np.zeros((0, 3), np.int32),
        deltas=rig.deltas[:, kept],
        colors=rig.colors[kept],
        landmarks={},
        parts={"lips": np.flatnonzero(np.isin(kept, rig.parts["lips"]))},
        head_weight=rig.head_weight[kept],
        corrective_deltas=rig.corrective_deltas[:, kept],
    )


def upper_face_vertices(rig: Rig) -> np.ndarray:
    """Indices of the vertices that brows, lids and eyes move further than jaw and lips do: FDD's region."""
    upper, lower = (np.linalg.norm(rig.deltas[r], axis=-1).sum(axis=0) for r in (UPPER_FACE_REGION, LIP_REGION))
    return np.flatnonzero((upper > lower) & (upper > MOVES))
