"""What `python -m training evaluate` measures, on the shipped student and two recordings."""

import json

import numpy as np
import pytest
import torch

from talker.audio import load_speech
from talker.checkpoints import save_checkpoint
from talker.errors import TalkerError
from talker.motion import Motion
from talker.pipeline import Talker
from talker.schedules import cosine_schedule
from training import evaluate as evaluation
from training.__main__ import main
from training.beat import CORPUS_FILE, read_corpus, write_motion, write_wav
from training.evaluate import _finite, beside_real_english, errors, set_against, set_beside_teacher, walking


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
    assert (report["steps"], report["steps_walked"], report["sampler"]) == (8, 8, "ddim")
    assert report["held_out_utterances"]["takes"] == 4 and "lip_noise" not in report
    assert 0 < report["held_out_utterances"]["LBE"] < 0.1 < report["held_out_utterances"]["MBE"]
    assert set(report["held_out_utterances"]["liveliness"]) == {"model", "corpus"}


def test_every_utterance_has_noise_of_its_own(corpus):
    """Else its blinks would fall on the same frames as all others'."""
    seeds, talker = [], Talker.from_pretrained("diffusiontalker")

    class Counting:
        def speak(self, speech, takes, seed):
            seeds.append(seed)
            return talker.speak(speech, takes=takes, seed=seed)

    (utterance,) = read_corpus(corpus)
    spoken = ([utterance], 3), ([utterance], 4), (2 * [utterance], 3)
    first, again, both = (errors(Counting(), utterances, takes=1, seed=seed) for utterances, seed in spoken)
    assert seeds == [3, 4, 3, 4] and both["takes"] == 2
    assert both["MBE"] == pytest.approx((first["MBE"] + again["MBE"]) / 2) and first["MBE"] != again["MBE"]


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


def test_other_languages_stand_beside_real_english_where_it_was_measured():
    columns = {"model": {"closed_over_open": 0.1, "rounding": 6.0}, "corpus": {"closed_over_open": 0.01, "rounding": 12.0}}
    report = {"other_languages": {"languages": dict.fromkeys(("en-us", "it", "pl"), columns)}}
    assert len(beside_real_english(report)["other_languages"]["bars"]) == 4
    report["real_speech"] = {"clean": {**columns, "model": {"closed_over_open": 0.05, "rounding": 6.0}}}
    bars = {bar["measure"]: bar for bar in beside_real_english(report)["other_languages"]["bars"]}
    assert len(bars) == 8 and bars["pl / real English: aperture at p b m"]["value"] == pytest.approx(2)
    assert "other_languages" not in beside_real_english({})


def test_nan_becomes_null_in_json():
    assert _finite({"a": [float("nan"), 1.5], "b": "x"}) == {"a": [None, 1.5], "b": "x"}


def test_less_lip_noise_is_measured_without_a_new_checkpoint(corpus, tmp_path):
    lbe = []
    for scale in ("0", "1"):
        report = measured(corpus, tmp_path / "report.json", "--only", "errors", "--lip-noise", scale)
        assert report["lip_noise"] == float(scale)
        lbe.append(report["held_out_utterances"]["LBE"])
    assert not np.isclose(*lbe, rtol=0.01)


@pytest.fixture
def long_teacher(tmp_path):
    """The shipped student's checkpoint with 500 ancestral steps instead of its own."""
    teacher = Talker.from_pretrained("diffusiontalker").denoiser
    config = teacher.config.to_dict() | {"alpha_bars": cosine_schedule(500).alpha_bars.tolist(), "sampler": "ancestral"}
    torch.manual_seed(0)
    model = type(teacher)(type(teacher.config).from_dict(config))
    return save_checkpoint(tmp_path / "long-teacher", model, config | {"encoder": "speech-encoder", "steps": 500})


def test_of_500_steps_a_model_walks_32_by_ddim_unless_told_otherwise(long_teacher, example_clip):
    def walk(*arguments):
        talker = walking(str(long_teacher), *arguments)
        return talker.own_steps, talker.denoiser.config.sampler

    assert walk() == (32, "ddim")
    assert walk({"sampler": "dpm-solver++"}) == (32, "dpm-solver++")
    assert walk(None, 20) == (20, "ancestral") and walk(None, 900) == (None, "ancestral")
    assert walking("diffusiontalker", steps=20).own_steps is None  # it has 8
    with pytest.raises(TalkerError, match="not 0"):
        walking("diffusiontalker", steps=0)
    talker, speech = walking(str(long_teacher), steps=2), load_speech(example_clip)
    takes = talker.speak(speech, takes=1)
    assert takes.steps == 2 and talker.speak(speech, takes=1, steps=1).steps == 1
    asked = Talker.from_pretrained(long_teacher).speak(speech, takes=1, steps=2)
    np.testing.assert_array_equal(takes.coefficients, asked.coefficients)


