"""The 52 ARKit shapes of the default head as linear displacements (Apple, ARFaceAnchor.BlendShapeLocation).

Every shape is a formula over the neutral vertices in millimetres. Skin follows smooth fields; the rings
about the mouth know whether they belong to the upper or the lower lip and how far from the lips'
border they lie, the rings about the eye know their share of the lids' movement, and teeth and tongue
are rigid with skull or jaw. "Left" is the face's own left, +X; Right shapes are mirror images.
"""

from __future__ import annotations

import numpy as np

from render.head_surface import EYE_CENTER, EYE_COLUMNS, MOUTH_HALF_WIDTH, MOUTH_Y, bump, smoothstep
from talker.motion import ARKIT_INDEX, ARKIT_NAMES

CONDYLE = np.array([0.0, -20.0, 6.0])
"""Axis of the jaw's hinge, in front of and below the ear canal."""
JAW_ANGLE = np.radians(16.5)
"""Opening of jawOpen = 1: about 28 mm between the lips (maximal opening of adults is 40-50 mm)."""
GLIDE = 4.0
"""The condyles slide forward by this many mm as the jaw opens."""
GAZE = {"Up": np.radians(22.0), "Down": np.radians(25.0), "In": np.radians(25.0), "Out": np.radians(25.0)}
CLOSE_UPPER = 0.34
"""Share of the jaw's path by which the upper lip comes down to meet the lower one in mouthClose."""


