"""Shapes of the default head's jaw, lips and tongue in millimetres; those of one side are of the left one."""

from __future__ import annotations

import numpy as np

from render.head_fields import Fields
from render.head_surface import MOUTH_HALF_WIDTH, smoothstep

CONDYLE = np.array([0.0, -20.0, 6.0])
"""Axis of the jaw's hinge, in front of and below the ear canal."""
JAW_ANGLE = np.radians(20.0)
"""Opening of jawOpen = 1: about 34 mm between the lips (maximal opening of adults is 40-50 mm)."""
GLIDE = 5.0
"""The condyles slide forward by this many mm as the jaw opens."""
SWING = np.radians(7.0)
"""Turn of the jaw about the vertical in jawLeft and jawRight: 10 mm at the incisors, as far as adults can."""
CURL_DEPTH, CURL_BACK = 3.6, 1.4
"""A lip curled in over the teeth: how far its inner edge lies behind its border, and its border behind where it was, mm."""
CLOSE_UPPER = 0.34
"""Share of the jaw's path by which the upper lip comes down to meet the lower one in mouthClose."""


# -- jaw ------------------------------------------------------------------------------------------


def jaw_open(f: Fields, part: float = 1.0):
    """The jaw `part` of the way down: turned about the condyles, which glide forward. For fields placed on a look."""
    delta = f.turned(f.jaw, part * JAW_ANGLE, f.placed(CONDYLE))
    delta[:, 2] += part * GLIDE * f.jaw
    mouth = f.mouth_field(18.0)
    # corners are drawn in a little and back over the teeth, cheeks are stretched and hollow
    delta[:, 0] -= part * 0.12 * f.x * mouth * f.s**2
    delta[:, 2] -= part * 1.0 * mouth * f.s**4
    delta[:, 1] += part * 1.2 * f.lip_field(1, 8.0) * (1 - f.s**2)
    for sign in (1, -1):
        delta += part * f.push((44 * sign, -58, 58), (12, 18, 22), (-2.8 * sign, 0, -1.2))
    return delta


def mouth_close(f: Fields, open_jaw):
    """What brings the lips together over a jaw displaced by `open_jaw` (V, 3): both contact edges end on one line."""
    head = f.head
    delta = f.zero()
    mouth, contact = head.mouth, head.contact
    half = mouth.shape[1] // 2
    side = np.concatenate([np.ones(half), [0], -np.ones(half)])
    reach = np.where(side < 0, 16.0, 11.0)
    for index in (mouth, head.mirror[mouth]):
        row = open_jaw[index[contact]]
        upper, lower = row[: half + 1], row[half:][::-1]
        meet = upper + CLOSE_UPPER * (lower - upper)
        need = np.concatenate([meet, meet[:-1][::-1]]) - row
        for k in range(len(mouth)):
            out = head.marks["lip_out"][index[k, half]]
            fade = np.where(out <= -6, 0.35, np.where(out <= 0, 1.0, np.exp(-((max(out, 0.0) / reach) ** 2))))
            delta[index[k]] = need * np.asarray(fade)[:, None]
    return delta


def _lips_with_jaw(f: Fields, weight, upper, lower):
    """A jaw's weight (V,) with lips that keep together: the upper one dragged along, the lower one lagging."""
    near = np.where(f.in_rings, smoothstep(f.out, 11.0, 0.0), 0.0) * f.soft * (1 - f.inside)
    corner = 0.5 * (upper + lower)
    s = np.clip(f.s, 0, 1) ** 3
    shared = np.where(f.side > 0, upper + (corner - upper) * s, np.where(f.side < 0, lower + (corner - lower) * s, corner))
    return weight * (1 - near) + shared * near


def jaw_side(f: Fields):
    """jawLeft: the jaw swings about the vertical through the neck's front, chin first."""
    weight = _lips_with_jaw(f, f.jaw, 0.46, 0.62)
    delta = f.turned(weight, SWING, CONDYLE, axis=1)
    delta[:, 0] += 1.2 * weight
    # the chin dips on the side it swings to, the cheek there fills, the other one is drawn flat
    delta[:, 1] -= 0.05 * f.x * weight * smoothstep(f.y, -70, -95) * smoothstep(f.out, 3, 13)
    delta += f.push((42, -74, 56), (14, 18, 24), (2.0, 0, 0.6))
    return delta + f.push((-42, -70, 56), (14, 18, 24), (1.8, 0, -1.2))


