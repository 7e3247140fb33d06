"""From a corpus in BEAT's layout to the feature caches that denoisers train on."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from talker.audio import Speech
from talker.checkpoints import WEIGHTS_FILE
from talker.encoders import SpeechEncoder
from talker.motion import FPS
from training.augmentation import augment
from training.beat import CORPUS_FILE, Utterance, read_corpus
from training.dataset import CachedUtterance, FeatureCache, write_feature_cache

SPLITS = ("train", "validation")
"""The splits a training reads."""

BABBLE_VOICES = 4
"""Other recordings that augmentation may mix in as background talk."""


def encode_recording(
    performances: list[Utterance], babble: list[Utterance], encoder: SpeechEncoder, variants: int
) -> list[CachedUtterance]:
    """Encode the clean recording once, and `variants` augmented copies for each of its performances.

    The copies are random in what is done to them but the same at every call: they are seeded by
    the performance's id.
    """
    speech = performances[0].speech()
    frames = speech.frames()
    clean = encoder.encode(speech, frames, FPS)
    voices = [other.speech().samples for other in babble] if variants else []
    found = []
    for performance in performances:
        encoded = [clean]
        for variant in range(variants):
            rng = np.random.default_rng([zlib.crc32(performance.id.encode()), variant])
            changed = augment(speech.samples, voices, rng).astype(np.float32)
            encoded.append(encoder.encode(Speech(changed, speech.name), frames, FPS))
        motion = performance.motion(FPS, frames)
        found.append(
            CachedUtterance(
                name=performance.id,
                speaker=performance.speaker,
                motion=np.concatenate([motion.coefficients, motion.head], axis=1),
                frames=[features.frames for features in encoded],
                voices=[features.voice for features in encoded],
            )
        )
    return found


def encode_corpus(
    utterances: list[Utterance], encoder: SpeechEncoder, variants: int = 0, workers: int | None = None
) -> Iterator[CachedUtterance]:
    """Encode all utterances, in order, with a progress bar. The workers are threads: torch computes without the lock."""
    recordings = [list(group) for _, group in groupby(utterances, key=lambda u: (u.speaker, u.base))]
    workers = workers or min(4, os.cpu_count() or 1)
    bar = tqdm(total=len(utterances), desc="encode", unit="utterance", dynamic_ncols=True, mininterval=1.0)
    with ThreadPoolExecutor(workers) as pool, bar:
        waiting: deque = deque()
        for index, performances in enumerate(recordings):
            # Evenly spread over the corpus, so that background talk is by other speakers.
            others = [recordings[(index + k * len(recordings) // 5 + 1) % len(recordings)][0] for k in range(BABBLE_VOICES)]
            waiting.append(pool.submit(encode_recording, performances, others, encoder, variants))
            if len(waiting) > 4 * workers:
                yield from _finished(waiting.popleft(), bar)
        while waiting:
            yield from _finished(waiting.popleft(), bar)


def _finished(future, bar: tqdm) -> list[CachedUtterance]:
    found = future.result()
    bar.update(len(found))
    return found


def fingerprint(corpus: str | Path, encoder: str, variants: int) -> str:
    """What features were made from, as 16 hex digits: the corpus's table, the encoder's weights, the variants.

    Of a corpus without corpus.json (BEAT) the names and sizes of its files count, of an encoder on a hub its id.
    """
    corpus, weights = Path(corpus), Path(encoder) / WEIGHTS_FILE
    digest = hashlib.blake2b(digest_size=8)
    if (corpus / CORPUS_FILE).exists():
        digest.update((corpus / CORPUS_FILE).read_bytes())
    else:
        files = sorted(p for p in corpus.glob("*/*") if p.suffix in (".wav", ".json"))
        digest.update(repr([(p.relative_to(corpus).as_posix(), p.stat().st_size) for p in files]).encode())
    digest.update(weights.read_bytes() if weights.exists() else encoder.encode())
    digest.update(str(variants).encode())
    return digest.hexdigest()


def feature_caches(
    folder: str | Path, corpus: str | Path | None = None, encoder: str = "", variants: int = 0, device: str = "cpu"
) -> dict[str, FeatureCache]:
    """The caches of the training and validation splits in a folder, computed where they are missing.

    corpus   : folder in BEAT's layout, needed only when a cache is missing; with it, a cache that another
               corpus, encoder or number of variants gave is computed again
    encoder  : folder or hub id of the speech encoder
    variants : augmented copies per training utterance; validation has none
    Raises TalkerError when a cache is missing and no corpus is given. A corpus without a
    validation split (BEAT itself) is validated on its training split's utterances.
    """
    caches: dict[str, FeatureCache] = {}
    made_from = fingerprint(corpus, encoder, variants) if corpus is not None else None
    for split in SPLITS:
        path = Path(folder) / f"{split}.safetensors"
        if path.exists():
            caches[split] = FeatureCache.load(path)
            if made_from in (None, caches[split].notes.get("made_from")):
                continue
        elif corpus is None:
            FeatureCache.load(path)  # says what is missing
        utterances = read_corpus(corpus, [split])
        if not utterances and split == "validation":
            caches[split] = caches["train"]
            continue
        model = SpeechEncoder.from_pretrained(encoder, device)
        notes = {"encoder": Path(encoder).name, "split": split, "fps": FPS, "variants": variants, "made_from": made_from}
        write_feature_cache(path, encode_corpus(utterances, model, variants if split == "train" else 0), notes)
        caches[split] = FeatureCache.load(path)
    return caches
