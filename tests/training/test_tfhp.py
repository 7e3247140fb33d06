"""TFHP's published layouts: the LMDB and the files that it is packed from, and what is wrong with either."""

import io
import os
import pickle

import lmdb
import numpy as np
import pytest
import soundfile

from talker.errors import TalkerError
from training.faults import report
from training.tfhp import Tfhp

PIECE = 100
VIDEOS = {("Alice", "000"): 230, ("Alice", "001"): 60, ("RD_Radio10", "000"): 300}


@pytest.fixture
def videos(rng):
    """Coefficients and 16-bit speech of three videos; frame k's jaw is turned by k thousandths."""
    made = {}
    for name, frames in VIDEOS.items():
        coefficients = {key: rng.normal(size=(frames, n)).astype(np.float32) for key, n in (("shape", 100), ("exp", 50), ("pose", 6))}
        coefficients["pose"][:, 3:] = 0
        coefficients["pose"][:, 3] = np.arange(frames) / 1000
        made[name] = coefficients, (3000 * rng.normal(size=frames * 640)).clip(-32768, 32767).astype(np.int16)
    return made


def packed(folder, videos, change=lambda key, value: value):
    """The LMDB as DiffPoseTalk's script writes it: protocol 5, pieces of 100 frames with their own FLAC files."""

    def flac(samples):
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, "PCM_16", format="FLAC")
        return file.getvalue()

    entries = {"metadata": {"seg_len": PIECE}}
    for (speaker, video), (coefficients, samples) in videos.items():
        frames = len(samples) // 640
        entries[f"{speaker}/{video}/metadata"] = {"n_frames": frames}
        for k, start in enumerate(range(0, frames, PIECE)):
            part = {key: array[start : start + PIECE] for key, array in coefficients.items()}
            sound = flac(samples[start * 640 : (start + PIECE) * 640])
            entries[f"{speaker}/{video}/{k:03d}"] = {"audio": sound, "coef": part}
    with lmdb.open(str(folder), map_size=2**26) as database, database.begin(write=True) as transaction:
        for key, value in entries.items():
            value = change(key, value)
            if value is not None:
                transaction.put(key.encode(), value if isinstance(value, bytes) else pickle.dumps(value, protocol=5))
    return folder


