"""BEAT's layout on disk: {speaker}/{id}.wav with {id}.json (face) and {id}.TextGrid (phones).

BEAT (Liu et al., ECCV 2022) records 51 ARKit coefficients at 60 frames a second: a JSON of "names"
and "frames", each frame with "weights", "time" in seconds and "rotation", which is an empty list in
its releases. The corpus that this project makes uses the same files, adds tongueOut as a 52nd name
and puts the head's yaw, pitch and roll in radians into "rotation". One loader reads both.

A corpus made by training.corpus has a corpus.json beside its speakers' folders, which tells the
split of every utterance; a folder without one, such as BEAT itself, is all "train" unless the caller
names speakers to hold out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE, Speech, load_speech
from talker.errors import TalkerError
from talker.formats import read_beat_json
from talker.motion import ARKIT_NAMES, FPS, Motion, check_lengths, resample
from training.alignment import SILENCE, Phone, contiguous, normalise_label
from training.faults import Fault, check_whole_wav

SPLITS = ("train", "validation", "heldout_utterance", "heldout_speaker")

CORPUS_FILE = "corpus.json"
"""Table of a corpus that this project made: splits, speakers, texts. BEAT itself has none."""


@dataclass(frozen=True)
class Utterance:
    """One recording with one performance, in files.

    speaker : name of the speaker's folder
    id      : name of the files without suffix; performances of one recording differ in "-p1", "-p2"
    base    : the recording's id, the same for all its performances
    split   : one of SPLITS
    wav, json, text_grid : paths; text_grid is None where there is none
    """

    speaker: str
    id: str
    base: str
    split: str
    wav: Path
    json: Path
    text_grid: Path | None

    def speech(self) -> Speech:
        """The recording at 16 kHz. TalkerError if it cannot be used or is cut off."""
        if self.wav.is_file():
            check_whole_wav(self.wav)
        return load_speech(self.wav)

    def motion(self, fps: float = FPS, frames: int | None = None) -> Motion:
        """The motion at `fps`, cut or held to `frames` frames if given (Speech.frames()).

        TalkerError if the file cannot be used, or is longer or shorter than those frames by more than LENGTH_TOLERANCE.
        """
        motion = read_beat_json(self.json)
        if frames is not None:
            check_lengths(motion, frames / fps, self.json.name)
        return resample(motion, fps, frames)

    def phones(self) -> list[Phone]:
        """Contiguous phones without stress, silence as SIL. TalkerError if there is no TextGrid."""
        if self.text_grid is None:
            raise TalkerError(f"{self.wav} has no TextGrid beside it: align it first.")
        return read_phones(self.text_grid)


def write_motion(motion: Motion, path: Path) -> None:
    """Writes BEAT's JSON with 52 names and the head in "rotation", four decimals (half a percent of
    what an eye sees), whole or not at all."""
    rows = np.round(np.asarray(motion.coefficients, np.float64), 4).tolist()
    head = np.round(np.asarray(motion.head, np.float64), 5).tolist()
    frames = [
        {"weights": row, "time": round(k / motion.fps, 5), "rotation": angles}
        for k, (row, angles) in enumerate(zip(rows, head, strict=True))
    ]
    content = {"names": list(ARKIT_NAMES), "frames": frames}
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def write_wav(samples: np.ndarray, path: Path) -> None:
    """Writes (n,) float samples in [-1, 1] as 16-bit mono WAV at 16 kHz, whole or not at all."""
    import soundfile

    with whole_file(path) as temporary:
        soundfile.write(temporary, np.clip(samples, -1.0, 1.0), SAMPLE_RATE, "PCM_16", format="WAV")


def link(source: Path, target: Path) -> None:
    """Makes target a hard link to source, or a copy where the file system has no links."""
    with whole_file(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            temporary.write_bytes(source.read_bytes())


def write_text_grid(
    path: Path, seconds: float, tiers: dict[str, Sequence[tuple[float, float, str]]]
) -> None:
    """Writes a Praat TextGrid (long form) with one interval tier per name.

    tiers : name -> (start, end, text) in seconds, sorted; gaps become empty intervals
    """
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += ["xmin = 0", f"xmax = {seconds:.4f}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        filled, time = [], 0.0
        for start, end, text in intervals:
            if start > time + 1e-4:
                filled.append((time, start, ""))
            filled.append((start, end, text))
            time = end
        if seconds > time + 1e-4:
            filled.append((time, seconds, ""))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {seconds:.4f}"]
        lines.append(f"        intervals: size = {len(filled)}")
        for k, (start, end, text) in enumerate(filled, 1):
            text = text.replace('"', '""')
            lines += [f"        intervals [{k}]:", f"            xmin = {start:.4f}"]
            lines += [f"            xmax = {end:.4f}", f'            text = "{text}"']
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


_INTERVAL = re.compile(
    r'xmin\s*=\s*(?P<xmin>[-\d.eE]+)\s+xmax\s*=\s*(?P<xmax>[-\d.eE]+)\s+text\s*=\s*"(?P<text>(?:[^"]|"")*)"'
)
_TIER = re.compile(r'class\s*=\s*"IntervalTier"\s+name\s*=\s*"(?P<name>(?:[^"]|"")*)"')


def read_text_grid(path: Path) -> dict[str, list[tuple[float, float, str]]]:
    """The interval tiers of a Praat TextGrid in its long form (Praat's and MFA's default), by name.

    UTF-8 and UTF-16 with byte order mark are read. Raises TalkerError if there is no tier.
    """
    data = Path(path).read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = data.decode(encoding, errors="replace")
    heads = list(_TIER.finditer(text))
    if not heads:
        raise TalkerError(f"{path} is not a TextGrid in long form: export it from Praat as text file.")
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        head["name"]: [
            (float(m["xmin"]), float(m["xmax"]), m["text"].replace('""', '"'))
            for m in _INTERVAL.finditer(text, head.end(), end)
        ]
        for head, end in zip(heads, ends, strict=True)
    }


def read_phones(path: Path) -> list[Phone]:
    """Contiguous phones of the TextGrid's "phones" tier (any capitals, also "speaker - phones")."""
    tiers = read_text_grid(path)
    name = next((n for n in tiers if n.lower().endswith(("phones", "phone"))), None)
    if name is None:
        raise TalkerError(f"{path} has no tier of phones: its tiers are {', '.join(tiers)}.")
    intervals = tiers[name]
    seconds = max((end for _, end, _ in intervals), default=0.0)
    return contiguous([Phone(normalise_label(text), a, b) for a, b, text in intervals], seconds)


