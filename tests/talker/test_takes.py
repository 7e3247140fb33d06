"""The takes file: the same bytes for the same takes, everything back, broken files refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from talker.errors import TalkerError
from talker.identity import Match
from talker.motion import ARKIT_NAMES, LIP_REGION, UPPER_FACE_REGION
from talker.takes import Takes, load_takes


@pytest.fixture
def takes(rng) -> Takes:
    return Takes(
        coefficients=rng.uniform(0, 1, (3, 20, 52)).astype(np.float32),
        head=rng.normal(0, 0.1, (3, 20, 3)).astype(np.float32),
        fps=30.0,
        seed=7,
        identity=Match("1088", 0.75, [("1088", 0.75), ("26", -0.125)]),
        model="diffusiontalker",
        steps=8,
        device="cpu",
        seconds={"encode": 0.1},
    )


def test_takes_come_back_whole(tmp_path, takes):
    back = load_takes(takes.save(tmp_path / "takes.npz"))
    np.testing.assert_array_equal(back.coefficients, takes.coefficients)
    np.testing.assert_array_equal(back.head, takes.head)
    assert (back.fps, back.seed, back.model, back.steps, back.device) == (30.0, 7, "diffusiontalker", 8, "cpu")
    assert back.identity == takes.identity
    assert back.seconds == {}


def test_the_file_is_what_the_command_line_promises(tmp_path, takes):
    """Plain arrays that numpy reads without pickles, under the documented names and types."""
    with np.load(takes.save(tmp_path / "takes.npz"), allow_pickle=False) as file:
        assert file["coefficients"].shape == (3, 20, 52) and file["coefficients"].dtype == np.float32
        assert file["head"].shape == (3, 20, 3) and file["head"].dtype == np.float32
        assert file["fps"] == 30 and file["seed"] == 7
        assert tuple(file["names"]) == ARKIT_NAMES


def test_the_same_takes_give_the_same_bytes(tmp_path, takes):
    """Whatever the timings and the hour: the file depends on inputs and seed only."""
    first = takes.save(tmp_path / "a.npz").read_bytes()
    slower = Takes(**{**vars(takes), "seconds": {"encode": 9.9}})
    assert slower.save(tmp_path / "b.npz").read_bytes() == first


def test_motions_are_the_takes(takes):
    motions = takes.motions
    assert len(motions) == 3
    np.testing.assert_array_equal(motions[1].coefficients, takes.coefficients[1])
    np.testing.assert_array_equal(motions[2].head, takes.head[2])


def test_diversity_is_the_standard_deviation_across_takes(takes):
    """Two takes that differ by 0.4 in every upper-face coefficient and agree elsewhere: 0.2 and 0."""
    coefficients = np.full((2, 20, 52), 0.3, np.float32)
    coefficients[1][:, UPPER_FACE_REGION] = 0.7
    diversity = Takes(**{**vars(takes), "coefficients": coefficients}).diversity()
    assert diversity == pytest.approx({"upper_face": 0.2, "lips": 0.0}, abs=1e-7)
    assert not set(UPPER_FACE_REGION) & set(LIP_REGION)
    one = Takes(**{**vars(takes), "coefficients": takes.coefficients[:1]}).diversity()
    assert one == {"upper_face": 0.0, "lips": 0.0}


def test_columns_are_read_by_name(tmp_path, takes):
    path = takes.save(tmp_path / "takes.npz")
    with np.load(path) as file:
        stored = dict(file)
    np.savez(path, **{**stored, "names": stored["names"][::-1], "coefficients": stored["coefficients"][..., ::-1]})
    np.testing.assert_array_equal(load_takes(path).coefficients, takes.coefficients)


def with_array(path, **arrays) -> None:
    with np.load(path) as file:
        stored = dict(file)
    np.savez(path, **{**stored, **arrays})


BREAKS = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "text": lambda path: path.write_text("takes"),
    "empty": lambda path: path.write_bytes(b""),
    "pickle": lambda path: with_array(path, head=np.array([{"a": 1}], dtype=object)),
    "no identity": lambda path: with_array(path, identity=np.array("{}")),
    "other names": lambda path: with_array(path, names=np.array(["a"] * 52)),
    "short head": lambda path: with_array(path, head=np.zeros((3, 5, 3), np.float32)),
    "NaN": lambda path: with_array(path, coefficients=np.full((3, 20, 52), np.nan, np.float32)),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("case", BREAKS)
def test_broken_files_are_refused(tmp_path, takes, case):
    path = takes.save(tmp_path / "takes.npz")
    BREAKS[case](path)
    with pytest.raises(TalkerError, match="takes"):
        load_takes(path)


def test_vertices_come_back_within_a_twentieth_of_a_millimetre(tmp_path, takes, rng):
    """The file holds components: four ways in which fifty vertices go are four, whatever the number of frames."""
    ways = 0.01 * rng.normal(size=(4, 150))
    vertices = (rng.uniform(-1, 1, (60, 4)) @ ways).reshape(3, 20, 50, 3).astype(np.float16)
    made = dataclasses.replace(takes, vertices=vertices, vertex_index=np.arange(100, 150), rig="0123456789abcdef")
    back = load_takes(made.save(tmp_path / "takes.npz"))
    assert np.abs(back.vertices.astype(np.float32) - vertices).max() <= 5e-5 + 2**-11 * 0.06
    assert back.vertices.dtype == np.float16 and back.rig == made.rig
    np.testing.assert_array_equal(back.vertex_index, made.vertex_index)
    with np.load(tmp_path / "takes.npz", allow_pickle=False) as file:
        assert file["vertex_weights"].shape[-1] <= 8  # the rounding to 16 bits is no more of a way than it must be
        arrays = dict(file)
    arrays["vertex_index"] = np.arange(49)
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(TalkerError, match="vertices that do not fit"):
        load_takes(tmp_path / "other.npz")


def test_takes_of_coefficients_have_no_vertices(tmp_path, takes):
    back = load_takes(takes.save(tmp_path / "takes.npz"))
    assert back.vertices is None and back.vertex_index is None and back.rig == ""
