"""Inference time per frame (ITF), by stage: what the paper's table 1 measures, on this machine."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence

import numpy as np
import torch

from talker.audio import SAMPLE_RATE, Speech, speech_from_array
from talker.pipeline import Talker
from talker.takes import Takes

STAGES = ("encode", "match", "sample")

LONG = 60.0
"""Seconds of runs after which a model is not measured again: a teacher's hundreds of steps leave no doubt."""


def modulated_noise(seconds: float) -> Speech:
    """What inference is timed on: noise that swells four times a second, as syllables do. Time does not depend on
    what is said."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(0).standard_normal(len(time)) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time))
    return speech_from_array((0.1 * noise).astype(np.float32), SAMPLE_RATE, "bench")


def measure(models: Sequence[str], seconds: float, takes: int, steps: int | None, repeats: int) -> list[dict]:
    """Inference time of each model on `seconds` of modulated noise: medians over `repeats` runs in which the models take
    turns, after a warm-up of a single step. A model whose runs have taken LONG in all takes no further turn.

    ITF is seconds of computing per frame of speech, for all takes together, as in DiffusionTalker, sec. 4.1.
    """
    talkers = [Talker.from_pretrained(model) for model in models]
    speech = modulated_noise(seconds)
    for talker in talkers:
        talker.speak(speech, takes=takes, steps=1)
    runs: list[list[Takes]] = [[] for _ in talkers]
    for _ in range(repeats):
        for talker, own in zip(talkers, runs):
            if not own or sum(_total(run) for run in own) < LONG:
                own.append(talker.speak(speech, takes=takes, steps=steps))
    return [_summary(talker, own, seconds) for talker, own in zip(talkers, runs)]


def _total(run: Takes) -> float:
    return sum(run.seconds[stage] for stage in STAGES)


def _summary(talker: Talker, runs: list[Takes], seconds: float) -> dict:
    takes, frames, _ = runs[0].coefficients.shape
    stage_seconds = {stage: statistics.median(run.seconds[stage] for run in runs) for stage in STAGES}
    total = statistics.median(_total(run) for run in runs)
    return {
        "model": runs[0].model,
        "steps": runs[0].steps,
        "takes": takes,
        "frames": frames,
        "runs": len(runs),
        "device": runs[0].device,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads",
        "seconds": {**stage_seconds, "total": total, "load": talker.seconds_to_load},
        "itf": {**{stage: value / frames for stage, value in stage_seconds.items()}, "total": total / frames},
        "real_time_factor": seconds / total,
    }


def table(measured: Sequence[dict]) -> str:
    """Rows of `measure` as a Markdown table."""
    rows = [
        f"| `{one['model']}` | {one['steps']} | {1000 * one['itf']['sample']:.2f} ms | {1000 * one['itf']['total']:.2f} ms "
        f"| {one['real_time_factor']:.2g} × |"
        for one in measured
    ]
    one = measured[0]
    heading = f"{one['frames']} frames, {one['takes']} takes at once; {one['device']}; {one['machine']}"
    columns = "| model | steps | per frame, sampling | per frame, all stages | faster than real time |\n| --- | --- | --- | --- | --- |"
    return "\n".join([heading, "", columns, *rows])
