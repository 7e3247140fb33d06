"""Measures of a checkpoint on speech that it was not trained on: python -m training evaluate."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from render.rig import Rig, default_rig, lip_aperture
from talker.atomic import whole_file
from talker.errors import TalkerError
from talker.pipeline import Talker
from talker.samplers import SAMPLERS
from training import metrics
from training.beat import Utterance, read_corpus

NOTE = "synthetic corpus: motion made by an articulation model from real and synthetic speech"


def lips(talker: Talker, utterances: Iterable[Utterance], rig: Rig, seed: int = 0) -> dict:
    """Lip closure on the rig (metrics.aperture_ratios) and difference of four takes, per utterance of
    speakers never trained on. Take 1 counts for closure."""
    rows, corpus_rows, upper, lower = [], [], [], []
    for utterance in utterances:
        speech, phones = utterance.speech(), utterance.phones()
        takes = talker.speak(speech, takes=4, seed=seed)
        rows.append((lip_aperture(rig, takes.coefficients[0]), takes.fps, phones))
        truth = utterance.motion(takes.fps, speech.frames(takes.fps))
        corpus_rows.append((lip_aperture(rig, truth.coefficients), takes.fps, phones))
        spread = takes.diversity()
        upper.append(spread["upper_face"])
        lower.append(spread["lips"])
    return {
        "utterances": len(rows),
        **metrics.aperture_ratios(rows),
        "corpus": metrics.aperture_ratios(corpus_rows),
        "diversity": {
            "upper_face": float(np.mean(upper)),
            "lips": float(np.mean(lower)),
            "ratio": float(np.mean(upper) / np.mean(lower)),
        },
    }


def errors(talker: Talker, utterances: Iterable[Utterance], takes: int = 4, seed: int = 0) -> dict:
    """MBE, LBE and |FDD| against the corpus's motion, averaged over takes, the identity matched by voice;
    utterances of the library's speakers that were held out of training."""
    rows = []
    for utterance in utterances:
        speech = utterance.speech()
        sampled = talker.speak(speech, takes=takes, seed=seed)
        truth = utterance.motion(sampled.fps, speech.frames(sampled.fps)).coefficients
        rows += [(metrics.mbe(c, truth), metrics.lbe(c, truth), metrics.fdd(c, truth)) for c in sampled.coefficients]
    mbe, lbe, fdd = np.mean(rows, axis=0)
    return {"takes": len(rows), "MBE": float(mbe), "LBE": float(lbe), "|FDD|": abs(float(fdd))}


def identities(talker: Talker, utterances: Iterable[Utterance]) -> dict:
    """Whether held-out utterances of the library's speakers find their own identity among all."""
    pairs = [(talker.match(u.speech()).name, u) for u in utterances]
    table = metrics.precision_recall_f1([name for name, _ in pairs], [u.speaker for _, u in pairs])
    real = [name == u.speaker for name, u in pairs if u.speaker.startswith("ls-")]
    return {
        "utterances": len(pairs),
        "speakers": len({u.speaker for _, u in pairs}),
        "library": len(talker.identities),
        **table,
        "accuracy_of_recorded_voices": float(np.mean(real)) if real else None,
        "recorded_utterances": len(real),
        "mistaken": [[u.id, name] for name, u in pairs if name != u.speaker],
    }


def evaluate(
    model: str, corpus: Path, limit: int | None = None, only: str | None = None, sampling: dict | None = None
) -> dict:
    """All measures of one checkpoint, as printed and written by the command.

    sampling : fields of the model's config to change, "sampler" and "lip_noise", for comparisons
    """
    talker = Talker.from_pretrained(model)
    talker.denoiser.config = dataclasses.replace(talker.denoiser.config, **(sampling or {}))
    strangers = [u for u in read_corpus(corpus, ("heldout_speaker",)) if u.text_grid][:limit]
    known = read_corpus(corpus, ("heldout_utterance",))[:limit]
    if not strangers and not known:
        raise TalkerError(f"{corpus} has no held-out speech; make it with `python -m training corpus`.")
    report: dict = {"model": talker.name, "steps": talker.max_steps, **(sampling or {}), "data": NOTE}
    if strangers and only in (None, "lips"):
        report["lips_of_unseen_speakers"] = lips(talker, tqdm(strangers, "unseen speakers"), default_rig())
    if known and only in (None, "errors"):
        report["held_out_utterances"] = errors(talker, tqdm(known, "held-out utterances"))
    if known and only in (None, "identities"):
        report["identity_matching"] = identities(talker, tqdm(known, "identities"))
    return report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training evaluate`."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="checkpoint names or folders")
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"), help="made by `corpus` (data/corpus)")
    parser.add_argument("--only", choices=("lips", "errors", "identities"), help="one group of measures")
    parser.add_argument("--limit", type=int, help="so many utterances of each kind only, for a trial")
    parser.add_argument("--sampler", choices=sorted(SAMPLERS), help="instead of the model's own")
    parser.add_argument("--lip-noise", type=float, help="scale of the lips' start noise, instead of the model's own")
    parser.add_argument("--out", type=Path, help="also write the JSON here")


def run(args: argparse.Namespace) -> None:
    """Runs `python -m training evaluate` and prints JSON."""
    sampling = {"sampler": args.sampler, "lip_noise": args.lip_noise}
    sampling = {key: value for key, value in sampling.items() if value is not None}
    text = json.dumps([evaluate(m, args.corpus, args.limit, args.only, sampling) for m in args.models], indent=2)
    print(text)
    if args.out:
        with whole_file(args.out) as temporary:
            temporary.write_text(text + "\n")
