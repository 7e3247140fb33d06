"""Fine-tuning on one person's recordings: what of them trains, decides when to stop and is held out, and the loop.

talker.enrol fine-tunes an identity's embedding with it, talker.personalise all of a model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from talker.errors import TalkerError
from talker.models.motion_model import Condition, MotionModel
from talker.motion import Motion

CHECK_EVERY, PATIENCE, CHECKS = 10, 3, 4
"""Training steps from one look at the part that decides to the next, looks without a better one that end it, and pieces
of a recording that are looked at."""

Difference = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(audio (B, T, D), clean (B, T, C), step (B,), noise (B, T, C)) -> predicted less clean motion, (B, T', C) for the last
T' frames."""


@dataclass(frozen=True)
class Reference:
    """A recording of the person: audio (T, D) features, clean (T, C) standardised motion, and the frames to train on,
    those that decide when to stop and those held out."""

    audio: torch.Tensor
    clean: torch.Tensor
    train: slice
    stop: slice
    held: slice


def parts(frames: int, share: float) -> tuple[slice, slice, slice]:
    """Of a recording's frames: those to train on, those that decide when to stop, those held out; a share for each of
    the latter two."""
    stop, end = round(frames * (1 - 2 * share)), round(frames * (1 - share))
    return slice(0, stop), slice(stop, end), slice(end, frames)


def references(model: MotionModel, pairs: Sequence[tuple[np.ndarray, Motion]], share: float) -> list[Reference]:
    """Recordings for a model: pairs of speech features (T, D) with motion of T frames at the model's frame rate."""
    device = model.motion_mean.device
    found = []
    for frames, motion in pairs:
        values = torch.from_numpy(np.concatenate([motion.coefficients, motion.head], axis=1)).to(device)
        if not model.vertices:
            values = values[:, : model.channels]
        found.append(Reference(torch.from_numpy(frames).to(device), model.standardise(values), *parts(len(frames), share)))
    return found


def trainable_copy(model: MotionModel) -> MotionModel:
    """A copy in training mode, in which recurrent layers have the fast backward pass, but without dropout."""
    model = copy.deepcopy(model).train()
    for module in model.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def fine_tune(
    model: MotionModel,
    groups: Sequence[dict],
    difference: Difference,
    recordings: Sequence[Reference],
    steps: int,
    batch: int,
    crop: int,
    velocity: float = 0.0,
    penalty: Callable[[], torch.Tensor] | None = None,
    clip_norm: float = 0.0,
    seed: int = 0,
    callback: Callable[[str, float], None] | None = None,
) -> None:
    """Find the parameters, in place, with which `difference` is least, by Adam.

    groups : as torch.optim.Adam takes them, {"params": tensors, "lr": learning rate} each

    Minimises the squared difference, standardised, at random steps of the model's schedule and random crops
    (DiffusionTalker's eq. 12, 3DiFACE's eq. 4), plus `velocity` times that of its first differences (eqs. 15 and 5), plus
    the penalty. Every CHECK_EVERY steps the squared difference on the part that decides (CHECKS pieces of it at most) is
    taken at several diffusion steps with fixed noise; the parameters that were best there stay, and PATIENCE looks
    without a better one end it.
    crop : frames of a training crop, fewer where a recording has fewer; seed : of crops, steps and noise
    callback : called with ("tune", fraction done)
    """
    generator = torch.Generator().manual_seed(seed)
    levels = torch.arange(1, model.schedule.steps + 1)[:: max(1, model.schedule.steps // 8)]
    parameters = [parameter for group in groups for parameter in group["params"]]
    optimiser = torch.optim.Adam(groups)
    checks = []
    for one in recordings:
        begins = np.arange(one.stop.start, one.stop.stop, crop)
        for begin in begins[np.unique(np.linspace(0, len(begins) - 1, CHECKS).round().astype(int))]:
            # The frames before are heard too, but do not count.
            first, last = max(0, begin - crop // 2), min(begin + crop, one.stop.stop)
            noise = torch.randn((len(levels), last - first, model.channels), generator=generator)
            checks.append((one.audio[first:last], one.clean[first:last], int(last - begin), noise))

    @torch.no_grad()
    def check() -> float:
        losses = []
        for audio, clean, counted, noise in checks:
            shape = (len(levels), -1, -1)
            missed = difference(audio.expand(shape), clean.expand(shape), levels, noise)
            losses.append((missed[:, -counted:] ** 2).mean().item())
        return sum(losses) / len(losses)

    best, best_loss, since = [parameter.detach().clone() for parameter in parameters], check(), 0
    weights = torch.tensor([float(one.train.stop) for one in recordings])
    length = min(crop, *(one.train.stop for one in recordings))
    for done in range(1, steps + 1):
        crops = []
        for row in torch.multinomial(weights, batch, replacement=True, generator=generator):
            one = recordings[row]
            begin = int(torch.randint(one.train.stop - length + 1, (), generator=generator))
            crops.append((one.audio[begin : begin + length], one.clean[begin : begin + length]))
        audio, clean = (torch.stack(part) for part in zip(*crops))
        step = torch.randint(1, model.schedule.steps + 1, (batch,), generator=generator)
        missed = difference(audio, clean, step, torch.randn(clean.shape, generator=generator))
        loss = (missed**2).mean() + (velocity * (missed.diff(dim=1) ** 2).mean() if velocity else 0.0)
        optimiser.zero_grad()
        (loss + (penalty() if penalty else 0.0)).backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimiser.step()
        if callback is not None:
            callback("tune", done / steps)
        if done % CHECK_EVERY == 0:
            now, since = check(), since + 1
            if now < best_loss:
                best, best_loss, since = [parameter.detach().clone() for parameter in parameters], now, 0
            if since == PATIENCE:
                break
    with torch.no_grad():
        for parameter, value in zip(parameters, best):
            parameter.copy_(value)
    if callback is not None:
        callback("tune", 1.0)
