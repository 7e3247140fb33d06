"""Other languages: whose phones are measured as which, and the bars against English."""

import shutil

import pytest

from render.rig import default_rig
from talker.pipeline import Talker
from training import other_languages
from training.alignment import PHONES, Phone
from training.languages import LEFT_OUT
from training.metrics import PHONE_OPENNESS
from training.other_languages import as_english, as_text, english_sentence


def test_ipa_is_measured_as_the_english_phone_it_is():
    symbols = ["p", "bː", "m̩", "ɛ̃", "aɪ", "uː", "ɥ", "iː", "s", "ʃ", "ts", "s.", "ɨ", "ˈa", "SIL"]
    measured = [p.label for p in as_english([Phone(symbol, k, k + 1) for k, symbol in enumerate(symbols)])]
    assert measured == ["P", "B", "M", "EH", "AA", "UW", "W", "IY", "S", "T", "T", "T", "AH", "AA", "SIL"]
    assert set(measured) <= set(PHONE_OPENNESS)


def test_english_sentences_are_spoken_with_phones_that_cover_them():
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    samples, phones = english_sentence(3)
    assert phones[0].start == 0 and phones[-1].end == pytest.approx(len(samples) / 16000)
    assert all(a.end == b.start for a, b in zip(phones, phones[1:])) and {p.label for p in phones} <= set(PHONES)
    assert len(english_sentence(3)[0]) == len(samples)


def test_bars_compare_each_language_with_both_englishes(monkeypatch):
    """Measures given instead of spoken sentences: a third worse holds, more does not."""
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    closed = iter([0.12, 0.7, *[0.15, 0.7] * len(LEFT_OUT)])
    rest = dict.fromkeys(other_languages.NAMES, 0.5) | {"rounding": 4.0}
    monkeypatch.setattr(other_languages, "measure", lambda *_: rest | {"closed_over_open": next(closed)})
    talker = Talker.from_pretrained("diffusiontalker")
    real = {"closed_over_open": 0.1, "rounding": 7.0}
    report = other_languages.other_languages(talker, default_rig(), real, count=1)
    bars = {bar["measure"]: bar for bar in report["bars"]}
    assert len(bars) == 4 * len(LEFT_OUT)
    first = LEFT_OUT[0]
    assert bars[f"{first} / espeak-ng's English: aperture at p b m"]["value"] == pytest.approx(1.25)
    assert bars[f"{first} / espeak-ng's English: aperture at p b m"]["holds"]
    assert not bars[f"{first} / real English: aperture at p b m"]["holds"]
    assert not bars[f"{first} / real English: rounding"]["holds"]
    assert all(language in as_text(report) for language in LEFT_OUT)
