"""Phone times by pocketsphinx, against times that are known and on a real recording."""

import shutil
from difflib import SequenceMatcher

import numpy as np
import pytest

from talker.audio import load_speech
from talker.errors import TalkerError
from training.alignment import (
    CONSONANTS,
    PHONES,
    SILENCE,
    VOWELS,
    Alignment,
    Phone,
    Word,
    align,
    align_files,
    contiguous,
    cut_pauses,
    level_db,
    load_alignment,
    normalise_label,
    save_alignment,
)
from training.voices import flite

TEXTS = ("the farmer paints a wooden bridge", "my mother washes the yellow shirt before breakfast")


def test_there_are_39_phones():
    assert len(VOWELS) == 15 and len(CONSONANTS) == 24 and len(PHONES) == 40


def test_labels_lose_stress_and_noise_is_silence():
    labels = ["AA1", "ah0", "P", "<sil>", "+NSN+", "[NOISE]", "", "spn"]
    assert [normalise_label(label) for label in labels] == ["AA", "AH", "P"] + [SILENCE] * 5


def test_contiguous_fills_gaps_and_joins_silences():
    phones = contiguous([Phone("SIL", 0.1, 0.2), Phone("AA", 0.3, 0.5), Phone("B", 0.45, 0.6)], 0.8)
    assert phones == [Phone("SIL", 0.0, 0.3), Phone("AA", 0.3, 0.5), Phone("B", 0.5, 0.6), Phone("SIL", 0.6, 0.8)]


def test_level_of_a_sine_is_its_root_mean_square():
    times = np.arange(16000) / 16000
    level = level_db(0.5 * np.sin(2 * np.pi * 400 * times))
    assert len(level) == 100
    np.testing.assert_allclose(level[5:-5], 20 * np.log10(0.5 / np.sqrt(2)), atol=0.05)


def test_a_pause_hidden_in_a_consonant_becomes_silence(rng):
    samples = (0.001 * rng.standard_normal(32000)).astype(np.float32)
    samples[:8000] += 0.2 * np.sin(np.arange(8000) * 0.1)
    samples[19200:] += 0.2 * np.sin(np.arange(12800) * 0.1)
    phones = [Phone("AA", 0.0, 0.52), Phone("DH", 0.52, 1.25), Phone("AA", 1.25, 2.0)]
    cut = cut_pauses(phones, samples)
    assert [p.label for p in cut] == ["AA", "SIL", "DH", "AA"]
    assert cut[1].start == 0.52 and cut[1].end == pytest.approx(1.2 - 0.06, abs=0.03)
    assert cut_pauses([Phone("AA", 0.0, 0.5)], samples) == [Phone("AA", 0.0, 0.5)]


@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
def test_alignment_finds_the_boundaries_that_flite_set():
    errors = []
    for text in TEXTS:
        samples, truth = flite(text, "slt")
        found = align(samples, text)
        assert [w.text for w in found.words] == text.split()
        a = [p for p in truth if p.label != SILENCE]
        b = [p for p in found.phones if p.label != SILENCE]
        match = SequenceMatcher(None, [p.label for p in a], [p.label for p in b], autojunk=False)
        for block in match.get_matching_blocks():
            for k in range(block.size):
                errors.append(abs(a[block.a + k].start - b[block.b + k].start))
    assert len(errors) >= 40
    assert np.median(errors) < 0.02
    assert np.mean(np.array(errors) < 0.05) > 0.9


def test_a_real_recording_has_plausible_phones(speech_folder, tmp_path):
    path = min(speech_folder.glob("*.flac"), key=lambda p: p.stat().st_size)
    ((source, found),) = align_files([path], tmp_path, workers=1)
    assert source == path
    speech = load_speech(path)
    assert found.seconds == pytest.approx(speech.seconds, abs=0.01)
    assert found.phones[0].start == 0.0 and found.phones[-1].end == pytest.approx(found.seconds, abs=0.011)
    spoken = [p for p in found.phones if p.label != SILENCE]
    assert 6.0 < len(spoken) / sum(p.end - p.start for p in spoken) < 20.0  # phones a second
    level = level_db(speech.samples)
    vowels = [level[int(p.middle * 100)] for p in spoken if p.label in VOWELS]
    silence = [level[int(p.middle * 100)] for p in found.phones if p.label == SILENCE]
    assert np.mean(vowels) > np.mean(silence) + 10.0
    # The second time the answer comes from the cache.
    stamp = (tmp_path / f"{path.stem}.json").stat().st_mtime_ns
    assert list(align_files([path], tmp_path, workers=1)) == [(path, found)]
    assert (tmp_path / f"{path.stem}.json").stat().st_mtime_ns == stamp


def test_alignments_are_kept_as_json(tmp_path):
    kept = Alignment(1.0, [Phone("AA", 0.0, 0.5), Phone("SIL", 0.5, 1.0)], [Word("ah", 0.0, 0.5)])
    save_alignment(kept, tmp_path / "a.json")
    assert load_alignment(tmp_path / "a.json") == kept


def test_no_words_is_one_sentence():
    with pytest.raises(TalkerError, match="No words"):
        align(np.zeros(16000, np.float32))
