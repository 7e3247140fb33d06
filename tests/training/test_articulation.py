"""Lips, jaw and expression from phones: what a lip reader must see, at 30 frames a second."""

import numpy as np
import pytest
from scipy.signal import welch

from talker.motion import ARKIT_INDEX as INDEX
from talker.motion import FPS, LIP_REGION, UPPER_FACE_REGION
from training.alignment import PHONES, SILENCE, Phone, contiguous
from training.articulation import (
    DIPHTHONGS,
    NEUTRAL_STYLE,
    TARGETS,
    Style,
    lips,
    speaker_style,
    violations,
    window,
)
from training.expression import accents, perform, smooth_noise

BILABIALS = {"P", "B", "M"}


def spell(text: str, seconds: float = 0.09, silence: float = 0.4) -> list[Phone]:
    """Phones of `seconds` each between two pauses; "AA*2" lasts twice as long."""
    phones, time = [Phone(SILENCE, 0.0, silence)], silence
    for word in text.split():
        label, _, factor = word.partition("*")
        end = time + seconds * float(factor or 1)
        phones.append(Phone(label, time, end))
        time = end
    return [*phones, Phone(SILENCE, time, time + silence)]


def random_phones(rng: np.random.Generator, count: int = 60) -> list[Phone]:
    """Random phones of 20 to 180 ms at times that fall anywhere between frames."""
    phones, time = [], 0.0
    for label in rng.choice(PHONES, count):
        end = time + rng.uniform(0.02, 0.18)
        phones.append(Phone(str(label), time, end))
        time = end
    return contiguous(phones, time + 0.3)


def curves(phones: list[Phone], style: Style = NEUTRAL_STYLE) -> np.ndarray:
    return lips(phones, None, round(phones[-1].end * FPS), style)


def at(coefficients: np.ndarray, name: str, time: float) -> float:
    return float(coefficients[min(round(time * FPS), len(coefficients) - 1), INDEX[name]])


def opening(coefficients: np.ndarray) -> np.ndarray:
    return coefficients[:, INDEX["jawOpen"]] - coefficients[:, INDEX["mouthClose"]]


def babble(phones: list[Phone], rng: np.random.Generator, swing: float = 30.0) -> np.ndarray:
    """A buzz of 150 Hz, give or take `swing`, that is loud in sounds and still in pauses."""
    times = np.arange(round(phones[-1].end * 16000)) / 16000
    level = sum(window(times, p.start, p.end, 0.01, 0.01) for p in phones if p.label != SILENCE)
    pitch = 150 + swing * np.sin(2 * np.pi * 0.7 * times)
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / 16000))
    return (0.2 * level * buzz + 1e-4 * rng.standard_normal(len(times))).astype(np.float32)


def test_every_phone_has_a_target():
    assert set(TARGETS) | set(DIPHTHONGS) == set(PHONES) - {SILENCE}


def test_lips_meet_at_every_bilabial_whatever_its_length_and_neighbours(rng):
    bilabials = 0
    for trial in range(30):
        phones = random_phones(rng)
        coefficients = curves(phones, speaker_style(f"speaker {trial}"))
        assert violations(coefficients, phones) == []
        for phone in phones:
            if phone.label not in BILABIALS:
                continue
            bilabials += 1
            # Both frames beside the middle are closed, so reading between frames is closed too.
            frames = {int(np.floor(phone.middle * FPS)), int(np.ceil(phone.middle * FPS))}
            for frame in frames & set(range(len(coefficients))):
                assert opening(coefficients)[frame] < 0.03
                assert coefficients[frame, INDEX["mouthLowerDownLeft"]] < 0.03
    assert bilabials > 60


def test_the_check_of_constraints_finds_every_kind_of_violation():
    """A mouth that says AA through every sound, and rests through none."""
    phones = spell("AA M AA F AA W AA SH AA SIL*6 AA", seconds=0.1)
    open_mouth = curves(spell("AA M AA F AA W AA SH AA AA*6 AA", seconds=0.1))
    assert violations(curves(phones), phones) == []
    open_mouth[:] = open_mouth[round(0.45 * FPS)]
    found = violations(open_mouth, phones)
    assert {(kind, phone.label) for kind, phone, _ in found} == {
        ("closure", "M"), ("teeth", "F"), ("rounding", "W"), ("sibilant", "SH"), ("rest", SILENCE),
    }  # fmt: skip
    assert all(excess > 0.1 for _, _, excess in found)


