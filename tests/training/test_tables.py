"""The paper's tables and figures: each from corpus to text, JSON and picture, with models of a few steps."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from render.rig import default_rig
from talker.errors import TalkerError
from talker.formats import read_beat_json
from talker.identity import NO_MATCH
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion
from talker.pipeline import CHECKPOINTS
from talker.takes import Takes
from tests.training.toy_corpus import write_toy_corpus
from training.__main__ import main
from training.alignment import Phone
from training.beat import phone_tiers, read_corpus, read_phones, write_motion, write_text_grid, write_wav
from training.face_regions import face_of
from training.reproduce import figure_5, figure_6, table_1, table_2, table_3, table_4, table_5
from training.reproduce.beat_sequences import cut_sequences, split_files
from training.reproduce.models import measured_step_seconds, scratch, student, teacher
from training.reproduce.report import Column, format_table
from training.reproduce.runs import train
from training.reproduce.setup import FULL, Budget, Setup, find_corpus, spread

TINY = """name: tiny
encoder: none
data: toy
steps: 2
hidden_dim: 8
batch_size: 2
crop_frames: [10, 12]
validation_batches: 1
"""

MODELS = {
    "diffusiontalker": "",
    "distill": "lip_noise: 0.5\n",
    "facediffuser": "model: facediffuser\nidentity: false\nhead: false\nschedule: cosine\n",
    "regression": "model: regression\nhead: false\ndiffusion_steps: 1\n",
}
"""What is trained -> what its recipe holds beside TINY."""


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> Setup:
    """Two toy voices, models of eight units trained for two steps, one utterance measured."""
    folder = tmp_path_factory.mktemp("tables")
    recipes = {}
    for model, more in MODELS.items():
        recipes[model] = str(folder / f"{model}.yaml")
        Path(recipes[model]).write_text(TINY + more)
    budget = Budget("tiny", recipes, steps=2, distill_steps=1, utterances=1, takes=1, seconds=0.5, repeats=1)
    encoder = str(CHECKPOINTS / "speech-encoder")
    return Setup(write_toy_corpus(folder / "corpus"), encoder, folder / "runs", folder / "out", budget)


def report(setup: Setup, target: str) -> dict:
    return json.loads((setup.out / f"{target}.json").read_text())


def test_table_1_measures_every_row_of_the_paper_and_trains_nothing_twice(setup, monkeypatch):
    text = table_1.run(setup)
    content = report(setup, "table-1")
    assert text == (setup.out / "table-1.txt").read_text()
    rows = {(row["steps"], row["distilled"]): row for row in content["rows"]}
    assert set(rows) == {*table_1.PAPER, (16, table_1.LONGER), (8, table_1.LONGER)}
    # From scratch as long as the teacher, and as long as teacher and students: 2 + 1 + 1 steps for the 8-step models.
    assert [rows[8, kind]["training_steps"] for kind in ("no", table_1.LONGER, "yes")] == [2, 4, 4]
    assert [rows[16, kind]["training_steps"] for kind in ("no", table_1.LONGER, "yes")] == [2, 3, 3]
    assert rows[256, "no"]["training_steps"] == 2
    assert len(content["bars"]) == 4
    # With the paper's budget every model trains for its recipe's epochs, so that none is longer.
    assert set(table_1.rows_of(FULL)) == set(table_1.PAPER)
    for row in rows.values():
        assert 0 < row["LBE"] < row["MBE"] and row["|FDD|"] >= 0
        assert 0 < row["sampling"] < row["ITF"]
    assert rows[256, "no"]["sampling"] > 4 * rows[16, "no"]["sampling"]
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


def test_table_2_trains_all_methods_for_the_same_time(setup, monkeypatch):
    """A step of the regression takes as long as one of the student, FaceDiffuser's half as long."""
    monkeypatch.setattr("training.reproduce.models.step_seconds", lambda *_: [2.0, 4.0, 4.0, 4.0, 2.0, 1.0])
    table_2.run(setup)
    content = report(setup, "table-2")
    rows = {row["name"]: row for row in content["rows"]}
    again = rows.pop("  the same, encoding in every step")
    assert list(rows) == ["jaw by loudness alone", *table_2.NAMES.values()]
    # 2 steps of 2 s, and two stages of 1 step of 4 s, are 12 s.
    assert [row.get("training_steps") for row in rows.values()] == [None, 3, 6, 12, 4]
    for row in rows.values():
        assert 0 < row["LBE"] < row["MBE"] and row["LBE, unseen"] > 0
    assert rows["FaceDiffuser, 8 steps"]["training_minutes"] >= 0  # seconds of its training, as the trainer rounds them
    assert "ITF" not in rows["jaw by loudness alone"]
    slow, fast = rows["FaceDiffuser, 1000 steps"], rows["DiffusionTalker, 8 steps, distilled"]
    # A thousand encodings more, timed as they happen.
    assert again["ITF"] > slow["ITF"] + 100 * slow["encoding"]
    assert [bar["value"] for bar in content["bars"][-2:]] == [
        pytest.approx(fast["ITF"] / slow["ITF"]), pytest.approx(fast["ITF"] / again["ITF"]),
    ]  # fmt: skip
    assert fast["ITF"] < 0.2 * slow["ITF"]


