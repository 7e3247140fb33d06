"""What sits on and in the skin of the default head: eyes, lashes, brows, teeth, tongue, ears, hair, clothes.

Each function builds the left half (x >= 0, vertices with x = 0 are shared by both halves) and
returns a Part in the millimetre frame of render.head_surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from render import head_surface as surface
from render.head_surface import EYE_CENTER, EYE_RADIUS, smoothstep, strip_faces

LASH = np.array([0.075, 0.058, 0.050])
ENAMEL = np.array([0.995, 0.965, 0.905])
GUM = np.array([0.720, 0.330, 0.330])
TONGUE = np.array([0.780, 0.380, 0.380])


@dataclass
class Part:
    """Half a mesh. vertices (n, 3) mm, faces (m, 3), colors (n, 3) in 0..1, name of the part."""

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray

    def __post_init__(self):
        self.colors = np.broadcast_to(self.colors, self.vertices.shape).copy()


def _grid(rows, closed=False, flip=False):
    """Vertices and triangles of a grid (rows, columns, 3)."""
    rows = np.asarray(rows)
    faces = strip_faces(np.arange(rows.shape[0] * rows.shape[1]).reshape(rows.shape[:2]), closed)
    return rows.reshape(-1, 3), faces[:, ::-1] if flip else faces


def eyeball(iris) -> Part:
    """Sphere with its pole at the pupil; rings are doubled where the colour changes. iris: inner and outer colour."""
    tilt = np.radians([0.4, 5.5, 9.6, 10.3, 13.5, 17.5, 22.0, 25.4, 26.8, 33, 45, 62, 82, 105])
    turn = np.arange(24) * 2 * np.pi / 24
    d = np.stack(np.broadcast_arrays(
        np.sin(tilt)[:, None] * np.cos(turn), np.sin(tilt)[:, None] * np.sin(turn), np.cos(tilt)[:, None]), -1)
    vertices, faces = _grid(EYE_CENTER + EYE_RADIUS * d, closed=True, flip=True)
    center = np.arange(24)
    faces = np.concatenate([faces, np.stack([np.full(22, 0), center[1:-1], center[2:]], 1)])
    pupil, sclera = np.array([0.02, 0.02, 0.025]), np.array([0.885, 0.870, 0.850])
    inner, outer = np.array(iris[0]), np.array(iris[1])
    rim = 0.35 * outer + 0.02
    ring = [pupil, pupil, pupil, inner * 0.7, inner, 0.5 * (inner + outer), outer, rim, sclera * 0.93, sclera,
            sclera, sclera * [0.98, 0.93, 0.91], sclera * [0.95, 0.86, 0.83], sclera * [0.9, 0.75, 0.7]]
    colors = np.repeat(np.array(ring)[:, None], 24, axis=1)
    fleck = 1.0 + 0.13 * np.cos(5 * turn + 1.0) * np.cos(3 * turn)
    colors[3:7] *= fleck[:, None]
    # the upper lid's shadow; it turns with the ball, which gaze of 25 degrees does not give away
    colors *= 1 - 0.42 * smoothstep(d[..., 1:2], 0.08, 0.42)
    # a window's reflection, straight above the pupil so that both eyes agree
    angle = np.radians(13.0)
    middle = np.array([0.0, np.sin(angle), np.cos(angle)])
    up = np.array([0.0, np.cos(angle), -np.sin(angle)])
    disc = EYE_RADIUS * middle + 0.22 * middle + 1.25 * (
        np.cos(turn[::3])[:, None] * [1, 0, 0] * 1.15 + np.sin(turn[::3])[:, None] * up)
    disc = np.concatenate([[(EYE_RADIUS + 0.3) * middle], disc]) + EYE_CENTER
    k = np.arange(8)
    faces = np.concatenate([faces, len(vertices) + np.stack([0 * k, 1 + k, 1 + (k + 1) % 8], 1)])
    return Part("eye", np.concatenate([vertices, disc]), faces, np.concatenate([colors.reshape(-1, 3), np.ones((9, 3))]))


def lashes(eye: np.ndarray):
    """One dark strip along the upper lid's margin, and a few tapering clumps that sweep out from its outer half.
    In a picture of a head the single lashes between are far below a pixel, and so are all of the lower lid.

    eye : (rings, columns, 3), the lids' rings. Returns the Part and the column (n,) of each vertex.
    """
    half = surface.EYE_COLUMNS
    ring = np.concatenate([eye, eye[:, :1]], 1)

    def at(place, share):
        """Point of the lids' rim at a column that may lie between two, share 0 inside and 1 outside; and outward."""
        low = min(int(place), 2 * half - 1)
        inner, outer = (ring[r, low] + (place - low) * (ring[r, low + 1] - ring[r, low]) for r in (1, 2))
        p = inner + share * (outer - inner)
        return p, (p - EYE_CENTER) / np.linalg.norm(p - EYE_CENTER)

    places = np.linspace(0.15, half - 0.9, 25)
    band = []
    for share, lift, out in ((0.10, -0.10, 0.10), (1.0, 0.10, 0.45), (1.08, 1.05, 0.25)):
        thick = np.clip(1.15 * np.sin(places * np.pi / half) ** 0.5, 0.1, 1) * np.interp(places, [0, half / 2, half], [1.1, 0.85, 0.4])
        points = [at(place, share) for place in places]
        band.append(np.array([p + out * n + np.array([0, lift * k, 0]) for (p, n), k in zip(points, thick, strict=True)]))
    vertices, faces = _grid(band)
    vertices, faces, columns, count = [vertices], [faces], [np.tile(np.round(places).astype(int), 3)], len(vertices)
    for place in (1.1, 2.6, 4.2):
        theta = place * np.pi / half
        root, out = at(place, 0.9)
        size, wide = 3.0 - 0.25 * place, 1.5
        along = np.array([np.sin(theta), -0.35 * np.cos(theta), 0.0])
        aside = np.array([0.55 * np.cos(theta) + 0.10, 0.0, 0.0])
        middle = root + 0.5 * size * (0.8 * out + 0.7 * aside + [0, 0.25, 0])
        tip = root + size * (0.7 * out + aside + [0, 0.45, 0])
        vertices.append([root - wide * along + 0.1 * out, root + wide * along + 0.1 * out, middle - 0.6 * wide * along, middle + 0.6 * wide * along, tip])
        faces.append(np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4]]) + count)
        columns.append(np.full(5, int(round(place))))
        count += 5
    return Part("lashes", np.concatenate(vertices), np.concatenate(faces), LASH), np.concatenate(columns)


