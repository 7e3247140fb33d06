"""The trainer: one process, many GPUs and many hosts run this code, through accelerate.

    python -m training train --corpus data/corpus --out runs/teacher
    torchrun --nproc-per-node 2 -m training train --corpus data/corpus --out runs/teacher    # two processes
    accelerate launch --multi_gpu -m training train --corpus data/corpus --out runs/teacher  # all GPUs

A run folder holds `state.safetensors` (weights, averaged weights, Adam's moments, step: all that is
needed to go on exactly), `log.jsonl` (every step's losses), TensorBoard logs in `tensorboard/`, and
`checkpoint/`, the model as it ships.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from talker.atomic import whole_file
from talker.checkpoints import save_checkpoint
from talker.errors import TalkerError
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.motion import ARKIT_NAMES, HEAD_NAMES
from talker.schedules import linear_schedule
from training.dataset import FeatureCache
from training.features import feature_caches
from training.losses import DiffusionObjective
from training.recipe import Recipe, load_recipe, parse_settings

STATE_FILE = "state.safetensors"
LOG_FILE = "log.jsonl"
CHECKPOINT_FOLDER = "checkpoint"
VALIDATION_SEED = 2**31


def build_model(recipe: Recipe, train: FeatureCache) -> DiffusionTalker:
    """A fresh model for a training split: its speakers as the library, its statistics as buffers."""
    torch.manual_seed(recipe.seed)
    names = sorted(set(train.speakers)) if recipe.identity else []
    model = DiffusionTalker(
        DiffusionTalkerConfig(
            identities=names,
            audio_dim=train.frames.shape[1],
            voice_dim=train.voices.shape[1],
            alpha_bars=linear_schedule(recipe.diffusion_steps).alpha_bars.tolist(),
            channels=[*ARKIT_NAMES, *HEAD_NAMES] if recipe.head else list(ARKIT_NAMES),
            hidden_dim=recipe.hidden_dim,
            layers=recipe.layers,
            step_dim=recipe.step_dim,
            bidirectional=recipe.bidirectional,
            dropout=recipe.dropout,
            temperature=recipe.temperature,
            learn_temperature=recipe.learn_temperature,
        )
    )
    train.set_library(names)
    (mean, std), audio = train.statistics()
    model.set_statistics((mean[: model.channels], std[: model.channels]), audio)
    if model.library is not None and recipe.voice_statistics:
        model.library.set_voice_statistics(train.voices.numpy(), train.rows[train.owner])
    return model


def average_weights(average: list[torch.Tensor], current: list[torch.Tensor], decay: float, step: int) -> None:
    """One step of the exponential moving average, in place; young averages forget faster."""
    torch._foreach_lerp_(average, current, 1.0 - min(decay, (1 + step) / (10 + step)))


class Trainer:
    """Minimises an objective for a number of steps, and can be killed at any moment.

    objective  : module from a Batch to a dict of losses with "total"; objective.model is trained
    caches     : {"train", "validation"} feature caches; their libraries are set to the model's
    folder     : the run folder; a state in it is gone on from
    accelerator: accelerate's; made from the recipe's precision when None
    """

    def __init__(
        self,
        recipe: Recipe,
        objective: nn.Module,
        caches: dict[str, FeatureCache],
        folder: str | Path,
        accelerator: Accelerator | None = None,
        progress: bool = True,
    ):
        self.recipe, self.caches, self.folder, self.progress = recipe, caches, Path(folder), progress
        self.accelerator = accelerator or make_accelerator(recipe)
        self.model = objective.model
        self.total = self.prepare_data()
        objective.to(self.accelerator.device)
        self.parameters = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.Adam(
            self.parameters.values(), lr=recipe.learning_rate, betas=tuple(recipe.betas), fused=True
        )
        self.objective, self.optimizer = self.accelerator.prepare(objective, optimizer)
        self.average = [p.detach().clone() for p in self.parameters.values()] if recipe.ema_decay else None
        self.step = 0
        if (self.folder / STATE_FILE).exists():
            self.load_state()

    def prepare_data(self) -> int:
        """Fit the data to the model; returns how many steps the recipe asks for."""
        for cache in self.caches.values():
            cache.set_library(self.model.config.identities)
        return self.recipe.total_steps(len(self.caches["train"].motion))

    def batch(self, step: int, split: str = "train"):
        """This process's share of a step's batch, on its device."""
        return (
            self.caches[split]
            .batch(
                step,
                self.recipe.seed if split == "train" else VALIDATION_SEED,
                self.recipe.batch_size,
                self.recipe.crop_frames,
                self.model.channels,
                self.accelerator.process_index,
                self.accelerator.num_processes,
            )
            .to(self.accelerator.device)
        )

    def fit(self) -> DiffusionTalker:
        """Train up to the recipe's last step; returns the model with the weights that ship."""
        accelerator, recipe, main = self.accelerator, self.recipe, self.accelerator.is_main_process
        log = writer = None
        if main:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self.folder / "recipe.yaml") as path:
                path.write_text(recipe.text(), encoding="utf-8")
            log = open_log(self.folder / LOG_FILE, self.step)
            writer = SummaryWriter(self.folder / "tensorboard", purge_step=self.step + 1)
        bar = tqdm(
            initial=self.step, total=self.total, desc=self.folder.name, unit="step", dynamic_ncols=True,
            disable=not (main and self.progress), mininterval=0.5 if sys.stderr.isatty() else 30.0,
        )  # fmt: skip
        started, first = time.perf_counter(), self.step
        while self.step < self.total:
            losses = self.train_step()
            if main:
                record = {"step": self.step, **losses}
                log.write(json.dumps(record) + "\n")
                log.flush()
                bar.update()
                if self.step % 20 == 0:
                    bar.set_postfix({name: f"{value:.4f}" for name, value in losses.items() if name != "learning_rate"})
                    for name, value in losses.items():
                        writer.add_scalar(f"train/{name}", value, self.step)
            last = self.step == self.total
            if last or self.step % recipe.validate_every == 0:
                values = self.validate()
                if main:
                    log.write(json.dumps({"step": self.step, "validation": values}) + "\n")
                    log.flush()
                    bar.write(f"step {self.step}: " + ", ".join(f"{k} {v:.4f}" for k, v in values.items()))
                    for name, value in values.items():
                        writer.add_scalar(f"validation/{name}", value, self.step)
                    self.export()
            if main and (last or self.step % recipe.save_every == 0):
                self.save_state()
        bar.close()
        if main:
            log.close()
            writer.close()
            if self.step > first:
                rate = (self.step - first) / (time.perf_counter() - started)
                print(f"{self.folder}: {self.step} steps, {rate:.2f} steps/s", flush=True)
            if not (self.folder / CHECKPOINT_FOLDER).exists():
                self.export()
        accelerator.wait_for_everyone()
        self.swap_average()
        return self.model.eval()

    def train_step(self) -> dict[str, float]:
        """One optimisation step; returns the losses of the global batch."""
        recipe = self.recipe
        self.step += 1
        # Dropout's only state is this seed, so that a resumed run draws the same masks.
        torch.manual_seed(hash((recipe.seed, self.step, self.accelerator.process_index)) % 2**63)
        rate = recipe.rate(self.step, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.objective.train()
        losses = self.objective(self.batch(self.step))
        self.optimizer.zero_grad()
        self.accelerator.backward(losses["total"])
        if recipe.clip_norm:
            self.accelerator.clip_grad_norm_(self.parameters.values(), recipe.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            current = [p.detach() for p in self.parameters.values()]
            average_weights(self.average, current, recipe.ema_decay, self.step)
        return {**self.global_mean(losses), "learning_rate": rate}

    def global_mean(self, losses: dict[str, torch.Tensor]) -> dict[str, float]:
        """Losses averaged over the processes' equal shares of the batch."""
        stacked = torch.stack([loss.detach().float() for loss in losses.values()])
        reduced = self.accelerator.reduce(stacked, reduction="mean").tolist()
        if not all(value == value and abs(value) != float("inf") for value in reduced):
            raise TalkerError(
                f"The loss is not a finite number at step {self.step}; lower learning_rate in the recipe and "
                "train again from the last saved state."
            )
        return dict(zip(losses, reduced))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses on fixed batches of the validation split, with the weights that ship."""
        self.swap_average()
        self.objective.eval()
        sums: dict[str, float] = {}
        for index in range(self.recipe.validation_batches):
            for name, value in self.global_mean(self.objective(self.batch(index, "validation"))).items():
                sums[name] = sums.get(name, 0.0) + value / self.recipe.validation_batches
        self.swap_average()
        return sums

    @torch.no_grad()
    def swap_average(self) -> None:
        """Exchange the trained weights with their moving average; twice is nothing."""
        for parameter, mean in zip(self.parameters.values(), self.average or []):
            kept = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(kept)

    def config(self) -> dict:
        """What the shipped config.json holds."""
        return {
            **self.model.config.to_dict(),
            "encoder": Path(self.recipe.encoder).name if Path(self.recipe.encoder).is_dir() else self.recipe.encoder,
            "steps": self.model.schedule.steps,
            "fps": 30.0,
            "data": self.recipe.data,
            "weights": "exponential moving average" if self.average is not None else "last step",
            "trained_steps": self.step,
        }

    def export(self) -> Path:
        """Write the model with the weights that ship as a checkpoint folder."""
        self.swap_average()
        folder = save_checkpoint(self.folder / CHECKPOINT_FOLDER, self.model, self.config(), self.recipe.text())
        self.swap_average()
        return folder

    def save_state(self) -> None:
        """Write everything that going on needs into one file, whole or not at all."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter, index in zip(self.parameters, self.parameters.values(), range(len(self.parameters))):
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{name}.{key}"] = value
            if self.average is not None:
                tensors[f"average.{name}"] = self.average[index]
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        with whole_file(self.folder / STATE_FILE) as path:
            save_file(tensors, path, metadata={"step": str(self.step), "config": json.dumps(self.config())})

    def load_state(self) -> None:
        """Go on from the saved state. Raises TalkerError when it is broken or of another model."""
        path = self.folder / STATE_FILE
        try:
            with safe_open(path, framework="pt") as file:
                step = int(file.metadata()["step"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            self.model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
            for index, (name, parameter) in enumerate(self.parameters.items()):
                prefix = f"optimizer.{name}."
                state = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
                self.optimizer.state[parameter] = {
                    # Adam's own step counter stays where the optimizer wants it.
                    key: value.to(parameter.device) for key, value in state.items()
                }
                if self.average is not None:
                    self.average[index].copy_(tensors[f"average.{name}"])
            self.step = step
        except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
            raise TalkerError(
                f"The training state {path} does not fit this recipe and corpus ({str(error).splitlines()[0]}); "
                "choose another --out or delete it."
            ) from None


def open_log(path: Path, step: int):
    """Open log.jsonl for appending after dropping what a killed run wrote beyond its saved step."""
    kept = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (json.JSONDecodeError, KeyError):
                break  # the line that was being written when the run was killed
    with whole_file(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    return path.open("a", encoding="utf-8")


def make_accelerator(recipe: Recipe, cpu: bool = False) -> Accelerator:
    """Accelerate's view of the processes and devices, in the recipe's precision."""
    return Accelerator(mixed_precision="bf16" if recipe.precision == "bf16" else "no", cpu=cpu)


def add_run_arguments(parser: argparse.ArgumentParser, recipe: str) -> None:
    """Arguments that training and distillation share."""
    parser.add_argument("--recipe", default=recipe, help="a YAML file, or a name in training/recipes (%(default)s)")
    parser.add_argument("--features", default="data/features", help="folder of the feature caches (%(default)s)")
    parser.add_argument("--corpus", help="corpus in BEAT's layout, to compute the feature caches if they are missing")
    parser.add_argument("--encoder", help="speech encoder: folder or hub id; default: the recipe's")
    parser.add_argument("--out", required=True, help="run folder; training goes on from a state in it")
    parser.add_argument("--steps", type=int, help="training steps (per stage) instead of the recipe's")
    parser.add_argument("--batch-size", type=int, help="crops per step over all processes, instead of the recipe's")
    parser.add_argument("--learning-rate", type=float, help="instead of the recipe's")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="instead of the recipe's")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
                        help="any other field of the recipe, such as hidden_dim=128, identity=false or "
                        "loss_weights.lip=0; may be given several times")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process (%(default)s: more "
                        "processes train faster than more threads)")  # fmt: skip
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def prepare(args: argparse.Namespace) -> tuple[Recipe, Accelerator, dict[str, FeatureCache]]:
    """Recipe, accelerator and feature caches from the command line."""
    torch.set_num_threads(args.threads)
    recipe = load_recipe(args.recipe)
    changes = {
        "steps": args.steps, "batch_size": args.batch_size, "learning_rate": args.learning_rate, "seed": args.seed,
        "precision": args.precision, "encoder": args.encoder, "diffusion_steps": getattr(args, "diffusion_steps", None),
    }  # fmt: skip
    settings = parse_settings(args.settings)
    if "loss_weights" in settings:
        settings["loss_weights"] = {**recipe.loss_weights, **settings["loss_weights"]}
    recipe = recipe.replace(**settings | {key: value for key, value in changes.items() if value is not None})
    accelerator = make_accelerator(recipe, args.cpu)
    # The main process computes what is missing; the others then find it.
    with accelerator.main_process_first():
        caches = feature_caches(args.features, args.corpus, recipe.encoder, recipe.variants)
    return recipe, accelerator, caches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training train`."""
    add_run_arguments(parser, "diffusiontalker-default")
    parser.add_argument("--diffusion-steps", type=int, help="steps N of the schedule (e.g. 8 to train 8 steps from scratch)")


def run(args: argparse.Namespace) -> None:
    """Train a model from data (eq. 10)."""
    recipe, accelerator, caches = prepare(args)
    objective = DiffusionObjective(build_model(recipe, caches["train"]), recipe.loss_weights)
    Trainer(recipe, objective, caches, args.out, accelerator).fit()
    if accelerator.is_main_process:
        print(f"The model is in {Path(args.out) / CHECKPOINT_FOLDER}.")
    accelerator.end_training()
