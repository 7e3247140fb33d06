"""What all models of motion share: conditions, and sampling with given motion."""

import pytest
import torch

from talker.editing import Edit
from talker.errors import TalkerError
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.models.motion_model import Condition
from talker.samplers import ddim


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = DiffusionTalkerConfig(identities=[], audio_dim=6, voice_dim=4, alpha_bars=[0.9, 0.5, 0.1], hidden_dim=8)
    return DiffusionTalker(config).eval()


def test_a_condition_without_speech_or_style_says_so_for_each_take():
    condition = Condition(torch.zeros(3, 5, 2), style=torch.ones(3, 128))
    assert condition.without().without_audio.tolist() == [False] * 3
    both = condition.without(audio=True, style=torch.tensor([True, False, False]))
    assert both.without_audio.tolist() == [True] * 3 and both.without_style.tolist() == [True, False, False]
    assert both.without(style=torch.tensor([False, True, False])).without_style.tolist() == [True, True, False]
    assert condition.without_style is None


def test_windows_cut_what_has_frames_and_repeat_the_rest_window_by_window():
    audio = torch.arange(6.0).view(1, 6, 1).repeat(2, 1, 1) + torch.tensor([0.0, 100.0]).view(2, 1, 1)
    style = torch.stack([torch.zeros(128), torch.ones(128)])
    cut = Condition(audio, style=style).without(style=torch.tensor([True, False])).windows([0, 3], 3)
    assert cut.audio[:, :, 0].tolist() == [[0, 1, 2], [100, 101, 102], [3, 4, 5], [103, 104, 105]]
    assert cut.style[:, 0].tolist() == [0, 1, 0, 1] and cut.without_style.tolist() == [True, False, True, False]


def test_given_motion_comes_back_and_the_rest_is_sampled(model):
    noise, condition = torch.randn(2, 12, 55), model.condition(torch.randn(12, 6))
    mask = torch.zeros(1, 12, 55)
    mask[:, :4] = 1
    with torch.inference_mode():
        free = model.sample(ddim, condition, noise)
        assert torch.equal(free, ddim(model, (2, 12, 55), model.schedule, condition, noise=noise))
        kept = model.sample(ddim, condition, noise, edit=Edit(torch.full((1, 12, 55), 0.3), mask))
    assert torch.equal(kept[:, :4], torch.full((2, 4, 55), 0.3))
    assert not torch.allclose(kept[:, 4:], free[:, 4:])  # the recurrent network heard of what was given


def test_guidance_of_what_was_never_dropped_is_refused(model):
    with pytest.raises(TalkerError, match="without guidance of the audio"):
        model.sample(ddim, model.condition(torch.randn(12, 6)), torch.randn(1, 12, 55), guidance={"audio": 2.0})
