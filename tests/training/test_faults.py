"""A corpus with one of each thing that goes wrong: all are named with the reason, and the rest is trained on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from talker.audio import SAMPLE_RATE
from talker.motion import ARKIT_INDEX, ARKIT_NAMES
from training.beat import read_corpus, write_wav
from training.features import feature_caches
from training.reproduce.beat_sequences import cut_sequences

SECONDS = 2.0


def recording(folder, name, fps=60, seconds=SECONDS, change=None):
    """One pair of files as BEAT has them: 51 names, empty rotation; jawOpen rises from 0 to 1."""
    speaker = folder / "wayne"
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    write_wav(0.3 * np.sin(2 * np.pi * 180 * time), speaker / f"{name}.wav")
    times = np.arange(round(seconds * fps)) / fps
    weights = np.zeros((len(times), 51))
    weights[:, ARKIT_INDEX["jawOpen"]] = times / seconds
    frames = [{"weights": w.tolist(), "time": float(t), "rotation": []} for w, t in zip(weights, times, strict=True)]
    content = {"names": list(ARKIT_NAMES[:51]), "frames": frames}
    if change:
        change(content)
    (speaker / f"{name}.json").write_text(json.dumps(content))
    return speaker / name


def jaw_is_nan(content):
    content["frames"][7]["weights"][ARKIT_INDEX["jawOpen"]] = float("nan")


def in_percent(content):
    content["frames"][7]["weights"][ARKIT_INDEX["jawOpen"]] = 80


def misspelt(content):
    content["names"][ARKIT_INDEX["jawOpen"]] = "JawOpen"


def unknown(content):
    content["names"].append("earWiggle")
    for frame in content["frames"]:
        frame["weights"].append(0.0)


def a_weight_too_many(content):
    for frame in content["frames"]:
        frame["weights"].append(0.0)


def in_milliseconds(content):
    for frame in content["frames"]:
        frame["time"] *= 1000


def without_times(content):
    for frame in content["frames"]:
        del frame["time"]


@pytest.fixture(scope="module")
def bad_corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    recording(folder, "good")
    recording(folder, "fast", fps=120)
    recording(folder, "dropped", fps=30)
    gap = json.loads((folder / "wayne/dropped.json").read_text())
    del gap["frames"][20:30]
    (folder / "wayne/dropped.json").write_text(json.dumps(gap))
    recording(folder, "longer", seconds=SECONDS + 0.4)  # within half a second

    recording(folder, "no-json").with_suffix(".json").unlink()
    recording(folder, "no-wav").with_suffix(".wav").unlink()
    recording(folder, "half", seconds=SECONDS / 2)
    recording(folder, "nan", change=jaw_is_nan)
    recording(folder, "percent", change=in_percent)
    recording(folder, "misspelt", change=misspelt)
    recording(folder, "unknown", change=unknown)
    recording(folder, "too-many", change=a_weight_too_many)
    recording(folder, "milliseconds", change=in_milliseconds)
    recording(folder, "no-times", change=without_times)
    cut = recording(folder, "cut").with_suffix(".wav")
    cut.write_bytes(cut.read_bytes()[:40000])
    text = recording(folder, "text").with_suffix(".wav")
    text.write_text("no sound " * 99)
    silent = recording(folder, "silent").with_suffix(".wav")
    write_wav(np.zeros(round(SECONDS * SAMPLE_RATE)), silent)
    broken = recording(folder, "broken").with_suffix(".json")
    broken.write_bytes(broken.read_bytes()[:3000])
    return folder


REASONS = {
    "no-json.wav": "no .json beside it",
    "no-wav.json": "no .wav beside it",
    "half.json": "lasts 1.00 s at 60 frames a second, but its speech 2.00 s",
    "nan.json": "has jawOpen = nan in frame 8",
    "percent.json": "has jawOpen = 80 in frame 8",
    "misspelt.json": "lacks the coefficients jawOpen",
    "unknown.json": "unknown coefficients earWiggle",
    "too-many.json": "52 weights for 51 names",
    "milliseconds.json": "0.06 frames a second by its times, which must be seconds",
    "no-times.json": "no names and frames as BEAT's JSON has",
    "cut.wav": "is cut off: its header tells of 64000 bytes",
    "text.wav": "not a recording",
    "silent.wav": "is silent",
    "broken.json": "is not JSON or is cut off",
}


def test_each_bad_file_is_named_and_the_rest_goes_on(bad_corpus, encoder, tmp_path, capsys):
    cache = feature_caches(tmp_path, bad_corpus, encoder, variants=1)["train"]
    assert cache.names == ["dropped", "fast", "good", "longer"]
    told = capsys.readouterr().err
    assert f"{len(REASONS)} files of the corpus left aside" in told
    for name, reason in REASONS.items():
        (line,) = [line for line in told.splitlines() if f"/{name}: " in line]
        assert reason in line
    # Other frame rates, and frames that a phone dropped, come out in time with the speech.
    opening = cache.motion[:, ARKIT_INDEX["jawOpen"]]
    jaw = {name: opening[cache.motion_start[k] :][:60] for k, name in enumerate(cache.names)}
    np.testing.assert_allclose(jaw["fast"], jaw["good"], atol=1e-3)
    np.testing.assert_allclose(jaw["dropped"], jaw["good"], atol=1e-3)
    # Once made, the cache tells it again.
    feature_caches(tmp_path, bad_corpus, encoder, variants=1)
    assert "cut.wav" in capsys.readouterr().err


def test_beat_is_cut_into_sequences_without_its_bad_files(bad_corpus, tmp_path, capsys):
    cut = cut_sequences(bad_corpus, tmp_path / "cut")
    names = {u.id for u in read_corpus(cut)}
    assert {"good-000", "fast-000", "longer-000"} <= names
    # Whether a sequence is silence is asked when it is encoded: one of a long recording may be.
    missed = {name.split(".")[0] for name in REASONS} - {"silent"}
    assert not names & {f"{name}-000" for name in missed}
    told = capsys.readouterr().err
    assert all(f"/{name}." in told for name in missed)


def test_a_good_corpus_leaves_nothing_aside(encoder, tmp_path, capsys):
    recording(tmp_path / "corpus", "only")
    feature_caches(tmp_path / "features", tmp_path / "corpus", encoder)
    assert "left aside" not in capsys.readouterr().err
    faults = []
    read_corpus(tmp_path / "corpus", faults=faults)
    assert faults == []


def test_training_fails_with_one_sentence_when_nothing_is_left(bad_corpus, encoder, tmp_path):
    """In a process of its own, because accelerate keeps one state a process."""
    corpus = tmp_path / "corpus"
    (corpus / "wayne").mkdir(parents=True)
    for name in ("nan.wav", "nan.json", "cut.wav", "cut.json"):
        shutil.copy(bad_corpus / "wayne" / name, corpus / "wayne" / name)
    options = ["--corpus", corpus, "--features", tmp_path / "f", "--encoder", encoder, "--out", tmp_path / "run", "--cpu"]
    finished = subprocess.run(
        [sys.executable, "-m", "training", "train", *map(str, options)],
        cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True,
    )  # fmt: skip
    told = finished.stderr
    assert finished.returncode == 2 and "Traceback" not in told
    assert "2 files of the corpus left aside" in told and "nan.json" in told and "cut.wav" in told
    assert told.splitlines()[-1].startswith("The corpus holds no utterance that can be used")
    assert not (tmp_path / "f" / "train.safetensors").exists()
