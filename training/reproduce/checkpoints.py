"""python -m training reproduce checkpoints: the shipped checkpoints again, from speech to students.

Every stage is one of the other verbs, run as README gives it; a stage whose result is there is not
repeated, and one that was interrupted goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load, save

from talker.atomic import whole_file
from talker.checkpoints import CONFIG_FILE, RECIPE_FILE, WEIGHTS_FILE, load_config
from talker.errors import TalkerError
from talker.pipeline import STYLE_ENCODER
from training.cards import CARD
from training.encoder_training import HEADS_FILE
from training.recipe import load_recipe
from training.trainer import CHECKPOINT_FOLDER

ROOT = Path(__file__).resolve().parents[2]

ENCODER = "speech-encoder"
"""Name of the speech encoder that ships, and of its run."""

DENOISERS = (
    "diffusiontalker", "diffusiontalker-teacher", "diffposetalk", "diffposetalk-teacher", "3diface", "3diface-teacher",
)  # fmt: skip
"""Denoisers that ship."""


def _run(*words: str | Path, processes: int = 1) -> None:
    """One verb in its own process, or in several through torchrun."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "training", *map(str, words)]
    print("\n$ python", *command[1:], flush=True)
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if processes > 1 else {})
    result = subprocess.run(command, cwd=ROOT, env=environment)
    if result.returncode:
        raise TalkerError(f"`{words[0]}` did not finish; mend what it says above and run the same command again.")


def _from_root(path: Path) -> Path:
    """An absolute path as the verbs, which run in the project's root, may name it: a recipe that ships then tells nothing
    of the machine that it was trained on."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def ship(source: Path, target: Path, half: bool = False, **config: object) -> None:
    """Copy a run's checkpoint over a shipped one, with what config.json says of it; a card stays where the run has none.

    half : keep matrices in float16, half the size; loading makes them float32 again
    """
    values = load_config(source) | config
    names = [WEIGHTS_FILE, RECIPE_FILE, *(name for name in (HEADS_FILE, CARD) if (source / name).exists())]
    contents = {name: (source / name).read_bytes() for name in names}
    contents[CONFIG_FILE] = (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()
    if half:
        tensors = load(contents[WEIGHTS_FILE])
        halved = {k: t.half() if t.ndim > 1 and t.dtype == torch.float32 else t for k, t in tensors.items()}
        contents[WEIGHTS_FILE] = save(halved, metadata={"format": "pt"})
    for name, content in contents.items():
        with whole_file(target / name) as temporary:
            temporary.write_bytes(content)


@dataclass(frozen=True)
class Places:
    """Where everything is, absolute: folders of the corpus and of the features, of the runs, and of the checkpoints that
    ship; processes : how many trainers of one model work side by side, one a GPU."""

    corpus: Path
    features: Path
    runs: Path
    out: Path
    processes: int = 1

    def checkpoint(self, run: str) -> Path:
        """The checkpoint that a run leaves."""
        return self.runs / run / CHECKPOINT_FOLDER

    def train(self, verb: str, run: str, *words: str | Path, processes: int | None = None) -> None:
        """A verb that trains on the features, into a run's folder, where it goes on if it was there before."""
        common = ["--features", self.features, "--corpus", self.corpus, "--encoder", _from_root(self.out / ENCODER)]
        _run(verb, *common, "--out", self.runs / run, *words, processes=processes or self.processes)


def speech_encoder(places: Places, unlabelled: Path | None) -> None:
    """The speech encoder.

    unlabelled : npz of MFCCs for its second and third round
    """
    words = ["--unlabelled", unlabelled.resolve()] if unlabelled else []
    _run("speech-encoder", "--corpus", places.corpus, "--out", places.runs / ENCODER, *words)
    ship(
        places.checkpoint(f"{ENCODER}/voice"), places.out / ENCODER,
        summary="compact speech encoder: phones, articulation and voices from MFCCs",
    )  # fmt: skip


