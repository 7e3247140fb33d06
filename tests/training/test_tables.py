"""The paper's tables and figures: each from corpus to text, JSON and picture, with models of a few steps."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from talker.errors import TalkerError
from talker.formats import read_beat_json
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion
from talker.pipeline import CHECKPOINTS
from tests.training.toy_corpus import write_toy_corpus
from training.__main__ import main
from training.beat import phone_tiers, read_corpus, read_phones, write_motion, write_text_grid, write_wav
from training.alignment import Phone
from training.reproduce import EXPERIMENTS, make_setup, table_1
from training.reproduce.beat_sequences import cut_sequences, split_files
from training.reproduce.report import Column, format_table
from training.reproduce.runs import train
from training.reproduce.setup import Budget, Setup, find_corpus, spread

TINY = """name: tiny
encoder: none
data: toy
steps: 2
hidden_dim: 8
batch_size: 2
crop_frames: [10, 12]
stages: [16, 8]
validation_batches: 1
"""


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> Setup:
    """Two toy voices, models of eight units trained for two steps, one utterance measured."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "tiny.yaml").write_text(TINY)
    recipe = str(folder / "tiny.yaml")
    budget = Budget("tiny", recipe, recipe, steps=2, distill_steps=1, utterances=1, takes=1, seconds=0.5, repeats=1)
    encoder = str(CHECKPOINTS / "speech-encoder")
    return Setup(write_toy_corpus(folder / "corpus"), encoder, folder / "runs", folder / "out", budget)


def report(setup: Setup, target: str) -> dict:
    return json.loads((setup.out / f"{target}.json").read_text())


def test_table_1_measures_every_row_of_the_paper_and_trains_nothing_twice(setup, monkeypatch):
    text = table_1.run(setup)
    content = report(setup, "table-1")
    assert text == (setup.out / "table-1.txt").read_text()
    rows = {(row["steps"], row["distilled"]): row for row in content["rows"]}
    assert list(rows) == list(table_1.PAPER)
    # From scratch as long as teacher and students: 2 + 1 + 1 steps for the 8-step models.
    assert [rows[8, kind]["training_steps"] for kind in (False, True)] == [4, 4]
    assert [rows[16, kind]["training_steps"] for kind in (False, True)] == [3, 3]
    assert rows[256, False]["training_steps"] == 2
    for row in rows.values():
        assert 0 < row["LBE"] < row["MBE"] and row["|FDD|"] >= 0
        assert 0 < row["sampling"] < row["ITF"]
    assert rows[256, False]["sampling"] > 4 * rows[16, False]["sampling"]
    assert Image.open(setup.out / "figure-4.png").size == (768, 528)

    def never(*_):
        raise AssertionError("a finished run or measurement is not repeated")

    monkeypatch.setattr("training.reproduce.runs.run_verb", never)
    monkeypatch.setattr("training.reproduce.measurement.errors", never)
    table_1.run(setup)
    again = {(row["steps"], row["distilled"]): row for row in report(setup, "table-1")["rows"]}
    assert [again[key]["LBE"] for key in rows] == [rows[key]["LBE"] for key in rows]
    # Another budget is another training.
    with pytest.raises(AssertionError, match="not repeated"):
        table_1.run(dataclasses.replace(setup, budget=dataclasses.replace(setup.budget, steps=3)))


def test_rows_train_side_by_side_in_processes_of_their_own(setup, tmp_path):
    apart = dataclasses.replace(setup, runs=tmp_path, jobs=2)
    runs = [table_1.scratch(setup.budget, steps) for steps in (16, 8)]
    train(runs, apart)
    for run in runs:
        assert run.finished(apart) and run.checkpoint(apart).is_dir()
        assert "validation" in (run.trained(apart) / "log.jsonl").read_text()


def test_a_training_that_fails_says_why(setup):
    run = dataclasses.replace(table_1.teacher(setup.budget), name="broken", steps=1)
    broken = dataclasses.replace(setup, encoder="no/such/encoder")
    folder = run.folder(broken)
    with pytest.raises(TalkerError):
        train([run], broken)
    assert not (folder / "done.json").exists()


