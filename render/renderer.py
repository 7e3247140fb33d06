"""Renderer: takes side by side in one picture, off-screen, in pyrender's OpenGL context.

pyrender rebuilds its meshes for every frame, which costs a quarter of a second for four heads on two
cores. Here the topology, the colours and the materials go to OpenGL once; a frame moves positions and
normals only, and one lean shader draws each head in its own cell. benchmarks/render.py measures both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import numpy as np

from render.layout import HEIGHT, WIDTH, Layout, background
from render.rig import Rig, rotation_matrices
from render.shading import closed_first, incidence, materials, vertex_normals
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES, HEAD_NAMES, Motion

FIELD_OF_VIEW = np.radians(20.0)
"""Vertical angle of the camera: a portrait lens, which keeps a nose from growing."""

MARGIN = 1.08
"""Room around the neutral head, as a factor: an open jaw and a nod stay in the picture."""


def _opengl():
    """The module render.opengl and the process's context, or the sentence that says what to install."""
    try:
        from render import opengl

        return opengl, opengl.Context.shared()
    except Exception as error:  # whatever a loader, EGL or a driver raises, the remedy is the same
        raise TalkerError(
            "No OpenGL for drawing pictures on this machine (PYOPENGL_PLATFORM="
            f"{os.environ.get('PYOPENGL_PLATFORM', 'egl')}); install the Debian packages libegl1 and libgl1-mesa-dri, "
            "or go without video."
        ) from error


class Renderer:
    """Draws the takes of one rig side by side. A context manager: it owns buffers in OpenGL.

    rig           : Rig
    takes         : heads in a picture
    width, height : pixels
    captions      : one line per take; "Take 1", "Take 2", ... unless given
    supersampling : drawn pixels per shown pixel and axis; 2 smooths edges and highlights, 1 is fastest

    Raises TalkerError when the machine has no OpenGL.
    """

    def __init__(
        self,
        rig: Rig,
        takes: int = 1,
        width: int = WIDTH,
        height: int = HEIGHT,
        captions: Sequence[str] | None = None,
        supersampling: int = 2,
    ) -> None:
        if takes < 1:
            raise TalkerError(f"{takes} takes cannot be drawn; ask for one or more.")
        self.rig, self.takes = rig, takes
        low, high = rig.vertices.min(axis=0), rig.vertices.max(axis=0)
        self._center, self._size = (low + high) / 2, high - low
        self.layout = Layout(takes, width, height, self._size[0] / self._size[1])
        self._overlay = self.layout.overlay(captions or [f"Take {i + 1}" for i in range(takes)])
        self._incidence = incidence(rig.faces, len(rig.vertices))
        self._projection, self._distance = self._camera()
        opengl, self._context = _opengl()
        looks = np.hstack([rig.colors.astype(np.float32) / 255, materials(rig), rig.head_weight[:, None]])
        self._painter = self._context.submit(
            opengl.HeadPainter, *closed_first(rig), looks, takes, width, height, supersampling, background(height)
        ).result()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Free the buffers; the context stays for the next renderer."""
        painter, self._painter = self._painter, None
        if painter is not None:
            self._context.submit(painter.delete).result()

    def frame(self, coefficients: np.ndarray, head: np.ndarray) -> np.ndarray:
        """One picture of all takes.

        coefficients : (takes, 52), head : (takes, 3) radians -> (height, width, 3) uint8, sRGB
        """
        return self._begin(coefficients, head).result()

    def frames(self, motions: Sequence[Motion]) -> Iterator[np.ndarray]:
        """Pictures of motions played together, (height, width, 3) uint8 each; shorter ones hold their last frame.

        The next picture is drawn in OpenGL's thread while the caller uses the last one.
        """
        if len(motions) != self.takes:
            raise TalkerError(f"This renderer draws {self.takes} takes, and {len(motions)} motions were given.")
        ahead: Future | None = None
        for t in range(max(len(motion.coefficients) for motion in motions)):
            rows = [(motion, min(t, len(motion.coefficients) - 1)) for motion in motions]
            begun = self._begin(
                np.stack([motion.coefficients[row] for motion, row in rows]),
                np.stack([motion.head[row] for motion, row in rows]),
            )
            if ahead is not None:
                yield ahead.result()
            ahead = begun
        if ahead is not None:
            yield ahead.result()

    def _begin(self, coefficients: np.ndarray, head: np.ndarray) -> Future:
        coefficients, head = np.asarray(coefficients, np.float32), np.asarray(head, np.float32)
        if coefficients.shape != (self.takes, len(ARKIT_NAMES)) or head.shape != (self.takes, len(HEAD_NAMES)):
            raise TalkerError(
                f"A picture of {self.takes} takes needs coefficients ({self.takes}, {len(ARKIT_NAMES)}) and head "
                f"({self.takes}, {len(HEAD_NAMES)}), not {coefficients.shape} and {head.shape}."
            )
        if self._painter is None:
            raise TalkerError("This renderer is closed; make a new one.")
        return self._context.submit(self._draw, self._painter, coefficients, head)

    def _draw(self, painter, coefficients: np.ndarray, head: np.ndarray) -> np.ndarray:
        """Runs in the context's thread."""
        for take, vertices in enumerate(self.rig.pose(coefficients)):
            painter.move(take, vertices, vertex_normals(vertices, self.rig.faces, self._incidence))
        resting = np.eye(4, dtype=np.float32)
        resting[:3, 3] = -self._center - (0, 0, self._distance)
        turned = np.tile(resting, (self.takes, 1, 1))
        turned[:, :3, :3] = rotation_matrices(head)
        turned[:, :3, 3] += self.rig.pivot - turned[:, :3, :3] @ self.rig.pivot
        # Twice as wide as the cell, so that a shoulder may pass its edge instead of being cut off there.
        wide, high = self.layout.view
        corners = [(x - wide // 2, y) for x, y in map(self.layout.corner, range(self.takes))]
        picture = painter.draw(resting, turned, self._projection, corners, (2 * (wide // 2) + wide, high))
        for patch in self._overlay:
            patch.lay_over(picture)
        return picture

    def _camera(self) -> tuple[np.ndarray, float]:
        """Projection (4, 4) to what _draw draws, mirrored top to bottom, and the metres at which a head just fills
        its view."""
        wide, high = self.layout.view
        aspect, focal = wide / high, 1 / np.tan(FIELD_OF_VIEW / 2)
        drawn_aspect = (2 * (wide // 2) + wide) / high
        half = MARGIN * max(self._size[1], self._size[0] / aspect) / 2
        distance = float(half * focal + self._size[2] / 2)
        near, far = 0.4 * distance, 2.0 * distance
        projection = np.zeros((4, 4), np.float32)
        projection[0, 0], projection[1, 1] = focal / drawn_aspect, -focal
        projection[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
        projection[3, 2] = -1
        return projection, distance
