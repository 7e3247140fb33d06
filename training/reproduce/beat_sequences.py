"""BEAT as it is published, cut into sequences of ten seconds and split, as the paper's section 4.1 has it.

The paper cuts its 32 hours of BEAT into 11,427 sequences of 10 s. It does not print which of them it
tests on. Here each speaker's last tenth (of the files in the order of their numbers) is held out, the tenth
before it validates, and no file is shared by two splits.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tqdm import tqdm

from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from talker.formats import read_beat_json
from talker.motion import Motion, check_lengths
from training.beat import CORPUS_FILE, read_corpus, read_text_grid, write_motion, write_text_grid, write_wav
from training.faults import Fault, check_whole_wav, report

SEQUENCE_SECONDS = 10.0
"""Length of a sequence (section 4.1)."""

SHORTEST = 2.0
"""A recording's rest below this many seconds is left out."""


def split_files(names: list[str]) -> dict[str, str]:
    """Split of one speaker's files: the last tenth is "heldout_utterance", the tenth before "validation", but at
    least one each of three or more; files are ordered by the numbers in their names."""
    ordered = sorted(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)] + [name])
    tenth = max(1, round(len(ordered) / 10)) if len(ordered) > 2 else 0
    return {
        name: "heldout_utterance" if k >= len(ordered) - tenth
        else "validation" if k >= len(ordered) - 2 * tenth else "train"
        for k, name in enumerate(ordered)
    }  # fmt: skip


def cut_recording(wav: Path, folder: Path) -> list[str]:
    """Cut one recording with its motion and, if there is one, its TextGrid; returns the names of the sequences.

    Raises TalkerError for files that cannot be used, or are not of the same length.
    """
    import soundfile
    import soxr

    check_whole_wav(wav)
    try:
        samples, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise TalkerError(f"{wav.name} cannot be read ({error.error_string}); copy it again.") from None
    samples = soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE)
    motion = read_beat_json(wav.with_suffix(".json"))
    check_lengths(motion, len(samples) / SAMPLE_RATE, wav.with_suffix(".json").name)
    grid = wav.with_suffix(".TextGrid")
    tiers = read_text_grid(grid) if grid.exists() else {}
    seconds = min(len(samples) / SAMPLE_RATE, len(motion.coefficients) / motion.fps)
    names = []
    for number in range(int(seconds // SEQUENCE_SECONDS) + 1):
        start = number * SEQUENCE_SECONDS
        end = min(start + SEQUENCE_SECONDS, seconds)
        if end - start < SHORTEST:
            break
        name = f"{wav.stem}-{number:03d}"
        names.append(name)
        target = folder / wav.parent.name / name
        if target.with_suffix(".json").exists():
            continue
        inside = {
            tier: [(max(a, start) - start, min(b, end) - start, text) for a, b, text in rows if a < end and b > start]
            for tier, rows in tiers.items()
        }
        write_wav(samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)], target.with_suffix(".wav"))
        if inside:
            write_text_grid(target.with_suffix(".TextGrid"), end - start, inside)
        frames = slice(round(start * motion.fps), round(end * motion.fps))
        # Last, because it says that the sequence is complete.
        write_motion(Motion(motion.coefficients[frames], motion.head[frames], motion.fps), target.with_suffix(".json"))
    return names


def cut_sequences(source: Path, folder: Path) -> Path:
    """Cut all of BEAT into a corpus with a corpus.json; what an interrupted run has cut stays. Returns its folder.

    Recordings that cannot be used are left aside and printed with the reason. Raises TalkerError when the source has no recording with motion.
    """
    if (folder / CORPUS_FILE).exists():
        return folder
    faults: list[Fault] = []
    recordings = [utterance.wav for utterance in read_corpus(source, faults=faults)]
    splits = {}
    for speaker in sorted({wav.parent for wav in recordings}):
        own = [wav.stem for wav in recordings if wav.parent == speaker]
        splits |= {(speaker.name, name): split for name, split in split_files(own).items()}
    utterances = {}
    for wav in tqdm(recordings, "cut BEAT", unit="recording", dynamic_ncols=True):
        try:
            names = cut_recording(wav, folder)
        except TalkerError as error:
            faults.append(Fault(wav, str(error)))
            continue
        for name in names:
            utterances[name] = {"speaker": wav.parent.name, "split": splits[wav.parent.name, wav.stem]}
    if faults:
        print(report(faults), file=sys.stderr)
    if not utterances:
        raise TalkerError(f"{source} holds no recording that can be used; mend the files that are left aside.")
    with whole_file(folder / CORPUS_FILE) as temporary:
        temporary.write_text(json.dumps({"name": "BEAT", "utterances": utterances}, indent=1))
    return folder
