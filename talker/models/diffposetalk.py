"""DiffPoseTalk (Sun et al., SIGGRAPH 2024, arXiv 2310.00434): a transformer that predicts x0, window after window.

A first token, made of the diffusion step, the speaking style and the face's shape, and one token for every
frame of motion, the last frames before the window among them, go through a transformer decoder (section 3.2). Its
cross-attention has the alignment mask: the token of frame t attends to the speech of frame t alone, the first token
to all of it. Utterances of any length are sampled window after window (section 3.2), each after the end of the one
before.

Chosen here, where the paper is silent: layers normalise first and positions are learned; frames attend to one another
the less the farther they are apart (`nearness`), because motion is smooth and noise is not, and to learn so much from
nothing takes thousands of steps; the speaking style is also added to every frame of motion (with the first token
alone, beside a step that says far more, takes hardly followed it after thousands of steps), and the first token
scales and shifts what the layers normalise, since how far a head sways about a mean of zero is a gain; the step is
encoded by its noise level, so that a student on a coarser grid hears the same time for the same noise; frames past
the end of the speech are masked, so that a short window costs no padding; and a window's motion is shifted onto where
the one before it ended (`DiffPoseTalk.forward`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from talker.editing import Edit, edited
from talker.encoders import SpeechTrunk
from talker.errors import TalkerError
from talker.guidance import guided
from talker.models.diffusiontalker import TIME_SCALE, StepEncoder
from talker.models.motion_model import Condition, MotionConfig, MotionModel


@dataclass(frozen=True)
class DiffPoseTalkConfig(MotionConfig):
    """MotionConfig with the paper's sizes (section 4.2); `identities` is empty, styles stand in for them.

    window_frames   : Tw, most frames of a window
    previous_frames : Tp, frames before it that a window goes on from
    alignment       : the alignment mask; without it every frame attends to all speech (the ablation of table 1)
    style_dim       : size of a speaking style; 0 for a model without (the ablation of table 1)
    shape_dim       : size of the face's shape β for FLAME's motion; 0 without
    trunk           : JSON of the speech encoder whose layers above the convolutions were trained with the denoiser and
                      are part of it; {} where the encoder is as it was
    """

    model_type: ClassVar[str] = "diffposetalk"

    hidden_dim: int = 512
    layers: int = 8
    heads: int = 8
    window_frames: int = 100
    previous_frames: int = 10
    alignment: bool = True
    style_dim: int = 128
    shape_dim: int = 0
    trunk: dict = field(default_factory=dict)
    dropout: float = 0.1


@dataclass(frozen=True)
class WindowCondition(Condition):
    """A Condition whose speech went through the model (`DiffPoseTalk.hear`), for one window of it.

    previous       : (B, Tp, C) standardised motion before the window; None at the beginning of all takes
    previous_audio : (B, Tp, D) the speech of those frames
    first          : (B,) bool, True where the window begins a take, and both of these count for nothing
    valid          : (B, T) bool, False past the end of the speech; None for nowhere
    shape          : (B, shape_dim) the face's shape
    """

    previous: Tensor | None = None
    previous_audio: Tensor | None = None
    first: Tensor | None = None
    valid: Tensor | None = None
    shape: Tensor | None = None

    per_frame: ClassVar[tuple[str, ...]] = ("audio", "valid")

    def window(self, start: int, stop: int, previous: Tensor | None) -> Self:
        """The condition of frames start to stop, which go on from motion (S, Tp, C)."""
        if previous is None:
            return replace(self, audio=self.audio[:, start:stop])
        before = self.audio[:, start - previous.shape[1] : start].expand(len(previous), -1, -1)
        begun = torch.zeros(len(previous), dtype=torch.bool, device=previous.device)
        return replace(
            self.repeat(len(previous)) if len(self.audio) > 1 else self,
            audio=self.audio[:, start:stop], previous=previous, previous_audio=before, first=begun,
        )  # fmt: skip


def nearness(heads: int, frames: int) -> Tensor:
    """What attention's scores lose by distance: (heads, 1 + frames, 1 + frames), 0 to and from the first token.

    In head h of H frames that are k apart lose k · 2^(-8h/H) (Press et al., Train Short, Test Long, ICLR 2022, ALiBi), in
    both directions alike.
    """
    slope = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
    frame = torch.arange(frames)
    return F.pad(-slope[:, None, None] * (frame[:, None] - frame).abs(), (1, 0, 1, 0))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, bias: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention: (B, heads, L, d), (B, heads, M, d) twice -> (B, L, heads · d); keys count where
    mask (B, M) is True, and bias (heads, L, M) is added to the scores.

    Written out, because the backward pass of PyTorch's own on a CPU takes several times as long for windows this short.
    """
    scores = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -math.inf)
    return (scores.softmax(dim=-1).to(value) @ value).transpose(1, 2).flatten(-2)


