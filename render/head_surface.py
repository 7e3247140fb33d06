"""The skin of the head as an implicit surface, and the half grid of points laid on it.

The surface is a smooth union of ellipsoids and round cones (Quilez, "Smooth minimum" and
"Distance functions"). Its proportions lie between the North American means of women and men in
Farkas, "Anthropometry of the Head and Face" (2nd ed., 1994): face height (n-gn) 111.4 and 124.7 mm,
nose height (n-sn) 50.6 and 54.8 and breadth (al-al) 31.4 and 34.9, eyes (en-en) 31.8 and 33.3,
(ex-ex) 87.8 and 91.2, mouth (ch-ch) 50.2 and 54.5, face breadth (zy-zy) 129.9 and 137.1. The looks
(render.head_looks) lead it towards one or the other. Eyes are set half-way down the head.

Everything here is in millimetres: +X to the face's own left, +Y up, +Z out of the face, the
pupils at y = 0 and the ear canals near z = 0. Only x >= 0 is built; render.head mirrors it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import Delaunay

EYE_CENTER = np.array([31.2, 0.0, 67.9])
EYE_RADIUS = 14.0
LID_INNER_RADIUS = 15.0
"""Lids glide this far from the eye's centre, so that the straight line a linear blink follows
between open and closed (42 degrees at most) never enters the eyeball: 15.0 cos 21 > 14.0. The ball is larger
than a real one (12), so that its white reaches the corners of the lids."""
LID_OUTER_RADIUS = 16.2
RAY_ORIGIN = np.array([0.0, 0.0, 5.0])

NECK_END = -168.0
MOUTH_HALF_WIDTH = 24.5
MOUTH_Y = -68.0
MOUTH_COLUMNS = 12
TUBERCLE = 0.8
"""How far the middle of the upper lip hangs into the lip line, mm."""
EYE_COLUMNS = 14


def _length(q):
    """Lengths (n,) of vectors (n, 3); quicker than numpy.linalg.norm, and called a million times."""
    x, y, z = q.T
    return np.sqrt(x * x + y * y + z * z)


def ellipsoid(p, center, radii):
    """Signed distance (bound) of points p (n, 3) to an ellipsoid."""
    inverse = 1.0 / np.asarray(radii, float)
    q = (p - np.asarray(center, float)) * inverse
    k0, k1 = _length(q), _length(q * inverse)
    return k0 * (k0 - 1.0) / np.maximum(k1, 1e-9)


def round_cone(p, a, b, radius_a, radius_b):
    """Signed distance of points p (n, 3) to a capsule from a to b whose radius changes."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    from_a = p - a
    t = np.clip(from_a @ ((b - a) / ((b - a) @ (b - a))), 0.0, 1.0)
    return _length(from_a - t[:, None] * (b - a)) - (radius_a + (radius_b - radius_a) * t)


def smooth_min(a, b, k):
    """Union of two distances, rounded over about k millimetres."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    return np.minimum(a, b) - h * h * k / 4.0


def smooth_max(a, b, k):
    """Intersection of two distances, rounded over about k millimetres."""
    return -smooth_min(-a, -b, k)


def smoothstep(x, low, high):
    """0 below low, 1 above high, a cubic in between; low > high turns it round."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(p, center, widths):
    """Gaussian of points p (n, 3) about a centre, one width per axis (inf leaves an axis out)."""
    return np.exp(-(((p - np.asarray(center, float)) / np.asarray(widths, float)) ** 2).sum(1))


def skull_distance(p):
    """Signed distance (n,) of points (n, 3) to the cranium alone."""
    p = p * [1, 1, 1]
    p[:, 0] = np.abs(p[:, 0])
    d = ellipsoid(p, (0, 30, -12), (74, 80, 86))
    d = smooth_min(d, ellipsoid(p, (0, 34, 40), (58, 54, 52)), 30)
    # temples are a little hollow between the brow's end and the hair
    return d + 1.6 * bump(p, (64, 14, 42), (10, 14, 16))


