"""What `python -m training evaluate` measures, on the shipped student and two recordings."""

import json

import numpy as np
import pytest

from talker.audio import load_speech
from talker.motion import Motion
from talker.pipeline import Talker
from training.__main__ import main
from training.beat import CORPUS_FILE, write_motion, write_wav
from training.evaluate import _finite, set_against


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, example_clip):
    """One held-out utterance of a speaker of the library, whose motion is the student's own first take."""
    folder, speech = tmp_path_factory.mktemp("corpus"), load_speech(example_clip)
    talker = Talker.from_pretrained("diffusiontalker")
    speaker = talker.match(speech).name
    take = talker.speak(speech, takes=1, seed=0).motions[0]
    write_wav(speech.samples, folder / speaker / "one.wav")
    write_motion(Motion(take.coefficients, take.head, take.fps), folder / speaker / "one.json")
    (folder / CORPUS_FILE).write_text(json.dumps({"utterances": {"one": {"split": "heldout_utterance"}}}))
    return folder


def measured(corpus, out, *words):
    assert main(["evaluate", "diffusiontalker", "--corpus", str(corpus), "--out", str(out), *words]) == 0
    return json.loads(out.read_text())[0]


def test_the_models_own_motion_has_errors_of_the_other_takes_alone(corpus, tmp_path):
    report = measured(corpus, tmp_path / "report.json", "--only", "errors")
    assert report["held_out_utterances"]["takes"] == 4 and "lip_noise" not in report
    assert 0 < report["held_out_utterances"]["LBE"] < 0.1 < report["held_out_utterances"]["MBE"]


def test_a_voice_of_the_library_is_found_clean_and_counted_in_noise(corpus, tmp_path):
    matching = measured(corpus, tmp_path / "report.json", "--only", "identities")["identity_matching"]
    assert matching["f1"] == 1.0 and matching["noise"]["utterances"] == 1
    assert [bar["limit"] for bar in matching["bars"]] == [0.98, 0.93]


def test_tables_are_printed_and_bars_named(corpus, tmp_path, capsys):
    measured(corpus, tmp_path / "report.json", "--only", "identities", "--takes", "1")
    printed = capsys.readouterr().out
    assert "identity by voice, 1 held-out utterances" in printed
    assert "identity at 15 dB, F1" in printed and "holds" in printed


def test_another_model_is_held_against_diffusiontalker():
    """Apertures a fifth larger, rounding a fifth less and a lag a fifth of a frame longer are just allowed."""

    def report(kind, *values):
        names = ("closed_over_open", "silence_over_open", "rounding", "lag_frames")
        return {"model": kind, "kind": kind, "real_speech": {"clean": {"model": dict(zip(names, values))}}}

    ours, reference = report("diffposetalk", 0.12, 0.026, 8.1, -0.5), report("diffusiontalker", 0.1, 0.02, 10.0, 0.4)
    set_against(ours, [report("3diface", 9, 9, 9, 9), reference])
    assert ours["against"]["model"] == "diffusiontalker"
    assert [round(bar["value"], 6) for bar in ours["against"]["bars"]] == [1.2, 1.3, 0.81, 0.1]
    assert [bar["holds"] for bar in ours["against"]["bars"]] == [True, False, True, True]
    set_against(reference, [reference])
    assert "against" not in reference


def test_nan_becomes_null_in_json():
    assert _finite({"a": [float("nan"), 1.5], "b": "x"}) == {"a": [None, 1.5], "b": "x"}


def test_less_lip_noise_is_measured_without_a_new_checkpoint(corpus, tmp_path):
    lbe = []
    for scale in ("0", "1"):
        report = measured(corpus, tmp_path / "report.json", "--only", "errors", "--lip-noise", scale)
        assert report["lip_noise"] == float(scale)
        lbe.append(report["held_out_utterances"]["LBE"])
    assert not np.isclose(*lbe, rtol=0.01)
