"""ICT-FaceKit: what its topology means, and how users who are online get it.

ICT Face Model Light, Li et al. 2020, "Learning Formation of Physically-Based Face Attributes", MIT licence. Vertex
ranges and landmarks are those of the tables in its README.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from render.rigs.face import Face, eyeball_colors

ICT_VERTICES = 26719

_COLORS = (
    (11248, 13294, (120, 50, 48)),
    (14062, 17039, (176, 84, 84)),
    (17039, 21451, (238, 232, 218)),
    (25351, 26719, (146, 108, 92)),
)
"""First vertex, end, sRGB colour of the mouth socket, gums and tongue, teeth, lashes (light, because their
strips are wider than the hairs on them); the rest is skin and eyes."""

_EYEBALLS = ((21451, 23021), (23021, 24591))
"""Left and right: sclera with its cornea, and the iris behind it. Without transparency the cornea wears the iris."""

_FILMS = (24591, 25351)
"""Lacrimal fluid, eye blend and eye occlusion: clear films that a renderer without transparency must leave out."""

_INNER_LIP_UPPER, _INNER_LIP_LOWER = (5711, 5533, 6216), (5966, 5517, 6470)
"""Points 61 to 63 and 67 to 65 of the 68 of Multi-PIE."""


def ict_face(face: Face) -> Face:
    """The face with the colours of its parts, without the films over its eyes, and with its lips' landmarks."""
    colors = np.zeros((ICT_VERTICES, 4), np.uint8)
    for first, end, color in _COLORS:
        colors[first:end] = (*color, 255)
    for first, end in _EYEBALLS:
        colors[first:end] = eyeball_colors(face.vertices[first:end])
    film = (face.faces >= _FILMS[0]) & (face.faces < _FILMS[1])
    return dataclasses.replace(
        face,
        source="ICT-FaceKit",
        name="ICT-FaceKit",
        faces=face.faces[~film.any(axis=1)],
        colors=colors if face.colors is None else face.colors,
        landmarks={"inner_lip_upper": np.array(_INNER_LIP_UPPER), "inner_lip_lower": np.array(_INNER_LIP_LOWER)},
    )
