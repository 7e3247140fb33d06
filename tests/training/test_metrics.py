"""The measures on cases that can be worked out by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from talker.motion import ARKIT_INDEX, LIP_REGION, UPPER_FACE_REGION
from training import metrics
from training.alignment import PHONES


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


def moved(distances):
    """Vertices (T, 2, 3) at rest, and the same with vertex 0 moved by `distances` (T,) and vertex 1 by half of that."""
    rest = np.zeros((len(distances), 2, 3))
    other = rest.copy()
    other[:, 0, 1], other[:, 1, 2] = distances, np.array(distances) / 2
    return rest, other


def test_lip_errors_of_two_vertices_in_two_frames():
    truth, predicted = moved([0.002, 0.004])
    lips = np.array([0, 1])
    assert metrics.lip_max(predicted, truth, lips) == pytest.approx(0.003)
    assert metrics.lve(predicted, truth, lips) == pytest.approx((0.002**2 + 0.004**2) / 2)
    assert metrics.l2_lip(predicted, truth, lips) == pytest.approx((0.002 + 0.001 + 0.004 + 0.002) / 4)
    assert metrics.l2_lip(predicted, truth, lips[1:]) == pytest.approx(0.0015)
    assert metrics.l2_face(predicted, truth) == metrics.l2_lip(predicted, truth, lips)


def test_inference_time_per_frame():
    assert metrics.itf(0.06, 120) == pytest.approx(5e-4)


def test_mouth_opening_difference_does_not_cancel():
    assert metrics.mod(np.array([0.01, 0.00]), np.array([0.00, 0.01])) == pytest.approx(0.01)


def test_lip_sync_forgives_a_delay_and_not_a_difference():
    lips = np.array([0])
    truth = np.zeros((5, 1, 3))
    truth[:, 0, 1] = 0, 0, 1, 0, 0
    late = np.zeros((5, 1, 3))
    late[:, 0, 1] = 0, 0, 0, 1, 0
    assert metrics.lip_sync(late, truth, lips) == 0 < metrics.l2_lip(late, truth, lips)
    higher = truth.copy()
    higher[2, 0, 1] = 1.5
    # The peaks can only be matched with each other or with a rest: 0.5 once on a straight path of 5 steps.
    assert metrics.lip_sync(higher, truth, lips) == pytest.approx(0.5 / 5)


def test_lip_sync_is_the_least_of_all_warps(rng):
    """Every monotone path through a small matrix, tried one by one."""
    predicted, truth = rng.random((4, 2, 3)), rng.random((3, 2, 3))
    cost = np.linalg.norm(predicted[:, None] - truth[None], axis=-1).mean(axis=-1)

    def paths(i, j):
        if (i, j) == (0, 0):
            yield [(0, 0)]
        for before in ((i - 1, j), (i, j - 1), (i - 1, j - 1)):
            if min(before) >= 0:
                for path in paths(*before):
                    yield [*path, (i, j)]

    best = min(paths(3, 2), key=lambda path: sum(cost[cell] for cell in path))
    expected = sum(cost[cell] for cell in best) / len(best)
    assert metrics.lip_sync(predicted, truth, np.array([0, 1])) == pytest.approx(expected)


def swaying(times):
    """A head that turns by sin(2 pi t / 2): slowest at 0.5, 1.5, 2.5 … seconds."""
    head = np.zeros((len(times), 3))
    head[:, 0] = 0.1 * np.sin(np.pi * times)
    return head


def test_beats_of_the_head_are_where_it_turns_around():
    times = np.arange(120) / 30
    assert metrics.head_beats(swaying(times), 30) == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.02)


def test_beat_alignment_falls_with_the_distance_of_beats():
    times = np.arange(120) / 30
    truth, later = swaying(times), swaying(times - 0.1)
    assert metrics.beat_alignment(truth, truth, 30) == 1
    assert metrics.beat_alignment(later, truth, 30) == pytest.approx(np.exp(-0.5), abs=0.05)  # 0.1 s is one width
    assert metrics.beat_alignment(np.zeros((120, 3)), truth, 30) == 0
    assert np.isnan(metrics.beat_alignment(truth, np.zeros((120, 3)), 30))


def test_diversity_is_the_mean_distance_of_all_pairs():
    takes = np.zeros((3, 2, 4))
    takes[1, :, :2] = 3, 4  # 5 from the first in both frames
    takes[2, 0, 0] = 2  # 2 and 0 from the first, sqrt(17) and 5 from the second
    assert metrics.diversity(takes) == pytest.approx((5 + 1 + (np.sqrt(17) + 5) / 2) / 3)
    assert metrics.diversity(np.repeat(takes[:1], 4, axis=0)) == 0


def test_diversity_of_vertices_is_the_mean_distance_over_pairs_frames_and_vertices():
    takes = np.zeros((3, 1, 2, 3))
    takes[1, 0, 0] = 0.003, 0.004, 0  # 5 mm from the other two
    assert metrics.vertex_diversity(takes) == pytest.approx((0.005 / 2 + 0 + 0.005 / 2) / 3)


def test_upper_face_dynamics_are_deviations_of_the_distance_from_rest():
    """A brow that goes 0, 2, 4 mm up and one that goes half as far: stds 2 and 1 times sqrt(2/3) mm; lips do not count."""
    rest = np.array([[0.0, 0.1, 0], [0, 0, 0]])
    truth = np.repeat(rest[None], 3, axis=0)
    predicted = truth.copy()
    truth[:, 0, 1] += [0, 0.002, 0.004]
    predicted[:, 0, 1] -= [0, 0.001, 0.002]  # down: the distance has no sign
    predicted[:, 1] = 0.3
    upper = np.array([0])
    assert metrics.fdd_vertices(predicted, truth, rest, upper) == pytest.approx(0.001 * np.sqrt(2 / 3))
    assert metrics.fdd_vertices(truth, predicted, rest, upper) == pytest.approx(-0.001 * np.sqrt(2 / 3))
    assert metrics.fdd_vertices(predicted, truth, rest, np.array([0, 1])) == pytest.approx(0.0005 * np.sqrt(2 / 3))


def test_jitter_ignores_steady_movement_and_the_upper_face():
    coefficients = np.zeros((5, 52))
    coefficients[:, ARKIT_INDEX["jawOpen"]] = np.linspace(0, 1, 5)
    coefficients[:, UPPER_FACE_REGION] = np.random.default_rng(0).random((5, len(UPPER_FACE_REGION)))
    assert metrics.jitter(coefficients) == pytest.approx(0)
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0, 0, 1, 0, 0  # second differences 1, -2, 1
    assert metrics.jitter(coefficients) == pytest.approx(4 / 3 / len(LIP_REGION))


def test_blinks_are_stretches_above_a_half():
    lid = np.zeros(60)
    lid[10:14], lid[57:] = 0.9, 0.8
    assert metrics.blink_times(lid, 30.0) == pytest.approx(np.array([[10, 14], [57, 60]]) / 30)


def test_blinks_last_as_long_as_lids_are_more_than_half_closed():
    """One blink of both eyes for three frames, a wink that closes them to a half on average, and one that the end cuts."""
    coefficients = np.zeros((30, 52))
    left, right = ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]
    coefficients[4:9, [left, right]] = np.array([0.3, 0.6, 1.0, 0.7, 0.2])[:, None]
    coefficients[15:18, left] = 1.0
    coefficients[28:, [left, right]] = 0.8
    assert metrics.blinks(coefficients, 30.0) == pytest.approx([0.1, 2 / 30])
    assert len(metrics.blinks(np.zeros((30, 52)), 30.0)) == 0


def test_activity_of_brows_is_their_mean_deviation():
    coefficients = np.zeros((4, 52))
    coefficients[:, ARKIT_INDEX["browInnerUp"]] = 0.0, 1.0, 0.0, 1.0  # one of the five brow shapes
    coefficients[:, ARKIT_INDEX["jawOpen"]] = 0.0, 1.0, 0.0, 1.0
    assert metrics.brow_activity(coefficients) == pytest.approx(0.1)


def test_aperture_ratios_of_speech_without_such_phones_are_nan():
    ratios = metrics.aperture_ratios([(np.ones(10), 10.0, [Phone("AA", 0.0, 1.0)])])
    assert np.isnan(ratios["closed_over_open"]) and ratios["open_millimetres"] == 1000


def test_rounding_ratio_reads_pucker_and_funnel_at_the_middles():
    coefficients = np.zeros((11, 52))
    coefficients[:, ARKIT_INDEX["mouthPucker"]] = np.linspace(0, 1, 11)
    phones = [Phone("S", 0.0, 0.2), Phone("AH", 0.2, 0.6), Phone("W", 0.6, 1.0)]
    expected = (0.8 + metrics.ROUNDING_FLOOR) / (0.1 + metrics.ROUNDING_FLOOR)
    assert metrics.rounding_ratio([(coefficients, 10.0, phones)]) == pytest.approx(expected)
    coefficients[:, ARKIT_INDEX["mouthFunnel"]] = 0.1
    expected = (0.9 + metrics.ROUNDING_FLOOR) / (0.2 + metrics.ROUNDING_FLOOR)
    assert metrics.rounding_ratio([(coefficients, 10.0, phones)]) == pytest.approx(expected)
    assert metrics.rounding_ratio([(np.zeros((11, 52)), 10.0, phones)]) == 1


def babble(count, random):
    """Phones of 80 ms that fill `count` seconds."""
    labels = random.choice(["AA", "M", "S", "IY", "T", "SIL"], size=int(count / 0.08))
    return [Phone(label, 0.08 * k, 0.08 * (k + 1)) for k, label in enumerate(labels)]


def test_every_phone_has_an_openness():
    assert set(metrics.PHONE_OPENNESS) == set(PHONES)


def test_phones_ask_for_an_aperture_that_is_theirs_at_the_middle_of_long_ones():
    phones = [Phone("SIL", 0, 1), Phone("AA", 1, 2), Phone("IY", 2, 3)]
    curve = metrics.phone_aperture(phones, 90, 30.0)
    assert curve[[15, 45, 75]] == pytest.approx([0, 1, 0.25], abs=1e-6)
    assert curve[30] == pytest.approx(0.5, abs=0.01)  # half-way at the boundary: nothing moves in time


@pytest.mark.parametrize("frames", [-2.5, 0.0, 0.4, 3.0])
def test_lag_finds_a_delay_between_frames(rng, frames):
    phones = babble(8, rng)
    fine = metrics.phone_aperture(phones, 2400, 300.0)
    times = np.arange(240) / 30
    delayed = np.interp(times - frames / 30, np.arange(2400) / 300, fine)
    assert metrics.aperture_lag(0.02 * delayed, 30.0, phones) == pytest.approx(frames, abs=0.1)


def test_lag_of_a_face_that_does_not_move_is_nan(rng):
    assert np.isnan(metrics.aperture_lag(np.zeros(240), 30.0, babble(8, rng)))

def test_precision_recall_and_f1_of_a_small_confusion():
    truth = ["a", "a", "b", "b"]
    predicted = ["a", "b", "b", "b"]
    table = metrics.precision_recall_f1(predicted, truth)
    assert table["precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert table["recall"] == pytest.approx(0.75)
    assert table["f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert table["accuracy"] == 0.75
