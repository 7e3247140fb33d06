"""Speech in many languages with the times of its sounds, from espeak-ng's voices.

What lips, jaw and tongue tip do is shared by all languages (training.ipa), so these sentences teach
the speech encoder what English alone cannot, and the corpus has a speaker of each (training.voices). Sounds are named in the International Phonetic Alphabet.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np

from talker.audio import SAMPLE_RATE
from talker.errors import TalkerError
from training.alignment import SILENCE, Phone, contiguous
from training.articulation import generator
from training.espeak import spoken, with_closures
from training.ipa import articulations, nearest_english
from training.word_lists import WORDS

LANGUAGES: dict[str, str] = {
    "cmn": "Mandarin", "hi": "Hindi", "es": "Spanish", "fr-fr": "French", "de": "German", "ja": "Japanese",
    "ar": "Arabic", "ru": "Russian", "pt": "Portuguese", "tr": "Turkish", "ko": "Korean", "sw": "Swahili",
    "vi": "Vietnamese", "id": "Indonesian", "el": "Greek", "cs": "Czech", "uk": "Ukrainian", "hr": "Croatian",
    "bg": "Bulgarian", "ro": "Romanian", "hu": "Hungarian", "nl": "Dutch", "sv": "Swedish",
}  # fmt: skip
"""Languages that teach the speech encoder, the first fifteen with a speaker in the corpus too: espeak-ng's code -> name."""

LEFT_OUT: tuple[str, ...] = ("it", "pl")
"""Italian and Polish never train: what a stranger's language is worth is measured on them."""

VARIANTS: tuple[str, ...] = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "adam", "anika", "Alicia",
    "Andy", "Annie", "belinda", "grandma", "grandpa", "klatt2", "Marco", "pablo", "shelby", "steph", "Denis", "linda",
)  # fmt: skip
"""espeak-ng's variants that the sentences are spoken in."""

# Voices whose name is not the language's code.
_VOICES = {"cmn": "cmn-latn-pinyin", "fr-fr": "fr"}

# The library's events could name sounds in IPA themselves, but in eight bytes only, for a whole process and all
# its voices, and wrongly where its tables have a gap ("s." for ʂ, "k-" for a tense k). So its mnemonics are read:
# these mean the same in all languages here, a Latin letter that is not among them is its own IPA symbol,
_IPA = {
    "!": "ʔ", "&": "æ", "*": "ɾ", "**": "ɾ", "*;": "ɾʲ", "8": "ɵ", ";": "j", "?": "ʔ", "@": "ə", "@-": "ə", "@2": "ə", "@3": "ə", "@:": "əː", "@I": "əɪ", "@U": "əʊ",
    "@r": "əɻ", "A": "ɑ", "A:": "ɑː", "Au": "ɑu", "A~": "ɑ̃", "B": "β", "C": "ç", "D": "ð", "E": "ɛ", "E:": "ɛː", "E-": "ə", "EI": "ɛɪ",
    "EU": "ɛʊ", "E~": "ɛ̃", "H": "ħ", "I": "ɪ", "I^": "ɪ", "J": "ɟ", "J#": "ɟʰ", "J^": "ʝ", "L": "ɫ", "N": "ŋ",
    "N\\": "ɴ", "O": "ɔ", "O#": "ɔʷ", "OY": "ɔʏ", "O~": "ɔ̃", "Oa": "ɔa", "Q": "ɣ", "R": "r", "R2": "r", "R^": "r̝", "S": "ʃ", "S;": "ɕ",
    "T": "θ", "U": "ʊ", "V": "ʌ", "VU": "ʌʊ", "W": "œ", "W~": "œ̃", "Wy": "œy", "X": "χ", "Y": "ø", "Y:": "øː", "Z": "ʒ", "Z;": "ʑ",
    "a#": "a", "a.": "ɑ", "a:": "aː", "aI": "aɪ", "aU": "aʊ", "a~": "ã", "b#": "bʰ", "b;": "bʲ", "c#": "cʰ", "d#": "dʰ", "d-": "d",
    "d.": "ɖ", "d.#": "ɖʰ", "d;": "dʲ", "dH": "dˤ", "dZ": "dʒ", "dZ;": "dʑ", "d_": "ɗ", "d_z\\": "dʑ", "dz;": "dʑ",
    "E#": "ɛ", "e-": "e", "e:": "eː", "eI": "eɪ", "eU": "eʊ", "g": "ɡ", "g#": "ɡʰ", "i.": "i", "i:": "iː", "iA": "iɑ", "iE": "iɛ",
    "iU": "iʊ", "k#": "kʰ", "k-": "k", "kh": "kʰ", "l-": "l̩", "l^": "ʎ", "m-": "m̩", "m;": "mʲ", "n.": "ɳ", "n^": "ɲ",
    "o#": "oʷ", "o-": "ɤ", "o:": "oː", "oI": "oɪ", "oU": "oʊ", "ong": "ʊŋ", "o~": "õ", "p#": "pʰ", "p-": "p", "p2": "p",
    "pF": "pf", "p\\": "ɸ", "ph": "pʰ", "q-": "k", "r*": "ɾ", "r-": "ɹ", "r.": "ɽ", "r`": "ɽ", "s#": "s", "s-": "s", "s2": "s", "s.": "ʂ",
    "s;": "sʲ", "s[": "sˤ", "s\\": "ɕ", "ss": "sː", "t#": "tʰ", "t-": "t", "t.": "ʈ", "t.#": "ʈʰ", "t2": "t", "t;": "tʲ",
    "tS": "tʃ", "tS;": "tɕ", "tS;h": "tɕʰ", "t[": "tˤ", "t_s": "ts", "t_s\\": "tɕ", "th": "tʰ", "ts.": "ʈʂ",
    "ts.h": "ʈʂʰ", "ts2": "ts", "ts;": "tɕ", "tsh": "tsʰ", "u\"": "ʉ", "u-": "ɯ", "u.": "u", "u:": "uː", "u@": "uə", "u~": "ũ",
    "v#": "ʋ", "v;": "vʲ", "w2": "w", "y&": "yæ", "y:": "yː", "yE": "yɛ", "z.": "ʐ", "z2": "z", "z;": "ʑ",
}  # fmt: skip

