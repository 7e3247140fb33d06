"""Training of the compact speech encoder: python -m training speech-encoder.

Two rounds. The first learns from the corpus's phones, lips and speakers. Where MFCCs of unlabelled
speech are given, its encoder labels them, and the second round learns afresh from both (noisy-student
training, Xie et al. 2020): unlabelled voices are many, and nobody can learn them by heart.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from talker.checkpoints import load_checkpoint, load_tensors, save_checkpoint
from talker.encoders import CompactSpeechConfig, CompactSpeechModel
from talker.errors import TalkerError
from talker.motion import LIP_REGION
from training.beat import read_corpus
from training.encoder_data import label_cepstra, recordings, render_corpus
from training.recipe import Recipe, load_recipe
from training.speech_encoder import EncoderBatches, EncoderExample, EncoderHeads, encoder_loss
from training.trainer import CHECKPOINT_FOLDER, VALIDATION_SEED, Trainer, make_accelerator

CROP = 200
"""Features (of 20 ms) in a crop."""


class EncoderObjective(nn.Module):
    """Loss of one batch; `model` holds the encoder and the heads it is taught through."""

    def __init__(self, speakers: int, config: CompactSpeechConfig | None = None):
        super().__init__()
        config = config or CompactSpeechConfig()
        self.model = nn.ModuleDict(
            {"encoder": CompactSpeechModel(config), "heads": EncoderHeads(config, speakers)}
        )

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        losses = encoder_loss(self.model["encoder"], self.model["heads"], batch)
        losses["total"] = losses.pop("loss")
        return losses


class EncoderTrainer(Trainer):
    """The project's trainer, on crops of speech. Every process draws its own rows of the batch."""

    def prepare_data(self) -> int:
        """Steps that the recipe asks for."""
        if not self.recipe.steps:
            raise TalkerError("The speech encoder is trained for a number of steps; set steps in the recipe.")
        return self.recipe.steps

    def batch(self, step: int, split: str = "train") -> dict[str, Tensor]:
        """This process's share of a step's batch, on its device."""
        batches: EncoderBatches = self.caches[split]
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        seed = (self.recipe.seed if split == "train" else VALIDATION_SEED) * world + rank
        rows = batches.draw(step, seed, self.recipe.batch_size // world)
        return {key: value.to(self.accelerator.device) for key, value in rows.items()}

    def config(self) -> dict:
        """What the shipped config.json holds."""
        return {
            **self.model["encoder"].config.to_dict(),
            "architectures": [CompactSpeechModel.__name__],
            "data": self.recipe.data,
            "trained_steps": self.step,
        }

    def export(self) -> Path:
        """Write the encoder, without its heads, as a folder that AutoModel loads."""
        self.swap_average()
        folder = save_checkpoint(
            self.folder / CHECKPOINT_FOLDER, self.model["encoder"], self.config(), self.recipe.text()
        )
        save_checkpoint(self.folder / "heads", self.model["heads"], {"model_type": "talker-encoder-heads"})
        self.swap_average()
        return folder


def load_round(folder: Path, speakers: int) -> EncoderObjective:
    """An encoder with its heads, as EncoderTrainer exported them. TalkerError when they are missing."""
    objective = EncoderObjective(speakers)
    for part, place in (("encoder", CHECKPOINT_FOLDER), ("heads", "heads")):
        _, tensors = load_checkpoint(folder / place)
        load_tensors(objective.model[part], tensors, folder / place)
    return objective


@torch.inference_mode()
def frame_accuracy(objective: EncoderObjective, examples: list[EncoderExample]) -> dict[str, float]:
    """Share of 20 ms frames whose phone is right (all frames; without silence), and rms error of the lips."""
    objective.eval()
    right, voiced, squares = [], [], 0.0
    for example in examples:
        cepstra = torch.from_numpy(example.cepstra.astype(np.float32))[None]
        hidden = objective.model["encoder"](cepstra).last_hidden_state[0]
        known = example.phone.sum(1) > 0
        truth = example.phone.argmax(1)[known]
        right.append(objective.model["heads"].phone(hidden).argmax(-1).numpy()[known] == truth)
        voiced.append(truth != example.phone.shape[1] - 1)  # silence is the last phone
        squares += float(((objective.model["heads"].lips(hidden).numpy() - example.lips) ** 2).sum())
    right, voiced = np.concatenate(right), np.concatenate(voiced)
    frames = sum(len(e.phone) for e in examples)
    return {
        "frames_right": float(right.mean()),
        "frames_right_without_silence": float(right[voiced].mean()),
        "lip_rms": float(np.sqrt(squares / frames / len(LIP_REGION))),
        "frames": int(len(right)),
    }


def train_encoder(recipe: Recipe, corpus: Path, out: Path, unlabelled: Path | None, cpu: bool = False) -> dict:
    """Both rounds; returns the measures on the corpus's held-out speakers. Finished rounds are not repeated."""
    held = recordings(corpus, ("heldout_speaker",))
    train = recordings(corpus, ("train",))
    speakers = sorted({u.speaker for u in train})
    examples = render_corpus(train, speakers, recipe.variants + 1, recipe.seed)
    validation = [u for u in read_corpus(corpus, ("validation",)) if u.speaker in speakers]
    caches = {
        "train": EncoderBatches(examples, frames=CROP),
        "validation": EncoderBatches(render_corpus(validation, speakers, 1, recipe.seed), frames=CROP),
    }
    folder = out / "round-1"
    _train_round(recipe, caches, speakers, folder, cpu)
    if unlabelled is not None:
        first = load_round(folder, len(speakers))
        without = {u.speaker.removeprefix("ls-") for u in held}
        caches["train"].unlabelled = label_cepstra(
            first.model["encoder"], first.model["heads"], unlabelled, without
        )
        folder = out / "round-2"
        _train_round(recipe, caches, speakers, folder, cpu)
    report = {"recordings": len(train), "speakers": len(speakers), "unlabelled": len(caches["train"].unlabelled)}
    if held:
        names = sorted({u.speaker for u in held})
        report["held_out_speakers"] = frame_accuracy(
            load_round(folder, len(speakers)), render_corpus(held, names, 1, recipe.seed)
        )
    report["checkpoint"] = str(folder / CHECKPOINT_FOLDER)
    return report


def _train_round(recipe: Recipe, caches: dict, speakers: list[str], folder: Path, cpu: bool) -> None:
    torch.manual_seed(recipe.seed)
    accelerator = make_accelerator(recipe, cpu)
    EncoderTrainer(recipe, EncoderObjective(len(speakers)), caches, folder, accelerator).fit()
    accelerator.free_memory()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training speech-encoder`."""
    parser.add_argument("--recipe", default="speech-encoder", help="a YAML file, or a name in training/recipes")
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"), help="made by `corpus` (data/corpus)")
    parser.add_argument("--unlabelled", type=Path, help="npz of MFCCs of further speech, for the second round")
    parser.add_argument("--out", type=Path, required=True, help="run folder; training goes on from a state in it")
    parser.add_argument("--steps", type=int, help="training steps of each round instead of the recipe's")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def run(args: argparse.Namespace) -> None:
    """Runs `python -m training speech-encoder` and prints its measures as JSON."""
    torch.set_num_threads(args.threads)
    recipe = load_recipe(args.recipe)
    if args.steps:
        recipe = recipe.replace(steps=args.steps)
    print(json.dumps(train_encoder(recipe, args.corpus, args.out, args.unlabelled, args.cpu), indent=2))
