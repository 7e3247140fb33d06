"""Vertices that a model moved, as a rig with components: what pictures and GLB then show."""

import dataclasses

import numpy as np
import pytest

from render.blend import vertex_normals
from render.export import write_outputs
from render.gltf import write_glb
from render.renderer import Renderer
from render.rig import default_rig
from render.vertex_animation import TOLERANCE, animated, component_rig
from talker.motion import ARKIT_INDEX, Motion
from talker.takes import load_takes
from training.three_diface import face_index
from tests.render.test_gltf import Reader


@pytest.fixture
def moved(corrective_rig, takes, rng):
    """Takes of the ball whose lower lip and crown move in ways that its shapes have not, and their vertices."""
    index = face_index(corrective_rig)
    ways = np.zeros((2, len(index), 3))
    ways[0, :, 0], ways[1, :, 2] = 0.01, 0.004 * rng.normal(size=len(index))
    vertices = np.einsum("stk,kvc->stvc", rng.uniform(-1, 1, (3, 12, 2)), ways)
    return dataclasses.replace(takes, vertices=vertices, vertex_index=index, rig=corrective_rig.fingerprint)


def test_the_rig_with_components_poses_what_the_model_moved(corrective_rig, moved):
    rig, motions, truth = animated(corrective_rig, moved)
    assert truth is None and len(rig.components) == 3 and rig.columns == 55
    assert rig.target_names[52:] == ("jawOpen_half", "jawOpen_browInnerUp", "component_1", "component_2", "component_3")
    for motion, vertices in zip(motions, moved.vertices):
        assert motion.coefficients.min() >= 0 and motion.coefficients.max() <= 1
        posed = rig.pose(motion.coefficients) - rig.vertices
        assert np.abs(posed[:, moved.vertex_index] - vertices).max() <= 2 * TOLERANCE
        # What the model does not move stays with the shapes.
        rest = np.setdiff1d(np.arange(len(rig.vertices)), moved.vertex_index)
        shapes = corrective_rig.pose(motion.coefficients[:, :52]) - rig.vertices
        assert np.allclose(posed[:, rest], shapes[:, rest], atol=1e-6)


def test_vertices_of_another_rig_or_none_leave_takes_as_they_are(ball_rig, corrective_rig, moved, takes):
    assert animated(ball_rig, moved)[0] is ball_rig  # another fingerprint
    rig, motions, _ = animated(corrective_rig, takes)
    assert rig is corrective_rig and motions[0].coefficients.shape == (12, 52)


def test_recorded_motion_beside_them_moves_as_its_coefficients_say(corrective_rig, moved, motions):
    rig, _, truth = animated(corrective_rig, moved, motions[1])
    assert np.allclose(rig.pose(truth.coefficients), corrective_rig.pose(motions[1].coefficients), atol=2 * TOLERANCE)


def test_brows_and_lashes_go_with_the_skin_below_them(rng):
    """On the default head: where the model does what the shapes do, all is as the rig has it; what it does beyond, here
    3 mm up, brows, lashes and the lips' inside do too, and the teeth do not."""
    rig = default_rig()
    index = face_index(rig)
    coefficients = np.zeros((4, 52), np.float32)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0, 0.3, 0.6, 0.9
    coefficients[:, ARKIT_INDEX["browInnerUp"]] = 0.9, 0.6, 0.3, 0
    motion = Motion(coefficients, np.zeros((4, 3), np.float32))
    shapes = rig.pose(coefficients) - rig.vertices
    same, (as_rig,) = component_rig(rig, [motion], [shapes[:, index]], index)
    assert np.abs(same.pose(as_rig.coefficients) - rig.pose(coefficients)).max() < 3 * TOLERANCE
    higher, (up,) = component_rig(rig, [motion], [shapes[:, index] + np.float32([0, 0.003, 0])], index)
    beyond = higher.pose(up.coefficients) - rig.pose(coefficients)
    for part in ("brows", "lashes", "mouth_inner", "skin"):
        rows = np.intersect1d(rig.parts[part], index) if part == "skin" else rig.parts[part]
        assert np.allclose(beyond[:, rows, 1], 0.003, atol=3 * TOLERANCE), part
    assert np.abs(beyond[:, rig.parts["teeth_lower"]]).max() < 1e-6


def test_a_viewer_shows_the_vertices(corrective_rig, moved, tmp_path):
    rig, motions, _ = animated(corrective_rig, moved)
    write_glb(rig, motions[:1], tmp_path / "one.glb")
    viewer = Reader(tmp_path / "one.glb")
    for frame in (0, 7):
        seen = viewer.vertices("Take 1", frame)
        posed = corrective_rig.pose(moved.coefficients[0, frame])
        posed[moved.vertex_index] = rig.vertices[moved.vertex_index] + moved.vertices[0, frame]
        assert np.abs(seen - rig.turn(posed, motions[0].head[frame])).max() < 3 * TOLERANCE


def test_a_viewer_lights_the_face_as_it_lies(rng, tmp_path):
    """Of the default head's jaw and brows, moved by ways that are no shapes: normals within a degree nearly
    everywhere, where the shapes' own ways of morphing normals leave several degrees."""
    rig = default_rig()
    index = face_index(rig)
    motion = Motion(np.zeros((24, 52), np.float32), np.zeros((24, 3), np.float32))
    ways = rig.deltas[[ARKIT_INDEX[name] for name in ("jawOpen", "mouthPucker", "browInnerUp")]][:, index]
    vertices = np.einsum("tk,kvc->tvc", rng.uniform(0, 0.8, (24, 3)), ways)
    moving, (shown,) = component_rig(rig, [motion], [vertices], index)
    write_glb(moving, [shown], tmp_path / "one.glb")
    viewer = Reader(tmp_path / "one.glb")
    primitive = viewer.gltf.meshes[0].primitives[0]
    weights = viewer.channel("Take 1", "weights")[1].reshape(24, -1)[9]
    morphed = viewer.accessor(primitive.attributes.NORMAL).astype(np.float64)
    for weight, target in zip(weights, primitive.targets):
        morphed = morphed + weight * viewer.accessor(target["NORMAL"])
    true = vertex_normals(moving.pose(shown.coefficients[9]), rig.faces)
    cosine = (morphed * true).sum(axis=1) / np.linalg.norm(morphed, axis=1) / np.linalg.norm(true, axis=1)
    assert np.quantile(np.degrees(np.arccos(np.clip(cosine[index], -1, 1))), 0.95) < 1.0


def test_pictures_show_the_vertices_and_not_the_coefficients(corrective_rig, moved):
    rig, motions, _ = animated(corrective_rig, moved)
    with Renderer(rig, 1, 320, 240, captions=[""]) as renderer:
        first, again = (next(iter(renderer.frames([motions[k]]))) for k in (0, 1))
    with Renderer(corrective_rig, 1, 320, 240, captions=[""]) as renderer:
        shapes = next(iter(renderer.frames([moved.motions[0]])))
    assert np.abs(first.astype(int) - shapes).max() > 30 and np.abs(first.astype(int) - again).max() > 30


def test_everything_is_written_and_the_takes_file_keeps_the_vertices(corrective_rig, moved, speech, tmp_path):
    outputs = write_outputs(moved, speech, tmp_path, corrective_rig, video=False)
    assert np.abs(load_takes(outputs.takes_npz).vertices - moved.vertices).max() < 5e-5
    names = Reader(outputs.glbs[0]).gltf.meshes[0].extras["targetNames"]
    assert names[-3:] == ["component_1", "component_2", "component_3"]
    assert len(outputs.csvs) == 3 and all(path.exists() for path in outputs.files)
