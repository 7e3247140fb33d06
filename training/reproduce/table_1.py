"""Table 1 and figure 4: error and inference time by the number of steps, from scratch and distilled."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from talker.atomic import whole_file
from training.bars import Bar
from training.reproduce.measurement import described, errors_of, inference_times, machine, start_noise
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.models import TEACHER_STEPS, scratch, student, teacher
from training.reproduce.runs import Run, train
from training.reproduce.setup import Budget, Setup

PAPER = {
    (256, "no"): {"LBE": 0.1050, "|FDD|": 0.1693, "ITF": 255.5e-4},
    (128, "no"): {"LBE": 0.1059, "|FDD|": 0.1445, "ITF": 132.4e-4},
    (64, "no"): {"LBE": 0.1063, "|FDD|": 0.1517, "ITF": 65.3e-4},
    (32, "no"): {"LBE": 0.1053, "|FDD|": 0.1647, "ITF": 32.2e-4},
    (16, "no"): {"LBE": 0.1097, "|FDD|": 0.1656, "ITF": 16.8e-4},
    (8, "no"): {"LBE": 0.1177, "|FDD|": 0.1709, "ITF": 7.0e-4},
    (16, "yes"): {"LBE": 0.0957, "|FDD|": 0.1433, "ITF": 16.8e-4},
    (8, "yes"): {"LBE": 0.0969, "|FDD|": 0.1558, "ITF": 7.1e-4},
}
"""(Steps, whether distilled) -> the paper's table 1, without its row of NVIDIA TensorRT; seconds."""


LONGER = "no, longer"
"""In place of "no" for models from scratch that train as long as the student of as many steps and its teachers together."""


def rows_of(budget: Budget) -> dict[tuple[int, str], Run]:
    """(Steps, whether distilled) -> training, in the paper's order; the teacher is the row of 32 steps. Where the recipes
    say how long to train, nothing trains longer."""
    runs = {(steps, "no"): scratch(budget, steps) for steps in (256, 128, 64, 32, 16, 8)}
    runs[TEACHER_STEPS, "no"] = teacher(budget)
    if budget.steps:
        runs |= {(steps, LONGER): scratch(budget, steps, as_students=True) for steps in (16, 8)}
    return runs | {(steps, "yes"): student(budget, steps) for steps in (16, 8)}


COLUMNS = (
    Column("steps", "steps", "d"),
    Column("distilled", "distilled"),
    Column("training_steps", "training\nsteps", "d"),
    Column("LBE", "LBE", paper=True),
    Column("|FDD|", "|FDD|", paper=True),
    Column("ITF", "ITF (1e-4 s)", ".1f", 1e4, paper=True),
    Column("LBE, DDIM", "LBE, DDIM,\nless lip noise"),
)


def run(setup: Setup) -> str:
    """Train, measure and write table 1 and figure 4; returns the table's text."""
    budget, runs = setup.budget, rows_of(setup.budget)
    train(runs.values(), setup)
    utterances = setup.held_out()
    noise = start_noise(budget)
    checkpoints = [run.checkpoint(setup) for run in runs.values()]
    own, alike = (dict.fromkeys(noise, 1.0), {"sampler": "ddim", **noise})
    errors = errors_of([(path, sampling, utterances) for sampling in (own, alike) for path in checkpoints], setup)
    times = inference_times(checkpoints, budget.seconds, budget.repeats)
    rows = []
    for (key, one), first, second, time in zip(runs.items(), errors, errors[len(runs) :], times):
        rows.append({
            "steps": key[0], "distilled": key[1], "training_steps": one.trained_steps(setup),
            **{name: first[name] for name in ("MBE", "LBE", "|FDD|")}, "LBE, DDIM": second["LBE"],
            **time, "paper": PAPER.get(key, {}),
        })  # fmt: skip
    legend = [
        f"ours:  {setup.legend}, training steps as in the column, with those of the teachers; "
        f"{len(utterances)} held-out utterances, {budget.takes} takes each",
        f"       ITF on {machine()}: {budget.seconds:g} s of speech, one take, median of {budget.repeats}",
        f"       the last column samples every row alike: DDIM, {described(noise)}",
        "paper: BEAT, NVIDIA V100 (Chen et al., table 1)",
    ]
    text = format_table("Table 1. DiffusionTalker by its number of steps", legend, COLUMNS, rows)
    content = {
        "target": "table-1", "data": setup.data, "budget": dataclasses.asdict(budget), "machine": machine(),
        "utterances": [u.id for u in utterances], "start_noise_of_last_column": noise, "rows": rows,
    }  # fmt: skip
    of = dict(zip(runs, rows))
    distilled = of[8, "yes"]
    bars = [
        Bar(f"LBE, 8 steps{how}: distilled / {than}", distilled[key] / of[8, kind][key], "<=", 1.0)
        for kind, than in (("no", "from scratch as long as the teacher"), (LONGER, "as long as student and teachers"))
        if (8, kind) in of
        for key, how in (("LBE", ""), ("LBE, DDIM", ", sampled alike"))
    ]
    text = write_report(setup.out, "table-1", text, content, bars)
    write_figure_4(rows, setup, setup.out / "figure-4.png")
    return text


def write_figure_4(rows: list[dict], setup: Setup, path: Path) -> None:
    """Figure 4: ITF against steps, ours as measured with the line through them, and the paper's."""
    figure = Figure(figsize=(6.4, 4.4), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for label, marker, color in (("from scratch", "o", "#0072B2"), ("distilled", "s", "#D55E00")):
        chosen = [row for row in rows if (row["distilled"] == "yes") == (label == "distilled")]
        axis.plot([r["steps"] for r in chosen], [1e4 * r["ITF"] for r in chosen], marker, color=color, label=f"ours, {label}")
    steps, times = (np.array([row[key] for row in rows]) for key in ("steps", "ITF"))
    slope, offset = np.polyfit(steps, times, 1)
    span = np.array([0, steps.max()])
    label = f"line through ours: {1e4 * slope:.2f} a step + {1e4 * offset:.1f}"
    axis.plot(span, 1e4 * (slope * span + offset), "-", color="#0072B2", alpha=0.5, label=label)
    paper = [(row["steps"], 1e4 * row["paper"]["ITF"]) for row in rows if row["distilled"] == "no"]
    axis.plot(*zip(*paper), "x--", color="#7A7A7A", label="paper, BEAT, V100")
    axis.set(xlabel="Steps", ylabel="ITF (1e-4 s per frame)")
    axis.set_title(f"Figure 4. Inference time per frame against steps\nours: {setup.data}; {machine()}", size=10, loc="left")
    axis.grid(color="#e4e7eb")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png")