class Attention(nn.Module):
    """Multi-head self-attention: (B, L, d), with keys that count where mask (B, L) is True and a bias (heads, L, L)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, hidden: Tensor, mask: Tensor | None, bias: Tensor) -> Tensor:
        query, key, value = self.into(hidden).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(attend(query, key, value, mask, bias))


class SpeechAttention(nn.Module):
    """Multi-head attention of the tokens (B, 1 + L, d) to the speech (B, L, d) of the L frames.

    With the alignment mask the token of a frame has one key, so its softmax is 1 and what it gets is that frame's
    value: only the first token's attention is computed.
    """

    def __init__(self, dim: int, heads: int, alignment: bool):
        super().__init__()
        self.heads, self.alignment = heads, alignment
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, hidden: Tensor, speech: Tensor, mask: Tensor | None) -> Tensor:
        """mask : (B, L) bool, False for speech that does not count."""
        value = self.value(speech)
        asking = hidden[:, :1] if self.alignment else hidden
        query, key, heard = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query(asking), self.key(speech), value)
        )
        heard = attend(query, key, heard, mask)
        return self.out(torch.cat([heard, value], dim=1) if self.alignment else heard)


class Modulation(nn.Module):
    """Scales and shifts of n normalised layers, made of the first token: (B, d) -> n pairs of (B, 1, d).

    As adaptive layer norms of Peebles and Xie, Scalable Diffusion Models with Transformers, ICCV 2023, section 3.2; they
    begin as if they were not there.
    """

    def __init__(self, dim: int, count: int):
        super().__init__()
        self.linear = nn.Linear(dim, 2 * count * dim)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.count = count

    def forward(self, token: Tensor) -> list[tuple[Tensor, Tensor]]:
        parts = self.linear(F.silu(token))[:, None].chunk(2 * self.count, dim=-1)
        return list(zip(parts[::2], parts[1::2]))


def modulated(hidden: Tensor, modulation: tuple[Tensor, Tensor]) -> Tensor:
    """Scale and shift hidden (B, L, d)."""
    scale, shift = modulation
    return hidden * (1 + scale) + shift


class DecoderLayer(nn.Module):
    """Self-attention, attention to the speech and two linear layers, each normalised before and added; the first token
    scales and shifts what frames give to one another and what the linear layers get."""

    def __init__(self, dim: int, heads: int, alignment: bool, dropout: float):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.modulation = Modulation(dim, 2)
        self.attention = Attention(dim, heads)
        self.speech = SpeechAttention(dim, heads, alignment)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, token: Tensor, speech: Tensor, mask: Tensor | None, bias: Tensor) -> Tensor:
        """token : (B, d) the first one, as it was before all layers."""
        motion, inner = self.modulation(token)
        hidden = hidden + self.dropout(self.attention(modulated(self.norms[0](hidden), motion), mask, bias))
        heard = self.speech(self.norms[1](hidden), speech, None if mask is None else mask[:, 1:])
        hidden = hidden + self.dropout(heard)
        return hidden + self.dropout(self.feed(modulated(self.norms[2](hidden), inner)))


class DiffPoseTalk(MotionModel):
    """Denoiser of windows, with its start features, null conditions, statistics and noise schedule."""

    config_class = DiffPoseTalkConfig
    config: DiffPoseTalkConfig
    guidances = ("audio", "style")
    windows = False
    default_guidance: ClassVar[Mapping[str, float]] = {"audio": 1.15, "style": 0.7}
    """The paper prints none. Its authors demonstrate it with 1.15 and 3. Here lips in the style of another recording of the
    speaker are the nearest to the speaker's own with 0.7 to 1 (lip vertex error on the validation split 2.80 and 2.79 mm,
    without a style 2.98, with 3 a quarter more than with 1), the mouth's opening with 0.7: a style says less of another
    recording than of the next seconds of its own, which the model learned with."""

    def __init__(self, config: DiffPoseTalkConfig):
        if config.identities:
            raise TalkerError("DiffPoseTalk has speaking styles instead of identities; set identity: false in its recipe.")
        if not 0 < 2 * config.previous_frames <= config.window_frames:
            raise TalkerError("DiffPoseTalk goes on from at most half a window; correct previous_frames in the recipe.")
        super().__init__(config)
        dim, previous = config.hidden_dim, config.previous_frames
        self.step_encoder = StepEncoder(dim)
        self.speaker = nn.Linear(config.style_dim + config.shape_dim, dim) if config.style_dim + config.shape_dim else None
        self.motion = nn.Linear(self.channels, dim)
        self.frame_style = nn.Linear(config.style_dim, dim, bias=False) if config.style_dim else None
        self.trunk = SpeechTrunk(config.trunk) if config.trunk else None
        heard = self.trunk.size if self.trunk else config.audio_dim
        self.audio = nn.Linear(heard, dim)
        self.position = nn.Parameter(0.02 * torch.randn(1, 1 + previous + config.window_frames, dim))
        self.start_motion = nn.Parameter(torch.zeros(1, previous, self.channels))
        self.start_audio = nn.Parameter(torch.zeros(1, previous, heard))
        self.null_audio = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.null_style = nn.Parameter(0.02 * torch.randn(1, config.style_dim)) if config.style_dim else None
        self.layers = nn.ModuleList(
            DecoderLayer(dim, config.heads, config.alignment, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.modulation = Modulation(dim, 1)
        self.head = nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, self.channels))
        # The share of what the prediction of the last frame before a window is off that its frames are shifted by.
        time = torch.arange(1, config.window_frames + 1).clamp_max(previous + 1) / (previous + 1)
        self.register_buffer("nearness", nearness(config.heads, previous + config.window_frames), persistent=False)
        self.register_buffer("fade", (torch.cos(math.pi / 2 * time) ** 2)[None, :, None], persistent=False)

    def hear(self, audio: Tensor) -> Tensor:
        """What the denoiser is given of speech features (B, T, D): zero mean and unit variance, or, where the speech
        encoder was trained too, what its trained layers make of its convolutions' output."""
        standardised = self.standardised_audio(audio, audio.shape[1])
        return standardised if self.trunk is None else self.trunk(audio)

    def condition(
        self,
        audio: np.ndarray | Tensor,
        identity: str | Tensor | None = None,
        style: Tensor | None = None,
        shape: Tensor | None = None,
    ) -> WindowCondition:
        """As MotionModel.condition; shape : (shape_dim,) of a model of FLAME's motion, the mean face unless given."""
        given = super().condition(audio, identity, style)
        if self.config.shape_dim:
            shape = given.audio.new_zeros(self.config.shape_dim) if shape is None else shape.to(given.audio)
        return WindowCondition(self.hear(given.audio), style=given.style, shape=None if shape is None else shape[None])

    @property
    def crop(self) -> int:
        """Frames of a crop that the model is personalised on: with half as many before it, no more than a window and the
        frames before it."""
        return 2 * (self.config.window_frames + self.config.previous_frames) // 3

    def crop_condition(
        self, audio: Tensor, clean: Tensor, identity: Tensor | None = None, style: Tensor | None = None
    ) -> tuple[WindowCondition, int]:
        """As MotionModel.crop_condition: windows, of which every second goes on from the Tp frames before it, and the
        others begin."""
        before = self.config.previous_frames
        heard = self.hear(audio)
        first = torch.arange(len(audio), device=audio.device) % 2 == 0
        window = WindowCondition(heard[:, before:], style=style, previous=clean[:, :before], previous_audio=heard[:, :before], first=first)
        return window, before

    def sample(
        self,
        sampler: Callable[..., Tensor],
        condition: WindowCondition,
        noise: Tensor,
        steps: int | None = None,
        guidance: Mapping[str, float] | None = None,
        edit: Edit | None = None,
        callback: Callable[[int, int], None] | None = None,
        **options,
    ) -> Tensor:
        """As MotionModel.sample: the fewest windows of at most Tw frames, of even lengths, each sampled after the last
        Tp frames of the one before it."""
        self.check_guidance(guidance)
        denoiser = guided(self, guidance or {})
        frames, channels = noise.shape[1:]
        count = math.ceil(frames / self.config.window_frames)
        edges = [round(k * frames / count) for k in range(count + 1)]
        pieces: list[Tensor] = []
        for done, (start, stop) in enumerate(pairwise(edges)):
            previous = pieces[-1][:, -self.config.previous_frames :] if pieces else None
            window = condition.window(start, stop, previous)
            report = callback and (lambda step, steps: callback(done * steps + step, count * steps))  # noqa: B023
            pieces.append(
                sampler(
                    edited(denoiser, edit and edit.slice(start, stop)), (len(noise), stop - start, channels), self.schedule,
                    window, steps, noise=noise[:, start:stop], callback=report, **options,
                )  # fmt: skip
            )
        return torch.cat(pieces, dim=1)

    def predict(self, x: Tensor, step: Tensor, condition: WindowCondition) -> Tensor:
        """X̂0 of the frames before the window and of the window itself (eq. 7): (B, T, C) -> (B, Tp + T, C)."""
        batch, frames, _ = x.shape
        condition = condition.repeat(batch)
        previous, heard = self.start_motion.expand(batch, -1, -1), self.start_audio.expand(batch, -1, -1)
        if condition.previous is not None:
            first = condition.first[:, None, None]
            previous, heard = torch.where(first, previous, condition.previous), torch.where(first, heard, condition.previous_audio)
        speech = self.audio(torch.cat([heard, condition.audio], dim=1))
        if condition.without_audio is not None:
            speech = torch.where(condition.without_audio[:, None, None], self.null_audio.to(speech), speech)
        token = self.step_encoder(self.time(step).to(x))
        motion = self.motion(torch.cat([previous, x], dim=1))
        if self.speaker is not None:
            features = self.speaker_features(condition, batch)
            token = token + self.speaker(features)
            if self.frame_style is not None:
                motion = motion + self.frame_style(features[:, None, : self.config.style_dim])
        hidden = torch.cat([token[:, None], motion], dim=1)
        hidden = hidden + self.position[:, : hidden.shape[1]]
        mask = None
        if condition.valid is not None:
            mask = F.pad(condition.valid, (1 + previous.shape[1], 0), value=True)
        for layer in self.layers:
            hidden = layer(hidden, token, speech, mask, self.nearness[:, : hidden.shape[1], : hidden.shape[1]])
        (last,) = self.modulation(token)
        return self.head(modulated(self.norm(hidden[:, 1:]), last))

    def time(self, step: Tensor) -> Tensor:
        """Diffusion time of steps (B,): 1000 · 2/π · arccos √ᾱ, which is 1000 n / N on a cosine schedule."""
        return TIME_SCALE * 2 / math.pi * self.schedule.signal(step).acos().to(step.device)

    def speaker_features(self, condition: WindowCondition, batch: int) -> Tensor:
        """Style, or what was learned for its absence, and shape: (B, style_dim + shape_dim).

        Styles have length one, and are taken times √style_dim, for numbers as large as the other inputs'.
        """
        parts = []
        if self.null_style is not None:
            style = null = self.null_style.expand(batch, -1)
            if condition.style is not None:
                style = condition.style
                if condition.without_style is not None:
                    style = torch.where(condition.without_style[:, None], null, style)
            parts.append(style * math.sqrt(self.config.style_dim))
        return torch.cat(parts + ([] if condition.shape is None else [condition.shape]), dim=-1)

    def forward(self, x: Tensor, step: Tensor, condition: WindowCondition) -> Tensor:
        """Predict x0 of a window. x : (B, T, C) standardised and noisy; step : (B,) long, 1..N -> (B, T, C).

        What the network predicts for the frame before the window is a little off what that frame is; the window is
        shifted by as much, less and less over its first Tp frames. Its first step is thus the network's own.
        """
        predicted = self.predict(x, step, condition)
        before, window = predicted[:, : self.config.previous_frames], predicted[:, self.config.previous_frames :]
        if condition.previous is None:
            return window
        condition = condition.repeat(len(x))
        off = torch.where(condition.first[:, None, None], 0.0, condition.previous[:, -1:] - before[:, -1:])
        return window + off * self.fade[:, : window.shape[1]]
