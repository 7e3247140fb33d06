"""Articulatory terms of IPA symbols."""

import numpy as np
import pytest

from talker.errors import TalkerError
from training.alignment import PHONES, SILENCE, Phone
from training.ipa import ARPABET_IPA, ARTICULATIONS, articulation, articulations, frame_articulation, nearest_english

CLOSURE, TEETH, ROUNDING, SPREAD, OPENNESS, TIP = range(6)


def test_terms_of_well_known_sounds():
    assert ARTICULATIONS == ("lip_closure", "lip_teeth", "rounding", "spread", "openness", "tongue_tip")
    assert all(articulation(p)[CLOSURE] == 1 for p in "pbm")
    assert all(articulation(p)[TEETH] == 1 and articulation(p)[CLOSURE] == 0 for p in "fv")
    assert all(articulation(p)[ROUNDING] == 1 for p in "uyw")
    assert 0 < articulation("ʃ")[ROUNDING] < 1
    assert all(articulation(p)[TIP] == 1 for p in "tdnl")
    assert articulation("i")[SPREAD] == 1 and articulation("u")[SPREAD] == 0


def test_vowels_open_in_the_order_of_the_chart():
    for column in ("ieɛæa", "yøœɶ", "uoɔɒ", "ɨɘɜɐ"):
        heights = [articulation(v)[OPENNESS] for v in column]
        assert heights == sorted(heights) and len(set(heights)) == len(heights)


@pytest.mark.parametrize(
    "marked, plain", [("iː", "i"), ("ɑ̃", "ɑ"), ("ã", "a"), ("pʰ", "p"), ("tˤ", "t"), ("n̩", "n"), ("ˈu˥˩", "u"), ("e5", "e")]
)
def test_marks_that_move_no_lips_change_nothing(marked, plain):
    assert np.array_equal(articulation(marked), articulation(plain))


def test_secondary_articulations_move_the_lips():
    assert articulation("kʷ")[ROUNDING] == pytest.approx(0.8)
    assert articulation("pʲ")[SPREAD] == pytest.approx(0.6) and articulation("pʲ")[CLOSURE] == 1


def test_the_letter_c_with_a_cedilla_is_the_palatal_fricative():
    assert articulation("ç")[SPREAD] > 0 and len(articulations("ç")) == 1


def test_diphthongs_and_affricates_move_within_the_phone():
    values = frame_articulation([Phone("AY", 0.1, 0.3)], np.array([0.05, 0.12, 0.2, 0.29, 0.31]))
    assert values[[0, 4]].max() == 0
    assert values[1, OPENNESS] == 1.0 and values[3, OPENNESS] == pytest.approx(0.3)
    assert values[2, OPENNESS] == pytest.approx(0.65)  # half-way between a and ɪ
    ch = frame_articulation([Phone("CH", 0.0, 0.1)], np.array([0.01, 0.09]))
    assert ch[0, TIP] == 1 and ch[1, TIP] == 0.5 and ch[:, ROUNDING].min() >= 0.6  # rounded from its closure on
    assert np.array_equal(articulations("ʧ"), articulations("t͡ʃ"))
    assert articulation("aʊ")[ROUNDING] == pytest.approx(0.4)


def test_all_phones_of_the_arpabet_have_a_symbol():
    assert set(ARPABET_IPA) == set(PHONES) - {SILENCE}
    assert all(0 <= articulation(symbol).min() and articulation(symbol).max() <= 1 for symbol in ARPABET_IPA.values())


def test_phones_of_any_language_mix_with_silence():
    times = np.arange(0.005, 0.3, 0.01)
    values = frame_articulation([Phone(SILENCE, 0, 0.1), Phone("y", 0.1, 0.2), Phone("ʋ", 0.2, 0.3)], times)
    assert values[:10].max() == 0 and values[10:20, ROUNDING].min() == 1 and values[20:, TEETH].min() > 0.5


def test_an_unknown_letter_is_named():
    with pytest.raises(TalkerError, match="'ж'"):
        articulation("aж")
    with pytest.raises(TalkerError, match="no letter"):
        articulation("ː")


def test_the_phone_of_english_that_a_face_would_make():
    assert all(nearest_english(symbol) == (phone,) for phone, symbol in ARPABET_IPA.items())
    assert nearest_english("yː") == ("UW",) and nearest_english("œ") == ("AO",) and nearest_english("ɨ") == ("IH",)
    assert nearest_english("pʰ") == ("P",) and nearest_english("bʱ") == ("B",) and nearest_english("ʋ") == ("F",)
    # A rolled r leaves the tongue behind the teeth; retroflex sounds are hissed between teeth that all but meet.
    assert nearest_english("r") == ("D",) and nearest_english("ʂ") == ("SH",)
    assert nearest_english("ts") == ("T", "S") or nearest_english("ts") == ("D", "S")
    with pytest.raises(TalkerError):
        nearest_english("5")
