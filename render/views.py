"""Views: other ways than side by side to see how takes differ, and what a video shows in which size.

spread     : one head, the mean of all takes, coloured by how far apart the takes are at every place
difference : the first two heads laid over each other, one tinted warm, one cold, like the sheets of an animator
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib import colormaps

from render.blend import Blend
from render.layout import HEIGHT, WIDTH, Patch, color_bar
from render.renderer import Renderer
from render.rig import Rig
from talker.errors import TalkerError
from talker.formats import read_motion
from talker.motion import Motion, motion_at, resample

VIEWS = ("takes", "spread", "difference")
"""What a video can show; the first unless asked for another."""

SIZES = {"480p": (854, 480), "540p": (960, 540), "720p": (1280, 720), "1080p": (1920, 1080)}
"""Landscape sizes with a name, (width, height) in pixels; "portrait-" before it turns one upright."""

FRAME_RATES = (25, 30, 60)
"""Frames a second that a video can have."""

SMALLEST, LARGEST = 160, 1920
"""Pixels that a picture may have along a side."""

SPREAD_COLORS = colormaps["YlOrRd"](np.linspace(0, 1, 256))[:, :3].astype(np.float32)
"""(256, 3) sRGB in [0, 1], from no spread to the largest: pale, then yellow, then red."""

WARM, COLD = np.array([0.98, 0.55, 0.22], np.float32), np.array([0.22, 0.58, 0.98], np.float32)
"""Tints of the two heads that lie over each other: where they agree, their mean is grey."""


@dataclass(frozen=True)
class Pictures:
    """What is drawn of takes.

    width, height : pixels, even
    fps           : frames a second of the video; the motion's own unless given
    view          : one of VIEWS
    truth         : recorded motion of the same speech, shown first, as the takes' measure
    stills        : seconds at which pictures are saved
    transparent   : whether a video without background, and stills without background, are wanted
    captions      : of what is shown, the recorded motion's first; "Ground truth", "Take 1" and so on unless given

    Raises TalkerError when a value is none of these.
    """

    width: int = WIDTH
    height: int = HEIGHT
    fps: float | None = None
    view: str = VIEWS[0]
    truth: Motion | None = None
    stills: Sequence[float] = field(default=())
    transparent: bool = False
    captions: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if any(side % 2 or not SMALLEST <= side <= LARGEST for side in sides):
            raise TalkerError(
                f"Pictures cannot be {self.width} x {self.height}; give even numbers of pixels from {SMALLEST} to {LARGEST}."
            )
        if self.view not in VIEWS:
            raise TalkerError(f"There is no view '{self.view}'; choose one of {', '.join(VIEWS)}.")
        if self.fps is not None and self.fps not in FRAME_RATES:
            rates = ", ".join(map(str, FRAME_RATES))
            raise TalkerError(f"A video of {self.fps:g} frames a second is not offered; choose one of {rates}.")
        if any(not np.isfinite(time) or time < 0 for time in self.stills):
            raise TalkerError("Stills are taken at seconds from the beginning on; give numbers such as 0.5,1.2.")
        if self.truth is not None and self.view == "spread":
            raise TalkerError("The spread is one of takes alone; leave the recorded motion out or choose another view.")

    def check(self, takes: int, seconds: float) -> None:
        """Raises TalkerError when so many takes of so many seconds cannot be shown like this."""
        if self.view != "takes" and takes + (self.truth is not None) < 2:
            raise TalkerError(f"The view '{self.view}' compares takes, and there is one; ask for two or more.")
        late = [time for time in self.stills if time > seconds]
        if late:
            raise TalkerError(f"There is no picture at {late[0]:g} s: the speech ends after {seconds:.2f} s; choose earlier ones.")

    def shown(self, takes: Sequence[Motion]) -> tuple[list[Motion], list[str]]:
        """The motions that this view shows, at the video's frame rate, and their captions."""
        self.check(len(takes), len(takes[0].coefficients) / takes[0].fps)
        named = [(motion, f"Take {i + 1}") for i, motion in enumerate(takes)]
        fps, frames = self.fps or takes[0].fps, None
        if self.truth is not None:
            named.insert(0, (self.truth, "Ground truth"))
            frames = max(1, round(len(takes[0].coefficients) * fps / takes[0].fps))
        if self.view == "difference":
            named = named[:2]
        motions, captions = zip(*named, strict=True)
        return [resample(motion, fps, frames) for motion in motions], list(self.captions or captions)

    def renderer(
        self, rig: Rig, motions: Sequence[Motion], captions: Sequence[str], transparent: bool = False, fine: bool | None = None
    ) -> Renderer:
        """What draws this view of motions, as `shown` gives them."""
        options = {"width": self.width, "height": self.height, "fine": fine, "transparent": transparent}
        if self.view == "spread":
            return SpreadRenderer(rig, len(motions), largest_spread(rig, motions), **options)
        if self.view == "difference":
            return DifferenceRenderer(rig, captions, **options)
        return Renderer(rig, len(motions), captions=captions, **options)

    def at_stills(self, motions: Sequence[Motion]) -> list[Motion]:
        """The motions at the times of the stills alone."""
        return [motion_at(motion, np.asarray(self.stills), motion.fps) for motion in motions]


