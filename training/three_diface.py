"""Training of 3DiFACE (Thambiraja et al., section 4.1): the face it moves, its statistics, its losses.

The corpus holds coefficients. Their vertices follow from the rig, w D for blend weights w and the rig's displacements
D, and are never made for whole batches: motion encoder and motion decoder are linear too, so the same
losses, with the same noise, are taken in the few hundred dimensions that all of them span, at a tenth of the
time. Motion that comes as vertices (VOCASET) is noised and denoised as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from render.rig import Rig
from talker.blend_weights import blend_weights
from talker.errors import TalkerError
from talker.models.motion_model import Condition
from talker.models.three_diface import AXES, VARIANCE, ThreeDiFace
from talker.motion import ARKIT_NAMES
from talker.principal_components import principal_components
from training.dataset import Batch, FeatureCache
from training.losses import contrast_loss, identity_embeddings, total_loss, weighted_mean

LOSS_WEIGHTS = {"simple": 1.0, "velocity": 10.0, "contrast": 0.007}
"""Of eq. 4, λ_vel of eq. 5, and of matching identities by voice, which is DiffusionTalker's eq. 14."""

PARTS = ("skin", "lips", "eye_left", "eye_right")
"""Parts of a rig that the model moves, where shapes do; teeth, tongue, brows, lashes and hair follow. The eyeballs are
among them because nothing else tells where they look."""

STILL = 1e-7
"""Metres below which no target moves a vertex."""

AXES_FRAMES, SMALLEST_AXIS = 2048, 1e-4
"""Frames whose principal axes are taken (16 times as many tell how far motion goes along them), and the smallest that
counts, as a share of the largest."""

CHUNK = 65536
"""Frames of which statistics are taken at once."""


def face_index(rig: Rig) -> np.ndarray:
    """Vertices (V,) of a rig that a model moves: those of PARTS that some target moves, or, where the rig names no
    parts, all that some target moves, or, of a face without shapes, all."""
    moving = np.zeros(len(rig.vertices), bool)
    for target in rig.targets:
        moving |= np.abs(target).max(axis=1) > STILL
    named = [rig.parts[part] for part in PARTS if part in rig.parts]
    if named:
        chosen = np.zeros_like(moving)
        chosen[np.concatenate(named)] = True
        moving &= chosen
    return np.flatnonzero(moving) if moving.any() else np.arange(len(rig.vertices))


def face_config(rig: Rig) -> dict:
    """The fields of ThreeDiFaceConfig that say which face is moved."""
    return {
        "face": rig.name,
        "face_fingerprint": rig.fingerprint,
        "face_vertices": len(face_index(rig)),
        "correctives": [list(corrective.shapes) for corrective in rig.correctives],
    }


def set_face(model: ThreeDiFace, rig: Rig) -> None:
    """Put the rig's face into a model that was made with face_config of it."""
    index = face_index(rig)
    model.face.index.copy_(torch.from_numpy(index))
    model.face.targets.copy_(torch.from_numpy(rig.targets[:, index]))


def vertex_statistics(model: ThreeDiFace, motion: Tensor) -> tuple[np.ndarray, float]:
    """Mean displacements (3 V,) and the sum of their variances of training motion (F, C), coefficients or vertices."""
    if motion.shape[1] == model.channels:
        pieces = [motion[start : start + CHUNK].double() for start in range(0, len(motion), CHUNK)]
        mean = sum(piece.sum(dim=0) for piece in pieces) / len(motion)
        return mean.numpy(), float(sum(((piece - mean) ** 2).sum() for piece in pieces) / len(motion))
    if motion.shape[1] < len(ARKIT_NAMES):
        raise TalkerError(
            f"The features hold motion of {motion.shape[1]} numbers a frame, and the face has {model.channels}; choose the "
            "rig that the motion was recorded on, or features of the 52 coefficients."
        )
    targets = model.face.targets.flatten(1).double()
    total = torch.zeros(len(targets), dtype=torch.float64)
    squares = torch.zeros(len(targets), len(targets), dtype=torch.float64)
    for start in range(0, len(motion), CHUNK):
        weights = blend_weights(motion[start : start + CHUNK, : len(ARKIT_NAMES)], model.face.correctives).double()
        total += weights.sum(dim=0)
        squares += weights.T @ weights
    mean = total / len(motion)
    covariance = squares / len(motion) - torch.outer(mean, mean)
    return (mean @ targets).numpy(), float((covariance * (targets @ targets.T)).sum())


