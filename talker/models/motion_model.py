"""What all models of motion share: channels and their statistics, schedule, identities, checkpoints.

A model is called as talker.samplers calls a denoiser: (x, step, condition) -> x0, motion that is
standardised per channel. `to_motion` undoes that and clips the coefficients to [0, 1].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import nn

from talker.checkpoints import load_checkpoint, load_tensors
from talker.editing import Edit, edited
from talker.errors import TalkerError
from talker.guidance import guided
from talker.identity import IDENTITY_DIM, TEMPERATURE, IdentityLibrary
from talker.motion import ARKIT_NAMES, FLAME_NAMES, FPS, HEAD_NAMES, LIP_REGION, UPPER_FACE_REGION
from talker.schedules import Schedule, linear_schedule
from talker.windows import windowed

COEFFICIENT_STD_FLOOR = 0.01
HEAD_STD_FLOOR = 0.002
"""Smallest standard deviations that standardisation divides by (coefficients; radians), so that a
channel that hardly ever moves does not have its invisible noise blown up."""


START_NOISE = ("lip_noise", "upper_noise", "head_noise")
"""Fields of MotionConfig that say how much noise takes start from."""


@dataclass(frozen=True)
class Condition:
    """What a take is denoised for; B is 1 (shared by all takes) or the number of takes.

    audio         : (B, T, D) speech features at the motion's frame rate
    identity      : (B, 32) identity embeddings; None for a model without identities
    style         : (B, 128) speaking styles (talker.style); None for a model without styles, or for no style
    without_audio : (B,) bool, True where the model's null condition stands for the speech; None for nowhere
    without_style : the same of the style
    """

    audio: torch.Tensor
    identity: torch.Tensor | None = None
    style: torch.Tensor | None = None
    without_audio: torch.Tensor | None = None
    without_style: torch.Tensor | None = None

    per_frame: ClassVar[tuple[str, ...]] = ("audio",)
    """Fields with a row for every frame; the others have one for every take."""

    def without(self, audio: bool | torch.Tensor = False, style: bool | torch.Tensor = False) -> Self:
        """The condition with the speech or the style, or both, replaced by the model's null condition.

        audio, style : of all takes, or of those where a (B,) bool tensor is True
        """
        batch = self.audio.new_ones(len(self.audio), dtype=torch.bool)
        changes = {name: batch & value for name, value in (("without_audio", audio), ("without_style", style))}
        for name, value in changes.items():
            before = getattr(self, name)
            changes[name] = value if before is None else value | before
        return dataclasses.replace(self, **changes)

    def windows(self, starts: list[int], length: int) -> Self:
        """The condition of the windows, stacked window-major along the batch; see talker.windows."""

        def cut(name: str, tensor: torch.Tensor) -> torch.Tensor:
            if name in self.per_frame:
                return torch.cat([tensor[:, start : start + length] for start in starts])
            return torch.cat([tensor] * len(starts))

        return self._map(cut)

    def repeat(self, batch: int) -> Self:
        """The condition for a batch that is a multiple of B, as views where B is 1."""

        def repeated(_: str, tensor: torch.Tensor) -> torch.Tensor:
            if len(tensor) == batch:
                return tensor
            if len(tensor) == 1:
                return tensor.expand(batch, *tensor.shape[1:])
            # A condition shared by all takes was cut into windows: each window serves batch / B takes.
            return tensor.repeat_interleave(batch // len(tensor), dim=0)

        return self._map(repeated)

    def _map(self, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Self:
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return type(self)(**{name: None if value is None else change(name, value) for name, value in values.items()})


@dataclass(frozen=True)
class MotionConfig:
    """Everything that is needed to build a model; part of a checkpoint's config.json.

    identities  : names of the identity library; none for a model without one
    audio_dim   : D, dimensions of a frame's speech features
    voice_dim   : E, dimensions of a voice
    alpha_bars  : the noise schedule's ᾱ for steps 1..N
    channels    : names of the motion's channels: the 52 coefficients, then optionally the head's 3
    fps         : frames a second of the motion and of the speech features
    sampler     : "ancestral", or "ddim" for distilled students
    lip_noise   : scale of the noise from which sampling starts, in the lip region: below 1, takes of one
                  utterance agree about the lips, which speech decides, and differ elsewhere as before
    upper_noise : the same of brows and eyes, in models of vertices of all but lips and jaw: above 1, they move as far
                  and blink as often as what was learned from, of which a few deterministic steps fall short
    head_noise  : the same of the head's angles
    identity_dim, temperature, learn_temperature : of the identity library
    """

    model_type: ClassVar[str]

    identities: list[str]
    audio_dim: int
    voice_dim: int
    alpha_bars: list[float] = field(default_factory=lambda: linear_schedule(32).alpha_bars.tolist())
    channels: list[str] = field(default_factory=lambda: [*ARKIT_NAMES, *HEAD_NAMES])
    fps: float = FPS
    sampler: str = "ancestral"
    lip_noise: float = 1.0
    upper_noise: float = 1.0
    head_noise: float = 1.0
    identity_dim: int = IDENTITY_DIM
    temperature: float = TEMPERATURE
    learn_temperature: bool = False

    @classmethod
    def from_dict(cls, values: dict) -> Self:
        """Read from config.json; names this class does not know (notes, metrics) are left aside."""
        known = {f.name for f in dataclasses.fields(cls)}
        try:
            if values.get("model_type", cls.model_type) != cls.model_type:
                raise TypeError(f"it is a {values['model_type']}")
            return cls(**{key: value for key, value in values.items() if key in known})
        except TypeError as error:
            raise TalkerError(
                f"config.json does not describe a {cls.model_type} model ({error}); train or copy it again."
            ) from None

    def to_dict(self) -> dict:
        """As written to config.json."""
        return {"model_type": self.model_type, **dataclasses.asdict(self)}


class MotionModel(nn.Module):
    """Schedule, identity library (or None) and statistics; a subclass adds the network and `forward`.

    guidances : conditions that were dropped in training, so that their guidance can be scaled (talker.guidance)
    default_guidance : their scales where none are asked for
    vertices  : whether the model makes vertices, of which coefficients are fitted
    windows   : whether long utterances are denoised in windows (talker.windows); else as a whole
    crop      : frames of a crop that the model is personalised on, and velocity : weight of the loss of first differences
    """

    config_class: ClassVar[type[MotionConfig]]
    guidances: ClassVar[tuple[str, ...]] = ()
    default_guidance: ClassVar[Mapping[str, float]] = {}
    vertices: ClassVar[bool] = False
    windows: ClassVar[bool] = True
    crop: ClassVar[int] = 120
    velocity: ClassVar[float] = 0.5

    def __init__(self, config: MotionConfig):
        super().__init__()
        known = [[*face, *head] for face in (ARKIT_NAMES, FLAME_NAMES) for head in ((), HEAD_NAMES)]
        if config.channels not in known:
            raise TalkerError(
                "The channels of this model are neither the 52 ARKit names nor FLAME's, with or without the head's three."
            )
        self.config = config
        self.schedule = Schedule.from_alpha_bars(config.alpha_bars)
        self.library = (
            IdentityLibrary(
                config.identities,
                config.voice_dim,
                config.identity_dim,
                temperature=config.temperature,
                learn_temperature=config.learn_temperature,
            )
            if config.identities
            else None
        )
        self.register_buffer("motion_mean", torch.zeros(self.channels))
        self.register_buffer("motion_std", torch.ones(self.channels))
        self.register_buffer("audio_mean", torch.zeros(config.audio_dim))
        self.register_buffer("audio_std", torch.ones(config.audio_dim))

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Load a checkpoint folder, ready to sample. Raises TalkerError when it is missing or broken."""
        config, tensors = load_checkpoint(folder)
        model = cls(cls.config_class.from_dict(config))
        load_tensors(model, tensors, folder)
        return model.to(device).eval()

    @property
    def channels(self) -> int:
        """C, 55 with the head and 52 without."""
        return len(self.config.channels)

    @property
    def head_channels(self) -> slice | None:
        """Where the head's angles are among the channels; None for a model without."""
        start = self.channels - len(HEAD_NAMES)
        return slice(start, self.channels) if self.config.channels[start:] == list(HEAD_NAMES) else None

    def start_noise(self, noise: torch.Tensor) -> torch.Tensor:
        """What sampling starts from: standard normal noise (S, T, C), scaled in the lip region by config.lip_noise, in brows
        and eyes by config.upper_noise, in the head's angles by config.head_noise.

        A model trained on squared errors predicts means, and to it a start without noise is the likeliest one;
        at the first step it sees hardly anything but noise, so nothing of the speech is lost.
        """
        scale = torch.ones(self.channels, device=noise.device)
        scale[torch.from_numpy(LIP_REGION)] = self.config.lip_noise
        scale[torch.from_numpy(UPPER_FACE_REGION)] = self.config.upper_noise
        if self.head_channels is not None:
            scale[self.head_channels] = self.config.head_noise
        return noise * scale

    def condition(
        self,
        audio: np.ndarray | torch.Tensor,
        identity: str | torch.Tensor | None = None,
        style: torch.Tensor | None = None,
    ) -> Condition:
        """The condition of one utterance, shared by all its takes.

        audio    : (T, D)
        identity : a name or an embedding (32,), of no account for a model without identities
        style    : (128,) of talker.style, for a model with styles; None for no style
        """
        audio = torch.as_tensor(audio, dtype=torch.float32, device=self.motion_mean.device)
        style = None if style is None else style[None].to(audio)
        if self.library is None:
            return Condition(audio[None], style=style)
        embedding = self.library.embedding(identity) if isinstance(identity, str) else identity
        return Condition(audio[None], embedding[None], style)

    def crop_condition(
        self, audio: torch.Tensor, clean: torch.Tensor, identity: torch.Tensor | None = None, style: torch.Tensor | None = None
    ) -> tuple[Condition, int]:
        """The condition of crops of recordings, and how many of their first frames are not denoised but gone on from.

        audio : (B, T, D), clean : (B, T, C) standardised motion, identity : (B, 32), style : (B, 128)
        """
        return Condition(audio, identity, style), 0

    def sample(
        self,
        sampler: Callable[..., torch.Tensor],
        condition: Condition,
        noise: torch.Tensor,
        steps: int | None = None,
        guidance: Mapping[str, float] | None = None,
        edit: Edit | None = None,
        callback: Callable[[int, int], None] | None = None,
        **options,
    ) -> torch.Tensor:
        """Takes of any length, standardised: x0 (S, T, C).

        sampler   : of talker.samplers, which gets `options` (eta, generator)
        condition : of the whole utterance, T frames
        noise     : (S, T, C) to start from
        guidance  : scale by condition, of those in `guidances`; none scales nothing
        edit      : motion that is given (talker.editing), kept in every step
        callback  : called with (steps done, steps in all)
        Raises TalkerError for guidance that the model was not trained for.
        """
        self.check_guidance(guidance)
        denoiser = guided(self, guidance or {})
        denoiser = edited(windowed(denoiser) if self.windows else denoiser, edit)
        return sampler(denoiser, tuple(noise.shape), self.schedule, condition, steps, noise=noise, callback=callback, **options)

    def check_guidance(self, guidance: Mapping[str, float] | None) -> None:
        """TalkerError for guidance that the model was not trained for."""
        unknown = sorted(set(guidance or {}) - set(self.guidances))
        if unknown:
            raise TalkerError(f"This model was trained without guidance of the {unknown[0]}; leave it out.")

    def weights_on(self, steps: Sequence[int]) -> dict[str, torch.Tensor]:
        """The state of a student that has these of this model's steps (rising), to begin with."""
        return self.state_dict()

    def standardised_audio(self, audio: torch.Tensor, frames: int) -> torch.Tensor:
        """Speech features (B, T, D) to zero mean and unit variance. TalkerError for another T or D."""
        if audio.shape[1:] != (frames, self.config.audio_dim):
            raise TalkerError(
                f"The speech features are {tuple(audio.shape[1:])}, this model needs "
                f"{(frames, self.config.audio_dim)}; use the speech encoder that it was trained with."
            )
        return (audio - self.audio_mean) / self.audio_std

    def standardise(self, motion: torch.Tensor) -> torch.Tensor:
        """Motion (..., C), coefficients and radians, to zero mean and unit variance per channel."""
        return (motion - self.motion_mean) / self.motion_std

    def to_motion(self, x0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised (..., T, C) to coefficients (..., T, 52) in [0, 1] and head (..., T, 3) in radians.

        The head is not clipped; it is zero for a model of the 52 coefficients alone.
        """
        if self.config.channels[: len(ARKIT_NAMES)] != list(ARKIT_NAMES):
            raise TalkerError("This model makes FLAME's motion, which has no ARKit coefficients; choose another model.")
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
