"""BEAT's layout: our own corpus and files in exactly the form of real BEAT, through one loader."""

import json
import re
import shutil

import numpy as np
import pytest

from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion
from training import beat
from training.alignment import PHONES, Phone, Word
from training.corpus import (
    animate,
    heldout_speakers,
    make_corpus,
    speak,
    split_utterances,
    summary,
    synthetic_recordings,
)


def write_real_beat(folder, speaker="2", name="2_scott_0_1_1", seconds=2.0):
    """A recording as BEAT ships it: 51 names, 60 frames a second, empty rotation, MFA's TextGrid."""
    (folder / speaker).mkdir(parents=True)
    times = np.arange(round(seconds * 60)) / 60
    weights = np.zeros((len(times), 51))
    weights[:, 24] = 0.5 + 0.4 * np.sin(2 * np.pi * 1.5 * times)  # jawOpen
    frames = [
        {"weights": row.tolist(), "time": float(t), "rotation": []} for row, t in zip(weights, times, strict=True)
    ]
    path = folder / speaker / name
    path.with_suffix(".json").write_text(json.dumps({"names": list(ARKIT_NAMES[:51]), "frames": frames}))
    beat.write_wav(0.1 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * 16000)) / 16000), path.with_suffix(".wav"))
    tiers = {"words": [(0.5, 1.1, "pa")], "phones": [(0.5, 0.7, "P"), (0.7, 1.1, "AA1"), (1.1, 1.3, "spn")]}
    beat.write_text_grid(path.with_suffix(".TextGrid"), seconds, tiers)
    return weights


def test_real_beat_is_read_at_30_frames_a_second(tmp_path):
    weights = write_real_beat(tmp_path)
    (utterance,) = beat.read_corpus(tmp_path)
    assert (utterance.speaker, utterance.id, utterance.split) == ("2", "2_scott_0_1_1", "train")
    motion = utterance.motion()
    assert motion.fps == 30.0 and motion.coefficients.shape == (60, 52)
    # Every second frame of 60 is a frame of 30, so linear interpolation changes nothing there.
    np.testing.assert_allclose(motion.coefficients[:, :51], weights[::2], atol=1e-6)
    assert not motion.coefficients[:, ARKIT_INDEX["tongueOut"]].any()
    assert not motion.head.any()
    assert utterance.speech().frames() == 60


def test_phones_of_mfa_lose_stress_and_noise(tmp_path):
    write_real_beat(tmp_path)
    (utterance,) = beat.read_corpus(tmp_path)
    phones = [(p.label, pytest.approx(p.start), pytest.approx(p.end)) for p in utterance.phones()]
    assert phones == [("SIL", 0, 0.5), ("P", 0.5, 0.7), ("AA", 0.7, 1.1), ("SIL", 1.1, 2.0)]


def test_our_motion_comes_back_with_head_and_tongue(tmp_path, rng):
    motion = Motion(rng.random((45, 52), np.float32), rng.normal(0, 0.1, (45, 3)).astype(np.float32))
    (tmp_path / "s").mkdir()
    beat.write_motion(motion, tmp_path / "s" / "u.json")
    beat.write_wav(rng.normal(0, 0.1, 24000), tmp_path / "s" / "u.wav")
    (utterance,) = beat.read_corpus(tmp_path)
    back = utterance.motion()
    assert back.fps == pytest.approx(30.0)
    np.testing.assert_allclose(back.coefficients, motion.coefficients, atol=6e-5)
    np.testing.assert_allclose(back.head, motion.head, atol=6e-6)
    with pytest.raises(TalkerError, match="no TextGrid"):
        utterance.phones()


def test_resampling_is_linear_and_holds_the_end():
    ramp = np.zeros((60, 52), np.float32)
    ramp[:, 0] = np.arange(60) / 60
    motion = Motion(ramp, np.zeros((60, 3), np.float32), fps=60.0)
    at25 = beat.resample(motion, 25.0)
    assert len(at25.coefficients) == 25
    np.testing.assert_allclose(at25.coefficients[:, 0], np.arange(25) / 25, atol=1e-6)
    longer = beat.resample(motion, 30.0, frames=33)
    assert len(longer.coefficients) == 33
    assert longer.coefficients[-1, 0] == pytest.approx(59 / 60)


def test_text_grid_round_trip_with_quotes_and_utf16(tmp_path):
    words = [Word('o"clock', 0.25, 0.75)]
    phones = [Phone("SIL", 0, 0.25), Phone("AA", 0.25, 0.75), Phone("SIL", 0.75, 1.0)]
    path = tmp_path / "a.TextGrid"
    beat.write_text_grid(path, 1.0, beat.phone_tiers(phones, words))
    tiers = beat.read_text_grid(path)
    assert tiers["words"] == [(0, 0.25, ""), (0.25, 0.75, 'o"clock'), (0.75, 1.0, "")]
    assert beat.read_phones(path) == phones
    path.write_bytes(path.read_text().encode("utf-16"))  # Praat writes this for non-ASCII text
    assert beat.read_phones(path) == phones


@pytest.mark.parametrize("content", ["", "not a grid", 'File type = "ooTextFile"'])
def test_a_broken_text_grid_is_one_sentence(tmp_path, content):
    path = tmp_path / "broken.TextGrid"
    path.write_text(content)
    with pytest.raises(TalkerError, match="TextGrid in long form"):
        beat.read_phones(path)


def test_a_folder_without_pairs_is_one_sentence(tmp_path):
    with pytest.raises(TalkerError, match="python -m training corpus"):
        beat.read_corpus(tmp_path)


