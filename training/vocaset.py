"""VOCASET as it is published (Cudeiro et al., CVPR 2019): faces as vertices at 60 frames a second, with their speech.

    data_verts.npy        (frames of all sequences, V, 3) float32, metres; V is 5023, FLAME's topology
    templates.pkl         subject -> (V, 3), the resting face
    subj_seq_to_idx.pkl   subject -> sequence -> frame -> row of data_verts.npy
    raw_audio_fixed.pkl   subject -> sequence -> {"audio": (n,) int16, "sample_rate": 22000}

The pickles are read by render.rigs.plain_pickle, which runs no code of theirs.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.rigs.plain_pickle import RefusedPickle, load_tree
from talker.atomic import whole_file
from talker.audio import Speech, speech_from_array
from talker.errors import TalkerError
from training.faults import Fault

VERTICES_FILE, TEMPLATES_FILE = "data_verts.npy", "templates.pkl"
FRAMES_FILE, AUDIO_FILE = "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl"

FPS = 60.0
"""Frames a second of the scans."""

TEST_SUBJECTS = ("FaceTalk_170809_00138_TA", "FaceTalk_170731_00024_TA")
VALIDATION_SUBJECTS = ("FaceTalk_170811_03275_TA", "FaceTalk_170908_03277_TA")
"""The published split: all sentences of the other eight subjects train."""

SHARED_SENTENCES = 20
"""Of validation and test subjects the sentences after this one count, whose texts no training subject says (3DiFACE,
section 5)."""

MAX_READS = 4_000_000
"""Instructions of a pickle: the table of VOCASET's 123,341 frames needs several for each."""


@dataclass(frozen=True)
class Sequence:
    """One spoken sentence.

    subject, name : strings
    template      : (V, 3) float64, metres, the subject's resting face
    vertices      : (T, V, 3) float32, metres, at 60 frames a second
    speech        : Speech
    """

    subject: str
    name: str
    template: np.ndarray
    vertices: np.ndarray
    speech: Speech

    def at_half_rate(self) -> np.ndarray:
        """Every second frame, (T', V, 3) at 30 frames a second, as FaceFormer and its successors use VOCASET."""
        return self.vertices[::2]


def sentence(name: str) -> int:
    """Number of a sequence by its published name, "sentence07" -> 7; 0 for another name."""
    return int(found[1]) if (found := re.fullmatch(r"sentence(\d+)", name)) else 0


def _tree(folder: Path, name: str) -> dict:
    try:
        return load_tree((folder / name).read_bytes(), MAX_READS)
    except OSError as error:
        raise TalkerError(
            f"{folder / name} cannot be read ({error.strerror}); give the folder of VOCASET's training data."
        ) from None
    except RefusedPickle as refused:
        raise TalkerError(
            f"{folder / name} is refused because it holds {refused}; download VOCASET's file again."
        ) from refused


