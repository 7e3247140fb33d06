"""ARKit coefficients of a face that is known by its vertices: those that come nearest to them.

3DiFACE's vertices need them for files of coefficients, DiffusionTalker's table 3 for scans (section 4.1, after
EmoTalk's conversion of VOCASET into 52 coefficients).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talker.blend_weights import Corrective, with_correctives
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES

MOVES = 1e-6
"""Metres: a shape that moves no vertex further is one that the face lacks, and stays 0."""

SMOOTH = 1e-5
"""Metres: a coefficient that jumps by 1 from one frame to the next counts as much as all vertices of a frame that are
this far off. Far below what is seen, it decides only what vertices leave open."""

REST = 1e-6
"""Metres: the same for a coefficient of 1 instead of 0, so that of shapes which do the same the fewest are used."""

STEPS = 60
"""Most steps of Newton's method; ten are usual."""

TOLERANCE = 1e-7
"""Of coefficients: a frame whose step is smaller is done."""


def fit_coefficients(
    displacements: np.ndarray, targets: np.ndarray, correctives: Sequence[Corrective] = (), smooth: float = SMOOTH
) -> np.ndarray:
    """Coefficients (T, 52) float32 in [0, 1] of consecutive frames that minimise the squared distance of the rig's
    vertices to those given, plus `smooth`² V times the squared differences of neighbouring frames.

    displacements : (T, V, 3) metres, vertices less the resting face
    targets       : (52 + K, V, 3) metres, of the shapes and of the K correctives
    smooth        : metres, see SMOOTH; 0 fits each frame by itself

    Gauss-Newton steps within the bounds (Bertsekas, "Projected Newton methods", 1982), of all frames at once; exact
    without correctives, where the problem is convex. A QR decomposition first brings it from 3 V equations to one
    for each target. Neighbouring frames are joined by a few sweeps in which each is fitted anew beside them.
    Raises TalkerError when the vertices do not fit together.
    """
    if displacements.shape[1:] != targets.shape[1:]:
        raise TalkerError(
            f"The face to fit has {displacements.shape[1]} vertices and the shapes have {targets.shape[1]}; "
            "give a face of the same topology."
        )
    frames, vertices = displacements.shape[:2]
    moving = np.abs(targets).max(axis=(1, 2), initial=0) > MOVES
    shapes = np.flatnonzero(moving[: len(ARKIT_NAMES)])
    found = np.zeros((frames, len(ARKIT_NAMES)))
    if not len(shapes) or not frames:
        return found.astype(np.float32)
    basis, reduced = np.linalg.qr(targets.reshape(len(targets), -1).T.astype(np.float64))
    wanted = displacements.reshape(frames, -1).astype(np.float64) @ basis
    problem = _Problem(reduced, wanted, tuple(correctives), shapes)
    found = _projected_newton(problem, found, np.full(frames, REST**2 * vertices), np.zeros_like(found))
    if smooth and frames > 1:
        inner = np.r_[1, np.full(frames - 2, 2), 1]
        pull = smooth**2 * vertices * inner + REST**2 * vertices
        for _ in range(3):
            beside = np.vstack([found[1:2], (found[:-2] + found[2:]) / 2, found[-2:-1]])
            found = _projected_newton(problem, found, pull, beside)
    return found.astype(np.float32)


class _Problem:
    """Residuals of all frames and their derivatives, in the coordinates of the QR decomposition.

    reduced : (R, 52 + K), wanted : (T, R); shapes : those that move the face, the others stay as they are
    """

    def __init__(self, reduced: np.ndarray, wanted: np.ndarray, correctives: tuple[Corrective, ...], shapes: np.ndarray):
        self.reduced, self.wanted, self.correctives, self.shapes = reduced, wanted, correctives, shapes
        self.rows = [[ARKIT_INDEX[name] for name in corrective.shapes] for corrective in correctives]

    def residuals(self, coefficients: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """(n, 52) -> (n, R) for these frames."""
        return with_correctives(coefficients, self.correctives) @ self.reduced.T - self.wanted[frames]

    def derivatives(self, coefficients: np.ndarray) -> np.ndarray:
        """(n, 52) -> (n, R, shapes): what each shape changes, with the correctives that depend on it."""
        slopes = np.repeat(self.reduced[None, :, : len(ARKIT_NAMES)], len(coefficients), axis=0)
        for rows, target in zip(self.rows, self.reduced.T[len(ARKIT_NAMES) :]):
            for row in rows:
                others = [other for other in rows if other != row]
                slope = coefficients[:, others].prod(axis=1) if others else 4 - 8 * coefficients[:, row]
                slopes[:, :, row] += slope[:, None] * target
        return slopes[:, :, self.shapes]


def _projected_newton(problem: _Problem, start: np.ndarray, pull: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Minimise |residuals|² + pull |c - towards|² for every frame by itself, c in [0, 1]: (T, 52) -> (T, 52)."""
    found, shapes = start.copy(), problem.shapes

    def values(frames: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        far = ((coefficients - towards[frames]) ** 2)[:, shapes].sum(axis=1)
        return (problem.residuals(coefficients, frames) ** 2).sum(axis=1) + pull[frames] * far

    active = np.arange(len(found))
    for _ in range(STEPS):
        now = found[active]
        slopes = problem.derivatives(now)
        own, force = now[:, shapes], pull[active, None]
        gradient = np.einsum("nrs,nr->ns", slopes, problem.residuals(now, active))
        gradient += force * (own - towards[active][:, shapes])
        curvature = slopes.swapaxes(1, 2) @ slopes
        # A coefficient at a bound that the gradient holds there stays there; it takes no part in the step.
        held = ((own <= 0) & (gradient > 0)) | ((own >= 1) & (gradient < 0))
        curvature[held[:, :, None] | held[:, None, :]] = 0
        diagonal = np.arange(len(shapes))
        curvature[:, diagonal, diagonal] += np.where(held, 1.0, force)
        step = np.linalg.solve(curvature, np.where(held, 0.0, gradient)[..., None])[..., 0]
        before, best = values(active, now), now.copy()
        waiting = np.arange(len(active))
        share = 1.0
        while len(waiting) and share > 1e-3:
            trial = now[waiting].copy()
            trial[:, shapes] = np.clip(own[waiting] - share * step[waiting], 0, 1)
            better = values(active[waiting], trial) < before[waiting]
            best[waiting[better]] = trial[better]
            waiting, share = waiting[~better], share / 2
        found[active] = best
        active = active[np.abs(best - now).max(axis=1) > TOLERANCE]
        if not len(active):
            break
    return found
