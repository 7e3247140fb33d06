"""Losses against the paper's equations written out with numpy."""

import numpy as np
import pytest
import torch

from talker.errors import TalkerError
from talker.motion import LIP_REGION
from training.losses import (
    LOSS_WEIGHTS,
    contrast_loss,
    distill_loss,
    expression_loss,
    lip_loss,
    loss_weights,
    total_loss,
    velocity_loss,
)


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
    loss = distill_loss(*tensors(*pair), snr, torch.ones(2, 9))
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
