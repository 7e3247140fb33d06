"""Layout of a picture: which cell each take gets, its caption, the label, the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1280, 720
"""Size of a picture in pixels unless another is asked for."""

LABEL = "Synthetic"
"""What every picture says about itself."""

CAPTION_HEIGHT = 44
"""Pixels below each head that its caption gets in a picture of the usual height."""

BACKGROUND_TOP, BACKGROUND_BOTTOM = (64, 72, 84), (22, 25, 31)
"""sRGB colours of the soft gradient behind the heads."""

TEXT_COLOR, PLATE_COLOR = (235, 238, 242), (0, 0, 0, 140)


@dataclass(frozen=True)
class Patch:
    """A small drawing to lay over pictures: its top left corner, colour times opacity, and transparency."""

    top: int
    left: int
    premultiplied: np.ndarray  # (h, w, 4) uint8, colour times opacity, and opacity
    transparency: np.ndarray  # (h, w, 1) float32 in [0, 1]

    def lay_over(self, picture: np.ndarray) -> None:
        """Draw on a picture (H, W, 3 or 4) uint8, in place; a fourth channel is opacity, and colours are times it."""
        high, wide = self.premultiplied.shape[:2]
        under = picture[self.top : self.top + high, self.left : self.left + wide]
        here = np.s_[: under.shape[0], : under.shape[1]]  # what sticks out of a small picture is cut off
        over = self.premultiplied[here][..., : picture.shape[2]]
        under[...] = over + (under * self.transparency[here]).astype(np.uint8)


@dataclass(frozen=True)
class Layout:
    """Cells of equal size that show heads as large as they can be, left to right, top to bottom.

    takes         : how many heads
    width, height : pixels of the picture
    aspect        : width / height of a head
    """

    takes: int
    width: int
    height: int
    aspect: float

    @property
    def rows(self) -> int:
        """The number of rows that makes heads largest; the fewest of those that tie."""

        def head_height(rows: int) -> float:
            columns = -(-self.takes // rows)
            return min(self.height / rows - self.caption_height, self.width / columns / self.aspect)

        return max(range(1, self.takes + 1), key=lambda rows: (head_height(rows), -rows))

    @property
    def columns(self) -> int:
        return -(-self.takes // self.rows)

    @property
    def caption_height(self) -> int:
        """Pixels of the band below each head."""
        return round(CAPTION_HEIGHT * min(self.width, self.height) / HEIGHT)

    @property
    def view(self) -> tuple[int, int]:
        """Pixels (width, height) of the part of a cell that shows the head."""
        return self.width // self.columns, self.height // self.rows - self.caption_height

    def corner(self, take: int) -> tuple[int, int]:
        """Top left pixel (x, y) of a take's cell; a last row that is not full stands in the middle."""
        row, column = divmod(take, self.columns)
        wide, high = self.width // self.columns, self.height // self.rows
        in_row = min(self.columns, self.takes - row * self.columns)
        return column * wide + (self.width - in_row * wide) // 2, row * high

    def overlay(self, captions: Sequence[str], plates: bool = False) -> list[Patch]:
        """A caption under each head, on a dark plate if wanted, and the label in the top right corner."""
        band, (wide, high) = self.caption_height, self.view
        font = ImageFont.load_default(max(8, round(0.62 * band)))
        patches = []
        for take, caption in enumerate(captions[: self.takes]):
            x, y = self.corner(take)
            drawing = _text(caption, font, PLATE_COLOR if plates and caption.strip() else None)
            drawing = drawing.crop((0, 0, min(drawing.width, wide), min(drawing.height, band)))
            patches.append(_patch(drawing, x + (wide - drawing.width) // 2, y + high + (band - drawing.height) // 2))
        label = _text(LABEL, ImageFont.load_default(max(8, round(0.5 * band))), PLATE_COLOR)
        patches.append(_patch(label, self.width - label.width - 8, 8))
        return patches


def backdrop(width: int, height: int) -> np.ndarray:
    """What is behind the heads: (height, width, 4) uint8, sRGB and opacity, a soft gradient from top to bottom."""
    blend = np.linspace(0, 1, height)[:, None] ** 0.8
    rows = np.rint((1 - blend) * np.array(BACKGROUND_TOP) + blend * np.array(BACKGROUND_BOTTOM))
    opaque = np.hstack([rows, np.full((height, 1), 255)]).astype(np.uint8)
    return np.tile(opaque[:, None], (1, width, 1))


def color_bar(layout: Layout, colors: np.ndarray, largest: float, title: str, plates: bool = False) -> list[Patch]:
    """A bar at the left border with what its lowest and highest colours mean.

    colors : (n, 3) uint8, from 0 to `largest`; title : what is measured, and its unit; plates : as in Layout.overlay
    """
    band = layout.caption_height
    font = ImageFont.load_default(max(8, round(0.4 * band)))
    wide, high = max(6, round(0.4 * band)), round(0.5 * layout.view[1])
    rows = colors[np.linspace(len(colors) - 1, 0, high).round().astype(int)]
    bar = Image.fromarray(np.tile(rows[:, None], (1, wide, 1))).convert("RGBA")
    left, top = round(0.5 * band), (layout.view[1] - high) // 2
    patches = [_patch(bar, left, top)]
    for share, text in ((1.0, f"{largest:g}"), (0.5, f"{largest / 2:g}"), (0.0, "0")):
        drawing = _text(text, font, PLATE_COLOR if plates else None)
        patches.append(_patch(drawing, left + wide - 4, top + round((1 - share) * high) - drawing.height // 2))
    drawing = _text(title, font, PLATE_COLOR if plates else None)
    patches.append(_patch(drawing, left - 10, max(0, top - drawing.height - round(0.3 * band))))
    return patches


def _text(text: str, font: ImageFont.ImageFont, plate: tuple[int, int, int, int] | None) -> Image.Image:
    """A line of text with a little room around it, on a plate of the given colour if any."""
    pad_x, pad_y = 10, 6
    wide = round(font.getlength(text)) + 2 * pad_x
    ascent, descent = font.getmetrics()
    image = Image.new("RGBA", (wide, ascent + descent + 2 * pad_y), (*TEXT_COLOR, 0))
    if plate:
        ImageDraw.Draw(image).rounded_rectangle((0, 0, image.width - 1, image.height - 1), radius=6, fill=plate)
    layer = Image.new("RGBA", image.size, (*TEXT_COLOR, 0))
    ImageDraw.Draw(layer).text((pad_x, pad_y), text, font=font, fill=(*TEXT_COLOR, 255))
    return Image.alpha_composite(image, layer)


def _patch(drawing: Image.Image, left: int, top: int) -> Patch:
    rgba = np.asarray(drawing, np.float32)
    opacity = rgba[..., 3:] / 255
    premultiplied = np.concatenate([rgba[..., :3] * opacity, rgba[..., 3:]], axis=2).astype(np.uint8)
    return Patch(max(top, 0), max(left, 0), premultiplied, 1 - opacity)
