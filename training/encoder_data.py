"""Examples for the speech encoder: from a corpus, from espeak-ng's languages, and from unlabelled speech that an
earlier encoder labels. Renderings are kept on disk, so that a training that starts again does not make them again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from talker.atomic import whole_file
from talker.audio import SAMPLE_RATE, load_speech
from talker.encoders import CompactSpeechModel
from talker.errors import TalkerError
from training import languages
from training.alignment import SILENCE, Phone
from training.beat import CORPUS_FILE, Utterance, read_corpus, read_text_grid, write_text_grid, write_wav
from training.speech_encoder import EncoderExample, EncoderUtterance, FrameHeads, render_example

RENDERING = 2
"""Raised when augmentation or targets change, so that renderings on disk are made again."""

BABBLE_VOICES = 80
"""Recordings, evenly spread over the corpus, that augmentation mixes background talk from."""

_background: list[np.ndarray] = []


@dataclass(frozen=True)
class Job:
    """What one process renders.

    load     : gives the EncoderUtterance
    name     : seeds the random choices, together with the recipe's seed
    variants : numbers of the renderings, see render_example
    speaker  : index of the speaker, as load gives it
    """

    load: Callable[[], EncoderUtterance]
    name: str
    variants: tuple[int, ...]
    speaker: int | None = None


def recordings(corpus: Path, splits: tuple[str, ...]) -> list[Utterance]:
    """The corpus's recordings with phones, each once: the first of its performances (they sound the same). Without
    those of other languages, whose phones are English ones only for the lips; generate_languages speaks more of them.

    A corpus of this project needs no motion for this, only its speech; see `corpus --no-motion`.
    """
    table = Path(corpus) / CORPUS_FILE
    if table.exists():
        content = json.loads(table.read_text(encoding="utf-8"))
        english = {name for name, row in content["speakers"].items() if row["engine"] != "language"}
        entries = {name: entry for name, entry in content["utterances"].items() if entry["speaker"] in english}
        found = []
        for name, entry in sorted(entries.items(), key=lambda item: (item[1]["speaker"], item[0])):
            wav = table.parent / entry["speaker"] / f"{name}.wav"
            grid = wav.with_suffix(".TextGrid")
            if entry["split"] in splits and wav.exists() and grid.exists():
                face = wav.with_suffix(".json")
                found.append(Utterance(entry["speaker"], name, entry["base"], entry["split"], wav, face, grid))
    else:
        found = [u for u in read_corpus(corpus, splits) if u.text_grid]
    first: dict[str, Utterance] = {}
    for utterance in found:
        first.setdefault(utterance.base, utterance)
    return list(first.values())


def is_real(utterance: Utterance) -> bool:
    """Whether a person was recorded; the corpus names their folders ls-{speaker}."""
    return utterance.speaker.startswith("ls-")


def _load(utterance: Utterance, speaker: int | None) -> EncoderUtterance:
    return EncoderUtterance(utterance.speech().samples, utterance.phones(), speaker)


def corpus_jobs(utterances: list[Utterance], speakers: list[str], variants: int) -> list[Job]:
    """Jobs of recordings with `variants` noisy renderings of each real one and one of each synthetic one.

    speakers : names in the order of the speakers' indices; others do not teach the voice path
    """
    jobs = []
    for u in utterances:
        noisy = range(1, variants + 1) if is_real(u) else [1 + zlib.crc32(u.base.encode()) % 3] if variants else []
        speaker = speakers.index(u.speaker) if u.speaker in speakers else None
        jobs.append(Job(partial(_load, u, speaker), u.base, (0, *noisy), speaker))
    return jobs


def generate_languages(folder: Path, minutes: float, seed: int, chosen: tuple[str, ...] = ()) -> dict[str, list[Path]]:
    """At least `minutes` of every language of training.languages as {folder}/{language}/{number}.wav with the IPA
    symbols in a .TextGrid beside it, every second utterance of invented words; what is there is not made again.
    Returns the wav files by language."""
    found: dict[str, list[Path]] = {}
    for language in tqdm(chosen or tuple(languages.LANGUAGES), "languages", unit="language", dynamic_ncols=True):
        seconds, found[language] = 0.0, []
        while seconds < 60 * minutes:
            number = len(found[language])
            made_up = number % 2 == 1
            wav = folder / language / f"{seed}-{number:04d}{'-invented' * made_up}.wav"
            grid = wav.with_suffix(".TextGrid")
            if not grid.exists():
                samples, phones = languages.utterance(language, number, seed, made_up)
                write_wav(samples, wav)
                # The TextGrid comes last: where it is, the wav is whole.
                tier = [(p.start, p.end, p.label) for p in phones]
                write_text_grid(grid, len(samples) / SAMPLE_RATE, {"ipa": tier})
            found[language].append(wav)
            # Of a PCM wav of 16 bits the size tells the length.
            seconds += (wav.stat().st_size - 44) / 2 / SAMPLE_RATE
    return found


def load_language(wav: Path) -> EncoderUtterance:
    """One utterance that generate_languages wrote."""
    tier = read_text_grid(wav.with_suffix(".TextGrid"))["ipa"]
    phones = [Phone(label or SILENCE, start, end) for start, end, label in tier]
    return EncoderUtterance(load_speech(wav).samples, phones, english=False)


def language_jobs(files: dict[str, list[Path]]) -> list[Job]:
    """Jobs of utterances in other languages, each clean and once noisy."""
    return [
        Job(partial(load_language, wav), f"{language}/{wav.stem}", (0, 1 + k % 3))
        for language, wavs in files.items()
        for k, wav in enumerate(wavs)
    ]


def _start(babble: list[Job]) -> None:
    """Loads the background talk, once in every process."""
    _background[:] = [job.load().samples for job in babble]


def _render(job: Job, seed: int) -> list[EncoderExample]:
    utterance = job.load()
    return [
        example
        for variant in job.variants
        for example in render_example(
            utterance, variant, _background, np.random.default_rng([seed, zlib.crc32(job.name.encode()), variant])
        )
    ]


def render(jobs: list[Job], babble: list[Job], seed: int, workers: int = 2, title: str = "render") -> list[EncoderExample]:
    """All renderings of all jobs, in order; background talk is of `babble`'s recordings."""
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (babble,)) as pool:
        found = pool.map(_render, jobs, [seed] * len(jobs), chunksize=8)
        return [e for examples in tqdm(found, title, len(jobs), dynamic_ncols=True) for e in examples]


