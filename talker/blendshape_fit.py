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

STEPS, SWEEPS, SWEEP_STEPS = 30, 3, 4
"""Most steps of Newton's method, of which ten are usual; and sweeps that join neighbouring frames, with most steps each."""

TOLERANCE = 1e-5
"""Of coefficients: a frame whose step is smaller is done."""

CHUNK, BLOCK = 256, 2048
"""Frames that are brought into the shapes' coordinates at once, and that Newton's method walks together."""


def fit_coefficients(
    displacements: np.ndarray, targets: np.ndarray, correctives: Sequence[Corrective] = (), smooth: float = SMOOTH
) -> np.ndarray:
    """Coefficients (..., T, 52) float32 in [0, 1] of consecutive frames that minimise the squared distance of the rig's
    vertices to those given, plus `smooth`² V times the squared differences of neighbouring frames.

    displacements : (..., T, V, 3) metres, vertices less the resting face; takes are fitted together and do not mix
    targets       : (52 + K, V, 3) metres, of the shapes and of the K correctives
    smooth        : metres, see SMOOTH; 0 fits each frame by itself

    Gauss-Newton steps within the bounds (Bertsekas, "Projected Newton methods", 1982), of all frames at once; exact
    without correctives, where the problem is convex. A QR decomposition first brings it from 3 V equations to one
    for each target. Neighbouring frames are joined by a few sweeps in which each is fitted anew beside them.
    Raises TalkerError when the vertices do not fit together.
    """
    if displacements.shape[-2:] != targets.shape[1:]:
        raise TalkerError(
            f"The face to fit has {displacements.shape[-2]} vertices and the shapes have {targets.shape[1]}; "
            "give a face of the same topology."
        )
    shape, vertices = displacements.shape[:-2], displacements.shape[-2]
    rows = displacements.reshape(-1, vertices * 3)
    moving = np.abs(targets).max(axis=(1, 2), initial=0) > MOVES
    shapes = np.flatnonzero(moving[: len(ARKIT_NAMES)])
    found = np.zeros((len(rows), len(ARKIT_NAMES)))
    if len(shapes) and len(rows):
        basis, reduced = np.linalg.qr(targets.reshape(len(targets), -1).T.astype(np.float64))
        chunks = [rows[start : start + CHUNK].astype(np.float64) @ basis for start in range(0, len(rows), CHUNK)]
        problem = _Problem(reduced, np.concatenate(chunks), tuple(correctives), shapes)
        rest = np.full(len(rows), REST**2 * vertices)
        found = _projected_newton(problem, found, rest, np.zeros_like(found), STEPS)
        if smooth and shape[-1] > 1:
            inner = np.broadcast_to(np.r_[1, np.full(shape[-1] - 2, 2), 1], shape).reshape(-1)
            for _ in range(SWEEPS):
                takes = found.reshape(*shape, -1)
                between = (takes[..., :-2, :] + takes[..., 2:, :]) / 2
                beside = np.concatenate([takes[..., 1:2, :], between, takes[..., -2:-1, :]], axis=-2).reshape(found.shape)
                found = _projected_newton(problem, found, smooth**2 * vertices * inner + rest, beside, SWEEP_STEPS)
    return found.reshape(*shape, -1).astype(np.float32)


class _Problem:
    """Residuals of all frames and their derivatives, in the coordinates of the QR decomposition.

    reduced : (R, 52 + K), wanted : (T, R); shapes : those that move the face, the others stay as they are
    """

    def __init__(self, reduced: np.ndarray, wanted: np.ndarray, correctives: tuple[Corrective, ...], shapes: np.ndarray):
        self.reduced, self.wanted, self.correctives, self.shapes = reduced, wanted, correctives, shapes
        self.targets = np.ascontiguousarray(reduced.T)
        # Of each shape, the correctives that depend on it, and the other shapes that those depend on.
        self.touched: dict[int, list[tuple[int, list[int]]]] = {}
        for target, corrective in enumerate(correctives, start=len(ARKIT_NAMES)):
            rows = [ARKIT_INDEX[name] for name in corrective.shapes]
            for row in rows:
                self.touched.setdefault(row, []).append((target, [other for other in rows if other != row]))

    def residuals(self, coefficients: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """(n, 52) -> (n, R) for these frames."""
        return with_correctives(coefficients, self.correctives) @ self.reduced.T - self.wanted[frames]

    def derivatives(self, coefficients: np.ndarray) -> np.ndarray:
        """(n, 52) -> (n, shapes, R): what each shape changes, with the correctives that depend on it."""
        slopes = np.repeat(self.targets[None, self.shapes], len(coefficients), axis=0)
        for place, row in enumerate(self.shapes):
            parts = self.touched.get(int(row), [])
            if parts:
                shares = [coefficients[:, others].prod(axis=1) if others else 4 - 8 * coefficients[:, row] for _, others in parts]
                slopes[:, place] += np.stack(shares, axis=1) @ self.targets[[target for target, _ in parts]]
        return slopes


def _projected_newton(
    problem: _Problem, start: np.ndarray, pull: np.ndarray, towards: np.ndarray, steps: int
) -> np.ndarray:
    """Minimise |residuals|² + pull |c - towards|² for every frame by itself, c in [0, 1]: (T, 52) -> (T, 52)."""
    found, shapes = start.copy(), problem.shapes

    def values(frames: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        far = ((coefficients - towards[frames]) ** 2)[:, shapes].sum(axis=1)
        return (problem.residuals(coefficients, frames) ** 2).sum(axis=1) + pull[frames] * far

    for begin in range(0, len(found), BLOCK):
        active = np.arange(begin, min(begin + BLOCK, len(found)))
        for _ in range(steps):
            now = found[active]
            slopes = problem.derivatives(now)
            own, force = now[:, shapes], pull[active, None]
            gradient = np.einsum("nsr,nr->ns", slopes, problem.residuals(now, active))
            gradient += force * (own - towards[active][:, shapes])
            curvature = slopes @ slopes.swapaxes(1, 2)
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
