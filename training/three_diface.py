"""Training of 3DiFACE (Thambiraja et al., section 4.1): the face it moves, its statistics, its losses.

The corpus holds coefficients. Their vertices follow from the rig, w D for blend weights w and the rig's displacements
D, and are never made for whole batches: motion encoder and motion decoder are linear too, so the same
losses, with the same noise, are taken in the few hundred dimensions that all of them span, at a tenth of the
time. Motion that comes as vertices (VOCASET) is noised and denoised as it is.
"""

from __future__ import annotations

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
from training.losses import Noised, contrast_loss, emphasised, identity_embeddings, loss_weights, total_loss, weighted_mean

LOSS_WEIGHTS = {"simple": 1.0, "velocity": 10.0, "contrast": 0.007, "distill": 0.1}
"""Of eq. 4, λ_vel of eq. 5, and of DiffusionTalker's eqs. 14, matching identities by voice, and 16, of students."""

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


def heard(model: ThreeDiFace) -> tuple[Tensor, Tensor]:
    """What the motion encoder makes of targets and noise, without its bias, with gradients to it.

    (K + 1, H), its output for each target and for the resting face; and (H, H), what turns H standard normal numbers
    into its output for noise of all coordinates.
    """
    encoder = model.motion_encoder.weight
    return _faces(model) @ encoder.T, torch.linalg.cholesky(encoder @ encoder.T)


def products(model: ThreeDiFace) -> Tensor:
    """(H + K + 1, H + K + 1): products of the motion decoder's columns, the targets (negative) and what is constant, of
    which squared errors are made; with gradients to the decoder. All else of V vertices falls out."""
    faces = _faces(model)
    constant = model.motion_decoder.bias[None] - faces[-1:]
    columns = torch.cat([model.motion_decoder.weight.T, -faces[:-1], constant])
    return columns @ columns.T


def _faces(model: ThreeDiFace) -> Tensor:
    """Each target, and the resting face, as standardised displacements (K + 1, 3 V)."""
    return torch.cat([model.face.targets.flatten(1), -model.motion_mean[None]]) / model.motion_std[0]


