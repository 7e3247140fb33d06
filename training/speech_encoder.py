"""Training of the compact speech encoder: phones and lips from MFCCs, speakers from log-mel energies.

The frame path learns to name the phone of every 20 ms and to draw the lips' coefficients; the voice path
learns to tell the training speakers apart. After this both are frozen, and denoisers only listen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talker.encoders import FRAME_LENGTH, FRAME_SHIFT, CompactSpeechConfig, CompactSpeechModel, mfcc, voice_fbank
from talker.motion import LIP_REGION
from training.alignment import PHONES
from training.augmentation import augment, change_rate

@dataclass
class EncoderUtterance:
    """One utterance as the encoder is trained on it.

    samples : (n,) float32 at 16 kHz
    phones  : objects with .label, .start, .end (seconds)
    lips    : (T, len(LIP_REGION)) float32 at `fps`
    speaker : index of the speaker
    """

    samples: np.ndarray
    phones: list
    lips: np.ndarray
    fps: float
    speaker: int


@dataclass
class EncoderExample:
    """One augmented rendering of an utterance, ready to be cropped. Arrays are float16.

    cepstra : (2T, 13) MFCCs
    phone   : (T, 40) probability of each of PHONES, rows of zeros where nothing is known
    lips    : (T, L) coefficients of LIP_REGION
    mel     : (M, 40) log-mel energies, None for speech that is known by its MFCCs only
    speaker : index of the speaker, None where mel is
    """

    cepstra: np.ndarray
    phone: np.ndarray
    lips: np.ndarray
    mel: np.ndarray | None = None
    speaker: int | None = None


def feature_times(count: int) -> np.ndarray:
    """Times in seconds of `count` features of the compact encoder."""
    return (FRAME_LENGTH + FRAME_SHIFT) / 2 + 2 * FRAME_SHIFT * np.arange(count)


def frame_labels(phones: list, times: np.ndarray) -> np.ndarray:
    """Which of PHONES is heard at each time, as rows of one 1, of zeros where none is. (n, 40) float16."""
    labels = np.zeros((len(times), len(PHONES)), dtype=np.float16)
    for phone in phones:
        labels[(times >= phone.start) & (times < phone.end), PHONES.index(phone.label)] = 1
    return labels


def render_example(
    utterance: EncoderUtterance, variant: int, babble: list[np.ndarray], rng: np.random.Generator
) -> EncoderExample:
    """Variant 0 is the recording as it is; the others are sped up or slowed down, coloured and noisy."""
    samples, rate = utterance.samples, 1.0
    if variant:
        rate = float(np.round(np.exp(rng.uniform(np.log(0.86), np.log(1.16))), 2))
        samples = augment(change_rate(samples, rate), babble, rng)
    cepstra = mfcc(samples)
    count = len(cepstra) // 2
    times = feature_times(count) * rate
    lips = np.stack(
        [np.interp(times * utterance.fps, np.arange(len(utterance.lips)), column) for column in utterance.lips.T], 1
    )
    # A change of rate makes another speaker, so the voice path hears the recording at its own rate.
    voiced = augment(utterance.samples, babble, rng) if variant else samples
    return EncoderExample(
        cepstra[: 2 * count].astype(np.float16),
        frame_labels(utterance.phones, times),
        lips.astype(np.float16),
        voice_fbank(voiced).astype(np.float16),
        utterance.speaker,
    )


class EncoderHeads(nn.Module):
    """What the encoder is taught through; thrown away after training."""

    def __init__(self, config: CompactSpeechConfig, speakers: int, scale: float = 20.0, margin: float = 0.15):
        super().__init__()
        self.phone = nn.Linear(config.feature_size, len(PHONES))
        self.lips = nn.Linear(config.feature_size, len(LIP_REGION))
        self.speaker = nn.Parameter(torch.randn(speakers, config.voice_size) / config.voice_size**0.5)
        self.scale, self.margin = scale, margin

    def speaker_loss(self, voice: Tensor, speaker: Tensor) -> Tensor:
        """Additive-margin softmax (Wang et al. 2018, eq. 6): (B, E) voices, (B,) indices → scalar."""
        cosine = functional.normalize(voice, dim=1) @ functional.normalize(self.speaker, dim=1).T
        cosine = cosine - self.margin * functional.one_hot(speaker, len(self.speaker))
        return functional.cross_entropy(self.scale * cosine, speaker)


@dataclass
class EncoderBatches:
    """Random crops, a function of (seed, step) alone so that a resumed run sees the same ones.

    labelled, unlabelled : recordings with true labels, and with those that an earlier encoder gave
    share                : of each batch's rows, how many are unlabelled
    """

    labelled: list[EncoderExample]
    unlabelled: list[EncoderExample] = field(default_factory=list)
    share: float = 0.5
    frames: int = 200
    voice_frames: int = 150

    def draw(self, step: int, seed: int, size: int) -> dict[str, Tensor]:
        """`size` rows, labelled speech first; only that has mel (B', 150, 40) and speaker (B',)."""
        rng = np.random.default_rng([seed, step])
        borrowed = round(self.share * size) if self.unlabelled else 0
        labelled = self._draw(self.labelled, size - borrowed, rng)
        rows = [self._crop(e, rng) for e in labelled + self._draw(self.unlabelled, borrowed, rng)]
        batch = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
        batch["mel"] = np.stack([self._crop_voice(e, rng) for e in labelled])
        batch["speaker"] = np.array([e.speaker for e in labelled], dtype=np.int64)
        return {key: torch.from_numpy(value) for key, value in batch.items()}

    def _draw(self, pool: list[EncoderExample], count: int, rng: np.random.Generator) -> list[EncoderExample]:
        if not count:
            return []
        # Long recordings hold more speech, so they are drawn more often.
        lengths = np.array([len(e.phone) for e in pool], dtype=float)
        return [pool[i] for i in rng.choice(len(pool), count, p=lengths / lengths.sum())]

    def _crop(self, example: EncoderExample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        count = len(example.phone)
        start = int(rng.integers(max(count - self.frames, 0) + 1))
        take = np.arange(start, start + self.frames)
        inside = take < count
        take = np.minimum(take, count - 1)
        cepstra = example.cepstra.reshape(count, -1)[take].reshape(2 * self.frames, -1).astype(np.float32)
        cepstra[np.repeat(~inside, 2)] = 0
        cepstra += rng.normal(0, 0.15, cepstra.shape).astype(np.float32)
        for _ in range(2):  # time masks (Park et al. 2019, SpecAugment)
            width = int(rng.integers(0, 16))
            begin = int(rng.integers(0, 2 * self.frames - width))
            cepstra[begin : begin + width] = 0
        phone = example.phone[take].astype(np.float32)
        phone[~inside] = 0
        return {"cepstra": cepstra, "phone": phone, "lips": example.lips[take].astype(np.float32), "inside": inside}

    def _crop_voice(self, example: EncoderExample, rng: np.random.Generator) -> np.ndarray:
        start = int(rng.integers(max(len(example.mel) - self.voice_frames, 0) + 1))
        wanted = np.arange(start, start + self.voice_frames)
        return np.take(example.mel, wanted, axis=0, mode="wrap").astype(np.float32)


def encoder_loss(
    model: CompactSpeechModel, heads: EncoderHeads, batch: dict[str, Tensor], lip_weight: float = 20.0
) -> dict[str, Tensor]:
    """Cross-entropy of phones + weighted squared error of the lips + speaker loss; and the share of frames right."""
    hidden = model(batch["cepstra"]).last_hidden_state
    logits = heads.phone(hidden)
    known = batch["phone"].sum(-1) > 0.5
    phone = functional.cross_entropy(logits[known], batch["phone"][known], label_smoothing=0.05)
    lips = ((heads.lips(hidden) - batch["lips"])[batch["inside"]] ** 2).mean()
    speaker = heads.speaker_loss(model.voice(batch["mel"]), batch["speaker"])
    right = (logits.argmax(-1) == batch["phone"].argmax(-1))[known].float().mean()
    return {
        "loss": phone + lip_weight * lips + 0.5 * speaker,
        "phone": phone.detach(),
        "lips": lips.detach(),
        "speaker": speaker.detach(),
        "frames_right": right,
    }
