"""Motion files: what other programs wrote is read by name, and what Talker writes comes back."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from talker.errors import TalkerError
from talker.formats import (
    EYE_ROTATION,
    LIVE_LINK_COLUMNS,
    eye_rotations,
    read_beat_json,
    read_live_link_csv,
    read_motion,
    write_beat_json,
    write_live_link_csv,
)
from talker.identity import Match
from talker.motion import ARKIT_INDEX, ARKIT_NAMES, Motion
from talker.takes import Takes


@pytest.fixture
def motion(rng) -> Motion:
    """Two seconds of random motion."""
    return Motion(
        rng.uniform(0, 1, (60, 52)).astype(np.float32), rng.uniform(-0.5, 0.5, (60, 3)).astype(np.float32), 30.0
    )


def assert_same(actual: Motion, expected: Motion) -> None:
    np.testing.assert_array_equal(actual.coefficients, expected.coefficients)
    np.testing.assert_array_equal(actual.head, expected.head)
    assert actual.fps == pytest.approx(expected.fps, rel=1e-3)
    assert actual.coefficients.dtype == actual.head.dtype == np.float32


def test_live_link_columns_are_the_apps():
    """61 columns: 52 shapes, head and eyes, with the app's places of a few that importers rely on."""
    assert len(LIVE_LINK_COLUMNS) == len(set(LIVE_LINK_COLUMNS)) == 61
    assert {name.lower() for name in LIVE_LINK_COLUMNS[:52]} == {name.lower() for name in ARKIT_NAMES}
    for name, place in {
        "EyeBlinkLeft": 0, "EyeWideLeft": 6, "EyeBlinkRight": 7, "EyeWideRight": 13, "JawForward": 14,
        "JawRight": 15, "JawLeft": 16, "JawOpen": 17, "MouthClose": 18, "MouthSmileLeft": 23,
        "BrowInnerUp": 43, "TongueOut": 51, "HeadYaw": 52, "LeftEyeYaw": 55, "RightEyeRoll": 60,
    }.items():  # fmt: skip
        assert LIVE_LINK_COLUMNS[place] == name


def test_live_link_csv_looks_as_the_app_writes_it(tmp_path, motion):
    path = write_live_link_csv(motion, tmp_path / "take-1.csv")
    rows = list(csv.reader(path.open()))
    assert rows[0] == ["Timecode", "BlendShapeCount", *LIVE_LINK_COLUMNS]
    assert len(rows) == 61 and {len(row) for row in rows} == {63}
    # In sixtieths, which Unreal's importer takes for granted, whatever the rate of the motion.
    assert [rows[i][0] for i in (1, 2, 31, 60)] == ["00:00:00:00.000", "00:00:00:02.000", "00:00:01:00.000", "00:00:01:58.000"]
    assert {row[1] for row in rows[1:]} == {"61"}
    column = rows[0].index("MouthFunnel")
    np.testing.assert_array_equal(
        np.float32([row[column] for row in rows[1:]]), motion.coefficients[:, ARKIT_INDEX["mouthFunnel"]]
    )
    assert float(rows[5][rows[0].index("HeadPitch")]) == pytest.approx(motion.head[4, 1], rel=1e-6)


@pytest.mark.parametrize("fps", [5, 24, 25, 29.97, 30, 60, 12.5, 120])
def test_live_link_csv_round_trip_at_any_rate(tmp_path, motion, fps):
    expected = Motion(motion.coefficients, motion.head, fps)
    assert_same(read_motion(write_live_link_csv(expected, tmp_path / "a.csv")), expected)


