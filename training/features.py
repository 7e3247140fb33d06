"""From a corpus in BEAT's layout to the feature caches that denoisers train on."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from talker.audio import Speech
from talker.encoders import SpeechEncoder
from talker.motion import FPS
from training.augmentation import augment
from training.beat import Utterance, read_corpus
from training.dataset import CachedUtterance, FeatureCache, write_feature_cache

SPLITS = ("train", "validation")
"""The splits a training reads."""


def encode_utterances(
    utterances: list[Utterance], encoder: SpeechEncoder, variants: int = 0
) -> Iterator[CachedUtterance]:
    """Encode the clean recording and `variants` augmented copies of it, with the motion at 30 fps.

    The copies are random in what is done to them but the same at every call: they are seeded by
    the utterance's id.
    """
    base, clean, babble = None, None, []
    for utterance in tqdm(utterances, desc="encode", unit="utterance", dynamic_ncols=True):
        speech = utterance.speech()
        frames = speech.frames()
        motion = utterance.motion(FPS, frames)
        if (utterance.speaker, utterance.base) != base:
            # Performances of one recording share its clean features.
            base, clean = (utterance.speaker, utterance.base), encoder.encode(speech, frames, FPS)
        encoded = [clean]
        for variant in range(variants):
            rng = np.random.default_rng([zlib.crc32(utterance.id.encode()), variant])
            changed = Speech(augment(speech.samples, babble, rng).astype(np.float32), speech.name)
            encoded.append(encoder.encode(changed, frames, FPS))
        babble = [*babble[-15:], speech.samples]
        yield CachedUtterance(
            name=utterance.id,
            speaker=utterance.speaker,
            motion=np.concatenate([motion.coefficients, motion.head], axis=1),
            frames=[features.frames for features in encoded],
            voices=[features.voice for features in encoded],
        )


def feature_caches(
    folder: str | Path, corpus: str | Path | None = None, encoder: str = "", variants: int = 0, device: str = "cpu"
) -> dict[str, FeatureCache]:
    """The caches of the training and validation splits in a folder, computed where they are missing.

    corpus   : folder in BEAT's layout, needed only when a cache is missing
    encoder  : folder or hub id of the speech encoder
    variants : augmented copies per training utterance; validation has none
    Raises TalkerError when a cache is missing and no corpus is given. A corpus without a
    validation split (BEAT itself) is validated on its training split's utterances.
    """
    caches = {}
    for split in SPLITS:
        path = Path(folder) / f"{split}.safetensors"
        if not path.exists() and corpus is not None:
            utterances = read_corpus(corpus, [split])
            if not utterances and split == "validation":
                caches[split] = caches["train"]
                continue
            model = SpeechEncoder.from_pretrained(encoder, device)
            notes = {"corpus": str(corpus), "encoder": encoder, "split": split, "fps": FPS}
            write_feature_cache(
                path, encode_utterances(utterances, model, variants if split == "train" else 0), notes
            )
        caches[split] = FeatureCache.load(path)
    return caches
