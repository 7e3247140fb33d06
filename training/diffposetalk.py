"""What DiffPoseTalk minimises (paper, sections 3.2 and 3.3.2, eqs. 2 to 6).

Means over channels and frames are taken where the paper prints squared norms, as its released training does. The
appendix with the losses of the head is not part of the paper; they are those of the released training.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from render.rigs.load import find_rig
from talker.encoders import SpeechEncoder
from talker.errors import TalkerError
from talker.models.diffposetalk import DiffPoseTalk, WindowCondition
from talker.style import SHORTEST, StyleConfig, StyleEncoder
from training.dataset import Batch, FeatureCache
from training.geometry import FlameGeometry, RigGeometry
from training.losses import Noised, closure_emphasis, loss_weights, total_loss
from training.recipe import Recipe

LOSS_WEIGHTS = {"simple": 1.0, "vertex": 2e6, "velocity": 1e7, "smooth": 1e5, "head": 1.0, "distill": 0.1}
"""λ of eq. 6 (section 4.2, which prints λ_vel twice and means λ_vert the first time), and DiffusionTalker's λ5 for students."""

HEAD_WEIGHTS = {"angle": 0.05, "velocity": 5.0, "smooth": 0.5, "transition": 0.5}
"""Of the parts of L_head, on standardised angles."""

DROP_STYLE, DROP_BOTH = 0.45, 0.1
"""Shares of the windows that are trained without style, and without speech and style (section 3.3.3)."""

TRUNCATE = (0.3, 0.4)
"""Shares of first and second windows that are cut at a random frame (section 3.3.2; shares of the released training)."""


def masked_mean(error: Tensor, mask: Tensor) -> Tensor:
    """Mean of error (B, T, C) over its channels and the frames where mask (B, T) is True, or weighted by it; 0 where there
    are none."""
    return (error.mean(dim=-1) * mask).sum() / mask.sum().clamp_min(1)


