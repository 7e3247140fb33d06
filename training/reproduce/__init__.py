"""The shipped checkpoints, the papers' tables and their figures, one command each: python -m training reproduce TARGET.

    python -m training reproduce checkpoints --speech LIBRISPEECH   # from speech to all that ships
    python -m training reproduce table-1                            # one table, on the synthetic corpus
    python -m training reproduce table-1 --data BEAT --full         # the same on BEAT with the paper's budget
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
from pathlib import Path

from talker.errors import TalkerError
from talker.pipeline import CHECKPOINTS

EXPERIMENTS = {
    "table-1": "training.reproduce.table_1",
    "table-2": "training.reproduce.table_2",
    "table-3": "training.reproduce.table_3",
    "table-4": "training.reproduce.table_4",
    "table-5": "training.reproduce.table_5",
    "figure-5": "training.reproduce.figure_5",
    "figure-6": "training.reproduce.figure_6",
    "diffposetalk-table-1": "training.reproduce.diffposetalk_table_1",
    "3diface-table-1": "training.reproduce.three_diface_table_1",
    "3diface-table-2": "training.reproduce.three_diface_table_2",
    "3diface-table-3": "training.reproduce.three_diface_table_3",
    "3diface-figure-3": "training.reproduce.three_diface_figure_3",
}
"""Target -> module with run(setup) -> text of the table; each writes JSON and figures into setup.out."""

DATA = Path("data")
"""Where `corpus` and `reproduce checkpoints` put corpus and features."""

TARGETS = ("checkpoints", *EXPERIMENTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training reproduce`."""
    parser.add_argument("target", choices=TARGETS, help="what to make again; docs/reproduce.md says what each one is")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of corpus/ and features/ (data); tables "
                        "and figures also take a corpus alone, BEAT as it is published, and VOCASET for table-3")  # fmt: skip
    parser.add_argument("--corpus", type=Path, help="table-3 on VOCASET: what models are trained on, as --data of the "
                        "other targets (data)")  # fmt: skip
    parser.add_argument("--features", type=Path, help="folder of features of the corpus, used if they fit (features/ in "
                        "--data; computed otherwise)")  # fmt: skip
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for the runs (runs)")
    parser.add_argument("--out", type=Path, help="where the result goes (checkpoints, or runs/reproduce/TARGET)")
    parser.add_argument(
        "--speech", type=Path, default=os.environ.get("TALKER_SPEECH"),
        help="checkpoints: folder of {speaker}-{chapter}-{utterance}.flac (default: the variable TALKER_SPEECH)",
    )  # fmt: skip
    parser.add_argument("--unlabelled", type=Path, help="checkpoints: npz of MFCCs of further speech, for the encoder")
    parser.add_argument("--processes", type=int, default=1, help="checkpoints: trainers of one model side by side, one a "
                        "GPU (1: best on a CPU)")  # fmt: skip
    parser.add_argument("--full", action="store_true", help="the papers' budget instead of a few hours on two cores")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="rows of a table side by side, one "
                        "process and one thread each (%(default)s)")  # fmt: skip
    parser.add_argument("--steps", type=int, help="training steps of every row, for a trial")
    parser.add_argument("--limit", type=int, help="so many held-out utterances with one take each, for a trial")
    parser.add_argument("--model", help="table-4, figure-5, figure-6: measure this checkpoint (a name or a folder) instead "
                        "of training a student")  # fmt: skip
    parser.add_argument("--rig", help="table-3, figure-5, figure-6: the face, as for `python -m talker speak`; VOCASET "
                        "needs ARKit's shapes in its own topology")  # fmt: skip
    parser.add_argument("--encoder", help="speech encoder: folder or hub id; default: the embedded one, and the "
                        "recipe's with --full on BEAT")  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Runs `python -m training reproduce`."""
    if args.target == "checkpoints":
        from training.reproduce.checkpoints import reproduce_checkpoints

        if args.speech is None:
            raise TalkerError("Say where the speech is: --speech DIR, or the environment variable TALKER_SPEECH.")
        out = args.out or CHECKPOINTS
        return reproduce_checkpoints(Path(args.speech), args.data, args.runs, out, args.unlabelled, max(1, args.processes))
    print(importlib.import_module(EXPERIMENTS[args.target]).run(make_setup(args)), end="")


def make_setup(args: argparse.Namespace):
    """The Setup of a table or figure from the command line."""
    from training.vocaset import VERTICES_FILE
    from training.reproduce.setup import FULL, SMALL, Setup, find_corpus, find_encoder

    budget = FULL if args.full else SMALL
    if args.steps:
        budget = dataclasses.replace(budget, name=f"{args.steps}-step trial", steps=args.steps, distill_steps=args.steps,
                                     own_steps={}, personal_steps=args.steps)  # fmt: skip
    if args.limit:
        budget = dataclasses.replace(budget, utterances=args.limit, takes=1, seconds=1.0, repeats=1, trial=True)
    runs = args.runs / "reproduce"
    vocaset = args.data if args.target == "table-3" and (args.data / VERTICES_FILE).exists() else None
    corpus, features = find_corpus(args.corpus or (DATA if vocaset else args.data), runs)
    setup = Setup(corpus, "", runs, args.out or runs / args.target, budget, max(1, args.jobs), args.features or features,
                  vocaset, args.rig, args.model)  # fmt: skip
    return dataclasses.replace(setup, encoder=find_encoder(args.encoder, budget, setup.data))
