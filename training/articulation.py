"""Articulation: lips and jaw as a function of phones, loudness and a speaker's style.

Targets per phone (training.visemes) are blended with the dominance functions of Cohen and Massaro,
"Modeling Coarticulation in Synthetic Visual Speech" (1993), eqs. 1-3, at 120 Hz; what a lip reader
relies on (lips that meet on P B M, lower lip to teeth on F V, teeth together on sibilants, rounded
lips ahead of W and UW, a mouth at rest in pauses) is then imposed as hard constraints, whose windows
are wide enough to survive sampling at 30 frames a second. Nothing in here is random: two renditions
of one utterance by one speaker have the same lips.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talker.motion import ARKIT_INDEX, FPS
from training.alignment import SILENCE, VOWELS, Phone, level_db
from training.visemes import (
    BILABIALS,
    CONTROLS,
    DIPHTHONGS,
    LABIODENTALS,
    ROUNDED,
    SIBILANTS,
    TARGETS,
    reach,
)

RATE = 120.0
"""Samples a second at which articulation is computed before it is sampled at the frame rate."""

CLOSURE_HALF_WIDTH = 0.036
"""Lips stay closed at least this long (s) on both sides of a bilabial's middle: more than a frame,
so that the frames next to the middle on both sides are closed however sampling falls."""

BREATH_PAUSE = 0.65
"""A pause from this length (s) on is used to breathe in before the next phrase."""


@dataclass(frozen=True)
class Style:
    """A speaker's way of moving. Gains are factors; the rest has its unit in the comment."""

    jaw: float
    lips: float
    rounding: float
    spread: float
    asymmetry: float  # -1 … 1: more of every shape on the face's own left (> 0) or right side
    smile: float  # coefficient at rest
    press: float
    lead: float  # how far ahead of the sound articulation runs, factor on the time constants before
    mouth_shift: float  # -1 … 1: mouth and jaw drift to the face's own left (> 0) while it is open
    brow_activity: float
    brow_rest: float  # > 0 raised, < 0 lowered, coefficient
    brow_skew: float  # -1 … 1: raises the left (> 0) or right brow more
    blinks_per_minute: float
    squint: float  # coefficient at rest
    gaze: float
    sway: float  # head, factor on the amplitude
    sway_hertz: float
    nod: float
    upper_lip: float  # factor on the upper lip's raise: how much of the teeth shows
    undershoot: float  # factor on the time a vowel needs to reach its target
    phrase_smile: float  # coefficient that a phrase ends with; below 0 the speaker does not smile
    breath: float  # how far the lips part to breathe in, factor
    blink_seconds: float  # factor on a blink's duration
    flutter: float  # share of blinks that come in pairs
    saccades: float  # factor on how often the eyes move on
    tilt: float  # rest of the head's roll in radians
    chin: float  # rest of the head's pitch in radians


_STYLE_RANGES = {
    "jaw": (0.82, 1.18), "lips": (0.70, 1.35), "rounding": (0.78, 1.22), "spread": (0.55, 1.45),
    "asymmetry": (-0.22, 0.22), "smile": (0.0, 0.09), "press": (0.65, 1.35), "lead": (0.80, 1.30),
    "mouth_shift": (-0.06, 0.06), "brow_activity": (0.55, 1.60), "brow_rest": (-0.15, 0.22),
    "brow_skew": (-0.70, 0.70), "blinks_per_minute": (8.0, 28.0), "squint": (0.0, 0.12),
    "gaze": (0.5, 1.6), "sway": (0.5, 1.7), "sway_hertz": (0.15, 0.45), "nod": (0.3, 1.8),
    "upper_lip": (0.55, 1.55), "undershoot": (0.60, 1.60), "phrase_smile": (-0.10, 0.18),
    "breath": (0.7, 1.3), "blink_seconds": (0.85, 1.35), "flutter": (0.0, 0.25),
    "saccades": (0.55, 1.7), "tilt": (-0.08, 0.08), "chin": (-0.07, 0.09),
}  # fmt: skip


def generator(*key: object) -> np.random.Generator:
    """Random generator that depends on the key alone, on every machine and in every process."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def speaker_style(speaker: str) -> Style:
    """The style of a speaker, drawn from the speaker's name alone."""
    random = generator("style", speaker)
    return Style(**{f.name: float(random.uniform(*_STYLE_RANGES[f.name])) for f in fields(Style)})


