"""The naive rival: a jaw driven by loudness alone. It stands beside every measure on real speech."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talker.audio import SAMPLE_RATE
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, FPS

SMOOTHING = 1.0
"""Standard deviation in frames of the Gaussian over the loudness."""

LOUD_JAW = 0.6
"""jawOpen where the utterance is loud (its 95th percentile), about what speech opens it to."""


def loudness_jaw(samples: np.ndarray, frames: int, fps: float = FPS) -> np.ndarray:
    """jawOpen as the root of the RMS, smoothed; nothing else moves.

    samples : (n,) at 16 kHz -> (frames, 52) float32 in [0, 1]; the RMS is that of one frame's length around it
    """
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    edges = np.clip((np.arange(frames + 1) - 0.5) / fps * SAMPLE_RATE, 0, len(samples)).astype(int)
    counts = np.maximum(np.diff(edges), 1)
    rms = np.sqrt(np.maximum(energy[edges[1:]] - energy[edges[:-1]], 0.0) / counts)
    loudness = gaussian_filter1d(np.sqrt(rms), SMOOTHING, mode="nearest")
    loud = max(float(np.quantile(loudness, 0.95)), 1e-6)
    coefficients = np.zeros((frames, len(ARKIT_NAMES)), np.float32)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = np.clip(LOUD_JAW * loudness / loud, 0, 1)
    return coefficients