class Vocaset:
    """A folder in VOCASET's layout; vertices stay on the disk until a sequence is asked for.

    names : (subject, sequence) of those that have vertices and speech, sorted
    Raises TalkerError when a file is missing, broken, or they do not fit together.
    """

    def __init__(self, folder: str | Path):
        self.folder = folder = Path(folder)
        self.templates = _tree(folder, TEMPLATES_FILE)
        self.frames = _tree(folder, FRAMES_FILE)
        self.audio = _tree(folder, AUDIO_FILE)
        try:
            self.vertices = np.load(folder / VERTICES_FILE, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise TalkerError(f"{folder / VERTICES_FILE} cannot be read ({error}); download VOCASET's file again.") from None
        shapes = {np.shape(template) for template in self.templates.values()}
        if self.vertices.ndim != 3 or shapes != {self.vertices.shape[1:]} or self.vertices.shape[2] != 3:
            raise TalkerError(
                f"{folder} has vertices {self.vertices.shape} and templates {sorted(shapes)} that do not fit together; "
                "give the folder of VOCASET's training data as it is published."
            )
        self.names = sorted(
            (subject, name)
            for subject, sequences in self.frames.items()
            if subject in self.templates
            for name, frames in sequences.items()
            # Some sequences were published without speech.
            if frames and name in self.audio.get(subject, {})
        )

    def test_names(self) -> list[tuple[str, str]]:
        """The published test split, sentences 21 to 40 of two subjects; all sequences where those are not there."""
        return self.split("test") or self.names

    def split(self, split: str) -> list[tuple[str, str]]:
        """The published "train", "validation" or "test" sequences (VOCA; 3DiFACE, section 5)."""
        held = {"validation": VALIDATION_SUBJECTS, "test": TEST_SUBJECTS}
        if split in held:
            return [name for name in self.names if name[0] in held[split] and sentence(name[1]) > SHARED_SENTENCES]
        return [name for name in self.names if name[0] not in VALIDATION_SUBJECTS + TEST_SUBJECTS]

    def adaptation(self, subject: str) -> dict[str, list[tuple[str, str]]]:
        """One subject's sequences for personalisation (3DiFACE, section 5): sentences 1 to 18 "train", 19 and 20
        "validation", 21 to 40 "test"."""
        own = [name for name in self.names if name[0] == subject]
        ends = {"train": (1, 18), "validation": (19, 20), "test": (21, 40)}
        return {split: [name for name in own if a <= sentence(name[1]) <= b] for split, (a, b) in ends.items()}

    def sequences(self, names: Iterable[tuple[str, str]], faults: list[Fault]) -> Iterator[Sequence]:
        """These sequences; one that is not as it should be is added to the faults and left aside."""
        for subject, name in names:
            try:
                yield self.sequence(subject, name)
            except TalkerError as error:
                faults.append(Fault(self.folder / subject / name, str(error)))

    def sequence(self, subject: str, name: str) -> Sequence:
        """One sequence, its frames in order. Raises TalkerError when its parts are not as they should be."""
        label = f"{subject} {name}"
        frames, audio = self.frames[subject][name], self.audio[subject][name]
        rows = np.array([frames[k] for k in sorted(frames)])
        try:
            samples, rate = np.asarray(audio["audio"]), int(audio["sample_rate"])
            if not np.issubdtype(rows.dtype, np.integer) or rows.min() < 0 or rows.max() >= len(self.vertices):
                raise KeyError("rows beyond the vertices")
            if samples.ndim != 1:
                raise KeyError("speech of several channels")
        except (KeyError, TypeError, ValueError) as error:
            raise TalkerError(f"VOCASET's {label} is not as published ({error}); download {self.folder} again.") from None
        if np.issubdtype(samples.dtype, np.integer):
            samples = samples / np.float32(np.iinfo(samples.dtype).max + 1)
        speech = speech_from_array(samples.astype(np.float32), rate, label)
        vertices = np.asarray(self.vertices[rows], np.float32)
        if not np.isfinite(vertices).all():
            raise TalkerError(f"VOCASET's {label} holds vertices that are not numbers; download {self.folder} again.")
        return Sequence(subject, name, np.asarray(self.templates[subject], np.float64), vertices, speech)


def write_vocaset(folder: Path, sequences: Iterable[tuple[str, str, np.ndarray, np.ndarray, np.ndarray, int]]) -> Path:
    """Write sequences into VOCASET's four files; returns the folder.

    sequences : (subject, name, template (V, 3), vertices (T, V, 3), audio (n,) int16, sample rate) each, of one V;
                vertices are written as they come, so that they need not be in memory together
    """
    templates: dict = {}
    frames: dict = {}
    audio: dict = {}
    row = 0
    with whole_file(folder / VERTICES_FILE) as temporary, temporary.open("wb") as file:
        width = 0
        for subject, name, template, vertices, samples, rate in sequences:
            if not width:
                width = len(template)
                _write_header(file, 0, width)
            file.write(np.ascontiguousarray(vertices, "<f4").tobytes())
            templates[subject] = np.asarray(template, np.float64)
            frames.setdefault(subject, {})[name] = {k: row + k for k in range(len(vertices))}
            audio.setdefault(subject, {})[name] = {"audio": np.asarray(samples, np.int16), "sample_rate": int(rate)}
            row += len(vertices)
        file.seek(0)
        _write_header(file, row, width)
    for name, content in ((TEMPLATES_FILE, templates), (AUDIO_FILE, audio), (FRAMES_FILE, frames)):
        with whole_file(folder / name) as temporary:
            # The protocol of Python 2, in which VOCASET is published.
            temporary.write_bytes(pickle.dumps(content, protocol=2))
    return folder


def _write_header(file, rows: int, width: int) -> None:
    """The header of an npy file, which is as long for any number of rows: numpy leaves room for them to grow."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, width, 3)})
