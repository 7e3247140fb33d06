"""3DiFACE's table 2: the network against two others, seconds to personalise on, and noise."""

from __future__ import annotations

import dataclasses

from training.reproduce.figures import bar_figure
from training.reproduce.report import format_table, write_report
from training.reproduce.setup import Setup
from training.reproduce.subjects import PERSONAL_SECONDS, test_subjects
from training.reproduce.three_diface import COLUMNS, Task, legend, measure_tasks, paper

OURS = paper(1.57, 1.56, 4.01, 0.11, 0.78)

PAPER = {
    "attention instead of concatenation": paper(0.0, 1.68, 5.17, 0.15, 0.88),
    "FaceFormer's transformer": paper(0.0, 3.49, 6.20, 0.19, 0.96),
    "ours": OURS,
    "personalised on 5 s": paper(29.95, 4.89, 13.05, 0.37, 1.95),
    "personalised on 30 s": paper(0.18, 1.81, 4.90, 0.13, 0.86),
    "personalised on 60 s": paper(0.67, 1.69, 4.18, 0.12, 0.83),
    "personalised on 100 s": OURS,
    "noise at 12 dB": paper(6.41, 2.56, 6.68, 0.19, 0.94),
    "noise at 24 dB": paper(2.54, 1.97, 4.93, 0.13, 0.84),
    "noise at 36 dB": paper(1.85, 1.78, 4.40, 0.12, 0.77),
}
"""The paper's table 2: (a) architecture, (b) seconds, (c) noise; all personalised, on 100 s where nothing else is said."""

BACKBONES = {"attention instead of concatenation": "attention", "FaceFormer's transformer": "transformer", "ours": "convolution"}


def run(setup: Setup) -> str:
    """Train, personalise, measure and write table 2 and its figure; returns the table's text."""
    subjects = test_subjects(setup)

    def tasks(**changes) -> list[Task]:
        return [Task(one, **{"personal": PERSONAL_SECONDS, **changes}) for one in subjects]

    rows_of = {name: tasks(backbone=backbone) for name, backbone in BACKBONES.items()}
    rows_of |= {f"personalised on {seconds} s": tasks(personal=float(seconds)) for seconds in (5, 30, 60, 100)}
    rows_of |= {f"noise at {decibels} dB": tasks(noise=float(decibels)) for decibels in (12, 24, 36)}
    found = measure_tasks(setup, rows_of)
    rows = [{"name": name, **row, "paper": PAPER[name]} for name, row in found.items()]
    text = format_table(
        "3DiFACE, table 2", legend(setup, subjects, "; noise is white and so far below the speech's own power"), COLUMNS, rows
    )
    content = {
        "target": "3diface-table-2", "data": setup.data, "budget": dataclasses.asdict(setup.budget),
        "subjects": {one.name: [u.id for u in one.tested] for one in subjects}, "rows": rows,
    }  # fmt: skip
    text = write_report(setup.out, "3diface-table-2", text, content)
    bar_figure(rows, COLUMNS[1:], f"3DiFACE, table 2. Ours: {setup.legend}", setup.out / "3diface-table-2.png")
    return text
