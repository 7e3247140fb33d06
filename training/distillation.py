"""Progressive distillation (paper, section 3.4): a student learns to do two teacher steps in one.

    python -m training distill --teacher runs/teacher/checkpoint --out runs/student
    python -m training distill --teacher runs/teacher/checkpoint --start runs/student/8-steps/checkpoint --out runs/further

The paper's printed indices slip in eqs. 8 and 9 (both noise levels are written after τ = t, the
student's own step); what is meant is Algorithm 2 of Salimans and Ho, "Progressive Distillation for
Fast Sampling of Diffusion Models" (2022), which this follows.

It serves every model. Two things are chosen here, for models that the paper does not have:

- A teacher of more steps than a student halves (500, and 16) walks twice the student's steps, evenly
  spaced over its own and taken by DDIM, so that 500 → 16 → 8 is the paper's chain 32 → 16 → 8. Halving
  from 512 would spend five of seven stages on steps so short that DDIM takes 16 of them at once alike.
- Guidance is kept, not baked in: student and teacher leave out the same conditions, for as many crops as
  in the teacher's training, so the student learns each prediction that guidance combines (talker.guidance),
  and every scale means what it meant for the teacher. A student of the guided teacher (Meng et al., "On
  Distillation of Guided Diffusion Models", CVPR 2023) would need one pass a step instead of two or three,
  but be told the scales, and see six or more teacher passes a crop in training instead of two.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from talker.checkpoints import load_config
from talker.errors import TalkerError
from talker.models import DENOISERS
from talker.models.diffposetalk import DiffPoseTalk
from talker.models.motion_model import START_NOISE, MotionModel
from talker.models.three_diface import ThreeDiFace
from talker.samplers import Denoiser, ddim_step
from talker.schedules import Schedule
from training.dataset import Batch, FeatureCache
from training.losses import distill_loss, identity_embeddings, total_loss
from training.recipe import Recipe
from training.trainer import CHECKPOINT_FOLDER, FurtherTrainer, Trainer, add_run_arguments, objective_of, prepare


SHARED: dict[type[MotionModel], str] = {ThreeDiFace: "motion_encoder.weight", DiffPoseTalk: "trunk."}
"""What student and teacher have in common, so that one batch is the same to both: what x is where it is never made of
vertices (training.three_diface), and what a speech encoder that was trained with the teacher hears."""


def teacher_steps(schedule: Schedule, steps: int) -> list[int]:
    """What a teacher walks for a student of so many steps: 0, then the 2 · steps of its own, rising. The student's
    step k does in one what leads from the teacher's number 2k over 2k - 1 to 2k - 2. TalkerError when it has too few."""
    if schedule.steps < 2 * steps:
        raise TalkerError(
            f"A student of {steps} steps needs a teacher of at least twice as many, not {schedule.steps}; give --stages "
            "that begin with half of the teacher's steps or fewer."
        )
    return [0, *reversed(schedule.subset(2 * steps))]


@torch.no_grad()
def distillation_target(
    teacher: Denoiser, x: Tensor, step: Tensor, condition: Any, schedule: Schedule, steps: int,
    clean_input: Callable[[Tensor], Tensor] = lambda prediction: prediction,
) -> Tensor:  # fmt: skip
    """x̃ of eq. 9: the x0 with which ONE DDIM step of the student lands where TWO of the teacher's do.

    x           : (B, T, C) noisy motion at the student's step
    step        : (B,) long, 1..N of the student
    schedule    : the teacher's; steps : N of the student
    clean_input : the x0 that a prediction means for the next x, where a model predicts more than that
    Returns what the teacher predicts, combined: x cancels out of eq. 9, and what is left is a mean of the two
    predictions, weighted by how far each of them takes x.
    """
    grid = torch.tensor(teacher_steps(schedule, steps))
    walked = [grid[2 * step.cpu() - k] for k in range(3)]
    levels = [schedule.alpha_bar(own).to(x.device).view(-1, 1, 1) for own in walked]
    first = teacher(x, walked[0].to(x.device), condition)
    middle = ddim_step(x, clean_input(first), levels[0], levels[1])
    second = teacher(middle, walked[1].to(x.device), condition)
    # DDIM leads from x to a x0 + b x: b is the quotient of the noise levels, a what the signal's level lacks then.
    ratios = [((1 - after) / (1 - before)).sqrt() for before, after in zip(levels, levels[1:])]
    of_first, of_second = (
        after.sqrt() - ratio * before.sqrt() for before, after, ratio in zip(levels, levels[1:], ratios)
    )
    share = (ratios[1] * of_first / (ratios[1] * of_first + of_second)).to(x.dtype)
    return share * first + (1 - share) * second


def make_student(teacher: MotionModel, steps: int, **noise: float) -> MotionModel:
    """A copy of the teacher on `steps` of its grid, to be sampled with DDIM.

    noise : values of START_NOISE; 1 without
    """
    taken = teacher_steps(teacher.schedule, steps)[2::2]
    alpha_bars = teacher.schedule.thinned(steps).alpha_bars.tolist()
    own = {"alpha_bars": alpha_bars, "sampler": "ddim", **dict.fromkeys(START_NOISE, 1.0), **noise}
    config = dataclasses.replace(teacher.config, **own)
    student = type(teacher)(config)
    student.load_state_dict(teacher.weights_on(taken))
    return keep_shared(student)


