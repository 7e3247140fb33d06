"""3DiFACE's table 1: strangers with guidance 0.5, with lips that are guided more closely and as published, and with
guidance 1 as published; and with a model that is personalised on 100 s of them."""

from __future__ import annotations

import dataclasses

from training.bars import Bar
from training.reproduce.figures import bar_figure
from training.reproduce.report import format_table, write_report
from training.reproduce.setup import Setup
from training.reproduce.subjects import PERSONAL_SECONDS, test_subjects
from training.reproduce.three_diface import COLUMNS, ERRORS, GUIDANCE, Task, legend, measure_tasks, paper

PAPER = {
    "guidance 0.5": {},
    "guidance 0.5 for all": paper(2.57, 1.71, 5.20, 0.15, 0.86),
    "guidance 1": paper(0.64, 1.62, 5.13, 0.15, 0.84),
    "personalised": paper(1.57, 1.56, 4.01, 0.11, 0.78),
}
"""Rows 6, 7 and 9 of the paper's table 1."""

PAPER_ONLY = {
    "VOCA": paper(None, 5.30, 7.06, 0.20, 0.94),
    "Faceformer": paper(None, 2.85, 5.41, 0.14, 0.80),
    "Imitator": paper(None, 1.95, 4.95, 0.12, 0.85),
    "CodeTalker": paper(1.40, 2.55, 5.02, 0.14, 0.88),
    "FaceDiffuser": paper(0.05, 1.60, 5.20, 0.16, 0.89),
    "Imitator, personalised": paper(None, 1.35, 3.43, 0.09, 0.76),
}
"""Its other rows, of methods that are not of this project."""

DIVERSITY, LIPS = 1.5, 1.15
"""How much more diverse guidance 0.5 has to be than 1, and by how much its lips may be further off."""


def run(setup: Setup) -> str:
    """Train, personalise, measure and write table 1 and its figure; returns the table's text with the bars."""
    subjects = test_subjects(setup)
    found = measure_tasks(setup, {
        "guidance 0.5": [Task(one, guidance=GUIDANCE) for one in subjects],
        "guidance 0.5 for all": [Task(one, guidance=GUIDANCE, lip_guidance=0.0) for one in subjects],
        "guidance 1": [Task(one, guidance=1.0, lip_guidance=0.0) for one in subjects],
        "personalised": [Task(one, personal=PERSONAL_SECONDS) for one in subjects],
    })  # fmt: skip
    names = {"guidance 0.5": "guidance 0.5, lips as the recipe says", "personalised": f"personalised on {PERSONAL_SECONDS:g} s, guidance {GUIDANCE:g}"}
    rows = [{"name": names.get(name, name), **row, "paper": PAPER[name]} for name, row in found.items()]
    rows += [{"name": f"{name} (the paper's row)", "paper": row} for name, row in PAPER_ONLY.items()]
    text = format_table("3DiFACE, table 1", legend(setup, subjects), COLUMNS, rows)
    close, personal = found["guidance 1"], found["personalised"]
    bars = []
    for name in ("guidance 0.5", "guidance 0.5 for all"):
        if found[name]["Div"] is not None:
            bars.append(Bar(f"diversity: {name} / 1", found[name]["Div"] / close["Div"], ">=", DIVERSITY))
        bars.append(Bar(f"lips, Lip-max: {name} / 1", found[name]["Lip-max"] / close["Lip-max"], "<=", LIPS))
    bars += [Bar(f"{name}: personalised / not", personal[name] / found["guidance 0.5"][name], "<=", 1.0) for name in ERRORS]
    content = {
        "target": "3diface-table-1", "data": setup.data, "budget": dataclasses.asdict(setup.budget),
        "subjects": {one.name: [u.id for u in one.tested] for one in subjects}, "rows": rows,
    }  # fmt: skip
    text = write_report(setup.out, "3diface-table-1", text, content, bars)
    title = f"3DiFACE, table 1. Ours: {setup.legend}"
    bar_figure(rows[: len(found)], COLUMNS[1:], title, setup.out / "3diface-table-1.png")
    return text
