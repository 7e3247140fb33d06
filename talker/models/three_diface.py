"""3DiFACE (Thambiraja et al., WACV 2025, arXiv 2312.00870): convolutions that denoise vertices, and predict x0.

Section 4: displacements of V vertices are mapped to 64 channels by one linear layer (motion encoder), where the
encoded diffusion step is added. Convolutions halve the frame rate and bring it back; after each, the speech is
concatenated and goes through one more. A vector of the speaker is added, and one linear layer (motion decoder)
makes displacements of it. All of it is convolutional, so any length is denoised as a whole, without windows.

What is between encoder and decoder is in talker.models.three_diface_backbones. Chosen here: the speaker's vector is the
identity library's, found by voice for strangers; and, where `skip` says so, what comes into a condition block is added to
what it makes, and what came down to what goes up, as in a U-Net. Without that, as published, half an hour of training
learns jaw and lips, and nothing of gaze, lids and brows, which move few vertices: they have to be taught to pass
before they can be denoised.

Noise against displacements: every coordinate gets noise of variance 1, so displacements are divided by
one number for all coordinates, with which the sum of their variances is VARIANCE. Standardising each coordinate
would leave faces that are plain to see through almost all noise, as thousands of coordinates move together; the released
code scales its noise to displacements by hand. One number for all keeps the losses what they are in metres.

Guidance below 1 makes takes that differ, and lips that are late and half open with them: what two predictions agree on
is their mean. `lip_guidance` lets what goes with lips and jaw follow the speech more closely than the rest of the face,
each vertex as far as these shapes move it; without it, as published, one scale holds for all.

Coefficients end at 1, vertices nowhere: a lid that is half closed on its way could be drawn on past the cheek. So, as
image models clip to the range of pixels, sampling clips each predicted x0 to where the training motion went along
its principal axes, and a little beyond, and the last one in every coordinate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from talker.editing import Edit
from talker.errors import TalkerError
from talker.face_vertices import FaceVertices
from talker.guidance import guided
from talker.models.diffusiontalker import TIME_SCALE, StepEncoder
from talker.models.motion_model import Condition, MotionConfig, MotionModel
from talker.models.three_diface_backbones import BACKBONES
from talker.motion import ARKIT_NAMES, HEAD_NAMES, LIP_REGION
from talker.samplers import Denoiser
from talker.schedules import linear_schedule

VARIANCE = 64.0
"""Sum of the variances of all standardised coordinates: that of 64 channels of variance 1."""


AXES, MARGIN, VERTEX_MARGIN = 32, 0.1, 0.02
"""Principal axes of the training motion along which samples are kept in its range, widened by this share on both sides;
and the share by which the range of single coordinates is."""

UNLIMITED = 6e4
"""Of a coordinate whose range is not known: a finite number, also in 16 bits."""


@dataclass(frozen=True)
class ThreeDiFaceConfig(MotionConfig):
    """MotionConfig with the network's sizes and the face that it moves; `channels` are the coefficients that
    are fitted.

    face, face_fingerprint, face_vertices, correctives : see talker.face_vertices; face_vertices is V
    hidden_dim : channels at the full frame rate, and of the speaker's vector
    layers     : how often the frame rate is halved
    skip       : whether layers add to what they are given; see above
    backbone   : a name of three_diface_backbones.BACKBONES
    lip_guidance : least scale of guidance for what goes with lips and jaw; unconditional takes stay so; 0: as elsewhere
    """

    model_type: ClassVar[str] = "3diface"

    alpha_bars: list[float] = field(default_factory=lambda: linear_schedule(500).alpha_bars.tolist())
    channels: list[str] = field(default_factory=lambda: list(ARKIT_NAMES))
    identity_dim: int = 64
    hidden_dim: int = 64
    layers: int = 1
    backbone: str = "convolution"
    skip: bool = False
    lip_guidance: float = 0.0
    face: str = "default"
    face_fingerprint: str = ""
    face_vertices: int = 5023
    correctives: list[list[str]] = field(default_factory=list)


class ThreeDiFace(MotionModel):
    """Denoiser of vertex displacements with its face, identity library, statistics and noise schedule."""

    config_class = ThreeDiFaceConfig
    guidances = ("audio",)
    default_guidance: ClassVar[Mapping[str, float]] = {"audio": 0.5}
    vertices = True
    windows = False
    crop = 30
    velocity = 10.0
    config: ThreeDiFaceConfig

    def __init__(self, config: ThreeDiFaceConfig):
        if config.channels != list(ARKIT_NAMES):
            raise TalkerError("3DiFACE moves vertices and no head; set head: false in its recipe.")
        if config.identities and config.identity_dim != config.hidden_dim:
            raise TalkerError(
                f"3DiFACE adds the speaker's vector to its {config.hidden_dim} channels; make identity_dim as many."
            )
        if config.backbone not in BACKBONES:
            raise TalkerError(f"3DiFACE has no backbone {config.backbone}; choose one of {', '.join(BACKBONES)}.")
        self._channels = 3 * config.face_vertices
        super().__init__(config)
        self.face = FaceVertices(config.face, config.face_vertices, config.correctives, config.face_fingerprint)
        width = config.hidden_dim
        self.motion_encoder = nn.Linear(self.channels, width)
        self.step_encoder = StepEncoder(width)
        self.audio_encoder = nn.Linear(config.audio_dim, width)
        self.backbone = BACKBONES[config.backbone](width, config.layers, config.skip)
        self.register_buffer("axes", torch.zeros(AXES, self.channels))
        self.register_buffer("axes_range", torch.zeros(2, AXES))
        self.register_buffer("vertex_range", UNLIMITED * torch.tensor([[-1.0], [1.0]]).repeat(1, self.channels))
        self.motion_decoder = nn.Linear(width, self.channels)
        nn.init.zeros_(self.motion_decoder.weight)
        nn.init.zeros_(self.motion_decoder.bias)

    @property
    def channels(self) -> int:
        """C, three coordinates of each vertex."""
        return self._channels

    def forward(self, x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Predict x0. x : (B, T, 3 V) standardised and noisy; step : (B,) long, 1..N -> (B, T, 3 V)."""
        return self.motion_decoder(self.hidden(self.motion_encoder(x), step, condition))

    def hidden(self, encoded: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
        """All between the motion encoder and the motion decoder: (B, T, hidden_dim) -> (B, T, hidden_dim)."""
        batch, frames, _ = encoded.shape
        condition = condition.repeat(batch)
        audio = self.audio_encoder(self.standardised_audio(condition.audio, frames))
        if condition.without_audio is not None:
            # What stands for no speech is zero (section 3).
            audio = audio.masked_fill(condition.without_audio[:, None, None], 0.0)
        time = self.step_encoder(step.to(encoded.dtype) * (TIME_SCALE / self.schedule.steps))[:, None]
        hidden = self.backbone((encoded if self.config.skip else F.silu(encoded)) + time, audio)
        return hidden if condition.identity is None else hidden + condition.identity[:, None]

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
        """As MotionModel.sample, at a fraction of its time and memory: without an edit, no vertices are made on the way.

        Samplers only add and scale what the denoiser says, what it is given, and noise; motion encoder and motion
        decoder are linear; so the same steps are taken on what the encoder hears of x, whitened, beside what the decoder
        is given. Noise that a sampler adds is that of as many numbers, and has the encoder's share of all coordinates'.
        """
        self.check_guidance(guidance)
        scales = guidance or {}
        if edit is not None:
            guided_vertices, lips = self.guided_by_region(self, scales), self.lip_share()

            def vertices(x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
                made, more = guided_vertices(x, step, condition)
                made = made + lips * more
                return edit.apply((made + self.excess(made @ self.axes.T) @ self.axes).clamp(*self.vertex_range))

            return sampler(
                vertices, tuple(noise.shape), self.schedule, condition, steps, noise=noise, callback=callback, **options
            )
        size = self.config.hidden_dim
        encoder, decoder, bias = (
            part.double() for part in (self.motion_encoder.weight, self.motion_decoder.weight, self.motion_decoder.bias)
        )
        spread = torch.linalg.cholesky(encoder @ encoder.T)
        whiten = torch.linalg.solve_triangular(spread, encoder, upper=False)
        axes, lips = self.axes.double(), self.lip_share().double()[:, None] * decoder
        both = torch.cat([decoder, lips], dim=1)  # of what is made for all vertices, and what the lips get besides
        products = (whiten @ both, whiten @ bias, axes @ both, axes @ bias, whiten @ axes.T, spread, whiten, both)
        heard, offset, along, start_along, back, spread, whiten, both = (part.to(noise) for part in products)

        def hidden(x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
            return self.hidden(x[..., :size] @ spread.T + self.motion_encoder.bias, step, condition)

        guided_hidden = self.guided_by_region(hidden, scales)

        def denoiser(x: torch.Tensor, step: torch.Tensor, condition: Condition) -> torch.Tensor:
            made = torch.cat(guided_hidden(x, step, condition), dim=-1)
            excess = self.excess(made @ along.T + start_along)
            return torch.cat([made @ heard.T + offset + excess @ back.T, made, excess], dim=-1)

        start = F.pad(noise @ whiten.T, (0, 2 * size + len(axes)))
        clean = sampler(
            denoiser, tuple(start.shape), self.schedule, condition, steps, noise=start, callback=callback, **options
        )
        made = clean[..., size : 3 * size] @ both.T + self.motion_decoder.bias + clean[..., 3 * size :] @ self.axes
        return made.clamp(*self.vertex_range)

    def guided_by_region(
        self, denoiser: Denoiser, scales: Mapping[str, float]
    ) -> Callable[[torch.Tensor, torch.Tensor, Condition], tuple[torch.Tensor, torch.Tensor]]:
        """Wrap a denoiser: what it makes of (x, step, condition) guided by `scales`, and what lips and jaw get besides, so
        that they follow the speech with config.lip_guidance if that is more."""
        scale = scales.get("audio", 1.0)
        further = max(self.config.lip_guidance - scale, 0.0) if scale else 0.0
        plain = guided(denoiser, scales)

        def denoise(x: torch.Tensor, step: torch.Tensor, condition: Condition) -> tuple[torch.Tensor, torch.Tensor]:
            if not further:
                made = plain(x, step, condition)
                return made, torch.zeros_like(made)
            without = denoiser(x, step, condition.without(audio=True))
            heard = denoiser(x, step, condition) - without
            return without + scale * heard, further * heard

        return denoise

    def excess(self, places: torch.Tensor) -> torch.Tensor:
        """What takes places along the axes (..., AXES) back into their range."""
        low, high = self.axes_range
        return places.clamp(low, high) - places

    def set_range(self, axes: np.ndarray, places: np.ndarray, vertices: np.ndarray) -> None:
        """Fix where samples are kept: principal axes (n, 3 V) of standardised training motion, at most AXES of them, the
        lowest and highest places (2, n) along them, and the lowest and highest coordinates (2, 3 V)."""

        def widened(ends: np.ndarray, margin: float) -> torch.Tensor:
            return torch.from_numpy(ends + margin * (ends[1] - ends[0]) * np.array([[-1], [1]], ends.dtype))

        self.axes[: len(axes)] = torch.from_numpy(axes)
        self.axes_range[:, : len(axes)] = widened(places, MARGIN)
        self.vertex_range.copy_(widened(vertices, VERTEX_MARGIN))

    def start_noise(self, noise: torch.Tensor) -> torch.Tensor:
        """Standard normal noise (S, T, 3 V), scaled by config.lip_noise as far as a vertex goes with lips and jaw, and by
        config.upper_noise as far as it does not."""
        lips = self.lip_share()
        return noise * (lips * self.config.lip_noise + (1 - lips) * self.config.upper_noise)

    def lip_share(self) -> torch.Tensor:
        """(3 V,) how far each coordinate's vertex goes with lips and jaw: of all that the shapes move it, their share."""
        reach = self.face.targets[: len(ARKIT_NAMES)].norm(dim=-1)
        total = reach.sum(dim=0)
        share = torch.where(total > 0, reach[torch.from_numpy(LIP_REGION)].sum(dim=0) / total.clamp_min(1e-12), 0.0)
        return share.repeat_interleave(3)

    def standardise(self, motion: torch.Tensor) -> torch.Tensor:
        """Coefficients (..., 52), with the head's angles behind them or not, through the rig, or displacements
        (..., 3 V) in metres, to standardised displacements (..., 3 V)."""
        if motion.shape[-1] in (len(ARKIT_NAMES), len(ARKIT_NAMES) + len(HEAD_NAMES)):  # neither is three times anything
            motion = self.face.displacements(motion[..., : len(ARKIT_NAMES)])
        self.face.check(motion.shape[-1] // 3)
        return super().standardise(motion)

    def to_vertices(self, x0: torch.Tensor) -> torch.Tensor:
        """Standardised (..., T, 3 V) to displacements (..., T, V, 3) in metres from the resting face."""
        return (x0 * self.motion_std + self.motion_mean).unflatten(-1, (-1, 3))

    def to_motion(self, x0: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised (..., T, 3 V) to the coefficients (..., T, 52) whose vertices come nearest, and no head (zeros)."""
        coefficients = self.face.coefficients(self.to_vertices(x0).flatten(-2))
        return coefficients, coefficients.new_zeros(*coefficients.shape[:-1], 3)

    def set_statistics(self, motion: tuple[np.ndarray, float], audio: tuple[np.ndarray, np.ndarray]) -> None:
        """Fix the statistics of the training data.

        motion : mean displacements (3 V,) and the sum of all coordinates' variances, in square metres;
        audio  : (mean, std) per dimension of the speech features (D,)
        """
        mean, variance = motion
        self.motion_mean.copy_(torch.from_numpy(np.asarray(mean)))
        self.motion_std.fill_(max(float(variance) / VARIANCE, 1e-12) ** 0.5)
        self.audio_mean.copy_(torch.from_numpy(np.asarray(audio[0])))
        self.audio_std.copy_(torch.from_numpy(np.maximum(audio[1], 1e-3)))