def jaw_forward(f: Fields):
    """jawForward: 9 mm ahead, the lower lip leads."""
    weight = _lips_with_jaw(f, f.jaw, 0.42, 0.86)
    delta = weight[:, None] * np.array([0.0, -1.2, 9.0])
    # the lower lip leads and its border turns out
    roll = f.lip_part() * (f.side < 0) * f.fade(4.0) * np.clip(1 - f.s**2, 0, 1) * f.soft * (1 - f.inside)
    delta[:, 2] += 0.8 * roll
    return delta


# -- lips -----------------------------------------------------------------------------------------


def round_mouth(f: Fields, narrow, forward, upper, lower, roll):
    """Lips drawn to the middle and forward; upper, lower: lift in mm; roll turns the borders out."""
    m = f.mouth_field(16.0)
    s = np.clip(f.s, 0, 1)
    delta = f.zero()
    delta[:, 0] = -narrow * f.x * m
    delta[:, 2] = forward * m * (1 - 0.45 * s**2)
    # the corner was further back on the arch: bring it forward as it comes in
    delta[:, 2] += 7.0 * narrow * m * s**3
    shape = np.clip(1 - s**2.8, 0, 1) ** 0.6
    delta[:, 1] = upper * f.lip_field(1, 9.0) * shape - lower * f.lip_field(-1, 10.0) * shape
    on_lip = np.where(f.in_rings, np.exp(-(((f.out - 0.5) / 2.2) ** 2)) * smoothstep(f.out, -2.0, -0.8), 0) * f.soft
    delta[:, 1] += roll * on_lip * f.side * (1 - s**2)
    delta[:, 2] += 0.6 * roll * on_lip
    inner = np.where(f.in_rings, smoothstep(f.out, -2.4, -4.5), 0) * (1 - f.inside)
    delta[:, 2] -= 0.35 * forward * inner * f.soft
    return delta


def funnel(f: Fields):
    """mouthFunnel: an O whose lips turn out and show the teeth."""
    return round_mouth(f, 0.36, 7.0, 5.8, 8.0, 2.0)


def pucker(f: Fields):
    """mouthPucker: closed lips drawn together and forward."""
    return round_mouth(f, 0.47, 9.0, 0.0, 0.0, 1.4)


def smile(f: Fields):
    """Corner out, up and back round the teeth; the lip line becomes a bow, the lips thinner, the cheek rises."""
    w = f.corner_field(20.0)
    # the bow: no kink at the middle when both sides smile
    bow = np.clip(f.x / MOUTH_HALF_WIDTH, 0, 1) ** 1.7
    up = f.fade(17.0) * bow * f.soft * (1 - f.inside)
    delta = np.stack([7.4 * w, 8.4 * up, -4.6 * w], 1)
    delta[:, 2] -= 1.2 * f.mouth_field(8.0) * f.left() * (1 - f.s)
    delta += _curl(f, 1, 0.14, 0.0, 9.0) * f.left(12.0)[:, None] + _curl(f, -1, 0.14, 0.0, 9.0) * f.left(12.0)[:, None]
    # cheek: a soft apple above the fold that runs from the nose's wing past the corner
    cheek = f.push((41, -42, 74), (15, 16, 24), (1.4, 3.6, 3.4))
    cheek += f.push((42, -25, 72), (16, 13, 18), (0.4, 2.6, 2.2))
    delta += (cheek + f.push((33, -11, 80), (13, 5.0, 14), (0, 0.8, 0.5))) * f.keep_lids()
    return delta + f.push((18, -42, 92), (5, 7, 10), (1.2, 0.8, 0))


def laugh(f: Fields):
    """What mouthSmileLeft and jawOpen together need more than their sum."""
    mouth = f.mouth_field(18.0) * smoothstep(f.x, 0.0, MOUTH_HALF_WIDTH)
    delta = f.zero()
    delta[:, 0] = 0.09 * f.x * mouth * f.s**2
    tight = (f.lip_field(-1, 10.0) + 0.6 * f.lip_field(1, 9.0)) * f.left(12.0) * np.clip(1 - f.s**2, 0, 1)
    delta[:, 1] = 2.2 * tight
    delta[:, 2] = -1.4 * tight
    return delta


def frown(f: Fields):
    """mouthFrownLeft: the corner down and back, a pad of the cheek above the chin with it."""
    delta = f.corner_field(13.0)[:, None] * np.array([0.8, -7.4, -1.6])
    delta += f.push((27, -84, 82), (11, 9, 20), (1.4, -2.2, 1.4))
    return delta + f.push((8, -98, 92), (12, 8, 20), (0, 1.6, 1.0))


