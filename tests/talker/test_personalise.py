"""Personalisation: tiny models learn one made-up person, as a delta that loads on top of the right checkpoint only."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import torch

from talker import Talker
from talker.__main__ import main
from talker.audio import SAMPLE_RATE, Speech
from talker.checkpoints import fingerprint, save_checkpoint
from talker.encoders import CompactSpeechConfig, CompactSpeechModel, SpeechEncoder
from talker.errors import TalkerError
from talker.formats import write_live_link_csv
from talker.models.diffposetalk import DiffPoseTalk, DiffPoseTalkConfig
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.models.facediffuser import FaceDiffuser, FaceDiffuserConfig
from talker.motion import ARKIT_INDEX, Motion, resample
from talker.personalise import check_recordings, compressed, load_delta, personalise, read_delta
from talker.schedules import cosine_schedule
from talker.style import StyleConfig, StyleEncoder
from tests.talker.test_three_diface import make_model

COMMON = {"audio_dim": 5, "voice_dim": 4, "alpha_bars": cosine_schedule(8).alpha_bars.tolist(), "hidden_dim": 16}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    CompactSpeechModel(CompactSpeechConfig(hidden_size=16, gru_size=8, feature_size=5, voice_size=4)).save_pretrained(folder)
    return SpeechEncoder.from_pretrained(str(folder))


def talker_of(kind: str, encoder, style_dim: int = 0) -> Talker:
    torch.manual_seed(1)
    if kind == "3diface":
        model = make_model()
        model.face.targets[~np.isin(np.arange(53), [ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthSmileLeft"]])] = 0
        model.set_statistics((np.zeros(21), 1e-3), (np.zeros(5), np.ones(5)))
    elif kind == "diffusiontalker":
        model = DiffusionTalker(DiffusionTalkerConfig(identities=["a", "b", "c"], step_dim=8, **COMMON))
    elif kind == "diffposetalk":
        model = DiffPoseTalk(DiffPoseTalkConfig(
            identities=[], layers=1, heads=2, window_frames=40, previous_frames=5, style_dim=style_dim, **COMMON))  # fmt: skip
    else:
        model = FaceDiffuser(FaceDiffuserConfig(identities=[], step_dim=8, **COMMON))
    return Talker(model.eval(), encoder, kind, torch.device("cpu"))


@pytest.fixture(scope="module")
def recording():
    """Eight seconds of a voice that swells twice a second, and a jaw that opens with it, wide, in a smiling face."""
    rng = np.random.default_rng(3)
    time, frames = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE, np.arange(240) / 30
    swell = 0.5 - 0.5 * np.cos(4 * np.pi * time)
    voice = 0.2 * swell * np.sign(np.sin(2 * np.pi * 140 * time)) + 0.001 * rng.normal(size=len(time))
    coefficients = np.zeros((240, 52), np.float32)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.4 - 0.4 * np.cos(4 * np.pi * frames)
    coefficients[:, [ARKIT_INDEX["mouthSmileLeft"], ARKIT_INDEX["mouthSmileRight"]]] = 0.5
    return Speech(voice.astype(np.float32), "person"), Motion(coefficients, np.zeros((240, 3), np.float32))


@pytest.mark.parametrize("kind, steps", [("diffusiontalker", 200), ("diffposetalk", 400), ("3diface", 200), ("facediffuser", 200)])
def test_every_model_moves_more_like_the_person_and_stays_as_it_was(kind, steps, encoder, recording, tmp_path):
    talker = talker_of(kind, encoder)
    before, heard = fingerprint(talker.denoiser), []
    delta = personalise(talker, *recording, lambda stage, done: heard.append((stage, done)), name="zoe", steps=steps)
    assert delta.after < 0.8 * delta.before and delta.held_out == pytest.approx(0.8)
    assert fingerprint(talker.denoiser) == before and talker.identities == talker_of(kind, encoder).identities
    assert heard[-1] == ("tune", 1.0) and [done for _, done in heard] == sorted(done for _, done in heard)

    personal = load_delta(talker, delta.save(tmp_path / "zoe.safetensors"))
    assert fingerprint(personal.denoiser) != before and fingerprint(talker.denoiser) == before
    assert personal.name == f"{kind}, personalised for zoe"
    again = load_delta(talker, delta)
    speech = recording[0]
    takes = personal.speak(speech, takes=1, steps=4)
    assert np.array_equal(takes.coefficients, again.speak(speech, takes=1, steps=4).coefficients)
    if talker.identities:
        # Whoever speaks, the personalised model speaks as the one person.
        assert personal.identities == ["zoe"] and takes.identity.name == "zoe"
        with pytest.raises(TalkerError, match="no identity"):
            personal.speak(speech, identity="a")


def test_a_person_without_an_identity_has_a_style(encoder, recording, tmp_path):
    """A model with speaking styles takes the recorded motion's, and speaks in it unless asked for another."""
    torch.manual_seed(2)
    styles = StyleEncoder(StyleConfig(dim=16, layers=1, heads=2, styles={"calm": "a style that ships"}))
    torch.nn.init.normal_(styles.vectors)
    save_checkpoint(tmp_path / "style-encoder", styles, styles.config.to_dict())
    talker = talker_of("diffposetalk", encoder, style_dim=16)
    talker.style_folder = tmp_path / "style-encoder"
    speech, motion = recording
    delta = personalise(talker, speech, motion, name="zoe", steps=20)
    assert torch.allclose(delta.tensors["style"], talker.style_encoder.encode(motion), atol=1e-6)
    personal = load_delta(talker, delta.save(tmp_path / "zoe.safetensors"))
    own, shown, other = (personal.speak(speech, takes=1, style=style).coefficients for style in (None, motion, "calm"))
    told = personal.speak(speech, takes=1).choices
    assert told.style == told.delta == "zoe" and talker.person is None
    assert np.allclose(own, shown, atol=1e-5) and not np.allclose(own, other, atol=1e-3)


