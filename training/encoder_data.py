"""Examples for the speech encoder: from a corpus, and from unlabelled speech that an earlier encoder labels."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from talker.encoders import CompactSpeechModel
from talker.errors import TalkerError
from talker.motion import LIP_REGION
from training.beat import Utterance, read_corpus
from training.speech_encoder import EncoderExample, EncoderHeads, EncoderUtterance, render_example


def recordings(corpus: Path, splits: tuple[str, ...]) -> list[Utterance]:
    """The corpus's recordings, each once: the first of its performances (their lips are the same)."""
    first: dict[str, Utterance] = {}
    for utterance in read_corpus(corpus, splits):
        first.setdefault(utterance.base, utterance)
    return list(first.values())


def _load(utterance: Utterance, speaker: int) -> EncoderUtterance:
    speech = utterance.speech()
    motion = utterance.motion(frames=speech.frames())
    return EncoderUtterance(
        speech.samples, utterance.phones(), motion.coefficients[:, LIP_REGION], motion.fps, speaker
    )


def _render(job: tuple[Utterance, int, list[Utterance], int, int]) -> list[EncoderExample]:
    utterance, speaker, background, variants, seed = job
    loaded = _load(utterance, speaker)
    babble = [u.speech().samples for u in background]
    return [
        render_example(loaded, v, babble, np.random.default_rng([seed, speaker, len(loaded.samples), v]))
        for v in range(variants)
    ]


def render_corpus(
    utterances: list[Utterance], speakers: list[str], variants: int, seed: int, workers: int = 2
) -> list[EncoderExample]:
    """Every utterance as it is and in `variants` − 1 augmented renderings.

    speakers : names in the order of the examples' speaker indices
    """
    rng = np.random.default_rng(seed)
    jobs = [
        (u, speakers.index(u.speaker), [utterances[i] for i in rng.integers(len(utterances), size=4)], variants, seed)
        for u in utterances
    ]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return [e for found in tqdm(pool.map(_render, jobs, chunksize=4), "render", len(jobs)) for e in found]


@torch.inference_mode()
def label_cepstra(
    model: CompactSpeechModel, heads: EncoderHeads, path: Path, without_speakers: set[str]
) -> list[EncoderExample]:
    """Labels for speech that is known by its MFCCs only, given by an encoder that is trained already.

    path             : npz of `mfcc` (frames, 13) int8 in sixteenths, `lengths` and `utterances`
                       ({speaker}-{chapter}-{utterance}), MFCCs as talker.encoders.mfcc makes them
    without_speakers : speakers of utterances to leave out, as they are held out elsewhere
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            values, lengths, names = file["mfcc"], file["lengths"], file["utterances"]
    except (OSError, KeyError, ValueError) as error:
        raise TalkerError(f"{path} is no archive of MFCCs (mfcc, lengths, utterances); give another file.") from error
    model.eval(), heads.eval()
    examples = []
    for name, stop, length in tqdm(list(zip(names, np.cumsum(lengths), lengths)), "label"):
        if str(name).split("-")[0] in without_speakers or length < 100:
            continue
        cepstra = values[stop - length : stop][: length // 2 * 2].astype(np.float16) / 16
        hidden = model(torch.from_numpy(cepstra.astype(np.float32))[None]).last_hidden_state[0]
        phone = heads.phone(hidden).softmax(-1).numpy().astype(np.float16)
        lips = heads.lips(hidden).clamp(0, 1).numpy().astype(np.float16)
        examples.append(EncoderExample(cepstra, phone, lips))
    return examples
