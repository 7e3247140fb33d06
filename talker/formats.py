"""Motion files: Live Link Face CSV, BEAT JSON, and the takes that Talker writes."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from talker.atomic import whole_file
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, FPS, HEAD_NAMES, Motion
from talker.takes import load_takes

EYE_ROTATION = np.radians(30.0)
"""Rotation of an eyeball in radians at an eyeLook coefficient of 1; about as far as eyes turn
before the head follows."""

EXCESS = 1.0
"""Coefficients in a file may pass [0, 1] by this much (calibrated recordings do) and are clipped;
farther out they are taken for another unit, such as percent, and refused."""

SLOWEST, FASTEST = 10.0, 1000.0
"""Frames a second that a motion file may have: fewer show no speech, more are times in another unit."""

_SIDED = ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")


def _both(*stems: str) -> list[str]:
    return [stem + side for stem in stems for side in ("Left", "Right")]


LIVE_LINK_COLUMNS: tuple[str, ...] = (
    *[stem + "Left" for stem in _SIDED],
    *[stem + "Right" for stem in _SIDED],
    *("JawForward", "JawRight", "JawLeft", "JawOpen"),
    *("MouthClose", "MouthFunnel", "MouthPucker", "MouthRight", "MouthLeft"),
    *_both("MouthSmile", "MouthFrown", "MouthDimple", "MouthStretch"),
    *("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper"),
    *_both("MouthPress", "MouthLowerDown", "MouthUpperUp", "BrowDown"),
    "BrowInnerUp",
    *_both("BrowOuterUp"),
    "CheekPuff",
    *_both("CheekSquint", "NoseSneer"),
    "TongueOut",
    *("HeadYaw", "HeadPitch", "HeadRoll"),
    *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll"),
    *("RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
"""The 61 columns of a Live Link Face CSV after Timecode and BlendShapeCount, in the app's order."""

TIMECODE_RATE = 60
"""Frames a second that timecodes count, whatever the motion's own rate: Unreal's importer of the app's files
(LiveLinkFaceImporter) takes every timecode for sixtieths, so that counting thirtieths would halve each second."""

_TIMECODE_RATES = (60, 24, 25, 30, 48, 50, 100, 120, 240)
"""That readers try, the likeliest first."""

_TIMECODE = re.compile(r"(\d+):(\d\d):(\d\d)[:;](\d+(?:\.\d+)?)")


def eye_rotations(coefficients: np.ndarray) -> np.ndarray:
    """Rotation of both eyes in radians from the eyeLook coefficients.

    coefficients : (T, 52)
    Returns (T, 6): yaw, pitch, roll of the left eye, then of the right, signs as talker.motion's
    head: yaw > 0 to the face's own left, pitch > 0 down; ARKit has no shape for roll, so it is 0.
    """

    def look(direction: str, side: str) -> np.ndarray:
        return coefficients[:, ARKIT_INDEX[f"eyeLook{direction}{side}"]]

    zero = np.zeros(len(coefficients), coefficients.dtype)
    return EYE_ROTATION * np.stack(
        [
            look("Out", "Left") - look("In", "Left"),
            look("Down", "Left") - look("Up", "Left"),
            zero,
            look("In", "Right") - look("Out", "Right"),
            look("Down", "Right") - look("Up", "Right"),
            zero,
        ],
        axis=1,
    )


def write_live_link_csv(motion: Motion, path: str | Path) -> Path:
    """Write a CSV as the Live Link Face app records it, whole or not at all.

    Timecodes are real time in sixtieths of a second and thousandths of those (TIMECODE_RATE); the
    columns of the eyes are derived from the eyeLook coefficients (eye_rotations). Nine digits, so
    float32 values come back exactly.
    """
    path = Path(path)
    columns = dict(zip((name[0].upper() + name[1:] for name in ARKIT_NAMES), motion.coefficients.T))
    columns |= dict(zip(LIVE_LINK_COLUMNS[52:55], motion.head.T))
    columns |= dict(zip(LIVE_LINK_COLUMNS[55:], eye_rotations(motion.coefficients).T))
    values = np.stack([columns[name] for name in LIVE_LINK_COLUMNS], axis=1)
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["Timecode", "BlendShapeCount", *LIVE_LINK_COLUMNS])
        for index, row in enumerate(values):
            timecode = _timecode(index / motion.fps, TIMECODE_RATE)
            writer.writerow([timecode, len(LIVE_LINK_COLUMNS), *(f"{value:.9g}" for value in row)])
    return path


