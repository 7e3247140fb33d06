"""Expression: what speech does not determine. Blinks, brows, gaze, squint and the head.

Every call with another seed draws another performance of the same utterance. Brow raises and nods
lean on pitch and energy accents, blinks on the ends of phrases, but none of them has to come.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talker.audio import SAMPLE_RATE
from talker.motion import ARKIT_INDEX, FPS, Motion
from training.alignment import SILENCE, VOWELS, Phone
from training.articulation import RATE, Style, generator, lips, prominence, window

BLINK_CLOSE, BLINK_HOLD, BLINK_OPEN = 0.065, 0.040, 0.115
"""Seconds that a blink closes, stays closed and opens: lids fall about twice as fast as they rise.
The hold is longer than a frame, so that every blink reaches its peak in some frame."""

GAZE_RANGE = np.radians(30.0)
"""Rotation of the eyes at which an eyeLook coefficient is 1."""


PITCH_RATE, PITCH_HOP = 8000, 160
"""pYIN works on 8 kHz, with a value every 20 ms: its cost grows with both, hours of speech wait for it,
and a vowel of 60 ms still has three values."""


def pitch_track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times (n,) in seconds and fundamental frequency (n,) in Hz, 0 where unvoiced.

    pYIN (Mauch and Dixon, 2014) by librosa, between 65 and 420 Hz in steps of a fifth of a semitone.
    """
    import librosa
    import soxr

    signal = soxr.resample(np.asarray(samples, np.float32), SAMPLE_RATE, PITCH_RATE)
    if len(signal) == 0 or not np.any(signal):
        return np.zeros(1), np.zeros(1)
    f0, voiced, _ = librosa.pyin(
        signal, fmin=65.0, fmax=420.0, sr=PITCH_RATE, frame_length=512, hop_length=PITCH_HOP,
        resolution=0.2, fill_na=0.0,
    )  # fmt: skip
    return np.arange(len(f0)) * PITCH_HOP / PITCH_RATE, np.where(voiced, f0, 0.0)


def accents(phones: list[Phone], samples: np.ndarray) -> list[tuple[float, float]]:
    """(time in seconds, strength 0 … 1) of the vowels that stand out by pitch, loudness and length."""
    times, f0 = pitch_track(samples)
    strength = prominence(phones, samples)
    vowels = [i for i, p in enumerate(phones) if p.label in VOWELS]
    if not vowels:
        return []
    semitones = np.zeros(len(phones))
    for i in vowels:
        inside = f0[np.searchsorted(times, phones[i].start) : np.searchsorted(times, phones[i].end)]
        voiced = inside[inside > 0]
        semitones[i] = 12 * np.log2(np.max(voiced) / 100.0) if len(voiced) else np.nan
    pitch = semitones[vowels]
    spread = max(float(np.nanstd(pitch)), 1.0) if np.isfinite(pitch).any() else 1.0
    middle = float(np.nanmedian(pitch)) if np.isfinite(pitch).any() else 0.0
    pitch = np.nan_to_num((pitch - middle) / spread)
    score = 0.5 * strength[vowels] + 0.5 * np.clip(pitch, -1.5, 2.0)
    found = []
    for k, i in enumerate(vowels):
        neighbours = score[max(0, k - 1) : k + 2]
        if score[k] > 0.35 and score[k] >= neighbours.max():
            found.append((phones[i].middle, float(np.clip((score[k] - 0.2) / 1.3, 0.0, 1.0))))
    return found


def smooth_noise(random: np.random.Generator, count: int, hertz: float) -> np.ndarray:
    """Gaussian noise low-passed at about `hertz`, mean 0, standard deviation 1; (count,) at RATE."""
    sigma = RATE / (2 * np.pi * hertz)
    pad = int(4 * sigma)
    noise = gaussian_filter1d(random.standard_normal(count + 2 * pad), sigma)[pad : pad + count]
    # White noise through a Gaussian of width sigma keeps 1 / (2 sigma sqrt(pi)) of its variance.
    return noise * np.sqrt(2.0 * sigma * np.sqrt(np.pi))


