"""Measures of talking faces.

Coefficients are (T, 52) in [0, 1], vertices (T, V, 3) in metres, head rotations (T, 3) in radians, apertures (T,)
in metres, times in seconds. Phones are objects with .label (ARPAbet without stress, or SIL), .start and .end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from scipy.spatial.distance import cdist

from talker.motion import ARKIT_INDEX, BROW_REGION, LIP_REGION, UPPER_FACE_REGION
from training.alignment import SILENCE

CLOSED_PHONES = frozenset({"P", "B", "M"})
OPEN_PHONES = frozenset({"AA", "AE", "AO", "AW", "AY", "EH"})
ROUNDED_PHONES = frozenset({"UW", "OW", "W"})
UNROUNDED_PHONES = frozenset({"IY", "EH", "S"})

ROUNDING_FLOOR = 1e-3
"""Added above and below in rounding_ratio: a face that never rounds its lips has a ratio of 1 and not 0 / 0."""

PHONE_OPENNESS: dict[str, float] = {
    **dict.fromkeys((SILENCE, "P", "B", "M"), 0.0),
    **dict.fromkeys("F V W S Z SH ZH CH JH".split(), 0.1),
    **dict.fromkeys("T D N L TH DH R Y K G NG HH IY UW".split(), 0.25),
    **dict.fromkeys("IH UH ER".split(), 0.4),
    **dict.fromkeys("EH EY AH OW OY".split(), 0.7),
    **dict.fromkeys("AA AE AO AW AY".split(), 1.0),
}
"""How far each phone opens the lips by manner and vowel height alone (close, near-close, mid, open on the IPA's
chart): five steps between closed lips and open vowels, and no value of any motion that is measured against it."""

OPENNESS_SECONDS = 0.04
"""Standard deviation of the Gaussian that turns the steps of PHONE_OPENNESS into a curve; it moves nothing in time."""

LONGEST_LAG = 8
"""Frames to both sides within which aperture_lag looks."""

LONG_BLINK = 0.25
"""Seconds that lids stay more than half closed in a blink that is counted as long; the corpus's do for 0.1 to 0.17 s."""


# Against a recorded motion of the same speech.


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


def fdd_vertices(predicted: np.ndarray, truth: np.ndarray, rest: np.ndarray, upper: np.ndarray) -> float:
    """Upper-face Dynamics Deviation (CodeTalker, eq. 8; DiffPoseTalk, sec. 4.3) in metres: mean over the upper face's
    vertices of std over time of the truth's displacement less that of the prediction. Signed.

    predicted, truth : (T, V, 3) metres; rest : (V, 3), the resting face; upper : (n,) indices
    The displacement of a vertex in a frame is its distance from rest, not squared, so that the unit is the papers'.
    """
    moved, wanted = (np.linalg.norm(v[:, upper] - rest[upper], axis=-1).std(axis=0) for v in (predicted, truth))
    return float((wanted - moved).mean())


def itf(seconds: float, frames: int) -> float:
    """Inference Time per Frame (DiffusionTalker, sec. 4.1): seconds of inference over frames of motion, in seconds."""
    return seconds / frames


