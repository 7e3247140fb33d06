"""Motion: ARKit coefficients and head rotation over time, and the regions of the face.

Every list of names, every region and the frame rate of the project is defined here, once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from talker.errors import TalkerError

FPS = 30.0
"""Frames a second of all motion that the default models make."""

ARKIT_NAMES: tuple[str, ...] = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight",
    "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""The 52 ARKit coefficients in alphabetical order; BEAT's files hold the first 51."""

ARKIT_INDEX: dict[str, int] = {name: index for index, name in enumerate(ARKIT_NAMES)}

LIP_REGION = np.array([i for i, n in enumerate(ARKIT_NAMES) if n.startswith(("jaw", "mouth"))])
"""Indices of the coefficients that move the lips and the jaw (27)."""

UPPER_FACE_REGION = np.array([i for i, n in enumerate(ARKIT_NAMES) if n.startswith(("brow", "eye"))])
"""Indices of the coefficients that move brows, lids and eyes (19)."""

BROW_REGION = np.array([i for i, n in enumerate(ARKIT_NAMES) if n.startswith("brow")])
"""Indices of the coefficients that move the brows (5)."""

HEAD_NAMES: tuple[str, ...] = ("yaw", "pitch", "roll")
"""Head rotation in radians, in this order: R = Ry(yaw) @ Rx(pitch) @ Rz(roll), right-handed, with
+X to the face's own left, +Y up and +Z out of the face. So yaw > 0 turns to the face's own left,
pitch > 0 nods down, roll > 0 raises the face's own left side."""

HEAD_BAND = 4.0
"""Hz up to which heads sway and nod in speech."""

BROW_BAND = 5.0
"""Hz up to which brows move: a quick raise takes an eighth of a second."""

FLAME_NAMES: tuple[str, ...] = (*(f"expression{k}" for k in range(1, 51)), "jawX", "jawY", "jawZ")
"""Channels of a face in FLAME's terms (Li et al. 2017): 50 coefficients of expression, and the jaw's rotation as axis
times angle in radians. The head's rotation is HEAD_NAMES, in FLAME's axes, which are these."""


@dataclass(frozen=True)
class Motion:
    """One animation of a face.

    coefficients : (T, 52) float32 in [0, 1], columns as ARKIT_NAMES
    head         : (T, 3) float32, yaw, pitch, roll in radians
    fps          : frames a second
    """

    coefficients: np.ndarray
    head: np.ndarray
    fps: float = FPS

    @property
    def seconds(self) -> float:
        """Duration in seconds: every frame lasts 1 / fps."""
        return len(self.coefficients) / self.fps


LENGTH_TOLERANCE = 0.5
LENGTH_SHARE = 0.02
"""Seconds, or share of the speech where that is more, by which motion and speech of one recording may differ: cameras
and microphones stop one after the other, and neither clock is exact."""


def steadied(motion: np.ndarray, fps: float, band: float) -> np.ndarray:
    """Motion (..., T, C) without what is faster than `band` Hz: forwards and backwards through a Butterworth filter of
    second order, so that nothing comes later.

    A sampler of few steps leaves a little of its noise in every frame, a tenth of a degree of the head and a hundredth of
    a brow's way, which neither can do and eyes see as a tremble.
    """
    sections = butter(2, band, fs=fps, output="sos")
    return sosfiltfilt(sections, motion, axis=-2, padlen=min(9, motion.shape[-2] - 1)).astype(motion.dtype)


def sway(head: np.ndarray) -> float:
    """How far a head (T, 3) sways: the sum over its angles of their standard deviations over time, rad."""
    return float(np.asarray(head).std(axis=0).sum())


def check_lengths(motion: Motion, seconds: float, label: str) -> None:
    """Raise TalkerError when motion and the speech it belongs to, `seconds` long, differ by more than is tolerated."""
    if abs(motion.seconds - seconds) > max(LENGTH_TOLERANCE, LENGTH_SHARE * seconds):
        raise TalkerError(
            f"{label} lasts {motion.seconds:.2f} s at {motion.fps:g} frames a second, but its speech {seconds:.2f} s; "
            "give speech and motion of the same recording."
        )


def resample(motion: Motion, fps: float, frames: int | None = None) -> Motion:
    """Motion at another frame rate by linear interpolation; past its end the last frame is held.

    frames : how many; as many as the motion lasts unless given
    """
    count = len(motion.coefficients)
    if frames is None:
        frames = max(1, round(count * fps / motion.fps))
    if fps == motion.fps and frames == count:
        return motion
    return motion_at(motion, np.arange(frames) / fps, fps)


def motion_at(motion: Motion, times: np.ndarray, fps: float = FPS) -> Motion:
    """Motion at given times by linear interpolation: (n,) seconds from its first frame -> n frames, called `fps`.

    Before its beginning the first frame is held, past its end the last one.
    """
    count = len(motion.coefficients)
    position = np.clip(np.asarray(times, float) * motion.fps, 0, count - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, count - 1)
    share = (position - low)[:, None].astype(np.float32)

    def between(values: np.ndarray) -> np.ndarray:
        return ((1 - share) * values[low] + share * values[high]).astype(np.float32)

    return Motion(between(motion.coefficients), between(motion.head), fps)
