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
from training.articulation import PHONES
from training.augmentation import augment, change_rate

UNKNOWN = -100
"""Phone label of frames that have none; cross-entropy leaves them out."""


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
    """One augmented rendering of an utterance, ready to be cropped.

    cepstra (2T, 13), mel (M, 40), phone (T,) int64, lips (T, L): everything float16 but labels.
    """

    cepstra: np.ndarray
    mel: np.ndarray
    phone: np.ndarray
    lips: np.ndarray
    speaker: int


def feature_times(count: int) -> np.ndarray:
    """Times in seconds of `count` features of the compact encoder."""
    return (FRAME_LENGTH + FRAME_SHIFT) / 2 + 2 * FRAME_SHIFT * np.arange(count)


def frame_labels(phones: list, times: np.ndarray) -> np.ndarray:
    """Index in PHONES of the phone heard at each time, UNKNOWN where none is. (n,) int64."""
    labels = np.full(len(times), UNKNOWN, dtype=np.int64)
    for phone in phones:
        labels[(times >= phone.start) & (times < phone.end)] = PHONES.index(phone.label)
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
        voice_fbank(voiced).astype(np.float16),
        frame_labels(utterance.phones, times),
        lips.astype(np.float16),
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
    """Random crops, a function of (seed, step) alone so that a resumed run sees the same ones."""

    examples: list[EncoderExample]
    batch_size: int = 32
    frames: int = 200
    voice_frames: int = 150
    seed: int = 0
    lengths: np.ndarray = field(init=False)

    def __post_init__(self):
        self.lengths = np.array([len(e.phone) for e in self.examples], dtype=float)

    def __call__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, step])
        # Long recordings hold more speech, so they are drawn more often.
        chosen = rng.choice(len(self.examples), self.batch_size, p=self.lengths / self.lengths.sum())
        rows = [self._crop(self.examples[i], rng) for i in chosen]
        return {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}

    def _crop(self, example: EncoderExample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        count = len(example.phone)
        start = int(rng.integers(max(count - self.frames, 0) + 1))
        take = np.arange(start, start + self.frames)
        inside = take < count
        take = np.minimum(take, count - 1)
        cepstra = example.cepstra.reshape(count, -1)[take].reshape(2 * self.frames, -1).astype(np.float32)
        cepstra[np.repeat(~inside, 2)] = 0
        cepstra += rng.normal(0, 0.1, cepstra.shape).astype(np.float32)
        for _ in range(2):  # time masks (Park et al. 2019, SpecAugment)
            width = int(rng.integers(0, 16))
            begin = int(rng.integers(0, 2 * self.frames - width))
            cepstra[begin : begin + width] = 0
        mel_start = int(rng.integers(max(len(example.mel) - self.voice_frames, 0) + 1))
        mel = np.take(example.mel, np.arange(mel_start, mel_start + self.voice_frames), axis=0, mode="wrap")
        return {
            "cepstra": cepstra,
            "mel": mel.astype(np.float32),
            "phone": np.where(inside, example.phone[take], UNKNOWN),
            "lips": example.lips[take].astype(np.float32),
            "inside": inside,
            "speaker": np.int64(example.speaker),
        }


def encoder_loss(
    model: CompactSpeechModel, heads: EncoderHeads, batch: dict[str, Tensor], lip_weight: float = 20.0
) -> dict[str, Tensor]:
    """Cross-entropy of phones + weighted squared error of the lips + speaker loss; and the share of frames right."""
    hidden = model(batch["cepstra"]).last_hidden_state
    logits = heads.phone(hidden)
    inside = batch["inside"]
    phone = functional.cross_entropy(
        logits.flatten(0, 1), batch["phone"].flatten(), ignore_index=UNKNOWN, label_smoothing=0.05
    )
    lips = ((heads.lips(hidden) - batch["lips"])[inside] ** 2).mean()
    voice = model.voice(batch["mel"])
    speaker = heads.speaker_loss(voice, batch["speaker"])
    known = batch["phone"] != UNKNOWN
    right = (logits.argmax(-1) == batch["phone"])[known].float().mean()
    return {
        "loss": phone + lip_weight * lips + 0.5 * speaker,
        "phone": phone.detach(),
        "lips": lips.detach(),
        "speaker": speaker.detach(),
        "frames_right": right,
    }
