"""Editing: motion that is given, at keyframes or over whole ranges, and regenerated everywhere else.

After 3DiFACE (section 6, "Motion Editing"): in every step of a sampler the predicted x0 is replaced
where motion is given. This wraps a denoiser, so it works for all of them, with any sampler, guidance
and windows, and the model makes the rest so that it fits what is given.

No jump arises where given motion begins or ends, because what it changes fades: by how much a given
frame differs from the predicted one is added to the frames beside it too, with a weight that falls from
1 to 0 by half a cosine, over EASE seconds, or SLOW_EASE for what is slower (SLOW). The model's
own movement goes on beside a keyframe, and is led through it. All of this is made of given frames only:
nothing of the motion that is edited is seen outside of what is kept.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES, FPS, HEAD_NAMES, LIP_REGION, UPPER_FACE_REGION, Motion, resample
from talker.samplers import Denoiser

if TYPE_CHECKING:
    from talker.models.motion_model import MotionModel
    from talker.models.three_diface import ThreeDiFace

CHANNELS: tuple[str, ...] = (*ARKIT_NAMES, *HEAD_NAMES)
"""What can be given: the 52 coefficients, then the head's yaw, pitch and roll in radians."""

REGIONS: dict[str, tuple[str, ...]] = {
    "lips": tuple(ARKIT_NAMES[i] for i in LIP_REGION),
    "upper_face": tuple(ARKIT_NAMES[i] for i in UPPER_FACE_REGION),
    "head": HEAD_NAMES,
    "all": CHANNELS,
}
"""What a lock can name instead of single channels."""

EASE, SLOW_EASE = 4 / 30, 0.4
"""Seconds over which corrections fade out: for lips four frames, beyond which a prediction errs in ways of its own, and
for brows, cheeks, smiles and the head about as long as they take to rise or turn."""

SLOW = ("brow", "cheek", "mouthSmile", "mouthFrown", *HEAD_NAMES)
"""Beginnings of the names of what moves slowly."""

EASES = np.array([SLOW_EASE if name.startswith(SLOW) else EASE for name in CHANNELS])
"""Seconds for each of CHANNELS."""

SHAPES_RTOL = 1e-3
"""Combinations of shapes that move a face by less than this share of what the largest one does are not told apart."""


@dataclass(frozen=True)
class Keyframe:
    """Values of some channels at one time.

    time         : seconds from the first frame; the nearest frame is meant
    coefficients : name of CHANNELS → value, [0, 1] or radians
    """

    time: float
    coefficients: Mapping[str, float]


@dataclass(frozen=True)
class Lock:
    """What stays as it is from one time to another.

    region     : a name of REGIONS or CHANNELS, or several of them
    start, end : seconds
    """

    region: str | Sequence[str]
    start: float
    end: float


@dataclass(frozen=True)
class Reach:
    """How frames that are not given follow the nearest given ones on one side of them.

    away   : (S or 1, T, C) long, where that frame is: so many frames later, or earlier where negative
    weight : (S or 1, T, C) in [0, 1], the share of its correction that they take; 0 for those out of reach
    """

    away: torch.Tensor
    weight: torch.Tensor

    def slice(self, start: int, stop: int) -> Self:
        """Of the frames from start to stop (exclusive); those outside of them lead nobody."""
        away, weight = self.away[:, start:stop], self.weight[:, start:stop]
        led = torch.arange(away.shape[1], device=away.device)[:, None] + away
        inside = (led >= 0) & (led < away.shape[1])
        return type(self)(away * inside, weight * inside)

    def repeated(self, batch: int) -> Self:
        """For a batch that is a multiple of S."""
        return type(self)(*(_repeated(part, batch) for part in (self.away, self.weight)))

    def spread(self, correction: torch.Tensor) -> torch.Tensor:
        """What corrections (B, T, C), 0 where nothing is given, add to other frames."""
        frames = torch.arange(correction.shape[1], device=self.away.device)[:, None] + self.away
        return self.weight * correction.gather(1, frames.expand(len(correction), -1, -1))


