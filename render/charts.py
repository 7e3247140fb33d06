"""Charts: what every take does with mouth, brows and lids, under the waveform that drives them all; and curves of a
motion before and after it was edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE, Speech
from talker.editing import CHANNELS, Keyframe, MotionEdit
from talker.motion import ARKIT_INDEX, Motion
from talker.takes import Takes

WIDTH_INCHES, HEIGHT_INCHES, DPI = 7.0, 8.4, 120
FONT_POINTS = 14
"""Large, because on a phone the 840 pixels of the chart are shown on less than half of that."""

TAKE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A7A7A", "#000000")
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008); more takes start over, dashed."""

INK, PALE, GIVEN = "#30353d", "#9aa3b0", "#e9edf3"
"""Colours of text, of what is behind, and of ranges in which motion is given."""

EDIT_PANEL_INCHES = 1.5
"""Height of a curve in the chart of an edit."""

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
    _finish(figure, [wave, *axes], axes[0])
    return figure


def draw_edit_chart(
    before: Motion,
    after: Motion,
    edit: MotionEdit,
    keyframes: Sequence[Keyframe],
    shapes: Mapping[str, tuple[Sequence[str], float]],
) -> Figure:
    """The figure of an edit: shapes before and after it over seconds, keyframes as dots, and ranges in which motion is
    given shaded.

    shapes : label -> the channels of talker.editing whose mean is drawn, and what their 1 is called (degrees for radians)
    """
    high = 1.0 + EDIT_PANEL_INCHES * len(shapes)
    figure = Figure(figsize=(WIDTH_INCHES, high), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(len(shapes), sharex=True, squeeze=False)[:, 0])
    for axis, (label, (names, unit)) in zip(axes, shapes.items(), strict=True):
        index = [CHANNELS.index(name) for name in names]
        drawn = []
        for motion, name, style in ((before, "Before", {"color": PALE}), (after, "After", {"color": TAKE_COLORS[1]})):
            values = unit * np.concatenate([motion.coefficients, motion.head], axis=1)[:, index].mean(axis=1)
            axis.plot(np.arange(len(values)) / motion.fps, values, linewidth=1.8, label=name, **style)
            drawn.append(values)
        given = np.flatnonzero((edit.mask[:, index] == 1).all(axis=1))
        for run in np.split(given, np.flatnonzero(np.diff(given) > 1) + 1):
            if len(run) > 1:
                axis.axvspan(run[0] / edit.fps, run[-1] / edit.fps, color=GIVEN, zorder=0, linewidth=0)
        set_here = [
            (keyframe.time, unit * float(np.mean([keyframe.coefficients[name] for name in names])))
            for keyframe in keyframes
            if all(name in keyframe.coefficients for name in names)
        ]
        # Before the others, or a chart without keyframes of its first shape would have no dot in its legend.
        axis.plot(*np.array(set_here).reshape(-1, 2).T, "o", color=INK, markersize=8, label="Keyframe", zorder=3)
        low, top = min(map(np.min, drawn)), max(map(np.max, drawn))
        if unit == 1:
            axis.set_ylim(-0.02, max(0.5, 1.05 * float(top)))
        else:
            axis.set_ylim(min(-3.0, 1.15 * float(low)), max(3.0, 1.15 * float(top)))
        axis.set_title(label if unit == 1 else f"{label}, degrees", loc="left", fontsize=FONT_POINTS, color=INK)
        axis.locator_params(axis="y", nbins=3)
        axis.grid(axis="y", color="#e4e7eb")
    axes[-1].set_xlabel("Seconds")
    axes[-1].set_xlim(0, before.seconds)
    _finish(figure, axes, axes[0])
    return figure


def _finish(figure: Figure, axes: Sequence[Axes], labelled: Axes) -> None:
    """Spines, letters and, on top, the legend of an axis, alike in all charts."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=FONT_POINTS, colors=INK)
        axis.yaxis.label.set(size=FONT_POINTS, color=INK)
        axis.xaxis.label.set(size=FONT_POINTS, color=INK)
    figure.align_ylabels(axes)
    handles, names = labelled.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=min(4, len(names)), fontsize=FONT_POINTS, frameon=False,
        handlelength=1.2, columnspacing=1.2, labelcolor=INK,
    )  # fmt: skip


def write_chart(takes: Takes, speech: Speech, path: str | Path) -> None:
    """Write draw_chart as a PNG (840 x 1008 pixels), whole or not at all."""
    write_figure(draw_chart(takes, speech), path)


def write_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png")