def dimple(f: Fields):
    """The corner is drawn back and out into the cheek, with a pit behind it and a fold around."""
    delta = f.corner_field(9.0)[:, None] * np.array([6.6, 1.8, -6.4])
    delta += f.push((34, -66, 78), (4.5, 8, 18), (0.6, 0, -3.0))
    return delta + f.push((42, -64, 70), (7, 12, 20), (2.4, 0, 2.6))


def stretch(f: Fields):
    """The corner is drawn straight aside and a little down, the lips are taut, the neck's cords show."""
    delta = f.corner_field(16.0)[:, None] * np.array([10.5, -3.4, -6.8])
    delta += (_curl(f, 1, 0.16, 0.0, 8.0) + _curl(f, -1, 0.16, 0.0, 8.0)) * f.left(10.0)[:, None]
    delta[:, 1] -= 1.8 * f.lip_field(-1, 10.0) * f.left() * (1 - f.s**2)
    delta += f.push((36, -88, 64), (12, 16, 26), (3.4, -2.6, 0))
    return delta + f.push((22, -140, 30), (9, 24, 30), (1.4, -0.6, 2.6))


def _curl(f: Fields, side, amount, turn, follow):
    """One lip flattened by `amount` of its height towards the line of contact, and turned in by `turn` of the way to
    where its red part lies flat, its inner edge CURL_DEPTH behind its border. The skin follows within `follow` mm.

    Height, depth and line are the lip's own, column by column, so that no part of it passes another.
    """
    own = (f.side == side) * f.in_rings * f.soft * (1 - f.inside)
    t = f.lip_part()
    border, contact = f.v[f.border], f.v[f.contact]
    lift = np.clip(1 - np.clip(f.s, 0, 1) ** 4, 0, 1)
    delta = f.zero()
    lost = np.where(f.out > 0, (border - contact)[:, 1] * f.fade(follow), f.above[:, 1])
    # the corner is a steep edge already
    delta[:, 1] = -amount * lost * own * (f.out >= -2.0) * np.clip(1 - np.clip(f.s, 0, 1) ** 10, 0, 1)
    edge = border[:, 2] - CURL_BACK
    flat = np.where(f.out > 0, -CURL_BACK * f.fade(0.6 * follow), edge - CURL_DEPTH * (1 - t) - f.z)
    behind = (edge - CURL_DEPTH - contact[:, 2]) * smoothstep(f.out, -6.0, -2.0)
    delta[:, 2] = turn * lift * own * np.where(f.out < -2.0, behind, flat)
    return delta


def press_lip(f: Fields, side):
    """What mouthPressLeft does to one lip itself."""
    return _curl(f, side, 0.42, 0.4, 8.0) * f.left(10.0)[:, None]


def press(f: Fields):
    """Lips pressed together: borders come closer and flatten, the skin around bulges, the corner tightens."""
    delta = press_lip(f, 1) + press_lip(f, -1)
    delta += f.corner_field(8.0)[:, None] * np.array([2.6, 0.6, -3.4])
    delta += f.push((10, -92, 94), (13, 7, 20), (0, 2.4, 2.4), where=f.left(10.0) * (f.out > 1))
    delta += f.push((12, -56, 94), (12, 4.5, 20), (0, -0.6, 1.6), where=f.left(10.0) * (f.out > 1))
    return (delta + f.push((33, -72, 78), (7, 9, 18), (0.6, 0, 1.8))) * f.soft[:, None]


def roll_upper(f: Fields):
    """The upper lip curls in over the teeth: its red part is swallowed, the skin under the nose is drawn long."""
    delta = _curl(f, 1, 0.78, 1.0, 13.0)
    # the lower lip comes up to it a little
    return delta + (0.9 * f.lip_field(-1, 10.0) * np.clip(1 - f.s**2, 0, 1))[:, None] * [0, 0.0, 1.0]


def roll_lower(f: Fields):
    """mouthRollLower: the lower lip curls in over the teeth, the chin follows."""
    delta = _curl(f, -1, 0.78, 1.0, 11.0)
    return delta + f.push((0, -98, 92), (18, 9, 24), (0, 1.8, 1.6), where=(f.out > 5))