def skin_distance(p):
    """Signed distance (n,) of points (n, 3) to the bare head and neck, without lips."""
    p = p * [1, 1, 1]
    p[:, 0] = np.abs(p[:, 0])
    d = skull_distance(p)
    d = smooth_min(d, ellipsoid(p, (0, -30, 34), (56, 64, 55)), 22)
    # jaw: from the angle below the ear to the chin, then the muzzle over the dental arches
    d = smooth_min(d, round_cone(p, (41, -70, 16), (11, -97, 74), 9.5, 12.0), 24)
    d = smooth_min(d, round_cone(p, (54, -20, 8), (40, -68, 14), 11, 10), 24)
    d = smooth_min(d, ellipsoid(p, (0, -99, 77), (16.0, 14.5, 16.0)), 18)
    d = smooth_min(d, ellipsoid(p, (0, -66, 61), (31, 29, 33.5)), 20)
    # cheekbones with their arch towards the ear, cheeks
    d = smooth_min(d, ellipsoid(p, (46, -21, 56), (17, 11, 17)), 18)
    d = smooth_min(d, round_cone(p, (51, -19, 48), (60, -12, 14), 8.5, 6.0), 16)
    d = smooth_min(d, ellipsoid(p, (32, -47, 61), (20, 27, 20)), 22)
    d = smooth_min(d, ellipsoid(p, (43, -44, 38), (14, 25, 23)), 24)
    # neck: the column, the muscle from behind the ear to the collarbone's inner end, the larynx
    neck = round_cone(p * [1, 1, 0.94], (0, -80, -16), (0, -230, -28), 42, 47)
    neck = smooth_min(neck, round_cone(p, (41, -64, -14), (12, -172, 10), 5.5, 6.5), 16)
    neck = smooth_min(neck, round_cone(p, (0, -134, 19.5), (0, -146, 20), 5.0, 4.5), 18)
    d = smooth_min(d, neck, 20)
    # brow ridge, then the sockets taken out under it
    d = smooth_min(d, round_cone(p, (11, 18.5, 81.6), (42, 18.5, 65.5), 8.8, 8.6), 18)
    d = smooth_max(d, -ellipsoid(p, (33, -1, 91), (17, 12.5, 13.5)), 14)
    d = smooth_max(d, -ellipsoid(p, (17, 1, 95), (6, 9, 8.5)), 9)
    # the root of the nose, a hollow between brow and bridge
    d = d + 2.2 * bump(p, (0, 5.0, 90), (15, 7.0, 14))
    # nose: bone and bridge, tip, columella, wings with the furrow round them, nostrils
    d = smooth_min(d, round_cone(p, (0, 4, 83.0), (0, -34, 102.5), 5.2, 6.0), 12)
    d = smooth_min(d, ellipsoid(p, (0, -24, 92), (10, 18, 9)), 8)
    d = smooth_min(d, ellipsoid(p, (0, -37.5, 104), (8.6, 7.6, 9.0)), 8)
    d = smooth_min(d, round_cone(p, (0, -43.5, 106), (0, -47, 96), 3.0, 4.0), 7)
    d = smooth_min(d, ellipsoid(p, (11.6, -42, 95.5), (5.6, 6.6, 9.5)), 4.5)
    d = d + 1.3 * bump(p, (17.6, -40.5, 93), (2.4, 6.0, 7)) + 0.9 * bump(p, (11.5, -34, 101), (3.0, 3.0, 6))
    d = smooth_max(d, -ellipsoid(p, (6.2, -48.2, 100.5), (3.5, 6.6, 5.6)), 1.8)
    # the fold from the wing past the corner of the mouth
    t = np.clip((-40 - p[:, 1]) / 30, 0, 1)
    away = np.hypot(p[:, 0] - (20 + 11 * t**1.2), np.where(np.abs(p[:, 1] + 55) > 15, np.abs(p[:, 1] + 55) - 15, 0))
    d = d + 0.9 * np.exp(-((away / 3.4) ** 2)) * smoothstep(p[:, 2], 60, 75)
    # the lids' sphere
    eye = _length(p - EYE_CENTER) - LID_OUTER_RADIUS
    return smooth_min(d, eye, 5)


