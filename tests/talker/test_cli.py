"""The command line as scripts use it: files, report, exit codes and sentences."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talker.__main__ import main
from talker.audio import SAMPLE_RATE, load_speech
from talker.formats import read_motion
from talker.motion import ARKIT_NAMES
from talker.pipeline import CHECKPOINTS, Talker, available_models
from talker.takes import load_takes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, example_clip) -> Path:
    """The folder of one run without video, in a process of its own as a user starts it."""
    folder = tmp_path_factory.mktemp("spoken")
    command = [sys.executable, "-m", "talker", "speak", str(example_clip), "--out", str(folder)]
    finished = subprocess.run(
        [*command, "--takes", "2", "--seed", "5", "--no-video"], cwd=ROOT, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == json.loads((folder / "report.json").read_text())
    return folder


def test_speak_writes_what_the_documentation_lists(spoken):
    assert {path.name for path in spoken.iterdir()} == {
        "takes.npz", "comparison.glb", "chart.png", "report.json",
        *(f"take-{i}.{suffix}" for i in (1, 2) for suffix in ("csv", "json", "glb")),
    }  # fmt: skip


def test_takes_have_the_documented_arrays(spoken, example_clip):
    frames = load_speech(example_clip).frames()
    with np.load(spoken / "takes.npz", allow_pickle=False) as file:
        assert file["coefficients"].shape == (2, frames, 52) and file["coefficients"].dtype == np.float32
        assert file["head"].shape == (2, frames, 3) and file["head"].dtype == np.float32
        assert file["fps"] == 30 and file["seed"] == 5 and tuple(file["names"]) == ARKIT_NAMES
        assert 0 <= file["coefficients"].min() and file["coefficients"].max() <= 1
        assert not np.array_equal(file["coefficients"][0], file["coefficients"][1])


def test_csvs_and_jsons_hold_the_takes(spoken):
    for take, motion in enumerate(load_takes(spoken / "takes.npz").motions, start=1):
        from_json = read_motion(spoken / f"take-{take}.json")
        np.testing.assert_array_equal(from_json.coefficients[:, :51], motion.coefficients[:, :51])  # BEAT's 51
        from_csv = read_motion(spoken / f"take-{take}.csv")
        np.testing.assert_array_equal(from_csv.coefficients, motion.coefficients)
        np.testing.assert_array_equal(from_csv.head, motion.head)
        assert from_csv.fps == 30


def test_report_has_the_documented_keys(spoken):
    report = json.loads((spoken / "report.json").read_text())
    takes = load_takes(spoken / "takes.npz")
    assert set(report) == {
        "model", "steps", "device", "fps", "frames", "takes", "seed", "identity", "diversity", "rig", "seconds",
        "sampler", "guidance", "style", "delta", "head", "motion_given",
    }  # fmt: skip
    assert (report["sampler"], report["guidance"], report["style"], report["delta"]) == ("ddim", {}, None, None)
    assert report["head"] and not report["motion_given"]
    assert (report["model"], report["takes"], report["seed"]) == ("diffusiontalker", 2, 5)
    assert report["frames"] == takes.coefficients.shape[1] and report["fps"] == 30
    assert set(report["identity"]) == {"name", "similarity", "ranking"}
    assert report["identity"]["ranking"][0][0] == report["identity"]["name"] == takes.identity.name
    assert report["diversity"] == pytest.approx(takes.diversity())
    assert set(report["seconds"]) == {"load", "encode", "match", "sample", "render", "write"}


def test_the_same_seed_gives_the_same_file_bit_for_bit(spoken, example_clip, tmp_path):
    arguments = ["speak", str(example_clip), "--takes", "2", "--no-video", "--quiet"]
    assert main([*arguments, "--seed", "5", "--out", str(tmp_path / "same")]) == 0
    assert main([*arguments, "--seed", "6", "--out", str(tmp_path / "other")]) == 0
    first = (spoken / "takes.npz").read_bytes()
    assert (tmp_path / "same" / "takes.npz").read_bytes() == first
    assert not np.array_equal(
        load_takes(tmp_path / "other" / "takes.npz").coefficients, load_takes(spoken / "takes.npz").coefficients
    )


def test_a_picked_identity_speaks_and_the_ranking_stays(spoken, example_clip, tmp_path, capsys):
    assert main(["identities"]) == 0
    names = capsys.readouterr().out.split()
    matched = load_takes(spoken / "takes.npz").identity
    assert sorted(names) == sorted(name for name, _ in matched.ranking)
    other = next(name for name in names if name != matched.name)
    arguments = ["speak", str(example_clip), "--takes", "1", "--no-video", "--quiet", "--out", str(tmp_path)]
    assert main([*arguments, "--identity", other, "--steps", "2"]) == 0
    takes = load_takes(tmp_path / "takes.npz")
    assert takes.identity.name == other and takes.identity.ranking == matched.ranking and takes.steps == 2


def test_keyframes_mean_seconds_of_a_model_of_25_frames_a_second(example_clip, tmp_path, monkeypatch):
    slower = Talker.from_pretrained("diffusiontalker")
    slower.denoiser.config = dataclasses.replace(slower.denoiser.config, fps=25.0)
    monkeypatch.setattr(Talker, "from_pretrained", lambda *_, **__: slower)
    arguments = ["speak", str(example_clip), "--takes", "1", "--no-video", "--quiet", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--keyframes", keyframe_file(tmp_path, 2.0, "mouthPucker")]) == 0
    takes = load_takes(tmp_path / "out" / "takes.npz")
    assert takes.fps == 25 and takes.coefficients[0, 50, ARKIT_NAMES.index("mouthPucker")] == 0.5


def test_a_take_is_edited_and_the_head_stays_still(spoken, example_clip, tmp_path):
    arguments = ["speak", str(example_clip), "--takes", "1", "--no-video", "--quiet", "--out", str(tmp_path)]
    edit = ["--motion", str(spoken / "takes.npz"), "--take", "2", "--keep-first", "0.25", "--keep-last", "0.1"]
    assert main([*arguments, *edit, "--keyframes", keyframe_file(tmp_path, 2.0, "mouthPucker"), "--no-head", "--seed", "9"]) == 0
    before, after = load_takes(spoken / "takes.npz").coefficients[1], load_takes(tmp_path / "takes.npz").coefficients[0]
    kept = np.r_[0 : round(0.25 * len(before)), len(before) - round(0.1 * len(before)) : len(before)]
    np.testing.assert_array_equal(after[kept], before[kept])
    assert after[60, ARKIT_NAMES.index("mouthPucker")] == 0.5
    assert not np.array_equal(after, before) and not load_takes(tmp_path / "takes.npz").head.any()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["motion_given"] and not report["head"]


def test_models_lists_the_embedded_checkpoints(capsys):
    assert main(["models"]) == 0
    lines = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert {"diffusiontalker", "diffusiontalker-teacher"} <= set(lines)
    assert all(lines.values())


def test_bench_prints_json_by_stage(capsys):
    assert main(["bench", "--seconds", "1", "--takes", "1", "--repeats", "2"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["frames"] == 30 and measured["runs"] == 2
    assert measured["itf"]["total"] == pytest.approx(measured["seconds"]["total"] / 30)


def test_bench_of_all_models_is_one_table(capsys):
    assert main(["bench", "--all", "--seconds", "1", "--takes", "1", "--repeats", "1", "--steps", "2"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    assert [row[0].strip("|` ") for row in rows] == list(available_models())
    assert all(row[1] == "2" and 0 < float(row[2].split()[0]) <= float(row[3].split()[0]) for row in rows)


def bad_recording(folder: Path, kind: str) -> str:
    path = folder / f"{kind}.wav"
    if kind == "text":
        path.write_text("not a sound\n" * 99)
    elif kind == "empty":
        path.touch()
    elif kind == "silent":
        soundfile.write(path, np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    elif kind == "long":
        soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 70 * SAMPLE_RATE), SAMPLE_RATE)
    elif kind == "nan":
        soundfile.write(path, np.full(SAMPLE_RATE, np.nan, np.float32), SAMPLE_RATE, subtype="FLOAT")
    return str(path)


@pytest.mark.parametrize(
    "kind, words",
    [
        ("missing", "no file"),
        ("text", "not a recording"),
        ("empty", "empty file"),
        ("silent", "silent"),
        ("long", "at most 60 s"),
        ("nan", "not numbers"),
    ],
)
def test_bad_recordings_end_with_code_2_and_one_sentence(tmp_path, capsys, kind, words):
    out = tmp_path / "out"
    assert main(["speak", bad_recording(tmp_path, kind), "--out", str(out), "--quiet"]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not out.exists()


def broken_model(folder: Path) -> str:
    shutil.copytree(CHECKPOINTS / "diffusiontalker", folder / "broken")
    weights = folder / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    return str(folder / "broken")


def keyframe_file(folder: Path, time: float, name: str) -> str:
    path = folder / "keyframes.json"
    path.write_text(json.dumps({"keyframes": [{"time": time, "coefficients": {name: 0.5}}]}))
    return str(path)


@pytest.mark.parametrize(
    "options, words",
    [
        (lambda folder: ["--identity", "nobody"], "nobody"),
        (lambda folder: ["--model", "nothing"], "There is no model 'nothing'"),
        (lambda folder: ["--model", broken_model(folder)], "broken"),
        (lambda folder: ["--steps", "1000"], "1000"),
        (lambda folder: ["--takes", "1000"], "not 1000"),
        (lambda folder: ["--guidance", "2"], "trained without guidance by audio"),
        (lambda folder: ["--guidance", "audio=much"], "is no guidance"),
        (lambda folder: ["--style", "calm"], "diffusiontalker has no speaking styles"),
        (lambda folder: ["--style", str(folder / "lost.csv")], "lost.csv cannot be read"),
        (lambda folder: ["--sampler", "euler"], "choose one of ddim"),
        (lambda folder: ["--keep-first", "0.1"], "name the takes.npz"),
        (lambda folder: ["--motion", "takes.npz"], "Say what to keep"),
        (lambda folder: ["--keyframes", keyframe_file(folder, 99, "jawOpen")], "A keyframe at 99 s lies outside the clip"),
        (lambda folder: ["--keyframes", keyframe_file(folder, 1, "jawOpne")], "no shape “jawOpne”; is jawOpen meant"),
        (lambda folder: ["--keyframes", str(folder / "lost.json")], "lost.json cannot be read"),
        (lambda folder: ["--size", "huge"], "give one such as 1280x720"),
        (lambda folder: ["--fps", "24"], "choose one of 25, 30, 60"),
        (lambda folder: ["--view", "spread", "--takes", "1"], "ask for two or more"),
        (lambda folder: ["--stills", "0.2,900"], "the speech ends after"),
        (lambda folder: ["--truth", str(folder / "lost.csv")], "lost.csv cannot be read"),
    ],
)
def test_bad_options_end_with_code_2_and_one_sentence(tmp_path, capsys, example_clip, options, words):
    out = tmp_path / "out"
    assert main(["speak", str(example_clip), "--out", str(out), "--no-video", "--quiet", *options(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not out.exists()


def test_a_folder_that_cannot_be_written_gets_a_sentence(tmp_path, capsys, example_clip):
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    assert main(["speak", str(example_clip), "--out", str(out), "--takes", "1", "--no-video", "--quiet"]) == 2
    message = capsys.readouterr().err
    assert "annot" in message and message.count("\n") == 1


def test_no_traceback_reaches_a_user(tmp_path):
    """In a process of its own: exit code 2, one line on stderr, nothing on stdout."""
    finished = subprocess.run(
        [sys.executable, "-m", "talker", "speak", str(tmp_path / "gone.wav"), "--out", str(tmp_path / "out")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr.startswith("talker: There is no file") and finished.stderr.count("\n") == 1
