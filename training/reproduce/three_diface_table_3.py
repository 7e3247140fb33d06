"""3DiFACE's table 3: in-betweening, with shares of a take given at both ends or keyframes at random."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

from training.bars import Bar
from training.reproduce.figures import bar_figure
from training.reproduce.report import format_table, write_report
from training.reproduce.setup import Setup
from training.reproduce.subjects import PERSONAL_SECONDS, test_subjects
from training.reproduce.three_diface import COLUMNS, ERRORS, Task, legend, measure_tasks, paper

SYNTHESIS = "nothing given"

SHARES = {f"{100 * share:g} % given at the ends": share for share in (0.05, 0.1, 0.2, 0.5)}
RATES = {f"{rate} keyframe{'s' if rate > 1 else ''} a second": float(rate) for rate in (1, 2, 3)}

PAPER = dict(zip((SYNTHESIS, *SHARES, *RATES), (
    paper(1.35, 1.40, 3.41, 0.09, 0.69),
    paper(1.27, 1.17, 3.19, 0.09, 0.65),
    paper(1.24, 1.15, 2.98, 0.08, 0.61),
    paper(1.15, 1.01, 2.66, 0.07, 0.54),
    paper(0.90, 0.68, 1.74, 0.05, 0.33),
    paper(1.26, 1.28, 3.17, 0.09, 0.65),
    paper(1.14, 1.20, 2.98, 0.08, 0.62),
    paper(1.05, 1.10, 2.77, 0.07, 0.59),
), strict=True))  # fmt: skip
"""The paper's table 3: one of its test subjects, the model personalised on it."""

EXACT = 2e-5
"""Metres by which a given vertex may be off: what the takes' 16-bit displacements round to."""


def run(setup: Setup) -> str:
    """Train, personalise, measure and write table 3 and its figure; returns the table's text with the bars."""
    subject = test_subjects(setup)[-1]

    def task(**given: float) -> list[Task]:
        return [Task(subject, personal=PERSONAL_SECONDS, **given)]

    found = measure_tasks(setup, {
        SYNTHESIS: task(),
        **{name: task(keep=share) for name, share in SHARES.items()},
        **{name: task(keyframes=rate) for name, rate in RATES.items()},
    })  # fmt: skip
    rows = [{"name": name, **row, "paper": PAPER[name]} for name, row in found.items()]
    what = f"; personalised on {PERSONAL_SECONDS:g} s; of the share given, half is at the beginning and half at the end"
    text = format_table("3DiFACE, table 3", legend(setup, [subject], what), COLUMNS, rows)
    bars = [
        Bar(f"{error}: largest ratio of a row to the one before, {words}", max(b / a for a, b in pairwise(values)), "<=", 1.0)
        for words, names in (("more given at the ends", SHARES), ("more keyframes", RATES))
        for error in ERRORS
        for values in [[found[name][error] for name in (SYNTHESIS, *names)]]
    ]
    bars.append(Bar("a given vertex is off by, micrometres", 1e6 * max(row["given"] for row in found.values()), "<=", 1e6 * EXACT))
    content = {
        "target": "3diface-table-3", "data": setup.data, "budget": dataclasses.asdict(setup.budget),
        "subjects": {subject.name: [u.id for u in subject.tested]}, "rows": rows,
    }  # fmt: skip
    text = write_report(setup.out, "3diface-table-3", text, content, bars)
    bar_figure(rows, COLUMNS[1:], f"3DiFACE, table 3. Ours: {setup.legend}", setup.out / "3diface-table-3.png")
    return text
