"""Posed faces hold together: every shape alone, expressions, and 500 speech-like combinations, on every look."""

import dataclasses

import numpy as np
import pytest

from render.head_sheet import coefficients
from render.rig import LOOKS, load_look
from talker.motion import ARKIT_INDEX
from tests.render import face_measures as measures
from tests.render.face_poses import expressions, single_shapes, spoken

MM = 1e-3
COMBINATIONS = 500


class Poses:
    """Names, coefficients (n, 52) and vertices (n, V, 3) of all poses of a look."""

    def __init__(self, rig):
        self.rig, self.anatomy = rig, measures.Anatomy(rig)
        names, rows = zip(single_shapes(), expressions(), strict=True)
        self.names = [*names[0], *names[1], *(f"spoken {i}" for i in range(COMBINATIONS))]
        self.rows = np.concatenate([*rows, spoken(COMBINATIONS)])
        self.vertices = rig.pose(self.rows)

    def assert_below(self, limit, values, where=True):
        """No pose's figure reaches the limit; if one does, the worst are named with it."""
        bad = np.flatnonzero((values > limit) & where)
        worst = bad[np.argsort(-values[bad])][:5]
        assert len(bad) == 0, f"{self.rig.name}: {len(bad)} poses, " + ", ".join(f"{self.names[i]} {values[i]:.5f}" for i in worst)


@pytest.fixture(scope="module", params=LOOKS)
def poses(request):
    return Poses(load_look(request.param))


@pytest.mark.parametrize("side", ["left", "right"])
def test_closed_lids_meet_and_never_cross(poses, side):
    closed = poses.rows[:, ARKIT_INDEX[f"eyeBlink{side.title()}"]] == 1
    assert closed.sum() > 150
    poses.assert_below(0.5 * MM, measures.lid_gap(poses.anatomy, poses.vertices, side), where=closed)
    poses.assert_below(0.5 * MM, measures.lid_crossing(poses.anatomy, poses.vertices, side))


@pytest.mark.parametrize("side", ["left", "right"])
def test_lids_lie_on_the_ball_however_far_they_are_closed(poses, side):
    """No margin enters the eyeball, and none stands off it by more than in the neutral and half a millimetre."""
    nearest, furthest = measures.lid_clearance(poses.anatomy, poses.vertices, side)
    poses.assert_below(0, -nearest)
    _, resting = measures.lid_clearance(poses.anatomy, poses.rig.vertices[None], side)
    poses.assert_below(resting[0] + 0.5 * MM, furthest)


def test_eyeballs_keep_their_size_wherever_they_look(poses):
    rig = poses.rig
    center, radius = poses.anatomy.balls["left"]
    ball = rig.parts["eye_left"]
    resting = np.linalg.norm(rig.vertices[ball] - center, axis=1)
    for aside in (0.0, 0.5, 1.0):
        for height in (0.0, 0.5, 1.0):
            for names in (("In", "Up"), ("Out", "Down")):
                gaze = dict(zip((f"eyeLook{name}Left" for name in names), (aside, height), strict=True))
                turned = np.linalg.norm(rig.pose(coefficients(**gaze))[ball] - center, axis=1)
                assert np.abs(turned - resting).max() < 0.02 * radius, gaze


def test_lips_do_not_pass_through_each_other(poses):
    poses.assert_below(0.5 * MM, measures.lip_overlap(poses.anatomy, poses.vertices))


@pytest.mark.parametrize("part", ["teeth_upper", "teeth_lower", "tongue"])
def test_teeth_and_tongue_stay_inside(poses, part):
    poses.assert_below(0, measures.sticking_out(poses.anatomy, poses.vertices, part))


def test_a_tongue_comes_out_between_the_lips(poses):
    poses.assert_below(0.5 * MM, measures.through_lips(poses.anatomy, poses.vertices))
    out = poses.rig.pose(coefficients(tongueOut=1.0))
    lips, tongue = (out[poses.rig.parts[part], 2].max() for part in ("lips", "tongue"))
    assert tongue > lips + 5 * MM


