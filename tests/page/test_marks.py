"""What a visitor sets on the Edit tab: which sliders make a keyframe, where it stands, and what the timeline shows."""

from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile

from page.marks import SHAPES, UNITS, pose, set_keyframe, set_lock, shapes_to_compare, slider_values
from page.scenes import Scene, uploaded, with_edit, with_takes
from page.timeline import timeline
from talker.audio import SAMPLE_RATE, speech_from_array
from talker.editing import CHANNELS, Keyframe, plan_edit
from talker.errors import TalkerError
from talker.formats import write_live_link_csv
from talker.identity import NO_MATCH
from talker.motion import ARKIT_INDEX, Motion, resample
from talker.takes import Takes

LABELS = list(SHAPES)


@pytest.fixture
def scene(rng) -> Scene:
    """Two seconds in which the jaw is half open, the left corner of the mouth smiles and the head nods by 0.1."""
    coefficients = np.zeros((60, 52), np.float32)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.5
    coefficients[:, ARKIT_INDEX["mouthSmileLeft"]] = 0.4
    head = np.tile(np.float32([0, 0.1, 0]), (60, 1))
    speech = speech_from_array(rng.normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32), SAMPLE_RATE, "noise")
    return Scene(Motion(coefficients, head), speech)


def test_sliders_show_the_pose_in_their_units(scene):
    """The mean of both sides of a smile, and degrees of the head."""
    values = dict(zip(LABELS, slider_values(pose(scene, {}, [], 30)), strict=True))
    assert values["Jaw open"] == 0.5 and values["Smile"] == 0.2 and values["Eyes closed"] == 0
    assert values["Head nodding"] == pytest.approx(np.degrees(0.1), abs=0.01)


def test_a_keyframe_holds_the_sliders_that_were_moved(scene):
    """Both sides of a shape, at the frame nearest to the time; what was not moved is left to the model."""
    sliders = slider_values(pose(scene, {}, [], 30))
    sliders[LABELS.index("Smile")] = 0.9
    sliders[LABELS.index("Head turned")] = 18
    held, active = set_keyframe(scene, {}, [], 1.01, sliders)
    keyframe = held[active[0]]
    assert keyframe.time == 1.0
    assert keyframe.coefficients == {
        "mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "yaw": pytest.approx(np.radians(18)),
    }  # fmt: skip
    assert active == ["1.00 s: Smile 0.90, Head turned 18°"]
    again = slider_values(pose(scene, held, active, 30))
    np.testing.assert_allclose(again, sliders, atol=1e-6)
    edit = plan_edit(scene.motion, [keyframe])
    assert edit.mask[30, CHANNELS.index("mouthSmileLeft")] == 1 and edit.mask[30, CHANNELS.index("jawOpen")] == 0


def test_a_second_keyframe_at_the_same_frame_joins_the_first(scene):
    sliders = slider_values(pose(scene, {}, [], 30))
    sliders[LABELS.index("Smile")] = 0.9
    held, active = set_keyframe(scene, {}, [], 1.0, sliders)
    sliders[LABELS.index("Jaw open")] = 0.1
    held, active = set_keyframe(scene, held, active, 1.0, sliders)
    assert len(active) == 1
    assert held[active[0]].coefficients == {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.1}


def test_a_keyframe_with_nothing_moved_holds_all_as_it_is(scene):
    held, active = set_keyframe(scene, {}, [], 0.5, slider_values(pose(scene, {}, [], 15)))
    coefficients = held[active[0]].coefficients
    assert set(coefficients) == {name for names in SHAPES.values() for name in names}
    assert coefficients["mouthSmileLeft"] == pytest.approx(0.4) and coefficients["mouthSmileRight"] == 0


def test_the_timeline_puts_everything_where_its_time_is(scene):
    held, active = set_lock({}, [], "Lips and jaw", 0.5, 1.5)
    held["key"] = Keyframe(59 / 30, {"jawOpen": 0.2})
    drawn = timeline(scene, held, (0.1, 0.0))
    assert active == ["Lips and jaw locked, 0.50 to 1.50 s"]
    assert re.findall(r'class="lock" style="left:([\d.]+)%;width:([\d.]+)%', drawn) == [("25.00", "50.00")]
    assert re.findall(r'class="keyframe" style="left:([\d.]+)%', drawn) == [f"{100 * 59.5 / 60:.2f}"]
    assert re.findall(r'class="kept" style="left:0;width:([\d.]+)%', drawn) == ["10.00"]
    assert re.findall(r"<span>(\w+)</span>", drawn) == ["Speech", "Mouth", "Brows", "Blink"]