def difference_masks(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Of frames (B, T): where both frames of a first difference count, and all three of a second one."""
    pairs = mask[:, 1:] & mask[:, :-1]
    return pairs, pairs[:, 1:] & pairs[:, :-1]


def geometric_losses(
    prediction: Tensor, truth: Tensor, mask: Tensor, emphasis: Tensor | float = 1.0
) -> dict[str, Tensor]:
    """Eqs. 3 to 5 on positions (B, T, K), whose rows count where mask (B, T) is True; emphasis (B, T) weighs eq. 3's."""
    pairs, triples = difference_masks(mask)
    return {
        "vertex": masked_mean((prediction - truth) ** 2, mask * emphasis),
        "velocity": masked_mean((prediction.diff(dim=1) - truth.diff(dim=1)) ** 2, pairs),
        "smooth": masked_mean(prediction.diff(n=2, dim=1) ** 2, triples),
    }


def head_loss(
    prediction: Tensor, truth: Tensor, mask: Tensor, previous: int, first: Tensor, weights: dict[str, float] = HEAD_WEIGHTS
) -> Tensor:
    """L_head of angles (B, Tp + T, 3): the same three losses, and one that keeps velocity and acceleration steady from
    the given frames before a window into it, for windows that are not a take's first."""
    angle, velocity, smooth = geometric_losses(prediction, truth, mask).values()
    across = torch.cat([truth[:, previous - 3 : previous], prediction[:, previous : previous + 3]], dim=1)
    going_on = (mask[:, previous + 2] & ~first)[:, None].expand(-1, 2)
    steady = masked_mean(across.diff(n=2, dim=1)[:, 1:3] ** 2, going_on)
    steady = steady + masked_mean(across.diff(n=3, dim=1)[:, :2] ** 2, going_on)
    parts = {"angle": angle, "velocity": velocity, "smooth": smooth, "transition": steady}
    return sum(weights[name] * part for name, part in parts.items())


def config_fields(recipe: Recipe, train: FeatureCache) -> dict:
    """Fields of DiffPoseTalkConfig that follow from others of the recipe and from the features.

    A model without a style encoder has no room for styles, one of ARKit's coefficients none for a face's shape.
    """
    trunk = {}
    if recipe.train_encoder:
        trunk = json.loads(SpeechEncoder.from_pretrained(recipe.encoder).model.config.to_json_string())
    return {
        "style_dim": StyleConfig.dim if recipe.style_encoder else 0,
        "shape_dim": 0 if train.shapes is None else train.shapes.shape[1],
        "trunk": trunk,
    }


def load_trunk(model: DiffPoseTalk, recipe: Recipe) -> None:
    """Begin with the speech encoder's own weights. TalkerError for models that do not train it."""
    if getattr(model, "trunk", None) is None:
        raise TalkerError(f"{recipe.model} leaves the speech encoder as it is; set train_encoder: false in the recipe.")
    model.trunk.load_from(SpeechEncoder.from_pretrained(recipe.encoder).model)


def objective(model: DiffPoseTalk, recipe: Recipe) -> DiffPoseTalkObjective:
    """What a recipe minimises. TalkerError where its crops, its style encoder or its FLAME file do not fit the model."""
    if set(recipe.crop_frames) != {2 * recipe.window_frames}:
        raise TalkerError("DiffPoseTalk trains on crops of two windows; set both crop_frames to twice window_frames.")
    style_encoder = StyleEncoder.from_pretrained(recipe.style_encoder) if recipe.style_encoder else None
    if style_encoder is not None:
        own, wanted = style_encoder.config, model.config
        if (own.channels, own.fps) != (wanted.channels, wanted.fps) or own.frames < wanted.window_frames:
            raise TalkerError(
                f"The style encoder {recipe.style_encoder} is for {len(own.channels)} channels at {own.fps:g} frames a second in "
                f"windows of {own.frames}, the model for {len(wanted.channels)} at {wanted.fps:g} in windows of "
                f"{wanted.window_frames}; train one with `python -m training style-encoder` and the same settings."
            )
    geometry = FlameGeometry(Path(recipe.flame)) if recipe.flame else RigGeometry(find_rig(recipe.rig or None)[0])
    return DiffPoseTalkObjective(model, style_encoder, geometry, recipe.loss_weights, 1.0 if recipe.flame else recipe.closure_weight)


class DiffPoseTalkObjective(nn.Module):
    """Eq. 6 for one batch of crops of two windows (section 3.3.2).

    The first window of a crop begins with the start features, the second goes on from the first; each is given the
    other one's style.

    style_encoder : trained and frozen; None for the ablation without styles
    geometry      : motion → positions (training.geometry)
    closure       : how much more closed lips count in "simple" and "vertex" (training.losses.closure_emphasis); 1 for FLAME's
    """

    def __init__(
        self,
        model: DiffPoseTalk,
        style_encoder: StyleEncoder | None,
        geometry: nn.Module,
        weights: dict[str, float] | None = None,
        closure: float = 1.0,
    ):
        super().__init__()
        self.model, self.closure = model, closure
        # In a tuple, so that what is frozen is neither trained nor saved with the model.
        self.frozen = (style_encoder,)
        self.geometry = geometry
        self.weights = loss_weights(weights, LOSS_WEIGHTS)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        noised = self.noised(batch)
        return total_loss(self.losses(batch, noised, self.predict(self.model, noised)), self.weights)

    def predict(self, model: DiffPoseTalk, noised: Noised) -> Tensor:
        """X̂0 of the frames before the windows and of the windows (2B, Tp + Tw, C)."""
        return model.predict(noised.x, noised.step, noised.condition).float()

    def noised(self, batch: Batch) -> Noised:
        """Two windows of every crop, first all first ones, at random steps: x (2B, Tw, C), clean (2B, Tp + Tw, C)."""
        model, config = self.model, self.model.config
        length, before = config.window_frames, config.previous_frames
        clean = model.standardise(batch.motion)
        count = len(clean)
        heard = model.hear(batch.audio)
        valid = torch.cat([batch.weight[:, :length], batch.weight[:, length : 2 * length]]) > 0
        first = torch.arange(2 * count, device=clean.device) < count

        def stacked(frames: Tensor) -> tuple[Tensor, Tensor]:
            """Windows (2B, Tw, ·) and the frames before them (2B, Tp, ·), of no account for the first ones."""
            previous = frames[:, length - before : length]
            return torch.cat([frames[:, :length], frames[:, length : 2 * length]]), torch.cat([previous, previous])

        windows, previous = stacked(clean)
        speech, previous_speech = stacked(heard)
        style, told = self.styles(batch, valid)
        if self.training:
            valid = valid & self.truncation(valid)
        condition = WindowCondition(
            speech, style=style, previous=previous, previous_audio=previous_speech, first=first, valid=valid,
            shape=None if batch.shape is None else torch.cat([batch.shape, batch.shape]),
        )  # fmt: skip
        if style is not None:
            condition = condition.without(style=~told)
        if self.training:
            draw = torch.rand(2 * count, device=clean.device)
            condition = condition.without(audio=draw < DROP_BOTH, style=draw < DROP_BOTH + DROP_STYLE)
        # The second window's step is as uniform as the first's, and far from it.
        uniform = torch.cat([batch.uniform, (batch.uniform + 0.5) % 1])
        steps = model.schedule.steps
        step = (uniform * steps).long().clamp_max(steps - 1) + 1
        noise, _ = stacked(batch.noise)
        return Noised(
            torch.cat([previous, windows], dim=1), model.schedule.add_noise(windows, step, noise), step, condition, None
        )

    def clean_input(self, model: DiffPoseTalk, prediction: Tensor) -> Tensor:
        """The windows (2B, Tw, C) of a prediction."""
        return prediction[:, model.config.previous_frames :]

    def distances(
        self, batch: Batch, noised: Noised, prediction: Tensor, teacher: DiffPoseTalk, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(error, weight), both (2B, Tw): how far predicted windows are from a teacher's, and the frames of the speech."""
        valid = noised.condition.valid.to(prediction)
        return self.clean_input(self.model, (prediction - target) ** 2).mean(dim=-1), valid / valid.mean()

    def styles(self, batch: Batch, valid: Tensor) -> tuple[Tensor | None, Tensor]:
        """(s_b, s_a) for the first and second windows, (2B, 128), and where the other window is long enough to tell."""
        (encoder,) = self.frozen
        enough = valid.sum(dim=1) >= SHORTEST * self.model.config.fps
        if encoder is None:
            return None, enough
        encoder.to(batch.motion.device)
        length = self.model.config.window_frames
        motion = torch.cat([batch.motion[:, :length], batch.motion[:, length : 2 * length]])
        with torch.no_grad():
            styles = encoder(motion, valid)
        half = len(motion) // 2
        return styles.roll(half, dims=0), enough.roll(half, dims=0)

    def truncation(self, valid: Tensor) -> Tensor:
        """Random truncation (2B, Tw) bool: all frames, or those before a random one."""
        rows, frames = valid.shape
        share = torch.tensor(TRUNCATE, device=valid.device).repeat_interleave(rows // 2)
        end = torch.randint(1, frames, (rows,), device=valid.device)
        end = torch.where(torch.rand(rows, device=valid.device) < share, end, frames)
        return torch.arange(frames, device=valid.device) < end[:, None]

    def losses(self, batch: Batch, noised: Noised, prediction: Tensor) -> dict[str, Tensor]:
        """The losses of eq. 6, unweighted, of a prediction (2B, Tp + Tw, C); those of the head for models with one."""
        model, first = self.model, noised.condition.first
        before = model.config.previous_frames
        valid = noised.condition.valid
        # What comes before a first window is no motion, and nothing before an empty second one counts.
        given = (valid.any(dim=1) & ~first)[:, None].expand(-1, before)
        mask = torch.cat([given, valid], dim=1)
        motions = [motion * model.motion_std + model.motion_mean for motion in (prediction, noised.clean)]
        emphasis = 1.0 if self.closure == 1 else closure_emphasis(motions[1], self.closure)
        losses = {"simple": masked_mean((prediction - noised.clean) ** 2, mask * emphasis)}
        positions = [self.geometry(motion, noised.condition.shape) for motion in motions]
        losses |= geometric_losses(*positions, mask, emphasis)
        if model.head_channels is not None:
            heads = (motion[..., model.head_channels] for motion in (prediction, noised.clean))
            losses["head"] = head_loss(*heads, mask, before, first)
        return losses
