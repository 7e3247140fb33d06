"""Pictures a second with encoding: this project's renderer against the usual way, and the memory that it takes.

    python -m benchmarks.render [--frames 300] [--takes 4] [--usual-frames 40] [--no-memory]

Prints JSON. Both draw the same poses of the default head and write an MP4 of them with the same encoder. The usual
way is what pyrender's manual leads to: for every take and frame a new mesh in a new scene, rendered in pyrender's
own shading, and the takes' pictures pasted side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from render.renderer import FIELD_OF_VIEW, Renderer
from render.rig import Rig, default_rig
from render.video import encode
from talker.audio import SAMPLE_RATE
from talker.motion import ARKIT_INDEX, FPS, Motion

SIZES = ((1280, 720), (960, 540))
LENGTHS = (10, 60)
"""Seconds of video whose peak memory is compared."""


def example_motions(takes: int, frames: int) -> list[Motion]:
    """Takes that talk, blink and nod, the same in every run."""
    t = np.arange(frames) / FPS
    motions = []
    for take in range(takes):
        coefficients = np.zeros((frames, len(ARKIT_INDEX)), np.float32)
        coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.3 + 0.3 * np.sin(20 * t + take)
        coefficients[:, ARKIT_INDEX["mouthFunnel"]] = 0.3 + 0.3 * np.sin(9 * t + take)
        coefficients[:, ARKIT_INDEX["browInnerUp"]] = 0.5 + 0.5 * np.sin(3 * t + take)
        for side in ("Left", "Right"):
            coefficients[:, ARKIT_INDEX[f"eyeBlink{side}"]] = np.clip(12 * np.sin(2 * t + take) - 11, 0, 1)
        head = 0.15 * np.stack([np.sin(2 * t + take), np.sin(3 * t + take), np.sin(t + take)], axis=1)
        motions.append(Motion(coefficients, head.astype(np.float32)))
    return motions


def usual_frames(rig: Rig, motions: list[Motion], width: int, height: int) -> Iterator[np.ndarray]:
    """A new pyrender mesh for every head of every frame, one directional light, pyrender's own shading."""
    from render import context  # noqa: F401  sets the platform and what pyrender misses in NumPy 2

    import pyrender  # isort: skip
    import trimesh

    renderer = pyrender.OffscreenRenderer(width // len(motions), height)
    view = np.eye(4)
    view[:2, 3] = (rig.vertices.min(axis=0) + rig.vertices.max(axis=0))[:2] / 2
    half = max(np.ptp(rig.vertices[:, 1]), np.ptp(rig.vertices[:, 0]) * height * len(motions) / width) / 2
    view[2, 3] = half / np.tan(FIELD_OF_VIEW / 2) + rig.vertices[:, 2].max()
    for frame in range(len(motions[0].coefficients)):
        picture = np.zeros((height, width, 3), np.uint8)
        for take, motion in enumerate(motions):
            scene = pyrender.Scene(ambient_light=[0.3, 0.3, 0.3])
            vertices = rig.turn(rig.pose(motion.coefficients[frame]), motion.head[frame])
            mesh = trimesh.Trimesh(vertices, rig.faces, vertex_colors=rig.colors, process=False)
            scene.add(pyrender.Mesh.from_trimesh(mesh, smooth=True))
            scene.add(pyrender.PerspectiveCamera(yfov=FIELD_OF_VIEW), pose=view)
            scene.add(pyrender.DirectionalLight(intensity=3.0), pose=view)
            wide = width // len(motions)
            picture[:, take * wide : (take + 1) * wide] = renderer.render(scene)[0]
        yield picture


def timed(frames: Iterator[np.ndarray]) -> dict[str, float]:
    """Pictures a second with encoding, and processor seconds (of all cores) a picture, which other programs
    disturb less. The first picture, which compiles shaders, is left out."""
    next(frames)
    drawn = count()
    silence = np.zeros(SAMPLE_RATE, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        started, spent = time.perf_counter(), time.process_time()
        encode((frame for frame, _ in zip(frames, drawn, strict=False)), silence, SAMPLE_RATE, FPS, Path(folder) / "a.mp4")
        elapsed, worked, pictures = time.perf_counter() - started, time.process_time() - spent, next(drawn)
    return {
        "frames": pictures,
        "frames_per_second": round(pictures / elapsed, 2),
        "processor_seconds_per_frame": round(worked / pictures, 4),
    }


def ours(takes: int, frames: int, width: int, height: int) -> dict[str, float]:
    """This project's renderer, with encoding."""
    with Renderer(default_rig(), takes, width, height) as renderer:
        return timed(renderer.frames(example_motions(takes, frames + 1)))


def peak_megabytes(takes: int, seconds: int) -> float:
    """Most memory that a process of its own holds while it draws and encodes so many seconds at 1280 x 720."""
    command = [sys.executable, "-m", "benchmarks.render", "--takes", str(takes), "--child", str(seconds)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def measure(takes: int, frames: int, usual: int, memory: bool) -> dict:
    """Everything that this script prints."""
    results: dict = {"cores": len(os.sched_getaffinity(0)), "takes": takes}
    for width, height in SIZES:
        fast = ours(takes, frames, width, height)
        slow = timed(usual_frames(default_rig(), example_motions(takes, usual + 1), width, height))
        ratio = fast["frames_per_second"] / slow["frames_per_second"]
        results[f"{width}x{height}"] = {"talker": fast, "usual": slow, "times_faster": round(ratio, 2)}
    if memory:
        results["peak_megabytes"] = {f"{seconds} s": peak_megabytes(takes, seconds) for seconds in LENGTHS}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300, help="pictures to time (default 300)")
    parser.add_argument("--takes", type=int, default=4, help="heads in a picture (default 4)")
    parser.add_argument("--usual-frames", type=int, default=40, help="pictures to time the usual way (default 40)")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory of 10 and 60 s out")
    parser.add_argument("--child", type=int, metavar="SECONDS", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        ours(args.takes, round(args.child * FPS), *SIZES[0])
        print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1))  # kilobytes on Linux
        return
    print(json.dumps(measure(args.takes, args.frames, args.usual_frames, not args.no_memory), indent=2))


if __name__ == "__main__":
    main()