def read_live_link_csv(path: str | Path, fps: float | None = None) -> Motion:
    """Read a Live Link Face CSV by its column names, whatever their order or capitals.

    fps : frames a second; read from the timecodes unless told (a recording within one second is
          taken to count sixtieths, as the app and Talker write)
    Frames that the phone dropped are filled by linear interpolation, so that motion keeps time.
    Raises TalkerError naming the columns that are missing, and for broken timecodes or values.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except OSError as error:
        raise TalkerError(f"{path} cannot be read ({error.strerror}); check the path of the CSV.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TalkerError(f"{path.name} is not a text CSV; export it from Live Link Face again.") from error
    if len(rows) < 2:
        raise TalkerError(f"{path.name} holds no frames; export it from Live Link Face again.")

    place = {name.strip().lower(): index for index, name in enumerate(rows[0])}
    wanted = [*ARKIT_NAMES, *LIVE_LINK_COLUMNS[52:55]]
    missing = [name for name in ("Timecode", *wanted) if name.lower() not in place]
    if missing:
        raise TalkerError(f"{path.name} lacks the columns {', '.join(missing)}; export all Live Link Face columns.")
    order = [place[name.lower()] for name in wanted]
    try:
        values = np.array([[float(row[index]) for index in order] for row in rows[1:]])
        timecodes = [row[place["timecode"]] for row in rows[1:]]
    except (ValueError, IndexError) as error:
        raise TalkerError(f"{path.name} has a row with too few or unreadable values; export it again.") from error

    times, rate = _times(timecodes, path.name)
    if fps is None:
        fps, values = _regular(times, rate, values)
    return Motion(_coefficients(values[:, :52], path.name), _head(values[:, 52:], path.name), fps)


def write_beat_json(motion: Motion, path: str | Path) -> Path:
    """Write a JSON in BEAT's layout, whole or not at all: the first 51 names, and per frame the
    weights, the time in seconds and the head's rotation (yaw, pitch, roll in radians).

    tongueOut is lost: BEAT has no column for it.
    """
    path = Path(path)
    frames = [
        {
            "weights": [float(f"{value:.9g}") for value in weights[:51]],
            "time": round(index / motion.fps, 6),
            "rotation": [float(f"{value:.9g}") for value in rotation],
        }
        for index, (weights, rotation) in enumerate(zip(motion.coefficients, motion.head))
    ]
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"names": list(ARKIT_NAMES[:51]), "frames": frames}), encoding="utf-8")
    return path


def read_beat_json(path: str | Path) -> Motion:
    """Read a BEAT JSON by its names; tongueOut, and rotation where frames have none, are 0.

    fps comes from the frames' times (BEAT: 60); frames that are missing are filled by linear interpolation.
    Raises TalkerError naming the coefficients that are missing or unknown, and for files that are not BEAT's JSON.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TalkerError(f"{path} cannot be read ({error.strerror}); check the path of the JSON.") from error
    except ValueError as error:
        raise TalkerError(f"{path.name} is not JSON or is cut off; download or write it again.") from error
    try:
        place = {str(name): index for index, name in enumerate(content["names"])}
        missing = [name for name in ARKIT_NAMES[:51] if name not in place]
        if missing:
            raise TalkerError(f"{path.name} lacks the coefficients {', '.join(missing)}; give a whole BEAT file.")
        unknown = [name for name in place if name not in ARKIT_INDEX]
        if unknown or len(place) < len(content["names"]):
            what = f"the unknown coefficients {', '.join(unknown)}" if unknown else "a coefficient twice"
            raise TalkerError(f"{path.name} has {what}; its names must be ARKit's, each once.")
        frames = content["frames"]
        weights = np.array([frame["weights"] for frame in frames], dtype=np.float64)
        times = np.array([frame["time"] for frame in frames], dtype=np.float64)
        rotation = [frame.get("rotation") or (0.0, 0.0, 0.0) for frame in frames]
        head = np.array(rotation, dtype=np.float64)
        if not len(frames):
            raise TalkerError(f"{path.name} holds no frames; download or write it again.")
        coefficients = np.zeros((len(frames), 52))
        if weights.shape[1] != len(place):
            raise TalkerError(f"{path.name} has {weights.shape[1]} weights for {len(place)} names; write it again.")
        for name, column in place.items():
            coefficients[:, ARKIT_INDEX[name]] = weights[:, column]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise TalkerError(f"{path.name} has no names and frames as BEAT's JSON has; give a BEAT file.") from error
    except ValueError as error:
        if isinstance(error, TalkerError):
            raise
        raise TalkerError(f"{path.name} has frames of unequal length; download or write it again.") from error
    if head.shape != (len(frames), 3):
        raise TalkerError(f"{path.name} has a rotation that is not yaw, pitch, roll; give three angles in radians.")
    steps = np.diff(times)
    if not (steps > 0).all():
        raise TalkerError(f"{path.name} has frames whose times do not rise; download or write it again.")
    fps = _whole(len(steps) / (times[-1] - times[0])) if len(steps) else FPS
    if len(steps) and steps.max() > 1.5 * np.median(steps):  # frames are missing
        fps, even = _regular(times, FPS, np.concatenate([coefficients, head], axis=1))
        coefficients, head = even[:, :52], even[:, 52:]
    if not SLOWEST <= fps <= FASTEST:
        raise TalkerError(
            f"{path.name} has {fps:g} frames a second by its times, which must be seconds; {SLOWEST:g} to {FASTEST:g} "
            "can be read."
        )
    return Motion(_coefficients(coefficients, path.name), _head(head, path.name), fps)


