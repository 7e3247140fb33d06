"""Figure 6: three inferences of one utterance at one frame; speech decides the lips, and the brows differ."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from render.renderer import Renderer
from render.rigs.load import find_rig
from talker.atomic import whole_file
from talker.motion import ARKIT_NAMES, BROW_REGION, LIP_REGION
from talker.takes import Takes
from training.beat import Utterance
from training.reproduce.measurement import load_talker
from training.reproduce.models import the_student
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.setup import Setup

INFERENCES = 3

LIDS = np.array([k for k, name in enumerate(ARKIT_NAMES) if name.startswith("eyeBlink")])

OPEN_EYES = 0.3
"""A frame in which any lid is closed further than this shows a blink and not the brows."""

WIDTH, HEIGHT = 1280, 520


def most_different_frame(takes: Takes) -> tuple[int, float]:
    """(Frame, spread there) in which the brows of the takes differ most: the mean over their coefficients of the
    standard deviation across takes, among frames with all eyes open, or all frames where there is none."""
    spread = takes.coefficients[..., BROW_REGION].std(axis=0).mean(axis=-1)
    awake = (takes.coefficients[..., LIDS] < OPEN_EYES).all(axis=(0, 2))
    frame = int(np.argmax(np.where(awake, spread, -1.0) if awake.any() else spread))
    return frame, float(spread[frame])


def run(setup: Setup) -> str:
    """Sample the measured utterances three times each, draw the frame in which brows differ most; returns a text."""
    checkpoint, what = the_student(setup)
    talker = load_talker(checkpoint)
    found: list[tuple[float, int, Utterance, Takes]] = []
    for utterance in setup.held_out():
        takes = talker.speak(utterance.speech(), takes=INFERENCES)
        frame, spread = most_different_frame(takes)
        found.append((spread, frame, utterance, takes))
    spread, frame, utterance, takes = max(found, key=lambda entry: entry[0])
    now = takes.coefficients[:, frame]
    rows = [
        {"name": f"inference {k + 1}", **{name: float(now[k, ARKIT_NAMES.index(name)]) for name in COLUMN_NAMES}}
        for k in range(INFERENCES)
    ]
    lips = float(takes.coefficients[..., LIP_REGION].std(axis=0).mean(axis=-1)[frame])
    legend = [
        f"ours:  {setup.legend}; {what}",
        f"       utterance {utterance.id} as {takes.identity.name}, frame {frame} of {takes.coefficients.shape[1]} "
        f"({frame / takes.fps:.2f} s), of {len(found)} held-out utterances the frame whose brows differ most",
        f"       standard deviation across inferences: brows {spread:.3f}, lips {lips:.3f}",
    ]
    text = format_table("Figure 6. Three inferences, one frame", legend, COLUMNS, rows)
    content = {
        "target": "figure-6", "data": setup.data, "budget": dataclasses.asdict(setup.budget), "model": what,
        "utterance": utterance.id, "identity": takes.identity.name, "frame": frame, "seconds": frame / takes.fps,
        "spread": {"brows": spread, "lips": lips}, "rows": rows,
    }  # fmt: skip
    write_report(setup.out, "figure-6", text, content)
    captions = [f"Inference {k + 1}" for k in range(INFERENCES)]
    with Renderer(find_rig(setup.rig)[0], INFERENCES, WIDTH, HEIGHT, captions, fine=True) as renderer:
        picture = renderer.frame(now, takes.head[:, frame])
    with whole_file(setup.out / "figure-6.png") as temporary:
        Image.fromarray(picture).save(temporary)
    return text


COLUMN_NAMES = (
    "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight", "jawOpen", "mouthPucker",
)  # fmt: skip
COLUMNS = (Column("name", ""), *(Column(name, name, ".3f") for name in COLUMN_NAMES))