def march(start, direction, distance, steps=90):
    """First points (n, 3) where rays from outside meet the zero of a distance function."""
    p = np.array(np.broadcast_to(start, direction.shape), float)
    for _ in range(steps):
        p = p + direction * (0.75 * distance(p))[:, None]
    return p


def front(x, y, distance=skin_distance):
    """Depth z (n,) of the surface seen from the front at x, y (n,)."""
    start = np.stack([x, y, np.full_like(x, 140.0)], 1)
    return march(start, np.broadcast_to([0.0, 0.0, -1.0], start.shape), distance)[:, 2]


def radial(longitude, latitude, distance=skin_distance):
    """Surface points (n, 3) seen from RAY_ORIGIN; degrees, longitude 0 is +Z and 90 is +X."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    d = np.stack([np.sin(lon) * np.cos(lat), np.sin(lat), np.cos(lon) * np.cos(lat)], 1)
    return march(RAY_ORIGIN + 320.0 * d, -d, distance)


def angles(p):
    """Longitude and latitude in degrees (n, 2) of points (n, 3) seen from RAY_ORIGIN."""
    q = p - RAY_ORIGIN
    lon = np.degrees(np.arctan2(q[:, 0], q[:, 2]))
    return np.stack([lon, np.degrees(np.arctan2(q[:, 1], np.hypot(q[:, 0], q[:, 2])))], 1)


def gradient(p, distance=skin_distance, step=0.3):
    """Unit normals (n, 3) of the distance function at p."""
    # four corners of a tetrahedron (Quilez, "Normals for an SDF")
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1.0]])
    values = distance((p[None] + step * corners[:, None]).reshape(-1, 3)).reshape(4, -1)
    g = values.T @ corners
    return g / np.maximum(np.linalg.norm(g, axis=1, keepdims=True), 1e-9)


def openness(p, normals, distance=skin_distance):
    """Ambient occlusion (n,) in 0..1, 1 is open: how far free space reaches along the normal."""
    total = np.zeros(len(p))
    weight = 0.0
    for reach, share in ((3.0, 0.7), (7.0, 0.9), (14.0, 1.0), (26.0, 0.8)):
        total += share * np.clip(1.0 - distance(p + reach * normals) / reach, 0.0, 1.0)
        weight += share
    return 1.0 - total / weight


# -- mouth ------------------------------------------------------------------------------------

def lip_line(s):
    """Height y (n,) where the lips meet, at s = x / half width in 0..1."""
    return MOUTH_Y - TUBERCLE * np.exp(-((s / 0.26) ** 2)) + 0.6 * np.exp(-(((s - 0.5) / 0.25) ** 2)) + 1.4 * s**4


def upper_border(s):
    """Height above the lip line (n,) of the upper vermilion border: Cupid's bow at s = 0.22."""
    return (8.0 - 1.5 * np.exp(-((s / 0.13) ** 2)) + 0.8 * np.exp(-(((s - 0.24) / 0.14) ** 2))) * (1 - s**2.2) ** 0.9


def lower_border(s):
    """Depth below the lip line (n,) of the lower vermilion border."""
    return 9.6 * (1 - s**2.3) ** 0.8 - TUBERCLE * np.exp(-((s / 0.26) ** 2)) + 0.6 * np.exp(-(((s - 0.5) / 0.25) ** 2)) * (1 - s)


