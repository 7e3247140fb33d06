"""The looks of the head: three people of one topology, as palettes, lids, hair and a smooth warp of space.

Every look is sculpted in the same place (render.head_surface) and then carried by `Look.warp`, a sum of
smooth brushes. Shapes are carried by the warp's Jacobian (`Look.carry`), which is linear: what meets in the
sculpture, lips or lids, meets in every look. Round the eyes the warp rests, so that lids keep sliding over balls.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from render.head_surface import EYE_CENTER, Lids, bump, smoothstep


@dataclass(frozen=True)
class Brush:
    """Moves space about `center` (mm, left half; mirrored for the right) by `move` mm, and away from the
    center by `scale` of the distance on each axis; fades as a Gaussian of these `widths` (inf: everywhere)."""

    center: tuple[float, float, float]
    widths: tuple[float, float, float]
    move: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def displacement(self, p):
        """Displacement (n, 3) mm at points (n, 3)."""
        total = np.zeros_like(p)
        for flip in ([1, 1, 1], [-1, 1, 1]) if self.center[0] else ([1, 1, 1],):
            center = np.multiply(self.center, flip)
            here = np.multiply(self.move, flip) + (p - center) * self.scale
            total += bump(p, center, self.widths)[:, None] * here
        return total


@dataclass(frozen=True)
class Look:
    """A person. Colours are sRGB in [0, 1]; gray: share of light hair; style: name in render.head_hair.STYLES;
    size: of the whole head; fullness: of the lips; age: 0..1, how deep folds and lid shadows are drawn."""

    title: str
    skin: tuple[float, float, float]
    shade: tuple[float, float, float]
    blush: tuple[float, float, float]
    lip: tuple[float, float, float]
    iris: tuple[tuple[float, float, float], tuple[float, float, float]]
    brow: tuple[float, float, float]
    hair: tuple[float, float, float]
    cloth: tuple[float, float, float]
    style: str
    gray: float = 0.0
    brow_width: float = 1.0
    size: float = 1.0
    age: float = 0.0
    lids: Lids = field(default_factory=Lids)
    fullness: float = 1.0
    brushes: tuple[Brush, ...] = ()

    def warp(self, p):
        """Where points (n, 3) of the sculpture lie in this look, mm."""
        moved = np.zeros_like(p)
        for brush in self.brushes:
            moved += brush.displacement(p)
        from_eye = np.linalg.norm(p * [0, 1, 1] + np.abs(p) * [1, 0, 0] - EYE_CENTER, axis=1)
        return (p + moved * smoothstep(from_eye, 17.0, 30.0)[:, None]) * self.size

    def carry(self, p, deltas):
        """Displacements (k, n, 3) of points p (n, 3) as this look has them: the warp's Jacobian times them."""
        step = 0.05
        columns = [(self.warp(p + step * axis) - self.warp(p - step * axis)) / (2 * step) for axis in np.eye(3)]
        jacobian = np.stack(columns, -1)
        return np.einsum("nij,knj->kni", jacobian, deltas)


def _outline(temple, cheekbone):
    """Brushes that fill the hollow beside the eye and draw in the cheekbone under it by so many mm: seen from the
    front, the face's outline runs without a dent from the forehead to the jaw."""
    return (
        Brush((60, 5, 46), (18, 15, 26), (temple, 0, 0)),
        Brush((62, -24, 40), (20, 18, 44), (-cheekbone, 0, 0)),
    )


