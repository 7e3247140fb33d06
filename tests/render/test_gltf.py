"""GLB: read back by pygltflib and trimesh, a viewer would see what Rig.pose and Rig.turn compute."""

import numpy as np
import pygltflib
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from render.gltf import linear_colors, quaternions, write_glb
from render.rig import default_rig, rotation_matrices
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion

DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
COLUMNS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Reader:
    """Accessors of a GLB as arrays, sparse ones included, by the letter of glTF 2.0, section 3.6.2."""

    def __init__(self, path):
        self.gltf = pygltflib.GLTF2().load(str(path))
        self._binary = self.gltf.binary_blob()

    def _rows(self, view: int, offset: int, component: int, count: int, columns: int) -> np.ndarray:
        start = self.gltf.bufferViews[view].byteOffset + (offset or 0)
        return np.frombuffer(self._binary, DTYPES[component], count * columns, start).reshape(count, columns)

    def accessor(self, index: int) -> np.ndarray:
        accessor = self.gltf.accessors[index]
        columns = COLUMNS[accessor.type]
        if accessor.sparse is None:
            return self._rows(
                accessor.bufferView, accessor.byteOffset, accessor.componentType, accessor.count, columns
            )
        rows = np.zeros((accessor.count, columns), np.float32)
        sparse = accessor.sparse
        indices = self._rows(
            sparse.indices.bufferView, sparse.indices.byteOffset, sparse.indices.componentType, sparse.count, 1
        )
        assert (np.diff(indices[:, 0].astype(int)) > 0).all(), "glTF wants strictly increasing indices"
        rows[indices[:, 0]] = self._rows(
            sparse.values.bufferView, sparse.values.byteOffset, accessor.componentType, sparse.count, columns
        )
        return rows

    def channel(self, node: str, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Times (T,) and values of the animation of a named node."""
        animation = self.gltf.animations[0]
        for channel in animation.channels:
            if self.gltf.nodes[channel.target.node].name == node and channel.target.path == path:
                sampler = animation.samplers[channel.sampler]
                assert sampler.interpolation == "LINEAR"
                return self.accessor(sampler.input)[:, 0], self.accessor(sampler.output)
        raise KeyError((node, path))

    def placed(self, frame: int) -> list[np.ndarray]:
        """Global transforms (4, 4) of all nodes at a frame, by walking down from the scene's roots (glTF 3.5.3)."""
        places = [None] * len(self.gltf.nodes)
        todo = [(index, np.eye(4)) for index in self.gltf.scenes[self.gltf.scene].nodes]
        animation = self.gltf.animations[0]
        turns = {
            channel.target.node: self.accessor(animation.samplers[channel.sampler].output)[frame]
            for channel in animation.channels
            if channel.target.path == "rotation"
        }
        while todo:
            index, above = todo.pop()
            node = self.gltf.nodes[index]
            own = np.eye(4)
            own[:3, 3] = node.translation or 0
            if index in turns:
                own[:3, :3] = Rotation.from_quat(turns[index]).as_matrix()
            assert places[index] is None, "a node hangs in one place"
            places[index] = above @ own
            todo += [(child, places[index]) for child in node.children or []]
        return places

    def transforms(self, name: str, frame: int) -> np.ndarray:
        """What a viewer multiplies each vertex of a head with at a frame, (V, 4, 4): its node's transform, or, in a
        skin, the joints' instead (glTF 3.7.3.3)."""
        places = self.placed(frame)
        (index,) = [i for i, node in enumerate(self.gltf.nodes) if node.name == name]
        node = self.gltf.nodes[index]
        attributes = self.gltf.meshes[node.mesh].primitives[0].attributes
        count = self.gltf.accessors[attributes.POSITION].count
        if node.skin is None:
            return np.tile(places[index], (count, 1, 1))
        skin = self.gltf.skins[node.skin]
        inverse = self.accessor(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
        joints = np.stack([places[joint] @ bind for joint, bind in zip(skin.joints, inverse, strict=True)])
        weights = self.accessor(attributes.WEIGHTS_0).astype(np.float64)
        return np.einsum("vj,vjab->vab", weights, joints[self.accessor(attributes.JOINTS_0)])

    def vertices(self, name: str, frame: int) -> np.ndarray:
        """Where a viewer puts the vertices of a head at a frame: morph targets, then transforms."""
        nodes = {node.name: node for node in self.gltf.nodes}
        primitive = self.gltf.meshes[nodes[name].mesh].primitives[0]
        _, weights = self.channel(name, "weights")
        weights = weights.reshape(-1, len(primitive.targets))[frame]
        posed = self.accessor(primitive.attributes.POSITION).astype(np.float64)
        for weight, target in zip(weights, primitive.targets, strict=True):
            if weight:
                posed = posed + weight * self.accessor(target["POSITION"])
        return np.einsum("vab,vb->va", self.transforms(name, frame), np.pad(posed, ((0, 0), (0, 1)), constant_values=1))[:, :3]

    def normals(self, name: str, frame: int) -> np.ndarray:
        """Where the normals of a head without morphs point at a frame."""
        nodes = {node.name: node for node in self.gltf.nodes}
        normals = self.accessor(self.gltf.meshes[nodes[name].mesh].primitives[0].attributes.NORMAL)
        turned = np.einsum("vab,vb->va", self.transforms(name, frame)[:, :3, :3], normals)
        return turned / np.linalg.norm(turned, axis=1, keepdims=True)


@pytest.fixture(params=["ball_rig", "bust_rig", "corrective_rig"])
def rig(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def comparison(rig, motions, tmp_path) -> Reader:
    write_glb(rig, motions, tmp_path / "comparison.glb")
    return Reader(tmp_path / "comparison.glb")


def test_a_viewer_shows_what_the_rig_computes(comparison, rig, motions):
    for take, motion in enumerate(motions):
        aside = np.array([(take - 1) * 1.25 * np.ptp(rig.vertices[:, 0]), 0, 0])
        for frame in (0, 5, 11):
            turned = rig.turn(rig.pose(motion.coefficients[frame]), motion.head[frame])
            np.testing.assert_allclose(comparison.vertices(f"Take {take + 1}", frame), turned + aside, atol=2e-6)


def test_a_viewer_shows_the_default_head_as_the_rig_computes_it(tmp_path, rng):
    rig = default_rig()
    head = np.array([[0, 0, 0], [0.4, 0.3, -0.25], [-0.4, -0.3, 0.25]], np.float32)
    coefficients = rng.uniform(0, 1, (3, 52)).astype(np.float32)
    coefficients[0] = 0
    write_glb(rig, [Motion(coefficients, head), Motion(0 * coefficients, head)], tmp_path / "two.glb")
    viewer = Reader(tmp_path / "two.glb")
    aside = np.array([0.625 * np.ptp(rig.vertices[:, 0]), 0, 0])
    for frame in range(3):
        turned = rig.turn(rig.pose(coefficients[frame]), head[frame])
        np.testing.assert_allclose(viewer.vertices("Take 1", frame), turned - aside, atol=1e-5)
        resting = viewer.vertices("Take 2", frame)[rig.parts["clothes"]]
        np.testing.assert_allclose(resting, rig.vertices[rig.parts["clothes"]] + aside, atol=1e-6)
        expected = rig.turn_normals(viewer.normals("Take 2", 0), head[frame])
        np.testing.assert_allclose(viewer.normals("Take 2", frame), expected, atol=1e-5)


def test_a_neck_is_a_skin_of_two_joints_for_each_take(comparison, rig):
    gltf = comparison.gltf
    skinned = (rig.head_weight < 1).any()
    assert len(gltf.skins) == (3 if skinned else 0)
    if not skinned:
        assert gltf.meshes[0].primitives[0].attributes.JOINTS_0 is None
        return
    attributes = gltf.meshes[0].primitives[0].attributes
    joints, weights = comparison.accessor(attributes.JOINTS_0), comparison.accessor(attributes.WEIGHTS_0)
    assert joints.dtype == np.uint8 and (joints[weights == 0] == 0).all(), "the format names joint 0 where none acts"
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=2e-7)
    np.testing.assert_allclose((weights * (joints == 1)).sum(axis=1), rig.head_weight, atol=1e-7)
    taken = [joint for skin in gltf.skins for joint in skin.joints]
    assert len(set(taken)) == 6, "each take has joints of its own"
    assert len({skin.inverseBindMatrices for skin in gltf.skins}) == 1
    roots = gltf.scenes[0].nodes
    for take, skin in enumerate(gltf.skins):
        assert [gltf.nodes[joint].name for joint in skin.joints] == [f"Take {take + 1} neck_base", f"Take {take + 1} head"]
        shown = [i for i, node in enumerate(gltf.nodes) if node.skin == take]
        assert shown[0] in roots and gltf.nodes[shown[0]].translation is None, "a viewer ignores where it stands"


def test_the_animation_is_the_blend_weights_at_the_frame_rate(comparison, rig, motions):
    for take, motion in enumerate(motions):
        times, weights = comparison.channel(f"Take {take + 1}", "weights")
        np.testing.assert_allclose(times, np.arange(12) / 30, atol=1e-6)
        np.testing.assert_array_equal(weights.reshape(12, -1), rig.weights(motion.coefficients))
    corrected = rig.weights(motions[0].coefficients)[:, :52] != motions[0].coefficients
    assert corrected[:, ARKIT_INDEX["mouthClose"]].any(), "the correction of mouthClose is in the file"


def test_every_shape_has_its_arkit_name_and_a_target_and_correctives_follow(comparison, rig):
    for mesh in comparison.gltf.meshes:
        assert mesh.extras["targetNames"][:52] == list(ARKIT_NAMES)
        assert mesh.extras["targetNames"][52:] == [corrective.name for corrective in rig.correctives]
        assert len(mesh.primitives[0].targets) == len(mesh.weights) == 52 + len(rig.correctives)


def test_takes_share_their_geometry_but_not_their_mesh(comparison, rig, motions, tmp_path):
    meshes = comparison.gltf.meshes
    assert len(meshes) == 3
    first = meshes[0].primitives[0]
    for mesh in meshes:
        (primitive,) = mesh.primitives
        assert primitive.targets == first.targets and vars(primitive.attributes) == vars(first.attributes)
    write_glb(rig, motions[:1], tmp_path / "one.glb")
    one, three = ((tmp_path / name).stat().st_size for name in ("one.glb", "comparison.glb"))
    moving = 12 * (len(rig.targets) + 4) * 4
    assert three - one < 2 * (moving + 4000), "a further take costs its motion and its names"


def test_morphed_normals_are_those_of_the_moved_mesh(comparison, rig):
    primitive = comparison.gltf.meshes[0].primitives[0]
    target = primitive.targets[ARKIT_INDEX["browInnerUp"]]
    normals = comparison.accessor(primitive.attributes.NORMAL) + comparison.accessor(target["NORMAL"])
    moved = trimesh.Trimesh(
        rig.vertices + rig.deltas[ARKIT_INDEX["browInnerUp"]], rig.faces, process=False
    )
    skin = np.flatnonzero(rig.deltas[ARKIT_INDEX["browInnerUp"]].any(axis=1))
    # trimesh weighs by angle, the exporter by area: on a regular ball they differ by a degree or two.
    assert ((normals * moved.vertex_normals).sum(axis=1)[skin] > 0.995).all()


def test_normals_are_right_where_a_corrective_acts(corrective_rig, tmp_path):
    """Brows over an open mouth: the sum of the targets' normals is the normal of the corrected mesh."""
    row = np.zeros((1, 52), np.float32)
    row[0, [ARKIT_INDEX["jawOpen"], ARKIT_INDEX["browInnerUp"]]] = 1
    write_glb(corrective_rig, [Motion(row, np.zeros((1, 3), np.float32))], tmp_path / "one.glb")
    viewer = Reader(tmp_path / "one.glb")
    primitive = viewer.gltf.meshes[0].primitives[0]
    _, weights = viewer.channel("Take 1", "weights")
    normals = viewer.accessor(primitive.attributes.NORMAL).astype(np.float64)
    for weight, target in zip(weights, primitive.targets, strict=True):
        normals += weight * viewer.accessor(target["NORMAL"])
    moved = trimesh.Trimesh(corrective_rig.pose(row[0]), corrective_rig.faces, process=False)
    crown = corrective_rig.vertices[:, 1] > 0.07
    assert ((normals * moved.vertex_normals).sum(axis=1)[crown] > 0.995).all()


def test_quaternions_turn_as_the_matrices_and_never_jump(rng):
    t = np.linspace(0, 4 * np.pi, 400)
    head = np.stack([1.5 * t, 0.5 * np.sin(t), 0.8 * np.cos(2 * t)], axis=1)
    q = quaternions(head)
    np.testing.assert_allclose(Rotation.from_quat(q).as_matrix(), rotation_matrices(head), atol=1e-5)
    np.testing.assert_allclose(Rotation.from_quat(q).as_matrix(), Rotation.from_euler("YXZ", head).as_matrix(), atol=1e-5)
    assert np.abs(np.diff(q, axis=0)).max() < 0.1, "neighbours have one sign, or a viewer turns the long way round"


def test_trimesh_loads_the_scene(ball_rig, motions, tmp_path):
    write_glb(ball_rig, motions, tmp_path / "comparison.glb")
    scene = trimesh.load(tmp_path / "comparison.glb")
    assert sorted(scene.geometry) == ["Take 1", "Take 2", "Take 3"]
    for mesh in scene.geometry.values():
        assert mesh.faces.shape == ball_rig.faces.shape
        np.testing.assert_allclose(mesh.vertices, ball_rig.vertices, atol=1e-6)
    wide = np.ptp(ball_rig.vertices[:, 0])
    assert np.ptp(scene.bounds[:, 0]) == pytest.approx(3.5 * wide, rel=1e-3), "two gaps of 1.25 and one width"


def test_colours_are_linear_light(rig, comparison):
    """Middle grey 188 of sRGB is half the light; black, white and opacity stay."""
    colors = np.array([[0, 188, 255, 255], [10, 128, 64, 128]], np.uint8)
    linear = linear_colors(colors) / 65535
    np.testing.assert_allclose(linear[0], [0, 0.5029, 1, 1], atol=1e-3)
    np.testing.assert_allclose(linear[1], [0.00304, 0.21586, 0.05127, 128 / 255], atol=1e-4)
    primitive = comparison.gltf.meshes[0].primitives[0]
    np.testing.assert_array_equal(comparison.accessor(primitive.attributes.COLOR_0), linear_colors(rig.colors))


def test_bounds_and_alignment_are_what_the_format_demands(comparison):
    for view in comparison.gltf.bufferViews:
        assert view.byteOffset % 4 == 0
    primitive = comparison.gltf.meshes[0].primitives[0]
    for index in [primitive.attributes.POSITION, *(target["POSITION"] for target in primitive.targets)]:
        rows, accessor = comparison.accessor(index), comparison.gltf.accessors[index]
        np.testing.assert_allclose(accessor.min, rows.min(axis=0), atol=1e-7)
        np.testing.assert_allclose(accessor.max, rows.max(axis=0), atol=1e-7)
    assert comparison.gltf.asset.extras["synthetic"] is True


def test_one_frame_is_a_motion_and_none_is_refused(ball_rig, tmp_path):
    write_glb(ball_rig, [Motion(np.zeros((1, 52), np.float32), np.zeros((1, 3), np.float32))], tmp_path / "still.glb", ["Anna"])
    assert Reader(tmp_path / "still.glb").channel("Anna", "weights")[1].shape == (52, 1)
    with pytest.raises(TalkerError, match="no motion"):
        write_glb(ball_rig, [], tmp_path / "none.glb")
    assert [path.name for path in tmp_path.iterdir()] == ["still.glb"]
