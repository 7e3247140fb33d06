"""Charts: the lines are the motion's curves over the recording's seconds."""

import numpy as np
from PIL import Image

from render.charts import TAKE_COLORS, curves, draw_chart, draw_edit_chart, envelope, write_chart
from talker.editing import Keyframe, Lock, plan_edit
from talker.motion import ARKIT_INDEX, Motion


def test_mouth_opens_by_the_jaw_less_what_mouth_close_takes_back():
    coefficients = np.zeros((3, 52), np.float32)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = (0.2, 0.5, 0.3)
    coefficients[:, ARKIT_INDEX["mouthClose"]] = (0.0, 0.2, 0.4)
    coefficients[:, ARKIT_INDEX["browInnerUp"]] = (0.1, 0.2, 0.3)
    coefficients[:, ARKIT_INDEX["eyeBlinkLeft"]] = 1.0
    drawn = curves(Motion(coefficients, np.zeros((3, 3), np.float32)))
    np.testing.assert_allclose(drawn["Mouth"], [0.2, 0.3, 0.0], atol=1e-6)
    np.testing.assert_allclose(drawn["Brows"], [0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(drawn["Blink"], 0.5)


def test_the_envelope_keeps_every_peak():
    samples = np.zeros(100_000, np.float32)
    samples[12_345], samples[99_999], samples[0] = 0.9, -0.7, 0.3
    middles, low, high = envelope(samples, columns=300)
    assert len(middles) == 300
    assert high.max() == np.float32(0.9) and low.min() == np.float32(-0.7) and high[0] == np.float32(0.3)
    assert abs(middles[high.argmax()] - 12_345) < 100_000 / 300
    short = envelope(np.array([0.5, -0.5], np.float32))
    np.testing.assert_array_equal(short[2], [0.5, -0.5])


def test_every_take_has_a_line_in_every_panel(takes, speech):
    figure = draw_chart(takes, speech)
    wave, *panels = figure.axes
    assert [axis.get_ylabel() for axis in figure.axes] == ["Speech", "Mouth", "Brows", "Blink"]
    for axis in panels:
        assert len(axis.lines) == 3
        for i, (line, motion) in enumerate(zip(axis.lines, takes.motions, strict=True)):
            np.testing.assert_allclose(line.get_xdata(), np.arange(12) / 30)
            np.testing.assert_array_equal(line.get_ydata(), curves(motion)[axis.get_ylabel()])
            assert line.get_color() == TAKE_COLORS[i]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Take 1", "Take 2", "Take 3"]
    assert wave.get_xlim() == (0, 0.4)


def test_the_picture_is_written_whole(takes, speech, tmp_path):
    write_chart(takes, speech, tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.format == "PNG" and picture.size == (840, 1008)
        pixels = np.asarray(picture.convert("RGB"))
    blue = np.abs(pixels.astype(int) - (0, 0x72, 0xB2)).sum(axis=2) < 60
    assert blue.sum() > 500, "the first take's lines are there"
    assert [path.name for path in tmp_path.iterdir()] == ["chart.png"]


def test_an_edit_is_drawn_before_and_after_with_its_keyframes(rng):
    """Of both sides the mean, of the head degrees; ranges that were locked are shaded from first to last frame."""
    before, after = (
        Motion(rng.random((30, 52), np.float32), rng.normal(0, 0.1, (30, 3)).astype(np.float32)) for _ in range(2)
    )
    smile = ("mouthSmileLeft", "mouthSmileRight")
    keyframes = [Keyframe(0.5, {"mouthSmileLeft": 0.2, "mouthSmileRight": 0.4})]
    edit = plan_edit(before, keyframes, [Lock("head", 0.2, 0.4)])
    shapes = {"Smile": (smile, 1.0), "Head turned": (("yaw",), 180 / np.pi)}
    first, second = draw_edit_chart(before, after, edit, keyframes, shapes).axes
    assert [axis.get_title("left") for axis in (first, second)] == ["Smile", "Head turned, degrees"]
    for line, motion in zip(first.lines, (before, after)):
        mean = motion.coefficients[:, [ARKIT_INDEX[name] for name in smile]].mean(axis=1)
        np.testing.assert_allclose(line.get_ydata(), mean, rtol=1e-6)
    np.testing.assert_allclose(first.lines[2].get_xydata(), [[0.5, 0.3]])
    assert not len(second.lines[2].get_xydata()) and not first.patches
    np.testing.assert_allclose(second.lines[1].get_ydata(), np.degrees(after.head[:, 0]), rtol=1e-5)
    span = second.patches[0].get_bbox()
    np.testing.assert_allclose([span.x0, span.x1], [6 / 30, 12 / 30])