def _blinks(random, times, phones, style: Style) -> tuple[np.ndarray, np.ndarray]:
    """Lid closure (T,) of the left and the right eye."""
    mean = 60.0 / style.blinks_per_minute * (1.0 + style.flutter)
    pauses = [p.start + 0.1 for p in phones if p.label == SILENCE and p.end - p.start > 0.15]
    left, right = np.zeros_like(times), np.zeros_like(times)
    # Intervals between blinks are skewed; a gamma of shape 2 keeps them from coming in pairs.
    time = random.uniform(0.0, 0.8 * mean)
    while time < times[-1]:
        # Blinks wait for, or come early at, the end of a phrase.
        near = [p for p in pauses if abs(p - time) < 1.1]
        at = near[0] + random.normal(0.0, 0.05) if near and random.random() < 0.8 else time
        # A flutter: the lids come down again as soon as they are up.
        for _ in range(2 if random.random() < style.flutter else 1):
            slow = style.blink_seconds * random.uniform(0.85, 1.15)
            peak = random.uniform(0.86, 1.0)
            hold = BLINK_HOLD * max(slow, 1.0)
            shape = peak * window(times, at, at + hold, BLINK_CLOSE * slow, BLINK_OPEN * slow)
            left = np.maximum(left, shape)
            right = np.maximum(right, random.uniform(0.95, 1.0) * shape)
            last, at = at, at + hold + (BLINK_OPEN + BLINK_CLOSE) * slow + random.uniform(0.0, 0.12)
        time = max(time, last) + 0.35 + random.gamma(2.0, 0.5 * max(mean - 0.35, 0.2))
    return left, right


def _brows(random, times, beats, style: Style) -> dict[str, np.ndarray]:
    """Raise and frown as two opposed movements, then the five brow coefficients and eyeWide."""
    count = len(times)
    mood = 0.10 * random.standard_normal() + style.brow_rest
    raised = mood + 0.15 * style.brow_activity * smooth_noise(random, count, 0.18)
    frown = -0.6 * mood + 0.13 * style.brow_activity * smooth_noise(random, count, 0.15)
    inner = 0.10 * style.brow_activity * smooth_noise(random, count, 0.15)
    skew = style.brow_skew + 0.45 * smooth_noise(random, count, 0.10)
    for time, strength in beats:
        if random.random() < 0.25 + 0.40 * strength:
            size = style.brow_activity * random.uniform(0.15, 0.42) * (0.5 + 0.7 * strength)
            rise, hold, fall = random.uniform(0.12, 0.25), random.uniform(0.03, 0.35), random.uniform(0.2, 0.5)
            shape = size * window(times, time - 0.04, time - 0.04 + hold, rise, fall)
            if random.random() < 0.80:
                raised += shape
            else:
                frown += 0.8 * shape
    # Longer gestures that have nothing to do with the sound: about one in five seconds.
    for time in np.cumsum(random.exponential(5.0, size=int(times[-1] / 2) + 2)):
        if time > times[-1]:
            break
        size = style.brow_activity * random.uniform(0.2, 0.5)
        rise, hold, fall = random.uniform(0.2, 0.5), random.uniform(0.3, 1.8), random.uniform(0.3, 0.9)
        shape = size * window(times, time, time + hold, rise, fall)
        if random.random() < 0.6:
            raised += shape
        else:
            frown += shape

    def positive(values: np.ndarray) -> np.ndarray:
        # A soft corner at 0: a clipped curve would stop dead.
        return 0.5 * (values + np.sqrt(values**2 + 0.0016)) - 0.02

    up, down = positive(raised - 0.5 * positive(frown)), positive(frown - 0.5 * positive(raised))
    return {
        "browInnerUp": 0.9 * up + positive(inner),
        "browOuterUpLeft": up * (1.0 + 0.6 * np.tanh(skew)),
        "browOuterUpRight": up * (1.0 - 0.6 * np.tanh(skew)),
        "browDownLeft": down * (1.0 - 0.25 * np.tanh(skew)),
        "browDownRight": down * (1.0 + 0.25 * np.tanh(skew)),
        "eyeWide": 0.45 * positive(up - 0.12),
        "frown": down,
    }


def _gaze(random, times, style: Style) -> tuple[np.ndarray, np.ndarray]:
    """Where the eyes look, to the face's own left and upwards (T,) in radians in space: fixations on
    the listener and away from it, joined by saccades."""
    horizontal, vertical = np.zeros_like(times), np.zeros_like(times)
    time, x, y = 0.0, 0.0, 0.0
    while time < times[-1]:
        away = random.random() < 0.42
        spread = style.gaze * (0.22 if away else 0.035)
        new_x, new_y = random.normal(0.0, spread), random.normal(-0.01, 0.6 * spread)
        # The main sequence: 21 ms and 2.2 ms a degree more (Carpenter, Movements of the Eyes, 1988).
        duration = 0.021 + 0.126 * np.hypot(new_x - x, new_y - y)
        step = 0.5 - 0.5 * np.cos(np.pi * np.clip((times - time) / duration, 0.0, 1.0))
        horizontal += (new_x - x) * step
        vertical += (new_y - y) * step
        x, y = new_x, new_y
        time += duration + (random.exponential(0.7 if away else 1.3) + 0.18) / style.saccades
    return horizontal, vertical


