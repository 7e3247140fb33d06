"""Files of keyframes, as people write them."""

import pytest

from talker.edit_file import read_edit
from talker.editing import Keyframe, Lock
from talker.errors import TalkerError


def test_json_holds_keyframes_and_locks(tmp_path):
    path = tmp_path / "edit.json"
    path.write_text(
        '{"keyframes": [{"time": 1, "coefficients": {"jawOpen": 0.6, "yaw": -0.1}}],'
        ' "locks": [{"region": "lips", "start": 0.5, "end": 1.5}, {"region": ["head", "browInnerUp"], "start": 0, "end": 2}]}'
    )
    keyframes, locks = read_edit(path)
    assert keyframes == [Keyframe(1.0, {"jawOpen": 0.6, "yaw": -0.1})]
    assert locks == [Lock("lips", 0.5, 1.5), Lock(["head", "browInnerUp"], 0.0, 2.0)]
    path.write_text("{}")
    assert read_edit(path) == ([], [])


def test_a_csv_sets_what_is_not_empty(tmp_path):
    path = tmp_path / "edit.csv"
    path.write_text("time, jawOpen, mouthSmileLeft\n0.5, 0.2,\n1.25, , 0.4\n", encoding="utf-8-sig")
    assert read_edit(path) == ([Keyframe(0.5, {"jawOpen": 0.2}), Keyframe(1.25, {"mouthSmileLeft": 0.4})], [])


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("edit.json", "[1, 2", "holds no keyframes"),
        ("edit.json", "[1, 2]", "holds no keyframes"),
        ("edit.json", '{"keyframes": [{"time": "soon", "coefficients": {}}]}', "holds no keyframes"),
        ("edit.json", '{"keyframes": [{"coefficients": {"jawOpen": 1}}]}', "time"),
        ("edit.json", '{"frames": []}', "it has frames beside"),
        ("edit.json", '{"locks": [{"region": 5, "start": 0, "end": 1}]}', "a name or a list of names, not 5"),
        ("edit.csv", "seconds,jawOpen\n1,0.5\n", "no column time"),
        ("edit.csv", "time,jawOpen\n1,0.5,0.6\n", "line 2"),
        ("edit.csv", "time,jawOpen\n1,wide\n", "holds no keyframes"),
        ("edit.csv", "", "no column time"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(TalkerError, match=words) as refused:
        read_edit(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(TalkerError, match="lost.json cannot be read"):
        read_edit(tmp_path / "lost.json")
