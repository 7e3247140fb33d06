"""Text for the synthetic voices: English that covers every pair of neighbouring phones.

Words and pronunciations come from the CMU dictionary inside the pocketsphinx wheel, and the language
model beside it tells which of them are common. An utterance has a share of the pairs that English
words can form to bring in (Voice by voice, all of them in turn), and words are chosen greedily for
it. Half of the sentences are grammatical and mean little, the others are lists of words in phrases,
with commas, full stops and questions, so that they have a melody.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from talker.errors import TalkerError
from training.alignment import SILENCE, normalise_label
from training.articulation import generator

COMMON_WORDS, COMMON_SHORT_WORDS = 12_000, 4_000
"""Words are taken from this many of the most frequent of the dictionary, and those of three letters
from fewer. Beyond, names and abbreviations prevail."""

PAIRS_PER_UTTERANCE = 16
"""Pairs that an utterance brings in on purpose; 86 utterances of a voice then have them all."""

# Nobody wants to hear these read out; they are among the first words of spoken English.
_UNWANTED = re.compile(
    "fuck|shit|cunt|nigg|fag|whore|slut|bitch|porn|rap(e|es|ed|ing|ist|ists)$|penis|vagin|dick|pussy|bastard|nazi|"
    "molest|pedo|suicid|retard|sexu|orgasm|genital|crap|hitler|goddam|(ass|asses|arse|cock|cum|tits|anal|sex)$|.*asshole"
)

Pair = tuple[str, str]


def _dictionary() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every plain word of the CMU dictionary with its first pronunciation, in the file's order."""
    for line in (_model() / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines():
        word, *labels = line.split()
        # Alternatives are marked "word(2)"; apostrophes and hyphens are left out as well.
        if word.isascii() and word.isalpha():
            yield word, tuple(normalise_label(label) for label in labels)


def _model() -> Path:
    try:
        from pocketsphinx import get_model_path
    except ImportError as error:
        raise TalkerError("The corpus's text needs pocketsphinx: install the packages of requirements.txt.") from error
    return Path(get_model_path()) / "en-us"


def _readable(word: str, phones: tuple[str, ...]) -> bool:
    """Whether every engine reads the word much as the dictionary does."""
    vowels = sum(letter in "aeiouy" for letter in word)
    # Spelled-out abbreviations have more sounds than letters, or no vowel among these.
    return 2 < len(word) < 13 and 1 < len(phones) <= len(word) and vowels > 0 and not _UNWANTED.match(word)


@cache
def lexicon() -> dict[str, tuple[str, ...]]:
    """Common words that engines can read -> phones without stress, most frequent first."""
    from pocketsphinx import NGramModel

    model = NGramModel.readfile(str(_model() / "en-us.lm.bin"))
    words = {word: phones for word, phones in _dictionary()}
    ranked = sorted(words, key=lambda word: (-model.prob([word]), word))[:COMMON_WORDS]
    found = [w for k, w in enumerate(ranked) if _readable(w, words[w]) and (len(w) > 3 or k < COMMON_SHORT_WORDS)]
    return {word: words[word] for word in found}


def phone_pairs(phones_lists: Iterable[Sequence[str]]) -> Counter[Pair]:
    """How often each pair of neighbouring phones occurs; every list is one utterance's labels.

    Silence counts as a phone, so beginnings and ends of words at a pause are pairs as well.
    """
    pairs: Counter[Pair] = Counter()
    for labels in phones_lists:
        pairs.update(zip(labels, labels[1:], strict=False))
    pairs.pop((SILENCE, SILENCE), None)
    return pairs


@cache
def possible_pairs() -> frozenset[Pair]:
    """The pairs that the lexicon's words can form: inside a word, across two words, and at a pause."""
    words = lexicon().values()
    inside = {pair for phones in words for pair in zip(phones, phones[1:], strict=False)}
    first, last = {phones[0] for phones in words} | {SILENCE}, {phones[-1] for phones in words} | {SILENCE}
    return frozenset(inside | {(a, b) for a in last for b in first} - {(SILENCE, SILENCE)})


def coverage(phones_lists: Iterable[Sequence[str]]) -> float:
    """Share of possible_pairs() that occur in the utterances, 0 … 1."""
    possible = possible_pairs()
    return len(possible & set(phone_pairs(phones_lists))) / len(possible)


class _Index:
    """Which words hold a pair, begin or end with a phone."""

    def __init__(self) -> None:
        self.inside: dict[Pair, list[str]] = defaultdict(list)
        self.first: dict[str, list[str]] = defaultdict(list)
        self.last: dict[str, list[str]] = defaultdict(list)
        for word, phones in lexicon().items():
            self.first[phones[0]].append(word)
            self.last[phones[-1]].append(word)
            for pair in dict.fromkeys(zip(phones, phones[1:], strict=False)):
                self.inside[pair].append(word)


@cache
def _index() -> _Index:
    return _Index()


@cache
def _pair_order(seed: int, speaker: str) -> tuple[Pair, ...]:
    """All pairs without silence, in an order of the speaker's own. Silence comes with every phrase."""
    pairs = sorted(pair for pair in possible_pairs() if SILENCE not in pair)
    return tuple(pairs[k] for k in generator("pairs", seed, speaker).permutation(len(pairs)))


def _chunk(wanted: dict[Pair, None], random: np.random.Generator) -> list[str]:
    """One or two words that bring in the first wanted pair and as many others as are to be had.

    Takes the pairs it brings in out of `wanted`.
    """
    words, index = lexicon(), _index()
    first, second = next(iter(wanted))

    def some(names: list[str], count: int = 24) -> list[str]:
        # The square leans to the front, where the frequent words are.
        return [names[int(len(names) * u * u)] for u in random.random(count)] if names else []

    choices: list[list[str]] = [[word] for word in some(index.inside.get((first, second), []))]
    # A pair that words hold inside is said across two words half as often.
    if not choices or random.random() < 0.33:
        choices += [list(both) for both in zip(some(index.last[first]), some(index.first[second]), strict=False)]

    def pairs(chunk: list[str]) -> set[Pair]:
        labels = [label for word in chunk for label in words[word]]
        return set(zip(labels, labels[1:], strict=False))

    def gain(chunk: list[str]) -> float:
        return len(pairs(chunk) & wanted.keys()) / (3.0 + sum(len(words[word]) for word in chunk))

    best = max(choices, key=gain)
    for pair in pairs(best) & wanted.keys():
        del wanted[pair]
    return best


# A small grammar. Nouns, verbs and the rest were chosen so that all 39 phones are frequent and the
# lips have work: bilabials beside open vowels, labiodentals, rounded vowels after W, SH, CH, JH.
# Half of its slots take words of the dictionary, whose endings tell what they can be.
_ADJECTIVES = """old young brave proud shy warm cool thick thin smooth rough fresh pale bright famous
busy foggy wooden yellow purple awful clever usual foolish cheap huge gentle healthy jolly marvelous
peaceful vivid""".split()
_NOUNS = """boy mother father baby woman judge teacher farmer painter poet bishop fisherman captain
monkey puppy goose wolf fox bear zebra shepherd village bridge harbor mountain valley forest garden
window kitchen table lamp book paper map hammer shovel broom wheel ship boat train wagon piano violin
drum bell apple pepper mushroom cabbage butter cheese bread coffee pudding cherry peach plum beach
meadow river pool moon thunder shadow treasure measure vision television garage cushion fashion
machine judgement birthday toothbrush path month cloth feather weather brother jaw law moth cow house
mouth owl toy voice oyster coin noise joy earth bird church nurse shirt""".split()
_VERBS = """sees finds paints watches follows pushes pulls warms moves opens fixes brings chooses
leaves loves makes buys sells knows shows throws washes covers measures enjoys joins voices teaches
touches shapes polishes admires removes improves remembers mentions forgives believes describes
imagines""".split()
_ADVERBS = """slowly;quietly;often;always;probably;happily;twice;today;tomorrow;together;again;at home;
this morning;every Thursday;in the spring;before breakfast;without a word;with both thumbs;
as usual;for pleasure;by five o'clock;all by myself""".replace("\n", "").split(";")
_PREPOSITIONS = "near behind above below beside under with without beyond across".split()
_OPENERS = "Perhaps;However;Meanwhile;Five years ago;Early in June;In the long run;By and by".split(";")
_QUESTIONS = ("What happens if", "Do you believe that", "Would you mind if", "How is it that")

_ENDINGS = {
    "adjective": ("ous", "ful", "sive", "tive", "able", "less", "ical"),
    "noun": ("tion", "ness", "ment", "ship", "ity"),
    "adverb": ("ly",),
    "participle": ("ing",),
}


@cache
def _by_ending(kind: str) -> tuple[str, ...]:
    """The lexicon's words that their ending makes an adjective, a noun, an adverb or a participle."""
    words = lexicon()
    found = [word for word in words if len(word) > 5 and word.endswith(_ENDINGS[kind])]
    if kind == "participle":  # of a verb: not "something" or "ceiling"
        found = [word for word in found if word[:-3] in words or f"{word[:-3]}e" in words]
    return tuple(found)


def sentence(random: np.random.Generator) -> str:
    """A grammatical sentence of 6 to 16 words that means little."""

    def pick(words: Sequence[str]) -> str:
        return words[int(random.integers(len(words)))]

    def either(own: Sequence[str], kind: str) -> str:
        return pick(own if random.random() < 0.5 else _by_ending(kind))

    def phrase() -> str:
        adjective = f"{either(_ADJECTIVES, 'adjective')} " if random.random() < 0.55 else ""
        return f"{pick(('the', 'the', 'my', 'your', 'her', 'this', 'that'))} {adjective}{either(_NOUNS, 'noun')}"

    def verb() -> str:
        return pick(_VERBS) if random.random() < 0.6 else f"is {pick(_by_ending('participle'))}"

    clause = f"{phrase()} {verb()} {phrase()}"
    if random.random() < 0.4:
        clause += f" {pick(_PREPOSITIONS)} {phrase()}"
    if random.random() < 0.35:
        clause += f" {either(_ADVERBS, 'adverb')}"
    shape = random.random()
    if shape < 0.15:
        text = f"{pick(_QUESTIONS)} {clause}?"
    elif shape < 0.30:
        text = f"{pick(_OPENERS)}, {clause}."
    elif shape < 0.42:
        text = f"{clause}, and {phrase()} {verb()} {phrase()}."
    else:
        text = f"{clause}."
    return text[:1].upper() + text[1:]


_BEGINNINGS = ("", "", "", "then ", "only ", "some ", "the ", "every ", "no ", "never ", "with the ", "our ")
_JOINTS = ("and ", "or ", "but ", "for ", "near ", "as well as ")
_ASKED = ("which is it, ", "who said ", "did you say ", "could it be ", "was it ")


def word_list(wanted: dict[Pair, None], random: np.random.Generator) -> str:
    """A sentence of two or three short phrases whose words bring in pairs of `wanted`."""

    def pick(words: Sequence[str]) -> str:
        return words[int(random.integers(len(words)))]

    phrases: list[str] = []
    for size in random.integers(2, 4, size=int(random.integers(2, 4))):
        words: list[str] = []
        while wanted and len(words) < size:
            words += _chunk(wanted, random)
        if words:
            phrases.append(pick(_BEGINNINGS) + " ".join(words))
    if len(phrases) > 1:
        phrases[-1] = pick(_JOINTS) + phrases[-1]
    asked = random.random() < 0.2
    text = (pick(_ASKED) if asked else "") + ", ".join(phrases)
    return text[:1].upper() + text[1:] + ("?" if asked else ".")


def sentences(speaker: str, number: int, seed: int) -> Iterator[str]:
    """Endless sentences of the speaker's utterance `number`: every list of words, then a grammatical one.

    The lists bring in the utterance's share of the pairs; when that is done, the next shares follow.
    """
    order, random = _pair_order(seed, speaker), generator("text", seed, speaker, number)
    place = number * PAIRS_PER_UTTERANCE
    wanted: dict[Pair, None] = {}
    while True:
        if not wanted:
            wanted = {order[(place + k) % len(order)]: None for k in range(PAIRS_PER_UTTERANCE)}
            place += PAIRS_PER_UTTERANCE
        yield word_list(wanted, random)
        if random.random() < 0.5:
            yield sentence(random)
