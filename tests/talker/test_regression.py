"""The deterministic regression: its attention by hand, takes that are alike, its way through a checkpoint."""

import pytest
import torch

from talker.checkpoints import save_checkpoint
from talker.errors import TalkerError
from talker.models.regression import Regression, RegressionConfig, attention_bias
from talker.motion import ARKIT_NAMES
from talker.samplers import ddim, take_generators
from talker.schedules import linear_schedule
from talker.windows import windowed


def small_model(identities=("anna", "ben"), **options):
    torch.manual_seed(0)
    config = RegressionConfig(list(identities), audio_dim=8, voice_dim=6, hidden_dim=16, **options)
    model = Regression(config).eval()
    # As if trained: at first its answer is zero.
    torch.nn.init.normal_(model.head.weight)
    return model


def test_attention_sees_no_later_frame_and_forgets_by_the_second():
    bias = attention_bias(95)
    assert bias.shape == (4, 95, 95)
    assert torch.isneginf(bias[:, 10, 11:]).all() and torch.isfinite(bias[:, 94]).all()
    for head, slope in enumerate((1 / 4, 1 / 16, 1 / 64, 1 / 256)):
        # Frames 65 to 94 lie within a second of frame 94, frame 64 a second before, frame 4 three.
        assert (bias[head, 94, 65:] == 0).all()
        assert bias[head, 94, 64] == -slope and bias[head, 94, 4] == -3 * slope


def test_an_untrained_model_answers_with_the_mean_motion():
    model = Regression(RegressionConfig([], audio_dim=8, voice_dim=6, hidden_dim=16)).eval()
    model.motion_mean.fill_(0.25)
    coefficients, _ = model.to_motion(model(torch.randn(1, 9, 55), torch.tensor([1]), model.condition(torch.randn(9, 8), None)))
    assert (coefficients == 0.25).all()


def test_parameters_are_those_of_a_transformer_decoder_as_wide_as_its_inputs():
    model = Regression(RegressionConfig(["anna"], audio_dim=768, voice_dim=768, channels=list(ARKIT_NAMES)))
    width = 512 + 32
    attention = 4 * width * (width + 1)
    layer = 2 * attention + 2 * width * (width + 1) + 3 * 2 * width
    own = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("library"))
    assert own == 769 * 512 + 769 * width + layer + (width + 1) * 52


def test_it_is_causal_and_depends_on_speech_and_identity_alone():
    model, audio = small_model(), torch.randn(40, 8)
    x, step = torch.randn(3, 40, 55), torch.ones(3, dtype=torch.long)
    out = model(x, step, model.condition(audio, "anna"))
    assert out.shape == (3, 40, 55) and (out == out[:1]).all()
    assert torch.equal(out, model(x + 1, step, model.condition(audio, "anna")))
    assert (out - model(x, step, model.condition(audio, "ben"))).abs().mean() > 1e-3
    later = audio.clone()
    later[25:] += 1
    changed = model(x, step, model.condition(later, "anna"))
    assert torch.allclose(changed[:, :25], out[:, :25], atol=1e-5)
    assert (changed - out)[:, 25:].abs().mean() > 1e-2


def test_memory_is_aligned_frame_by_frame():
    """With self-attention silenced, a frame's answer depends on its own speech alone."""
    model = small_model()
    torch.nn.init.zeros_(model.decoder.layers[0].self_attn.out_proj.weight)
    audio = torch.randn(30, 8)
    other = audio.clone()
    other[7] += 1
    x, step = torch.zeros(1, 30, 55), torch.tensor([1])
    difference = (model(x, step, model.condition(audio, "anna")) - model(x, step, model.condition(other, "anna")))[0]
    changed = difference.abs().amax(-1) > 1e-5
    assert changed.nonzero().flatten().tolist() == [7]


def test_sampling_is_one_pass_whose_takes_are_alike_in_windows_too():
    model, audio = small_model(), torch.randn(70, 8)
    takes = {}
    for window in (100, 30):
        takes[window] = ddim(
            windowed(model, window, 10), (3, 70, 55), model.schedule, model.condition(audio, "ben"),
            generator=take_generators(1, 3),
        )  # fmt: skip
        assert (takes[window] == takes[window][:1]).all()
    direct = model(torch.zeros(1, 70, 55), torch.tensor([1]), model.condition(audio, "ben"))
    assert torch.allclose(takes[100][:1], direct, atol=1e-6)
    assert torch.allclose(takes[30][:, :20], direct[:, :20], atol=1e-5)


def test_a_checkpoint_gives_the_same_predictions_and_steps_are_refused(tmp_path):
    model = small_model()
    save_checkpoint(tmp_path / "m", model, model.config.to_dict())
    again = Regression.from_pretrained(tmp_path / "m")
    x, step, audio = torch.randn(1, 20, 55), torch.tensor([1]), torch.randn(20, 8)
    assert torch.equal(model(x, step, model.condition(audio, "ben")), again(x, step, again.condition(audio, "ben")))
    with pytest.raises(TalkerError, match="diffusion_steps: 1"):
        small_model(alpha_bars=linear_schedule(8).alpha_bars.tolist())
