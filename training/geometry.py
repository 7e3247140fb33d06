"""Where motion puts the vertices of a face, so that losses can be taken there (DiffPoseTalk, section 3.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from render.rig import Rig
from render.rigs.flame import ARRAYS, JAW, flame_arrays
from talker.blend_weights import MOUTH_CLOSE_SLACK, with_correctives
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, FLAME_NAMES

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


SHAPES, EXPRESSIONS = 100, 50
"""Principal components of faces and of expressions that DiffPoseTalk uses (section 3.1)."""

FIRST_EXPRESSION = 300
"""Where FLAME's shapedirs begin to be expressions; before it are its components of faces."""


class FlameGeometry(nn.Module):
    """Vertices of FLAME (Li et al. 2017) with the head at rest, of the user's own generic_model file.

    Template, shape, expression and the jaw's correctives add up; then the jaw turns what hangs on it (linear blend
    skinning). Neck, eyes and head do not move.
    """

    def __init__(self, path: Path):
        """Raises TalkerError when the file is missing, refused, or of another version of FLAME."""
        super().__init__()
        arrays = flame_arrays(path, (*ARRAYS, "shapedirs"))
        missing = [name for name in (*ARRAYS, "shapedirs") if name not in arrays]
        if missing:
            raise TalkerError(f"{path.name} lacks {', '.join(missing)}; give FLAME's own generic_model file.")
        count, shapes = len(arrays["v_template"]), arrays["shapedirs"].shape
        if shapes[:-1] != (count, 3) or shapes[-1] < FIRST_EXPRESSION + EXPRESSIONS or arrays["posedirs"].shape != (count, 3, 36):
            raise TalkerError(
                f"{path.name} has {shapes[-1]} shapes, and DiffPoseTalk's motion needs {FIRST_EXPRESSION} of faces and "
                f"{EXPRESSIONS} of expressions; give the generic_model of FLAME 2019, 2020 or 2023."
            )
        directions = arrays["shapedirs"]
        parts = {
            "rest": arrays["v_template"],
            "shapes": directions[..., :SHAPES].reshape(3 * count, SHAPES),
            "expressions": directions[..., FIRST_EXPRESSION : FIRST_EXPRESSION + EXPRESSIONS].reshape(3 * count, EXPRESSIONS),
            # Of all joints but the root, nine numbers each: R - 1 of the jaw.
            "correctives": arrays["posedirs"][..., 9 * (JAW - 1) : 9 * JAW].reshape(3 * count, 9),
            "weight": arrays["weights"][:, JAW, None],
            "joint": arrays["J_regressor"][JAW],
        }
        for name, part in parts.items():
            self.register_buffer(name, torch.from_numpy(np.array(part, np.float32)), persistent=False)

    def forward(self, motion: Tensor, shape: Tensor | None = None) -> Tensor:
        """Vertices (B, T, 3 V) in metres of motion (B, T, C), channels as FLAME_NAMES, of faces β (B, 100)."""
        expression, jaw = motion[..., :EXPRESSIONS], motion[..., EXPRESSIONS : len(FLAME_NAMES)]
        flat = self.rest.flatten() + expression @ self.expressions.T
        if shape is not None:
            flat = flat + (shape @ self.shapes.T)[:, None]
        joint = torch.einsum("v,...vc->...c", self.joint, flat.unflatten(-1, (-1, 3)))
        turn = rotations(jaw)
        still = torch.eye(3, dtype=turn.dtype, device=turn.device)
        posed = (flat + (turn - still).flatten(-2) @ self.correctives.T).unflatten(-1, (-1, 3))
        turned = (posed - joint[..., None, :]) @ turn.transpose(-1, -2) + joint[..., None, :]
        return (posed + self.weight * (turned - posed)).flatten(-2)


def rotations(vectors: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of axes times angles (..., 3) in radians (Rodrigues)."""
    x, y, z = vectors.unbind(-1)
    none = torch.zeros_like(x)
    cross = torch.stack([none, -z, y, z, none, -x, -y, x, none], dim=-1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(cross)
