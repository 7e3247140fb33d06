"""The identity library: a learned embedding per speaker, found again by voice (paper, section 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from talker.errors import TalkerError

IDENTITY_DIM = 32
"""Dimensions of an identity embedding (section 4.1)."""

TEMPERATURE = 0.07
"""Temperature τ of eq. 14; the paper does not print it, this is CLIP's (Radford et al. 2021)."""


@dataclass(frozen=True)
class Match:
    """The identity found for a voice.

    name, similarity : the best match and its cosine similarity in [-1, 1]
    ranking          : all (name, similarity), best first
    """

    name: str
    similarity: float
    ranking: list[tuple[str, float]] = field(default_factory=list)


NO_MATCH = Match("none", 0.0)
"""What a model without identities finds for every voice."""


class IdentityLibrary(nn.Module):
    """K identity embeddings and the encoder that makes them comparable with voices.

    names      : K names, all different
    embeddings : (K, 32) learned
    encoder    : MLP from an embedding to an identity feature (E,), comparable with a voice

    A voice is one frozen vector (E,) of the speech encoder for an utterance. It is centred and
    decorrelated by fixed statistics of the training voices (`set_voice_statistics`; by default it
    is left as it is), because all voices share a large common part that would drown the rest in a
    cosine.
    """

    def __init__(
        self,
        names: list[str],
        voice_dim: int,
        identity_dim: int = IDENTITY_DIM,
        hidden_dim: int = 256,
        temperature: float = TEMPERATURE,
        learn_temperature: bool = False,
    ):
        super().__init__()
        if not names or len(set(names)) != len(names):
            raise TalkerError("An identity library needs at least one name, and each name once.")
        self.names = list(names)
        self.embeddings = nn.Parameter(torch.randn(len(names), identity_dim))
        self.encoder = nn.Sequential(
            nn.Linear(identity_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, voice_dim)
        )
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)), requires_grad=learn_temperature)
        self.register_buffer("voice_mean", torch.zeros(voice_dim))
        self.register_buffer("voice_projection", torch.eye(voice_dim))

    def index(self, name: str) -> int:
        """Row of a name. Raises TalkerError for a name that is not in the library."""
        if name not in self.names:
            raise TalkerError(
                f"There is no identity “{name}” in this model; run “python -m talker identities” to see its names."
            )
        return self.names.index(name)

    def embedding(self, name: str) -> torch.Tensor:
        """The embedding (32,) of a name."""
        return self.embeddings[self.index(name)]

    def set_voice_statistics(self, voices: np.ndarray, speakers: np.ndarray, shrinkage: float = 0.1) -> None:
        """Fix the centring and decorrelation of voices from the training voices.

        voices : (n, E), speakers : (n,) integers. Within-class covariance normalisation (Hatch et
        al. 2006): the projection W with W Wᵀ = Σ⁻¹, Σ the covariance of voices about their
        speaker's mean, shrunk towards the scaled unit matrix so that few voices are enough.
        """
        voices = np.asarray(voices, dtype=np.float64)
        mean = voices.mean(axis=0)
        within = np.concatenate([voices[speakers == s] - voices[speakers == s].mean(axis=0) for s in np.unique(speakers)])
        covariance = within.T @ within / len(within)
        average = np.trace(covariance) / len(covariance)
        covariance = (1 - shrinkage) * covariance + (shrinkage * average + 1e-12) * np.eye(len(covariance))
        self.voice_mean.copy_(torch.from_numpy(mean))
        self.voice_projection.copy_(torch.from_numpy(np.linalg.cholesky(np.linalg.inv(covariance))))

    def voice_features(self, voice: torch.Tensor) -> torch.Tensor:
        """Voices (..., E) as unit vectors (..., E), after the fixed centring and decorrelation."""
        return F.normalize((voice - self.voice_mean) @ self.voice_projection, dim=-1)

    def identity_features(self) -> torch.Tensor:
        """All identities as unit vectors (K, E)."""
        return F.normalize(self.encoder(self.embeddings), dim=-1)

    def logits(self, voice: torch.Tensor) -> torch.Tensor:
        """Similarities over temperature, (B, K), of voices (B, E) with every identity (eq. 14)."""
        return self.voice_features(voice) @ self.identity_features().T / self.log_temperature.exp()

    @torch.no_grad()
    def match(self, voice: np.ndarray | torch.Tensor) -> Match:
        """The identity whose feature has the highest cosine similarity with the voice (E,)."""
        voice = torch.as_tensor(voice, dtype=self.embeddings.dtype, device=self.embeddings.device)
        if voice.shape != self.voice_mean.shape:
            raise TalkerError(
                f"This identity library compares voices of {len(self.voice_mean)} numbers, the speech encoder gave "
                f"{tuple(voice.shape)}; use the encoder the model was trained with."
            )
        similarity = (self.identity_features() @ self.voice_features(voice)).cpu().numpy()
        order = np.argsort(-similarity, kind="stable")
        ranking = [(self.names[i], float(similarity[i])) for i in order]
        return Match(ranking[0][0], ranking[0][1], ranking)