def lip_distances(predicted: np.ndarray, truth: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Euclidean distances of the lip vertices, (T, n) metres, of vertices (T, V, 3) and indices (n,)."""
    return np.linalg.norm(predicted[:, lips] - truth[:, lips], axis=-1)


def lve(predicted: np.ndarray, truth: np.ndarray, lips: np.ndarray) -> float:
    """Lip Vertex Error in square metres: mean over frames of the largest squared distance of a lip vertex.

    MeshTalk (Richard et al. 2021) defines it by the distance; FaceFormer, CodeTalker and those who compare with
    them, DiffusionTalker's table 3 among them, compute and print its square. lip_max is the unsquared one.
    """
    return float(np.square(lip_distances(predicted, truth, lips)).max(axis=1).mean())


def lip_max(predicted: np.ndarray, truth: np.ndarray, lips: np.ndarray) -> float:
    """Lip-max (3DiFACE, sec. 4; MeshTalk; DiffPoseTalk's LVE) in metres: mean over frames of the largest distance
    of a lip vertex."""
    return float(lip_distances(predicted, truth, lips).max(axis=1).mean())


def l2_lip(predicted: np.ndarray, truth: np.ndarray, lips: np.ndarray) -> float:
    """L2 lip (3DiFACE, sec. 4) in metres: mean distance over frames and lip vertices."""
    return float(lip_distances(predicted, truth, lips).mean())


def l2_face(predicted: np.ndarray, truth: np.ndarray) -> float:
    """L2 face (3DiFACE, sec. 4) in metres: mean distance over frames and all vertices."""
    return float(np.linalg.norm(predicted - truth, axis=-1).mean())


def lip_sync(predicted: np.ndarray, truth: np.ndarray, lips: np.ndarray) -> float:
    """Lip-Sync (3DiFACE, sec. 4; Imitator) in metres: mean lip distance along the best dynamic time warp.

    Frames of predicted (T, V, 3) and truth (T', V, 3) are compared by the mean distance of their lip vertices; the
    warp (steps in one or both sequences, all of weight 1) with the smallest sum is found by dynamic programming,
    and its sum is divided by its length.
    """
    cost = sum(cdist(predicted[:, v], truth[:, v]) for v in lips) / len(lips)
    # (sum, length) of the best path to each cell of one row; tuples compare by the sum first.
    above: list[tuple[float, int]] = []
    for i, row in enumerate(cost.tolist()):
        best: list[tuple[float, int]] = []
        for j, distance in enumerate(row):
            ways = [best[j - 1]] if j else []
            if i:
                ways += [above[j], above[j - 1]] if j else [above[j]]
            total, length = min(ways, default=(0.0, 0))
            best.append((total + distance, length + 1))
        above = best
    return above[-1][0] / above[-1][1]


def mod(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mouth Opening Difference (DiffPoseTalk, sec. 4.3) in metres: mean absolute difference of two apertures (T,)."""
    return float(np.abs(predicted - truth).mean())


def head_beats(head: np.ndarray, fps: float, smoothing: float = 0.083) -> np.ndarray:
    """Times in seconds at which a head's rotation (T, 3) is slowest: local minima of its angular speed.

    As Bailando (Li et al. 2022) takes its kinematic beats, speed smoothed by a Gaussian of 5 frames at 60 fps.
    """
    speed = np.linalg.norm(np.gradient(head, axis=0), axis=1)
    return find_peaks(-gaussian_filter1d(speed, smoothing * fps))[0] / fps


def beat_alignment(predicted: np.ndarray, truth: np.ndarray, fps: float, width: float = 0.1) -> float:
    """Beat Alignment (DiffPoseTalk, sec. 4.3, after Bailando): mean over the true head's beats t of
    exp(-min (t - t')^2 / (2 width^2)) over the predicted beats t', heads (T, 3); in [0, 1].

    width : seconds, Bailando's 3 frames at 30 fps. NaN when the true head never slows down, 0 when only the
    predicted one does not.
    """
    wanted, found = head_beats(truth, fps), head_beats(predicted, fps)
    if not len(wanted):
        return float("nan")
    if not len(found):
        return 0.0
    nearest = np.abs(wanted[:, None] - found).min(axis=1)
    return float(np.exp(-0.5 * (nearest / width) ** 2).mean())


# Without one.


def diversity(takes: np.ndarray) -> float:
    """Diversity (Ren et al. 2023, as 3DiFACE and DiffPoseTalk use it): mean distance between takes of one speech.

    takes : (S, T, D) coefficients, angles or flattened vertices, S >= 2
    The distance of two takes is the mean over frames of the Euclidean one, in the takes' unit. The papers average
    over random pairs; here all pairs count, so nothing is drawn.
    """
    first, second = np.triu_indices(len(takes), 1)
    return float(np.mean([np.linalg.norm(takes[i] - takes[j], axis=-1).mean() for i, j in zip(first, second)]))


def vertex_diversity(takes: np.ndarray) -> float:
    """Div^E of 3DiFACE (sec. 6) and Div (exp) of DiffPoseTalk (sec. 4.3), both after Ren et al. 2023, in metres: mean
    distance of a vertex in two takes of one speech, over all pairs of takes, frames and vertices. takes : (S, T, V, 3)."""
    first, second = np.triu_indices(len(takes), 1)
    return float(np.mean([l2_face(takes[i], takes[j]) for i, j in zip(first, second)]))


def jitter(coefficients: np.ndarray) -> float:
    """Mean absolute second difference of the lip region, per frame squared: 0 for steady movement. (T, 52), T >= 3."""
    return float(np.abs(np.diff(coefficients[:, LIP_REGION], 2, axis=0)).mean())


def blink_times(lid: np.ndarray, fps: float) -> np.ndarray:
    """Start and end in seconds (n, 2) of every stretch in which a lid's coefficient (T,) is above 0.5."""
    shut = np.diff(np.concatenate([[0], lid > 0.5, [0]]).astype(int))
    return np.stack([np.flatnonzero(shut == 1), np.flatnonzero(shut == -1)], axis=1) / fps


def blinks(coefficients: np.ndarray, fps: float) -> np.ndarray:
    """Seconds that both lids, on average, are more than half closed, of every blink in (T, 52): (N,)."""
    lids = coefficients[:, [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]].mean(axis=1)
    return np.diff(blink_times(lids, fps), axis=1).ravel()


def brow_activity(coefficients: np.ndarray) -> float:
    """Standard deviation over time of the five brow coefficients, mean, of (T, 52)."""
    return float(coefficients[:, BROW_REGION].std(axis=0).mean())


def at_middles(curve: np.ndarray, fps: float, phones: Iterable, labels: frozenset[str]) -> np.ndarray:
    """A curve (T,) read at the middle of every phone of `labels`, between frames linearly -> (n,)."""
    middles = [(p.start + p.end) / 2 for p in phones if p.label in labels]
    return np.interp(np.array(middles, dtype=float) * fps, np.arange(len(curve)), curve)


def aperture_in_silence(aperture: np.ndarray, fps: float, phones: Iterable) -> np.ndarray:
    """Lip aperture (T,) of every frame whose time lies in a silence -> (n,)."""
    times = np.arange(len(aperture)) / fps
    silent = np.zeros(len(aperture), dtype=bool)
    for phone in phones:
        if phone.label == SILENCE:
            silent |= (times >= phone.start) & (times < phone.end)
    return aperture[silent]


def _mean(pools: list[np.ndarray]) -> float:
    pooled = np.concatenate(pools) if pools else np.zeros(0)
    return float(pooled.mean()) if len(pooled) else float("nan")


def aperture_ratios(utterances: Sequence[tuple[np.ndarray, float, Sequence]]) -> dict[str, float]:
    """How far the lips close where speech closes them.

    utterances : (aperture (T,), fps, phones) each
    Returns the mean aperture at the middles of P, B, M and the mean aperture in silence, each divided
    by the mean aperture at the middles of AA, AE, AO, AW, AY, EH, all pooled over the utterances; NaN where
    there is no such phone.
    """
    closed, opened, silent = [], [], []
    for aperture, fps, phones in utterances:
        closed.append(at_middles(aperture, fps, phones, CLOSED_PHONES))
        opened.append(at_middles(aperture, fps, phones, OPEN_PHONES))
        silent.append(aperture_in_silence(aperture, fps, phones))
    vowels = _mean(opened)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "closed_over_open": float(np.divide(_mean(closed), vowels)),
            "silence_over_open": float(np.divide(_mean(silent), vowels)),
            "open_millimetres": 1000 * vowels,
            "closed_phones": int(sum(map(len, closed))),
            "open_phones": int(sum(map(len, opened))),
        }


def rounding_ratio(utterances: Sequence[tuple[np.ndarray, float, Sequence]]) -> float:
    """How much more lips are rounded where speech rounds them: the mean of mouthPucker + mouthFunnel at the middles
    of UW, OW, W over that at IY, EH, S, both pooled over utterances of (coefficients (T, 52), fps, phones)."""
    rounded, unrounded = [], []
    for coefficients, fps, phones in utterances:
        curve = coefficients[:, ARKIT_INDEX["mouthPucker"]] + coefficients[:, ARKIT_INDEX["mouthFunnel"]]
        rounded.append(at_middles(curve, fps, phones, ROUNDED_PHONES))
        unrounded.append(at_middles(curve, fps, phones, UNROUNDED_PHONES))
    return (_mean(rounded) + ROUNDING_FLOOR) / (_mean(unrounded) + ROUNDING_FLOOR)


def phone_aperture(phones: Sequence, frames: int, fps: float) -> np.ndarray:
    """The aperture that phones alone ask for, (frames,) in [0, 1]: PHONE_OPENNESS as steps, smoothed symmetrically."""
    fine = 10  # steps a frame, so that a boundary falls where it is and not on a frame
    times = (np.arange(frames * fine) + 0.5) / (fps * fine)
    steps = np.array([PHONE_OPENNESS[phone.label] for phone in phones])
    ends = np.array([phone.end for phone in phones])
    curve = steps[np.minimum(np.searchsorted(ends, times), len(steps) - 1)]
    curve = gaussian_filter1d(curve, OPENNESS_SECONDS * fps * fine, mode="nearest")
    return np.interp(np.arange(frames) / fps, times, curve)


def lag(curve: np.ndarray, reference: np.ndarray, longest: int = LONGEST_LAG) -> tuple[float, float]:
    """By how many frames a curve (T,) comes after a reference (T,), and Pearson's correlation at that lag.

    The correlation is taken of the overlap at every whole lag up to `longest` to both sides; a parabola through the
    largest and its two neighbours gives the fraction. NaN, NaN when one of the two does not move.
    """
    if min(np.ptp(curve), np.ptp(reference)) < 1e-9 or len(curve) < 3 * longest:
        return float("nan"), float("nan")
    count = len(curve)
    values = np.array([
        np.corrcoef(curve[max(0, k) : count + min(0, k)], reference[max(0, -k) : count - max(0, k)])[0, 1]
        for k in range(-longest, longest + 1)
    ])  # fmt: skip
    peak = int(np.nanargmax(values))
    if not 0 < peak < 2 * longest:
        return float(peak - longest), float(values[peak])
    before, at, after = values[peak - 1 : peak + 2]
    bend = before - 2 * at + after
    offset = 0.5 * (before - after) / bend if bend else 0.0
    return float(peak - longest + offset), float(at - 0.25 * (before - after) * offset)


def aperture_lag(aperture: np.ndarray, fps: float, phones: Sequence) -> float:
    """By how many frames the lips (T,) come after what phone_aperture asks for; negative when they lead. See lag."""
    return lag(aperture, phone_aperture(phones, len(aperture), fps))[0]


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
