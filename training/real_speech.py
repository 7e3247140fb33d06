"""Measures on real speech of speakers that no part of a model was trained on, clean and in noise.

Every table has two more columns: the naive rival (training.loudness_jaw) and the corpus's own motion, which the
articulation model made from the phones and which is therefore the best that these measures can show.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from render.rig import Rig, lip_aperture
from talker.audio import Speech
from talker.motion import FPS
from talker.pipeline import Talker
from training import metrics
from training.alignment import Phone
from training.augmentation import add_noise, coloured_noise
from training.bars import Bar, bar_table, ratio, table
from training.beat import Utterance
from training.loudness_jaw import loudness_jaw

NOISE_DB = 15.0
"""Signal-to-noise ratio of the noisy condition, over the whole utterance."""

NOISE_DRAWS = 4
"""How often every utterance is heard in noise: with one draw each, the aperture at P B M of 25 speakers in noise scatters by
several per cent."""

WORSE = 1 / 3
"""By how much noise or another language may worsen a measure."""

MISSED = 0.3
"""A bilabial whose middle is open by more than this share of the mean open vowel is a closure missed."""

NAMES = {
    "closed_over_open": "aperture at P B M / open vowels",
    "silence_over_open": "aperture in silence / open vowels",
    "rounding": "rounding at UW OW W / IY EH S",
    "lag_frames": "lag behind the phones, frames",
    "correlation": "correlation with the phones",
    "jitter": "jitter of the lips",
    "closures_missed": "share of P B M missed",
    "open_millimetres": "aperture at open vowels, mm",
}
"""What measure returns, in the words of the tables."""

RIVAL = "loudness"
CORPUS = "corpus"


@dataclass(frozen=True)
class Spoken:
    """One utterance with its motions.

    phones  : contiguous, of the utterance
    motions : (T, 52) coefficients each, at FPS; several takes count as several utterances
    """

    phones: Sequence[Phone]
    motions: Sequence[np.ndarray]


def noisy(speech: Speech, snr: float = NOISE_DB, exponent: float = 0.0, draw: int = 0) -> Speech:
    """The speech in noise of power 1 / f^exponent (0 white, 1 pink), which depends on the speech's name and `draw` alone."""
    random = np.random.default_rng([zlib.crc32(speech.name.encode()), draw])
    noise = coloured_noise(len(speech.samples), exponent, random)
    return Speech(np.clip(add_noise(speech.samples, noise, snr), -1, 1), speech.name)


def measure(spoken: Sequence[Spoken], rig: Rig) -> dict[str, float]:
    """The measures in NAMES of utterances with their motions, pooled over all phones; lag and correlation are the
    median over motions, jitter their mean."""
    pairs = [(motion, one.phones) for one in spoken for motion in one.motions]
    apertures = [(lip_aperture(rig, motion), FPS, phones) for motion, phones in pairs]
    ratios = metrics.aperture_ratios(apertures)
    limit = MISSED * ratios["open_millimetres"] / 1000
    closed = np.concatenate([metrics.at_middles(*row, metrics.CLOSED_PHONES) for row in apertures])
    # Too short an utterance has no lag; one whose lips stay still has NaN, and so has then the median.
    long = [row for row in apertures if len(row[0]) >= 3 * metrics.LONGEST_LAG]
    lags = [metrics.lag(a, metrics.phone_aperture(phones, len(a), fps)) for a, fps, phones in long]
    lag, correlation = np.median(lags or [(np.nan, np.nan)], axis=0)
    return {
        "closed_over_open": ratios["closed_over_open"],
        "silence_over_open": ratios["silence_over_open"],
        "rounding": metrics.rounding_ratio([(motion, FPS, phones) for motion, phones in pairs]),
        "lag_frames": float(lag),
        "correlation": float(correlation),
        "jitter": float(np.mean([metrics.jitter(motion) for motion, _ in pairs])),
        "closures_missed": float((closed > limit).mean()) if len(closed) else float("nan"),
        "open_millimetres": ratios["open_millimetres"],
        "closed_phones": ratios["closed_phones"],
        "open_phones": ratios["open_phones"],
    }


