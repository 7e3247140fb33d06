"""Figures of tables: our rows as bars, the paper's beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from talker.atomic import whole_file
from training.reproduce.report import Column

OURS, PAPERS, SECOND = "#0072B2", "#B8BDC4", "#D55E00"
"""Colours that the colour-blind can tell apart (Okabe and Ito), and grey for what is not ours."""


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of so many inches, its title at the left."""
    figure = Figure(figsize=(width, height), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, size=10, x=0.01, ha="left")
    return figure


def plain(axis: Axes) -> None:
    """A light grid behind, no frame above and beside."""
    axis.grid(color="#e4e7eb")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write it as PNG, whole or not at all."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png")


def bar_figure(rows: Sequence[Mapping], columns: Sequence[Column], title: str, path: Path) -> None:
    """One panel for each column, one bar for each row, with its interval where it has one, and the paper's below it.

    rows, columns : as for report.format_table
    """
    figure = new_figure(3.2 * len(columns) + 2.6, 0.42 * len(rows) + 1.4, title)
    axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    places = np.arange(len(rows))
    for axis, column in zip(axes, columns):
        for shift, color, label, own in ((-0.2, OURS, "ours", rows), (0.2, PAPERS, "paper", [r.get("paper", {}) for r in rows])):
            values, errors = (
                [column.scale * v if (v := row.get(key)) is not None else np.nan for row in own]
                for key in (column.key, f"{column.key} ±")
            )
            if label == "ours" or np.isfinite(values).any():
                axis.barh(places + shift, values, 0.36, color=color, label=label, xerr=errors, ecolor="#333333")
        axis.set_title(column.title.replace("\n", " "), size=9)
        plain(axis)
    axes[0].set_yticks(places, [row["name"] for row in rows], size=9)
    axes[0].invert_yaxis()
    handles, labels = max((axis.get_legend_handles_labels() for axis in axes), key=lambda found: len(found[1]))
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    save(figure, path)
