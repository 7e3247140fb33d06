"""Identities: a learned embedding per speaker, found again by voice (paper, section 3.3), and those added later.

`IdentityLibrary` is what a model learned. `Identities` is everyone a loaded model can speak as: the
learned ones and those that were enrolled (talker.enrol), alone or blended by weights.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
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

NEIGHBOURS = 5
"""Learned identities that an identity enrolled from speech alone is mixed from."""

AUTO = "auto"
"""What stands for the best match of the voice wherever an identity is named."""


@dataclass(frozen=True)
class Match:
    """The identity found for a voice, or the one that was picked.

    name, similarity : the identity (a name or a blend) and its cosine similarity with the voice in [-1, 1]
    ranking          : all (name, similarity), best first
    weights          : names that the identity is a blend of, with weights that sum to 1; of a name alone {name: 1}
    """

    name: str
    similarity: float
    ranking: list[tuple[str, float]] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict, compare=False)


NO_MATCH = Match("none", 0.0)
"""What a model without identities finds for every voice."""

WITHOUT_IDENTITIES = "This model was trained without identities; leave the identity out, or choose another model."


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
            raise TalkerError(unknown(name))
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
    def voice_feature(self, voices: np.ndarray) -> torch.Tensor:
        """One unit vector (E,) of a speaker's recordings: the mean of the features of their voices (n, E).

        Raises TalkerError for voices of another speech encoder.
        """
        voices = torch.as_tensor(voices, dtype=self.embeddings.dtype, device=self.embeddings.device)
        if voices.shape[-1] != len(self.voice_mean):
            raise TalkerError(
                f"This identity library compares voices of {len(self.voice_mean)} numbers, the speech encoder gave "
                f"{voices.shape[-1]}; use the encoder the model was trained with."
            )
        return F.normalize(self.voice_features(voices).mean(dim=0), dim=0)

    @torch.no_grad()
    def neighbours(self, feature: torch.Tensor, count: int = NEIGHBOURS) -> dict[str, float]:
        """The learned identities nearest to a voice's feature (E,), best first, with weights that sum to 1.

        The weights are the softmax of the similarities over the library's temperature: the
        probabilities that eq. 14 gives these identities, were there no others.
        """
        similarity = self.identity_features() @ feature
        nearest = similarity.topk(min(count, len(self.names)))
        weights = (nearest.values / self.log_temperature.exp()).softmax(dim=0)
        return {self.names[row]: float(weight) for row, weight in zip(nearest.indices, weights)}

    def match(self, voice: np.ndarray | torch.Tensor) -> Match:
        """The learned identity whose feature has the highest cosine similarity with the voice (E,)."""
        return Identities(self).match(voice)


def unknown(name: str) -> str:
    """The sentence about a name that nobody has."""
    return f"There is no identity “{name}” in this model; run “python -m talker identities” to see its names."


@dataclass(frozen=True)
class EnrolledIdentity:
    """An identity that was added to those a model learned.

    name       : as `talker.enrol.check_name` allows
    voices     : (n, E) float32, one voice per recording as the speech encoder gave it
    encoder    : fingerprint of what of that speech encoder hears the voice
    embedding  : (32,) float32, fine-tuned on motion; None for an identity enrolled from speech alone, whose
                 embedding is the mixture of its neighbours in whatever library it is used with
    checkpoint : fingerprint of the denoiser that the embedding was fine-tuned for, "" without one
    model      : that denoiser's name, for messages
    """

    name: str
    voices: np.ndarray
    encoder: str
    embedding: np.ndarray | None = None
    checkpoint: str = ""
    model: str = ""


class Identities:
    """Everyone a model can speak as: K learned identities, then the enrolled ones that fit it.

    names      : all of them
    embeddings : (K', 32); features : (K', E) unit vectors. A learned identity's feature comes from its
                 embedding, an enrolled one's is its own voice, so that the person is found again
    enrolled   : those of them that were enrolled, by name
    refused    : name of an enrolled identity that does not fit this model → the sentence that says why

    A model without identities (library is None) speaks as nobody: there are no names, and any voice's match is NO_MATCH.
    """

    @torch.no_grad()
    def __init__(
        self, library: IdentityLibrary | None, enrolled: Mapping[str, EnrolledIdentity] | None = None,
        encoder: str = "", checkpoint: str = "",
    ):  # fmt: skip
        """encoder, checkpoint : fingerprints of the speech encoder's voice path and the denoiser that the library belongs to."""
        self.library = library
        self.names = list(library.names) if library else []
        self.enrolled: dict[str, EnrolledIdentity] = {}
        self.refused: dict[str, str] = {}
        if library is None:
            self.refused = dict.fromkeys(enrolled or {}, WITHOUT_IDENTITIES)
            return
        embeddings, features = [library.embeddings.detach()], [library.identity_features()]
        for name, identity in (enrolled or {}).items():
            if sentence := _misfit(identity, library, encoder, checkpoint):
                self.refused[name] = sentence
                continue
            feature = library.voice_feature(identity.voices)
            if identity.embedding is None:
                embedding = mixture(library, library.neighbours(feature))
            else:
                embedding = torch.as_tensor(identity.embedding).to(library.embeddings)
            self.names.append(name)
            self.enrolled[name] = identity
            embeddings.append(embedding[None])
            features.append(feature[None])
        self.embeddings, self.features = torch.cat(embeddings), torch.cat(features)

    def alone(self, name: str) -> Identities:
        """One of them as the only one, whom every voice is taken for."""
        only = copy.copy(self)
        row = self.names.index(name)
        only.names, only.embeddings, only.features = [name], self.embeddings[[row]], self.features[[row]]
        return only

    def weights(self, identity: str | Mapping[str, float]) -> dict[str, float]:
        """Names with weights that sum to 1, of a name, of a blend "NAME:0.7,OTHER:0.3", or of a mapping; "auto", also
        as a part of a blend, stands for whoever a voice will be most like.

        Raises TalkerError for names that nobody has, and for weights below 0 or all 0.
        """
        if self.library is None:
            raise TalkerError(WITHOUT_IDENTITIES)
        if isinstance(identity, str) and identity in self.names:
            return {identity: 1.0}
        parts = parse_blend(identity) if isinstance(identity, str) else identity
        for name, weight in parts.items():
            if name not in self.names and name != AUTO:
                raise TalkerError(self.refused.get(name) or unknown(name))
            if not 0 <= weight < math.inf:
                raise TalkerError(f"The weight of “{name}” in a blend is {weight}; give a number such as 0.5.")
        total = sum(parts.values())
        if not total:
            raise TalkerError("A blend of identities needs a weight above 0, as in NAME:0.7,OTHER:0.3.")
        return {name: weight / total for name, weight in parts.items() if weight}

    def embedding(self, identity: str | Mapping[str, float]) -> torch.Tensor:
        """The embedding (32,) of a name or blend: the weighted mean of its parts."""
        return self._mean(self.embeddings, identity)

    def match(self, voice: np.ndarray | torch.Tensor, identity: str | Mapping[str, float] = AUTO) -> Match:
        """All identities ranked by the cosine similarity of their features with a voice (E,).

        identity : the one to take, as `weights` has it; "auto" is the most similar. A blend is as similar as the
                   weighted mean of its parts' features
        """
        if self.library is None and identity == AUTO:
            return NO_MATCH
        asked = self.weights(identity)
        feature = self.library.voice_feature(np.asarray(voice)[None])
        similarity = (self.features @ feature).cpu().numpy()
        order = np.argsort(-similarity, kind="stable")
        ranking = [(self.names[i], float(similarity[i])) for i in order]
        weights: dict[str, float] = {}
        for name, weight in asked.items():
            name = ranking[0][0] if name == AUTO else name
            weights[name] = weights.get(name, 0.0) + weight
        if len(weights) == 1:
            return Match(name, dict(ranking)[name], ranking, weights)
        mean = F.normalize(self._mean(self.features, weights), dim=0)
        return Match(blend_name(weights), float(mean @ feature), ranking, weights)

    def _mean(self, rows: torch.Tensor, identity: str | Mapping[str, float]) -> torch.Tensor:
        return sum(weight * rows[self.names.index(name)] for name, weight in self.weights(identity).items())


