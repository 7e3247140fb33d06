"""Identities that a user adds: from speech, from speech with motion, blended, listed, forgotten."""

from __future__ import annotations

import copy
import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from talker import Talker
from talker.__main__ import main
from talker.audio import SAMPLE_RATE, Speech, load_speech
from talker.enrol import check_name, enrol
from talker.errors import TalkerError
from talker.formats import read_motion, write_live_link_csv
from talker.identity import EnrolledIdentity, Identities, IdentityLibrary
from talker.identity_file import add_identity, identity_file, read_identities, remove_identity
from talker.motion import LIP_REGION, resample


@pytest.fixture(scope="module")
def talker() -> Talker:
    return Talker.from_pretrained("diffusiontalker")


@pytest.fixture(scope="module")
def strangers(speech_folder, talker) -> dict[str, tuple[Speech, Speech]]:
    """Real speakers whom the model did not learn from, each as two recordings: the halves of an utterance."""
    halves = {}
    for path in sorted(speech_folder.glob("*.flac")):
        speaker = f"ls-{path.stem.split('-')[0]}"
        speech = load_speech(path)
        if speaker not in talker.identities and speech.seconds > 10 and len(halves) < 8:
            middle = len(speech.samples) // 2
            halves[speaker] = (Speech(speech.samples[:middle], path.stem), Speech(speech.samples[middle:], path.stem))
    return halves


def made_up(name: str = "zoe", seed: int = 0, voice_dim: int = 6, **changes) -> EnrolledIdentity:
    voices = np.random.default_rng(seed).normal(size=(2, voice_dim)).astype(np.float32)
    return dataclasses.replace(EnrolledIdentity(name, voices, "ear"), **changes)


def small_library() -> IdentityLibrary:
    torch.manual_seed(0)
    return IdentityLibrary(["anna", "ben", "carl", "dora", "emil", "fay", "gus"], 6)


def test_enrolled_speakers_are_found_again_by_other_speech(talker, strangers):
    """All eight enrolled from their first halves at once; the second halves name them."""
    made = {name: enrol(talker, name, [first]).identity for name, (first, _) in strangers.items()}
    with_all = talker.with_enrolled(made)
    found = [with_all.match(second).name == name for name, (_, second) in strangers.items()]
    assert len(found) == 8 and np.mean(found) > 0.8
    assert not set(made) & set(talker.identities)  # the model itself is as before


def test_an_identity_from_speech_is_the_mixture_of_its_neighbours():
    library = small_library()
    identity = made_up()
    everyone = Identities(library, {"zoe": identity}, encoder="ear")
    with torch.no_grad():
        features = library.voice_features(torch.from_numpy(identity.voices)).numpy()
        known = library.identity_features().numpy()
    voice = features.mean(0) / np.linalg.norm(features.mean(0))
    nearest = np.argsort(-known @ voice)[:5]
    weights = np.exp(known[nearest] @ voice / 0.07)
    expected = (weights / weights.sum()) @ library.embeddings.detach().numpy()[nearest]
    np.testing.assert_allclose(everyone.embedding("zoe"), expected, atol=1e-5)
    np.testing.assert_allclose(everyone.features[-1], voice, atol=1e-6)
    assert list(library.neighbours(torch.from_numpy(voice))) == [library.names[row] for row in nearest]
    once = Identities(library, {"zoe": made_up(voices=identity.voices[:1])}, encoder="ear").match(identity.voices[0])
    assert once.name == "zoe" and once.similarity == pytest.approx(1.0, abs=1e-6)


