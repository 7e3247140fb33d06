"""What tables measure of trained models: errors on held-out speech, and inference time of all rows together."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from talker.atomic import whole_file
from talker.audio import Speech
from talker.bench import STAGES, modulated_noise
from talker.pipeline import Talker
from training.beat import Utterance, read_corpus
from training.evaluate import errors
from training.recipe import load_recipe
from training.reproduce.setup import Budget, Setup, checkpoint_digest, digest
from training.reproduce.runs import side_by_side


def load_talker(checkpoint: str | Path, sampling: dict | None = None) -> Talker:
    """A checkpoint as a Talker; sampling changes fields of its config ("sampler", START_NOISE)."""
    talker = Talker.from_pretrained(checkpoint)
    talker.denoiser.config = dataclasses.replace(talker.denoiser.config, **(sampling or {}))
    return talker


def start_noise(budget: Budget) -> dict[str, float]:
    """The fields of a student's config that say how much noise its takes start from; 1 is all of it."""
    return load_recipe(budget.recipes["distill"]).start_noise()


def described(noise: dict[str, float]) -> str:
    """start_noise in words."""
    places = zip(("in the lip region", "in brows and eyes", "in the head"), noise.values(), strict=True)
    return "start noise times " + ", ".join(f"{value:g} {place}" for place, value in places)


def measure_errors(
    checkpoint: Path, corpus: Path, names: Sequence[str], takes: int, sampling: dict | None, folder: Path
) -> dict[str, float]:
    """MBE, LBE and |FDD| of a checkpoint on these utterances, in one thread; kept in a folder and found there again."""
    torch.set_num_threads(1)
    kept = folder / f"errors-{digest(checkpoint_digest(checkpoint), corpus, names, takes, sampling)}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    wanted = set(names)
    utterances = [u for u in read_corpus(corpus) if u.id in wanted]
    found = errors(load_talker(checkpoint, sampling), utterances, takes)
    with whole_file(kept) as temporary:
        temporary.write_text(json.dumps(found, indent=1))
    return found


def errors_of(
    tasks: Sequence[tuple[Path, dict | None, Sequence[Utterance]]], setup: Setup
) -> list[dict[str, float]]:
    """measure_errors of (checkpoint, sampling, utterances) each, setup.jobs side by side."""
    folder, takes = setup.runs / "measured", setup.budget.takes
    arguments = [(path, setup.corpus, [u.id for u in spoken], takes, sampling, folder) for path, sampling, spoken in tasks]
    return side_by_side(measure_errors, arguments, setup.jobs, "measure errors")


def inference_times(
    checkpoints: Sequence[Path], seconds: float, repeats: int, encoding_in_every_step: Sequence[Path] = ()
) -> list[dict[str, float]]:
    """Inference time per frame (ITF, section 4.1) of several checkpoints: one take, one thread, medians.

    The checkpoints take turns, so that what else the machine does meets all of them alike; each warms up once.
    encoding_in_every_step : checkpoints that are timed after the others with their speech encoded before every call of
                             the denoiser, as some published code does; from one run each, as they take minutes
    Returns {"ITF": seconds per frame of encoding, matching and sampling, "encoding", "sampling": of these} each.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        speech = modulated_noise(seconds)
        talkers = [Talker.from_pretrained(path) for path in checkpoints]
        rounds = [[_timed(talker, speech) for talker in talkers] for _ in range(repeats + 1)]
        found = [
            {key: statistics.median(one[k][key] for one in rounds[1:]) for key in rounds[0][k]}
            for k in range(len(talkers))
        ]
        for path in encoding_in_every_step:
            talker = Talker.from_pretrained(path)
            frames = speech.frames(talker.denoiser.config.fps)
            talker.denoiser.register_forward_pre_hook(_encoding(talker, speech, frames))
            found.append(_timed(talker, speech))
        return found
    finally:
        torch.set_num_threads(threads)


def _encoding(talker: Talker, speech: Speech, frames: int) -> Callable[..., None]:
    """A hook that encodes the speech."""

    def encode(*_: object) -> None:
        talker.encoder.encode(speech, frames)

    return encode


def _timed(talker: Talker, speech: Speech) -> dict[str, float]:
    """Seconds per frame of one take of the speech."""
    takes = talker.speak(speech, takes=1)
    frames = takes.coefficients.shape[1]
    return {
        "ITF": sum(takes.seconds[stage] for stage in STAGES) / frames,
        "encoding": takes.seconds["encode"] / frames,
        "sampling": takes.seconds["sample"] / frames,
    }


def machine() -> str:
    """What inference was timed on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return f"{device}, {os.cpu_count()} cores, one thread, torch {torch.__version__}"
