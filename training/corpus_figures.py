"""Figures of a corpus: mid-phone frames of all 39 phones, and curves over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from render.head_sheet import CAPTION_HEIGHT, sheet
from render.rig import Rig, default_rig
from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, Motion
from training.alignment import PHONES, SILENCE, Phone
from training.beat import Utterance

CURVES = (
    (("jawOpen", "mouthClose"), "jaw, closure"),
    (("mouthPucker", "mouthFunnel", "mouthSmileLeft"), "rounding, smile"),
    (("mouthPressLeft", "mouthRollLower", "mouthUpperUpLeft", "tongueOut"), "press, roll, tongue"),
    (("browInnerUp", "browDownLeft", "eyeBlinkLeft"), "brows, blinks"),
    (("yaw", "pitch", "roll"), "head, degrees"),
)
"""Rows of the figure of curves: names of coefficients or of head angles, and the row's title."""


COLUMNS, HEAD = 8, (224, 270)
"""Faces in a row of the contact sheet, and the width and height in pixels that a whole head is drawn with."""


def middles(
    utterances: Sequence[Utterance], labels: Sequence[str] = PHONES
) -> list[tuple[str, np.ndarray]]:
    """For every label that occurs, the frame (52,) at the middle of its most typical occurrence.

    Typical is the occurrence whose frame is nearest to the median of all: a mean of frames would be
    a pose that no frame has.
    """
    frames: dict[str, list[np.ndarray]] = {label: [] for label in labels}
    for utterance in utterances:
        motion = utterance.motion()
        for phone in utterance.phones():
            frame = round(phone.middle * motion.fps)
            if phone.label in frames and frame < len(motion.coefficients):
                frames[phone.label].append(motion.coefficients[frame])
    chosen = []
    for label, rows in frames.items():
        if rows:
            stack = np.stack(rows)
            chosen.append((label, stack[np.abs(stack - np.median(stack, axis=0)).sum(axis=1).argmin()]))
    return chosen


def contact_sheet(utterances: Sequence[Utterance], rig: Rig | None = None) -> np.ndarray:
    """Picture (h, w, 3) uint8 of the phones' typical middle frames: the lower face, seen from the front."""
    still = np.array([name.startswith(("brow", "eye")) for name in ARKIT_INDEX])
    rows = []
    for label, frame in middles(utterances):
        # Blinks and glances come when they like: here they would only distract from the mouth.
        rows.append(("rest (synthetic)" if label == SILENCE else label, np.where(still, 0.0, frame).astype(np.float32)))
    if not rows:
        raise TalkerError("No utterance has a TextGrid of phones: align the corpus before drawing its phones.")
    width, height = HEAD
    whole = sheet(rig or default_rig(), rows, columns=COLUMNS, cell=HEAD)
    cells = whole.reshape(-1, CAPTION_HEIGHT + height, COLUMNS, width, 3)
    # The lower face alone, with its caption: the middle half of the width, nose to chin.
    face = slice(CAPTION_HEIGHT + height // 2, CAPTION_HEIGHT + 15 * height // 16)
    shown = np.concatenate([cells[:, :CAPTION_HEIGHT], cells[:, face]], axis=1)
    shown = shown[:, :, :, width // 4 : width - width // 4]
    return shown.reshape(-1, COLUMNS * shown.shape[3], 3)


def curves(samples: np.ndarray, phones: Sequence[Phone], motion: Motion, title: str, seconds: float = 4.0):
    """Figure (matplotlib) of a recording's spectrogram with its phones, and the motion under it.

    samples : (n,) float32 at 16 kHz; the first `seconds` after 0 are drawn
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), layout="constrained")
    axes = figure.subplots(1 + len(CURVES), 1, sharex=True, height_ratios=(2.0, *[1.0] * len(CURVES)))
    seconds = min(seconds, len(samples) / SAMPLE_RATE)
    part = samples[: round(seconds * SAMPLE_RATE)]
    dither = 1e-5 * np.random.default_rng(0).standard_normal(len(part))  # digital silence has no logarithm
    axes[0].specgram(part + dither, NFFT=256, Fs=SAMPLE_RATE, noverlap=192, cmap="magma", vmin=-110, vmax=-35)
    axes[0].set(ylim=(0, 8000), ylabel="Hz", title=title)
    for phone in phones:
        if phone.start >= seconds:
            break
        if phone.label != SILENCE:
            axes[0].text(phone.middle, 7500, phone.label, ha="center", va="center", fontsize=7, color="white")
        for axis in axes:
            axis.axvline(phone.start, color="0.6", linewidth=0.4)
    times = np.arange(len(motion.coefficients)) / motion.fps
    for axis, (names, label) in zip(axes[1:], CURVES, strict=True):
        for k, name in enumerate(names):
            head = name in ("yaw", "pitch", "roll")
            values = np.degrees(motion.head[:, k]) if head else motion.coefficients[:, ARKIT_INDEX[name]]
            axis.plot(times, values, linewidth=1.2, label=name.removesuffix("Left"))
        axis.set_ylabel(label, fontsize=8)
        axis.legend(loc="upper right", fontsize=7, ncols=len(names), framealpha=0.7)
        if "yaw" not in names:
            axis.set_ylim(-0.03, 1.03)
    axes[-1].set(xlim=(0, seconds), xlabel="seconds")
    return figure


def write_figures(utterances: Sequence[Utterance], folder: Path) -> list[Path]:
    """Writes phones.png (contact_sheet of all the utterances) and curves.png (one of them) into folder."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "phones.png") as temporary:
        Image.fromarray(contact_sheet(utterances)).save(temporary, format="PNG", optimize=True)
    # Neither a slow start nor the fastest speaker: the median by the phones of the first seconds.
    busy = sorted(utterances, key=lambda u: (sum(p.label != SILENCE and p.end < 4.0 for p in u.phones()), u.id))
    shown = busy[len(busy) // 2]
    drawn = curves(shown.speech().samples, shown.phones(), shown.motion(), f"{shown.id} (synthetic motion)")
    with whole_file(folder / "curves.png") as temporary:
        drawn.savefig(temporary, format="png", dpi=80, pil_kwargs={"optimize": True})
    return [folder / "phones.png", folder / "curves.png"]
