"""The trainings that tables are made of: teacher, students, models from scratch, and the methods beside ours."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from talker.atomic import whole_file
from talker.pipeline import checkpoint_folder
from training.distillation import DistillationObjective, make_student
from training.features import feature_caches
from training.reproduce.runs import STYLE_ENCODER, Run, side_by_side, train
from training.reproduce.setup import Budget, Setup, digest
from training.trainer import Trainer, build_model, make_accelerator, objective_of

TEACHER_STEPS = 32


def teacher(budget: Budget, changes: tuple = ()) -> Run:
    """The 32-step model that students are distilled from."""
    return Run("teacher", budget.recipes["diffusiontalker"], TEACHER_STEPS, budget.steps, changes=budget.changes + changes)


def student(budget: Budget, steps: int = 8, changes: tuple = ()) -> Run:
    """A model of 16 or 8 steps, distilled from the teacher by halving its steps again and again."""
    above = teacher(budget, changes) if 2 * steps == TEACHER_STEPS else student(budget, 2 * steps, changes)
    return Run(f"student-{steps}", budget.recipes["distill"], steps, budget.distill_steps, above, budget.changes + changes)


def scratch(budget: Budget, steps: int, as_students: bool = False) -> Run:
    """A model of that many steps trained from data: as long as the teacher, or as the student of as many steps and its
    teachers together, so that distillation is compared with training, and not with less training."""
    stages = {16: 1, 8: 2}.get(steps, 0) if as_students else 0
    trained = budget.steps and budget.steps + stages * budget.distill_steps
    return Run(f"scratch-{steps}", budget.recipes["diffusiontalker"], steps, trained, changes=budget.changes)


def baseline(budget: Budget, model: str, diffusion_steps: int | None = None, steps: int | None = None) -> Run:
    """ "facediffuser" or "regression", for so many training steps, the budget's unless given."""
    name = model if diffusion_steps is None else f"{model}-{diffusion_steps}"
    steps = budget.steps if steps is None else steps
    return Run(name, budget.recipes[model], diffusion_steps, steps, changes=budget.changes)


def style_encoder(budget: Budget, head: bool = True) -> Run:
    """The speaking-style encoder of DiffPoseTalk, of coefficients with the head's angles or without."""
    recipe, steps, name = budget.recipes[STYLE_ENCODER], budget.steps_of(STYLE_ENCODER), STYLE_ENCODER
    changes = () if head else (("head", False),)
    return Run(name if head else f"{name}-no-head", recipe, None, steps, changes=changes, verb=STYLE_ENCODER)


def diffposetalk(budget: Budget, name: str = "diffposetalk", changes: tuple = (), styles: bool = True) -> Run:
    """DiffPoseTalk with a style encoder that is given what it makes, or without styles."""
    styled = style_encoder(budget, dict(changes).get("head", True)) if styles else None
    changes = changes if styles else (*changes, ("style_encoder", ""))
    recipe, steps = budget.recipes["diffposetalk"], budget.steps_of("diffposetalk")
    return Run(name, recipe, None, steps, changes=changes, style_encoder=styled)


def three_diface(budget: Budget, left_out: Sequence[str], backbone: str = "convolution") -> Run:
    """3DiFACE trained without the test subjects."""
    changes: tuple = (("left_out", tuple(left_out)),)
    if backbone != "convolution":
        # Longer crops, as many frames a batch: attention cannot be trained on short ones (section 4).
        changes += (("backbone", backbone), ("crop_frames", (100, 130)), ("batch_size", 32))
    return Run(f"3diface-{backbone}", budget.recipes["3diface"], None, budget.steps_of("3diface"), changes=changes)


def the_student(setup: Setup) -> tuple[Path, str]:
    """(checkpoint, what a table calls it) of the 8-step student: the setup's model, or one that is trained now."""
    if setup.model:
        return checkpoint_folder(setup.model), f"the checkpoint {setup.model}"
    run = student(setup.budget)
    train([run], setup)
    return run.checkpoint(setup), f"8 steps, distilled, {run.trained_steps(setup)} training steps with its teachers"


WARM_UP, TIMED = 2, 10
"""Training steps before the clock runs, and those that are timed."""


def step_seconds(setup: Setup, runs: Sequence[Run]) -> list[float]:
    """Median seconds of a training step of each run, in one thread, their steps taking turns."""
    torch.set_num_threads(1)
    # As the trainer counts: waiting for a busy CPU is no training.
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    with tempfile.TemporaryDirectory() as folder:
        trainers = []
        for number, run in enumerate(runs):
            recipe = run.changed_recipe().replace(encoder=setup.encoder)
            if run.diffusion_steps:
                recipe = recipe.replace(diffusion_steps=run.diffusion_steps * (2 if run.teacher else 1))
            caches = feature_caches(setup.features, setup.corpus, setup.encoder, recipe.variants)
            train = caches["train"]
            # A student has the network of the first of its teachers, which its own recipe does not name.
            model = build_model(run.chain()[0].changed_recipe().replace(diffusion_steps=recipe.diffusion_steps), train)
            if run.teacher:
                student = make_student(model, run.diffusion_steps)
                objective = DistillationObjective(objective_of(student, recipe, train), model)
            else:
                objective = objective_of(model, recipe, train)
            trainers.append(
                Trainer(recipe, objective, caches, Path(folder) / str(number), make_accelerator(recipe), progress=False)
            )
        seconds: list[list[float]] = [[] for _ in runs]
        for _ in range(WARM_UP + TIMED):
            for own, trainer in zip(seconds, trainers):
                started = clock()
                trainer.train_step()
                own.append(clock() - started)
    return [statistics.median(own[WARM_UP:]) for own in seconds]


def measured_step_seconds(setup: Setup, runs: Sequence[Run]) -> list[float]:
    """step_seconds before the first training; kept, because it decides for how long the models train."""
    kept = setup.runs / "trained" / f"step-seconds-{digest([run.settings(setup) for run in runs])}.json"
    if not kept.exists():
        setup.prepare()
        found = side_by_side(step_seconds, [(setup, list(runs))], setup.jobs, "time training steps")[0]
        with whole_file(kept) as temporary:
            temporary.write_text(json.dumps(found))
    return json.loads(kept.read_text())
