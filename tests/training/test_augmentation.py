"""What augmentation does to speech, and what it must leave: length and alignment."""

import numpy as np
import pytest
from scipy import signal

from talker.audio import SAMPLE_RATE, load_speech
from talker.encoders import mfcc, to_cepstra, voice_fbank
from training import augmentation
from training.cepstral_noise import _TO_MEL, CepstralNoise, VoiceNoise, statistics


@pytest.fixture(scope="module")
def speech(example_clip):
    return load_speech(example_clip).samples[: 4 * SAMPLE_RATE]


def delay(heard: np.ndarray, sent: np.ndarray, reach: int = 60) -> int:
    """Samples by which `heard` lags `sent`, from the peak of their cross-correlation.
    Looked for within less than a period of the voice, whose correlation has peaks at every one."""
    correlation = signal.correlate(heard, sent, mode="full", method="fft")
    middle = len(sent) - 1
    return int(np.abs(correlation[middle - reach : middle + reach + 1]).argmax()) - reach


def test_a_change_of_rate_changes_length_and_pitch_together():
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    faster = augmentation.change_rate(tone, 1.25)
    assert len(faster) == pytest.approx(SAMPLE_RATE / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(faster * np.hanning(len(faster))))
    assert spectrum.argmax() * SAMPLE_RATE / len(faster) == pytest.approx(1250, abs=3)


def test_noise_is_added_at_the_wanted_ratio(rng):
    speech = rng.standard_normal(SAMPLE_RATE).astype(np.float32)
    noise = augmentation.coloured_noise(SAMPLE_RATE, 1.0, rng)
    noisy = augmentation.add_noise(speech, noise, 12.0)
    ratio = 10 * np.log10(np.mean(speech**2) / np.mean((noisy - speech) ** 2))
    assert ratio == pytest.approx(12.0, abs=0.01)


@pytest.mark.parametrize("codec, bit_rate", [("mp3", 24_000), ("mp3", 48_000), ("opus", 12_000), ("opus", 24_000)])
def test_a_codec_keeps_length_and_alignment(speech, codec, bit_rate):
    heard = augmentation.transmit(speech, codec, bit_rate)
    assert len(heard) == len(speech) and not np.array_equal(heard, speech)
    assert abs(delay(heard, speech)) <= 4  # a quarter of a millisecond
    assert np.corrcoef(heard, speech)[0, 1] > 0.8


def test_rooms_microphones_and_lines_delay_nothing(speech):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for heard in (
            augmentation.reverberate(speech, rng), augmentation.telephone(speech), augmentation.laptop(speech, rng),
            augmentation.equalise(speech, rng),
        ):  # fmt: skip
            assert len(heard) == len(speech) and abs(delay(heard, speech)) <= 8


def test_a_room_begins_with_the_direct_sound_and_dies_away():
    for seed in range(8):
        response = augmentation.room_response(np.random.default_rng(seed))
        assert response[0] == 1 and 0.15 <= len(response) / SAMPLE_RATE <= 0.6
        tenths = [np.sum(part**2) for part in np.array_split(response[160:], 10)]
        assert tenths[9] < 0.01 * tenths[0]
        assert np.abs(response[1:]).max() < 1.5  # no reflection stands out of all proportion


def test_a_telephone_passes_its_band_alone(rng):
    heard = augmentation.telephone(rng.standard_normal(4 * SAMPLE_RATE).astype(np.float32))
    frequency, power = signal.welch(heard, SAMPLE_RATE, nperseg=1024)
    inside = power[(frequency > 500) & (frequency < 3000)].mean()
    assert power[frequency < 100].mean() < 0.02 * inside and power[frequency > 5500].mean() < 0.02 * inside


def test_a_recording_clips_or_loses_bits():
    ramp = np.linspace(-1, 1, 2001, dtype=np.float32)
    assert (np.abs(augmentation.record(ramp, 6.0)) == 1).mean() == pytest.approx(0.5, abs=0.01)
    assert len(np.unique(augmentation.record(ramp, -80.0))) == 7  # of 16 bits, -80 dB leaves -3 … 3


def test_augmentation_keeps_the_length_and_its_seed_decides_all(speech):
    voices = [speech[::-1].copy(), np.roll(speech, 9000)]
    for seed in range(12):
        once, again = (augmentation.augment(speech, voices, np.random.default_rng(seed)) for _ in range(2))
        assert len(once) == len(speech) and once.dtype == np.float32 and np.isfinite(once).all()
        assert np.array_equal(once, again)


def test_log_mel_energies_made_of_cepstra_have_these_cepstra():
    cepstra = np.random.default_rng(0).standard_normal((5, 13))
    assert np.allclose(to_cepstra(cepstra @ _TO_MEL), cepstra, atol=1e-4)


def test_cepstral_noise_is_like_noise_on_the_waveform(speech):
    """Babble mixed into cepstra changes them as babble mixed into the waveform does."""
    rng = np.random.default_rng(3)
    clean, noisy = mfcc(speech), mfcc(augmentation.add_noise(speech, rng.standard_normal(len(speech)), 10.0))
    noise = CepstralNoise(statistics([speech]), [clean], share=1.0)
    changed = noise(clean, np.random.default_rng(0))
    assert changed.shape == clean.shape and np.abs(changed.mean(0)).max() < 1e-3
    assert not np.allclose(changed, clean, atol=0.2)
    # White noise fills the pauses: the level's cepstrum loses its range in both.
    noise._noise = lambda mel, rng: np.full(mel.shape, np.exp(mel).mean() / 3.0, np.float32)
    mixed = next(c for c in (noise(clean, np.random.default_rng(s)) for s in range(20)) if not np.allclose(c, clean, atol=0.2))
    assert np.corrcoef(mixed[:, 0], noisy[:, 0])[0, 1] > np.corrcoef(clean[:, 0], noisy[:, 0])[0, 1] - 0.05
    assert np.array_equal(CepstralNoise(statistics([speech]), [clean], share=0.0)(clean, rng), clean)


def test_noise_for_voices_is_like_noise_on_the_waveform(speech):
    """White noise at 15 dB changes a voice's long-term spectrum as it does when mixed into the recording."""
    rng = np.random.default_rng(1)
    clean = voice_fbank(speech)
    noisy = voice_fbank(augmentation.add_noise(speech, rng.standard_normal(len(speech)), 15.0))
    noise = VoiceNoise(share=1.0, snr=(15.0, 15.0))
    noise.noises = noise.noises[1:2]
    changed = noise(clean, rng)
    assert changed.shape == clean.shape and changed.mean() == pytest.approx(0, abs=1e-5)
    assert np.corrcoef(changed.mean(0), noisy.mean(0))[0, 1] > 0.95 > np.corrcoef(clean.mean(0), noisy.mean(0))[0, 1]
    assert np.allclose(VoiceNoise(share=0.0)(clean, rng), clean, atol=1e-5)