def shrug_lower(f: Fields):
    """Chin boss up, lower lip up and out; the upper lip rides on it so that they stay together."""
    delta = f.push((0, -99, 92), (18, 12, 26), (0, 6.0, 2.4))
    shape = np.clip(1 - f.s**2, 0, 1)
    both = f.lip_field(-1, 13.0) + f.lip_field(1, 9.0)
    delta[:, 1] += 4.6 * both * shape
    delta[:, 2] += 0.8 * both * shape
    roll = f.lip_part() * f.fade(5.0) * (f.side < 0) * shape * f.soft * (1 - f.inside)
    delta[:, 2] += 3.6 * roll
    delta[:, 1] -= 0.8 * roll
    # corners hang as the middle rises
    drop = f.corner_field(11.0) * smoothstep(f.x, 6.0, MOUTH_HALF_WIDTH)
    return delta + (drop + drop[f.head.mirror])[:, None] * [0, -1.6, -0.6]


def shrug_upper(f: Fields):
    """The upper lip goes up and out as a whole, under a rising nose, and bares the teeth."""
    delta = f.zero()
    upper = f.lip_field(1, 10.0) * np.clip(1 - f.s**6, 0, 1) * (0.25 + 0.75 * np.clip(1 - f.s**2, 0, 1))
    delta[:, 1] = 6.2 * upper
    delta[:, 2] = 2.6 * upper
    roll = f.lip_part() * f.fade(5.0) * (f.side > 0) * np.clip(1 - f.s**2, 0, 1) * f.soft * (1 - f.inside)
    delta[:, 2] += 1.6 * roll
    return delta + f.push((0, -47, 98), (13, 5, 12), (0, 1.8, 0.5))


def lip_lift(f: Fields, side):
    """mouthUpperUpLeft (side 1) and mouthLowerDownLeft (side -1)."""
    amount = 6.6 if side > 0 else 7.2
    along = np.exp(-(((f.x - 11.5) / 10.5) ** 2)) + 0.25 * np.exp(-(((f.x - 0.5) / 8.0) ** 2))
    w = f.lip_field(side, 11.0) * along * np.clip(1 - f.s**6, 0, 1)
    delta = w[:, None] * np.array([0.6, side * amount, -0.4])
    # the border turns out a little
    out = np.where(f.in_rings, np.exp(-(((f.out - 0.5) / 3.0) ** 2)), 0) * (f.side == side) * f.soft
    delta[:, 2] += 0.9 * out * along
    if side > 0:
        delta += f.push((22, -46, 88), (8, 9, 16), (0.6, 2.6, 1.6))
        return delta + f.push((15, -41, 95), (6, 6, 12), (0.4, 1.4, 0))
    return delta + f.push((14, -90, 90), (10, 7, 20), (0.6, -2.0, 0.4))


def mouth_side(f: Fields):
    """mouthLeft: the whole mouth slides to the left round the teeth; the near corner bunches, the far one is drawn flat."""
    w = f.mouth_field(20.0)
    delta = w[:, None] * np.array([12.5, 0.0, 0.0])
    # along the arch: back on the left, forward on the right
    delta[:, 2] += w * (-0.26 * f.x - 1.6)
    near = f.corner_field(14.0)
    far = near[f.head.mirror]
    delta += near[:, None] * [-2.2, 3.0, 1.0] + far[:, None] * [1.0, -0.6, -1.0]
    delta += f.push((42, -58, 70), (12, 16, 22), (2.4, 1.6, 3.4))
    delta += f.push((-38, -62, 70), (14, 18, 22), (3.2, 0, -1.8))
    delta += f.push((0, -44, 100), (12, 8, 20), (1.8, 0, 0))
    return delta + f.push((0, -97, 90), (18, 11, 24), (3.4, 0, 0))


def tongue_out(f: Fields):
    """tongueOut: the tongue comes forward and bends over the lower lip, which makes room with the lower teeth."""
    delta = f.zero()
    forward = f.head.marks["forward"]
    bend = smoothstep(forward, 0.45, 1.0)
    tongue = f.tongue.astype(float)
    delta[:, 2] = tongue * 34.0 * forward**1.3
    delta[:, 1] = tongue * (4.5 * np.sin(np.pi * forward) - 7.5 * bend**2 + 1.0)
    delta[:, 1] += tongue * (f.y + 75.0) * -0.30 * forward
    shape = np.clip(1 - f.s**2.6, 0, 1)
    delta[:, 1] += (-10.5 * f.lip_field(-1, 14.0) + 2.6 * f.lip_field(1, 9.0)) * shape
    delta += np.where(f.lower_teeth, 1.0, 0)[:, None] * [0, -9.0, -1.0]
    return delta + f.push((0, -100, 88), (24, 16, 40), (0, -5.5, -0.6), where=(f.out > 5))
