"""Progressive distillation (paper, section 3.4): a student learns to do two teacher steps in one.

    python -m training distill --teacher runs/teacher/checkpoint --out runs/student

The paper's printed indices slip in eqs. 8 and 9 (both noise levels are written after τ = t, the
student's own step); what is meant is Algorithm 2 of Salimans and Ho, "Progressive Distillation for
Fast Sampling of Diffusion Models" (2022), which this follows.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from talker.errors import TalkerError
from talker.models.diffusiontalker import DiffusionTalker
from talker.models.motion_model import Condition
from talker.samplers import Denoiser, ddim_step
from talker.schedules import Schedule
from training.dataset import Batch
from training.losses import (
    distill_loss,
    identity_embeddings,
    loss_weights,
    noise_batch,
    teacher_losses,
    total_loss,
)
from training.trainer import CHECKPOINT_FOLDER, Trainer, add_run_arguments, prepare


@torch.no_grad()
def distillation_target(
    teacher: Denoiser, x: Tensor, step: Tensor, condition: Condition, teacher_schedule: Schedule
) -> Tensor:
    """x̃ of eq. 9: the x0 with which ONE DDIM step of the student lands where TWO of the teacher's do.

    x    : (B, T, C) noisy motion at the student's step
    step : (B,) long, 1..N of the student; the teacher's steps are 2·step and 2·step - 1
    """
    levels = [teacher_schedule.alpha_bar(2 * step.cpu() - k).to(x.device).view(-1, 1, 1) for k in range(3)]
    middle = ddim_step(x, teacher(x, 2 * step, condition), levels[0], levels[1])
    landing = ddim_step(middle, teacher(middle, 2 * step - 1, condition), levels[1], levels[2])
    ratio = ((1 - levels[2]) / (1 - levels[0])).sqrt()
    target = (landing.double() - ratio * x.double()) / (levels[2].sqrt() - ratio * levels[0].sqrt())
    return target.to(x.dtype)


def make_student(teacher: DiffusionTalker, lip_noise: float = 1.0) -> DiffusionTalker:
    """A copy of the teacher on every second step of its grid, to be sampled with DDIM from that much lip noise."""
    schedule = teacher.schedule.every_second()
    config = dataclasses.replace(teacher.config, alpha_bars=schedule.alpha_bars.tolist(), sampler="ddim", lip_noise=lip_noise)
    student = DiffusionTalker(config)
    student.load_state_dict(teacher.state_dict())
    return student


class DistillationObjective(nn.Module):
    """Eq. 11 for one batch: the teacher's losses (eq. 10) and the distill loss (eq. 16)."""

    def __init__(self, student: DiffusionTalker, teacher: DiffusionTalker, weights: dict[str, float] | None = None):
        super().__init__()
        if teacher.schedule.steps != 2 * student.schedule.steps:
            raise TalkerError(
                f"A student of {student.schedule.steps} steps needs a teacher of twice as many, "
                f"not {teacher.schedule.steps}."
            )
        self.model = student
        self.teacher = teacher.requires_grad_(False).eval()
        self.weights = loss_weights(weights)

    def train(self, mode: bool = True) -> "DistillationObjective":
        """Only the student goes into training mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        noised = noise_batch(self.model, batch)
        # The teacher's own embeddings: what it learned to be conditioned on.
        condition = Condition(batch.audio, identity_embeddings(self.teacher, batch))
        target = distillation_target(
            lambda x, step, condition: self.teacher(x, step, condition).float(),
            noised.x, noised.step, condition, self.teacher.schedule,
        )  # fmt: skip
        prediction = self.model(noised.x, noised.step, noised.condition).float()
        losses = teacher_losses(batch, noised, prediction)
        snr = self.model.schedule.snr(noised.step).to(prediction)
        losses["distill"] = distill_loss(prediction, target, snr, batch.weight)
        return total_loss(losses, self.weights)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training distill`."""
    add_run_arguments(parser, "distill")
    parser.add_argument("--teacher", required=True, help="checkpoint folder of the teacher")
    parser.add_argument("--stages", type=int, nargs="+", help="students' steps in order, instead of the recipe's (16 8)")


def run(args: argparse.Namespace) -> None:
    """Distil through all stages; each stage's student is the next one's teacher."""
    recipe, accelerator, caches = prepare(args)
    stages = args.stages or list(recipe.stages)
    teacher = DiffusionTalker.from_pretrained(args.teacher)
    for steps in stages:
        if teacher.schedule.steps != 2 * steps:
            raise TalkerError(
                f"The stages {stages} do not halve a teacher of {teacher.schedule.steps} steps; "
                "give --stages as its half, then the half of that."
            )
        student = make_student(teacher, recipe.lip_noise)
        objective = DistillationObjective(student, teacher, recipe.loss_weights)
        folder = Path(args.out) / f"{steps}-steps"
        teacher = Trainer(recipe, objective, caches, folder, accelerator).fit()
        accelerator.free_memory()
    if accelerator.is_main_process:
        print(f"The {stages[-1]}-step student is in {folder / CHECKPOINT_FOLDER}.")
    accelerator.end_training()
