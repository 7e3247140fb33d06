"""FLAME: a face from the user's own generic_model.pkl, or an .npz of the same arrays.

Li et al. 2017, "Learning a model of facial shape and expression from 4D scans". The model may not be given away, so
users bring their own. Its expressions are principal components of scans and mean no single movement, so only what
its joints move has an ARKit equivalent: jaw and eyeballs. The other shapes are reported as missing.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from scipy.spatial.transform import Rotation

from render.rigs.archive import open_zip, read_file
from render.rigs.face import Face, eyeball_colors
from render.rigs.plain_pickle import MAX_ELEMENTS, RefusedPickle, load_plain
from talker.errors import TalkerError

ARRAYS = ("v_template", "f", "weights", "posedirs", "J_regressor")

NECK, JAW, EYES = 1, 2, (3, 4)
"""Joints of FLAME: 0 the root, 1 neck, 2 jaw, 3 and 4 the eyeballs."""

JAW_OPEN, JAW_ASIDE = np.radians(20.0), np.radians(6.0)
"""Rotations that jawOpen and jawLeft mean at 1: 20° part the incisors by some 35 mm at FLAME's size."""

JAW_FORWARD = 0.008
"""Metres that jawForward moves the jaw at 1; people reach 7 to 10 mm."""

LOOK = np.radians(30.0)
"""Rotation of an eyeball that an eyeLook shape means at 1, as in talker.formats."""


def read_flame(path: Path) -> Face:
    """A face from generic_model.pkl or .npz. No code in a pickle is run (render.rigs.plain_pickle)."""
    return _face(path.stem, flame_arrays(path))


def flame_arrays(path: Path, names: tuple[str, ...] = ARRAYS) -> dict[str, np.ndarray]:
    """FLAME's arrays by name, those that the file has. TalkerError for a file that is damaged or refused."""
    if path.suffix.lower() == ".npz":
        return _npz_arrays(path, names)
    try:
        return load_plain(read_file(path), names)
    except RefusedPickle as refused:
        raise TalkerError(
            f"{path.name} is refused because it holds {refused}; give FLAME's generic_model.pkl as its site has it."
        ) from refused


def _npz_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of an .npz, each checked against the size that its header says before it is made."""
    arrays = {}
    with open_zip(path, ".npy") as files:
        for name in names:
            if f"{name}.npy" not in files.names:
                continue
            content = files.read(f"{name}.npy")
            file = io.BytesIO(content)
            try:
                version = npy.read_magic(file)
                read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
                shape, fortran, dtype = read(file)
            except (ValueError, KeyError) as error:
                raise TalkerError(f"{path.name} is damaged at {name}; write it again.") from error
            count = math.prod(shape)
            whole = dtype.kind in "fiu" and min(shape, default=0) >= 0
            if not whole or count > MAX_ELEMENTS or count * dtype.itemsize > len(content) - file.tell():
                raise TalkerError(f"{path.name} is damaged at {name}; write it as plain numbers, without pickled objects.")
            array = np.frombuffer(content, dtype, count, file.tell())
            arrays[name] = array.reshape(shape, order="F" if fortran else "C")
    return arrays


def _face(name: str, arrays: dict[str, np.ndarray]) -> Face:
    missing = [key for key in ARRAYS if key not in arrays]
    if missing:
        raise TalkerError(f"{name} lacks {', '.join(missing)}; give FLAME's own generic_model file.")
    rest, weights, posedirs, regressor = (
        arrays[key].astype(np.float64) for key in ("v_template", "weights", "posedirs", "J_regressor")
    )
    count = len(rest)
    right = (
        rest.shape == (count, 3)
        and weights.shape == (count, 5)
        and posedirs.shape == (count, 3, 36)
        and regressor.shape == (5, count)
        and arrays["f"].ndim == 2
        and arrays["f"].shape[1] == 3
    )
    if not right:
        raise TalkerError(f"{name} has arrays of other sizes than FLAME; give FLAME's own generic_model file.")
    model = _Model(rest, weights, posedirs, regressor @ rest)
    return Face(
        source="FLAME",
        name=name,
        vertices=rest,
        faces=arrays["f"].astype(np.int64),
        deltas={label: delta.astype(np.float32) for label, delta in model.shapes().items()},
        labels=list(model.shapes()),
        colors=model.colors(),
        head_weight=1 - weights[:, 0],
        pivot=model.joints[NECK],
        notes=["only the jaw and the eyeballs of FLAME have ARKit equivalents"],
    )


class _Model:
    """FLAME's skinning: pose correctives, then linear blend skinning over five joints (Li et al. 2017, eq. 2)."""

    def __init__(self, rest: np.ndarray, weights: np.ndarray, posedirs: np.ndarray, joints: np.ndarray) -> None:
        self._rest, self._weights, self._posedirs, self.joints = rest, weights, posedirs, joints

    def moved(self, joint: int, rotation: Rotation, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
        """Delta (V, 3) of one joint without children, turned about itself and then moved."""
        turn = rotation.as_matrix()
        features = np.zeros((4, 3, 3))  # of all joints but the root, R - I
        features[joint - 1] = turn - np.eye(3)
        posed = self._rest + self._posedirs @ features.reshape(-1)
        turned = (posed - self.joints[joint]) @ turn.T + self.joints[joint] + shift
        return posed + self._weights[:, joint, None] * (turned - posed) - self._rest

    def shapes(self) -> dict[str, np.ndarray]:
        """ARKit names -> deltas (V, 3), in the axes of FLAME: +X the face's own left, +Y up, +Z out of the face."""
        shapes = {
            "jawOpen": self.moved(JAW, Rotation.from_rotvec((JAW_OPEN, 0, 0))),
            "jawLeft": self.moved(JAW, Rotation.from_rotvec((0, JAW_ASIDE, 0))),
            "jawRight": self.moved(JAW, Rotation.from_rotvec((0, -JAW_ASIDE, 0))),
            "jawForward": self.moved(JAW, Rotation.identity(), (0, 0, JAW_FORWARD)),
        }
        for side, joint in zip(("Left", "Right"), sorted(EYES, key=lambda eye: -self.joints[eye, 0])):
            out = 1 if side == "Left" else -1
            for name, axis in (("Down", (1, 0, 0)), ("Up", (-1, 0, 0)), ("Out", (0, out, 0)), ("In", (0, -out, 0))):
                shapes[f"eyeLook{name}{side}"] = self.moved(joint, Rotation.from_rotvec(LOOK * np.array(axis)))
        return shapes

    def colors(self) -> np.ndarray:
        """Eyeballs with an iris where they look along +Z; the rest has none (V, 4) uint8."""
        colors = np.zeros((len(self._rest), 4), np.uint8)
        for eye in EYES:
            ball = self._weights[:, eye] > 0.5
            if ball.any():
                colors[ball] = eyeball_colors(self._rest[ball])
        return colors
