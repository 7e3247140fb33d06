"""GLB: a face from a glTF 2.0 file with ARKit-named morph targets, .glb or .gltf with everything inside.

All meshes of the scene are merged at rest: nodes' transforms, or the joints of a skin. A joint named head says how
far each vertex goes with the head.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import sparse
from scipy.spatial.transform import Rotation

from render.colors import to_linear, to_srgb
from render.rigs.face import Face, check_size
from render.rigs.gltf_document import Broken, Document
from render.rigs.names import arkit_shapes
from talker.errors import TalkerError

MAX_NODES = 10_000
MAX_PRIMITIVES = 256
MAX_TARGETS = 1000

MAX_PIXELS = 4096 * 4096
"""Of a texture that colours are taken from."""

TRIANGLES, STRIP, FAN = 4, 5, 6

_HEAD = re.compile(r"(^|[^a-z])head$", re.IGNORECASE)
"""Joints that carry a head: "head", "Head", "mixamorig:Head", "Take 1 head"; not "HeadTop_End"."""


def read_glb(path: Path) -> Face:
    """A face from a .glb or .gltf.

    Raises TalkerError for anything broken, too large, compressed, or spread over several files.
    """
    try:
        return _Scene(Document(path)).face(path.stem)
    except TalkerError:
        raise
    except Broken as broken:
        raise TalkerError(f"{path.name} is not a glTF file that can be read: {broken}; export it again as .glb.") from broken
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        # JSON may hold any kind of value in any place; what is not looked at one by one above ends here.
        raise TalkerError(f"{path.name} is not a glTF file that can be read; export it again as .glb.") from error


class _Scene:
    """The nodes of a document's scene, and where they stand at rest."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = document.items("nodes")
        if len(self._nodes) > MAX_NODES:
            raise TalkerError(f"{document.label} has {len(self._nodes):,} nodes; give a file with only the face.")
        self._places, self._head, self._pivot = self._walk()

    def _walk(self) -> tuple[dict[int, np.ndarray], set[int], np.ndarray | None]:
        """Global transforms of the nodes in the scene, which of them hang on a head, and where the first head turns."""
        scenes = self._document.items("scenes")
        if scenes:
            roots = self._document.item("scenes", self._document.json.get("scene", 0)).get("nodes", [])
        else:
            below = {child for node in self._nodes for child in node.get("children", []) if isinstance(child, int)}
            roots = [i for i in range(len(self._nodes)) if i not in below]
        places, head, pivot = {}, set(), None
        todo = [(index, np.eye(4), False) for index in reversed(_list(roots))]
        while todo:
            index, above, on_head = todo.pop()
            node = self._document.item("nodes", index)
            if index in places:
                raise Broken("a node hangs in two places")
            places[index] = above @ _transform(node)
            if not on_head and "mesh" not in node and _HEAD.search(str(node.get("name", ""))):
                on_head = True
                pivot = places[index][:3, 3] if pivot is None else pivot
            if on_head:
                head.add(index)
            todo += [(child, places[index], on_head) for child in reversed(_list(node.get("children", [])))]
        return places, head, pivot

    def face(self, name: str) -> Face:
        """All meshes of the scene as one."""
        parts, shown = [], set()
        for index, place in self._places.items():
            if "mesh" not in self._nodes[index]:
                continue
            mesh = self._document.item("meshes", self._nodes[index]["mesh"])
            for primitive in _list(mesh.get("primitives")):
                if not isinstance(primitive, dict) or not isinstance(primitive.get("attributes"), dict):
                    raise Broken("a mesh has no attributes")
                position = primitive["attributes"].get("POSITION")
                if primitive.get("mode", TRIANGLES) not in (TRIANGLES, STRIP, FAN) or position is None:
                    continue
                # The same head again, beside the first: one is enough.
                geometry = (position, primitive.get("indices"))
                if geometry not in shown:
                    shown.add(geometry)
                    parts.append((index, place, mesh, primitive))
        if len(parts) > MAX_PRIMITIVES:
            raise TalkerError(f"{self._document.label} has {len(parts)} meshes; give a file with only the face.")
        if not parts:
            raise TalkerError(f"{self._document.label} holds no triangles; give a mesh of a face.")
        check_size(self._document.label, sum(self._document.count(p["attributes"]["POSITION"]) for *_, p in parts))
        return self._merged(name, [_Part(self._document, *part, self) for part in parts])

    def _merged(self, name: str, parts: list[_Part]) -> Face:
        counts = [len(part.vertices) for part in parts]
        starts = np.concatenate([[0], np.cumsum(counts)])
        deltas: dict[str, np.ndarray] = {}
        for part, start in zip(parts, starts):
            for shape, delta in part.deltas.items():
                whole = deltas.setdefault(shape, np.zeros((starts[-1], 3), np.float32))
                whole[start : start + len(delta)] = delta
        labels = list(dict.fromkeys(label for part in parts for label in part.labels))
        head = None
        if self._pivot is not None and any(part.head_weight is not None for part in parts):
            head = np.concatenate([
                np.full(count, float(part.goes_with_head)) if part.head_weight is None else part.head_weight
                for part, count in zip(parts, counts)
            ])  # fmt: skip
        return Face(
            source="GLB",
            name=name,
            vertices=np.concatenate([part.vertices for part in parts]),
            faces=np.concatenate([part.faces + start for part, start in zip(parts, starts)]),
            deltas=deltas,
            labels=labels,
            colors=np.concatenate([part.colors for part in parts]),
            head_weight=head if head is not None and head.any() else None,
            pivot=self._pivot if head is not None and head.any() else None,
        )

    def joints(self, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Transforms (J, 4, 4) of a node's skin at rest, and which joints hang on the head (J,); None without a skin."""
        if "skin" not in self._nodes[index]:
            return None
        skin = self._document.item("skins", self._nodes[index]["skin"])
        joints = _list(skin.get("joints"))
        for joint in joints:
            self._document.item("nodes", joint)
        places = np.stack([self._places.get(joint, np.eye(4)) for joint in joints]) if joints else np.eye(4)[None]
        if "inverseBindMatrices" in skin:
            inverse = self._document.accessor(skin["inverseBindMatrices"], (16,))
            if len(inverse) < len(joints):
                raise Broken("a skin has too few matrices")
            places = places @ inverse[: len(places)].reshape(-1, 4, 4).swapaxes(1, 2)  # column by column
        return places, np.array([joint in self._head for joint in joints])

    def hangs_on_head(self, index: int) -> bool:
        """Whether a node stands below a joint named head."""
        return index in self._head


class _Part:
    """One primitive at rest: vertices, triangles, deltas by ARKit names, colours, and how it goes with the head."""

    def __init__(self, document: Document, node: int, place: np.ndarray, mesh: dict, primitive: dict, scene: _Scene):
        attributes = primitive["attributes"]
        rest = document.accessor(attributes["POSITION"], (3,)).astype(np.float64)
        self.faces = _triangles(document, primitive, len(rest))
        targets = _list(primitive.get("targets", []))
        if len(targets) > MAX_TARGETS:
            raise TalkerError(f"{document.label} has {len(targets):,} shapes on one mesh; give at most {MAX_TARGETS:,}.")
        self.labels = _names(document, mesh, primitive, targets)
        self.deltas = {}
        wanted = arkit_shapes(self.labels)
        for label, target in zip(self.labels, targets):
            if not isinstance(target, dict):
                raise Broken("a morph target is not an object")
            shape = wanted.pop(label, None)
            if shape is None or "POSITION" not in target:
                continue
            delta = document.accessor(target["POSITION"], (3,)).astype(np.float64)
            if len(delta) != len(rest):
                raise Broken(f"its shape {label[:32]} has {len(delta):,} vertices and the neutral {len(rest):,}")
            self.deltas[shape] = delta
        self.goes_with_head = scene.hangs_on_head(node) or bool(self.deltas)
        self.head_weight = None
        transforms, blend = place[None], sparse.csr_array(np.ones((len(rest), 1)))
        skin = scene.joints(node)
        if skin is not None and "JOINTS_0" in attributes and "WEIGHTS_0" in attributes:
            transforms, on_head = skin
            blend = _influences(document, attributes, len(rest), len(transforms))
            self.head_weight = blend @ on_head if on_head.any() else None
        # One affine transform per vertex (linear blend skinning).
        moves = (blend @ transforms[:, :3].reshape(-1, 12)).reshape(-1, 3, 4)
        self.vertices = np.einsum("vij,vj->vi", moves[:, :, :3], rest) + moves[:, :, 3]
        self.deltas = {
            shape: np.einsum("vij,vj->vi", moves[:, :, :3], delta).astype(np.float32)
            for shape, delta in self.deltas.items()
        }
        self.colors = _colors(document, primitive, len(rest))


def _influences(document: Document, attributes: dict, count: int, joints: int) -> sparse.csr_array:
    """How much each joint moves each vertex (V, J), rows of sum one."""
    sets = [k for k in range(2) if f"JOINTS_{k}" in attributes and f"WEIGHTS_{k}" in attributes]
    joint, weight = (
        np.concatenate([document.accessor(attributes[f"{kind}_{k}"], (4,)) for k in sets], axis=1)
        for kind in ("JOINTS", "WEIGHTS")
    )
    if joint.shape != (count, weight.shape[1]) or len(weight) != count or joint.max(initial=0) >= joints:
        raise Broken("a skin points at joints it does not have")
    weight = np.nan_to_num(weight.astype(np.float64))
    weight[weight.sum(axis=1) <= 0, 0] = 1
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(count), joint.shape[1])
    return sparse.csr_array((weight.reshape(-1), (rows, joint.reshape(-1).astype(np.int64))), shape=(count, joints))


