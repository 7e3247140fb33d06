"""Renderer: heads where they should be, in the size they should have, from any thread."""

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from render.antialiasing import smooth_edges
from render.blend import Blend, vertex_normals
from render.layout import LABEL, Layout, backdrop
from render.renderer import FIELD_OF_VIEW, PIECE, Renderer
from render.rig import default_rig, rotation_matrices
from render.shaders import HEADS_AT_ONCE
from render.shading import MOUTH_DARKENING_DEPTH, MOUTH_LIGHT, closed_first, materials
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, Motion

STILL = np.zeros((1, 52), np.float32), np.zeros((1, 3), np.float32)


def drawn(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: where something red enough to be skin or lips covers the bluish background."""
    picture = picture.astype(int)
    return picture[..., 0] > picture[..., 2] + 10


def lips(picture: np.ndarray) -> np.ndarray:
    picture = picture.astype(int)
    return picture[..., 0] > 2 * picture[..., 1] + 20


def screen(renderer: Renderer, point, rotation=None) -> np.ndarray:
    """Pixel (x, y) in a picture of one take where a point of the rig shows, by the pinhole camera."""
    rig, view = renderer.rig, renderer.layout.view
    point = np.asarray(point) - rig.pivot
    point = (point if rotation is None else rotation @ point) + rig.pivot - renderer._center
    focal = view[1] / 2 / np.tan(FIELD_OF_VIEW / 2)
    depth = renderer._distance - point[2]
    return np.array([view[0] / 2 + focal * point[0] / depth, view[1] / 2 - focal * point[1] / depth])


def test_a_ball_is_as_wide_as_perspective_says(ball_rig):
    with Renderer(ball_rig, width=640, height=360) as renderer:
        picture = renderer.frame(*STILL)
        assert picture.shape == (360, 640, 3) and picture.dtype == np.uint8
        across = drawn(picture).any(axis=0)
        depth = renderer._distance + renderer._center[2]
        focal = renderer.layout.view[1] / 2 / np.tan(FIELD_OF_VIEW / 2)
        radius = focal * 0.1 / np.sqrt(depth**2 - 0.1**2)  # of a sphere's silhouette
    assert across.sum() == pytest.approx(2 * radius, abs=2.5)
    assert np.flatnonzero(across).mean() == pytest.approx(319.5, abs=1.5)


def test_lips_show_where_the_camera_sees_them_and_follow_the_head(ball_rig):
    middle = np.array([0, -0.03, 0.102])
    head = np.array([[0.3, 0.15, 0.1]], np.float32)
    with Renderer(ball_rig, width=640, height=480) as renderer:
        for angles in (STILL[1], head):
            rows, columns = np.nonzero(lips(renderer.frame(STILL[0], angles)))
            expected = screen(renderer, middle, rotation_matrices(angles)[0])
            np.testing.assert_allclose([columns.mean(), rows.mean()], expected, atol=3)
        assert expected[0] > 330, "yaw > 0 turns to the face's own left, which is the viewer's right"


@pytest.mark.parametrize("fine", [True, False])
def test_the_shader_bends_the_neck_as_the_rig_defines(bust_rig, fine, monkeypatch):
    """A picture of turned heads is the picture of vertices and normals that the rig has turned before."""
    coefficients, head = np.zeros((2, 52), np.float32), np.array([[0.4, 0.3, 0.25], [-0.4, -0.3, 0.1]], np.float32)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.5
    still = np.zeros((2, 3), np.float32)
    # Without the shadow that a turned head throws, and heads that were turned before do not.
    monkeypatch.setattr("render.renderer.occluder", lambda rig: (np.zeros(3), np.full(3, np.inf)))

    def turned(coefficients, still):
        """All vertices and normals, turned, in the place of those that shapes move, of heads that keep still."""
        vertices = bust_rig.pose(coefficients[0])
        normals = np.stack([vertex_normals(v, bust_rig.faces) for v in vertices])
        both = np.stack([bust_rig.turn(vertices, head), bust_rig.turn_normals(normals, head)], axis=1)
        return both[None, :, :, renderer._blend.order], renderer._turned(still)

    with Renderer(bust_rig, takes=2, width=640, height=360, fine=fine) as renderer:
        resting, shown = renderer.frame(coefficients, still), renderer.frame(coefficients, head)
        monkeypatch.setattr(renderer, "_moved", turned)
        expected = renderer.frame(coefficients, still)
    apart = np.abs(shown.astype(int) - expected).max(axis=2)
    assert (apart > 3).mean() < 1e-3, "rounding may move an edge by a pixel"
    assert (np.abs(shown.astype(int) - resting).max(axis=2) > 3).mean() > 0.02
    shoulders = np.flatnonzero(drawn(resting).any(axis=1))[-8:]
    np.testing.assert_array_equal(drawn(shown)[shoulders], drawn(resting)[shoulders])


def test_an_open_jaw_moves_the_lower_lip_down_by_what_the_rig_says(ball_rig):
    opened = np.zeros((1, 52), np.float32)
    opened[0, ARKIT_INDEX["jawOpen"]] = 1
    with Renderer(ball_rig, width=640, height=480) as renderer:
        lowest = [np.nonzero(lips(renderer.frame(c, STILL[1])))[0].max() for c in (STILL[0], opened)]
        expected = [screen(renderer, (0, y, 0.102))[1] for y in (-0.036, -0.056)]
    np.testing.assert_allclose(lowest, expected, atol=2)


def test_each_take_has_a_cell_of_its_own(ball_rig, rng):
    coefficients, head = np.zeros((4, 52), np.float32), np.zeros((4, 3), np.float32)
    with Renderer(ball_rig, takes=4, width=640, height=360) as renderer:
        before = renderer.frame(coefficients, head)
        head[2] = (0.5, 0.2, 0)
        changed = (before != renderer.frame(coefficients, head)).any(axis=2)
        x, y = renderer.layout.corner(2)
        wide, high = renderer.layout.view
    inside = np.zeros_like(changed)
    inside[y : y + high, x : x + wide] = True
    assert changed[inside].any() and not changed[~inside].any()


def test_more_heads_than_fit_into_one_draw_call(ball_rig):
    """The 40th head, of the second call, moves its own jaw and nobody else's."""
    takes = HEADS_AT_ONCE + 8
    coefficients, head = np.zeros((takes, 52), np.float32), np.zeros((takes, 3), np.float32)
    with Renderer(ball_rig, takes, 800, 500) as renderer:
        before = renderer.frame(coefficients, head)
        coefficients[-1, ARKIT_INDEX["jawOpen"]] = 1
        changed = np.nonzero((before != renderer.frame(coefficients, head)).any(axis=2))
        (x, y), (wide, high) = renderer.layout.corner(takes - 1), renderer.layout.view
        skin = [drawn(before)[y : y + high, x : x + wide].mean() for x, y in map(renderer.layout.corner, range(takes))]
    assert len(changed[0]) and x <= changed[1].min() and changed[1].max() < x + wide and changed[0].min() >= y
    assert min(skin) > 0.2 and np.ptp(skin) < 0.05, "all are there, the label over one of them"


def test_pictures_of_motions_are_the_frames_one_by_one_and_short_motions_hold_still(ball_rig, motions):
    short = type(motions[0])(motions[0].coefficients[:5], motions[0].head[:5])
    with Renderer(ball_rig, takes=2, width=320, height=180) as renderer:
        pictures = list(renderer.frames([short, motions[1]]))
        assert len(pictures) == 12
        for t, row in ((3, 3), (11, 4)):
            alone = renderer.frame(
                np.stack([short.coefficients[row], motions[1].coefficients[t]]),
                np.stack([short.head[row], motions[1].head[t]]),
            )
            np.testing.assert_array_equal(pictures[t], alone)


def test_few_pictures_are_drawn_ahead_however_long_the_motion_is(ball_rig, monkeypatch):
    """Memory stays the same for a minute and for a second: nothing is drawn or blended long before it is wanted."""
    minute = Motion(np.zeros((1800, 52), np.float32), np.zeros((1800, 3), np.float32))
    with Renderer(ball_rig, width=64, height=64) as renderer:
        drawn, blended, moved = [], [], renderer._moved
        monkeypatch.setattr(renderer, "_moved", lambda c, h: blended.append(len(c)) or moved(c, h))
        monkeypatch.setattr(renderer, "_draw", lambda *_: drawn.append(1))
        frames = renderer.frames([minute])
        for shown in range(1, 4 * PIECE):
            next(frames)
            renderer._context.submit(int).result()  # all that was asked of OpenGL is done
            assert len(drawn) <= shown + 2 and sum(blended) <= shown + 2 + 2 * PIECE
        frames.close()


def test_any_thread_may_ask_for_pictures(ball_rig):
    """Handlers of a web page run in many threads; OpenGL has one context in one thread."""

    def picture(_):
        with Renderer(ball_rig, width=160, height=120) as renderer:
            return renderer.frame(*STILL)

    with ThreadPoolExecutor(4) as threads:
        pictures = list(threads.map(picture, range(8)))
    assert all((picture == pictures[0]).all() for picture in pictures)


def test_captions_label_and_background(ball_rig):
    with Renderer(ball_rig, width=640, height=360, captions=["Anna"]) as renderer:
        anna = renderer.frame(*STILL)
    with Renderer(ball_rig, width=640, height=360, captions=[" "]) as renderer:
        blank = renderer.frame(*STILL)
        band = renderer.layout.caption_height
    changed = np.nonzero((anna != blank).any(axis=2))
    assert changed[0].min() >= 360 - band, "the caption stays below the head"
    assert changed[1].mean() == pytest.approx(320, abs=8)
    np.testing.assert_array_equal(blank[:, 0], backdrop(640, 360)[:, 0, :3])
    corner = blank[:40, -120:].max()
    assert LABEL == "Synthetic" and corner > 200, "white letters of the label"


@pytest.mark.parametrize(
    ("takes", "aspect", "columns", "rows"),
    [(1, 0.7, 1, 1), (2, 0.7, 2, 1), (3, 0.7, 3, 1), (4, 0.6, 4, 1), (4, 1.6, 2, 2), (6, 0.9, 3, 2), (5, 1.2, 3, 2)],
)
def test_the_grid_shows_heads_as_large_as_they_can_be(takes, aspect, columns, rows):
    layout = Layout(takes, 1280, 720, aspect)
    assert (layout.columns, layout.rows) == (columns, rows)
    covered = np.zeros((720, 1280), int)
    for take in range(takes):
        (x, y), (wide, high) = layout.corner(take), layout.view
        covered[y : y + high, x : x + wide] += 1
    assert covered.max() == 1, "views do not overlap"
    assert covered.sum() == takes * layout.view[0] * layout.view[1], "views lie inside the picture"


def test_normals_of_a_ball_point_outwards(ball_rig):
    skin = ball_rig.parts["skin"]
    normals = vertex_normals(ball_rig.vertices, ball_rig.faces)[skin]
    outward = ball_rig.vertices[skin] / 0.1
    cosine = (normals * outward).sum(axis=1) / np.linalg.norm(normals, axis=1)
    assert cosine.min() > 0.99


def test_what_moves_is_blended_as_the_rig_poses_it(ball_rig, rng):
    """Vertices agree with Rig.pose, normals with those of the whole posed mesh, for frames and takes at once."""
    blend, coefficients = Blend(ball_rig), rng.uniform(0, 1, (3, 2, 52)).astype(np.float32)
    blended, posed = blend(coefficients), ball_rig.pose(coefficients)
    assert blended.shape == (3, 2, 2, blend.moving, 3) and 20 < blend.moving < len(ball_rig.vertices)
    for shown, vertices in zip(blended.reshape(6, 2, -1, 3), posed.reshape(6, -1, 3), strict=True):
        np.testing.assert_allclose(shown[0], vertices[blend.order[: blend.moving]], atol=1e-7)
        np.testing.assert_allclose(vertices[blend.order[blend.moving :]], blend.vertices[blend.moving :], atol=1e-6)
        normals = vertex_normals(vertices, ball_rig.faces)[blend.order]
        np.testing.assert_allclose(shown[1], normals[: blend.moving], atol=1e-9)
        np.testing.assert_allclose(blend.normals[blend.moving :], normals[blend.moving :], atol=1e-9)
    np.testing.assert_array_equal(blend.order[blend.faces], ball_rig.faces)


def test_stairs_become_the_slope_that_they_stand_for():
    """The edge of a half-plane of slope 1 / 8, drawn in whole pixels, comes close to the area that it covers."""
    x, y = np.arange(64) + 0.5, np.arange(32)[:, None]
    line = 10 + x / 8
    stairs = np.where(y + 0.5 > line, 200, 40).astype(np.uint8)
    covered = 40 + 160 * np.clip(y + 1 - line, 0, 1)
    picture = np.stack([stairs] * 3, axis=2)
    smooth_edges(picture)
    inner = np.s_[:, 8:-8]  # a stair's first and last tread end at the picture's border
    before, after = np.abs(stairs - covered)[inner], np.abs(picture[..., 1] - covered)[inner]
    assert after.max() < 0.3 * before.max() and (picture[[0, -1]] == [[[40]], [[200]]]).all()


def test_lone_pixels_of_thin_hairs_are_calmed():
    """A black pixel on white goes half-way to its neighbours; one in a line goes on as a line."""
    picture = np.full((9, 9, 3), 200, np.uint8)
    picture[4, 2] = 0
    picture[:, 6] = 0
    smooth_edges(picture)
    assert (picture[4, 2] == 100).all() and (picture[:, 6] == 0).all()
    assert (np.delete(picture, [2, 6], axis=1) == 200).all()


def test_a_lean_picture_is_close_to_a_fine_one():
    """Light per vertex and smoothed edges look as light per pixel and four times the pixels do."""
    coefficients = np.zeros((1, 52), np.float32)
    coefficients[0, ARKIT_INDEX["jawOpen"]] = 0.5
    pictures = []
    for fine in (True, False):
        with Renderer(default_rig(), width=400, height=480, fine=fine) as renderer:
            pictures.append(renderer.frame(coefficients, STILL[1]).astype(int))
    apart = np.abs(pictures[0] - pictures[1]).max(axis=2)
    assert apart.mean() < 2 and (apart > 40).mean() < 0.01


def test_parts_decide_how_they_take_light(ball_rig):
    looks = materials(ball_rig)
    skin, lip = looks[ball_rig.parts["skin"][0]], looks[ball_rig.parts["lips"][0]]
    assert lip[0] > skin[0], "moist lips shine in smaller spots"
    np.testing.assert_array_equal(looks[:, 3], 1)
    triangles, closed = closed_first(ball_rig)
    assert closed == len(ball_rig.faces) - 16
    np.testing.assert_array_equal(np.sort(triangles), np.arange(len(ball_rig.faces)))


def test_the_chin_keeps_light_from_the_neck_and_takes_its_shadow_along(monkeypatch):
    """The key light comes from the viewer's upper left: less of it reaches the neck right of the chin, and the shadow
    goes along when the chin turns left. None is missing above the chin."""
    head = np.array([[0, 0, 0], [-0.5, 0, 0]], np.float32)
    with Renderer(default_rig(), takes=2, width=640, height=480) as renderer:
        shaded = renderer.frame(np.zeros((2, 52)), head).astype(int)
    monkeypatch.setattr("render.renderer.occluder", lambda rig: (np.zeros(3), np.full(3, np.inf)))
    with Renderer(default_rig(), takes=2, width=640, height=480) as renderer:
        lost = (renderer.frame(np.zeros((2, 52)), head).astype(int) - shaded)[..., 0]
    rows, columns = np.nonzero(lost > 12)
    assert rows.min() > 240 and len(rows) > 2000, "below the middle of the head"
    ahead, turned = columns[columns < 320].mean(), columns[columns >= 320].mean() - 320
    assert turned + 10 < ahead and ahead > 170


def test_light_fades_behind_the_lips_but_only_inside_the_mouth(ball_rig):
    """The inner lips are at z = 0.102; the part "tongue" of this rig lies on the ball's silhouette, at z = 0."""
    side = np.flatnonzero(np.abs(ball_rig.vertices[:, 2]) < 1e-6)
    rig = dataclasses.replace(ball_rig, parts=ball_rig.parts | {"tongue": side})
    shade = materials(rig)[:, 3]
    np.testing.assert_allclose(
        shade[side], MOUTH_LIGHT + (1 - MOUTH_LIGHT) * np.exp(-0.102 / MOUTH_DARKENING_DEPTH), rtol=1e-3
    )
    assert len(side) > 20 and (np.delete(shade, side) == 1).all()


def test_wrong_shapes_and_closed_renderers_are_refused(ball_rig, motions):
    with pytest.raises(TalkerError, match="0 takes"):
        Renderer(ball_rig, takes=0)
    renderer = Renderer(ball_rig, takes=2, width=64, height=64)
    with pytest.raises(TalkerError, match="2 takes"):
        renderer.frame(*STILL)
    with pytest.raises(TalkerError, match="3 motions"):
        next(renderer.frames(motions))
    renderer.close()
    renderer.close()
    with pytest.raises(TalkerError, match="closed"):
        renderer.frame(np.zeros((2, 52)), np.zeros((2, 3)))


def test_without_opengl_one_sentence_says_what_to_install():
    code = (
        "import numpy as np\n"
        "from render.rig import Rig\n"
        "from render.renderer import Renderer\n"
        "from talker.errors import TalkerError\n"
        "rig = Rig(np.eye(3, dtype='f'), np.array([[0, 1, 2]]), np.zeros((52, 3, 3), 'f'),\n"
        "          np.zeros((3, 4), 'u1'), np.zeros(3, 'f'))\n"
        "try:\n    Renderer(rig)\nexcept TalkerError as error:\n    print(error)\n"
    )
    environment = os.environ | {"PYOPENGL_PLATFORM": "nowhere"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "libegl1" in done.stdout and "libgl1-mesa-dri" in done.stdout and "\n" not in done.stdout.strip()
