"""Takes: all animations sampled for one utterance, their file and how much they differ."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from talker.atomic import whole_file
from talker.errors import TalkerError
from talker.identity import Match
from talker.motion import ARKIT_NAMES, LIP_REGION, UPPER_FACE_REGION, Motion
from talker.principal_components import principal_components

VERTEX_TOLERANCE = 5e-5
"""Metres by which a coordinate of a vertex may be off in the file: a twentieth of a millimetre, some times what 16 bits
round, which would take hundreds of components to keep."""


@dataclass(frozen=True)
class Choices:
    """What else chose the takes, for people to read.

    sampler      : a name of talker.samplers.SAMPLERS
    guidance     : scale of every part that the model can be guided by
    style        : of a speaking style by its name, of an example the file's, of a personalised model the person's; None for none
    delta        : name of the person that the model was personalised for; None for nobody
    head         : whether the head moves
    motion_given : whether keyframes, locks or ends of a motion were given, and the rest made around them
    """

    sampler: str | None = None
    guidance: dict[str, float] = field(default_factory=dict)
    style: str | None = None
    delta: str | None = None
    head: bool = True
    motion_given: bool = False


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
    choices      : what else was chosen; not part of the file either
    vertices     : (S, T, V, 3) displacements in metres from the resting face, of a model that makes vertices; the
                   coefficients are fitted to them. None of other models. The file holds their principal components
    vertex_index : (V,) which vertices of the rig; rig : fingerprint of that rig
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
    choices: Choices = Choices()
    vertices: np.ndarray | None = None
    vertex_index: np.ndarray | None = None
    rig: str = ""

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

    def in_style_of(self, file: str | Path) -> Self:
        """The same takes, told to be in the style of an example that was read from a file."""
        return dataclasses.replace(self, choices=dataclasses.replace(self.choices, style=Path(file).name))

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
                **self._vertex_arrays(),
            )
        return path

    def _vertex_arrays(self) -> dict[str, np.ndarray]:
        """What the file holds of vertices: weights (S, T, r) of components (r, V, 3), the index and the rig."""
        if self.vertices is None:
            return {}
        shape = self.vertices.shape
        weights, components = principal_components(self.vertices.reshape(shape[0] * shape[1], -1), VERTEX_TOLERANCE)
        return {
            "vertex_weights": weights.reshape(*shape[:2], -1),
            "vertex_components": components.reshape(-1, *shape[2:]),
            "vertex_index": np.asarray(self.vertex_index, np.int64),
            "rig": np.array(self.rig),
        }


def load_takes(path: str | Path) -> Takes:
    """Read what Takes.save wrote; `seconds` and `choices` are empty. Columns are put in order by their names.

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
            **_vertices(stored),
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise TalkerError(f"{path.name} is not a takes file of Talker or is damaged; generate it again.") from error
    shape = takes.coefficients.shape
    if takes.vertices is not None and takes.vertices.shape != (*shape[:2], len(takes.vertex_index), 3):
        raise TalkerError(f"{path.name} holds vertices that do not fit its coefficients; generate it again.")
    if len(shape) != 3 or takes.head.shape != (*shape[:2], 3) or 0 in shape or not takes.fps > 0:
        raise TalkerError(f"{path.name} holds arrays that do not fit together; generate it again.")
    if not (np.isfinite(takes.coefficients).all() and np.isfinite(takes.head).all()):
        raise TalkerError(f"{path.name} holds values that are not numbers (NaN or infinite); generate it again.")
    return takes


def _vertices(stored: dict[str, np.ndarray]) -> dict:
    """The fields of takes with vertices from a file's arrays; none where it has none."""
    if "vertex_weights" not in stored:
        return {}
    weights, components = stored["vertex_weights"], stored["vertex_components"]
    vertices = (weights @ components.reshape(len(components), -1)).reshape(*weights.shape[:2], *components.shape[1:])
    if not np.isfinite(vertices).all():
        raise ValueError("vertices that are not numbers")
    return {"vertices": vertices.astype(np.float16), "vertex_index": stored["vertex_index"], "rig": str(stored["rig"])}
