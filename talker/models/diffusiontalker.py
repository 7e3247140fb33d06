"""The denoiser of DiffusionTalker (paper, sections 3.2 and 4.1): it predicts x0.

Identity embedding, speech features, step encoding and x_t are concatenated for every frame and go
through a two-layer GRU of 256 units and a linear layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from talker.models.motion_model import Condition, MotionConfig, MotionModel
from talker.models.recurrent import GRU

TIME_SCALE = 1000.0
"""The step encoding sees 1000 · step / N, so that equal noise means equal encoding in teacher and student."""


@dataclass(frozen=True)
class DiffusionTalkerConfig(MotionConfig):
    """MotionConfig with the network's sizes. Without identities it is the ablation of the paper's table 5."""

    model_type: ClassVar[str] = "diffusiontalker"

    hidden_dim: int = 256
    layers: int = 2
    step_dim: int = 64
    bidirectional: bool = False
    dropout: float = 0.0


class StepEncoder(nn.Module):
    """Sinusoids of the diffusion time (DDPM's, Vaswani et al. 2017), then an MLP: (B,) -> (B, dim)."""

    def __init__(self, dim: int):
        super().__init__()
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(dim // 2) / (dim // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        angles = time[:, None] * self.frequencies
        return self.mlp(torch.cat([angles.sin(), angles.cos()], dim=-1))


class DiffusionTalker(MotionModel):
    """Denoiser with its identity library, statistics and noise schedule."""

    config_class = DiffusionTalkerConfig
    config: DiffusionTalkerConfig

    def __init__(self, config: DiffusionTalkerConfig):
        super().__init__(config)
        self.step_encoder = StepEncoder(config.step_dim)
        self.gru = GRU(
            (config.identity_dim if self.library else 0) + config.audio_dim + config.step_dim + self.channels,
            config.hidden_dim,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.head = nn.Linear(config.hidden_dim * (2 if config.bidirectional else 1), self.channels)

    def forward(self, x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Predict x0 (eq. 6). x : (B, T, C) standardised and noisy; step : (B,) long, 1..N -> (B, T, C)."""
        batch, frames, _ = x.shape
        condition = condition.repeat(batch)
        audio = self.standardised_audio(condition.audio, frames)
        per_take = self.step_encoder(step.to(x.dtype) * (TIME_SCALE / self.schedule.steps))
        if condition.identity is not None:
            per_take = torch.cat([condition.identity, per_take], dim=-1)
        return self.head(self.gru(torch.cat([per_take[:, None].expand(-1, frames, -1), audio, x], dim=-1)))
