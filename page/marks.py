"""Keyframes and locks as a visitor sets them with the sliders of the Edit tab, and the words the page has for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from page.scenes import Scene
from talker.editing import CHANNELS, Keyframe, Lock
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES, HEAD_NAMES, Motion, resample


def _sided(stem: str) -> tuple[str, str]:
    return f"{stem}Left", f"{stem}Right"


SHAPES: dict[str, tuple[str, ...]] = {
    "Jaw open": ("jawOpen",),
    "Lips shut over jaw": ("mouthClose",),
    "Lips pursed": ("mouthPucker",),
    "Lips funnelled": ("mouthFunnel",),
    "Upper lip up": _sided("mouthUpperUp"),
    "Lower lip down": _sided("mouthLowerDown"),
    "Smile": _sided("mouthSmile"),
    "Frown": _sided("mouthFrown"),
    "Inner brows up": ("browInnerUp",),
    "Outer brows up": _sided("browOuterUp"),
    "Brows down": _sided("browDown"),
    "Eyes closed": _sided("eyeBlink"),
    "Head turned": ("yaw",),
    "Head nodding": ("pitch",),
    "Head tilted": ("roll",),
}
"""The sliders, and the channels of talker.editing that each of them moves."""

UNITS = {label: math.degrees(1.0) if names[0] in HEAD_NAMES else 1.0 for label, names in SHAPES.items()}
"""What a slider shows for a channel's 1: degrees for the head's radians."""

STEPS = {label: 1.0 if unit != 1.0 else 0.01 for label, unit in UNITS.items()}
"""Smallest movement of a slider."""

LARGEST_TURN = 30.0
"""Degrees that the head's sliders go to either side."""

REGIONS = {
    "Lips and jaw": "lips",
    "Upper face": "upper_face",
    "Brows": tuple(name for name in ARKIT_NAMES if name.startswith("brow")),
    "Eyes": tuple(name for name in ARKIT_NAMES if name.startswith("eye")),
    "Head": "head",
    "Everything": "all",
}
"""What can be locked, as talker.editing.Lock takes it."""

CHANGED = 4
"""Curves of a comparison that are shown at least."""

Held = dict[str, Keyframe | Lock]
"""What a visitor set, by the words that the page has for it."""


def channels(motion: Motion) -> np.ndarray:
    """(T, 55): coefficients and head, as CHANNELS."""
    return np.concatenate([motion.coefficients, motion.head], axis=1)


def frame_at(scene: Scene, time: float) -> int:
    """The frame that is shown at a time in seconds."""
    return int(np.clip(round(time * scene.motion.fps), 0, len(scene.motion.coefficients) - 1))


def keyframe_at(scene: Scene, held: Held, active: Sequence[str], frame: int) -> tuple[str, Keyframe] | None:
    """The keyframe that is set at a frame, with its words."""
    for words in active:
        mark = held[words]
        if isinstance(mark, Keyframe) and round(mark.time * scene.motion.fps) == frame:
            return words, mark
    return None


def pose(scene: Scene, held: Held, active: Sequence[str], frame: int) -> np.ndarray:
    """Values (55,) of CHANNELS at a frame: the motion's, with those of a keyframe that is set there."""
    values = channels(scene.motion)[frame]
    if found := keyframe_at(scene, held, active, frame):
        values = posed(values, found[1].coefficients)
    return values


def posed(values: np.ndarray, changes: dict[str, float]) -> np.ndarray:
    """Values (55,) of CHANNELS with some of them changed."""
    values = values.copy()
    values[[CHANNELS.index(name) for name in changes]] = list(changes.values())
    return values


def slider_values(values: np.ndarray) -> list[float]:
    """Where the sliders stand for values (55,) of CHANNELS: of two sides at the mean."""
    means = (float(np.mean([values[CHANNELS.index(name)] for name in names])) for names in SHAPES.values())
    return [round(UNITS[label] * mean, 2) for label, mean in zip(SHAPES, means, strict=True)]


def moved(values: np.ndarray, sliders: Sequence[float]) -> dict[str, float]:
    """The channels whose sliders do not stand where those of values (55,) do, and what they say."""
    return {
        name: float(slider / UNITS[label])
        for (label, names), slider, before in zip(SHAPES.items(), sliders, slider_values(values), strict=True)
        for name in names
        if abs(slider - before) > 0.6 * STEPS[label]
    }


def set_keyframe(
    scene: Scene, held: Held, active: Sequence[str], time: float, sliders: Sequence[float]
) -> tuple[Held, list[str]]:
    """What is set, with a keyframe of the sliders that were moved; of all of them, as they stand, when none was. It
    joins the keyframe that is there."""
    frame = frame_at(scene, time)
    found = keyframe_at(scene, held, active, frame)
    values = channels(scene.motion)[frame]
    changes = moved(values, sliders)
    if not changes and not found:
        changes = {name: float(values[CHANNELS.index(name)]) for names in SHAPES.values() for name in names}
    keyframe = Keyframe(frame / scene.motion.fps, (dict(found[1].coefficients) if found else {}) | changes)
    words = keyframe_words(keyframe)
    kept = [name for name in active if name != words and not (found and name == found[0])]
    return {**held, words: keyframe}, [*kept, words]


def keyframe_words(keyframe: Keyframe) -> str:
    """What the page calls a keyframe: its time and the first of its shapes."""
    values = keyframe.coefficients
    shown = [
        f"{label} {UNITS[label] * values[names[0]]:.0f}°" if UNITS[label] != 1 else f"{label} {values[names[0]]:.2f}"
        for label, names in SHAPES.items()
        if names[0] in values
    ]
    more = f" and {len(shown) - 2} more" if len(shown) > 2 else ""
    return f"{keyframe.time:.2f} s: {', '.join(shown[:2])}{more}"


def set_lock(
    held: Held, active: Sequence[str], region: str, start: float | None, end: float | None
) -> tuple[Held, list[str]]:
    """What is set, with a region (of REGIONS) locked from one time to another, in seconds. TalkerError without them."""
    if start is None or end is None:
        raise TalkerError("A lock needs the seconds from which and to which it holds; fill in both.")
    words = f"{region} locked, {start:.2f} to {end:.2f} s"
    return {**held, words: Lock(REGIONS[region], start, end)}, [*(name for name in active if name != words), words]


def shapes_to_compare(before: Motion, after: Motion, keyframes: Sequence[Keyframe]) -> dict[str, tuple[str, ...]]:
    """The shapes that keyframes set, and of the others those that changed most until there are CHANGED; the motion after
    may have another frame rate."""
    after = resample(after, before.fps, len(before.coefficients))
    keyed = {name for keyframe in keyframes for name in keyframe.coefficients}
    apart = dict(zip(CHANNELS, np.abs(channels(after) - channels(before)).mean(axis=0), strict=True))
    # A head's turn is small in radians beside what coefficients do: a face turns 30° where a jaw opens by 1.
    change = {
        label: max(apart[name] for name in names) * (1 if UNITS[label] == 1 else UNITS[label] / LARGEST_TURN)
        for label, names in SHAPES.items()
    }
    by_change = sorted(SHAPES, key=lambda label: (not keyed & set(SHAPES[label]), -change[label]))
    count = max(CHANGED, sum(bool(keyed & set(names)) for names in SHAPES.values()))
    return {label: SHAPES[label] for label in SHAPES if label in by_change[:count]}