def mouth_rings(fullness=1.0):
    """Rings of the half mouth, from the throat out to the cheeks.

    Returns positions (rings, 2 * MOUTH_COLUMNS + 1, 3), from the midline of the upper lip past the
    corner (column MOUTH_COLUMNS) to the midline of the lower lip; per-ring distance in mm outside
    the vermilion border (negative on the lips and inside); and the index of the contact ring.
    fullness scales the height of the vermilion.
    """
    theta = np.linspace(0.0, np.pi / 2, MOUTH_COLUMNS + 1)
    s = np.concatenate([np.cos(theta[::-1]), np.cos(theta[1:])])
    side = np.concatenate([np.ones(MOUTH_COLUMNS), [0.0], -np.ones(MOUTH_COLUMNS)])
    s[0] = s[-1] = 0.0
    lift = np.sqrt(np.clip(1 - s**2, 0, 1))
    height = fullness * np.where(side > 0, upper_border(s), -lower_border(s)) * (side != 0)
    line = lip_line(s)

    def lip(t):
        x = (MOUTH_HALF_WIDTH + 1.6 * t) * s
        y = line + height * t
        # both lips bulge alike where they touch, the lower one more further out
        thick = (4.2 + np.where(side > 0, -0.3, 1.0) * smoothstep(t, 0, 0.4)) * (0.12 + 0.88 * lift)
        profile = np.sin(np.pi * np.clip(0.30 + 0.62 * t, 0, 1)) * (1.0 + 0.15 * (1 - t))
        tuck = -2.8 * s**6 * (1 - 0.55 * t)
        # the philtrum's two columns end in the peaks of Cupid's bow
        return np.stack([x, y, front(x, y) + thick * profile + tuck], 1)

    rings, outside = [], []
    contact = lip(0.0)
    # inner lip, vestibule and cavity, from the back of the throat forward
    for back, spread, width, out in (
        (48.0, 5.0, 0.25, -9.0), (42.0, 13.0, 0.72, -8.0), (28.0, 17.0, 1.02, -7.0),
        (15.0, 16.0, 1.16, -6.0), (8.6, 9.0, 1.07, -5.0), (6.2, 3.2, 1.02, -4.0), (3.0, 0.9, 1.0, -3.0),
    ):
        ring = contact.copy()
        ring[:, 0] *= width
        ring[:, 1] += side * spread * lift**0.8 * np.where(side > 0, 0.9, 1.0)
        ring[:, 2] -= back - 1.5 * s**2
        rings.append(ring)
        outside.append(out)
    for t in (0.0, 0.16, 0.36, 0.6, 0.82, 1.0):
        rings.append(lip(t))
        outside.append(-2.0 + 2.0 * t)
    contact_ring = 7
    border = lip(1.0)
    rim = border[:, 2] - front(border[:, 0], border[:, 1])
    cos, sin = s, lift
    for e, keep in ((1.6, 0.25), (4.2, 0.0), (8.0, 0.0), (13.0, 0.0)):
        ring = border.copy()
        ring[:, 0] += e * cos * 1.0
        ring[:, 1] += e * side * sin * np.where(side > 0, 0.62, 1.0)
        z = front(ring[:, 0], ring[:, 1])
        column = np.exp(-(((ring[:, 0] - 5.5) / 2.4) ** 2)) - 0.7 * np.exp(-((ring[:, 0] / 3.4) ** 2))
        z = z + rim * np.exp(-((e / 5.0) ** 2))
        ring[:, 2] = z + 0.9 * column * (side > 0) - 0.5 * s**8 * np.exp(-((e / 4.0) ** 2))
        rings.append(ring)
        outside.append(e)
    return np.array(rings), np.array(outside), contact_ring


# -- eyes -------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Lids:
    """How the left eye opens: heights of the lids over and under the eye's centre (mm), height of the outer corner
    over the inner one (half, mm), depth of the upper lid's crease (mm)."""

    up: float = 5.3
    down: float = 5.3
    tilt: float = 1.1
    crease: float = 2.2


def lid_contour(theta, lids=Lids()):
    """Opening between the lids seen from the front: x, y (n,) about the eye's centre.

    theta runs from the outer canthus (0) over the upper lid to the inner canthus (pi) and back
    along the lower lid. The upper lid is highest a little inside the pupil, the lower one lowest a
    little outside, and the inner corner runs out into a beak over the caruncle.
    """
    lean = np.cos(theta)
    x = 15.0 * lean - 0.7 * np.clip(-lean, 0, 1) ** 8
    up, down = np.clip(np.sin(theta), 0, None), np.clip(-np.sin(theta), 0, None)
    y = lids.up * up**0.9 * (1 - 0.14 * lean) - lids.down * down * (1 + 0.16 * lean)
    return x, y + lids.tilt * lean - 0.5 * np.clip(-lean, 0, 1) ** 8


