"""Baked ambient occlusion: how much of the sky each vertex of a mesh sees.

Depth maps from directions spread evenly over the sphere (a Fibonacci lattice) take the place of rays: a
vertex is lit from a direction when nothing lies nearer to that side. Landis, "Production-ready global
illumination" (SIGGRAPH 2002 course) describes the use; the result is the same on every run.
"""

from __future__ import annotations

import numpy as np


def sphere_directions(count: int) -> np.ndarray:
    """Unit vectors (count, 3), evenly spread."""
    k = np.arange(count) + 0.5
    height, turn = 1 - 2 * k / count, np.pi * (1 + np.sqrt(5)) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], 1)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), weighted by area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    normals = np.stack([np.bincount(faces.ravel(), np.repeat(cross[:, k], 3), len(vertices)) for k in range(3)], 1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def _samples(vertices, faces, spacing):
    """Points (n, 3) that cover every triangle at about this spacing."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    longest = np.sqrt(np.max([((p - q) ** 2).sum(1) for p, q in ((a, b), (b, c), (c, a))], axis=0))
    pieces = np.clip(np.ceil(longest / spacing), 1, 40).astype(int)
    points = []
    for n in np.unique(pieces):
        chosen = pieces == n
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        u, v = (x[i + j <= n] / n for x in (i, j))
        w = 1 - u - v
        points.append((a[chosen, None] * u[:, None] + b[chosen, None] * v[:, None] + c[chosen, None] * w[:, None]).reshape(-1, 3))
    return np.concatenate(points)


def sky_share(vertices, normals, occluders, directions=72, pixel=2.2, bias=3.0) -> np.ndarray:
    """Cosine-weighted share (V,) in [0, 1] of the hemisphere above each vertex that nothing hides.

    vertices, normals : (V, 3) mm; occluders : faces (F, 3) that cast shade; pixel : mm of the depth maps;
    bias : mm by which something must be nearer to hide a vertex.
    """
    points = _samples(vertices, occluders, 0.9 * pixel)
    lit, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    low = vertices.min(0) - 1
    for d in sphere_directions(directions):
        side = np.cross(d, [0, 1, 0] if abs(d[1]) < 0.9 else [1, 0, 0])
        side /= np.linalg.norm(side)
        up = np.cross(side, d)
        plane = np.stack([side, up], 1)
        cell = np.floor((points - low) @ plane / pixel).astype(int)
        origin = cell.min(0)
        size = cell.max(0) - origin + 1
        depth = np.full(size[0] * size[1], -np.inf)
        cell -= origin
        np.maximum.at(depth, cell[:, 0] * size[1] + cell[:, 1], points @ d)
        at = np.clip(np.floor((vertices - low) @ plane / pixel).astype(int) - origin, 0, size - 1)
        free = depth[at[:, 0] * size[1] + at[:, 1]] < vertices @ d + bias
        weight = np.maximum(normals @ d, 0)
        lit += weight * free
        total += weight
    return lit / np.maximum(total, 1e-9)
