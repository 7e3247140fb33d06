"""Quality report of a corpus: what is in it, and whether its motion is what speech asks for.

Everything is read back from the files that training reads. Texts and phones are counted whole; motion
is measured on a sample that the utterances' names alone decide, SAMPLE of every speaker.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.signal import welch
from tqdm import tqdm

from render.rig import default_rig, lip_aperture
from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, LIP_REGION, UPPER_FACE_REGION, Motion
from training import beat, metrics, text
from training.alignment import PHONES, SILENCE, Phone
from training.articulation import RATE, Style, generator, lips, speaker_style, violations

SAMPLE = 8
"""Utterances of every speaker whose motion is measured, or all of a speaker who has fewer."""

FINE = 60
"""Utterances whose articulation is computed again at RATE, where frequencies above 15 Hz can be seen."""

REPORT_FILE = "quality.json"

_PAIRS = [n.removesuffix("Left") for n in ARKIT_NAMES if n.endswith("Left") and not n.startswith("eyeLook")]


@dataclass(frozen=True)
class Measured:
    """One utterance of the sample: its speaker, samples (n,), phones, motion and lip aperture (T,)."""

    speaker: str
    samples: np.ndarray
    phones: list[Phone]
    motion: Motion
    aperture: np.ndarray


def report(folder: Path) -> dict:
    """All measures of a corpus made by training.corpus, ready for JSON. TalkerError if it has no table."""
    table = folder / beat.CORPUS_FILE
    if not table.exists():
        raise TalkerError(f"{folder} has no {beat.CORPUS_FILE}: make it with `python -m training corpus`.")
    content = json.loads(table.read_text(encoding="utf-8"))
    first = _first_performances(folder)
    chosen = sample(first)
    rig = default_rig()
    measured = []
    for utterance in tqdm(chosen, "quality", unit="utterance", dynamic_ncols=True):
        motion = utterance.motion()
        aperture = lip_aperture(rig, motion.coefficients)
        speech, phones = utterance.speech(), utterance.phones()
        measured.append(Measured(utterance.speaker, speech.samples, phones, motion, aperture))
    labels = [[p.label for p in utterance.phones()] for utterance in first]
    return {
        "data": content["synthetic"],
        "amount": amount(content),
        "phones": phone_balance(labels),
        "violations": constraint_violations(content, measured),
        "lips": lip_measures(measured),
        "spectra": spectra(measured),
        "expression": expression_measures(measured),
        "style": style_measures(measured),
        "measured_utterances": len(measured),
    }


def _first_performances(folder: Path) -> list[beat.Utterance]:
    """One utterance of every recording that has phones: all its performances have the same lips."""
    return list({u.base: u for u in reversed(beat.read_corpus(folder)) if u.text_grid}.values())[::-1]


def sample_of(folder: Path, count: int = SAMPLE) -> list[beat.Utterance]:
    """sample() of a corpus on disk."""
    return sample(_first_performances(folder), count)


def sample(utterances: Sequence[beat.Utterance], count: int = SAMPLE) -> list[beat.Utterance]:
    """`count` utterances of every speaker, chosen by their names alone."""
    speakers = defaultdict(list)
    for utterance in utterances:
        speakers[utterance.speaker].append(utterance)
    return [
        u
        for _, own in sorted(speakers.items())
        for u in sorted(own, key=lambda u: generator("quality", u.base).random())[:count]
    ]


def evenness(amounts: Sequence[float]) -> float:
    """Shannon's entropy of the shares over that of equal shares, 0 … 1 (Pielou, 1966)."""
    share = np.array([a for a in amounts if a > 0], float) / max(sum(amounts), 1e-12)
    if len(amounts) < 2:
        return 1.0
    return float(max(0.0, -(share * np.log(share)).sum() / np.log(len(amounts))))


def amount(content: dict) -> dict:
    """Hours, speakers, sexes, engines and how evenly the speakers speak, from a corpus.json's content."""
    bases = {u["base"]: u for u in content["utterances"].values()}
    speakers = content["speakers"]
    seconds = [row["seconds"] for row in speakers.values()]
    engines = defaultdict(lambda: {"speakers": 0, "hours": 0.0})
    for row in speakers.values():
        engines[row["engine"]]["speakers"] += 1
        engines[row["engine"]]["hours"] += row["seconds"] / 3600
    splits = Counter()
    for u in bases.values():
        splits[u["split"]] += u["seconds"] / 3600
    return {
        "hours": sum(u["seconds"] for u in bases.values()) / 3600,
        "hours_with_performances": sum(u["seconds"] for u in content["utterances"].values()) / 3600,
        "utterances": len(bases),
        "performances": len(content["utterances"]),
        "speakers": len(speakers),
        "sexes": dict(Counter(row["sex"] for row in speakers.values())),
        "engines": {name: dict(row) for name, row in sorted(engines.items())},
        "hours_by_split": dict(splits),
        "seconds_per_speaker": {"least": min(seconds), "median": float(np.median(seconds)), "most": max(seconds)},
        "speaker_evenness": evenness(seconds),
        "largest_speaker": max(seconds) / sum(seconds),
    }


