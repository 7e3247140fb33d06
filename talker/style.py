"""Speaking styles: what one vector says about how somebody speaks, from any motion of theirs.

The speaking style encoder of DiffPoseTalk (Sun et al. 2024, section 3.3.1): a transformer encoder of four layers
over a few seconds of motion, averaged over time. Trained by contrast (training.style_encoder), it tells how far a
mouth opens, how brows and lids are held and how a head moves, and not what is said.

How much something moves is hard to tell from an average over time of where it is. So, where `movement` of the config says
so, the encoder is shown beside each channel how far it is from its own mean over the window, and how fast it moves.

How far the head sways it hardly tells all the same, and denoisers follow what it tells of that not at all. It need not be
guessed: it is measured on the example, and heads are scaled by it (`head_gain`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talker.checkpoints import load_checkpoint, load_tensors
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES, FPS, HEAD_NAMES, Motion, resample, sway
from talker.windows import window_starts

SHORTEST = 1.0
"""Seconds of motion that a style can be told from."""

GAINS = 0.3, 2.5
"""The least and the most that a head is scaled by: a little more than from the corpus's typical speaker to any other."""


@dataclass(frozen=True)
class StyleConfig:
    """Sizes of the encoder (DiffPoseTalk, section 4.2); part of a checkpoint's config.json.

    channels : names of the motion's channels
    frames   : T, frames of a window in training; longer motion is averaged over windows of as many
    fps      : frames a second
    movement : whether it is shown movement beside the motion; see above; the paper does not
    styles   : the named styles with one line each, as many as the checkpoint has rows of vectors
    sways    : how far the heads of the named styles' speakers sway, rad (talker.motion.sway); empty if it saw no heads
    typical_sway : the same of all speakers it learned from, mean
    sway_foretold : how much of what one recording's sway says is the speaker's: the intraclass correlation of its
               logarithm over the speakers that it learned from
    """

    model_type: ClassVar[str] = "style-encoder"

    channels: list[str] = field(default_factory=lambda: [*ARKIT_NAMES, *HEAD_NAMES])
    dim: int = 128
    layers: int = 4
    heads: int = 4
    frames: int = 100
    fps: float = FPS
    dropout: float = 0.1
    movement: bool = False
    styles: dict[str, str] = field(default_factory=dict)
    sways: dict[str, float] = field(default_factory=dict)
    typical_sway: float = 0.0
    sway_foretold: float = 1.0

    def to_dict(self) -> dict:
        """As written to config.json."""
        return {"model_type": self.model_type, **asdict(self)}


