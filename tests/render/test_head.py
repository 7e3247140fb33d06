"""The default head: symmetric, closed where it must be, and moved by each shape as ARKit means it."""

import numpy as np
import pytest

from render.head import build_head
from render.head_sheet import coefficients
from render.head_surface import EYE_CENTER, EYE_RADIUS
from render.head_upper_face import GAZE
from render.rig import LOOKS, LOOKS_FOLDER, lip_aperture, load_rig, rotation_matrices
from talker.motion import ARKIT_INDEX, ARKIT_NAMES
from tests.render.face_measures import mirror_of

MM = 1e-3
LEFT_SHAPES = [name for name in ARKIT_NAMES if name.endswith("Left")]


@pytest.fixture(scope="module")
def rig():
    return build_head()


def posed(rig, **weights):
    """Vertices (V, 3) in metres with raw weights, without the rig's corrections of combinations."""
    row = coefficients(**weights)
    return rig.vertices + np.tensordot(row[row > 0], rig.deltas[row > 0], axes=1)


def triangle_normals(vertices, faces):
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def test_shipped_file_is_what_the_code_builds(rig):
    path = LOOKS_FOLDER / f"{LOOKS[0]}.npz"
    shipped = load_rig(path)
    assert path.stat().st_size < 5e6
    np.testing.assert_allclose(shipped.vertices, rig.vertices, atol=1e-6)
    np.testing.assert_array_equal(shipped.faces, rig.faces)
    np.testing.assert_allclose(shipped.deltas, rig.deltas, atol=2e-5)
    np.testing.assert_array_equal(shipped.pivot, rig.pivot)
    np.testing.assert_allclose(shipped.head_weight, rig.head_weight, atol=1e-5)
    assert set(shipped.parts) == set(rig.parts) and set(shipped.landmarks) == set(rig.landmarks)


def test_numbers_are_finite_and_every_vertex_is_used_once_named(rig):
    assert np.isfinite(rig.vertices).all() and np.isfinite(rig.deltas).all()
    assert 5_000 <= len(rig.vertices) <= 12_000
    assert np.array_equal(np.sort(np.concatenate(list(rig.parts.values()))), np.arange(len(rig.vertices)))
    area = np.linalg.norm(triangle_normals(rig.vertices.astype(float), rig.faces), axis=1)
    assert (area > 0).mean() > 0.999


def test_proportions_are_a_human_adults(rig):
    """Farkas (1994), adult means of women and men: within about two standard deviations."""
    v = rig.vertices / MM
    skin = v[rig.parts["skin"]]
    eyes = [v[rig.parts[f"eye_{side}"]].mean(0) for side in ("left", "right")]
    assert eyes[0][0] - eyes[1][0] == pytest.approx(63, abs=1)
    front = skin[(skin[:, 2] > 55) & (np.abs(skin[:, 0]) < 20)]
    chin = front[front[:, 1] > -125][:, 1].min()
    assert skin[:, 1].max() - chin == pytest.approx(225, abs=12)
    eye_level = (0 - chin) / (skin[:, 1].max() - chin)
    assert eye_level == pytest.approx(0.5, abs=0.04)
    corners = v[rig.landmarks["mouth_corner_left"]][0, 0] * 2
    assert corners == pytest.approx(51, abs=4)
    nose = skin[(np.abs(skin[:, 1] + 42) < 4) & (skin[:, 2] > 90) & (np.abs(skin[:, 0]) < 22)]
    assert 2 * nose[:, 0].max() == pytest.approx(35, abs=8)


def test_left_and_right_are_mirror_images(rig):
    """x → -x maps the neutral head onto itself, and every Left shape onto its Right one, to a micrometre."""
    flip = np.array([-1, 1, 1])
    mirror = mirror_of(rig)
    assert np.abs(rig.vertices[mirror] * flip - rig.vertices).max() < 1e-6
    for name in ARKIT_NAMES:
        other = name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left")
        swapped = rig.deltas[ARKIT_INDEX[other]][mirror] * flip
        np.testing.assert_allclose(rig.deltas[ARKIT_INDEX[name]], swapped, atol=1e-6, err_msg=name)


