"""Long utterances: denoise overlapping windows in one batch and cross-fade them on every step."""

from __future__ import annotations

from typing import Any

import torch

from talker.samplers import Denoiser

WINDOW = 300
OVERLAP = 60
"""Frames of a window and of the least overlap of two neighbours (10 s and 2 s at 30 fps)."""


def window_starts(frames: int, window: int = WINDOW, overlap: int = OVERLAP) -> list[int]:
    """First frames of the fewest evenly spread windows that cover all frames and overlap enough."""
    if frames <= window:
        return [0]
    count = -(-(frames - overlap) // (window - overlap))
    return [round(k * (frames - window) / (count - 1)) for k in range(count)]


def fade(frames: int, starts: list[int], window: int, overlap: int) -> torch.Tensor:
    """Cross-fade weights (n, window) whose sum over the windows is 1 at every one of the frames."""
    ramp = torch.ones(window)
    rise = torch.arange(1, overlap + 1) / (overlap + 1)
    ramp[:overlap] = rise
    ramp[window - overlap :] = torch.minimum(ramp[window - overlap :], rise.flip(0))
    weights = ramp.repeat(len(starts), 1)
    # Nothing to fade into before the first frame and after the last.
    weights[0, :overlap] = 1.0
    weights[-1, window - overlap :] = 1.0
    total = torch.zeros(frames)
    for row, start in zip(weights, starts):
        total[start : start + window] += row
    return torch.stack([row / total[start : start + window] for row, start in zip(weights, starts)])


def windowed(denoiser: Denoiser, window: int = WINDOW, overlap: int = OVERLAP) -> Denoiser:
    """Wrap a denoiser so that it never sees more than `window` frames.

    The n windows of all S takes are denoised as one batch of n·S, and the predicted x0 are
    cross-faded linearly where they overlap. As this happens on every step, neighbouring windows
    agree long before the last one. A condition that is not None must have
    `.windows(starts, length)` -> the condition of the n·S batch (window-major), as
    talker.models.diffusiontalker.Condition has. Utterances of at most `window` frames pass through.
    """

    def denoise(x: torch.Tensor, step: torch.Tensor, condition: Any) -> torch.Tensor:
        takes, frames, channels = x.shape
        if frames <= window:
            return denoiser(x, step, condition)
        starts = window_starts(frames, window, overlap)
        pieces = torch.cat([x[:, start : start + window] for start in starts])
        inner = None if condition is None else condition.windows(starts, window)
        clean = denoiser(pieces, step.repeat(len(starts)), inner).view(len(starts), takes, window, channels)
        weights = fade(frames, starts, window, overlap).to(x)
        joined = torch.zeros_like(x)
        for k, start in enumerate(starts):
            joined[:, start : start + window] += weights[k, :, None] * clean[k]
        return joined

    return denoise