def test_step_times_are_measured_before_anything_is_trained(setup, tmp_path):
    fresh = dataclasses.replace(setup, runs=tmp_path)
    run = student(setup.budget)
    seconds = measured_step_seconds(fresh, run.chain())
    assert len(seconds) == 3 and min(seconds) > 0
    assert measured_step_seconds(fresh, run.chain()) == seconds
    assert not run.finished(fresh)


def test_table_3_treats_the_corpus_as_it_treats_vocaset(setup, monkeypatch):
    monkeypatch.setattr("training.reproduce.models.step_seconds", lambda *_: [1.0] * 6)
    monkeypatch.setattr(table_3, "SENTENCE_SECONDS", 0.8)  # utterances are cut, with their motion
    table_3.run(setup)
    rows = {row["name"]: row for row in report(setup, "table-3")["rows"]}
    fit = rows["the 52 shapes fitted to the scans"]
    assert fit["LBE"] == 0 and 0 < fit["Lip-max"] < 0.002  # what correctives do is not in the shapes
    for name, row in rows.items():
        if "LVE" in row:
            assert row["LVE"] >= fit["LVE"] and row["LVE"] >= row["Lip-max"] ** 2, name
    # The files that were made are a VOCASET for --data, with a face of their topology.
    (made,) = setup.runs.glob("vocaset-*")
    text = (setup.out / "table-3.txt").read_text()
    face = face_of(default_rig())
    monkeypatch.setattr(table_3, "find_rig", lambda _: (face, None))
    again = table_3.run(dataclasses.replace(setup, vocaset=made))
    numbers = [line for line in text.splitlines() if "regression" in line]
    assert "VOCASET" in again and numbers[0].split()[:5] == [l for l in again.splitlines() if "regression" in l][0].split()[:5]
    with pytest.raises(TalkerError, match="same topology"):
        monkeypatch.setattr(table_3, "find_rig", lambda _: (default_rig(), None))
        table_3.run(dataclasses.replace(setup, vocaset=made))


def test_table_4_matches_clean_and_noisy_speech(setup):
    text = table_4.run(setup)
    rows = report(setup, "table-4")["rows"]
    assert [row["name"] for row in rows] == ["all", "all, white noise at 15 dB"]
    assert rows[0]["utterances"] == 4 and rows[0]["library"] == 2
    assert 0 <= rows[0]["f1"] <= 1 and "99.991" in text
    # A checkpoint that is there already is measured instead.
    shipped = table_4.run(dataclasses.replace(setup, model=str(student(setup.budget).checkpoint(setup))))
    assert text.splitlines()[5:] == shipped.splitlines()[5:]
    assert "F1 at 15 dB" in text and len(report(setup, "table-4")["bars"]) == 2


def test_table_5_leaves_out_one_part_at_a_time(setup):
    table_5.run(setup)
    rows = {row["name"]: row for row in report(setup, "table-5")["rows"]}
    assert list(rows) == list(table_5.PAPER)
    assert {row["training_steps"] for row in rows.values()} == {4}
    assert len({row["LBE"] for row in rows.values()}) == 5
    runs = table_5.rows_of(setup.budget)
    kept = {name: (run.trained(setup) / "recipe.yaml").read_text() for name, run in runs.items()}
    assert "identity: false" in kept["without identity embedding"]
    assert "lip: 0.0" in kept["without lip loss"] and "velocity: 0.0" in kept["without velocity loss"]


def test_figure_5_shows_a_word_that_all_say(setup, monkeypatch):
    monkeypatch.setattr(figure_5, "PEOPLE", 2)
    monkeypatch.setattr(figure_5.shared_word, "__defaults__", (2,))
    text = figure_5.run(setup)
    assert "“excellent”" in text
    rows = report(setup, "figure-5")["rows"]
    assert [row["speaker"] for row in rows] == ["toy-0", "toy-1"]
    assert [row["seconds"] for row in rows] == [pytest.approx(0.4, abs=0.02)] * 2
    picture = np.asarray(Image.open(setup.out / "figure-5.png"))
    assert picture.shape == (2 * figure_5.HEIGHT, figure_5.WIDTH, 3) and picture.std() > 20