NEUTRAL_STYLE = Style(
    jaw=1.0, lips=1.0, rounding=1.0, spread=1.0, asymmetry=0.0, smile=0.0, press=1.0, lead=1.0,
    mouth_shift=0.0, brow_activity=1.0, brow_rest=0.0, brow_skew=0.0, blinks_per_minute=16.0,
    squint=0.0, gaze=1.0, sway=1.0, sway_hertz=0.3, nod=1.0, upper_lip=1.0, undershoot=1.0,
    phrase_smile=0.0, breath=1.0, blink_seconds=1.0, flutter=0.1, saccades=1.0, tilt=0.0, chin=0.0,
)  # fmt: skip


def prominence(phones: list[Phone], samples: np.ndarray | None) -> np.ndarray:
    """How much each phone stands out by loudness and length, about -1.5 … 1.5 for vowels; (N,).

    samples : (n,) float32 at 16 kHz, or None where only the timing is known. Consonants and pauses
    get 0. Both cues are z-scores over the utterance's vowels, and loudness counts 60 %.
    """
    vowels = np.array([p.label in VOWELS for p in phones], bool)
    result = np.zeros(len(phones))
    if not vowels.any():
        return result
    duration = np.log(np.array([max(p.end - p.start, 0.02) for p in phones]))
    # Two or three vowels give no useful spread: the floors keep one vowel from being an outlier.
    z = (duration - duration[vowels].mean()) / max(duration[vowels].std(), 0.35)
    if samples is not None and len(samples):
        loud = phone_levels(phones, samples)
        loud = (loud - loud[vowels].mean()) / max(loud[vowels].std(), 3.0)
        z = 0.6 * loud + 0.4 * z
    result[vowels] = np.clip(z[vowels], -1.5, 1.5)
    return result


def phone_levels(phones: list[Phone], samples: np.ndarray) -> np.ndarray:
    """Level of each phone's loudest 25 ms in dB; (N,)."""
    level = level_db(samples)
    bounds = [(int(p.start * 100), max(int(p.end * 100), int(p.start * 100) + 1)) for p in phones]
    return np.array([level[min(a, len(level) - 1) : b].max() for a, b in bounds])


def window(times: np.ndarray, start: float, end: float, rise: float, fall: float) -> np.ndarray:
    """1 from start to end, raised-cosine ramps of `rise` and `fall` seconds outside; like times."""
    up = np.clip((times - (start - rise)) / rise, 0.0, 1.0)
    down = np.clip(((end + fall) - times) / fall, 0.0, 1.0)
    return (0.5 - 0.5 * np.cos(np.pi * up)) * (0.5 - 0.5 * np.cos(np.pi * down))


def _activation(times: np.ndarray, spans: list[tuple[float, float, float, float]]) -> np.ndarray:
    """Union of windows (start, end, rise, fall), smooth where they overlap."""
    free = np.ones_like(times)
    for start, end, rise, fall in spans:
        first, last = np.searchsorted(times, [start - rise, end + fall])
        free[first:last] *= 1.0 - window(times[first:last], start, end, rise, fall)
    return 1.0 - free


def _gestures(phones: list[Phone], stress: np.ndarray, style: Style):
    """(phone, centre, half plateau, {control: (value, dominance)}) of every target, in time order."""
    for k, phone in enumerate(phones):
        duration = phone.end - phone.start
        if phone.label == SILENCE:
            rest = dict.fromkeys(CONTROLS, (0.0, 1.0)) | {"pucker": (0.0, 0.6)}
            yield phone, phone.middle, max(0.0, 0.5 * duration - 0.05), rest
            continue
        gain = shape = 1.0
        if phone.label in VOWELS:
            # Undershoot (Lindblom 1963): a short vowel does not reach its target. The time constant
            # of 40 ms makes 78 % of a 60 ms vowel and 95 % of a 120 ms one; accent is loudness and
            # length, +-1.5 standard deviations give +-24 % of jaw. Lip shape gives way half as far.
            made = 1.0 - np.exp(-duration / (0.040 * style.undershoot))
            gain, shape = made * (1.0 + 0.16 * stress[k]), 0.5 + 0.5 * made
        else:
            # A consonant opens with the syllable that it stands in.
            gain = 1.0 + 0.08 * max(stress[max(0, k - 1) : k + 2], key=abs)
        parts = DIPHTHONGS.get(phone.label) or ((0.5, TARGETS[phone.label]),)
        factor = dict.fromkeys(("jaw", "lowerDown", "upperUp"), gain) | {"tongue": 1.0}
        for place, target in parts:
            scaled = {name: (v * factor.get(name, shape), weight) for name, (v, weight) in target.items()}
            yield phone, phone.start + place * duration, 0.30 * duration / len(parts), scaled