@pytest.mark.parametrize("region", ["lip", "lid"])
def test_no_triangle_of_lips_and_lids_turns_over(poses, region):
    anatomy = poses.anatomy
    faces, halves = getattr(anatomy, f"{region}_faces"), getattr(anatomy, f"{region}_halves")
    assert len(faces) > 500
    poses.assert_below(0, measures.turned_over(anatomy, poses.vertices, faces, halves).sum(1))


def test_mirrored_coefficients_give_the_mirrored_face(poses):
    """Left and right swapped, with their correctives: to a micrometre, on twenty of the combinations."""
    rig = poses.rig
    other = [name.replace("Left", "_").replace("Right", "Left").replace("_", "Right") for name in ARKIT_INDEX]
    swapped = poses.rows[-20:][:, [ARKIT_INDEX[name] for name in other]]
    mirror = measures.mirror_of(rig)
    np.testing.assert_allclose(rig.pose(swapped)[:, mirror] * [-1, 1, 1], poses.vertices[-20:], atol=1e-6)


# -- the measures themselves see what they are for -----------------------------------------------


@pytest.fixture(scope="module")
def head():
    rig = load_look(LOOKS[0])
    return rig, measures.Anatomy(rig)


def moved(rig, part, move):
    vertices = rig.vertices.copy()
    vertices[part] += np.float32(move)
    return vertices[None]


def test_a_lid_that_stays_open_is_a_gap(head):
    rig, anatomy = head
    gap = measures.lid_gap(anatomy, rig.pose(coefficients(eyeBlink=0.9))[None], "left")[0]
    assert 0.5 * MM < gap < 2.5 * MM


def test_a_lip_pushed_into_the_other_one_overlaps_as_far(head):
    rig, anatomy = head
    lower = anatomy.lips[1][0]
    assert measures.lip_overlap(anatomy, moved(rig, lower, (0, 0.001, 0)))[0] == pytest.approx(1 * MM, abs=0.35 * MM)
    assert measures.lip_overlap(anatomy, moved(rig, lower, (0, -0.001, 0)))[0] < 0.2 * MM


def test_teeth_pushed_forward_stick_out(head):
    rig, anatomy = head
    inside = measures.sticking_out(anatomy, rig.vertices[None], "teeth_upper")[0]
    out = measures.sticking_out(anatomy, moved(rig, rig.parts["teeth_upper"], (0, 0, 0.02)), "teeth_upper")[0]
    assert inside < -1 * MM and out > 3 * MM


def test_a_tongue_pushed_through_the_lip_does_not_pass_between_them(head):
    rig, anatomy = head
    pushed = moved(rig, rig.parts["tongue"], (0, 0.008, 0.03))
    assert measures.through_lips(anatomy, pushed)[0] > 3 * MM


def test_a_vertex_pulled_over_its_neighbours_turns_triangles(head):
    rig, anatomy = head
    vertex = rig.parts["lips"][len(rig.parts["lips"]) // 3]
    own = anatomy.lip_faces[(anatomy.lip_faces == vertex).any(1)]
    middle = rig.vertices[np.unique(own)].mean(0)
    pulled = moved(rig, [vertex], 3 * (middle - rig.vertices[vertex]) + np.float32([0.004, 0, 0]))
    over = measures.turned_over(anatomy, pulled, anatomy.lip_faces, anatomy.lip_halves)[0]
    assert over.any() and not measures.turned_over(anatomy, rig.vertices[None], anatomy.lip_faces, anatomy.lip_halves).any()


def test_correctives_are_what_keeps_a_half_closed_lid_on_the_ball(head):
    rig, anatomy = head
    without = dataclasses.replace(rig, correctives=(), corrective_deltas=None)
    near = [measures.lid_clearance(anatomy, r.pose(coefficients(eyeBlink=0.5))[None], "left")[0][0] for r in (rig, without)]
    assert near[0] > 0.8 * MM > near[1] + 0.3 * MM
