"""python -m training reproduce checkpoints: the shipped checkpoints again, from speech to student.

Every stage is one of the other verbs, run as README gives it; a stage whose result is there is not
repeated, and one that was interrupted goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load, save

from talker.atomic import whole_file
from talker.checkpoints import CONFIG_FILE, RECIPE_FILE, WEIGHTS_FILE, load_config
from talker.errors import TalkerError
from training.cards import CARD
from training.encoder_training import HEADS_FILE
from training.recipe import load_recipe
from training.trainer import CHECKPOINT_FOLDER

ROOT = Path(__file__).resolve().parents[2]


def _run(*words: str | Path, processes: int = 1) -> None:
    """One verb in its own process, or in several through torchrun."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "training", *map(str, words)]
    print("\n$ python", *command[1:], flush=True)
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if processes > 1 else {})
    result = subprocess.run(command, cwd=ROOT, env=environment)
    if result.returncode:
        raise TalkerError(f"`{words[0]}` did not finish; mend what it says above and run the same command again.")


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


def reproduce_checkpoints(
    speech: Path, data: Path, runs: Path, out: Path, unlabelled: Path | None, processes: int
) -> None:
    """Corpus → speech encoder → 32-step teacher → 16 and 8 steps by distillation; and 8 from scratch,
    for as many training steps as teacher and students together had.

    speech     : folder of {speaker}-{chapter}-{utterance}.flac
    data, runs : folders for corpus and features, and for the runs
    out        : folder of the checkpoints
    unlabelled : npz of MFCCs for the encoder's second and third round
    processes  : how many trainers work side by side, one a GPU
    """
    out, corpus = out.resolve(), data / "corpus"
    _run("corpus", "--speech", speech.resolve(), "--out", corpus.resolve())
    words = ["--unlabelled", unlabelled.resolve()] if unlabelled else []
    _run("speech-encoder", "--corpus", corpus.resolve(), "--out", (runs / "speech-encoder").resolve(), *words)
    encoder = runs / "speech-encoder" / "voice" / CHECKPOINT_FOLDER
    ship(encoder, out / "speech-encoder", summary="compact speech encoder: phones, articulation and voices from MFCCs")

    common = ["--features", (data / "features").resolve(), "--corpus", corpus.resolve()]
    common += ["--encoder", out / "speech-encoder"]
    # Features are computed by one process before several share them.
    _run("train", *common, "--out", (runs / "warm-up").resolve(), "--steps", "1")
    teacher = runs / "teacher"
    _run("train", *common, "--out", teacher.resolve(), processes=processes)
    ship(
        teacher / CHECKPOINT_FOLDER, out / "diffusiontalker-teacher",
        summary="DiffusionTalker, 32 steps, the teacher; synthetic corpus",
    )  # fmt: skip
    _run(
        "distill", *common, "--teacher", (teacher / CHECKPOINT_FOLDER).resolve(),
        "--out", (runs / "student").resolve(), processes=processes,
    )  # fmt: skip
    ship(
        runs / "student" / "8-steps" / CHECKPOINT_FOLDER, out / "diffusiontalker",
        summary="DiffusionTalker, 8 steps, distilled; synthetic corpus",
    )  # fmt: skip
    distill = load_recipe("distill")
    steps = load_recipe("diffusiontalker-default").steps + len(distill.stages) * distill.steps
    scratch = (runs / "scratch").resolve()
    _run(
        "train", *common, "--out", scratch, "--diffusion-steps", "8", "--steps", str(steps), processes=processes
    )
    _run(
        "evaluate", "diffusiontalker", "diffusiontalker-teacher", scratch / CHECKPOINT_FOLDER,
        "--corpus", corpus.resolve(), "--out", out / "evaluation.json", "--card",
    )  # fmt: skip

