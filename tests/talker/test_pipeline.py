"""Talker on its shipped checkpoint: what a user of the library relies on."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from talker import Talker
from talker.audio import SAMPLE_RATE, load_speech, speech_from_array
from talker.checkpoints import save_checkpoint
from talker.editing import plan_edit
from talker.errors import TalkerError
from talker.identity import NO_MATCH
from talker.models.diffposetalk import DiffPoseTalk, DiffPoseTalkConfig
from talker.models.diffusiontalker import DiffusionTalker
from talker.models.facediffuser import FaceDiffuser
from talker.models.regression import Regression
from talker.motion import BROW_REGION, LIP_REGION, UPPER_FACE_REGION, Motion, sway
from talker.pipeline import available_models
from talker.schedules import cosine_schedule, linear_schedule
from talker.style import StyleConfig, StyleEncoder
from talker.takes import Choices, load_takes


@pytest.fixture(scope="module")
def talker() -> Talker:
    return Talker.from_pretrained("diffusiontalker")


@pytest.fixture(scope="module")
def speech(example_clip):
    return load_speech(example_clip)


def test_the_same_seed_gives_the_same_takes_bit_for_bit(talker, speech):
    first = talker.speak(speech, takes=2, seed=7)
    again = Talker.from_pretrained("diffusiontalker").speak(speech, takes=2, seed=7)
    other = talker.speak(speech, takes=2, seed=8)
    assert np.array_equal(first.coefficients, again.coefficients)
    assert np.array_equal(first.head, again.head)
    assert not np.array_equal(first.coefficients, other.coefficients)


def test_takes_cover_the_speech_and_stay_in_range(talker, speech):
    takes = talker.speak(speech, takes=3)
    assert takes.coefficients.shape == (3, speech.frames(), 52)
    assert takes.head.shape == (3, speech.frames(), 3)
    assert takes.coefficients.min() >= 0 and takes.coefficients.max() <= 1
    assert np.abs(takes.head).max() < 0.8
    assert {"load", "encode", "match", "sample"} <= set(takes.seconds)


def test_lips_agree_between_takes_and_brows_do_not(talker, speech):
    spread = talker.speak(speech, takes=4).diversity()
    assert spread["upper_face"] > 5 * spread["lips"]


def test_heads_and_brows_move_and_do_not_tremble(talker, speech):
    """From one frame to the next they hardly change direction, as the trembling of few steps would make them."""
    takes = talker.speak(speech, takes=6, seed=0)
    head, brows = np.degrees(takes.head), takes.coefficients[:, :, BROW_REGION]
    assert head.std(axis=1).mean() > 0.5 and brows.std(axis=1).mean() > 0.035
    for moving in (head, brows):
        assert np.abs(np.diff(moving, n=2, axis=1)).mean() < 0.6 * np.abs(np.diff(moving, axis=1)).mean()


def test_less_lip_noise_brings_lips_together_and_leaves_the_upper_face(talker, speech):
    spread = {}
    for lip_noise in (0.0, 1.0):
        other = Talker.from_pretrained("diffusiontalker")
        other.denoiser.config = dataclasses.replace(other.denoiser.config, lip_noise=lip_noise)
        spread[lip_noise] = other.speak(speech, takes=4).diversity()
    assert spread[0.0]["lips"] < 0.9 * spread[1.0]["lips"]
    assert spread[0.0]["upper_face"] == pytest.approx(spread[1.0]["upper_face"], rel=0.1)


def test_more_upper_noise_moves_brows_and_eyes_further_and_leaves_the_lips(talker, speech):
    moved = {}
    for upper_noise in (1.0, 2.0):
        other = Talker.from_pretrained("diffusiontalker")
        other.denoiser.config = dataclasses.replace(other.denoiser.config, upper_noise=upper_noise)
        deviation = other.speak(speech, takes=4).coefficients.std(axis=1).mean(axis=0)
        moved[upper_noise] = deviation[UPPER_FACE_REGION].mean(), deviation[LIP_REGION].mean()
    assert moved[2.0][0] > 1.2 * moved[1.0][0]
    assert moved[2.0][1] == pytest.approx(moved[1.0][1], rel=0.05)


def test_more_head_noise_sways_further_and_leaves_the_face(talker, speech):
    found = {}
    for head_noise in (1.0, 2.0):
        other = Talker.from_pretrained("diffusiontalker")
        other.denoiser.config = dataclasses.replace(other.denoiser.config, head_noise=head_noise)
        found[head_noise] = other.speak(speech, takes=4)
    more, less = (np.mean([sway(head) for head in found[noise].head]) for noise in (2.0, 1.0))
    assert more > 1.15 * less
    assert found[2.0].coefficients.std(axis=1).mean() == pytest.approx(found[1.0].coefficients.std(axis=1).mean(), rel=0.05)


def test_speech_opens_the_mouth_and_silence_does_not(talker, speech):
    quiet = np.random.default_rng(0).normal(0, 2e-4, SAMPLE_RATE * 2)
    padded = speech_from_array(np.concatenate([quiet, speech.samples, quiet]).astype(np.float32), SAMPLE_RATE, "padded")
    jaw = talker.speak(padded, takes=1).motions[0].coefficients
    opening = jaw[:, 24] - jaw[:, 26]  # jawOpen − mouthClose
    assert opening[60:-60].max() > 0.3
    assert opening[5:50].mean() < 0.05 * opening[60:-60].max()


def test_an_identity_can_be_chosen_and_changes_the_motion(talker, speech):
    name = next(n for n in talker.identities if n != talker.match(speech).name)
    chosen = talker.speak(speech, takes=1, identity=name)
    assert chosen.identity.name == name
    assert not np.array_equal(chosen.coefficients, talker.speak(speech, takes=1).coefficients)


def test_a_model_without_identities_speaks_for_none(talker, speech):
    config = dataclasses.replace(talker.denoiser.config, identities=[])
    plain = Talker(DiffusionTalker(config).eval(), talker.encoder, "plain", talker.device)
    takes = plain.speak(speech, takes=1)
    assert takes.identity == plain.match(speech) == NO_MATCH and plain.identities == []
    with pytest.raises(TalkerError, match="without identities"):
        plain.speak(speech, identity=talker.identities[0])


def save_rival(folder, talker, model_class, identities, steps):
    ours = talker.denoiser.config
    config = model_class.config_class(
        identities, ours.audio_dim, ours.voice_dim, linear_schedule(steps).alpha_bars.tolist(), hidden_dim=16
    )
    rival = model_class(config)
    torch.nn.init.normal_(rival.head.weight)
    return save_checkpoint(folder / model_class.__name__, rival, config.to_dict())


def test_facediffuser_speaks_from_its_folder_without_an_identity(talker, speech, tmp_path):
    rival = Talker.from_pretrained(save_rival(tmp_path, talker, FaceDiffuser, [], 20))
    takes = rival.speak(speech, takes=2, steps=8)
    assert (rival.max_steps, takes.steps, takes.model) == (20, 8, "FaceDiffuser")
    assert takes.identity == NO_MATCH and takes.diversity()["upper_face"] > 0
    assert load_takes(takes.save(tmp_path / "takes.npz")).identity == NO_MATCH


def test_takes_of_a_regression_are_all_alike(talker, speech, tmp_path):
    names = ["anna", "ben"]
    rival = Talker.from_pretrained(save_rival(tmp_path, talker, Regression, names, 1))
    takes = rival.speak(speech, takes=3, seed=5)
    assert takes.steps == 1 and takes.identity.name in names
    assert takes.diversity() == {"upper_face": 0.0, "lips": 0.0}
    assert np.array_equal(takes.coefficients, rival.speak(speech, takes=3, seed=6).coefficients)
    other = rival.speak(speech, takes=1, identity=next(n for n in names if n != takes.identity.name))
    assert not np.array_equal(other.coefficients[0], takes.coefficients[0])


@pytest.fixture
def stylish(talker, tmp_path) -> Talker:
    """A DiffPoseTalk with random weights, and a style encoder with two named styles."""
    torch.manual_seed(0)
    config = DiffPoseTalkConfig(
        [], talker.denoiser.config.audio_dim, talker.denoiser.config.voice_dim, cosine_schedule(20).alpha_bars.tolist(),
        hidden_dim=16, layers=1, heads=2, window_frames=40, previous_frames=4,
    )  # fmt: skip
    encoder = StyleEncoder(StyleConfig(dim=128, layers=1, styles={"calm": "hardly moves", "lively": "moves a lot"}))
    encoder.vectors.copy_(torch.eye(128)[:2])
    made = Talker(DiffPoseTalk(config).eval(), talker.encoder, "stylish", talker.device)
    made.style_folder = save_checkpoint(tmp_path / "style-encoder", encoder, encoder.config.to_dict())
    return made


def test_styles_by_name_and_by_example(stylish, talker, speech):
    assert stylish.styles == {"calm": "hardly moves", "lively": "moves a lot"} and talker.styles == {}
    example = talker.speak(speech, takes=1).motions[0]
    said = {style: stylish.speak(speech, takes=1, steps=3, style=style).coefficients for style in ("calm", "lively", None)}
    shown = stylish.speak(speech, takes=1, steps=3, style=example).coefficients
    again = stylish.speak(speech, takes=1, steps=3, style=dataclasses.replace(example, fps=60.0)).coefficients
    for one, other in itertools.combinations([*said.values(), shown, again], 2):
        assert not np.array_equal(one, other)
    # The scale of a style weighs it: at 0 it is as if there were none.
    ignored = stylish.speak(speech, takes=1, steps=3, style="calm", guidance={"audio": 1.15, "style": 0}).coefficients
    assert np.array_equal(ignored, said[None])


def test_the_head_sways_as_far_as_the_style_does(stylish, speech):
    """Half as far about the same mean in a style that sways by half; one of which some is given goes on as it is."""
    given = Motion(np.zeros((speech.frames(30), 52), np.float32), np.full((speech.frames(30), 3), 0.1, np.float32))
    edit = plan_edit(given, keep=(0.2, 0.0))

    def heads(own: float, **options) -> np.ndarray:
        config = stylish.style_encoder.config
        stylish.style_encoder.config = dataclasses.replace(config, sways={"calm": own}, typical_sway=0.1)
        return stylish.speak(speech, takes=2, steps=3, style="calm", **options).head

    calm, typical = heads(0.05), heads(0.1)
    mean = typical.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(calm, mean + 0.5 * (typical - mean), atol=1e-6)
    assert not np.allclose(calm, typical, atol=1e-3)
    assert np.array_equal(heads(0.05, edit=edit), heads(0.1, edit=edit))
    weightless = {"guidance": {"audio": 1.15, "style": 0}}
    assert np.array_equal(heads(0.05, **weightless), heads(0.1, **weightless))


def test_takes_tell_what_chose_them(stylish, talker, speech):
    said = talker.speak(speech, takes=1, steps=2)
    assert said.choices == Choices("ddim", {}, None, None, True, False)
    styled = stylish.speak(speech, takes=1, steps=3, style="calm", guidance={"style": 2.0}, sampler="dpm-solver++", head=False)
    assert styled.choices == Choices("dpm-solver++", {"audio": 1.0, "style": 2.0}, "calm", None, False, False)
    shown = stylish.speak(speech, takes=1, steps=3, style=said.motions[0], edit=plan_edit(said.motions[0], keep=(0.2, 0)))
    defaults = dict(stylish.denoiser.default_guidance)
    assert shown.choices == Choices("ancestral", defaults, "an example of motion", None, True, True)
    assert shown.in_style_of("faces/anna.csv").choices.style == "anna.csv"


def test_unconditional_takes_do_not_hear_the_speech(stylish, speech):
    quiet = speech_from_array(speech.samples[::-1].copy(), SAMPLE_RATE, "backwards")
    takes = [stylish.speak(one, takes=1, steps=3, guidance={"audio": 0, "style": 0}) for one in (speech, quiet)]
    assert np.array_equal(takes[0].coefficients, takes[1].coefficients)
    assert not np.array_equal(takes[0].coefficients, stylish.speak(speech, takes=1, steps=3).coefficients)


def test_wrong_styles_are_one_sentence(stylish, talker, speech):
    with pytest.raises(TalkerError, match="diffusiontalker has no speaking styles"):
        talker.speak(speech, style="calm")
    with pytest.raises(TalkerError, match="choose one of calm, lively"):
        stylish.speak(speech, style="grumpy")
    short = dataclasses.replace(talker.speak(speech, takes=1).motions[0], fps=1000.0)
    with pytest.raises(TalkerError, match="give at least 1 s"):
        stylish.speak(speech, style=short)


def test_any_number_of_steps_up_to_the_models_own(talker, speech):
    for steps in (1, 3, talker.max_steps):
        assert talker.speak(speech, takes=1, steps=steps).steps == steps
    with pytest.raises(TalkerError, match="steps"):
        talker.speak(speech, steps=talker.max_steps + 1)


def test_a_minute_of_speech_has_no_seams(talker, speech):
    """Windows start about every 8 s; the motion moves there no more than anywhere else."""
    long = speech_from_array(np.resize(speech.samples, SAMPLE_RATE * 58), SAMPLE_RATE, "long")
    takes = talker.speak(long, takes=1)
    from talker.windows import OVERLAP, WINDOW, window_starts

    jumps = np.abs(np.diff(takes.coefficients[0], axis=0)).mean(1)
    starts = window_starts(long.frames(), WINDOW, OVERLAP)
    seams = [frame for start in starts[1:] for frame in (start - 1, start, start + OVERLAP - 1, start + OVERLAP)]
    elsewhere = np.delete(jumps, seams)
    assert len(seams) >= 20
    assert np.median(jumps[seams]) < np.percentile(elsewhere, 90)
    assert jumps[seams].max() < elsewhere.max()


def test_progress_is_told_by_stage(talker, speech):
    told: list[tuple[str, float]] = []
    talker.speak(speech, takes=1, callback=lambda stage, fraction: told.append((stage, fraction)))
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["encode", "match", "sample"]
    assert told[-1] == ("sample", 1.0)


def test_wrong_requests_are_one_sentence(talker, speech, tmp_path):
    with pytest.raises(TalkerError, match="identit"):
        talker.speak(speech, identity="nobody")
    with pytest.raises(TalkerError, match="guidance"):
        talker.speak(speech, guidance=2.0)
    with pytest.raises(TalkerError, match="takes"):
        talker.speak(speech, takes=0)
    with pytest.raises(TalkerError, match="no model"):
        Talker.from_pretrained("nonesuch")
    with pytest.raises(TalkerError, match="makes no motion"):
        Talker.from_pretrained("speech-encoder")


def test_windows_of_the_shipped_diffposetalk_join_without_a_jump(speech):
    """Its windows are sampled one after the other; where they meet, motion changes as it does elsewhere."""
    posing = Talker.from_pretrained("diffposetalk")
    long = speech_from_array(np.resize(speech.samples, SAMPLE_RATE * 58), SAMPLE_RATE, "long")
    takes = posing.speak(long, takes=2, seed=0)
    steps = np.abs(np.diff(np.concatenate([takes.coefficients, takes.head], axis=2), axis=1)).mean(axis=2)
    frames = steps.shape[1] + 1
    windows = -(-frames // posing.denoiser.config.window_frames)
    seams = [round(k * frames / windows) - 1 for k in range(1, windows)]
    usual = np.percentile(np.delete(steps, seams, axis=1), 95)
    assert len(seams) > 10 and steps[:, seams].mean() < usual
    assert (steps[:, seams] <= usual).mean() >= 0.9


def test_three_students_ship_with_their_teachers():
    models = available_models()
    assert set(models) == {name + part for name in ("diffusiontalker", "diffposetalk", "3diface") for part in ("", "-teacher")}
    assert all(models.values())
