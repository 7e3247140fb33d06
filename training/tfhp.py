"""TFHP with HDTF as DiffPoseTalk publishes them (Sun et al. 2024, section 4.1): FLAME's coefficients at 25 frames a second.

As it is handed out, one LMDB in which every video lies in pieces of 100 frames:

    data.mdb                           values are pickles of dictionaries:
        metadata                       {"seg_len": 100}, frames of a piece
        {speaker}/{video}/metadata     {"n_frames": frames of the video}
        {speaker}/{video}/{piece:03d}  {"audio": FLAC at 16 kHz, mono, 640 samples a frame,
                                        "coef": {"shape": (n, 100), "exp": (n, 50), "pose": (n, 6)} float32}
    train.txt, val.txt, test.txt       one {speaker}/{video} a line; no speaker is in two of them

and before it is packed, one file a video:

    FLAME_coeffs/{speaker}/{video}.npz the same three arrays, all frames
    audio/{speaker}/{video}.flac       its speech

"pose" holds two rotations as axis times angle in radians: the head's, then the jaw's. The pickles are read by
render.rigs.plain_pickle, which runs no code of theirs.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lmdb
import numpy as np
import soundfile

from render.rigs.plain_pickle import RefusedPickle, load_tree
from talker.audio import SAMPLE_RATE, Speech, speech_from_array
from talker.errors import TalkerError
from training.beat import SPLITS
from training.faults import Fault

FPS = 25.0
"""Frames a second of all videos."""

SAMPLES = round(SAMPLE_RATE / FPS)
"""Samples of speech to a frame."""

WIDTHS = {"shape": 100, "exp": 50, "pose": 6}
"""FLAME's coefficients in a frame: shape, expression, and the rotations of head and jaw."""

COEFFICIENTS, SPEECH = "FLAME_coeffs", "audio"
"""Folders of the form before packing."""

SPLIT_FILES = {"train.txt": "train", "val.txt": "validation", "test.txt": "heldout_speaker"}
"""Published lists of videos -> split; without them all videos are "train"."""

CLIP_SECONDS, SHORTEST = 10.0, 2.0
"""Videos last minutes: length of the clips that they are cut into, and the shortest rest that makes one more."""

Name = tuple[str, str]
"""(speaker, video)."""


@dataclass(frozen=True)
class Clip:
    """A part of a video.

    speaker, video : strings
    start          : its first frame in the video
    shape          : (100,) float32, FLAME's β, of its first frame
    expression     : (T, 50) float32, FLAME's ψ
    jaw, head      : (T, 3) float32, axis times angle, radians
    speech         : Speech as long as T frames at 25 frames a second
    """

    speaker: str
    video: str
    start: int
    shape: np.ndarray
    expression: np.ndarray
    jaw: np.ndarray
    head: np.ndarray
    speech: Speech