def brows(color, broad=1.0) -> Part:
    """A brow of single tapered hairs that lean outward, the inner ones upright, the outer ones lying along it."""
    knots = [0, 0.22, 0.5, 0.78, 1]
    height = np.polyfit(knots, [19.4, 21.1, 22.9, 22.5, 17.8], 4)
    count, points, shades = 60, [], []
    for k in range(count):
        # three ranks from the lower edge to the upper one, each from the nose outward
        rank, place = k % 3, (k // 3 + 0.33 * (k % 3)) / (count // 3)
        t = 0.98 * place
        x = np.interp(t, knots, [11.8, 18.5, 29.0, 40.0, 48.5])
        width = broad * np.interp(t, [0, 0.08, 0.3, 0.6, 0.88, 1], [1.4, 3.9, 5.0, 4.3, 2.2, 0.6])
        y = np.polyval(height, t) + width * (rank / 2 - 0.62)
        lean = np.radians(np.interp(t, [0, 0.12, 0.4, 1], [36, 26, 16, -24]) - 8.0 * (rank - 0.6) * (t > 0.08))
        long = np.interp(t, [0, 0.2, 0.7, 1], [5.6, 8.0, 8.2, 5.8]) * (0.88 + 0.24 * ((k * 7) % 5) / 4)
        along, across = np.array([np.cos(lean), np.sin(lean)]), np.array([-np.sin(lean), np.cos(lean)])
        thick = 1.05 * broad * (0.5 + 0.5 * min(1.0, 5 * t))
        base = np.array([x, y])
        points.append([base - thick * 0.6 * across, base + thick * 0.6 * across, base + 0.5 * long * along - thick * across, base + 0.5 * long * along + thick * across, base + long * along])
        shades.append(np.array([0.95, 0.95, 1.05, 1.05, 1.25]) * (0.86 + 0.3 * ((k * 5) % 7) / 6))
    flat = np.array(points).reshape(-1, 2)
    p = np.stack([flat[:, 0], flat[:, 1], surface.front(flat[:, 0], flat[:, 1])], 1)
    p += surface.gradient(p) * np.tile([-0.1, -0.1, 0.75, 0.75, 0.5], count)[:, None]
    p[:, 0] = np.maximum(p[:, 0], 1.0)
    faces = (np.array([[0, 2, 1], [1, 2, 3], [2, 4, 3]])[None] + 5 * np.arange(count)[:, None, None]).reshape(-1, 3)
    return Part("brows", p, faces, color * np.concatenate(shades)[:, None])


def _arch(x, forward):
    return forward - 0.0195 * x**2 - 2.2e-5 * x**4


def _teeth(name, forward, widths, rows, notch, sink=0.0, fade=0.45) -> Part:
    """A dental arch: one strip whose columns dip between teeth. rows = (y, depth, thickness, tint) of each row.

    Behind the canines it sinks by `sink` mm and darkens by `fade`: molars lie in the cheek's shade.
    """
    arc = np.linspace(0, 30, 400)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(arc), np.diff(_arch(arc, forward))))])
    start = np.concatenate([[0], np.cumsum(widths)])
    local = np.array([0.0, 0.10, 0.5, 0.90])
    u = np.concatenate([s + w * local for s, w in zip(start, widths)] + [[start[-1]]])
    gap = np.concatenate([np.tile([1.0, 0.25, 0.0, 0.25], len(widths)), [1.0]])
    x = np.interp(u, length, arc)
    slope = np.gradient(_arch(x, forward), x + 1e-9)
    normal = np.stack([-slope, 0 * x, np.ones_like(x)], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    normal[0] = [0, 0, 1]
    grid, tint = [], []
    for y, depth, enamel, edge in rows:
        p = np.stack([x, np.full_like(x, y), _arch(x, forward)], 1) - normal * depth
        p -= normal * (gap * 0.5 * enamel)[:, None]
        p[:, 1] += notch * gap * edge - sink * smoothstep(u, start[3], start[-1])
        grid.append(p)
        base = enamel * ENAMEL + (1 - enamel) * GUM
        tint.append(base * ((1 - 0.20 * gap * enamel) * (1 - fade * smoothstep(u, start[3] - 2.0, start[3] + 12.0)))[:, None])
    grid = np.array(grid)
    grid[:, 0, 0] = 0.0
    vertices, faces = _grid(grid, flip=notch > 0)
    return Part(name, vertices, faces, np.concatenate(tint))


def teeth_upper() -> Part:
    """Upper arch: central incisors end 2 mm under the lip line, behind the lower lip."""
    rows = [(-52, 1.5, 0, 0), (-57.5, -0.3, 0, 0), (-60.2, 0.4, 1, -1.2), (-64.5, 0.1, 1, 0), (-68.6, 0.5, 1, 0),
            (-70.0, 1.2, 1, 1), (-69.6, 2.4, 1, 1), (-65, 4.4, 1, 0), (-57, 6.5, 0, 0)]
    return _teeth("teeth_upper", 88.6, [8.4, 6.6, 7.6, 7.0, 6.8, 9.5], rows, 0.9)


def teeth_lower() -> Part:
    """Lower arch, biting just behind the upper one."""
    rows = [(-85, 1.0, 0, 0), (-80.0, -0.3, 0, 0), (-77.6, 0.4, 1, -1.0), (-74, 0.1, 1, 0), (-70.4, 0.5, 1, 0),
            (-69.2, 1.0, 1, 1), (-69.5, 2.2, 1, 1), (-74, 3.8, 1, 0), (-81, 6.0, 0, 0)]
    return _teeth("teeth_lower", 85.2, [5.4, 5.9, 6.8, 7.0, 7.0, 10.5], rows, -0.8, sink=4.0, fade=0.65)


def tongue():
    """Tongue at rest behind the lower teeth. Returns the Part and how far forward (n,) each vertex is, 0 root, 1 tip."""
    t = 1 - (1 - np.linspace(0, 1, 12)) ** 1.5
    a = np.linspace(np.pi / 2, -np.pi / 2, 9)
    width = 15.5 * np.sqrt(np.clip(1 - (t**5), 0.0, 1)) + 0.4
    thick = 5.6 * np.sqrt(np.clip(1 - (t**6), 0.0, 1)) + 0.25
    z = 36 + 44.2 * t
    y = -72.0 - 14.0 * (1 - t) ** 4 - 3.0 * t**2
    rows = []
    for i in range(len(t)):
        groove = 1.3 * np.exp(-((np.cos(a) / 0.25) ** 2)) * (np.sin(a) > 0) * (thick[i] / 5.6)
        rows.append(np.stack([width[i] * np.cos(a), y[i] + thick[i] * np.sin(a) - groove, np.full_like(a, z[i])], 1))
    rows = np.array(rows)
    rows[:, [0, -1], 0] = 0.0
    vertices, faces = _grid(rows)
    forward = np.repeat(t, len(a))
    shade = (0.62 + 0.38 * forward)[:, None] * (0.8 + 0.2 * np.tile(smoothstep(np.sin(a), -0.5, 0.6), len(t)))[:, None]
    return Part("tongue", vertices, faces, TONGUE * shade), forward


def _from_line(b, u, line):
    """Distances (...) of points from a polyline [(b, u)]."""
    best = np.full(b.shape, np.inf)
    for (b0, u0), (b1, u1) in zip(line[:-1], line[1:], strict=True):
        db, du = b1 - b0, u1 - u0
        t = np.clip(((b - b0) * db + (u - u0) * du) / (db * db + du * du), 0, 1)
        best = np.minimum(best, np.hypot(b - b0 - t * db, u - u0 - t * du))
    return best


def _ear_relief(b, u):
    """Height (mm) of the ear's outer face at places b (backward) and u (upward) about its middle."""
    helix = [(-3, -4), (-8.5, 3), (-10, 13), (-6.5, 23.5), (1.5, 27.5), (10, 23.5), (14.5, 13), (15, 1), (12, -11), (7, -19)]
    antihelix = [(1.5, -16), (7.5, -11), (9.2, -1), (7.5, 8), (3, 16)]
    crus = [(7.5, 8), (2, 10.5), (-4, 10.5)]
    h = 4.6 * np.exp(-((_from_line(b, u, helix) / 2.5) ** 2))
    h = np.maximum(h, 3.4 * np.exp(-((_from_line(b, u, antihelix) / 3.0) ** 2)))
    h = np.maximum(h, 2.2 * np.exp(-((_from_line(b, u, crus) / 2.2) ** 2)))
    h = np.maximum(h, 5.2 * np.exp(-(((b + 10.5) / 3.2) ** 2 + ((u + 6.5) / 4.2) ** 2)))  # tragus
    h = np.maximum(h, 3.4 * np.exp(-(((b - 0.5) / 3.4) ** 2 + ((u + 16.5) / 3.0) ** 2)))  # antitragus
    h = np.maximum(h, 2.4 * np.exp(-(((b + 3) / 7.5) ** 2 + ((u + 25) / 6.0) ** 2)))  # lobe
    return h - 7.5 * np.exp(-(((b + 1.5) / 6.5) ** 2 + ((u + 6.5) / 7.5) ** 2)) - 2.6 * np.exp(-(((b + 1) / 6) ** 2 + ((u - 3.5) / 4.5) ** 2))


def ear(skin_color: np.ndarray) -> Part:
    """Left ear: concha, antihelix with its crus, tragus and antitragus, helix that rolls over to the back, lobe."""
    columns = 28
    phi = np.arange(columns) * 2 * np.pi / columns
    c, s = np.cos(phi), np.sin(phi)  # c > 0 is back, s > 0 is up
    reach = np.where(c > 0, 17.0, 11.5) * np.where(s < 0, 1 - 0.30 * s**2, 1.0)
    outline = np.stack([reach * c, np.where(s > 0, 30.0, 31.0) * s], 1)
    front = smoothstep(c, -0.35, -0.95)
    rows, light = [], []
    for share in (0.03, 0.16, 0.29, 0.41, 0.52, 0.62, 0.71, 0.80, 0.88, 0.95, 1.0):
        b, u = outline.T * share
        h = _ear_relief(b, u) * (1 - 0.55 * front * smoothstep(share, 0.75, 1.0))
        rows.append(np.stack([b, u, h], 1))
        light.append(0.52 + 0.48 * smoothstep(h, -7.0, 3.0))
    for share, h, tone in ((1.01, -1.2, 0.9), (0.86, -4.5, 0.72), (0.60, -11.0, 0.55)):
        rows.append(np.stack([*(outline.T * share), np.full(columns, h)], 1))
        light.append(np.full(columns, tone))
    local, light = np.array(rows), np.array(light)
    # tilted back by 10 degrees, standing off the head by 24 degrees
    tilt, off = np.radians(10), np.radians(24)
    b = local[..., 0] * np.cos(tilt) + local[..., 1] * np.sin(tilt)
    u = -local[..., 0] * np.sin(tilt) + local[..., 1] * np.cos(tilt)
    o = local[..., 2] + 0.0012 * u**2
    hinge = b + 11.0
    x = hinge * np.sin(off) + o * np.cos(off)
    z = -hinge * np.cos(off) + o * np.sin(off)
    vertices, faces = _grid(np.stack([x, u, z], -1) + [69.0, -17.0, 6.0], closed=True, flip=True)
    k = np.arange(1, columns - 1)
    last = len(vertices) - columns
    faces = np.concatenate([faces, np.stack([0 * k, k, k + 1], 1), last + np.stack([0 * k, k + 1, k], 1)])
    return Part("skin", vertices, faces, skin_color * [1.0, 0.91, 0.89] * light.reshape(-1, 1))


def bust(color) -> Part:
    """Shirt with a ribbed round collar, the slope of the shoulders, cut off level across the chest."""
    phi = np.linspace(0, np.pi, 25)  # 0 is the front
    s, c = np.sin(phi), np.cos(phi)
    neck_y = -146 - 13 * c
    rows, shade = [], []
    for half_x, half_z, drop, light in (
        (47, 49, -16, 0.35), (50, 52.5, -2, 0.6), (51.8, 54.4, 1.6, 1.10), (54.2, 57.0, 1.2, 1.14), (56.0, 58.8, -3.0, 1.06), (56.2, 58.9, -6.5, 0.62),
    ):
        rows.append(np.stack([half_x * s, neck_y + drop, -20 + half_z * c], 1))
        shade.append(np.full(len(phi), light))
    for t, light in ((0.0, 0.80), (0.06, 0.96), (0.2, 1.0), (0.4, 1.0), (0.6, 1.0), (0.8, 1.0), (1.0, 0.99)):
        half_x = 57 + 35 * np.sin(t * np.pi / 2) ** 0.85
        half_z = 59.5 + (7 + 8 * (c > 0)) * np.sin(t * np.pi / 2)
        # shoulders slope from the neck and then fall, chest and back fall at once
        fall = np.abs(s) ** 1.5
        y = neck_y - 7.5 + (-192 - neck_y + 7.5) * (t ** (1.0 + 0.75 * fall))
        rows.append(np.stack([half_x * s, y, -20 - 3 * t + half_z * c], 1))
        shade.append(np.full(len(phi), light))
    for half_x, half_z, y, light in ((92.5, 73.5, -202, 0.95), (92, 73, -210, 0.80), (89, 70, -213, 0.5), (50, 35, -213, 0.40), (1, 1, -213, 0.35)):
        rows.append(np.stack([half_x * s, np.full_like(s, y), -23 + half_z * c], 1))
        shade.append(np.full(len(phi), light))
    rows = np.array(rows)
    rows[:, [0, -1], 0] = 0.0
    vertices, faces = _grid(rows, flip=True)
    return Part("clothes", vertices, faces, color * np.concatenate(shade)[:, None])


def caruncle(flesh) -> Part:
    """The pink knob in the inner corner of the left eye."""
    turn = np.arange(5) * 2 * np.pi / 5
    middle = EYE_CENTER + [-13.3, -1.7, 3.6]
    rings = [np.stack([2.3 * k * np.cos(turn), 2.0 * k * np.sin(turn), 0 * turn + h], 1) for k, h in ((0.55, 1.9), (1.0, 0.2))]
    vertices = np.concatenate([[middle + [0, 0, 2.3]], *(middle + ring for ring in rings)])
    k = np.arange(5)
    after = (k + 1) % 5
    faces = np.concatenate([np.stack([0 * k, 1 + k, 1 + after], 1), np.stack([1 + k, 6 + k, 6 + after], 1), np.stack([1 + k, 6 + after, 1 + after], 1)])
    return Part("caruncle", vertices, faces, flesh * np.array([1.0] + [0.95] * 5 + [0.8] * 5)[:, None])