def mixture(library: IdentityLibrary, weights: Mapping[str, float]) -> torch.Tensor:
    """The weighted mean (32,) of learned embeddings."""
    return sum(weight * library.embedding(name).detach() for name, weight in weights.items())


def parse_blend(text: str) -> dict[str, float]:
    """"NAME:0.7,OTHER:0.3" as {"NAME": 0.7, "OTHER": 0.3}; a name alone has the weight 1. TalkerError for other text."""
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, weight = part.rpartition(":") if ":" in part else (part, "", "1")
        try:
            weights[name.strip()] = weights.get(name.strip(), 0.0) + float(weight)
        except ValueError:
            raise TalkerError(f"“{part}” is no part of a blend; write names with weights, as in NAME:0.7,OTHER:0.3.")
    return weights


def blend_name(weights: Mapping[str, float]) -> str:
    """What a blend is called: its only name, or "NAME:0.7,OTHER:0.3" with weights that sum to 1."""
    if len(weights) == 1:
        return next(iter(weights))
    return ",".join(f"{name}:{weight:.3g}" for name, weight in weights.items())


def _misfit(identity: EnrolledIdentity, library: IdentityLibrary, encoder: str, checkpoint: str) -> str | None:
    """Why an enrolled identity cannot be used with a model, or None."""
    if identity.name in library.names:
        return f"This model has learned an identity “{identity.name}” of its own; forget the one that was enrolled."
    if identity.encoder != encoder:
        return f"“{identity.name}” was enrolled with a speech encoder that hears voices otherwise; forget it and enrol it again."
    if identity.embedding is not None and identity.checkpoint != checkpoint:
        return (
            f"“{identity.name}” was enrolled from motion for another checkpoint ({identity.model}); choose that model, "
            "or forget it and enrol it again."
        )
    return None
