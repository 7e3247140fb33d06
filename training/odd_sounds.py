"""Sounds that are no read speech, made by code: singing, laughter, music, a cough, noise, with pauses between.

A face may do something or nothing while they sound, but nothing may break, and in the pauses the mouth rests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import signal

from render.rig import Rig, lip_aperture
from talker.audio import SAMPLE_RATE, Speech
from talker.motion import FPS
from talker.pipeline import Talker
from training.augmentation import coloured_noise
from training.bars import Bar, table

SOUND_SECONDS, PAUSE_SECONDS = 1.6, 1.2
"""Each sound is heard twice, with a pause after each time."""

SETTLING_SECONDS = 0.3
"""What a mouth gets to close after a sound and to open before the next; it is not counted as pause."""

FLOOR = 1e-3
"""Noise of the room in the pauses, -60 dB of full scale."""

REST = 0.06
"""A resting mouth is open by at most this share of an open vowel, as in the silences of read speech."""

VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
"""Formants in Hz of ah, eh, ee, aw, oo (Peterson and Barney 1952, men)."""


def _times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def _voice(pitch: np.ndarray, breath: float, random: np.random.Generator) -> np.ndarray:
    """A glottal sawtooth of pitch (n,) Hz with some breath."""
    phase = np.cumsum(pitch) / SAMPLE_RATE
    return signal.sawtooth(2 * np.pi * phase) + breath * random.standard_normal(len(pitch))


def _resonate(source: np.ndarray, formants: tuple[float, ...]) -> np.ndarray:
    """A source through one resonance of 90 Hz width per formant."""
    for centre in formants:
        source = signal.lfilter(*signal.iirpeak(centre, centre / 90, SAMPLE_RATE), source) + 0.1 * source
    return source


def singing(random: np.random.Generator) -> np.ndarray:
    """A voice that glides through an octave with vibrato, from vowel to vowel."""
    t = _times(SOUND_SECONDS)
    pitch = 220 * 2 ** (t / t[-1]) * (1 + 0.02 * np.sin(2 * np.pi * 5.5 * t))
    sung = [_resonate(_voice(pitch, 0.02, random), vowel) for vowel in VOWELS]
    place = t / t[-1] * (len(VOWELS) - 1)
    return sum(np.clip(1 - abs(place - k), 0, 1) * part / part.std() for k, part in enumerate(sung))


def laughter(random: np.random.Generator) -> np.ndarray:
    """Five "ha" a second: breath, then a short falling vowel."""
    t = _times(SOUND_SECONDS)
    beat = (5 * t) % 1
    pitch = (260 - 60 * beat) * (1 - 0.2 * t / t[-1])
    vowel = _resonate(_voice(pitch, 0.3, random), VOWELS[0])
    breath = coloured_noise(len(t), 1, random)
    return vowel / vowel.std() * np.clip(beat - 0.35, 0, 0.25) * 4 * (beat < 0.9) + 0.3 * breath * (beat < 0.35)


def music(random: np.random.Generator) -> np.ndarray:
    """Plucked chords with a drum on the beat, no voice."""
    t = _times(SOUND_SECONDS)
    out = np.zeros(len(t))
    for k, root in enumerate((220.0, 174.6, 261.6, 196.0)):
        since = t - k * SOUND_SECONDS / 4
        envelope = np.exp(-4 * np.clip(since, 0, None)) * (since >= 0)
        for note in (root, root * 1.26, root * 1.5):
            out += envelope * sum(np.sin(2 * np.pi * h * note * since) / h**1.5 for h in range(1, 7))
        out += 1.5 * random.standard_normal(len(t)) * np.exp(-40 * np.clip(since, 0, None)) * (since >= 0)
    return out


def cough(random: np.random.Generator) -> np.ndarray:
    """Two coughs: an abrupt burst of breath each, a voiced tail, and quiet between."""
    t = _times(SOUND_SECONDS)
    out = np.zeros(len(t))
    for start in (0.1, 0.8):
        since = np.clip(t - start, 0, None)
        burst = _resonate(random.standard_normal(len(t)), (500, 1500, 3000))
        tail = _resonate(_voice(np.full(len(t), 140.0), 0.5, random), VOWELS[0])
        out += (t >= start) * burst / burst.std() * np.exp(-12 * since)
        out += 8 * since * tail / tail.std() * np.exp(-9 * since)
    return out


def white_noise(random: np.random.Generator) -> np.ndarray:
    """As loud as speech."""
    return random.standard_normal(len(_times(SOUND_SECONDS)))


SOUNDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "singing": singing, "laughter": laughter, "music": music, "cough": cough, "white noise": white_noise,
}  # fmt: skip
"""Sounds by name: random generator -> (n,) samples of any scale, SOUND_SECONDS long."""


def pauses() -> list[tuple[float, float]]:
    """Start and end in seconds of what counts as pause in every odd sound."""
    period = SOUND_SECONDS + PAUSE_SECONDS
    return [(k * period + SOUND_SECONDS + SETTLING_SECONDS, (k + 1) * period - SETTLING_SECONDS) for k in range(2)]


def odd_sound(name: str, seed: int = 0) -> Speech:
    """One of SOUNDS twice, at the level of speech, each time followed by a pause; the same at every call."""
    random = np.random.default_rng([seed, list(SOUNDS).index(name)])
    sounds = [SOUNDS[name](random) for _ in range(2)]
    quiet = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE))
    whole = np.concatenate([part for sound in sounds for part in (0.08 * sound / sound.std(), quiet)])
    whole = whole + FLOOR * random.standard_normal(len(whole))
    return Speech(np.clip(whole, -1, 1).astype(np.float32), name)


def odd_sounds(talker: Talker, rig: Rig, open_metres: float, takes: int = 2, seed: int = 0) -> dict:
    """What a model does with every odd sound.

    open_metres : its mean aperture at open vowels of real speech
    Returns per sound whether all numbers are finite and in range, and the mean aperture in the pauses and while
    the sound is heard, as shares of open_metres; and bars.
    """
    report: dict = {}
    for index, name in enumerate(SOUNDS):
        speech = odd_sound(name)
        sampled = talker.speak(speech, takes=takes, seed=seed + index)
        coefficients = sampled.coefficients
        sound = np.isfinite(coefficients).all() and np.isfinite(sampled.head).all()
        sound = bool(sound and coefficients.min() >= 0 and coefficients.max() <= 1)
        aperture = lip_aperture(rig, coefficients) / open_metres
        times = np.arange(aperture.shape[1]) / FPS
        resting = np.any([(times >= start) & (times < end) for start, end in pauses()], axis=0)
        heard = times % (SOUND_SECONDS + PAUSE_SECONDS) < SOUND_SECONDS
        report[name] = {
            "in_range": sound,
            "pauses_over_open": float(aperture[:, resting].mean()),
            "sound_over_open": float(aperture[:, heard].mean()),
        }
    bars = [
        Bar(f"{name}: aperture in pauses / open vowels", row["pauses_over_open"], "<=", REST)
        for name, row in report.items()
    ]
    broken = sum(not row["in_range"] for row in report.values())
    bars.append(Bar("odd sounds with NaN or out of range", broken, "<=", 0))
    return {"sounds": report, "bars": [bar.entry() for bar in bars]}


def as_text(report: dict) -> str:
    """The report of odd_sounds as a table."""
    rows = [
        [name, row["pauses_over_open"], row["sound_over_open"], "yes" if row["in_range"] else "NO"]
        for name, row in report["sounds"].items()
    ]
    title = "sounds that are no speech: aperture / open vowels"
    return table(title, ["sound", "in pauses", "while heard", "in range"], rows)
