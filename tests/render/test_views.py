"""Views: what compares takes shows what numpy says, in every size and at every rate that is offered."""

import dataclasses

import av
import numpy as np
import pytest
from PIL import Image

from render.export import write_outputs
from render.rig import default_rig
from render.video import encode
from render.views import (
    COLD, SPREAD_COLORS, WARM, DifferenceRenderer, Pictures, SpreadRenderer, largest_spread, parse_size, parse_times,
    spread,
)  # fmt: skip
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, Motion

RATE = 16000


def opening(jaws, frames: int = 3) -> list[Motion]:
    """Motions that hold their jaw open by so much each."""
    motions = []
    for jaw in jaws:
        coefficients = np.zeros((frames, 52), np.float32)
        coefficients[:, ARKIT_INDEX["jawOpen"]] = jaw
        motions.append(Motion(coefficients, np.zeros((frames, 3), np.float32)))
    return motions


def test_the_spread_is_the_standard_deviation_in_millimetres(ball_rig, rng):
    """Jaws that drop 2 cm by shares w lie apart by 20 mm times the standard deviation of w."""
    shares = np.array([0.1, 0.4, 0.7, 1.0])
    vertices = np.stack([ball_rig.pose(motion.coefficients[0]) for motion in opening(shares)])
    found = spread(vertices)
    jaw = np.flatnonzero(np.abs(ball_rig.deltas[ARKIT_INDEX["jawOpen"]]).any(axis=1))
    np.testing.assert_allclose(found[jaw], 20 * shares.std(), rtol=1e-4)
    np.testing.assert_allclose(np.delete(found, jaw), 0, atol=1e-4)
    cloud = rng.normal(size=(5, 7, 3))
    np.testing.assert_allclose(spread(cloud), 1000 * np.sqrt(cloud.var(axis=0).sum(axis=-1)))
    assert largest_spread(ball_rig, opening(shares)) == 10, "the next of 1, 2, 5, 10 above 6.7 mm"


def test_the_heat_map_colours_what_takes_do_differently(ball_rig):
    """Lips of the ball where jaws differ: the colour of what they differ by; elsewhere that of nothing."""
    shares = [0.0, 1.0]
    with SpreadRenderer(ball_rig, 2, 20.0, width=320, height=240) as renderer:
        moved, _ = renderer._moved(np.stack([m.coefficients[:1] for m in opening(shares)], axis=1), np.zeros((1, 2, 3)))
        order = renderer._blend.order[: renderer._blend.moving]
        same, apart = (next(renderer.frames(opening(jaws))) for jaws in ([0.5, 0.5], shares))
    drops = np.abs(ball_rig.deltas[ARKIT_INDEX["jawOpen"]]).any(axis=1)[order]
    assert moved.shape == (1, 1, 3, len(order), 3), "one head: positions, normals and colours"
    np.testing.assert_allclose(moved[0, 0, 2, drops], np.tile(SPREAD_COLORS[128], (drops.sum(), 1)), atol=0.02)
    np.testing.assert_allclose(moved[0, 0, 2, ~drops], np.tile(SPREAD_COLORS[0], ((~drops).sum(), 1)), atol=1e-6)
    mean = ball_rig.pose(np.mean([m.coefficients[0] for m in opening(shares)], axis=0))
    np.testing.assert_allclose(moved[0, 0, 0], mean[order], atol=1e-6)
    changed = (np.abs(same.astype(int) - apart).max(axis=2) > 20).sum()
    assert 20 < changed < 2000, "the lower lip alone"
    assert (same[:, :30] == apart[:, :30]).all(), "the bar stays"


def test_two_heads_over_each_other_are_the_mean_of_the_two(ball_rig):
    """Where both are, both count half; where they agree, neither tint is left."""
    captions = ["Take 1", "Take 2"]
    with DifferenceRenderer(ball_rig, captions, width=320, height=240) as renderer:
        both, apart = (next(renderer.frames(opening(jaws))).astype(int) for jaws in ([0.0, 0.0], [0.0, 1.0]))
        middle = both[60:80, 150:170].reshape(-1, 3).mean(axis=0)
        composed = renderer._composed(np.dstack([np.tile(np.uint8([[200, 101]]), (4, 1)).repeat(320, axis=1)] * 3))
    assert np.ptp(middle) < 40, "orange and blue make grey"
    assert (composed == 150).all() and composed.shape == (4, 320, 3)
    rows, columns = np.nonzero(np.abs(apart - both).max(axis=2) > 6)
    assert len(rows) > 20 and 140 < columns.mean() < 180 and rows.min() > 100, "only the lips, which part"
    assert WARM[0] > WARM[2] and COLD[2] > COLD[0]