def rendered(
    path: Path, sources: list[Path], jobs: list[Job], babble: list[Job], seed: int, workers: int = 2
) -> list[EncoderExample]:
    """`render`, kept in the file `path` for as long as the sources' names and sizes, the jobs' and the seed stay.

    sources : the files that the jobs read
    """
    made_from = hashlib.blake2b(
        repr((
            RENDERING, seed, [(s.parent.name, s.name, s.stat().st_size) for s in sources],
            [(j.name, j.variants, j.speaker) for j in jobs], [j.name for j in babble],
        )).encode(),
        digest_size=8,
    ).hexdigest()  # fmt: skip
    if path.exists():
        try:
            notes, examples = load_examples(path)
        except TalkerError:
            notes = {}
        if notes.get("made_from") == made_from:
            return examples
    examples = render(jobs, babble, seed, workers, f"render {path.stem}")
    save_examples(path, examples, {"made_from": made_from})
    return examples


def save_examples(path: Path, examples: list[EncoderExample], notes: dict[str, str]) -> None:
    """Write examples with hard labels into one safetensors file, whole or not at all."""
    voiced = [e for e in examples if e.mel is not None]
    tensors = {
        "cepstra": np.concatenate([e.cepstra for e in examples]),
        "phone": np.concatenate([e.phone for e in examples]),
        "articulation": np.concatenate([e.articulation for e in examples]),
        "frames": np.array([len(e.phone) for e in examples]),
        "speaker": np.array([-1 if e.speaker is None else e.speaker for e in examples]),
        "mel_frames": np.array([0 if e.mel is None else len(e.mel) for e in examples]),
        "mel": np.concatenate([e.mel for e in voiced]) if voiced else np.zeros((0, 40), np.float16),
    }
    with whole_file(path) as temporary:
        save_file(tensors, temporary, metadata=notes)


def load_examples(path: Path) -> tuple[dict[str, str], list[EncoderExample]]:
    """Notes and examples of a file that save_examples wrote. TalkerError when it is broken."""
    try:
        with safe_open(path, framework="np") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        ends, mel_ends = np.cumsum(tensors["frames"]), np.cumsum(tensors["mel_frames"])
        examples = []
        for k, (end, count) in enumerate(zip(ends, tensors["frames"], strict=True)):
            frames = slice(end - count, end)
            example = EncoderExample(
                tensors["cepstra"][2 * (end - count) : 2 * end], tensors["phone"][frames], tensors["articulation"][frames]
            )
            if tensors["speaker"][k] >= 0 and tensors["mel_frames"][k]:
                example.mel = tensors["mel"][mel_ends[k] - tensors["mel_frames"][k] : mel_ends[k]]
                example.speaker = int(tensors["speaker"][k])
            examples.append(example)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise TalkerError(f"The renderings {path} are broken ({error}); delete the file.") from None
    return notes, examples


def _archive(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Ids and MFCCs (2T, 13) float16 of an npz of unlabelled speech. TalkerError if it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            values, lengths, names = file["mfcc"], file["lengths"], file["utterances"]
    except (OSError, KeyError, ValueError) as error:
        raise TalkerError(f"{path} is no archive of MFCCs (mfcc, lengths, utterances); give another file.") from error
    for name, stop, length in zip(names, np.cumsum(lengths), lengths, strict=True):
        yield str(name), values[stop - length : stop][: length // 2 * 2].astype(np.float16) / 16


@torch.inference_mode()
def label_cepstra(
    model: CompactSpeechModel, heads: FrameHeads, path: Path, without_speakers: set[str]
) -> list[EncoderExample]:
    """Labels for speech that is known by its MFCCs only, given by an encoder that is trained already.

    path             : npz of `mfcc` (frames, 13) int8 in sixteenths, `lengths` and `utterances`
                       ({speaker}-{chapter}-{utterance}), MFCCs as talker.encoders.mfcc makes them
    without_speakers : speakers of utterances to leave out, as they are held out elsewhere
    """
    model.eval(), heads.eval()
    examples = []
    for name, cepstra in tqdm(list(_archive(path)), "label", dynamic_ncols=True):
        if name.split("-")[0] in without_speakers or len(cepstra) < 100:
            continue
        hidden = model(torch.from_numpy(cepstra.astype(np.float32))[None]).last_hidden_state[0]
        phone, articulation = heads(hidden)
        examples.append(
            EncoderExample(
                cepstra, phone.softmax(-1).numpy().astype(np.float16), articulation.sigmoid().numpy().astype(np.float16)
            )
        )
    return examples
