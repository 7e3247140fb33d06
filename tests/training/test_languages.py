"""Speech of many languages: every sound has an IPA symbol that the articulation table knows."""

import shutil
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from talker.errors import TalkerError
from training.alignment import PHONES, SILENCE, Phone, level_db
from training.ipa import ARTICULATIONS, articulation
from training.languages import LANGUAGES, LEFT_OUT, as_arpabet, invented, utterance
from training.word_lists import WORDS

pytestmark = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


def test_the_ten_languages_and_more_train_and_two_are_left_out():
    assert {"cmn", "hi", "fr-fr", "es", "de", "ja", "ar", "ru", "pt", "tr"} < set(LANGUAGES)
    assert len(LANGUAGES) >= 12 and len(LEFT_OUT) >= 2
    assert set(LANGUAGES).isdisjoint(LEFT_OUT) and "en" not in LANGUAGES
    assert set(WORDS) == {*LANGUAGES, *LEFT_OUT}
    # Phrases of three words from sixty already are 200,000: no need to say one twice.
    assert all(len(set(words)) >= 60 for words in WORDS.values())


@pytest.mark.parametrize("language", [*LANGUAGES, *LEFT_OUT])
def test_a_language_speaks_in_symbols_that_have_an_articulation(language):
    lengths, levels = defaultdict(list), defaultdict(list)
    for number in range(12):
        samples, phones = utterance(language, number, seed=1)
        assert samples.dtype == np.float32 and 1.0 < len(samples) / 16000 < 12.0
        assert phones[0].start == 0.0 and phones[-1].end == pytest.approx(len(samples) / 16000)
        assert all(a.end == b.start for a, b in pairwise(phones))
        level = level_db(samples)
        for phone in phones:
            lengths[phone.label].append(phone.end - phone.start)
            levels[phone.label].append(level[min(round(phone.middle * 100), len(level) - 1)])
    terms = {label: articulation(label) for label in lengths if label != SILENCE}
    openness, closure = ARTICULATIONS.index("openness"), ARTICULATIONS.index("lip_closure")
    open_vowels = [label for label in terms if terms[label][openness] > 0.6]
    assert max(terms[label][closure] for label in terms) == 1.0
    # As in any language: sounds of a tenth of a second, open vowels much louder than pauses.
    assert 0.04 < np.median(np.concatenate([lengths[label] for label in terms])) < 0.15
    assert max(map(np.median, lengths.values())) < 0.45
    loud = np.median(np.concatenate([levels[label] for label in open_vowels]))
    assert loud > np.median(levels[SILENCE]) + 25.0
    assert loud > np.median(np.concatenate([levels[label] for label in terms if label[0] in "pbtdk"])) + 6.0


def test_sounds_of_a_hand_read_word_and_a_fixed_key():
    samples, phones = utterance("de", 3, seed=0)
    again, same = utterance("de", 3, seed=0)
    assert np.array_equal(samples, again) and phones == same
    other, _ = utterance("de", 3, seed=1)
    assert len(other) != len(samples) or not np.array_equal(other, samples)
    with pytest.raises(TalkerError, match="xx"):
        utterance("xx", 0, seed=0)


def test_rounding_and_closures_come_where_the_words_have_them(monkeypatch):
    def labels(language, text):
        monkeypatch.setattr("training.languages.sentence", lambda *_: text)
        return [p.label for p in utterance(language, 0, seed=0)[1] if p.label != SILENCE]

    assert labels("es", "mapa.") == ["m", "a", "p", "a"]
    assert labels("fr-fr", "bon vin.") == ["b", "ɔ̃", "v", "ɛ̃"]
    assert labels("cmn", "peng2you3 shi4.") == ["pʰ", "ə", "ŋ", "j", "iou", "ʂ", "ʅ"]
    assert labels("pl", "dziękuję.")[0] == "dʑ"
    assert labels("ja", "ふたり.")[0] == "ɸ"


def test_invented_words_have_the_languages_sounds_in_clusters_that_its_words_lack():
    """Russian has no pj and bd among its hundred words, Polish is full of them."""
    own, made_up = ([utterance("ru", number, 0, kind)[1] for number in range(20)] for kind in (False, True))

    def pairs(spoken):
        return {(a.label, b.label) for phones in spoken for a, b in pairwise(phones) if SILENCE not in (a.label, b.label)}

    def labels(spoken):
        return [p.label for phones in spoken for p in phones if p.label != SILENCE]

    assert len(set(labels(made_up)) - set(labels(own))) < 0.2 * len(set(labels(own)))
    assert len(pairs(made_up)) > 1.3 * len(pairs(own))
    closed = [np.mean([label[0] in "pbm" for label in labels(spoken)]) for spoken in (own, made_up)]
    assert closed[1] > 2 * closed[0]
    assert invented("ru", np.random.default_rng(0)) == invented("ru", np.random.default_rng(0))


def test_a_face_speaks_any_language_with_the_lips_of_english():
    phones = [Phone("SIL", 0.0, 0.2), Phone("tsʰ", 0.2, 0.4), Phone("yː", 0.4, 0.5), Phone("m", 0.5, 0.6)]
    heard = as_arpabet(phones)
    assert [p.label for p in heard] == ["SIL", "D", "S", "UW", "M"]
    assert [p.start for p in heard] == pytest.approx([0.0, 0.2, 0.3, 0.4, 0.5]) and heard[-1].end == 0.6
    _, spoken = utterance("fr-fr", 1, seed=2)
    assert {p.label for p in as_arpabet(spoken)} <= set(PHONES)
    bilabials = [p for p in spoken if p.label[0] in "pbm"]
    assert bilabials and sum(p.label in "PBM" for p in as_arpabet(spoken)) == len(bilabials)