REGIONS = {  # (low, high) in mm of the place that a shape must move most
    "brow": ((-60, 5, 40), (60, 60, 110)),
    "cheek": ((-75, -95, 30), (75, 12, 115)),
    "eye": ((-55, -25, 45), (55, 30, 110)),
    "jaw": ((-75, -200, -30), (75, -15, 130)),
    "mouth": ((-75, -160, -20), (75, 0, 140)),
    "nose": ((-40, -75, 60), (40, 25, 130)),
    "tongue": ((-40, -140, 20), (40, -40, 140)),
}


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_every_shape_moves_its_own_region(rig, name):
    size = np.linalg.norm(rig.deltas[ARKIT_INDEX[name]], axis=1) / MM
    low, high = next(box for key, box in REGIONS.items() if name.startswith(key))
    inside = ((rig.vertices / MM > low) & (rig.vertices / MM < high)).all(1)
    assert size.max() > 2.0
    assert size[inside].sum() > 0.97 * size.sum()
    if name in LEFT_SHAPES and name not in ("jawLeft", "mouthLeft"):
        assert size[rig.vertices[:, 0] > 0].sum() > 0.8 * size.sum()
    still = np.concatenate([rig.parts["hair"], rig.parts["clothes"]])
    assert size[still].max() == 0.0


def test_shapes_mean_what_arkit_says(rig):
    """Signs and sizes of the movements that a viewer reads first."""
    def move(name, index):
        return rig.deltas[ARKIT_INDEX[name]][index].mean(0) / MM

    lower, upper, corner = (rig.landmarks[k] for k in ("inner_lip_lower", "inner_lip_upper", "mouth_corner_left"))
    brow = rig.parts["brows"]
    inner = brow[np.abs(rig.vertices[brow, 0]) / MM < 20]
    outer = brow[rig.vertices[brow, 0] / MM > 38]
    assert move("browInnerUp", inner)[1] > 6 and move("browOuterUpLeft", outer)[1] > 6
    assert np.linalg.norm(rig.deltas[ARKIT_INDEX["browDownLeft"]][brow], axis=1).max() / MM > 6
    assert 30 < np.linalg.norm(move("jawOpen", lower) - move("jawOpen", upper)) < 40
    assert move("mouthSmileLeft", corner)[0] > 5 and move("mouthSmileLeft", corner)[1] > 5
    assert move("mouthFrownLeft", corner)[1] < -5
    assert move("mouthPucker", corner)[0] < -8 and move("mouthPucker", upper)[2] > 5
    assert move("mouthLeft", upper)[0] > 5 and move("jawLeft", rig.parts["teeth_lower"])[0] > 5
    assert move("jawForward", rig.parts["teeth_lower"])[2] > 4
    assert np.abs(rig.deltas[:, rig.parts["teeth_upper"]]).max() == 0.0


def test_lips_touch_at_rest_and_when_the_jaw_drops_behind_closed_lips(rig):
    """mouthClose undoes what jawOpen opens: lips meet for every equal weight of the two."""
    assert lip_aperture(rig, coefficients()) < 0.1 * MM
    row, partner = rig.landmarks["inner_lip_upper"], rig.landmarks["inner_lip_lower"]
    for a in (0.25, 0.5, 1.0):
        v = posed(rig, jawOpen=a, mouthClose=a)
        assert np.linalg.norm(v[row] - v[partner], axis=1).max() < 0.3 * MM
        assert lip_aperture(rig, coefficients(jawOpen=a, mouthClose=a)) < 0.3 * MM
        # the chin stays down
        chin = rig.parts["teeth_lower"]
        assert (v[chin] - rig.vertices[chin])[:, 1].mean() < -15 * MM * a
    assert lip_aperture(rig, coefficients(jawOpen=0.5)) > 10 * MM


def test_eyes_turn_by_the_named_angle(rig):
    """The pupil's direction after eyeLook… = 1 is the rotation that GAZE states."""
    pupil = rig.parts["eye_left"][np.argmax(rig.vertices[rig.parts["eye_left"], 2])]
    before = rig.vertices[pupil] / MM - EYE_CENTER
    for direction, axis in (("Up", 1), ("Down", 1), ("In", 0), ("Out", 0)):
        after = posed(rig, **{f"eyeLook{direction}Left": 1.0})[pupil] / MM - EYE_CENTER
        cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
        assert np.arccos(cosine) == pytest.approx(GAZE[direction], abs=np.radians(1))
        assert np.sign(after[axis] - before[axis]) == {"Up": 1, "Down": -1, "In": -1, "Out": 1}[direction]


def test_no_triangle_of_lips_and_lids_is_turned_over(rig):
    """Seen from the front, the neutral lips and the skin about eyes and mouth face the viewer."""
    v = rig.vertices / MM
    normals = triangle_normals(v.astype(float), rig.faces)
    lips = np.isin(rig.faces, rig.parts["lips"]).all(1)
    middle = v[rig.faces].mean(1)
    assert (normals[lips, 2] > 0).mean() > 0.97  # the rest rolls in behind the line of contact
    skin = np.isin(rig.faces, rig.parts["skin"]).all(1)
    from_eye = np.linalg.norm((np.abs(middle[:, :2]) - EYE_CENTER[:2]) / [19, 13], axis=1)
    lids = skin & (from_eye < 1) & (middle[:, 2] > 40) & (np.linalg.norm(np.abs(middle) * [1, 0, 1] + middle * [0, 1, 0] - EYE_CENTER, axis=1) > EYE_RADIUS + 1.6)
    assert lids.sum() > 150
    assert (normals[lids, 2] > 0).mean() > 0.98


