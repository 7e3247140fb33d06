"""Speaking styles: what they depend on, motion that cannot show one, and the named styles."""

import numpy as np
import pytest
import torch

from talker.checkpoints import save_checkpoint
from talker.errors import TalkerError
from talker.motion import Motion, resample, sway
from talker.style import GAINS, StyleConfig, StyleEncoder, movement


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    model = StyleEncoder(StyleConfig(styles={"calm": "moves little", "lively": "moves much"})).eval()
    model.vectors.copy_(torch.eye(128)[:2])
    return model


def moving(rng, frames, fps=30.0):
    time = np.arange(frames)[:, None] / fps
    coefficients = 0.4 + 0.3 * np.sin(2 * np.pi * (rng.uniform(0.2, 1, 52) * time + rng.random(52)))
    return Motion(coefficients.astype(np.float32), 0.1 * np.sin(time + np.arange(3)).astype(np.float32), fps)


def test_a_style_has_length_one_whatever_the_length_of_the_motion(encoder, rng):
    motion = moving(rng, 250)
    style = encoder.encode(motion)
    assert style.shape == (128,) and float(style.norm()) == pytest.approx(1, abs=1e-5)
    # Three windows of 100 frames, evenly spread, by hand.
    channels = torch.from_numpy(np.concatenate([motion.coefficients, motion.head], axis=1))
    with torch.inference_mode():
        windows = encoder(torch.stack([channels[start : start + 100] for start in (0, 50, 100, 150)]))
    assert torch.allclose(style, torch.nn.functional.normalize(windows.mean(dim=0), dim=-1), atol=1e-5)


def test_movement_of_a_sway_is_its_amplitude_and_its_frequency():
    """Of a sinusoid of amplitude A and frequency f the mean distance from its mean is 2 A / π, the mean speed 4 A f."""
    amplitude, hertz = 3.0, 0.5
    time = torch.arange(240) / 30
    sway = amplitude * torch.sin(2 * torch.pi * hertz * time)[None, :, None]
    distance, speed = movement(sway, torch.ones(1, 240), 30.0)
    assert float(distance.mean()) == pytest.approx(2 / torch.pi * amplitude, rel=0.01)
    assert float(speed.mean()) == pytest.approx(4 * amplitude * hertz / (2 * torch.pi), rel=0.01)
    still = movement(torch.ones(1, 10, 1), torch.ones(1, 10), 30.0)
    assert all(torch.equal(part, torch.zeros(1, 10, 1)) for part in still)


@pytest.mark.parametrize("with_movement", [False, True])
def test_padding_does_not_count(with_movement):
    torch.manual_seed(1)
    encoder = StyleEncoder(StyleConfig(movement=with_movement)).eval()
    motion = torch.randn(2, 100, 55)
    valid = (torch.arange(100) < 60).expand(2, -1)
    with torch.inference_mode():
        padded = encoder(motion, valid)
        assert torch.allclose(padded, encoder(motion[:, :60]), atol=1e-5)
        changed = motion.clone()
        changed[:, 60:] += 5
        assert torch.allclose(encoder(changed, valid), padded, atol=1e-5)


def test_other_frame_rates_are_resampled(encoder, rng):
    motion = moving(rng, 240, fps=60.0)
    assert torch.equal(encoder.encode(motion), encoder.encode(resample(motion, 30.0)))


def test_named_styles_come_with_the_checkpoint(encoder, tmp_path):
    folder = save_checkpoint(tmp_path / "style-encoder", encoder, encoder.config.to_dict())
    loaded = StyleEncoder.from_pretrained(folder)
    assert loaded.named_styles() == {"calm": "moves little", "lively": "moves much"}
    assert torch.equal(loaded.style("lively"), torch.eye(128)[1])
    with pytest.raises(TalkerError, match="choose one of calm, lively"):
        loaded.style("loud")


def test_a_head_sways_as_an_example_foretells():
    """By a named style's own sway over the typical one; by a part of an example's, as it is one recording; within limits."""
    model = StyleEncoder(StyleConfig(
        layers=1, styles={"calm": "", "lively": ""}, sways={"calm": 0.05, "lively": 0.2}, typical_sway=0.1, sway_foretold=0.6
    ))  # fmt: skip
    assert model.head_gain("lively") == pytest.approx(2) and model.head_gain("calm") == pytest.approx(0.5)
    turns = np.zeros((60, 3), np.float32)
    turns[::2, 1], turns[1::2, 1] = 0.2, -0.2  # deviates by 0.2 rad about one angle
    assert sway(turns) == pytest.approx(0.2)
    example = Motion(np.zeros((60, 52), np.float32), turns)
    assert model.head_gain(example) == pytest.approx(2**0.6)
    assert model.head_gain(Motion(example.coefficients, 0 * turns)) == 1  # a phone that tracked no head
    assert model.head_gain(Motion(example.coefficients, 100 * turns)) == GAINS[1]
    assert StyleEncoder(StyleConfig(layers=1, styles={"calm": ""})).head_gain("calm") == 1  # saw no heads


def test_what_shows_no_style_gets_a_sentence(encoder, rng, tmp_path):
    with pytest.raises(TalkerError, match=r"lasts 0\.97 s; give at least 1 s"):
        encoder.encode(moving(rng, 29))
    with pytest.raises(TalkerError, match="not a style encoder"):
        StyleEncoder.from_pretrained(save_checkpoint(tmp_path / "other", {}, {"model_type": "diffusiontalker"}))