def diffusiontalker(places: Places) -> Path:
    """DiffusionTalker's 32-step teacher, then 16 and 8 steps by distillation; and 8 from scratch, for as many training
    steps as teacher and students together had, whose checkpoint is returned."""
    places.train("train", "teacher")
    ship(
        places.checkpoint("teacher"), places.out / "diffusiontalker-teacher",
        summary="DiffusionTalker, 32 steps, the teacher; synthetic corpus",
    )  # fmt: skip
    places.train("distill", "student", "--teacher", places.checkpoint("teacher"))
    ship(
        places.checkpoint("student/8-steps"), places.out / "diffusiontalker",
        summary="DiffusionTalker, 8 steps, distilled; synthetic corpus",
    )  # fmt: skip
    distill = load_recipe("distill")
    steps = load_recipe("diffusiontalker-default").steps + len(distill.stages) * distill.steps
    places.train("train", "scratch", "--diffusion-steps", "8", "--steps", str(steps))
    return places.checkpoint("scratch")


def style_encoder(places: Places) -> None:
    """The encoder of speaking styles, which DiffPoseTalk is given; in one process, as a batch is compared within itself."""
    places.train("style-encoder", STYLE_ENCODER, processes=1)
    ship(
        places.checkpoint(STYLE_ENCODER), places.out / STYLE_ENCODER, half=True,
        summary="speaking styles from motion, and eight by name",
    )  # fmt: skip


def diffposetalk(places: Places) -> None:
    """DiffPoseTalk's 500-step teacher, then 16 and 8 steps by distillation."""
    style = ["--set", f"style_encoder={_from_root(places.out / STYLE_ENCODER)}"]
    places.train("train", "diffposetalk-teacher", "--recipe", "diffposetalk-default", *style)
    places.train("distill", "diffposetalk", "--teacher", places.checkpoint("diffposetalk-teacher"), *style)
    ship_both(places, "diffposetalk", "DiffPoseTalk")


def three_diface(places: Places) -> None:
    """3DiFACE's 500-step teacher, then 16 and 8 steps by distillation."""
    places.train("train", "3diface-teacher", "--recipe", "3diface-default")
    places.train("distill", "3diface", "--teacher", places.checkpoint("3diface-teacher"))
    ship_both(places, "3diface", "3DiFACE")


def ship_both(places: Places, name: str, title: str) -> None:
    """A 500-step teacher and the 8-step student distilled from it, at half their size."""
    shipped = f"{title}, {{}}; synthetic corpus"
    ship(
        places.checkpoint(f"{name}-teacher"), places.out / f"{name}-teacher", half=True,
        summary=shipped.format("500 steps, the teacher"),
    )  # fmt: skip
    ship(
        places.checkpoint(f"{name}/8-steps"), places.out / name, half=True, summary=shipped.format("8 steps, distilled"),
    )  # fmt: skip


def reproduce_checkpoints(
    speech: Path, data: Path, runs: Path, out: Path, unlabelled: Path | None, processes: int
) -> None:
    """Corpus → speech encoder → DiffusionTalker; style encoder → DiffPoseTalk; 3DiFACE; each denoiser a teacher and the
    student distilled from it, and all measured together.

    speech     : folder of {speaker}-{chapter}-{utterance}.flac
    data, runs : folders for corpus and features, and for the runs
    out        : folder of the checkpoints
    unlabelled : npz of MFCCs for the encoder's second and third round
    processes  : how many trainers work side by side, one a GPU
    """
    data = data.resolve()
    places = Places(data / "corpus", data / "features", runs.resolve(), out.resolve(), processes)
    _run("corpus", "--speech", speech.resolve(), "--out", places.corpus)
    speech_encoder(places, unlabelled)
    # Features are computed by one process before several share them.
    places.train("train", "warm-up", "--steps", "1", processes=1)
    scratch = diffusiontalker(places)
    style_encoder(places)
    diffposetalk(places)
    three_diface(places)
    _run(
        "evaluate", *(places.out / name for name in (ENCODER, *DENOISERS)), scratch, "--takes", "2", "--known", "37",
        "--corpus", places.corpus, "--out", places.out / "evaluation.json", "--card",
    )  # fmt: skip
