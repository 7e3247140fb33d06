"""Hair of the heads: a shell combed along strands, and locks that lie on it and break its outline.

A style is three functions. `path(s, t)` gives the direction, seen from CENTER, of strand s in [0, 1] (front to nape) at
t in [0, 1] (root to tip); `radius(d)` the distance at which hair of that direction lies; `lift(s, t)` how far a
strand stands off the scalp, mm. Every style has the same number of strands, rows and locks, so that all
looks share one topology. Millimetres in the frame of render.head_surface; the left half only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from render import head_surface as surface
from render.head_surface import smoothstep, strip_faces

CENTER = np.array([0.0, 22.0, -8.0])
STRANDS, ROWS, INNER_ROWS = 28, 13, 3
LOCKS, LOCK_ROWS = 33, 9

HAIRLINE = np.array([
    (0, 66, 80), (14, 67, 78), (28, 67, 73), (41, 62, 65), (50, 52, 58), (54, 40, 54), (59, 26, 46), (65, 8, 34),
    (68, -8, 24), (69, -14, 18), (70, -4, 10.5), (71, 12, 5), (72, 20, -8), (72, 12, -22), (70, -6, -31),
    (66, -28, -40), (59, -46, -50), (44, -58, -62), (22, -63, -72), (0, -64, -75)], float)
"""From the middle of the forehead past the temple and round the ear to the nape."""


@dataclass(frozen=True)
class Style:
    """How hair lies. path, radius and lift as the module says; wave (locks' sideways play, in strands);
    tuft (height of a lock's ridge, mm); width (of a lock, in strands); reach (t at which locks begin and end);
    comb (height of the shell's ridges, mm); hem (the tips hang free, and their inside is seen); rising (strands
    run upwards from the hairline, not down from the parting); mottle (how
    much its colour varies from place to place); edge (height of a lock's edges, mm); contrast (how much strands and locks
differ in tone); spread (of the places where locks begin); rows (t of the shell's rows)."""

    path: Callable
    radius: Callable
    lift: Callable
    wave: float = 0.010
    tuft: float = 2.2
    width: float = 0.034
    reach: tuple[float, float] = (0.0, 1.0)
    comb: float = 1.0
    hem: bool = False
    rising: bool = True
    mottle: float = 0.0
    edge: float = -0.9
    contrast: float = 1.0
    spread: float = 1.0
    rows: tuple[float, ...] = tuple(np.linspace(0, 0.99, 13) ** 1.15)


def direction(azimuth, elevation):
    """Unit vectors (..., 3); degrees, azimuth 0 is +Z and 90 is +X."""
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.stack(np.broadcast_arrays(np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)), -1)


def hairline(azimuth):
    """Elevation in degrees of the hairline at an azimuth in degrees, seen from CENTER."""
    d = HAIRLINE - CENTER
    az = np.degrees(np.arctan2(d[:, 0], d[:, 2]))
    el = np.degrees(np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2])))
    return np.interp(azimuth, az, el)


def scalp_tint(vertices):
    """Share (n,) of hair in the colour of skin at vertices (n, 3): soft at the hairline, 1 under the hair."""
    d = vertices - CENTER
    az = np.degrees(np.arctan2(np.abs(d[:, 0]), d[:, 2]))
    el = np.degrees(np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2])))
    return smoothstep(el - hairline(az), -1.5, 4.5)


def _unit(d):
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


def _bezier(t, *knots):
    """Directions on the sphere along a Bezier curve of 3 or 4 knots (..., 3); t (...)."""
    t = t[..., None]
    if len(knots) == 3:
        a, b, c = knots
        return _unit((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c)
    a, b, c, e = knots
    return _unit((1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * e)


def _over(distance):
    """Function from directions (..., 3) to the distance (...) from CENTER at which they leave a solid.

    Marched once on a lattice of directions 2.5 degrees apart and read by cubic splines.
    """
    step = 2.5
    azimuth, elevation = np.meshgrid(np.arange(-10, 190 + step, step), np.arange(-80, 90 + step, step), indexing="ij")
    d = direction(azimuth, elevation).reshape(-1, 3)
    hit = surface.march(CENTER + 200.0 * d, -d, distance, steps=50)
    lattice = spline_filter(np.linalg.norm(hit - CENTER, axis=1).reshape(azimuth.shape))

    def radius(d):
        az = np.degrees(np.arctan2(d[..., 0], d[..., 2]))
        el = np.degrees(np.arcsin(np.clip(d[..., 1], -1, 1)))
        return map_coordinates(lattice, [(az + 10) / step, (el + 80) / step], prefilter=False, mode="nearest")

    return radius


def bob() -> Style:
    """Parted in the middle, falling past the cheeks to the chin, tips turned in."""
    def volume(p):
        top = surface.skull_distance(p) - 9.0
        low = surface.ellipsoid(p, (0, -44, -12), (86, 78, 80))
        return np.minimum(surface.smooth_min(top, low, 40), surface.skin_distance(p) - 4.0)

    k = [0.0, 0.12, 0.3, 0.55, 0.8, 1.0]

    def path(s, t):
        root = direction(0.0, np.interp(s, k, [32, 42, 62, 90, 116, 136]))
        one = direction(np.interp(s, k, [30, 40, 62, 92, 132, 180]), np.interp(s, k, [47, 52, 56, 58, 52, 36]))
        two = direction(np.interp(s, k, [64, 70, 83, 106, 142, 180]), np.interp(s, k, [0, 0, -2, -4, -6, -4]))
        tip = direction(np.interp(s, k, [58, 68, 88, 118, 148, 180]), np.interp(s, k, [-57, -58, -58, -54, -50, -48]))
        return _bezier(t, root, one, two, tip)

    def lift(s, t):
        front = smoothstep(s, 0.12, 0.0)
        return -8.5 * smoothstep(t, 0.10 + 0.05 * front, 0.0) - 3.5 * front * smoothstep(t, 0.9, 0.3)

    return Style(path, _over(volume), lift, wave=0.010, tuft=2.0, width=0.036, reach=(0.02, 1.04), comb=0.7, hem=True, rising=False)


def _from_hairline(s):
    """Direction of the point of the hairline at share s of its length."""
    knots = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(HAIRLINE, axis=0), axis=1))])
    line = np.stack([np.interp(s * knots[-1], knots, HAIRLINE[:, k]) for k in range(3)], -1)
    d = _unit(line - CENTER)
    return d