def read_motion(path: str | Path, take: int = 1) -> Motion:
    """Read a motion from .csv (Live Link Face), .json (BEAT) or .npz (Talker), chosen by suffix.

    take : which take of an npz, from 1. Raises TalkerError as the readers do.
    """
    path = Path(path)
    readers = {".csv": read_live_link_csv, ".json": read_beat_json}
    suffix = path.suffix.lower()
    if suffix in readers:
        return readers[suffix](path)
    if suffix != ".npz":
        raise TalkerError(f"{path.name} is no motion file; give a .csv (Live Link Face), .json (BEAT) or .npz.")
    motions = load_takes(path).motions
    if not 1 <= take <= len(motions):
        raise TalkerError(f"{path.name} has no take {take}; choose one from 1 to {len(motions)}.")
    return motions[take - 1]


def _coefficients(values: np.ndarray, label: str) -> np.ndarray:
    """(T, 52) float32, clipped to [0, 1] after a check that they are coefficients."""
    wrong = ~((values >= -EXCESS) & (values <= 1.0 + EXCESS))  # NaN compares false, so it counts
    if wrong.any():
        frame, column = np.argwhere(wrong)[0]
        raise TalkerError(
            f"{label} has {ARKIT_NAMES[column]} = {values[frame, column]:g} in frame {frame + 1}; "
            "coefficients must be numbers between 0 and 1."
        )
    return np.clip(values, 0.0, 1.0).astype(np.float32)


def _head(values: np.ndarray, label: str) -> np.ndarray:
    """(T, 3) float32 after a check that they are radians."""
    wrong = ~(np.abs(values) <= 2 * np.pi)
    if wrong.any():
        frame, column = np.argwhere(wrong)[0]
        raise TalkerError(
            f"{label} has a head {HEAD_NAMES[column]} of {values[frame, column]:g} in frame {frame + 1}; "
            "head rotation must be in radians."
        )
    return values.astype(np.float32)


def _timecode(seconds: float, rate: int) -> str:
    """HH:MM:SS:FF.mmm of a time, FF counting `rate` frames a second, mmm thousandths of a frame."""
    whole, frames = divmod(round(seconds * rate * 1000), rate * 1000)
    hours, rest = divmod(whole, 3600)
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}:{frames // 1000:02d}.{frames % 1000:03d}"


def _times(timecodes: Sequence[str], label: str) -> tuple[np.ndarray, int]:
    """Seconds (T,) of timecodes, and the frame rate that they count in."""
    parsed = [_TIMECODE.fullmatch(timecode.strip()) for timecode in timecodes]
    if not all(parsed):
        bad = timecodes[parsed.index(None)]
        raise TalkerError(f"{label} has the timecode {bad!r}; timecodes must read HH:MM:SS:FF.mmm.")
    hours, minutes, seconds, frames = np.array([[float(x) for x in match.groups()] for match in parsed]).T
    whole = hours * 3600 + minutes * 60 + seconds
    whole = np.where(whole < whole[0], whole + 24 * 3600, whole)  # past midnight
    # Frames are numbered from 0, so the rate is above the largest number; of those, the one at which the step
    # from one second into the next is like the others. Within one second all are alike, and sixtieths are what
    # the app and this module write.
    rates = [rate for rate in _TIMECODE_RATES if rate > np.floor(frames.max())]
    crossing = np.diff(whole) > 0

    def unlike(rate: int) -> float:
        steps = np.diff(whole + frames / rate)
        usual = np.median(steps) if len(steps) else 0.0
        return round(float(np.median(np.abs(steps[crossing] / usual - 1))), 2) if crossing.any() and usual > 0 else 0.0

    rate = min(rates, key=unlike, default=None)
    times = whole + frames / (rate or 1)
    if rate is None or (np.diff(times) <= 0).any():
        raise TalkerError(f"{label} has timecodes that do not rise frame by frame; export it again.")
    return times, rate


def _regular(times: np.ndarray, rate: int, values: np.ndarray) -> tuple[float, np.ndarray]:
    """Frames a second, and values (T', C) at that even pace: `values` themselves unless frames are
    missing (a step that rounds to more than one usual step)."""
    if len(times) == 1:
        return float(rate), values
    steps = np.diff(times)
    index = np.concatenate([[0.0], np.cumsum(np.round(steps / np.median(steps)))])
    # A line through all frames: a phone's timecodes jitter, so no two of them say it as well.
    fps = _whole(1.0 / np.polyfit(index, times, 1)[0])
    if index[-1] == len(times) - 1:
        return fps, values
    even = np.arange(index[-1] + 1)
    return fps, np.stack([np.interp(even, index, column) for column in values.T], axis=1)


def _whole(fps: float) -> float:
    """A measured frame rate; a whole number where it is one within what timecodes resolve."""
    return float(round(fps)) if abs(fps - round(fps)) < 0.0005 * fps else fps