class ThreeDiFaceObjective(nn.Module):
    """Eq. 6 for one batch, and the contrast loss that lets voices find identities.

    Losses are shares: squared errors summed over coordinates, over VARIANCE, averaged over frames. A model that
    predicts the mean has a simple loss of 1.
    drop       : share of the crops whose speech is left out (section 4.1)
    as_vertices: whether the batches' motion is displacements of vertices; else it is coefficients
    closure    : how much more closed lips count in "simple" (training.losses.closure_emphasis); 1 for vertices
    noise_channels: numbers of noise a frame that a batch must bring
    """

    def __init__(
        self, model: ThreeDiFace, weights: dict[str, float] | None = None, drop: float = 0.1, as_vertices: bool = False,
        closure: float = 1.0,
    ):  # fmt: skip
        super().__init__()
        self.model, self.drop, self.as_vertices, self.closure = model, drop, as_vertices, closure
        self.weights = loss_weights(weights, LOSS_WEIGHTS)
        self.noise_channels = model.channels if as_vertices else model.config.hidden_dim

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        noised = self.noised(batch)
        return total_loss(self.losses(batch, noised, self.predict(self.model, noised)), self.weights)

    def noised(self, batch: Batch) -> Noised:
        """The batch at random diffusion steps, the speech of some crops left out."""
        model, schedule = self.model, self.model.schedule
        # Of the number in [0, 1) that a crop draws, the step takes the front and dropping the speech what is left.
        position = batch.uniform * schedule.steps
        step = position.long().clamp_max(schedule.steps - 1) + 1
        logits = None if model.library is None else model.library.logits(batch.voice)
        condition = Condition(batch.audio, identity_embeddings(model, batch, logits))
        condition = condition.without(audio=(position - position.floor() < self.drop).to(batch.audio.device))
        clean, x = self.noisy(batch, step)
        return Noised(clean, x, step, condition, logits)

    def noisy(self, batch: Batch, step: Tensor) -> tuple[Tensor, Tensor]:
        """(clean, x) of a batch at given steps (B,): displacements (B, T, 3 V); or, of motion that the rig makes of
        coefficients, the rig's weights and a 1 (B, T, K + 1), and what the motion encoder makes of them (B, T, H), with
        noise of which batch.noise says as much as it hears, H standard normal numbers a frame."""
        model = self.model
        if self.as_vertices:
            clean = model.standardise(batch.motion)
            return clean, model.schedule.add_noise(clean, step, batch.noise)
        with torch.autocast(batch.motion.device.type, enabled=False):  # differences of large sums
            encoded, spread = heard(model)
            clean = blend_weights(batch.motion[..., : len(ARKIT_NAMES)].float(), model.face.correctives)
            clean = torch.cat([clean, torch.ones_like(clean[..., :1])], dim=-1)
            noise = batch.noise[..., : model.config.hidden_dim] @ spread.T
            return clean, model.schedule.add_noise(clean @ encoded, step, noise)

    def predict(self, model: ThreeDiFace, noised: Noised) -> Tensor:
        """Predicted displacements (B, T, 3 V), or the numbers (B, T, H) of which the motion decoder makes them."""
        if self.as_vertices:
            return model(noised.x, noised.step, noised.condition).float()
        return model.hidden(noised.x + model.motion_encoder.bias, noised.step, noised.condition).float()

    def losses(self, batch: Batch, noised: Noised, prediction: Tensor) -> dict[str, Tensor]:
        """The losses of a prediction, unweighted."""
        frame_error, pair_error = self.errors(noised.clean, prediction)
        losses = {
            "simple": weighted_mean(frame_error[..., None], emphasised(batch, self.closure).weight),
            "velocity": weighted_mean(pair_error[..., None], batch.pair_weight),
        }
        if noised.logits is not None:
            losses["contrast"] = contrast_loss(noised.logits, batch.speaker)
        return losses

    def errors(self, clean: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """Squared errors of frames (B, T) and of their first differences (B, T - 1), in shares of VARIANCE."""
        if self.as_vertices:
            error = prediction - clean
            return tuple((part**2).sum(dim=-1) / VARIANCE for part in (error, error.diff(dim=1)))
        with torch.autocast(clean.device.type, enabled=False):
            rows, gram = torch.cat([prediction, clean], dim=-1), products(self.model)
            return tuple(((part @ gram) * part).sum(dim=-1) / VARIANCE for part in (rows, rows.diff(dim=1)))

    def clean_input(self, model: ThreeDiFace, prediction: Tensor) -> Tensor:
        """The x0 of a model's prediction, as `noisy` has x."""
        if self.as_vertices:
            return prediction
        with torch.autocast(prediction.device.type, enabled=False):
            encoder, decoder = model.motion_encoder.weight, model.motion_decoder
            return prediction @ (encoder @ decoder.weight).T + encoder @ decoder.bias

    def distances(
        self, batch: Batch, noised: Noised, prediction: Tensor, teacher: ThreeDiFace, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(error, weight), both (B, T): squared distances from a teacher's prediction, in shares of VARIANCE."""
        if self.as_vertices:
            return ((prediction - target) ** 2).sum(dim=-1) / VARIANCE, batch.weight
        with torch.autocast(prediction.device.type, enabled=False):
            ours, theirs = self.model.motion_decoder, teacher.motion_decoder
            columns = torch.cat([ours.weight.T, -theirs.weight.T, (ours.bias - theirs.bias)[None]])
            rows = torch.cat([prediction, target, torch.ones_like(target[..., :1])], dim=-1)
            return ((rows @ (columns @ columns.T)) * rows).sum(dim=-1) / VARIANCE, batch.weight