def cropped() -> Style:
    """Very short coils, faded at the sides."""
    def path(s, t):
        root = _from_hairline(s)
        return _bezier(t, root, _unit(root + [0, 1.1, -0.45]), direction(0.0, 105.0) + 0 * root)

    def lift(s, t):
        # strands that begin low, before the ear, and those that begin above it are equally long side by side
        d = path(s, t)
        el = np.degrees(np.arcsin(np.clip(d[..., 1], -1, 1)))
        az = np.degrees(np.arctan2(np.abs(d[..., 0]), d[..., 2]))
        top = smoothstep(el - np.interp(az, [0, 35, 60, 90, 120, 180], [26, 20, -2, -14, -28, -50]), 3, 42) * smoothstep(t, 0, 0.10)
        side = smoothstep(s, 0.04, 0.45)
        coil = np.sin(61.0 * s + 9.0 * np.sin(23.0 * t)) * np.sin(47.0 * t + 5.0 * np.sin(31.0 * s))
        own = -1.2 + 1.7 * smoothstep(t, 0, 0.06) + (8.0 - 2.0 * side) * top + 3.0 * (1 - side) * smoothstep(t, 0.02, 0.14) + 0.8 * coil * top
        whorl = smoothstep(t, 0.70, 0.94)
        return own + whorl * (8.5 - own)

    return Style(path, _over(surface.skin_distance), lift, wave=0.03, tuft=1.3, width=0.05, reach=(0.10, 0.84), comb=0.0, mottle=0.5)


def gathered() -> Style:
    """Combed back from the hairline into a knot."""
    knot = direction(180.0, 16.0)
    ball = CENTER + 100.0 * knot

    def volume(p):
        return surface.smooth_min(surface.skin_distance(p), surface.ellipsoid(p, ball, (27, 25, 22)), 4)

    def path(s, t):
        root = _from_hairline(s)
        over = _unit(root + np.stack([0.35 * np.sin(np.pi * s), 0.75 * smoothstep(s, 0.85, 0.2), -0.35 + 0 * s], -1))
        return _bezier(t, root, over, knot + 0 * root)

    def lift(s, t):
        front = smoothstep(s, 0.30, 0.0)
        near = smoothstep(t, 0.95, 0.80)
        return -1.4 + 1.4 * (1 - near) + near * (5.2 + 4.5 * front + 1.5 * smoothstep(s, 0.5, 0.3)) * (1 - (1 - np.minimum(t / 0.30, 1)) ** 2)

    return Style(path, _over(volume), lift, wave=0.006, tuft=0.7, width=0.011, reach=(0.01, 0.86), comb=0.25, edge=-0.7, contrast=0.4, spread=0.1,
                 rows=(0, 0.03, 0.09, 0.18, 0.30, 0.44, 0.60, 0.74, 0.84, 0.90, 0.925, 0.945, 0.962))


STYLES = {"bob": bob, "cropped": cropped, "gathered": gathered}


def _noise(k, seed):
    """Fixed pseudo-random numbers (n,) in [0, 1] of integers k."""
    x = np.sin(np.asarray(k, float) * 12.9898 + seed * 78.233) * 43758.5453
    return x - np.floor(x)


