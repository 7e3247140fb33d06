"""Rig: a neutral head and what each of the 52 ARKit shapes adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Rig:
    """A face that coefficients can move. Metres; +X to the face's own left, +Y up, +Z out of the face.

    vertices  : (V, 3) float32, the neutral head
    faces     : (F, 3) int32, triangles, counter-clockwise seen from outside
    deltas    : (52, V, 3) float32, one row per name in talker.motion.ARKIT_NAMES
    colors    : (V, 4) uint8 RGBA vertex colours
    pivot     : (3,) float32, the point of the neck about which the head turns
    landmarks : name -> (n,) int32 vertex indices; "inner_lip_upper" and "inner_lip_lower" are
                matching rows along the middle third of the lips' inner edge
    parts     : name -> (n,) int32 vertex indices ("skin", "lips", "teeth_upper", ...)
    """

    vertices: np.ndarray
    faces: np.ndarray
    deltas: np.ndarray
    colors: np.ndarray
    pivot: np.ndarray
    landmarks: dict[str, np.ndarray] = field(default_factory=dict)
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    name: str = "default"
