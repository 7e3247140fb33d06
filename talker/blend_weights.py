"""Blend weights: how much each target of a rig counts for given coefficients, correctives included.

The one place where combinations of shapes are corrected: pictures, GLB export, metrics, the models that
move vertices and the fit of coefficients to vertices all use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES

MOUTH_CLOSE_SLACK = 0.01
"""How far mouthClose may exceed jawOpen. The shape brings the lips together by what jawOpen parts them, so more
of it than of jawOpen pushes them through each other: 0.1 would mean 4 mm on the default head, 0.01 a firm
touch of 0.4 mm."""

if TYPE_CHECKING:
    import torch

    Array = np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Corrective:
    """One more row of deltas, for poses that the sum of the shapes gets wrong (Lewis et al., "Practice and Theory
    of Blendshape Facial Models", 2014, section 3.4).

    name   : of its morph target in a GLB
    shapes : ARKit names that set its weight. Of one shape with weight w it is 4 w (1 - w), 1 half-way and 0 at
             both ends: the straight path becomes an arc. Of several it is their weights' product: 0 as long as
             one of them is not there, 1 when all are.
    """

    name: str
    shapes: tuple[str, ...]

    def weight(self, weights: Array) -> Array:
        """Of shapes' weights (..., 52) in [0, 1] -> (...) in [0, 1]."""
        own = weights[..., [ARKIT_INDEX[name] for name in self.shapes]]
        return 4 * own[..., 0] * (1 - own[..., 0]) if len(self.shapes) == 1 else own.prod(-1)


def blend_weights(coefficients: Array, correctives: Sequence[Corrective] = ()) -> Array:
    """Weights that a rig's targets get: coefficients (..., 52), numpy or torch -> (..., 52 + K) in [0, 1].

    mouthClose is kept at or below jawOpen + MOUTH_CLOSE_SLACK; the correctives' weights follow from that.
    Differentiable for tensors. Raises TalkerError for another number of columns.
    """
    if coefficients.shape[-1] != len(ARKIT_NAMES):
        raise TalkerError(
            f"Coefficients have {coefficients.shape[-1]} columns; give the {len(ARKIT_NAMES)} of talker.motion.ARKIT_NAMES."
        )
    arrays = _arrays(coefficients)
    weights = coefficients.clip(0, 1)
    close, jaw = ARKIT_INDEX["mouthClose"], ARKIT_INDEX["jawOpen"]
    closed = arrays.minimum(weights[..., close], weights[..., jaw] + MOUTH_CLOSE_SLACK)
    parts = [weights[..., :close], closed[..., None], weights[..., close + 1 :]]
    return with_correctives(arrays.concatenate(parts, -1), correctives)


def with_correctives(weights: Array, correctives: Sequence[Corrective]) -> Array:
    """Weights of all targets from those of the shapes alone, whatever these are: (..., 52) -> (..., 52 + K)."""
    if not correctives:
        return weights
    arrays = _arrays(weights)
    return arrays.concatenate([weights, arrays.stack([one.weight(weights) for one in correctives], -1)], -1)


def _arrays(values: Array):
    """The library that the values belong to; who only draws pictures need not wait for torch."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch
