"""The chain that makes the shipped checkpoints: every command it gives is one that the verbs accept."""

import argparse
import importlib
import json
from pathlib import Path

import torch

from talker.checkpoints import load_checkpoint, load_tensors, save_checkpoint
from training.reproduce import checkpoints as reproduce
from training.__main__ import VERBS
from training.recipe import load_recipe, parse_settings


def a_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "diffusiontalker", "steps": 8}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "recipe.yaml").write_text("name: toy\n")
    return folder


def test_shipping_replaces_the_model_and_keeps_the_card(tmp_path):
    source, target = a_run(tmp_path / "run"), tmp_path / "checkpoints" / "toy"
    target.mkdir(parents=True)
    (target / "MODEL_CARD.md").write_text("# Toy")
    (target / "model.safetensors").write_bytes(b"old")
    reproduce.ship(source, target, summary="a toy")
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert (target / "MODEL_CARD.md").read_text() == "# Toy"
    assert json.loads((target / "config.json").read_text())["summary"] == "a toy"
    assert {p.name for p in target.iterdir()} == {"config.json", "model.safetensors", "recipe.yaml", "MODEL_CARD.md"}


def test_half_the_size_loads_as_the_same_model(tmp_path):
    torch.manual_seed(0)
    source = save_checkpoint(tmp_path / "run", torch.nn.Linear(200, 100), {"model_type": "toy"}, "name: toy\n")
    reproduce.ship(source, tmp_path / "shipped", half=True)
    whole, half = ((folder / "model.safetensors").stat().st_size for folder in (source, tmp_path / "shipped"))
    assert half < 0.52 * whole
    loaded = torch.nn.Linear(200, 100)
    load_tensors(loaded, load_checkpoint(tmp_path / "shipped")[1], "shipped")
    trained = load_checkpoint(source)[1]
    assert loaded.weight.dtype == torch.float32 and torch.allclose(loaded.weight, trained["weight"], atol=5e-5)
    assert torch.equal(loaded.bias, trained["bias"])


def every_run(runs: Path) -> None:
    """The checkpoints that the stages leave, as one file each."""
    save_checkpoint(runs / "style-encoder" / "checkpoint", torch.nn.Linear(2, 2), {"model_type": "style-encoder"}, "name: toy\n")
    for name in ("speech-encoder/voice", "teacher", "student/8-steps"):
        a_run(runs / name / "checkpoint")
    for name in ("diffposetalk", "3diface"):
        for run in (f"{name}-teacher", f"{name}/8-steps"):
            save_checkpoint(runs / run / "checkpoint", torch.nn.Linear(2, 2), {"model_type": name}, "name: toy\n")


def test_every_stage_is_a_command_that_its_verb_accepts(tmp_path, monkeypatch):
    """The stages are not run here: each one's words go through its verb's own parser."""
    runs, out = tmp_path / "runs", tmp_path / "checkpoints"
    every_run(runs)
    given = []

    def parse(verb, *words, processes=1):
        parser = argparse.ArgumentParser()
        importlib.import_module(VERBS[verb][0]).add_arguments(parser)
        given.append((verb, parser.parse_args([str(word) for word in words]), processes))

    monkeypatch.setattr(reproduce, "_run", parse)
    reproduce.reproduce_checkpoints(tmp_path / "speech", tmp_path / "data", runs, out, tmp_path / "mfcc.npz", 2)
    assert [(verb, processes) for verb, _, processes in given] == [
        ("corpus", 1), ("speech-encoder", 1), ("train", 1), ("train", 2), ("distill", 2), ("train", 2),
        ("style-encoder", 1), ("train", 2), ("distill", 2), ("train", 2), ("distill", 2), ("evaluate", 1),
    ]  # fmt: skip
    scratch, teacher, distill = given[5][1], reproduce.load_recipe("diffusiontalker-default"), reproduce.load_recipe("distill")
    assert scratch.diffusion_steps == 8
    assert scratch.steps == teacher.steps + 2 * distill.steps  # trained as long as teacher and students together
    for _, words, _ in given[6:11]:
        assert words.encoder == str(out / "speech-encoder") and words.features == str(tmp_path / "data" / "features")
    for of_styles in (given[7][1], given[8][1]):
        assert parse_settings(of_styles.settings) == {"style_encoder": str(out / "style-encoder")}
    assert [load_recipe(given[k][1].recipe).model for k in (7, 9)] == ["diffposetalk", "3diface"]
    for train, distill in ((7, 8), (9, 10)):
        assert given[distill][1].teacher == f"{given[train][1].out}/checkpoint"
    assert [Path(model).name for model in given[-1][1].models] == ["speech-encoder", *reproduce.DENOISERS, "checkpoint"]
    assert {p.name for p in out.iterdir()} == {"speech-encoder", "style-encoder", *reproduce.DENOISERS}


def test_what_ships_says_what_it_is(tmp_path, monkeypatch):
    every_run(tmp_path / "runs")
    monkeypatch.setattr(reproduce, "_run", lambda *words, processes=1: None)
    out = tmp_path / "checkpoints"
    reproduce.reproduce_checkpoints(tmp_path, tmp_path, tmp_path / "runs", out, None, 1)
    configs = {folder.name: json.loads((folder / "config.json").read_text()) for folder in out.iterdir()}
    assert configs["3diface"]["summary"] == "3DiFACE, 8 steps, distilled; synthetic corpus"
    assert configs["diffposetalk-teacher"]["summary"] == "DiffPoseTalk, 500 steps, the teacher; synthetic corpus"
    for name in ("style-encoder", "diffposetalk", "diffposetalk-teacher", "3diface", "3diface-teacher"):
        assert load_checkpoint(out / name)[1]["weight"].dtype == torch.float16


def test_recipes_name_what_lies_in_the_project_from_its_root(tmp_path):
    assert reproduce._from_root(reproduce.ROOT / "checkpoints" / "speech-encoder") == Path("checkpoints/speech-encoder")
    assert reproduce._from_root(tmp_path) == tmp_path
