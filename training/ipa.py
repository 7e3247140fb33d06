"""What lips, jaw and tongue tip do in each sound of the International Phonetic Alphabet.

Six articulatory terms, each in [0, 1], that every language's sounds can be put in, so that speech of any
language teaches the encoder:

    lip_closure : 1 lips pressed together, as in p b m; 0.6 where they all but meet, as in ɸ β
    lip_teeth   : 1 lower lip at the upper teeth, as in f v; 0.7 for the approximant ʋ
    rounding    : 1 lips rounded and forward, as in u y w; less in lower vowels and in ʃ ʒ and English ɹ
    spread      : 1 corners drawn apart, as in i; less in lower front vowels, j and s
    openness    : the vowel's height: 0.15 close (i y u), 0.4 close-mid, 0.7 open-mid, 1 open (a); low in consonants
    tongue_tip  : 1 tip or blade at teeth or gums with a closure (t d n l), 0.7 to 0.9 in s z θ ð r, 0.5 for retroflex

Vowel heights and lip shapes are the IPA chart's (Handbook of the International Phonetic Association, 1999);
the numbers between 0 and 1 grade what the chart orders.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np

from talker.errors import TalkerError
from training.alignment import SILENCE, VOWELS, Phone

ARTICULATIONS = ("lip_closure", "lip_teeth", "rounding", "spread", "openness", "tongue_tip")

# Letters -> rounding, spread, openness.
_VOWELS = {
    "i": (0, 1, 0.15), "ɪ": (0, 0.7, 0.3), "ᵻ": (0, 0.5, 0.3), "e": (0, 0.75, 0.4), "ɛ": (0, 0.5, 0.7),
    "æ": (0, 0.4, 0.9), "a": (0, 0.2, 1),
    "y": (1, 0, 0.15), "ʏ": (0.8, 0, 0.3), "ø": (0.85, 0, 0.4), "œ": (0.6, 0, 0.7), "ɶ": (0.4, 0, 1),
    "ɨ": (0, 0.5, 0.15), "ɘ": (0, 0.4, 0.4), "ə": (0, 0.2, 0.45), "ɚ": (0.25, 0.1, 0.4), "ɜ": (0, 0.2, 0.6),
    "ɝ": (0.3, 0.1, 0.5), "ɐ": (0, 0.2, 0.8), "ʉ": (0.9, 0, 0.15), "ɵ": (0.7, 0, 0.4), "ɞ": (0.5, 0, 0.7),
    "ɿ": (0, 0.5, 0.15), "ʅ": (0, 0.3, 0.15), "ʮ": (0.8, 0, 0.15), "ʯ": (0.8, 0, 0.15),
    "ɯ": (0, 0.4, 0.15), "ɤ": (0, 0.2, 0.4), "ʌ": (0, 0.1, 0.7), "ɑ": (0, 0, 1),
    "u": (1, 0, 0.15), "ʊ": (0.8, 0, 0.3), "o": (0.9, 0, 0.4), "ɔ": (0.65, 0, 0.7), "ɒ": (0.4, 0, 0.95),
}  # fmt: skip

# Groups of letters -> lip closure, lip to teeth, rounding, spread, openness, tongue tip.
_CONSONANTS = {
    "pbmɓʘ": (1, 0, 0, 0, 0, 0),
    "ʙ": (0.8, 0, 0, 0, 0, 0),
    "ɸβ": (0.6, 0, 0.1, 0, 0.05, 0),
    "fvɱⱱ": (0, 1, 0, 0, 0.05, 0),
    "ʋ": (0, 0.7, 0, 0, 0.1, 0),
    "wʍɥ": (0, 0, 1, 0, 0.1, 0),
    "tdnlɗɫǀǃ": (0, 0, 0, 0.2, 0.1, 1),
    "ɬɮǁɺ": (0, 0, 0, 0.2, 0.1, 0.9),
    "szʦʣ": (0, 0, 0, 0.4, 0.05, 0.8),
    "θð": (0, 0, 0, 0.2, 0.15, 0.9),
    "rɾ": (0, 0, 0, 0.1, 0.15, 0.7),
    "ɹ": (0, 0, 0.5, 0, 0.15, 0.5),
    "ʃʒʧʤɧ": (0, 0, 0.6, 0, 0.1, 0.5),
    "ɕʑʨʥ": (0, 0, 0.1, 0.4, 0.1, 0.5),
    "ʂʐɻ": (0, 0, 0.35, 0, 0.1, 0.5),
    "ʈɖɳɭɽᶑ": (0, 0, 0, 0.1, 0.1, 0.5),
    "j": (0, 0, 0, 0.8, 0.15, 0),
    "çʝɲʎcɟʄǂ": (0, 0, 0, 0.4, 0.15, 0),
    "kgɡŋxɣɰɠʟ": (0, 0, 0, 0.1, 0.2, 0),
    "qɢɴχʁʀʛħʕʢʜʡ": (0, 0, 0, 0, 0.35, 0),
    "hɦʔ": (0, 0, 0, 0.1, 0.3, 0),
}

# Letters that are two sounds one after the other.
_LIGATURES = {"ʧ": "tʃ", "ʤ": "dʒ", "ʦ": "ts", "ʣ": "dz", "ʨ": "tɕ", "ʥ": "dʑ"}

_TARGETS = {letter: row for letters, row in _CONSONANTS.items() for letter in letters}
_TARGETS |= {letter: (0, 0, rounding, spread, openness, 0) for letter, (rounding, spread, openness) in _VOWELS.items()}

_MODIFIERS = {"ʷ": ("rounding", 0.8), "ᶣ": ("rounding", 0.8), "̹": ("rounding", 0.5), "ᵝ": ("rounding", 0.4), "ʲ": ("spread", 0.6), "˞": ("rounding", 0.25)}
"""Secondary articulations: the least value that they give to a term of the letter before them. All other marks
(length, stress, tone, nasality, voicing, aspiration …) move neither lips nor jaw and are ignored."""

ARPABET_IPA: dict[str, str] = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð",
    "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ",
    "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip


@cache
def _sequence(ipa: str) -> np.ndarray:
    rows: list[list[float]] = []
    text = unicodedata.normalize("NFD", ipa)  # ã as a and its tilde; ç stays the letter that it is
    for letter in text.replace("c\u0327", "ç"):
        for part in _LIGATURES.get(letter, letter):
            if part in _TARGETS:
                rows.append([float(value) for value in _TARGETS[part]])
            elif part in _MODIFIERS:
                if rows:
                    term, least = _MODIFIERS[part]
                    index = ARTICULATIONS.index(term)
                    rows[-1][index] = max(rows[-1][index], least)
            elif unicodedata.category(part) in ("Ll", "Lu", "Lo"):
                raise TalkerError(f"The sound {ipa!r} has the letter {part!r}, which is no letter of the IPA known here.")
    if not rows:
        raise TalkerError(f"The sound {ipa!r} has no letter of the IPA; label pauses {SILENCE}.")
    found = np.array(rows, dtype=np.float32)
    if len(found) > 1 and found[0, 2] < 0.3 < found[-1, 2] and found[-1, 5]:
        found[0, 2] = found[-1, 2]  # tʃ dʒ: the lips are rounded from the closure on
    found.flags.writeable = False
    return found


def articulations(ipa: str) -> np.ndarray:
    """The targets that an IPA symbol goes through: (K, 6) float32, K = 1 but for diphthongs and affricates.

    Marks that move neither lips nor jaw are ignored. Raises TalkerError for a letter that is not the IPA's.
    """
    return _sequence(ipa)


def articulation(ipa: str) -> np.ndarray:
    """The mean target of an IPA symbol in the terms of ARTICULATIONS: (6,) float32. TalkerError as articulations."""
    return _sequence(ipa).mean(0)


_GENERAL = tuple(phone for phone in ARPABET_IPA if phone not in ("AW", "AY", "OY", "TH", "DH"))
"""Phones that another language's sound may be taken for: no vowel that glides far, and no tongue between the teeth."""

