"""Table 5: what the 8-step model loses without each of its parts."""

from __future__ import annotations

import dataclasses

from training.reproduce.measurement import described, errors_of, start_noise
from training.reproduce.models import scratch, student
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.runs import Run, train
from training.reproduce.setup import Budget, Setup

PAPER = {
    "ours": {"MBE": 0.4094, "LBE": 0.0969},
    "without knowledge distillation": {"MBE": 0.4545, "LBE": 0.1177},
    "without lip loss": {"MBE": 0.4222, "LBE": 0.1037},
    "without velocity loss": {"MBE": 0.4414, "LBE": 0.1129},
    "without identity embedding": {"MBE": 0.4306, "LBE": 0.1034},
}
"""The paper's table 5."""

COLUMNS = (
    Column("name", "8 steps"),
    Column("training_steps", "training\nsteps", "d"),
    Column("MBE", "MBE", paper=True),
    Column("LBE", "LBE", paper=True),
    Column("|FDD|", "|FDD|"),
)


def rows_of(budget: Budget) -> dict[str, Run]:
    """Row -> training. Teachers and students go without a part alike."""
    return {
        "ours": student(budget),
        "without knowledge distillation": scratch(budget, 8, as_students=True),
        "without lip loss": student(budget, changes=(("loss_weights.lip", 0),)),
        "without velocity loss": student(budget, changes=(("loss_weights.velocity", 0),)),
        "without identity embedding": student(budget, changes=(("identity", False),)),
    }


def run(setup: Setup) -> str:
    """Train, measure and write table 5; returns its text."""
    budget, runs = setup.budget, rows_of(setup.budget)
    train(runs.values(), setup)
    utterances = setup.held_out()
    # The model from scratch is sampled as students are, so that rows differ in their training alone.
    noise = start_noise(budget)
    sampling = {"sampler": "ddim", **noise}
    errors = errors_of([(one.checkpoint(setup), sampling, utterances) for one in runs.values()], setup)
    rows = [
        {"name": name, "training_steps": one.trained_steps(setup), **error, "paper": PAPER[name]}
        for (name, one), error in zip(runs.items(), errors)
    ]
    legend = [
        f"ours:  {setup.legend}, training steps with those of the teachers; "
        f"{len(utterances)} held-out utterances, {budget.takes} takes each",
        f"       all rows sampled alike: DDIM, {described(noise)}",
        "paper: BEAT (Chen et al., table 5)",
    ]
    text = format_table("Table 5. Ablations of the 8-step model", legend, COLUMNS, rows)
    content = {
        "target": "table-5", "data": setup.data, "budget": dataclasses.asdict(budget), "sampling": sampling,
        "utterances": [u.id for u in utterances], "rows": rows,
    }  # fmt: skip
    return write_report(setup.out, "table-5", text, content)