def test_words_of_a_voice_that_reads_are_found_by_their_phones(setup):
    """A synthetic voice has no tier of words: "apart" is AH P AA R T, whose phones stand in the tier."""
    utterance = setup.held_out()[0]
    grid = utterance.text_grid.with_name("read.TextGrid")
    labels = ["SIL", "AH", "P", "AA", "R", "T", "SIL"]
    write_text_grid(grid, 0.7, phone_tiers([Phone(label, k / 10, (k + 1) / 10) for k, label in enumerate(labels)]))
    read = dataclasses.replace(utterance, text_grid=grid)
    assert figure_5.words_of(read, "Apart from that") == [(pytest.approx(0.1), pytest.approx(0.6), "apart")]
    assert figure_5.words_of(utterance) == [(pytest.approx(0.1), pytest.approx(0.7), "excellent")]
    with pytest.raises(TalkerError, match="No word is said by 5 speakers"):
        figure_5.shared_word(setup.held_out(None), {})


def test_figure_6_shows_the_frame_whose_brows_differ_most(setup):
    figure_6.run(setup)
    content = report(setup, "figure-6")
    assert content["spread"]["brows"] == pytest.approx(
        np.std([[row[n] for n in figure_6.COLUMN_NAMES[:5]] for row in content["rows"]], axis=0).mean(), abs=1e-5
    )
    picture = np.asarray(Image.open(setup.out / "figure-6.png"))
    assert picture.shape == (figure_6.HEIGHT, figure_6.WIDTH, 3)
    # Two of the three heads are not the same picture, though few pixels of a brow move.
    thirds = [picture[:400, k * 426 : (k + 1) * 426].astype(float) for k in range(2)]
    assert (np.abs(thirds[0] - thirds[1]).max(-1) > 10).sum() > 20


def test_a_blink_is_not_a_brow():
    coefficients = np.zeros((2, 3, 52), np.float32)
    coefficients[1, :, ARKIT_INDEX["browInnerUp"]] = [0.2, 0.5, 0.9]
    coefficients[0, 2, ARKIT_INDEX["eyeBlinkLeft"]] = 0.8
    takes = Takes(coefficients, np.zeros((2, 3, 3), np.float32), 30.0, 0, NO_MATCH, "toy", 8)
    assert figure_6.most_different_frame(takes) == (1, pytest.approx(0.25 / 5))


@pytest.mark.timeout(600)
def test_rows_train_side_by_side_in_processes_of_their_own(setup, tmp_path):
    apart = dataclasses.replace(setup, runs=tmp_path, jobs=2)
    runs = [scratch(setup.budget, steps) for steps in (16, 8)]
    train(runs, apart)
    for run in runs:
        assert run.finished(apart) and run.checkpoint(apart).is_dir()
        assert "validation" in (run.trained(apart) / "log.jsonl").read_text()


def test_the_longest_chain_of_trainings_begins_first(setup, tmp_path, monkeypatch):
    """Of 4 steps from scratch, and 2 of a teacher with 1 + 1 of its students, so that nothing long is left for the end."""
    fresh = dataclasses.replace(setup, runs=tmp_path / "runs")
    order = []
    monkeypatch.setattr("training.reproduce.runs.run_verb", lambda words, log: order.append(log.parent.name) or 0.0)
    monkeypatch.setattr("training.reproduce.runs._link", lambda *_: None)
    monkeypatch.setattr("training.reproduce.setup.Setup.prepare", lambda _: None)
    rows = [scratch(fresh.budget, 64), student(fresh.budget, 8), scratch(fresh.budget, 8, as_students=True)]
    for row in rows:
        for run in row.order():
            run.folder(fresh).mkdir(parents=True, exist_ok=True)
    train(rows, fresh)
    assert [name.rsplit("-", 1)[0] for name in order] == ["teacher", "scratch-8", "scratch-64", "student-16", "student-8"]


def test_a_training_that_fails_says_why(setup):
    run = dataclasses.replace(teacher(setup.budget), name="broken", steps=1)
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


def test_intervals_stand_behind_their_numbers():
    rows = [{"name": "ours", "ITF": 7.12e-4, "ITF ±": 2e-5, "paper": {"ITF": 7.0e-4, "ITF ±": 1e-5}}]
    assert format_table("", [], COLUMNS, rows).splitlines()[-1].split("   ")[-1].strip() == "7.1 ± 0.2  7.0 ± 0.1"


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
