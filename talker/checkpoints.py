"""Checkpoint folders: config.json and model.safetensors, with the recipe that made them.

Weights are safetensors only; nothing here can run code from a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from talker.errors import TalkerError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
RECIPE_FILE = "recipe.yaml"


def save_checkpoint(
    folder: str | Path, module: nn.Module | dict[str, torch.Tensor], config: dict, recipe: str | None = None
) -> Path:
    """Write a checkpoint folder whole or not at all.

    module : a module or its state dict; config : what config.json holds; recipe : text of recipe.yaml.
    Everything is written into a temporary folder beside it first. A new folder then appears in one
    rename; in a folder that exists, each file is replaced in one rename and other files (the model
    card) stay.
    """
    folder = Path(folder)
    state = module.state_dict() if isinstance(module, nn.Module) else module
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        save_file(tensors, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
        (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if recipe is not None:
            (temporary / RECIPE_FILE).write_text(recipe, encoding="utf-8")
        for file in temporary.iterdir():
            file.chmod(0o644)
        if not folder.exists():
            os.replace(temporary, folder)
        else:
            for file in temporary.iterdir():
                os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def load_config(folder: str | Path) -> dict:
    """The config.json of a checkpoint folder. Raises TalkerError when it is missing or not JSON."""
    folder = Path(folder)
    if not folder.is_dir():
        raise TalkerError(f"There is no checkpoint folder {folder}; check the name or train the model first.")
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TalkerError(f"The checkpoint {folder} has no {CONFIG_FILE}; copy the whole folder again.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise TalkerError(f"The file {path} cannot be read ({error}); copy the checkpoint again.") from None
    if not isinstance(config, dict):
        raise TalkerError(f"The file {path} does not hold a model's configuration; copy the checkpoint again.")
    return config


def load_checkpoint(folder: str | Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """The (config, tensors on the CPU) of a checkpoint folder.

    Raises TalkerError with one sentence when a file is missing, cut short or not what it should be.
    """
    config = load_config(folder)
    path = Path(folder) / WEIGHTS_FILE
    if not path.is_file():
        raise TalkerError(f"The checkpoint {folder} has no {WEIGHTS_FILE}; copy the whole folder again.")
    try:
        return config, load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise TalkerError(f"The weights {path} are broken ({error}); copy the checkpoint again.") from None


def load_tensors(module: nn.Module, tensors: dict[str, torch.Tensor], source: str | Path) -> None:
    """Put a checkpoint's tensors into a module; every name and shape must fit.

    Raises TalkerError that names the first misfit and the source otherwise.
    """
    expected = module.state_dict()
    for name in [*expected, *tensors]:
        if name not in tensors or name not in expected:
            what = "lacks" if name not in tensors else "has the unknown"
            raise TalkerError(f"The checkpoint {source} {what} tensor {name}; it does not fit its config.json.")
        if tensors[name].shape != expected[name].shape:
            raise TalkerError(
                f"The tensor {name} of {source} is {tuple(tensors[name].shape)}, not {tuple(expected[name].shape)}; "
                "the checkpoint does not fit its config.json."
            )
    module.load_state_dict(tensors)


def fingerprint(module: nn.Module) -> str:
    """What tells a trained module from every other, as 16 hex digits: its tensors' names, types, shapes and bytes."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in module.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
