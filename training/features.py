"""From a corpus in BEAT's layout to the feature caches that denoisers train on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import zlib
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from talker.atomic import whole_file
from talker.audio import Speech
from talker.checkpoints import WEIGHTS_FILE, load_config
from talker.encoders import SpeechEncoder
from talker.errors import TalkerError
from talker.motion import FPS
from training.augmentation import augment
from training.beat import CORPUS_FILE, Utterance, read_corpus
from training.dataset import CachedUtterance, FeatureCache, write_feature_cache
from training.faults import SHOWN, Fault, report
from training.tfhp import FPS as TFHP_FPS
from training.tfhp import Clip, Tfhp, is_tfhp

SPLITS = ("train", "validation")
"""The splits a training reads."""

BABBLE_VOICES = 4
"""Other recordings that augmentation may mix in as background talk."""


def encode_recording(
    performances: list[Utterance], babble: list[Utterance], encoder: SpeechEncoder, variants: int, fps: float = FPS
) -> tuple[list[CachedUtterance], list[Fault]]:
    """Encode the clean recording once, and `variants` augmented copies for each of its performances.

    The copies are random in what is done to them but the same at every call: they are seeded by
    the performance's id. Files that cannot be used are left out and named.
    """
    try:
        speech = performances[0].speech()
    except TalkerError as error:
        return [], [Fault(performance.wav, str(error)) for performance in performances]
    frames = speech.frames(fps)
    clean = encoder.encode(speech, frames, fps)
    voices = [samples for other in babble if len(samples := _samples(other))] if variants else []
    found, faults = [], []
    for performance in performances:
        try:
            motion = performance.motion(fps, frames)
        except TalkerError as error:
            faults.append(Fault(performance.json, str(error)))
            continue
        encoded = [clean]
        for variant in range(variants):
            rng = np.random.default_rng([zlib.crc32(performance.id.encode()), variant])
            changed = augment(speech.samples, voices, rng).astype(np.float32)
            encoded.append(encoder.encode(Speech(changed, speech.name), frames, fps))
        found.append(
            CachedUtterance(
                name=performance.id,
                speaker=performance.speaker,
                motion=np.concatenate([motion.coefficients, motion.head], axis=1),
                frames=[features.frames for features in encoded],
                voices=[features.voice for features in encoded],
            )
        )
    return found, faults


def _samples(utterance: Utterance) -> np.ndarray:
    """The samples of background talk; none where the recording cannot be used, which is told at its own turn."""
    try:
        return utterance.speech().samples
    except TalkerError:
        return np.empty(0, np.float32)


def encode_corpus(
    utterances: list[Utterance],
    encoder: SpeechEncoder,
    variants: int = 0,
    workers: int | None = None,
    faults: list[Fault] | None = None,
    fps: float = FPS,
) -> Iterator[CachedUtterance]:
    """Encode all utterances that can be used, in order, with a progress bar.

    faults : a list to which the files that cannot be used are added
    The workers are threads: torch computes without the lock.
    """
    faults = [] if faults is None else faults
    recordings = [list(group) for _, group in groupby(utterances, key=lambda u: (u.speaker, u.base))]
    workers = workers or min(4, os.cpu_count() or 1)
    bar = tqdm(total=len(utterances), desc="encode", unit="utterance", dynamic_ncols=True, mininterval=1.0)
    with ThreadPoolExecutor(workers) as pool, bar:
        waiting: deque = deque()
        for index, performances in enumerate(recordings):
            # Evenly spread over the corpus, so that background talk is by other speakers.
            others = [recordings[(index + k * len(recordings) // 5 + 1) % len(recordings)][0] for k in range(BABBLE_VOICES)]
            waiting.append(pool.submit(encode_recording, performances, others, encoder, variants, fps))
            if len(waiting) > 4 * workers:
                yield from _finished(waiting.popleft(), bar, faults)
        while waiting:
            yield from _finished(waiting.popleft(), bar, faults)


def _finished(future, bar: tqdm, faults: list[Fault]) -> list[CachedUtterance]:
    found, unusable = future.result()
    faults += unusable
    bar.update(len(found) + len(unusable))
    return found


def encode_clips(clips: Iterable[Clip], encoder: SpeechEncoder) -> Iterator[CachedUtterance]:
    """Encode TFHP's clips, with a progress bar: motion (T, 56) as FLAME_NAMES and HEAD_NAMES, at 25 frames a second."""
    for clip in tqdm(clips, desc="encode", unit="clip", dynamic_ncols=True, mininterval=1.0):
        frames = len(clip.expression)
        # R = Ry(yaw) @ Rx(pitch) @ Rz(roll) in turning axes, as talker.motion defines the head's angles.
        head = Rotation.from_rotvec(clip.head).as_euler("YXZ")
        features = encoder.encode(clip.speech, frames, TFHP_FPS)
        motion = np.concatenate([clip.expression, clip.jaw, head], axis=1)
        name = f"{clip.speaker}-{clip.video}-{clip.start}"
        yield CachedUtterance(name, clip.speaker, motion, [features.frames], [features.voice], clip.shape)


