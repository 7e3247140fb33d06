"""OpenGL: the buffers and programs that draw heads. Everything here runs in the thread of render.context."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from render.context import GL  # which picks the platform before OpenGL is loaded
from render.shaders import HEADS_AT_ONCE, PIXEL_LIT, VERTEX_LIT

from OpenGL.GL import shaders  # isort: skip


@dataclass(frozen=True)
class Scene:
    """What stays the same from picture to picture.

    resting       : (4, 4) float32, from the mesh's space to the camera's where head_weight is 0
    projection    : (4, 4) float32, mirrored top to bottom: OpenGL reads the bottom row first, pictures the top row
    cells         : (heads, 4) float32, scale in x and y, then shift, from the projection to all that is drawn
    center, radii : (3,) float32, of render.shading.occluder
    cut           : whether heads end at the borders of their cells
    """

    resting: np.ndarray
    projection: np.ndarray
    cells: np.ndarray
    center: np.ndarray
    radii: np.ndarray
    cut: bool


class HeadPainter:
    """Draws copies of one mesh. Every method runs in the context's thread.

    vertices, normals : (V, 3) float32, which every head has until it is moved
    faces             : (F, 3) triangles, of which the first `closed` are a surface that nobody sees from inside
    colors            : (heads, V, 3) float32 in [0, 1], sRGB, of each of the copies
    looks             : (V, 5) float32, the rig's head_weight, a row of render.shading.materials
    backdrop          : (height, width, 4) uint8, what is behind the heads, sRGB times opacity and opacity
    scale             : drawn pixels per shown pixel and axis
    lean              : light closed surfaces per vertex

    A picture is drawn into one of two canvases, so that one can be read while the other is being drawn.
    """

    CANVASES = 2

    def __init__(
        self,
        vertices: np.ndarray,
        normals: np.ndarray,
        faces: np.ndarray,
        closed: int,
        colors: np.ndarray,
        looks: np.ndarray,
        backdrop: np.ndarray,
        scale: int,
        lean: bool,
    ) -> None:
        self._size = backdrop.shape[1::-1]
        self._large = (self._size[0] * scale, self._size[1] * scale)
        heads, self._vertices = colors.shape[:2]
        self._heads, self._channels = heads, 3 if backdrop[..., 3].all() else 4
        self._buffers: list[int] = []
        self._framebuffers: list[int] = []
        self._renderbuffers: list[int] = []
        self._programs = [_program(VERTEX_LIT if lean else PIXEL_LIT), _program(PIXEL_LIT)]
        self._triangles = [(0, closed), (closed, len(faces) - closed)]
        self._array = GL.glGenVertexArrays(1)
        GL.glBindVertexArray(self._array)
        # All heads stand one after the other in each buffer, so that one call draws them.
        self._moving = [self._buffer(GL.GL_ARRAY_BUFFER, np.tile(data, (heads, 1))) for data in (vertices, normals)]
        self._moving.append(self._buffer(GL.GL_ARRAY_BUFFER, np.ascontiguousarray(colors, np.float32)))
        for location, buffer in enumerate(self._moving):
            GL.glBindBuffer(GL.GL_ARRAY_BUFFER, buffer)
            _attribute(location, 3, 12, 0)
        self._buffer(GL.GL_ARRAY_BUFFER, np.tile(looks, (heads, 1)))
        _attribute(3, 1, 20, 0)
        _attribute(4, 4, 20, 4)
        self._buffer(GL.GL_ELEMENT_ARRAY_BUFFER, np.ascontiguousarray(faces, np.uint32))
        GL.glBindVertexArray(0)
        self._canvases = [self._framebuffer(self._large, depth=True) for _ in range(self.CANVASES)]
        self._picture = self._framebuffer(self._size)
        self._backdrop = self._framebuffer(self._size)
        self._paper(backdrop)

    def move(self, moved: np.ndarray) -> None:
        """Give the heads what changes: (heads, 2 or 3, M, 3) float32, positions, normals and perhaps colours of their
        first M vertices."""
        for head, arrays in enumerate(np.ascontiguousarray(moved, np.float32)):
            for buffer, array in zip(self._moving, arrays, strict=False):
                GL.glBindBuffer(GL.GL_ARRAY_BUFFER, buffer)
                GL.glBufferSubData(GL.GL_ARRAY_BUFFER, 12 * self._vertices * head, array.nbytes, array)

    def set_scene(self, scene: Scene) -> None:
        """Set what stays the same from picture to picture."""
        self._cells, self._cut = np.asarray(scene.cells, np.float32), scene.cut
        for program in self._programs:
            GL.glUseProgram(program)
            for name, matrix in (("projection", scene.projection), ("resting", scene.resting)):
                GL.glUniformMatrix4fv(GL.glGetUniformLocation(program, name), 1, True, matrix)
            for name, vector in (("center", scene.center), ("inverse_radii", 1 / scene.radii)):
                GL.glUniform3fv(GL.glGetUniformLocation(program, name), 1, np.asarray(vector, np.float32))
            GL.glUniform1i(GL.glGetUniformLocation(program, "vertices"), self._vertices)

    def draw(self, canvas: int, turned: np.ndarray) -> None:
        """Begin a picture on one of the canvases; it may not be finished when this returns.

        turned : (heads, 4, 4) float32, from the mesh's space to the camera's where head_weight is 1
        """
        self._copy(self._backdrop, self._canvases[canvas], self._size, self._large)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._canvases[canvas])
        GL.glViewport(0, 0, *self._large)
        GL.glClear(GL.GL_DEPTH_BUFFER_BIT)
        GL.glEnable(GL.GL_DEPTH_TEST)
        GL.glFrontFace(GL.GL_CW)  # mirroring top to bottom turns triangles round
        for plane in range(4):
            (GL.glEnable if self._cut else GL.glDisable)(GL.GL_CLIP_DISTANCE0 + plane)
        GL.glBindVertexArray(self._array)
        placed = np.concatenate([turned[:, :3], self._cells[:, None]], axis=1).astype(np.float32)
        for first in range(0, self._heads, HEADS_AT_ONCE):
            group = placed[first : first + HEADS_AT_ONCE]
            for program, triangles, closed in zip(self._programs, self._triangles, (True, False), strict=True):
                # The far side of skin and hair is a quarter of the work.
                (GL.glEnable if closed else GL.glDisable)(GL.GL_CULL_FACE)
                GL.glUseProgram(program)
                GL.glUniform1i(GL.glGetUniformLocation(program, "first"), first)
                GL.glUniform4fv(GL.glGetUniformLocation(program, "heads"), 4 * len(group), group)
                self._draw_heads(first, len(group), *triangles)
        GL.glBindVertexArray(0)
        GL.glFlush()

    def read(self, canvas: int) -> np.ndarray:
        """The picture on a canvas, (height, width, 3) uint8, once it is finished; (height, width, 4) where the backdrop
        is transparent, colours times opacity and opacity."""
        source = self._canvases[canvas]
        if self._large != self._size:
            # Halving with a linear filter is the exact mean of each square of drawn pixels.
            self._copy(source, self._picture, self._large, self._size)
            source = self._picture
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, source)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        picture = np.empty((self._size[1], self._size[0], self._channels), np.uint8)
        kind = GL.GL_RGB if self._channels == 3 else GL.GL_RGBA
        GL.glReadPixels(0, 0, *self._size, kind, GL.GL_UNSIGNED_BYTE, picture)
        return picture

    def delete(self) -> None:
        """Free everything."""
        for free, names in (
            (GL.glDeleteVertexArrays, [self._array]),
            (GL.glDeleteBuffers, self._buffers),
            (GL.glDeleteFramebuffers, self._framebuffers),
            (GL.glDeleteRenderbuffers, self._renderbuffers),
        ):
            free(len(names), np.array(names, np.uint32))
        for program in self._programs:
            GL.glDeleteProgram(program)

    def _draw_heads(self, first: int, heads: int, triangle: int, triangles: int) -> None:
        """One call for all heads: the same indices, each time from another vertex on."""
        if triangles:
            GL.glMultiDrawElementsBaseVertex(
                GL.GL_TRIANGLES,
                np.full(heads, 3 * triangles, np.int32),
                GL.GL_UNSIGNED_INT,
                (ctypes.c_void_p * heads)(*[12 * triangle] * heads),
                heads,
                np.arange(first, first + heads, dtype=np.int32) * self._vertices,
            )

    def _paper(self, backdrop: np.ndarray) -> None:
        """Put the backdrop into its framebuffer, by way of a texture."""
        texture, carrier = GL.glGenTextures(1), GL.glGenFramebuffers(1)
        GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
        GL.glTexImage2D(
            GL.GL_TEXTURE_2D, 0, GL.GL_RGBA8, *self._size, 0, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE,
            np.ascontiguousarray(backdrop),
        )  # fmt: skip
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, carrier)
        GL.glFramebufferTexture2D(GL.GL_FRAMEBUFFER, GL.GL_COLOR_ATTACHMENT0, GL.GL_TEXTURE_2D, texture, 0)
        self._copy(carrier, self._backdrop, self._size, self._size)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, 0)
        GL.glBindTexture(GL.GL_TEXTURE_2D, 0)
        GL.glDeleteFramebuffers(1, [carrier])
        GL.glDeleteTextures([texture])

    def _buffer(self, target: int, data: np.ndarray) -> int:
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

    @staticmethod
    def _copy(source: int, target: int, size: tuple[int, int], to: tuple[int, int]) -> None:
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, source)
        GL.glBindFramebuffer(GL.GL_DRAW_FRAMEBUFFER, target)
        kind = GL.GL_NEAREST if size == to else GL.GL_LINEAR
        GL.glBlitFramebuffer(0, 0, *size, 0, 0, *to, GL.GL_COLOR_BUFFER_BIT, kind)


def _program(sources: tuple[str, str]) -> int:
    vertex, fragment = sources
    return shaders.compileProgram(
        shaders.compileShader(vertex, GL.GL_VERTEX_SHADER),
        shaders.compileShader(fragment, GL.GL_FRAGMENT_SHADER),
        validate=False,  # validation wants a bound vertex array, and there is none yet
    )


def _attribute(location: int, size: int, stride: int, offset: int) -> None:
    """Read `size` floats per vertex from the bound array buffer, starting at byte `offset`."""
    GL.glEnableVertexAttribArray(location)
    GL.glVertexAttribPointer(location, size, GL.GL_FLOAT, False, stride, ctypes.c_void_p(offset))
