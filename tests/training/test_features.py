"""From a small corpus in BEAT's layout to feature caches."""

import shutil

import numpy as np
import pytest
import torch

from talker.audio import SAMPLE_RATE, load_speech
from talker.encoders import CompactSpeechConfig, CompactSpeechModel, SpeechEncoder
from talker.errors import TalkerError
from talker.motion import Motion
from training.beat import write_motion, write_wav
from training.features import feature_caches


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    for speaker in ("anna", "ben"):
        for k in range(2):
            seconds = 1.0 + 0.5 * k
            time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
            write_wav(0.3 * np.sin(2 * np.pi * rng.uniform(100, 300) * time), folder / speaker / f"{speaker}-{k}.wav")
            # BEAT has 60 frames a second.
            frames = int(seconds * 60)
            coefficients = np.linspace(0, 1, frames)[:, None].repeat(52, 1).astype(np.float32)
            write_motion(Motion(coefficients, np.zeros((frames, 3), np.float32), 60.0), folder / speaker / f"{speaker}-{k}.json")
    return folder


def test_features_motion_and_voices_of_a_corpus_are_cached_once(corpus, encoder, tmp_path):
    caches = feature_caches(tmp_path, corpus, encoder, variants=2)
    cache = caches["train"]
    assert cache.names == ["anna-0", "anna-1", "ben-0", "ben-1"]
    assert cache.speakers == ["anna", "anna", "ben", "ben"]
    assert cache.lengths.tolist() == [30, 45, 30, 45]  # 60 frames a second brought to 30
    assert cache.frames.shape == (3 * 150, 12) and cache.voices.shape == (12, 6)
    assert cache.seconds == pytest.approx(5.0)
    # A folder without corpus.json, as BEAT, has no validation split of its own.
    assert caches["validation"] is cache

    # The first variant is the clean recording, the others are not.
    wav = next(corpus.glob("ben/ben-1.wav"))
    features = SpeechEncoder.from_pretrained(encoder).encode(load_speech(wav), 45)
    variant = cache.variants[3][0]
    start = cache.frames_start[variant]
    assert torch.allclose(cache.frames[start : start + 45].float(), torch.from_numpy(features.frames), atol=2e-3)
    assert torch.allclose(cache.voices[variant], torch.from_numpy(features.voice), atol=1e-5)
    assert not torch.allclose(cache.voices[variant], cache.voices[variant + 1], atol=1e-3)
    assert cache.motion[cache.motion_start[3] + 44, 0] == pytest.approx(1.0, abs=0.02)

    # Computed again, it is the same file; computed already, neither corpus nor encoder is asked for.
    feature_caches(tmp_path / "again", corpus, encoder, variants=2)
    assert (tmp_path / "train.safetensors").read_bytes() == (tmp_path / "again" / "train.safetensors").read_bytes()
    (tmp_path / "validation.safetensors").write_bytes((tmp_path / "train.safetensors").read_bytes())
    assert feature_caches(tmp_path)["train"].names == cache.names


def test_features_of_another_encoder_or_corpus_are_computed_again(corpus, encoder, tmp_path):
    features, other, voices = tmp_path / "features", tmp_path / "other", tmp_path / "corpus"
    shutil.copytree(corpus, voices)
    before = feature_caches(features, voices, encoder)["train"].frames.clone()
    stamp = (features / "train.safetensors").stat().st_mtime_ns
    feature_caches(features, voices, encoder)
    assert (features / "train.safetensors").stat().st_mtime_ns == stamp

    torch.manual_seed(1)
    CompactSpeechModel(CompactSpeechConfig(hidden_size=16, gru_size=8, feature_size=12, voice_size=6)).save_pretrained(other)
    assert not torch.allclose(feature_caches(features, voices, str(other))["train"].frames, before)

    shutil.copytree(voices / "ben", voices / "carl")
    assert feature_caches(features, voices, str(other))["train"].speakers == ["anna"] * 2 + ["ben"] * 2 + ["carl"] * 2


def test_missing_features_ask_for_a_corpus(tmp_path):
    with pytest.raises(TalkerError, match="give --corpus"):
        feature_caches(tmp_path)
