"""Sounds that are no speech, and what the shipped model does with them."""

import numpy as np
import pytest

from render.rig import default_rig
from talker.audio import SAMPLE_RATE
from talker.pipeline import Talker
from training.odd_sounds import SOUNDS, as_text, odd_sound, odd_sounds, pauses


@pytest.mark.parametrize("name", SOUNDS)
def test_a_sound_is_heard_twice_with_quiet_between(name):
    speech = odd_sound(name)
    assert speech.samples.dtype == np.float32 and np.abs(speech.samples).max() <= 1
    assert np.array_equal(speech.samples, odd_sound(name).samples)
    loud = np.sqrt(np.mean(speech.samples[:SAMPLE_RATE] ** 2))
    for start, end in pauses():
        quiet = speech.samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
        assert 20 * np.log10(np.sqrt(np.mean(quiet**2)) / loud) < -30


def test_singing_glides_through_an_octave():
    """The spectrum's strongest low peak, at the beginning and at the end."""
    sung = odd_sound("singing").samples

    def pitch(at):
        piece = sung[int(at * SAMPLE_RATE) :][:4096] * np.hanning(4096)
        power = np.fft.irfft(np.abs(np.fft.rfft(piece, 8192)) ** 2)[:200]  # autocorrelation
        return SAMPLE_RATE / (30 + power[30:].argmax())

    assert pitch(0.0) == pytest.approx(220 * 2**0.08, rel=0.05)
    assert pitch(1.3) == pytest.approx(220 * 2 ** ((1.3 + 0.13) / 1.6), rel=0.05)


def test_nothing_breaks_and_the_mouth_rests_in_pauses():
    report = odd_sounds(Talker.from_pretrained("diffusiontalker"), default_rig(), open_metres=0.02, takes=1)
    assert all(row["in_range"] for row in report["sounds"].values())
    assert all(bar["holds"] for bar in report["bars"]), as_text(report)
    assert report["sounds"]["singing"]["sound_over_open"] > 0.3  # a mouth that stays shut would rest as well
