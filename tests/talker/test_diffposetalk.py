"""DiffPoseTalk: its mask against PyTorch's own attention, its null conditions, its windows."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from talker.editing import Edit
from talker.errors import TalkerError
from talker.models.diffposetalk import (
    Attention,
    DiffPoseTalk,
    DiffPoseTalkConfig,
    Modulation,
    SpeechAttention,
    WindowCondition,
    modulated,
    nearness,
)
from talker.samplers import ancestral, ddim, take_generators
from talker.schedules import cosine_schedule

SMALL = DiffPoseTalkConfig(
    identities=[], audio_dim=6, voice_dim=4, alpha_bars=cosine_schedule(8).alpha_bars.tolist(), hidden_dim=32, layers=2,
    heads=4, window_frames=20, previous_frames=4,
)  # fmt: skip


def small(seed=0, **changes):
    torch.manual_seed(seed)
    return DiffPoseTalk(replace(SMALL, **changes)).eval()


@pytest.fixture
def model():
    return small()


def as_torch(ours, into):
    """PyTorch's multi-head attention with our weights."""
    theirs = nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in into]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in into]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


def test_attention_is_that_of_pytorch():
    torch.manual_seed(1)
    ours, hidden = Attention(32, 4), torch.randn(2, 7, 32)
    mask = torch.arange(7) < torch.tensor([[7], [5]])
    bias, theirs = nearness(4, 6), as_torch(ours, [ours.into])
    blocked = torch.where(mask[:, None, None], bias, -torch.inf).flatten(0, 1)
    assert torch.allclose(ours(hidden, mask, bias), theirs(hidden, hidden, hidden, attn_mask=blocked)[0], atol=1e-6)


def test_frames_far_apart_attend_less_to_one_another():
    """Scores fall by 2^(-8h/H) a frame in both directions (Press et al., ICLR 2022), the first token is near everybody."""
    expected = torch.tensor([[0, 0, 0, 0], [0, 0, -1, -2], [0, -1, 0, -1], [0, -2, -1, 0]])
    assert torch.equal(nearness(2, 3), torch.stack([expected / 16, expected / 256]))


@pytest.mark.parametrize("alignment", [True, False])
def test_the_alignment_mask_is_that_of_the_paper(alignment):
    """A frame's token attends to that frame's speech, the first token to all of it (section 3.2)."""
    torch.manual_seed(1)
    ours, hidden, speech = SpeechAttention(32, 4, alignment), torch.randn(2, 8, 32), torch.randn(2, 7, 32)
    blocked = torch.cat([torch.zeros(1, 7, dtype=torch.bool), ~torch.eye(7, dtype=torch.bool)]) if alignment else None
    theirs = as_torch(ours, [ours.query, ours.key, ours.value])
    assert torch.allclose(ours(hidden, speech, None), theirs(hidden, speech, speech, attn_mask=blocked)[0], atol=1e-6)


def test_changed_speech_changes_only_what_the_mask_allows():
    """In one layer, where frames have not yet heard each other, one frame of speech moves one frame of motion."""
    x, step, audio = torch.randn(1, 20, 55), torch.tensor([3]), torch.randn(20, 6)
    louder = audio.clone()
    louder[7] += 1

    def moved(model):
        before, after = (model.predict(x, step, model.condition(heard))[0, 4:] for heard in (audio, louder))
        return (before != after).any(dim=1)

    with torch.inference_mode():
        assert moved(small(layers=1)).nonzero().flatten().tolist() == [7]
        assert moved(small(layers=1, alignment=False)).all()
        assert moved(small(layers=2)).all()  # through self-attention and the first token


def test_frames_past_the_end_of_the_speech_count_for_nothing(model):
    """So a window that is cut in training is a short window in sampling."""
    x, step = torch.randn(2, 20, 55), torch.tensor([2, 5])
    whole = model.condition(torch.randn(20, 6))
    valid = (torch.arange(20) < 13).expand(2, -1)
    with torch.inference_mode():
        masked = model(x, step, replace(whole, valid=valid))
        short = model(x[:, :13], step, replace(whole, audio=whole.audio[:, :13]))
    assert torch.allclose(masked[:, :13], short, atol=1e-5)


def test_null_conditions_replace_speech_and_style_of_each_take(model):
    x, step = torch.randn(2, 20, 55), torch.tensor([4, 4])
    one, other = (model.condition(torch.randn(20, 6), style=torch.randn(128)) for _ in range(2))
    with torch.inference_mode():
        assert not torch.allclose(model(x, step, one), model(x, step, replace(one, style=other.style)))
        nothing = [model(x, step, c.without(audio=True, style=True)) for c in (one, other)]
        assert torch.equal(*nothing)
        styleless = model(x, step, one.without(style=True))
        assert torch.equal(styleless, model(x, step, replace(one, style=None)))
        first_only = model(x, step, one.without(style=torch.tensor([True, False])).repeat(2))
        assert torch.allclose(first_only[0], styleless[0], atol=1e-6)
        assert torch.allclose(first_only[1], model(x, step, one)[1], atol=1e-6)
        # Eq. 10 by hand, against sampling in one step.
        noise = torch.randn(2, 20, 55)
        last = torch.tensor([8, 8])
        full, unstyled, null = (model(noise, last, c) for c in (one, one.without(style=True), one.without(True, True)))
        guided = model.sample(ddim, one, noise, steps=1, guidance={"audio": 1.15, "style": 3.0})
    assert torch.allclose(guided, null + 1.15 * (unstyled - null) + 3.0 * (full - unstyled), atol=1e-4)