# and these differ.
_IPA_OF: dict[str, dict[str, str]] = {
    "cmn": {"i.": "ʅ", "i[": "ɿ"},
    "hi": {"H": "h", "r": "ɾ", "v": "ʋ"},
    "es": {"r": "ɾ"},
    "fr-fr": {"r": "ʁ"},
    "de": {"3": "ɐ", "UR": "ʊɐ", "r": "ɾ"},
    "ja": {"u": "ɯ", "u~": "ɯ̃"},
    "ar": {"A": "ʕ", "Z": "ðˤ"},
    "ru": {"l": "ɫ", "tS;": "tɕ", "y": "ɨ"},
    "pt": {"&": "ɐ", "&U~": "ɐ̃ʊ̃", "&~": "ɐ̃", "R": "ɹ", "s#": "ʃ", "x": "ʁ", "y": "ɨ"},
    "tr": {"@": "ɯ"},
    "ko": {"@": "ʌ", "a": "ɐ", "q": "k"},
    "vi": {"t[": "t", "y": "ɯ", "y@": "ɯə"},
    "uk": {"y": "ɨ"},
    "ro": {"y": "ɨ", "yI": "ɨɪ", "yU": "ɨʊ"},
    "sv": {"sx": "ɧ", "u-": "ʉ"},
    "it": {"*": "r"},
    "pl": {"y": "ɨ"},
}  # fmt: skip

_LIPS = 0.6
"""Least lip closure, or lip to teeth (training.ipa), of a consonant that invented words have more often."""

_ONSETS, _CODAS = (0.1, 0.5, 0.3, 0.1), (0.55, 0.3, 0.15)
"""Shares of syllables with 0, 1, … consonants before and after the vowel in invented words."""

_STOPS = frozenset("pbtdʈɖcɟkɡgqɢɓɗɠ")
_VOWELS = frozenset("iyɨʉɯuɪᵻʏʊeøɘɵɤoəɚɛœɜɝɞʌɔæɐaɶɑɒɿʅ")


def sentence(language: str, random: np.random.Generator) -> str:
    """Two to four phrases of two to four of the language's words, with commas, ended by a stop or a question mark.

    language : one of LANGUAGES or LEFT_OUT; TalkerError for another
    """
    if language not in WORDS:
        known = ", ".join((*LANGUAGES, *LEFT_OUT))
        raise TalkerError(f"There are no words of the language {language} here: choose from {known}.")
    return phrases(WORDS[language], random) + ("?" if random.random() < 0.25 else ".")


def phrases(words: Sequence[str], random: np.random.Generator) -> str:
    """Two to four phrases of two to four of the words, with commas between them."""
    return ", ".join(
        " ".join(words[int(k)] for k in random.integers(len(words), size=int(random.integers(2, 5))))
        for _ in range(int(random.integers(2, 5)))
    )


def prosody(random: np.random.Generator) -> tuple[int, int, int]:
    """Rate in words a minute, pitch and range of a sentence, as training.espeak.spoken takes them."""
    pitch, spread, rate = (int(random.integers(*bounds)) for bounds in ((30, 76), (25, 91), (130, 211)))
    return rate, pitch, spread