class _Lmdb:
    """The packed form."""

    def __init__(self, folder: Path):
        self.folder = folder
        with self._database() as database, database.begin() as transaction:
            keys = [bytes(key).decode("utf-8", "replace") for key in transaction.cursor().iternext(values=False)]
        self.piece = self._count("metadata", "seg_len")
        parts = [key.split("/") for key in keys]
        self.names = [(part[0], part[1]) for part in parts if len(part) == 3 and part[2] == "metadata"]

    def file(self, name: Name) -> Path:
        """What a report calls a video."""
        return self.folder / "data.mdb" / "/".join(name)

    def frames(self, name: Name) -> int:
        """Frames of a video."""
        return self._count("/".join((*name, "metadata")), "n_frames")

    def read(self, name: Name, start: int, stop: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Arrays by the names of WIDTHS and samples (n,) float64 of these frames."""
        arrays: dict[str, list[np.ndarray]] = {key: [] for key in WIDTHS}
        samples = []
        for piece in range(start // self.piece, (stop - 1) // self.piece + 1):
            key = "/".join((*name, f"{piece:03d}"))
            value = self._value(key)
            first, last = max(start - piece * self.piece, 0), min(stop - piece * self.piece, self.piece)
            found, sound = value.get("coef"), value.get("audio")
            if not isinstance(found, dict) or not isinstance(sound, bytes):
                raise TalkerError(f"{key} holds no coefficients or no speech; download the database again.")
            for kind, array in _checked(found, key, last).items():
                arrays[kind].append(array[first:last])
            samples.append(_decode(io.BytesIO(sound), key, first, last))
        return {key: np.concatenate(parts) for key, parts in arrays.items()}, np.concatenate(samples)

    @contextmanager
    def _database(self) -> Iterator[lmdb.Environment]:
        """Open for one reading: a database may be open once in a process only, and must not be open when it forks."""
        try:
            with lmdb.open(str(self.folder), readonly=True, lock=False, readahead=False, meminit=False) as database:
                yield database
        except lmdb.Error as error:
            raise TalkerError(f"{self.folder / 'data.mdb'} cannot be read ({error}); download it again.") from None

    def _value(self, key: str) -> dict:
        with self._database() as database, database.begin() as transaction:
            content = transaction.get(key.encode())
        if content is None:
            raise TalkerError(f"The database has no {key}; download it again.")
        try:
            return load_tree(content)
        except RefusedPickle as refused:
            raise TalkerError(f"{key} is refused because it holds {refused}; download the database again.") from refused

    def _count(self, key: str, field: str) -> int:
        count = self._value(key).get(field)
        if not isinstance(count, int) or count < 1:
            raise TalkerError(f"{key} does not say its {field}; download the database again.")
        return count


class _Files:
    """The form before packing."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names = [path.relative_to(folder / COEFFICIENTS).with_suffix("").parts for path in
                      (folder / COEFFICIENTS).glob("*/*.npz") if not path.name.startswith(".")]  # fmt: skip

    def file(self, name: Name) -> Path:
        """What a report calls a video."""
        return self.folder / COEFFICIENTS / name[0] / f"{name[1]}.npz"

    def frames(self, name: Name) -> int:
        """Frames of a video: as many as both its files have."""
        count, label = len(self._arrays(name)["exp"]), self.file(name).name
        try:
            return min(count, soundfile.info(self._speech(name)).frames // SAMPLES)
        except (soundfile.LibsndfileError, OSError) as error:
            raise TalkerError(f"The speech of {label} cannot be read ({error}); copy it too.") from None

    def read(self, name: Name, start: int, stop: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Arrays by the names of WIDTHS and samples (n,) float64 of these frames."""
        samples = _decode(self._speech(name), self.file(name).name, start, stop)
        return {key: array[start:stop] for key, array in self._arrays(name).items()}, samples

    def _speech(self, name: Name) -> Path:
        return self.folder / SPEECH / name[0] / f"{name[1]}.flac"

    def _arrays(self, name: Name) -> dict[str, np.ndarray]:
        path = self.file(name)
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {key: file[key] for key in WIDTHS if key in file}
        except (OSError, ValueError, EOFError) as error:
            raise TalkerError(f"{path.name} cannot be read ({error}); copy it again.") from None
        except Exception as error:  # zipfile and zlib have their own
            raise TalkerError(f"{path.name} is damaged ({error}); copy it again.") from None
        return _checked(found, path.name, 1)


def _checked(found: dict, label: str, frames: int) -> dict[str, np.ndarray]:
    """FLAME's coefficients as float32 of one length, at least `frames`; TalkerError for anything else."""
    for key, width in WIDTHS.items():
        array = found.get(key)
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != width:
            shape = getattr(array, "shape", "nothing")
            raise TalkerError(f"{label} has {shape} as {key}, not (frames, {width}); take FLAME's coefficients as published.")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise TalkerError(f"{label} holds values of {key} that are not numbers; copy it again.")
    lengths = {key: len(found[key]) for key in WIDTHS}
    if len(set(lengths.values())) > 1 or lengths["exp"] < frames:
        raise TalkerError(f"{label} has {lengths} frames where {frames} or more of each should be; copy it again.")
    return {key: found[key].astype(np.float32) for key in WIDTHS}


def _decode(file: Path | io.BytesIO, label: str, start: int, stop: int) -> np.ndarray:
    """Speech of these frames as (n,) float64; TalkerError for another sample rate and for speech that ends before."""
    try:
        with soundfile.SoundFile(file) as sound:
            rate, count = sound.samplerate, sound.frames
            if rate == SAMPLE_RATE and count >= stop * SAMPLES:
                sound.seek(start * SAMPLES)
                return sound.read((stop - start) * SAMPLES, always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, OSError) as error:
        raise TalkerError(f"The speech of {label} cannot be read ({error}); copy it again.") from None
    if rate != SAMPLE_RATE:
        raise TalkerError(f"The speech of {label} has {rate} samples a second, not {SAMPLE_RATE}; resample it.")
    raise TalkerError(f"The speech of {label} lasts {count / rate:.2f} s, its motion {stop / FPS:.2f} s; copy both again.")


def is_tfhp(folder: str | Path) -> bool:
    """Whether a folder has either of the two forms."""
    folder = Path(folder)
    return any((folder / place).exists() for place in ("data.mdb", "lmdb/data.mdb", COEFFICIENTS))


class Tfhp:
    """A folder with either of the two forms; nothing but names is read before a clip is asked for.

    names : (speaker, video) of all videos, sorted
    Raises TalkerError when the folder holds neither, or a database that cannot be read.
    """

    def __init__(self, folder: str | Path):
        self.folder = folder = Path(folder)
        places = [place for place in (folder, folder / "lmdb") if (place / "data.mdb").is_file()]
        if places:
            self._videos: _Lmdb | _Files = _Lmdb(places[0])
        elif (folder / COEFFICIENTS).is_dir():
            self._videos = _Files(folder)
        else:
            raise TalkerError(
                f"{folder} has neither TFHP's data.mdb nor {COEFFICIENTS}/; give the folder as DiffPoseTalk publishes it."
            )
        self.names: list[Name] = sorted(self._videos.names)
        if not self.names:
            raise TalkerError(f"{folder} holds no video; download TFHP again.")
        self.splits = self._read_splits(places[0] if places else folder)

    def _read_splits(self, folder: Path) -> dict[Name, str]:
        """Split of every video that a published list names."""
        splits = {}
        for file, split in SPLIT_FILES.items():
            if (folder / file).is_file():
                for line in (folder / file).read_text(encoding="utf-8").split():
                    speaker, _, video = line.partition("/")
                    splits[speaker, video] = split
        return splits or dict.fromkeys(self.names, "train")

    def frames(self, name: Name) -> int:
        """Frames of a video. TalkerError when it cannot be read."""
        return self._videos.frames(name)

    def clip(self, name: Name, start: int = 0, count: int | None = None) -> Clip:
        """`count` frames of a video from frame `start` on; to its end unless told.

        Raises TalkerError when the video has no such frames, is not as published, or its speech cannot be used.
        """
        frames = self.frames(name)
        stop = frames if count is None else start + count
        if not 0 <= start < stop <= frames:
            raise TalkerError(f"{'/'.join(name)} has {frames} frames, none from {start} to {stop}; ask for others.")
        arrays, samples = self._videos.read(name, start, stop)
        speech = speech_from_array(samples, SAMPLE_RATE, "/".join(name))
        pose = arrays["pose"]
        return Clip(*name, start, arrays["shape"][0], arrays["exp"], pose[:, 3:], pose[:, :3], speech)

    def clips(self, splits: Iterable[str] = SPLITS, seconds: float = CLIP_SECONDS, faults: list[Fault] | None = None
              ) -> Iterator[Clip]:  # fmt: skip
        """All videos of these splits in clips one after the other; a rest below SHORTEST is left out.

        faults : a list to which every video or clip that cannot be used is added, and every listed video that is missing
        """
        faults, wanted = [] if faults is None else faults, set(splits)
        length, there = round(seconds * FPS), set(self.names)
        for name in sorted(name for name, split in self.splits.items() if split in wanted):
            file = self._videos.file(name)
            if name not in there:
                faults.append(Fault(file, "A list of videos names it, but it is not there; download it too."))
                continue
            try:
                frames = self.frames(name)
            except TalkerError as error:
                faults.append(Fault(file, str(error)))
                continue
            for start in range(0, frames, length):
                count = min(length, frames - start)
                if start and count < SHORTEST * FPS:
                    break
                try:
                    yield self.clip(name, start, count)
                except TalkerError as error:
                    faults.append(Fault(file, f"Frames {start} to {start + count}: {error}"))
