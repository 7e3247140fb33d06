"""Deterministic regression after EmoTalk (Peng et al., ICCV 2023, arXiv 2303.11089): speech in, x0 out, one pass.

As published, from the paper and its released model: a linear map of the speech features to 512 numbers
a frame beside an embedding of the person goes through one layer of a transformer decoder with four
heads, whose feed-forward part is as wide as itself and which maps linearly to the coefficients,
starting from zero. Self-attention sees no later frames, and earlier ones with a bias that falls by each
head's slope (1/4, 1/16, 1/64, 1/256) with every second that lies between; the memory that it attends
to is aligned, each frame seeing its own. The losses are mean squares of position and of velocity.

Not applicable here, for want of emotional speech and its labels: the second speech encoder that tells
emotions apart, its 256 numbers a frame, the level of emotion, and the losses that teach them (cross
reconstruction, classification). The memory, which is emotion there, is speech here, as in FaceFormer
(Fan et al., CVPR 2022), from whose decoder EmoTalk's comes.

Chosen here: the person's embedding is the identity library's, found by voice for strangers, which
gives this rival more than EmoTalk has, who must be told one of the training's persons; speech encoder
and standardisation as for all models that are compared. Diffusion steps and noise go unused: the
schedule has one step, and all takes of an utterance are alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from talker.errors import TalkerError
from talker.models.motion_model import Condition, MotionConfig, MotionModel
from talker.motion import FPS
from talker.schedules import linear_schedule

HEADS = 4
PERIOD = round(FPS)
"""Frames within which the attention's bias stays the same."""


@dataclass(frozen=True)
class RegressionConfig(MotionConfig):
    """MotionConfig with the network's sizes; hidden_dim is what the speech features are mapped to."""

    model_type: ClassVar[str] = "regression"

    alpha_bars: list[float] = field(default_factory=lambda: linear_schedule(1).alpha_bars.tolist())
    hidden_dim: int = 512
    layers: int = 1
    dropout: float = 0.1


def attention_bias(frames: int) -> torch.Tensor:
    """(HEADS, T, T) to add to the attention of frame i (rows) to frame j: -slope · floor((i - j) / PERIOD), and
    -inf to later frames. The slopes are ALiBi's (Press et al., ICLR 2022), the periods FaceFormer's (eq. 5)."""
    index = torch.arange(frames)
    distance = index[:, None] - index[None]
    slopes = 2.0 ** (-8.0 / HEADS * torch.arange(1, HEADS + 1))
    bias = -slopes[:, None, None] * (distance // PERIOD)
    return bias.masked_fill(distance < 0, float("-inf"))


class Regression(MotionModel):
    """A model whose prediction depends on speech and identity alone."""

    config_class = RegressionConfig
    config: RegressionConfig

    def __init__(self, config: RegressionConfig):
        super().__init__(config)
        if self.schedule.steps != 1:
            raise TalkerError("A regression takes a single step; set diffusion_steps: 1 in its recipe.")
        width = config.hidden_dim + (config.identity_dim if self.library else 0)
        self.speech = nn.Linear(config.audio_dim, config.hidden_dim)
        self.memory = nn.Linear(config.audio_dim, width)
        layer = nn.TransformerDecoderLayer(width, HEADS, width, config.dropout, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, config.layers)
        self.head = nn.Linear(width, self.channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Predict x0 (B, T, C), of x : (B, T, C) and step : (B,) no more than the shape.

        Takes that share their condition are computed once.
        """
        batch, frames, _ = x.shape
        rows = max(len(part) for part in (condition.audio, condition.identity) if part is not None)
        condition = condition.repeat(rows)
        audio = self.standardised_audio(condition.audio, frames)
        hidden = self.speech(audio)
        if condition.identity is not None:
            hidden = torch.cat([hidden, condition.identity[:, None].expand(-1, frames, -1)], dim=-1)
        bias = attention_bias(frames).to(x).repeat(rows, 1, 1)
        others = ~torch.eye(frames, dtype=torch.bool, device=x.device)
        decoded = self.decoder(hidden, self.memory(audio), tgt_mask=bias, memory_mask=others)
        return self.head(decoded).repeat_interleave(batch // rows, dim=0)
