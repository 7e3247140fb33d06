"""A corpus of a few seconds whose motion follows from its features, for the trainer's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.dataset import CachedUtterance, write_feature_cache

SPEAKERS, AUDIO_DIM, VOICE_DIM = 4, 6, 5


def toy_utterances(seed: int, count: int, frames: tuple[int, int] = (40, 90)):
    """Smooth random features; coefficients are a fixed mixture of them plus an offset per speaker."""
    fixed = np.random.default_rng(0)
    mixing, offsets = fixed.normal(size=(AUDIO_DIM, 55)) * 0.05, fixed.normal(size=(SPEAKERS, 55)) * 0.05
    centres = fixed.normal(size=(SPEAKERS, VOICE_DIM))
    rng = np.random.default_rng(seed)
    for index in range(count):
        speaker, length = index % SPEAKERS, int(rng.integers(*frames))
        time = np.arange(length)[:, None] / 30
        audio = np.sin(2 * np.pi * (rng.uniform(0.5, 2, AUDIO_DIM) * time + rng.random(AUDIO_DIM)))
        motion = 0.4 + audio @ mixing + offsets[speaker]
        voice = centres[speaker] + 0.1 * rng.normal(size=VOICE_DIM)
        yield CachedUtterance(
            f"u{index}", f"speaker-{speaker}", motion, [audio, audio + 0.02], [voice, voice + 0.05]
        )


def write_toy_caches(folder: Path) -> Path:
    """Write train.safetensors (48 utterances) and validation.safetensors (12)."""
    write_feature_cache(folder / "train.safetensors", toy_utterances(1, 48))
    write_feature_cache(folder / "validation.safetensors", toy_utterances(2, 12))
    return folder
