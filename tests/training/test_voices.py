"""Synthetic voices: the engines' own phone times, and speakers made of others."""

import shutil

import numpy as np
import pytest

from talker.errors import TalkerError
from training.alignment import PHONES, SILENCE, VOWELS, level_db
from training.articulation import generator
from training.expression import pitch_track
from training.text import sentence
from training.languages import LANGUAGES
from training.voices import VOICES, by_name, change_voice, flite, utterance

pytestmark = pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")


def test_flite_times_cover_the_speech_and_vowels_are_loud():
    samples, phones = flite("my brother saw a purple moth", "slt")
    assert phones[0].start == 0.0
    assert phones[-1].end == pytest.approx(len(samples) / 16000)
    assert all(a.end == b.start for a, b in zip(phones, phones[1:], strict=False))
    assert [p.label for p in phones if p.label != SILENCE][:5] == ["M", "AY", "B", "R", "AH"]
    level = level_db(samples)
    vowels = np.mean([level[round(p.middle * 100)] for p in phones if p.label in VOWELS])
    pauses = np.mean([level[round(p.middle * 100)] for p in phones if p.label == SILENCE])
    assert vowels > pauses + 20.0


def test_another_voice_keeps_its_times_and_changes_its_pitch():
    samples, _ = flite("we were away a long while", "rms")
    higher = change_voice(samples, pitch=1.5, range=1.0, formant=1.1)
    assert len(higher) == len(samples) and np.abs(higher).max() <= 1.0

    def median_pitch(signal):
        f0 = pitch_track(signal)[1]
        return np.median(f0[f0 > 0])

    assert median_pitch(higher) / median_pitch(samples) == pytest.approx(1.5, rel=0.08)
    # The loudness contour, so every sound, stays where it was: best lag within one 10 ms frame.
    a, b = (np.maximum(level_db(s), -60.0) for s in (samples, higher))
    lags = range(-8, 9)
    match = [np.corrcoef(a[8:-8], np.roll(b, lag)[8:-8])[0, 1] for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 1
    assert max(match) > 0.9


def test_formants_move_by_the_factor():
    samples, phones = flite("aah", "rms")
    vowel = max((p for p in phones if p.label in VOWELS), key=lambda p: p.end - p.start)

    def centroid(signal):
        part = signal[round(vowel.start * 16000) : round(vowel.end * 16000)]
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        frequency = np.fft.rfftfreq(len(part), 1 / 16000)
        return (power * frequency).sum() / power.sum()

    assert 1.08 < centroid(change_voice(samples, 1.0, 1.0, 1.2)) / centroid(samples) < 1.35


def test_espeak_reports_the_phones_it_speaks():
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    from training.espeak import espeak

    samples, phones = espeak("the happy zebra", "f2")
    assert [p.label for p in phones if p.label != SILENCE] == "DH AH HH AE P IY Z IY B R AH".split()
    assert phones[-1].end == pytest.approx(len(samples) / 16000)
    stop = next(p for p in phones if p.label == "P")
    assert 0.04 < stop.end - stop.start < 0.2  # with its closure
    level = level_db(samples)
    vowel = next(p for p in phones if p.label == "AE")
    closure = level[round(stop.start * 100) + 1 : round(stop.end * 100)].min()
    assert closure < level[round(vowel.middle * 100)] - 14.0
    with pytest.raises(TalkerError, match="no voice variant"):
        espeak("hello", "nobody")


def test_espeak_says_the_same_whatever_was_said_before():
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    from training.espeak import espeak

    samples, phones = espeak("she measures the fox", "f2")
    espeak("another sentence", "m3", pitch=70)
    again, same = espeak("she measures the fox", "f2")
    assert np.array_equal(samples, again) and phones == same


def test_festival_times_cover_the_speech_and_survive_a_voice_that_is_missing(monkeypatch):
    if not shutil.which("festival"):
        pytest.skip("festival is not installed")
    from training.festival import FESTIVAL_VOICES, festival

    for name in FESTIVAL_VOICES:
        samples, phones = festival("my brother saw a purple moth", name)
        assert [p.label for p in phones if p.label != SILENCE][:7] == "M AY B R AH DH ER".split()
        assert phones[-1].end == pytest.approx(len(samples) / 16000)
        level = level_db(samples)
        vowels = np.mean([level[round(p.middle * 100)] for p in phones if p.label in VOWELS])
        closure = next(p for p in phones if p.label == "B")
        assert vowels > level[round(closure.start * 100) : round(closure.end * 100)].min() + 12.0
        assert vowels > level[10] + 25.0  # the pause in front
    longer, _ = festival("my brother saw a purple moth", "kal_diphone", stretch=1.3)
    assert len(longer) > len(festival("my brother saw a purple moth", "kal_diphone")[0])
    with pytest.raises(TalkerError, match="choose from kal_diphone"):
        festival("hello", "nobody")
    monkeypatch.setitem(FESTIVAL_VOICES, "nobody", "M")
    with pytest.raises(TalkerError, match="Debian package"):
        festival("hello", "nobody")
    assert len(festival("hello", "kal_diphone")[0]) > 8000


def test_an_unknown_voice_is_one_sentence():
    with pytest.raises(TalkerError, match="flite"):
        flite("hello", "/nowhere.flitevox")


def test_utterances_are_fixed_by_seed_and_last_5_to_9_seconds():
    voice = VOICES[1]
    samples, phones, text = utterance(voice, 0, seed=1)
    again, _, same = utterance(voice, 0, seed=1)
    assert text == same and np.array_equal(samples, again)
    assert utterance(voice, 1, seed=1)[2] != text
    assert 5.0 <= len(samples) / 16000 <= 9.0
    assert {p.label for p in phones} <= set(PHONES)


def test_the_grammar_uses_all_39_phones_in_many_pairs():
    random = generator("coverage")
    pairs, labels = set(), set()
    for _ in range(25):
        spoken = [p.label for p in flite(sentence(random), "kal16")[1]]
        labels |= set(spoken)
        pairs |= set(zip(spoken, spoken[1:], strict=False))
    assert labels == set(PHONES)
    assert len(pairs) > 300
    assert len({v.name for v in VOICES}) == len(VOICES) > 50
    assert 20 < sum(v.sex == "F" for v in VOICES) < len(VOICES) - 20


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")
def test_fifteen_languages_have_a_speaker_in_the_corpus():
    assert [v.language for v in VOICES if v.engine == "language"] == list(LANGUAGES)[:15]
    samples, phones, text = utterance(by_name("language-es"), 4, seed=0)
    assert 5.0 <= len(samples) / 16000 <= 9.0 and {p.label for p in phones} <= set(PHONES)
    again, _, same = utterance(by_name("language-es"), 4, seed=0)
    assert np.array_equal(samples, again) and text == same and text != utterance(by_name("language-es"), 5, seed=0)[2]
