"""What sits on and in the skin of the default head: eyes, lashes, brows, teeth, tongue, ears, hair, clothes.

Each function builds the left half (x >= 0, vertices with x = 0 are shared by both halves) and
returns a Part in the millimetre frame of render.head_surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from render import head_surface as surface
from render.head_surface import EYE_CENTER, EYE_RADIUS, smoothstep, strip_faces

HAIR = np.array([0.235, 0.155, 0.110])
BROW = np.array([0.230, 0.150, 0.105])
LASH = np.array([0.085, 0.060, 0.055])
ENAMEL = np.array([0.945, 0.925, 0.880])
GUM = np.array([0.720, 0.330, 0.330])
TONGUE = np.array([0.780, 0.380, 0.380])
CLOTH = np.array([0.220, 0.330, 0.420])


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


def eyeball() -> Part:
    """Sphere with its pole at the pupil; rings are doubled where the colour changes."""
    tilt = np.radians([0.4, 6, 11.0, 11.5, 16, 21, 26.0, 29.4, 30.8, 37, 48, 64, 82, 105])
    turn = np.arange(24) * 2 * np.pi / 24
    d = np.stack(np.broadcast_arrays(
        np.sin(tilt)[:, None] * np.cos(turn), np.sin(tilt)[:, None] * np.sin(turn), np.cos(tilt)[:, None]), -1)
    vertices, faces = _grid(EYE_CENTER + EYE_RADIUS * d, closed=True, flip=True)
    center = np.arange(24)
    faces = np.concatenate([faces, np.stack([np.full(22, 0), center[1:-1], center[2:]], 1)])
    pupil, sclera = np.array([0.02, 0.02, 0.025]), np.array([0.955, 0.945, 0.925])
    rim, inner, outer = np.array([0.10, 0.14, 0.16]), np.array([0.52, 0.50, 0.33]), np.array([0.27, 0.42, 0.44])
    ring = [pupil, pupil, pupil, inner * 0.8, inner, 0.5 * (inner + outer), outer, rim, sclera * 0.93, sclera,
            sclera, sclera * [0.98, 0.93, 0.91], sclera * [0.95, 0.86, 0.83], sclera * [0.9, 0.75, 0.7]]
    colors = np.repeat(np.array(ring)[:, None], 24, axis=1)
    fleck = 1.0 + 0.13 * np.cos(5 * turn + 1.0) * np.cos(3 * turn)
    colors[3:7] *= fleck[:, None]
    # the upper lid's shadow; it turns with the ball, which gaze of 25 degrees does not give away
    colors *= 1 - 0.34 * smoothstep(d[..., 1:2], 0.12, 0.50)
    # a window's reflection, straight above the pupil so that both eyes agree
    angle = np.radians(15.5)
    middle = np.array([0.0, np.sin(angle), np.cos(angle)])
    up = np.array([0.0, np.cos(angle), -np.sin(angle)])
    disc = EYE_RADIUS * middle + 0.22 * middle + 1.5 * (
        np.cos(turn[::3])[:, None] * [1, 0, 0] * 1.15 + np.sin(turn[::3])[:, None] * up)
    disc = np.concatenate([[(EYE_RADIUS + 0.3) * middle], disc]) + EYE_CENTER
    k = np.arange(8)
    faces = np.concatenate([faces, len(vertices) + np.stack([0 * k, 1 + k, 1 + (k + 1) % 8], 1)])
    return Part("eye", np.concatenate([vertices, disc]), faces, np.concatenate([colors.reshape(-1, 3), np.ones((9, 3))]))


def lashes(eye: np.ndarray):
    """Dark wedges along both lid margins.

    eye : (rings, columns, 3), the lids' rings. Returns the Part and the column (n,) of each vertex.
    """
    half = surface.EYE_COLUMNS
    theta = np.arange(2 * half) * np.pi / half
    vertices, faces, columns, count = [], [], [], 0
    upper = np.arange(0, half + 1)
    lower = np.concatenate([np.arange(half, 2 * half), [0]])
    for column, long, lift in ((upper, 2.7, 1.0), (lower, 0.9, -0.8)):
        inner, edge, skin = eye[1, column], eye[2, column], eye[3, column]
        out = edge - EYE_CENTER
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        size = np.abs(np.sin(theta[column])) ** 0.6 * (0.62 + 0.38 * np.cos(theta[column]))
        tip = edge + out * 0.5 + (long * size)[:, None] * (0.62 * out + [0, 0.75 * lift, 0] + np.outer(0.55 * np.cos(theta[column]), [1, 0, 0]))
        under = 0.45 * inner + 0.55 * edge + 0.12 * out
        over = 0.93 * edge + 0.07 * skin + 0.45 * out
        v, f = _grid([under, tip, over], flip=True)
        vertices.append(v)
        faces.append(f + count)
        columns.append(np.tile(column, 3))
        count += len(v)
    return Part("lashes", np.concatenate(vertices), np.concatenate(faces), LASH), np.concatenate(columns)


def brows() -> Part:
    """Tapered brow with an uneven, combed edge, laid 1 mm over the skin."""
    t = np.linspace(0, 1, 43)
    knots = [0, 0.22, 0.5, 0.78, 1]
    x = np.interp(t, knots, [10.5, 18.0, 29.5, 41.0, 49.0])
    y = np.polyval(np.polyfit(knots, [17.4, 19.8, 22.6, 21.9, 17.0], 4), t)
    width = np.interp(t, [0, 0.06, 0.25, 0.55, 0.85, 1], [3.8, 5.9, 6.3, 5.4, 3.2, 0.4])
    k = np.arange(len(t))
    tuft = 0.5 + 0.5 * np.sin(2.4 * k + 1.3 * np.sin(0.9 * k))
    rows, shades = [], []
    for across, lift in ((-0.5, -0.25), (-0.36, 0.45), (-0.1, 0.75), (0.2, 0.7), (0.4, 0.4), (0.5, -0.25)):
        # hairs lean outward: the upper edge lags behind the lower
        px = x + across * 2.2 + 0.5
        py = y + across * width + tuft * np.select([across > 0.3, across < -0.3], [0.35, -0.25], 0.0)
        p = np.stack([px, py, surface.front(px, py)], 1)
        rows.append(p + surface.gradient(p) * lift)
        shades.append(1.0 + 0.30 * np.roll(tuft, int(6 * across))[:, None])
    vertices, faces = _grid(rows)
    return Part("brows", vertices, faces, BROW * np.concatenate(shades))


def _arch(x, forward):
    return forward - 0.022 * x**2 - 4.2e-5 * x**4


def _teeth(name, forward, widths, rows, notch) -> Part:
    """A dental arch: one strip whose columns dip between teeth. rows = (y, depth, thickness, tint) of each row."""
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
        p -= normal * (gap * 0.9 * enamel)[:, None]
        p[:, 1] += notch * gap * edge
        grid.append(p)
        base = enamel * ENAMEL + (1 - enamel) * GUM
        tint.append(base * (1 - 0.38 * gap * enamel)[:, None] * (1 - 0.012 * np.arange(len(x)))[:, None])
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
    return _teeth("teeth_lower", 85.2, [5.4, 5.9, 6.8, 7.0, 7.0, 10.5], rows, -0.8)


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


def ear(skin_color: np.ndarray) -> Part:
    """Left ear: bowl, inner ridge, outer rim that rolls over to the back, lobe."""
    phi = np.arange(32) * 2 * np.pi / 32
    c, s = np.cos(phi), np.sin(phi)  # c > 0 is back, s > 0 is up
    reach_x = np.where(c > 0, 17.5, 11.5) * np.where(s < 0, 1 - 0.28 * s**2, 1.0)
    outline = np.stack([reach_x * c, np.where(s > 0, 30.0, 31.0) * s], 1)
    back = smoothstep(c, -0.75, 0.15)
    above = smoothstep(s, -0.75, -0.1)
    rim = np.clip(back * (0.35 + 0.65 * above) + 0.55 * smoothstep(s, 0.3, 0.9), 0, 1)
    tragus = np.exp(-(((phi - np.pi * 1.02) / 0.28) ** 2))
    rows, shade = [], []
    profile = (  # (share of the outline, height at the rim's side, lightness)
        (0.05, -4.2, 0.48), (0.25, -3.9, 0.54), (0.42, -1.4, 0.76), (0.53, 2.0, 1.0), (0.63, 2.6, 1.02),
        (0.74, 0.2, 0.78), (0.85, 1.4, 0.9), (0.94, 4.0, 1.05), (1.0, 2.8, 1.0), (0.99, -0.8, 0.9), (0.80, -4.5, 0.75), (0.60, -11.0, 0.6))
    for k, (share, height, light) in enumerate(profile):
        h = height * rim + (1 - rim) * (-3.0 * (share < 0.5) - 1.0)
        h = h + 3.2 * tragus * np.exp(-(((share - 0.62) / 0.22) ** 2))
        lobe = (1 - above) * (share > 0.45) * (share < 0.97)
        h = h * (1 - lobe) + lobe * (1.6 - 2.0 * (share - 0.6))
        if k >= 9:
            h = height + 0 * phi
        rows.append(np.stack([outline[:, 0] * share, outline[:, 1] * share, h], 1))
        shade.append(np.clip(light * rim + (1 - rim) * (0.62 + 0.38 * smoothstep(share, 0.2, 0.7)), 0, 1.05))
    local = np.array(rows)
    # local: back, up, out; tilt back 10 degrees, stand off the head by 24 degrees
    tilt, off = np.radians(10), np.radians(24)
    b = local[..., 0] * np.cos(tilt) + local[..., 1] * np.sin(tilt)
    u = -local[..., 0] * np.sin(tilt) + local[..., 1] * np.cos(tilt)
    o = local[..., 2] + 0.0012 * u**2
    hinge = b + 11.0
    x = np.where(o > -20, hinge * np.sin(off) + o * np.cos(off), 0)
    z = -hinge * np.cos(off) + o * np.sin(off)
    root = np.array([69.0, -17.0, 6.0])
    vertices, faces = _grid(np.stack([x, u, z], -1) + root, closed=True, flip=True)
    center = np.arange(32)
    faces = np.concatenate([faces, np.stack([np.full(30, 0), center[1:-1], center[2:]], 1)])
    light = np.concatenate(shade)[:, None]
    red = np.array([1.0, 0.90, 0.88])
    return Part("skin", vertices, faces, skin_color * red * (light * np.array([1, 1, 1]) ** 1.0))


HAIRLINE = np.array([
    (0, 69, 78), (14, 70, 76), (28, 69.5, 71), (41, 64, 63), (50, 54, 57), (54, 42, 54), (59, 28, 46), (64, 12, 35),
    (67, -4, 24), (69, -12, 16), (70, -4, 9.5), (71, 10, 5), (72, 19, -8), (72, 12, -22), (70, -6, -31), (66, -28, -38), (59, -48, -48),
    (44, -62, -62), (22, -68, -70), (0, -69, -72)], float)


def hair() -> Part:
    """Short hair combed back: a shell that leaves the hairline steeply, with combed ridges."""
    knots = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(HAIRLINE, axis=0), axis=1))])
    columns = 72
    u = np.linspace(0, 1, columns + 1)
    line = np.stack([np.interp(u * knots[-1], knots, HAIRLINE[:, k]) for k in range(3)], 1)
    for _ in range(2):
        line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
    center = np.array([0.0, 22.0, -8.0])
    start = (line - center) / np.linalg.norm(line - center, axis=1, keepdims=True)
    crown = np.array([0.0, 0.93, -0.37])
    v = np.array([0, 0.03, 0.07, 0.13, 0.2, 0.28, 0.37, 0.46, 0.56, 0.66, 0.76, 0.86, 0.94])
    rows, shades = [], []
    front = smoothstep(u, 0.30, 0.0)
    side = smoothstep(u, 0.14, 0.3) * smoothstep(u, 0.98, 0.75)
    k = np.arange(columns + 1)
    jag = np.sin(2.3 * k + 1.7 * np.sin(0.7 * k)) * smoothstep(u, 0.0, 0.02) * smoothstep(u, 1.0, 0.98)
    for share in v:
        # single locks reach a little further than others
        along = (share + 0.016 * jag * (1 - share) ** 6)[:, None]
        d = (1 - along) * start + along * crown
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        base = surface.march(center + 300 * d, -d, surface.skin_distance)
        n = surface.gradient(base, step=2.0)
        rise = 1 - (1 - np.minimum(share / (0.16 + 0.30 * smoothstep(u, 0.72, 0.9)), 1.0)) ** 2.2
        full = 9.0 + 5.5 * front * (1 - share) - 4.0 * side * (1 - 0.8 * share) - 3.5 * smoothstep(u, 0.70, 0.92) * (1 - share)
        phase = u * 86 + 7.0 * share + 1.4 * np.sin(9 * u + 3 * share)
        comb = np.cos(phase) * 0.75 + 0.45 * np.cos(2.37 * phase + 1.0)
        fade = rise * (1 - share**3) * (0.35 + 0.65 * smoothstep(share, 0.0, 0.2))
        lift = -1.2 + rise * (full + 1.2) + comb * 0.95 * fade
        p = base + n * lift[:, None]
        p[:, 0] = np.maximum(p[:, 0], 0.0)
        p[[0, -1], 0] = 0.0
        rows.append(p)
        shades.append((0.74 + 0.26 * rise + 0.20 * comb * fade) * (0.88 + 0.22 * share))
    top = center + 300 * crown[None]
    top = surface.march(top, -crown[None], surface.skin_distance) + crown * 9.0
    top[:, 0] = 0.0
    vertices, faces = _grid(rows, flip=False)
    last = (len(v) - 1) * (columns + 1) + np.arange(columns + 1)
    cap = np.stack([last[:-1], last[1:], np.full(columns, len(vertices))], 1)
    vertices = np.concatenate([vertices, top])
    colors = HAIR * np.concatenate(shades + [[1.1]])[:, None]
    return Part("hair", vertices, np.concatenate([faces, cap]), colors)


def bust() -> Part:
    """Round collar and shoulders, cut off in a clean rounded edge."""
    phi = np.linspace(0, np.pi, 29)  # 0 is the front
    s, c = np.sin(phi), np.cos(phi)
    neck_y = -146 - 13 * c
    rows, shade = [], []
    for half_x, half_z, drop, light in (
        (44, 47, -16, 0.35), (48, 51.5, -2, 0.6), (50.5, 54, 2.4, 1.12), (54, 57.5, 2.0, 1.15), (56.5, 60, -1.5, 1.05), (56.5, 60, -6.5, 0.68),
    ):
        rows.append(np.stack([half_x * s, neck_y + drop, -20 + half_z * c], 1))
        shade.append(np.full(len(phi), light))
    for t, light in ((0.0, 0.74), (0.10, 0.93), (0.25, 1.0), (0.45, 1.0), (0.65, 1.0), (0.82, 1.0), (0.94, 0.97), (1.0, 0.9)):
        half_x = 57 + 35 * np.sin(t * np.pi / 2) ** 0.9
        half_z = 60.5 + (8 + 5 * (c > 0)) * np.sin(t * np.pi / 2)
        y = neck_y * (1 - t) + t * -188 - 7.5 + 8 * np.sin(np.pi * t) * s**2
        rows.append(np.stack([half_x * s, y, -20 - 3 * t + half_z * c], 1))
        shade.append(np.full(len(phi), light))
    for half_x, half_z, y, light in ((91, 72, -203, 0.8), (86, 68, -208, 0.6), (50, 35, -210, 0.45), (1, 1, -210, 0.4)):
        rows.append(np.stack([half_x * s, np.full_like(s, y), -23 + half_z * c], 1))
        shade.append(np.full(len(phi), light))
    rows = np.array(rows)
    rows[:, [0, -1], 0] = 0.0
    vertices, faces = _grid(rows, flip=True)
    return Part("clothes", vertices, faces, CLOTH * np.concatenate(shade)[:, None])
