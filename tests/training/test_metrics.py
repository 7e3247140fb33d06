"""The measures on cases that can be worked out by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from talker.motion import ARKIT_INDEX, LIP_REGION, UPPER_FACE_REGION
from training import metrics


@dataclass
class Phone:
    label: str
    start: float
    end: float


def test_mbe_is_the_mean_length_of_the_difference():
    truth = np.zeros((2, 52))
    predicted = np.zeros((2, 52))
    predicted[0, [ARKIT_INDEX["jawOpen"], ARKIT_INDEX["browInnerUp"]]] = 0.3, 0.4  # a 3-4-5 triangle
    assert metrics.mbe(predicted, truth) == pytest.approx(0.25)
    assert metrics.lbe(predicted, truth) == pytest.approx(0.15)


def test_fdd_is_the_missing_movement_of_the_upper_face():
    truth = np.zeros((4, 52))
    truth[:, UPPER_FACE_REGION] = np.array([0, 1, 0, 1])[:, None]
    still = np.full((4, 52), 0.5)
    assert metrics.fdd(still, truth) == pytest.approx(0.5)
    still[:, LIP_REGION] = np.random.default_rng(0).random((4, len(LIP_REGION)))
    assert metrics.fdd(still, truth) == pytest.approx(0.5)


def test_aperture_ratios_read_the_middles_of_phones_and_all_of_silence():
    fps = 10.0
    aperture = np.array([0, 0, 8, 10, 8, 2, 1, 2, 8, 10, 8]) * 1e-3
    phones = [Phone("SIL", 0.0, 0.2), Phone("AA", 0.2, 0.4), Phone("M", 0.5, 0.7), Phone("EH", 0.8, 1.0)]
    ratios = metrics.aperture_ratios([(aperture, fps, phones)])
    assert ratios["open_millimetres"] == pytest.approx(10)
    assert ratios["closed_over_open"] == pytest.approx(0.1)
    assert ratios["silence_over_open"] == 0


def test_precision_recall_and_f1_of_a_small_confusion():
    truth = ["a", "a", "b", "b"]
    predicted = ["a", "b", "b", "b"]
    table = metrics.precision_recall_f1(predicted, truth)
    assert table["precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert table["recall"] == pytest.approx(0.75)
    assert table["f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert table["accuracy"] == 0.75
