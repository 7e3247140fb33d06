"""FaceDiffuser: its published sizes, what its prediction depends on, and its way through a checkpoint."""

import pytest
import torch

from talker.checkpoints import save_checkpoint
from talker.errors import TalkerError
from talker.models.facediffuser import FaceDiffuser, FaceDiffuserConfig
from talker.motion import ARKIT_NAMES
from talker.samplers import ancestral, ddim, take_generators
from talker.schedules import cosine_schedule
from talker.windows import windowed


def small_model(steps=20, **options):
    torch.manual_seed(0)
    options = {"hidden_dim": 16, "step_dim": 12, "channels": list(ARKIT_NAMES), **options}
    alpha_bars = cosine_schedule(steps).alpha_bars.tolist()
    return FaceDiffuser(FaceDiffuserConfig([], audio_dim=8, voice_dim=6, alpha_bars=alpha_bars, **options)).eval()


def test_parameters_are_the_published_blendshape_models():
    """HuBERT's 768 numbers, 51 controls: step 1000 → 256, LayerNorm, two GRU layers of 256, a linear layer."""
    channels, audio, width = 52, 768, 768 + 52 + 256
    model = small_model(1000, hidden_dim=256, step_dim=256)
    step = 1000 * 256 + 256
    gru = 3 * 256 * (width + 256 + 2) + 3 * 256 * (256 + 256 + 2)
    big = FaceDiffuser(FaceDiffuserConfig([], audio, 768, model.config.alpha_bars, list(ARKIT_NAMES)))
    assert sum(p.numel() for p in big.parameters()) == step + 2 * width + gru + 257 * channels
    assert (big.gru.num_layers, big.gru.dropout, big.gru.bidirectional) == (2, 0.3, False)


def test_prediction_depends_on_speech_step_and_noise_and_never_looks_ahead():
    model, audio = small_model(), torch.randn(20, 8)
    x, step = torch.randn(3, 20, 52), torch.tensor([1, 10, 20])
    out = model(x, step, model.condition(audio, None))
    assert out.shape == (3, 20, 52)
    for changed in (
        model(x, step, model.condition(audio + 1, None)),
        model(x, step.flip(0), model.condition(audio, None)),
        model(x + torch.randn(52), step, model.condition(audio, None)),
    ):
        assert (changed - out).abs().mean() > 1e-4
    later, noisier = audio.clone(), x.clone()
    later[12:] += 1
    noisier[:, 12:] += 1
    changed = model(noisier, step, model.condition(later, None))
    assert torch.allclose(changed[:, :12], out[:, :12], atol=1e-6)
    assert (changed - out)[:, 12:].abs().mean() > 1e-3


def test_every_step_has_a_vector_of_its_own():
    """The one-hot step picks a column of the linear map; Mish follows."""
    model = small_model()
    linear = model.step_encoder[0]
    one_hot = torch.nn.functional.one_hot(torch.tensor([6]), 20).float()
    by_hand = linear.weight[:, 6] + linear.bias
    by_hand = by_hand * torch.tanh(torch.log1p(by_hand.exp()))
    assert torch.allclose(model.step_encoder(one_hot)[0], by_hand, atol=1e-6)


@pytest.mark.parametrize("sampler", [ancestral, ddim])
def test_takes_of_many_steps_or_a_few_of_them_and_of_long_speech(sampler):
    model, audio = small_model(), torch.randn(70, 8)
    for steps in (20, 3):
        sampled = sampler(
            windowed(model, 30, 10), (2, 70, 52), model.schedule, model.condition(audio, None), steps,
            generator=take_generators(0, 2),
        )  # fmt: skip
        assert sampled.shape == (2, 70, 52) and torch.isfinite(sampled).all()
        assert (sampled[0] - sampled[1]).abs().mean() > 1e-4


def test_a_checkpoint_gives_the_same_predictions(tmp_path):
    model, audio = small_model(), torch.randn(20, 8)
    model.motion_mean.fill_(0.3)
    save_checkpoint(tmp_path / "m", model, model.config.to_dict())
    again = FaceDiffuser.from_pretrained(tmp_path / "m")
    x, step = torch.randn(1, 20, 52), torch.tensor([4])
    assert torch.equal(model(x, step, model.condition(audio, None)), again(x, step, again.condition(audio, None)))
    assert again.config == model.config
    assert torch.allclose(again.to_motion(torch.zeros(1, 1, 52))[0], torch.tensor(0.3))


def test_identities_and_other_features_are_refused():
    with pytest.raises(TalkerError, match="set identity: false"):
        FaceDiffuser(FaceDiffuserConfig(["anna"], audio_dim=8, voice_dim=6))
    model = small_model()
    with pytest.raises(TalkerError, match="use the speech encoder"):
        model(torch.randn(1, 20, 52), torch.tensor([1]), model.condition(torch.randn(20, 9), None))
