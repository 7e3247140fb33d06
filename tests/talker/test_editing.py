"""Editing: what is given comes back exactly, nothing jumps beside it, and what cannot be is refused in a sentence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from talker.audio import SAMPLE_RATE, load_speech, speech_from_array
from talker.editing import CHANNELS, EASES, REGIONS, Edit, Keyframe, Lock, MotionEdit, Reach, edited, plan_edit, still
from talker.errors import TalkerError
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.models.three_diface import ThreeDiFace, ThreeDiFaceConfig
from talker.motion import FPS, LIP_REGION, Motion
from talker.pipeline import Talker
from talker.samplers import SAMPLERS
from talker.schedules import cosine_schedule
from talker.windows import windowed

JAW, BROW, YAW = (CHANNELS.index(name) for name in ("jawOpen", "browInnerUp", "yaw"))


@pytest.fixture
def motion(rng) -> Motion:
    """Three seconds in which everything moves smoothly."""
    phase = np.arange(90)[:, None] / 30 * rng.uniform(1, 4, 55) + rng.uniform(0, 6, 55)
    values = (0.5 + 0.4 * np.sin(phase)).astype(np.float32)
    return Motion(values[:, :52], values[:, 52:] - 0.5)


def on_channels(edit: MotionEdit) -> Edit:
    """A planned edit for x0 that is its CHANNELS as they are."""
    reach = tuple(Reach(torch.from_numpy(away[None]), torch.from_numpy(weight[None])) for away, weight in zip(edit.away, edit.weight))
    return Edit(torch.from_numpy(edit.given[None]), torch.from_numpy(edit.mask[None]), reach)


def test_what_a_keyframe_changes_fades_by_half_a_cosine(motion):
    """The model's own movement goes on beside the keyframe, moved by less and less."""
    edit = plan_edit(motion, [Keyframe(1.0, {"jawOpen": 0.8})])
    x0 = torch.from_numpy(np.concatenate([motion.coefficients, motion.head], axis=1)[None])
    changed = (on_channels(edit).apply(x0) - x0)[0].numpy()
    assert edit.mask[30, JAW] == 1 and edit.mask.sum() == 1
    # Four frames are the ease of the lips: weights (1 + cos(π k / 4)) / 2.
    expected = changed[30, JAW] * np.array([1, 0.854, 0.5, 0.146, 0])
    assert x0[0, 30, JAW] + changed[30, JAW] == pytest.approx(0.8)
    np.testing.assert_allclose(changed[30:35, JAW], expected, atol=1e-3)
    np.testing.assert_allclose(changed[26:31, JAW], expected[::-1], atol=1e-3)
    assert not changed[:26].any() and not changed[35:].any() and not np.delete(changed, JAW, axis=1).any()


def test_between_two_keyframes_corrections_fade_into_each_other(motion):
    edit = on_channels(plan_edit(motion, [Keyframe(1.0, {"jawOpen": 0.2}), Keyframe(1.1, {"jawOpen": 0.8})]))
    found = edit.apply(torch.full((1, 90, 55), 0.4))[0, 30:34, JAW]
    # Three frames apart: a third of the way the weights are 0.75 and 0.25, of which 1 - 0.75 · 0.25 is taken.
    nearer, further = -0.2 * 0.75 + 0.4 * 0.25, -0.2 * 0.25 + 0.4 * 0.75
    expected = [0.2, 0.4 + 0.8125 * nearer, 0.4 + 0.8125 * further, 0.8]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_locked_range_leads_what_comes_before_and_after_it(motion):
    edit = plan_edit(motion, locks=[Lock("jawOpen", 1.0, 2.0)])
    np.testing.assert_array_equal(edit.given[30:61, JAW], motion.coefficients[30:61, JAW])
    assert (edit.mask[30:61, JAW] == 1).all()
    x0 = torch.rand(2, 90, 55)
    found = on_channels(edit).apply(x0)[..., JAW].numpy()
    ends = motion.coefficients[[30, 60], JAW] - x0[:, [30, 60], JAW].numpy()
    np.testing.assert_allclose(found[:, [29, 61]], x0[:, [29, 61], JAW].numpy() + 0.854 * ends, atol=1e-3)


def test_a_prediction_that_meets_what_is_given_stays_as_it_is(motion):
    """However many keyframes there are: what is right is not bent."""
    truth = np.concatenate([motion.coefficients, motion.head], axis=1)
    keyframes = [Keyframe(k / 30, dict(zip(CHANNELS, truth[k].tolist()))) for k in (10, 14, 40, 60)]
    found = on_channels(plan_edit(motion, keyframes)).apply(torch.from_numpy(truth[None]))
    np.testing.assert_allclose(found[0], truth, atol=1e-6)