@functools.cache
def _reaches(phone: str) -> np.ndarray:
    """Time constants (2, len(CONTROLS)) in seconds before and after the phone's targets."""
    return np.array([reach(phone, control) for control in CONTROLS]).T


def blend_targets(
    phones: list[Phone], times: np.ndarray, stress: np.ndarray, style: Style
) -> np.ndarray:
    """Weighted mean of the phones' targets by their dominance functions; (T, len(CONTROLS)).

    Cohen and Massaro (1993): F(t) = sum_s D_s(t) T_s / sum_s D_s(t), D = a exp(-(|t - t_s| / r)^c);
    here |t - t_s| counts from the edge of a plateau, c = 1.5 is smoother at the top than their 1, and
    r depends on the phone and the control (training.visemes.reach).
    """
    numerator = np.zeros((len(times), len(CONTROLS)))
    denominator = np.full((len(times), len(CONTROLS)), 1e-9)
    for phone, centre, plateau, target in _gestures(phones, stress, style):
        before, after = _reaches(phone.label)
        first, last = np.searchsorted(times, [centre - plateau - 0.7, centre + plateau + 0.5])
        offset = times[first:last, None] - centre
        distance = np.maximum(np.abs(offset) - plateau, 0.0)
        shape = np.exp(-((distance / np.where(offset < 0, before * style.lead, after)) ** 1.5))
        columns = [CONTROLS.index(name) for name in target]
        value, dominance = np.array(list(target.values())).T
        weight = dominance * shape[:, columns]
        numerator[first:last, columns] += weight * value
        denominator[first:last, columns] += weight
    # A faint pull to rest decides where no phone cares about a control.
    return numerator / (denominator + 0.02)


def lips(
    phones: list[Phone],
    samples: np.ndarray | None,
    frames: int,
    style: Style = NEUTRAL_STYLE,
    fps: float = FPS,
) -> np.ndarray:
    """Jaw, mouth and tongue of one utterance; (frames, 52) float32 in [0, 1], other columns 0.

    phones  : contiguous phones of the utterance (training.alignment.contiguous)
    samples : (n,) float32 at 16 kHz for loudness, or None
    frame k is at k / fps seconds.
    """
    count = int(np.ceil(frames / fps * RATE)) + 2
    times = np.arange(count) / RATE
    stress = prominence(phones, samples)
    blended = blend_targets(phones, times, stress, style)
    # 18 ms is a low pass at 7 Hz, above the 4 to 6 Hz of syllables and below jitter.
    blended = gaussian_filter1d(blended, 0.018 * RATE, axis=0, mode="nearest")
    control = dict(zip(CONTROLS, blended.T, strict=True))
    control = _constrain(control, phones, times, style, breaths(phones, samples))
    curves = _to_arkit(control, style)
    at = np.arange(frames) / fps
    return np.stack([np.interp(at, times, c) for c in curves.T], axis=1).astype(np.float32)


def breaths(phones: list[Phone], samples: np.ndarray | None) -> list[tuple[float, float]]:
    """(end in seconds, jawOpen) of every pause that is long enough to breathe in before the next phrase.

    The lips part by 3 % where nothing is heard, and by up to 5 % where the pause's last half second
    is up to 12 dB above its quiet part, as a drawn breath is.
    """
    found = []
    level = level_db(samples) if samples is not None and len(samples) else np.zeros(0)
    for phone in phones[:-1]:
        if phone.label != SILENCE or phone.end - phone.start < BREATH_PAUSE:
            continue
        quiet = level[int(phone.start * 100) : int(phone.end * 100) - 5]
        late = quiet[-45:]
        audible = np.percentile(late, 90) - np.percentile(quiet, 10) if len(late) else 0.0
        found.append((phone.end, 0.030 + 0.020 * float(np.clip((audible - 3.0) / 9.0, 0.0, 1.0))))
    return found


def _phrase_ends(phones: list[Phone], times: np.ndarray) -> np.ndarray:
    """1 from a phrase's last quarter of a second into the pause after it, smooth; (T,)."""
    spans = []
    for k, phone in enumerate(phones):
        pause = phone.end - phone.start
        if phone.label == SILENCE and k and (pause > 0.35 or k == len(phones) - 1):
            spans.append((phone.start - 0.15, phone.start + min(0.4, 0.4 * pause), 0.30, 0.45))
    return _activation(times, spans)