def phone_balance(labels: Sequence[Sequence[str]]) -> dict:
    """Share of every phone among the 39, how even they are, and how many phone pairs occur.

    labels : the phones of every utterance in their order, silence included
    """
    counts = Counter(label for utterance in labels for label in utterance)
    total = sum(n for label, n in counts.items() if label != SILENCE)
    pairs, possible = text.phone_pairs(labels), text.possible_pairs()
    found = [pairs[pair] for pair in possible if pairs[pair]]
    return {
        "count": total,
        "shares": {label: counts[label] / max(total, 1) for label in PHONES if label != SILENCE},
        "evenness": evenness([counts[label] for label in PHONES if label != SILENCE]),
        "pairs_possible": len(possible),
        "pairs_found": len(found),
        "pair_coverage": len(found) / len(possible),
        "pairs_at_least_ten_times": sum(n >= 10 for n in found) / len(possible),
    }


def constraint_violations(content: dict, measured: Sequence[Measured]) -> dict:
    """Violations by kind (training.articulation.violations): of all performances as they were made, and
    of the sample as its files are read back, over the sample's phones."""
    made, read = Counter(), Counter()
    for utterance in {u["base"]: u for u in content["utterances"].values()}.values():
        made.update(utterance["violations"])
    for m in measured:
        read.update(kind for kind, _, _ in violations(m.motion.coefficients, m.phones, m.motion.fps))
    return {
        "all_performances": dict(made),
        "sample": dict(read),
        "phones_of_all_performances": sum(sum(u["phones"].values()) for u in content["utterances"].values()),
        "phones_of_the_sample": sum(len(m.phones) for m in measured),
    }


