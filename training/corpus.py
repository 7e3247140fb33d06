"""The training corpus: real recordings and synthetic voices with motion, in BEAT's layout.

Real speech has words and phone times from training.alignment, synthetic speech from its engine;
training.articulation and training.expression make the motion. Every file depends on the seed and
its own name alone, so an interrupted run goes on where it stopped and gives the same corpus.

Speech and motion are two stages, each with a record of what its files were made from: a change of
the articulation makes the motion again and leaves the speech alone.
"""

from __future__ import annotations

import argparse
import ast
import csv
import hashlib
import importlib.util
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache as cached
from pathlib import Path

import soundfile
from tqdm import tqdm

from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from training import articulation, beat, voices
from training.alignment import Word, align_files, load_alignment
from training.articulation import generator, speaker_style
from training.expression import accents, perform

HELDOUT_SPEAKERS = 25
"""Speakers of a single utterance who never train: what quality on new voices is measured on."""

PER_VOICE = 98
"""Utterances of each synthetic voice: 10 hours together. With ten, models learned the sentences by heart: at
the first denoising step, the lip loss on held-out speech was three times that on training speech."""

PERFORMANCES = 2
"""Performances of every training utterance: same lips, upper face and head drawn anew."""

SPEECH_VERSION = 1
"""Raised when a voice, an engine's settings or the text changes, so that an old corpus is spoken again."""


@dataclass(frozen=True)
class Recording:
    """One utterance of the corpus to be.

    speaker, base : folder and name of its files; source : flac file, or the number of a synthetic one
    """

    speaker: str
    base: str
    sex: str
    engine: str
    source: str
    split: str


def _order(seed: int, names: list[str]) -> list[str]:
    """The names in an order that only seed and names decide."""
    return sorted(names, key=lambda name: generator("split", seed, name).random())


def split_utterances(seed: int, names: list[str]) -> dict[str, str]:
    """Split of one speaker's utterances: of the first ten by name, three are "heldout_utterance" and one
    "validation", so that a larger corpus is measured on the same speech; all further ones train."""
    ordered = _order(seed, sorted(names)[:10])
    held = round(0.3 * len(ordered))
    check = held + round(0.1 * len(ordered))
    return {
        name: "heldout_utterance" if k < held else "validation" if k < check else "train"
        for k, name in enumerate(ordered)
    } | {name: "train" for name in sorted(names)[10:]}


