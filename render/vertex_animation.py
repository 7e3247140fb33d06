"""Animation of vertices, as models like 3DiFACE make it, for renderer and GLB: a rig with components for shapes.

What a model moves gets the components of its own animation in place of the rig's shapes. What it does not move
stays with the shapes, by the coefficients that were fitted to the vertices: teeth, tongue, hair. What lies on the
face (FOLLOWERS) goes with the shapes too, and with what the face next to it does beyond them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from render.rig import Rig
from talker.motion import ARKIT_INDEX, Motion
from talker.principal_components import principal_components
from talker.takes import Takes

FOLLOWERS = ("brows", "lashes", "caruncle", "mouth_inner")
"""Parts that lie on the face."""

TOLERANCE = 5e-5
"""Metres by which a coordinate may be off: a twentieth of a millimetre, a tenth of a pixel of a large head."""

APART = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")
"""Shapes at which a follower must be near its neighbour too, so that no upper lid is taken for a lower one."""


def animated(rig: Rig, takes: Takes, truth: Motion | None = None) -> tuple[Rig, list[Motion], Motion | None]:
    """The rig, the motions and the recorded motion that show takes: with components where they have vertices of this
    rig, else as they are. Motions for a rig with R components have 52 + R columns."""
    if takes.vertices is None or takes.rig != rig.fingerprint:
        return rig, takes.motions, truth
    shown = [*takes.motions, *([] if truth is None else [truth])]
    made = list(takes.vertices) + ([] if truth is None else [_displacements(rig, truth.coefficients, takes.vertex_index)])
    rig, shown = component_rig(rig, shown, made, takes.vertex_index)
    return rig, shown[: len(takes.vertices)], None if truth is None else shown[-1]


def component_rig(
    rig: Rig, motions: Sequence[Motion], vertices: Sequence[np.ndarray], index: np.ndarray
) -> tuple[Rig, list[Motion]]:
    """A rig for animations of its vertices, and their motions for it.

    motions  : with the 52 coefficients that were fitted, of all that is not among the vertices, and the head
    vertices : (T, V, 3) displacements in metres from the resting face for each motion; index : (V,) in the rig
    -> the rig with R components, and motions of 52 + R columns, all in [0, 1]. Rig.pose of these is within TOLERANCE.
    """
    followers, leaders = _followers(rig, index)
    whole = np.concatenate([index, followers])
    rows = []
    for motion, moved in zip(motions, vertices, strict=True):
        moved = moved.astype(np.float32)
        beyond = moved[:, leaders] - _displacements(rig, motion.coefficients, index[leaders])
        led = _displacements(rig, motion.coefficients, followers) + beyond
        rows.append(np.concatenate([moved, led], axis=1).reshape(len(moved), -1))
    weights, components = _in_range(*principal_components(np.concatenate(rows), TOLERANCE))
    spread = np.zeros((len(components), *rig.vertices.shape), np.float32)
    spread[:, whole] = components.reshape(len(components), -1, 3)
    deltas, corrective_deltas = rig.deltas.copy(), rig.corrective_deltas.copy()
    deltas[:, whole] = 0
    corrective_deltas[:, whole] = 0
    own = np.split(weights, np.cumsum([len(motion.coefficients) for motion in motions])[:-1])
    return (
        dataclasses.replace(rig, deltas=deltas, corrective_deltas=corrective_deltas, components=spread),
        [
            dataclasses.replace(motion, coefficients=np.concatenate([motion.coefficients, part], axis=1))
            for motion, part in zip(motions, own, strict=True)
        ],
    )


def _in_range(weights: np.ndarray, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same rows from weights (n, r + 1) in [0, 1] and components (r + 1, C): programs that open a GLB may clip others.

    The first component is where all others have their least weight, and its own weight is always 1.
    """
    low, high = weights.min(axis=0), weights.max(axis=0)
    span = np.maximum(high - low, 1e-12)
    ones = np.ones((len(weights), 1), np.float32)
    return np.hstack([ones, (weights - low) / span]), np.vstack([low @ components, span[:, None] * components])


def _displacements(rig: Rig, coefficients: np.ndarray, index: np.ndarray) -> np.ndarray:
    """What the rig's targets do to some vertices: (T, 52) -> (T, n, 3) metres."""
    moved = rig.weights(coefficients) @ rig.targets[:, index].reshape(len(rig.targets), -1)
    return moved.reshape(len(moved), -1, 3)


def _followers(rig: Rig, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of FOLLOWERS that are not in index, (n,), and for each the place in index of its neighbour, (n,)."""
    parts = [rig.parts[part] for part in FOLLOWERS if part in rig.parts]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    followers = np.setdiff1d(np.concatenate(parts), index)
    rows = [ARKIT_INDEX[name] for name in APART]
    poses = np.concatenate([rig.vertices[None], rig.vertices + rig.deltas[rows]]).transpose(1, 0, 2)
    poses = poses.reshape(len(rig.vertices), -1)
    return followers, cKDTree(poses[index]).query(poses[followers])[1]