def _constrain(
    control: dict[str, np.ndarray],
    phones: list[Phone],
    times: np.ndarray,
    style: Style,
    breathing: list[tuple[float, float]],
) -> dict[str, np.ndarray]:
    """Imposes the hard constraints and applies the style's gains; adds close, press, …."""
    spans: dict[str, list] = {k: [] for k in ("stop", "nasal", "teeth", "sibilant", "round", "rest")}
    for i, phone in enumerate(phones):
        half = 0.5 * (phone.end - phone.start)
        if phone.label in BILABIALS:
            kind = "nasal" if phone.label == "M" else "stop"
            # The first two thirds of a stop are its closure, the rest is the release.
            hold = max(0.62 * half, CLOSURE_HALF_WIDTH)
            release = hold if kind == "nasal" else max(0.45 * half, CLOSURE_HALF_WIDTH)
            spans[kind].append((phone.middle - hold, phone.middle + release, 0.055, 0.060))
        elif phone.label in LABIODENTALS:
            hold = max(0.5 * half, 0.030)
            spans["teeth"].append((phone.middle - hold, phone.middle + hold, 0.060, 0.060))
        elif phone.label in SIBILANTS:
            hold = max(0.4 * half, 0.020)
            spans["sibilant"].append((phone.middle - hold, phone.middle + hold, 0.065, 0.065))
        elif phone.label in ROUNDED:
            hold = max(0.4 * half, 0.030)
            spans["round"].append((phone.middle - hold, phone.middle + hold, 0.090, 0.060))
        elif phone.label == SILENCE and (half > 0.03 or i in (0, len(phones) - 1)):
            # At rest 65 ms into a pause, opening from 50 ms before the next sound; a shorter pause
            # is shared between the two ramps, and one below 60 ms leaves the mouth as it is. Before
            # the first and after the last sound the mouth is at rest.
            start = -1.0 if i == 0 else phone.start + min(0.065, 0.9 * half)
            end = times[-1] + 1.0 if i == len(phones) - 1 else phone.end - min(0.050, 0.8 * half)
            spans["rest"].append((start, max(start, end), 0.120, 0.090))
    active = {k: _activation(times, v) for k, v in spans.items()}
    stop, nasal, teeth, rest = (active[k] for k in ("stop", "nasal", "teeth", "rest"))
    closed = 1.0 - (1.0 - stop) * (1.0 - nasal)

    out = dict(control)
    jaw = np.maximum(control["jaw"], 0.0) * style.jaw
    # A loud, long vowel of a lively speaker comes near the widest that people talk, not beyond it.
    jaw = np.where(jaw > 0.65, 0.65 + 0.2 * np.tanh((jaw - 0.65) / 0.2), jaw)
    for activation, limit in ((active["sibilant"], 0.09), (teeth, 0.16), (closed, 0.16)):
        jaw = jaw + activation * (np.minimum(jaw, limit) - jaw)
    jaw = jaw * (1.0 - rest)
    for end, opening in breathing:
        part = style.breath * opening * window(times, end - 0.22, end - 0.14, 0.11, 0.10)
        jaw = jaw + part * rest
    out["jaw"] = jaw

    lifted = (1.0 - closed) * (1.0 - rest)
    for name in ("lowerDown", "upperUp"):
        out[name] = control[name] * style.lips * lifted
    out["upperUp"] *= style.upper_lip
    out["lowerDown"] *= 1.0 - teeth
    out["upperUp"] += 0.20 * style.lips * teeth * lifted
    out["funnel"] = control["funnel"] * style.rounding * lifted * (1.0 - 0.8 * teeth)
    pucker = control["pucker"] + active["round"] * (np.maximum(control["pucker"], 0.68) - control["pucker"])
    out["pucker"] = pucker * style.rounding * (1.0 - 0.25 * closed) * (1.0 - 0.85 * rest * (1.0 - active["round"]))
    unrounded = 1.0 - np.clip(out["pucker"], 0.0, 1.0)
    for name in ("smile", "stretch"):
        out[name] = control[name] * style.spread * unrounded * (1.0 - rest) * (1.0 - 0.5 * closed)
    smile = style.smile + max(style.phrase_smile, 0.0) * _phrase_ends(phones, times)
    out["smile"] = out["smile"] + smile * unrounded
    # mouthClose counters the jaw: a share of 1 means lips that touch at any opening of the jaw.
    share = 1.0 - (1.0 - closed) * (1.0 - 0.55 * teeth)
    out["close"] = share * out["jaw"]
    out["press"] = (0.42 * stop + 0.24 * nasal) * style.press
    out["rollLower"] = 0.48 * teeth + 0.10 * stop + 0.16 * nasal
    out["rollUpper"] = (0.08 * stop + 0.14 * nasal) * style.press
    out["shrugLower"] = 0.20 * teeth + 0.10 * closed
    out["puff"] = 0.10 * stop
    out["tongue"] = control["tongue"] * (1.0 - closed) * (1.0 - rest)
    return out


