"""How well a model that is given a speaking style follows it: FDD, MOD, LVE and BA against the corpus (DiffPoseTalk, sec. 4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.rig import Rig, lip_aperture
from talker.errors import TalkerError
from talker.motion import ARKIT_INDEX, FPS, Motion, sway
from talker.pipeline import Talker
from talker.takes import Takes
from training import metrics
from training.bars import Bar, ratio, table
from training.beat import Utterance, read_corpus
from training.face_regions import face_of, upper_face_vertices
from training.scanned_faces import lip_vertices

CONDITIONS = {"right": "the speaker's own style", "random": "another speaker's style", "none": "no style"}
"""What a take is given -> in the words of the tables."""

NAMES = {"LVE": "lip vertex error, mm", "FDD": "upper-face dynamics, 1e-5 m", "MOD": "mouth opening, mm", "BA": "beat alignment of the head"}
SCALES = {"LVE": 1e3, "FDD": 1e5, "MOD": 1e3, "BA": 1.0}
"""What is measured, in words, and what it is multiplied with in print."""

TRAITS = {"smile": "smile", "brows": "brow activity", "mouth": "opening of the jaw", "sway": "sway of the head"}
"""What of a style is looked for in a motion, in words."""

PERFORMANCE_PAIRS = 100
"""Recordings of which two performances are compared for the corpus's own beat alignment."""


@dataclass(frozen=True)
class Styled:
    """A held-out utterance and what shows a style: another recording of its speaker, and one of another speaker."""

    utterance: Utterance
    right: Utterance
    random: Utterance

    def style(self, condition: str) -> Motion | None:
        """The motion of one of CONDITIONS that a style is taken from; None for no style."""
        return None if condition == "none" else getattr(self, condition).motion()


def with_styles(corpus: Path, utterances: Iterable[Utterance], seed: int = 0) -> list[Styled]:
    """Each utterance with recordings that trained: one of its speaker, which says something else, and one of another
    speaker, drawn by the seed. Utterances of speakers who never trained are left out; TalkerError when none is left."""
    shown: dict[str, list[Utterance]] = {}
    for one in read_corpus(corpus, ["train"]):
        shown.setdefault(one.speaker, []).append(one)
    draw, found = np.random.default_rng(seed), []
    for utterance in utterances:
        own = [one for one in shown.get(utterance.speaker, []) if one.base != utterance.base]
        others = sorted(set(shown) - {utterance.speaker})
        if own and others:
            other = shown[others[draw.integers(len(others))]]
            found.append(Styled(utterance, own[draw.integers(len(own))], other[draw.integers(len(other))]))
    if not found:
        raise TalkerError(f"{corpus} has no two speakers with several recordings each, so that no style can be shown; give a larger one.")
    return found


@dataclass(frozen=True)
class Surface:
    """Where vertex measures are taken: rig, its face alone, and of this the lips' and the upper face's indices."""

    rig: Rig
    face: Rig
    lips: np.ndarray
    upper: np.ndarray

    @classmethod
    def of(cls, rig: Rig) -> Surface:
        """The surface of a rig."""
        face = face_of(rig)
        return cls(rig, face, lip_vertices(face), upper_face_vertices(face))

    def compare(self, coefficients: np.ndarray, head: np.ndarray, truth: Motion) -> list[float]:
        """NAMES of one take, coefficients (T, 52) and head (T, 3), against the truth of as many frames; FDD without
        its sign, which would cancel between speakers who move more than predicted and those who move less."""
        vertices, wanted = self.face.pose(coefficients), self.face.pose(truth.coefficients)
        return [
            metrics.lip_max(vertices, wanted, self.lips),
            abs(metrics.fdd_vertices(vertices, wanted, self.face.vertices, self.upper)),
            metrics.mod(lip_aperture(self.rig, coefficients), lip_aperture(self.rig, truth.coefficients)),
            metrics.beat_alignment(head, truth.head, truth.fps),
        ]


def traits(coefficients: np.ndarray, head: np.ndarray) -> list[float]:
    """TRAITS of one motion: means of smile and jawOpen, the brows' mean standard deviation over time, and
    talker.motion.sway."""
    smile = coefficients[:, [ARKIT_INDEX["mouthSmileLeft"], ARKIT_INDEX["mouthSmileRight"]]].mean()
    jaw = coefficients[:, ARKIT_INDEX["jawOpen"]].mean()
    return [float(smile), metrics.brow_activity(coefficients), float(jaw), sway(head)]


def follows(made: Sequence[Sequence[float]], wanted: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """TRAITS -> Pearson's r over utterances between what was made and the speaker's own, both (N, 4); None for one that
    never differs, and for fewer than two utterances."""
    if len(made) < 2:
        return dict.fromkeys(TRAITS)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(np.transpose(made), np.transpose(wanted))]
    return {name: value if np.isfinite(value) else None for name, value in zip(TRAITS, found)}


