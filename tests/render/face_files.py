"""Faces for tests of the rig files: the ball of conftest as other programs would write it."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np

from render.rig import Rig
from talker.motion import ARKIT_NAMES

EYE_HEIGHT, EYE_APART, EYE_RADIUS = 0.03, 0.031, 0.02


def face_rig(rig: Rig) -> Rig:
    """The ball with lids that close, brows and a jaw that moves forward: enough to see where up, front and left are."""
    deltas, skin = rig.deltas.copy(), rig.parts["skin"]
    vertices = rig.vertices[skin]
    for side, x in (("Left", EYE_APART), ("Right", -EYE_APART)):
        near = np.linalg.norm(vertices[:, :2] - (x, EYE_HEIGHT), axis=1) < EYE_RADIUS
        lid = skin[near & (vertices[:, 2] > 0)]
        deltas[ARKIT_NAMES.index(f"eyeBlink{side}"), lid, 1] = -0.005
    chin = skin[(vertices[:, 1] < -0.04) & (vertices[:, 2] > 0)]
    deltas[ARKIT_NAMES.index("jawForward"), chin, 2] = 0.004
    return dataclasses.replace(rig, deltas=deltas, name="face", pivot=np.array([0, -0.063, -0.012], np.float32))


def write_objs(rig: Rig, folder: Path, names: dict[str, str], scale: float = 1.0) -> Path:
    """An OBJ folder as modelling programs write it: neutral.obj and one per shape; names: ARKit -> file's own."""
    folder.mkdir(parents=True, exist_ok=True)
    polygons = "\n".join("f " + " ".join(f"{v + 1}/1/1" for v in face) for face in rig.faces)
    meshes = {"neutral": rig.vertices} | {
        label: rig.vertices + rig.deltas[ARKIT_NAMES.index(name)] for name, label in names.items()
    }
    for label, vertices in meshes.items():
        rows = "\n".join("v {:.9f} {:.9f} {:.9f}".format(*(scale * v)) for v in vertices.astype(float))
        (folder / f"{label}.obj").write_text(f"# a comment\nmtllib none.mtl\n{rows}\nvt 0 0\nvn 0 0 1\n{polygons}\n")
    return folder


class GlbMaker:
    """A glTF document in the making, for files such as other programs write, whole or broken."""

    def __init__(self) -> None:
        self.json: dict = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [],
            "accessors": [],
            "bufferViews": [],
        }
        self.binary = b""

    def view(self, array: np.ndarray, **more) -> int:
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": array.nbytes, **more})
        self.binary += array.tobytes() + b"\0" * (-array.nbytes % 4)
        return len(self.json["bufferViews"]) - 1

    def accessor(self, array: np.ndarray, **more) -> int:
        types = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
        kind = "SCALAR" if array.ndim == 1 else {2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[array.shape[1]]
        self.json["accessors"].append(
            {"bufferView": self.view(array), "componentType": types[str(array.dtype)], "count": len(array), "type": kind} | more
        )
        return len(self.json["accessors"]) - 1

    def mesh(self, rig: Rig, names: dict[str, str], rows: slice = slice(None)) -> dict:
        """A mesh with the rig's geometry and the shapes named: ARKit name -> what the file calls it."""
        targets = [{"POSITION": self.accessor(rig.deltas[ARKIT_NAMES.index(name)][rows])} for name in names]
        primitive = {
            "attributes": {"POSITION": self.accessor(rig.vertices[rows])},
            "indices": self.accessor(rig.faces.reshape(-1).astype(np.uint32)),
            "targets": targets,
        }
        mesh = {"primitives": [primitive], "extras": {"targetNames": list(names.values())}}
        self.json["meshes"].append(mesh)
        return mesh

    def bytes(self, length: int | None = None) -> bytes:
        text = json.dumps(self.json | {"buffers": [{"byteLength": len(self.binary)}]}).encode()
        text += b" " * (-len(text) % 4)
        size = 12 + 8 + len(text) + 8 + len(self.binary)
        parts = [struct.pack("<4sII", b"glTF", 2, size if length is None else length)]
        parts += [struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", len(self.binary), b"BIN\0"), self.binary]
        return b"".join(parts)