def _to_arkit(control: dict[str, np.ndarray], style: Style) -> np.ndarray:
    """(T, 52) float64 in [0, 1] from the constrained controls."""
    curves = np.zeros((len(control["jaw"]), len(ARKIT_INDEX)))

    def put(name: str, values: np.ndarray) -> None:
        curves[:, ARKIT_INDEX[name]] = np.clip(values, 0.0, 1.0)

    def both(name: str, values: np.ndarray) -> None:
        put(f"{name}Left", values * (1.0 + style.asymmetry))
        put(f"{name}Right", values * (1.0 - style.asymmetry))

    jaw = np.clip(control["jaw"], 0.0, 1.0)
    put("jawOpen", jaw)
    put("mouthClose", np.minimum(control["close"], jaw))
    put("jawForward", 0.18 * control["funnel"] + 0.05 * control["pucker"])
    put("mouthFunnel", control["funnel"])
    put("mouthPucker", control["pucker"])
    put("mouthRollLower", control["rollLower"])
    put("mouthRollUpper", control["rollUpper"])
    put("mouthShrugLower", control["shrugLower"])
    put("tongueOut", control["tongue"])
    put("cheekPuff", control["puff"])
    both("mouthSmile", control["smile"])
    both("mouthStretch", control["stretch"])
    both("mouthDimple", 0.30 * control["smile"])
    both("mouthLowerDown", control["lowerDown"])
    both("mouthUpperUp", control["upperUp"])
    both("mouthPress", control["press"])
    both("cheekSquint", 0.35 * control["smile"] + 0.15 * control["upperUp"])
    both("noseSneer", 0.30 * control["upperUp"])
    shift = style.mouth_shift * jaw
    put("mouthLeft", shift)
    put("mouthRight", -shift)
    put("jawLeft", 0.8 * shift)
    put("jawRight", -0.8 * shift)
    return curves


def violations(
    coefficients: np.ndarray, phones: list[Phone], fps: float = FPS
) -> list[tuple[str, Phone, float]]:
    """Where sampled motion (T, 52) breaks a hard constraint: (kind, phone, by how much).

    Read at the frame nearest to the phone's middle: "closure" (P B M: lips apart or lifted by more
    than 0.03), "teeth" (F V: lower lip rolled in by less than 0.3, or jaw above 0.2), "rounding" (W UW:
    mouthPucker + mouthFunnel below 0.35), "sibilant" (S Z SH ZH CH JH: jaw above 0.15). "rest": jaw
    above 0.02 or lips lifted inside a pause of 0.4 s or longer, but for the last 0.45 s before speech,
    where a breath may open the jaw to 0.08.
    """
    found = []
    jaw, close, roll = (coefficients[:, ARKIT_INDEX[n]] for n in ("jawOpen", "mouthClose", "mouthRollLower"))
    lifting = [ARKIT_INDEX[n] for n in ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
                                        "mouthUpperUpRight", "mouthFunnel")]  # fmt: skip
    lifted = coefficients[:, lifting].max(axis=1)
    rounding = coefficients[:, ARKIT_INDEX["mouthPucker"]] + coefficients[:, ARKIT_INDEX["mouthFunnel"]]

    for number, phone in enumerate(phones):
        k = min(int(round(phone.middle * fps)), len(coefficients) - 1)
        if phone.label in BILABIALS:
            checks = [("closure", max(jaw[k] - close[k], lifted[k]) - 0.03)]
        elif phone.label in LABIODENTALS:
            checks = [("teeth", max(0.3 - roll[k], jaw[k] - 0.2))]
        elif phone.label in SIBILANTS:
            checks = [("sibilant", jaw[k] - 0.15)]
        elif phone.label == SILENCE and phone.end - phone.start >= 0.4:
            first = 0.0 if number == 0 else phone.start + 0.12
            last = phone.end if number == len(phones) - 1 else phone.end - 0.17
            breath = phone.end - (0.45 if number < len(phones) - 1 else 0.0)
            times = np.arange(len(coefficients)) / fps
            inside = (times >= first) & (times <= last)
            limit = np.where(times < breath, 0.02, 0.08)
            excess = np.maximum(jaw - limit, lifted - 0.02)[inside]
            checks = [("rest", excess.max(initial=-1.0))]
        else:
            checks = []
        if phone.label in ROUNDED:
            checks.append(("rounding", 0.35 - rounding[k]))
        found += [(kind, phone, float(excess)) for kind, excess in checks if excess > 0.0]
    return found