LOOKS = {
    "lena": Look(
        "a woman of about thirty, brown hair to the chin",
        skin=(0.915, 0.735, 0.635), shade=(0.50, 0.27, 0.22), blush=(0.890, 0.545, 0.490), lip=(0.790, 0.480, 0.445),
        iris=((0.46, 0.36, 0.20), (0.26, 0.22, 0.14)), brow=(0.260, 0.175, 0.125), hair=(0.370, 0.232, 0.145),
        cloth=(0.200, 0.330, 0.430), style="bob", brow_width=0.8,
        lids=Lids(up=5.7, down=5.4, tilt=1.4, crease=2.0), fullness=1.08,
        brushes=(
            Brush((0, -48, 100), (34, 20, 60), (0, 4.8, 0)),
            Brush((0, -95, 60), (np.inf, 48, np.inf), (0, 5.5, 0)),
            Brush((50, -78, 20), (24, 30, 44), (-7.5, 2.0, 0)),
            Brush((13, -106, 78), (12, 14, 24), (-2.0, 1.5, 0)),
            Brush((0, -42, 102), (16, 12, 18), (0, 0.8, -0.5), scale=(-0.16, 0, -0.04)),
            Brush((0, -68, 98), (26, 14, 18), (0, 0, 0.8)),
            Brush((0, 24, 90), (34, 12, 24), (0, 0, -1.6)),
            *_outline(5.2, 3.0),
            Brush((0, -150, -20), (np.inf, 42, np.inf), scale=(-0.08, 0, -0.06)),
            Brush((0, -205, -20), (np.inf, 62, np.inf), (0, 13.0, 0)),
        ),
    ),
    "kofi": Look(
        "a man of about forty, very short hair",
        skin=(0.470, 0.310, 0.235), shade=(0.160, 0.080, 0.060), blush=(0.500, 0.270, 0.215), lip=(0.480, 0.270, 0.250),
        iris=((0.22, 0.13, 0.08), (0.12, 0.075, 0.05)), brow=(0.075, 0.055, 0.050), hair=(0.125, 0.105, 0.095),
        cloth=(0.560, 0.350, 0.210), style="cropped", brow_width=1.15, size=1.03,
        lids=Lids(up=5.1, down=5.3, tilt=0.8, crease=2.4), fullness=1.2,
        brushes=(
            Brush((0, -48, 100), (34, 20, 60), (0, 3.5, 0)),
            Brush((0, -118, 60), (np.inf, 38, np.inf), (0, -2.5, 0)),
            Brush((50, -76, 20), (24, 28, 40), (4.0, -1.0, 0)),
            Brush((16, -104, 74), (14, 16, 26), (2.6, 0, 1.0)),
            Brush((0, -42, 98), (20, 13, 22), scale=(0.24, 0, 0)),
            Brush((0, -36, 104), (12, 9, 12), (0, -0.5, -1.0)),
            Brush((0, -68, 98), (30, 16, 20), (0, 0, 2.6)),
            Brush((0, 20, 90), (40, 9, 24), (0, 0, 1.0)),
            *_outline(4.5, 1.8),
            Brush((0, -150, -20), (np.inf, 42, np.inf), scale=(0.07, 0, 0.06)),
            Brush((0, -205, -20), (np.inf, 62, np.inf), (0, 8.0, 0)),
        ),
    ),
    "mei": Look(
        "a woman of about sixty, grey hair in a knot",
        skin=(0.895, 0.735, 0.610), shade=(0.50, 0.29, 0.21), blush=(0.870, 0.590, 0.490), lip=(0.720, 0.420, 0.390),
        iris=((0.26, 0.16, 0.09), (0.15, 0.095, 0.06)), brow=(0.300, 0.270, 0.250), hair=(0.560, 0.545, 0.535),
        cloth=(0.420, 0.190, 0.240), style="gathered", gray=0.5, brow_width=0.75, age=1.0,
        lids=Lids(up=4.7, down=5.0, tilt=1.5, crease=0.9), fullness=0.92,
        brushes=(
            Brush((0, -48, 100), (34, 20, 60), (0, 4.8, 0)),
            Brush((0, -95, 60), (np.inf, 48, np.inf), (0, 6.0, 0)),
            *_outline(4.8, 1.2),
            Brush((46, -26, 56), (16, 16, 26), (0, 0, 2.4)),
            Brush((40, -78, 50), (18, 22, 30), (1.5, -2.0, 0)),
            Brush((0, 0, 90), (16, 20, 18), (0, 0, -3.0)),
            Brush((0, -42, 102), (18, 12, 18), (0, 0, -2.0), (0.08, 0, -0.05)),
            Brush((0, -150, -20), (np.inf, 42, np.inf), scale=(-0.08, 0, -0.06)),
            Brush((0, -205, -20), (np.inf, 62, np.inf), (0, 13.0, 0)),
        ),
    ),
}
