"""Rig: blend weights, posing, head rotation, lip aperture, and its file."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from render.rig import default_rig, lip_aperture, load_rig, rotation_matrices, save_rig
from talker.errors import TalkerError
from talker.blend_weights import MOUTH_CLOSE_SLACK
from talker.motion import ARKIT_INDEX, ARKIT_NAMES


def coefficients(**values) -> np.ndarray:
    row = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in values.items():
        row[ARKIT_INDEX[name]] = value
    return row


def test_lips_close_only_as_far_as_the_jaw_is_open(ball_rig):
    given = coefficients(jawOpen=0.3, mouthClose=1.0, mouthSmileLeft=1.7, browInnerUp=-0.2)
    weights = ball_rig.weights(given)
    assert weights[ARKIT_INDEX["mouthClose"]] == pytest.approx(0.3 + MOUTH_CLOSE_SLACK)
    assert weights[ARKIT_INDEX["jawOpen"]] == pytest.approx(0.3)
    assert weights[ARKIT_INDEX["mouthSmileLeft"]] == 1.0
    assert weights[ARKIT_INDEX["browInnerUp"]] == 0.0
    assert given[ARKIT_INDEX["mouthClose"]] == 1.0, "the caller's array stays as it was"


def test_weights_refuse_another_number_of_columns(ball_rig):
    with pytest.raises(TalkerError, match="51 columns"):
        ball_rig.weights(np.zeros((4, 51)))


def test_pose_is_the_neutral_plus_the_weighted_deltas(ball_rig, rng):
    frames = rng.uniform(0, 1, (7, 52)).astype(np.float32)
    posed = ball_rig.pose(frames)
    weights = ball_rig.weights(frames)
    expected = ball_rig.vertices + np.einsum("tk,kvc->tvc", weights, ball_rig.deltas)
    assert posed.shape == (7, len(ball_rig.vertices), 3)
    np.testing.assert_allclose(posed, expected, atol=1e-6)
    np.testing.assert_allclose(ball_rig.pose(frames[3]), posed[3], atol=1e-6)
    np.testing.assert_array_equal(ball_rig.pose(np.zeros(52)), ball_rig.vertices)


def test_correctives_act_between_shapes_and_between_their_ends(corrective_rig):
    """One shape's corrective is greatest half-way and gone at its ends; several shapes' is their product."""
    frames = np.stack([coefficients(jawOpen=a, browInnerUp=b) for a, b in ((0, 1), (0.5, 0), (1, 0), (0.25, 0.8), (1, 1))])
    weights = corrective_rig.weights(frames)
    assert weights.shape == (5, 54)
    assert corrective_rig.target_names[52:] == ("jawOpen_half", "jawOpen_browInnerUp")
    np.testing.assert_allclose(weights[:, 52], [0, 1, 0, 0.75, 0], atol=1e-6)
    np.testing.assert_allclose(weights[:, 53], [0, 0, 0, 0.2, 1], atol=1e-6)
    posed = corrective_rig.pose(frames)
    crown, lip = corrective_rig.vertices[:, 1].argmax(), corrective_rig.landmarks["inner_lip_lower"]
    rise = posed[:, crown, 1] - corrective_rig.vertices[crown, 1]
    np.testing.assert_allclose(rise, [0.010, 0, 0, 0.007, 0.005], atol=1e-6)
    swing = (posed - corrective_rig.vertices)[:, lip, 2].mean(axis=1)
    np.testing.assert_allclose(swing, [0, 0.005, 0, 0.00375, 0], atol=1e-6)
    gap = [np.hypot(0.01, 0.005), 0.02]
    np.testing.assert_allclose(lip_aperture(corrective_rig, frames[1:3]), gap, atol=1e-6, err_msg="metrics see them")


def test_correctives_are_saved_with_the_rig(corrective_rig, tmp_path):
    save_rig(corrective_rig, tmp_path / "head.npz")
    loaded = load_rig(tmp_path / "head.npz")
    assert loaded.correctives == corrective_rig.correctives
    np.testing.assert_array_equal(loaded.targets, corrective_rig.targets)
    unknown = (dataclasses.replace(corrective_rig.correctives[0], shapes=("jawOpened",)), corrective_rig.correctives[1])
    save_rig(dataclasses.replace(corrective_rig, correctives=unknown), tmp_path / "head.npz")
    with pytest.raises(TalkerError, match="broken"):
        load_rig(tmp_path / "head.npz")


def test_rotation_agrees_with_scipy(rng):
    head = rng.uniform(-1.2, 1.2, (50, 3))
    expected = Rotation.from_euler("YXZ", head).as_matrix()
    np.testing.assert_allclose(rotation_matrices(head), expected, atol=1e-6)


def test_rotation_turns_the_way_the_names_say():
    nose, left_ear = np.array([0, 0, 1.0]), np.array([1.0, 0, 0])
    yaw, pitch, roll = rotation_matrices(0.3 * np.eye(3))
    assert (yaw @ nose)[0] > 0.2, "yaw > 0 turns the nose to the face's own left"
    assert (pitch @ nose)[1] < -0.2, "pitch > 0 nods down"
    assert (roll @ left_ear)[1] > 0.2, "roll > 0 raises the face's own left side"


def test_a_rig_turns_as_one_piece_unless_it_has_weights(ball_rig):
    """For each vertex what a rotation about the pivot is: distances to the pivot stay, all move by R."""
    np.testing.assert_array_equal(ball_rig.head_weight, 1)
    turn = Rotation.from_euler("YXZ", [0.4, 0.3, -0.2])
    expected = turn.apply(ball_rig.vertices - ball_rig.pivot) + ball_rig.pivot
    turned = ball_rig.turn(ball_rig.vertices, np.array([0.4, 0.3, -0.2]))
    np.testing.assert_allclose(turned, expected, atol=1e-7)
    assert turned.dtype == np.float32


def test_a_neck_bends_from_the_resting_shoulders_to_the_turning_head(bust_rig, rng):
    """w R v + (1 - w) v with scipy's rotations, for several frames at once."""
    head = rng.uniform(-0.5, 0.5, (4, 3))
    posed = bust_rig.pose(rng.uniform(0, 1, (4, 52)))
    turned = bust_rig.turn(posed, head)
    w = bust_rig.head_weight[:, None]
    assert (w == 0).any() and (w == 1).any() and ((w > 0.2) & (w < 0.8)).any()
    for k, turn in enumerate(Rotation.from_euler("YXZ", head)):
        with_head = turn.apply(posed[k] - bust_rig.pivot) + bust_rig.pivot
        np.testing.assert_allclose(turned[k], w * with_head + (1 - w) * posed[k], atol=1e-7)
        np.testing.assert_array_equal(turned[k][w[:, 0] == 0], posed[k][w[:, 0] == 0])
        np.testing.assert_allclose(bust_rig.turn(posed[k], head[k]), turned[k], atol=1e-7)


