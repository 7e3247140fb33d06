"""Poses on which faces are tested: every shape alone, expressions, and what speech makes of them."""

from __future__ import annotations

import numpy as np

from render.head_sheet import COMBINATIONS, EXPRESSIONS, coefficients
from talker.motion import ARKIT_INDEX, ARKIT_NAMES
from training.alignment import Phone
from training.articulation import TARGETS, lips, speaker_style

FRAMES = 20


def single_shapes() -> tuple[list[str], np.ndarray]:
    """Every shape at a half and at one; mouthClose with the jaw that it is for: names, (104, 52)."""
    names, rows = [], []
    for name in ARKIT_NAMES:
        for weight in (0.5, 1.0):
            names.append(f"{name} {weight}")
            rows.append(coefficients(**{name: weight, **({"jawOpen": weight} if name == "mouthClose" else {})}))
    return names, np.stack(rows)


def expressions() -> tuple[list[str], np.ndarray]:
    """The expressions and combinations of the contact sheet: names, (n, 52)."""
    poses = {**EXPRESSIONS, **COMBINATIONS}
    return list(poses), np.stack([coefficients(**weights) for weights in poses.values()])


def spoken(count: int, seed: int = 0) -> np.ndarray:
    """Speech-like combinations (count, 52) float32 in [0, 1], of which a third has both eyes closed.

    Jaw, lips and tongue are frames of made-up phone strings as the corpus' articulation moves them, every 20 of
    another speaker; brows, lids, gaze and mood are drawn around them.
    """
    random = np.random.default_rng(seed)
    rows = []
    for speaker in range(-(-count // FRAMES)):
        labels = random.choice(list(TARGETS), 14)
        ends = np.cumsum(random.uniform(0.05, 0.16, len(labels)))
        phones = [Phone(label, float(a), float(b)) for label, a, b in zip(labels, [0, *ends[:-1]], ends, strict=True)]
        style = speaker_style(f"{seed}/{speaker}")
        frames = lips(phones, None, int(ends[-1] * 30), style)
        rows.append(frames[random.choice(len(frames), FRAMES, replace=len(frames) < FRAMES)])
    rows = np.concatenate(rows)[:count].astype(np.float64)

    def add(name, values):
        for full in [name] if name in ARKIT_INDEX else [name + "Left", name + "Right"]:
            rows[:, ARKIT_INDEX[full]] += values

    def sometimes(share, low, high):
        return np.where(random.random(count) < share, random.uniform(low, high, count), 0)

    blink = np.where(random.random(count) < 1 / 3, 1.0, sometimes(0.4, 0, 1))
    add("eyeBlink", blink)
    add("eyeSquint", sometimes(0.4, 0, 0.6))
    add("eyeWide", sometimes(0.2, 0, 0.7))
    up, aside = random.uniform(-0.7, 0.5, count), random.uniform(-0.7, 0.7, count)
    add("eyeLookUp", np.maximum(up, 0))
    add("eyeLookDown", np.maximum(-up, 0))
    for name, values in (("eyeLookOutLeft", aside), ("eyeLookInRight", aside), ("eyeLookInLeft", -aside), ("eyeLookOutRight", -aside)):
        add(name, np.maximum(values, 0))
    add("browInnerUp", sometimes(0.5, 0, 0.8))
    add("browOuterUp", sometimes(0.4, 0, 0.8))
    add("browDown", sometimes(0.3, 0, 0.8))
    mood = sometimes(0.4, 0, 0.7)
    add("mouthSmile", mood)
    add("cheekSquint", 0.5 * mood)
    for name, share, high in (("mouthFrown", 0.15, 0.6), ("mouthDimple", 0.2, 0.4), ("noseSneer", 0.15, 0.5),
                              ("mouthPress", 0.1, 0.4), ("mouthShrugLower", 0.1, 0.4), ("cheekPuff", 0.1, 0.4)):  # fmt: skip
        add(name, sometimes(share, 0, high))
    for side in ("Left", "Right"):
        add(f"mouthSmile{side}", sometimes(0.1, 0, 0.3))
        add(f"jaw{side}", sometimes(0.1, 0, 0.3))
        add(f"mouth{side}", sometimes(0.1, 0, 0.3))
    return np.clip(rows, 0, 1).astype(np.float32)
