"""Losses of DiffusionTalker (paper, section 3.5.1, eqs. 10 to 16).

All motion losses are taken on standardised motion, so that a millimetre of lip and a degree of brow
count by how much they vary, not by their units. Where the paper prints a squared norm or a sum
(eqs. 12, 13, 15, 16), the mean over channels and frames is taken, so that the λ mean the same for any
length of crop.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talker.errors import TalkerError
from talker.models.motion_model import Condition, MotionModel
from talker.motion import ARKIT_INDEX, LIP_REGION
from training.dataset import Batch

LOSS_WEIGHTS = {"expression": 1.0, "lip": 1.0, "contrast": 0.007, "velocity": 0.5, "distill": 0.1}
"""λ1 to λ5 of eqs. 10 and 11."""


def weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Mean of error (B, T, C) with weight (B, T), whose own mean is 1 over the global batch."""
    return (error.mean(dim=-1) * weight).mean()


JAW_OPEN = 0.03
"""An opening of the jaw, as a coefficient, below which lips need no closing."""


def closure_emphasis(motion: Tensor, closure: float) -> Tensor:
    """Weights of frames (B, T) of motion (B, T, C), coefficients that are not standardised: `closure` where the lips are
    held together over an open jaw, as in P, B and M, 1 elsewhere. Not the papers'.

    A prediction that is not sure of a closure is a mean of closed and open lips, and a miss is what is seen first.
    """
    jaw, close = motion[..., ARKIT_INDEX["jawOpen"]], motion[..., ARKIT_INDEX["mouthClose"]]
    # The fourth power tells them from F and V, over which mouthClose takes back half of the jaw's opening.
    return 1 + (closure - 1) * (close / jaw.clamp_min(JAW_OPEN)).clamp(0, 1) ** 4


def emphasised(batch: Batch, closure: float) -> Batch:
    """The batch with closed lips counting `closure` times as much; 1 for motion that is not coefficients."""
    return batch if closure == 1 else dataclasses.replace(batch, weight=batch.weight * closure_emphasis(batch.motion, closure))


def expression_loss(prediction: Tensor, clean: Tensor, weight: Tensor) -> Tensor:
    """Eq. 12 over all channels (B, T, C)."""
    return weighted_mean((prediction - clean) ** 2, weight)


def lip_loss(prediction: Tensor, clean: Tensor, weight: Tensor, channels: Tensor) -> Tensor:
    """Eq. 13 over the lip region's channels."""
    return weighted_mean((prediction[..., channels] - clean[..., channels]) ** 2, weight)


def velocity_loss(prediction: Tensor, clean: Tensor, pair_weight: Tensor) -> Tensor:
    """Eq. 15: squared difference of the first differences in time. pair_weight : (B, T - 1)."""
    return weighted_mean((prediction.diff(dim=1) - clean.diff(dim=1)) ** 2, pair_weight)


def contrast_loss(logits: Tensor, speaker: Tensor) -> Tensor:
    """Eq. 14: cross-entropy of each voice's similarities with all identities.

    logits  : (B, K) cosine similarities over temperature
    speaker : (B,) row of the voice's own identity; -1 (not in the library) does not count
    """
    return F.cross_entropy(logits, speaker, ignore_index=-1, reduction="sum") / len(speaker)


def distill_loss(error: Tensor, snr: Tensor, weight: Tensor) -> Tensor:
    """Eq. 16: squared distance from the teacher's x̃, error (B, T), weighted with max(SNR, 1). snr : (B,)."""
    return (error * weight * snr.clamp_min(1.0)[:, None]).mean()


@dataclass(frozen=True)
class Noised:
    """A batch taken to random diffusion steps. clean, x : (B, T, C) standardised, or as an objective has them;
    step : (B,); logits : (B, K) of the voices over the identities, None for a model without."""

    clean: Tensor
    x: Tensor
    step: Tensor
    condition: Condition
    logits: Tensor | None