def _triangles(document: Document, primitive: dict, count: int) -> np.ndarray:
    if "indices" in primitive:
        order = document.accessor(primitive["indices"], (1,))[:, 0]
        if order.dtype.kind != "u":
            raise Broken("its triangles are not whole numbers")
        order = order.astype(np.int64)
    else:
        order = np.arange(count)
    if len(order) and order.max() >= count:
        raise TalkerError(f"{document.label} has triangles that point at vertices it does not have; export it again.")
    mode = primitive.get("mode", TRIANGLES)
    if mode == TRIANGLES:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if mode == FAN:
        return np.stack([np.full(max(len(order) - 2, 0), order[0] if len(order) else 0), order[1:-1], order[2:]], axis=1)
    strip = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    strip[1::2] = strip[1::2, [1, 0, 2]]
    return strip


def _names(document: Document, mesh: dict, primitive: dict, targets: list) -> list[str]:
    """What the morph targets are called: extras.targetNames, or else the names of their accessors."""
    for holder in (mesh, primitive):
        extras = holder.get("extras")
        names = extras.get("targetNames") if isinstance(extras, dict) else None
        if isinstance(names, list) and names:
            return [str(name)[:200] for name in names[: len(targets)]]
    names = []
    for target in targets:
        accessor = document.item("accessors", target["POSITION"]) if isinstance(target, dict) and "POSITION" in target else {}
        names.append(str(accessor.get("name", ""))[:200])
    return names


