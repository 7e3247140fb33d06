"""Checkpoint folders are written whole or not at all, and broken ones say so."""

import json

import pytest
import torch

from talker import checkpoints
from talker.checkpoints import load_checkpoint, save_checkpoint
from talker.errors import TalkerError
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig


def small_model(seed=0):
    torch.manual_seed(seed)
    return DiffusionTalker(DiffusionTalkerConfig(["anna", "ben"], audio_dim=8, voice_dim=6, hidden_dim=16))


def test_a_saved_model_comes_back_the_same(tmp_path):
    model = small_model().eval()
    model.set_statistics((torch.rand(55).numpy(), torch.rand(55).numpy()), (torch.rand(8).numpy(), torch.rand(8).numpy()))
    save_checkpoint(tmp_path / "model", model, {**model.config.to_dict(), "data": "synthetic corpus"}, "name: small\n")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["config.json", "model", "model.safetensors", "recipe.yaml"]
    again = DiffusionTalker.from_pretrained(tmp_path / "model")
    assert again.config == model.config and again.library.names == ["anna", "ben"]
    assert torch.equal(again.schedule.alpha_bars, model.schedule.alpha_bars)
    x, step, condition = torch.randn(2, 9, 55), torch.tensor([3, 32]), model.condition(torch.randn(9, 8), "ben")
    assert torch.equal(again(x, step, condition), model(x, step, condition))


def test_a_failed_save_leaves_the_old_checkpoint_and_no_litter(tmp_path, monkeypatch):
    model, folder = small_model(), tmp_path / "model"
    save_checkpoint(folder, model, model.config.to_dict())
    (folder / "MODEL_CARD.md").write_text("kept")
    before = (folder / "model.safetensors").read_bytes()

    def full_disk(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_file", full_disk)
        with pytest.raises(OSError, match="No space"):
            save_checkpoint(folder, small_model(1), model.config.to_dict())
    assert (folder / "model.safetensors").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]

    save_checkpoint(folder, small_model(1), model.config.to_dict())
    assert (folder / "model.safetensors").read_bytes() != before
    assert (folder / "MODEL_CARD.md").read_text() == "kept"


def test_each_kind_of_broken_checkpoint_gets_its_sentence(tmp_path):
    model, folder = small_model(), tmp_path / "model"
    with pytest.raises(TalkerError, match="There is no checkpoint folder"):
        load_checkpoint(folder)
    save_checkpoint(folder, model, model.config.to_dict())
    weights, config = folder / "model.safetensors", folder / "config.json"

    whole = weights.read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"not a tensor file"):
        weights.write_bytes(broken)
        with pytest.raises(TalkerError, match="model.safetensors are broken"):
            load_checkpoint(folder)
    weights.unlink()
    with pytest.raises(TalkerError, match="has no model.safetensors"):
        load_checkpoint(folder)
    weights.write_bytes(whole)

    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "hidden_dim": 24}))
    with pytest.raises(TalkerError, match="does not fit its config.json"):
        DiffusionTalker.from_pretrained(folder)
    config.write_text(json.dumps({k: v for k, v in values.items() if k != "identities"}))
    with pytest.raises(TalkerError, match="does not describe a diffusiontalker"):
        DiffusionTalker.from_pretrained(folder)
    for text in ("{", "[1]"):
        config.write_text(text)
        with pytest.raises(TalkerError, match="copy the checkpoint again"):
            load_checkpoint(folder)
    config.unlink()
    with pytest.raises(TalkerError, match="has no config.json"):
        load_checkpoint(folder)
