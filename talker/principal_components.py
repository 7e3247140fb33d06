"""Vertex animation as a few components: what thousands of vertices do together, in files that stay small."""

from __future__ import annotations

import numpy as np

SKETCH = 192
"""Most components: vertices that a model moves, or a rig, go along far fewer ways."""

CHUNK = 512
"""Rows that are looked at together, so that long animations take no more memory than themselves."""


def principal_components(rows: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """The fewest components of which rows are sums, but for `tolerance` in every number.

    rows : (n, C), not centred, of any float type -> weights (n, r) and components (r, C), float32, r ≥ 1, with
           weights @ components ≈ rows; no weight is larger than 1
    A randomised range finder (Halko, Martinsson and Tropp, "Finding structure with randomness", 2011, algorithm
    4.1) whose numbers are always the same, then an exact decomposition of what is left. At most SKETCH
    components, whatever the tolerance.
    """
    pieces = [slice(start, start + CHUNK) for start in range(0, len(rows), CHUNK)]
    width = min(SKETCH, *rows.shape)
    rng = np.random.default_rng(0)
    sketch = np.zeros((width, rows.shape[1]), np.float32)
    for piece in pieces:
        part = rows[piece].astype(np.float32)
        sketch += rng.standard_normal((width, len(part)), np.float32) @ part
    basis = np.linalg.qr(sketch.T.astype(np.float64))[0].astype(np.float32)
    inner = np.concatenate([rows[piece].astype(np.float32) @ basis for piece in pieces])
    left, size, right = np.linalg.svd(inner.astype(np.float64), full_matrices=False)
    weights, components = (left * size).astype(np.float32), (right.astype(np.float32) @ basis.T)

    def off(count: int, parts: list) -> float:
        return max(float(np.abs(weights[part, :count] @ components[:count] - rows[part]).max()) for part in parts)

    # A few rows, evenly spaced, tell about how many are needed; all of them decide.
    few = [np.unique(np.linspace(0, len(rows) - 1, CHUNK).round().astype(int))]
    low, high = 1, len(size)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if off(middle, few) <= tolerance else (middle + 1, high)
    while low < len(size) and off(low, pieces) > tolerance:
        low = min(len(size), low + max(1, low // 8))
    weights, components = weights[:, :low], components[:low]
    largest = np.maximum(np.abs(weights).max(axis=0), 1e-20)
    return weights / largest, components * largest[:, None]