def real_speech(
    talker: Talker, utterances: Sequence[Utterance], rig: Rig, takes: int = 4, seed: int = 0
) -> dict:
    """Everything that is asked of real speech, of one model.

    utterances : of speakers never trained on, with phones and the corpus's motion; a progress bar may wrap them
    takes      : per utterance; all count
    seed       : of the first utterance's takes, one more for each further one
    Returns {"clean", "noise"}: each a column of `measure` for "model", RIVAL and CORPUS, how takes differ, and bars.
    """
    spoken: dict[str, dict[str, list[Spoken]]] = {name: {"model": [], RIVAL: [], CORPUS: []} for name in ("clean", "noise")}
    upper, lower, diversity = [], [], []
    for index, utterance in enumerate(utterances):
        speech, phones = utterance.speech(), utterance.phones()
        frames = speech.frames(FPS)
        truth = utterance.motion(FPS, frames).coefficients
        versions = {"clean": [speech], "noise": [noisy(speech, draw=draw) for draw in range(NOISE_DRAWS)]}
        for name, heard in versions.items():
            sampled = [talker.speak(one, takes=takes, seed=seed + index) for one in heard]
            motions = {
                "model": [take for one in sampled for take in one.coefficients],
                RIVAL: [loudness_jaw(one.samples, frames) for one in heard],
                CORPUS: [truth],
            }
            for column, found in motions.items():
                spoken[name][column].append(Spoken(phones, found))
            if name == "clean" and takes > 1:
                spread = sampled[0].diversity()
                upper.append(spread["upper_face"])
                lower.append(spread["lips"])
                diversity.append(metrics.diversity(sampled[0].coefficients))
    report: dict = {
        "utterances": len(spoken["clean"]["model"]),
        "takes": takes,
        "noise_db": NOISE_DB,
        "noise_draws": NOISE_DRAWS,
        **{name: {column: measure(rows, rig) for column, rows in own.items()} for name, own in spoken.items()},
    }
    if upper:
        ratio = float(np.mean(upper) / np.mean(lower)) if np.mean(lower) else None
        report["diversity"] = {"upper_face": float(np.mean(upper)), "lips": float(np.mean(lower)), "ratio": ratio}
        report["diversity"]["between_takes"] = float(np.mean(diversity))
    return report | {"bars": [bar.entry() for bar in bars(report["clean"], report["noise"])]}


def bars(clean: dict[str, dict], noise: dict[str, dict]) -> list[Bar]:
    """What a model has to keep on real speech, in noise, and against the rival."""
    ours, rival, corpus, loud = clean["model"], clean[RIVAL], clean[CORPUS], noise["model"]

    def times(row: dict, other: dict, key: str) -> float:
        return ratio(row[key], other[key])

    def away(row: dict) -> float:
        """How far the jitter is from the corpus's own, as a factor: a face that hardly moves has little of it."""
        return float(np.exp(abs(np.log(max(row["jitter"], 1e-9) / max(corpus["jitter"], 1e-9)))))

    return [
        Bar(NAMES["closed_over_open"], ours["closed_over_open"], "<=", 0.18),
        Bar(NAMES["silence_over_open"], ours["silence_over_open"], "<=", 0.06),
        Bar(NAMES["rounding"], ours["rounding"], ">=", 5.0),
        Bar("lag to either side, frames", abs(ours["lag_frames"]), "<=", 1.0),
        Bar("jitter / corpus's own", times(ours, corpus, "jitter"), "<=", 1.3),
        Bar("noise / clean: aperture at P B M", times(loud, ours, "closed_over_open"), "<=", 1 + WORSE),
        Bar("noise / clean: aperture in silence", times(loud, ours, "silence_over_open"), "<=", 1 + WORSE),
        Bar("noise / clean: rounding", times(loud, ours, "rounding"), ">=", 1 - WORSE),
        Bar("noise: lag to either side, frames", abs(loud["lag_frames"]), "<=", 1 + WORSE),
        Bar("noise / clean: jitter", times(loud, ours, "jitter"), "<=", 1 + WORSE),
        Bar("ours / loudness: aperture at P B M", times(ours, rival, "closed_over_open"), "<=", 0.5),
        Bar("ours / loudness: aperture in silence", times(ours, rival, "silence_over_open"), "<=", 0.5),
        Bar("ours / loudness: rounding", times(ours, rival, "rounding"), ">=", 2.0),
        Bar("ours - loudness: correlation", ours["correlation"] - rival["correlation"], ">=", 0.05),
        Bar("ours / loudness: jitter, as a factor from the corpus's", ratio(away(ours), away(rival)), "<=", 1.0),
    ]


AGAINST = 0.2
"""By how much a measure of another model may be worse than DiffusionTalker's; for the lag, which is best at 0, so many
frames further off."""


def bars_against(ours: dict, reference: dict) -> list[Bar]:
    """What another model has to keep beside DiffusionTalker, both columns of `measure` on the same clean speech."""
    worse = {"closed_over_open": 1 + AGAINST, "silence_over_open": 1 + AGAINST, "rounding": 1 - AGAINST}
    return [
        *(
            Bar(f"{NAMES[key]}, / DiffusionTalker's", ours[key] / reference[key], "<=" if limit > 1 else ">=", limit)
            for key, limit in worse.items()
        ),
        Bar("lag to either side less DiffusionTalker's, frames", abs(ours["lag_frames"]) - abs(reference["lag_frames"]), "<=", AGAINST),
    ]


def as_text(report: dict, model: str) -> str:
    """The report of real_speech as aligned tables."""
    parts = []
    for name, title in (("clean", "clean"), ("noise", f"white noise at {report['noise_db']:g} dB, drawn {report['noise_draws']} times")):
        columns = report[name]
        heading = f"{report['utterances']} unseen speakers, real speech, {title}, {report['takes']} takes"
        rows = [[words, *(columns[c][key] for c in ("model", RIVAL, CORPUS))] for key, words in NAMES.items()]
        parts.append(table(heading, ["measure", model, "loudness alone", "corpus"], rows))
    parts.append(bar_table("bars on real speech", report["bars"]))
    return "\n\n".join(parts)