def test_a_blend_is_the_weighted_mean():
    everyone = Identities(small_library(), {"zoe": made_up()}, encoder="ear")
    half = everyone.embedding("anna:1,zoe:1")
    torch.testing.assert_close(half, (everyone.embedding("anna") + everyone.embedding("zoe")) / 2)
    torch.testing.assert_close(half, everyone.embedding({"anna": 0.5, "zoe": 0.5}))
    voice = np.random.default_rng(1).normal(size=6).astype(np.float32)
    match = everyone.match(voice, "anna:3, ben:1")
    assert match.name == "anna:0.75,ben:0.25"
    mean = (0.75 * everyone.features[0] + 0.25 * everyone.features[1]).numpy()
    assert match.similarity == pytest.approx(mean @ voice / np.linalg.norm(mean) / np.linalg.norm(voice), abs=1e-6)
    alone = dict(match.ranking)
    best = match.ranking[0][0]
    assert everyone.match(voice, "auto:0.5,ben:0.5").weights == {best: 0.5, "ben": 0.5}
    assert everyone.match(voice).weights == {best: 1.0}
    assert everyone.match(voice, {"anna": 1, "ben": 0}).similarity == pytest.approx(alone["anna"], abs=1e-6)
    for wrong, words in [
        ("anna:0.7,nobody:0.3", "no identity “nobody”"),
        ("anna:much", "no part of a blend"),
        ("anna:0.7,ben:-0.1", "weight of “ben”"),
        ("anna:nan", "weight of “anna”"),
        ("anna:0,ben:0", "weight above 0"),
    ]:
        with pytest.raises(TalkerError, match=words):
            everyone.weights(wrong)


def test_blends_speak_and_move_between_their_parts(talker, example_clip):
    speech = load_speech(example_clip)
    a, b = talker.identities[0], talker.identities[-1]
    motion = {
        name: talker.speak(speech, takes=1, identity=name).coefficients for name in (a, b, f"{a}:0.5,{b}:0.5")
    }
    whole, *distances = (
        np.abs(motion[x] - motion[y]).mean() for x, y in [(a, b), (a, f"{a}:0.5,{b}:0.5"), (b, f"{a}:0.5,{b}:0.5")]
    )
    assert max(distances) < whole


def test_names_are_checked(talker):
    assert check_name(talker, "  Zoë O’Hara-2 ") == "Zoë O’Hara-2"
    for name in ("", "auto", "a:b", "a,b", "x" * 41, "-x", "a\nb", "../up"):
        with pytest.raises(TalkerError, match="cannot be an identity's name"):
            check_name(talker, name)
    with pytest.raises(TalkerError, match="of its own"):
        check_name(talker, talker.identities[0])


def test_the_file_comes_back_and_is_private(tmp_path):
    path = tmp_path / "new" / "identities.safetensors"
    assert read_identities(path) == {}
    tuned = made_up("tuned", 1, embedding=np.arange(32, dtype=np.float32), checkpoint="c", model="m")
    for identity in (made_up("Zoë"), tuned):
        add_identity(identity, path)
    back = read_identities(path)
    assert list(back) == ["Zoë", "tuned"] and path.stat().st_mode & 0o777 == 0o600
    np.testing.assert_array_equal(back["tuned"].embedding, tuned.embedding)
    np.testing.assert_array_equal(back["Zoë"].voices, made_up().voices)
    assert back["Zoë"].embedding is None and (back["tuned"].checkpoint, back["tuned"].model) == ("c", "m")
    with pytest.raises(TalkerError, match="enrolled already"):
        add_identity(made_up("Zoë"), path)
    for name in ("Zoë", "tuned"):
        remove_identity(name, path)
    assert read_identities(path) == {} and path.exists()
    with pytest.raises(TalkerError, match="no enrolled identity"):
        remove_identity("Zoë", path)


def test_identities_of_another_model_are_refused_with_a_sentence():
    library = small_library()
    tuned = made_up("tuned", embedding=np.zeros(32, np.float32), checkpoint="theirs", model="teacher")
    everyone = Identities(
        library, {"zoe": made_up(encoder="other"), "tuned": tuned, "ben": made_up("ben")}, "ear", "ours"
    )
    assert everyone.names == library.names
    with pytest.raises(TalkerError, match="hears voices otherwise"):
        everyone.embedding("zoe")
    with pytest.raises(TalkerError, match="another checkpoint .teacher."):
        everyone.match(np.ones(6, np.float32), "tuned:1,ben:1")
    # What was enrolled from speech alone is made again from its voice by any model with the same ear.
    assert "zoe" in Identities(library, {"zoe": made_up()}, "ear", "yet another").names


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"no safetensors"], ids=["empty", "zeros", "text"])
def test_a_broken_file_gets_a_sentence_and_stays(tmp_path, content):
    path = tmp_path / "identities.safetensors"
    path.write_bytes(content)
    for action in (lambda: read_identities(path), lambda: add_identity(made_up(), path)):
        with pytest.raises(TalkerError, match="cannot be read"):
            action()
    assert path.read_bytes() == content


