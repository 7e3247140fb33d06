"""DiffPoseTalk's table 1: which trainings its rows are, how they are sampled, and what is asked of the numbers."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.training.toy_corpus import write_toy_corpus
from training.reproduce import diffposetalk_table_1
from training.reproduce.diffposetalk_table_1 import GUIDANCE, PAPER, rows_of
from training.reproduce.runs import STYLE_ENCODER, Run
from training.reproduce.setup import SMALL, Budget, Setup


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    """Two toy voices that train and one that does not; nothing is trained here."""
    folder = tmp_path_factory.mktemp("styles")
    budget = Budget("tiny", steps=5, utterances=2, takes=2)
    return Setup(write_toy_corpus(folder / "corpus"), "none", folder / "runs", folder / "out", budget)


def settings(words):
    """The recipe's fields that a command changes."""
    return dict(word.split("=", 1) for before, word in zip(words, words[1:]) if before == "--set")


def test_rows_are_trained_with_the_style_encoder_of_what_they_make(setup):
    runs = rows_of(setup.budget)
    assert list(runs) == list(PAPER)
    ours, headless, plain = (runs[name] for name in ("ours", "without head", "without style encoder"))
    assert runs["without guidance"] == ours  # a model that is sampled otherwise
    (styles,) = ours.needs()
    assert styles.words(setup)[0] == STYLE_ENCODER and settings(styles.words(setup)) == {}
    given = json.loads(settings(ours.words(setup))["style_encoder"])
    assert Path(given) == (styles.folder(setup) / STYLE_ENCODER).absolute()
    assert settings(headless.needs()[0].words(setup)) == {"head": "false"} and settings(headless.words(setup))["head"] == "false"
    assert not plain.needs() and settings(plain.words(setup)) == {"style_encoder": '""'}
    assert ours.order() == [styles, ours] and ours.chain() == [ours]
    # Geometric losses are left out one by one, and every ablation is a training of its own.
    assert settings(runs["without geometric losses"].words(setup)).keys() > {"loss_weights.vertex", "loss_weights.smooth"}
    assert len({run.folder(setup) for run in runs.values()}) == 5
    assert rows_of(SMALL)["ours"].steps == 800


def made_up(function, arguments, jobs, title):
    """Vertex errors of 5 mm, with 1 mm more for each thing that is missing; no head, no beats."""
    rows = []
    for checkpoint, _, _, condition, takes, options, *_ in arguments:
        headless = "no-head" in str(checkpoint)
        worse = 1e-3 * ["right", "random", "none"].index(condition)
        row = {"LVE": 5e-3 + worse, "FDD": 1e-4 + worse, "MOD": 2e-3 + worse, "BA": None if headless else 0.3, "Div exp": 1e-4, "Div head": None}
        rows.append(row | {"LVE ±": 1e-5, "takes": takes, "scales": options["guidance"]})
    return rows


def test_the_table_holds_styles_against_each_other_and_heads_against_the_corpus(setup, monkeypatch):
    monkeypatch.setattr(diffposetalk_table_1, "train", lambda runs, setup: None)
    monkeypatch.setattr(Run, "trained_steps", lambda run, setup: 5)
    monkeypatch.setattr(diffposetalk_table_1, "side_by_side", made_up)
    monkeypatch.setattr(diffposetalk_table_1, "corpus_beat_alignment", lambda corpus: 0.4)
    text = diffposetalk_table_1.run(setup)
    content = json.loads((setup.out / "diffposetalk-table-1.json").read_text())
    rows = {row["name"]: row for row in content["rows"]}
    assert list(rows)[:8] == [*PAPER, "ours, in another speaker's style", "ours, without a style"]
    assert rows["ours"]["scales"] == GUIDANCE and rows["without guidance"]["scales"] == {"audio": 1, "style": 1}
    assert rows["without style encoder"]["scales"] == {"audio": GUIDANCE["audio"], "style": 1}
    assert rows["without style encoder"]["LVE"] == rows["ours, without a style"]["LVE"] == 7e-3
    assert "5.00 ± 0.01" in text and "8.94 ± 0.01" in text and "FaceFormer (the paper's row)" in text
    bars = {bar["measure"]: bar for bar in content["bars"]}
    assert bars["FDD, right style / random style"]["value"] == pytest.approx(1 / 11)
    assert bars["MOD, right style / no style"]["value"] == pytest.approx(2 / 4)
    assert bars["BA of the heads / of the corpus against itself"]["value"] == pytest.approx(0.75)
    assert not bars["BA of the heads / of the corpus against itself"]["holds"]
    assert Image.open(setup.out / "diffposetalk-table-1.png").size[0] > 1000
