"""Losses against the paper's equations written out with numpy."""

import numpy as np
import pytest
import torch

from talker.errors import TalkerError
from talker.models.facediffuser import FaceDiffuser, FaceDiffuserConfig
from talker.models.motion_model import Condition
from talker.models.regression import Regression, RegressionConfig
from talker.motion import ARKIT_INDEX, LIP_REGION
from training.dataset import Batch
from training.losses import (
    LOSS_WEIGHTS,
    DiffusionObjective,
    closure_emphasis,
    contrast_loss,
    distill_loss,
    emphasised,
    expression_loss,
    lip_loss,
    loss_weights,
    total_loss,
    velocity_loss,
)
from training.recipe import load_recipe


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 9, 55)), rng.normal(size=(2, 9, 55))


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(a)) for a in arrays]


def test_expression_and_lip_loss_are_mean_squares(pair):
    prediction, clean = tensors(*pair)
    ones = torch.ones(2, 9)
    assert expression_loss(prediction, clean, ones).item() == pytest.approx(((pair[0] - pair[1]) ** 2).mean())
    lips = torch.from_numpy(LIP_REGION)
    expected = ((pair[0] - pair[1])[..., LIP_REGION] ** 2).mean()
    assert lip_loss(prediction, clean, ones, lips).item() == pytest.approx(expected)


def test_closed_lips_count_more_where_the_jaw_is_open():
    """P over an open jaw, F over the same, an open vowel, and a mouth at rest; four frames of a batch of one."""
    motion = torch.zeros(1, 4, 55)
    motion[0, :, ARKIT_INDEX["jawOpen"]] = torch.tensor([0.2, 0.2, 0.6, 0.0])
    motion[0, :, ARKIT_INDEX["mouthClose"]] = torch.tensor([0.2, 0.11, 0.0, 0.0])
    found = closure_emphasis(motion, 3.0)[0]
    assert found.tolist() == pytest.approx([3, 1 + 2 * 0.55**4, 1, 1])
    assert torch.equal(closure_emphasis(motion, 1.0), torch.ones(1, 4))
    ones = torch.ones(1, 4)
    batch = Batch(torch.zeros(1, 4, 2), motion, torch.zeros(1, 2), torch.zeros(1), ones, ones[:, 1:], torch.zeros(1), torch.zeros(1, 4, 55))
    assert torch.equal(emphasised(batch, 3.0).weight[0], found) and emphasised(batch, 1.0) is batch


def test_velocity_loss_compares_frame_to_frame_changes(pair):
    prediction, clean = pair
    terms = [
        ((prediction[:, i] - prediction[:, i - 1]) - (clean[:, i] - clean[:, i - 1])) ** 2 for i in range(1, 9)
    ]
    loss = velocity_loss(*tensors(*pair), torch.ones(2, 8))
    assert loss.item() == pytest.approx(np.mean(terms))
    # A constant offset has no velocity.
    assert velocity_loss(*tensors(clean + 3, clean), torch.ones(2, 8)).item() == pytest.approx(0, abs=1e-12)


def test_contrast_loss_is_eq_14_over_the_library():
    rng = np.random.default_rng(0)
    voices, identities = (m / np.linalg.norm(m, axis=1, keepdims=True) for m in (rng.normal(size=(6, 8)), rng.normal(size=(3, 8))))
    speaker = np.array([0, 1, 2, 0, 1, 2])
    similarity = np.exp(voices @ identities.T / 0.07)
    expected = -np.mean(np.log(similarity[np.arange(6), speaker] / similarity.sum(1)))
    logits, rows = tensors(voices @ identities.T / 0.07, speaker)
    assert contrast_loss(logits, rows).item() == pytest.approx(expected)
    # A speaker outside the library has no right answer and does not count.
    rows[3:] = -1
    assert contrast_loss(logits, rows).item() == pytest.approx(
        -np.sum(np.log(similarity[np.arange(3), speaker[:3]] / similarity[:3].sum(1))) / 6
    )