def eye_rings(lids=Lids()):
    """Rings of the left eye's lids, from the tuck behind the margin out to the socket.

    Returns positions (rings, 2 * EYE_COLUMNS, 3), columns as theta of `lid_contour`, and the share
    (rings,) of the margin's movement that each ring takes in a blink. The first ring is hidden
    inside the eyeball, the second and third are the margin's inner and outer edge.
    """
    theta = np.arange(2 * EYE_COLUMNS) * np.pi / EYE_COLUMNS
    cx, cy = lid_contour(theta, lids)
    up = np.clip(np.sin(theta), 0, 1)

    def on_sphere(x, y, radius):
        # canthi lie flatter than the ball: keep x, y and take the ball's depth where it exists
        inside = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0.0))
        return np.stack([x, y, np.maximum(inside, 0.36 * radius)], 1)

    # the tuck closes the corners, where the opening is wider than the ball, like the caruncle does
    shrink = np.minimum(0.97, 13.2 / np.hypot(cx, cy))
    rings = [
        on_sphere(cx * shrink, cy * shrink, EYE_RADIUS) - [0, 0, 1.2],
        on_sphere(cx, cy, LID_INNER_RADIUS),
        on_sphere(cx * 1.03 + 0.2 * np.cos(theta), cy * 1.06 + 0.3 * np.sin(theta), LID_OUTER_RADIUS + 0.1),
    ]
    rings = [ring + EYE_CENTER for ring in rings]
    share = [1.0, 1.0, 1.0]
    for grow, lid in ((0.15, 0.86), (0.31, 0.62), (0.46, 0.38), (0.64, 0.17), (1.0, 0.0)):
        x = (1 - grow) * (cx * 1.05) + grow * 20.5 * np.cos(theta)
        y = (1 - grow) * (cy * 1.10) + grow * np.where(np.sin(theta) > 0, 14.0, 13.0) * np.sin(theta)
        ring = np.stack([x + EYE_CENTER[0], y, np.zeros_like(x)], 1)
        ring[:, 2] = front(ring[:, 0], ring[:, 1])
        # the fold above the upper lid, and a faint one under the lower
        crease = np.exp(-(((grow - 0.46) / 0.07) ** 2)) - 0.35 * np.exp(-(((grow - 0.64) / 0.08) ** 2))
        ring[:, 2] -= lids.crease * crease * up**0.7 + 0.5 * np.exp(-(((grow - 0.6) / 0.15) ** 2)) * np.clip(-np.sin(theta), 0, 1)
        rings.append(ring)
        share.append(lid)
    return np.array(rings), np.array(share)


# -- the half grid ----------------------------------------------------------------------------

def strip_faces(index, closed=False):
    """Triangles (m, 3) between the successive rows of a grid of vertex indices (rows, columns)."""
    a, b = index[:-1], index[1:]
    if closed:
        a, b = np.c_[a, a[:, :1]], np.c_[b, b[:, :1]]
    quads = np.stack([a[:, :-1], a[:, 1:], b[:, 1:], b[:, :-1]], -1).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    good = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    return faces[good]


