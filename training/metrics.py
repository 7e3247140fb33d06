"""Measures of talking faces. Coefficients are in [0, 1], apertures in metres, times in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from talker.motion import LIP_REGION, UPPER_FACE_REGION

CLOSED_PHONES = frozenset({"P", "B", "M"})
OPEN_PHONES = frozenset({"AA", "AE", "AO", "AW", "AY", "EH"})
SILENCE = "SIL"


def mbe(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean Blendshape Error (DiffusionTalker, sec. 4.1): mean over frames of the Euclidean distance
    between predicted and true coefficients, both (T, 52)."""
    return float(np.linalg.norm(predicted - truth, axis=-1).mean())


def lbe(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Lip Blendshape Error (DiffusionTalker, sec. 4.1): MBE over the coefficients of the lip region."""
    return mbe(predicted[..., LIP_REGION], truth[..., LIP_REGION])


def fdd(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Facial Dynamics Deviation (CodeTalker, eq. 8, on coefficients): mean over the upper face of
    std over time of the truth minus that of the prediction, both (T, 52). Signed; tables show |FDD|."""
    dynamics = truth[:, UPPER_FACE_REGION].std(0) - predicted[:, UPPER_FACE_REGION].std(0)
    return float(dynamics.mean())


def aperture_at_middles(
    aperture: np.ndarray, fps: float, phones: Iterable, labels: frozenset[str]
) -> np.ndarray:
    """Lip aperture (T,) read at the middle of every phone of `labels`, between frames linearly → (n,).

    phones : objects with .label, .start and .end, seconds
    """
    middles = [(p.start + p.end) / 2 for p in phones if p.label in labels]
    return np.interp(np.array(middles, dtype=float) * fps, np.arange(len(aperture)), aperture)


def aperture_in_silence(aperture: np.ndarray, fps: float, phones: Iterable) -> np.ndarray:
    """Lip aperture (T,) of every frame whose time lies in a silence → (n,)."""
    times = np.arange(len(aperture)) / fps
    silent = np.zeros(len(aperture), dtype=bool)
    for phone in phones:
        if phone.label == SILENCE:
            silent |= (times >= phone.start) & (times < phone.end)
    return aperture[silent]


def aperture_ratios(utterances: Sequence[tuple[np.ndarray, float, Sequence]]) -> dict[str, float]:
    """How far the lips close where speech closes them.

    utterances : (aperture (T,), fps, phones) each
    Returns the mean aperture at the middles of P, B, M and the mean aperture in silence, each divided
    by the mean aperture at the middles of AA, AE, AO, AW, AY, EH, all pooled over the utterances.
    """
    closed, opened, silent = [], [], []
    for aperture, fps, phones in utterances:
        closed.append(aperture_at_middles(aperture, fps, phones, CLOSED_PHONES))
        opened.append(aperture_at_middles(aperture, fps, phones, OPEN_PHONES))
        silent.append(aperture_in_silence(aperture, fps, phones))
    vowels = np.concatenate(opened).mean()
    return {
        "closed_over_open": float(np.concatenate(closed).mean() / vowels),
        "silence_over_open": float(np.concatenate(silent).mean() / vowels),
        "open_millimetres": float(1000 * vowels),
        "closed_phones": int(sum(map(len, closed))),
        "open_phones": int(sum(map(len, opened))),
    }


def precision_recall_f1(predicted: Sequence[str], truth: Sequence[str]) -> dict[str, float]:
    """Identity matching (DiffusionTalker, table 4): macro-averaged precision, recall and F1, and accuracy."""
    names = sorted(set(truth))
    rows = []
    for name in names:
        hits = sum(p == name == t for p, t in zip(predicted, truth))
        found = sum(p == name for p in predicted)
        there = sum(t == name for t in truth)
        precision = hits / found if found else 0.0
        recall = hits / there
        rows.append((precision, recall, 2 * precision * recall / (precision + recall) if hits else 0.0))
    means = np.mean(rows, axis=0)
    accuracy = float(np.mean([p == t for p, t in zip(predicted, truth)]))
    return {"precision": float(means[0]), "recall": float(means[1]), "f1": float(means[2]), "accuracy": accuracy}
