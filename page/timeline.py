"""The timeline of the Edit tab: speech and curves of a motion, with what is kept, locked and keyed on it."""

from __future__ import annotations

import html
from collections.abc import Iterable

import numpy as np

from page.marks import Held
from page.scenes import Scene
from render.charts import curves, envelope
from talker.audio import SAMPLE_RATE
from talker.editing import Keyframe, Lock

COLUMNS = 500
"""Points of a curve, about as many as a phone has pixels across, twice."""

TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Seconds that may lie between two ticks: the smallest that gives ten or fewer."""

TEMPLATE = '<div class="timeline" style="--at: ${at}">${value}</div>'
"""`at` is where the playhead stands, a share of the motion."""

SCRIPT = """
element.addEventListener('click', event => {
    const box = element.querySelector('.timeline').getBoundingClientRect();
    trigger('click', {share: Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))});
});
"""
"""A click says where it was, as a share of the motion."""


def timeline(scene: Scene, held: Held, keep: tuple[float, float]) -> str:
    """HTML of rows over time: speech, the chart's curves, keyframes and locks; above them, shaded, what is kept.

    keep : shares of the motion that are kept at its beginning and its end
    """
    motion = scene.motion
    seconds = motion.seconds
    middles, low, high = envelope(scene.speech.samples, COLUMNS)
    x = middles / SAMPLE_RATE / seconds
    loudest = max(float(np.abs(scene.speech.samples).max()), 1e-6)
    outline = [*zip(x, 0.5 - high / loudest / 2), *zip(x[::-1], 0.5 - low[::-1] / loudest / 2)]
    rows = [_row("Speech", "wave", outline)]
    for label, values in curves(motion).items():
        at = np.linspace(0, len(values) - 1, min(len(values), COLUMNS)).round().astype(int)
        top = max(0.5, float(values.max()))
        rows.append(_row(label, "curve", zip((at + 0.5) / len(values), 1 - values[at] / top)))
    marks = "".join(_mark(words, mark, seconds, motion.fps) for words, mark in held.items())
    step = next((step for step in TICKS if seconds / step <= 10), TICKS[-1])
    ticks = "".join(
        f'<i style="left:{100 * tick * step / seconds:.2f}%">{tick * step:g}</i>'
        for tick in range(1, int(seconds / step) + 1)
    )
    kept = "".join(
        f'<b class="kept" style="{side}:0;width:{100 * share:.2f}%"></b>'
        for side, share in zip(("left", "right"), keep, strict=True) if share
    )
    return f'{kept}{"".join(rows)}<div class="marks">{marks}</div><div class="ticks">{ticks}</div><b class="playhead"></b>'


def _row(label: str, kind: str, points: Iterable[tuple[float, float]]) -> str:
    """A labelled row with a curve: points from 0, 0 at its top left to 1, 1."""
    path = "M" + "L".join(f"{1000 * x:.0f} {2 + 36 * y:.1f}" for x, y in points)
    return (
        f'<div class="row {kind}"><span>{label}</span><svg viewBox="0 0 1000 40" preserveAspectRatio="none" '
        f'aria-hidden="true"><path d="{path}"/></svg></div>'
    )


def _mark(words: str, mark: Keyframe | Lock, seconds: float, fps: float) -> str:
    words = html.escape(words)
    if isinstance(mark, Keyframe):
        return f'<b class="keyframe" style="left:{100 * (mark.time + 0.5 / fps) / seconds:.2f}%" title="{words}"></b>'
    begin, end = (min(1.0, max(0.0, time / seconds)) for time in (mark.start, mark.end))
    return (
        f'<b class="lock" style="left:{100 * begin:.2f}%;width:{100 * max(0.0, end - begin):.2f}%" title="{words}">'
        f"{words.split(' locked')[0]}</b>"
    )
