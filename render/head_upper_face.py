"""Shapes of the default head's lids, eyeballs, brows, cheeks and nose, all of the left side, in millimetres.

Lids turn about the eye's horizontal axis, so they slide over the ball; what a straight path loses of the arc
half-way comes back as a corrective (render.head_correctives).
"""

from __future__ import annotations

import numpy as np

from render.head_fields import Fields, rotation
from render.head_surface import EYE_CENTER, EYE_COLUMNS, MOUTH_HALF_WIDTH, smoothstep

GAZE = {"Up": np.radians(22.0), "Down": np.radians(25.0), "In": np.radians(25.0), "Out": np.radians(25.0)}
"""How far the eye turns at weight 1."""
LIDS = {  # shares of the opening by which the upper and the lower margin move, + is up
    "eyeSquint": (-0.15, 0.28),
    "eyeWide": (0.26, -0.09),
    "eyeLookUp": (0.20, 0.06),
    "eyeLookDown": (-0.44, -0.10),
    "cheekSquint": (-0.02, 0.18),
}
"""All together close 0.95 of it, so that lids which do not blink never cross."""


# -- lids -----------------------------------------------------------------------------------------


def lid_turn(f: Fields, upper, lower, part: float = 1.0):
    """Left lids turned about the eye's horizontal axis by `part` of the angles (columns,) of their margins, radians.

    Turning keeps every point's distance from the axis; the skin's rings gain a little on the way down. Skin that lies
    further from the axis than its margin, as beside the corners, goes as far and not through as wide an angle.
    """
    head, marks = f.head, f.head.marks
    column, ring = marks["lid_column"], marks["lid_ring"]
    mine = (ring >= 0) & (f.x > 0)
    angle = np.zeros(f.count)
    top = column <= EYE_COLUMNS
    angle[mine] = part * np.where(top, upper[column], lower[column])[mine] * head.share[ring[mine]]
    y, z = f.y - EYE_CENTER[1], f.z - EYE_CENTER[2]
    radius = np.hypot(y, z)
    angle[mine] *= np.minimum(1.0, 1.08 * radius[head.eye[1]][column[mine]] / radius[mine])
    c, s = np.cos(angle), np.sin(angle)
    grow = 1 + 0.035 * np.abs(angle) / np.radians(40) * (ring >= 2)
    delta = f.zero()
    delta[:, 1] = np.where(mine, (y * c + z * s) * grow - y, 0)
    delta[:, 2] = np.where(mine, (z * c - y * s) * grow - z, 0)
    return delta