def test_distill_loss_has_the_truncated_snr_weight(pair):
    snr = torch.tensor([0.2, 30.0], dtype=torch.float64)
    error = ((pair[0] - pair[1]) ** 2).mean(axis=(1, 2))
    prediction, target = tensors(*pair)
    loss = distill_loss(((prediction - target) ** 2).mean(dim=-1), snr, torch.ones(2, 9))
    assert loss.item() == pytest.approx((1.0 * error[0] + 30.0 * error[1]) / 2)


def test_padding_does_not_count(pair):
    prediction, clean = tensors(*pair)
    valid = torch.zeros(2, 9)
    valid[:, :5] = 1
    loss = expression_loss(prediction, clean, valid / valid.mean())
    assert loss.item() == pytest.approx(((pair[0] - pair[1])[:, :5] ** 2).mean())


def test_the_total_has_the_papers_weights():
    assert LOSS_WEIGHTS == {"expression": 1.0, "lip": 1.0, "contrast": 0.007, "velocity": 0.5, "distill": 0.1}
    losses = {name: torch.tensor(10.0**k) for k, name in enumerate(LOSS_WEIGHTS)}
    assert total_loss(losses, LOSS_WEIGHTS)["total"].item() == pytest.approx(1 + 10 + 0.7 + 500 + 1000)


def test_a_weight_for_an_unknown_loss_is_refused():
    assert loss_weights({"lip": 0.0}) == {**LOSS_WEIGHTS, "lip": 0.0}
    with pytest.raises(TalkerError, match="no loss brow"):
        loss_weights({"brow": 1.0})


def test_facediffusers_objective_is_the_plain_mean_square_of_its_x0():
    """Written out: x_t from ᾱ, the network's answer, squares over channels and frames, nothing else."""
    torch.manual_seed(0)
    model = FaceDiffuser(FaceDiffuserConfig([], audio_dim=8, voice_dim=6, hidden_dim=16, dropout=0.0))
    model.set_statistics((np.full(55, 0.3), np.full(55, 0.2)), (np.zeros(8), np.ones(8)))
    batch = Batch(
        audio=torch.randn(4, 9, 8), motion=torch.rand(4, 9, 55), voice=torch.randn(4, 6), speaker=torch.full((4,), -1),
        weight=torch.ones(4, 9), pair_weight=torch.ones(4, 8), uniform=torch.tensor([0.0, 0.4, 0.7, 0.999]),
        noise=torch.randn(4, 9, 55),
    )  # fmt: skip
    steps = torch.tensor([1, 13, 23, 32])
    x0 = (batch.motion - 0.3) / 0.2
    alpha_bar = torch.tensor(model.config.alpha_bars, dtype=torch.float32)[steps - 1].view(4, 1, 1)
    prediction = model(alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * batch.noise, steps, Condition(batch.audio))
    losses = DiffusionObjective(model, load_recipe("facediffuser").loss_weights)(batch)
    assert "contrast" not in losses
    assert losses["total"].item() == pytest.approx(((prediction - x0) ** 2).mean().item(), rel=1e-4)


def test_the_regressions_objective_is_position_and_velocity_and_who_speaks():
    torch.manual_seed(0)
    model = Regression(RegressionConfig(["anna", "ben"], audio_dim=8, voice_dim=6, hidden_dim=16)).eval()
    batch = Batch(
        audio=torch.randn(3, 9, 8), motion=torch.randn(3, 9, 55), voice=torch.randn(3, 6),
        speaker=torch.tensor([0, 1, 0]), weight=torch.ones(3, 9), pair_weight=torch.ones(3, 8),
        uniform=torch.rand(3), noise=torch.randn(3, 9, 55),
    )  # fmt: skip
    losses = DiffusionObjective(model, load_recipe("regression").loss_weights)(batch)
    # Untrained, it answers zero: what is left is the motion itself.
    position, velocity = (batch.motion**2).mean(), (batch.motion.diff(dim=1) ** 2).mean()
    who = torch.nn.functional.cross_entropy(model.library.logits(batch.voice), batch.speaker)
    assert losses["total"].item() == pytest.approx((position + 0.5 * velocity + 0.007 * who).item(), rel=1e-5)
