"""What each trait of a speaker's style does, and that speakers stay recognisable by them."""

import dataclasses

import numpy as np
import pytest

from talker.motion import ARKIT_INDEX as INDEX
from talker.motion import FPS, Motion
from training.alignment import SILENCE, Phone, contiguous
from training.articulation import NEUTRAL_STYLE, breaths, lips, speaker_style
from training.expression import perform

TEXT = "P AA M AH W IY B AY T SH UW F EH K OW S AE D V UH N"
PAUSE = 1.2


def sentence(seconds: float = 0.1) -> list[Phone]:
    """TEXT twice, with a pause of PAUSE seconds before, between and after."""
    phones, time = [], PAUSE
    for _ in range(2):
        for label in TEXT.split():
            phones.append(Phone(label, time, time + seconds))
            time += seconds
        time += PAUSE
    return contiguous(phones, time)


PHONES = sentence()
FRAMES = round(PHONES[-1].end * FPS)


def mouth(samples=None, **traits: float) -> dict[str, np.ndarray]:
    """Curves by ARKit name of TEXT spoken with these traits, all others neutral."""
    rows = lips(PHONES, samples, FRAMES, dataclasses.replace(NEUTRAL_STYLE, **traits))
    return {name: rows[:, k] for name, k in INDEX.items()}


@pytest.mark.parametrize(("trait", "less", "more", "names"), [
    ("jaw", 0.82, 1.18, ["jawOpen"]),
    ("lips", 0.70, 1.35, ["mouthLowerDownLeft", "mouthUpperUpRight"]),
    ("rounding", 0.78, 1.22, ["mouthPucker", "mouthFunnel"]),
    ("spread", 0.55, 1.45, ["mouthSmileLeft", "mouthStretchRight"]),
    ("asymmetry", -0.2, 0.2, ["mouthSmileLeft", "mouthPressLeft"]),
    ("asymmetry", 0.2, -0.2, ["mouthSmileRight", "mouthPressRight"]),
    ("smile", 0.0, 0.09, ["mouthSmileLeft", "mouthSmileRight"]),
    ("press", 0.65, 1.35, ["mouthPressLeft"]),
    ("mouth_shift", -0.06, 0.06, ["mouthLeft", "jawLeft"]),
    ("mouth_shift", 0.06, -0.06, ["mouthRight", "jawRight"]),
    ("upper_lip", 0.55, 1.55, ["mouthUpperUpLeft"]),
    ("undershoot", 1.6, 0.6, ["jawOpen"]),
])  # fmt: skip
def test_a_trait_of_the_mouth_moves_what_it_is_named_for(trait, less, more, names):
    low, high = mouth(**{trait: less}), mouth(**{trait: more})
    for name in names:
        assert high[name].mean() > 1.04 * low[name].mean() + 1e-4


def test_speakers_who_lead_more_round_their_lips_earlier():
    """The rounding of SH and UW after T starts to rise earlier."""
    start = [float(np.argmax(mouth(lead=lead)["mouthFunnel"] > 0.1)) for lead in (0.8, 1.3)]
    assert start[1] <= start[0]
    before = round((PAUSE + 9 * 0.1 - 0.07) * FPS)  # 70 ms before SH
    assert mouth(lead=1.3)["mouthFunnel"][before] > 1.15 * mouth(lead=0.8)["mouthFunnel"][before]


def test_a_phrase_ends_with_a_smile_for_those_who_smile():
    end = round((PAUSE + len(TEXT.split()) * 0.1 + 0.2) * FPS)
    assert mouth(phrase_smile=0.15)["mouthSmileLeft"][end] > 0.1
    assert mouth(phrase_smile=-0.1)["mouthSmileLeft"][end] < 0.01


def test_lips_part_to_breathe_in_before_the_next_phrase_and_rest_before_that(rng):
    """Audible breath opens further than an implied one; both stay between 2 and 7 % of the jaw."""
    silent = np.full(round(PHONES[-1].end * 16000), 1e-4, np.float32)
    breathed = silent * rng.standard_normal(len(silent)).astype(np.float32)
    pause = [p for p in PHONES if p.label == SILENCE][1]
    breathed[round((pause.end - 0.4) * 16000) : round((pause.end - 0.05) * 16000)] *= 20.0
    openings = [mouth(samples, breath=1.0)["jawOpen"] for samples in (silent, breathed)]
    at = round((pause.end - 0.18) * FPS)
    assert 0.02 < openings[0][at] < openings[1][at] < 0.07
    assert openings[1][round((pause.start + 0.5) * FPS)] < 0.01
    assert mouth(breath=1.3)["jawOpen"][at] > 1.5 * mouth(breath=0.7)["jawOpen"][at]
    assert [end for end, _ in breaths(PHONES, silent)] == [p.end for p in PHONES if p.label == SILENCE][:2]