def test_live_link_csv_in_unreal_takes_as_long_as_the_motion(tmp_path, motion):
    """Times as Unreal's LiveLinkFaceImporter reads them: HH:MM:SS and sixtieths of a second."""
    rows = list(csv.reader(write_live_link_csv(motion, tmp_path / "a.csv").open()))[1:]
    clocks = np.array([[float(part) for part in row[0].split(":")] for row in rows])
    np.testing.assert_allclose(clocks @ (3600, 60, 1, 1 / 60), np.arange(60) / motion.fps, atol=1e-5)


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60, 120])
def test_live_link_csv_of_other_programs_counts_at_their_rate(tmp_path, motion, rate):
    path = write_live_link_csv(motion, tmp_path / "a.csv")
    rows = list(csv.reader(path.open()))
    for i, row in enumerate(rows[1:]):
        row[0] = f"00:00:{i // rate:02d}:{i % rate:02d}.000"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    if rate < 60:
        assert read_live_link_csv(path).fps == rate
    else:  # the motion's 60 frames end within one second, which is taken for sixtieths
        assert read_live_link_csv(path).fps == 60


def test_live_link_csv_is_read_by_name_not_by_place(tmp_path, motion, rng):
    """Columns shuffled, in other capitals, and without the eyes: the same motion."""
    path = write_live_link_csv(motion, tmp_path / "a.csv")
    rows = list(csv.reader(path.open()))
    keep = [i for i, name in enumerate(rows[0]) if "EyeYaw" not in name]
    order = rng.permutation(keep)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([rows[0][i].upper() for i in order])
        writer.writerows([[row[i] for i in order] for row in rows[1:]])
    assert_same(read_live_link_csv(path), motion)


def test_live_link_csv_of_a_phone_with_jitter_midnight_and_dropped_frames(tmp_path):
    """A ramp recorded at 60 fps across midnight, with two frames dropped, is the ramp at 60 fps."""
    ramp = np.linspace(0, 1, 180)
    head = np.zeros((180, 3), np.float32)
    path = write_live_link_csv(Motion(np.repeat(ramp[:, None], 52, axis=1).astype(np.float32), head, 60.0), tmp_path / "a.csv")
    rows = list(csv.reader(path.open()))
    for i, row in enumerate(rows[1:]):
        second = 86399 + i // 60
        clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        row[0] = f"{clock}:{i % 60:02d}.{(7 * i) % 3:03d}"  # up to two thousandths of a frame late
    del rows[50:52]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    motion = read_live_link_csv(path)
    assert motion.fps == 60.0
    np.testing.assert_allclose(motion.coefficients[:, 0], ramp, atol=1e-4)


def test_eye_rotation_follows_the_look_coefficients():
    """Both eyes to the face's own left: left eye out, right eye in, both yaw positive and equal."""
    coefficients = np.zeros((1, 52), np.float32)
    coefficients[0, [ARKIT_INDEX["eyeLookOutLeft"], ARKIT_INDEX["eyeLookInRight"]]] = 0.5
    coefficients[0, [ARKIT_INDEX["eyeLookUpLeft"], ARKIT_INDEX["eyeLookDownRight"]]] = 1.0
    expected = EYE_ROTATION * np.array([[0.5, -1, 0, 0.5, 1, 0]])
    np.testing.assert_allclose(eye_rotations(coefficients), expected, rtol=1e-6)


def test_beat_json_has_beats_layout_and_round_trips(tmp_path, motion):
    path = write_beat_json(Motion(motion.coefficients, motion.head, 60.0), tmp_path / "1_wayne_0_1_1.json")
    content = json.loads(path.read_text())
    assert content["names"] == list(ARKIT_NAMES[:51])
    assert content["frames"][30]["time"] == 0.5
    assert len(content["frames"][0]["weights"]) == 51 and len(content["frames"][0]["rotation"]) == 3
    back = read_motion(path)
    np.testing.assert_array_equal(back.coefficients[:, :51], motion.coefficients[:, :51])
    np.testing.assert_array_equal(back.head, motion.head)
    assert back.fps == 60.0 and not back.coefficients[:, ARKIT_INDEX["tongueOut"]].any()


def test_beat_json_is_read_by_name_and_without_rotation(tmp_path, motion, rng):
    content = json.loads(write_beat_json(motion, tmp_path / "a.json").read_text())
    order = rng.permutation(51)
    shuffled = {
        "names": [content["names"][i] for i in order],
        "frames": [
            {"weights": [frame["weights"][i] for i in order], "time": frame["time"], "rotation": []}
            for frame in content["frames"]
        ],
    }
    (tmp_path / "b.json").write_text(json.dumps(shuffled))
    back = read_beat_json(tmp_path / "b.json")
    np.testing.assert_array_equal(back.coefficients[:, :51], motion.coefficients[:, :51])
    assert not back.head.any()