def _head(random, times, phones, beats, gaze, style: Style) -> np.ndarray:
    """Yaw, pitch, roll (T, 3) in radians: posture, sway, nods on accents, a share of where the eyes look."""
    count = len(times)
    head = np.zeros((count, 3))
    for axis, (posture, sway) in enumerate(((0.050, 0.055), (0.030, 0.035), (0.022, 0.026))):
        head[:, axis] = style.sway * (
            posture * smooth_noise(random, count, 0.08)
            + sway * smooth_noise(random, count, style.sway_hertz)
        )
    # Speakers move less while they are silent.
    talking = np.ones(count)
    for phone in phones:
        if phone.label == SILENCE and phone.end - phone.start > 0.25:
            talking -= 0.5 * window(times, phone.start + 0.2, phone.end - 0.1, 0.2, 0.2)
    head += (head - head.mean(axis=0)) * 0.3 * gaussian_filter1d(talking - 1.0, 0.2 * RATE)[:, None]
    head[:, 1] += style.chin
    head[:, 2] += style.tilt
    # The head goes a fifth of the way that the eyes went, a fifth of a second later.
    late = round(0.2 * RATE)
    for axis, angle in ((0, gaze[0]), (1, -gaze[1])):
        follow = gaussian_filter1d(angle, 0.12 * RATE, mode="nearest")
        head[:, axis] += 0.2 * np.concatenate([np.full(late, follow[0]), follow])[:count]
    for time, strength in beats:
        if random.random() < 0.2 + 0.55 * strength:
            size = style.nod * random.uniform(0.02, 0.06) * (0.4 + 0.8 * strength)
            nod = window(times, time - 0.02, time + 0.06, 0.16, 0.28)
            head[:, 1] += size * (nod - 0.35 * window(times, time - 0.30, time - 0.26, 0.18, 0.16))
            head[:, 0] += random.normal(0.0, 0.35) * size * nod
            head[:, 2] += random.normal(0.0, 0.30) * size * nod
    return gaussian_filter1d(head, 0.03 * RATE, axis=0, mode="nearest")


def perform(
    phones: list[Phone],
    samples: np.ndarray,
    frames: int,
    style: Style,
    seed: tuple[object, ...],
    beats: list[tuple[float, float]] | None = None,
    fps: float = FPS,
) -> Motion:
    """One performance of an utterance: lips by articulation, the rest drawn from `seed`.

    phones  : contiguous phones covering the utterance
    samples : (n,) float32 at 16 kHz
    seed    : anything that names the performance, such as (corpus seed, utterance, number)
    beats   : accents(phones, samples) if they are known already
    """
    if beats is None:
        beats = accents(phones, samples)
    coefficients = lips(phones, samples, frames, style, fps)
    random = generator("expression", *seed)
    count = int(np.ceil(frames / fps * RATE)) + 2
    times = np.arange(count) / RATE
    gaze = _gaze(random, times, style)
    head = _head(random, times, phones, beats, gaze, style)
    brows = _brows(random, times, beats, style)
    blink_left, blink_right = _blinks(random, times, phones, style)
    # The vestibulo-ocular reflex holds the eyes on what they look at while the head moves.
    horizontal, vertical = gaze[0] - 0.9 * head[:, 0], gaze[1] + 0.9 * head[:, 1]
    frown = brows.pop("frown")
    wide = brows.pop("eyeWide")
    squint = style.squint + 0.07 * np.abs(smooth_noise(random, count, 0.2)) + 0.30 * frown
    down = np.maximum(-vertical, 0.0) / GAZE_RANGE
    curves = dict(brows)
    for side, blink, out in (("Left", blink_left, horizontal), ("Right", blink_right, -horizontal)):
        curves[f"eyeLookOut{side}"] = np.maximum(out, 0.0) / GAZE_RANGE
        curves[f"eyeLookIn{side}"] = np.maximum(-out, 0.0) / GAZE_RANGE
        curves[f"eyeLookUp{side}"] = np.maximum(vertical, 0.0) / GAZE_RANGE
        curves[f"eyeLookDown{side}"] = down
        # Upper lids follow the eyes down.
        lid = np.minimum(0.30 * down, 0.35)
        curves[f"eyeBlink{side}"] = lid + blink * (1.0 - lid)
        curves[f"eyeSquint{side}"] = squint + 0.25 * blink
        curves[f"eyeWide{side}"] = wide * (1.0 - blink)
    at = np.arange(frames) / fps
    for name, values in curves.items():
        coefficients[:, ARKIT_INDEX[name]] = np.interp(at, times, np.clip(values, 0.0, 1.0))
    sampled = np.stack([np.interp(at, times, axis) for axis in head.T], axis=1)
    return Motion(coefficients, sampled.astype(np.float32), fps)
