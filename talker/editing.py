"""Editing: motion that is given, at keyframes or over whole ranges, and regenerated everywhere else.

After 3DiFACE (section 6, "Motion Editing"): in every step of a sampler the predicted x0 is replaced
where motion is given. This wraps a denoiser, so it works for all of them, with any sampler, guidance
and windows, and the model makes the rest so that it fits what is given.

No jump arises where given motion begins or ends, because what is given fades: from the last given
frame its weight falls from 1 to 0 by half a cosine, over EASE seconds, or SLOW_EASE for brows and head,
which are slower; and what fades is the given motion carried on: its last value moving on at its last
velocity, which dies away. A keyframe alone is held while it fades. All of this is made of given frames
only: nothing of the motion that is edited is seen outside of what is kept.
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

EASE, SLOW_EASE = 0.2, 0.4
"""Seconds over which given motion fades out: about a syllable, and for brows and head about as long as they take to
rise or turn."""

EASES = np.array([SLOW_EASE if name.startswith("brow") or name in HEAD_NAMES else EASE for name in CHANNELS])
"""The same for each of CHANNELS."""

DAMPING = 0.6
"""Share of its velocity that motion carried on keeps from one frame to the next, of FPS a second."""

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
class Edit:
    """Given motion in a model's own channels.

    given : (S or 1, T, C) standardised; mask : (S or 1, T, C) in [0, 1], 1 where `given` is to come back exactly
    """

    given: torch.Tensor
    mask: torch.Tensor

    def apply(self, x0: torch.Tensor) -> torch.Tensor:
        """mask · given + (1 - mask) · x0, of x0 (B, T, C), B a multiple of the edit's own number as for a condition."""
        given, mask = self._repeated(len(x0))
        return mask * given + (1 - mask) * x0

    def windows(self, starts: Sequence[int], length: int) -> Self:
        """The edit of windows, stacked window-major along the batch; see talker.windows."""
        given, mask = (torch.cat([part[:, start : start + length] for start in starts]) for part in (self.given, self.mask))
        return dataclasses.replace(self, given=given, mask=mask)

    def slice(self, start: int, stop: int) -> Self:
        """The edit of the frames from start to stop (exclusive)."""
        return dataclasses.replace(self, given=self.given[:, start:stop], mask=self.mask[:, start:stop])

    def _repeated(self, batch: int) -> list[torch.Tensor]:
        """(given, mask) for a batch, or broadcasting to it."""
        return [
            part if len(part) in (1, batch) else part.repeat_interleave(batch // len(part), dim=0)
            for part in (self.given, self.mask)
        ]


@dataclass(frozen=True)
class VertexEdit(Edit):
    """Given coefficients for a model of vertices: given and mask are (S or 1, T, 52).

    model   : with the face whose shapes they are (talker.face_vertices)
    inverse : (3 V, 52), from displacements to the coefficients that come nearest by least squares
    """

    model: ThreeDiFace
    inverse: torch.Tensor

    def apply(self, x0: torch.Tensor) -> torch.Tensor:
        """Of standardised displacements (B, T, 3 V), each given coefficient replaced by what it is to be: its shape is
        added as often as it is missing, and what no shape explains stays. A face of which everything is given is the rig's."""
        given, mask = self._repeated(len(x0))
        face = self.model.face
        displacements = self.model.to_vertices(x0).flatten(-2)
        changed = displacements + (mask * (given - displacements @ self.inverse)) @ face.targets[: len(ARKIT_NAMES)].flatten(1)
        whole = mask.amin(dim=-1, keepdim=True)
        return self.model.standardise(whole * face.displacements(given) + (1 - whole) * changed)


def edited(denoiser: Denoiser, edit: Edit | None) -> Denoiser:
    """Wrap a denoiser so that its x0 keeps what an edit gives; without an edit, the denoiser itself."""
    if edit is None:
        return denoiser
    return lambda x, step, condition: edit.apply(denoiser(x, step, condition))


@dataclass(frozen=True)
class MotionEdit:
    """A planned edit in plain values, for any model.

    given : (T, 55) float32, CHANNELS in [0, 1] and radians; mask : (T, 55) float32, 1 where they come back exactly
    fps   : frames a second
    """

    given: np.ndarray
    mask: np.ndarray
    fps: float = FPS

    def resized(self, frames: int) -> MotionEdit:
        """For speech of another number of frames: cut, or nothing given in the frames beyond."""
        missing = ((0, max(0, frames - len(self.given))), (0, 0))
        return dataclasses.replace(
            self, given=np.pad(self.given, missing)[:frames], mask=np.pad(self.mask, missing)[:frames]
        )

    def standardised(self, model: MotionModel) -> Edit:
        """In a model's channels, for all its takes."""
        channels = len(model.config.channels)
        given, mask = (torch.from_numpy(part[None, :, :channels]).to(model.motion_mean) for part in (self.given, self.mask))
        if model.vertices:
            shapes = model.face.targets[: len(ARKIT_NAMES)].flatten(1)
            return VertexEdit(given, mask, model, torch.linalg.pinv(shapes, rtol=SHAPES_RTOL))
        return Edit(model.standardise(given), mask)

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
    given, mask = _fade(values, fixed, EASES * fps, DAMPING ** (FPS / fps))
    given[:, : len(ARKIT_NAMES)] = given[:, : len(ARKIT_NAMES)].clip(0, 1)
    return MotionEdit(given, mask, fps)


def still(frames: int, fps: float = FPS) -> Motion:
    """A face at rest, for keyframes on nothing."""
    return Motion(np.zeros((frames, len(ARKIT_NAMES)), np.float32), np.zeros((frames, len(HEAD_NAMES)), np.float32), fps)


def _fade(values: np.ndarray, fixed: np.ndarray, eases: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray]:
    """(given, mask), both (T, C) float32, of values (T, C) that are fixed (T, C) in some frames; eases : (C,) frames;
    damping : of a velocity, from one frame to the next.

    Between two fixed frames that are closer than the ease, motion fades from one to the other.
    """
    given, mask = np.where(fixed, values, 0).astype(np.float64), fixed.astype(np.float64)
    frames = np.arange(len(values))
    for channel in np.flatnonzero(fixed.any(axis=0)):
        column, is_fixed = values[:, channel].astype(np.float64), fixed[:, channel]
        at = np.flatnonzero(is_fixed)
        order = np.searchsorted(at, frames)
        distance, carried = [], []
        for direction, nearest in ((-1, order - 1), (1, order)):
            exists = (nearest >= 0) & (nearest < len(at))
            place = at[nearest.clip(0, len(at) - 1)]
            away = np.where(exists, np.abs(frames - place), np.inf)
            behind = (place + direction).clip(0, len(column) - 1)
            velocity = np.where(is_fixed[behind], column[place] - column[behind], 0)
            carried.append(column[place] + velocity * damping * (1 - damping**away) / (1 - damping))
            distance.append(away)
        reach = np.minimum(eases[channel], distance[0] + distance[1])
        weight = [0.5 + 0.5 * np.cos(np.pi * np.minimum(away / reach, 1)) for away in distance]
        total = weight[0] + weight[1]
        free = ~is_fixed & (total > 0)
        mask[free, channel] = (total - weight[0] * weight[1])[free]
        given[free, channel] = (weight[0] * carried[0] + weight[1] * carried[1])[free] / total[free]
    return given.astype(np.float32), mask.astype(np.float32)


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
