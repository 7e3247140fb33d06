"""The trainer: one process, many GPUs and many hosts run this code, through accelerate.

    python -m training train --corpus data/corpus --out runs/teacher
    torchrun --nproc-per-node 2 -m training train --corpus data/corpus --out runs/teacher    # two processes
    accelerate launch --multi_gpu -m training train --corpus data/corpus --out runs/teacher  # all GPUs

A run folder holds `state.safetensors` (weights, averaged weights, Adam's moments, step: all that is
needed to go on exactly), `log.jsonl` (every step's losses), TensorBoard logs in `tensorboard/`, and
`checkpoint/`, the model as it ships: the best by validation.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import TextIO

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from render.rigs.load import find_rig
from talker.atomic import whole_file
from talker.checkpoints import load_config, save_checkpoint
from talker.errors import TalkerError
from talker.models import DENOISERS
from talker.models.diffposetalk import DiffPoseTalk
from talker.models.motion_model import MotionModel
from talker.models.three_diface import ThreeDiFace
from talker.schedules import SCHEDULES
from training import diffposetalk
from training.dataset import FeatureCache, motion_channels
from training.features import feature_caches
from training.losses import DiffusionObjective
from training.recipe import Recipe, load_recipe
from training.three_diface import ThreeDiFaceObjective, face_config, set_face, vertex_range, vertex_statistics

STATE_FILE = "state.safetensors"
LOG_FILE = "log.jsonl"
CHECKPOINT_FOLDER = "checkpoint"
VALIDATION_SEED = 2**31


def build_model(recipe: Recipe, train: FeatureCache) -> MotionModel:
    """A fresh model for a training split: its speakers as the library, its statistics as buffers."""
    torch.manual_seed(recipe.seed)
    names = sorted(set(train.speakers)) if recipe.identity else []
    model_class = DENOISERS[recipe.model]
    rig = find_rig(recipe.rig or None)[0] if model_class.vertices else None
    of_recipe = {f.name for f in dataclasses.fields(model_class.config_class)} & {f.name for f in dataclasses.fields(recipe)}
    model = model_class(
        model_class.config_class(
            identities=names,
            audio_dim=train.frames.shape[1],
            voice_dim=train.voices.shape[1],
            alpha_bars=SCHEDULES[recipe.schedule](recipe.diffusion_steps).alpha_bars.tolist(),
            **(face_config(rig) | {"identity_dim": recipe.hidden_dim} if rig else {}),
            channels=motion_channels(recipe, train),
            **(diffposetalk.config_fields(recipe, train) if model_class is DiffPoseTalk else {}),
            **{name: getattr(recipe, name) for name in of_recipe},
        )
    )
    train.set_library(names)
    if rig:
        set_face(model, rig)
        motion = vertex_statistics(model, train.motion)
    else:
        motion = tuple(values[: model.channels] for values in train.motion_statistics())
    model.set_statistics(motion, train.audio_statistics())
    if rig:
        model.set_range(*vertex_range(model, train.motion))
    if recipe.train_encoder:
        diffposetalk.load_trunk(model, recipe)
    if model.library is not None and recipe.voice_statistics:
        model.library.set_voice_statistics(train.voices.numpy(), train.rows[train.owner])
    return model


def objective_of(model: MotionModel, recipe: Recipe, train: FeatureCache) -> nn.Module:
    """What a model is trained with from data: a module from a Batch to a dict of losses with "total"."""
    if isinstance(model, ThreeDiFace):
        as_vertices = train.motion.shape[1] == model.channels
        closure = 1.0 if as_vertices else recipe.closure_weight
        return ThreeDiFaceObjective(model, recipe.loss_weights, recipe.drop_audio, as_vertices, closure)
    if isinstance(model, DiffPoseTalk):
        return diffposetalk.objective(model, recipe)
    return DiffusionObjective(model, recipe.loss_weights, recipe.closure_weight)


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
        self.noise_channels = getattr(objective, "noise_channels", None)
        self.total = self.prepare_data()
        objective.to(self.accelerator.device)
        self.parameters = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        optimizer = torch.optim.Adam(
            self.parameters.values(), lr=recipe.learning_rate, betas=tuple(recipe.betas), fused=True
        )
        self.objective, self.optimizer = self.accelerator.prepare(objective, optimizer)
        self.average = [p.detach().clone() for p in self.parameters.values()] if recipe.ema_decay else None
        self.step = 0
        self.seconds = 0.0
        self.best: dict[str, float] | None = None
        self.best_weights: list[torch.Tensor] = []
        if (self.folder / STATE_FILE).exists():
            self.load_state()

    def prepare_data(self) -> int:
        """Fit the data to the model; returns how many steps the recipe asks for."""
        for cache in self.caches.values():
            cache.set_library(self.model.config.identities)
        return self.recipe.total_steps(int(self.caches["train"].lengths.sum()))

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
                self.noise_channels,
                self.accelerator.process_index,
                self.accelerator.num_processes,
                self.recipe.clean_share,
            )
            .to(self.accelerator.device)
        )

    def fit(self) -> MotionModel:
        """Train up to the recipe's last step; returns the model with the weights that ship.

        Raises TalkerError when a loss or gradient is not finite; state and checkpoint stay as they were saved.
        """
        recipe, main = self.recipe, self.accelerator.is_main_process
        # Waiting for a busy CPU is no training; a GPU's work is not the process's time.
        clock = time.process_time if self.accelerator.device.type == "cpu" else time.perf_counter
        first = self.step
        with contextlib.ExitStack() as stack:
            log = writer = None
            if main:
                self.folder.mkdir(parents=True, exist_ok=True)
                with whole_file(self.folder / "recipe.yaml") as path:
                    path.write_text(recipe.text(), encoding="utf-8")
                log = stack.enter_context(open_log(self.folder / LOG_FILE, self.step))
                writer = stack.enter_context(SummaryWriter(self.folder / "tensorboard", purge_step=self.step + 1))
            bar = stack.enter_context(tqdm(
                initial=self.step, total=self.total, desc=self.folder.name, unit="step", dynamic_ncols=True,
                disable=not (main and self.progress), mininterval=0.5 if sys.stderr.isatty() else 30.0,
            ))  # fmt: skip
            while self.step < self.total:
                started = clock()
                losses = self.train_step()
                self.seconds += clock() - started
                if main:
                    write_record(log, {"step": self.step, **losses})
                    bar.update()
                    if self.step % 20 == 0:
                        bar.set_postfix({name: f"{value:.4f}" for name, value in losses.items() if name != "learning_rate"})
                        for name, value in losses.items():
                            writer.add_scalar(f"train/{name}", value, self.step)
                last = self.step == self.total
                if last or self.step % recipe.validate_every == 0:
                    values = self.validate()
                    if self.keep_best(values) and main:
                        self.export()
                    if main:
                        speed = {"seconds": self.seconds, "steps_per_second": self.step / max(self.seconds, 1e-9)}
                        write_record(log, {"step": self.step, "validation": values, "best_step": self.best["step"], **speed})
                        bar.write(
                            f"step {self.step}: " + ", ".join(f"{k} {v:.4f}" for k, v in values.items())
                            + f"; best at step {self.best['step']}"
                        )  # fmt: skip
                        for name, value in {**values, **speed}.items():
                            writer.add_scalar(f"validation/{name}", value, self.step)
                if main and (last or self.step % recipe.save_every == 0):
                    self.save_state()
        self.restore_best()
        if main and (self.step > first or not (self.folder / CHECKPOINT_FOLDER).exists()):
            self.export()
            print(
                f"{self.folder}: {self.step} steps, {self.step / max(self.seconds, 1e-9):.2f} a second in "
                f"{self.seconds:.0f} s; the best by validation is that of step {self.best['step']}", flush=True,
            )  # fmt: skip
        self.accelerator.wait_for_everyone()
        self.swap_average()
        return self.model.eval()

    def train_step(self) -> dict[str, float]:
        """One optimisation step; returns the losses of the global batch and the norm of its gradient.

        Raises TalkerError when one of them is not finite, before the weights have seen them.
        """
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
        norm = self.accelerator.clip_grad_norm_(self.parameters.values(), recipe.clip_norm or math.inf)
        record = self.global_mean({**losses, "gradient": norm})
        self.optimizer.step()
        if self.average is not None:
            current = [p.detach() for p in self.parameters.values()]
            average_weights(self.average, current, recipe.ema_decay, self.step)
        return {**record, "learning_rate": rate}

    def global_mean(self, losses: dict[str, torch.Tensor]) -> dict[str, float]:
        """Losses averaged over the processes' equal shares of the batch. TalkerError when one is not finite."""
        stacked = torch.stack([loss.detach().float() for loss in losses.values()])
        means = dict(zip(losses, self.accelerator.reduce(stacked, reduction="mean").tolist()))
        for name, value in means.items():
            if not math.isfinite(value):
                raise self.not_finite(name)
        return means

    def not_finite(self, what: str) -> TalkerError:
        """Why the training stops, and what is left of it."""
        kept = f"What was saved last in {self.folder} is kept" if (self.folder / STATE_FILE).exists() else "Nothing was saved yet"
        return TalkerError(
            f"The value of {what} is not a finite number at step {self.step}. {kept}; run the same command again with a lower "
            "learning_rate in the recipe, or look for damage in the features."
        )

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
    def keep_best(self, values: dict[str, float]) -> bool:
        """Whether the weights that ship are the best so far, by the sum of the recipe's best_by; they are then kept."""
        missing = sorted(set(self.recipe.best_by) - set(values))
        if missing:
            raise TalkerError(f"There is no loss {missing[0]} as in the recipe's best_by; choose of {', '.join(values)}.")
        # Without a measure the latest is the best.
        value = sum(values[name] for name in self.recipe.best_by) if self.recipe.best_by else -self.step
        if self.best is not None and value >= self.best["value"]:
            return False
        self.best = {"step": self.step, "value": value}
        self.best_weights = [weight.detach().clone() for weight in self.average or self.parameters.values()]
        return True

    @torch.no_grad()
    def restore_best(self) -> None:
        """Put the best weights where those that ship are taken from."""
        for weight, best in zip(self.average or self.parameters.values(), self.best_weights):
            weight.copy_(best)

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
            **({"style_encoder": Path(self.recipe.style_encoder).name} if self.recipe.style_encoder else {}),
            "steps": self.model.schedule.steps,
            "data": self.recipe.data,
            **({"trained_on": speech} if (speech := self.caches["train"].notes.get("speech")) else {}),
            "weights": "exponential moving average" if self.average is not None else "last step",
            "trained_steps": self.step,
            "best_step": self.best["step"] if self.best else self.step,
            "training_seconds": round(self.seconds, 1),
            "training_clock": "CPU time of a process" if self.accelerator.device.type == "cpu" else "wall",
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
            if self.best:
                tensors[f"best.{name}"] = self.best_weights[index]
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise self.not_finite(name)
        progress = {"step": self.step, "seconds": self.seconds, "best": self.best, "config": self.config()}
        with whole_file(self.folder / STATE_FILE) as path:
            save_file(tensors, path, metadata={name: json.dumps(value) for name, value in progress.items()})

    def load_state(self) -> None:
        """Go on from the saved state. Raises TalkerError when it is broken or of another model."""
        path = self.folder / STATE_FILE
        try:
            with safe_open(path, framework="pt") as file:
                progress = {name: json.loads(value) for name, value in (file.metadata() or {}).items()}
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
            self.best = progress.get("best")
            if self.best:
                device = self.accelerator.device
                self.best_weights = [tensors[f"best.{name}"].to(device) for name in self.parameters]
            self.step, self.seconds = progress["step"], progress.get("seconds", 0.0)
        except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
            raise TalkerError(
                f"The training state {path} does not fit this recipe and corpus ({str(error).splitlines()[0]}); "
                "choose another --out or delete it."
            ) from None