def test_open_vowels_open_far_and_bilabials_between_them_close():
    phones = spell("P AA*2 P AE*2 M AY*2 B")
    coefficients = curves(phones)
    for phone in phones:
        jaw = at(coefficients, "jawOpen", phone.middle)
        if phone.label in {"AA", "AE", "AY"}:
            assert 0.45 <= jaw <= 0.9
        if phone.label in BILABIALS:
            assert at(coefficients, "mouthClose", phone.middle) == pytest.approx(jaw, abs=0.02)
            assert at(coefficients, "mouthPressLeft", phone.middle) > 0.15


def test_the_mouth_rests_in_pauses():
    phones = spell("AA*2 SIL*4 AA*2", seconds=0.12)
    coefficients = curves(phones)
    moving = [INDEX[n] for n in ("jawOpen", "mouthLowerDownLeft", "mouthUpperUpLeft", "mouthFunnel")]
    pause = next(p for p in phones if p.label == SILENCE and p.start > 0)
    inside = slice(int(np.ceil((pause.start + 0.12) * FPS)), int((pause.end - 0.14) * FPS) + 1)
    assert coefficients[inside, moving].max() < 0.01
    assert coefficients[:6, moving].max() < 0.01
    assert coefficients[-6:, moving].max() < 0.01
    assert coefficients[:, INDEX["jawOpen"]].max() > 0.5


def test_lower_lip_meets_the_teeth_on_f_and_v():
    phones = spell("AA*2 F IY*2 V AA*2")
    coefficients = curves(phones)
    for phone in phones:
        if phone.label in {"F", "V"}:
            assert at(coefficients, "mouthRollLower", phone.middle) > 0.35
            assert at(coefficients, "mouthUpperUpLeft", phone.middle) > 0.10
            assert at(coefficients, "jawOpen", phone.middle) < 0.2


@pytest.mark.parametrize(("label", "name", "least"), [
    ("W", "mouthPucker", 0.55), ("UW", "mouthPucker", 0.55), ("OW", "mouthFunnel", 0.3),
    ("AO", "mouthFunnel", 0.3), ("SH", "mouthFunnel", 0.35), ("CH", "mouthFunnel", 0.35),
    ("R", "mouthPucker", 0.15),
])  # fmt: skip
def test_rounded_sounds_are_rounded(label, name, least):
    phones = spell(f"T IH {label}*1.3 T IH")
    spread = spell("T IH IH*1.3 T IH")
    middle = phones[3].middle
    assert at(curves(phones), name, middle) > least
    assert at(curves(spread), name, middle) < 0.1


def test_rounding_runs_ahead_of_the_sound():
    """Forward coarticulation: in "stew" the lips are round while the tongue makes S and T."""
    round_word, spread_word = curves(spell("S T UW*2")), curves(spell("S T IY*2"))
    before = 0.4 + 2 * 0.09 - 0.03  # 30 ms before the vowel starts
    assert at(round_word, "mouthPucker", before) > 0.35
    assert at(spread_word, "mouthPucker", before) < 0.05
    assert at(spread_word, "mouthSmileLeft", before) > at(round_word, "mouthSmileLeft", before) + 0.05


def test_tongue_shows_between_the_teeth():
    coefficients = curves(spell("AA TH*1.5 AA"))
    assert at(coefficients, "tongueOut", spell("AA TH*1.5 AA")[2].middle) > 0.15
    assert curves(spell("K AA G"))[:, INDEX["tongueOut"]].max() < 0.02


def test_short_vowels_undershoot_and_loud_ones_open_more(rng):
    slow, fast = spell("T AA T", seconds=0.18), spell("T AA T", seconds=0.05)
    assert at(curves(slow), "jawOpen", slow[2].middle) > 1.4 * at(curves(fast), "jawOpen", fast[2].middle)
    phones = spell("T AA*2 T AA*2 T AA*2 T")
    samples = babble(phones, rng)
    second = slice(round(phones[4].start * 16000), round(phones[4].end * 16000))
    samples[second] *= 4.0
    coefficients = lips(phones, samples, round(phones[-1].end * FPS))
    assert at(coefficients, "jawOpen", phones[4].middle) > 1.15 * at(coefficients, "jawOpen", phones[2].middle)


