"""Trained models of the experiments: each training once, whichever tables ask for it."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from talker.atomic import whole_file
from talker.checkpoints import load_config
from talker.errors import TalkerError
from training.recipe import Recipe, load_recipe
from training.reproduce.setup import Setup, digest
from training.trainer import CHECKPOINT_FOLDER, LOG_FILE

STYLE_ENCODER = "style-encoder"
"""The verb that trains one, and the name of its folder beside a model."""

DONE_FILE = "done.json"
"""Written into a run's folder when its training has ended: its settings and how long it took."""


@dataclass(frozen=True)
class Run:
    """One training. What it is trained with decides its folder, so equal runs of two tables are one.

    name            : of its folder, for readers
    recipe          : name or file of the recipe
    diffusion_steps : N of the schedule; None for the recipe's
    steps           : training steps instead of the recipe's; 0 for the recipe's
    teacher         : the run that it is distilled from; None trains from data
    changes         : (key, value) of the recipe's fields that differ, loss weights as "loss_weights.lip"
    style_encoder   : the run whose styles it is conditioned on
    verb            : of `python -m training`, for a run without teacher
    """

    name: str
    recipe: str
    diffusion_steps: int | None
    steps: int = 0
    teacher: Run | None = None
    changes: tuple[tuple[str, object], ...] = ()
    style_encoder: Run | None = None
    verb: str = "train"

    def settings(self, setup: Setup) -> dict:
        """Everything that decides how the model comes out."""
        return {
            "recipe": load_recipe(self.recipe).changed(),
            "diffusion_steps": self.diffusion_steps,
            "steps": self.steps,
            "changes": [list(change) for change in self.changes],
            "features": setup.fingerprint,
            "teacher": self.teacher and self.teacher.settings(setup),
            **({"style_encoder": self.style_encoder.settings(setup)} if self.style_encoder else {}),
        }

    def folder(self, setup: Setup) -> Path:
        """Where it is trained."""
        return setup.runs / "trained" / f"{self.name}-{digest(self.settings(setup))}"

    def trained(self, setup: Setup) -> Path:
        """The trainer's folder in it."""
        return self.folder(setup) / f"{self.diffusion_steps}-steps" if self.teacher else self.folder(setup)

    def checkpoint(self, setup: Setup) -> Path:
        """The finished model."""
        return self.trained(setup) / CHECKPOINT_FOLDER

    def changed_recipe(self) -> Recipe:
        """Its recipe with its changes."""
        return load_recipe(self.recipe).with_settings([_setting(*change) for change in self.changes])

    def words(self, setup: Setup) -> list[str]:
        """The command that trains it, without `python -m training`."""
        words = ["distill" if self.teacher else self.verb, "--recipe", self.recipe, "--out", self.folder(setup)]
        words += ["--corpus", setup.corpus, "--features", setup.features, "--encoder", setup.encoder]
        if self.teacher:
            words += ["--teacher", self.teacher.checkpoint(setup), "--stages", self.diffusion_steps]
        elif self.diffusion_steps:
            words += ["--diffusion-steps", self.diffusion_steps]
        if self.steps:
            words += ["--steps", self.steps]
        changes = dict(self.changes)
        if self.style_encoder:
            changes["style_encoder"] = os.path.abspath(self.style_encoder.trained(setup) / STYLE_ENCODER)
        for key, value in changes.items():
            words += ["--set", _setting(key, value)]
        return [os.path.abspath(word) if isinstance(word, Path) else str(word) for word in words]

    def chain(self) -> list[Run]:
        """The run after all that it is distilled from."""
        return [*(self.teacher.chain() if self.teacher else []), self]

    def needs(self) -> list[Run]:
        """The runs that have to end before this one begins."""
        return [run for run in (self.teacher, self.style_encoder) if run]

    def order(self) -> list[Run]:
        """The run after all that it needs."""
        return [*(one for run in self.needs() for one in run.order()), self]

    def trained_steps(self, setup: Setup) -> int:
        """Training steps of the finished model and of all that it is distilled from."""
        return sum(load_config(run.checkpoint(setup))["trained_steps"] for run in self.chain())

    def training_seconds(self, setup: Setup) -> float:
        """What the training steps of the finished model and of all that it is distilled from took: CPU time, or
        time by the clock on a GPU."""
        return sum(load_config(run.checkpoint(setup))["training_seconds"] for run in self.chain())

    def finished(self, setup: Setup) -> bool:
        """Whether its training has ended."""
        return (self.folder(setup) / DONE_FILE).exists()


