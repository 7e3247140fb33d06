"""Pictures a second: this project's renderer against pyrender as its manual shows it.

    python -m benchmarks.render [--frames 20] [--takes 4]

Prints JSON. Both draw the same poses of the default head at 1280 x 720; "talker_encoded" adds H.264.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np

from render.layout import HEIGHT, WIDTH
from render.renderer import FIELD_OF_VIEW, Renderer
from render.rig import Rig, default_rig
from render.video import encode
from talker.audio import SAMPLE_RATE
from talker.motion import ARKIT_INDEX, FPS, Motion


def example_motions(takes: int, frames: int) -> list[Motion]:
    """Takes that talk, blink and nod, the same in every run."""
    t = np.arange(frames) / FPS
    motions = []
    for take in range(takes):
        coefficients = np.zeros((frames, len(ARKIT_INDEX)), np.float32)
        coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.3 + 0.3 * np.sin(20 * t + take)
        coefficients[:, ARKIT_INDEX["mouthFunnel"]] = 0.3 + 0.3 * np.sin(9 * t + take)
        coefficients[:, ARKIT_INDEX["browInnerUp"]] = 0.5 + 0.5 * np.sin(3 * t + take)
        head = 0.15 * np.stack([np.sin(2 * t + take), np.sin(3 * t + take), np.sin(t + take)], axis=1)
        motions.append(Motion(coefficients, head.astype(np.float32)))
    return motions


def pyrender_frames(rig: Rig, motions: list[Motion]) -> Iterator[np.ndarray]:
    """A new pyrender mesh for every head of every frame, one directional light, pyrender's own shading."""
    from render import opengl  # sets the platform and what pyrender misses in NumPy 2

    pyrender = opengl.pyrender
    import trimesh

    renderer = pyrender.OffscreenRenderer(WIDTH, HEIGHT)
    wide, high = np.ptp(rig.vertices[:, 0]), np.ptp(rig.vertices[:, 1])
    step = 1.25 * wide
    half = max(high, len(motions) * step * HEIGHT / WIDTH) / 2
    view = np.eye(4)
    view[1, 3] = rig.vertices[:, 1].mean()
    view[2, 3] = half / np.tan(FIELD_OF_VIEW / 2)
    for frame in range(len(motions[0].coefficients)):
        scene = pyrender.Scene(ambient_light=[0.3, 0.3, 0.3])
        for take, motion in enumerate(motions):
            vertices = rig.pose(motion.coefficients[frame]) + ((take - (len(motions) - 1) / 2) * step, 0, 0)
            mesh = trimesh.Trimesh(vertices, rig.faces, vertex_colors=rig.colors, process=False)
            scene.add(pyrender.Mesh.from_trimesh(mesh, smooth=True))
        scene.add(pyrender.PerspectiveCamera(yfov=FIELD_OF_VIEW), pose=view)
        scene.add(pyrender.DirectionalLight(intensity=3.0), pose=view)
        yield renderer.render(scene)[0]


def timed(frames: Iterator[np.ndarray], use: Callable[[Iterator[np.ndarray]], None]) -> dict[str, float]:
    """Pictures a second, and processor seconds (of all cores) a picture, which other programs disturb less.

    The first picture, which compiles shaders, is left out; `use` consumes the others.
    """
    next(frames)
    taken = count()
    started, spent = time.perf_counter(), time.process_time()
    use(frame for frame, _ in zip(frames, taken, strict=False))
    elapsed, worked, pictures = time.perf_counter() - started, time.process_time() - spent, next(taken)
    return {
        "frames_per_second": round(pictures / elapsed, 2),
        "processor_seconds_per_frame": round(worked / pictures, 4),
    }


def drop(frames: Iterator[np.ndarray]) -> None:
    """Take all pictures and keep none."""
    deque(frames, maxlen=0)


def measure(takes: int, frames: int) -> dict:
    """Pictures a second of this renderer, of it with encoding, and of plain pyrender."""
    rig, motions = default_rig(), example_motions(takes, frames + 1)
    silence = np.zeros(round(frames / FPS * SAMPLE_RATE), np.float32)
    with Renderer(rig, takes) as renderer, tempfile.TemporaryDirectory() as folder:
        ours = timed(renderer.frames(motions), drop)
        path = Path(folder) / "takes.mp4"
        encoded = timed(renderer.frames(motions), lambda pictures: encode(pictures, silence, SAMPLE_RATE, FPS, path))
    return {
        "takes": takes,
        "frames": frames,
        "talker": ours,
        "talker_encoded": encoded,
        "plain_pyrender": timed(pyrender_frames(rig, motions), drop),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20, help="pictures to time (default 20)")
    parser.add_argument("--takes", type=int, default=4, help="heads in a picture (default 4)")
    args = parser.parse_args()
    print(json.dumps(measure(args.takes, max(1, args.frames)), indent=2))


if __name__ == "__main__":
    main()