def face_grid():
    """Longitudes and latitudes (n, 2) of the skin outside the mouth's and the eyes' rings."""
    lon = np.concatenate([np.arange(0, 15, 1.9), np.arange(15.5, 50, 3.4), np.arange(51, 100, 5.0), np.linspace(102, 180, 10)])
    lat = np.concatenate([
        np.arange(-80, -58, 1.3), np.arange(-57, -28, 2.2), np.arange(-27.6, -11, 1.45),
        np.arange(-10, 32, 3.0), np.arange(33, 82, 7.0)])
    grid = np.stack(np.meshgrid(lon, lat), -1).reshape(-1, 2)
    # fine rows are for the nose only, fine columns for the front only
    row = np.searchsorted(lat, grid[:, 1])
    column = np.searchsorted(lon, grid[:, 0])
    fine_rows = (grid[:, 1] > -28) & (grid[:, 1] < -11)
    keep = ~(fine_rows & (grid[:, 0] > 14) & (row % 2 == 1))
    far_up = (grid[:, 1] > 32) | (grid[:, 1] < -57)
    keep &= ~(far_up & (grid[:, 0] < 15) & (grid[:, 0] > 0) & (column % 2 == 1))
    # under the jaw rays graze the neck: there rings of even height take over, thinned where they crowd
    neck = neck_rings(np.linspace(0, 180, 31))
    under = keep & (grid[:, 1] < -54)
    keep &= ~under
    p = radial(grid[under, 0], grid[under, 1])
    candidates = p[p[:, 1] > NECK_END + 5]
    chosen = list(neck)
    for q in candidates[np.argsort(-candidates[:, 1], kind="stable")]:
        if (np.linalg.norm(np.array(chosen) - q, axis=1) > 4.5).all():
            chosen.append(q)
    low = angles(np.array(chosen))
    low[:, 0] = np.where(low[:, 0] < 0.2, 0.0, np.where(low[:, 0] > 179.8, 180.0, low[:, 0]))
    return np.concatenate([grid[keep], [[0.0, 90.0]], low])


def neck_rings(lon):
    """Points (n, 3) of the neck on level rings down to NECK_END, at longitudes in degrees."""
    level, turn = [a.ravel() for a in np.meshgrid(np.linspace(NECK_END, -117, 9), np.radians(lon), indexing="ij")]
    d = np.stack([np.sin(turn), 0 * turn, np.cos(turn)], 1)
    p = march(np.stack([0 * level, level, 0 * level + RAY_ORIGIN[2]], 1) + 150 * d, -d, skin_distance)
    return p[np.abs(gradient(p)[:, 1]) < 0.8]


def _near(points, others, reach):
    d = np.linalg.norm(points[:, None] - others[None], axis=2)
    return d.min(1) < reach


def _inside(points, polygon):
    """Even-odd test of 2-D points (n, 2) against a closed polygon (m, 2)."""
    x, y = points[:, :1], points[:, 1:]
    a, b = polygon, np.roll(polygon, -1, 0)
    cross = (a[:, 1] > y) != (b[:, 1] > y)
    at = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / np.where(b[:, 1] == a[:, 1], 1e-12, b[:, 1] - a[:, 1])
    return (cross & (x < at)).sum(1) % 2 == 1


