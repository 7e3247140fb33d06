"""Model cards say what was measured, and nothing else."""

import json
import shutil

import pytest

from talker.checkpoints import load_config
from talker.errors import TalkerError
from talker.pipeline import CHECKPOINTS
from training.__main__ import main
from training.bars import Bar
from training.cards import card, results, with_results, write_card


def measures(closed):
    return {
        "closed_over_open": closed, "silence_over_open": 0.03, "rounding": 6.0, "lag_frames": -0.1,
        "jitter": 0.012, "closures_missed": 0.2,
    }  # fmt: skip


def report(name, lbe):
    kinds = {"model": measures(0.15), "loudness": measures(0.7), "corpus": measures(0.02)}
    holds = {"measure": "aperture", "value": 0.15, "sense": "<=", "limit": 0.18, "holds": True}
    fails = {"measure": "rounding", "value": 4.0, "sense": ">=", "limit": 5.0, "holds": False}
    return {
        "model": name, "steps": 8, "steps_walked": 8, "sampler": "ddim",
        "real_speech": {
            "utterances": 25, "takes": 4, "clean": kinds, "noise": kinds, "bars": [holds, fails],
            "diversity": {"upper_face": 0.05, "lips": 0.005, "ratio": 10.0},
        },
        "odd_sounds": {"bars": [holds]}, "other_languages": {"bars": [holds]},
        "held_out_utterances": {"takes": 708, "LBE": lbe, "MBE": 0.7, "|FDD|": 0.02, "liveliness": {
            "model": {"blinks_a_minute": 15.02, "long_blinks": 0.031, "brows": 0.0894, "sway": 0.1},
            "corpus": {"blinks_a_minute": 18.8, "long_blinks": 0.0, "brows": 0.104, "sway": 0.125},
        }},
        "identity_matching": {
            "utterances": 177, "speakers": 59, "library": 285, "f1": 0.99, "noise": {"f1": 0.94}, "bars": [holds],
        },
    }  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    entries = {
        "a-p1": {"base": "a", "speaker": "x", "split": "train", "engine": "flite", "seconds": 3600.0},
        "a-p2": {"base": "a", "speaker": "x", "split": "train", "engine": "flite", "seconds": 3600.0},
        "b-p1": {"base": "b", "speaker": "y", "split": "heldout_speaker", "engine": "recording", "seconds": 1800.0},
    }
    (tmp_path / "corpus.json").write_text(json.dumps({"utterances": entries}))
    return tmp_path


def test_a_card_counts_recordings_once_and_names_the_bars_that_are_missed(corpus, tmp_path):
    folder = tmp_path / "diffusiontalker"
    shutil.copytree(CHECKPOINTS / "diffusiontalker", folder)
    ours, other = report("diffusiontalker", 0.09), report("scratch", 0.095)
    trained_on = load_config(folder)["trained_on"]
    assert f" {trained_on}." in card(ours, folder, corpus, [ours, other])  # whatever it is measured on
    config = {k: v for k, v in load_config(folder).items() if k != "trained_on"}
    (folder / "config.json").write_text(json.dumps(config))
    write_card(ours, folder, corpus, [ours, other])
    text = (folder / "MODEL_CARD.md").read_text()
    assert "1 recordings, 1.0 hours: flite (1 speakers, 1.0 h)." in text
    assert "It holds 4 of the 5 bars" in text and "; it misses: rounding 4.000 (wanted >= 5.000)." in text
    assert "| **diffusiontalker** (this) | 8 | ddim | 0.0900 |" in text and "| scratch | 8 | ddim | 0.0950 |" in text
    assert "| 0.150 | 0.150 | 0.700 | 0.020 |" in text
    assert "blinks 15.0 times a minute (the corpus 18.8), and 3.1 % of its blinks keep" in text and "is 0.089 (0.104), that of its head's three angles together 0.100 rad (0.125)." in text
    assert "Standard deviation across takes: upper face 0.0500, lips 0.0050, ratio 10.0." in text
    del ours["real_speech"]["diversity"]  # of one take
    write_card(ours, folder, corpus, [ours, other])
    assert "across takes" not in (folder / "MODEL_CARD.md").read_text()