def fingerprint(corpus: str | Path, encoder: str, variants: int, convolutions: bool = False, fps: float = FPS) -> str:
    """What features were made from, as 16 hex digits: the corpus's table, the encoder's weights and whether it suppresses
    noise, the variants, and what of the encoder's layers and of frame rates is unusual.

    Of a corpus without corpus.json (BEAT) the names and sizes of its files count, of an encoder on a hub its id.
    """
    corpus, weights = Path(corpus), Path(encoder) / WEIGHTS_FILE
    digest = hashlib.blake2b(digest_size=8)
    if (corpus / CORPUS_FILE).exists():
        digest.update((corpus / CORPUS_FILE).read_bytes())
    else:
        files = sorted(p for p in corpus.rglob("*") if p.suffix in (".wav", ".json", ".npz", ".mdb"))
        digest.update(repr([(p.relative_to(corpus).as_posix(), p.stat().st_size) for p in files]).encode())
    digest.update(weights.read_bytes() if weights.exists() else encoder.encode())
    if weights.exists() and load_config(encoder).get("suppress_noise"):
        digest.update(b" suppress_noise")
    digest.update(str(variants).encode())
    digest.update("".join([" convolutions" * convolutions, f" {fps}" * (fps != FPS)]).encode())
    return digest.hexdigest()


ENGINES = {
    "recording": "LibriSpeech read English, aligned by pocketsphinx", "espeak": "espeak-ng",
    "language": "espeak-ng in other languages, one speaker each",
}  # fmt: skip
"""What corpus.json calls where speech comes from -> the same in words, where they are others."""


def speech_of(corpus: Path) -> str:
    """Recordings, speakers and hours of a corpus's training split, by where the speech comes from; "" of a corpus whose
    corpus.json does not say."""
    file = corpus / CORPUS_FILE
    entries = json.loads(file.read_text(encoding="utf-8"))["utterances"] if file.exists() else {}
    engines, seen = defaultdict(lambda: [set(), 0.0]), set()
    for name, entry in entries.items():
        base = entry.get("base", name)
        if entry["split"] == "train" and base not in seen and "engine" in entry:
            seen.add(base)
            engines[entry["engine"]][0].add(entry["speaker"])
            engines[entry["engine"]][1] += entry["seconds"] / 3600
    parts = [
        f"{ENGINES.get(engine, engine)} ({len(people)} speakers, {hours:.1f} h)"
        for engine, (people, hours) in sorted(engines.items(), key=lambda item: -item[1][1])
    ]
    hours = sum(hours for _, hours in engines.values())
    return f"{len(seen)} recordings, {hours:.1f} hours: {', '.join(parts)}" if seen else ""


def feature_caches(
    folder: str | Path,
    corpus: str | Path | None = None,
    encoder: str = "",
    variants: int = 0,
    device: str = "cpu",
    convolutions: bool = False,
    fps: float = FPS,
) -> dict[str, FeatureCache]:
    """The caches of the training and validation splits in a folder, computed where they are missing.

    corpus   : folder in BEAT's layout or TFHP's, needed only when a cache is missing; with it, a cache that another
               corpus, encoder or number of variants gave is computed again
    encoder  : folder or hub id of the speech encoder
    variants : augmented copies per training utterance; validation has none, nor has TFHP
    convolutions, fps : keep the output of the encoder's convolutions (talker.encoders.SpeechTrunk); frames a second
    Files of the corpus that cannot be used are left out, printed, and listed in {split}-left-aside.txt.
    Raises TalkerError when a cache is missing and no corpus is given, and when nothing is left to train on. A
    corpus without a validation split (BEAT itself) is validated on its training split's utterances.
    """
    caches: dict[str, FeatureCache] = {}
    made_from = fingerprint(corpus, encoder, variants, convolutions, fps) if corpus is not None else None
    for split in SPLITS:
        path = Path(folder) / f"{split}.safetensors"
        if path.exists():
            caches[split] = FeatureCache.load(path)
            if made_from in (None, caches[split].notes.get("made_from")):
                _show_faults(path)
                continue
        elif corpus is None:
            FeatureCache.load(path)  # says what is missing
        faults: list[Fault] = []
        try:
            model = SpeechEncoder.from_pretrained(encoder, device, convolutions)
            if is_tfhp(corpus):
                encoded = encode_clips(Tfhp(corpus).clips([split], faults=faults), model)
            else:
                # Files without their partner belong to no split; they are told once.
                utterances = read_corpus(corpus, [split], faults=faults if split == "train" else None)
                encoded = encode_corpus(utterances, model, variants if split == "train" else 0, faults=faults, fps=fps)
            first = next(encoded, None)
            if first is None and split == "validation":
                caches[split] = caches["train"]
                continue
            notes = {"encoder": Path(encoder).name, "split": split, "fps": fps, "variants": variants, "made_from": made_from,
                     "speech": speech_of(Path(corpus))}  # fmt: skip
            write_feature_cache(path, [] if first is None else chain([first], encoded), notes)
        finally:
            with whole_file(_faults_file(path)) as temporary:
                temporary.write_text(report(faults) + "\n" if faults else "", encoding="utf-8")
            _show_faults(path)
        caches[split] = FeatureCache.load(path)
    return caches


def _faults_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}-left-aside.txt")


def _show_faults(path: Path) -> None:
    """Print what was left aside when a cache was made, as far as it is not too long."""
    file = _faults_file(path)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    if len(lines) > 1 + SHOWN:
        lines = [*lines[: 1 + SHOWN], f"  and {len(lines) - 1 - SHOWN} more, all in {file}"]
    if lines:
        print("\n".join(lines), file=sys.stderr)