def test_takes_are_read_one_by_one(tmp_path, motion):
    takes = Takes(
        np.stack([motion.coefficients, 1 - motion.coefficients]), np.stack([motion.head, -motion.head]),
        30.0, 0, Match("118", 0.9, [("118", 0.9)]), "diffusiontalker", 8,
    )  # fmt: skip
    path = takes.save(tmp_path / "takes.npz")
    assert_same(read_motion(path), motion)
    assert_same(read_motion(path, take=2), takes.motions[1])
    with pytest.raises(TalkerError, match="no take 3; choose one from 1 to 2"):
        read_motion(path, take=3)


def edit_csv(path, change) -> None:
    rows = list(csv.reader(path.open()))
    change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda rows: [row.__delitem__(19) for row in rows], "lacks the columns jawOpen;"),
        (lambda rows: rows[0].__setitem__(0, "Time"), "lacks the columns Timecode"),
        (lambda rows: rows.__delitem__(slice(1, None)), "holds no frames"),
        (lambda rows: rows[3].__setitem__(19, "fast"), "unreadable values"),
        (lambda rows: rows[3].__setitem__(19, "nan"), "jawOpen = nan in frame 3"),
        (lambda rows: rows[3].__setitem__(19, "85"), "jawOpen = 85 in frame 3"),
        (lambda rows: rows[3].__setitem__(54, "45"), "head yaw of 45 in frame 3"),
        (lambda rows: rows[3].__setitem__(0, "noon"), "'noon'"),
        (lambda rows: rows[3].__setitem__(0, rows[2][0]), "do not rise"),
        (lambda rows: rows[3].__delitem__(slice(10, None)), "too few"),
    ],
)
def test_broken_live_link_csvs_say_what_is_wrong(tmp_path, motion, change, words):
    path = write_live_link_csv(motion, tmp_path / "a.csv")
    edit_csv(path, change)
    with pytest.raises(TalkerError, match=words):
        read_live_link_csv(path)


@pytest.mark.parametrize(
    "content, words",
    [
        ("not json", "is not JSON"),
        ("[1, 2]", "no names and frames"),
        (json.dumps({"names": ["jawOpen"], "frames": []}), "lacks the coefficients browDownLeft"),
        (json.dumps({"names": ARKIT_NAMES[:51], "frames": []}), "holds no frames"),
        (
            json.dumps({"names": ARKIT_NAMES[:51], "frames": [{"weights": [0] * 51, "time": 0}] * 2}),
            "times do not rise",
        ),
        (
            json.dumps({"names": ARKIT_NAMES[:51], "frames": [{"weights": [0] * n, "time": n} for n in (50, 51)]}),
            "unequal length",
        ),
    ],
)
def test_broken_beat_jsons_say_what_is_wrong(tmp_path, content, words):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(TalkerError, match=words):
        read_beat_json(tmp_path / "a.json")


def test_other_suffixes_and_missing_files(tmp_path):
    with pytest.raises(TalkerError, match="no motion file"):
        read_motion(tmp_path / "a.bvh")
    for name in ("a.csv", "a.json", "a.npz"):
        with pytest.raises(TalkerError, match="check the path"):
            read_motion(tmp_path / name)


def test_a_failed_write_leaves_nothing_behind(tmp_path, motion):
    """Motion whose arrays do not fit fails half-way; the older file stays and no temporary one does."""
    path = write_live_link_csv(motion, tmp_path / "a.csv")
    before = path.read_bytes()
    with pytest.raises(ValueError):
        write_live_link_csv(Motion(motion.coefficients, motion.head[:10], 30.0), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    with pytest.raises(TalkerError, match="can be written"):
        write_live_link_csv(motion, path / "inside-a-file.csv")
