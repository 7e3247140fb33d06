"""Recordings of every format, rate and channel count, and the sentences about bad ones."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import scipy.signal
import soundfile

from talker.audio import MAX_SECONDS, SAMPLE_RATE, Speech, load_speech, speech_from_array
from talker.errors import TalkerError

TONE = 440.0


def tone(seconds: float, rate: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * TONE * np.arange(round(seconds * rate)) / rate)


def encode(path: Path, samples: np.ndarray, rate: int, codec: str, channels: int = 1) -> Path:
    """Write samples (n,) to all channels of a file with FFmpeg's encoder `codec`."""
    if codec == "vorbis":  # PyAV's wheels decode Vorbis but leave its encoder out
        soundfile.write(path, np.repeat(samples[:, None], channels, axis=1), rate, format="OGG", subtype="VORBIS")
        return path
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        planes = np.repeat(samples[None].astype(np.float32), channels, axis=0)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Highest correlation of two signals within 60 ms of delay, what lossy codecs may add."""
    a, b = (x[: min(len(a), len(b))] for x in (a, b))
    lags = scipy.signal.correlation_lags(len(a), len(b))
    values = scipy.signal.correlate(a, b)[np.abs(lags) < 0.06 * SAMPLE_RATE]
    return values.max() / np.sqrt((a**2).sum() * (b**2).sum())


@pytest.mark.parametrize(
    "suffix, codec, rate, channels",
    [
        ("wav", "pcm_s16le", 44100, 2),
        ("wav", "pcm_f32le", 8000, 1),
        ("wav", "pcm_s24le", 96000, 6),
        ("wav", "pcm_u8", 11025, 1),
        ("flac", "flac", 16000, 1),
        ("mp3", "libmp3lame", 44100, 2),
        ("ogg", "vorbis", 48000, 1),
        ("ogg", "libopus", 48000, 2),
        ("m4a", "aac", 44100, 2),
        ("webm", "libopus", 48000, 1),  # what Chromium and Firefox record
    ],
)
def test_every_format_gives_the_same_speech(tmp_path, suffix, codec, rate, channels):
    """A sine of 440 Hz comes back as that sine at 16 kHz, at its own loudness and length."""
    path = encode(tmp_path / f"clip.{suffix}", tone(1.6, rate), rate, codec, channels)
    speech = load_speech(path)
    assert speech.samples.dtype == np.float32 and speech.samples.ndim == 1
    assert speech.name == "clip"
    assert abs(speech.seconds - 1.6) < 0.06  # lossy codecs pad to their frame
    expected = tone(1.6, SAMPLE_RATE)
    assert correlation(speech.samples, expected) > 0.99
    middle = speech.samples[SAMPLE_RATE // 4 : -SAMPLE_RATE // 4]
    assert np.sqrt(2 * (middle**2).mean()) == pytest.approx(0.5, rel=0.06)  # LAME scales by 0.95
    if suffix in ("wav", "flac"):
        assert len(speech.samples) == round(1.6 * SAMPLE_RATE)
        tolerance = 1 / 128 if codec == "pcm_u8" else 1e-3
        assert np.abs(middle - expected[SAMPLE_RATE // 4 : -SAMPLE_RATE // 4]).max() < tolerance


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_agrees_with_scipy(rate, rng):
    """Band-limited noise, resampled by soxr here and by scipy's polyphase filter, is the same signal."""
    low_pass = scipy.signal.firwin(255, 3000, fs=rate)
    noise = 0.2 * scipy.signal.lfilter(low_pass, 1, rng.standard_normal(rate))
    ours = speech_from_array(noise, rate).samples
    divisor = np.gcd(SAMPLE_RATE, rate)
    theirs = scipy.signal.resample_poly(noise, SAMPLE_RATE // divisor, rate // divisor)
    inner = slice(SAMPLE_RATE // 10, -SAMPLE_RATE // 10)
    error = np.sqrt(((ours - theirs)[inner] ** 2).mean() / (theirs[inner] ** 2).mean())
    assert error < 0.01


def test_resampling_removes_what_16_kHz_cannot_hold():
    """A tone above 8 kHz disappears instead of folding down into the speech."""
    time = np.arange(48000) / 48000
    samples = 0.1 * np.sin(2 * np.pi * 440 * time) + 0.5 * np.sin(2 * np.pi * 12000 * time)
    spectrum = np.abs(np.fft.rfft(speech_from_array(samples, 48000).samples[1600:-1600] * np.hanning(12800)))
    spectrum[: 2 * 440 * 12800 // SAMPLE_RATE] = 0
    assert spectrum.max() < 0.5 * 12800 / 4 * 1e-3  # 60 dB under what the tone would fold to


def test_real_speech_is_read_as_soundfile_reads_it(speech_folder):
    path = sorted(speech_folder.glob("*.flac"))[0]
    samples, rate = soundfile.read(path)
    assert rate == SAMPLE_RATE
    speech = load_speech(path)
    np.testing.assert_allclose(speech.samples, samples, atol=1e-7)
    assert speech.frames() == round(len(samples) / SAMPLE_RATE * 30)


def test_arrays_as_the_browser_and_libraries_give_them():
    """int16, int32, uint8 and floats, mono or stereo, are the same speech."""
    signal = tone(0.5, SAMPLE_RATE)
    stereo = np.stack([2 * signal, np.zeros_like(signal)], axis=1)  # channels are averaged
    for samples, tolerance in [
        ((signal * 32768).astype(np.int16), 2**-15),
        ((signal * 2**31).astype(np.int32), 1e-7),
        ((signal * 128 + 128).astype(np.uint8), 2**-6),
        (signal.astype(np.float32), 1e-7),
        (stereo, 1e-7),
    ]:
        np.testing.assert_allclose(speech_from_array(samples, SAMPLE_RATE).samples, signal, atol=tolerance)


def test_samples_beyond_full_scale_are_scaled_not_clipped():
    loud = speech_from_array(tone(0.5, SAMPLE_RATE, amplitude=4.0), SAMPLE_RATE).samples
    np.testing.assert_allclose(loud, tone(0.5, SAMPLE_RATE, amplitude=1.0), atol=1e-3)


def test_nothing_is_trimmed():
    """Silence before and after the speech stays, so that motion and sound keep one clock."""
    samples = np.concatenate([np.zeros(SAMPLE_RATE), tone(1, SAMPLE_RATE), np.zeros(SAMPLE_RATE)])
    assert len(speech_from_array(samples, SAMPLE_RATE).samples) == 3 * SAMPLE_RATE


@pytest.mark.parametrize("seconds, fps, frames", [(1.0, 30, 30), (2.5, 30, 75), (0.01, 30, 1), (1.0, 60, 60)])
def test_frames_cover_the_speech(seconds, fps, frames):
    assert Speech(np.zeros(round(seconds * SAMPLE_RATE), np.float32)).frames(fps) == frames


def nan_in_the_middle(path: Path) -> Path:
    samples = tone(1, SAMPLE_RATE).astype(np.float32)
    samples[8000] = np.nan
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    return path


def video_without_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def no_samples(path: Path) -> Path:
    soundfile.write(path, np.zeros(0), SAMPLE_RATE)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BAD_FILES = {
    "missing": (lambda d: d / "gone.wav", "There is no file"),
    "folder": (lambda d: d, "is a folder"),
    "zero bytes": (lambda d: written(d / "zero.wav", b""), "is an empty file"),
    "text": (lambda d: written(d / "letter.wav", b"Dear reader, this is no sound.\n" * 50), "is not a recording"),
    "playlist": (
        lambda d: written(d / "list.wav", b"#EXTM3U\n#EXTINF:1,\nhttp://example.org/a.mp3\n"),
        "is not a recording",
    ),
    "video": (lambda d: video_without_sound(d / "silent.mp4"), "holds no sound"),
    "no samples": (lambda d: no_samples(d / "none.wav"), "holds no samples"),
    "short": (lambda d: encode(d / "short.wav", tone(0.1, 16000), 16000, "pcm_s16le"), "lasts only 0.10 s"),
    "silent": (lambda d: encode(d / "quiet.wav", np.full(16000, 0.25), 16000, "pcm_s16le"), "is silent"),
    "long": (lambda d: encode(d / "long.flac", tone(75, 8000), 8000, "flac"), "lasts 75 s; cut it to at most 60 s"),
    "NaN": (lambda d: nan_in_the_middle(d / "nan.wav"), "not numbers"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_say_what_is_wrong_and_what_to_do(tmp_path, case):
    make, words = BAD_FILES[case]
    with pytest.raises(TalkerError) as raised:
        load_speech(make(tmp_path))
    message = str(raised.value)
    assert words in message
    assert message.endswith(".") and ";" in message and "\n" not in message  # fault; remedy.


def test_a_cut_off_file_is_read_up_to_the_cut_and_noise_is_refused(tmp_path, rng):
    """A flac that lost its end still gives its beginning; one whose frames are overwritten is refused."""
    whole = encode(tmp_path / "whole.flac", rng.uniform(-0.5, 0.5, 5 * 16000), 16000, "flac").read_bytes()
    cut = load_speech(written(tmp_path / "cut.flac", whole[: len(whole) // 2]))
    assert 2.0 < cut.seconds < 2.7
    with pytest.raises(TalkerError):
        load_speech(written(tmp_path / "noise.flac", whole[:200] + rng.bytes(len(whole) - 200)))


@pytest.mark.parametrize(
    "samples, rate, words",
    [
        (np.zeros((2, 2, 2)), 16000, "shape"),
        (np.zeros(16000), 0, "sample rate"),
        (np.array(["a", "b"]), 16000, "type"),
        (np.full(16000, np.inf), 16000, "not numbers"),
    ],
)
def test_bad_arrays(samples, rate, words):
    with pytest.raises(TalkerError, match=words):
        speech_from_array(samples, rate)


def test_the_limit_itself_is_accepted():
    assert speech_from_array(tone(MAX_SECONDS, 8000), 8000).seconds == MAX_SECONDS
