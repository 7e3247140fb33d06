"""The denoiser of DiffusionTalker (paper, sections 3.2 and 4.1): it predicts x0.

Identity embedding, speech features, step encoding and x_t are concatenated for every frame and go
through a two-layer GRU of 256 units and a linear layer. Motion is standardised per channel inside
the diffusion; `to_motion` undoes that and clips the coefficients to [0, 1].
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from talker.checkpoints import load_checkpoint, load_tensors
from talker.errors import TalkerError
from talker.identity import IDENTITY_DIM, TEMPERATURE, IdentityLibrary
from talker.models.recurrent import GRU
from talker.motion import ARKIT_NAMES, HEAD_NAMES, LIP_REGION
from talker.schedules import Schedule, linear_schedule

COEFFICIENT_STD_FLOOR = 0.01
HEAD_STD_FLOOR = 0.002
"""Smallest standard deviations that standardisation divides by (coefficients; radians), so that a
channel that hardly ever moves does not have its invisible noise blown up."""

TIME_SCALE = 1000.0
"""The step encoding sees 1000 · step / N, so that equal noise means equal encoding in teacher and student."""


@dataclass(frozen=True)
class Condition:
    """What a take is denoised for; B is 1 (shared by all takes) or the number of takes.

    audio    : (B, T, D) speech features at the motion's frame rate
    identity : (B, 32) identity embeddings
    """

    audio: torch.Tensor
    identity: torch.Tensor

    def windows(self, starts: list[int], length: int) -> "Condition":
        """The condition of the windows, stacked window-major along the batch; see talker.windows."""
        audio = torch.cat([self.audio[:, start : start + length] for start in starts])
        return Condition(audio, self.identity.repeat(len(starts), 1))

    def repeat(self, batch: int) -> "Condition":
        """The condition for a batch that is a multiple of B, as views where B is 1."""
        if len(self.audio) == batch and len(self.identity) == batch:
            return self
        rows = len(self.audio)
        if rows == 1:
            return Condition(self.audio.expand(batch, -1, -1), self.identity.expand(batch, -1))
        # A condition shared by all takes was cut into windows: each window serves batch / rows takes.
        return Condition(
            self.audio.repeat_interleave(batch // rows, dim=0), self.identity.repeat_interleave(batch // rows, dim=0)
        )


@dataclass(frozen=True)
class DiffusionTalkerConfig:
    """Everything that is needed to build the model; part of a checkpoint's config.json.

    identities  : names of the identity library
    audio_dim   : D, dimensions of a frame's speech features
    voice_dim   : E, dimensions of a voice
    alpha_bars  : the noise schedule's ᾱ for steps 1..N
    channels    : names of the motion's channels: the 52 coefficients, then optionally the head's 3
    sampler     : "ancestral", or "ddim" for distilled students
    lip_noise   : scale of the noise from which sampling starts, in the lip region: below 1, takes of one
                  utterance agree about the lips, which speech decides, and differ elsewhere as before
    """

    identities: list[str]
    audio_dim: int
    voice_dim: int
    alpha_bars: list[float] = field(default_factory=lambda: linear_schedule(32).alpha_bars.tolist())
    channels: list[str] = field(default_factory=lambda: [*ARKIT_NAMES, *HEAD_NAMES])
    sampler: str = "ancestral"
    lip_noise: float = 1.0
    identity_dim: int = IDENTITY_DIM
    hidden_dim: int = 256
    layers: int = 2
    step_dim: int = 64
    bidirectional: bool = False
    dropout: float = 0.0
    temperature: float = TEMPERATURE
    learn_temperature: bool = False

    @classmethod
    def from_dict(cls, values: dict) -> "DiffusionTalkerConfig":
        """Read from config.json; names this class does not know (notes, metrics) are left aside."""
        known = {f.name for f in dataclasses.fields(cls)}
        try:
            return cls(**{key: value for key, value in values.items() if key in known})
        except TypeError as error:
            raise TalkerError(f"config.json does not describe a DiffusionTalker model ({error}); train or copy it again.")

    def to_dict(self) -> dict:
        """As written to config.json."""
        return {"model_type": "diffusiontalker", **dataclasses.asdict(self)}


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


class DiffusionTalker(nn.Module):
    """Denoiser with its identity library, statistics and noise schedule."""

    def __init__(self, config: DiffusionTalkerConfig):
        super().__init__()
        if config.channels[: len(ARKIT_NAMES)] != list(ARKIT_NAMES) or config.channels[len(ARKIT_NAMES) :] not in (
            [],
            list(HEAD_NAMES),
        ):
            raise TalkerError("The channels of this model are not the 52 ARKit names, with or without the head's three.")
        self.config = config
        self.schedule = Schedule.from_alpha_bars(config.alpha_bars)
        channels = len(config.channels)
        self.library = IdentityLibrary(
            config.identities,
            config.voice_dim,
            config.identity_dim,
            temperature=config.temperature,
            learn_temperature=config.learn_temperature,
        )
        self.step_encoder = StepEncoder(config.step_dim)
        self.gru = GRU(
            config.identity_dim + config.audio_dim + config.step_dim + channels,
            config.hidden_dim,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.head = nn.Linear(config.hidden_dim * (2 if config.bidirectional else 1), channels)
        self.register_buffer("motion_mean", torch.zeros(channels))
        self.register_buffer("motion_std", torch.ones(channels))
        self.register_buffer("audio_mean", torch.zeros(config.audio_dim))
        self.register_buffer("audio_std", torch.ones(config.audio_dim))

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> "DiffusionTalker":
        """Load a checkpoint folder, ready to sample. Raises TalkerError when it is missing or broken."""
        config, tensors = load_checkpoint(folder)
        model = cls(DiffusionTalkerConfig.from_dict(config))
        load_tensors(model, tensors, folder)
        return model.to(device).eval()

    @property
    def channels(self) -> int:
        """C, 55 with the head and 52 without."""
        return len(self.config.channels)

    def forward(self, x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Predict x0 (eq. 6). x : (B, T, C) standardised and noisy; step : (B,) long, 1..N -> (B, T, C)."""
        batch, frames, _ = x.shape
        condition = condition.repeat(batch)
        if condition.audio.shape[1:] != (frames, self.config.audio_dim):
            raise TalkerError(
                f"The speech features are {tuple(condition.audio.shape[1:])}, this model needs "
                f"{(frames, self.config.audio_dim)}; use the speech encoder that it was trained with."
            )
        audio = (condition.audio - self.audio_mean) / self.audio_std
        encoded_step = self.step_encoder(step.to(x.dtype) * (TIME_SCALE / self.schedule.steps))
        per_frame = torch.cat([condition.identity, encoded_step], dim=-1)[:, None].expand(-1, frames, -1)
        return self.head(self.gru(torch.cat([per_frame, audio, x], dim=-1)))

    def start_noise(self, noise: torch.Tensor) -> torch.Tensor:
        """What sampling starts from: standard normal noise (S, T, C), scaled in the lip region by config.lip_noise.

        A model trained on squared errors predicts means, and to it a start without noise is the likeliest one;
        at the first step it sees hardly anything but noise, so nothing of the speech is lost.
        """
        scale = torch.ones(self.channels, device=noise.device)
        scale[lip_channels(self.config)] = self.config.lip_noise
        return noise * scale

    def condition(self, audio: np.ndarray | torch.Tensor, identity: str) -> Condition:
        """The condition of one utterance, shared by all its takes. audio : (T, D); identity : a name."""
        audio = torch.as_tensor(audio, dtype=torch.float32, device=self.motion_mean.device)
        return Condition(audio[None], self.library.embedding(identity)[None])

    def standardise(self, motion: torch.Tensor) -> torch.Tensor:
        """Motion (..., C), coefficients and radians, to zero mean and unit variance per channel."""
        return (motion - self.motion_mean) / self.motion_std

    def to_motion(self, x0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised (..., T, C) to coefficients (..., T, 52) in [0, 1] and head (..., T, 3) in radians.

        The head is not clipped; it is zero for a model of the 52 coefficients alone.
        """
        motion = x0 * self.motion_std + self.motion_mean
        coefficients = motion[..., : len(ARKIT_NAMES)].clamp(0.0, 1.0)
        head = motion[..., len(ARKIT_NAMES) :]
        return coefficients, head if head.shape[-1] else motion.new_zeros(*motion.shape[:-1], len(HEAD_NAMES))

    def set_statistics(self, motion: tuple[np.ndarray, np.ndarray], audio: tuple[np.ndarray, np.ndarray]) -> None:
        """Fix the (mean, std) per channel of the training motion (C,) and speech features (D,)."""
        floor = np.full(self.channels, HEAD_STD_FLOOR)
        floor[: len(ARKIT_NAMES)] = COEFFICIENT_STD_FLOOR
        self.motion_mean.copy_(torch.from_numpy(np.asarray(motion[0])))
        self.motion_std.copy_(torch.from_numpy(np.maximum(motion[1], floor)))
        self.audio_mean.copy_(torch.from_numpy(np.asarray(audio[0])))
        self.audio_std.copy_(torch.from_numpy(np.maximum(audio[1], 1e-3)))


def lip_channels(config: DiffusionTalkerConfig) -> torch.Tensor:
    """Indices (27,) of the lip region among the model's channels."""
    return torch.from_numpy(np.asarray(LIP_REGION))
