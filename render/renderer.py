"""Renderer: takes side by side in one picture, off-screen, in an OpenGL context of the process.

pyrender rebuilds its meshes for every frame, which costs a quarter of a second for four heads on two
cores. Here the topology, the colours and the materials go to OpenGL once; a frame moves positions and
normals only, of what shapes move only, and all heads are drawn together. Frames are blended some at a time,
drawn in OpenGL's thread, and finished and encoded in the caller's. benchmarks/render.py measures it.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from render.antialiasing import smooth_edges
from render.blend import Blend
from render.layout import HEIGHT, WIDTH, Layout, Patch, backdrop
from render.rig import Rig, rotation_matrices
from render.shading import closed_first, materials, occluder
from talker.errors import TalkerError
from talker.motion import HEAD_NAMES, Motion

FIELD_OF_VIEW = np.radians(20.0)
"""Vertical angle of the camera: a portrait lens, which keeps a nose from growing."""

MARGIN = 1.08
"""Room around the neutral head, as a factor: an open jaw and a nod stay in the picture."""

ROOM = 0.7
"""Room around the part of a rig that moves, in heights of it. Hair, neck and shoulders of a bust stay in the picture;
of a whole body the head fills it."""

PIECE, PIECE_BYTES = 24, 48e6
"""Frames that are blended at once, and the bytes that they may take: fewer frames of a rig with many vertices. The
threads of the matrix product wait busily for some time after each, so a few large ones cost less than many small."""

REMEDIES = {
    "linux": "install the Debian packages libegl1 and libgl1-mesa-dri",
    "darwin": "run it on a Mac whose graphics driver offers OpenGL 4.1",
    "win32": "install the graphics driver of the machine",
}
"""What helps where there is no OpenGL, by sys.platform."""


def _opengl():
    """The module render.opengl and the process's context, or the sentence that says what to install."""
    try:
        from render import opengl
        from render.context import Context

        return opengl, Context.shared()
    except Exception as error:  # whatever a loader, EGL or a driver raises, the remedy is the same
        raise TalkerError(
            "No OpenGL for drawing pictures on this machine (PYOPENGL_PLATFORM="
            f"{os.environ.get('PYOPENGL_PLATFORM', 'unset')}); {REMEDIES.get(sys.platform, REMEDIES['linux'])}, "
            "or go without video."
        ) from error


