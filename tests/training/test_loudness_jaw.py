"""The naive rival on sounds whose loudness is known."""

import numpy as np
import pytest

from talker.motion import ARKIT_INDEX
from training.loudness_jaw import LOUD_JAW, loudness_jaw

JAW = ARKIT_INDEX["jawOpen"]


def test_the_jaw_is_the_root_of_the_loudness_and_nothing_else_moves():
    tone = np.sin(2 * np.pi * 200 * np.arange(32000) / 16000)
    samples = np.where(np.arange(32000) < 16000, 0.8, 0.2) * tone
    motion = loudness_jaw(samples, 60)
    assert motion.shape == (60, 52) and not np.delete(motion, JAW, axis=1).any()
    assert motion[5:25, JAW] == pytest.approx(LOUD_JAW, rel=0.01)
    assert motion[35:55, JAW] == pytest.approx(LOUD_JAW / 2, rel=0.02)  # a quarter of the amplitude, its root


def test_silence_leaves_the_jaw_closed_and_the_recordings_level_does_not_matter():
    samples = np.concatenate([np.zeros(8000), np.random.default_rng(0).normal(0, 0.1, 8000)])
    motion = loudness_jaw(samples, 30)
    assert motion[:10, JAW] == pytest.approx(0, abs=1e-6)
    assert loudness_jaw(samples / 7, 30) == pytest.approx(motion, abs=1e-5)
    assert not loudness_jaw(np.zeros(16000), 30).any()
