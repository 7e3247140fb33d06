"""Waveform augmentation: what a stranger's room, microphone and throat do to speech. 16 kHz mono throughout."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy import signal

from talker.audio import SAMPLE_RATE


def change_rate(samples: np.ndarray, rate: float) -> np.ndarray:
    """Play `rate` times as fast: n samples → about n / rate. Pitch and vocal-tract length move with it,
    so phone times must be divided by `rate`."""
    ratio = Fraction(rate).limit_denominator(50)
    return signal.resample_poly(samples, ratio.denominator, ratio.numerator).astype(np.float32)


def add_noise(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add `noise`, repeated or cut to fit, at a signal-to-noise ratio of `snr` dB."""
    noise = np.resize(noise, samples.shape)
    power = float(np.mean(samples**2)) / max(float(np.mean(noise**2)), 1e-12)
    return (samples + noise * np.sqrt(power / 10 ** (snr / 10))).astype(np.float32)


def coloured_noise(count: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of power falling as 1 / f^exponent: 0 white, 1 pink, 2 brown. (count,) float32."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count), 1 / count)
    noise = np.fft.irfft(spectrum * frequency ** (-exponent / 2), count)
    return (noise / noise.std()).astype(np.float32)


def equalise(samples: np.ndarray, rng: np.random.Generator, most: float = 10.0) -> np.ndarray:
    """A random smooth frequency response of up to ± `most` dB, as a microphone's."""
    knots = np.linspace(0, 1, 6)
    gains = 10 ** (rng.uniform(-most, most, len(knots)) / 20)
    return signal.oaconvolve(samples, signal.firwin2(129, knots, gains), mode="same").astype(np.float32)


def reverberate(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A small room: exponentially decaying noise after the direct sound, 0.1 to 0.5 s to −60 dB."""
    decay = rng.uniform(0.1, 0.5)
    count = int(decay * SAMPLE_RATE)
    tail = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail[: int(0.003 * SAMPLE_RATE)] = 0
    room = tail * rng.uniform(0.1, 0.5) / np.linalg.norm(tail)
    room[0] = 1
    return signal.oaconvolve(samples, room, mode="full")[: len(samples)].astype(np.float32)


def narrow_band(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A telephone's or cheap microphone's pass band."""
    low, high = rng.uniform(80, 350), rng.uniform(3300, 7000)
    sections = signal.butter(4, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return signal.sosfilt(sections, samples).astype(np.float32)


def augment(samples: np.ndarray, babble: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One random combination of equaliser, room, band limit and noise that keeps the length.

    babble : other utterances, from which background talk is mixed
    """
    if rng.random() < 0.7:
        samples = equalise(samples, rng)
    if rng.random() < 0.35:
        samples = reverberate(samples, rng)
    if rng.random() < 0.2:
        samples = narrow_band(samples, rng)
    if rng.random() < 0.75:
        if babble and rng.random() < 0.3:
            voices = [babble[i] for i in rng.integers(len(babble), size=4)]
            noise = np.sum([np.resize(v / max(float(v.std()), 1e-4), len(samples)) for v in voices], axis=0)
        else:
            noise = coloured_noise(len(samples), rng.uniform(0, 2), rng)
        samples = add_noise(samples, noise, rng.uniform(5, 30))
    return samples
