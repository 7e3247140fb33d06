"""Text that covers the pairs of phones which English words can form."""

from itertools import islice

import pytest

pytest.importorskip("pocketsphinx", reason="the dictionary is in the pocketsphinx wheel")

from training.alignment import CONSONANTS, SILENCE, VOWELS
from training.text import coverage, lexicon, phone_pairs, possible_pairs, sentences


def read_by_the_dictionary(texts):
    """Labels of one utterance: the dictionary's pronunciations, silence at commas and ends."""
    labels = [SILENCE]
    for phrase in " ".join(texts).lower().replace("?", ",").replace(".", ",").split(","):
        phones = [phone for word in phrase.split() for phone in lexicon().get(word, ())]
        labels += [*phones, SILENCE] if phones else []
    return labels


def test_words_are_common_and_read_as_they_are_spelt():
    words = lexicon()
    assert words["mother"] == ("M", "AH", "DH", "ER")
    assert 8_000 < len(words) < 12_000
    # Spelled-out letters, rare names, alternatives of the dictionary.
    assert words.keys().isdisjoint({"usa", "cbs", "tv", "opitz", "kofoed", "a(2)"})
    assert {phone for phones in words.values() for phone in phones} == VOWELS | CONSONANTS


def test_pairs_of_a_hand_worked_utterance():
    pairs = phone_pairs([["SIL", "M", "AA", "M", "AA", "SIL"], ["SIL", "SIL", "M"]])
    assert pairs == {("SIL", "M"): 2, ("M", "AA"): 2, ("AA", "M"): 1, ("AA", "SIL"): 1}


def test_possible_pairs_follow_from_how_words_begin_and_end():
    pairs = possible_pairs()
    assert {("S", "T"), ("NG", "W"), ("SIL", "W"), ("ZH", "SIL")} <= pairs
    # No English word begins with NG or ends in HH, and a pause has no neighbour of its own kind.
    assert pairs.isdisjoint({("SIL", "NG"), ("T", "NG"), ("HH", "SIL"), ("HH", "B"), ("SIL", "SIL")})


def test_ninety_utterances_of_a_voice_cover_most_pairs_and_three_voices_nearly_all():
    def texts(speaker, count):
        return [read_by_the_dictionary(islice(sentences(speaker, n, seed=0), 3)) for n in range(count)]

    one = texts("anna", 90)
    assert coverage(one[:20]) > 0.4
    assert coverage(one) > 0.8
    assert coverage(one + texts("bert", 90) + texts("cleo", 90)) > 0.96
    assert coverage([]) == 0.0


def test_sentences_have_melody_and_are_fixed_by_their_key():
    said = [text for n in range(40) for text in islice(sentences("anna", n, seed=0), 3)]
    assert said == [text for n in range(40) for text in islice(sentences("anna", n, seed=0), 3)]
    assert said[:3] != list(islice(sentences("anna", 0, seed=1), 3))
    assert len(set(said)) == len(said)
    assert all(text[0].isupper() and text[-1] in ".?" and text.isascii() for text in said)
    assert 0.1 < sum(text.endswith("?") for text in said) / len(said) < 0.4
    assert sum("," in text for text in said) > len(said) / 3