def mean_over_time(values: Tensor, weight: Tensor) -> Tensor:
    """Mean (B, 1, C) of values (B, T, C) over the frames whose weight (B, T), 0 or 1 or bool, is not 0."""
    weight = weight.to(values)[..., None]
    return (values * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp_min(1)


def movement(motion: Tensor, weight: Tensor, fps: float) -> tuple[Tensor, Tensor]:
    """How far motion (B, T, C) is from its own mean over time, and how fast it moves: twice (B, T, C), from 0 up.

    Speed is that to the next frame (0 where it, or this one, weighs nothing), in units a second over 2π: about a sway's
    amplitude times its frequency in Hz.
    """
    together = (weight[:, 1:] * weight[:, :-1])[..., None]
    speed = F.pad((motion.diff(dim=1) * together).abs() * (fps / (2 * math.pi)), (0, 0, 0, 1))
    return (motion - mean_over_time(motion, weight)).abs(), speed


class StyleEncoder(nn.Module):
    """From motion to a style of length one, and the named styles."""

    def __init__(self, config: StyleConfig):
        super().__init__()
        self.config = config
        self.project = nn.Linear((3 if config.movement else 1) * len(config.channels), config.dim)
        layer = nn.TransformerEncoderLayer(
            config.dim, config.heads, 4 * config.dim, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(config.dim), enable_nested_tensor=False)
        self.register_buffer("motion_mean", torch.zeros(len(config.channels)))
        self.register_buffer("motion_std", torch.ones(len(config.channels)))
        self.register_buffer("vectors", torch.zeros(len(config.styles), config.dim))
        position = torch.arange(config.frames)[:, None]
        angles = position * torch.exp(-math.log(10000.0) * torch.arange(0, config.dim, 2) / config.dim)
        self.register_buffer("position", torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1), persistent=False)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Load a checkpoint folder. Raises TalkerError when it is missing, broken or of something else."""
        config, tensors = load_checkpoint(folder)
        if config.get("model_type") != StyleConfig.model_type:
            raise TalkerError(
                f"The checkpoint {folder} is a {config.get('model_type')!r}, not a style encoder; give style-encoder's folder."
            )
        known = {f.name for f in fields(StyleConfig)}
        model = cls(StyleConfig(**{name: value for name, value in config.items() if name in known}))
        load_tensors(model, tensors, folder)
        return model.to(device).eval().requires_grad_(False)

    def forward(self, motion: Tensor, valid: Tensor | None = None) -> Tensor:
        """Styles (B, 128) of length one (eq. 8): motion (B, T, C) in its own units, T at most config.frames;
        valid (B, T) bool, False in padding.

        NT-Xent compares directions alone, so a style's length would mean nothing.
        """
        seen = (motion - self.motion_mean) / self.motion_std
        weight = seen.new_ones(seen.shape[:2]) if valid is None else valid.to(seen)
        if self.config.movement:
            seen = torch.cat([seen, *movement(seen, weight, self.config.fps)], dim=-1)
        hidden = self.project(seen) + self.position[: motion.shape[1]]
        hidden = self.transformer(hidden, src_key_padding_mask=None if valid is None else ~valid).float()
        return F.normalize(mean_over_time(hidden, weight).squeeze(1), dim=-1)

    @torch.inference_mode()
    def encode(self, motion: Motion) -> Tensor:
        """The style of a motion, (128,): the mean direction of its windows' styles.

        Raises TalkerError when the motion is shorter than SHORTEST, or the encoder is not for ARKit's coefficients.
        """
        if self.config.channels[: len(ARKIT_NAMES)] != list(ARKIT_NAMES):
            raise TalkerError("This style encoder is for FLAME's motion; give one that was trained on coefficients.")
        if motion.seconds < SHORTEST:
            raise TalkerError(
                f"The motion for the style lasts {motion.seconds:.2f} s; give at least {SHORTEST:g} s of somebody who speaks."
            )
        motion = resample(motion, self.config.fps)
        return self.encode_channels(np.concatenate([motion.coefficients, motion.head], axis=1)[:, : len(self.config.channels)])

    @torch.inference_mode()
    def encode_channels(self, motion: np.ndarray) -> Tensor:
        """The style (128,) of motion (T, C) in the encoder's channels and at its frame rate, of any length."""
        length = min(len(motion), self.config.frames)
        frames = torch.as_tensor(motion, dtype=torch.float32, device=self.motion_mean.device)
        windows = torch.stack([frames[start : start + length] for start in window_starts(len(motion), length, length // 2)])
        return F.normalize(self(windows).mean(dim=0), dim=-1)

    def named_styles(self) -> dict[str, str]:
        """The styles that ship with the checkpoint: name → one line of what it is."""
        return dict(self.config.styles)

    def style(self, name: str) -> Tensor:
        """The vector (128,) of a named style. TalkerError for a name that none has."""
        names = list(self.config.styles)
        if name not in names:
            raise TalkerError(f"There is no style {name!r}; choose one of {', '.join(names)}, or give a motion file as an example.")
        return self.vectors[names.index(name)]

    def head_gain(self, style: str | Motion) -> float:
        """By how much more than a typical head that of a style sways, of a named one or of a motion: 1 where the encoder
        saw no heads or the motion has none. Of what a single motion shows sway_foretold is expected of its speaker again."""
        named = isinstance(style, str)
        own, trust = (self.config.sways.get(style, 0.0), 1.0) if named else (sway(style.head), self.config.sway_foretold)
        if not own or not self.config.typical_sway:
            return 1.0
        return float(np.clip((own / self.config.typical_sway) ** trust, *GAINS))
