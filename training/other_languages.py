"""Measures on languages that no part of a model was trained on, spoken by espeak-ng, beside English."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from render.rig import Rig
from talker.audio import Speech
from talker.motion import FPS
from talker.pipeline import Talker
from training.alignment import SILENCE, Phone
from training.articulation import generator
from training.bars import Bar, table
from training.espeak import espeak
from training.languages import LEFT_OUT, VARIANTS, utterance
from training.loudness_jaw import loudness_jaw
from training.real_speech import NAMES, RIVAL, WORSE, Spoken, measure
from training.text import lexicon

ENGLISH = "en-us"

UTTERANCES = 60
"""Sentences of each language: some two hundred closures, of which a few voices miss most."""

SEED = 1
"""Of the sentences."""

COMPARED = (
    ("closed_over_open", "aperture at p b m", "<=", 1 + WORSE),
    ("rounding", "rounding", ">=", 1 - WORSE),
)
"""Measures whose share of English's has a bar."""

COMMON = 1000
"""English words that sentences are made of, the most frequent ones."""

MEASURED = {
    "p": "P", "b": "B", "m": "M", "a": "AA", "ɑ": "AA", "ɒ": "AA", "æ": "AE", "ɔ": "AO", "ɛ": "EH",
    "u": "UW", "y": "UW", "ʉ": "UW", "o": "OW", "ø": "OW", "w": "W", "ɥ": "W", "i": "IY", "s": "S",
}  # fmt: skip
"""First letter of an IPA symbol -> the phone of English that the measures know it by."""

OTHER_VOWELS = frozenset("ɨɯɪʏʊeɘɵɤəœɜɞʌɐɶɚɝ")
"""Vowels that no ratio reads; like the remaining consonants they only count in the lag's reference."""


def as_english(phones: Sequence[Phone]) -> list[Phone]:
    """IPA phones with the labels that training.metrics measures by: those of MEASURED, AH for other vowels, T for
    other consonants. A diphthong goes by its first vowel, as English ones do."""

    def label(ipa: str) -> str:
        if ipa == SILENCE:
            return ipa
        if "." in ipa:  # espeak-ng's way to write retroflex sounds, of which none is measured
            return "T"
        first = next((letter for letter in ipa if unicodedata.category(letter) == "Ll"), "t")
        return MEASURED.get(first, "AH" if first in OTHER_VOWELS else "T")

    return [Phone(label(phone.label), phone.start, phone.end) for phone in phones]


def english_sentence(number: int) -> tuple[np.ndarray, list[Phone]]:
    """A sentence of common English words, made and spoken as training.languages makes and speaks other languages':
    phrases of a few words at random, and voice, pitch and rate drawn from the same ranges."""
    random = generator("language", SEED, ENGLISH, number)
    words = list(lexicon())[:COMMON]
    phrases = [
        " ".join(words[int(k)] for k in random.integers(len(words), size=int(random.integers(2, 5))))
        for _ in range(int(random.integers(2, 5)))
    ]
    variant = VARIANTS[int(random.integers(len(VARIANTS)))]
    pitch, spread, rate = (int(random.integers(*bounds)) for bounds in ((30, 76), (25, 91), (130, 211)))
    return espeak(", ".join(phrases) + ".", variant, rate, pitch, spread)


def other_languages(
    talker: Talker, rig: Rig, real_english: dict | None = None, count: int = UTTERANCES, seed: int = 0
) -> dict:
    """Measures of English and of every language left out of training, with their bars.

    real_english : training.real_speech.measure of a model on real English, if it was measured
    """
    report: dict = {}
    for language in tqdm((ENGLISH, *LEFT_OUT), "languages"):
        ours, rival = [], []
        for number in range(count):
            samples, phones = english_sentence(number) if language == ENGLISH else utterance(language, number, SEED)
            labels = phones if language == ENGLISH else as_english(phones)
            speech = Speech(samples, f"{language}-{number}")
            take = talker.speak(speech, takes=1, seed=seed).coefficients[0]
            ours.append(Spoken(labels, [take]))
            rival.append(Spoken(labels, [loudness_jaw(samples, speech.frames(FPS))]))
        report[language] = {"model": measure(ours, rig), RIVAL: measure(rival, rig)}
    bars = []
    for language in LEFT_OUT:
        own = report[language]["model"]
        for title, english in (("espeak-ng's English", report[ENGLISH]["model"]), ("real English", real_english)):
            if english:
                name = f"{language} / {title}"
                for key, what, sense, limit in COMPARED:
                    value = own[key] / english[key] if english[key] else np.nan
                    bars.append(Bar(f"{name}: {what}", value, sense, limit))
    return {"sentences": count, "languages": report, "bars": [bar.entry() for bar in bars]}


def as_text(report: dict) -> str:
    """The report of other_languages as a table."""
    columns = report["languages"]
    head = ["measure", *(part for language in columns for part in (language, "loudness"))]
    rows = [
        [words, *(own[who][key] for own in columns.values() for who in ("model", RIVAL))]
        for key, words in NAMES.items()
    ]
    return table(f"{report['sentences']} sentences each by espeak-ng; all but English left out of training", head, rows)