def chosen(
    size: str = "720p",
    fps: float | None = None,
    view: str = VIEWS[0],
    truth: str | None = None,
    stills: str = "",
    transparent: bool = False,
) -> Pictures:
    """Pictures as words ask for them, on the command line and on the page.

    size : see parse_size; truth : path of a motion file; stills : see parse_times. Raises TalkerError.
    """
    width, height = parse_size(size)
    recorded = read_motion(truth) if truth else None
    return Pictures(width, height, fps, view, recorded, parse_times(stills), transparent)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "720p", "portrait-720p" or "1280x720". Raises TalkerError for anything else."""
    name = text.strip().lower()
    upright = name.removeprefix("portrait-")
    if upright in SIZES:
        width, height = SIZES[upright]
        return (height, width) if upright != name else (width, height)
    pixels = re.fullmatch(r"(\d{1,5})\s*[x×]\s*(\d{1,5})", name)
    if not pixels:
        names = ", ".join([*SIZES, f"portrait-{next(iter(SIZES))}"])
        raise TalkerError(f"'{text}' is no size of a picture; give one such as 1280x720, or {names}.")
    return int(pixels[1]), int(pixels[2])


def parse_times(text: str) -> tuple[float, ...]:
    """Seconds of "0.5,1.2". Raises TalkerError for anything else."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise TalkerError(f"'{text}' is no list of seconds; give numbers such as 0.5,1.2.") from None


def spread(vertices: np.ndarray) -> np.ndarray:
    """Standard deviation of positions across takes: (..., takes, V, 3) metres -> (..., V) millimetres.

    The root of the mean squared distance from the takes' mean, before head rotation.
    """
    apart = vertices - vertices.mean(axis=-3, keepdims=True)
    return 1000 * np.sqrt(np.einsum("...svc,...svc->...v", apart, apart) / vertices.shape[-3])


def largest_spread(rig: Rig, motions: Sequence[Motion], frames: int = 60) -> float:
    """Millimetres at the colour bar's upper end: 1, 2 or 5 times a power of ten.

    At least what 99.5 % of the moving vertices keep to in as many frames, evenly spaced, as given.
    """
    blend = Blend(rig)
    count = min(len(motion.coefficients) for motion in motions)
    largest = 0.0
    for row in np.unique(np.linspace(0, count - 1, min(count, frames)).round().astype(int)):
        vertices = blend(np.stack([motion.coefficients[row] for motion in motions]))[:, 0]
        largest = max(largest, float(np.quantile(spread(vertices), 0.995)) if blend.moving else 0.0)
    scale = 10.0 ** np.floor(np.log10(max(largest, 0.1)))
    return float(scale * next(step for step in (1, 2, 5, 10) if largest <= step * scale * (1 + 1e-9)))


class SpreadRenderer(Renderer):
    """Draws one head, the mean of the takes, coloured by their spread at every vertex.

    largest : millimetres at the upper end of the colour bar
    """

    def __init__(self, rig: Rig, takes: int, largest: float, **options) -> None:
        self.largest = largest
        super().__init__(rig, takes, captions=[f"Spread of {takes} takes"], **options)

    @property
    def cells(self) -> int:
        return 1

    def _moved(self, coefficients: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        blended = self._blend(coefficients)  # (n, takes, 2, M, 3)
        share = np.minimum(spread(blended[:, :, 0]) / self.largest, 1)
        colors = SPREAD_COLORS[np.rint(share * (len(SPREAD_COLORS) - 1)).astype(int)]
        mean = np.concatenate([blended.mean(axis=1), colors[:, None]], axis=1)
        return mean[:, None], self._turned(head.mean(axis=1, keepdims=True))

    def _colors(self, colors: np.ndarray) -> np.ndarray:
        return np.broadcast_to(SPREAD_COLORS[0], (1, *colors.shape))

    def _patches(self, captions: Sequence[str]) -> list[Patch]:
        colors, title = np.rint(255 * SPREAD_COLORS).astype(np.uint8), "Standard deviation, mm"
        return color_bar(self.layout, colors, self.largest, title, self.transparent) + super()._patches(captions)


class DifferenceRenderer(Renderer):
    """Draws two heads over each other, both half transparent, the first warm and the second cold."""

    SHEETS = 2

    def __init__(self, rig: Rig, captions: Sequence[str], **options) -> None:
        super().__init__(rig, 2, captions=[f"{captions[0]} (orange) over {captions[1]} (blue)"], **options)

    @property
    def cells(self) -> int:
        return 1

    def _colors(self, colors: np.ndarray) -> np.ndarray:
        brightness = colors @ np.array([0.30, 0.59, 0.11], np.float32)  # ITU-R BT.601
        return (0.55 + 0.45 * brightness[:, None]) * np.stack([WARM, COLD])[:, None]

    def _places(self) -> np.ndarray:
        one = super()._places()[0]
        left, right = (one * (0.5, 1, 0.5, 1) + (0, 0, side, 0) for side in (-0.5, 0.5))
        return np.stack([left, right]).astype(np.float32)

    def _composed(self, picture: np.ndarray) -> np.ndarray:
        wide = self.layout.width
        return (picture[:, :wide] // 2 + picture[:, wide:] // 2) + (picture[:, :wide] & picture[:, wide:] & 1)