COLUMNS = (Column("name", "model"), Column("n", "training\nsteps", "d"), Column("ITF", "ITF (1e-4 s)", ".1f", 1e4, paper=True))
GOLDEN = """\
Table 0. Two rows
ours:  a toy
paper: BEAT

        training
model      steps    ITF (1e-4 s)
                    ours   paper
────────────────────────────────
ours        1200     7.1     7.0
slow         800   255.5  1000.9
none           –       –       –
"""


def test_the_text_of_a_table():
    rows = [
        {"name": "ours", "n": 1200, "ITF": 7.12e-4, "paper": {"ITF": 7.0e-4}},
        {"name": "slow", "n": 800, "ITF": 0.02555, "paper": {"ITF": 0.10009}},
        {"name": "none"},
    ]
    text = format_table("Table 0. Two rows", ["ours:  a toy", "paper: BEAT"], COLUMNS, rows)
    assert text == GOLDEN


def test_utterances_are_spread_evenly_and_always_the_same():
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread([1, 2], 5) == spread([1, 2], None) == [1, 2]


def test_beat_is_cut_into_sequences_of_ten_seconds_that_keep_their_time(tmp_path):
    """25 s at BEAT's 60 frames a second with its 51 names: sequences of 10, 10 and 5 s."""
    rng = np.random.default_rng(0)
    seconds, wav = 25.0, tmp_path / "beat" / "2" / "2_scott_0_1_1.wav"
    write_wav(0.1 * rng.normal(size=int(seconds * 16_000)), wav)
    coefficients = np.zeros((int(seconds * 60), 52))
    coefficients[:, ARKIT_INDEX["jawOpen"]] = np.arange(len(coefficients)) / len(coefficients)
    write_motion(Motion(coefficients, np.zeros((len(coefficients), 3)), 60.0), wav.with_suffix(".json"))
    content = json.loads(wav.with_suffix(".json").read_text())
    content["names"] = list(ARKIT_NAMES[:51])
    for frame in content["frames"]:
        frame["weights"], frame["rotation"] = frame["weights"][:51], []
    wav.with_suffix(".json").write_text(json.dumps(content))
    write_text_grid(wav.with_suffix(".TextGrid"), seconds, phone_tiers([Phone("AA", 9.5, 10.5), Phone("B", 24.0, 24.5)]))

    corpus, features = find_corpus(tmp_path / "beat", tmp_path / "runs")
    assert features is None
    found = read_corpus(corpus)
    assert [u.id for u in found] == [f"2_scott_0_1_1-{k:03d}" for k in range(3)]
    assert [round(u.speech().seconds, 3) for u in found] == [10, 10, 5]
    second = read_beat_json(found[1].json)
    assert second.fps == 60 and len(second.coefficients) == 600
    assert second.coefficients[0, ARKIT_INDEX["jawOpen"]] == pytest.approx(600 / 1500, abs=1e-4)
    assert [(p.label, p.start, p.end) for p in read_phones(found[0].text_grid)] == [("SIL", 0, 9.5), ("AA", 9.5, 10)]
    assert read_phones(found[1].text_grid)[0] == Phone("AA", 0, 0.5)
    assert read_phones(found[2].text_grid)[1] == Phone("B", 4, 4.5)
    assert cut_sequences(tmp_path / "beat", corpus) == corpus


def test_each_speakers_last_files_are_held_out():
    splits = split_files([f"2_scott_0_{k}_{k}" for k in range(1, 21)])
    assert [name for name, split in splits.items() if split == "heldout_utterance"] == ["2_scott_0_19_19", "2_scott_0_20_20"]
    assert [name for name, split in splits.items() if split == "validation"] == ["2_scott_0_17_17", "2_scott_0_18_18"]
    assert set(split_files(["a", "b"]).values()) == {"train"}


def test_bad_data_gets_a_sentence(tmp_path, capsys):
    assert main(["reproduce", "table-1", "--data", str(tmp_path), "--runs", str(tmp_path)]) == 2
    assert "holds neither a corpus" in capsys.readouterr().err