def neighbours(faces, count):
    """Row-normalised adjacency (count, count) of a mesh's vertices, and their degrees (count,)."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    link = csr_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    link.data[:] = 1.0
    degree = np.asarray(link.sum(1)).ravel()
    return link.multiply(1 / np.maximum(degree, 1)[:, None]).tocsr(), degree


def relax(vertices, faces, free, rounds=10):
    """Even out the spacing of the free (n,) vertices along the surface, in place; x = 0 stays a seam."""
    link, degree = neighbours(faces, len(vertices))
    seam = vertices[:, 0] == 0.0
    free = free & (vertices[:, 1] > NECK_END + 4) & (degree > 3)
    for _ in range(rounds):
        moved = vertices + 0.45 * (link @ vertices - vertices)
        moved[seam, 0] = 0.0
        moved = moved[free]
        normal = gradient(moved)
        for _ in range(3):
            moved -= normal * skin_distance(moved)[:, None]
        moved[seam[free], 0] = 0.0
        vertices[free] = moved


def half_skin(lids=Lids(), fullness=1.0):
    """The left half of skin, lips and mouth's lining.

    Returns a dict: vertices (n, 3), faces (m, 3), `mouth` (rings, columns) and `eye`
    (rings, columns) vertex indices, `outside` and `contact` of `mouth_rings`, `share` of `eye_rings`, `nostril` indices of the
    vertices inside it.
    """
    mouth, outside, contact = mouth_rings(fullness)
    eye, share = eye_rings(lids)
    columns = mouth.shape[1]
    mouth_index = np.arange(mouth.size // 3).reshape(mouth.shape[:2])
    eye_index = mouth_index.size + np.arange(eye.size // 3).reshape(eye.shape[:2])
    faces = [strip_faces(mouth_index), strip_faces(eye_index, closed=True)[:, ::-1]]
    # the throat's back wall
    throat = mouth_index[0]
    half = columns // 2
    wall = np.stack([throat[:half], throat[::-1][:half]])
    faces.append(strip_faces(np.c_[wall, [throat[half], throat[half]]])[:, ::-1])

    # triangles are those of the default lids and lips in every look
    mouth_loop, eye_loop = angles(mouth_rings()[0][-1]), angles(eye_rings()[0][-1])
    grid = face_grid()
    mouth_polygon = np.concatenate([mouth_loop, [[-30, mouth_loop[-1, 1]], [-30, mouth_loop[0, 1]]]])
    keep = ~_inside(grid, mouth_polygon) & ~_inside(grid, eye_loop)
    # points near a loop's edges, not only near its corners, would take the edge out of the triangulation
    fine_mouth = np.concatenate([mouth_loop[:-1] + t * np.diff(mouth_loop, axis=0) for t in (0, 0.25, 0.5, 0.75, 1)])
    fine_eye = np.concatenate([eye_loop + t * (np.roll(eye_loop, -1, 0) - eye_loop) for t in (0, 0.25, 0.5, 0.75)])
    keep &= ~_near(grid, fine_mouth, 1.25) & ~_near(grid, fine_eye, 1.25)
    nostril = angles(np.array([[5.8, -47.5, 100.0]]))[0]
    turn = np.arange(10) * 2 * np.pi / 10
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)
    nostrils = np.concatenate([nostril + ring * [1.9, 1.25], nostril + ring[::2] * [1.0, 0.6], [nostril]])
    keep &= ~_near(grid, nostrils, 0.85)
    grid = np.concatenate([grid[keep], nostrils])
    skin = radial(grid[:, 0], grid[:, 1])
    skin[grid[:, 0] == 0.0, 0] = 0.0
    skin[grid[:, 0] == 180.0, 0] = 0.0
    start = eye_index.max() + 1
    domain = np.concatenate([mouth_loop, eye_loop, grid])
    label = np.concatenate([mouth_index[-1], eye_index[-1], start + np.arange(len(grid))])
    group = np.concatenate([np.zeros(columns), np.ones(len(eye_loop)), np.full(len(grid), 2)])
    # on the neck a degree upwards is six times as long as one sideways
    even = domain - np.stack([0 * domain[:, 0], 5.0 * np.maximum(-54.0 - domain[:, 1], 0)], 1)
    triangles = Delaunay(even).simplices
    middle = domain[triangles].mean(1)
    same = (group[triangles] == group[triangles[:, :1]]).all(1)
    hole = same & (group[triangles[:, 0]] == 0) & _inside(middle, mouth_polygon)
    hole |= same & (group[triangles[:, 0]] == 1) & _inside(middle, eye_loop)
    triangles = triangles[~hole]
    d = domain[triangles]
    p, q = d[:, 1] - d[:, 0], d[:, 2] - d[:, 0]
    area = p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
    triangles = triangles[np.abs(area) > 1e-6]
    area = area[np.abs(area) > 1e-6]
    triangles = np.where((area > 0)[:, None], triangles, triangles[:, ::-1])
    faces.append(label[triangles])
    vertices = np.concatenate([mouth.reshape(-1, 3), eye.reshape(-1, 3), skin])
    faces = np.concatenate(faces)
    # Delaunay closes the bottom of the neck, which ends open inside the collar
    faces = faces[(vertices[faces, 1] > NECK_END + 0.5).any(1)]
    count = len(vertices)
    nostril = np.arange(count - 6, count)
    relax(vertices, faces, (np.arange(count) > eye_index.max()) & (np.arange(count) < count - 16))
    return {
        "vertices": vertices, "faces": faces, "mouth": mouth_index, "eye": eye_index,
        "outside": outside, "contact": contact, "share": share, "nostril": nostril,
    }