class FurtherTrainer(Trainer):
    """The trainer for a model that was trained already. before : what its config.json holds."""

    def __init__(self, *args, before: dict, **options):
        self.before = before
        super().__init__(*args, **options)

    def config(self) -> dict:
        """What the shipped config.json holds: what it held, what came on top, and the seconds of both."""
        own, before = super().config(), self.before
        steps, seconds = before.get("further_steps", 0) + self.step, before["training_seconds"] + own["training_seconds"]
        kept = {name: before[name] for name in ("trained_steps", "best_step", "trained_on", "training_clock", "summary") if name in before}
        return {**own, **kept, "further_steps": steps, "training_seconds": round(seconds, 1)}


def started(folder: str | Path, recipe: Recipe, train: FeatureCache) -> MotionModel:
    """The model in a checkpoint folder, to go on with. TalkerError unless the recipe and the features are for such a one."""
    model = DENOISERS[recipe.model].from_pretrained(folder)
    names = sorted(set(train.speakers)) if recipe.identity else []
    fits = (names, train.frames.shape[1], recipe.diffusion_steps) == (
        model.config.identities, model.config.audio_dim, model.schedule.steps,
    )  # fmt: skip
    if not fits:
        raise TalkerError(f"{folder} does not fit the recipe and the features: its speakers, features or steps are others.")
    train.set_library(names)
    return model


