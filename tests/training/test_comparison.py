"""Comparison videos and sheets of close-ups, on motions made by hand."""

import av
import numpy as np
import pytest
from PIL import Image

from render.rig import default_rig
from talker.audio import Speech
from talker.motion import ARKIT_INDEX, Motion
from training.alignment import Phone
from training.comparison import AROUND, CLOSE_UP, lower_face, moments, said, sheet, video

PHONES = [Phone("SIL", 0.0, 0.2), Phone("M", 0.2, 0.3), Phone("AA", 0.3, 0.5), Phone("SIL", 0.5, 0.55)]


def test_the_phone_being_said_is_in_brackets():
    assert said(PHONES, 0.25) == "- [M] AA -"
    assert said(PHONES, 0.0) == "[-] M AA -"
    assert said(PHONES, 9.0) == "- M AA [-]"


def test_moments_are_the_longest_of_each_phone_and_pauses_that_last():
    more = [Phone("M", k + 1.0, k + 1.0 + 0.05 * (k + 1)) for k in range(4)]
    chosen = moments([*PHONES, *more])
    assert [p.label for p in chosen] == ["M", "M", "SIL"]
    assert [p.start for p in chosen] == [3.0, 4.0, 0.0]


def test_the_lower_face_moves_as_the_whole_one():
    rig = default_rig()
    crop = lower_face(rig)
    coefficients = np.zeros(52, np.float32)
    coefficients[[ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthPucker"]]] = 0.5, 0.4
    lips = "inner_lip_upper"
    assert crop.pose(coefficients)[crop.landmarks[lips]] == pytest.approx(
        rig.pose(coefficients)[rig.landmarks[lips]], abs=1e-6
    )
    assert len(crop.vertices) < len(rig.vertices) / 2 and {"teeth_upper", "lips"} <= set(crop.parts)


@pytest.fixture(scope="module")
def motions():
    """A mouth that opens in AA, and one that stays shut."""
    moving, still = np.zeros((2, 17, 52), np.float32)
    moving[9:15, ARKIT_INDEX["jawOpen"]] = 0.7
    return [Motion(m, np.zeros((17, 3), np.float32)) for m in (moving, still)]


def test_a_sheet_has_a_row_per_motion_and_a_column_per_frame(motions):
    picture = sheet(default_rig(), motions, ["moving", "still"], PHONES)
    (wide, high), title, label = CLOSE_UP, 26, 18
    first = picture[title + label :, : wide * len(AROUND)].astype(int)
    rows = [first[k * high : (k + 1) * high] for k in range(2)]
    shown = [[row[:, c * wide : (c + 1) * wide] for c in range(len(AROUND))] for row in rows]
    # M is centred on frame 8 of the motion; the mouth opens at frame 9, one column to the right.
    assert np.abs(shown[0][2] - shown[1][2]).mean() < 0.5 < np.abs(shown[0][3] - shown[1][3]).mean()


def test_a_video_lasts_as_long_as_the_motion_and_names_phones(motions, tmp_path):
    speech = Speech(np.random.default_rng(0).normal(0, 0.1, 9067).astype(np.float32), "one")
    video(default_rig(), motions, ["moving", "still"], PHONES, speech, tmp_path / "one.mp4")
    with av.open(tmp_path / "one.mp4") as file:
        pictures = [frame.to_image() for frame in file.decode(video=0)]
    assert len(pictures) == 17
    top = np.asarray(pictures[7].crop((0, 0, 200, 40)).convert("L"), int)
    assert top.max() > 180 and isinstance(pictures[7], Image.Image)  # the line of phones is written there