def loudness(samples: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """Root-mean-square envelope of (n,) samples at `fps`, centred on every frame, smoothed over 60 ms; (frames,)."""
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centres = np.arange(frames) / fps * SAMPLE_RATE
    low, high = (np.clip(centres + s * 0.03 * SAMPLE_RATE, 0, len(samples)).astype(int) for s in (-1, 1))
    return np.sqrt((power[high] - power[low]) / np.maximum(high - low, 1))


def lip_measures(measured: Sequence[Measured]) -> dict:
    """What a lip reader sees: closure, rest and rounding ratios, lags in frames, jitter (training.metrics)."""
    fps = [m.motion.fps for m in measured]
    lags, heard = [], []
    for m in measured:
        lags.append(metrics.aperture_lag(m.aperture, m.motion.fps, m.phones))
        envelope = loudness(m.samples, len(m.aperture), m.motion.fps)
        heard.append(metrics.lag(m.aperture, envelope))
    lag, correlation = np.nanmedian(np.array(heard), axis=0)
    rows = [(m.motion.coefficients, f, m.phones) for m, f in zip(measured, fps, strict=True)]
    return {
        **metrics.aperture_ratios([(m.aperture, f, m.phones) for m, f in zip(measured, fps, strict=True)]),
        "rounding_ratio": metrics.rounding_ratio(rows),
        "lag_to_phones_frames": float(np.nanmedian(lags)),
        "lag_to_loudness_frames": float(lag),
        "correlation_with_loudness": float(correlation),
        "jitter": float(np.mean([metrics.jitter(m.motion.coefficients) for m in measured if len(m.aperture) > 2])),
    }


def power_spectrum(curves: Sequence[np.ndarray], rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Welch's spectrum over windows of two seconds, summed over the columns and curves (T, n) -> Hz, power.

    Curves that are shorter than a window are left out; the mean of each window is removed.
    """
    length = round(2 * rate)
    total = np.zeros(length // 2 + 1)
    frequency = np.fft.rfftfreq(length, 1 / rate)
    for curve in curves:
        if len(curve) >= length:
            total += welch(curve, rate, nperseg=length, axis=0)[1].sum(axis=1)
    return frequency, total


def share(frequency: np.ndarray, power: np.ndarray, low: float, high: float) -> float:
    """Share of the power above 0 Hz that lies in low <= f <= high."""
    inside = (frequency >= low) & (frequency <= high) & (frequency > 0)
    return float(power[inside].sum() / max(power[frequency > 0].sum(), 1e-30))


def spectra(measured: Sequence[Measured]) -> dict:
    """Where the energy of the movement lies.

    Jaw and lips are slow: speech opens and closes the mouth 2 to 7 times a second (Chandrasekaran et al.,
    "The Natural Statistics of Audiovisual Speech", 2009), the jaw's own movement has hardly any energy above
    8 Hz and the lips' above 15 Hz. The files' 30 frames a second end at 15 Hz, so the articulation of
    FINE utterances is computed again at RATE.
    """
    jaw = ARKIT_INDEX["jawOpen"]
    fps = measured[0].motion.fps
    files = [m.motion.coefficients for m in measured if m.motion.fps == fps]
    fine = []
    for m in measured[:: max(1, len(measured) // FINE)][:FINE]:
        frames = round(len(m.samples) / SAMPLE_RATE * RATE)
        fine.append(lips(m.phones, m.samples, frames, speaker_style(m.speaker), RATE))
    opening = [m.aperture[:, None] for m in measured if m.motion.fps == fps]
    opening_hertz, opening_power = power_spectrum(opening, fps)
    velocity = opening_power * opening_hertz**2
    heard_hertz, heard_power = power_spectrum(
        [loudness(m.samples, len(m.aperture), fps)[:, None] for m in measured], fps
    )
    return {
        "jaw_below_8_hz": share(*power_spectrum([c[:, [jaw]] for c in files], fps), 0, 8),
        "jaw_velocity_below_8_hz": share(*power_spectrum([np.diff(c[:, [jaw]], axis=0) for c in files], fps), 0, 8),
        "lips_below_15_hz_at_120": share(*power_spectrum([c[:, LIP_REGION] for c in fine], RATE), 0, 15),
        "lips_velocity_below_15_hz_at_120": share(
            *power_spectrum([np.diff(c[:, LIP_REGION], axis=0) for c in fine], RATE), 0, 15
        ),
        "aperture_in_2_to_7_hz": share(opening_hertz, opening_power, 2, 7),
        "aperture_velocity_peak_hz": float(opening_hertz[velocity.argmax()]),
        "aperture_velocity_in_2_to_7_hz": share(opening_hertz, velocity, 2, 7),
        "loudness_in_2_to_7_hz": share(heard_hertz, heard_power, 2, 7),
    }


def expression_measures(measured: Sequence[Measured]) -> dict:
    """Blinks, gaze and head: rates a minute, seconds, degrees, degrees a second."""
    minutes = sum(len(m.aperture) / m.motion.fps for m in measured) / 60
    durations, starts, near, pause = [], 0, 0, 0.0
    paired, speeds, angles = 0, [], []
    for m in measured:
        blinks = metrics.blink_times(m.motion.coefficients[:, ARKIT_INDEX["eyeBlinkLeft"]], m.motion.fps)
        durations += list(blinks[:, 1] - blinks[:, 0])
        starts += len(blinks)
        paired += int((np.diff(blinks[:, 0]) < 0.5).sum())
        ends = [p.start for p in m.phones if p.label == SILENCE and p.end - p.start > 0.15 and p.start > 0]
        near += sum(any(-0.25 < start - end < 0.45 for end in ends) for start in blinks[:, 0])
        grid = np.arange(len(m.aperture)) / m.motion.fps
        beside = [(grid - end > -0.25) & (grid - end < 0.45) for end in ends]
        pause += float(np.any(beside, axis=0).sum() / m.motion.fps) if ends else 0.0
        angles.append(np.degrees(m.motion.head))
        speeds.append(np.abs(np.diff(angles[-1], axis=0)) * m.motion.fps)
    return {
        "blinks_a_minute": starts / minutes,
        "blink_seconds_above_half": float(np.median(durations)) if durations else float("nan"),
        "blinks_in_pairs": 2 * paired / max(starts, 1),
        "blinks_at_phrase_ends_over_chance": (near / max(starts, 1)) / max(pause / (60 * minutes), 1e-9),
        "head_degrees_standard_deviation": float(np.concatenate(angles).std(axis=0).mean()),
        "head_degrees_a_second_99th": float(np.percentile(np.concatenate(speeds), 99)),
    }


def movement_statistics(motion: Motion, aperture: np.ndarray) -> dict[str, np.ndarray]:
    """Summary of one utterance's motion by region, "lips", "upper_face", "head": (n,) each.

    Means, standard deviations and 95th percentiles of the coefficients, and how much more the left side
    does than the right one.
    """
    rows = motion.coefficients
    left, right = (rows[:, [ARKIT_INDEX[f"{p}{side}"] for p in _PAIRS]].mean(axis=0) for side in ("Left", "Right"))
    skew = (left - right) / (left + right + 0.02)
    mouth = np.array([p.startswith(("mouth", "jaw", "cheek", "nose")) for p in _PAIRS])
    open_mouth = rows[aperture >= np.percentile(aperture, 60)]
    still = rows[aperture <= np.percentile(aperture, 10)]

    def moments(values: np.ndarray) -> list[np.ndarray]:
        return [values.mean(axis=0), values.std(axis=0), np.percentile(values, 95, axis=0)]

    blinks = metrics.blink_times(rows[:, ARKIT_INDEX["eyeBlinkLeft"]], motion.fps)
    seconds = len(rows) / motion.fps
    lids = [len(blinks) / seconds, float((blinks[:, 1] - blinks[:, 0]).mean()) if len(blinks) else 0.2]
    turned = np.abs(np.diff(motion.head, axis=0)).mean(axis=0) if len(rows) > 1 else np.zeros(3)
    return {
        "lips": np.concatenate([*moments(rows[:, LIP_REGION]), open_mouth[:, LIP_REGION].mean(axis=0),
                                still[:, LIP_REGION].mean(axis=0), skew[mouth]]),  # fmt: skip
        "upper_face": np.concatenate([*moments(rows[:, UPPER_FACE_REGION]), skew[~mouth], lids]),
        "head": np.concatenate([*moments(motion.head), turned, turned / (motion.head.std(axis=0) + 1e-3)]),
    }


def nearest_class_mean(features: np.ndarray, speakers: Sequence[str]) -> tuple[float, int]:
    """Share of utterances whose own speaker's mean is the nearest, and how many speakers there are.

    features : (n, D). Speakers with four utterances or more count; the first half of each one's makes
    its mean, the rest is classified. Distances are in units of the deviation within speakers.
    """
    groups = defaultdict(list)
    for k, speaker in enumerate(speakers):
        groups[speaker].append(k)
    groups = {name: rows for name, rows in groups.items() if len(rows) >= 4}
    if len(groups) < 2:
        return float("nan"), len(groups)
    known = {name: features[rows[: len(rows) // 2]] for name, rows in groups.items()}
    within = np.sqrt(np.mean([rows.var(axis=0) for rows in known.values()], axis=0))
    scale = np.where(within > 1e-6, 1.0 / np.maximum(within, 1e-6), 0.0)
    means = np.stack([rows.mean(axis=0) for rows in known.values()]) * scale
    hits = []
    for index, rows in enumerate(groups.values()):
        for row in features[rows[len(rows) // 2 :]] * scale:
            hits.append(int(((means - row) ** 2).sum(axis=1).argmin()) == index)
    return float(np.mean(hits)), len(groups)


def trait_recovery(features: np.ndarray, traits: np.ndarray, folds: int = 5, ridge: float = 30.0) -> np.ndarray:
    """How well speakers' traits (N, K) are told from their mean motion (N, D): correlation of each trait
    with ridge regression's prediction for speakers that it was not fitted on; (K,)."""
    features = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    traits = (traits - traits.mean(axis=0)) / np.maximum(traits.std(axis=0), 1e-9)
    predicted = np.zeros_like(traits)
    fold = np.arange(len(traits)) % folds
    for k in range(folds):
        x, y = features[fold != k], traits[fold != k]
        gram = x.T @ x + ridge * np.eye(x.shape[1])
        predicted[fold == k] = features[fold == k] @ np.linalg.solve(gram, x.T @ y)
    return np.array([np.corrcoef(a, b)[0, 1] if a.std() > 0 else 0.0 for a, b in zip(predicted.T, traits.T)])


def style_measures(measured: Sequence[Measured]) -> dict:
    """Whether speakers are told apart by how they move, and which traits show.

    "recognised": nearest_class_mean by region. "traits": trait_recovery by name. "correlation": the two
    traits that go together most over the speakers.
    """
    rows = [movement_statistics(m.motion, m.aperture) for m in measured]
    speakers = [m.speaker for m in measured]
    regions = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    everything = np.concatenate(list(regions.values()), axis=1)
    found = {name: nearest_class_mean(part, speakers) for name, part in (regions | {"all": everything}).items()}
    names = sorted(set(speakers))
    mean = np.stack([everything[[s == name for s in speakers]].mean(axis=0) for name in names])
    traits = np.array([list(asdict(speaker_style(name)).values()) for name in names])
    result = {
        "recognised": {name: accuracy for name, (accuracy, _) in found.items()},
        "recognised_among": found["all"][1],
        "chance": 1 / max(found["all"][1], 1),
        "speakers": len(names),
    }
    if len(names) >= 20:
        recovered = trait_recovery(mean, traits)
        together = np.abs(np.corrcoef(traits.T) - np.eye(traits.shape[1]))
        result["traits"] = {name: float(r) for name, r in zip(Style.__dataclass_fields__, recovered, strict=True)}
        result["traits_recovered_above_0.5"] = int((recovered > 0.5).sum())
        result["correlation"] = float(together.max())
    return result


def summary(content: dict) -> str:
    """The report as text for a terminal."""
    a, p, v, s = (content[key] for key in ("amount", "phones", "violations", "spectra"))
    face, mouth, style = content["expression"], content["lips"], content["style"]
    order = sorted(p["shares"].items(), key=lambda item: -item[1])
    engines = ", ".join(f"{name} {row['speakers']} in {row['hours']:.1f} h" for name, row in a["engines"].items())
    bad = sum(v["all_performances"].values()) + sum(v["sample"].values())
    kinds = {**v["sample"], **v["all_performances"]}
    lines = [
        f"{a['hours']:.2f} hours of speech, {a['speakers']} speakers ({', '.join(f'{n} {k}' for k, n in a['sexes'].items())}): {engines}",
        f"{a['utterances']} utterances, {a['performances']} performances ({a['hours_with_performances']:.1f} h); speakers' evenness "
        f"{a['speaker_evenness']:.3f}, the largest has {100 * a['largest_speaker']:.1f} %",
        "phones, %: " + " ".join(f"{label} {100 * value:.1f}" for label, value in order),
        f"phones' evenness {p['evenness']:.3f}; {p['pairs_found']} of {p['pairs_possible']} phone pairs occur "
        f"({100 * p['pair_coverage']:.1f} %), {100 * p['pairs_at_least_ten_times']:.1f} % ten times or more",
        f"constraint violations: {bad}{f' ({kinds})' if bad else ''} of {v['phones_of_all_performances']} phones as made; "
        f"{v['phones_of_the_sample']} phones of {content['measured_utterances']} utterances read back",
        f"lips over open vowels ({mouth['open_millimetres']:.1f} mm): {mouth['closed_over_open']:.3f} at P B M, "
        f"{mouth['silence_over_open']:.3f} in silence; rounding UW OW W over IY EH S {mouth['rounding_ratio']:.1f}",
        f"lag of the lips: {mouth['lag_to_phones_frames']:+.2f} frames to the phones, {mouth['lag_to_loudness_frames']:+.2f} to "
        f"loudness (r = {mouth['correlation_with_loudness']:.2f}); jitter {mouth['jitter']:.4f}",
        f"energy: jaw below 8 Hz {100 * s['jaw_below_8_hz']:.1f} % (velocity {100 * s['jaw_velocity_below_8_hz']:.1f} %), lips below "
        f"15 Hz {100 * s['lips_below_15_hz_at_120']:.2f} % (velocity {100 * s['lips_velocity_below_15_hz_at_120']:.2f} %)",
        f"aperture: {100 * s['aperture_in_2_to_7_hz']:.0f} % in 2 to 7 Hz, velocity {100 * s['aperture_velocity_in_2_to_7_hz']:.0f} %, its peak "
        f"at {s['aperture_velocity_peak_hz']:.1f} Hz",
        f"blinks: {face['blinks_a_minute']:.1f} a minute, {1000 * face['blink_seconds_above_half']:.0f} ms above half, "
        f"{100 * face['blinks_in_pairs']:.0f} % in pairs, {face['blinks_at_phrase_ends_over_chance']:.1f} x chance at phrase ends",
        f"speakers recognised by motion among {style['recognised_among']}: "
        + ", ".join(f"{name} {100 * value:.0f} %" for name, value in style["recognised"].items())
        + f" (chance {100 * style['chance']:.1f} %)",
    ]
    if "traits" in style:
        lines.append(
            f"traits told from motion (r > 0.5): {style['traits_recovered_above_0.5']} of {len(style['traits'])}; "
            f"largest correlation of two traits {style['correlation']:.2f}"
        )
    return "\n".join(lines)


def write_report(folder: Path) -> dict:
    """Makes the report of a corpus, writes it as quality.json beside corpus.json, and returns it."""
    content = report(folder)
    with whole_file(folder / REPORT_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return content
