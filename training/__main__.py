"""Training's command line: python -m training VERB."""

from __future__ import annotations

import argparse
import importlib
import sys

from talker.errors import TalkerError

VERBS = {
    "corpus": ("training.corpus", "make a training corpus in BEAT's layout from speech"),
    "speech-encoder": ("training.encoder_training", "train the compact speech encoder on a corpus"),
    "style-encoder": ("training.style_encoder", "train the speaking style encoder on a corpus's motion"),
    "train": ("training.trainer", "train a denoiser on a corpus"),
    "distill": ("training.distillation", "halve a teacher's steps by progressive distillation"),
    "evaluate": ("training.evaluate", "measure a checkpoint on held-out speech"),
    "reproduce": ("training.reproduce", "make the shipped checkpoints, a table or a figure of the paper again"),
}
"""Verb -> (module with add_arguments(parser) and run(args), one line of help)."""


def main(argv: list[str] | None = None) -> int:
    """Runs one verb; returns the exit code: 0, or 2 after one sentence on stderr for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    # Only the wanted verb's module is imported: torch takes seconds, and --help should not.
    chosen = next((word for word in argv if word in VERBS), None)
    for verb, (module, text) in VERBS.items():
        subparser = verbs.add_parser(verb, help=text, description=text)
        if verb == chosen:
            implementation = importlib.import_module(module)
            implementation.add_arguments(subparser)
            subparser.set_defaults(run=implementation.run)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except TalkerError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