def identity_embeddings(model: MotionModel, batch: Batch, logits: Tensor | None = None) -> Tensor | None:
    """Embeddings (B, 32) of a batch's speakers; for a speaker outside the library, of its voice's match.
    None for a model without identities."""
    if model.library is None:
        return None
    logits = model.library.logits(batch.voice) if logits is None else logits
    return model.library.embeddings[torch.where(batch.speaker >= 0, batch.speaker, logits.argmax(dim=-1))]


def noise_batch(model: MotionModel, batch: Batch) -> Noised:
    """Standardise, draw a step per crop uniformly from 1..N, add noise (eq. 1), look up identities."""
    schedule = model.schedule
    step = (batch.uniform * schedule.steps).long().clamp_max(schedule.steps - 1) + 1
    clean = model.standardise(batch.motion)
    with torch.autocast(clean.device.type, enabled=False):
        # Similarities of neighbouring voices differ by less than bfloat16 can tell.
        logits = None if model.library is None else model.library.logits(batch.voice)
    condition = Condition(batch.audio, identity_embeddings(model, batch, logits))
    return Noised(clean, schedule.add_noise(clean, step, batch.noise), step, condition, logits)


def teacher_losses(batch: Batch, noised: Noised, prediction: Tensor) -> dict[str, Tensor]:
    """The losses of eq. 10, unweighted: four, or three for a model without identities."""
    losses = {
        "expression": expression_loss(prediction, noised.clean, batch.weight),
        "lip": lip_loss(prediction, noised.clean, batch.weight, torch.from_numpy(LIP_REGION)),
    }
    if noised.logits is not None:
        losses["contrast"] = contrast_loss(noised.logits, batch.speaker)
    return {**losses, "velocity": velocity_loss(prediction, noised.clean, batch.pair_weight)}


def loss_weights(changes: dict[str, float] | None, defaults: dict[str, float] = LOSS_WEIGHTS) -> dict[str, float]:
    """An objective's weights with changes. Raises TalkerError for a loss that does not exist."""
    unknown = sorted(set(changes or {}) - set(defaults))
    if unknown:
        raise TalkerError(
            f"There is no loss {unknown[0]} as in the recipe's loss_weights; the losses are {', '.join(defaults)}."
        )
    return {**defaults, **(changes or {})}


def total_loss(losses: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
    """The losses with their weighted sum (eqs. 10 and 11) as "total"."""
    return {"total": sum(weights[name] * loss for name, loss in losses.items()), **losses}


class DiffusionObjective(nn.Module):
    """Eq. 10 for one batch: what a model trained from data minimises. A weight of 0 leaves a loss out of the
    total, but not out of the log. closure : how much more closed lips count (closure_emphasis)."""

    def __init__(self, model: MotionModel, weights: dict[str, float] | None = None, closure: float = 1.0):
        super().__init__()
        self.model, self.closure = model, closure
        self.weights = loss_weights(weights)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        noised = self.noised(batch)
        return total_loss(self.losses(batch, noised, self.predict(self.model, noised)), self.weights)

    def noised(self, batch: Batch) -> Noised:
        """The batch at random diffusion steps."""
        return noise_batch(self.model, batch)

    def predict(self, model: MotionModel, noised: Noised) -> Tensor:
        """What the losses are taken of."""
        return model(noised.x, noised.step, noised.condition).float()

    def losses(self, batch: Batch, noised: Noised, prediction: Tensor) -> dict[str, Tensor]:
        """The losses of a prediction, unweighted."""
        return teacher_losses(emphasised(batch, self.closure), noised, prediction)

    def clean_input(self, model: MotionModel, prediction: Tensor) -> Tensor:
        """The x0 of a model's prediction, as `predict` is given x."""
        return prediction

    def distances(
        self, batch: Batch, noised: Noised, prediction: Tensor, teacher: MotionModel, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(error, weight), both (B, T): how far a prediction of self.model is from a teacher's, and what frames count."""
        return ((prediction - target) ** 2).mean(dim=-1), batch.weight
