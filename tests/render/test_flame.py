"""FLAME: a small model in exactly the layout of generic_model.pkl, moved as a second implementation moves it."""

import pickle
import sys
import types

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation

from render.rigs.flame import JAW_FORWARD, JAW_OPEN, LOOK
from render.rigs.load import load_rig_file
from talker.motion import ARKIT_INDEX
from tests.render.conftest import ball

JOINTS = np.array([[0, -0.15, 0.0], [0, -0.09, -0.01], [0, -0.02, 0.02], [0.031, 0.03, 0.06], [-0.031, 0.03, 0.06]])
"""Root, neck, jaw, left eye, right eye of the small model, in metres."""


@pytest.fixture(scope="module")
def model() -> dict[str, np.ndarray]:
    """FLAME's arrays for a ball with two eyeballs: chin to the jaw, eyeballs to the eyes, the bottom to the root."""
    rng = np.random.default_rng(3)
    head, faces = ball()
    small, small_faces = ball(8, 12)
    eyes = [0.12 * small + joint for joint in JOINTS[3:]]
    v = np.concatenate([head, *eyes]).astype(np.float64)
    f = np.concatenate([faces, small_faces + len(head), small_faces + len(head) + len(small)])
    weights = np.zeros((len(v), 5))
    weights[:, 1] = 1
    chin = np.clip((-v[: len(head), 1] - 0.03) / 0.04, 0, 1) * (v[: len(head), 2] > 0)
    weights[: len(head), 2], weights[: len(head), 1] = chin, 1 - chin
    bottom = np.flatnonzero(v[: len(head), 1] < -0.09)
    weights[bottom] = (1, 0, 0, 0, 0)
    for k in (0, 1):
        weights[len(head) + k * len(small) : len(head) + (k + 1) * len(small)] = np.eye(5)[3 + k]
    # A regressor that gives the joints: each a mean of vertices about it, plus a row that makes up the rest.
    regressor = np.linalg.lstsq(np.vstack([v.T, np.ones(len(v))]), np.vstack([JOINTS.T, np.ones(5)]), rcond=None)[0].T
    return {
        "v_template": v,
        "f": f.astype(np.uint32),
        "weights": weights,
        "J_regressor": regressor,
        "posedirs": rng.normal(0, 1e-4, (len(v), 3, 36)),
        "shapedirs": rng.normal(0, 1e-3, (len(v), 3, 400)),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], np.int64),
    }


def skinned(model: dict[str, np.ndarray], rotations: list[Rotation]) -> np.ndarray:
    """FLAME by the paper: a chain of joints (eq. 2 of Li et al. 2017; SMPL's eq. 2 to 4), written out anew."""
    joints = model["J_regressor"] @ model["v_template"]
    feature = np.concatenate([(r.as_matrix() - np.eye(3)).reshape(-1) for r in rotations[1:]])
    posed = model["v_template"] + np.einsum("vdk,k->vd", model["posedirs"], feature)
    places = []
    for k, (rotation, above) in enumerate(zip(rotations, (None, 0, 1, 1, 1))):
        own = np.eye(4)
        own[:3, :3] = rotation.as_matrix()
        own[:3, 3] = joints[k] - (joints[above] if above is not None else 0)
        places.append(own if above is None else places[above] @ own)
    moves = []
    for k, place in enumerate(places):
        move = place.copy()
        move[:3, 3] -= place[:3, :3] @ joints[k]
        moves.append(move)
    blended = np.einsum("vk,kij->vij", model["weights"], np.stack(moves))
    return np.einsum("vij,vj->vi", blended[:, :3, :3], posed) + blended[:, :3, 3]


def written(model: dict[str, np.ndarray], path, kind: str) -> None:
    """The model as its site gives it (chumpy objects, a sparse regressor, protocol 2), as plain arrays, or as npz."""
    if kind == "npz":
        np.savez(path, **model)
        return
    objects = dict(model) | {"J_regressor": sparse.csc_matrix(model["J_regressor"]), "bs_style": "lbs", "bs_type": "lrotmin"}
    modules = {}
    if kind == "chumpy":
        modules = {"chumpy": types.ModuleType("chumpy"), "chumpy.ch": types.ModuleType("chumpy.ch")}
        ch = type("Ch", (), {"__module__": "chumpy.ch"})
        modules["chumpy.ch"].Ch = ch
        for name in ("v_template", "shapedirs", "posedirs", "weights"):
            wrapped = ch()
            wrapped.__dict__ |= {"x": model[name], "_dirty_vars": {}, "_itr": None}
            objects[name] = wrapped
    sys.modules.update(modules)
    try:
        path.write_bytes(pickle.dumps(objects, 2))
    finally:
        for name in modules:
            del sys.modules[name]


@pytest.mark.parametrize("kind", ["chumpy", "arrays", "npz"])
def test_the_jaw_and_the_eyes_move_as_the_model_moves_them(model, tmp_path, kind):
    path = tmp_path / ("generic_model.npz" if kind == "npz" else "generic_model.pkl")
    written(model, path, kind)
    rig, report = load_rig_file(path)
    assert "chumpy" not in sys.modules
    assert (report.source, report.units, report.shapes) == ("FLAME", "metres", 12)
    assert "mouthSmileLeft" in report.missing and "eyeBlinkLeft" in report.missing
    still = Rotation.identity()
    expected = {
        "jawOpen": (2, Rotation.from_euler("x", JAW_OPEN)),
        "eyeLookDownLeft": (3, Rotation.from_euler("x", LOOK)),
        "eyeLookOutLeft": (3, Rotation.from_euler("y", LOOK)),
        "eyeLookInRight": (4, Rotation.from_euler("y", LOOK)),
        "eyeLookUpRight": (4, Rotation.from_euler("x", -LOOK)),
    }
    for name, (joint, rotation) in expected.items():
        rotations = [rotation if k == joint else still for k in range(5)]
        delta = skinned(model, rotations) - model["v_template"]
        np.testing.assert_allclose(rig.deltas[ARKIT_INDEX[name]], delta, atol=1e-6, err_msg=name)
    forward = rig.deltas[ARKIT_INDEX["jawForward"]]
    np.testing.assert_allclose(forward[:, 2], JAW_FORWARD * model["weights"][:, 2], atol=1e-7)


def test_the_neck_turns_about_its_joint_and_the_root_rests(model, tmp_path):
    written(model, tmp_path / "generic_model.pkl", "arrays")
    rig, _ = load_rig_file(tmp_path / "generic_model.pkl")
    np.testing.assert_allclose(rig.head_weight, 1 - model["weights"][:, 0], atol=1e-6)
    shift = rig.vertices[0] - model["v_template"][0]
    np.testing.assert_allclose(rig.pivot - shift, JOINTS[1], atol=1e-5)
    head = np.array([0.3, 0.2, -0.1])
    turn = Rotation.from_euler("YXZ", head)
    expected = skinned(model | {"posedirs": 0 * model["posedirs"]}, [Rotation.identity(), turn, *[Rotation.identity()] * 3])
    np.testing.assert_allclose(rig.turn(rig.vertices, head) - shift, expected, atol=1e-5)


def test_eyeballs_have_a_pupil_in_front(model, tmp_path):
    written(model, tmp_path / "generic_model.pkl", "arrays")
    rig, _ = load_rig_file(tmp_path / "generic_model.pkl")
    eye = np.flatnonzero(model["weights"][:, 3] == 1)
    front = eye[model["v_template"][eye, 2].argmax()]
    back = eye[model["v_template"][eye, 2].argmin()]
    assert rig.colors[front, :3].max() < 30 and rig.colors[back].min() > 200
