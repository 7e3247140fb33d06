"""Measures of a checkpoint on speech that it was not trained on: python -m training evaluate."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from render.rig import default_rig
from talker.atomic import whole_file
from talker.audio import Speech
from talker.checkpoints import CONFIG_FILE, WEIGHTS_FILE, load_config
from talker.errors import TalkerError
from talker.models import DiffusionTalker
from talker.motion import Motion, sway
from talker.pipeline import CHECKPOINTS, MAX_TAKES, Talker, checkpoint_folder
from talker.samplers import SAMPLERS
from training import cards, encoder_evaluation, metrics, odd_sounds, other_languages, real_speech, style_evaluation
from training.bars import Bar, bar_table, table
from training.beat import CORPUS_FILE, Utterance, read_corpus
from training.comparison import compare
from training.encoder_data import is_real
from training.encoder_training import HEADS_FILE
from training.reproduce.runs import side_by_side

NOTE = "synthetic corpus: motion made by an articulation model from real and synthetic speech"

VIDEOS = 10
"""Comparison videos that --videos writes, of utterances spread evenly over the unseen speakers."""

REFERENCE = DiffusionTalker.config_class.model_type
"""Kind of the model beside which the others are held."""

MOST_STEPS, FEW_STEPS = 64, 32
"""A model of more steps than the first is measured with as many as the second, by DDIM, as its distillation walks it
(training.distillation): all 500 of a teacher take hours."""

TEACHER = "-teacher"
"""Behind the name of a student, the name of its teacher; in one command with its student a teacher, which takes long, is
measured on errors alone."""

AS_GOOD = 1.1
"""A student's lip error over its teacher's, at most."""

GROUPS = ("real", "languages", "errors", "styles", "identities")
"""What can be measured."""

STYLES_MORE = 3
"""So many times as many utterances for styles as for errors: what a style is worth for the upper face is less than what
chance does to it in a few dozen."""


def errors(talker: Talker, utterances: Iterable[Utterance], takes: int = 4, seed: int = 0) -> dict:
    """MBE, LBE and |FDD| against the corpus's motion, averaged over takes, the identity matched by voice, and how lively
    lids, brows and head of both are (liveliness); utterances of the library's speakers that were held out of training.
    Noise is drawn for each, from `seed` on, as it decides where a take blinks and raises the brows."""
    rows, made, recorded = [], [], []
    for index, utterance in enumerate(utterances):
        speech = utterance.speech()
        sampled = talker.speak(speech, takes=takes, seed=seed + index)
        motion = utterance.motion(sampled.fps, speech.frames(sampled.fps))
        truth = motion.coefficients
        rows += [(metrics.mbe(c, truth), metrics.lbe(c, truth), metrics.fdd(c, truth)) for c in sampled.coefficients]
        made += sampled.motions
        recorded.append(motion)
    mbe, lbe, fdd = np.mean(rows, axis=0)
    return {
        "takes": len(rows), "MBE": float(mbe), "LBE": float(lbe), "|FDD|": abs(float(fdd)),
        "liveliness": {"model": liveliness(made), "corpus": liveliness(recorded)},
    }  # fmt: skip


def liveliness(motions: Sequence[Motion]) -> dict[str, float]:
    """Of motions: blinks a minute, the share of them longer than metrics.LONG_BLINK, and, as means over motions, the
    standard deviation of the brows and how far the head sways, rad."""
    found = [metrics.blinks(one.coefficients, one.fps) for one in motions]
    count = sum(map(len, found))
    return {
        "blinks_a_minute": count / (sum(one.seconds for one in motions) / 60),
        "long_blinks": float((np.concatenate(found) > metrics.LONG_BLINK).mean()) if count else 0.0,
        "brows": float(np.mean([metrics.brow_activity(one.coefficients) for one in motions])),
        "sway": float(np.mean([sway(one.head) for one in motions])),
    }


def identities(
    talker: Talker, utterances: Iterable[Utterance], condition: Callable[[Speech], Speech] = lambda speech: speech
) -> dict:
    """Whether held-out utterances of the library's speakers find their own identity among all.

    condition : what happens to the speech before it is heard
    """
    pairs = [(talker.match(condition(u.speech())).name, u) for u in utterances]
    table = metrics.precision_recall_f1([name for name, _ in pairs], [u.speaker for _, u in pairs])
    real = [name == u.speaker for name, u in pairs if is_real(u)]
    return {
        "utterances": len(pairs),
        "speakers": len({u.speaker for _, u in pairs}),
        "library": len(talker.identities),
        **table,
        "accuracy_of_recorded_voices": float(np.mean(real)) if real else None,
        "recorded_utterances": len(real),
        "mistaken": [[u.id, name] for name, u in pairs if name != u.speaker],
    }


def identities_clean_and_noisy(talker: Talker, utterances: list[Utterance]) -> dict:
    """identities of the recordings as they are and in white noise, with their bars."""
    clean = identities(talker, tqdm(utterances, "identities"))
    noise = identities(talker, tqdm(utterances, "identities in noise"), real_speech.noisy)
    bars = [
        Bar("identity, F1", clean["f1"], ">=", 0.98),
        Bar(f"identity at {real_speech.NOISE_DB:g} dB, F1", noise["f1"], ">=", 0.93),
    ]
    return {**clean, "noise_db": real_speech.NOISE_DB, "noise": noise, "bars": [bar.entry() for bar in bars]}


def walking(model: str, sampling: dict | None = None, steps: int | None = None) -> Talker:
    """A checkpoint as a Talker that walks its steps as it is measured.

    sampling : fields of the model's config to change, "sampler" and "lip_noise"
    steps    : at most so many; unless given, all of them, or FEW_STEPS by DDIM of a model of more than MOST_STEPS
    """
    talker, sampling = Talker.from_pretrained(model), sampling or {}
    if steps is None and talker.max_steps > MOST_STEPS:
        steps, sampling = FEW_STEPS, {"sampler": "ddim"} | sampling
    if steps is not None and steps < talker.max_steps:
        talker.denoiser.schedule.subset(steps)  # refuses what is no number of steps
        talker.own_steps = steps
    talker.denoiser.config = dataclasses.replace(talker.denoiser.config, **sampling)
    return talker


def evaluate(
    model: str,
    corpus: Path,
    limit: int | None = None,
    only: str | None = None,
    sampling: dict | None = None,
    takes: int = 4,
    steps: int | None = None,
    most_known: int | None = None,
) -> dict:
    """All measures of one checkpoint, as written by the command.

    sampling, steps : for comparisons, see walking
    takes           : per utterance
    most_known      : held-out utterances of known speakers, evenly spread, STYLES_MORE times as many for styles; voices are
                      matched of all of them
    """
    talker = walking(model, sampling, steps)
    strangers = [u for u in read_corpus(corpus, ("heldout_speaker",)) if u.text_grid][:limit]
    known = read_corpus(corpus, ("heldout_utterance",))[:limit]
    if not strangers and not known:
        raise TalkerError(f"{corpus} has no held-out speech; make it with `python -m training corpus`.")
    config = talker.denoiser.config
    report: dict = {
        "model": talker.name, "kind": config.model_type, "steps": talker.max_steps,
        "steps_walked": talker.own_steps or talker.max_steps, **(sampling or {}), "sampler": config.sampler, "data": NOTE,
    }  # fmt: skip
    if strangers and only in (None, "real"):
        unseen = tqdm(strangers, "unseen speakers")
        own = report["real_speech"] = real_speech.real_speech(talker, unseen, default_rig(), takes)
        open_metres = own["clean"]["model"]["open_millimetres"] / 1000
        report["odd_sounds"] = odd_sounds.odd_sounds(talker, default_rig(), open_metres)
    if only in (None, "languages"):
        sentences = min(limit or other_languages.UTTERANCES, other_languages.UTTERANCES)
        report["other_languages"] = other_languages.other_languages(talker, default_rig(), sentences)
    if known and only in (None, "errors"):
        chosen = tqdm(_at_most(known, most_known), "held-out utterances")
        report["held_out_utterances"] = errors(talker, chosen, takes)
    if known and only in (None, "identities") and talker.denoiser.library is not None:
        report["identity_matching"] = identities_clean_and_noisy(talker, known)
    if known and only in (None, "styles") and "style" in talker.denoiser.guidances:
        chosen = tqdm(_at_most(known, most_known and STYLES_MORE * most_known), "styles")
        report["styles"] = style_evaluation.styles(talker, corpus, chosen, default_rig(), takes)
    return beside_real_english(report)


def _at_most(utterances: list[Utterance], count: int | None) -> list[Utterance]:
    """At most `count` of the utterances, evenly spread."""
    return utterances[:: -(-len(utterances) // count)] if count else utterances


def beside_real_english(report: dict) -> dict:
    """The report, in which other languages, if they were measured, have bars against real English, too, if that was."""
    if "other_languages" in report:
        columns = report["other_languages"]["languages"]
        found = other_languages.bars(columns, report.get("real_speech", {}).get("clean"))
        report["other_languages"]["bars"] = [bar.entry() for bar in found]
    return report


def measured(folder: Path, corpus: Path, keep: Path | None = None, **options) -> dict:
    """evaluate of a checkpoint's folder, or evaluate_encoder of a speech encoder's, which with `keep`, a folder, is done
    once for the same weights, speech and options."""
    encoder = encoder_evaluation.is_encoder(folder)
    measure = encoder_evaluation.evaluate_encoder if encoder else evaluate
    if keep is None:
        return measure(str(folder), corpus, **options)
    digest = hashlib.blake2b(json.dumps(options, sort_keys=True).encode(), digest_size=8)
    config = load_config(folder)
    encoders = [CHECKPOINTS / config[name] for name in ("encoder", "style_encoder") if config.get(name)]
    parts = [place / name for place in (folder, *encoders) for name in (WEIGHTS_FILE, CONFIG_FILE, HEADS_FILE)]
    for path in (*parts, corpus / CORPUS_FILE):
        digest.update(path.read_bytes() if path.exists() else b"")
    kept = keep / f"{folder.name}-{digest.hexdigest()}.json"
    if not kept.exists():
        report = measure(str(folder), corpus, **options)
        with whole_file(kept) as temporary:
            temporary.write_text(json.dumps(report) + "\n")  # NaN as Python reads it again
    return json.loads(kept.read_text())


def all_measured(folders: Sequence[Path], args: argparse.Namespace, sampling: dict) -> list[dict]:
    """The reports of checkpoints in the order of their folders, by the command's arguments, args.jobs processes side by
    side, each with a group of measures of a model."""
    names = [folder.name for folder in folders]
    tasks = []
    for folder in folders:
        if encoder_evaluation.is_encoder(folder):
            tasks.append((folder, {"limit": args.limit}))
            continue
        taught = folder.name.endswith(TEACHER) and folder.name.removesuffix(TEACHER) in names
        options = {"limit": args.limit, "sampling": sampling, "takes": args.takes, "steps": args.steps}
        own = args.only or ("errors" if taught else None)
        for group in [own] if own else GROUPS:
            most_known = args.known if group in ("errors", "styles") else None  # what changes nothing is no other measure
            tasks.append((folder, {**options, "most_known": most_known, "only": group}))
    # The same group of all models before the next one: the long ones do not come last.
    tasks.sort(key=lambda task: GROUPS.index(task[1].get("only", GROUPS[-1])))
    found = side_by_side(partial(_measured_by, args.corpus, args.keep), tasks, args.jobs, "measure")
    reports: dict[Path, dict] = {folder: {} for folder in folders}
    for (folder, _), part in zip(tasks, found, strict=True):
        reports[folder] |= part
    return [beside_real_english(report) for report in reports.values()]


def _measured_by(corpus: Path, keep: Path | None, folder: Path, options: dict) -> dict:
    return measured(folder, corpus, keep, **options)


def set_against(report: dict, others: Iterable[dict]) -> None:
    """Add to the report of another kind of model its bars against the first DiffusionTalker of the same command."""
    reference = next((one for one in others if one["kind"] == REFERENCE and "real_speech" in one), None)
    if reference and report["kind"] != REFERENCE and "real_speech" in report:
        columns = (one["real_speech"]["clean"]["model"] for one in (report, reference))
        bars = [bar.entry() for bar in real_speech.bars_against(*columns)]
        report["against"] = {"model": reference["model"], "bars": bars}


def set_beside_teacher(report: dict, others: Iterable[dict]) -> None:
    """Add to the report of a student its bar beside its teacher, the model of the same command called as it is with
    TEACHER behind."""
    teacher = next((one for one in others if one["model"] == report["model"] + TEACHER), None)
    if teacher and all("held_out_utterances" in one for one in (report, teacher)):
        share = report["held_out_utterances"]["LBE"] / teacher["held_out_utterances"]["LBE"]
        bars = [Bar("lip error of the student / its teacher's", share, "<=", AS_GOOD).entry()]
        report["beside_teacher"] = {"model": teacher["model"], "bars": bars}


def write_videos(talker: Talker, corpus: Path, folder: Path, count: int = VIDEOS) -> None:
    """Comparison videos and sheets of close-ups of one model, into a folder of its name; prints their paths."""
    strangers = [u for u in read_corpus(corpus, ("heldout_speaker",)) if u.text_grid]
    if not strangers:
        raise TalkerError(f"{corpus} has no unseen speakers; make it with `python -m training corpus`.")
    chosen = [strangers[k] for k in np.unique(np.linspace(0, len(strangers) - 1, count).round().astype(int))]
    for path in compare(talker, tqdm(chosen, "videos"), default_rig(), folder / talker.name):
        print(path, flush=True)


def as_text(report: dict) -> str:
    """A report as tables for people."""
    parts = [f"{report['model']}, {cards.steps_of(report)} steps by {report['sampler']}. {report['data']}"]
    if "real_speech" in report:
        parts.append(real_speech.as_text(report["real_speech"], report["model"]))
    if "odd_sounds" in report:
        parts += [odd_sounds.as_text(report["odd_sounds"]), bar_table("bars on odd sounds", report["odd_sounds"]["bars"])]
    if "other_languages" in report:
        parts += [other_languages.as_text(report["other_languages"])]
        parts += [bar_table("bars on other languages", report["other_languages"]["bars"])]
    if "held_out_utterances" in report:
        own = {name: value for name, value in report["held_out_utterances"].items() if name != "liveliness"}
        parts.append(table("held-out utterances of known speakers", list(own), [list(own.values())]))
        if lively := report["held_out_utterances"].get("liveliness"):
            names = list(lively["model"])
            rows = [[name.replace("_", " "), *(lively[who][name] for who in lively)] for name in names]
            parts.append(table("lids, brows and head", ["", *lively], rows))
    if "identity_matching" in report:
        clean = report["identity_matching"]
        title = f"identity by voice, {clean['utterances']} held-out utterances, {clean['library']} identities"
        keys = ("precision", "recall", "f1", "accuracy", "accuracy_of_recorded_voices")
        rows = [["clean", *(clean[k] for k in keys)]]
        rows += [[f"white noise at {clean['noise_db']:g} dB", *(clean["noise"][k] for k in keys)]]
        parts += [table(title, ["", *(key.replace("_", " ") for key in keys)], rows)]
        parts += [bar_table("bars on identities", clean["bars"])]
    if "styles" in report:
        parts += [style_evaluation.as_text(report["styles"]), bar_table("bars on styles", report["styles"]["bars"])]
    if "against" in report:
        parts += [bar_table(f"bars against {report['against']['model']}", report["against"]["bars"])]
    return "\n\n".join(parts)


def _finite(value):
    """The same with None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training evaluate`."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="checkpoint names or folders")
    parser.add_argument("--corpus", type=Path, default=Path("data/corpus"), help="made by `corpus` (data/corpus)")
    parser.add_argument("--only", choices=GROUPS, help="one group of measures (docs/evaluation.md)")
    parser.add_argument("--limit", type=int, help="so many utterances of each kind only, for a trial")
    parser.add_argument("--known", type=int, metavar="N", help="errors on at most so many held-out utterances of known speakers, evenly "
                        f"spread, and styles on {STYLES_MORE} times as many (all)")  # fmt: skip
    parser.add_argument("--takes", type=int, default=4, help=f"per utterance, 1 to {MAX_TAKES} (4)")
    parser.add_argument(
        "--steps", type=int,
        help=f"denoising steps of every model, at most (all; {FEW_STEPS} by DDIM of a model of more than {MOST_STEPS})",
    )  # fmt: skip
    parser.add_argument("--sampler", choices=sorted(SAMPLERS), help="instead of the model's own")
    parser.add_argument("--lip-noise", type=float, help="scale of the lips' start noise, instead of the model's own")
    parser.add_argument("--jobs", type=int, default=1, help="groups of measures side by side, one process and one thread each (%(default)s)")
    parser.add_argument("--out", type=Path, help="also write everything as JSON here")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep measures here, and do not take again what is there")
    parser.add_argument("--card", action="store_true", help="also write each checkpoint's MODEL_CARD.md, in which the models are compared")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="also put the table of results into this file, in the place of the one it has")
    parser.add_argument(
        "--videos", type=Path, metavar="DIR",
        help=f"instead of measuring, write {VIDEOS} videos of unseen speakers and sheets of close-ups into DIR/MODEL",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Runs `python -m training evaluate`: prints tables, writes JSON; or writes videos."""
    sampling = {"sampler": args.sampler, "lip_noise": args.lip_noise}
    sampling = {key: value for key, value in sampling.items() if value is not None}
    if args.videos:
        for model in args.models:
            write_videos(walking(model, sampling, args.steps), args.corpus, args.videos, min(args.limit or VIDEOS, VIDEOS))
        return
    if args.card and (args.only or args.limit):
        raise TalkerError("A model card holds all measures on all held-out speech; leave --only and --limit out.")
    folders = [checkpoint_folder(model) for model in args.models]
    reports = all_measured(folders, args, sampling)
    encoders = [encoder_evaluation.is_encoder(folder) for folder in folders]
    models = [report for report, encoder in zip(reports, encoders) if not encoder]
    for report, encoder in zip(reports, encoders):
        if not encoder:
            set_against(report, models)
        print(encoder_evaluation.as_text(report) if encoder else as_text(report), end="\n\n", flush=True)
    for report in models:
        set_beside_teacher(report, models)
        if "beside_teacher" in report:
            found = report["beside_teacher"]
            print(bar_table(f"bars of {report['model']} beside {found['model']}", found["bars"]), end="\n\n", flush=True)
    if args.out:
        with whole_file(args.out) as temporary:
            temporary.write_text(json.dumps(_finite(reports), indent=2, allow_nan=False) + "\n")
    for report, folder, encoder in zip(reports, folders, encoders) if args.card else ():
        if encoder:
            encoder_evaluation.write_card(report, folder)
        else:
            cards.write_card(report, folder, args.corpus, models)
    if args.readme:
        text = cards.with_results(args.readme.read_text(encoding="utf-8"), models)
        with whole_file(args.readme) as temporary:
            temporary.write_text(text, encoding="utf-8")
