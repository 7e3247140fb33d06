"""Speech in: any recording becomes 16 kHz mono float32, checked, or one clear sentence says why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr

from talker.errors import TalkerError
from talker.motion import FPS

SAMPLE_RATE = 16000
"""Samples a second of all speech inside the project."""

MIN_SECONDS = 0.2
MAX_SECONDS = 60.0

SILENCE_PEAK = 1e-3
"""A recording whose peak, its mean removed, stays below this (-60 dB of full scale) is silent."""

PADDING_SECONDS = 0.1
"""Grace above MAX_SECONDS: MP3 and AAC encoders append up to a few thousand samples of padding."""

DAMAGED_SHARE = 0.05
"""A file of which more than this share of packets cannot be decoded is refused."""

CONTAINERS = "wav,w64,flac,mp3,ogg,mov,mp4,m4a,matroska,webm,aac,aiff,au,caf"
"""The only FFmpeg demuxers that are tried. Playlist formats (hls, concat) would open other files
and addresses, and the text ones (tty, srt) take any text file for a recording."""

ACCEPTED = "a wav, flac, mp3, ogg, m4a or webm recording"


@dataclass(frozen=True)
class Speech:
    """One utterance.

    samples : (n,) float32 in [-1, 1], mono, SAMPLE_RATE samples a second
    name    : what messages and files call it
    """

    samples: np.ndarray
    name: str = "speech"

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def frames(self, fps: float = FPS) -> int:
        """Number of motion frames that cover the speech at `fps` frames a second, at least 1."""
        return max(1, round(self.seconds * fps))


def load_speech(path: str | Path) -> Speech:
    """Read a recording of any format, sample rate and channel count. Nothing is trimmed.

    One decoder (FFmpeg, through PyAV) reads every format; channels are averaged; soxr resamples.
    Raises TalkerError when the file is missing, not audio, damaged, empty, too short, too long,
    silent, or holds NaN or infinite samples.
    """
    path = Path(path)
    if path.is_dir():
        raise TalkerError(f"{path} is a folder; give {ACCEPTED}.")
    if not path.is_file():
        raise TalkerError(f"There is no file {path}; check the path of the recording.")
    if path.stat().st_size == 0:
        raise TalkerError(f"{path.name} is an empty file; give {ACCEPTED}.")
    try:
        with path.open("rb") as file:
            samples, rate = _decode(file, path.name)
    except OSError as error:
        raise TalkerError(f"{path.name} cannot be read ({error.strerror}); check the file.") from error
    return speech_from_array(samples, rate, path.stem, label=path.name)


def speech_from_array(samples: np.ndarray, sample_rate: int, name: str = "speech", label: str | None = None) -> Speech:
    """Speech from an array, as gr.Audio(type="numpy"), soundfile and scipy give it.

    samples     : (n,) or (n, channels); float with full scale 1, int16, int32 (full scale their
                  largest value) or uint8 (silence is 128)
    sample_rate : samples a second
    label       : what error messages call the recording; the name unless told
    Raises TalkerError as load_speech does.
    """
    label = label or name
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= 64):
        raise TalkerError(f"{label} has shape {samples.shape}; give samples as (n,) or (n, channels).")
    if not np.isfinite(sample_rate) or sample_rate <= 0:
        raise TalkerError(f"{label} has a sample rate of {sample_rate}; give a positive number of samples a second.")
    samples = _full_scale_one(samples, label)
    if not np.isfinite(samples).all():
        raise TalkerError(f"{label} holds samples that are not numbers (NaN or infinite); export the recording again.")
    if samples.ndim == 2:
        samples = samples.mean(axis=1)

    seconds = len(samples) / sample_rate
    if len(samples) == 0:
        raise TalkerError(f"{label} holds no samples; record some speech first.")
    if seconds > MAX_SECONDS + PADDING_SECONDS:
        raise TalkerError(_too_long(label, seconds))
    if seconds < MIN_SECONDS:
        raise TalkerError(f"{label} lasts only {seconds:.2f} s; give at least {MIN_SECONDS} s of speech.")
    if np.abs(samples - samples.mean()).max() < SILENCE_PEAK:
        raise TalkerError(f"{label} is silent; check the microphone or its volume and record again.")

    resampled = soxr.resample(samples, sample_rate, SAMPLE_RATE, quality="VHQ")
    # Float files and lossy codecs may pass full scale; what follows expects [-1, 1] and clips.
    resampled = resampled / max(1.0, np.abs(resampled).max())
    return Speech(np.ascontiguousarray(resampled, dtype=np.float32), name)


def _full_scale_one(samples: np.ndarray, label: str) -> np.ndarray:
    """The samples as float64 with full scale 1."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128.0) / 128.0
    if np.issubdtype(samples.dtype, np.signedinteger):
        return samples / -float(np.iinfo(samples.dtype).min)
    if np.issubdtype(samples.dtype, np.floating):
        return samples.astype(np.float64)
    raise TalkerError(f"{label} has samples of type {samples.dtype}; give float, int16, int32 or uint8.")


def _too_long(label: str, seconds: float | None) -> str:
    lasts = f"lasts {seconds:.0f} s" if seconds else "is too long"
    return f"{label} {lasts}; cut it to at most {MAX_SECONDS:.0f} s."


def _decode(file, label: str) -> tuple[np.ndarray, int]:
    """Samples (n, channels) float64 and their rate from an open binary file.

    Decoding stops soon after MAX_SECONDS, so an hour-long file costs no more than a minute's.
    """
    not_audio = f"{label} is not a recording that can be read; give {ACCEPTED}."
    blocks: list[np.ndarray] = []
    length = packets = damaged = 0
    try:
        with av.open(file, mode="r", options={"format_whitelist": CONTAINERS}) as container:
            if not container.streams.audio:
                raise TalkerError(f"{label} holds no sound; give {ACCEPTED}.")
            stream = container.streams.audio[0]
            # Doubles hold every sample format exactly, 32-bit integers included. The layout stays
            # as recorded: FFmpeg's own mix to mono makes float stereo 3 dB louder than integers.
            to_planes = av.AudioResampler(format="dblp")
            rate = 0
            for packet in container.demux(stream):
                packets += 1
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    damaged += 1
                    continue
                for frame in frames:
                    rate = rate or frame.sample_rate
                    for plane in to_planes.resample(frame):
                        blocks.append(plane.to_ndarray())
                        length += plane.samples
                if rate and length / rate > MAX_SECONDS + 1.0:
                    duration = container.duration / av.time_base if container.duration else None
                    raise TalkerError(_too_long(label, duration))
    except TalkerError:
        raise
    except (av.error.FFmpegError, ValueError) as error:  # ValueError: rate or layout change half-way
        raise TalkerError(not_audio) from error
    if damaged > max(1, DAMAGED_SHARE * packets):
        raise TalkerError(f"{label} is damaged: {damaged} of its {packets} packets cannot be decoded; export it again.")
    if not blocks:
        raise TalkerError(f"{label} holds no samples; record some speech first.")
    return np.concatenate(blocks, axis=1).T, rate