def _setting(key: str, value: object) -> str:
    """A change of a recipe as `--set` takes it."""
    return f"{key}={json.dumps(value)}"


def run_verb(words: list[str], log: Path) -> float:
    """Run one verb with its output in a file; returns its seconds. TalkerError with the verb's last line if it fails."""
    from accelerate.state import AcceleratorState

    from training.__main__ import main

    started = time.perf_counter()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        # A process keeps the precision of its first training; runs that follow one another in it may have others.
        AcceleratorState._reset_state()
        code = main(words)
    if code:
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1]
        raise TalkerError(f"`{words[0]}` did not finish: {last} Its output is in {log}.")
    return time.perf_counter() - started


@contextlib.contextmanager
def one_thread():
    """New processes compute with one thread each: OMP_NUM_THREADS is 1 inside."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def side_by_side(function: Callable, arguments: Sequence[tuple], jobs: int, title: str) -> list[Any]:
    """function(*a) for each a, `jobs` processes at a time and in this one for a single job; results in order."""
    bar = tqdm(total=len(arguments), desc=title, dynamic_ncols=True, disable=not arguments)
    with bar:
        if jobs == 1 or not arguments:
            return [(function(*a), bar.update())[0] for a in arguments]
        with one_thread(), ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(function, *a) for a in arguments]
            for future in futures:
                future.add_done_callback(lambda _: bar.update())
            return [future.result() for future in futures]


def train(runs: Iterable[Run], setup: Setup) -> None:
    """Train what is not trained yet, teachers before students, setup.jobs side by side, the longest first."""
    waiting = list(dict.fromkeys(link for run in runs for link in run.order()))
    waiting = [run for run in waiting if not run.finished(setup)]
    if not waiting:
        return
    setup.prepare()
    total = sum(run.steps or 0 for run in waiting)
    bar = tqdm(total=total or None, desc="train", unit="step", dynamic_ncols=True, mininterval=2.0)
    everything = list(waiting)
    # A fresh process for every training: accelerate keeps one state a process.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(setup.jobs, mp_context=spawn, max_tasks_per_child=1) if setup.jobs > 1 else None
    with one_thread(), bar, pool or contextlib.nullcontext():
        going: dict = {}
        while waiting or going:
            ready = [run for run in waiting if all(need.finished(setup) for need in run.needs())]
            ready.sort(key=lambda run: -_steps_ahead(run, waiting))
            if pool is None:
                run = ready[0]
                waiting.remove(run)
                bar.write(f"training {run.name}")
                _finish(run, setup, run_verb(run.words(setup), run.folder(setup) / "output.txt"))
                bar.update(_steps_so_far(everything, setup) - bar.n)
                continue
            for run in ready[: setup.jobs - len(going)]:
                waiting.remove(run)
                bar.write(f"training {run.name}")
                going[pool.submit(run_verb, run.words(setup), run.folder(setup) / "output.txt")] = run
            done, _ = wait(going, timeout=5, return_when=FIRST_COMPLETED)
            bar.update(_steps_so_far(everything, setup) - bar.n)
            for future in done:
                run = going.pop(future)
                _finish(run, setup, future.result())


def _steps_ahead(run: Run, waiting: Sequence[Run]) -> int:
    """Training steps of a run and of the longest chain of runs that wait for it: the longest begins first, so that
    no process is left alone with it at the end."""
    return run.steps + max((_steps_ahead(one, waiting) for one in waiting if run in one.needs()), default=0)


def _finish(run: Run, setup: Setup, seconds: float) -> None:
    _link(run, Path(setup.encoder).name, Path(setup.encoder), setup)
    if styles := run if run.verb == STYLE_ENCODER else run.style_encoder:
        _link(run, STYLE_ENCODER, styles.checkpoint(setup), setup)
    with whole_file(run.folder(setup) / DONE_FILE) as temporary:
        temporary.write_text(json.dumps({"seconds_of_last_start": seconds, **run.settings(setup)}, indent=1))


def _link(run: Run, name: str, folder: Path, setup: Setup) -> None:
    """A model finds its encoders beside it, by name."""
    link = run.trained(setup) / name
    if folder.is_dir() and not link.exists():
        link.symlink_to(folder.resolve(), target_is_directory=True)


def _steps_so_far(runs: Iterable[Run], setup: Setup) -> int:
    """Steps that the logs of these runs have reached."""
    total = 0
    for run in runs:
        try:
            last = (run.trained(setup) / LOG_FILE).read_text(encoding="utf-8").splitlines()[-1]
            total += json.loads(last)["step"]
        except (OSError, IndexError, ValueError, KeyError):
            continue  # not begun, or its last line is being written
    return total
