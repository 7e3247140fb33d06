"""The denoiser: what goes in, what comes out, and its fast GRU against PyTorch's."""

import numpy as np
import pytest
import torch
from torch import nn

from talker.errors import TalkerError
from talker.models.diffusiontalker import DiffusionTalker, DiffusionTalkerConfig
from talker.models.motion_model import Condition
from talker.models.recurrent import GRU
from talker.motion import ARKIT_INDEX, ARKIT_NAMES
from talker.schedules import linear_schedule


def small_model(**options):
    torch.manual_seed(0)
    return DiffusionTalker(DiffusionTalkerConfig(["anna", "ben"], audio_dim=8, voice_dim=6, hidden_dim=16, **options)).eval()


def test_the_defaults_are_the_papers():
    model = DiffusionTalker(DiffusionTalkerConfig(["anna"], audio_dim=768, voice_dim=768))
    assert (model.gru.hidden_size, model.gru.num_layers, model.gru.bidirectional) == (256, 2, False)
    assert model.library.embeddings.shape == (1, 32)
    assert model.schedule.steps == 32 and model.channels == 55
    assert torch.equal(model.schedule.alpha_bars, linear_schedule(32).alpha_bars)


def test_prediction_depends_on_speech_identity_step_and_noise():
    model, audio = small_model(), torch.randn(20, 8)
    x, step = torch.randn(3, 20, 55), torch.tensor([1, 16, 32])
    out = model(x, step, model.condition(audio, "anna"))
    assert out.shape == (3, 20, 55)
    for changed in (
        model(x, step, model.condition(audio + 1, "anna")),
        model(x, step, model.condition(audio, "ben")),
        model(x, step.flip(0), model.condition(audio, "anna")),
        model(x + 1, step, model.condition(audio, "anna")),
    ):
        assert (changed - out).abs().mean() > 1e-4


def test_takes_in_one_batch_equal_takes_alone():
    model, x = small_model(), torch.randn(4, 20, 55)
    condition = model.condition(torch.randn(20, 8), "ben")
    together = model(x, torch.full((4,), 9), condition)
    alone = torch.cat([model(x[k : k + 1], torch.tensor([9]), condition) for k in range(4)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_a_unidirectional_model_never_looks_ahead_and_a_bidirectional_does():
    x, audio = torch.randn(1, 20, 55), torch.randn(20, 8)
    later = audio.clone()
    later[12:] += 1
    for bidirectional in (False, True):
        model = small_model(bidirectional=bidirectional)
        a, b = (model(x, torch.tensor([5]), model.condition(one, "anna")) for one in (audio, later))
        assert torch.allclose(a[:, :12], b[:, :12], atol=1e-7) != bidirectional


def test_steps_of_equal_noise_look_equal_to_teacher_and_student():
    """A student starts as a copy of its teacher: at its step k it must see the teacher's step 2k."""
    teacher = small_model()
    student = small_model(alpha_bars=linear_schedule(32).thinned(16).alpha_bars.tolist())
    x, condition = torch.randn(2, 20, 55), teacher.condition(torch.randn(20, 8), "anna")
    assert torch.allclose(
        student(x, torch.tensor([3, 16]), condition), teacher(x, torch.tensor([6, 32]), condition), atol=1e-6
    )


def test_motion_is_standardised_inside_and_clipped_outside():
    model = small_model()
    mean, std = np.full(55, 0.3), np.full(55, 0.2)
    std[ARKIT_INDEX["tongueOut"]] = 0.0  # a channel that never moves is not blown up
    model.set_statistics((mean, std), (np.zeros(8), np.ones(8)))
    motion = torch.rand(2, 20, 55)
    coefficients, head = model.to_motion(model.standardise(motion))
    assert torch.allclose(coefficients, motion[..., :52], atol=1e-5)
    assert torch.allclose(head, motion[..., 52:], atol=1e-5)
    assert model.motion_std[ARKIT_INDEX["tongueOut"]] == pytest.approx(0.01)
    coefficients, head = model.to_motion(torch.full((1, 1, 55), -99.0))
    assert (coefficients == 0).all() and (head < -1).all()


def test_the_papers_52_coefficients_alone_keep_the_head_still():
    model = small_model(channels=list(ARKIT_NAMES))
    coefficients, head = model.to_motion(torch.randn(2, 20, 52))
    assert coefficients.shape == (2, 20, 52) and head.shape == (2, 20, 3) and (head == 0).all()


def test_features_of_another_encoder_are_refused():
    model = small_model()
    with pytest.raises(TalkerError, match="use the speech encoder"):
        model(torch.randn(1, 20, 55), torch.tensor([1]), model.condition(torch.randn(20, 9), "anna"))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_fast_gru_has_the_values_and_gradients_of_pytorchs(layers, bidirectional):
    torch.manual_seed(0)
    fast = GRU(10, 12, layers, batch_first=True, bidirectional=bidirectional)
    slow = nn.GRU(10, 12, layers, batch_first=True, bidirectional=bidirectional)
    slow.load_state_dict(fast.state_dict())
    x, weight = torch.randn(3, 17, 10, requires_grad=True), torch.randn(3, 17, 24 if bidirectional else 12)
    results = []
    for out in (fast.train()(x), slow(x)[0]):
        x.grad = None
        (out * weight).sum().backward()
        results.append([out.detach(), x.grad])
    results[0] += [p.grad for p in fast.parameters()]
    results[1] += [p.grad for p in slow.parameters()]
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_fast_gru_in_bfloat16_stays_close():
    torch.manual_seed(0)
    gru = GRU(10, 12, 2, batch_first=True).train()
    x = torch.randn(3, 100, 10)
    with torch.autocast("cpu", torch.bfloat16):
        rough = gru(x)
    assert rough.dtype == torch.float32
    assert (rough - gru(x)).abs().max() < 0.03


def test_a_condition_is_cut_into_windows_in_step_with_the_takes():
    condition = Condition(torch.arange(10.0).view(1, 10, 1), torch.ones(1, 32))
    cut = condition.windows([0, 4], 6)
    assert cut.audio[:, 0, 0].tolist() == [0, 4]
    # Two takes each: window-major, as talker.windows stacks them.
    assert cut.repeat(4).audio[:, 0, 0].tolist() == [0, 0, 4, 4]


def test_without_identities_speech_and_noise_alone_decide():
    model = DiffusionTalker(DiffusionTalkerConfig([], audio_dim=8, voice_dim=6, hidden_dim=16)).eval()
    assert model.library is None and not any("library" in name for name in model.state_dict())
    assert model.gru.input_size == 8 + 64 + 55
    condition = model.condition(torch.randn(20, 8), None)
    assert condition.identity is None
    assert model(torch.randn(3, 20, 55), torch.tensor([1, 16, 32]), condition).shape == (3, 20, 55)


def test_a_config_of_another_model_is_refused():
    values = small_model().config.to_dict()
    assert DiffusionTalkerConfig.from_dict({**values, "note": "left aside"}).to_dict() == values
    with pytest.raises(TalkerError, match="does not describe a diffusiontalker model .it is a speech encoder."):
        DiffusionTalkerConfig.from_dict({**values, "model_type": "speech encoder"})
