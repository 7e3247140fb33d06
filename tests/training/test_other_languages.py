"""Other languages: whose phones are measured as which, and the bars against English."""

import shutil
from collections import Counter

import pytest

from render.rig import default_rig
from talker.pipeline import Talker
from training import other_languages
from training.alignment import PHONES, Phone
from training.languages import LEFT_OUT, VARIANTS
from training.metrics import PHONE_OPENNESS
from training.other_languages import ENGLISH, as_english, as_text, spoken, voice


def test_ipa_is_measured_as_the_english_phone_it_is():
    symbols = ["p", "bː", "m̩", "ɛ̃", "aɪ", "uː", "ɥ", "iː", "s", "ʃ", "ts", "s.", "ɨ", "ˈa", "SIL"]
    measured = [p.label for p in as_english([Phone(symbol, k, k + 1) for k, symbol in enumerate(symbols)])]
    assert measured == ["P", "B", "M", "EH", "AA", "UW", "W", "IY", "S", "T", "T", "T", "AH", "AA", "SIL"]
    assert set(measured) <= set(PHONE_OPENNESS)


@pytest.mark.parametrize("language", [ENGLISH, *LEFT_OUT])
def test_sentences_are_spoken_with_phones_that_cover_them(language):
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    samples, phones = spoken(language, 3)
    assert phones[0].start == 0 and phones[-1].end == pytest.approx(len(samples) / 16000)
    assert all(a.end == b.start for a, b in zip(phones, phones[1:]))
    assert {p.label for p in (phones if language == ENGLISH else as_english(phones))} <= set(PHONES)
    assert len(spoken(language, 3)[0]) == len(samples)


def test_all_languages_are_heard_in_the_same_voices():
    heard = [voice(number) for number in range(other_languages.UTTERANCES)]
    assert len(set(heard)) == len(heard) and voice(3) == voice(3)
    counts = Counter(variant for variant, *_ in heard)
    assert set(counts) == set(VARIANTS) and set(counts.values()) == {3}


def test_bars_compare_each_language_with_both_englishes():
    """Measures given instead of spoken sentences: a third worse holds, more does not, and a language whose
    articulation rounds half as far as English may round half as far."""

    def columns(closed, rounding, whole):
        return {"model": {"closed_over_open": closed, "rounding": rounding}, "corpus": {"rounding": whole}}

    first, second = LEFT_OUT
    languages = {"en-us": columns(0.12, 12.0, 16.0), first: columns(0.15, 5.0, 8.0), second: columns(0.15, 5.0, 16.0)}
    found = {bar.measure: bar for bar in other_languages.bars(languages, columns(0.1, 8.0, 12.0))}
    assert len(found) == 4 * len(LEFT_OUT)
    assert found[f"{first} / espeak-ng's English: aperture at p b m"].value == pytest.approx(1.25)
    assert found[f"{first} / espeak-ng's English: aperture at p b m"].holds
    assert not found[f"{first} / real English: aperture at p b m"].holds
    # 5 / 8 of what may be beside 12 / 16, and beside 8 / 12; the other language has 5 / 16.
    assert found[f"{first} / espeak-ng's English: rounding, of the corpus's"].value == pytest.approx(5 / 6)
    assert found[f"{first} / real English: rounding, of the corpus's"].value == pytest.approx(15 / 16)
    assert not found[f"{second} / espeak-ng's English: rounding, of the corpus's"].holds
    assert len(other_languages.bars(languages, None)) == 2 * len(LEFT_OUT)


def test_the_corpus_articulates_every_language():
    """Its lips close for p, b and m in each; how far they round differs, which is why rounding is a share of it."""
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    report = other_languages.other_languages(Talker.from_pretrained("diffusiontalker"), default_rig(), count=4)
    for language, columns in report["languages"].items():
        assert columns["corpus"]["closed_over_open"] < 0.01 < columns["model"]["closed_over_open"], language
        assert columns["corpus"]["rounding"] > columns["loudness"]["rounding"], language
        assert language in as_text(report)
