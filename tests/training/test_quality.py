"""The quality report: closed forms, a corpus that is as it should be, and one that is not."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, FPS, Motion
from training import beat, quality
from training.__main__ import main
from training.alignment import PHONES, Phone, contiguous
from training.articulation import generator, speaker_style
from training.expression import perform

SPEAKERS, EACH = ("ann", "bob", "cyd"), 4


def utterance(speaker: str, number: int) -> tuple[np.ndarray, list[Phone]]:
    """About four seconds of all phones in a random order, said as noise that is loud in them."""
    random = generator("quality test", speaker, number)
    phones, time = [], 0.5
    for label in random.permutation([p for p in PHONES if p != "SIL"]):
        end = time + random.uniform(0.06, 0.13)
        phones.append(Phone(str(label), time, end))
        time = end
    phones = contiguous(phones, time + 0.5)
    samples = 1e-3 * random.standard_normal(round(phones[-1].end * 16000))
    samples[8000:-8000] *= 50 * (1 + np.sin(2 * np.pi * 4 * np.arange(len(samples) - 16000) / 16000))
    return np.clip(samples, -1, 1).astype(np.float32), phones


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus with motion of the articulation model, written as training.corpus writes it."""
    folder = tmp_path_factory.mktemp("quality") / "corpus"
    table = {"synthetic": "test", "speakers": {}, "utterances": {}}
    for speaker in SPEAKERS:
        (folder / speaker).mkdir(parents=True)
        seconds = 0.0
        for number in range(EACH):
            samples, phones = utterance(speaker, number)
            name = f"{speaker}-{number}"
            path = folder / speaker / f"{name}-p1.wav"
            frames = round(len(samples) / 16000 * FPS)
            motion = perform(phones, samples, frames, speaker_style(speaker), (name,), beats=[])
            beat.write_wav(samples, path)
            beat.write_text_grid(path.with_suffix(".TextGrid"), phones[-1].end, beat.phone_tiers(phones))
            beat.write_motion(motion, path.with_suffix(".json"))
            seconds += phones[-1].end
            table["utterances"][f"{name}-p1"] = {
                "speaker": speaker, "base": name, "split": "train", "engine": "noise", "seconds": phones[-1].end,
                "violations": {}, "phones": dict(Counter(p.label for p in phones)),
            }  # fmt: skip
        table["speakers"][speaker] = {"sex": "F", "engine": "noise", "seconds": seconds}
    (folder / beat.CORPUS_FILE).write_text(json.dumps(table))
    return folder


def test_evenness_is_entropy_over_that_of_equal_shares():
    assert quality.evenness([5, 5, 5, 5]) == pytest.approx(1.0)
    # Shares 3/4 and 1/4: 0.8113 bits of 1.
    assert quality.evenness([3, 1]) == pytest.approx(0.8113, abs=1e-4)
    assert quality.evenness([7, 0]) == pytest.approx(0.0)


def test_spectrum_of_two_sines_is_shared_by_their_squared_amplitudes():
    time = np.arange(30 * 60) / 30
    curve = 2 * np.sin(2 * np.pi * 3 * time) + np.sin(2 * np.pi * 11 * time)
    frequency, power = quality.power_spectrum([curve[:, None], curve[:10, None]], 30.0)
    assert frequency[power.argmax()] == 3.0
    assert quality.share(frequency, power, 0, 8) == pytest.approx(4 / 5, abs=0.01)


def test_loudness_of_a_tone_is_its_root_mean_square():
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    assert quality.loudness(tone, 30, 30.0)[5:25] == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_speakers_are_recognised_only_by_what_is_theirs(rng):
    speakers = [f"s{k % 10}" for k in range(80)]
    own = np.array([[int(s[1:])] * 3 for s in speakers], float)
    assert quality.nearest_class_mean(own + 0.1 * rng.standard_normal(own.shape), speakers) == (1.0, 10)
    accuracy, _ = quality.nearest_class_mean(rng.standard_normal(own.shape), speakers)
    assert accuracy < 0.35


def test_a_trait_that_shows_is_told_and_one_that_does_not_is_not(rng):
    traits = rng.standard_normal((200, 2))
    features = np.stack([2 * traits[:, 0] + 0.3 * rng.standard_normal(200), rng.standard_normal(200)], axis=1)
    shown, hidden = quality.trait_recovery(features, traits)
    assert shown > 0.95 and abs(hidden) < 0.3


def test_report_of_a_corpus_counts_everything_and_finds_no_violation(corpus):
    found = quality.write_report(corpus)
    assert json.loads((corpus / "quality.json").read_text()) == found
    assert found["amount"]["speakers"] == 3 and found["amount"]["utterances"] == 12
    assert found["phones"]["count"] == 12 * 39
    assert found["phones"]["shares"] == pytest.approx({p: 1 / 39 for p in PHONES if p != "SIL"})
    assert found["phones"]["evenness"] == pytest.approx(1.0)
    assert 0 < found["phones"]["pair_coverage"] < 1
    assert found["violations"]["sample"] == {} and found["violations"]["phones_of_the_sample"] == 12 * 41
    lips, spectra = found["lips"], found["spectra"]
    assert lips["closed_over_open"] < 0.03 and lips["silence_over_open"] < 0.06 and lips["rounding_ratio"] > 4
    assert abs(lips["lag_to_phones_frames"]) < 1
    assert spectra["jaw_below_8_hz"] > 0.97 and spectra["lips_below_15_hz_at_120"] > 0.995
    assert 2 <= spectra["aperture_velocity_peak_hz"] <= 7
    assert found["style"]["recognised"]["lips"] == 1.0
    text = quality.summary(found)
    assert "constraint violations: 0 of" in text and "3 speakers (3 F): noise 3" in text


def test_report_names_what_a_corpus_does_wrong(corpus):
    first = quality.sample_of(corpus, 1)[0]
    motion, phones = first.motion(), first.phones()
    rows = motion.coefficients.copy()
    rows[:, ARKIT_INDEX["mouthClose"]] = 0.0
    rows[:, ARKIT_INDEX["mouthPucker"]] = rows[:, ARKIT_INDEX["mouthFunnel"]] = 0.0
    content = json.loads((corpus / beat.CORPUS_FILE).read_text())
    measured = quality.Measured(
        first.speaker, first.speech().samples, phones, Motion(rows, motion.head), np.zeros(len(rows))
    )
    found = quality.constraint_violations(content, [measured])
    assert found["sample"] == {"closure": 3, "rounding": 2}  # P B M, W UW
    assert found["all_performances"] == {}


def test_figures_of_a_corpus_are_drawn_without_making_it_again(corpus, tmp_path, capsys):
    before = sorted((p, p.stat().st_mtime_ns) for p in corpus.glob("*/*"))
    assert main(["corpus", "--out", str(corpus), "--figures", str(tmp_path)]) == 0
    assert sorted((p, p.stat().st_mtime_ns) for p in corpus.glob("*/*")) == before
    assert "phones.png" in capsys.readouterr().out
    phones, curves = (Image.open(tmp_path / name) for name in ("phones.png", "curves.png"))
    assert phones.width == 8 * 112 and phones.height % 5 == 0  # 39 phones and rest, in rows of eight
    assert curves.width > 800


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(TalkerError, match="python -m training corpus"):
        quality.write_report(tmp_path)
