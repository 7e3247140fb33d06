"""The part of a rig that a model of vertices moves: its indices, and what the rig's shapes do to it.

It is part of such a model's checkpoint, so that coefficients become vertices, and vertices coefficients
again, without the rig's own file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from talker.blend_weights import Corrective, blend_weights
from talker.blendshape_fit import fit_coefficients
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES


class FaceVertices(nn.Module):
    """V vertices of a rig and the displacements of its targets there.

    name        : the rig's, for messages and to find it again
    correctives : ARKit names that set the weight of each of the rig's K correctives (talker.blend_weights)
    fingerprint : of the rig (render.rig.Rig.fingerprint), to know vertices that fit it
    index       : (V,) long, the vertices' rows in the rig
    targets     : (52 + K, V, 3) float32, metres; zeros for a face that has no shapes, to which none can be fitted
    """

    def __init__(self, name: str, vertices: int, correctives: Sequence[Sequence[str]] = (), fingerprint: str = ""):
        super().__init__()
        self.name, self.fingerprint = name, fingerprint
        self.correctives = tuple(Corrective("_".join(shapes), tuple(shapes)) for shapes in correctives)
        self.register_buffer("index", torch.arange(vertices))
        self.register_buffer("targets", torch.zeros(len(ARKIT_NAMES) + len(self.correctives), vertices, 3))

    def displacements(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Coefficients (..., 52) to displacements (..., 3 V) in metres from the resting face, as the rig moves."""
        weights = blend_weights(coefficients, self.correctives)
        return weights @ self.targets.flatten(1)

    def coefficients(self, displacements: torch.Tensor) -> torch.Tensor:
        """Displacements (..., T, 3 V) in metres of consecutive frames to the coefficients (..., T, 52) that come nearest.

        See talker.blendshape_fit; on the CPU, whatever the device.
        """
        rows = displacements.detach().float().cpu().unflatten(-1, (-1, 3)).numpy()
        found = fit_coefficients(rows, self.targets.cpu().numpy(), self.correctives)
        return torch.from_numpy(found).to(displacements.device)

    def check(self, vertices: int) -> None:
        """Raise TalkerError unless motion of that many vertices is this face's."""
        if vertices != len(self.index):
            raise TalkerError(
                f"The motion has {vertices} vertices and the model's face “{self.name}” {len(self.index)}; give motion of "
                "the topology that the model was trained on."
            )
