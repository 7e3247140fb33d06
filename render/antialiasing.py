"""Anti-aliasing of finished pictures, for rasterisers on the processor, where drawing four pixels for one costs most."""

from __future__ import annotations

import numpy as np

THRESHOLD = 14
"""Steps of green, of 255, between neighbouring pixels that make an edge; finer ones do not show as stairs."""


def smooth_edges(picture: np.ndarray) -> None:
    """Smooth the stairs of edges in a picture (H, W, 3 or 4) uint8, in place.

    Morphological anti-aliasing (Reshetov, "Morphological antialiasing", High Performance Graphics 2009): a run of
    pixels along an edge is one tread of a stair; a line from its one end to its other, half a pixel up or down
    where the stair goes on, says how much of each pixel the other side covers. Edges are looked for in green,
    which carries most of the luminance, and in opacity. Pixels with an edge on all four sides, all that is left of
    hairs thinner than a pixel, are taken half-way to their neighbours. Pixels away from edges stay as they are.
    """
    high, wide = picture.shape[:2]
    green, threshold = np.ascontiguousarray(picture[..., 1]), THRESHOLD
    if picture.shape[2] == 4:
        green, threshold = green // 2 + picture[..., 3] // 2, THRESHOLD // 2
    across, down = np.zeros((high, wide), bool), np.zeros((high, wide), bool)
    # True where a pixel differs from the one to its left, and from the one above it.
    np.greater(_difference(green[:, 1:], green[:, :-1]), threshold, out=across[:, 1:])
    np.greater(_difference(green[1:], green[:-1]), threshold, out=down[1:])
    pixels = picture.reshape(high * wide, -1)
    _calm(pixels, across, down, wide)
    for to, other, share in (*_along(down, across, wide, True), *_along(across.T, down.T, wide, False)):
        here = pixels[to].astype(np.float32)
        here += share[:, None] * (pixels[other] - here)
        pixels[to] = np.rint(here, out=here)


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a, b) - np.minimum(a, b)


def _calm(pixels: np.ndarray, across: np.ndarray, down: np.ndarray, wide: int) -> None:
    """Take pixels that differ from all four neighbours half-way to the mean of those, in place."""
    lone = across & down
    lone[:, :-1] &= across[:, 1:]
    lone[:-1] &= down[1:]
    lone[-1] = lone[:, -1] = False
    found = np.flatnonzero(lone)
    around = sum(pixels[found + step].astype(np.float32) for step in (-1, 1, -wide, wide))
    pixels[found] = np.rint(0.5 * pixels[found] + 0.125 * around)


def _along(edges: np.ndarray, crossing: np.ndarray, wide: int, horizontal: bool):
    """Pixels on both sides of edges between one row and the row above it.

    edges, crossing : (rows, columns) bool, edges along the rows and those at right angles to them
    wide            : pixels in a row of the picture; horizontal : False where rows here are columns of the picture

    Yields, for each side, (pixels that change, pixels on the other side, share of those): flat indices of the
    picture and (n,) float32 in [0, 0.5].
    """
    columns = edges.shape[1]
    found = np.flatnonzero(edges)
    if not len(found):
        return
    # Runs of edges next to each other in a row; one that meets the row's end meets its picture's end too.
    row, column = np.divmod(found, columns)
    begins = np.ones(len(found), bool)
    begins[1:] = (found[1:] != found[:-1] + 1) | (column[1:] == 0)
    first = np.flatnonzero(begins)
    length = np.diff(first, append=len(found))
    top, left = row[first], column[first]
    right = np.minimum(left + length, columns - 1)
    # Where the stair goes at each end of a run: up 0.5, down -0.5, nowhere 0.
    start = 0.5 * (crossing[top - 1, left].astype(np.float32) - crossing[top, left])
    stop = 0.5 * (crossing[top - 1, right].astype(np.float32) - crossing[top, right])
    run = np.cumsum(begins) - 1
    along = (2 * (np.arange(len(found)) - first[run]) + 1) / length[run] - 1  # -1 at one end, 1 at the other
    height = np.where(along < 0, -along * start[run], along * stop[run]).astype(np.float32)
    below, step = (found, wide) if horizontal else (column * wide + row, 1)
    above = below - step
    up, down = height > 0, height < 0
    yield above[up], below[up], height[up]
    yield below[down], above[down], -height[down]
