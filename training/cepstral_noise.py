"""Noise for speech that is known by its features only, and other vocal tracts.

Thirteen of the 23 cepstra give back a smoothed log-mel spectrum. In it background talk and noise add as
energies, and a longer or shorter vocal tract is a warp of the frequency axis; the result, with steady
noise weakened as the encoder does it, is turned into normalised cepstra again. What normalisation took
away (mean and deviation of every cepstrum) is borrowed from recordings with waveforms.
"""

from __future__ import annotations

import numpy as np

from talker.audio import SAMPLE_RATE
from talker.encoders import MEL_BINS, noise_gains, raw_fbank, raw_mfcc, to_cepstra
from training.augmentation import coloured_noise

_TO_MEL = np.linalg.pinv(to_cepstra(np.eye(MEL_BINS))).astype(np.float32)
"""(13, 23): liftered cepstra times it are the smoothest log-mel energies that have them."""

_MEL = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700), MEL_BINS + 2)[1:-1]
"""Centres of the mel bins, in mel, from Kaldi's 20 Hz to half the sample rate."""


def _warp(factor: float) -> np.ndarray:
    """(23, 23) matrix that reads a log-mel spectrum at `factor` times each bin's frequency in Hz."""
    wanted = 1127 * np.log1p(factor * np.expm1(_MEL / 1127))
    return np.stack([np.interp(wanted, _MEL, row) for row in np.eye(MEL_BINS)], axis=0).astype(np.float32)


def statistics(recordings: list[np.ndarray]) -> np.ndarray:
    """Mean and deviation over time of the cepstra of recordings (n,) at 16 kHz: (R, 2, 13) float32."""
    return np.stack([[c.mean(0), c.std(0)] for c in map(raw_mfcc, recordings)]).astype(np.float32)


class CepstralNoise:
    """Changes normalised MFCCs (T, 13) at random into those of another room, microphone and throat.

    statistics : (R, 2, 13), see statistics()
    others     : normalised MFCCs of further utterances, for background talk
    share      : of the utterances that are changed at all
    """

    def __init__(self, statistics: np.ndarray, others: list[np.ndarray], share: float = 0.7):
        self.statistics, self.others, self.share = statistics, others, share

    def __call__(self, cepstra: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(T, 13) → (T, 13) float32, mean 0 and variance 1 over time."""
        cepstra = cepstra.astype(np.float32)
        if rng.random() > self.share:
            return cepstra
        mel = self._mel(cepstra, rng)
        if rng.random() < 0.6:
            mel = mel @ _warp(float(np.exp(rng.uniform(np.log(0.87), np.log(1.15)))))
        if rng.random() < 0.8:
            mel = np.log(np.exp(mel) + self._noise(mel, rng))
        noisy = to_cepstra(mel + noise_gains(mel))
        return (noisy - noisy.mean(0)) / np.maximum(noisy.std(0), 1e-3)

    def _mel(self, cepstra: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        mean, deviation = self.statistics[rng.integers(len(self.statistics))]
        return (cepstra * deviation + mean) @ _TO_MEL

    def _noise(self, mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Mel energies (T, 23) of talk or noise at a random signal-to-noise ratio to `mel`."""
        if rng.random() < 0.5:
            noise = np.zeros_like(mel)
            for _ in range(int(rng.integers(3, 7))):
                other = np.exp(self._mel(self.others[rng.integers(len(self.others))].astype(np.float32), rng))
                other = np.resize(np.roll(other, rng.integers(len(other)), axis=0), mel.shape)
                noise += other / other.mean()
            ratio = rng.uniform(4, 25)
        else:
            # A slope over frequency, and the chi-square fluctuation of few (low) to many (high) spectral lines.
            slope = np.exp(rng.uniform(-1.5, 2.0) * np.linspace(-1, 1, MEL_BINS) + rng.normal(0, 0.4, MEL_BINS))
            lines = np.linspace(2, 12, MEL_BINS)
            noise = rng.gamma(lines, 1 / lines, mel.shape).astype(np.float32) * slope.astype(np.float32)
            ratio = rng.uniform(3, 28)
        energy = np.exp(mel).mean()
        return noise * (energy / noise.mean() / 10 ** (ratio / 10))


class VoiceNoise:
    """Adds stationary noise to what the voice path hears, (M, 40) log-mel energies of talker.encoders.voice_fbank.

    Noise was rendered into a few of a voice's recordings; here every crop may get some, of its own colour and level.
    The spread that normalisation took away is borrowed at random.
    """

    EXPONENTS = (-0.5, 0.0, 0.0, 0.5, 1.0, 1.5)

    def __init__(self, share: float = 0.6, snr: tuple[float, float] = (8.0, 30.0)):
        self.share, self.snr = share, snr
        rng = np.random.default_rng(0)
        self.noises = [np.exp(raw_fbank(coloured_noise(4 * SAMPLE_RATE, e, rng))) for e in self.EXPONENTS]
        self.white = self.noises[1].mean(0)
        # White noise fills a mel band in proportion to its width once pre-emphasis is taken out.
        mel = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700), len(self.white) + 2)
        self.widths = np.diff(700 * np.expm1(mel / 1127), n=1)[:-1]
        self.widths /= self.widths.sum()

    def __call__(self, mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(M, 40) → (M, 40) float32, mean 0 and deviation 1 over all."""
        if rng.random() < self.share:
            energy = np.exp(mel * rng.uniform(2.0, 3.2))
            # Half of the recording is quieter than what is heard here; the ratio is over the whole of it.
            power = 0.55 * ((energy / self.white) @ self.widths).mean() / 10 ** (rng.uniform(*self.snr) / 10)
            noise = self.noises[rng.integers(len(self.noises))]
            mel = np.log(energy + power * noise[rng.integers(len(noise), size=len(mel))])
        return ((mel - mel.mean()) / max(float(mel.std()), 1e-3)).astype(np.float32)