def measure(
    talker: Talker, spoken: Iterable[Styled], condition: str, surface: Surface, takes: int = 4, seed: int = 0, **options
) -> dict:
    """NAMES against the corpus's motion, one of CONDITIONS given, and how takes differ.

    takes   : of each utterance; the k-th takes of all utterances are one run (the paper averages over 10 runs)
    seed    : of the first utterance, one more for each further one: where a take blinks and raises the brows is decided by
              its noise, and the same noise for all would be one draw of it for all
    options : further arguments of Talker.speak
    Returns NAMES -> mean over runs, metres where they are lengths; "NAME ±" -> half the 95 % confidence interval over
    runs, where there are several; "Div exp", metres, and "Div head", degrees: see metrics.vertex_diversity and
    metrics.diversity; "follows" -> how TRAITS of the takes, mean over takes, go with those of the utterances. What is of
    the head is None for a model without one.
    """
    rows, expression, heads, has_head, made, wanted = [], [], [], False, [], []
    for index, one in enumerate(spoken):
        speech = one.utterance.speech()
        sampled: Takes = talker.speak(speech, takes=takes, seed=seed + index, style=one.style(condition), **options)
        truth = one.utterance.motion(sampled.fps, speech.frames(sampled.fps))
        has_head |= bool(sampled.head.any())
        rows.append([surface.compare(c, h, truth) for c, h in zip(sampled.coefficients, sampled.head)])
        made.append(np.mean([traits(c, h) for c, h in zip(sampled.coefficients, sampled.head)], axis=0))
        wanted.append(traits(truth.coefficients, truth.head))
        if takes > 1:
            expression.append(metrics.vertex_diversity(np.stack([surface.face.pose(c) for c in sampled.coefficients])))
            heads.append(metrics.diversity(np.degrees(sampled.head)))
    runs = np.nanmean(np.array(rows), axis=0)  # (takes, measures); a true head that never slows has no beats
    found: dict[str, float | None] = dict(zip(NAMES, runs.mean(axis=0).tolist()))
    if takes > 1:
        intervals = 1.96 * runs.std(axis=0, ddof=1) / np.sqrt(takes)
        found |= {f"{name} ±": float(value) for name, value in zip(NAMES, intervals)}
        found |= {"Div exp": float(np.mean(expression)), "Div head": float(np.mean(heads))}
    if not has_head:
        found |= {name: None for name in found if name.startswith("BA") or name == "Div head"}
    return found | {"follows": follows(made, wanted)}


def corpus_beat_alignment(corpus: Path, pairs: int = PERFORMANCE_PAIRS) -> float | None:
    """Beat alignment of the corpus's heads with themselves: of two performances of one recording, for which chance has
    drawn the sway and speech the nods. None for a corpus that performs each recording once, as BEAT's people do."""
    performances: dict[str, list[Utterance]] = {}
    for one in read_corpus(corpus):
        performances.setdefault(one.base, []).append(one)
    several = [found for found in performances.values() if len(found) > 1]
    if not several:
        return None
    chosen = [several[k] for k in np.unique(np.linspace(0, len(several) - 1, pairs).round().astype(int))]
    heads = [[one.motion(FPS).head for one in found[:2]] for found in chosen]
    return float(np.nanmean([metrics.beat_alignment(*_as_long(*pair), FPS) for pair in heads]))


def _as_long(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = min(len(first), len(second))
    return first[:count], second[:count]


def bars(measured: Mapping[str, Mapping], corpus_alignment: float | None) -> list[Bar]:
    """What following a style has to bring; measured : CONDITIONS -> measure's result."""
    right = measured["right"]

    found = [
        Bar(f"{name}, right style / {words}", ratio(right[name], measured[other][name]), "<=", 1.0)
        for name in ("FDD", "MOD")
        for other, words in (("random", "random style"), ("none", "no style"))
    ]
    if corpus_alignment and right["BA"] is not None:
        found.append(Bar("BA of the heads / of the corpus against itself", right["BA"] / corpus_alignment, ">=", 0.9))
    return found


def styles(talker: Talker, corpus: Path, utterances: Sequence[Utterance], rig: Rig, takes: int = 4, seed: int = 0) -> dict:
    """All CONDITIONS on held-out utterances, and their bars; a progress bar may wrap the utterances. "corpus_follows" is
    how far the recording that shows the right style foretells its speaker's TRAITS in the utterance: as far as a take can
    follow the style, whatever else it hears in the speech."""
    spoken, surface = with_styles(corpus, utterances), Surface.of(rig)
    measured = {condition: measure(talker, spoken, condition, surface, takes, seed) for condition in CONDITIONS}
    alignment = corpus_beat_alignment(corpus)
    own = [[traits(m.coefficients, m.head) for m in (one.right.motion(FPS), one.utterance.motion(FPS))] for one in spoken]
    return {
        "utterances": len(spoken), "takes": takes, **measured, "corpus_beat_alignment": alignment,
        "corpus_follows": follows([shown for shown, _ in own], [said for _, said in own]),
        "bars": [bar.entry() for bar in bars(measured, alignment)],
    }  # fmt: skip


def as_text(report: dict) -> str:
    """The report of styles as tables."""
    rows = [
        [words, *(None if report[c][name] is None else SCALES[name] * report[c][name] for c in CONDITIONS)]
        for name, words in NAMES.items()
    ]
    title = f"speaking styles, {report['utterances']} held-out utterances, {report['takes']} takes"
    traced = [
        [words, *(report[c]["follows"][name] for c in CONDITIONS), report["corpus_follows"][name]] for name, words in TRAITS.items()
    ]
    return "\n\n".join([
        table(title, ["measure", *CONDITIONS.values()], rows),
        table("correlation with the speaker's own", ["", *CONDITIONS.values(), "the recording shown"], traced),
    ])  # fmt: skip
