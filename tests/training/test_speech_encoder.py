"""Training of the speech encoder on a toy language: tones for phones."""

import json

import numpy as np
import pytest
import torch

from talker.audio import SAMPLE_RATE
from talker.encoders import CompactSpeechConfig, SpeechEncoder
from talker.motion import FPS, LIP_REGION
from training import augmentation
from training.alignment import PHONES, Phone
from training.encoder_data import label_cepstra
from training.encoder_training import EncoderObjective, EncoderTrainer, frame_accuracy
from training.recipe import Recipe
from training.speech_encoder import (
    EncoderBatches,
    EncoderHeads,
    EncoderUtterance,
    feature_times,
    frame_labels,
    render_example,
)

TONES = {"AA": 700.0, "IY": 2500.0, "SIL": None}


def toy_utterance(speaker: int, seconds: float = 4.0) -> EncoderUtterance:
    rng = np.random.default_rng(speaker)
    samples = 0.01 * rng.standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32)
    lips = np.zeros((int(seconds * FPS), len(LIP_REGION)), np.float32)
    phones = []
    for k in range(int(seconds / 0.2)):
        label = list(TONES)[rng.integers(len(TONES))]
        phones.append(Phone(label, 0.2 * k, 0.2 * (k + 1)))
        time = np.arange(int(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
        if TONES[label]:
            samples[int(0.2 * k * SAMPLE_RATE) :][: len(time)] += 0.3 * np.sin(2 * np.pi * TONES[label] * time)
        lips[6 * k : 6 * k + 6] = label == "AA"
    return EncoderUtterance(samples, phones, lips, FPS, speaker)


@pytest.fixture(scope="module")
def examples():
    return [render_example(toy_utterance(s), v, [], np.random.default_rng(s)) for s in range(3) for v in range(2)]


def test_labels_are_the_phones_at_the_features_times():
    phones = [Phone("SIL", 0.0, 0.05), Phone("M", 0.05, 0.1)]
    labels = frame_labels(phones, feature_times(6))  # 0.0175, 0.0375, 0.0575, 0.0775, 0.0975, 0.1175
    assert [PHONES[row.argmax()] if row.any() else None for row in labels] == ["SIL", "SIL", "M", "M", "M", None]


def test_a_faster_rendering_keeps_labels_on_their_sounds(examples):
    """In every variant, frames of IY are higher in the second cepstrum's terms than frames of AA, wherever they moved to."""
    for example in examples:
        count = len(example.phone)
        cepstra = example.cepstra.reshape(count, 2, -1).mean(1)
        low = cepstra[example.phone[:, PHONES.index("AA")] > 0]
        high = cepstra[example.phone[:, PHONES.index("IY")] > 0]
        inside = np.linalg.norm(low - low.mean(0), axis=1).mean()
        assert np.linalg.norm(low.mean(0) - high.mean(0)) > inside


def test_a_change_of_rate_changes_length_and_pitch_together():
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    faster = augmentation.change_rate(tone, 1.25)
    assert len(faster) == pytest.approx(SAMPLE_RATE / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(faster * np.hanning(len(faster))))
    assert spectrum.argmax() * SAMPLE_RATE / len(faster) == pytest.approx(1250, abs=3)


def test_noise_is_added_at_the_wanted_ratio():
    rng = np.random.default_rng(0)
    speech = rng.standard_normal(SAMPLE_RATE).astype(np.float32)
    noise = augmentation.coloured_noise(SAMPLE_RATE, 1.0, rng)
    noisy = augmentation.add_noise(speech, noise, 12.0)
    ratio = 10 * np.log10(np.mean(speech**2) / np.mean((noisy - speech) ** 2))
    assert ratio == pytest.approx(12.0, abs=0.01)


def test_batches_depend_on_step_and_seed_alone(examples):
    batches = EncoderBatches(examples, frames=50)
    once, again, later = batches.draw(3, 0, 8), batches.draw(3, 0, 8), batches.draw(4, 0, 8)
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert not torch.equal(once["cepstra"], later["cepstra"])
    assert once["cepstra"].shape == (8, 100, 13) and once["phone"].shape == (8, 50, len(PHONES))


def test_half_of_a_batch_is_unlabelled_where_there_is_such_speech(examples):
    unlabelled = [type(e)(e.cepstra, e.phone, e.lips) for e in examples]
    rows = EncoderBatches(examples, unlabelled, frames=50).draw(0, 0, 8)
    assert len(rows["cepstra"]) == 8 and len(rows["mel"]) == len(rows["speaker"]) == 4


def test_the_margin_softmax_of_a_hand_worked_case():
    heads = EncoderHeads(CompactSpeechConfig(voice_size=2), speakers=2, scale=10.0, margin=0.1)
    with torch.no_grad():
        heads.speaker.copy_(torch.eye(2))
    loss = heads.speaker_loss(torch.tensor([[3.0, 4.0]]), torch.tensor([0]))  # cosines 0.6 and 0.8
    assert float(loss.detach()) == pytest.approx(np.log(1 + np.exp(8.0 - 5.0)), abs=1e-5)


def test_tones_are_learned_and_the_encoder_labels_further_speech(examples, tmp_path):
    recipe = Recipe(
        name="toy", encoder="none", data="tones", steps=140, batch_size=8, learning_rate=4e-3, learning_rate_end=1e-3,
        validate_every=140, save_every=70, validation_batches=1,
    )  # fmt: skip
    config = CompactSpeechConfig(hidden_size=24, gru_size=16, dilations=(1, 2), feature_size=16, voice_size=8, dropout=0.0)
    torch.manual_seed(0)
    objective = EncoderObjective(3, config)
    batches = EncoderBatches(examples, frames=50)
    caches = {"train": batches, "validation": batches}
    EncoderTrainer(recipe, objective, caches, tmp_path / "run", progress=False).fit()
    assert frame_accuracy(objective, examples)["frames_right"] > 0.8

    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-2]["total"] < 0.5 * lines[0]["total"]
    shipped = SpeechEncoder.from_pretrained(tmp_path / "run" / "checkpoint")
    assert shipped.feature_size == 16

    # MFCCs alone, as an archive holds them, get labels from it.
    archive = tmp_path / "further.npz"
    cepstra = examples[0].cepstra
    np.savez(archive, mfcc=np.round(16 * cepstra.astype(float)).astype(np.int8), lengths=[len(cepstra)], utterances=["1-2-3"])
    found = label_cepstra(objective.model["encoder"], objective.model["heads"], archive, set())
    assert (found[0].phone.argmax(1) == examples[0].phone.argmax(1)).mean() > 0.75
    assert label_cepstra(objective.model["encoder"], objective.model["heads"], archive, {"1"}) == []
