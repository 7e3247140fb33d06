"""The identity library finds a speaker again by voice."""

import numpy as np
import pytest
import torch

from talker.errors import TalkerError
from talker.identity import IdentityLibrary


def library(voice_dim=6):
    torch.manual_seed(0)
    return IdentityLibrary(["anna", "ben", "carl"], voice_dim)


def test_match_is_the_highest_cosine_similarity():
    lib = library()
    voice = np.random.default_rng(0).normal(size=6).astype(np.float32)
    with torch.no_grad():
        features = lib.encoder(lib.embeddings).numpy()
    cosine = features @ voice / np.linalg.norm(features, axis=1) / np.linalg.norm(voice)
    match = lib.match(voice)
    assert match.name == lib.names[cosine.argmax()]
    assert match.similarity == pytest.approx(cosine.max(), abs=1e-6)
    assert [name for name, _ in match.ranking] == [lib.names[i] for i in np.argsort(-cosine)]
    assert np.allclose([s for _, s in match.ranking], np.sort(cosine)[::-1], atol=1e-6)
    # Loudness of the voice vector does not matter.
    assert lib.match(voice * 9).similarity == pytest.approx(match.similarity, abs=1e-6)


def test_logits_are_similarities_over_temperature():
    lib = library()
    voice = torch.randn(4, 6)
    logits = lib.logits(voice)
    assert logits.shape == (4, 3)
    assert logits[2].max().item() * 0.07 == pytest.approx(lib.match(voice[2]).similarity, abs=1e-5)


def test_voice_statistics_make_the_spread_within_speakers_round():
    """Hatch et al. 2006: after the projection the covariance about speakers' means is the unit matrix."""
    rng = np.random.default_rng(0)
    speakers = np.repeat([0, 1, 2], 200)
    mixing = rng.normal(size=(6, 6))
    voices = 5 + rng.normal(size=(3, 6))[speakers] + rng.normal(size=(600, 6)) @ mixing
    lib = library()
    lib.set_voice_statistics(voices, speakers, shrinkage=0.0)
    projected = (voices - lib.voice_mean.numpy()) @ lib.voice_projection.numpy()
    within = np.concatenate([projected[speakers == s] - projected[speakers == s].mean(0) for s in range(3)])
    assert np.allclose(within.T @ within / 600, np.eye(6), atol=1e-3)
    assert np.allclose(projected.mean(0), 0, atol=1e-4)


def test_only_unknown_names_and_foreign_voices_are_refused():
    lib = library()
    assert torch.equal(lib.embedding("ben"), lib.embeddings[1])
    with pytest.raises(TalkerError, match="no identity “zoe”"):
        lib.embedding("zoe")
    with pytest.raises(TalkerError, match="voices of 6 numbers"):
        lib.match(np.zeros(7, dtype=np.float32))
    with pytest.raises(TalkerError, match="each name once"):
        IdentityLibrary(["anna", "anna"], 6)