def margins(f: Fields):
    """Elevation (columns,) in radians of the left eye's inner lid margins, of the upper and the lower one at the same
    x, and where they close."""
    margin = f.v[f.head.eye[1]] - EYE_CENTER
    elevation = np.arctan2(margin[:, 1], margin[:, 2])
    n = EYE_COLUMNS
    partner = (-np.arange(2 * n)) % (2 * n)  # the column with the same x on the other lid
    down = np.where(np.arange(2 * n) <= n, elevation[partner], elevation)
    up = np.where(np.arange(2 * n) <= n, elevation, elevation[partner])
    # the closing line: straight from canthus to canthus, with a sag towards the lower lid
    theta = np.arange(2 * n) * np.pi / n
    chord = elevation[n] + (elevation[0] - elevation[n]) * 0.5 * (1 + np.cos(theta))
    low = down[n // 2] + 0.20 * (up - down)[n // 2]
    return elevation, up, down, chord + (low - chord[n // 2]) * np.abs(np.sin(theta))


def blink_lids(f: Fields, part: float = 1.0):
    """The lids alone, `part` of the way to being closed along their arcs; at 1 matching points meet."""
    elevation, _, _, close = margins(f)
    turn = close - elevation
    delta = lid_turn(f, turn, turn, part)
    # matching columns end on one point
    index, partner = f.head.eye, (-np.arange(2 * EYE_COLUMNS)) % (2 * EYE_COLUMNS)
    whole = lid_turn(f, turn, turn)
    for ring in (0, 1, 2):
        end = f.v[index[ring]] + whole[index[ring]]
        middle = 0.5 * (end + end[partner])
        if ring == 2:
            # the thickness of both margins: their outer edges meet too
            middle[:, 2] = np.maximum(end[:, 2], end[partner][:, 2])
        delta[index[ring]] += part * (middle - end)
    return delta


def blink(f: Fields):
    """eyeBlinkLeft: the lids meet on the ball, the skin above and below is drawn along."""
    delta = blink_lids(f)
    delta += f.push((32, 19, 80), (18, 6, 20), (0, -1.0, 0)) * f.keep_lids()
    return delta + f.push((32, -15, 80), (16, 5, 20), (0, 0.8, 0)) * f.keep_lids()


def lids(f: Fields, shape: str, part: float = 1.0):
    """What a shape of LIDS does to the lids alone, or `part` of it along their arcs."""
    _, up, down, _ = margins(f)
    upper, lower = LIDS[shape]
    return lid_turn(f, upper * (up - down), lower * (up - down), part)


def squint(f: Fields):
    """eyeSquintLeft: both lids narrow, the skin below the eye bunches."""
    delta = lids(f, "eyeSquint")
    delta += f.push((33, -13, 80), (15, 5, 16), (0, 2.6, 1.0)) * f.keep_lids()
    delta += f.push((49, -2, 66), (6, 9, 14), (-1.4, 0, 0.5)) * f.keep_lids()
    return delta + f.push((32, 16, 80), (15, 5, 16), (0, -1.6, 0)) * f.keep_lids()


def wide(f: Fields):
    """eyeWideLeft: the lids part, the fold above rises."""
    return lids(f, "eyeWide") + f.push((32, 17, 80), (16, 5, 16), (0, 1.2, 0)) * f.keep_lids()


def _gaze_rotation(direction: str, part: float = 1.0):
    axis, sign = {"Up": (0, -1), "Down": (0, 1), "In": (1, -1), "Out": (1, 1)}[direction]
    return rotation(axis, sign * part * GAZE[direction])


def ball_turn(f: Fields, direction: str, part: float = 1.0):
    """The left eyeball alone, `part` of the way to where a gaze turns it."""
    ball = f.head.of("eye_left")[:, None]
    return ball * ((f.v - EYE_CENTER) @ _gaze_rotation(direction, part).T + EYE_CENTER - f.v)


def diagonal(f: Fields, aside: str, height: str):
    """What the left eyeball's turns aside and up or down together miss of turning aside and then up or down."""
    ball, v = f.head.of("eye_left")[:, None], f.v - EYE_CENTER
    both = ball * (v @ (_gaze_rotation(height) @ _gaze_rotation(aside)).T - v)
    return both - ball_turn(f, aside) - ball_turn(f, height)


def gaze(f: Fields, direction: str):
    """eyeLook<direction>Left: the ball turns; up and down, the lids go with it."""
    delta = ball_turn(f, direction)
    return delta + lids(f, f"eyeLook{direction}") if direction in ("Up", "Down") else delta


# -- brows ----------------------------------------------------------------------------------------


def brow_field(f: Fields, center, widths, move):
    """A field of the forehead that fades towards the lids and the hairline."""
    fade = smoothstep(f.y, -1.0, 15.0) * smoothstep(f.y, 74, 50)
    return f.push(center, widths, move, where=fade) * f.keep_lids()


def brow_down(f: Fields):
    """browDownLeft: the brow sinks and comes in, a pad of skin rises beside the root of the nose."""
    delta = brow_field(f, (14, 18, 86), (13, 13, 30), (-3.4, -6.2, 1.6))
    delta += brow_field(f, (33, 22, 80), (15, 12, 30), (-1.2, -5.2, 0.8))
    delta += f.push((31, 11, 82), (16, 5.5, 14), (0, -0.8, 0.4)) * f.keep_lids()
    return delta + f.push((5.5, 16, 90), (3.5, 8, 20), (-0.6, -1.0, 1.2))


def brow_inner_up(f: Fields):
    """browInnerUp: both inner ends rise, the forehead above them bulges."""
    half = brow_field(f, (12, 19, 86), (18, 15, 30), (0.8, 9.4, -0.4))
    half += f.push((12, 40, 88), (20, 6, 30), (0, 1.6, 1.4))
    return half + f.mirrored(half)


def brow_outer_up(f: Fields):
    """browOuterUpLeft: the outer part of the brow rises and lifts the skin of the lid."""
    delta = brow_field(f, (41, 22, 74), (17, 15, 34), (1.0, 8.8, -0.8))
    delta += f.push((37, 42, 76), (16, 6, 30), (0, 1.4, 1.2))
    return delta + f.push((37, 11, 80), (12, 4.5, 14), (0, 1.4, 0)) * f.keep_lids()


# -- cheeks and nose ------------------------------------------------------------------------------


def cheek_puff(f: Fields):
    """Both cheeks blown up from inside: outwards from the mouth's middle, over all that is soft, the lips held."""
    away = f.v - [0.0, -64.0, 38.0]
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    ax = np.abs(f.x)
    place = np.stack([ax, f.y, f.z], 1)
    pouch = np.exp(-(((place - [40.0, -65.0, 66.0]) / [19.0, 19.0, 30.0]) ** 2).sum(1))
    lips = 0.35 * np.exp(-((f.y + 68.0) / 20.0) ** 2) * smoothstep(ax, 40.0, 8.0) * smoothstep(f.z, 60, 80)
    held = np.where(f.in_rings, 0.25 + 0.75 * smoothstep(f.out, -2.0, 13.0), 1.0)
    swell = 11.5 * np.maximum(pouch, lips) * held * f.soft * ~f.cavity
    delta = swell[:, None] * away
    # the lips tighten
    delta[:, 0] -= 0.07 * f.x * f.mouth_field(8.0)
    return delta


def cheek_squint(f: Fields):
    """The cheek's apple rises towards the eye and bulges; the lower lid is pushed up by it."""
    delta = f.push((41, -29, 76), (18, 14, 24), (0.4, 7.0, 4.6))
    delta += f.push((33, -14, 82), (17, 7.0, 18), (0, 1.8, 1.8))
    delta += f.push((36, -48, 76), (15, 14, 24), (1.0, 4.6, 1.8))
    delta += f.push((54, -6, 62), (8, 12, 18), (-0.6, 1.4, 1.2))
    delta += (1.6 * f.corner_field(10.0) * smoothstep(f.x, 4, MOUTH_HALF_WIDTH))[:, None] * [0.4, 1.0, 0.0]
    return delta * f.keep_lids() + lids(f, "cheekSquint")


def nose_sneer(f: Fields):
    """The wing rises and flares, the skin wrinkles beside the bridge, the fold deepens, the lip is drawn along."""
    delta = f.push((14.5, -40, 96), (7.5, 9, 14), (2.0, 6.4, 0.6))
    delta += f.push((20, -50, 90), (10, 9, 18), (0.8, 4.6, 1.6))
    delta += f.push((9, -16, 94), (6, 10, 14), (0.2, 3.0, 2.0))
    delta += f.push((8, 8, 90), (8, 7, 14), (-1.2, -2.6, 1.4))
    delta += f.push((28, -30, 82), (11, 12, 20), (0.4, 3.2, 1.6))
    # both sides together lift the lip evenly
    lip = 4.4 * f.lip_field(1, 11.0) * smoothstep(f.x, -13.0, 13.0) * np.clip(1 - f.s**4, 0, 1)
    delta[:, 1] += lip
    delta[:, 2] += 0.25 * lip
    return delta * f.keep_lids()
