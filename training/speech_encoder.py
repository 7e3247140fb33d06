"""What the compact speech encoder is taught: examples, heads, batches and the loss.

The frame path learns to name the phone of every 20 ms of English and the articulation (training.ipa) of
every language; the voice path learns to tell the training speakers apart. After this both are frozen, and
denoisers only listen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talker.encoders import FRAME_LENGTH, FRAME_SHIFT, CompactSpeechConfig, CompactSpeechModel, mfcc, voice_fbank
from talker.audio import SAMPLE_RATE
from training.alignment import PHONES
from training.augmentation import augment, change_rate
from training.ipa import ARTICULATIONS, frame_articulation

UNKNOWN = 255
"""Phone of a frame that has no label."""

CLOSURE_WEIGHT = 1.5
"""Weight of frames of P, B and M in the loss of phones: lips that miss their closure are what is seen first."""

VOICE_FRAMES = 400
"""Log-mel frames kept of a rendering for the voice path, evenly spread over the utterance in stretches."""


@dataclass
class EncoderUtterance:
    """One utterance as the encoder is trained on it.

    samples : (n,) float32 at 16 kHz
    phones  : objects with .label, .start, .end (seconds); labels of PHONES, or IPA symbols
    speaker : index of the speaker, None where the voice path is not taught by it
    english : whether its phones are labels too; of other languages only the articulation is
    """

    samples: np.ndarray
    phones: list
    speaker: int | None = None
    english: bool = True


@dataclass
class EncoderExample:
    """One rendering of an utterance or of a piece of it, ready to be cropped.

    cepstra      : (2T, 13) float16 MFCCs
    phone        : (T,) uint8 indices into PHONES, UNKNOWN where nothing is known; or (T, 40) float16 probabilities
    articulation : (T, 6) float16, see training.ipa
    mel          : (M, 40) float16 log-mel energies for the voice path, or None
    speaker      : index of the speaker, None where mel is
    """

    cepstra: np.ndarray
    phone: np.ndarray
    articulation: np.ndarray
    mel: np.ndarray | None = None
    speaker: int | None = None


def feature_times(count: int) -> np.ndarray:
    """Times in seconds of `count` features of the compact encoder."""
    return (FRAME_LENGTH + FRAME_SHIFT) / 2 + 2 * FRAME_SHIFT * np.arange(count)


def frame_labels(phones: list, times: np.ndarray) -> np.ndarray:
    """Index into PHONES of what is heard at each time, UNKNOWN outside the phones. (n,) uint8."""
    labels = np.full(len(times), UNKNOWN, dtype=np.uint8)
    for phone in phones:
        labels[(times >= phone.start) & (times < phone.end)] = PHONES.index(phone.label)
    return labels


def _example(samples: np.ndarray, utterance: EncoderUtterance, start: float, rate: float) -> EncoderExample:
    """Features of `samples`, which play the utterance from `start` seconds on at `rate`, heard on their own: steady noise
    is weakened as when the encoder is used, and what is left is normalised."""
    cepstra = mfcc(samples, suppress_noise=True)
    count = len(cepstra) // 2
    times = start + feature_times(count) * rate
    phone = frame_labels(utterance.phones, times) if utterance.english else np.full(count, UNKNOWN, np.uint8)
    articulation = frame_articulation(utterance.phones, times).astype(np.float16)
    return EncoderExample(cepstra[: 2 * count].astype(np.float16), phone, articulation)


def render_example(
    utterance: EncoderUtterance, variant: int, babble: list[np.ndarray], rng: np.random.Generator
) -> list[EncoderExample]:
    """One rendering of an utterance: one example, or several pieces.

    Variant 0 is the recording as it is. Of the others, all noisy, every third one is cut into pieces of 1 to 3 s,
    because features are normalised over what is heard, and strangers say a few words. The voice path hears whole
    renderings at their own rate, since a change of rate makes another speaker.
    """
    if not variant:
        example = _example(utterance.samples, utterance, 0.0, 1.0)
        _add_voice(example, utterance, utterance.samples)
        return [example]
    rate = 1.0
    if variant % 2 == 0 or variant % 3 == 0:
        rate = float(np.round(np.exp(rng.uniform(np.log(0.86), np.log(1.16))), 2))
    samples = augment(change_rate(utterance.samples, rate), babble, rng)
    if variant % 3:
        example = _example(samples, utterance, 0.0, rate)
        if rate == 1.0:
            _add_voice(example, utterance, samples)
        return [example]
    pieces, start = [], 0
    while start < len(samples) - SAMPLE_RATE:
        length = int(rng.uniform(1, 3) * SAMPLE_RATE)
        example = _example(samples[start : start + length], utterance, start / SAMPLE_RATE * rate, rate)
        # A pause that is normalised on its own is noise made loud.
        if example.articulation.any(1).mean() > 0.3:
            pieces.append(example)
        start += length
    return pieces


def _add_voice(example: EncoderExample, utterance: EncoderUtterance, samples: np.ndarray) -> None:
    if utterance.speaker is None:
        return
    mel = voice_fbank(samples)
    pieces = np.array_split(mel, 4)  # beginning to end, should the voice or the noise change
    example.mel = np.concatenate([piece[: VOICE_FRAMES // 4] for piece in pieces]).astype(np.float16)
    example.speaker = utterance.speaker


class FrameHeads(nn.Module):
    """Phones and articulation from features. They ship beside the encoder, to measure it by."""

    def __init__(self, feature_size: int):
        super().__init__()
        self.phone = nn.Linear(feature_size, len(PHONES))
        self.articulation = nn.Linear(feature_size, len(ARTICULATIONS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(…, D) features → logits of PHONES (…, 40) and of ARTICULATIONS (…, 6)."""
        return self.phone(features), self.articulation(features)