def started(folder: str | Path, teacher: MotionModel) -> MotionModel:
    """The student in a checkpoint folder, to go on with. TalkerError unless it takes its steps on the teacher's grid and
    knows the same identities."""
    student = type(teacher).from_pretrained(folder)
    grid = teacher.schedule.alpha_bar(torch.tensor(teacher_steps(teacher.schedule, student.schedule.steps)[2::2]))
    own = student.schedule.alpha_bar(torch.arange(1, student.schedule.steps + 1))
    if student.config.identities != teacher.config.identities or not torch.allclose(own, grid):
        raise TalkerError(f"{folder} was not distilled from this teacher: its steps or its identities are others.")
    return keep_shared(student)


def keep_shared(student: MotionModel) -> MotionModel:
    """The student with what it has in common with its teacher (SHARED) left out of the training."""
    for name, parameter in student.named_parameters():
        if name.startswith(SHARED.get(type(student), ())):
            parameter.requires_grad_(False)
    return student


class DistillationObjective(nn.Module):
    """Eq. 11 for one batch: the losses that the teacher was trained with (eq. 10, or its own model's) and the distill
    loss (eq. 16).

    objective : of the student, as for training from data
    """

    def __init__(self, objective: nn.Module, teacher: MotionModel):
        super().__init__()
        teacher_steps(teacher.schedule, objective.model.schedule.steps)
        self.objective = objective
        self.teacher = teacher.requires_grad_(False).eval()

    @property
    def model(self) -> MotionModel:
        """The student."""
        return self.objective.model

    @property
    def noise_channels(self) -> int:
        """Numbers of noise a frame that a batch must bring."""
        return getattr(self.objective, "noise_channels", self.model.channels)

    def train(self, mode: bool = True) -> "DistillationObjective":
        """Only the student goes into training mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        objective, student, teacher = self.objective, self.model, self.teacher
        noised = objective.noised(batch)
        prediction = objective.predict(student, noised)
        # The teacher's own embeddings: what it learned to be conditioned on.
        condition = dataclasses.replace(noised.condition, identity=identity_embeddings(teacher, batch))
        target = distillation_target(
            lambda x, step, condition: objective.predict(
                teacher, dataclasses.replace(noised, x=x, step=step, condition=condition)
            ),
            noised.x, noised.step, condition, teacher.schedule, student.schedule.steps,
            lambda prediction: objective.clean_input(teacher, prediction),
        )  # fmt: skip
        losses = objective.losses(batch, noised, prediction)
        error, weight = objective.distances(batch, noised, prediction, teacher, target)
        losses["distill"] = distill_loss(error, student.schedule.snr(noised.step).to(error), weight)
        return total_loss(losses, objective.weights)


def recipe_for(model: str) -> str:
    """The recipe that a model of DENOISERS is distilled with unless another is given."""
    return "distill" if model == "diffusiontalker" else f"distill-{model}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training distill`."""
    add_run_arguments(parser, None)
    parser.add_argument("--teacher", required=True, help="checkpoint folder of the teacher")
    parser.add_argument("--stages", type=int, nargs="+", help="students' steps in order, instead of the recipe's (16 8)")
    parser.add_argument("--start", metavar="FOLDER", help="go on with this student of the teacher's, and make no others")


def run(args: argparse.Namespace) -> None:
    """Distil through all stages; each stage's student is the next one's teacher."""
    model = load_config(args.teacher).get("model_type")
    if model not in DENOISERS:
        raise TalkerError(f"The checkpoint {args.teacher} makes no motion; give one of {', '.join(DENOISERS)}.")
    args.recipe = args.recipe or recipe_for(model)
    recipe, accelerator, caches = prepare(args)
    if recipe.model != model:
        raise TalkerError(f"The recipe {recipe.name} is for {recipe.model} and the teacher is a {model}; choose another --recipe.")
    stages = args.stages or list(recipe.stages)
    teacher = DENOISERS[model].from_pretrained(args.teacher)
    if args.start:
        go_on(recipe, accelerator, caches, teacher, Path(args.start), Path(args.out))
        return
    for before, after in zip([teacher.schedule.steps, *stages], stages):
        if before < 2 * after:
            raise TalkerError(f"The stages {stages} do not halve a teacher of {teacher.schedule.steps} steps; give --stages such as 16 8.")
    for steps in stages:
        student = make_student(teacher, steps, **recipe.start_noise())
        objective = DistillationObjective(objective_of(student, recipe, caches["train"]), teacher)
        folder = Path(args.out) / f"{steps}-steps"
        teacher = Trainer(recipe, objective, caches, folder, accelerator).fit()
        accelerator.free_memory()
    if accelerator.is_main_process:
        print(f"The {stages[-1]}-step student is in {folder / CHECKPOINT_FOLDER}.")
    accelerator.end_training()


def go_on(
    recipe: Recipe, accelerator: Accelerator, caches: dict[str, FeatureCache], teacher: MotionModel, start: Path, out: Path
) -> None:
    """Trains the student in `start` for as many steps as the recipe has for a stage."""
    student = started(start, teacher)
    objective = DistillationObjective(objective_of(student, recipe, caches["train"]), teacher)
    FurtherTrainer(recipe, objective, caches, out, accelerator, before=load_config(start)).fit()
    if accelerator.is_main_process:
        print(f"The student that went on is in {out / CHECKPOINT_FOLDER}.")
    accelerator.end_training()
