"""3DiFACE's figure 3: the guidance scale, one for the whole face, trades diversity for lips that are in time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from training.bars import Bar
from training.reproduce.figures import OURS, SECOND, new_figure, plain, save
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.setup import Setup
from training.reproduce.subjects import test_subjects
from training.reproduce.three_diface import COLUMNS, Task, legend, measure_tasks
from training.reproduce.three_diface_table_1 import DIVERSITY, LIPS, PAPER

SCALES = tuple(k / 10 for k in range(11))
"""The paper's: from nothing of the speech to all of it (section 11.2)."""


def run(setup: Setup) -> str:
    """Train, measure and draw figure 3; returns its numbers as a table with the bars."""
    subjects = test_subjects(setup)
    found = measure_tasks(setup, {scale: [Task(one, guidance=scale, lip_guidance=0.0) for one in subjects] for scale in SCALES})
    printed = {0.5: PAPER["guidance 0.5 for all"], 1.0: PAPER["guidance 1"]}
    rows = [{"scale": scale, **row, "paper": printed.get(scale, {})} for scale, row in found.items()]
    columns = (Column("scale", "guidance", ".1f"), *COLUMNS[1:])
    text = format_table("3DiFACE, figure 3", legend(setup, subjects), columns, rows)
    half, whole = found[0.5], found[1.0]
    bars = [Bar("lips, Lip-Sync: guidance 0.5 / 1", half["Lip-Sync"] / whole["Lip-Sync"], "<=", LIPS)]
    if half["Div"] is not None:
        bars.insert(0, Bar("diversity: guidance 0.5 / 1", half["Div"] / whole["Div"], ">=", DIVERSITY))
    content = {
        "target": "3diface-figure-3", "data": setup.data, "budget": dataclasses.asdict(setup.budget),
        "subjects": {one.name: [u.id for u in one.tested] for one in subjects}, "rows": rows,
    }  # fmt: skip
    text = write_report(setup.out, "3diface-figure-3", text, content, bars)
    draw(rows, setup, setup.out / "3diface-figure-3.png")
    return text


def draw(rows: list[dict], setup: Setup, path: Path) -> None:
    """Lip-Sync and diversity against the scale, each with its own axis, as the paper has it."""
    figure = new_figure(6.4, 4.0, f"3DiFACE, figure 3. Guidance against diversity\nours: {setup.legend}")
    lips = figure.subplots()
    diversity = lips.twinx()
    for axis, key, color, label in ((lips, "Lip-Sync", OURS, "Lip-Sync (mm)"), (diversity, "Div", SECOND, "Div (mm)")):
        values = [None if row[key] is None else 1e3 * row[key] for row in rows]
        if None not in values:
            axis.plot([row["scale"] for row in rows], values, "o-", color=color)
        axis.set_ylabel(label, color=color)
        axis.tick_params(axis="y", colors=color)
    lips.set_xlabel("guidance scale s")
    plain(lips)
    diversity.spines["top"].set_visible(False)
    save(figure, path)