def test_a_motion_of_25_frames_a_second_is_keyed_at_its_own_frames(scene):
    slower = Scene(resample(scene.motion, 25.0), scene.speech)
    sliders = slider_values(pose(slower, {}, [], 25))
    sliders[LABELS.index("Smile")] = 0.9
    held, active = set_keyframe(slower, {}, [], 1.01, sliders)
    assert held[active[0]].time == 1.0 and slider_values(pose(slower, held, active, 25))[LABELS.index("Smile")] == 0.9
    assert re.findall(r'class="keyframe" style="left:([\d.]+)%', timeline(slower, held, (0, 0))) == ["51.00"]
    assert len(shapes_to_compare(scene.motion, slower.motion, [])) == 4


def test_compared_are_the_keyed_shapes_and_those_that_changed_most(scene):
    changed = scene.motion.coefficients.copy()
    for name, by in (("browInnerUp", 0.5), ("eyeBlinkLeft", 0.4), ("mouthFunnel", 0.3), ("mouthPucker", 0.2)):
        changed[:, ARKIT_INDEX[name]] += by
    after = Motion(changed, scene.motion.head)
    shapes = shapes_to_compare(scene.motion, after, [Keyframe(1.0, {"yaw": 0.1})])
    assert list(shapes) == ["Lips funnelled", "Inner brows up", "Eyes closed", "Head turned"]
    assert UNITS["Head turned"] == pytest.approx(180 / np.pi)


def test_scenes_grow_by_edits_and_new_takes_replace_the_old(scene):
    motions = np.stack([scene.motion.coefficients] * 2), np.stack([scene.motion.head] * 2)
    takes = Takes(*motions, fps=30, seed=0, identity=NO_MATCH, model="m", steps=1)
    scenes = with_takes({}, takes, scene.speech)
    name, scenes = with_edit(scenes, scene.motion, scene.speech)
    assert list(scenes) == ["Take 1", "Take 2", name] and name == "Edit 1"
    assert with_edit(scenes, scene.motion, scene.speech)[0] == "Edit 2"
    single = Takes(motions[0][:1], motions[1][:1], fps=30, seed=0, identity=NO_MATCH, model="m", steps=1)
    assert list(with_takes(scenes, single, scene.speech)) == ["Take 1", "Edit 1"]


def test_an_uploaded_motion_comes_to_thirty_frames_and_lasts_as_its_speech(scene, tmp_path):
    """Two seconds recorded at 60 frames a second; one second of them does not belong to the same speech."""
    recording = tmp_path / "speech.wav"
    soundfile.write(recording, scene.speech.samples, SAMPLE_RATE)
    twice = Motion(scene.motion.coefficients.repeat(2, axis=0), scene.motion.head.repeat(2, axis=0), 60)
    ((label, own),) = uploaded(str(write_live_link_csv(twice, tmp_path / "phone.csv")), recording).items()
    assert label == "phone.csv" and own.motion.fps == 30
    np.testing.assert_allclose(own.motion.coefficients, scene.motion.coefficients, atol=1e-6)
    two = Takes(*(np.stack([one] * 2) for one in (scene.motion.coefficients, scene.motion.head)), 30, 0, NO_MATCH, "m", 1)
    assert list(uploaded(str(two.save(tmp_path / "t.npz")), recording)) == ["t.npz, take 1", "t.npz, take 2"]
    half = str(write_live_link_csv(Motion(twice.coefficients[:60], twice.head[:60], 60), tmp_path / "half.csv"))
    with pytest.raises(TalkerError, match="half.csv lasts 1.00 s at 60 frames a second, but its speech 2.00 s"):
        uploaded(half, recording)
    with pytest.raises(TalkerError, match="upload the recording that belongs to it"):
        uploaded(half, None)
    with pytest.raises(TalkerError, match="There is no motion yet"):
        uploaded(None, recording)
