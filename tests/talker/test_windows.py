"""Overlapping windows leave no seam."""

import pytest
import torch

from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.samplers import ddim, take_generators
from talker.schedules import linear_schedule
from talker.windows import fade, window_starts, windowed


@pytest.mark.parametrize("frames", [301, 333, 540, 541, 900, 1800])
def test_windows_cover_every_frame_with_weights_that_sum_to_one(frames):
    starts = window_starts(frames)
    assert starts[0] == 0 and starts[-1] == frames - 300
    assert all(b - a <= 240 for a, b in zip(starts, starts[1:]))
    total = torch.zeros(frames)
    for row, start in zip(fade(frames, starts, 300, 60), starts):
        assert (row > 0).all()
        total[start : start + 300] += row
    assert torch.allclose(total, torch.ones(frames), atol=1e-5)


def test_a_pointwise_denoiser_does_not_notice_the_windows():
    def denoiser(x, step, condition):
        return torch.tanh(x + step.view(-1, 1, 1) / 10)

    schedule = linear_schedule(8)
    plain, cut = (
        ddim(one, (2, 700, 5), schedule, generator=take_generators(1, 2)) for one in (denoiser, windowed(denoiser))
    )
    assert torch.allclose(plain, cut, atol=1e-5)


def test_short_utterances_pass_through():
    calls = []

    def denoiser(x, step, condition):
        calls.append(x.shape)
        return x

    windowed(denoiser)(torch.zeros(4, 300, 5), torch.ones(4, dtype=torch.long), None)
    windowed(denoiser)(torch.zeros(4, 301, 5), torch.ones(4, dtype=torch.long), None)
    assert calls == [(4, 300, 5), (8, 300, 5)]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_recurrent_denoiser_has_no_visible_seam(bidirectional):
    """First differences where windows begin, end and meet stay within what they are elsewhere."""
    torch.manual_seed(0)
    config = DiffusionTalkerConfig(["a"], audio_dim=16, voice_dim=8, hidden_dim=64, bidirectional=bidirectional)
    model = DiffusionTalker(config).eval()
    with torch.no_grad():
        model.head.weight.mul_(5)
    frames = 900
    audio = torch.cumsum(torch.randn(frames, 16), 0) * 0.2
    with torch.no_grad():
        condition = model.condition(audio, "a")
        # With step 1 and no noise in x, all variation comes from audio and from where windows begin.
        x, step = torch.zeros(2, frames, model.channels), torch.ones(2, dtype=torch.long)
        joined = windowed(model)(x, step, condition)
        whole = model(x, step, condition)
    change = joined.diff(dim=1).norm(dim=-1)[0]
    seams = torch.zeros(frames - 1, dtype=torch.bool)
    for start in window_starts(frames)[1:]:
        seams[start - 2 : start + 62] = True
    assert change[seams].max() <= 1.05 * change[~seams].max()
    assert change[seams].mean() <= 1.2 * change[~seams].mean()
    # Away from the first frames of a window, a window hears what the whole would have heard.
    assert (joined - whole).norm() < 0.1 * whole.norm()


def test_windows_of_shared_and_of_own_conditions_agree():
    torch.manual_seed(0)
    model = DiffusionTalker(DiffusionTalkerConfig(["a"], audio_dim=16, voice_dim=8, hidden_dim=32)).eval()
    audio = torch.randn(400, 16)
    x, step = torch.randn(3, 400, model.channels), torch.full((3,), 5)
    with torch.no_grad():
        shared = model.condition(audio, "a")
        assert torch.allclose(windowed(model)(x, step, shared), windowed(model)(x, step, shared.repeat(3)), atol=1e-6)
