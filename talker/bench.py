"""Inference time per frame (ITF), by stage: what the paper's table 1 measures, on this machine."""

from __future__ import annotations

import os
import platform
import statistics

import numpy as np
import torch

from talker.audio import SAMPLE_RATE, Speech, speech_from_array
from talker.pipeline import Talker

STAGES = ("encode", "match", "sample")


def modulated_noise(seconds: float) -> Speech:
    """What inference is timed on: noise that swells four times a second, as syllables do. Time does not depend on
    what is said."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(0).standard_normal(len(time)) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time))
    return speech_from_array((0.1 * noise).astype(np.float32), SAMPLE_RATE, "bench")


def measure(model: str, seconds: float, takes: int, steps: int | None, repeats: int) -> dict:
    """Median over `repeats` runs after one warm-up, on `seconds` of modulated noise. ITF is seconds of computing per
    frame of speech, for all takes together, as in DiffusionTalker, sec. 4.1."""
    talker = Talker.from_pretrained(model)
    speech = modulated_noise(seconds)
    runs = [talker.speak(speech, takes=takes, steps=steps) for _ in range(repeats + 1)][1:]
    frames = runs[0].coefficients.shape[1]
    stage_seconds = {stage: statistics.median(run.seconds[stage] for run in runs) for stage in STAGES}
    total = statistics.median(sum(run.seconds[stage] for stage in STAGES) for run in runs)
    return {
        "model": runs[0].model,
        "steps": runs[0].steps,
        "takes": takes,
        "frames": frames,
        "device": runs[0].device,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads",
        "seconds": {**stage_seconds, "total": total, "load": talker.seconds_to_load},
        "itf": {**{stage: value / frames for stage, value in stage_seconds.items()}, "total": total / frames},
        "real_time_factor": seconds / total,
    }