_SIBILANTS = {"ʂ": "SH", "ʐ": "ZH"}
"""Hissed between teeth that all but meet, which the articulatory terms do not say."""


@cache
def nearest_english(ipa: str) -> tuple[str, ...]:
    """The phones of English (ARPAbet) that lips, jaw and tongue tip come nearest to an IPA symbol's with, in order.

    A symbol that goes through several targets is several phones, unless English has it as one (aɪ, tʃ). Vowels are
    taken for vowels and consonants for consonants; o and e stand for the beginnings of OW and EY. TalkerError as
    articulations.
    """
    plain = "".join(letter for letter in unicodedata.normalize("NFD", ipa) if letter in _TARGETS or letter in _LIGATURES)
    for phone, symbol in ARPABET_IPA.items():
        if plain == symbol or _LIGATURES.get(plain) == symbol:
            return (phone,)
    letters = [part for letter in plain for part in _LIGATURES.get(letter, letter)]
    found = []
    for letter, target in zip(letters, articulations(ipa), strict=True):
        of_kind = {p: articulations(ARPABET_IPA[p])[0] for p in _GENERAL if (p in VOWELS) == (letter in _VOWELS)}
        nearest = min(of_kind, key=lambda p: float(((of_kind[p] - target) ** 2).sum()))
        found.append(_SIBILANTS.get(letter, nearest))
    return tuple(found)


def frame_articulation(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """Articulation at times (n,) in seconds: (n, 6) float32; zeros in silence and outside the phones.

    phones : labelled in ARPAbet or IPA. Within a phone of K targets each holds around the middle of its K-th
             and the next is reached on a line, so that aɪ closes and tʃ opens while it lasts.
    """
    values = np.zeros((len(times), len(ARTICULATIONS)), dtype=np.float32)
    for phone in phones:
        inside = (times >= phone.start) & (times < phone.end)
        if phone.label == SILENCE or not inside.any():
            continue
        targets = articulations(ARPABET_IPA.get(phone.label, phone.label))
        place = (times[inside] - phone.start) / (phone.end - phone.start) * len(targets) - 0.5
        for term in range(len(ARTICULATIONS)):
            values[inside, term] = np.interp(place, np.arange(len(targets)), targets[:, term])
    return values