def test_curves_are_coefficients_and_the_jaw_is_slow(rng):
    rows = [curves(random_phones(rng, 150), speaker_style(str(k))) for k in range(8)]
    for row in rows:
        assert row.dtype == np.float32 and row.min() >= 0.0 and row.max() <= 1.0
        assert (row[:, INDEX["mouthClose"]] <= row[:, INDEX["jawOpen"]] + 1e-6).all()
    jaw = np.concatenate([row[:, INDEX["jawOpen"]] for row in rows])
    frequency, power = welch(jaw, FPS, nperseg=128)
    assert power[frequency > 8.0].sum() < 0.03 * power[1:].sum()


def test_styles_differ_between_speakers_and_stay_with_them():
    assert speaker_style("ls-1688") == speaker_style("ls-1688")
    styles = np.array([list(vars(speaker_style(f"s{k}")).values()) for k in range(200)])
    assert styles.shape[1] >= 8
    # Traits are drawn independently: no two of them go together over many speakers.
    correlation = np.corrcoef(styles.T) - np.eye(styles.shape[1])
    assert np.abs(correlation).max() < 0.3
    phones = spell("P AA T IY W AA")
    assert not np.allclose(curves(phones, speaker_style("a")), curves(phones, speaker_style("b")), atol=0.02)


def test_performances_share_lips_and_differ_above(rng):
    phones = random_phones(rng, 120)
    samples = babble(phones, rng)
    frames = round(phones[-1].end * FPS)
    style = speaker_style("somebody")
    motions = [perform(phones, samples, frames, style, ("test", k)) for k in range(6)]
    again = perform(phones, samples, frames, style, ("test", 0))
    assert np.array_equal(again.coefficients, motions[0].coefficients)
    assert np.array_equal(again.head, motions[0].head)
    stack = np.stack([m.coefficients for m in motions])
    assert (stack[:, :, LIP_REGION] == stack[:1, :, LIP_REGION]).all()
    across = stack.std(axis=0)
    assert across[:, UPPER_FACE_REGION].mean() > 0.05
    assert np.stack([m.head for m in motions]).std(axis=0).mean() > 0.02
    for motion in motions:
        assert motion.coefficients.min() >= 0.0 and motion.coefficients.max() <= 1.0
        assert np.abs(motion.head).max() < 0.6
        # Heads are heavy: 30 degrees in a tenth of a second would be a jolt.
        assert np.abs(np.diff(motion.head, axis=0)).max() * FPS < np.radians(300) / 3


def test_blinks_are_as_long_and_as_frequent_as_people_blink():
    phones = contiguous([], 60.0)
    samples = np.zeros(60 * 16000, np.float32)
    counts, lengths = [], []
    for k in range(6):
        lid = perform(phones, samples, 1800, NEUTRAL_STYLE, (k,), beats=[]).coefficients[:, INDEX["eyeBlinkLeft"]]
        shut = np.flatnonzero(np.diff((lid > 0.45).astype(int)) == 1)
        counts.append(len(shut))
        lengths += [np.argmax(lid[i + 1 :] < 0.45) / FPS for i in shut]
    assert 10 <= np.mean(counts) <= 25  # a minute; NEUTRAL_STYLE asks for 16
    assert 0.08 <= np.median(lengths) <= 0.25  # above half closure


def test_accents_are_loud_vowels(rng):
    phones = spell("T AH T AH T AH T AH T AH T AH T", seconds=0.1)
    samples = babble(phones, rng, swing=0.0)
    loud = phones[8]
    samples[round(loud.start * 16000) : round(loud.end * 16000)] *= 4.0
    found = accents(phones, np.clip(samples, -1, 1))
    assert any(loud.start <= time <= loud.end for time, _ in found)
    assert all(0.0 <= strength <= 1.0 for _, strength in found)


def test_smooth_noise_has_unit_variance_and_no_fast_part():
    noise = smooth_noise(np.random.default_rng(1), 120 * 2000, 0.3)
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    frequency, power = welch(noise, 120.0, nperseg=16384)
    assert power[frequency > 1.0].sum() < 0.01 * power.sum()