def vertex_range(model: ThreeDiFace, motion: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ThreeDiFace.set_range takes, of training motion (F, C), coefficients or vertices: of some thousand frames,
    evenly spaced."""

    def frames(count: int) -> Tensor:
        return motion[torch.linspace(0, len(motion) - 1, min(count, len(motion))).long()]

    _, components = principal_components(model.standardise(frames(AXES_FRAMES).float()).numpy(), 0.0)
    size = np.linalg.norm(components[:AXES], axis=1)
    counted = size > SMALLEST_AXIS * size.max()
    axes = components[:AXES][counted] / size[counted, None]
    ends: list[list[np.ndarray]] = [[], []]
    for piece in frames(16 * AXES_FRAMES).split(AXES_FRAMES):
        clean = model.standardise(piece.float()).numpy()
        for found, values in zip(ends, (clean @ axes.T, clean)):
            found.append(np.stack([values.min(axis=0), values.max(axis=0)]))
    places, vertices = (np.stack([np.min(found, axis=0)[0], np.max(found, axis=0)[1]]) for found in ends)
    return axes, places, vertices


@dataclass(frozen=True)
class _Span:
    """What motion encoder, motion decoder and rig do to each other; everything else of V vertices falls out.

    encoded : (K + 1, H), the motion encoder's output for each target and for the resting face, clean
    spread  : (H, H), what turns H standard normal numbers into the encoder's output for noise of all coordinates
    gram    : (H + K + 1, H + K + 1), products of the decoder's columns, the targets (negative) and what is constant
    """

    encoded: Tensor
    spread: Tensor
    gram: Tensor


def span(model: ThreeDiFace) -> _Span:
    """The products that the losses need, with gradients to motion encoder and motion decoder."""
    scale = model.motion_std[0]
    encoder, decoder = model.motion_encoder.weight, model.motion_decoder.weight
    rest = -model.motion_mean[None]
    clean = torch.cat([model.face.targets.flatten(1), rest]) / scale
    columns = torch.cat([decoder.T, -clean[:-1], model.motion_decoder.bias[None] - clean[-1:]])
    return _Span(clean @ encoder.T, torch.linalg.cholesky(encoder @ encoder.T), columns @ columns.T)


class ThreeDiFaceObjective(nn.Module):
    """Eq. 6 for one batch, and the contrast loss that lets voices find identities.

    Losses are shares: squared errors summed over coordinates, over VARIANCE, averaged over frames. A model that
    predicts the mean has a simple loss of 1.
    drop       : share of the crops whose speech is left out (section 4.1)
    as_vertices: whether the batches' motion is displacements of vertices; else it is coefficients
    noise_channels: numbers of noise a frame that a batch must bring
    """

    def __init__(
        self, model: ThreeDiFace, weights: dict[str, float] | None = None, drop: float = 0.1, as_vertices: bool = False
    ):
        super().__init__()
        unknown = sorted(set(weights or {}) - set(LOSS_WEIGHTS))
        if unknown:
            raise TalkerError(
                f"There is no loss {unknown[0]} as in the recipe's loss_weights; 3DiFACE's are {', '.join(LOSS_WEIGHTS)}."
            )
        self.model, self.drop, self.as_vertices = model, drop, as_vertices
        self.weights = {**LOSS_WEIGHTS, **(weights or {})}
        self.noise_channels = model.channels if as_vertices else model.config.hidden_dim

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        model, schedule = self.model, self.model.schedule
        # Of the number in [0, 1) that a crop draws, the step takes the front and dropping the speech what is left.
        position = batch.uniform * schedule.steps
        step = position.long().clamp_max(schedule.steps - 1) + 1
        logits = None if model.library is None else model.library.logits(batch.voice)
        condition = Condition(batch.audio, identity_embeddings(model, batch, logits))
        condition = condition.without(audio=(position - position.floor() < self.drop).to(batch.audio.device))
        errors = self.vertex_errors if self.as_vertices else self.rig_errors
        frame_error, pair_error = errors(batch, step, condition)
        losses = {
            "simple": weighted_mean(frame_error[..., None], batch.weight),
            "velocity": weighted_mean(pair_error[..., None], batch.pair_weight),
        }
        if logits is not None:
            losses["contrast"] = contrast_loss(logits, batch.speaker)
        return total_loss(losses, self.weights)

    def vertex_errors(self, batch: Batch, step: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """Squared errors of frames (B, T) and of their first differences (B, T - 1), in shares of VARIANCE."""
        clean = self.model.standardise(batch.motion)
        x = self.model.schedule.add_noise(clean, step, batch.noise)
        error = self.model(x, step, condition).float() - clean
        return tuple((part**2).sum(dim=-1) / VARIANCE for part in (error, error.diff(dim=1)))

    def rig_errors(self, batch: Batch, step: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """The same of motion that the rig makes of coefficients, for noise of which batch.noise says as much as the
        motion encoder hears: hidden_dim standard normal numbers a frame."""
        model, hidden_dim = self.model, self.model.config.hidden_dim
        with torch.autocast(batch.motion.device.type, enabled=False):  # differences of large sums
            products = span(model)
            weights = blend_weights(batch.motion[..., : len(ARKIT_NAMES)].float(), model.face.correctives)
            weights = torch.cat([weights, torch.ones_like(weights[..., :1])], dim=-1)
            noise = batch.noise[..., :hidden_dim] @ products.spread.T
            encoded = model.schedule.add_noise(weights @ products.encoded, step, noise) + model.motion_encoder.bias
        hidden = model.hidden(encoded, step, condition).float()
        with torch.autocast(batch.motion.device.type, enabled=False):
            rows = torch.cat([hidden, weights], dim=-1)
            return tuple(((part @ products.gram) * part).sum(dim=-1) / VARIANCE for part in (rows, rows.diff(dim=1)))