def test_a_file_of_a_later_version_gets_a_sentence(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "identities.safetensors"
    save_file({}, path, metadata={"identities": json.dumps({"version": 2, "people": []})})
    with pytest.raises(TalkerError, match="later version"):
        read_identities(path)


def _add_some(path: Path, start: int) -> None:
    for number in range(start, start + 8):
        add_identity(made_up(f"person {number}", number), path)


def test_processes_that_enrol_at_once_lose_nothing(tmp_path):
    path = tmp_path / "identities.safetensors"
    context = multiprocessing.get_context("fork")  # a fresh process would import torch first
    processes = [context.Process(target=_add_some, args=(path, start)) for start in (0, 100, 200)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert len(read_identities(path)) == 24
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".safetensors"] == [path.name]


def test_where_the_file_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("TALKER_IDENTITIES", str(tmp_path / "mine.safetensors"))
    assert identity_file() == tmp_path / "mine.safetensors"
    monkeypatch.delenv("TALKER_IDENTITIES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert identity_file() == tmp_path / "talker" / "identities.safetensors"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert identity_file() == tmp_path / ".local" / "share" / "talker" / "identities.safetensors"


def test_enrol_list_speak_forget_on_the_command_line(example_clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TALKER_IDENTITIES", str(tmp_path / "identities.safetensors"))
    assert main(["enrol", "Zoë", str(example_clip), "--quiet"]) == 0
    assert "enrolled from 1 recording" in capsys.readouterr().out
    assert main(["identities", "--enrolled"]) == 0
    assert capsys.readouterr().out == "Zoë\n"
    assert main(["identities"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert names[-1] == "Zoë" and len(names) > 40

    def speak(identity: str) -> dict:
        out = tmp_path / "out"
        options = ["--takes", "1", "--no-video", "--quiet", "--out", str(out), "--identity", identity]
        assert main(["speak", str(example_clip), *options]) == 0
        capsys.readouterr()
        return json.loads((out / "report.json").read_text())["identity"]

    assert speak("auto")["name"] == "Zoë"
    assert speak("auto")["similarity"] == pytest.approx(1.0, abs=1e-5)  # the very recording that was enrolled
    blended = speak(f"Zoë:0.6,{names[0]}:0.4")
    assert blended["name"] == f"Zoë:0.6,{names[0]}:0.4" and 0 < blended["similarity"] < 1
    assert main(["enrol", "Zoë", str(example_clip), "--quiet"]) == 2
    assert "enrolled already" in capsys.readouterr().err
    assert main(["forget", "Zoë"]) == 0
    assert main(["speak", str(example_clip), "--out", str(tmp_path / "x"), "--identity", "Zoë"]) == 2
    assert "no identity “Zoë”" in capsys.readouterr().err.splitlines()[-1]


def test_an_identity_stays_as_long_as_voices_are_heard_alike(talker, example_clip):
    """An encoder whose frames learned on knows who was enrolled before; one that hears voices otherwise does not."""
    made = enrol(talker, "Zoë", [load_speech(example_clip)]).identity
    later = copy.copy(talker)
    later.__dict__.pop("fingerprints", None)
    later.encoder = copy.deepcopy(talker.encoder)
    later.encoder.model.project.bias += 0.01
    assert later.fingerprints["encoder"] != talker.fingerprints["encoder"]
    assert "Zoë" in later.with_enrolled({"Zoë": made}).identities
    later.encoder.model.voice.embed.bias += 0.01
    del later.fingerprints
    assert "hears voices otherwise" in later.with_enrolled({"Zoë": made}).library.refused["Zoë"]


@pytest.fixture(scope="module")
def performed(talker, example_clip, tmp_path_factory) -> tuple[str, Path, Path]:
    """A clip with the motion that a learned identity makes of it, unlike the one that its voice finds: the
    name, the recording and a Live Link Face CSV at 60 frames a second."""
    folder = tmp_path_factory.mktemp("performed")
    speech = load_speech(example_clip)
    longer = np.tile(speech.samples, 2)[: -3 * SAMPLE_RATE // 4]  # a rest at the end would tell nothing
    soundfile.write(folder / "speech.wav", longer, SAMPLE_RATE)
    speech = load_speech(folder / "speech.wav")
    usual = talker.speak(speech, takes=1).coefficients[0]
    made = {n: talker.speak(speech, takes=1, identity=n, seed=1).motions[0] for n in talker.identities[::40]}
    name = max(made, key=lambda n: np.abs(made[n].coefficients - usual).mean())
    csv = write_live_link_csv(resample(made[name], 60.0), folder / "motion.csv")
    return name, folder / "speech.wav", csv


def test_enrolling_from_motion_learns_how_the_face_moves(performed, talker):
    """Lips and jaw come nearer, also on the end of the recording, which fine-tuning never saw; the model stays as it was."""
    name, recording, csv = performed
    before = {key: value.clone() for key, value in talker.denoiser.state_dict().items()}
    speech, told = load_speech(recording), []
    made = enrol(talker, "Zoë", [speech], [read_motion(csv)], callback=lambda stage, share: told.append(share))
    assert made.after < made.before
    assert told == sorted(told) and told[-1] == 1.0
    assert made.held_out == pytest.approx(0.2 * speech.seconds, abs=0.1)
    assert all(torch.equal(value, before[key]) for key, value in talker.denoiser.state_dict().items())
    assert made.identity.embedding.shape == (32,) and made.identity.checkpoint == talker.fingerprints["checkpoint"]
    # Its lips, the mean of takes, move much more like those of the performer than the voice's best match does.
    known = talker.with_enrolled({"Zoë": made.identity})
    truth, tuned, matched = (
        known.speak(speech, takes=4, identity=n).coefficients.mean(axis=0)[:, LIP_REGION]
        for n in (name, "Zoë", talker.match(speech).name)
    )
    assert np.abs(tuned - truth).mean() < 0.75 * np.abs(matched - truth).mean()


def test_motion_that_does_not_fit_gets_a_sentence(performed, tmp_path, capsys):
    _, recording, csv = performed
    lines = csv.read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[: len(lines) // 2]))
    broken = lines[9].split(",")
    broken[5] = "nan"
    (tmp_path / "nan.csv").write_text("\n".join([*lines[:9], ",".join(broken), *lines[10:]]))
    (tmp_path / "few.csv").write_text(csv.read_text().replace("JawOpen", "Jaw"))
    short = tmp_path / "short.wav"
    soundfile.write(short, load_speech(recording).samples[: 3 * SAMPLE_RATE], SAMPLE_RATE)
    (tmp_path / "three.csv").write_text("\n".join(lines[: 1 + 3 * 60]))
    for speech, motions, words in [
        (recording, [tmp_path / "short.csv"], "give speech and motion of the same recording"),
        (recording, [tmp_path / "nan.csv"], "must be numbers"),
        (recording, [tmp_path / "few.csv"], "lacks the columns"),
        (recording, [tmp_path / "lost.csv"], "cannot be read"),
        (recording, [csv, csv], "one motion for each recording"),
        (short, [tmp_path / "three.csv"], "give recordings of 4 s or more"),
    ]:
        assert main(["enrol", "zoe", str(speech), "--quiet", "--motion", *map(str, motions)]) == 2
        message = capsys.readouterr().err
        assert words in message and message.count("\n") == 1


def test_bad_enrolments_end_with_code_2_and_one_sentence(example_clip, tmp_path, capsys):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    for arguments, words in [
        (["zoe", str(silent)], "silent"),
        (["zoe", str(tmp_path / "lost.wav")], "no file"),
        (["a:b", str(example_clip)], "cannot be an identity's name"),
        (["zoe", str(example_clip), "--library", "/proc/none/x.safetensors"], "Cannot write"),
    ]:
        assert main(["enrol", *arguments, "--quiet"]) == 2
        message = capsys.readouterr().err
        assert words in message and message.count("\n") == 1
    assert not Path(os.environ["TALKER_IDENTITIES"]).exists()