def rotation(axis, angle):
    """Rotation matrix (3, 3) about a coordinate axis 0, 1 or 2, right-handed."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m = np.eye(3)
    m[i, i] = m[j, j] = c
    m[i, j], m[j, i] = -s, s
    return m


class Shaper:
    """What all shapes share: positions, masks and weights of a Sculpture's vertices."""

    def __init__(self, head):
        self.head = head
        v = self.v = head.vertices
        self.x, self.y, self.z = v.T
        self.count = len(v)
        marks = head.marks
        self.skin = head.of("skin", "lips", "mouth_inner", "brows", "lashes") & (marks["ear"] == 0)
        self.soft = self.skin.astype(float)
        self.upper_teeth, self.lower_teeth, self.tongue = (head.of(n) for n in ("teeth_upper", "teeth_lower", "tongue"))
        self.cavity = head.of("mouth_inner")
        # mouth: side (+1 upper, -1 lower), s along it (0 middle, 1 corner), distance out of the border
        in_rings = self.in_rings = ~np.isnan(marks["lip_out"])
        ax = np.abs(self.x)
        # the back of the head is no nearer to the mouth than it is deep
        beyond = np.hypot(ax - np.clip(ax, 0, MOUTH_HALF_WIDTH * 0.8), self.y - MOUTH_Y) - 6.0 + np.maximum(45.0 - self.z, 0)
        self.out = np.where(in_rings, marks["lip_out"], np.maximum(beyond, 13.0))
        self.s = np.where(in_rings, marks["lip_s"], np.clip(ax / (MOUTH_HALF_WIDTH + np.maximum(self.out, 0)), 0, 1))
        self.side = np.where(in_rings, marks["lip_side"], np.sign(self.y - MOUTH_Y))
        # 1 deep in the cavity, which the lips' own movements do not reach
        self.inside = np.where(self.cavity, smoothstep(self.out, -5.2, -8.0), 0.0)
        self.jaw = self._jaw_weight()

    def _jaw_weight(self):
        """Share (V,) of the jaw's rotation: 1 on the chin, 0 on the cheekbones, parted at the lips."""
        ax, y, z = np.abs(self.x), self.y, self.z
        # from the mouth's corner the parting line rises to the joint; it widens away from the lips
        back = smoothstep(z, 85, 5)
        line = MOUTH_Y + 40.0 * back
        width = 6.0 + 20.0 * smoothstep(ax, 14, 44)
        position = smoothstep(y, line + 0.75 * width, line - 1.25 * width)
        position *= smoothstep(z, -22, 20)  # the nape stays
        # under the chin the floor of the mouth follows, the throat less and less
        throat = smoothstep(y, -112, -150)
        position *= 1 - np.maximum(throat, smoothstep(z, 62, 26) * smoothstep(y, -106, -122))
        s = np.clip(self.s, 0, 1)
        parted = np.where(self.side > 0, 0.5 * s**3.2, np.where(self.side < 0, 1 - 0.5 * s**3.2, 0.5))
        near = np.where(self.in_rings, smoothstep(self.out, 13.0, 0.0), 0.0)
        weight = position * (1 - near) + parted * near
        weight = np.where(self.cavity & (self.out < -6.5), np.where(self.side > 0, 0.0, np.where(self.side < 0, 0.85, 0.4)), weight)
        weight = weight * self.soft
        weight[self.lower_teeth] = 1.0
        weight[self.tongue] = 0.86
        return weight

    # -- building blocks ------------------------------------------------------------------------

    def zero(self):
        return np.zeros((self.count, 3))

    def mirrored(self, delta):
        return delta[self.head.mirror] * [-1, 1, 1]

    def push(self, center, widths, move, where=None):
        """Gaussian field about a centre that carries soft vertices by `move`."""
        w = bump(self.v, center, widths) * self.soft
        if where is not None:
            w = w * where
        return w[:, None] * np.asarray(move, float)

    def turned(self, mask_weight, angle, center, axis=0):
        r = rotation(axis, angle)
        return mask_weight[:, None] * ((self.v - center) @ r.T + center - self.v)

    def left(self, blend=7.0):
        """1 on the face's left, 0 on its right, a soft step at the middle."""
        return smoothstep(self.x, -blend, blend)

    def lip_field(self, side, reach=12.0):
        """Weight (V,) of one lip: 1 on it, fading over `reach` mm of skin, none on the other, half at corners."""
        fade = np.where(self.out <= 0, 1.0, np.exp(-((np.maximum(self.out, 0) / reach) ** 2)))
        own = np.where(self.side == side, 1.0, 0.0)
        own = np.where(self.in_rings, own, own * smoothstep(side * (self.y - MOUTH_Y), 0, 9))
        return fade * own * self.soft * (1 - self.inside)

    def mouth_field(self, reach=16.0):
        """Weight (V,) of both lips and the skin about them."""
        fade = np.where(self.out <= 0, 1.0, np.exp(-((np.maximum(self.out, 0) / reach) ** 2)))
        return fade * self.soft * (1 - 0.9 * self.inside)

    def corner_field(self, reach=15.0):
        """Weight (V,) of the left mouth corner: 1 there, along the lips down to 0 past the middle."""
        along = smoothstep(self.x, -6.0, MOUTH_HALF_WIDTH)
        skin = np.exp(-((np.maximum(self.out, 0) / reach) ** 2))
        return along * skin * self.soft * (1 - self.inside)

    # -- jaw ------------------------------------------------------------------------------------

    def jaw_open(self):
        delta = self.turned(self.jaw, JAW_ANGLE, CONDYLE)
        delta[:, 2] += GLIDE * self.jaw
        mouth = self.mouth_field(18.0)
        # corners are drawn in a little and back over the teeth, cheeks are stretched and hollow
        delta[:, 0] -= 0.10 * self.x * mouth * self.s**2
        delta[:, 2] -= 1.0 * mouth * self.s**4
        delta[:, 1] += 1.2 * self.lip_field(1, 8.0) * (1 - self.s**2)
        for sign in (1, -1):
            delta += self.push((44 * sign, -58, 58), (12, 18, 22), (-2.6 * sign, 0, -1.2))
        return delta

    def mouth_close(self, jaw_open):
        """jawOpen = a with mouthClose = a moves both contact edges alike, so they touch at every a."""
        head = self.head
        delta = self.zero()
        mouth, contact = head.mouth, head.contact
        half = mouth.shape[1] // 2
        for index in (mouth, head.mirror[mouth]):
            row = jaw_open[index[contact]]
            upper, lower = row[: half + 1], row[half:][::-1]
            meet = upper + CLOSE_UPPER * (lower - upper)
            target = np.concatenate([meet, meet[:-1][::-1]])
            need = target - row
            for k in range(len(mouth)):
                out = head.marks["lip_out"][index[k, half]]
                side = np.concatenate([np.ones(half), [0], -np.ones(half)])
                reach = np.where(side < 0, 15.0, 11.0)
                fade = np.where(out <= -6, 0.35, np.where(out <= 0, 1.0, np.exp(-((max(out, 0.0) / reach) ** 2))))
                delta[index[k]] = need * np.asarray(fade)[:, None]
        return delta

    def jaw_shift(self, move):
        # lips keep together: the upper one is dragged along, the lower one lags
        near = np.where(self.in_rings, smoothstep(self.out, 9.0, 0.0), 0.0) * self.soft * (1 - self.inside)
        shared = np.where(self.side > 0, 0.58, np.where(self.side < 0, 0.74, 0.66))
        w = self.jaw * (1 - near) + shared * near
        return w[:, None] * np.asarray(move, float)

    # -- mouth ----------------------------------------------------------------------------------

    def round_mouth(self, narrow, forward, upper, lower, roll):
        """Lips drawn to the middle and forward; upper, lower: lift in mm; roll turns the borders out."""
        m = self.mouth_field(15.0)
        delta = self.zero()
        delta[:, 0] = -narrow * self.x * m
        middle = 1 - 0.45 * np.clip(self.s, 0, 1) ** 2
        delta[:, 2] = forward * m * middle
        # the corner was further back on the arch: bring it forward as it comes in
        delta[:, 2] += 7.0 * narrow * m * np.clip(self.s, 0, 1) ** 3
        shape = np.clip(1 - np.clip(self.s, 0, 1) ** 2.8, 0, 1) ** 0.6
        delta[:, 1] = upper * self.lip_field(1, 9.0) * shape - lower * self.lip_field(-1, 10.0) * shape
        on_lip = np.where(self.in_rings, np.exp(-(((self.out - 0.5) / 2.2) ** 2)) * smoothstep(self.out, -2.0, -0.8), 0) * self.soft
        delta[:, 1] += roll * on_lip * self.side * shape
        delta[:, 2] += 0.6 * roll * on_lip
        inner = np.where(self.in_rings, smoothstep(self.out, -2.4, -4.5), 0) * (1 - self.inside)
        delta[:, 2] -= 0.35 * forward * inner * self.soft
        return delta

    def smile(self):
        """Corner out, up and back round the teeth; the lip line becomes a bow, the lips thinner, the cheek rises."""
        w = self.corner_field(20.0)
        # the bow: no kink at the middle when both sides smile
        bow = np.clip(self.x / MOUTH_HALF_WIDTH, 0, 1) ** 1.7
        up = np.exp(-((np.maximum(self.out, 0) / 17.0) ** 2)) * bow * self.soft * (1 - self.inside)
        delta = np.stack([7.4 * w, 8.4 * up, -4.6 * w], 1)
        delta[:, 2] -= 1.2 * self.mouth_field(8.0) * self.left() * (1 - self.s)
        thin = np.where(self.in_rings, smoothstep(self.out, -2.0, 0.0) * np.exp(-((np.maximum(self.out, 0) / 9.0) ** 2)), 0)
        delta[:, 1] -= 1.3 * thin * self.side * self.left(12.0) * (1 - self.s**2) * self.soft
        # cheek: a soft apple above the fold that runs from the nose's wing past the corner
        delta += self.push((41, -42, 74), (15, 16, 24), (1.4, 3.6, 3.4))
        delta += self.push((42, -24, 72), (16, 11, 18), (0.4, 3.0, 1.8))
        delta += self.push((33, -11, 80), (12, 4.0, 14), (0, 1.2, 0.4)) * self.keep_lids()
        delta += self.push((18, -42, 92), (5, 7, 10), (1.2, 0.8, 0))
        return delta

    def frown(self):
        w = self.corner_field(13.0)
        delta = w[:, None] * np.array([0.8, -7.4, -1.6])
        delta += self.push((27, -84, 82), (11, 9, 20), (1.4, -2.2, 1.4))
        delta += self.push((8, -98, 92), (12, 8, 20), (0, 1.6, 1.0))
        return delta

    def dimple(self):
        w = self.corner_field(8.0)
        delta = w[:, None] * np.array([4.6, 1.4, -4.6])
        delta += self.push((32, -66, 80), (4.0, 7, 18), (0, 0, -2.6))
        delta += self.push((39, -64, 74), (6, 10, 18), (1.4, 0, 2.2))
        return delta

    def stretch(self):
        w = self.corner_field(15.0)
        delta = w[:, None] * np.array([8.0, -2.4, -5.0])
        delta[:, 1] -= 1.6 * self.lip_field(-1, 10.0) * self.left() * (1 - self.s**2)
        delta += self.push((34, -88, 66), (10, 14, 24), (2.4, -1.8, 0))
        delta += self.push((22, -140, 30), (9, 24, 30), (1.0, -0.5, 1.8))
        return delta

    def press(self):
        """Lips pressed: borders come together and flatten, corners tighten."""
        side = self.left(10.0)
        delta = self.zero()
        t = np.where(self.in_rings, smoothstep(self.out, -2.0, 0.2), 0)
        fade = np.where(self.in_rings, np.exp(-((np.maximum(self.out, 0) / 8.0) ** 2)), 0)
        shape = np.clip(1 - self.s**2, 0, 1) ** 0.5
        delta[:, 1] = -self.side * np.where(self.side > 0, 3.0, 3.6) * t * fade * shape * side
        full = np.where(self.in_rings, smoothstep(self.out, 5.0, -0.5) * smoothstep(self.out, -6.5, -2.5), 0)
        delta[:, 2] = -2.6 * full * side * (0.5 + 0.5 * shape)
        delta += self.corner_field(7.0)[:, None] * np.array([1.8, 0.4, -2.6])
        delta += self.push((9, -94, 94), (12, 7, 20), (0, 1.6, 1.4), where=side)
        delta += self.push((12, -57, 94), (12, 4, 20), (0, 0, 0.8), where=side)
        return delta * self.soft[:, None]

    def roll(self, side):
        """One lip curls in over the teeth: its red part is swallowed and the skin follows."""
        own = (self.side == side) * self.in_rings * self.soft * (1 - self.inside)
        shape = np.clip(1 - self.s**2.5, 0, 1) ** 0.6
        height = 7.2 if side > 0 else 9.0
        t = np.clip((self.out + 2.0) / 2.0, 0, 1)
        follow = np.where(self.out > 0, np.exp(-((np.maximum(self.out, 0) / 7.0) ** 2)), 1.0)
        delta = self.zero()
        # the border comes down to the lip line; the row of contact stays at its height and goes in
        delta[:, 1] = -side * 0.72 * height * t * follow * own * shape
        inward = np.where(self.out > 0, 2.4 * np.exp(-((np.maximum(self.out, 0) / 5.0) ** 2)), 2.6 - 1.4 * (1 - t) ** 2)
        delta[:, 2] = -inward * own * shape
        return delta

    def shrug_lower(self):
        """Chin boss up, lower lip up and out; the upper lip rides on it so that they stay together."""
        delta = self.push((0, -99, 92), (17, 11, 24), (0, 4.6, 1.6))
        shape = np.clip(1 - self.s**2, 0, 1)
        lower, upper = self.lip_field(-1, 12.0), self.lip_field(1, 9.0)
        delta[:, 1] += 3.6 * (lower + upper) * shape
        roll = np.where(self.in_rings, smoothstep(self.out, -2.0, -0.6) * np.exp(-((np.maximum(self.out, 0) / 4.5) ** 2)), 0)
        delta[:, 2] += 3.0 * roll * (self.side < 0) * shape * self.soft
        delta[:, 2] += 0.8 * (lower + upper) * shape
        return delta

    def shrug_upper(self):
        delta = self.zero()
        shape = 0.25 + 0.75 * np.clip(1 - self.s**2, 0, 1)
        upper = self.lip_field(1, 9.0) * np.clip(1 - self.s**6, 0, 1)
        delta[:, 1] = 4.6 * upper * shape
        delta[:, 2] = 2.4 * upper * shape
        return delta + self.push((0, -47, 98), (9, 4, 10), (0, 1.4, 0.5))

    def lip_lift(self, side, amount):
        """mouthUpperUpLeft (side 1) and mouthLowerDownLeft (side -1)."""
        along = np.exp(-(((self.x - 11.5) / 10.5) ** 2)) + 0.25 * np.exp(-(((self.x - 0.5) / 8.0) ** 2))
        w = self.lip_field(side, 11.0) * along * np.clip(1 - self.s**6, 0, 1)
        delta = w[:, None] * np.array([0.6, side * amount, -0.4])
        # the border turns out a little
        out = np.where(self.in_rings, np.exp(-(((self.out - 0.5) / 3.0) ** 2)), 0) * (self.side == side) * self.soft
        delta[:, 2] += 0.9 * out * along
        if side > 0:
            delta += self.push((22, -46, 88), (8, 9, 16), (0.6, 2.6, 1.6))
            delta += self.push((15, -41, 95), (6, 6, 12), (0.4, 1.4, 0))
        else:
            delta += self.push((14, -90, 90), (10, 7, 20), (0.6, -2.0, 0.4))
        return delta

    def mouth_side(self):
        """mouthLeft: the whole mouth slides to the left over the teeth."""
        w = self.mouth_field(17.0)
        delta = w[:, None] * np.array([8.0, 0.0, 0.0])
        delta[:, 2] += w * (-1.9e-1 * self.x - 0.8)
        delta[:, 1] += 1.6 * self.corner_field(12.0) - 0.8 * self.corner_field(12.0)[self.head.mirror]
        delta += self.push((40, -58, 72), (10, 14, 20), (1.0, 0.8, 2.0))
        delta += self.push((0, -97, 90), (18, 10, 24), (1.8, 0, 0))
        return delta

    # -- cheeks, nose, tongue -------------------------------------------------------------------

    def cheek_puff(self):
        delta = self.zero()
        for sign in (1, -1):
            delta += self.push((38 * sign, -63, 76), (16, 16, 34), (6.4 * sign, 0.4, 6.6))
            delta += self.push((13 * sign, -58, 94), (11, 5, 14), (0, 0, 2.4))
            delta += self.push((13 * sign, -84, 90), (11, 5, 14), (0, 0, 2.2))
        m = self.mouth_field(5.0)
        delta *= (1 - 0.85 * np.exp(-((np.maximum(self.out, 0) / 9.0) ** 2)))[:, None]
        delta[:, 0] -= 0.06 * self.x * m
        return delta * (1 - self.cavity)[:, None]

    def cheek_squint(self):
        delta = self.push((42, -23, 76), (16, 11, 20), (0.6, 6.0, 3.4))
        delta += self.push((31, -13, 82), (15, 5.0, 16), (0, 3.2, 1.2))
        delta += self.push((38, -46, 74), (13, 12, 20), (0.6, 3.4, 1.6))
        return delta * self.keep_lids() + self.lids(-0.03, 0.22)

    def nose_sneer(self):
        delta = self.push((14.5, -40, 96), (6.5, 8, 12), (1.6, 4.6, 0.4))
        delta += self.push((19, -50, 90), (8, 8, 16), (0.4, 3.2, 1.0))
        delta += self.push((9, -14, 94), (6, 9, 12), (0.3, 2.2, 1.3))
        delta += self.push((8, 6, 90), (6, 5, 12), (-0.8, -1.4, 1.0))
        delta[:, 1] += 3.0 * self.lip_field(1, 9.0) * np.exp(-(((self.x - 13) / 8.5) ** 2)) * np.clip(1 - self.s**6, 0, 1)
        return delta * self.keep_lids()

    def tongue_out(self):
        delta = self.zero()
        f = self.head.marks["forward"]
        bend = smoothstep(f, 0.45, 1.0)
        tongue = self.tongue.astype(float)
        delta[:, 2] = tongue * 34.0 * f**1.3
        delta[:, 1] = tongue * (4.5 * np.sin(np.pi * f) - 7.5 * bend**2 + 1.0)
        delta[:, 1] += tongue * (self.y + 75.0) * -0.30 * f
        lower, upper = self.lip_field(-1, 14.0), self.lip_field(1, 9.0)
        shape = np.clip(1 - self.s**2.6, 0, 1)
        delta[:, 1] += (-10.5 * lower + 2.6 * upper) * shape
        delta += np.where(self.lower_teeth, 1.0, 0)[:, None] * [0, -9.0, -1.0]
        delta += self.push((0, -100, 88), (24, 16, 40), (0, -5.5, -0.6), where=(self.out > 5))
        return delta

    # -- eyes -----------------------------------------------------------------------------------

    def keep_lids(self):
        """Factor (V, 1) that keeps fields of the skin off the lids' inner rings."""
        ring = self.head.marks["lid_ring"]
        hold = np.select([ring < 0, ring <= 3, ring == 4, ring == 5, ring == 6], [1.0, 0.0, 0.15, 0.4, 0.75], 1.0)
        return hold[:, None]

    def lid_turn(self, upper, lower):
        """Left lids turned about the eye's horizontal axis by angles (columns,) of their margins, radians.

        Turning keeps every point's distance from the axis, so a lid slides over the ball; the chord of
        the straight path comes 4 mm nearer at most, for which the lids are spaced (LID_INNER_RADIUS),
        and the skin's rings gain a little on the way down.
        """
        head, marks = self.head, self.head.marks
        column, ring = marks["lid_column"], marks["lid_ring"]
        mine = (ring >= 0) & (self.x > 0)
        angle = np.zeros(self.count)
        top = column <= EYE_COLUMNS
        angle[mine] = np.where(top, upper[column], lower[column])[mine] * head.share[ring[mine]]
        y, z = self.y - EYE_CENTER[1], self.z - EYE_CENTER[2]
        c, s = np.cos(angle), np.sin(angle)
        grow = 1 + 0.035 * np.abs(angle) / np.radians(40) * (ring >= 2)
        delta = self.zero()
        delta[:, 1] = np.where(mine, (y * c + z * s) * grow - y, 0)
        delta[:, 2] = np.where(mine, (z * c - y * s) * grow - z, 0)
        return delta

    def margins(self):
        """Elevation (columns,) in radians of the left eye's inner lid margins, and where they close."""
        margin = self.v[self.head.eye[1]] - EYE_CENTER
        elevation = np.arctan2(margin[:, 1], margin[:, 2])
        n = EYE_COLUMNS
        partner = (-np.arange(2 * n)) % (2 * n)  # the column with the same x on the other lid
        down = np.where(np.arange(2 * n) <= n, elevation[partner], elevation)
        up = np.where(np.arange(2 * n) <= n, elevation, elevation[partner])
        # the closing line: straight from canthus to canthus, with a sag towards the lower lid
        theta = np.arange(2 * n) * np.pi / n
        chord = elevation[n] + (elevation[0] - elevation[n]) * 0.5 * (1 + np.cos(theta))
        low = down[n // 2] + 0.20 * (up - down)[n // 2]
        return elevation, up, down, chord + (low - chord[n // 2]) * np.sin(theta) ** 2

    def blink(self):
        elevation, _, _, close = self.margins()
        turn = close - elevation
        delta = self.lid_turn(turn, turn)
        # matching columns end on one point
        index, mirror_column = self.head.eye, (-np.arange(2 * EYE_COLUMNS)) % (2 * EYE_COLUMNS)
        for ring in (1, 2):
            end = self.v[index[ring]] + delta[index[ring]]
            middle = 0.5 * (end + end[mirror_column])
            if ring == 2:
                # the thickness of both margins: their outer edges meet too
                middle[:, 2] = np.maximum(end[:, 2], end[mirror_column][:, 2])
            delta[index[ring]] = middle - self.v[index[ring]]
        delta += self.push((32, 19, 80), (18, 6, 20), (0, -1.0, 0)) * self.keep_lids()
        delta += self.push((32, -15, 80), (16, 5, 20), (0, 0.8, 0)) * self.keep_lids()
        return delta

    def lids(self, upper, lower):
        """Upper and lower margins moved by shares of the opening, + is up."""
        _, up, down, _ = self.margins()
        opening = up - down
        return self.lid_turn(upper * opening, lower * opening)

    def squint(self):
        delta = self.lids(-0.16, 0.30)
        delta += self.push((33, -13, 80), (15, 5, 16), (0, 2.2, 0.8)) * self.keep_lids()
        delta += self.push((49, -2, 66), (6, 9, 14), (-1.2, 0, 0.4)) * self.keep_lids()
        delta += self.push((32, 16, 80), (15, 5, 16), (0, -1.4, 0)) * self.keep_lids()
        return delta

    def gaze(self, direction):
        ball = self.head.of("eye_left").astype(float)
        axis, sign = {"Up": (0, -1), "Down": (0, 1), "In": (1, -1), "Out": (1, 1)}[direction]
        delta = self.turned(ball, sign * GAZE[direction], EYE_CENTER, axis)
        if direction == "Up":
            delta += self.lids(0.20, 0.06)
        elif direction == "Down":
            delta += self.lids(-0.44, -0.10)
        return delta

    # -- brows ----------------------------------------------------------------------------------

    def brow_field(self, center, widths, move):
        """A field of the forehead that fades towards the lids and the hairline."""
        fade = smoothstep(self.y, 3.0, 14.0) * smoothstep(self.y, 74, 50)
        return self.push(center, widths, move, where=fade) * self.keep_lids()

    def brow_down(self):
        delta = self.brow_field((14, 18, 86), (13, 13, 30), (-3.4, -6.2, 1.6))
        delta += self.brow_field((33, 22, 80), (15, 12, 30), (-1.2, -5.2, 0.8))
        delta += self.push((31, 11, 82), (16, 4.5, 14), (0, -1.6, 0.4)) * self.keep_lids()
        delta += self.push((5.5, 16, 90), (3.5, 8, 20), (-0.6, -1.0, 1.2))
        return delta

    def brow_inner_up(self):
        half = self.brow_field((12, 19, 86), (18, 15, 30), (0.8, 9.4, -0.4))
        half += self.push((12, 40, 88), (20, 6, 30), (0, 1.6, 1.4))
        return half + self.mirrored(half)

    def brow_outer_up(self):
        delta = self.brow_field((41, 22, 74), (17, 15, 34), (1.0, 8.8, -0.8))
        delta += self.push((37, 42, 76), (16, 6, 30), (0, 1.4, 1.2))
        delta += self.push((37, 11, 80), (12, 4.5, 14), (0, 1.4, 0)) * self.keep_lids()
        return delta


def shape_deltas(head) -> np.ndarray:
    """Displacements (52, V, 3) in millimetres of a Sculpture, rows as ARKIT_NAMES."""
    m = Shaper(head)
    jaw_open = m.jaw_open()
    both = {
        "jawOpen": jaw_open,
        "mouthClose": m.mouth_close(jaw_open),
        "jawForward": m.jaw_shift((0, -0.6, 6.5)),
        "mouthFunnel": m.round_mouth(0.36, 5.5, 4.4, 6.4, 1.6),
        "mouthPucker": m.round_mouth(0.46, 8.0, 0.0, 0.0, 1.2),
        "mouthRollUpper": m.roll(1),
        "mouthRollLower": m.roll(-1),
        "mouthShrugUpper": m.shrug_upper(),
        "mouthShrugLower": m.shrug_lower(),
        "cheekPuff": m.cheek_puff(),
        "browInnerUp": m.brow_inner_up(),
        "tongueOut": m.tongue_out(),
    }
    left = {
        "jawLeft": m.jaw_shift((7.5, 0, 0)),
        "mouthLeft": m.mouth_side(),
        "mouthSmileLeft": m.smile(),
        "mouthFrownLeft": m.frown(),
        "mouthDimpleLeft": m.dimple(),
        "mouthStretchLeft": m.stretch(),
        "mouthPressLeft": m.press(),
        "mouthUpperUpLeft": m.lip_lift(1, 6.6),
        "mouthLowerDownLeft": m.lip_lift(-1, 7.2),
        "cheekSquintLeft": m.cheek_squint(),
        "noseSneerLeft": m.nose_sneer(),
        "eyeBlinkLeft": m.blink(),
        "eyeSquintLeft": m.squint(),
        "eyeWideLeft": m.lids(0.24, -0.08),
        "eyeLookUpLeft": m.gaze("Up"),
        "eyeLookDownLeft": m.gaze("Down"),
        "eyeLookInLeft": m.gaze("In"),
        "eyeLookOutLeft": m.gaze("Out"),
        "browDownLeft": m.brow_down(),
        "browOuterUpLeft": m.brow_outer_up(),
    }
    deltas = np.zeros((len(ARKIT_NAMES), m.count, 3))
    for name, delta in both.items():
        deltas[ARKIT_INDEX[name]] = 0.5 * (delta + m.mirrored(delta))
    for name, delta in left.items():
        deltas[ARKIT_INDEX[name]] = delta
        deltas[ARKIT_INDEX[name.removesuffix("Left") + "Right"]] = m.mirrored(delta)
    deltas[np.abs(deltas) < 0.01] = 0.0
    return deltas
