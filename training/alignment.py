"""Words and phone times of a recording, from the acoustic model inside the pocketsphinx wheel.

Two passes: a decoder with the wheel's US-English language model finds the words, a second one
force-aligns them. The second pass runs without the best-path search and with wide beams, because
with the default beams about every fifth utterance of read speech finds no path to the last frame.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE, SILENCE_PEAK
from talker.errors import TalkerError

VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
"""The vowels of the ARPAbet as the CMU dictionary uses it, without stress."""

CONSONANTS = frozenset("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())
SILENCE = "SIL"
PHONES: tuple[str, ...] = (*sorted(VOWELS | CONSONANTS), SILENCE)
"""The 39 phones in alphabetical order, then silence (pauses, breath and noise)."""

PAUSE_LEVEL_DB = -38.0
"""A frame this far below the utterance's loud frames (95th percentile) can be part of a pause,"""

NOISE_MARGIN_DB = 6.0
"""and so can one that is at most this far above the recording's noise (its 5th percentile),"""

SPEECH_LEVEL_DB = -18.0
"""unless it is within this of the loud frames: then there is no pause to learn the noise from."""

PAUSE_SECONDS = 0.14
"""Quiet stretches inside a phone become silence from this length on. A stop's closure is shorter:
about 50 to 120 ms in read English."""


@dataclass(frozen=True)
class Phone:
    """One phone: label (one of PHONES), start and end in seconds."""

    label: str
    start: float
    end: float

    @property
    def middle(self) -> float:
        """The time half-way between start and end, in seconds."""
        return 0.5 * (self.start + self.end)


