"""glTF 2.0 documents read with every index, length and size checked: the JSON, its buffers, its accessors.

A reader of our own, because pygltflib and trimesh trust what a file says about itself: neither checks bounds before
it allocates, reads sparse accessors, or gives morph targets and their names.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from pathlib import Path

import numpy as np

from render.rigs.archive import MAX_ENTRY, read_file
from render.rigs.face import check_size
from talker.errors import TalkerError

MAX_JSON = 16 * 2**20
"""Bytes of the JSON chunk; a face with its animation has under one MB."""

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_UNREADABLE = {
    "KHR_draco_mesh_compression": "Draco",
    "EXT_meshopt_compression": "meshopt",
    "KHR_meshopt_compression": "meshopt",
}


class Broken(Exception):
    """What is wrong with the document, in a few words; readers make a sentence of it."""


class Document:
    """A glTF document: items(kind) of the JSON, and accessors as arrays."""

    def __init__(self, path: Path) -> None:
        content = read_file(path)
        self.label = path.name
        text, self._binary = _chunks(content) if content[:4] == b"glTF" else (content, b"")
        if len(text) > MAX_JSON:
            raise TalkerError(
                f"{self.label} has a JSON part of {len(text) / 2**20:.0f} MB; give a face of at most "
                f"{MAX_JSON // 2**20} MB, without other scenes and animations."
            )
        try:
            self.json = json.loads(text.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise Broken("its JSON cannot be read") from error
        if not isinstance(self.json, dict) or not isinstance(self.json.get("asset"), dict):
            raise Broken("its JSON is not a glTF document")
        if not str(self.json["asset"].get("version", "")).startswith("2."):
            raise TalkerError(f"{self.label} is not glTF 2.0; export it as glTF 2.0 (.glb).")
        for name, what in _UNREADABLE.items():
            if name in (self.json.get("extensionsRequired") or []):
                raise TalkerError(f"{self.label} is compressed with {what}; export it without mesh compression.")
        self._buffers: dict[int, bytes] = {}

    def items(self, kind: str) -> list[dict]:
        """A list of the document, such as "nodes"; empty where it has none."""
        items = self.json.get(kind, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Broken(f"its {kind} are not a list")
        return items

    def item(self, kind: str, index: object) -> dict:
        """One of a list; Broken where the index points nowhere."""
        items = self.items(kind)
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(items):
            raise Broken(f"an index into its {kind} is out of range")
        return items[index]

    def accessor(self, index: object, columns: tuple[int, ...]) -> np.ndarray:
        """Rows (n, c) of an accessor, c one of `columns`: float32 where floating or normalised, else its integers."""
        accessor = self.item("accessors", index)
        count, kind = accessor.get("count"), _COLUMNS.get(accessor.get("type"))
        dtype = _dtype(accessor)
        if kind not in columns or not _natural(count):
            raise Broken("an accessor has no usable type or count")
        check_size(self.label, 0 if kind == 1 else count, count // 3)
        if "bufferView" in accessor:
            rows = self._rows(accessor["bufferView"], accessor.get("byteOffset", 0), dtype, count, kind)
        else:
            rows = np.zeros((count, kind), dtype)
        if "sparse" in accessor:
            rows = self._sparse(accessor["sparse"], rows)
        if dtype.kind == "f" or not accessor.get("normalized"):
            return rows
        scaled = rows.astype(np.float32) / np.iinfo(dtype).max
        return np.maximum(scaled, -1)  # glTF 3.6.2.3

    def count(self, index: object) -> int:
        """How many rows an accessor says it has."""
        count = self.item("accessors", index).get("count")
        if not _natural(count):
            raise Broken("an accessor has no count")
        return count

    def view(self, index: object) -> bytes:
        """The bytes of a bufferView."""
        view = self.item("bufferViews", index)
        buffer = self._buffer(view.get("buffer"))
        start, length = view.get("byteOffset", 0), view.get("byteLength")
        if not _natural(start) or not _natural(length) or start + length > len(buffer):
            raise Broken("a part of it lies outside its data")
        return buffer[start : start + length]

    def _rows(self, view: object, offset: object, dtype: np.dtype, count: int, columns: int) -> np.ndarray:
        data, width = self.view(view), dtype.itemsize * columns
        stride = self.item("bufferViews", view).get("byteStride", width)
        if not _natural(offset) or not _natural(stride) or stride < width:
            raise Broken("an accessor's layout makes no sense")
        if count and offset + stride * (count - 1) + width > len(data):
            raise Broken("an accessor lies outside its data")
        rows = np.ndarray((count, columns), dtype, data, offset, (stride, dtype.itemsize))
        return rows.copy()

    def _sparse(self, sparse: object, rows: np.ndarray) -> np.ndarray:
        """Rows with those that a sparse accessor replaces (glTF 3.6.2.3)."""
        if not isinstance(sparse, dict) or not _natural(sparse.get("count")) or sparse["count"] > len(rows):
            raise Broken("a sparse accessor makes no sense")
        indices, values = (sparse.get(key) for key in ("indices", "values"))
        if not isinstance(indices, dict) or not isinstance(values, dict):
            raise Broken("a sparse accessor makes no sense")
        dtype = _dtype(indices)
        if dtype.kind != "u":
            raise Broken("a sparse accessor has indices that are not whole numbers")
        where = self._rows(indices.get("bufferView"), indices.get("byteOffset", 0), dtype, sparse["count"], 1)[:, 0]
        if len(where) and where.max() >= len(rows):
            raise Broken("a sparse accessor points outside its rows")
        rows[where] = self._rows(values.get("bufferView"), values.get("byteOffset", 0), rows.dtype, len(where), rows.shape[1])
        return rows

    def _buffer(self, index: object) -> bytes:
        buffer = self.item("buffers", index)
        if index not in self._buffers:
            if "uri" not in buffer:
                if index != 0 or not self._binary:
                    raise Broken("a buffer has no data")
                self._buffers[index] = self._binary
            else:
                self._buffers[index] = self.data_uri(buffer["uri"])
        return self._buffers[index]

    def data_uri(self, uri: object) -> bytes:
        """The bytes in a data URI; anything else is refused, since files beside this one are not read."""
        head, comma, data = str(uri).partition(",")
        if not head.startswith("data:") or not comma:
            raise TalkerError(f"{self.label} needs other files beside it; export it as one .glb with everything inside.")
        if not head.endswith(";base64") or len(data) > 2 * MAX_ENTRY:
            raise Broken("its data URI cannot be read")
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Broken("its data URI cannot be read") from error


def _chunks(content: bytes) -> tuple[bytes, bytes]:
    """The JSON and the binary chunk of a GLB container (glTF 4.4)."""
    if len(content) < 20:
        raise Broken("it is cut off")
    version, length = struct.unpack("<II", content[4:12])
    if version != 2:
        raise Broken("it is not of version 2")
    if length > len(content):
        raise Broken("it is cut off")
    chunks, at = {}, 12
    while at + 8 <= length:
        size, kind = struct.unpack("<I4s", content[at : at + 8])
        if at + 8 + size > length:
            raise Broken("it is cut off")
        chunks.setdefault(kind, content[at + 8 : at + 8 + size])
        at += 8 + size + (-size % 4)
    if b"JSON" not in chunks:
        raise Broken("it has no JSON")
    return chunks[b"JSON"], chunks.get(b"BIN\0", b"")


def _dtype(holder: dict) -> np.dtype:
    name = _COMPONENTS.get(holder.get("componentType"))
    if name is None:
        raise Broken("an accessor has no usable component type")
    return np.dtype(name)


def _natural(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
