"""ICT-FaceKit: what its topology means, and how users who are online get it.

ICT Face Model Light, Li et al. 2020, "Learning Formation of Physically-Based Face Attributes", MIT licence. Vertex
ranges and landmarks are those of the tables in its README.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from render.rigs.face import Face

ICT_VERTICES = 26719

_SKIN, _MOUTH, _TONGUE, _TEETH = (205, 163, 141), (120, 50, 48), (176, 84, 84), (238, 232, 218)
_SCLERA, _IRIS, _LASHES = (240, 238, 234), (92, 116, 120), (38, 28, 24)

_COLORS = (
    (0, 11248, _SKIN), (11248, 13294, _MOUTH), (13294, 14062, _SKIN), (14062, 17039, _TONGUE), (17039, 21451, _TEETH),
    (21451, 22221, _SCLERA), (22221, 23021, _IRIS), (23021, 23791, _SCLERA), (23791, 24591, _IRIS),
    (24591, 25351, _SKIN), (25351, 26719, _LASHES),
)  # fmt: skip
"""First vertex, end, sRGB colour: face, head and neck; mouth socket; eye sockets; gums and tongue; teeth; sclera and
iris of both eyes; films over the eyes; lashes."""

_FILMS = (24591, 25351)
"""Lacrimal fluid, eye blend and eye occlusion: clear films that a renderer without transparency must leave out."""

_INNER_LIP_UPPER, _INNER_LIP_LOWER = (5711, 5533, 6216), (5966, 5517, 6470)
"""Points 61 to 63 and 67 to 65 of the 68 of Multi-PIE."""


def ict_face(face: Face) -> Face:
    """The face with the colours of its parts, without the films over its eyes, and with its lips' landmarks."""
    colors = np.full((ICT_VERTICES, 4), 255, np.uint8)
    for first, end, color in _COLORS:
        colors[first:end, :3] = color
    film = (face.faces >= _FILMS[0]) & (face.faces < _FILMS[1])
    return dataclasses.replace(
        face,
        source="ICT-FaceKit",
        name="ICT-FaceKit",
        faces=face.faces[~film.any(axis=1)],
        colors=colors if face.colors is None else face.colors,
        landmarks={"inner_lip_upper": np.array(_INNER_LIP_UPPER), "inner_lip_lower": np.array(_INNER_LIP_LOWER)},
    )
