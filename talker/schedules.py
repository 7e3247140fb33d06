"""Noise schedules: how much of the motion is left at each diffusion step (paper, section 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from talker.errors import TalkerError

BETA_START = 1e-4
BETA_END = 0.02
"""Ends of the linear schedule of DDPM (Ho et al. 2020) for 1000 steps."""

MAX_BETA = 0.999
"""Largest beta of a scaled schedule, as in guided diffusion (Dhariwal and Nichol 2021)."""

COSINE_OFFSET = 0.008
"""Keeps the first betas of the cosine schedule from vanishing."""


@dataclass(frozen=True)
class Schedule:
    """A grid of N noise levels. Steps are 1-based: 1 is the least noise, N the most, 0 is clean.

    betas      : (N,) float64, variance added at each step (eq. 2)
    alpha_bars : (N,) float64, share of the signal's variance left after each step (eq. 3)
    """

    betas: torch.Tensor
    alpha_bars: torch.Tensor

    @classmethod
    def from_alpha_bars(cls, alpha_bars) -> "Schedule":
        """The schedule with these (N,) shares of signal; betas follow from eqs. 2 and 3.

        Raises TalkerError when they are not a falling row of numbers between 0 and 1.
        """
        alpha_bars = torch.as_tensor(alpha_bars, dtype=torch.float64)
        before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
        if (
            alpha_bars.ndim != 1
            or len(alpha_bars) == 0
            or not bool(((alpha_bars > 0) & (alpha_bars < before)).all())
        ):
            raise TalkerError("A noise schedule needs alpha_bars that fall from below 1 to above 0; check config.json.")
        return cls(betas=1 - alpha_bars / before, alpha_bars=alpha_bars)

    @property
    def steps(self) -> int:
        """N, the number of steps."""
        return len(self.alpha_bars)

    def alpha_bar(self, step: int | torch.Tensor) -> torch.Tensor:
        """ᾱ of a step or of a tensor of steps, each 0..N; ᾱ(0) = 1. float64."""
        index = torch.as_tensor(step, dtype=torch.long)
        if bool((index < 0).any()) or bool((index > self.steps).any()):
            raise TalkerError(f"A step of this schedule lies between 0 and {self.steps}.")
        index = index.cpu()
        return torch.where(index == 0, torch.ones((), dtype=torch.float64), self.alpha_bars[(index - 1).clamp_min(0)])

    def signal(self, step: int | torch.Tensor) -> torch.Tensor:
        """α = sqrt(ᾱ), the factor of the clean motion at a step. float64."""
        return self.alpha_bar(step).sqrt()

    def noise(self, step: int | torch.Tensor) -> torch.Tensor:
        """σ = sqrt(1 - ᾱ), the factor of the noise at a step. float64."""
        return (1 - self.alpha_bar(step)).sqrt()

    def snr(self, step: int | torch.Tensor) -> torch.Tensor:
        """Signal-to-noise ratio α² / σ² at steps 1..N (section 3.4). float64."""
        alpha_bar = self.alpha_bar(step)
        return alpha_bar / (1 - alpha_bar)

    def add_noise(self, clean: torch.Tensor, step: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """x_t of eq. 1. clean, noise : (B, T, C); step : (B,) long."""
        signal = self.signal(step).to(clean).view(-1, 1, 1)
        return signal * clean + self.noise(step).to(clean).view(-1, 1, 1) * noise

    def thinned(self, count: int) -> "Schedule":
        """A student's schedule: `count` of this one's steps, those of `subset`; half as many are steps 2, 4, … N (section 3.4)."""
        return Schedule.from_alpha_bars(self.alpha_bar(torch.tensor(self.subset(count)[::-1])))

    def subset(self, count: int | None = None) -> list[int]:
        """`count` steps of the grid, evenly spaced, falling, always with N first. None takes all N."""
        count = self.steps if count is None else count
        if not 1 <= count <= self.steps:
            raise TalkerError(f"This model samples in 1 to {self.steps} steps, not {count}; choose a number between them.")
        return [(self.steps * k + count // 2) // count for k in range(count, 0, -1)]


def linear_schedule(steps: int) -> Schedule:
    """Linear betas for any number of steps (section 4.1).

    The ends 1e-4 and 0.02 belong to 1000 steps; they are scaled by 1000 / steps and kept at or
    below 0.999, as guided diffusion does, so that the last step is close to pure noise whatever
    the number of steps (unscaled, 32 steps would end at ᾱ = 0.73).
    """
    if steps < 1:
        raise TalkerError(f"A schedule needs at least one step, not {steps}.")
    scale = 1000.0 / steps
    betas = torch.linspace(BETA_START * scale, BETA_END * scale, steps, dtype=torch.float64).clamp_max(MAX_BETA)
    return Schedule(betas=betas, alpha_bars=torch.cumprod(1 - betas, dim=0))


def cosine_schedule(steps: int) -> Schedule:
    """The cosine schedule of Nichol and Dhariwal (2021), eq. 17, betas kept at or below 0.999."""
    if steps < 1:
        raise TalkerError(f"A schedule needs at least one step, not {steps}.")
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    signal = torch.cos((time + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2
    betas = (1 - signal[1:] / signal[:-1]).clamp_max(MAX_BETA)
    return Schedule(betas=betas, alpha_bars=torch.cumprod(1 - betas, dim=0))


SCHEDULES = {"linear": linear_schedule, "cosine": cosine_schedule}
"""Schedules for any number of steps, by the name that a recipe holds."""
