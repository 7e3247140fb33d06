"""Export: a folder with everything of one run, and of one run only."""

import dataclasses
import json

import av
import numpy as np
import pytest

from render import views
from render.export import write_outputs
from talker.errors import TalkerError
from talker.formats import read_beat_json, read_live_link_csv
from talker.motion import ARKIT_NAMES
from talker.takes import Choices, load_takes

NAMES = sorted(
    ["takes.npz", "comparison.glb", "comparison.mp4", "chart.png", "report.json"]
    + [f"take-{i}.{suffix}" for i in (1, 2, 3) for suffix in ("csv", "glb", "json")]
)


def test_everything_of_the_command_line_is_written(ball_rig, takes, speech, tmp_path):
    told = []
    outputs = write_outputs(takes, speech, tmp_path / "out", ball_rig, callback=lambda *stage: told.append(stage))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == NAMES
    assert sorted(path.name for path in outputs.files) == NAMES
    assert all(path.stat().st_size > 0 for path in outputs.files)

    again = load_takes(outputs.takes_npz)
    np.testing.assert_array_equal(again.coefficients, takes.coefficients)
    second = read_live_link_csv(outputs.csvs[1])
    np.testing.assert_allclose(second.coefficients, takes.coefficients[1], atol=1e-4)
    third = read_beat_json(outputs.jsons[2])  # BEAT has no tongueOut, the last of the names
    np.testing.assert_allclose(third.coefficients[:, :51], takes.coefficients[2][:, :51], atol=1e-6)
    np.testing.assert_allclose(third.head, takes.head[2], atol=1e-6)
    with av.open(outputs.comparison_mp4) as container:
        assert container.streams.video[0].frames == 12
        assert (container.streams.video[0].width, container.streams.video[0].height) == (1280, 720)
        assert container.metadata["title"] == "Talker: noise"

    assert [stage for stage, _ in told] == sorted([stage for stage, _ in told]), "render, then write"
    for stage in ("render", "write"):
        fractions = [fraction for name, fraction in told if name == stage]
        assert fractions[0] == 0 and fractions[-1] == 1 and fractions == sorted(fractions)


def test_the_report_has_the_agreed_fields(ball_rig, takes, speech, tmp_path):
    chosen = dataclasses.replace(takes, choices=Choices("ddim", {"audio": 1.15, "style": 3.0})).in_style_of("faces/anna.csv")
    outputs = write_outputs(chosen, speech, tmp_path, ball_rig, video=False)
    assert outputs.comparison_mp4 is None
    report = json.loads(outputs.report_json.read_text())
    seconds = report.pop("seconds")
    assert report == {
        "model": "diffusiontalker",
        "steps": 8,
        "sampler": "ddim",
        "guidance": {"audio": 1.15, "style": 3.0},
        "style": "anna.csv",
        "delta": None,
        "head": True,
        "motion_given": False,
        "device": "cpu",
        "fps": 30.0,
        "frames": 12,
        "takes": 3,
        "seed": 7,
        "identity": {"name": "anna", "similarity": 0.8, "ranking": [["anna", 0.8], ["bela", 0.1]]},
        "diversity": takes.diversity(),
        "rig": {
            "source": "Talker",
            "name": "ball",
            "vertices": len(ball_rig.vertices),
            "triangles": len(ball_rig.faces),
            "shapes": 3,
            "missing": [name for name in ARKIT_NAMES if name not in ("browInnerUp", "jawOpen", "mouthClose")],
            "ignored": [],
            "units": "metres",
            "notes": [],
        },
    }
    assert list(seconds) == ["load", "encode", "match", "sample", "render", "write"]
    assert seconds["load"] == 1.5 and seconds["render"] < 0.01 < seconds["write"]


def test_a_folder_shows_one_run_and_keeps_what_is_not_ours(ball_rig, takes, speech, tmp_path):
    for name in ("take-9.csv", "take-4.glb", "comparison.mp4", "take-notes.csv", "take-9.txt", "holiday.mp4"):
        (tmp_path / name).write_text("before")
    write_outputs(takes, speech, tmp_path, ball_rig, video=False)
    left = {path.name for path in tmp_path.iterdir()}
    assert left - set(NAMES) == {"take-notes.csv", "take-9.txt", "holiday.mp4"}
    assert "comparison.mp4" not in left


def test_a_failure_leaves_no_half_written_file_and_no_report(ball_rig, takes, speech, tmp_path, monkeypatch):
    (tmp_path / "report.json").write_text("{}")

    class Breaks(views.Renderer):
        def frames(self, motions):
            for count, picture in enumerate(super().frames(motions)):
                if count == 6:
                    raise TalkerError("The drawing broke; try again.")
                yield picture

    monkeypatch.setattr(views, "Renderer", Breaks)
    with pytest.raises(TalkerError, match="drawing broke"):
        write_outputs(takes, speech, tmp_path, ball_rig)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_one_sentence(ball_rig, takes, speech, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(TalkerError, match="Cannot write"):
        write_outputs(takes, speech, tmp_path / "out", ball_rig, video=False)