def test_normals_turn_with_their_vertices_and_have_length_one(bust_rig, rng):
    normals = rng.normal(size=bust_rig.vertices.shape)
    head = np.array([0.4, -0.3, 0.25])
    turned = bust_rig.turn_normals(normals, head)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-6)
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    resting, moving = bust_rig.head_weight == 0, bust_rig.head_weight == 1
    np.testing.assert_allclose(turned[resting], unit[resting], atol=1e-6)
    np.testing.assert_allclose(turned[moving], Rotation.from_euler("YXZ", head).apply(unit[moving]), atol=1e-6)
    between = ~resting & ~moving
    cosine = (turned * unit).sum(axis=1)
    turn = Rotation.from_euler("YXZ", head).apply(unit)
    assert (cosine >= (turn * unit).sum(axis=1) - 1e-6)[between].all(), "the neck turns less than the head"


def test_lip_aperture_is_the_distance_between_the_inner_lips(ball_rig):
    frames = np.stack(
        [coefficients(), coefficients(jawOpen=0.5), coefficients(jawOpen=1.0), coefficients(jawOpen=0.6, mouthClose=0.6)]
    )
    np.testing.assert_allclose(lip_aperture(ball_rig, frames), [0, 0.01, 0.02, 0], atol=1e-7)


def test_lip_aperture_is_what_the_posed_vertices_show(ball_rig, rng):
    frames = rng.uniform(0, 1, (9, 52))
    posed = ball_rig.pose(frames)
    upper, lower = (posed[:, ball_rig.landmarks[key]] for key in ("inner_lip_upper", "inner_lip_lower"))
    np.testing.assert_allclose(
        lip_aperture(ball_rig, frames), np.linalg.norm(upper - lower, axis=-1).mean(-1), atol=1e-6
    )


def test_lip_aperture_needs_lips(ball_rig):
    with pytest.raises(TalkerError, match="inner_lip_upper"):
        lip_aperture(dataclasses.replace(ball_rig, landmarks={}), np.zeros((1, 52)))


def test_a_rig_survives_its_file_and_the_file_is_the_same_every_time(bust_rig, tmp_path):
    save_rig(bust_rig, tmp_path / "a.npz")
    save_rig(bust_rig, tmp_path / "b.npz")
    again = load_rig(tmp_path / "a.npz")
    for name in ("vertices", "faces", "deltas", "colors", "pivot", "head_weight"):
        np.testing.assert_array_equal(getattr(again, name), getattr(bust_rig, name))
    assert again.name == "bust"
    for group in ("landmarks", "parts"):
        assert getattr(again, group).keys() == getattr(bust_rig, group).keys()
        for key, indices in getattr(bust_rig, group).items():
            np.testing.assert_array_equal(getattr(again, group)[key], indices)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_a_file_without_head_weight_holds_a_rig_that_turns_as_one_piece(bust_rig, tmp_path):
    path = tmp_path / "head.npz"
    save_rig(bust_rig, path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files if key != "head_weight"}
    np.savez(path, **arrays)
    np.testing.assert_array_equal(load_rig(path).head_weight, np.ones(len(bust_rig.vertices), np.float32))


def test_a_missing_head_says_how_to_build_it(tmp_path):
    with pytest.raises(TalkerError, match="python -m render.head"):
        load_rig(tmp_path / "none.npz")


@pytest.mark.parametrize("damage", ["truncated", "text", "index beyond the vertices", "not a number", "no pivot", "weight above one"])
def test_a_broken_head_is_refused(ball_rig, tmp_path, damage):
    path = tmp_path / "head.npz"
    save_rig(ball_rig, path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "text":
        path.write_text("not a head")
    else:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        if damage == "index beyond the vertices":
            arrays["faces"][0, 0] = len(ball_rig.vertices)
        elif damage == "not a number":
            arrays["deltas"][3, 0, 0] = np.nan
        elif damage == "weight above one":
            arrays["head_weight"][5] = 1.5
        else:
            del arrays["pivot"]
        np.savez(path, **arrays)
    with pytest.raises(TalkerError, match="is broken"):
        load_rig(path)


def test_the_default_head_opens_and_closes_its_mouth():
    rig = default_rig()
    assert rig is default_rig(), "read once"
    frames = [coefficients(), coefficients(jawOpen=1), coefficients(jawOpen=0.5, mouthClose=0.5), coefficients(mouthClose=1)]
    neutral, opened, closed, pressed = lip_aperture(rig, np.stack(frames))
    assert opened > 0.015
    assert max(neutral, closed, pressed) < 0.02 * opened, "mouthClose alone does not push the lips through each other"
