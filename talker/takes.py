"""Takes: all animations sampled for one utterance, their file and how much they differ."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from talker.atomic import whole_file
from talker.errors import TalkerError
from talker.identity import Match
from talker.motion import ARKIT_NAMES, LIP_REGION, UPPER_FACE_REGION, Motion


@dataclass(frozen=True)
class Takes:
    """S takes of one utterance and what they were made with.

    coefficients : (S, T, 52) float32 in [0, 1], columns as ARKIT_NAMES
    head         : (S, T, 3) float32, yaw, pitch, roll in radians
    fps          : frames a second
    seed         : what the noise was drawn with
    identity     : the identity that speaks, with all similarities
    model, steps, device : the checkpoint's name, sampling steps, torch device
    seconds      : stage -> seconds it took; not part of the file, which depends on the inputs only
    """

    coefficients: np.ndarray
    head: np.ndarray
    fps: float
    seed: int
    identity: Match
    model: str
    steps: int
    device: str = "cpu"
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def motions(self) -> list[Motion]:
        """One Motion per take."""
        return [Motion(c, h, self.fps) for c, h in zip(self.coefficients, self.head)]

    def diversity(self) -> dict[str, float]:
        """How much takes differ: the standard deviation across takes, averaged over frames and
        over the coefficients of a region. 0 for a single take."""
        spread = self.coefficients.std(axis=0, dtype=np.float64)
        return {
            "upper_face": float(spread[:, UPPER_FACE_REGION].mean()),
            "lips": float(spread[:, LIP_REGION].mean()),
        }

    def save(self, path: str | Path) -> Path:
        """Write an npz without pickles, whole or not at all: the arrays, fps, names, seed, and the
        rest as strings. The same takes give the same bytes. Raises TalkerError when the folder
        cannot be written."""
        path = Path(path)
        identity = {
            "name": self.identity.name,
            "similarity": float(self.identity.similarity),
            "ranking": [[name, float(similarity)] for name, similarity in self.identity.ranking],
        }
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                coefficients=np.asarray(self.coefficients, np.float32),
                head=np.asarray(self.head, np.float32),
                fps=np.float64(self.fps),
                names=np.array(ARKIT_NAMES),
                seed=np.int64(self.seed),
                identity=np.array(json.dumps(identity)),
                model=np.array(self.model),
                steps=np.int64(self.steps),
                device=np.array(self.device),
            )
        return path


def load_takes(path: str | Path) -> Takes:
    """Read what Takes.save wrote; `seconds` is empty. Columns are put in order by their names.

    Raises TalkerError when the file is missing, broken, or its arrays do not fit together.
    """
    path = Path(path)
    if not path.is_file():
        raise TalkerError(f"There is no file {path}; check the path of the takes.")
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {key: file[key] for key in file.files}
        names = [str(name) for name in stored["names"]]
        identity = json.loads(str(stored["identity"]))
        takes = Takes(
            coefficients=stored["coefficients"][..., [names.index(name) for name in ARKIT_NAMES]],
            head=stored["head"],
            fps=float(stored["fps"]),
            seed=int(stored["seed"]),
            identity=Match(
                identity["name"],
                float(identity["similarity"]),
                [(name, float(similarity)) for name, similarity in identity["ranking"]],
            ),
            model=str(stored["model"]),
            steps=int(stored["steps"]),
            device=str(stored["device"]),
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise TalkerError(f"{path.name} is not a takes file of Talker or is damaged; generate it again.") from error
    shape = takes.coefficients.shape
    if len(shape) != 3 or takes.head.shape != (*shape[:2], 3) or 0 in shape or not takes.fps > 0:
        raise TalkerError(f"{path.name} holds arrays that do not fit together; generate it again.")
    if not (np.isfinite(takes.coefficients).all() and np.isfinite(takes.head).all()):
        raise TalkerError(f"{path.name} holds values that are not numbers (NaN or infinite); generate it again.")
    return takes