def phone_tiers(phones: Iterable[Phone], words: Iterable = ()) -> dict[str, list]:
    """The two tiers that BEAT's TextGrids have, for write_text_grid; silence is the empty text."""
    return {
        "words": [(w.start, w.end, w.text) for w in words],
        "phones": [(p.start, p.end, "" if p.label == SILENCE else p.label) for p in phones],
    }


def read_corpus(
    folder: str | Path,
    splits: Iterable[str] | None = None,
    heldout_speakers: Iterable[str] = (),
    faults: list[Fault] | None = None,
) -> list[Utterance]:
    """All utterances of a folder in BEAT's layout, sorted by speaker and id.

    splits           : keep these of SPLITS only; None keeps all
    heldout_speakers : speakers that count as "heldout_speaker" whatever corpus.json says
    faults           : a list to which every wav without json, and json without wav, is added

    Raises TalkerError if the folder holds no pair of wav and json.
    """
    folder = Path(folder)
    table: dict[str, dict] = {}
    if (folder / CORPUS_FILE).exists():
        table = json.loads((folder / CORPUS_FILE).read_text(encoding="utf-8"))["utterances"]
    held, found = set(heldout_speakers), []
    faults = [] if faults is None else faults
    for face in sorted(folder.glob("*/*.json")):
        if not face.name.startswith(".") and not face.with_suffix(".wav").exists():
            faults.append(Fault(face, "There is no .wav beside it; copy the speech too."))
    for wav in sorted(folder.glob("*/*.wav")):
        face = wav.with_suffix(".json")
        if wav.name.startswith("."):
            continue
        if not face.exists():
            faults.append(Fault(wav, "There is no .json beside it; copy the motion too."))
            continue
        speaker, name = wav.parent.name, wav.stem
        entry = table.get(name, {})
        split = "heldout_speaker" if speaker in held else entry.get("split", "train")
        grid = wav.with_suffix(".TextGrid")
        found.append(
            Utterance(
                speaker, name, entry.get("base", name), split, wav, face, grid if grid.exists() else None
            )
        )
    if not found:
        raise TalkerError(
            f"{folder} has no {{speaker}}/{{id}}.wav with a .json beside it: "
            "make a corpus with `python -m training corpus`, or give BEAT's folder."
        )
    wanted = set(SPLITS if splits is None else splits)
    if wanted - set(SPLITS):
        raise TalkerError(f"Unknown split {sorted(wanted - set(SPLITS))}: choose from {', '.join(SPLITS)}.")
    return sorted((u for u in found if u.split in wanted), key=lambda u: (u.speaker, u.id))