@cache
def _sounds(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Mnemonics of the consonants and of the vowels that the language's words are spoken with, in order."""
    _, spoken_sounds = spoken(" ".join(WORDS[language]), _VOICES.get(language, language), VARIANTS[0], 165, 50, 50)
    names = sorted({name for _, _, name in spoken_sounds if not name.startswith("_")})
    vowels = tuple(name for name in names if unicodedata.normalize("NFD", _label(language, name))[0] in _VOWELS)
    return tuple(name for name in names if name not in vowels), vowels


def invented(language: str, random: np.random.Generator) -> str:
    """Two to four phrases of two or three words that the language does not have, of its own sounds, in mnemonics.

    Every sound meets every other in them, in clusters of up to three consonants that a few hundred real words do not
    have, and every second consonant is made with the lips, whose closing is seen first. Arguments are sentence's.
    """
    consonants, vowels = _sounds(language)
    lips = [name for name in consonants if articulations(_label(language, name))[0, :2].max() >= _LIPS]

    def consonant() -> str:
        among = lips if random.random() < 0.5 else consonants
        return among[int(random.integers(len(among)))]

    def syllable(stressed: bool) -> str:
        onset, coda = int(random.choice(4, p=_ONSETS)), int(random.choice(3, p=_CODAS))
        vowel = vowels[int(random.integers(len(vowels)))]
        return "|".join([*(consonant() for _ in range(onset)), "'" * stressed + vowel, *(consonant() for _ in range(coda))])

    def word() -> str:
        count = int(random.integers(1, 4))
        stressed = int(random.integers(count))
        return "|".join(syllable(k == stressed) for k in range(count))

    made = [" ".join(word() for _ in range(int(random.integers(2, 4)))) for _ in range(int(random.integers(2, 5)))]
    return ", ".join(f"[[{phrase}]]" for phrase in made) + "."


def utterance(language: str, number: int, seed: int, made_up: bool = False) -> tuple[np.ndarray, list[Phone]]:
    """The language's utterance `number`, always the same: (n,) float32 at 16 kHz and contiguous phones.

    language : one of LANGUAGES or LEFT_OUT
    made_up  : of invented words instead of the language's own
    Labels are IPA with length marks and diacritics, or "SIL". Voice variant,
    pitch, range and rate are drawn from language, number and seed. Raises TalkerError for another
    language, without espeak-ng, or if a sound has no name in the IPA.
    """
    random = generator("language", seed, language, number)
    text = invented(language, random) if made_up else sentence(language, random)
    variant = VARIANTS[int(random.integers(len(VARIANTS)))]
    return say(text, language, variant, *prosody(random))


def say(
    text: str, language: str, variant: str, rate: int = 165, pitch: int = 50, range: int = 50
) -> tuple[np.ndarray, list[Phone]]:
    """Speaks text of a language: what utterance returns. Arguments and errors are those of training.espeak.spoken."""
    samples, sounds = spoken(text, _VOICES.get(language, language), variant, rate, pitch, range)
    phones: list[Phone] = []
    for start, end, name in sounds:
        if name == "_|" and phones:  # parts two words without a pause: the sound before lasts until the next
            phones[-1] = Phone(phones[-1].label, phones[-1].start, end)
        else:
            phones.append(Phone(_label(language, name), start, end))
    closed = with_closures(phones, samples, lambda label: label[0] in _STOPS, lambda label: label[0] in _VOWELS)
    return samples, contiguous(closed, len(samples) / SAMPLE_RATE)


def as_arpabet(phones: Sequence[Phone]) -> list[Phone]:
    """IPA phones as the phones of English whose lips, jaw and tongue tip are nearest (training.ipa.nearest_english),
    so that the articulation model can move a face to any language. A sound of several targets is parted evenly."""
    found = []
    for phone in phones:
        labels = (SILENCE,) if phone.label == SILENCE else nearest_english(phone.label)
        bounds = np.linspace(phone.start, phone.end, len(labels) + 1)
        found += [Phone(label, float(a), float(b)) for label, a, b in zip(labels, bounds, bounds[1:])]
    return found


def _label(language: str, mnemonic: str) -> str:
    """IPA of a sound that espeak-ng reported in the language, "SIL" for a pause."""
    if mnemonic.startswith("_"):
        return SILENCE
    plain = mnemonic if mnemonic.isalpha() and mnemonic.isascii() and mnemonic.islower() else None
    ipa = _IPA_OF.get(language, {}).get(mnemonic) or _IPA.get(mnemonic, plain)
    if ipa is None:
        raise TalkerError(f"espeak-ng spoke the sound {mnemonic!r} in {language}, which has no name in the IPA here.")
    return ipa
