"""Where the camera of the page's 3D viewer stands, so that all heads of a scene fill it."""

from __future__ import annotations

import math

import numpy as np

from render.gltf import SPACING
from render.rig import Rig

FIELD_OF_VIEW = 0.8
"""Vertical field of view in radians of Babylon's camera, its default."""

ASPECT = 16 / 9
"""Width by height of the viewer on the page, at every width of the page."""

MARGIN = 1.06
"""The picture is this much larger than the heads."""


def camera_position(rig: Rig, takes: int) -> tuple[float, float, float]:
    """Longitude and latitude in degrees and distance in metres of a camera before `takes` heads side by side.

    90, 90 looks along -Z at the height of the scene's middle, straight into the faces (Babylon's
    arc-rotate camera, as gr.Model3D takes it); the distance is to the middle of the scene.
    """
    width, height, depth = np.ptp(rig.vertices, axis=0)
    scene = width * (1 + SPACING * (takes - 1))
    visible = MARGIN * max(height, scene / ASPECT)
    return 90.0, 88.0, float(visible / (2 * math.tan(FIELD_OF_VIEW / 2)) + depth / 2)
