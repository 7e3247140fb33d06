"""Context: the best way to draw that a machine has, chosen by itself, or one sentence."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import render.renderer
from render import context
from render.context import Context, CoreOpenGL, open_platform, platforms
from render.renderer import Renderer
from talker.errors import TalkerError


class Device:
    """A platform that works, or says why not."""

    def __init__(self, fails: Exception | None = None):
        self.fails, self.current = fails, False

    def init_context(self):
        if self.fails:
            raise self.fails

    def make_current(self):
        self.current = True


def test_the_first_device_that_works_draws(monkeypatch):
    """A GPU that may not be opened, one that goes wrong later, then the rasteriser on the processor."""
    tried = [Device(PermissionError("/dev/dri/card0")), Device(AssertionError()), Device(), Device()]
    monkeypatch.setattr(context, "platforms", lambda: iter([lambda device=device: device for device in tried]))
    monkeypatch.setattr(context, "GL", SimpleNamespace(GL_RENDERER=0, glGetString=lambda name: b"llvmpipe (LLVM 15)"))
    platform, rasteriser = open_platform()
    assert platform is tried[2] and rasteriser == "llvmpipe (LLVM 15)"
    assert [device.current for device in tried] == [False, False, True, False]


def test_none_that_works_gives_all_reasons(monkeypatch):
    tried = [Device(PermissionError("card0")), Device(OSError("no driver"))]
    monkeypatch.setattr(context, "platforms", lambda: iter([lambda device=device: device for device in tried]))
    with pytest.raises(OSError, match="card0; OSError: no driver"):
        open_platform()
    monkeypatch.setattr(context, "platforms", lambda: iter([]))
    with pytest.raises(OSError, match="no device"):
        open_platform()


@pytest.mark.parametrize(
    ("system", "remedy"),
    [("linux", "libgl1-mesa-dri"), ("darwin", "OpenGL 4.1"), ("win32", "graphics driver"), ("freebsd14", "libegl1")],
)
def test_where_none_works_one_sentence_names_the_remedy(ball_rig, monkeypatch, system, remedy):
    monkeypatch.setattr(Context, "_shared", None)
    monkeypatch.setattr(context, "platforms", lambda: iter([lambda: Device(OSError("broken\ndriver"))]))
    monkeypatch.setattr(render.renderer.sys, "platform", system)
    with pytest.raises(TalkerError, match=remedy) as caught:
        Renderer(ball_rig)
    assert "\n" not in str(caught.value) and str(caught.value).endswith("or go without video.")
    assert Context._shared is None, "the next picture tries again"


def test_every_system_has_its_platform(monkeypatch):
    """EGL's devices on Linux, Core OpenGL on a Mac, a hidden window on Windows; the environment overrules."""
    from pyrender.platforms import egl

    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    monkeypatch.setattr(egl, "query_devices", lambda: ["gpu", "processor"])
    monkeypatch.delenv("EGL_DEVICE_ID", raising=False)
    assert [make()._egl_device for make in platforms()] == ["gpu", "processor"]
    monkeypatch.setenv("EGL_DEVICE_ID", "1")
    assert [make()._egl_device for make in platforms()] == ["processor"]

    monkeypatch.delenv("PYOPENGL_PLATFORM")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert list(platforms()) == [CoreOpenGL]
    monkeypatch.setattr(sys, "platform", "win32")
    (make,) = platforms()
    assert type(make()).__name__ == "PygletPlatform"


def test_core_opengl_makes_its_context_current_and_names_errors(monkeypatch):
    calls = []

    def library(fails: str | None):
        def answer(name):
            return lambda *arguments: calls.append(name) or int(name == fails)

        names = ("CGLChoosePixelFormat", "CGLCreateContext", "CGLSetCurrentContext")
        return SimpleNamespace(**{name: answer(name) for name in names})

    monkeypatch.setattr(context.ctypes, "CDLL", lambda path: library(None))
    CoreOpenGL().init_context()
    assert calls == ["CGLChoosePixelFormat", "CGLCreateContext", "CGLSetCurrentContext"]
    monkeypatch.setattr(context.ctypes, "CDLL", lambda path: library("CGLCreateContext"))
    with pytest.raises(OSError, match="Core OpenGL error 1"):
        CoreOpenGL().init_context()
    assert calls[3:] == ["CGLChoosePixelFormat", "CGLCreateContext"]


@pytest.mark.parametrize(
    ("name", "software"),
    [("llvmpipe (LLVM 15.0.6, 256 bits)", True), ("NVIDIA H200/PCIe/SSE2", False), ("GDI Generic software", True),
     ("Apple M2", False), ("Mesa Intel(R) UHD Graphics 620 (KBL GT2)", False)],
)  # fmt: skip
def test_a_gpu_draws_finely_and_the_processor_leanly(ball_rig, monkeypatch, name, software):
    shared = Context.shared()
    monkeypatch.setattr(shared, "rasteriser", name)
    assert shared.on_processor is software
    with Renderer(ball_rig, width=64, height=64) as renderer:
        assert renderer.fine is not software
        assert renderer.frame(np.zeros((1, 52)), np.zeros((1, 3))).shape == (64, 64, 3)


def test_nothing_loads_opengl_before_a_picture_is_wanted():
    code = "import sys, render.views; print([m for m in sys.modules if m.startswith(('OpenGL', 'pyrender'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