class Renderer:
    """Draws the takes of one rig side by side. A context manager: it owns buffers in OpenGL.

    rig           : Rig
    takes         : heads in a picture
    width, height : pixels
    captions      : one line per take; "Take 1", "Take 2", ... unless given
    fine          : light every pixel and draw four for each one shown; False lights skin per vertex and smooths
                    edges afterwards, at a third of the cost. True on a GPU and False without, unless given
    transparent   : no background; pictures have a fourth channel, opacity

    Raises TalkerError when the machine has no OpenGL. render.views has renderers that compare takes otherwise.
    """

    SUPERSAMPLING = 2
    """Drawn pixels per shown pixel and axis of a fine picture."""

    SHEETS = 1
    """Pictures that are drawn side by side and then laid over each other."""

    def __init__(
        self,
        rig: Rig,
        takes: int = 1,
        width: int = WIDTH,
        height: int = HEIGHT,
        captions: Sequence[str] | None = None,
        fine: bool | None = None,
        transparent: bool = False,
    ) -> None:
        if takes < 1:
            raise TalkerError(f"{takes} takes cannot be drawn; ask for one or more.")
        self.rig, self.takes, self.transparent = rig, takes, transparent
        self._blend = Blend(rig)
        self._box = low, high = self._frame_box()
        self._center, self._size = (low + high) / 2, high - low
        self.layout = Layout(self.cells, width, height, self._size[0] / self._size[1])
        self._overlay = self._patches(captions or [f"Take {i + 1}" for i in range(takes)])
        self._projection, self._distance = self._camera()
        self._resting = np.eye(4, dtype=np.float32)
        self._resting[:3, 3] = -self._center - (0, 0, self._distance)
        opengl, self._context = _opengl()
        self.fine = not self._context.on_processor if fine is None else fine
        triangles, closed = closed_first(rig)
        behind = np.zeros((height, width, 4), np.uint8) if transparent else backdrop(width, height)
        self._painter = self._context.submit(
            opengl.HeadPainter,
            self._blend.vertices,
            self._blend.normals,
            self._blend.faces[triangles],
            closed,
            self._colors(rig.colors[self._blend.order, :3] / np.float32(255)),
            np.hstack([rig.head_weight[:, None], materials(rig)])[self._blend.order],
            np.tile(behind, (1, self.SHEETS, 1)),
            self.SUPERSAMPLING if self.fine else 1,
            not self.fine,
        ).result()
        scene = opengl.Scene(self._resting, self._projection, self._places(), *occluder(rig), self._is_cut())
        self._context.submit(self._painter.set_scene, scene).result()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Free the buffers; the context stays for the next renderer."""
        painter, self._painter = self._painter, None
        if painter is not None:
            self._context.submit(painter.delete).result()

    @property
    def cells(self) -> int:
        """Places for heads in a picture."""
        return self.takes

    def frame(self, coefficients: np.ndarray, head: np.ndarray) -> np.ndarray:
        """One picture of all takes.

        coefficients : (takes, 52), or as many as the rig has columns, head : (takes, 3) radians -> (height, width, 3) uint8, sRGB; (height, width, 4)
        with opacity where the background is transparent
        """
        coefficients, head = np.asarray(coefficients, np.float32), np.asarray(head, np.float32)
        if coefficients.shape != (self.takes, self.rig.columns) or head.shape != (self.takes, len(HEAD_NAMES)):
            raise TalkerError(
                f"A picture of {self.takes} takes needs coefficients ({self.takes}, {self.rig.columns}) and head "
                f"({self.takes}, {len(HEAD_NAMES)}), not {coefficients.shape} and {head.shape}."
            )
        painter = self._open()
        moved, turned = self._moved(coefficients[None], head[None])
        self._context.submit(self._draw, painter, 0, moved[0], turned[0])
        return self._finish(self._context.submit(painter.read, 0).result())

    def frames(self, motions: Sequence[Motion]) -> Iterator[np.ndarray]:
        """Pictures of motions played together, as frame gives them; shorter motions hold their last frame.

        The next pictures are blended and drawn in threads of their own while the caller uses the last one; a few
        are kept at most, however long the motions are.
        """
        if len(motions) != self.takes:
            raise TalkerError(f"This renderer draws {self.takes} takes, and {len(motions)} motions were given.")
        painter, drawn = self._open(), deque()
        pieces = self._pieces(motions)
        with ThreadPoolExecutor(1, thread_name_prefix="blend") as blender:
            ahead = blender.submit(next, pieces, None)
            canvas = 0
            while (piece := ahead.result()) is not None:
                ahead = blender.submit(next, pieces, None)
                for moved, turned in zip(*piece, strict=True):
                    self._context.submit(self._draw, painter, canvas, moved, turned)
                    # A picture is read after the next one was begun, which the rasteriser's threads then work on.
                    if drawn:
                        drawn[-1] = self._context.submit(painter.read, drawn[-1])
                    drawn.append(canvas)
                    canvas = (canvas + 1) % painter.CANVASES
                    if len(drawn) > 2:
                        yield self._finish(drawn.popleft().result())
            if drawn:
                drawn[-1] = self._context.submit(painter.read, drawn[-1])
            while drawn:
                yield self._finish(drawn.popleft().result())

    def _open(self):
        if self._painter is None:
            raise TalkerError("This renderer is closed; make a new one.")
        return self._painter

    def _pieces(self, motions: Sequence[Motion]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What _moved gives, for some frames at a time."""
        frames = max(len(motion.coefficients) for motion in motions)
        at_once = int(np.clip(PIECE_BYTES // (self.takes * self._blend.frame_bytes), 1, PIECE))
        for start in range(0, frames, at_once):
            rows = np.arange(start, min(start + at_once, frames))
            held = [np.minimum(rows, len(motion.coefficients) - 1) for motion in motions]
            coefficients = np.stack([motion.coefficients[row] for motion, row in zip(motions, held)], axis=1)
            head = np.stack([motion.head[row] for motion, row in zip(motions, held)], axis=1)
            yield self._moved(coefficients, head)

    def _moved(self, coefficients: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the heads of n frames get: coefficients (n, takes, 52), head (n, takes, 3) -> (n, heads, 2, M, 3) as
        HeadPainter.move takes it (or 3 with colours), and where they are turned, (n, heads, 4, 4)."""
        return self._blend(coefficients), self._turned(head)

    def _turned(self, head: np.ndarray) -> np.ndarray:
        """Where heads are before the camera: (..., 3) radians -> (..., 4, 4) float32."""
        turned = np.tile(self._resting, (*head.shape[:-1], 1, 1))
        turned[..., :3, :3] = rotation_matrices(head)
        turned[..., :3, 3] += self.rig.pivot - turned[..., :3, :3] @ self.rig.pivot
        return turned

    def _draw(self, painter, canvas: int, moved: np.ndarray, turned: np.ndarray) -> None:
        """Runs in the context's thread."""
        painter.move(moved)
        painter.draw(canvas, turned)

    def _finish(self, picture: np.ndarray) -> np.ndarray:
        if not self.fine:
            smooth_edges(picture)
        picture = self._composed(picture)
        for patch in self._overlay:
            patch.lay_over(picture)
        return straight(picture) if self.transparent else picture

    def _composed(self, picture: np.ndarray) -> np.ndarray:
        """The picture that is shown, from the SHEETS that were drawn."""
        return picture

    def _colors(self, colors: np.ndarray) -> np.ndarray:
        """Colours of each head, (heads, V, 3), from the rig's own, (V, 3), sRGB in [0, 1]."""
        return np.tile(colors, (self.takes, 1, 1))

    def _patches(self, captions: Sequence[str]) -> list[Patch]:
        """What lies over every picture."""
        return self.layout.overlay(captions, plates=self.transparent)

    def _places(self) -> np.ndarray:
        """From the camera's picture of a head to its place in what is drawn: (heads, 4), scale and shift in x, y."""
        whole, view = np.array([self.layout.width, self.layout.height]), np.array(self.layout.view)
        corners = np.array([self.layout.corner(cell) for cell in range(self.cells)])
        shift = (2 * corners + view) / whole - 1
        return np.hstack([np.broadcast_to(view / whole, shift.shape), shift]).astype(np.float32)

    def _frame_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the box that the camera shows: what shapes move of the rig, and ROOM around it where more is."""
        vertices = self.rig.vertices
        moving = vertices[self._blend.order[: self._blend.moving]]
        if len(moving):
            low, high = moving.min(axis=0), moving.max(axis=0)
            room = ROOM * (high[1] - low[1])
            near = ((vertices >= low - room) & (vertices <= high + room))[:, :2].all(axis=1)
            vertices = vertices[near]
        return vertices.min(axis=0), vertices.max(axis=0)

    def _is_cut(self) -> bool:
        """Whether heads end at their cells: those that go on beyond the camera's box, and those on sheets."""
        whole = np.array([self.rig.vertices.min(axis=0), self.rig.vertices.max(axis=0)])
        return self.SHEETS > 1 or bool((np.abs(self._box - whole) > 1e-6)[:, :2].any())

    def _camera(self) -> tuple[np.ndarray, float]:
        """Projection (4, 4) to a head's view, mirrored top to bottom, and the metres at which a head just fills it."""
        wide, high = self.layout.view
        aspect, focal = wide / high, 1 / np.tan(FIELD_OF_VIEW / 2)
        half = MARGIN * max(self._size[1], self._size[0] / aspect) / 2
        distance = float(half * focal + self._size[2] / 2)
        near, far = 0.4 * distance, 2.0 * distance
        projection = np.zeros((4, 4), np.float32)
        projection[0, 0], projection[1, 1] = focal / aspect, -focal
        projection[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
        projection[3, 2] = -1
        return projection, distance


def straight(picture: np.ndarray) -> np.ndarray:
    """Pictures (H, W, 4) uint8 with colours times opacity -> with colours as they are, which PNG and WebM hold."""
    high, wide = picture.shape[:2]
    flat = picture.reshape(high * wide, 4)
    partial = np.flatnonzero((flat[:, 3] > 0) & (flat[:, 3] < 255))
    colors = flat[partial].astype(np.float32)
    colors[:, :3] = np.minimum(colors[:, :3] * (255 / colors[:, 3:]), 255)
    flat[partial] = np.rint(colors)
    return picture
