"""The measures on real speech, with motions whose measures are known."""

import numpy as np
import pytest

from render.rig import default_rig
from talker.audio import Speech, load_speech
from talker.motion import ARKIT_INDEX
from talker.pipeline import Talker
from training import beat, real_speech
from training.alignment import Phone, align
from training.articulation import speaker_style
from training.beat import read_corpus
from training.expression import perform
from training.loudness_jaw import loudness_jaw
from training.real_speech import Spoken, bars, measure, noisy


def test_noise_is_at_its_level_and_the_same_at_every_call():
    speech = Speech(0.1 * np.sin(np.arange(32000) / 20).astype(np.float32), "tone")
    heard = noisy(speech, 15.0)
    noise = heard.samples - speech.samples
    assert 10 * np.log10(np.mean(speech.samples**2) / np.mean(noise**2)) == pytest.approx(15, abs=0.05)
    assert np.array_equal(heard.samples, noisy(speech, 15.0).samples)
    for other in (noisy(Speech(speech.samples, "other"), 15.0), noisy(speech, 15.0, draw=1)):
        assert not np.array_equal(heard.samples, other.samples)


def syllables(open_at_closure=0.0):
    """Two seconds of "ma wi …" and motions that open and round exactly where the phones ask for it."""
    labels = ["SIL", *["M", "AA", "W", "IY"] * 4, "SIL"]
    phones = [Phone(label, 0.1 * k, 0.1 * (k + 1)) for k, label in enumerate(labels)]
    motion = np.zeros((54, 52), np.float32)
    values = {"AA": 0.6, "IY": 0.15, "W": 0.1, "M": open_at_closure, "SIL": 0.0}
    motion[:, ARKIT_INDEX["jawOpen"]] = np.repeat([values[label] for label in labels], 3)
    motion[:, ARKIT_INDEX["mouthPucker"]] = np.repeat([0.8 * (label == "W") for label in labels], 3)
    return phones, motion


def test_measures_of_a_mouth_that_does_what_the_phones_ask():
    phones, motion = syllables()
    row = measure([Spoken(phones, [motion])], default_rig())
    assert row["closed_over_open"] == pytest.approx(0, abs=0.01) and row["silence_over_open"] < 0.01
    assert row["rounding"] > 100 and row["closures_missed"] == 0
    assert abs(row["lag_frames"]) < 0.6 and row["correlation"] > 0.8
    assert row["closed_phones"] == row["open_phones"] == 4


def test_a_word_too_short_for_a_lag_leaves_the_lag_of_the_others():
    phones, motion = syllables()
    word = Spoken([Phone("M", 0.0, 0.1), Phone("AA", 0.1, 0.3)], [motion[3:12]])
    sentence = Spoken(phones, [motion])
    alone, together = (measure(spoken, default_rig()) for spoken in ([sentence], [sentence, word]))
    assert together["lag_frames"] == alone["lag_frames"] and together["closed_phones"] == alone["closed_phones"] + 1


def test_open_bilabials_are_closures_missed():
    phones, motion = syllables(open_at_closure=0.4)
    row = measure([Spoken(phones, [motion])], default_rig())
    assert row["closures_missed"] == 1 and row["closed_over_open"] > 0.5


def test_a_still_face_fails_every_bar_that_it_could_pass_by_not_moving():
    phones, motion = syllables()
    rig = default_rig()
    corpus = measure([Spoken(phones, [motion])], rig)
    still = measure([Spoken(phones, [np.zeros_like(motion)])], rig)
    loud = measure([Spoken(phones, [loudness_jaw(np.random.default_rng(0).normal(0, 0.1, 28800), 54)])], rig)
    found = bars(*[{"model": still, "loudness": loud, "corpus": corpus}] * 2)
    held = {bar.measure for bar in found if bar.holds}
    assert not {bar.measure for bar in found if bar.measure.startswith("ours")} & held
    assert not any(word in name for name in held for word in ("aperture", "lag", "rounding at"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, speech_folder):
    """A corpus of one unseen speaker: a recording of a few seconds, with the articulation model's motion."""
    folder = tmp_path_factory.mktemp("corpus")
    path = sorted(speech_folder.glob("*.flac"), key=lambda file: file.stat().st_size)[20]
    speech = load_speech(path)
    phones = align(speech.samples).phones
    motion = perform(phones, speech.samples, speech.frames(), speaker_style("anyone"), (0, path.stem, 1))
    beat.write_wav(speech.samples, folder / "anyone" / "one.wav")
    beat.write_motion(motion, folder / "anyone" / "one.json")
    beat.write_text_grid(folder / "anyone" / "one.TextGrid", speech.seconds, beat.phone_tiers(phones))
    return read_corpus(folder, heldout_speakers=["anyone"])


def test_on_a_real_recording_the_model_stands_between_loudness_and_the_corpus(corpus):
    report = real_speech.real_speech(Talker.from_pretrained("diffusiontalker"), corpus, default_rig(), takes=2)
    ours, loud, truth = (report["clean"][column] for column in ("model", "loudness", "corpus"))
    assert truth["closed_over_open"] < 0.1 < loud["closed_over_open"]
    assert ours["closed_over_open"] < 0.6 * loud["closed_over_open"]
    assert loud["rounding"] == 1 < ours["rounding"]
    assert ours["correlation"] > loud["correlation"] and truth["correlation"] > 0.7
    assert report["noise"]["corpus"] == truth and report["noise"]["model"] != ours
    assert report["diversity"]["upper_face"] > report["diversity"]["lips"]
    text = real_speech.as_text(report, "ours")
    assert text.count("loudness alone") == 2 and "white noise at 15 dB" in text