@pytest.mark.parametrize(
    ("text", "size"),
    [("720p", (1280, 720)), ("portrait-1080p", (1080, 1920)), ("640x360", (640, 360)), ("480P", (854, 480))],
)
def test_sizes_by_name_and_by_number(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("size", ["portrait-480p", "720p"])
def test_pictures_have_the_size_that_was_asked_for_and_show_all_heads(ball_rig, size):
    width, height = parse_size(size)
    pictures = Pictures(width, height)
    motions, captions = pictures.shown(opening([0, 0.2, 0.4]))
    with pictures.renderer(ball_rig, motions, captions) as renderer:
        picture = next(renderer.frames(motions)).astype(int)
        cells = [(*renderer.layout.corner(i), *renderer.layout.view) for i in range(3)]
    assert picture.shape == (height, width, 3)
    skin = picture[..., 0] > picture[..., 2] + 10
    for x, y, wide, high in cells:
        assert skin[y : y + high, x : x + wide].mean() > 0.1
    assert skin.sum() == pytest.approx(3 * skin[cells[0][1] :][: cells[0][3], cells[0][0] :][:, : cells[0][2]].sum(), rel=0.02)


@pytest.mark.parametrize("fps", [25, 60])
def test_another_frame_rate_shows_the_same_motion_at_the_same_time(ball_rig, fps):
    """A jaw that opens by 0.02 a frame for 30 frames of 30 a second is half open after half a second at any rate."""
    ramp = opening([0.0], frames=31)[0]
    ramp.coefficients[:, ARKIT_INDEX["jawOpen"]] = np.arange(31) / 50
    motions, captions = Pictures(fps=fps, view="takes").shown([ramp])
    assert captions == ["Take 1"] and motions[0].fps == fps
    assert len(motions[0].coefficients) == round(31 / 30 * fps)
    jaw = motions[0].coefficients[:, ARKIT_INDEX["jawOpen"]]
    np.testing.assert_allclose(jaw, np.minimum(np.arange(len(jaw)) / fps * 30, 30) / 50, atol=1e-6)


def test_recorded_motion_comes_first_and_as_long_as_the_takes():
    truth = Motion(np.full((50, 52), 0.5, np.float32), np.zeros((50, 3), np.float32), fps=60.0)
    motions, captions = Pictures(truth=truth).shown(opening([0, 0, 0], frames=30))
    assert captions == ["Ground truth", "Take 1", "Take 2", "Take 3"]
    assert [len(m.coefficients) for m in motions] == [30] * 4 and {m.fps for m in motions} == {30.0}
    motions, captions = Pictures(truth=truth, view="difference").shown(opening([0], frames=30))
    assert captions == ["Ground truth", "Take 1"]
    named = Pictures(truth=truth, captions=("Before", "After"))
    assert named.shown(opening([0], frames=30))[1] == ["Before", "After"]


def test_a_transparent_video_comes_back_with_its_background_open(ball_rig, tmp_path):
    """Opacity is 255 on the head, 0 beside it, and what lies in between has the head's colour, not the canvas's."""
    motions = opening([0.0], frames=6)
    pictures = Pictures(320, 240, transparent=True)
    with pictures.renderer(ball_rig, motions, ["Take 1"], transparent=True) as renderer:
        drawn = list(renderer.frames(motions))
        x, y = renderer.layout.view[0] // 2, renderer.layout.view[1] // 4
        encode(iter(drawn), np.zeros(3200, np.float32), RATE, 30.0, tmp_path / "a.webm")
    assert drawn[0].shape == (240, 320, 4)
    assert drawn[0][y, x, 3] == 255 and drawn[0][y, 5, 3] == 0
    left = drawn[0][:180, :200]  # without label and caption
    edge = left[(left[..., 3] > 60) & (left[..., 3] < 200)]
    assert len(edge) > 40 and edge[:, 0].min() > 40, "straight colours: an edge over white has no dark rim"
    with av.open(tmp_path / "a.webm") as container:
        assert container.metadata["COMMENT"].startswith("synthetic")
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder leaves opacity out
        frames = [frame for packet in container.demux(video=0) if packet.size for frame in decoder.decode(packet)]
    assert len(frames) + len(decoder.decode(None)) == 6 and frames[0].format.name == "yuva420p"
    back = frames[0].to_ndarray(format="rgba")
    assert np.abs(back[..., 3].astype(int) - drawn[0][..., 3]).mean() < 3
    np.testing.assert_allclose(back[y, x, :3], drawn[0][y, x, :3], atol=12)


def test_an_mp4_refuses_opacity(tmp_path):
    with pytest.raises(TalkerError, match="write a .webm"):
        encode([np.zeros((4, 4, 4), np.uint8)], np.zeros(10, np.float32), RATE, 30.0, tmp_path / "a.mp4")


def test_everything_that_is_asked_for_is_written(ball_rig, takes, speech, tmp_path):
    """Stills at their times, a video of another rate, size and view, one without background; takes as they were."""
    (tmp_path / "still-9.00.png").write_bytes(b"of an earlier run")
    pictures = Pictures(320, 480, fps=60, view="difference", stills=(0.1, 0.3), transparent=True)
    outputs = write_outputs(takes, speech, tmp_path, ball_rig, pictures=pictures)
    assert [path.name for path in outputs.stills] == ["still-0.10.png", "still-0.30.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["chart.png", "still-0.10.png", "still-0.30.png"]
    assert {outputs.comparison_mp4, outputs.comparison_webm, *outputs.stills} <= set(outputs.files)
    with Image.open(outputs.stills[0]) as still:
        assert still.size == (320, 480) and still.mode == "RGBA" and still.info["Comment"].startswith("synthetic")
    with av.open(outputs.comparison_mp4) as container:
        assert container.streams.video[0].frames == 24 and float(container.streams.video[0].average_rate) == 60
    assert np.load(outputs.takes_npz)["fps"] == 30 and np.load(outputs.takes_npz)["coefficients"].shape[1] == 12


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"width": 321}, "even numbers"), ({"height": 4000}, "even numbers"), ({"fps": 24}, "24 frames"),
        ({"view": "sideways"}, "no view"), ({"stills": (-1.0,)}, "from the beginning"),
        ({"stills": (float("nan"),)}, "from the beginning"),
        ({"view": "spread", "truth": Motion(np.zeros((1, 52)), np.zeros((1, 3)))}, "takes alone"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_in_one_sentence(values, words):
    with pytest.raises(TalkerError, match=words):
        Pictures(**values)


def test_late_stills_single_takes_and_words_that_are_no_numbers_are_refused():
    with pytest.raises(TalkerError, match="ends after 2.00 s"):
        Pictures(stills=(2.5,)).check(takes=1, seconds=2.0)
    with pytest.raises(TalkerError, match="compares takes"):
        Pictures(view="spread").check(takes=1, seconds=2.0)
    with pytest.raises(TalkerError, match="no size"):
        parse_size("huge")
    with pytest.raises(TalkerError, match="no list of seconds"):
        parse_times("soon")
    assert parse_times("0.5, 1.2") == (0.5, 1.2) and parse_times("") == ()


def test_a_body_is_framed_by_its_face(ball_rig):
    """A rig of a whole person: what shapes move fills the picture, and no foot reaches into the caption."""
    feet = np.array([[-0.1, -1.6, 0], [0.1, -1.6, 0], [0, -0.1, 0]], np.float32)
    count = len(ball_rig.vertices)
    body = dataclasses.replace(
        ball_rig,
        vertices=np.concatenate([ball_rig.vertices, feet]),
        faces=np.concatenate([ball_rig.faces, np.array([[count, count + 1, count + 2]], np.int32)]),
        deltas=np.concatenate([ball_rig.deltas, np.zeros((52, 3, 3), np.float32)], axis=1),
        corrective_deltas=None,
        colors=np.concatenate([ball_rig.colors, np.full((3, 4), (200, 160, 140, 255), np.uint8)]),
        head_weight=None,
        parts={},
    )
    motions = opening([0.0], frames=1)
    pictures = Pictures(320, 240)
    shown = []
    for rig in (ball_rig, body):
        with pictures.renderer(rig, motions, [" "]) as renderer:
            shown.append(next(renderer.frames(motions)).astype(int))
            band = renderer.layout.caption_height
    skin = [picture[..., 0] > picture[..., 2] + 10 for picture in shown]
    assert skin[1].any(axis=1).sum() >= 0.8 * skin[0].any(axis=1).sum(), "as large as a head alone"
    assert skin[1][: 240 - band].any() and not skin[1][240 - band :].any()


def test_the_default_head_is_shown_whole():
    with Pictures().renderer(default_rig(), opening([0.0]), ["Take 1"]) as renderer:
        assert not renderer._is_cut()