def test_a_card_of_a_model_with_styles_has_their_table_and_no_identities(corpus, tmp_path):
    folder = tmp_path / "diffposetalk"
    shutil.copytree(CHECKPOINTS / "diffusiontalker", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "diffposetalk", "identities": [], "window_frames": 100}))
    ours = report("diffposetalk", 0.09)
    del ours["identity_matching"]
    follows = {"smile": 0.8, "brows": 0.62, "mouth": 0.2, "sway": None}
    found = {"LVE": 0.005, "FDD": 2e-4, "MOD": 0.002, "BA": None, "follows": follows}
    ours["styles"] = {"utterances": 177, "right": found, "random": found, "none": found, "corpus_follows": follows, "bars": ours["odd_sounds"]["bars"]}
    ours["against"] = {"model": "diffusiontalker", "bars": ours["odd_sounds"]["bars"]}
    write_card(ours, folder, corpus, [ours])
    text = (folder / "MODEL_CARD.md").read_text()
    assert text.startswith("# DiffPoseTalk, 8 steps") and "at most 100 frames" in text and "Identity found" not in text
    assert "| mouth opening, mm | 2.000 | 2.000 | 2.000 |" in text and "| beat alignment of the head | - | - | - |" in text
    assert "| brow activity | 0.62 | 0.62 | 0.62 | 0.62 |" in text and "| sway of the head | - | - | - | - |" in text
    assert "It holds 5 of the 6 bars on real speech and noise, odd sounds, languages never trained on, styles and what " in text
    assert "Sun et al. 2024" in text and "Most identities" not in text


@pytest.mark.parametrize("name", ["diffusiontalker", "diffposetalk", "3diface"])
def test_cards_of_student_and_teacher_name_each_other(corpus, tmp_path, name):
    ours, teacher = report(name, 0.09), report(f"{name}-teacher", 0.1) | {"steps": 500, "steps_walked": 32}
    ours["beside_teacher"] = {"model": f"{name}-teacher", "bars": [Bar("lip error", 0.9, "<=", 1.1).entry()]}
    texts = {}
    for one in (ours, teacher):
        folder = tmp_path / one["model"]
        shutil.copytree(CHECKPOINTS / "diffusiontalker", folder)
        config = json.loads((folder / "config.json").read_text())
        more = {"model_type": name, "steps": one["steps"], "window_frames": 100, "face_vertices": 5000}
        (folder / "config.json").write_text(json.dumps(config | more))
        write_card(one, folder, corpus, [ours, teacher])
        texts[one["model"]] = (folder / "MODEL_CARD.md").read_text()
    assert f"from `{name}-teacher`" in texts[name] and f"that `{name}` was distilled from" in texts[f"{name}-teacher"]
    assert "and what its teacher reaches" in texts[name] and "It holds 5 of the 6 bars" in texts[name]
    assert "what its teacher reaches" not in texts[f"{name}-teacher"]
    assert "sampled in 32 of 500 steps by ddim." in texts[f"{name}-teacher"] and "sampled in 8 steps by ddim." in texts[name]
    assert f"| {name}-teacher | 32 of 500 | ddim | 0.1000 |" in texts[name]
    assert all(text.splitlines()[2].count("{") == 0 for text in texts.values())


def test_the_readme_has_the_results_that_ship():
    reports = json.loads((CHECKPOINTS / "evaluation.json").read_text(encoding="utf-8"))
    readme = (CHECKPOINTS.parent / "README.md").read_text(encoding="utf-8")
    assert results([one for one in reports if "kind" in one]) in readme


def test_results_take_the_place_of_those_that_a_readme_has():
    ours, teacher = report("diffusiontalker", 0.09) | {"kind": "diffusiontalker"}, {"model": "diffusiontalker-teacher"}
    table = results([ours, teacher])
    assert "| 25 unseen real speakers, 8 steps | DiffusionTalker | a jaw driven by loudness |" in table
    assert "| lips at P, B, M against open vowels; in white noise at 15 dB | 0.15; 0.15 | 0.70 |" in table
    assert "| identity found by voice among 285 (F1), clean; in white noise at 15 dB | 99.0 %; 94.0 % |  |" in table
    old = "# Toy\n\n| 3 speakers | DiffusionTalker | a jaw driven by loudness |\n| --- |\n| lips | 9 |\n\nMore.\n"
    assert with_results(old, [ours]) == f"# Toy\n\n{table}\n\nMore.\n"
    with pytest.raises(TalkerError, match="no table of results"):
        with_results("# Toy\n", [ours])


def test_a_card_needs_all_measures(corpus, capsys):
    assert main(["evaluate", "diffusiontalker", "--corpus", str(corpus), "--card", "--limit", "1"]) == 2
    assert "leave --only and --limit out" in capsys.readouterr().err