def _transform(node: dict) -> np.ndarray:
    """Local transform (4, 4) of a node."""
    try:
        if "matrix" in node:
            transform = np.array(node["matrix"], np.float64).reshape(4, 4).T
        else:
            transform = np.eye(4)
            turn = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64).reshape(4)
            scale = np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
            transform[:3, :3] = Rotation.from_quat(turn).as_matrix() * scale
            transform[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    except (ValueError, TypeError) as error:
        raise Broken("a node's transform is not numbers") from error
    if not np.isfinite(transform).all():
        raise Broken("a node's transform is not finite")
    return transform


def _colors(document: Document, primitive: dict, count: int) -> np.ndarray:
    """sRGB colours (V, 4) uint8: material colour times vertex colours times the texture where the vertices lie."""
    linear = np.ones((count, 3))
    attributes = primitive["attributes"]
    material = document.item("materials", primitive["material"]) if "material" in primitive else {}
    surface = material.get("pbrMetallicRoughness")
    surface = surface if isinstance(surface, dict) else {}
    factor = surface.get("baseColorFactor", (1, 1, 1, 1))
    if isinstance(factor, list) and len(factor) == 4 and all(isinstance(x, int | float) for x in factor):
        linear = linear * np.clip(factor[:3], 0, 1)
    if "COLOR_0" in attributes:
        given = document.accessor(attributes["COLOR_0"], (3, 4)).astype(np.float64)
        if len(given) != count:
            raise Broken("its colours are not one per vertex")
        linear = linear * np.clip(np.nan_to_num(given[:, :3]), 0, 1)
    if "COLOR_0" not in attributes and "baseColorFactor" not in surface and "baseColorTexture" not in surface:
        return np.zeros((count, 4), np.uint8)
    texture = _texture(document, surface.get("baseColorTexture"), attributes, count)
    if texture is not None:
        linear = linear * texture
    return np.pad(np.round(255 * to_srgb(linear)).astype(np.uint8), ((0, 0), (0, 1)), constant_values=255)


def _texture(document: Document, texture: object, attributes: dict, count: int) -> np.ndarray | None:
    """Linear colours (V, 3) of a texture at the vertices; None where there is none that can be read."""
    if not isinstance(texture, dict):
        return None
    at = f"TEXCOORD_{texture.get('texCoord', 0)}"
    if at not in attributes:
        return None
    places = document.accessor(attributes[at], (2,)).astype(np.float64)
    source = document.item("textures", texture.get("index")).get("source")
    if source is None or len(places) != count:
        return None
    image = document.item("images", source)
    content = document.view(image["bufferView"]) if "bufferView" in image else document.data_uri(image.get("uri"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
            if picture.width * picture.height > MAX_PIXELS:
                return None
            picture.draft("RGB", (1024, 1024))  # a JPEG need not be decoded finer than vertices lie
            pixels = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        return None
    u, v = np.nan_to_num(places).T % 1.0
    high, wide = pixels.shape[:2]
    return to_linear(pixels[np.minimum((v * high).astype(int), high - 1), np.minimum((u * wide).astype(int), wide - 1)] / 255)


def _list(value: object) -> list:
    if not isinstance(value, list):
        raise Broken("a list is missing")
    return value
