"""Table 3: zero-shot on vertices. Models of coefficients against faces that were scanned as vertices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from render.rig import Rig
from render.rigs.load import find_rig
from talker.audio import SAMPLE_RATE, Speech
from talker.blendshape_fit import fit_coefficients
from talker.motion import ARKIT_NAMES, FPS, LIP_REGION
from training import metrics
from training.face_regions import face_of
from training.loudness_jaw import loudness_jaw
from training.reproduce.measurement import inference_times, load_talker, machine
from training.reproduce.report import Column, format_table, write_report
from training.reproduce.runs import train
from training.reproduce.setup import Setup, digest
from training.reproduce.table_2 import NAMES, rows_of
from training.scanned_faces import face_vertices, lip_vertices
from training.vocaset import FPS as SCAN_FPS
from training.vocaset import Vocaset, write_vocaset

PAPER = {
    "faceformer": {"LVE": 4.418e-5, "ITF": 54.2e-4},
    "regression": {"LVE": 4.134e-5, "ITF": 9.3e-4},
    "facediffuser-8": {"LVE": 4.713e-5, "ITF": 8.2e-4},
    "ours": {"LVE": 4.054e-5, "ITF": 7.1e-4},
}
"""The paper's table 3, as its HTML edition prints it; square metres, see metrics.lve. Only its own row is zero-shot."""

SENTENCE_SECONDS = 4.0
"""VOCASET's sentences last 3 to 4 s; of the corpus's utterances so much is written in its layout."""

SUBJECTS = 12
"""As many as VOCASET has."""

COLUMNS = (
    Column("name", "model"),
    Column("zero_shot", "zero-shot"),
    Column("LVE", "LVE (1e-5 m²)", ".3f", 1e5, paper=True),
    Column("Lip-max", "Lip-max\n(mm)", ".2f", 1e3),
    Column("LBE", "LBE against\nthe fit"),
    Column("ITF", "ITF (1e-4 s)", ".1f", 1e4, paper=True),
)


def corpus_as_vocaset(setup: Setup, rig: Rig) -> Path:
    """The performances of speakers who never trained, written through the rig in VOCASET's layout; made once."""
    split = "heldout_speaker" if setup.has("heldout_speaker") else "heldout_utterance"
    utterances = setup.held_out(min(SUBJECTS, setup.budget.utterances or SUBJECTS), split)
    folder = setup.runs / f"vocaset-{digest(setup.fingerprint, [u.id for u in utterances], rig.name, len(rig.vertices))}"
    if not (folder / "subj_seq_to_idx.pkl").exists():
        write_vocaset(folder, (_as_scans(utterance, rig) for utterance in tqdm(utterances, "write as vertices")))
    return folder


def _as_scans(utterance, rig: Rig) -> tuple:
    speech = utterance.speech()
    samples = speech.samples[: round(SENTENCE_SECONDS * SAMPLE_RATE)]
    frames = round(len(samples) / SAMPLE_RATE * SCAN_FPS)
    coefficients = utterance.motion(SCAN_FPS, speech.frames(SCAN_FPS)).coefficients[:frames]
    audio = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    return utterance.speaker, utterance.id, rig.vertices, rig.pose(coefficients), audio, SAMPLE_RATE


def measure(predict: Callable[[Speech, np.ndarray], np.ndarray], data: Vocaset, names: list, rig: Rig, fits: dict) -> dict:
    """Mean LVE and Lip-max over sequences and takes, and LBE against the fitted coefficients.

    predict : (speech, fitted coefficients (T, 52)) -> coefficients (takes, T', 52) at 30 frames a second
    fits    : (subject, sequence) -> (T, 52)
    """
    lips, rows = lip_vertices(rig), []
    for name in names:
        sequence, fit = data.sequence(*name), fits[name]
        truth = sequence.at_half_rate()
        for take in predict(sequence.speech, fit):
            count = min(len(take), len(truth))
            vertices = face_vertices(rig, sequence.template, take[:count])
            error = np.linalg.norm(take[:count][:, LIP_REGION] - fit[:count][:, LIP_REGION], axis=-1).mean()
            rows.append([metrics.lve(vertices, truth[:count], lips), metrics.lip_max(vertices, truth[:count], lips), error])
    lve, lip_max, lbe = np.mean(rows, axis=0)
    return {"LVE": float(lve), "Lip-max": float(lip_max), "LBE": float(lbe)}


def run(setup: Setup) -> str:
    """Train, fit, measure and write table 3; returns its text."""
    budget = setup.budget
    rig = find_rig(setup.rig)[0]
    if setup.vocaset is None:
        rig = face_of(rig)
        data, source = Vocaset(corpus_as_vocaset(setup, rig)), f"{setup.data} written as vertices of the face {rig.name}"
        names = data.names
    else:
        data, source = Vocaset(setup.vocaset), "VOCASET"
        names = data.test_names()
    fits = {}
    for name in tqdm(names, "fit the shapes"):
        sequence = data.sequence(*name)
        fits[name] = fit_coefficients(sequence.at_half_rate() - sequence.template, rig.deltas)

    runs = {key: one for key, one in rows_of(setup).items() if key in PAPER}
    train(runs.values(), setup)
    checkpoints = {key: one.checkpoint(setup) for key, one in runs.items()}
    times = dict(zip(checkpoints, inference_times(list(checkpoints.values()), budget.seconds, budget.repeats)))
    plain: dict[str, Callable] = {
        "the 52 shapes fitted to the scans": lambda speech, fit: fit[None],
        "face at rest": lambda speech, fit: np.zeros((1, len(fit), len(ARKIT_NAMES)), np.float32),
        "jaw by loudness alone": lambda speech, fit: loudness_jaw(speech.samples, speech.frames(FPS))[None],
    }
    rows = [{"name": name, **measure(predict, data, names, rig, fits)} for name, predict in plain.items()]
    rows.append({"name": "FaceFormer (the paper's row)", "paper": PAPER["faceformer"]})
    for key, checkpoint in checkpoints.items():
        talker = load_talker(checkpoint)
        error = measure(lambda speech, _: talker.speak(speech, takes=budget.takes).coefficients, data, names, rig, fits)
        rows.append({"name": NAMES[key], "zero_shot": True, **error, **times[key], "paper": PAPER[key]})
    trained = "trained on " + setup.data
    legend = [
        f"ours:  {source}, {len(names)} sequences of {len({subject for subject, _ in names})} subjects; "
        f"models {trained}, {budget.name} budget, as in table 2; {budget.takes} takes each",
        f"       ITF on {machine()}: {budget.seconds:g} s of speech, one take, median of {budget.repeats}",
        "paper: VOCASET, NVIDIA V100 (Chen et al., table 3), where only DiffusionTalker is zero-shot",
    ]
    text = format_table("Table 3. Zero-shot on vertices", legend, COLUMNS, rows)
    content = {
        "target": "table-3", "data": source, "trained_on": setup.data, "budget": dataclasses.asdict(budget),
        "machine": machine(), "sequences": [list(name) for name in names], "rows": rows,
    }  # fmt: skip
    return write_report(setup.out, "table-3", text, content)
