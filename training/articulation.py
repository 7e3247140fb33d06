"""Articulation: lips and jaw as a function of phones, loudness and a speaker's style.

Targets per phone in ARKit's terms are blended with the dominance functions of Cohen and Massaro,
"Modeling Coarticulation in Synthetic Visual Speech" (1993), eqs. 1-3, at 120 Hz; what a lip reader
relies on (lips that meet on P B M, lower lip to teeth on F V, teeth together on sibilants, rounded
lips ahead of W and UW, a mouth at rest in pauses) is then imposed as hard constraints, whose windows
are wide enough to survive sampling at 30 frames a second. Nothing in here is random: two renditions
of one utterance by one speaker have the same lips.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talker.motion import ARKIT_INDEX, FPS
from training.alignment import SILENCE, VOWELS, Phone, level_db

RATE = 120.0
"""Samples a second at which articulation is computed before it is sampled at the frame rate."""

CONTROLS = (
    "jaw", "funnel", "pucker", "smile", "stretch", "lowerDown", "upperUp", "rollLower", "tongue",
)  # fmt: skip
"""What the dominance functions blend. Closure and press come from the hard constraints alone."""

# Target of every phone: {control: (value, dominance)}. Values were set by looking at which ARKit
# shapes a speaking face shows at the phone's middle; a control that is not named is free, and takes
# the value of the neighbours. Diphthongs have two targets (DIPHTHONGS below).
_OPEN_LIPS = {"lowerDown": (0.26, 0.6), "upperUp": (0.10, 0.6)}
_UNROUND = {"funnel": (0.0, 0.5), "pucker": (0.0, 0.5)}
TARGETS: dict[str, dict[str, tuple[float, float]]] = {
    "AA": {"jaw": (0.80, 1.0), "smile": (0.02, 0.3), **_OPEN_LIPS, **_UNROUND},
    "AE": {"jaw": (0.74, 1.0), "smile": (0.16, 0.7), "stretch": (0.16, 0.7),
           "lowerDown": (0.32, 0.7), "upperUp": (0.18, 0.7), **_UNROUND},
    "AH": {"jaw": (0.42, 0.8), "lowerDown": (0.18, 0.5), "upperUp": (0.06, 0.5),
           "funnel": (0.02, 0.3), "pucker": (0.0, 0.3)},
    "AO": {"jaw": (0.70, 1.0), "funnel": (0.45, 0.9), "pucker": (0.20, 0.9),
           "lowerDown": (0.16, 0.5), "upperUp": (0.06, 0.5), "smile": (0.0, 0.7), "stretch": (0.0, 0.7)},
    "EH": {"jaw": (0.64, 1.0), "smile": (0.14, 0.6), "stretch": (0.12, 0.6),
           "lowerDown": (0.28, 0.6), "upperUp": (0.13, 0.6), **_UNROUND},
    "ER": {"jaw": (0.22, 0.8), "funnel": (0.36, 0.8), "pucker": (0.22, 0.8), "lowerDown": (0.12, 0.5)},
    "IH": {"jaw": (0.27, 0.8), "smile": (0.16, 0.6), "stretch": (0.12, 0.6),
           "lowerDown": (0.20, 0.5), "upperUp": (0.08, 0.5), **_UNROUND},
    "IY": {"jaw": (0.17, 0.9), "smile": (0.34, 0.9), "stretch": (0.24, 0.9),
           "lowerDown": (0.24, 0.6), "upperUp": (0.10, 0.6), **_UNROUND},
    "UH": {"jaw": (0.24, 0.8), "funnel": (0.38, 0.9), "pucker": (0.30, 0.9), "lowerDown": (0.10, 0.5),
           "smile": (0.0, 0.6), "stretch": (0.0, 0.6)},
    "UW": {"jaw": (0.14, 0.9), "funnel": (0.30, 1.0), "pucker": (0.78, 1.0), "lowerDown": (0.03, 0.6),
           "upperUp": (0.0, 0.6), "smile": (0.0, 0.9), "stretch": (0.0, 0.9)},
    "B": {"jaw": (0.12, 0.9)},
    "P": {"jaw": (0.12, 0.9)},
    "M": {"jaw": (0.10, 0.9)},
    "F": {"jaw": (0.13, 0.9), "smile": (0.05, 0.3)},
    "V": {"jaw": (0.14, 0.9), "smile": (0.05, 0.3)},
    "T": {"jaw": (0.15, 0.6), "lowerDown": (0.14, 0.3), "stretch": (0.06, 0.2)},
    "D": {"jaw": (0.16, 0.6), "lowerDown": (0.14, 0.3), "stretch": (0.06, 0.2)},
    "N": {"jaw": (0.17, 0.6), "lowerDown": (0.14, 0.3), "stretch": (0.05, 0.2)},
    "L": {"jaw": (0.24, 0.6), "lowerDown": (0.16, 0.4), "tongue": (0.07, 0.8)},
    "TH": {"jaw": (0.18, 0.9), "lowerDown": (0.18, 0.6), "upperUp": (0.08, 0.5), "tongue": (0.28, 1.0)},
    "DH": {"jaw": (0.18, 0.8), "lowerDown": (0.16, 0.5), "upperUp": (0.06, 0.4), "tongue": (0.22, 1.0)},
    "S": {"jaw": (0.07, 1.0), "smile": (0.16, 0.5), "stretch": (0.26, 0.8),
          "lowerDown": (0.22, 0.6), "upperUp": (0.10, 0.5)},
    "Z": {"jaw": (0.08, 1.0), "smile": (0.15, 0.5), "stretch": (0.24, 0.8),
          "lowerDown": (0.22, 0.6), "upperUp": (0.10, 0.5)},
    "SH": {"jaw": (0.09, 1.0), "funnel": (0.55, 1.0), "pucker": (0.26, 1.0), "smile": (0.0, 0.8),
           "stretch": (0.0, 0.8), "lowerDown": (0.14, 0.5), "upperUp": (0.08, 0.5)},
    "R": {"jaw": (0.16, 0.7), "funnel": (0.34, 0.8), "pucker": (0.34, 0.8), "smile": (0.0, 0.4),
          "lowerDown": (0.10, 0.4)},
    "W": {"jaw": (0.10, 0.9), "funnel": (0.30, 1.0), "pucker": (0.84, 1.0), "smile": (0.0, 0.9),
          "stretch": (0.0, 0.9), "lowerDown": (0.0, 0.8), "upperUp": (0.0, 0.8)},
    "Y": {"jaw": (0.14, 0.7), "smile": (0.26, 0.6), "stretch": (0.18, 0.6), "lowerDown": (0.18, 0.4)},
    "K": {"jaw": (0.22, 0.35), "lowerDown": (0.14, 0.2)},
    "G": {"jaw": (0.22, 0.35), "lowerDown": (0.14, 0.2)},
    "NG": {"jaw": (0.22, 0.40), "lowerDown": (0.14, 0.2)},
    "HH": {"jaw": (0.28, 0.15)},
}  # fmt: skip
TARGETS["CH"] = TARGETS["JH"] = TARGETS["ZH"] = TARGETS["SH"]

# Where in the vowel (0 start, 1 end) which target is reached. The open half holds the middle.
_GLIDE_I = {"jaw": (0.22, 0.8), "smile": (0.28, 0.8), "stretch": (0.18, 0.8), "lowerDown": (0.20, 0.5)}
_GLIDE_U = {"jaw": (0.20, 0.8), "funnel": (0.34, 0.9), "pucker": (0.58, 0.9), "smile": (0.0, 0.7)}
_OW = {"jaw": (0.42, 0.9), "funnel": (0.46, 0.9), "pucker": (0.34, 0.9), "smile": (0.0, 0.7),
       "stretch": (0.0, 0.7), "lowerDown": (0.12, 0.5)}  # fmt: skip
_EY = {**TARGETS["EH"], "jaw": (0.48, 0.9), "smile": (0.20, 0.7)}
DIPHTHONGS: dict[str, tuple[tuple[float, dict], ...]] = {
    "AW": ((0.42, TARGETS["AA"]), (0.95, _GLIDE_U)),
    "AY": ((0.42, TARGETS["AA"]), (0.95, _GLIDE_I)),
    "EY": ((0.35, _EY), (0.90, _GLIDE_I)),
    "OW": ((0.35, _OW), (0.90, _GLIDE_U)),
    "OY": ((0.35, TARGETS["AO"]), (0.92, _GLIDE_I)),
}

# Time constants in seconds of a dominance function before and after a target: the jaw is heavy,
# rounding starts early (forward coarticulation) and both let go a little faster than they start.
_BEFORE = dict.fromkeys(CONTROLS, 0.055) | {"funnel": 0.100, "pucker": 0.100}
_AFTER = dict.fromkeys(CONTROLS, 0.050) | {"funnel": 0.065, "pucker": 0.065}

BILABIALS = frozenset("P B M".split())
LABIODENTALS = frozenset("F V".split())
SIBILANTS = frozenset("S Z SH ZH CH JH".split())
ROUNDED = frozenset("W UW".split())

CLOSURE_HALF_WIDTH = 0.036
"""Lips stay closed at least this long (s) on both sides of a bilabial's middle: more than a frame,
so that the frames next to the middle on both sides are closed however sampling falls."""


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


_STYLE_RANGES = {
    "jaw": (0.82, 1.18), "lips": (0.70, 1.35), "rounding": (0.78, 1.22), "spread": (0.55, 1.45),
    "asymmetry": (-0.22, 0.22), "smile": (0.0, 0.09), "press": (0.65, 1.35), "lead": (0.85, 1.25),
    "mouth_shift": (-0.06, 0.06), "brow_activity": (0.75, 1.45), "brow_rest": (-0.10, 0.14),
    "brow_skew": (-0.45, 0.45), "blinks_per_minute": (10.0, 25.0), "squint": (0.0, 0.12),
    "gaze": (0.7, 1.4), "sway": (0.6, 1.6), "sway_hertz": (0.15, 0.45), "nod": (0.5, 1.6),
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
    squint=0.0, gaze=1.0, sway=1.0, sway_hertz=0.3, nod=1.0,
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
    """(centre, half plateau, {control: (value, dominance)}) of every target, in time order."""
    for phone, accent in zip(phones, stress, strict=True):
        duration = phone.end - phone.start
        if phone.label == SILENCE:
            rest = dict.fromkeys(CONTROLS, (0.0, 1.0)) | {"pucker": (0.0, 0.6)}
            yield phone.middle, max(0.0, 0.5 * duration - 0.05), rest
            continue
        gain = 1.0
        if phone.label in VOWELS:
            # Undershoot (Lindblom 1963): a short vowel does not reach its target. The time constant
            # of 40 ms makes 78 % of a 60 ms vowel and 95 % of a 120 ms one; accent is loudness and
            # length, +-1.5 standard deviations give +-24 % of jaw.
            gain = (1.0 - np.exp(-duration / 0.040)) * (1.0 + 0.16 * accent)
        parts = DIPHTHONGS.get(phone.label) or ((0.5, TARGETS[phone.label]),)
        for place, target in parts:
            target = dict(target)
            value, dominance = target["jaw"]
            target["jaw"] = (value * gain, dominance)
            if phone.label in VOWELS:
                for name in ("lowerDown", "upperUp"):
                    if name in target:
                        target[name] = (target[name][0] * gain, target[name][1])
            yield phone.start + place * duration, 0.30 * duration / len(parts), target


def blend_targets(
    phones: list[Phone], times: np.ndarray, stress: np.ndarray, style: Style
) -> np.ndarray:
    """Weighted mean of the phones' targets by their dominance functions; (T, len(CONTROLS)).

    Cohen and Massaro (1993): F(t) = sum_s D_s(t) T_s / sum_s D_s(t), D = a exp(-(|t - t_s| / r)^c);
    here |t - t_s| counts from the edge of a plateau and c = 1.5, smoother at the top than their 1.
    """
    numerator = np.zeros((len(times), len(CONTROLS)))
    denominator = np.full((len(times), len(CONTROLS)), 1e-9)
    before = np.array([_BEFORE[name] for name in CONTROLS]) * style.lead
    after = np.array([_AFTER[name] for name in CONTROLS])
    for centre, plateau, target in _gestures(phones, stress, style):
        first, last = np.searchsorted(times, [centre - plateau - 0.7, centre + plateau + 0.5])
        offset = times[first:last, None] - centre
        distance = np.maximum(np.abs(offset) - plateau, 0.0)
        shape = np.exp(-((distance / np.where(offset < 0, before, after)) ** 1.5))
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
    control = _constrain(control, phones, times, style)
    curves = _to_arkit(control, style)
    at = np.arange(frames) / fps
    return np.stack([np.interp(at, times, c) for c in curves.T], axis=1).astype(np.float32)


def _constrain(
    control: dict[str, np.ndarray], phones: list[Phone], times: np.ndarray, style: Style
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
            spans["round"].append((phone.middle - hold, phone.middle + hold, 0.110, 0.080))
        elif phone.label == SILENCE and (half > 0.03 or i in (0, len(phones) - 1)):
            # At rest 90 ms into a pause, opening from 50 ms before the next sound; a shorter pause
            # is shared between the two ramps, and one below 60 ms leaves the mouth as it is. Before
            # the first and after the last sound the mouth is at rest.
            start = -1.0 if i == 0 else phone.start + min(0.090, 1.1 * half)
            end = times[-1] + 1.0 if i == len(phones) - 1 else phone.end - min(0.050, 0.8 * half)
            spans["rest"].append((start, max(start, end), 0.120, 0.090))
    active = {k: _activation(times, v) for k, v in spans.items()}
    stop, nasal, teeth, rest = (active[k] for k in ("stop", "nasal", "teeth", "rest"))
    closed = 1.0 - (1.0 - stop) * (1.0 - nasal)

    out = dict(control)
    jaw = np.maximum(control["jaw"], 0.0) * style.jaw
    for activation, limit in ((active["sibilant"], 0.12), (teeth, 0.16), (closed, 0.16)):
        jaw = jaw + activation * (np.minimum(jaw, limit) - jaw)
    jaw = jaw * (1.0 - rest)
    out["jaw"] = jaw

    lifted = (1.0 - closed) * (1.0 - rest)
    for name in ("lowerDown", "upperUp"):
        out[name] = control[name] * style.lips * lifted
    out["lowerDown"] *= 1.0 - teeth
    out["upperUp"] += 0.20 * style.lips * teeth * lifted
    out["funnel"] = control["funnel"] * style.rounding * lifted * (1.0 - 0.8 * teeth)
    pucker = control["pucker"] + active["round"] * (np.maximum(control["pucker"], 0.68) - control["pucker"])
    out["pucker"] = pucker * style.rounding * (1.0 - 0.45 * closed) * (1.0 - 0.85 * rest)
    unrounded = 1.0 - np.clip(out["pucker"], 0.0, 1.0)
    for name in ("smile", "stretch"):
        out[name] = control[name] * style.spread * unrounded * (1.0 - rest) * (1.0 - 0.5 * closed)
    out["smile"] = out["smile"] + style.smile * unrounded
    # mouthClose counters the jaw: a share of 1 means lips that touch at any opening of the jaw.
    share = 1.0 - (1.0 - closed) * (1.0 - 0.55 * teeth)
    out["close"] = share * out["jaw"]
    out["press"] = (0.42 * stop + 0.24 * nasal) * style.press
    out["rollLower"] = 0.48 * teeth + 0.10 * stop + 0.16 * nasal
    out["rollUpper"] = (0.08 * stop + 0.14 * nasal) * style.press
    out["shrugLower"] = 0.20 * teeth + 0.10 * closed
    out["shrugUpper"] = 0.06 * closed
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
    put("mouthShrugUpper", control["shrugUpper"])
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


def closure_violations(
    coefficients: np.ndarray, phones: list[Phone], fps: float = FPS, limit: float = 0.03
) -> list[tuple[Phone, float]]:
    """Bilabials whose nearest frame leaves the lips open: (phone, jawOpen - mouthClose there)."""
    found = []
    for phone in phones:
        frame = min(int(round(phone.middle * fps)), len(coefficients) - 1)
        row = coefficients[frame]
        opening = float(row[ARKIT_INDEX["jawOpen"]] - row[ARKIT_INDEX["mouthClose"]])
        lifted = max(row[ARKIT_INDEX[n]] for n in ("mouthLowerDownLeft", "mouthUpperUpLeft", "mouthFunnel"))
        if phone.label in BILABIALS and max(opening, float(lifted)) > limit:
            found.append((phone, opening))
    return found
