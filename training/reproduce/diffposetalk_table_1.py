"""DiffPoseTalk's table 1: what guidance, alignment mask, geometric losses, styles and head do for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from render.rigs.load import find_rig
from talker.atomic import whole_file
from training import style_evaluation
from training.beat import read_corpus
from training.reproduce.figures import bar_figure
from training.reproduce.measurement import load_talker
from training.reproduce.models import diffposetalk
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.runs import Run, side_by_side, train
from training.reproduce.setup import Budget, Setup, checkpoint_digest, digest
from training.style_evaluation import CONDITIONS, Surface, corpus_beat_alignment, with_styles

GUIDANCE = {"audio": 1.15, "style": 3.0}
"""w_a and w_s of eq. 10, which the paper leaves open; those of its released demonstration."""

NO_GUIDANCE = dict.fromkeys(GUIDANCE, 1.0)

RUNS = 10
"""Evaluations that the paper averages over; so many takes with its own budget."""


def paper(lve: float, fdd: float, mod: float, ba: float | None, intervals: Sequence[float] = (), **diversity: float) -> dict:
    """A row of the paper's table in metres; intervals : half the confidence intervals of the same in print."""
    row = {"LVE": lve * 1e-3, "FDD": fdd * 1e-5, "MOD": mod * 1e-3, "BA": ba, **diversity}
    scales = {"LVE": 1e-3, "FDD": 1e-5, "MOD": 1e-3, "BA": 1.0}
    return row | {f"{name} ±": value * scales[name] for name, value in zip(scales, intervals)}


PAPER_ONLY = {
    "FaceFormer": paper(9.90, 16.95, 2.63, None, (0.030, 0.016, 0.015)),
    "CodeTalker": paper(12.71, 12.44, 2.87, None, (0.057, 0.064, 0.034)),
    "FaceDiffuser": paper(12.12, 15.48, 3.50, None, (0.038, 0.048, 0.052)),
    "Yi et al.": paper(9.99, 21.50, 2.42, 0.26),
}
"""Rows of methods that are not of this project; SadTalker's has another face."""

PAPER = {
    "ours": paper(8.94, 9.60, 1.62, 0.29, (0.013, 0.027, 0.009, 0.005), **{"Div exp": 2.19e-4, "Div head": 1.16}),
    "without head": paper(8.81, 10.13, 1.72, None, (0.008, 0.038, 0.009), **{"Div exp": 2.83e-4}),
    "without geometric losses": paper(11.29, 15.11, 2.14, 0.28, (0.012, 0.043, 0.013, 0.009)),
    "without alignment mask": paper(12.81, 12.58, 2.18, 0.24, (0.011, 0.049, 0.007, 0.006)),
    "without guidance": paper(9.58, 9.59, 1.56, 0.29, (0.014, 0.032, 0.011, 0.010)),
    "without style encoder": paper(11.33, 12.97, 2.03, 0.28, (0.013, 0.052, 0.017, 0.005)),
}
"""The paper's table 1: 8 of 10 methods, on TFHP, faces of FLAME."""

STYLES = {"random": "ours, in another speaker's style", "none": "ours, without a style"}
"""Two rows more than the paper has: what the right style is worth."""

COLUMNS = (
    Column("name", "model"),
    Column("training_steps", "training\nsteps", "d"),
    Column("LVE", "LVE (mm)", ".2f", 1e3, paper=True),
    Column("FDD", "FDD (1e-5 m)", ".2f", 1e5, paper=True),
    Column("MOD", "MOD (mm)", ".2f", 1e3, paper=True),
    Column("BA", "BA", ".3f", paper=True),
    Column("Div exp", "Div exp (1e-4)", ".2f", 1e4, paper=True),
    Column("Div head", "Div head", ".2f", paper=True),
)


def rows_of(budget: Budget) -> dict[str, Run]:
    """Row -> training; without guidance is our own model, sampled without it."""
    geometry = tuple((f"loss_weights.{name}", 0) for name in ("vertex", "velocity", "smooth"))
    return {
        "ours": diffposetalk(budget),
        "without head": diffposetalk(budget, "diffposetalk-no-head", (("head", False),)),
        "without geometric losses": diffposetalk(budget, "diffposetalk-no-geometry", geometry),
        "without alignment mask": diffposetalk(budget, "diffposetalk-no-alignment", (("alignment", False),)),
        "without guidance": diffposetalk(budget),
        "without style encoder": diffposetalk(budget, "diffposetalk-no-style", styles=False),
    }