def hair(style: str, color: np.ndarray, gray: float = 0.0):
    """Vertices (n, 3), faces (m, 3) and colors (n, 3) of the left half. gray: share of light strands."""
    look = STYLES[style]()
    s = np.concatenate([[0.0], np.linspace(0, 1, STRANDS)]) if look.hem else np.linspace(0, 1, STRANDS + 1)
    t = np.array(look.rows)
    S, T = np.meshgrid(s, t)
    k = np.arange(STRANDS + 1)
    streak = np.sin(2.3 * k + 1.7 * np.sin(0.7 * k)) * smoothstep(s, 0.0, 0.03) * smoothstep(s, 1.0, 0.97)
    d = look.path(S, T)
    rise = smoothstep(T, 0.0, 0.25)
    r = look.radius(d) + look.lift(S, T) + look.comb * streak * rise
    outer = CENTER + r[..., None] * d
    rows, shade = [outer], [(0.70 + 0.18 * rise + 0.13 * T) * (1 + look.contrast * (0.24 * (_noise(k, 1) - 0.5) + 0.06 * streak) + look.mottle * (_noise(7 * S * STRANDS + 31 * T * ROWS, 17) - 0.5))]
    if look.hem:  # the inside, seen below and beside the jaw
        back = []
        for q, (up, depth) in enumerate(((0.99, 4.0), (0.86, 7.5), (0.70, 8.5))):
            e = look.path(s, 0 * s + up)
            back.append(CENTER + (look.radius(e) - depth)[..., None] * e)
        rows.append(np.array(back))
        shade.append(np.repeat(np.array([0.42, 0.32, 0.22])[:, None], STRANDS + 1, 1))
    else:  # the crown or the knot is closed to a point
        ends = [look.path(s, 0 * s + up) for up in (0.975, 0.988, 0.997)]
        rows.append(np.stack([CENTER + (look.radius(e) + look.lift(s, 0 * s + 1.0))[..., None] * e for e in ends]))
        shade.append(np.repeat(shade[0][-1:], INNER_ROWS, 0))
    grid = np.concatenate(rows)
    shade = np.concatenate(shade)
    grid[..., 0] = np.maximum(grid[..., 0], 2e-4)
    if look.hem:  # a web from the front strand into the head closes the gap between hair and face
        grid[:, 0] = CENTER + 0.45 * (grid[:, 1] - CENTER)
        shade[:, 0] = 0.35
    # both halves share the first strand and the last, in every style
    grid[:, [0, -1], 0] = 0.0
    order = slice(None, None, -1 if look.rising else 1)
    vertices = [grid[order].reshape(-1, 3)]
    light = np.array([0.72, 0.71, 0.70])
    colors = [shade[order].reshape(-1, 1) * (color + 0.5 * gray * (light - color))]
    faces = [strip_faces(np.arange(grid.shape[0] * grid.shape[1]).reshape(grid.shape[:2]))[:, ::-1]]
    count = len(vertices[0])
    for i in range(LOCKS):
        a, b, c = _noise(i, 3), _noise(i, 5), _noise(i, 7)
        middle = (i + 0.5) / LOCKS * 0.96 + 0.02 + 0.012 * (a - 0.5)
        start = look.reach[0] + look.spread * (0.30 * b if i % 3 else 0.04 * b)
        end = look.reach[1] - 0.10 * c
        along = np.linspace(start, end, LOCK_ROWS)
        q = np.linspace(0, 1, LOCK_ROWS)
        half = look.width * (0.55 + 0.5 * c) * np.clip(np.minimum(0.35 + 3.0 * q, 2.6 * (1 - q) + 0.03), 0, 1)
        play = look.wave * (np.sin(2.6 * np.pi * q + 6.28 * a) * (0.35 + 0.65 * q) + 0.6 * (b - 0.5) * q)
        strip = []
        for side, height in ((-1, look.edge), (0, look.tuft * (0.7 + 0.6 * b)), (1, look.edge)):
            u = np.clip(middle + play + side * half, 0.004, 0.996)
            e = look.path(u, along)
            out = look.radius(e) + look.lift(u, along) + height * smoothstep(q, 0.0, 0.2) * (1 - 0.6 * q**4) - 0.6 * smoothstep(q, 0.2, 0.0)
            strip.append(CENTER + out[:, None] * e)
        strip = np.stack(strip, 1)
        strip[..., 0] = np.maximum(strip[..., 0], 0.05)
        tone = (0.80 + 0.22 * q)[:, None] * np.array([0.82, 1.10, 0.90])
        tone = 0.95 + look.contrast * (tone * (0.86 + 0.34 * _noise(i, 11)) - 0.95)
        vertices.append(strip[order].reshape(-1, 3))
        colors.append(tone[order].reshape(-1, 1) * (color + (0.3 + 0.4 * _noise(i, 13)) * gray * (light - color)))
        faces.append(count + strip_faces(np.arange(strip.size // 3).reshape(LOCK_ROWS, 3))[:, ::-1])
        count += strip.size // 3
    return np.concatenate(vertices), np.concatenate(faces), np.clip(np.concatenate(colors), 0, 1)
