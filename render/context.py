"""Context: the one OpenGL context of the process, off-screen, in a thread of its own.

Where it comes from is chosen by itself: on Linux from EGL, which needs no screen, on the first device that works, a
GPU before Mesa's rasteriser on the processor; on macOS from Core OpenGL, on Windows from a hidden window. The
environment variables PYOPENGL_PLATFORM (egl, osmesa) and EGL_DEVICE_ID (0, 1, ...) overrule that.

Importing this module loads OpenGL, so render.renderer imports it only when a picture is wanted. Raises ImportError,
OSError or AttributeError where a machine has no OpenGL.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

if sys.platform.startswith("linux"):
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")  # PyOpenGL reads it once, when it is imported
if not hasattr(np, "infty"):
    np.infty = np.inf  # pyrender 0.1.45 still reads the name that NumPy 2 dropped

from OpenGL import GL  # noqa: E402

SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "swiftshader", "basic render")
"""What the names of rasterisers on the processor contain."""


class CoreOpenGL:
    """A context of macOS without a window: windows may only be made in a program's first thread, this anywhere."""

    ATTRIBUTES = (99, 0x4100, 8, 24, 12, 24, 96, 0)
    """kCGLPFAOpenGLProfile: 4.1 core; kCGLPFAColorSize: 24; kCGLPFADepthSize: 24; kCGLPFAAllowOfflineRenderers."""

    def init_context(self) -> None:
        library = ctypes.CDLL("/System/Library/Frameworks/OpenGL.framework/OpenGL")
        pixel_format, context, count = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
        attributes = (ctypes.c_int * len(self.ATTRIBUTES))(*self.ATTRIBUTES)
        for call in (
            lambda: library.CGLChoosePixelFormat(attributes, ctypes.byref(pixel_format), ctypes.byref(count)),
            lambda: library.CGLCreateContext(pixel_format, None, ctypes.byref(context)),
            lambda: library.CGLSetCurrentContext(context),
        ):
            error = call()
            if error:
                raise OSError(f"Core OpenGL error {error}")

    def make_current(self) -> None:
        """It is since init_context."""


def platforms() -> Iterator[Callable]:
    """What makes a context on this machine, the most wanted first: functions without arguments, which give an object
    with init_context and make_current."""
    wanted = os.environ.get("PYOPENGL_PLATFORM")
    if wanted == "egl":
        from pyrender.platforms import egl

        number = os.environ.get("EGL_DEVICE_ID")
        devices = egl.query_devices() if number is None else [egl.get_device_by_index(int(number))]
        for device in devices:
            yield lambda device=device: egl.EGLPlatform(16, 16, device=device)
    elif wanted == "osmesa":
        from pyrender.platforms.osmesa import OSMesaPlatform

        yield lambda: OSMesaPlatform(16, 16)
    elif sys.platform == "darwin":
        yield CoreOpenGL
    else:
        from pyrender.platforms.pyglet_platform import PygletPlatform

        yield lambda: PygletPlatform(16, 16)


def open_platform() -> tuple[object, str]:
    """The first platform of this machine whose context draws, which is current in this thread from then on, and its
    rasteriser in OpenGL's words. Raises OSError with the reasons where none does."""
    reasons = []
    for make in platforms():
        try:
            platform = make()
            platform.init_context()
            platform.make_current()
            name = GL.glGetString(GL.GL_RENDERER)
            if name:
                return platform, name.decode(errors="replace")
            reasons.append("no rasteriser")
        except Exception as error:  # loaders, EGL and drivers raise what they like; the next device may work
            reasons.append(f"{type(error).__name__}: {error}")
    raise OSError("; ".join(reasons) or "no device")


class Context:
    """An OpenGL context belongs to a thread, while handlers of a web page run in many: so the one of this process has
    its own thread, and all work for it is submitted there.

    rasteriser : what draws, in OpenGL's words ("llvmpipe (LLVM 15.0.6, 256 bits)")
    """

    _lock = threading.Lock()
    _shared: Context | None = None

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="opengl")
        try:
            # Its own size does not matter: heads are drawn into framebuffers.
            self._platform, self.rasteriser = self.submit(open_platform).result()
        except BaseException:
            self._thread.shutdown()
            raise

    @classmethod
    def shared(cls) -> Context:
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    @property
    def on_processor(self) -> bool:
        """Whether pictures are drawn by the processor, where every pixel costs."""
        return any(name in self.rasteriser.lower() for name in SOFTWARE)

    def submit(self, call: Callable, *arguments) -> Future:
        return self._thread.submit(call, *arguments)
