"""Corpora of a few seconds: features with the motion that follows from them, and whole recordings with motion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion
from training.alignment import Phone, Word
from training.beat import CORPUS_FILE, phone_tiers, write_motion, write_text_grid, write_wav
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


def write_toy_corpus(folder: Path, speakers: int = 2, seconds: float = 0.8) -> Path:
    """A corpus in BEAT's layout, of `speakers` voices: four recordings of each train, one validates and two are held
    out; and one recording of a speaker who never trains. Voices are buzzes of their own pitch that swell with the jaw;
    every recording says "excellent"."""
    splits = ("train",) * 4 + ("validation",) + ("heldout_utterance",) * 2
    table, rng = {}, np.random.default_rng(5)
    for speaker in range(speakers + 1):
        for number, split in enumerate(splits if speaker < speakers else ["heldout_speaker"]):
            name, target = f"toy-{speaker}-{number}", folder / f"toy-{speaker}"
            time = np.arange(round(seconds * 16_000)) / 16_000
            frames = np.arange(round(seconds * 30)) / 30
            rate = rng.uniform(2, 4)
            buzz = sum(np.sin(2 * np.pi * (110 + 60 * speaker) * k * time) / k for k in range(1, 20))
            swell = 0.5 - 0.5 * np.cos(2 * np.pi * rate * time)
            write_wav(0.1 * buzz * swell + 0.002 * rng.normal(size=len(time)), target / f"{name}.wav")
            coefficients = np.full((len(frames), len(ARKIT_NAMES)), 0.1)
            coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.3 - 0.3 * np.cos(2 * np.pi * rate * frames)
            coefficients[:, ARKIT_INDEX["browInnerUp"]] = rng.uniform(0, 0.5) + 0.1 * speaker
            write_motion(Motion(coefficients, np.zeros((len(frames), 3)), 30.0), target / f"{name}.json")
            words = [Word("excellent", 0.1, seconds - 0.1)]
            phones = [Phone("M", 0.1, 0.2), Phone("AA", 0.2, 0.5), Phone("B", 0.5, seconds - 0.1)]
            write_text_grid(target / f"{name}.TextGrid", seconds, phone_tiers(phones, words))
            table[name] = {"speaker": target.name, "split": split}
    (folder / CORPUS_FILE).write_text(json.dumps({"synthetic": "a toy", "utterances": table}))
    return folder