def test_speakers_can_be_held_out_of_real_beat(tmp_path):
    write_real_beat(tmp_path, "2", "2_scott_0_1_1")
    write_real_beat(tmp_path, "4", "4_lawrence_0_1_1")
    held = beat.read_corpus(tmp_path, ["heldout_speaker"], heldout_speakers=["4"])
    assert [u.speaker for u in held] == ["4"]
    with pytest.raises(TalkerError, match="Unknown split"):
        beat.read_corpus(tmp_path, ["test"])


def test_ten_utterances_split_seven_three_with_one_for_validation():
    names = [f"u{k}" for k in range(10)]
    split = split_utterances(0, names)
    counts = {s: list(split.values()).count(s) for s in set(split.values())}
    assert counts == {"train": 6, "validation": 1, "heldout_utterance": 3}
    assert split == split_utterances(0, names[::-1])
    assert split != split_utterances(1, names)
    more = split_utterances(0, [*names, *(f"v{k}" for k in range(40))])
    assert split.items() <= more.items() and set(more.values()) == set(split.values())
    assert all(more[f"v{k}"] == "train" for k in range(40))


def test_heldout_speakers_are_of_both_sexes_and_do_not_depend_on_order():
    sexes = {str(k): "FM"[k % 2] for k in range(251)}
    held = heldout_speakers(0, sexes)
    assert len(held) == 25
    assert sum(sexes[name] == "F" for name in held) == 12
    # Fewer are a part of more: whoever was held out of a training is not in doubt later.
    assert held < heldout_speakers(0, sexes, count=44)
    assert held == heldout_speakers(0, dict(reversed(list(sexes.items()))))


@pytest.fixture(scope="module")
def small_corpus(tmp_path_factory):
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    return folder, make_corpus(None, folder, seed=3, per_voice=10, performances=2, workers=2, limit=10)


def test_a_made_corpus_is_read_back_with_its_splits(small_corpus):
    folder, content = small_corpus
    everything = beat.read_corpus(folder)
    train = [u for u in everything if u.split == "train"]
    assert len({u.base for u in everything}) == 10
    assert len(train) == 12 and len({u.base for u in train}) == 6  # two performances each
    assert {u.base for u in train}.isdisjoint(u.base for u in everything if u.split != "train")
    assert all(entry["violations"] == {} for entry in content["utterances"].values())
    assert re.search(r"train +flite +6 utterances +1 speakers", summary(content))
    first, second = [u for u in train if u.base == train[0].base]
    assert first.wav.samefile(second.wav)
    speech = first.speech()
    a, b = first.motion(), second.motion()
    assert len(a.coefficients) == speech.frames()
    lip, brow = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["browInnerUp"]
    assert np.array_equal(a.coefficients[:, lip], b.coefficients[:, lip])
    assert not np.allclose(a.coefficients[:, brow], b.coefficients[:, brow], atol=0.05)
    assert {p.label for u in everything for p in u.phones()} == set(PHONES)


def test_an_interrupted_corpus_goes_on_and_ends_the_same(small_corpus):
    folder, content = small_corpus
    files = {p: p.read_bytes() for p in sorted(folder.glob("*/*.json"))}
    kept = next(p for p in files if "-p1" in p.name)
    stamp = kept.stat().st_mtime_ns
    lost = [p for p in files if p != kept][:2]
    for path in lost:
        path.unlink()
    assert make_corpus(None, folder, seed=3, per_voice=10, performances=2, workers=2, limit=10) == content
    assert {p: p.read_bytes() for p in sorted(folder.glob("*/*.json"))} == files
    assert kept.stat().st_mtime_ns == stamp or kept.stem.rsplit("-", 1)[0] in {p.stem.rsplit("-", 1)[0] for p in lost}


def test_another_articulation_makes_the_motion_again_and_leaves_the_speech(tmp_path, monkeypatch):
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")
    (recording,) = [r for r in synthetic_recordings(5, seed=3) if r.base == "flite-kal-03"]
    said = speak((recording, str(tmp_path), "", 3))
    entry = animate((recording, str(tmp_path), 3, 2, said))
    folder = tmp_path / "flite-kal"

    def written():
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("flite-kal-03-*")}

    before = written()
    assert len(before) == 3 * len(entry["performances"])
    assert speak((recording, str(tmp_path), "", 3)) == said
    assert animate((recording, str(tmp_path), 3, 2, said)) == entry
    assert written() == before
    monkeypatch.setattr("training.corpus.motion_fingerprint", lambda: "another")
    assert speak((recording, str(tmp_path), "", 3)) == said
    animate((recording, str(tmp_path), 3, 2, said))
    changed = {name for name, stamp in written().items() if stamp != before[name]}
    assert {name for name in before if name.endswith(".json")} <= changed
    assert {f"{entry['base']}-p1.wav", f"{entry['base']}-p1.TextGrid"}.isdisjoint(changed)


def test_corpus_of_fewer_performances_leaves_none_of_the_others(tmp_path):
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")
    many = make_corpus(None, tmp_path, seed=3, per_voice=1, performances=3, workers=1, limit=1)
    assert len(list(tmp_path.glob("*/*.wav"))) == len(many["utterances"]) == 3
    few = make_corpus(None, tmp_path, seed=3, per_voice=1, performances=1, workers=1, limit=1)
    assert [path.stem for path in tmp_path.glob("*/*.wav")] == list(few["utterances"])


def test_corpus_of_another_seed_in_between_changes_nothing(tmp_path):
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")

    def motion(seed):
        make_corpus(None, tmp_path, seed=seed, per_voice=1, performances=1, workers=1, limit=1)
        return next(tmp_path.glob("*/*-p1.json")).read_bytes()

    first = motion(3)
    assert motion(4) != first
    assert motion(3) == first
