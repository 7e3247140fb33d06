"""Samplers: from noise to clean motion, with any denoiser.

A denoiser is a callable (x (S, T, C), step (S,) long, condition) -> x0 (S, T, C) that predicts the
clean, standardised motion. The samplers never look at the condition; windows, guidance and editing
wrap the denoiser. All takes S of an utterance are denoised in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from talker.errors import TalkerError
from talker.schedules import Schedule

Denoiser = Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]
Generators = torch.Generator | Sequence[torch.Generator] | None


def take_generators(seed: int, takes: int) -> list[torch.Generator]:
    """One CPU generator per take, so that take k is the same whatever the number of takes."""
    # A fixed odd stride keeps the generators of neighbouring seeds apart.
    return [torch.Generator().manual_seed((seed + 0x9E3779B97F4A7C15 * k) % 2**63) for k in range(takes)]


def draw_noise(shape: tuple[int, int, int], generator: Generators, like: torch.Tensor | None = None) -> torch.Tensor:
    """Standard normal noise of shape (S, T, C).

    Drawn on the CPU and then moved, so that a seed means the same noise on every device. With a
    sequence of S generators, each take draws from its own.
    """
    if generator is None or isinstance(generator, torch.Generator):
        device = "cpu" if generator is None else generator.device
        noise = torch.randn(shape, generator=generator, device=device)
    else:
        noise = torch.stack([torch.randn(shape[1:], generator=one) for one in generator])
    return noise if like is None else noise.to(like)


def _sample(update, denoiser, shape, schedule, condition, steps, generator, noise, callback):
    """Walk down a subset of the schedule, denoise, and let `update` make each next x."""
    x = draw_noise(shape, generator) if noise is None else noise
    grid = schedule.subset(steps)
    for done, (step, following) in enumerate(zip(grid, grid[1:] + [0]), start=1):
        clean = denoiser(x, torch.full((x.shape[0],), step, dtype=torch.long, device=x.device), condition)
        x = update(x, clean, float(schedule.alpha_bar(step)), float(schedule.alpha_bar(following)))
        if callback is not None:
            callback(done, len(grid))
    return x


@torch.no_grad()
def ddim(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    schedule: Schedule,
    condition: Any = None,
    steps: int | None = None,
    eta: float = 0.0,
    generator: Generators = None,
    noise: torch.Tensor | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """DDIM (Song et al. 2021, eq. 12) on `steps` evenly spaced steps of the schedule.

    shape     : (S, T, C), takes, frames, channels
    eta       : 0 is deterministic after the first noise, 1 has the variance of ancestral sampling
    generator : one generator, or one per take
    noise     : (S, T, C) to start from instead of drawing it (its device is the sampler's device)
    callback  : called with (steps done, steps in all) after each step
    Returns x0 (S, T, C). Raises TalkerError when steps is not in 1..N.
    """
    return _sample(
        lambda x, clean, now, following: ddim_step(x, clean, now, following, eta, generator),
        denoiser, shape, schedule, condition, steps, generator, noise, callback,
    )  # fmt: skip


@torch.no_grad()
def ancestral(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    schedule: Schedule,
    condition: Any = None,
    steps: int | None = None,
    eta: float = 1.0,
    generator: Generators = None,
    noise: torch.Tensor | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """Ancestral sampling of DDPM (Ho et al. 2020, eqs. 6 and 7; the paper's eq. 5 in terms of x0).

    Arguments and result as for `ddim`; eta scales the standard deviation of the added noise.
    """
    return _sample(
        lambda x, clean, now, following: ancestral_step(x, clean, now, following, eta, generator),
        denoiser, shape, schedule, condition, steps, generator, noise, callback,
    )  # fmt: skip


@torch.no_grad()
def dpm_solver(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    schedule: Schedule,
    condition: Any = None,
    steps: int | None = None,
    eta: float = 0.0,
    generator: Generators = None,
    noise: torch.Tensor | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, "DPM-Solver++", algorithm 2): few steps of a model of many.

    Second order by what the step before predicted, so it costs one call of the denoiser a step, as
    DDIM does, which is its first order and is taken for the first and the last step. Arguments and
    result as for `ddim`; it adds no noise, and raises TalkerError for an eta other than 0.
    """
    if eta:
        raise TalkerError("DPM-Solver++ adds no noise back; leave eta out, or choose the sampler ddim or ancestral.")
    before: tuple[torch.Tensor, float] | None = None

    def update(x: torch.Tensor, clean: torch.Tensor, now: float, following: float) -> torch.Tensor:
        nonlocal before
        ahead = clean
        if before is not None and following < 1:
            (clean_before, level_before), level = before, half_log_snr(now)
            ratio = (half_log_snr(following) - level) / (level - level_before)
            ahead = clean + ratio / 2 * (clean - clean_before)
        before = clean, half_log_snr(now)
        return ddim_step(x, ahead, now, following)

    return _sample(update, denoiser, shape, schedule, condition, steps, generator, noise, callback)


def half_log_snr(alpha_bar: float) -> float:
    """λ = log(α / σ) of DPM-Solver, the time in which its steps are polynomials. alpha_bar in (0, 1)."""
    return 0.5 * (math.log(alpha_bar) - math.log1p(-alpha_bar))


SAMPLERS = {"ddim": ddim, "ancestral": ancestral, "dpm-solver++": dpm_solver}
"""Samplers by the name that a checkpoint's config.json holds."""


def ddim_step(
    x: torch.Tensor,
    clean: torch.Tensor,
    alpha_bar: float | torch.Tensor,
    alpha_bar_next: float | torch.Tensor,
    eta: float = 0.0,
    generator: Generators = None,
) -> torch.Tensor:
    """One DDIM step from noise level ᾱ to the lower one ᾱ_next, given the predicted clean motion.

    x, clean : (S, T, C); the ᾱ are numbers or tensors that broadcast against x. With eta = 0 this
    is eq. 8 of the paper: α' x0 + (σ' / σ)(x - α x0).
    """
    now, following = (torch.as_tensor(a, dtype=torch.float64, device=x.device) for a in (alpha_bar, alpha_bar_next))
    spread = eta * ((1 - following) / (1 - now) * (1 - now / following)).clamp_min(0).sqrt()
    ratio = ((1 - following - spread**2).clamp_min(0) / (1 - now)).sqrt()
    x_next = (following.sqrt() - ratio * now.sqrt()).to(x.dtype) * clean + ratio.to(x.dtype) * x
    if eta > 0 and bool((following < 1).any()):
        x_next = x_next + spread.to(x.dtype) * draw_noise(tuple(x.shape), generator, like=x)
    return x_next


def ancestral_step(
    x: torch.Tensor,
    clean: torch.Tensor,
    alpha_bar: float,
    alpha_bar_next: float,
    eta: float = 1.0,
    generator: Generators = None,
) -> torch.Tensor:
    """One draw from the posterior q(x_next | x, x0) of DDPM, given the predicted clean motion."""
    beta = 1 - alpha_bar / alpha_bar_next
    of_clean = alpha_bar_next**0.5 * beta / (1 - alpha_bar)
    of_x = (alpha_bar / alpha_bar_next) ** 0.5 * (1 - alpha_bar_next) / (1 - alpha_bar)
    x_next = of_clean * clean + of_x * x
    if eta > 0 and alpha_bar_next < 1:
        spread = (beta * (1 - alpha_bar_next) / (1 - alpha_bar)) ** 0.5
        x_next = x_next + eta * spread * draw_noise(tuple(x.shape), generator, like=x)
    return x_next
