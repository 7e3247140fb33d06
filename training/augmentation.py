"""Waveform augmentation: what a stranger's room, microphone and throat do to speech. 16 kHz mono throughout."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from scipy import fft, signal

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
    longer = fft.next_fast_len(count, real=True)
    spectrum = fft.rfft(rng.standard_normal(longer, dtype=np.float32))
    frequency = np.maximum(fft.rfftfreq(longer), 1 / longer).astype(np.float32)
    noise = fft.irfft(spectrum * frequency ** np.float32(-exponent / 2), longer)[:count]
    return (noise / noise.std()).astype(np.float32)


def equalise(samples: np.ndarray, rng: np.random.Generator, most: float = 10.0) -> np.ndarray:
    """A random smooth frequency response of up to ± `most` dB, as a microphone's."""
    knots = np.linspace(0, 1, 6)
    gains = 10 ** (rng.uniform(-most, most, len(knots)) / 20)
    return signal.oaconvolve(samples, signal.firwin2(129, knots, gains), mode="same").astype(np.float32)


def room_response(rng: np.random.Generator) -> np.ndarray:
    """Impulse response of a random living room or office from mouth to microphone, direct sound first and 1.

    Reflections up to the second order by image sources (Allen and Berkley 1979, eq. 10) with one absorption
    for all walls, after them noise that decays at Sabine's rate, as loud at its start as the images leave off.
    """
    room = rng.uniform([2.5, 2.5, 2.2], [6.0, 5.0, 3.2])
    mouth = room * rng.uniform(0.25, 0.75, 3)
    direction = rng.standard_normal(3)
    distance = np.exp(rng.uniform(np.log(0.3), np.log(2.0)))  # a headset's … across a desk
    microphone = np.clip(mouth + distance * direction / np.linalg.norm(direction), 0.2, room - 0.2)
    decay = rng.uniform(0.15, 0.6)  # seconds to -60 dB
    surface = 2 * (room[0] * room[1] + room[0] * room[2] + room[1] * room[2])
    absorption = min(0.161 * room.prod() / (surface * decay), 0.9)
    reflection = np.sqrt(1 - absorption)

    shifts = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    mirrored = np.stack(np.meshgrid(*[(0, 1)] * 3, indexing="ij"), -1).reshape(1, -1, 3)
    images = (1 - 2 * mirrored) * mouth + 2 * shifts * room
    bounces = np.abs(shifts - mirrored).sum(-1) + np.abs(shifts).sum(-1)
    path = np.linalg.norm(images - microphone, axis=-1)
    near = bounces <= 2
    first = path[near].min()
    delays = np.round((path[near] - first) / 343.0 * SAMPLE_RATE).astype(int)
    response = np.zeros(int(decay * SAMPLE_RATE))
    gains = reflection ** bounces[near] * first / path[near]
    early = delays < len(response)
    np.add.at(response, delays[early], gains[early])

    # Diffuse field: direct to reverberant energy from the critical distance, 0.1 sqrt(V / (pi T60)).
    critical = 0.1 * np.sqrt(room.prod() / (np.pi * decay)) / 0.567
    start = int(np.median(delays[early]))
    count = len(response) - start
    if count > 0:
        tail = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / len(response))
        response[start:] += tail * first / critical / np.sqrt(np.sum(tail**2))
    return response / response[0]


def reverberate(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heard through a random room; the direct sound stays where it was. The length is kept."""
    return signal.oaconvolve(samples, room_response(rng), mode="full")[: len(samples)].astype(np.float32)


def _band(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    sections = signal.butter(3, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return signal.sosfiltfilt(sections, samples).astype(np.float32)  # both ways: nothing is delayed


def telephone(samples: np.ndarray, low: float = 300.0, high: float = 3400.0) -> np.ndarray:
    """A telephone line: 300 to 3400 Hz and the eight bits of mu-law (ITU-T G.711)."""
    band = _band(samples, low, high)
    peak = max(float(np.abs(band).max()), 1e-6)
    code = np.round(127 * np.sign(band) * np.log1p(255 * np.abs(band) / peak) / np.log(256))
    return (peak * np.sign(code) * np.expm1(np.abs(code) / 127 * np.log(256)) / 255).astype(np.float32)


def laptop(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A laptop's microphone: little bass, one resonance of the case, treble that falls off."""
    samples = _band(samples, rng.uniform(80, 250), rng.uniform(4500, 7600))
    numerator, denominator = signal.iirpeak(rng.uniform(800, 4000), rng.uniform(1, 4), SAMPLE_RATE)
    resonance = signal.lfilter(numerator, denominator, samples)
    return (samples + rng.uniform(-0.7, 1.5) * resonance).astype(np.float32)


def transmit(samples: np.ndarray, codec: str, bit_rate: int) -> np.ndarray:
    """Encoded and decoded again in memory; the codec's delay is taken out and the length kept.

    codec : "mp3" or "opus"; bit_rate : bits a second
    """
    encoder, container_format = {"mp3": ("libmp3lame", "mp3"), "opus": ("libopus", "ogg")}[codec]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None], np.float32), "fltp", "mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    # The decoder drops the encoder's padding by what the container says of it (LAME tag, Opus pre-skip).
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    with av.open(file) as container:
        frames = [f for decoded in container.decode(audio=0) for f in resampler.resample(decoded)]
    heard = np.concatenate([f.to_ndarray()[0] for f in [*frames, *resampler.resample(None)]])[: len(samples)]
    return np.pad(heard, (0, len(samples) - len(heard)))


def record(samples: np.ndarray, gain: float) -> np.ndarray:
    """Recorded with 16 bits at a level of `gain` dB relative to a full-scale peak: too quiet, or clipped."""
    scaled = samples * (10 ** (gain / 20) / max(float(np.abs(samples).max()), 1e-6))
    return (np.round(np.clip(scaled, -1, 1) * 32767) / 32767).astype(np.float32)


def babble_noise(voices: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Three to six voices at once, equally loud, each from a random place. (count,) float32."""
    chosen = [voices[i] for i in rng.integers(len(voices), size=int(rng.integers(3, 7)))]
    cuts = [np.resize(np.roll(v / max(float(v.std()), 1e-4), rng.integers(len(v))), count) for v in chosen]
    return np.sum(cuts, axis=0)


def augment(samples: np.ndarray, babble: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """One random combination of room, noise, microphone, level and codec that keeps length and alignment.

    babble : other utterances, from which background talk is mixed
    """
    if rng.random() < 0.35:
        samples = reverberate(samples, rng)
    if rng.random() < 0.75:
        if babble and rng.random() < 0.5:
            samples = add_noise(samples, babble_noise(babble, len(samples), rng), rng.uniform(4, 25))
        else:
            noise = coloured_noise(len(samples), rng.uniform(-0.5, 2), rng)
            samples = add_noise(samples, noise, rng.uniform(5, 30))
    if rng.random() < 0.6:
        samples = equalise(samples, rng)
    line = rng.random()
    if line < 0.1:
        samples = telephone(samples, rng.uniform(150, 350), rng.uniform(3200, 3900))
    elif line < 0.25:
        samples = laptop(samples, rng)
    if rng.random() < 0.15:
        samples = record(samples, rng.uniform(-40, 12))
    if rng.random() < 0.12:
        codec, rates = [("mp3", (24, 32, 48)), ("opus", (8, 12, 16, 24))][rng.integers(2)]
        samples = transmit(samples, codec, 1000 * int(rng.choice(rates)))
    return samples
