"""Where motion puts the vertices of a face, so that losses can be taken there (DiffPoseTalk, section 3.2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from render.rig import Rig
from talker.blend_weights import MOUTH_CLOSE_SLACK, with_correctives
from talker.motion import ARKIT_INDEX, ARKIT_NAMES

MOVING = 1e-4
"""Metres that a shape must move a vertex by for the vertex to count: hair, clothes and the back of the head only
dilute a mean."""


class RigGeometry(nn.Module):
    """Vertices of a rig, in as few numbers as say the same about distances.

    A rig adds deltas up, so the squared distance of two poses is a quadratic form of the difference of their weights,
    with the deltas' Gram matrix G. With G = LᵀL, the weights times Lᵀ are coordinates between which distances are those
    between all vertices, exactly, at 52 + K numbers a frame instead of three for each of thousands of vertices.
    """

    def __init__(self, rig: Rig):
        super().__init__()
        targets = rig.targets.astype(np.float64)
        moving = np.abs(targets).max(axis=(0, 2)) > MOVING
        flat = targets[:, moving].reshape(len(targets), -1)
        values, vectors = np.linalg.eigh(flat @ flat.T)
        # Divided by the root of the count, so that the mean over coordinates is the mean over the vertices' x, y and z.
        root = vectors * np.sqrt(np.maximum(values, 0) * len(values) / flat.shape[1])
        self.register_buffer("root", torch.from_numpy(root.astype(np.float32)), persistent=False)
        self.correctives = rig.correctives

    def forward(self, motion: Tensor, shape: Tensor | None = None) -> Tensor:
        """Coordinates (..., 52 + K) in metres of motion (..., C), whose first 52 channels are coefficients; the head
        is at rest. The mean of their squared differences is that of the vertices' coordinates."""
        return self.weights(motion[..., : len(ARKIT_NAMES)]) @ self.root

    def weights(self, coefficients: Tensor) -> Tensor:
        """As blend_weights, but for the clipping to [0, 1], which would keep losses from pulling back what is outside."""
        close, jaw = ARKIT_INDEX["mouthClose"], coefficients[..., ARKIT_INDEX["jawOpen"]]
        closed = torch.minimum(coefficients[..., close], jaw + MOUTH_CLOSE_SLACK)
        shapes = torch.cat([coefficients[..., :close], closed[..., None], coefficients[..., close + 1 :]], dim=-1)
        return with_correctives(shapes, self.correctives)