@dataclass(frozen=True)
class Word:
    """One word: text in lower case, start and end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Alignment:
    """Words and phones of one utterance; phones are contiguous and cover 0 to seconds."""

    seconds: float
    phones: list[Phone]
    words: list[Word]


def normalise_label(label: str) -> str:
    """ARPAbet label without stress; whatever is no phone (noise, breath, pause, "") is silence."""
    label = label.strip().rstrip("012").upper()
    return label if label in PHONES else SILENCE


def contiguous(phones: list[Phone], seconds: float) -> list[Phone]:
    """Sorts phones, fills gaps with silence, joins neighbouring silences, clips to 0..seconds."""
    out: list[Phone] = []

    def add(label: str, start: float, end: float) -> None:
        if end - start < 1e-6:
            return
        if out and label == SILENCE == out[-1].label:
            out[-1] = Phone(SILENCE, out[-1].start, end)
        else:
            out.append(Phone(label, start, end))

    time = 0.0
    for phone in sorted(phones, key=lambda p: p.start):
        start, end = max(phone.start, time), min(phone.end, seconds)
        if start > time + 1e-6 and start <= seconds:
            add(SILENCE, time, start)
        if end > start:
            add(phone.label, start, end)
            time = end
    add(SILENCE, time, seconds)
    return out


def level_db(samples: np.ndarray, hop: int = SAMPLE_RATE // 100) -> np.ndarray:
    """Root-mean-square level in dB of 25 ms windows every `hop` samples; (ceil(n / hop),) float."""
    window = SAMPLE_RATE // 40
    frames = max(1, -(-len(samples) // hop))
    padded = np.pad(np.square(samples, dtype=np.float64), (window // 2, window + hop))
    total = np.concatenate([[0.0], np.cumsum(padded)])
    starts = np.arange(frames) * hop + hop // 2
    power = (total[starts + window] - total[starts]) / window
    return 10.0 * np.log10(np.maximum(power, 1e-12))


def cut_pauses(phones: list[Phone], samples: np.ndarray) -> list[Phone]:
    """Turns long quiet stretches at a phone's start or end into silence.

    A forced alignment has no word for an unexpected pause and hides it in a neighbouring consonant,
    which would hold a face in that consonant's shape for half a second.
    """
    level = level_db(samples)
    noise, loud = np.percentile(level, [5, 95])
    audible = min(noise + NOISE_MARGIN_DB, loud + SPEECH_LEVEL_DB)
    quiet = level < max(audible, loud + PAUSE_LEVEL_DB)
    out: list[Phone] = []
    for phone in phones:
        first, last = round(phone.start * 100), min(round(phone.end * 100), len(quiet))
        if phone.label == SILENCE or last - first < PAUSE_SECONDS * 100:
            out.append(phone)
            continue
        inside = quiet[first:last]
        head = len(inside) if inside.all() else int(np.argmin(inside))
        tail = len(inside) if inside.all() else int(np.argmin(inside[::-1]))
        if inside.all():
            # Nothing is heard of this phone: it is a short one somewhere inside; keep it in front.
            head, tail = 0, len(inside) - 6
        start = phone.start + (head / 100 if head >= PAUSE_SECONDS * 100 else 0.0)
        end = phone.end - (tail / 100 if tail >= PAUSE_SECONDS * 100 else 0.0)
        # A stop keeps 60 ms of its closure in front of the burst, and a final one its release.
        start, end = max(phone.start, start - 0.06), min(phone.end, end + 0.04)
        if start > phone.start:
            out.append(Phone(SILENCE, phone.start, start))
        out.append(Phone(phone.label, start, end))
        if end < phone.end:
            out.append(Phone(SILENCE, end, phone.end))
    return out


_DECODERS: dict[str, object] = {}


def _decoder(kind: str):
    """One decoder of each kind a process: loading the model takes longer than using it."""
    if kind not in _DECODERS:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise TalkerError(
                "Phone alignment needs pocketsphinx: install the packages of requirements.txt."
            ) from error
        wide = {"bestpath": False, "beam": 1e-100, "wbeam": 1e-80, "pbeam": 1e-100}
        options = wide if kind == "align" else {}
        _DECODERS[kind] = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **options)
    return _DECODERS[kind]


def _run(decoder, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def align(samples: np.ndarray, text: str | None = None) -> Alignment:
    """Words and phone times of one utterance.

    samples : (n,) float32 mono, 16 kHz, in [-1, 1]
    text    : the words if they are known (lower case, in the CMU dictionary), else they are decoded

    Raises TalkerError if no words are heard or they cannot be aligned.
    """
    seconds = len(samples) / SAMPLE_RATE
    # The decoder always finds some word, in zeros too.
    if np.abs(samples).max(initial=0.0) < SILENCE_PEAK:
        raise TalkerError("No words were heard: the recording is silent. Use one that holds speech.")
    pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
    if text is None:
        decoder = _decoder("decode")
        _run(decoder, pcm)
        hypothesis = decoder.hyp()
        text = hypothesis.hypstr if hypothesis else ""
    if not text.strip():
        raise TalkerError("No words were heard: the recording cannot be aligned. Use one that holds English speech.")
    aligner = _decoder("align")
    try:
        aligner.set_align_text(text)
        _run(aligner, pcm)
        if not list(aligner.seg() or []):
            raise RuntimeError("no path")
        # The second run is on the word segmentation of the first: it adds the phones.
        aligner.set_alignment()
        _run(aligner, pcm)
        alignment = aligner.get_alignment()  # held in a name: its entries point into it
        phones, words = [], []
        for word in alignment:
            start = word.start / 100
            if not word.name.startswith(("<", "[", "+")):
                words.append(Word(word.name.split("(")[0], start, start + word.duration / 100))
            for phone in word:
                begin = phone.start / 100
                phones.append(Phone(normalise_label(phone.name), begin, begin + phone.duration / 100))
    except RuntimeError as error:
        raise TalkerError(
            "The recording could not be aligned with its words: use cleaner or shorter speech."
        ) from error
    phones = cut_pauses(contiguous(phones, seconds), samples)
    return Alignment(seconds, contiguous(phones, seconds), words)


def save_alignment(alignment: Alignment, path: Path) -> None:
    """Writes JSON {"seconds", "phones": [[label, start, end]], "words": [[text, start, end]]}."""
    content = {
        "seconds": round(alignment.seconds, 4),
        "phones": [[p.label, round(p.start, 4), round(p.end, 4)] for p in alignment.phones],
        "words": [[w.text, round(w.start, 4), round(w.end, 4)] for w in alignment.words],
    }
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content))


def load_alignment(path: Path) -> Alignment:
    """Reads what save_alignment wrote."""
    content = json.loads(Path(path).read_text())
    return Alignment(
        content["seconds"],
        [Phone(*row) for row in content["phones"]],
        [Word(*row) for row in content["words"]],
    )


def _align_file(job: tuple[str, str]) -> tuple[str, str]:
    import soundfile

    source, target = job
    samples, rate = soundfile.read(source, dtype="float32")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        return source, f"{source} is not 16 kHz mono: resample it first."
    try:
        save_alignment(align(samples), Path(target))
    except TalkerError as error:
        return source, str(error)
    return source, ""


def align_files(
    sources: list[Path],
    cache: Path,
    workers: int | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[Path, Alignment]]:
    """Aligns 16 kHz mono files in parallel, one JSON a file in `cache`, and yields them in order.

    Files that are in the cache already are not aligned again, so a run that was interrupted goes
    on. Utterances that cannot be aligned are left out. callback(done, total) reports progress.
    """
    cache.mkdir(parents=True, exist_ok=True)
    target = {source: cache / f"{source.stem}.json" for source in sources}
    jobs = [(str(s), str(t)) for s, t in target.items() if not t.exists()]
    done = len(sources) - len(jobs)
    if callback:
        callback(done, len(sources))
    if jobs:
        # "spawn": a decoder must not be shared through fork with a parent that has one.
        context = multiprocessing.get_context("spawn")
        with context.Pool(workers or os.cpu_count()) as pool:
            for _ in pool.imap_unordered(_align_file, jobs):
                done += 1
                if callback:
                    callback(done, len(sources))
    for source in sources:
        if target[source].exists():
            yield source, load_alignment(target[source])