def test_only_what_is_kept_is_seen_of_the_motion(motion, rng):
    """In-betweening must not peek: other motion outside of what is kept gives the same edit."""
    chosen = {"keyframes": [Keyframe(1.5, {"browInnerUp": 0.4})], "locks": [Lock("lips", 1.0, 1.2)], "keep": (0.1, 0.2)}
    edit = plan_edit(motion, **chosen)
    kept = edit.mask == 1
    kept[45, BROW] = False
    values = np.concatenate([motion.coefficients, motion.head], axis=1)
    other = np.where(kept, values, rng.random(values.shape)).astype(np.float32)
    again = plan_edit(Motion(other[:, :52], other[:, 52:]), **chosen)
    for name in ("given", "mask", "away", "weight"):
        np.testing.assert_array_equal(getattr(again, name), getattr(edit, name))


def test_shares_regions_and_names(motion):
    exact = plan_edit(motion, keep=(0.1, 0.05)).mask == 1
    assert exact[:9].all() and exact[-4:].all() and not exact[9:-4].any()
    exact = plan_edit(motion, locks=[Lock("head", 0, 3), Lock(["lips", "browInnerUp"], 1, 2)]).mask == 1
    assert exact[:, 52:].all() and exact[30:61, LIP_REGION].all() and exact[30:61, BROW].all()
    assert exact.sum() == 90 * 3 + 31 * 28
    assert set(REGIONS) == {"lips", "upper_face", "head", "all"} and len(REGIONS["all"]) == 55


def test_motion_at_another_rate_is_edited_at_the_models(motion):
    edit = plan_edit(Motion(motion.coefficients, motion.head, 60.0), [Keyframe(1.0, {"jawOpen": 0.5})])
    assert edit.fps == FPS and edit.given.shape == (45, 55) and edit.mask[30, JAW] == 1


def test_an_edit_for_25_frames_a_second_means_the_same_seconds(motion):
    """Keyframes and locks at their times, and eases as long in time."""
    coefficients = motion.coefficients.copy()
    coefficients[:, JAW] = np.linspace(0.0, 0.89, 90)  # rises by 0.3 a second
    rising = Motion(coefficients, motion.head)
    chosen = {"keyframes": [Keyframe(2.0, {"browInnerUp": 0.5})], "locks": [Lock("jawOpen", 0.4, 1.2)]}
    edit, at_30 = plan_edit(rising, **chosen, fps=25.0), plan_edit(rising, **chosen)
    assert edit.fps == 25 and edit.given.shape == (75, 55)
    assert edit.mask[50, BROW] == 1 and edit.given[50, BROW] == 0.5
    assert np.flatnonzero(edit.mask[:, JAW] == 1).tolist() == list(range(10, 31))
    np.testing.assert_allclose(edit.given[10:31, JAW], 0.3 * np.arange(10, 31) / 25, atol=1e-3)
    # 0.4 s of a brow are ten frames here and twelve there.
    np.testing.assert_allclose(edit.weight[0, 50:61:5, BROW], at_30.weight[0, 60:73:6, BROW], atol=1e-6)
    assert edit.weight[0, 55, BROW] == pytest.approx(0.5) and edit.away[0, 55, BROW] == -5


def test_times_up_to_the_end_of_the_clip_count_at_any_rate(motion):
    """59 frames last 1.967 s, and the 49 of 25 a second 1.96."""
    short = Motion(motion.coefficients[:59], motion.head[:59])
    edit = plan_edit(short, [Keyframe(1.965, {"jawOpen": 0.5})], fps=25.0)
    assert edit.mask.shape == (49, 55) and edit.mask[48, JAW] == 1
    with pytest.raises(TalkerError, match="2 s lies outside the clip, which lasts 1.97 s"):
        plan_edit(short, [Keyframe(2.0, {"jawOpen": 0.5})], fps=25.0)


