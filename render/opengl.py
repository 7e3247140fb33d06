"""OpenGL: pyrender's off-screen context in a thread of its own, and the buffers that draw heads with it.

Importing this module picks the platform and loads OpenGL, so render.renderer imports it only when a picture
is wanted. Raises ImportError, OSError or AttributeError where a machine has no OpenGL.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
if not hasattr(np, "infty"):
    np.infty = np.inf  # pyrender 0.1.45 still reads the name that NumPy 2 dropped

import pyrender  # noqa: E402
from OpenGL import GL  # noqa: E402
from OpenGL.GL import shaders  # noqa: E402

from render.shading import FRAGMENT_SHADER, VERTEX_SHADER  # noqa: E402


class Context:
    """The one context of the process. An OpenGL context belongs to a thread, while handlers of a web page run in
    many: so it has its own thread, and all work for it is submitted there."""

    _lock = threading.Lock()
    _shared: Context | None = None

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="opengl")
        try:
            # Its size does not matter: heads are drawn into framebuffers of their own.
            self._offscreen = self.submit(pyrender.OffscreenRenderer, 16, 16).result()
        except BaseException:
            self._thread.shutdown()
            raise

    @classmethod
    def shared(cls) -> Context:
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    def submit(self, call: Callable, *arguments) -> Future:
        return self._thread.submit(call, *arguments)


class HeadPainter:
    """Draws copies of one mesh. Every method runs in the context's thread.

    faces         : (F, 3) triangles, of which the first `closed` are a surface that nobody sees from inside
    looks         : (V, 9) float32, sRGB colour and opacity, a row of render.shading.materials, the rig's head_weight
    heads         : number of copies
    width, height : pixels
    scale         : drawn pixels per shown pixel and axis
    background    : (height, 3) sRGB colours in [0, 1] from the top row to the bottom row
    """

    def __init__(
        self,
        faces: np.ndarray,
        closed: int,
        looks: np.ndarray,
        heads: int,
        width: int,
        height: int,
        scale: int,
        background: np.ndarray,
    ) -> None:
        self._size, self._scale = (width, height), scale
        self._large = (width * scale, height * scale)
        self._closed, self._indices = 3 * closed, faces.size
        self._buffers: list[int] = []
        self._framebuffers: list[int] = []
        self._renderbuffers: list[int] = []
        self._heads: list[int] = []
        self._moving: list[int] = []
        self._program = shaders.compileProgram(
            shaders.compileShader(VERTEX_SHADER, GL.GL_VERTEX_SHADER),
            shaders.compileShader(FRAGMENT_SHADER, GL.GL_FRAGMENT_SHADER),
            validate=False,  # validation wants a bound vertex array, and there is none yet
        )
        static = self._array(GL.GL_ARRAY_BUFFER, np.ascontiguousarray(looks, np.float32))
        triangles = self._array(GL.GL_ELEMENT_ARRAY_BUFFER, np.ascontiguousarray(faces, np.uint32))
        for _ in range(heads):
            self._heads.append(GL.glGenVertexArrays(1))
            GL.glBindVertexArray(self._heads[-1])
            # Positions, then normals.
            self._moving.append(self._array(GL.GL_ARRAY_BUFFER, np.zeros((2, len(looks), 3), np.float32)))
            _attribute(0, 3, 12, 0)
            _attribute(1, 3, 12, 12 * len(looks))
            GL.glBindBuffer(GL.GL_ARRAY_BUFFER, static)
            _attribute(2, 4, 36, 0)
            _attribute(3, 4, 36, 16)
            _attribute(4, 1, 36, 32)
            GL.glBindBuffer(GL.GL_ELEMENT_ARRAY_BUFFER, triangles)
        GL.glBindVertexArray(0)
        self._picture = self._framebuffer(self._size)
        self._canvas = self._framebuffer(self._large, depth=True)
        self._backdrop = self._framebuffer(self._large)
        GL.glEnable(GL.GL_SCISSOR_TEST)
        for row, color in enumerate(background):
            GL.glScissor(0, row * scale, self._large[0], scale)
            GL.glClearColor(*color, 1.0)
            GL.glClear(GL.GL_COLOR_BUFFER_BIT)
        GL.glDisable(GL.GL_SCISSOR_TEST)

    def move(self, head: int, vertices: np.ndarray, normals: np.ndarray) -> None:
        """Give a head its positions and normals, both (V, 3) float32."""
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._moving[head])
        GL.glBufferSubData(GL.GL_ARRAY_BUFFER, 0, vertices.nbytes, np.ascontiguousarray(vertices))
        GL.glBufferSubData(GL.GL_ARRAY_BUFFER, vertices.nbytes, normals.nbytes, np.ascontiguousarray(normals))

    def draw(
        self,
        resting: np.ndarray,
        turned: Sequence[np.ndarray],
        projection: np.ndarray,
        corners: Sequence[tuple[int, int]],
        view: tuple[int, int],
    ) -> np.ndarray:
        """The picture, (height, width, 3) uint8.

        resting    : (4, 4) float32, from the mesh's space to the camera's where head_weight is 0
        turned     : one (4, 4) float32 per head, the same where head_weight is 1
        projection : (4, 4) float32, mirrored top to bottom: OpenGL reads the bottom row first, pictures the top row
        corners    : top left pixel (x, y) of each head's view; view : its size in pixels
        """
        self._copy(self._backdrop, self._canvas, self._large, self._large)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._canvas)
        GL.glClear(GL.GL_DEPTH_BUFFER_BIT)
        GL.glEnable(GL.GL_DEPTH_TEST)
        GL.glFrontFace(GL.GL_CW)  # mirroring top to bottom turns triangles round
        GL.glUseProgram(self._program)
        self._uniform("projection", projection)
        self._uniform("resting", resting)
        for array, model, (x, y) in zip(self._heads, turned, corners, strict=True):
            GL.glViewport(*(self._scale * pixels for pixels in (x, y, *view)))
            self._uniform("turned", model)
            GL.glBindVertexArray(array)
            GL.glEnable(GL.GL_CULL_FACE)  # the far side of skin and hair is a quarter of the work
            GL.glDrawElements(GL.GL_TRIANGLES, self._closed, GL.GL_UNSIGNED_INT, None)
            GL.glDisable(GL.GL_CULL_FACE)
            rest = ctypes.c_void_p(4 * self._closed)
            GL.glDrawElements(GL.GL_TRIANGLES, self._indices - self._closed, GL.GL_UNSIGNED_INT, rest)
        GL.glBindVertexArray(0)
        # Halving with a linear filter is the exact mean of each square of drawn pixels.
        self._copy(self._canvas, self._picture, self._large, self._size)
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._picture)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        picture = np.empty((self._size[1], self._size[0], 3), np.uint8)
        GL.glReadPixels(0, 0, *self._size, GL.GL_RGB, GL.GL_UNSIGNED_BYTE, picture)
        return picture

    def delete(self) -> None:
        """Free everything."""
        for free, names in (
            (GL.glDeleteVertexArrays, self._heads),
            (GL.glDeleteBuffers, self._buffers),
            (GL.glDeleteFramebuffers, self._framebuffers),
            (GL.glDeleteRenderbuffers, self._renderbuffers),
        ):
            free(len(names), np.array(names, np.uint32))
        GL.glDeleteProgram(self._program)

    def _array(self, target: int, data: np.ndarray) -> int:
        name = GL.glGenBuffers(1)
        self._buffers.append(name)
        GL.glBindBuffer(target, name)
        GL.glBufferData(target, data.nbytes, data, GL.GL_DYNAMIC_DRAW)
        return name

    def _framebuffer(self, size: tuple[int, int], depth: bool = False) -> int:
        name = GL.glGenFramebuffers(1)
        self._framebuffers.append(name)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, name)
        attachments = [(GL.GL_RGBA8, GL.GL_COLOR_ATTACHMENT0)]
        if depth:
            attachments.append((GL.GL_DEPTH_COMPONENT24, GL.GL_DEPTH_ATTACHMENT))
        for pixels, attachment in attachments:
            store = GL.glGenRenderbuffers(1)
            self._renderbuffers.append(store)
            GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, store)
            GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, pixels, *size)
            GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, attachment, GL.GL_RENDERBUFFER, store)
        return name

    def _uniform(self, name: str, matrix: np.ndarray) -> None:
        GL.glUniformMatrix4fv(GL.glGetUniformLocation(self._program, name), 1, True, matrix)

    @staticmethod
    def _copy(source: int, target: int, size: tuple[int, int], to: tuple[int, int]) -> None:
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, source)
        GL.glBindFramebuffer(GL.GL_DRAW_FRAMEBUFFER, target)
        kind = GL.GL_NEAREST if size == to else GL.GL_LINEAR
        GL.glBlitFramebuffer(0, 0, *size, 0, 0, *to, GL.GL_COLOR_BUFFER_BIT, kind)


def _attribute(location: int, size: int, stride: int, offset: int) -> None:
    """Read `size` floats per vertex from the bound array buffer, starting at byte `offset`."""
    GL.glEnableVertexAttribArray(location)
    GL.glVertexAttribPointer(location, size, GL.GL_FLOAT, False, stride, ctypes.c_void_p(offset))