def unpacked(folder, videos):
    """One npz and one FLAC file a video."""
    for (speaker, video), (coefficients, samples) in videos.items():
        for place in ("FLAME_coeffs", "audio"):
            (folder / place / speaker).mkdir(parents=True, exist_ok=True)
        # The packing script ignores what else the reconstruction wrote.
        np.savez(folder / "FLAME_coeffs" / speaker / f"{video}.npz", **coefficients, cam=np.zeros((len(samples) // 640, 3)))
        soundfile.write(folder / "audio" / speaker / f"{video}.flac", samples, 16_000, "PCM_16")
    return folder


@pytest.mark.parametrize("write", [packed, unpacked])
def test_a_clip_is_the_frames_and_speech_that_were_published(tmp_path, videos, write):
    data = Tfhp(write(tmp_path / "tfhp", videos))
    assert data.names == sorted(VIDEOS) and data.frames(("Alice", "000")) == 230
    coefficients, samples = videos["Alice", "000"]
    clip = data.clip(("Alice", "000"), 90, 115)  # the end of the first piece, the second and the start of the third
    assert np.array_equal(clip.expression, coefficients["exp"][90:205])
    assert np.array_equal(clip.head, coefficients["pose"][90:205, :3])
    assert np.allclose(clip.jaw[:, 0], np.arange(90, 205) / 1000) and (clip.jaw[:, 1:] == 0).all()
    assert np.array_equal(clip.shape, coefficients["shape"][90]) and clip.start == 90
    assert clip.speech.frames(25) == 115
    assert np.array_equal(clip.speech.samples, samples[90 * 640 : 205 * 640].astype(np.float32) / 32768)
    for start, count in ((200, 31), (-1, 5), (0, 0)):
        with pytest.raises(TalkerError, match="has 230 frames, none from"):
            data.clip(("Alice", "000"), start, count)


def test_videos_are_cut_into_clips_by_the_published_lists(tmp_path, videos):
    folder = packed(tmp_path / "tfhp", videos)
    data = Tfhp(folder)
    assert set(data.splits.values()) == {"train"}  # no list, no split
    (folder / "train.txt").write_text("Alice/000\nAlice/001\n")
    (folder / "test.txt").write_text("RD_Radio10/000\nWDA_Nobody/004\n")
    data, faults = Tfhp(folder), []
    # 230 frames are two clips of 100, and a rest of 30 below two seconds; a short video is a clip as it is.
    cut = [(clip.speaker, clip.video, clip.start, len(clip.jaw)) for clip in data.clips(["train"], 4.0, faults)]
    assert cut == [("Alice", "000", 0, 100), ("Alice", "000", 100, 100), ("Alice", "001", 0, 60)] and not faults
    assert [clip.start for clip in data.clips(["heldout_speaker"], 4.0, faults)] == [0, 100, 200]
    assert "WDA_Nobody/004: A list of videos names it, but it is not there" in report(faults)


class Malicious:
    def __reduce__(self):
        return os.system, ("true",)


def spoilt(key, value):
    """One of each thing that goes wrong in a database."""
    if key == "Alice/000/001":
        value["coef"]["exp"] = value["coef"]["exp"][:70]
    if key == "Alice/001/000":
        return None
    if key == "RD_Radio10/000/000":
        value["audio"] = value["audio"][:2000]
    if key == "RD_Radio10/000/001":
        return {"audio": value["audio"], "coef": Malicious()}
    if key == "RD_Radio10/000/002":
        value["coef"]["pose"] = np.full_like(value["coef"]["pose"], np.nan)
    return value


def test_what_a_database_has_wrong_is_named_and_the_rest_goes_on(tmp_path, videos):
    faults = []
    found = list(Tfhp(packed(tmp_path / "tfhp", videos, spoilt)).clips(seconds=4.0, faults=faults))
    assert [(clip.speaker, clip.start) for clip in found] == [("Alice", 0)]
    text = report(faults)
    for line in (
        "Alice/000: Frames 100 to 200: Alice/000/001 has {'shape': 100, 'exp': 70, 'pose': 100} frames",
        "Alice/001: Frames 0 to 60: The database has no Alice/001/000",
        "RD_Radio10/000: Frames 100 to 200: RD_Radio10/000/001 is refused because it holds posix.system",
        "RD_Radio10/000: Frames 200 to 300: RD_Radio10/000/002 holds values of pose that are not numbers",
    ):
        assert line in text
    assert "Frames 0 to 100: The speech of RD_Radio10/000/000" in text and len(faults) == 5


def test_what_files_have_wrong_is_named_and_the_rest_goes_on(tmp_path, videos):
    folder, faults = unpacked(tmp_path, videos), []
    (folder / "audio" / "Alice" / "000.flac").unlink()
    (folder / "FLAME_coeffs" / "Alice" / "001.npz").write_bytes(b"PK\x03\x04 and no more")
    soundfile.write(folder / "audio" / "RD_Radio10" / "000.flac", np.zeros(44_100), 44_100)
    np.savez(folder / "FLAME_coeffs" / "RD_Radio10" / "001.npz", exp=np.zeros((9, 50), np.float32))
    assert list(Tfhp(folder).clips(faults=faults)) == []
    for number, words in enumerate(("speech of 000.npz cannot", "001.npz", "44100 samples a second", "has nothing as shape")):
        assert words in faults[number].reason, faults[number]


def test_what_is_no_tfhp_gets_a_sentence(tmp_path):
    with pytest.raises(TalkerError, match="neither TFHP's data.mdb nor FLAME_coeffs/"):
        Tfhp(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(TalkerError, match="data.mdb cannot be read"):
        Tfhp(tmp_path)
    (tmp_path / "FLAME_coeffs").mkdir()
    (tmp_path / "data.mdb").unlink()
    with pytest.raises(TalkerError, match="holds no video"):
        Tfhp(tmp_path)
