"""Table 2: DiffusionTalker against FaceDiffuser and deterministic regression, all trained for the same time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from talker.motion import FPS
from training import metrics
from training.bars import Bar
from training.beat import Utterance
from training.loudness_jaw import loudness_jaw
from training.reproduce.measurement import errors_of, inference_times, machine
from training.reproduce.models import baseline, measured_step_seconds, student
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.runs import Run, train
from training.reproduce.setup import Setup


PAPER = {
    "regression": {"MBE": 1.0537, "LBE": 0.2628, "|FDD|": 0.0751, "ITF": 9.3e-4},
    "facediffuser-1000": {"MBE": 0.4332, "LBE": 0.1071, "|FDD|": 0.1786, "ITF": 1000.9e-4},
    "facediffuser-8": {"MBE": 0.8372, "LBE": 0.2115, "|FDD|": 0.0589, "ITF": 8.2e-4},
    "ours": {"MBE": 0.4094, "LBE": 0.0969, "|FDD|": 0.1558, "ITF": 7.1e-4},
}
"""The paper's table 2; its regression is EmoTalk."""

NAMES = {
    "regression": "regression (EmoTalk in the paper)",
    "facediffuser-1000": "FaceDiffuser, 1000 steps",
    "facediffuser-8": "FaceDiffuser, 8 steps",
    "ours": "DiffusionTalker, 8 steps, distilled",
}

COLUMNS = (
    Column("name", "model"),
    Column("training_steps", "training\nsteps", "d"),
    Column("training_minutes", "CPU\nminutes", ".1f"),
    Column("MBE", "MBE", paper=True),
    Column("LBE", "LBE", paper=True),
    Column("|FDD|", "|FDD|", paper=True),
    Column("ITF", "ITF (1e-4 s)", ".1f", 1e4, paper=True),
    Column("LBE, unseen", "LBE, unseen\nspeakers"),
)


def rows_of(setup: Setup) -> dict[str, Run]:
    """Key -> training, every model for as long as the student and its teachers; with the papers' own budgets
    (steps 0) each for its own epochs."""
    budget, ours = setup.budget, student(setup.budget)
    rivals = {
        "regression": baseline(budget, "regression"),
        "facediffuser-1000": baseline(budget, "facediffuser", 1000),
        "facediffuser-8": baseline(budget, "facediffuser", 8),
    }
    if not budget.steps:
        return {**rivals, "ours": ours}
    seconds = measured_step_seconds(setup, [*ours.chain(), *rivals.values()])
    total = sum(run.steps * one for run, one in zip(ours.chain(), seconds))
    times = zip(rivals.items(), seconds[len(ours.chain()) :], strict=True)
    runs = {key: dataclasses.replace(run, steps=max(1, round(total / one))) for (key, run), one in times}
    return {**runs, "ours": ours}


def loudness_errors(utterances: Iterable[Utterance]) -> dict[str, float]:
    """MBE, LBE and |FDD| of a jaw driven by loudness alone, as evaluate.errors gives them for a model."""
    rows = []
    for utterance in utterances:
        speech = utterance.speech()
        frames = speech.frames(FPS)
        predicted, truth = loudness_jaw(speech.samples, frames), utterance.motion(FPS, frames).coefficients
        rows.append([measure(predicted, truth) for measure in (metrics.mbe, metrics.lbe, metrics.fdd)])
    mbe, lbe, fdd = np.mean(rows, axis=0)
    return {"MBE": float(mbe), "LBE": float(lbe), "|FDD|": abs(float(fdd))}


def run(setup: Setup) -> str:
    """Train, measure and write table 2; returns its text."""
    budget = setup.budget
    runs = rows_of(setup)
    train(runs.values(), setup)
    checkpoints = [one.checkpoint(setup) for one in runs.values()]
    known = setup.held_out()
    unseen = setup.held_out(split="heldout_speaker") if setup.has("heldout_speaker") else []
    groups = [known, unseen] if unseen else [known]
    errors = errors_of([(path, None, group) for path in checkpoints for group in groups], setup)
    strangers = errors[1::2] if unseen else [{} for _ in runs]
    errors = errors[:: len(groups)]
    published = runs["facediffuser-1000"].checkpoint(setup)
    *times, every_step = inference_times(checkpoints, budget.seconds, budget.repeats, [published])
    rows: list[dict] = [{
        "name": "jaw by loudness alone", **loudness_errors(known),
        "LBE, unseen": loudness_errors(unseen)["LBE"] if unseen else None,
    }]  # fmt: skip
    for (key, one), error, stranger, time in zip(runs.items(), errors, strangers, times):
        rows.append({
            "name": NAMES[key], "training_steps": one.trained_steps(setup),
            "training_minutes": one.training_seconds(setup) / 60,
            **{name: error[name] for name in ("MBE", "LBE", "|FDD|")}, "LBE, unseen": stranger.get("LBE"),
            **time, "paper": PAPER[key],
        })  # fmt: skip
    of = dict(zip(runs, rows[1:]))
    slow = of["facediffuser-1000"]
    again = {"name": "  the same, encoding in every step", **every_step}
    bars = [
        Bar(f"{measured} speakers: student / {rival}", of["ours"][key] / of[row][key], "<=", 1.0)
        for key, measured in (("LBE", "LBE, known"), ("LBE, unseen", "LBE, unseen"))[: len(groups)]
        for row, rival in (("facediffuser-1000", "FaceDiffuser, 1000 steps"), ("regression", "regression"))
    ]
    bars += [
        Bar(f"ITF: student / FaceDiffuser, 1000 steps, speech encoded {times}", of["ours"]["ITF"] / itf, "<=", 0.01)
        for times, itf in (("once", slow["ITF"]), ("in every step", again["ITF"]))
    ]
    rows.insert(rows.index(slow) + 1, again)
    trained = "all trained for the same time, by what steps took beforehand" if budget.steps else "50 epochs each"
    legend = [
        f"ours:  {setup.legend}, {trained}, teachers included; {len(known)} held-out utterances "
        f"and {len(unseen)} of unseen speakers, {budget.takes} takes each",
        f"       ITF on {machine()}: {budget.seconds:g} s of speech, one take, median of {budget.repeats}",
        "       all encode the speech once; FaceDiffuser's published code encodes it in every step, as timed in the row below it",
        "paper: BEAT, NVIDIA V100 (Chen et al., table 2)",
    ]
    text = format_table("Table 2. DiffusionTalker and other methods on blendshapes", legend, COLUMNS, rows)
    content = {
        "target": "table-2", "data": setup.data, "budget": dataclasses.asdict(budget), "machine": machine(),
        "utterances": [u.id for u in known], "unseen": [u.id for u in unseen], "rows": rows,
    }  # fmt: skip
    return write_report(setup.out, "table-2", text, content, bars)
