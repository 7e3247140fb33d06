"""The command line: python -m talker speak | identities | enrol | forget | personalise | models | styles | fetch-rig | bench."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from talker.errors import TalkerError


def speak(args: argparse.Namespace) -> None:
    """Speech in, takes, exports and pictures out."""
    from talker.audio import load_speech

    speech = load_speech(args.audio)

    from render.views import chosen

    pictures = chosen(args.size, args.fps, args.view, args.truth, args.stills, args.transparent)
    pictures.check(args.takes, speech.seconds)

    from render.rigs.load import find_rig

    rig, rig_report = find_rig(args.rig)
    if rig_report.missing:
        print(f"talker: {rig_report.summary()}", file=sys.stderr)

    from render.export import write_outputs
    from talker.guidance import parse_guidance

    style = _style(args.style)
    guidance = parse_guidance(args.guidance) if args.guidance else None
    talker = _talker(args)
    edit = _edit(args, speech.frames(talker.denoiser.config.fps), talker.denoiser.config.fps)
    with _progress(args.quiet) as show:
        takes = talker.speak(
            speech, takes=args.takes, seed=args.seed, identity=args.identity, steps=args.steps, guidance=guidance,
            callback=show, style=style, head=not args.no_head, edit=edit, sampler=args.sampler,
        )  # fmt: skip
        if style is not None and not isinstance(style, str):
            takes = takes.in_style_of(args.style)
        outputs = write_outputs(
            takes, speech, args.out, rig, video=not args.no_video, callback=show, rig_report=rig_report, pictures=pictures
        )
    print(Path(outputs.report_json).read_text())


def _style(text: str | None):
    """A style's name, or the motion of a file as an example."""
    from talker.formats import read_motion

    return read_motion(text) if text and Path(text).suffix.lower() in (".npz", ".csv", ".json") else text


def _edit(args: argparse.Namespace, frames: int, fps: float):
    """The edit that the arguments describe, of so many frames at a model's rate, or None."""
    from talker.edit_file import read_edit
    from talker.editing import plan_edit, still
    from talker.formats import read_motion

    keep = (args.keep_first, args.keep_last)
    if not args.keyframes and not any(keep):
        if args.motion:
            raise TalkerError("Say what to keep of the motion to edit: --keep-first, --keep-last, or locks in a --keyframes file.")
        return None
    keyframes, locks = read_edit(args.keyframes) if args.keyframes else ([], [])
    if not args.motion and (locks or any(keep)):
        raise TalkerError("There is no motion to keep; name the takes.npz, .csv or .json that is edited with --motion.")
    motion = read_motion(args.motion, args.take) if args.motion else still(frames, fps)
    return plan_edit(motion, keyframes, locks, keep, fps)


def identities(args: argparse.Namespace) -> None:
    """One name a line; on stderr, which enrolled identities this model cannot use, and why."""
    talker = _talker(args)
    for name in talker.library.enrolled if args.enrolled else talker.identities:
        print(name)
    for sentence in talker.library.refused.values():
        print(f"talker: {sentence}", file=sys.stderr)


def enrol(args: argparse.Namespace) -> None:
    """A new identity into the library file, and a few lines on what it is made of."""
    from talker.audio import load_speech
    from talker.enrol import check_name, enrol
    from talker.formats import read_motion
    from talker.identity_file import add_identity

    speeches = [load_speech(path) for path in args.recordings]
    motions = [read_motion(path) for path in args.motion]
    talker = _talker(args)
    check_name(talker, args.name)
    with _progress(args.quiet or not motions) as show:  # speech alone takes no time
        made = enrol(talker, args.name, speeches, motions, callback=show)
    path = add_identity(made.identity, args.library)
    count = f"{len(speeches)} recording{'s' if len(speeches) > 1 else ''}"
    print(f"{made.identity.name}: enrolled from {count}, {made.seconds:.1f} s of speech, in {path}")
    print("mixture: " + ", ".join(f"{name} {weight:.2f}" for name, weight in made.neighbours.items()))
    if made.after is not None:
        print(
            f"mean absolute error of lips and jaw on the held-out last {made.held_out:.1f} s: "
            f"{made.before:.4f} with the mixture, {made.after:.4f} fine-tuned"
        )


def personalise(args: argparse.Namespace) -> None:
    """A delta that makes a model speak as one person, and a line on what it brought."""
    from talker.audio import load_speech
    from talker.formats import read_motion
    from talker.personalise import ADVISED_SECONDS, check_recordings, personalise

    speeches = [load_speech(path) for path in args.speech]
    motions = [read_motion(path) for path in args.motion]
    check_recordings(speeches, motions)
    seconds = sum(speech.seconds for speech in speeches)
    if seconds < ADVISED_SECONDS:
        print(f"talker: {seconds:.0f} s are little to learn from; {ADVISED_SECONDS:g} s to 100 s make a better model", file=sys.stderr)
    talker = _talker(args)
    with _progress(args.quiet) as show:
        made = personalise(talker, speeches, motions, show, args.name)
    path = made.save(args.out)
    print(f"{made.name}: {made.model} personalised on {made.seconds:.1f} s, in {path}; give it to `speak` as --delta")
    print(
        f"mean absolute error of lips and jaw on the held-out last {made.held_out:.1f} s: {made.before:.4f} before, "
        f"{made.after:.4f} personalised"
    )