def heldout_speakers(seed: int, sexes: dict[str, str], count: int = HELDOUT_SPEAKERS) -> set[str]:
    """`count` of the speakers, half of each sex as far as there are enough; at most a fifth of all."""
    count = min(count, len(sexes) // 5)
    chosen: list[str] = []
    for sex, share in (("F", count // 2), ("M", count - count // 2)):
        chosen += _order(seed, [name for name, s in sexes.items() if s == sex])[:share]
    rest = [name for name in _order(seed, list(sexes)) if name not in chosen]
    return set(chosen + rest[: count - len(chosen)])


def real_recordings(folder: Path, seed: int) -> list[Recording]:
    """Recordings of a folder of {speaker}-{chapter}-{utterance}.flac with their splits.

    speakers.csv beside them (columns speaker, sex) tells the sexes; without it they are "?".
    Raises TalkerError if there are none.
    """
    files = sorted(p for p in folder.glob("*.flac") if p.stem.count("-") == 2)
    if not files:
        raise TalkerError(f"{folder} has no {{speaker}}-{{chapter}}-{{utterance}}.flac: give --speech a folder of them.")
    sexes: dict[str, str] = {}
    if (folder / "speakers.csv").exists():
        with (folder / "speakers.csv").open(newline="", encoding="utf-8") as table:
            sexes = {row["speaker"]: row["sex"] for row in csv.DictReader(table)}
    speakers: dict[str, list[Path]] = {}
    for path in files:
        speakers.setdefault(path.stem.split("-")[0], []).append(path)
    single = {s: sexes.get(s, "?") for s, paths in speakers.items() if len(paths) == 1}
    held = heldout_speakers(seed, single)
    found = []
    for speaker, paths in speakers.items():
        if speaker in held:
            splits = {p.stem: "heldout_speaker" for p in paths}
        elif len(paths) == 1:
            splits = {paths[0].stem: "train"}
        else:
            splits = split_utterances(seed, [p.stem for p in paths])
        found += [
            Recording(f"ls-{speaker}", f"ls-{p.stem}", sexes.get(speaker, "?"), "recording", str(p), splits[p.stem])
            for p in paths
        ]
    return found


def synthetic_recordings(per_voice: int, seed: int) -> list[Recording]:
    """`per_voice` utterances of every synthetic voice with their splits."""
    found = []
    for voice in voices.VOICES:
        names = [f"{voice.name}-{k:02d}" for k in range(per_voice)]
        splits = split_utterances(seed, names)
        found += [
            Recording(voice.name, name, voice.sex, voice.engine, str(k), splits[name])
            for k, name in enumerate(names)
        ]
    return found


@cached
def motion_fingerprint() -> str:
    """Hash of the code that makes motion: training.expression and the modules of training it is built on.

    Comments and docstrings do not count.
    """
    names, trees = ["training.expression"], {}
    while names:
        name = names.pop()
        if name.startswith("training.") and name not in trees:
            tree = ast.parse(Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom):
                    names.append(node.module or "")
                # A string that stands alone says something to the reader only.
                if isinstance(getattr(node, "body", None), list):
                    node.body = [n for n in node.body if not (isinstance(n, ast.Expr) and _is_text(n.value))]
            trees[name] = ast.dump(tree)
    return _hash(*sorted(trees.items()))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def _load_record(path: Path, needed: Iterable[Path]) -> dict | None:
    """The record of a stage that is done: its file and all files it speaks of are there."""
    if path.exists() and all(file.exists() for file in needed):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def _save_record(path: Path, content: dict) -> dict:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return content


def _speech_key(recording: Recording, alignments: Path, seed: int) -> str:
    """Hash of everything the recording's speech and phone times depend on."""
    if recording.engine == "recording":
        aligned = (alignments / f"{Path(recording.source).stem}.json").read_text(encoding="utf-8")
        return _hash(Path(recording.source).name, aligned)
    return _hash(voices.by_name(recording.speaker), recording.source, seed, SPEECH_VERSION)


def speak(job: tuple[Recording, str, str, int]) -> dict:
    """First stage: writes one recording's first WAV and TextGrid; returns {"key", "seconds", "text", "phones"}.

    job : recording, corpus folder, alignment cache, seed
    """
    recording, out, alignments, seed = job
    folder = Path(out) / recording.speaker
    wav, grid = (folder / f"{recording.base}-p1{suffix}" for suffix in (".wav", ".TextGrid"))
    key = _speech_key(recording, Path(alignments), seed)
    record = folder / f".{recording.base}-{key}.speech"
    if done := _load_record(record, (wav, grid)):
        return done
    # Of another seed or version: files under the same names would count as done, or as training data.
    for left in [*folder.glob(f"{recording.base}-p*"), *folder.glob(f".{recording.base}-*")]:
        left.unlink()
    words: list[Word] = []
    if recording.engine == "recording":
        samples, _ = soundfile.read(recording.source, dtype="float32")
        alignment = load_alignment(Path(alignments) / f"{Path(recording.source).stem}.json")
        phones, words = alignment.phones, alignment.words
        text = " ".join(word.text for word in words)
    else:
        samples, phones, text = voices.utterance(voices.by_name(recording.speaker), int(recording.source), seed)
    seconds = len(samples) / SAMPLE_RATE
    beat.write_wav(samples, wav)
    beat.write_text_grid(grid, seconds, beat.phone_tiers(phones, words))
    counts = dict(Counter(p.label for p in phones))
    return _save_record(record, {"key": key, "seconds": round(seconds, 4), "text": text, "phones": counts})


def animate(job: tuple[Recording, str, int, int, dict]) -> dict:
    """Second stage: writes the performances; returns the recording's entry of corpus.json, with their names.

    job : recording, corpus folder, seed, performances, what speak() returned
    """
    recording, out, seed, performances, speech = job
    folder = Path(out) / recording.speaker
    numbers = range(1, (performances if recording.split == "train" else 1) + 1)
    stems = [f"{recording.base}-p{n}" for n in numbers]
    key = _hash(recording.speaker, recording.split, seed, performances, speech["key"], motion_fingerprint())
    record = folder / f".{recording.base}-{key}.motion"
    if done := _load_record(record, [folder / f"{s}{suffix}" for s in stems for suffix in (".wav", ".json")]):
        return done
    for left in [*folder.glob(f"{recording.base}-p*"), *folder.glob(f".{recording.base}-*.motion")]:
        if left.stem != stems[0]:
            left.unlink()
    wav, grid = folder / f"{stems[0]}.wav", folder / f"{stems[0]}.TextGrid"
    samples, _ = soundfile.read(wav, dtype="float32")
    phones = beat.read_phones(grid)
    frames = max(1, round(speech["seconds"] * 30.0))
    style, beats, violations = speaker_style(recording.speaker), accents(phones, samples), Counter()
    for number, stem in zip(numbers, stems, strict=True):
        if number > 1:
            beat.link(wav, folder / f"{stem}.wav")
            beat.link(grid, folder / f"{stem}.TextGrid")
        motion = perform(phones, samples, frames, style, (seed, recording.base, number), beats)
        violations.update(kind for kind, _, _ in articulation.violations(motion.coefficients, phones))
        beat.write_motion(motion, folder / f"{stem}.json")
    made = {"frames": frames, "violations": dict(violations), "performances": stems}
    return _save_record(record, _entry(recording, speech) | made)


def _entry(recording: Recording, speech: dict) -> dict:
    """What corpus.json says of a recording whose speech is there, and its motion not yet."""
    return {
        "speaker": recording.speaker,
        "base": recording.base,
        "split": recording.split,
        "engine": recording.engine,
        "seconds": speech["seconds"],
        "violations": {},
        "text": speech["text"],
        "phones": speech["phones"],
        "performances": [f"{recording.base}-p1"],
    }


def _bar(iterator: Iterator, total: int, title: str) -> Iterator:
    return tqdm(iterator, total=total, desc=title, unit="utterance", dynamic_ncols=True)


def make_corpus(
    speech: Path | None,
    out: Path,
    seed: int = 0,
    per_voice: int = PER_VOICE,
    performances: int = PERFORMANCES,
    workers: int | None = None,
    cache: Path | None = None,
    limit: int | None = None,
    motion: bool = True,
) -> dict:
    """Makes the corpus in `out` and returns the content of its corpus.json.

    speech       : folder of {speaker}-{chapter}-{utterance}.flac, or None for synthetic voices alone
    per_voice    : utterances of each synthetic voice
    performances : of every training utterance; the others have one
    cache        : where alignments are kept; out/../align by default
    limit        : this many recordings of each kind only, for a trial
    motion       : False stops after the speech, of which the speech encoder can be trained already
    """
    workers = workers or os.cpu_count() or 1
    cache = Path(cache) if cache else out.parent / "align"
    real = real_recordings(speech, seed)[:limit] if speech else []
    if real:
        bar = tqdm(desc="align", unit="utterance", dynamic_ncols=True)

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        aligned = {path.stem for path, _ in align_files([Path(r.source) for r in real], cache, workers, progress)}
        bar.close()
        left_out = [r.base for r in real if Path(r.source).stem not in aligned]
        real = [r for r in real if Path(r.source).stem in aligned]
    else:
        left_out = []
    recordings = real + synthetic_recordings(per_voice, seed)[:limit]
    # "spawn" keeps threads and locks of the parent out of the workers.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        jobs = [(r, str(out), str(cache), seed) for r in recordings]
        spoken = list(_bar(pool.imap(speak, jobs, chunksize=2), len(jobs), "speech"))
        pairs = list(zip(recordings, spoken, strict=True))
        jobs = [(r, str(out), seed, performances, s) for r, s in pairs]
        if motion:
            entries = list(_bar(pool.imap_unordered(animate, jobs, chunksize=2), len(jobs), "motion"))
        else:
            entries = [_entry(r, s) for r, s in pairs]
    entries.sort(key=lambda e: e["base"])
    held = sorted({r.speaker for r in recordings if r.split == "heldout_speaker"})
    speakers = {r.speaker: {"sex": r.sex, "engine": r.engine} for r in recordings}
    for name, row in speakers.items():
        own = [e for e in entries if e["speaker"] == name]
        row |= {"utterances": len(own), "seconds": round(sum(e["seconds"] for e in own), 2)}
        row |= {"library": name not in held, "style": asdict(speaker_style(name))}
    content = {
        "seed": seed,
        "fps": 30.0,
        "synthetic": "motion by the articulation model of training/, not recorded from faces",
        "heldout_speakers": held,
        "library": sorted(set(speakers) - set(held)),
        "left_out": left_out,
        "speakers": speakers,
        "utterances": {
            stem: {k: v for k, v in entry.items() if k != "performances"}
            for entry in entries
            for stem in entry["performances"]
        },
    }
    with whole_file(out / beat.CORPUS_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return content


def summary(content: dict) -> str:
    """A table of splits and engines."""
    bases = {u["base"]: u for u in content["utterances"].values()}
    lines = []
    for split in beat.SPLITS:
        for engine in sorted({u["engine"] for u in bases.values()}):
            own = [u for u in bases.values() if u["split"] == split and u["engine"] == engine]
            if own:
                minutes = sum(u["seconds"] for u in own) / 60
                people = len({u["speaker"] for u in own})
                lines.append(f"{split:18} {engine:10} {len(own):4} utterances {people:4} speakers {minutes:6.1f} min")
    lines.append(f"performances: {len(content['utterances'])}, speakers in the library: {len(content['library'])}")
    if content["left_out"]:
        lines.append(f"could not be aligned and left out: {', '.join(content['left_out'])}")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `python -m training corpus`."""
    parser.add_argument("--speech", type=Path, help="folder of {speaker}-{chapter}-{utterance}.flac (16 kHz mono)")
    parser.add_argument("--out", type=Path, default=Path("data/corpus"), help="where the corpus goes (data/corpus)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other texts, splits and motion (0)")
    parser.add_argument("--per-voice", type=int, default=PER_VOICE, help=f"utterances of each synthetic voice ({PER_VOICE})")
    parser.add_argument(
        "--performances", type=int, default=PERFORMANCES, help=f"of every training utterance ({PERFORMANCES})"
    )
    parser.add_argument("--workers", type=int, help="processes (all cores)")
    parser.add_argument("--cache", type=Path, help="where alignments are kept (align, beside --out)")
    parser.add_argument("--limit", type=int, help="only so many real and synthetic recordings, for a trial")
    parser.add_argument(
        "--figures", type=Path, metavar="DIR",
        help="make nothing: draw phones.png and curves.png of the corpus in --out, and its report again",
    )  # fmt: skip
    parser.add_argument("--no-motion", action="store_true", help="stop after the speech; a later run makes the motion")


def run(args: argparse.Namespace) -> None:
    """Runs `python -m training corpus` and prints a summary and the quality report."""
    from training import quality

    if args.figures:
        from training.corpus_figures import write_figures

        print(quality.summary(quality.write_report(args.out)))
        print(*write_figures(quality.sample_of(args.out, 1), args.figures), sep="\n")
        return
    if args.speech and not args.speech.is_dir():
        raise TalkerError(f"{args.speech} is not a folder: give --speech a folder of flac files.")
    content = make_corpus(
        args.speech, args.out, args.seed, args.per_voice, args.performances, args.workers, args.cache, args.limit,
        not args.no_motion,
    )  # fmt: skip
    print(summary(content))
    if not args.no_motion:
        print(quality.summary(quality.write_report(args.out)))