def measure_row(
    checkpoint: Path, corpus: Path, names: Sequence[str], condition: str, takes: int, options: dict, rig: str | None, folder: Path
) -> dict:
    """style_evaluation.measure of a checkpoint, in one thread; kept in a folder and found there again."""
    torch.set_num_threads(1)
    kept = folder / f"styles-{digest(checkpoint_digest(checkpoint), corpus, names, condition, takes, options, rig)}.json"
    if not kept.exists():
        wanted = set(names)
        spoken = with_styles(corpus, [u for u in read_corpus(corpus) if u.id in wanted])
        surface = Surface.of(find_rig(rig)[0])
        found = style_evaluation.measure(load_talker(checkpoint), spoken, condition, surface, takes, **options)
        with whole_file(kept) as temporary:
            temporary.write_text(json.dumps(found, indent=1))
    return json.loads(kept.read_text())


def run(setup: Setup) -> str:
    """Train, measure and write table 1 and its figure; returns the table's text with the bars."""
    budget, runs = setup.budget, rows_of(setup.budget)
    train(runs.values(), setup)
    takes = budget.takes if budget.steps else RUNS
    names = [one.utterance.id for one in with_styles(setup.corpus, setup.held_out())]
    tasks = {}
    for name, one in runs.items():
        styled = one.style_encoder is not None
        # Without a style nothing is there that its guidance could exaggerate.
        scales = NO_GUIDANCE if name == "without guidance" else GUIDANCE if styled else GUIDANCE | {"style": 1.0}
        tasks[name] = one, "right" if styled else "none", {**budget.sampling, "guidance": scales}
    tasks["random"] = runs["ours"], "random", tasks["ours"][2]
    tasks["none"] = runs["ours"], "none", tasks["without style encoder"][2]
    arguments = [
        (one.checkpoint(setup), setup.corpus, names, condition, takes, options, setup.rig, setup.runs / "measured")
        for one, condition, options in tasks.values()
    ]
    found = dict(zip(tasks, side_by_side(measure_row, arguments, setup.jobs, "measure styles and heads")))
    alignment = corpus_beat_alignment(setup.corpus)
    rows = [
        {"name": STYLES.get(name, name), "training_steps": task[0].trained_steps(setup), **found[name], "paper": PAPER.get(name, {})}
        for name, task in tasks.items()
    ]
    rows.append({"name": "the corpus against itself", "BA": alignment})
    rows += [{"name": f"{name} (the paper's row)", "paper": row} for name, row in PAPER_ONLY.items()]
    legend = [
        f"ours:  {setup.legend}; {len(names)} held-out utterances in the style of another recording of their speakers, "
        f"{takes} takes each, one run of the evaluation per take",
        f"       guidance {GUIDANCE['audio']:g} by speech and {GUIDANCE['style']:g} by style; "
        f"sampled by {describe(budget.sampling)}; ± is half of the 95 % confidence interval over runs",
        "       diversity of expressions is the mean distance of a vertex in two takes, in metres, that of the head in degrees",
        "paper: TFHP and HDTF, faces of FLAME (Sun et al., table 1)",
    ]
    text = format_table("DiffPoseTalk, table 1", legend, COLUMNS, rows)
    content = {
        "target": "diffposetalk-table-1", "data": setup.data, "budget": dataclasses.asdict(budget), "guidance": GUIDANCE,
        "utterances": names, "rows": rows,
    }  # fmt: skip
    bars = style_evaluation.bars({c: found["ours" if c == "right" else c] for c in CONDITIONS}, alignment)
    text = write_report(setup.out, "diffposetalk-table-1", text, content, bars)
    bar_figure(
        rows[: len(tasks)], [column for column in COLUMNS if column.key in ("LVE", "FDD", "MOD", "BA")],
        f"DiffPoseTalk, table 1. Ours: {setup.legend}", setup.out / "diffposetalk-table-1.png",
    )  # fmt: skip
    return text


def describe(sampling: dict) -> str:
    """How models are sampled, in words."""
    return f"{sampling['sampler']} in {sampling['steps']} steps" if sampling else "all steps of their own schedule"