def forget(args: argparse.Namespace) -> None:
    """An enrolled identity out of the library file."""
    from talker.identity_file import remove_identity

    for name in args.names:
        print(f"{name}: removed from {remove_identity(name, args.library)}")


def _talker(args: argparse.Namespace):
    """The model that the arguments name, with the enrolled identities."""
    from talker.identity_file import read_identities
    from talker.pipeline import Talker

    enrolled = read_identities(args.library)
    talker = Talker.from_pretrained(args.model, device=getattr(args, "device", None))
    if not getattr(args, "delta", None):
        return talker.with_enrolled(enrolled)
    from talker.personalise import load_delta

    return load_delta(talker, args.delta)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr that shows the stage and its share done."""
    from tqdm import tqdm

    with tqdm(total=100, bar_format="{desc:<8} {bar} {n:3.0f} %", disable=quiet) as bar:

        def show(stage: str, fraction: float) -> None:
            bar.set_description_str(stage, refresh=False)
            bar.n = round(100 * fraction)
            bar.refresh()

        yield show


def models(args: argparse.Namespace) -> None:
    """One checkpoint a line: its name and what it is."""
    from talker.pipeline import available_models

    for name, summary in available_models().items():
        print(f"{name}\t{summary}")


def styles(args: argparse.Namespace) -> None:
    """One speaking style a line: its name and what it is."""
    for name, line in _talker(args).styles.items():
        print(f"{name}\t{line}")


def fetch_rig(args: argparse.Namespace) -> None:
    """ICT-FaceKit into a folder that --rig takes."""
    from render.rigs.fetch import fetch_ict

    folder = fetch_ict(args.directory)
    print(f"{folder}: give it to `speak` as --rig")


def bench(args: argparse.Namespace) -> None:
    """Inference time per frame, of one model as JSON, of all as a table."""
    from talker.bench import measure, table
    from talker.pipeline import available_models

    models = list(available_models()) if args.all else [args.model]
    measured = measure(models, args.seconds, args.takes, args.steps, args.repeats)
    print(table(measured) if args.all else json.dumps(measured[0], indent=2))


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _add_library(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--library", metavar="FILE",
        help="file of enrolled identities (default: $TALKER_IDENTITIES, else one in your data folder)",
    )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(prog="python -m talker", description="Recorded speech in, talking 3D faces out.")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")

    add = verbs.add_parser("speak", help="animate a recording: takes, curves, GLB and video")
    add.add_argument("audio", metavar="AUDIO", help="recording: wav, flac, mp3, ogg, m4a or webm, up to 60 s")
    add.add_argument("--out", required=True, metavar="DIR", help="folder to write into; made if missing")
    add.add_argument("--takes", type=_count, default=4, help="how many animations to sample (default 4)")
    add.add_argument("--seed", type=int, default=0, help="the same seed gives the same takes (default 0)")
    add.add_argument(
        "--identity", default="auto", metavar="auto|NAME|BLEND",
        help="talking identity: matched by voice (default), a name, or a blend such as NAME:0.7,OTHER:0.3",
    )  # fmt: skip
    add.add_argument("--model", default="diffusiontalker", metavar="NAME", help="checkpoint name or folder")
    add.add_argument("--steps", type=_count, help="denoising steps, 1 to the model's own (default: all of them)")
    add.add_argument(
        "--guidance", metavar="1.15|audio=1.15,style=3",
        help="how closely takes follow the speech, or speech and style, for models trained with it; less is more diverse",
    )  # fmt: skip
    add.add_argument("--delta", metavar="FILE", help="speak as the person of this file, which `personalise` wrote for the model")
    add.add_argument(
        "--style", metavar="NAME|FILE",
        help="speaking style: a name (see `styles`), or motion that shows it (.csv, .json, .npz), for models with styles",
    )  # fmt: skip
    add.add_argument("--sampler", metavar="NAME", help="ddim, ancestral or dpm-solver++ (default: the checkpoint's)")
    add.add_argument("--no-head", action="store_true", help="the head stays still")
    add.add_argument(
        "--keyframes", metavar="FILE", help="values at given times, and what is locked: JSON or CSV, see docs/editing.md"
    )
    add.add_argument("--motion", metavar="FILE", help="motion of this speech to edit: takes.npz, Live Link Face .csv, BEAT .json")
    add.add_argument("--take", type=_count, default=1, help="which take of --motion's takes.npz (default 1)")
    for end in ("first", "last"):
        add.add_argument(
            f"--keep-{end}", type=float, default=0.0, metavar="SHARE", help=f"keep the {end} part of --motion, as 0.1 for a tenth"
        )
    add.add_argument(
        "--rig", metavar="LOOK|PATH",
        help="face: lena, kofi or mei, or a GLB with ARKit shapes, an OBJ folder or zip, FLAME's .pkl (default: lena)",
    )
    add.add_argument("--no-video", action="store_true", help="skip the comparison video")
    add.add_argument("--size", default="720p", metavar="SIZE", help="720p, portrait-720p or 1280x720 (default 720p)")
    add.add_argument("--fps", type=float, metavar="25|30|60", help="frames a second of the video (default: the takes' own)")
    add.add_argument(
        "--view", default="takes", metavar="takes|spread|difference",
        help="takes side by side; one head coloured by how much takes differ; or two takes laid over each other",
    )  # fmt: skip
    add.add_argument("--truth", metavar="FILE", help="recorded motion of this speech to show first: .csv, .json or .npz")
    add.add_argument("--stills", default="", metavar="0.5,1.2", help="seconds to save as still-SECONDS.png")
    add.add_argument("--transparent", action="store_true", help="also comparison.webm and stills without background")
    add.add_argument("--device", help="cpu or cuda (default: what there is)")
    add.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_library(add)
    add.set_defaults(run=speak)

    add = verbs.add_parser("identities", help="list the identities, learned and enrolled")
    add.add_argument("--model", default="diffusiontalker", metavar="NAME")
    add.add_argument("--enrolled", action="store_true", help="only those that were enrolled")
    _add_library(add)
    add.set_defaults(run=identities)

    about = (
        "Add an identity from recordings of one speaker, up to 60 s each. From speech alone it is a mixture of the most "
        "similar identities; with --motion, an embedding fine-tuned on it. Ask the speaker first."
    )
    add = verbs.add_parser("enrol", help="add an identity from recordings of a speaker", description=about)
    add.add_argument("name", metavar="NAME", help="what to call it")
    add.add_argument("recordings", nargs="+", metavar="RECORDING", help="speech of one speaker, any audio format")
    add.add_argument(
        "--motion", nargs="+", default=[], metavar="FILE",
        help="what the face did in each recording, in their order: Live Link Face .csv, BEAT .json or takes .npz",
    )  # fmt: skip
    add.add_argument("--model", default="diffusiontalker", metavar="NAME", help="checkpoint name or folder")
    add.add_argument("--device", help="cpu or cuda (default: what there is)")
    add.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_library(add)
    add.set_defaults(run=enrol)

    about = (
        "Fine-tune a whole model on 30 s to 100 s of one person's speech and motion, in a minute or two on one CPU core. "
        "What it learned is a small file that `speak --delta` loads on top of the model. Ask the person first."
    )
    add = verbs.add_parser("personalise", help="fine-tune a model on one person's speech and motion", description=about)
    add.add_argument("name", metavar="NAME", help="what to call the person")
    add.add_argument("--speech", nargs="+", required=True, metavar="FILE", help="recordings of the person, up to 60 s each")
    add.add_argument(
        "--motion", nargs="+", required=True, metavar="FILE",
        help="what the face did in each recording, in their order: Live Link Face .csv, BEAT .json or takes .npz",
    )  # fmt: skip
    add.add_argument("--out", required=True, metavar="FILE", help="file to write, such as anna.safetensors")
    add.add_argument("--model", default="diffusiontalker", metavar="NAME", help="checkpoint name or folder")
    add.add_argument("--device", help="cpu or cuda (default: what there is)")
    add.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_library(add)
    add.set_defaults(run=personalise)

    add = verbs.add_parser("forget", help="remove an enrolled identity")
    add.add_argument("names", nargs="+", metavar="NAME")
    _add_library(add)
    add.set_defaults(run=forget)

    verbs.add_parser("models", help="list the checkpoints").set_defaults(run=models)

    add = verbs.add_parser("styles", help="list the speaking styles of a model")
    add.add_argument("--model", default="diffposetalk", metavar="NAME", help="checkpoint name or folder")
    add.set_defaults(run=styles, library=None)

    add = verbs.add_parser("fetch-rig", help="download ICT-FaceKit, a face under the MIT licence, for --rig")
    add.add_argument("directory", metavar="DIR", help="new folder to write into")
    add.set_defaults(run=fetch_rig)

    add = verbs.add_parser("bench", help="inference time per frame (ITF) by stage, as JSON; of all models as a table")
    add.add_argument("--model", default="diffusiontalker", metavar="NAME")
    add.add_argument("--all", action="store_true", help="all checkpoints, taking turns")
    add.add_argument("--seconds", type=float, default=10.0, help="length of the speech (default 10)")
    add.add_argument("--takes", type=_count, default=4)
    add.add_argument("--steps", type=_count)
    add.add_argument("--repeats", type=_count, default=5, help="runs, of which the median counts (default 5)")
    add.set_defaults(run=bench)
    return root


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, or 2 with one sentence on stderr for bad input."""
    args = parser().parse_args(arguments)
    try:
        args.run(args)
    except TalkerError as error:
        print(f"talker: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
