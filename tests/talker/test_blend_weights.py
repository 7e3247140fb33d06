"""Blend weights: coefficients kept in bounds, mouthClose by the jaw, and what correctives add."""

import numpy as np
import pytest
import torch

from talker.blend_weights import Corrective, blend_weights
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX

CORRECTIVES = (Corrective("jaw_half", ("jawOpen",)), Corrective("laugh", ("jawOpen", "mouthSmileLeft")))


def test_weights_by_hand_and_with_gradients():
    coefficients = np.zeros((1, 52), np.float32)
    coefficients[0, [ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthClose"], ARKIT_INDEX["mouthSmileLeft"]]] = 0.25, 0.9, 1.4
    weights = blend_weights(coefficients, CORRECTIVES)
    assert weights.shape == (1, 54) and weights.dtype == np.float32
    # The lips close no further than the jaw parted them; a shape ends at 1; 4 · 0.25 · 0.75; 0.25 · 1.
    assert weights[0, ARKIT_INDEX["mouthClose"]] == pytest.approx(0.26)
    assert weights[0, ARKIT_INDEX["mouthSmileLeft"]] == 1
    assert weights[0, 52:].tolist() == pytest.approx([0.75, 0.25])

    tensor = torch.from_numpy(coefficients).requires_grad_(True)
    same = blend_weights(tensor, CORRECTIVES)
    assert torch.equal(same.detach(), torch.from_numpy(weights))
    same.sum().backward()
    # The jaw itself, mouthClose that it holds back, 4 (1 - 2 · 0.25), and the smile of 1.
    assert tensor.grad[0, ARKIT_INDEX["jawOpen"]] == pytest.approx(1 + 1 + 2 + 1)
    assert tensor.grad[0, ARKIT_INDEX["mouthClose"]] == 0


def test_another_number_of_columns_gets_a_sentence():
    with pytest.raises(TalkerError, match="51 columns"):
        blend_weights(np.zeros((3, 51), np.float32))
