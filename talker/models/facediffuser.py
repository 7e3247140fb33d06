"""FaceDiffuser (Stan, Haque and Yumak, MIG 2023, arXiv 2309.11306) for blendshape data: it predicts x0.

As published, from the paper and its released model for BEAT: speech features, noisy motion and an
encoding of the diffusion step (a learned vector per step through Mish) are concatenated for every
frame, normalised by one LayerNorm, and go through a GRU of 256 units in two layers with dropout 0.3
and a linear layer. The step is drawn uniformly from 1000, betas follow the cosine schedule, the loss is
the plain mean square of the predicted x0, sampling is ancestral. The GRU runs forwards only. The paper's
noise encoder squeezes the coordinates of thousands of vertices; the few controls of a rig enter as they
are. Its vertex model multiplies in one-hot styles of the training speakers, its blendshape model knows
no speakers, so there is no identity here to match.

Chosen here, alike for all models that are compared: the speech encoder is frozen (theirs trains the
upper layers of HuBERT) and its features come at the motion's 30 frames a second (theirs stacks pairs
at 60 a second); motion and features are standardised per channel; motion has all 52 coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from talker.errors import TalkerError
from talker.models.motion_model import Condition, MotionConfig, MotionModel
from talker.models.recurrent import GRU


@dataclass(frozen=True)
class FaceDiffuserConfig(MotionConfig):
    """MotionConfig with the network's sizes; `identities` is empty."""

    model_type: ClassVar[str] = "facediffuser"

    hidden_dim: int = 256
    layers: int = 2
    step_dim: int = 256
    dropout: float = 0.3


class FaceDiffuser(MotionModel):
    """Denoiser without identities, with its statistics and noise schedule."""

    config_class = FaceDiffuserConfig
    config: FaceDiffuserConfig

    def __init__(self, config: FaceDiffuserConfig):
        if config.identities:
            raise TalkerError("FaceDiffuser for blendshapes knows no identities; set identity: false in its recipe.")
        super().__init__(config)
        self.step_encoder = nn.Sequential(nn.Linear(self.schedule.steps, config.step_dim), nn.Mish())
        width = config.audio_dim + self.channels + config.step_dim
        self.norm = nn.LayerNorm(width)
        self.gru = GRU(
            width,
            config.hidden_dim,
            config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.head = nn.Linear(config.hidden_dim, self.channels)

    def weights_on(self, steps: Sequence[int]) -> dict[str, torch.Tensor]:
        """As MotionModel.weights_on, with the vectors of these steps alone."""
        name = "step_encoder.0.weight"
        state = super().weights_on(steps)
        return {**state, name: state[name][:, torch.tensor(steps) - 1]}

    def forward(self, x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Predict x0. x : (B, T, C) standardised and noisy; step : (B,) long, 1..N -> (B, T, C)."""
        batch, frames, _ = x.shape
        audio = self.standardised_audio(condition.repeat(batch).audio, frames)
        encoded_step = self.step_encoder(F.one_hot(step - 1, self.schedule.steps).to(x.dtype))
        per_frame = torch.cat([audio, x, encoded_step[:, None].expand(-1, frames, -1)], dim=-1)
        return self.head(self.gru(self.norm(per_frame)))
