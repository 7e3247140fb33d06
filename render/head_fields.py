"""Where the default head's shapes act: positions, masks and smooth weights over its neutral vertices.

Millimetres in the frame of render.head_surface. "Left" is the face's own left, +X; what is written here for the
left side is mirrored for the right one.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from render.head_surface import MOUTH_HALF_WIDTH, MOUTH_Y, bump, smoothstep


def rotation(axis: int, angle) -> np.ndarray:
    """Rotation matrix (3, 3) about a coordinate axis 0, 1 or 2, right-handed, angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m = np.eye(3)
    m[i, i] = m[j, j] = c
    m[i, j], m[j, i] = -s, s
    return m


class Fields:
    """What all shapes share: positions, masks and weights of a Sculpture's vertices.

    The rings about the mouth know whether they belong to the upper or the lower lip (side +1 or -1), how far along
    it they lie (s: 0 middle, 1 corner), how far out of the lips' border (out, mm; negative on the lips, -2 where
    they meet, less inside), and what of them is the lip's own height over the line of contact (above, (V, 3) mm).
    """

    def __init__(self, head):
        self.head = head
        self.placed = lambda points: points
        v = self.v = head.vertices
        self.x, self.y, self.z = v.T
        self.count = len(v)
        marks = head.marks
        self.skin = head.of("skin", "lips", "mouth_inner", "brows", "lashes") & (marks["ear"] == 0)
        self.soft = self.skin.astype(float)
        self.upper_teeth, self.lower_teeth, self.tongue = (head.of(n) for n in ("teeth_upper", "teeth_lower", "tongue"))
        self.cavity = head.of("mouth_inner")
        in_rings = self.in_rings = ~np.isnan(marks["lip_out"])
        ax = np.abs(self.x)
        # the back of the head is no nearer to the mouth than it is deep
        beyond = np.hypot(ax - np.clip(ax, 0, MOUTH_HALF_WIDTH * 0.8), self.y - MOUTH_Y) - 6.0 + np.maximum(45.0 - self.z, 0)
        self.out = np.where(in_rings, marks["lip_out"], np.maximum(beyond, 13.0))
        self.s = np.where(in_rings, marks["lip_s"], np.clip(ax / (MOUTH_HALF_WIDTH + np.maximum(self.out, 0)), 0, 1))
        self.side = np.where(in_rings, marks["lip_side"], np.sign(self.y - MOUTH_Y))
        self.contact, self.border = self._columns()
        self.above = np.where(in_rings[:, None], v - v[self.contact], 0.0)
        # 1 deep in the cavity, which the lips' own movements do not reach
        self.inside = np.where(self.cavity, smoothstep(self.out, -5.2, -8.0), 0.0)
        self.jaw = self._jaw_weight()

    def _columns(self):
        """Of every vertex in the mouth's rings, the vertices of its column where the lips meet and on the border."""
        head = self.head
        contact, border = np.arange(self.count), np.arange(self.count)
        rim = head.contact + 5
        for index in (head.mouth, head.mirror[head.mouth]):
            contact[index], border[index] = index[head.contact], index[rim]
        return contact, border

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
        throat = smoothstep(y, -110, -160)
        position *= 1 - np.maximum(throat, smoothstep(z, 58, 8) * smoothstep(y, -102, -134))
        s = np.clip(self.s, 0, 1)
        parted = np.where(self.side > 0, 0.5 * s**3.2, np.where(self.side < 0, 1 - 0.5 * s**3.2, 0.5))
        near = np.where(self.in_rings, smoothstep(self.out, 13.0, 0.0), 0.0)
        weight = position * (1 - near) + parted * near
        weight = np.where(self.cavity & (self.out < -6.5), np.where(self.side > 0, 0.0, np.where(self.side < 0, 0.85, 0.4)), weight)
        weight = weight * self.soft
        weight[self.lower_teeth] = 1.0
        weight[self.tongue] = 0.86
        return weight

    def on(self, look) -> Fields:
        """The same masks and weights over the vertices of a look, for what turns as a body and not as soft skin."""
        fields = copy(self)
        fields.v = look.warp(self.v)
        fields.x, fields.y, fields.z = fields.v.T
        fields.placed = lambda points: look.warp(np.atleast_2d(points)).reshape(np.shape(points))
        return fields

    def zero(self):
        return np.zeros((self.count, 3))

    def mirrored(self, delta):
        """A displacement (V, 3) on the other side of the face."""
        return delta[self.head.mirror] * [-1, 1, 1]

    def push(self, center, widths, move, where=None):
        """Gaussian field about a centre that carries soft vertices by `move`."""
        w = bump(self.v, center, widths) * self.soft
        if where is not None:
            w = w * where
        return w[:, None] * np.asarray(move, float)

    def turned(self, weight, angle, center, axis=0):
        """Displacements (V, 3) of a rotation of which every vertex takes its share `weight` (V,)."""
        r = rotation(axis, angle)
        return weight[:, None] * ((self.v - center) @ r.T + center - self.v)

    def left(self, blend=7.0):
        """1 on the face's left, 0 on its right, a soft step at the middle."""
        return smoothstep(self.x, -blend, blend)

    def fade(self, reach):
        """Weight (V,) 1 on the lips, falling over `reach` mm of the skin about them."""
        return np.exp(-((np.maximum(self.out, 0) / reach) ** 2))

    def lip_field(self, side, reach=12.0):
        """Weight (V,) of one lip: 1 on it, fading over `reach` mm of skin, none on the other, none at corners."""
        own = np.where(self.side == side, 1.0, 0.0)
        own = np.where(self.in_rings, own, own * smoothstep(side * (self.y - MOUTH_Y), 0, 9))
        return self.fade(reach) * own * self.soft * (1 - self.inside)

    def mouth_field(self, reach=16.0):
        """Weight (V,) of both lips and the skin about them."""
        return self.fade(reach) * self.soft * (1 - 0.9 * self.inside)

    def corner_field(self, reach=15.0):
        """Weight (V,) of the left mouth corner: 1 there, along the lips down to 0 past the middle."""
        along = smoothstep(self.x, -6.0, MOUTH_HALF_WIDTH)
        return along * self.fade(reach) * self.soft * (1 - self.inside)

    def lip_part(self):
        """How far up the lip's red part (V,): 0 where the lips meet, 1 on the border and beyond, 0 off the rings."""
        return np.where(self.in_rings, np.clip((self.out + 2.0) / 2.0, 0, 1), 0.0)

    def keep_lids(self):
        """Factor (V, 1) that keeps fields of the skin off the lids' inner rings."""
        ring = self.head.marks["lid_ring"]
        hold = np.select([ring < 0, ring <= 3, ring == 4, ring == 5, ring == 6], [1.0, 0.0, 0.1, 0.22, 0.45], 1.0)
        return hold[:, None]