def test_a_style_reaches_every_frame():
    """Where no frame hears the first token, that of a model without layers, styles differ in all of them all the same; and
    a style, whose length is one, weighs as much as inputs of unit variance."""
    model, x = small(layers=0), torch.randn(1, 20, 55)
    styles = torch.nn.functional.normalize(torch.randn(2, 128), dim=1)
    one, other = (model.condition(torch.randn(20, 6), style=style) for style in styles)
    with torch.inference_mode():
        moved = model.predict(x, torch.tensor([3]), one) - model.predict(x, torch.tensor([3]), other)
    assert (moved[0].abs().amax(dim=1) > 1e-3).all()
    assert torch.allclose(model.speaker_features(one, 1).square().mean(), torch.tensor(1.0))


def test_a_style_scales_what_frames_do():
    """How far something moves about a mean of zero is no sum but a gain: the first token, which knows style and step, scales
    and shifts what is normalised, and begins with 1 and 0."""
    torch.manual_seed(1)
    modulation, token, hidden = Modulation(3, 2), torch.tensor([[1.0, 0.0, 0.0]]), torch.randn(1, 5, 3)
    assert all(torch.equal(modulated(hidden, one), hidden) for one in modulation(token))
    with torch.no_grad():
        # SiLU(1) = 0.731 of the token's first number, for the first scale and the second shift.
        modulation.linear.weight[:3, 0] = 2.0
        modulation.linear.weight[9:, 0] = torch.tensor([1.0, 0.0, -1.0])
    first, second = modulation(token)
    assert torch.allclose(modulated(hidden, first), (1 + 2 * 0.7310586) * hidden)
    assert torch.allclose(modulated(hidden, second), hidden + 0.7310586 * torch.tensor([1.0, 0.0, -1.0]))


def test_any_length_is_sampled_window_after_window_with_a_seed(model):
    condition, seen = model.condition(torch.randn(45, 6), style=torch.randn(128)), []
    noise = torch.randn(3, 45, 55)
    with torch.inference_mode():
        run = lambda **options: model.sample(ancestral, condition, noise, **options)  # noqa: E731
        takes = run(generator=take_generators(5, 3), callback=lambda done, count: seen.append((done, count)))
        assert takes.shape == (3, 45, 55) and seen == [(k, 24) for k in range(1, 25)]
        assert torch.equal(takes, run(generator=take_generators(5, 3)))
        assert not torch.equal(takes, run(generator=take_generators(6, 3)))
        # Windows of 15 frames; the second hears the last four of the first, and speech that comes later is not known yet.
        later = condition.audio.clone()
        later[:, 15:] = 0
        again = model.sample(ancestral, replace(condition, audio=later), noise, generator=take_generators(5, 3))
    assert torch.equal(takes[:, :15], again[:, :15]) and not torch.allclose(takes[:, 15:], again[:, 15:])


class Drifting(DiffPoseTalk):
    """Predicts smooth motion, but in every window about another mean."""

    def predict(self, x, step, condition):
        time = torch.arange(self.config.previous_frames + x.shape[1]).view(1, -1, 1)
        return torch.sin(time / 4) + 4 * condition.audio.mean() + torch.zeros(1, 1, self.channels)


def test_windows_meet_without_a_jump():
    """First differences at seams are within the 95th percentile of those elsewhere, whatever windows disagree about."""
    torch.manual_seed(1)
    model = Drifting(replace(SMALL, hidden_dim=4, layers=0)).eval()
    condition, noise = model.condition(torch.randn(200, 6)), torch.randn(4, 200, 55)
    seams = torch.zeros(199, dtype=torch.bool)
    seams[19::20] = True

    def share():
        with torch.inference_mode():
            steps = model.sample(ddim, condition, noise, steps=4).diff(dim=1).abs().amax(dim=2)
        return float((steps[:, seams] <= steps[:, ~seams].quantile(0.95)).float().mean())

    assert share() > 0.9
    model.fade.zero_()
    assert share() < 0.6


def test_given_motion_is_kept_in_its_window(model):
    given, mask = torch.full((1, 45, 55), 0.25), torch.zeros(1, 45, 55)
    mask[:, 20:24, :10] = 1

    with torch.inference_mode():
        x0 = model.sample(ddim, model.condition(torch.randn(45, 6)), torch.randn(2, 45, 55), edit=Edit(given, mask))
    assert torch.equal(x0[:, 20:24, :10], torch.full((2, 4, 10), 0.25))
    assert (x0[:, 20:24, 10:] != 0.25).all() and (x0[:, :20] != 0.25).all()


def test_equal_noise_is_equal_time_on_any_grid(model):
    """A student that takes every second step is told the teacher's time."""
    student = small(alpha_bars=model.schedule.thinned(4).alpha_bars.tolist())
    assert torch.allclose(student.time(torch.tensor([1, 2, 3, 4])), model.time(torch.tensor([2, 4, 6, 8])))
    fine = small(alpha_bars=cosine_schedule(500).alpha_bars.tolist())
    assert torch.allclose(fine.time(torch.tensor([50, 250, 450])), torch.tensor([100.0, 500.0, 900.0], dtype=torch.float64), atol=8)


def test_what_does_not_fit_gets_a_sentence(model):
    with pytest.raises(TalkerError, match="speech features"):
        model.condition(torch.randn(20, 7))
    with pytest.raises(TalkerError, match="styles instead of identities"):
        small(identities=["ann"])
    with pytest.raises(TalkerError, match="half a window"):
        small(previous_frames=11)


def test_without_a_style_encoder_there_is_no_room_for_a_style():
    model = small(style_dim=0)
    with torch.inference_mode():
        assert model(torch.randn(2, 20, 55), torch.tensor([1, 2]), model.condition(torch.randn(20, 6))).shape == (2, 20, 55)
    assert isinstance(model.condition(torch.randn(20, 6)), WindowCondition)
