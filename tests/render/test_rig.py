"""Rig: blend weights, posing, head rotation, lip aperture, and its file."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from render.rig import MOUTH_CLOSE_SLACK, default_rig, lip_aperture, load_rig, rotation_matrices, save_rig
from talker.errors import TalkerError
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


def test_a_rig_survives_its_file_and_the_file_is_the_same_every_time(ball_rig, tmp_path):
    save_rig(ball_rig, tmp_path / "a.npz")
    save_rig(ball_rig, tmp_path / "b.npz")
    again = load_rig(tmp_path / "a.npz")
    for name in ("vertices", "faces", "deltas", "colors", "pivot"):
        np.testing.assert_array_equal(getattr(again, name), getattr(ball_rig, name))
    assert again.name == "ball"
    for group in ("landmarks", "parts"):
        assert getattr(again, group).keys() == getattr(ball_rig, group).keys()
        for key, indices in getattr(ball_rig, group).items():
            np.testing.assert_array_equal(getattr(again, group)[key], indices)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_a_missing_head_says_how_to_build_it(tmp_path):
    with pytest.raises(TalkerError, match="python -m render.head"):
        load_rig(tmp_path / "none.npz")


@pytest.mark.parametrize("damage", ["truncated", "text", "index beyond the vertices", "not a number", "no pivot"])
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