def open_log(path: Path, step: int) -> TextIO:
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


def write_record(log: TextIO, record: dict) -> None:
    """One line of log.jsonl, at once."""
    log.write(json.dumps(record) + "\n")
    log.flush()


def make_accelerator(recipe: Recipe, cpu: bool = False) -> Accelerator:
    """Accelerate's view of the processes and devices, in the recipe's precision. A CPU that would emulate bfloat16, fifty
    times slower than it multiplies float32, gets float32 instead."""
    on_cpu = cpu or not torch.accelerator.is_available()
    low = recipe.precision == "bf16" and not (on_cpu and emulates_bfloat16())
    return Accelerator(mixed_precision="bf16" if low else "no", cpu=cpu)


def emulates_bfloat16() -> bool:
    """Whether this CPU has no instructions that oneDNN could multiply bfloat16 matrices with."""
    return not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def add_run_arguments(parser: argparse.ArgumentParser, recipe: str | None) -> None:
    """Arguments that training and distillation share. recipe : the default; None is chosen by the teacher."""
    default = recipe or "chosen by the teacher's model"
    parser.add_argument("--recipe", default=recipe, help=f"a YAML file, or a name in training/recipes ({default})")
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
    recipe = recipe.with_settings(args.settings).replace(**{key: value for key, value in changes.items() if value is not None})
    accelerator = make_accelerator(recipe, args.cpu)
    # The main process computes what is missing; the others then find it.
    with accelerator.main_process_first():
        caches = feature_caches(
            args.features, args.corpus, recipe.encoder, recipe.variants, convolutions=recipe.train_encoder, fps=recipe.fps
        )
    if recipe.left_out:
        caches = {split: cache.without(recipe.left_out) for split, cache in caches.items()}
    return recipe, accelerator, caches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training train`."""
    add_run_arguments(parser, "diffusiontalker-default")
    parser.add_argument("--diffusion-steps", type=int, help="steps N of the schedule (e.g. 8 to train 8 steps from scratch)")
    parser.add_argument("--start", metavar="FOLDER", help="go on from this checkpoint, when the speech encoder went on, say")


def run(args: argparse.Namespace) -> None:
    """Train a model from data."""
    recipe, accelerator, caches = prepare(args)
    train = caches["train"]
    if args.start:
        objective = objective_of(started(args.start, recipe, train), recipe, train)
        FurtherTrainer(recipe, objective, caches, args.out, accelerator, before=load_config(args.start)).fit()
    else:
        Trainer(recipe, objective_of(build_model(recipe, train), recipe, train), caches, args.out, accelerator).fit()
    if accelerator.is_main_process:
        print(f"The model is in {Path(args.out) / CHECKPOINT_FOLDER}.")
    accelerator.end_training()