TURNS = np.array([[y, p, r] for y in (-0.4, 0, 0.4) for p in (-0.3, 0, 0.3) for r in (-0.25, 0, 0.25)], np.float32)
"""As far as a talking head turns, rad."""


def test_the_head_turns_the_neck_bends_and_the_clothes_rest(rig):
    weight, y = rig.head_weight, rig.vertices[:, 1] / MM
    np.testing.assert_array_equal(weight[rig.parts["clothes"]], 0)
    for part in set(rig.parts) - {"clothes", "skin"}:
        np.testing.assert_array_equal(weight[rig.parts[part]], 1, err_msg=part)
    skin = rig.parts["skin"]
    np.testing.assert_array_equal(weight[skin[y[skin] > -65]], 1, err_msg="face and ears")
    chin = skin[(rig.vertices[skin, 2] > 0.055)]
    np.testing.assert_array_equal(weight[chin], 1, err_msg="the jaw's underside")
    np.testing.assert_array_equal(weight[skin[y[skin] < -164]], 0)
    np.testing.assert_array_equal(weight, weight[mirror_of(rig)])
    a, b = np.concatenate([rig.faces[:, [0, 1]], rig.faces[:, [1, 2]]]).T
    slope = np.abs(weight[a] - weight[b]) / np.maximum(np.linalg.norm(rig.vertices[a] - rig.vertices[b], axis=1), 1e-9)
    assert slope[np.isin(a, skin)].max() < 1.5 / 0.040, "as even as a smooth ramp over 40 mm or more can be"


def test_a_turned_neck_stays_inside_the_collar(rig):
    """What lies near the collar's crest stays inside it at every turn, and what lies below it rests."""
    collar, skin = rig.vertices[rig.parts["clothes"]], rig.vertices[rig.parts["skin"]]
    weight = rig.head_weight[rig.parts["skin"]]
    turned = rig.turn(rig.vertices[None], TURNS)[:, rig.parts["skin"]]

    def around(points):
        """Direction seen from the neck's axis (rad), and distance from it (m)."""
        flat = points[..., [0, 2]] - (0, -0.020)
        return np.arctan2(flat[..., 0], flat[..., 1]), np.linalg.norm(flat, axis=-1)

    direction, distance = around(collar)
    columns = np.linspace(-np.pi, np.pi, 49)
    crest = np.array([
        near[collar[near, 1].argmax()]
        for near in (np.flatnonzero(np.cos(direction - column) > np.cos(0.1)) for column in columns)
    ])

    def above_and_inside(points):
        """Metres above the crest on that side, and nearer than it to the neck's axis."""
        side, out = around(points)
        return points[..., 1] - np.interp(side, columns, collar[crest, 1]), np.interp(side, columns, distance[crest]) - out

    above, _ = above_and_inside(skin)
    turned_above, inside = above_and_inside(turned)
    near = (np.abs(turned_above) < 4 * MM) & (skin[:, 2] < 0.04)
    assert near.sum(axis=1).min() > 40
    assert inside[near].min() > 2 * MM
    assert weight[above < -8 * MM].max() < 0.002 and (above < -8 * MM).sum() > 100


def test_turning_neither_tears_nor_folds_the_neck(rig):
    """Edges of the neck keep their length within bounds, and triangles their side, at the widest turns."""
    bending = (rig.head_weight > 0) & (rig.head_weight < 1)
    edges = np.concatenate([rig.faces[:, [0, 1]], rig.faces[:, [1, 2]], rig.faces[:, [2, 0]]])
    edges = edges[bending[edges].any(axis=1)]
    length = np.linalg.norm(np.diff(rig.vertices[edges], axis=1)[:, 0], axis=1)
    faces = rig.faces[bending[rig.faces].any(axis=1)]
    resting, share = triangle_normals(rig.vertices.astype(float), faces), rig.head_weight[faces].mean(axis=1)[:, None]
    for head, rotation in zip(TURNS, rotation_matrices(TURNS), strict=True):
        turned = rig.turn(rig.vertices, head).astype(float)
        stretch = np.linalg.norm(np.diff(turned[edges], axis=1)[:, 0], axis=1) / length
        assert 0.2 < stretch.min() and stretch.max() < 2.2
        outside = resting + share * (resting @ rotation.T - resting)
        assert (np.sum(triangle_normals(turned, faces) * outside, axis=1) > 0).all(), "no triangle turns over"
