"""Charts: what every take does with mouth, brows and lids, under the waveform that drives them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE, Speech
from talker.motion import ARKIT_INDEX, Motion
from talker.takes import Takes

WIDTH_INCHES, HEIGHT_INCHES, DPI = 7.0, 8.4, 120
FONT_POINTS = 14
"""Large, because on a phone the 840 pixels of the chart are shown on less than half of that."""

TAKE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A7A7A", "#000000")
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008); more takes start over, dashed."""

INK, PALE = "#30353d", "#9aa3b0"

MAX_COLUMNS = 1600
"""Columns that the waveform is reduced to before it is drawn: more than the chart has pixels."""


def curves(motion: Motion) -> dict[str, np.ndarray]:
    """The curves of the chart, (T,) each: label -> values.

    Mouth is jawOpen less mouthClose: how far the lips part, for mouthClose undoes what jawOpen opens.
    """
    coefficients = motion.coefficients

    def of(name: str) -> np.ndarray:
        return coefficients[:, ARKIT_INDEX[name]]

    return {
        "Mouth": np.clip(of("jawOpen") - of("mouthClose"), 0, 1),
        "Brows": of("browInnerUp"),
        "Blink": (of("eyeBlinkLeft") + of("eyeBlinkRight")) / 2,
    }


def envelope(samples: np.ndarray, columns: int = MAX_COLUMNS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A waveform (n,) reduced to at most `columns` spans: their middles in samples, lowest and highest values."""
    columns = max(1, min(columns, len(samples)))
    starts = np.arange(columns) * len(samples) // columns
    middles = (starts + np.append(starts[1:], len(samples))) / 2
    return middles, np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def draw_chart(takes: Takes, speech: Speech) -> Figure:
    """The figure: the waveform on top, and below it mouth, brow and blink curves of all takes over seconds."""
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    motions = takes.motions
    panels = [curves(motion) for motion in motions]
    labels = list(panels[0])
    wave, *axes = figure.subplots(1 + len(labels), sharex=True, height_ratios=[0.7] + [1.0] * len(labels))

    middles, low, high = envelope(speech.samples)
    wave.fill_between(middles / SAMPLE_RATE, low, high, color=PALE, linewidth=0.5, edgecolor=PALE)
    loudest = max(float(np.abs(speech.samples).max()), 1e-6)
    wave.set_ylim(-1.05 * loudest, 1.05 * loudest)
    wave.set_yticks([])
    wave.set_ylabel("Speech")

    for axis, label in zip(axes, labels, strict=True):
        for i, (motion, panel) in enumerate(zip(motions, panels, strict=True)):
            seconds = np.arange(len(panel[label])) / motion.fps
            axis.plot(
                seconds,
                panel[label],
                color=TAKE_COLORS[i % len(TAKE_COLORS)],
                linestyle="-" if i < len(TAKE_COLORS) else "--",
                linewidth=1.8,
                alpha=0.9,
                label=f"Take {i + 1}",
            )
        axis.set_ylim(-0.02, max(0.5, 1.05 * max(float(panel[label].max()) for panel in panels)))
        axis.set_ylabel(label)
        axis.locator_params(axis="y", nbins=3)
        axis.grid(axis="y", color="#e4e7eb")
    axes[-1].set_xlabel("Seconds")
    axes[-1].set_xlim(0, max(speech.seconds, len(motions[0].coefficients) / takes.fps))
    for axis in (wave, *axes):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=FONT_POINTS, colors=INK)
        axis.yaxis.label.set(size=FONT_POINTS, color=INK)
        axis.xaxis.label.set(size=FONT_POINTS, color=INK)
    figure.align_ylabels([wave, *axes])
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=min(4, len(names)), fontsize=FONT_POINTS, frameon=False,
        handlelength=1.2, columnspacing=1.2, labelcolor=INK,
    )  # fmt: skip
    return figure


def write_chart(takes: Takes, speech: Speech, path: str | Path) -> None:
    """Write draw_chart as a PNG (840 x 1008 pixels), whole or not at all."""
    figure = draw_chart(takes, speech)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png")
