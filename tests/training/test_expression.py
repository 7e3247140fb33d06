"""Eyes, head and pitch accents beside what is known of people."""

import numpy as np
import pytest

from talker.motion import ARKIT_INDEX as INDEX
from talker.motion import FPS
from training.alignment import SILENCE, VOWELS, Phone, align, contiguous
from training.articulation import NEUTRAL_STYLE, RATE, generator
from training.expression import GAZE_RANGE, _gaze, accents, perform, pitch_track


def test_saccades_follow_the_main_sequence():
    """Peak velocity grows with size as people's does: about 450 degrees a second at 10 degrees
    (Bahill, Clark and Stark, 1975); between saccades the eyes stand still."""
    times = np.arange(round(120 * RATE)) / RATE
    horizontal, vertical = np.degrees(_gaze(generator("main sequence"), times, NEUTRAL_STYLE))
    speed = np.hypot(np.diff(horizontal), np.diff(vertical)) * RATE
    moving = speed > 1.0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], moving, [0]]).astype(int)))
    size, duration, peak = [], [], []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        size.append(np.hypot(horizontal[end] - horizontal[start], vertical[end] - vertical[start]))
        duration.append((end - start) / RATE)
        peak.append(speed[start:end].max())
    size, duration, peak = (np.array(v) for v in (size, duration, peak))
    assert 0.8 <= len(size) / 120 <= 3.0  # a second
    assert moving.mean() < 0.15
    ten = (size > 8) & (size < 12)
    assert np.median(duration[ten]) == pytest.approx(0.021 + 0.0022 * 10, abs=0.012)
    assert 300 < np.median(peak[ten]) < 600
    assert np.corrcoef(size, peak)[0, 1] > 0.85


def test_eyes_stay_on_their_target_while_the_head_turns():
    """Vestibulo-ocular reflex: within a fixation the eyes turn back by about what the head turns."""
    motion = perform(contiguous([], 60.0), np.zeros(960000, np.float32), 1800, NEUTRAL_STYLE, (1,), beats=[])
    rows = motion.coefficients
    eye = GAZE_RANGE * (rows[:, INDEX["eyeLookOutLeft"]] - rows[:, INDEX["eyeLookInLeft"]])
    eye, head = np.diff(eye), np.diff(motion.head[:, 0])
    fixed = (np.abs(eye) < 0.01) & (np.abs(head) > 0.0005)
    assert np.polyfit(head[fixed], eye[fixed], 1)[0] == pytest.approx(-0.9, abs=0.1)


def test_blinks_come_more_often_where_a_phrase_ends():
    phones, time = [], 0.0
    for _ in range(12):
        for label in ["AA", "T"] * 12:
            phones.append(Phone(label, time, time + 0.1))
            time += 0.1
        time += 0.6
    phones = contiguous(phones, time)
    samples = np.zeros(round(time * 16000), np.float32)
    ends = [p.start for p in phones if p.label == SILENCE]
    near, all_blinks = 0, 0
    for k in range(4):
        lid = perform(phones, samples, round(time * FPS), NEUTRAL_STYLE, (k,), beats=[]).coefficients
        shut = lid[:, INDEX["eyeBlinkLeft"]] > 0.5
        starts = np.flatnonzero(np.diff(shut.astype(int)) == 1) / FPS
        near += sum(any(-0.25 < start - end < 0.45 for end in ends) for start in starts)
        all_blinks += len(starts)
    # The stretches around phrase ends are 0.7 s of every 3: chance would put 23 % of the blinks there.
    assert near / all_blinks > 0.4


def test_pitch_of_a_gliding_tone_is_found_to_a_quarter_of_a_semitone():
    time = np.arange(16000) / 16000
    tone = 120.0 * 2.0**time  # an octave in a second
    phase = 2 * np.pi * np.cumsum(tone) / 16000
    samples = (0.2 * sum(np.sin(h * phase) / h for h in range(1, 12))).astype(np.float32)
    times, f0 = pitch_track(samples)
    voiced = (f0 > 0) & (times > 0.1) & (times < 0.9)
    assert voiced.sum() > 35
    error = 12 * np.log2(f0[voiced] / np.interp(times[voiced], time, tone))
    assert np.abs(error).max() < 0.25
    assert (pitch_track(np.zeros(8000, np.float32))[1] == 0).all()


def test_pitch_and_accents_agree_with_a_second_pitch_tracker(speech_folder, monkeypatch):
    """WORLD's DIO on real recordings: the same pitch in nine of ten voiced moments, mostly the same accents."""
    import pyworld
    import soundfile

    from training import expression

    def dio(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        signal = np.ascontiguousarray(samples, dtype=np.float64)
        f0, times = pyworld.dio(signal, 16000, f0_floor=65.0, f0_ceil=420.0, frame_period=10.0)
        return times, pyworld.stonemask(signal, f0, times, 16000)

    same, both, close, count = 0, 0, 0, 0
    for path in sorted(speech_folder.glob("*.flac"), key=lambda p: p.stat().st_size)[:4]:
        samples, _ = soundfile.read(path, dtype="float32")
        phones = align(samples).phones
        times, ours = pitch_track(samples)
        other_times, other = dio(samples)
        theirs = other[np.clip(np.searchsorted(other_times, times), 0, len(other) - 1)]
        voiced = (ours > 0) & (theirs > 0)
        same += (np.abs(12 * np.log2(ours[voiced] / theirs[voiced])) < 1.0).sum()
        both += voiced.sum()
        found = accents(phones, samples)
        monkeypatch.setattr(expression, "pitch_track", dio)
        others = [time for time, _ in accents(phones, samples)]
        monkeypatch.undo()
        close += sum(any(abs(time - o) < 0.15 for o in others) for time, _ in found)
        count += len(found)
        assert all(any(p.label in VOWELS and p.start <= t <= p.end for p in phones) for t, _ in found)
    assert same / both > 0.9
    assert close / count > 0.7 and count >= 4
