"""The head's motion: what is too fast for a head goes, and what it says stays where it was."""

import numpy as np
import pytest

from talker.motion import HEAD_BAND, steadied


def wave(hertz, fps, seconds=8.0):
    """Radians (T, 3) of a sine of that frequency in all three angles."""
    return np.repeat(0.1 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * fps)) / fps)[:, None], 3, axis=1)


@pytest.mark.parametrize("fps", [25.0, 30.0])
@pytest.mark.parametrize("hertz", [0.3, 1.0, 2.0, HEAD_BAND, 6.0, 10.0])
def test_what_is_slow_stays_in_place_and_what_is_fast_goes(fps, hertz):
    """Gain 1 / (1 + (tan πf/s : tan πb/s)⁴), the closed form of two passes of second order through the bilinear transform."""
    head = wave(hertz, fps)
    middle = slice(int(2 * fps), -int(2 * fps))
    gain = 1 / (1 + (np.tan(np.pi * hertz / fps) / np.tan(np.pi * HEAD_BAND / fps)) ** 4)
    assert np.allclose(steadied(head, fps, HEAD_BAND)[middle], gain * head[middle], atol=1e-4)


def test_heads_of_takes_and_of_a_single_frame_are_steadied_alike():
    heads = np.random.default_rng(0).normal(size=(2, 40, 3)).astype(np.float32)
    both = steadied(heads, 30.0, HEAD_BAND)
    assert both.dtype == np.float32 and np.array_equal(both[1], steadied(heads[1], 30.0, HEAD_BAND))
    assert np.allclose(steadied(heads[:, :1], 30.0, HEAD_BAND), heads[:, :1], atol=1e-6)
    assert np.allclose(steadied(np.full((3, 3), 0.2), 30.0, HEAD_BAND), 0.2)