@pytest.mark.parametrize(
    "chosen, sentence",
    [
        ({"keyframes": [Keyframe(3.2, {"jawOpen": 0.5})]}, "3.2 s lies outside the clip, which lasts 3.00 s"),
        ({"keyframes": [Keyframe(-0.1, {"jawOpen": 0.5})]}, "outside the clip"),
        ({"keyframes": [Keyframe(float("nan"), {"jawOpen": 0.5})]}, "outside the clip"),
        ({"keyframes": [Keyframe(1, {"jawOpn": 0.5})]}, "no shape “jawOpn”; is jawOpen meant"),
        ({"keyframes": [Keyframe(1, {"42": 0.5})]}, "no shape “42”; use ARKit's names"),
        ({"keyframes": [Keyframe(1, {"jawOpen": 1.2})]}, "between 0 and 1"),
        ({"keyframes": [Keyframe(1, {"yaw": 20.0})]}, "between -3.14 and 3.14 radians"),
        ({"keyframes": [Keyframe(1, {"jawOpen": float("inf")})]}, "between 0 and 1"),
        (
            {"keyframes": [Keyframe(1, {"jawOpen": 0.2}), Keyframe(1.01, {"jawOpen": 0.6})]},
            "1.01 s sets jawOpen to 0.6, where it is also set to 0.2",
        ),
        ({"keyframes": [Keyframe(1, {"jawOpen": 0.999})], "locks": [Lock("lips", 0, 2)]}, "is locked at"),
        ({"keyframes": [Keyframe(0.1, {"jawOpen": 0.999})], "keep": (0.1, 0)}, "is locked at"),
        ({"locks": [Lock("lips", 1, 3.5)]}, "A lock at 3.5 s lies outside"),
        ({"locks": [Lock("lips", 2, 1)]}, "before it starts"),
        ({"locks": [Lock("lip", 1, 2)]}, "is lips meant"),
        ({"keep": (0.6, 0.5)}, "nothing is left to regenerate"),
        ({"keep": (1.5, 0.0)}, "from 0 to 1, not 1.5"),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_is_refused_in_a_sentence(motion, chosen, sentence):
    with pytest.raises(TalkerError, match=sentence):
        plan_edit(motion, **chosen)


def test_a_keyframe_may_repeat_what_is_kept(motion):
    value = float(motion.coefficients[30, JAW])
    assert plan_edit(motion, [Keyframe(1.0, {"jawOpen": value})] * 2, [Lock("lips", 0, 2)]).given[30, JAW] == np.float32(value)


def test_an_edit_is_cut_into_windows_as_a_condition_is():
    edit = Edit(torch.arange(12.0).view(1, 12, 1), torch.ones(1, 12, 1))
    assert edit.slice(3, 6).given.flatten().tolist() == [3, 4, 5]
    cut = edit.windows([0, 8], 4)
    # Two windows of three takes each, window-major.
    applied = cut.apply(torch.zeros(6, 4, 1))[..., 0]
    assert applied.tolist() == [[0, 1, 2, 3]] * 3 + [[8, 9, 10, 11]] * 3
    # The third frame is given, and leads the fourth: also where both are in one window, and not from outside of it.
    led = Reach(torch.zeros(1, 12, 1, dtype=torch.long), torch.zeros(1, 12, 1))
    led.away[0, 3], led.weight[0, 3] = -1, 0.5
    alone = Edit(torch.full((1, 12, 1), 8.0), torch.eye(12)[2].view(1, 12, 1), (led,))
    assert alone.apply(torch.zeros(1, 12, 1)).flatten().tolist() == [0, 0, 8, 4, *[0] * 8]
    assert alone.windows([1, 3], 4).apply(torch.zeros(4, 4, 1))[..., 0].tolist() == [[0, 8, 4, 0]] * 2 + [[0, 0, 0, 0]] * 2
    of_takes = Edit(torch.tensor([1.0, 2.0]).view(2, 1, 1).expand(2, 12, 1), torch.ones(2, 12, 1)).windows([0, 8], 4)
    assert of_takes.apply(torch.zeros(4, 4, 1))[:, 0, 0].tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize("name", SAMPLERS)
def test_given_motion_comes_back_exactly_from_every_sampler_and_through_windows(name):
    torch.manual_seed(0)
    model = DiffusionTalker(DiffusionTalkerConfig([], audio_dim=6, voice_dim=4, hidden_dim=8)).eval()
    torch.nn.init.normal_(model.head.weight)
    given, mask = torch.randn(1, 70, 55), (torch.rand(1, 70, 55) < 0.3).float()
    edit, condition = Edit(given, mask), model.condition(torch.randn(70, 6))
    inside = windowed(lambda x, step, condition: condition[1].apply(model(x, step, condition[0])), 30, 10)
    both = type("Both", (tuple,), {"windows": lambda self, starts, length: tuple(p.windows(starts, length) for p in self)})
    with torch.inference_mode():
        for denoiser, conditions in ((edited(windowed(model, 30, 10), edit), condition), (inside, both((condition, edit)))):
            takes = SAMPLERS[name](denoiser, (2, 70, 55), model.schedule, conditions, 5)
            assert torch.allclose(takes[:, mask[0] == 1], given[:, mask[0] == 1].expand(2, -1), atol=1e-6)
            assert not torch.allclose(takes[0], takes[1])


@pytest.fixture
def vertex_model() -> ThreeDiFace:
    """3DiFACE with random weights and a face of 90 vertices, two of whose shapes have a corrective."""
    torch.manual_seed(0)
    config = ThreeDiFaceConfig([], audio_dim=5, voice_dim=4, alpha_bars=cosine_schedule(20).alpha_bars.tolist(), hidden_dim=8,
                               identity_dim=8, face="ninety", face_vertices=90, correctives=[["jawOpen", "mouthPucker"]])  # fmt: skip
    model = ThreeDiFace(config).eval()
    torch.nn.init.normal_(model.motion_decoder.weight, std=0.3)
    model.face.targets.normal_(std=0.01)
    model.set_statistics((np.zeros(270), 1e-3), (np.zeros(5), np.ones(5)))
    return model


def test_a_model_of_vertices_is_edited_shape_by_shape(vertex_model, motion):
    edit = plan_edit(motion, [Keyframe(2.0, {"jawOpen": 0.8})], [Lock("lips", 0.5, 1.0), Lock("all", 2.5, 3.0)])
    inside = edit.standardised(vertex_model)
    x0 = torch.randn(2, 90, 270)
    before, after = (vertex_model.to_vertices(x).flatten(-2) for x in (x0, inside.apply(x0)))
    found, changed = (x @ inside.inverse for x in (before, after))
    # What is given has its value, what is not stays, and so does what no shape explains.
    assert torch.allclose(changed[:, 60, JAW], torch.tensor(0.8), atol=1e-4)
    assert torch.allclose(changed[:, 15:31][..., LIP_REGION], inside.given[:, 15:31][..., LIP_REGION].expand(2, -1, -1), atol=1e-4)
    free = np.delete(np.arange(52), LIP_REGION)
    assert torch.allclose(changed[:, 15:31][..., free], found[:, 15:31][..., free], atol=1e-4)
    untouched = (edit.mask.max(axis=1) == 0) & (edit.weight.max(axis=(0, 2)) == 0)
    assert untouched.any() and torch.allclose(before[:, untouched], after[:, untouched], atol=1e-6)
    # A face of which all is given is the rig's own, with its correctives.
    assert torch.allclose(after[:, 75:], vertex_model.face.displacements(inside.given[:, 75:]).expand(2, -1, -1), atol=1e-6)


def test_an_edited_take_of_vertices_has_the_given_coefficients(vertex_model, motion):
    edit = plan_edit(motion, [Keyframe(2.0, {"jawOpen": 0.8, "yaw": 0.2})], keep=(0.2, 0.1))
    condition, noise = vertex_model.condition(torch.randn(90, 5), None), torch.randn(1, 90, 270)
    with torch.inference_mode():
        takes = vertex_model.sample(SAMPLERS["ddim"], condition, noise, 4, {"audio": 0.5}, edit.standardised(vertex_model))
        fitted = vertex_model.to_motion(takes)
    np.testing.assert_allclose(fitted[0][0, :18], motion.coefficients[:18], atol=0.02)
    coefficients, head = edit.restore(*(part.numpy() for part in fitted), has_head=False)
    assert np.array_equal(coefficients[0, :18], motion.coefficients[:18]) and coefficients[0, 60, JAW] == np.float32(0.8)
    assert np.array_equal(head[0, :18], motion.head[:18]) and head[0, 60, 0] == np.float32(0.2) and head[0, 40, 0] == 0


@pytest.fixture(scope="module")
def talker() -> Talker:
    return Talker.from_pretrained("diffusiontalker")


@pytest.fixture(scope="module")
def speech(example_clip):
    return load_speech(example_clip)


def test_an_edited_take_is_exact_where_it_is_kept_and_new_elsewhere(talker, speech):
    before = talker.speak(speech, takes=1, seed=0).motions[0]
    edit = plan_edit(before, [Keyframe(2.0, {"jawOpen": 0.7, "yaw": 0.2})], [Lock("upper_face", 0.5, 1.5)], (0.1, 0.1))
    takes = talker.speak(speech, takes=2, seed=1, edit=edit)
    values = np.concatenate([takes.coefficients, takes.head], axis=-1)
    exact = edit.mask == 1
    assert np.array_equal(values[:, exact], np.broadcast_to(edit.given[exact], (2, exact.sum())))
    assert values[0, 60, JAW] == np.float32(0.7) and values[1, 60, YAW] == np.float32(0.2)
    original = np.concatenate([before.coefficients, before.head], axis=1)
    assert np.array_equal(values[0, 15:46][:, [BROW]], original[15:46, [BROW]])
    free = (edit.mask == 0) & (edit.weight == 0).all(axis=0)
    assert np.abs(values[0] - original)[free].mean() > 0.01


def test_nothing_jumps_beside_keyframes_and_kept_ranges(talker, speech):
    """First differences where given motion leads the rest are within what the same takes have elsewhere."""
    before = talker.speak(speech, takes=1, seed=0).motions[0]
    times = np.arange(0.6, before.seconds - 0.3, 1.2)
    values = dict(zip(("jawOpen", "mouthSmileLeft", "mouthPucker"), (0.4, 0.3, 0.3)))
    edit = plan_edit(before, [Keyframe(float(time), values) for time in times])
    takes = talker.speak(speech, takes=4, seed=1, edit=edit).coefficients
    for name in values:
        channel = CHANNELS.index(name)
        steps = np.abs(np.diff(takes[:, :, channel], axis=1))
        ease = round(EASES[channel] * 30)
        leading = np.zeros(steps.shape[1], dtype=bool)
        for frame in np.rint(times * 30).astype(int):
            leading[frame - ease : frame + ease] = True
        assert steps[:, leading].max() < np.percentile(steps[:, ~leading], 99) * 1.2
        assert steps[:, leading].mean() < np.percentile(steps[:, ~leading], 95)
    edit = plan_edit(before, locks=[Lock("all", 0, 1), Lock("all", 2, 2.5)])
    steps = np.abs(np.diff(talker.speak(speech, takes=4, seed=1, edit=edit).coefficients, axis=1)).mean(axis=(0, 2))
    borders = [30, 59, 75]  # from the last frame that is kept to the next one, or the other way round
    assert steps[borders].max() < np.percentile(np.delete(steps, borders), 95)


def test_long_speech_is_edited_across_its_windows(talker, speech):
    long = speech_from_array(np.resize(speech.samples, SAMPLE_RATE * 14), SAMPLE_RATE, "long")
    edit = plan_edit(still(long.frames()), [Keyframe(time, {"jawOpen": 0.5}) for time in (1.0, 6.0, 13.9)])
    takes = talker.speak(long, takes=1, edit=edit)
    assert takes.coefficients[0, [30, 180, 417], JAW].tolist() == [0.5, 0.5, 0.5]


def test_a_model_of_25_frames_a_second_keeps_what_it_is_given(speech):
    slower = Talker.from_pretrained("diffusiontalker")
    slower.denoiser.config = dataclasses.replace(slower.denoiser.config, fps=25.0)
    keyframes = [Keyframe(2.0, {"jawOpen": 0.7})]
    edit = plan_edit(still(speech.frames(25.0), 25.0), keyframes, fps=25.0)
    takes = slower.speak(speech, takes=1, edit=edit)
    assert takes.fps == 25 and takes.coefficients[0, 50, JAW] == np.float32(0.7)
    with pytest.raises(TalkerError, match="planned at 30 frames a second and the model diffusiontalker makes 25"):
        slower.speak(speech, edit=plan_edit(still(speech.frames()), keyframes))


def test_a_head_that_stays_still_and_another_sampler(talker, speech):
    takes = talker.speak(speech, takes=1, head=False)
    assert np.array_equal(takes.coefficients, talker.speak(speech, takes=1).coefficients) and not takes.head.any()
    assert not np.array_equal(takes.coefficients, talker.speak(speech, takes=1, sampler="dpm-solver++").coefficients)


def test_wrong_edits_and_samplers_are_one_sentence(talker, speech):
    with pytest.raises(TalkerError, match="lasts 1.00 s .* but its speech"):
        talker.speak(speech, edit=plan_edit(still(30), [Keyframe(0.5, {"jawOpen": 0.5})]))
    with pytest.raises(TalkerError, match="no sampler euler"):
        talker.speak(speech, sampler="euler")