def _repeated(part: torch.Tensor, batch: int) -> torch.Tensor:
    """(S or 1, …) for a batch, or broadcasting to it."""
    return part if len(part) in (1, batch) else part.repeat_interleave(batch // len(part), dim=0)


@dataclass(frozen=True)
class Edit:
    """Given motion in a model's own channels.

    given : (S or 1, T, C) standardised; mask : (S or 1, T, C), 1 where `given` is to come back exactly, else 0
    reach : of what is given before other frames, and after them; none where it changes nothing beside itself
    """

    given: torch.Tensor
    mask: torch.Tensor
    reach: tuple[Reach, ...] = ()

    def apply(self, x0: torch.Tensor) -> torch.Tensor:
        """x0 (B, T, C) with what is given, and led through it; B a multiple of the edit's own number as for a condition."""
        given, mask = (_repeated(part, len(x0)) for part in (self.given, self.mask))
        return torch.where(mask == 1, given, x0 + self.spread(mask * (given - x0)))

    def spread(self, correction: torch.Tensor) -> torch.Tensor:
        """What corrections (B, T, C) of given frames add to the frames beside them."""
        return sum((one.repeated(len(correction)).spread(correction) for one in self.reach), torch.zeros_like(correction))

    def windows(self, starts: Sequence[int], length: int) -> Self:
        """The edit of windows, stacked window-major along the batch; see talker.windows."""
        pieces = [self.slice(start, start + length) for start in starts]
        given, mask = (torch.cat([getattr(one, name) for one in pieces]) for name in ("given", "mask"))
        reach = tuple(
            Reach(torch.cat([one.away for one in side]), torch.cat([one.weight for one in side]))
            for side in zip(*(one.reach for one in pieces))
        )
        return dataclasses.replace(self, given=given, mask=mask, reach=reach)

    def slice(self, start: int, stop: int) -> Self:
        """The edit of the frames from start to stop (exclusive)."""
        reach = tuple(one.slice(start, stop) for one in self.reach)
        return dataclasses.replace(self, given=self.given[:, start:stop], mask=self.mask[:, start:stop], reach=reach)


@dataclass(frozen=True, kw_only=True)
class VertexEdit(Edit):
    """Given coefficients for a model of vertices: given, mask and reach are (S or 1, T, 52).

    model   : with the face whose shapes they are (talker.face_vertices)
    inverse : (3 V, 52), from displacements to the coefficients that come nearest by least squares
    """

    model: ThreeDiFace
    inverse: torch.Tensor

    def apply(self, x0: torch.Tensor) -> torch.Tensor:
        """Of standardised displacements (B, T, 3 V), each given coefficient replaced by what it is to be: its shape is
        added as often as it is missing, and what no shape explains stays. A face of which everything is given is the
        rig's, and what no shape explains of it fades like the rest."""
        given, mask = (_repeated(part, len(x0)) for part in (self.given, self.mask))
        face = self.model.face
        displacements = self.model.to_vertices(x0).flatten(-2)
        correction = mask * (given - displacements @ self.inverse)
        shapes = face.targets[: len(ARKIT_NAMES)].flatten(1)
        changed = displacements + (correction + self.spread(correction)) @ shapes
        whole = mask.amin(dim=-1, keepdim=True) == 1
        if whole.any():
            exact = face.displacements(given)
            beyond = torch.where(whole, exact - changed, 0)
            changed = torch.where(whole, exact, changed + self._spread_of_all(beyond))
        return self.model.standardise(changed)

    def _spread_of_all(self, correction: torch.Tensor) -> torch.Tensor:
        """What corrections (B, T, 3 V) of faces that are given as a whole add to others, as far as all channels reach."""
        total = torch.zeros_like(correction)
        for one in self.reach:
            frames = torch.arange(correction.shape[1], device=one.away.device) + one.away[..., 0]
            takes = torch.arange(len(correction), device=one.away.device)[:, None]
            weight = one.weight.amin(dim=-1, keepdim=True)
            total += _repeated(weight, len(correction)) * correction[takes, _repeated(frames, len(correction))]
        return total


def edited(denoiser: Denoiser, edit: Edit | None) -> Denoiser:
    """Wrap a denoiser so that its x0 keeps what an edit gives; without an edit, the denoiser itself."""
    if edit is None:
        return denoiser
    return lambda x, step, condition: edit.apply(denoiser(x, step, condition))


@dataclass(frozen=True)
class MotionEdit:
    """A planned edit in plain values, for any model.

    given  : (T, 55) float32, CHANNELS in [0, 1] and radians; mask : (T, 55) float32, 1 where they come back exactly
    away   : (2, T, 55) int, where the nearest given frames before and after others are; weight : (2, T, 55) float32, by
             how much their corrections count there; see Reach
    fps    : frames a second
    """

    given: np.ndarray
    mask: np.ndarray
    away: np.ndarray
    weight: np.ndarray
    fps: float = FPS

    def resized(self, frames: int) -> MotionEdit:
        """For speech of another number of frames: cut, or nothing given in the frames beyond."""
        missing = ((0, max(0, frames - len(self.given))), (0, 0))
        return dataclasses.replace(
            self,
            **{name: np.pad(getattr(self, name), missing)[:frames] for name in ("given", "mask")},
            **{name: np.pad(getattr(self, name), ((0, 0), *missing))[:, :frames] for name in ("away", "weight")},
        )

    def standardised(self, model: MotionModel) -> Edit:
        """In a model's channels, for all its takes."""
        channels, device = len(model.config.channels), model.motion_mean.device
        given, mask = (torch.from_numpy(part[None, :, :channels]).to(model.motion_mean) for part in (self.given, self.mask))
        reach = tuple(
            Reach(torch.from_numpy(away[None, :, :channels]).to(device), torch.from_numpy(weight[None, :, :channels]).to(device))
            for away, weight in zip(self.away, self.weight)
        )
        # Of frames that were cut away nobody is led.
        reach = tuple(one.slice(0, len(self.given)) for one in reach)
        if model.vertices:
            shapes = model.face.targets[: len(ARKIT_NAMES)].flatten(1)
            return VertexEdit(given, mask, reach, model=model, inverse=torch.linalg.pinv(shapes, rtol=SHAPES_RTOL))
        return Edit(model.standardise(given), mask, reach)

    def restore(self, coefficients: np.ndarray, head: np.ndarray, has_head: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """What a model made of the edit, (S, T, 52) and (S, T, 3), with the given values themselves where the mask is 1:
        standardisation there and back rounds. The head of a model without one moves only as it is given."""
        motion = np.concatenate([coefficients, head], axis=-1)
        if not has_head:
            motion[..., len(ARKIT_NAMES) :] = (self.mask * self.given)[:, len(ARKIT_NAMES) :]
        motion = np.where(self.mask == 1, self.given, motion)
        return motion[..., : len(ARKIT_NAMES)], motion[..., len(ARKIT_NAMES) :]


def plan_edit(
    motion: Motion,
    keyframes: Iterable[Keyframe] = (),
    locks: Iterable[Lock] = (),
    keep: tuple[float, float] = (0.0, 0.0),
    fps: float = FPS,
) -> MotionEdit:
    """What of a motion is kept and what is set, checked, at a model's frame rate.

    motion    : what is edited; of a still face (`still`) for keyframes alone
    keyframes : values that channels take at given times; between them the model moves
    locks     : regions that stay as they are in `motion`
    keep      : shares of the frames at the beginning and at the end that stay as they are, each in [0, 1]
    fps       : frames a second of the model that makes the rest (config.fps of talker.models), to which motion is resampled
    Raises TalkerError for times outside the clip, unknown names, values out of range, keyframes that contradict
    each other or what is kept, and where nothing is left to regenerate.
    """
    seconds = motion.seconds
    motion = resample(motion, fps)
    values = np.concatenate([motion.coefficients, motion.head], axis=1).astype(np.float32)
    kept = np.zeros(values.shape, dtype=bool)
    for share, rows in zip(keep, _shares(keep, len(values))):
        if share:
            kept[rows] = True
    for lock in locks:
        kept[_range(lock, motion, seconds), [[CHANNELS.index(name)] for name in _region(lock.region)]] = True
    if kept.all():
        raise TalkerError("Everything of the clip is kept, so that nothing is left to regenerate; lock or keep less of it.")
    values = np.where(kept, values, 0)
    fixed = kept.copy()
    for keyframe in sorted(keyframes, key=lambda one: one.time):
        frame = _frame(keyframe.time, motion, seconds, "keyframe")
        for name, value in keyframe.coefficients.items():
            channel = CHANNELS.index(_known(name))
            _check_value(name, value)
            before = float(values[frame, channel])
            if fixed[frame, channel] and abs(before - value) > 1e-6:
                other = f"is locked at {before:.3g}; unlock it there" if kept[frame, channel] else f"is also set to {before:.3g}; keep one"
                raise TalkerError(f"A keyframe at {keyframe.time:.2f} s sets {name} to {value:.3g}, where it {other}, or choose another time.")
            values[frame, channel], fixed[frame, channel] = value, True
    return MotionEdit(np.where(fixed, values, 0), fixed.astype(np.float32), *_reach(fixed, EASES * fps), fps)


def still(frames: int, fps: float = FPS) -> Motion:
    """A face at rest, for keyframes on nothing."""
    return Motion(np.zeros((frames, len(ARKIT_NAMES)), np.float32), np.zeros((frames, len(HEAD_NAMES)), np.float32), fps)


def _reach(fixed: np.ndarray, eases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(away, weight) of MotionEdit, both (2, T, C), where frames (T, C) are fixed; eases : (C,) frames.

    Between two fixed frames that are closer than the ease, the correction fades from one's to the other's.
    """
    away, weight = np.zeros((2, *fixed.shape), np.int64), np.zeros((2, *fixed.shape), np.float32)
    frames = np.arange(len(fixed))
    for channel in np.flatnonzero(fixed.any(axis=0)):
        at = np.flatnonzero(fixed[:, channel])
        after = np.searchsorted(at, frames)
        nearest = np.stack([after - 1, after])
        exists = (nearest >= 0) & (nearest < len(at))
        places = at[nearest.clip(0, len(at) - 1)] - frames
        distance = np.where(exists, np.abs(places), np.inf)
        fade = 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance / np.minimum(eases[channel], distance.sum(axis=0)), 1))
        total = fade.sum(axis=0)
        led = ~fixed[:, channel] & (total > 0)
        share = (total - fade.prod(axis=0))[led] / total[led]
        weight[:, led, channel] = share * fade[:, led]
        away[:, :, channel] = np.where(weight[:, :, channel] > 0, places, 0)
    return away, weight


def _shares(keep: tuple[float, float], frames: int) -> tuple[slice, slice]:
    """The frames of the first and the last share."""
    for share in keep:
        if not 0 <= share <= 1:
            raise TalkerError(f"The share of the clip to keep is a number from 0 to 1, not {share:g}; 0.1 keeps a tenth.")
    first, last = (max(1, round(share * frames)) for share in keep)
    return slice(0, first), slice(frames - last, frames)


def _frame(time: float, motion: Motion, seconds: float, what: str) -> int:
    """The frame at a time. TalkerError when it lies outside the clip, which lasted so many seconds before it was resampled."""
    if not (math.isfinite(time) and 0 <= time <= seconds):
        raise TalkerError(f"A {what} at {time:g} s lies outside the clip, which lasts {seconds:.2f} s; move it inside.")
    return min(round(time * motion.fps), len(motion.coefficients) - 1)


def _range(lock: Lock, motion: Motion, seconds: float) -> slice:
    """The frames of a lock, at least one."""
    start, end = (_frame(time, motion, seconds, "lock") for time in (lock.start, lock.end))
    if lock.end < lock.start:
        raise TalkerError(f"A lock ends at {lock.end:g} s before it starts at {lock.start:g} s; exchange the two.")
    return slice(start, end + 1)


def _region(region: str | Sequence[str]) -> list[str]:
    """The channels of a region, or of names of regions and channels. TalkerError for other names."""
    names = [region] if isinstance(region, str) else region
    return [channel for name in names for channel in REGIONS.get(name) or [_known(name, REGIONS)]]


def _known(name: str, also: Iterable[str] = ()) -> str:
    """A name of CHANNELS. TalkerError, with the likeliest one, for another."""
    if name not in CHANNELS:
        near = difflib.get_close_matches(str(name), [*also, *CHANNELS], 1)
        raise TalkerError(
            f"There is no shape “{name}”; " + (f"is {near[0]} meant?" if near else "use ARKit's names, or yaw, pitch and roll.")
        )
    return name


def _check_value(name: str, value: float) -> None:
    """TalkerError for what is no value of a channel."""
    low, high, unit = (-math.pi, math.pi, " radians") if name in HEAD_NAMES else (0.0, 1.0, "")
    if not (math.isfinite(value) and low <= value <= high):
        raise TalkerError(f"A keyframe sets {name} to {value:g}; give a number between {low:.3g} and {high:.3g}{unit}.")