def test_fewer_steps_are_named_in_report_and_heading(corpus, tmp_path, capsys):
    report = measured(corpus, tmp_path / "report.json", "--only", "errors", "--steps", "2", "--takes", "1")
    assert (report["steps"], report["steps_walked"]) == (8, 2)
    assert "diffusiontalker, 2 of 8 steps by ddim. synthetic corpus" in capsys.readouterr().out


def test_a_students_lip_error_is_at_most_a_tenth_above_its_teachers():
    def report(name, lbe):
        return {"model": name, "held_out_utterances": {"LBE": lbe}}

    student, teacher, other = report("3diface", 0.109), report("3diface-teacher", 0.1), report("diffposetalk", 0.2)
    for one in (student, teacher, other):
        set_beside_teacher(one, [student, teacher, other])
    (bar,) = student["beside_teacher"]["bars"]
    assert student["beside_teacher"]["model"] == "3diface-teacher" and bar["value"] == pytest.approx(1.09) and bar["holds"]
    assert "beside_teacher" not in teacher and "beside_teacher" not in other
    student["held_out_utterances"]["LBE"] = 0.111
    set_beside_teacher(student, [teacher])
    assert not student["beside_teacher"]["bars"][0]["holds"]


def test_all_reports_and_cards_are_written_after_the_last_model(tmp_path, monkeypatch, capsys):
    """What is measured is made up here; students stand beside teachers that were measured after them."""
    for name in ("toy", "toy-teacher"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "diffusiontalker"}')
    errors = {"toy": 0.12, "toy-teacher": 0.1}
    asked, carded = [], []

    def evaluate(model, corpus, only, **options):
        name = model.rsplit("/", 1)[-1]
        asked.append((name, only))
        walk = {"steps": 8, "steps_walked": 8, "sampler": "ddim"}
        return {"model": name, "kind": "toy", **walk, "data": "toy", "held_out_utterances": {"LBE": errors[name]}}

    def write_card(report, folder, corpus, run):
        assert (tmp_path / "all.json").exists()  # a card that cannot be written takes no measures with it
        carded.append((folder.name, "beside_teacher" in report, len(run)))

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    monkeypatch.setattr(evaluation.cards, "write_card", write_card)
    folders = [str(tmp_path / name) for name in errors]
    assert main(["evaluate", *folders, "--card", "--out", str(tmp_path / "all.json")]) == 0
    groups = [(name, only) for only in evaluation.GROUPS for name in errors]  # a teacher beside its student takes too long
    assert asked == [(name, only) for name, only in groups if name == "toy" or only == "errors"]
    assert carded == [("toy", True, 2), ("toy-teacher", False, 2)]
    assert json.loads((tmp_path / "all.json").read_text())[0]["beside_teacher"]["bars"][0]["value"] == pytest.approx(1.2)
    printed = capsys.readouterr().out
    assert "bars of toy beside toy-teacher" in printed
    assert "lip error of the student / its teacher's  1.200  <= 1.100  FAILS" in printed


def test_kept_measures_are_taken_again_only_of_other_weights_or_options(tmp_path, monkeypatch):
    """What is measured is made up here: how often it was asked for."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "diffusiontalker"}')
    (folder / "model.safetensors").write_bytes(b"some weights")
    asked = []

    def evaluate(model, corpus, **options):
        asked.append(options)
        return {"model": "toy", "asked": len(asked), "rounding": float("nan")}

    def measured(takes: int = 4) -> dict:
        return evaluation.measured(folder, tmp_path, tmp_path / "kept", only="real", sampling={"sampler": "ddim"}, takes=takes)

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    assert measured()["asked"] == measured()["asked"] == 1
    assert np.isnan(measured()["rounding"])
    assert measured(takes=2)["asked"] == 2
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert measured()["asked"] == 3