def test_a_delta_fits_its_own_checkpoint_alone(encoder, recording, tmp_path):
    talker = talker_of("diffusiontalker", encoder)
    delta = personalise(talker, *recording, name="zoe", steps=1)
    path = delta.save(tmp_path / "zoe.safetensors")
    assert read_delta(path).name == "zoe" and read_delta(path).before == delta.before
    assert path.stat().st_mode & 0o077 == 0  # voices are personal
    with pytest.raises(TalkerError, match="“zoe” was personalised for another checkpoint \\(diffusiontalker\\)"):
        load_delta(talker_of("3diface", encoder), path)
    other = talker_of("diffusiontalker", encoder)
    with torch.no_grad():
        next(other.encoder.model.parameters()).add_(1.0)
    try:
        with pytest.raises(TalkerError, match="another speech encoder"):
            load_delta(other, path)
    finally:
        with torch.no_grad():
            next(other.encoder.model.parameters()).sub_(1.0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TalkerError, match="cannot be read"):
        load_delta(talker, path)
    with pytest.raises(TalkerError, match="no file"):
        load_delta(talker, tmp_path / "nobody.safetensors")


def test_changes_of_few_directions_are_kept_in_few_numbers(rng):
    """A change of rank two of 400 x 300 numbers is 2 x 700 of them, and comes back but for their rounding."""
    change = torch.from_numpy(rng.normal(size=(400, 2)) @ rng.normal(size=(2, 300))).float() * 1e-3
    kept = compressed({"big": change, "bias": torch.ones(3), "still": torch.zeros(40, 40), "small": torch.eye(4)})
    assert kept["left.big"].shape == (400, 2) and kept["right.big"].shape == (2, 300) and kept["left.big"].dtype == torch.float16
    back = kept["left.big"].float() @ kept["right.big"].float()
    assert float((back - change).norm() / change.norm()) < 2e-3
    assert torch.equal(kept["weights.bias"], torch.ones(3)) and torch.equal(kept["weights.small"].float(), torch.eye(4))
    assert not kept["weights.still"].any()


def test_recordings_that_cannot_be_used_get_a_sentence(encoder, recording):
    speech, motion = recording
    short, still = dataclasses.replace(motion, coefficients=motion.coefficients[:90], head=motion.head[:90]), Motion(0 * motion.coefficients, motion.head)
    quiet = Speech(1e-5 * speech.samples, "quiet")
    for speeches, motions, words in [
        ([speech], [short], "lasts 3.00 s at 30 frames a second, but its speech 8.00 s"),
        ([Speech(speech.samples[: 3 * SAMPLE_RATE], "bit")], [short], "bit lasts 3.0 s; give recordings of 4 s or more"),
        ([quiet], [motion], "quiet is silent"),
        ([speech], [still], "lips keep still in the motion of person"),
        ([speech, speech], [motion], "2 recordings and 1 motions"),
    ]:
        with pytest.raises(TalkerError, match=words):
            check_recordings(speeches, motions)
    check_recordings([speech], [resample(motion, 60.0)])  # another frame rate is no fault
    with pytest.raises(TalkerError, match="learned an identity “a”"):
        personalise(talker_of("diffusiontalker", encoder), speech, motion, name="a")


def test_the_command_line_personalises_and_speaks(encoder, recording, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Talker, "from_pretrained", lambda *_, **__: talker_of("diffusiontalker", encoder))
    monkeypatch.setattr("talker.personalise.STEPS", 1)
    speech, motion = recording
    soundfile.write(tmp_path / "first.wav", speech.samples, SAMPLE_RATE)
    write_live_link_csv(motion, tmp_path / "first.csv")
    given = ["--speech", str(tmp_path / "first.wav"), "--motion", str(tmp_path / "first.csv")]
    assert main(["personalise", "zoe", *given, "--out", str(tmp_path / "zoe.safetensors"), "--quiet"]) == 0
    said = capsys.readouterr()
    assert "personalised on 8.0 s" in said.out and "8 s are little to learn from" in said.err
    out = tmp_path / "out"
    assert main(["speak", str(tmp_path / "first.wav"), "--out", str(out), "--takes", "1", "--steps", "2", "--no-video", "--quiet",
                 "--delta", str(tmp_path / "zoe.safetensors")]) == 0  # fmt: skip
    report = json.loads((out / "report.json").read_text())
    assert report["identity"]["name"] == report["delta"] == "zoe" and report["style"] is None
    assert main(["personalise", "zoe", *given[:2], "--motion", str(tmp_path / "no.csv"), "--out", "x"]) == 2