class SpeakerHead(nn.Module):
    """One direction a training speaker; thrown away after training."""

    def __init__(self, voice_size: int, speakers: int, scale: float = 20.0, margin: float = 0.15):
        super().__init__()
        self.speaker = nn.Parameter(torch.randn(speakers, voice_size) / voice_size**0.5)
        self.scale, self.margin = scale, margin

    def forward(self, voice: Tensor, speaker: Tensor) -> Tensor:
        """Additive-margin softmax (Wang et al. 2018, eq. 6): (B, E) voices, (B,) indices → scalar."""
        cosine = functional.normalize(voice, dim=1) @ functional.normalize(self.speaker, dim=1).T
        cosine = cosine - self.margin * functional.one_hot(speaker, len(self.speaker))
        return functional.cross_entropy(self.scale * cosine, speaker)


class _Pool:
    """Examples drawn in proportion to their length: long recordings hold more speech."""

    def __init__(self, examples: list[EncoderExample]):
        self.examples = examples
        self.ends = np.cumsum([len(e.phone) for e in examples], dtype=float)

    def draw(self, rng: np.random.Generator) -> EncoderExample:
        return self.examples[int(np.searchsorted(self.ends, rng.random() * self.ends[-1], side="right"))]


@dataclass
class EncoderBatches:
    """Random crops, a function of (seed, step) alone so that a resumed run sees the same ones.

    pools   : examples by where they come from
    shares  : name of a pool -> its share of a batch's rows; of the pools that there are the shares add up to all
    frames  : features in a crop
    change  : name of a pool -> what is done to the whole cepstra (2T, 13) of its examples before the crop
    noise   : what is done to every crop (M, 40) of the voice path
    """

    pools: dict[str, list[EncoderExample]]
    shares: dict[str, float] = field(default_factory=dict)
    frames: int = 200
    change: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = field(default_factory=dict)
    noise: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None

    def __post_init__(self):
        self.drawn = {name: _Pool(examples) for name, examples in self.pools.items() if examples}
        weights = np.array([self.shares.get(name, 1.0) for name in self.drawn])
        self.weights = weights / weights.sum()
        by_speaker: dict[int, list[EncoderExample]] = {}
        for examples in self.pools.values():
            for example in examples:
                if example.mel is not None:
                    by_speaker.setdefault(example.speaker, []).append(example)
        self.voices = [by_speaker[speaker] for speaker in sorted(by_speaker)]
        # Between equal speakers and equal speech: some have an hour, some a single sentence.
        weights = np.sqrt([sum(len(e.mel) for e in own) for own in self.voices])
        self.voice_weights = weights / weights.sum()

    def hours(self) -> dict[str, float]:
        """Hours of speech in every pool, each rendering counted."""
        count = {name: sum(len(e.phone) for e in examples) for name, examples in self.pools.items()}
        return {name: round(frames * 2 * FRAME_SHIFT / 3600, 2) for name, frames in count.items()}

    def draw(self, step: int, seed: int, size: int) -> dict[str, Tensor]:
        """`size` rows of frames: cepstra (B, 2F, 13), phone (B, F, 40), articulation (B, F, 6), inside (B, F);
        and 2 × `size` voices."""
        rng = np.random.default_rng([seed, step])
        names = list(self.drawn)
        rows = [self._crop(names[rng.choice(len(names), p=self.weights)], rng) for _ in range(size)]
        batch = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
        return batch | self.draw_voices(step, seed, 2 * size)

    def draw_voices(self, step: int, seed: int, size: int) -> dict[str, Tensor]:
        """`size` voices of one length: mel (B, M, 40), speaker (B,)."""
        rng = np.random.default_rng([seed, step, 1])
        length = int(rng.integers(75, 201))
        speakers = rng.choice(len(self.voices), size, p=self.voice_weights)
        heard = [self.voices[s][rng.integers(len(self.voices[s]))] for s in speakers]
        mel = np.stack([self._crop_voice(e, length, rng) for e in heard])
        return {"mel": torch.from_numpy(mel), "speaker": torch.tensor([e.speaker for e in heard])}

    def _crop(self, pool: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
        example = self.drawn[pool].draw(rng)
        count = len(example.phone)
        start = int(rng.integers(max(count - self.frames, 0) + 1))
        take = np.arange(start, start + self.frames)
        inside = take < count
        take = np.minimum(take, count - 1)
        whole = self.change[pool](example.cepstra, rng) if pool in self.change else example.cepstra
        cepstra = whole.reshape(count, -1)[take].reshape(2 * self.frames, -1).astype(np.float32)
        cepstra += rng.normal(0, 0.1, cepstra.shape).astype(np.float32)
        cepstra[np.repeat(~inside, 2)] = 0
        for _ in range(2):  # time masks (Park et al. 2019, SpecAugment)
            width = int(rng.integers(0, 16))
            begin = int(rng.integers(0, 2 * self.frames - width))
            cepstra[begin : begin + width] = 0
        phone = probabilities(example.phone)[take]
        phone[~inside] = 0
        articulation = example.articulation[take].astype(np.float32)
        return {"cepstra": cepstra, "phone": phone, "articulation": articulation, "inside": inside}

    def _crop_voice(self, example: EncoderExample, length: int, rng: np.random.Generator) -> np.ndarray:
        start = int(rng.integers(max(len(example.mel) - length, 0) + 1))
        mel = np.take(example.mel, np.arange(start, start + length), axis=0, mode="wrap").astype(np.float32)
        return self.noise(mel, rng) if self.noise else mel


def probabilities(phone: np.ndarray) -> np.ndarray:
    """Phones of an example as (T, 40) float32 probabilities; rows of zeros where nothing is known."""
    if phone.ndim == 2:
        return phone.astype(np.float32)
    rows = np.zeros((len(phone), len(PHONES)), dtype=np.float32)
    known = phone != UNKNOWN
    rows[known, phone[known]] = 1
    return rows


def frame_loss(
    phone_logits: Tensor, articulation_logits: Tensor, batch: dict[str, Tensor], closure: float = 1.0, teeth: float = 1.0
) -> dict[str, Tensor]:
    """Cross-entropy of phones + half that of the articulation's six terms; and the share of frames whose phone is right.

    phone_logits, articulation_logits : (B, F, 40) and (B, F, 6), as FrameHeads gives them
    closure : how much more the lip closure of closed lips weighs than that of open ones
    teeth   : how much more the lip at the teeth weighs there, and with it that the lips are not closed, than elsewhere
    """
    known = batch["phone"].sum(-1) > 0.5
    truth = batch["phone"][known]
    weight = torch.ones(len(PHONES), device=truth.device)
    weight[[PHONES.index(label) for label in "PBM"]] = CLOSURE_WEIGHT
    phone = functional.cross_entropy(phone_logits[known], truth, weight=weight, label_smoothing=0.05)
    inside = batch["inside"]
    wanted, lips = batch["articulation"][inside], [ARTICULATIONS.index(name) for name in ("lip_closure", "lip_teeth")]
    positive = torch.ones(len(ARTICULATIONS), device=truth.device)
    positive[lips[0]] = closure
    loss = functional.binary_cross_entropy_with_logits(articulation_logits[inside], wanted, reduction="none", pos_weight=positive)
    loss[:, lips] = loss[:, lips] * (1 + (teeth - 1) * wanted[:, lips[1:]])
    articulation = loss.sum(-1).mean()
    right = (phone_logits.argmax(-1) == batch["phone"].argmax(-1))[known].float().mean()
    return {
        "total": phone + 0.5 * articulation,
        "phone": phone.detach(),
        "articulation": articulation.detach(),
        "frames_right": right,
    }


def encoder_loss(
    model: CompactSpeechModel, heads: FrameHeads, speakers: SpeakerHead, batch: dict[str, Tensor], **weights: float
) -> dict[str, Tensor]:
    """frame_loss, with its weights, + half the speakers' loss."""
    losses = frame_loss(*heads(model(batch["cepstra"]).last_hidden_state), batch, **weights)
    speaker = speakers(model.voice(batch["mel"]), batch["speaker"])
    return {**losses, "total": losses["total"] + 0.5 * speaker, "speaker": speaker.detach()}
