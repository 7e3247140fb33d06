"""Exports as other programs see them: Khronos' validator finds nothing to say, and Blender finds moving shape keys."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from render.gltf import quaternions, write_glb
from render.rig import default_rig
from render.rigs.load import load_rig_file
from render.vertex_animation import component_rig
from talker.motion import ARKIT_NAMES, Motion

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def validate():
    """Reports of Khronos' glTF-Validator on files, or the test is skipped."""
    node = Path(sys.executable).with_name("node")
    if not node.exists() or not (TESTS / "gltf_validator" / "node_modules" / "gltf-validator").is_dir():
        pytest.skip("no gltf-validator; `make test` fetches it")

    def reports(*paths: Path) -> list[dict]:
        command = [node, TESTS / "gltf_validator" / "validate.js", *paths]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert finished.returncode == 0, finished.stderr
        return [json.loads(line) for line in finished.stdout.splitlines()]

    return reports


@pytest.fixture
def motion(rng) -> Motion:
    """Half a second in which everything moves."""
    head = 0.3 * np.sin(np.linspace(0, 3, 15)[:, None] + [0, 1, 2])
    return Motion(rng.uniform(0, 1, (15, 52)).astype(np.float32), head.astype(np.float32))


def in_blender(path: Path) -> dict:
    """What Blender made of a GLB, or the test is skipped."""
    if not shutil.which("blender"):
        pytest.skip("no Blender; packages-dev.txt names the Debian package")
    seen = path.with_suffix(".json")
    finished = subprocess.run(
        ["blender", "--background", "--factory-startup", "--python-exit-code", "1", "--python",
         TESTS / "blender" / "read_glb.py", "--", path, seen],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return json.loads(seen.read_text())


def assert_nothing_to_say(report: dict) -> None:
    assert report["issues"]["messages"] == [], "not even a hint"
    assert report["info"]["hasMorphTargets"] and report["info"]["animationCount"] == 1


def test_the_validator_has_nothing_to_say(validate, motion, ball_rig, bust_rig, corrective_rig, tmp_path):
    """One take and several, of the head that ships, and of rigs with a skin, as one piece, and with correctives."""
    paths = []
    for rig in (default_rig(), ball_rig, bust_rig, corrective_rig):
        for takes in (1, 3):
            paths.append(tmp_path / f"{len(paths)}.glb")
            write_glb(rig, [motion] * takes, paths[-1])
    reports = validate(*paths)
    assert len(reports) == len(paths) == 8
    for report in reports:
        assert_nothing_to_say(report)


def test_the_validator_has_nothing_to_say_on_vertices_and_blender_moves_them(validate, tmp_path, rng):
    """Vertices that a model moved, as components: whose weights must not leave [0, 1], where Blender clips them."""
    rig = default_rig()
    motion = Motion(np.zeros((15, 52), np.float32), np.zeros((15, 3), np.float32))
    index = rig.parts["lips"]
    vertices = np.einsum("tk,kvc->tvc", rng.normal(size=(15, 2)), 0.002 * rng.normal(size=(2, len(index), 3)))
    moving, (shown,) = component_rig(rig, [motion], [vertices], index)
    write_glb(moving, [shown], tmp_path / "vertices.glb")
    assert_nothing_to_say(validate(tmp_path / "vertices.glb")[0])
    (head,) = in_blender(tmp_path / "vertices.glb")["heads"].values()
    for column in (52, 53, 54):
        points = np.array(head["curves"][f'key_blocks["component_{column - 51}"].value'])
        np.testing.assert_allclose(points[:, 1], shown.coefficients[:, column], atol=1e-5)
        low, high = head["ranges"][f"component_{column - 51}"]
        assert low <= points[:, 1].min() and points[:, 1].max() <= high


def test_the_validator_does_find_faults(validate, motion, ball_rig, tmp_path):
    write_glb(ball_rig, [motion], tmp_path / "a.glb")
    content = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "b.glb").write_bytes(content.replace(b'"scene":0', b'"scene":7'))
    (report,) = validate(tmp_path / "b.glb")
    assert report["issues"]["numErrors"] > 0


def test_the_validator_has_nothing_to_say_on_ict_facekit(validate, motion, ict_folder, tmp_path):
    write_glb(load_rig_file(ict_folder)[0], [motion], tmp_path / "ict.glb")
    assert_nothing_to_say(validate(tmp_path / "ict.glb")[0])


def test_blender_finds_shape_keys_with_moving_curves(motion, tmp_path):
    """The default head, two takes: names in order, a key per frame, the rig's weights, the head's turn."""
    rig = default_rig()
    write_glb(rig, [motion, motion], tmp_path / "two.glb")
    seen = in_blender(tmp_path / "two.glb")
    assert len(seen["heads"]) == 2
    weights = rig.weights(motion.coefficients)
    for head in seen["heads"].values():
        assert head["keys"] == ["Basis", *rig.target_names]
        assert head["keys"][1:53] == list(ARKIT_NAMES)
        assert head["vertices"] == len(rig.vertices)
        assert head["height"] == pytest.approx(np.ptp(rig.vertices[:, 1]), rel=0.35), "metres"
        for i, name in enumerate(rig.target_names):
            points = np.array(head["curves"][f'key_blocks["{name}"].value'])
            np.testing.assert_allclose(points[:, 0], np.arange(15), atol=1e-3, err_msg="a key on every frame")
            np.testing.assert_allclose(points[:, 1], weights[:, i], atol=1e-5)
            assert i >= 52 or np.ptp(points[:, 1]) > 0.3, f"{name} moves"
    assert len(seen["turns"]) == 2
    for turn in seen["turns"].values():
        assert set(turn) == {"0", "1", "2", "3"}
        # Blender's w, x, y, z; its bone may rest in other axes, which keeps the angle.
        w = np.abs(turn["0"])
        np.testing.assert_allclose(w, np.abs(quaternions(motion.head)[:, 3]), atol=1e-3)
