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
from training.articulation import generator, lips
from training.bars import Bar, ratio, table
from training.espeak import espeak
from training.languages import LEFT_OUT, VARIANTS, as_arpabet, phrases, prosody, say, sentence
from training.loudness_jaw import loudness_jaw
from training.real_speech import CORPUS, NAMES, RIVAL, WORSE, Spoken, measure
from training.text import lexicon

ENGLISH = "en-us"

UTTERANCES = 3 * len(VARIANTS)
"""Sentences of each language, three in every voice: some three hundred closures, of which a few voices miss most."""

SEED = 1
"""Of the sentences."""

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


def voice(number: int) -> tuple[str, int, int, int]:
    """Variant, rate in words a minute, pitch and range of the sentence `number`, the same in all languages: some voices,
    with an echo of their own, hide most closures, and comparing languages would else compare their draws of voices."""
    return VARIANTS[number % len(VARIANTS)], *prosody(generator("voice", SEED, number))


def spoken(language: str, number: int) -> tuple[np.ndarray, list[Phone]]:
    """The sentence `number` of ENGLISH or of a language of training.languages, always the same: (n,) float32 at 16 kHz
    and contiguous phones, English ones in ARPAbet, others in IPA."""
    random = generator("language", SEED, language, number)
    if language == ENGLISH:
        return espeak(phrases(list(lexicon())[:COMMON], random) + ".", *voice(number))
    return say(sentence(language, random), language, *voice(number))


def other_languages(talker: Talker, rig: Rig, count: int = UTTERANCES, seed: int = 0) -> dict:
    """Measures of English and of every language left out of training, whose bars are those of `bars`.

    CORPUS of a language is the articulation model that training learns from, moved by the engine's own phones.
    """
    report: dict = {}
    for language in tqdm((ENGLISH, *LEFT_OUT), "languages"):
        heard: dict[str, list[Spoken]] = {"model": [], CORPUS: [], RIVAL: []}
        for number in range(count):
            samples, phones = spoken(language, number)
            labels, said = (phones, phones) if language == ENGLISH else (as_english(phones), as_arpabet(phones))
            speech = Speech(samples, f"{language}-{number}")
            frames = speech.frames(FPS)
            motions = {
                "model": talker.speak(speech, takes=1, seed=seed + number).coefficients[0],
                CORPUS: lips(said, samples, frames),
                RIVAL: loudness_jaw(samples, frames),
            }
            for column, motion in motions.items():
                heard[column].append(Spoken(labels, [motion]))
        report[language] = {column: measure(rows, rig) for column, rows in heard.items()}
    return {"sentences": count, "languages": report}


def bars(languages: dict, real_english: dict | None = None) -> list[Bar]:
    """Closure and rounding of LEFT_OUT beside espeak-ng's English and, if it was measured (columns "model" and CORPUS of
    training.real_speech.measure), real English: at most a third worse.

    How far lips round in u and spread in i differs between languages, by half in the articulation that
    all learned from, so rounding is counted in shares of that."""

    def rounding(columns: dict) -> float:
        return ratio(columns["model"]["rounding"], columns[CORPUS]["rounding"])

    found = []
    for language in LEFT_OUT:
        own = languages[language]
        for title, english in (("espeak-ng's English", languages[ENGLISH]), ("real English", real_english)):
            if english:
                name = f"{language} / {title}"
                aperture = ratio(own["model"]["closed_over_open"], english["model"]["closed_over_open"])
                found += [
                    Bar(f"{name}: aperture at p b m", aperture, "<=", 1 + WORSE),
                    Bar(f"{name}: rounding, of the corpus's", ratio(rounding(own), rounding(english)), ">=", 1 - WORSE),
                ]
    return found


def as_text(report: dict) -> str:
    """The report of other_languages as a table."""
    columns = report["languages"]
    shown = ("model", CORPUS, RIVAL)
    head = ["measure", *(part for language in columns for part in (language, *shown[1:]))]
    rows = [
        [words, *(own[who][key] for own in columns.values() for who in shown)]
        for key, words in NAMES.items()
    ]
    return table(f"{report['sentences']} sentences each by espeak-ng; all but English left out of training", head, rows)