def performances(**traits: float) -> list[Motion]:
    style = dataclasses.replace(NEUTRAL_STYLE, **traits)
    samples = np.zeros(round(PHONES[-1].end * 16000), np.float32)
    beats = [(PAUSE + 0.35, 0.9), (PAUSE + 1.5, 0.7), (2 * PAUSE + 2.5, 0.9), (2 * PAUSE + 3.5, 0.8)]
    return [perform(PHONES, samples, FRAMES, style, ("style", k), beats) for k in range(8)]


def _mean(names):
    return lambda ms: np.mean([m.coefficients[:, [INDEX[n] for n in names]].mean() for m in ms])


def _deviation(names):
    return lambda ms: np.mean([m.coefficients[:, [INDEX[n] for n in names]].std(axis=0).mean() for m in ms])


def _head(axis, measure):
    return lambda ms: np.mean([measure(m.head[:, axis]) for m in ms])


def _shut(ms):
    return sum((m.coefficients[:, INDEX["eyeBlinkLeft"]] > 0.5).sum() for m in ms)


def _blinks(ms):
    return sum((np.diff((m.coefficients[:, INDEX["eyeBlinkLeft"]] > 0.5).astype(int)) == 1).sum() for m in ms)


def _pairs(ms):
    lids = [m.coefficients[:, INDEX["eyeBlinkLeft"]] > 0.5 for m in ms]
    starts = [np.flatnonzero(np.diff(lid.astype(int)) == 1) for lid in lids]
    return sum((np.diff(s) < 0.45 * FPS).sum() for s in starts)


def _jumps(ms):
    turn = [m.coefficients[:, INDEX["eyeLookOutLeft"]] - m.coefficients[:, INDEX["eyeLookInLeft"]] for m in ms]
    return sum((np.abs(np.diff(t)) > 0.02).sum() for t in turn)


def _tempo(ms):
    """Frequency of a movement: the deviation of its velocity over its own."""
    return np.mean([np.diff(m.head[:, 0]).std() / m.head[:, 0].std() for m in ms])


@pytest.mark.parametrize(("trait", "less", "more", "measure"), [
    ("brow_activity", 0.6, 1.5, _deviation(["browInnerUp", "browOuterUpLeft", "browDownLeft"])),
    ("brow_rest", -0.15, 0.2, _mean(["browInnerUp", "browOuterUpLeft"])),
    ("brow_skew", -0.7, 0.7, lambda ms: _mean(["browOuterUpLeft"])(ms) - _mean(["browOuterUpRight"])(ms)),
    ("blinks_per_minute", 8.0, 28.0, _blinks),
    ("blink_seconds", 0.85, 1.35, _shut),
    ("flutter", 0.0, 0.25, _pairs),
    ("squint", 0.0, 0.12, _mean(["eyeSquintLeft"])),
    ("gaze", 0.5, 1.6, _deviation(["eyeLookOutLeft", "eyeLookInLeft"])),
    ("saccades", 0.55, 1.7, _jumps),
    ("sway", 0.5, 1.7, _head(0, np.std)),
    ("sway_hertz", 0.15, 0.45, _tempo),
    ("nod", 0.3, 1.8, _head(1, lambda pitch: np.abs(np.diff(pitch)).max())),
    ("tilt", -0.08, 0.08, _head(2, np.mean)),
    ("chin", -0.07, 0.09, _head(1, np.mean)),
])  # fmt: skip
def test_a_trait_of_upper_face_and_head_moves_what_it_is_named_for(trait, less, more, measure):
    low, high = measure(performances(**{trait: less})), measure(performances(**{trait: more}))
    assert high > low + 0.1 * abs(low)


def test_traits_are_independent_and_belong_to_the_speaker():
    styles = np.array([list(vars(speaker_style(f"speaker-{k}")).values()) for k in range(400)])
    assert styles.shape[1] == len(dataclasses.fields(NEUTRAL_STYLE)) >= 12
    # 400 draws of independent traits: the largest of 351 correlations is below 4 standard deviations.
    assert np.abs(np.corrcoef(styles.T) - np.eye(styles.shape[1])).max() < 4 / np.sqrt(400)
    assert speaker_style("speaker-7") == speaker_style("speaker-7") != speaker_style("speaker-8")
