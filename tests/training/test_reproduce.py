"""The chain that makes the shipped checkpoints: every command it gives is one that the verbs accept."""

import argparse
import importlib
import json
from pathlib import Path

import torch

from talker.checkpoints import load_checkpoint, load_tensors, save_checkpoint
from training.reproduce import checkpoints as reproduce
from training.__main__ import VERBS


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


def test_every_stage_is_a_command_that_its_verb_accepts(tmp_path, monkeypatch):
    """The stages are not run here: each one's words go through its verb's own parser."""
    runs = tmp_path / "runs"
    for name in ("speech-encoder/voice", "teacher", "student/8-steps"):
        a_run(runs / name / "checkpoint")
    given = []

    def parse(verb, *words, processes=1):
        parser = argparse.ArgumentParser()
        importlib.import_module(VERBS[verb][0]).add_arguments(parser)
        given.append((verb, parser.parse_args([str(word) for word in words])))

    monkeypatch.setattr(reproduce, "_run", parse)
    reproduce.reproduce_checkpoints(
        tmp_path / "speech", tmp_path / "data", runs, tmp_path / "checkpoints", tmp_path / "mfcc.npz", 1
    )
    assert [verb for verb, _ in given] == ["corpus", "speech-encoder", "train", "train", "distill", "train", "evaluate"]
    scratch, teacher, distill = given[5][1], reproduce.load_recipe("diffusiontalker-default"), reproduce.load_recipe("distill")
    assert scratch.diffusion_steps == 8
    assert scratch.steps == teacher.steps + 2 * distill.steps  # trained as long as teacher and students together
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {
        "speech-encoder", "diffusiontalker-teacher", "diffusiontalker",
    }  # fmt: skip
