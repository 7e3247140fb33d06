"""What 3DiFACE's experiments share: models without the test subjects, personalised copies, and errors of vertices."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from render.rigs.load import find_rig
from talker.atomic import whole_file
from talker.audio import Speech
from talker.editing import Keyframe, MotionEdit, plan_edit
from talker.motion import ARKIT_NAMES, FPS, HEAD_NAMES, Motion
from talker.personalise import load_delta, personalise
from talker.pipeline import Talker
from training import metrics
from training.beat import Utterance, read_corpus
from training.real_speech import noisy
from training.reproduce.models import three_diface
from training.reproduce.report import Column
from training.reproduce.runs import Run, side_by_side, train
from training.reproduce.setup import Setup, checkpoint_digest, digest
from training.reproduce.subjects import Subject, test_subjects
from training.scanned_faces import lip_vertices

GUIDANCE = 0.5
"""s of eq. 3 that the paper takes: diverse, and the lips still in time."""

ERRORS = ("Lip-Sync", "Lip-max", "L2 lip", "L2 face")
"""What is better when it is smaller; the paper's fifth measure is the diversity."""

COLUMNS = (
    Column("name", "model"),
    Column("Div", "Div", ".2f", 1e3, paper=True),
    Column("Lip-Sync", "Lip-Sync (mm)", ".2f", 1e3, paper=True),
    Column("Lip-max", "Lip-max (mm)", ".2f", 1e3, paper=True),
    Column("L2 lip", "L2 lip (mm)", ".2f", 1e3, paper=True),
    Column("L2 face", "L2 face (mm)", ".2f", 1e3, paper=True),
)


def paper(*values: float | None) -> dict[str, float | None]:
    """A row of the paper's tables, in the order of COLUMNS, as metres."""
    return {c.key: None if v is None else v / c.scale for c, v in zip(COLUMNS[1:], values, strict=True)}


@dataclass(frozen=True)
class Task:
    """One row of a table on one test subject.

    backbone  : of the network; see ThreeDiFaceConfig
    personal  : seconds of the subject that the model was personalised on; 0 for none
    guidance  : s of eq. 3
    lip_guidance : of ThreeDiFaceConfig, instead of the recipe's; 0 is as published: one scale for the whole face
    noise     : white noise so many decibels below the speech; None for none
    keep      : share of the frames that are given, half of it at the beginning and half at the end
    keyframes : frames a second that are given, at random places, the fewer ones among the more
    """

    subject: Subject
    backbone: str = "convolution"
    personal: float = 0.0
    guidance: float = GUIDANCE
    lip_guidance: float | None = None
    noise: float | None = None
    keep: float = 0.0
    keyframes: float = 0.0

    def run(self, setup: Setup, subjects: Sequence[Subject]) -> Run:
        """The training of its model."""
        return three_diface(setup.budget, [subject.name for subject in subjects], self.backbone)

    def delta(self, setup: Setup, subjects: Sequence[Subject]) -> Path | None:
        """Where what personalisation changes is kept; None without."""
        if not self.personal:
            return None
        run = self.run(setup, subjects)
        values = run.settings(setup), self.subject.name, [one.id for one in self.subject.personal], self.personal
        return setup.runs / "personalised" / f"{self.subject.name}-{digest(values, setup.budget.personal_steps)}.safetensors"


@dataclass(frozen=True)
class Measuring:
    """What `measured` needs beside a task, small enough for another process."""

    checkpoint: Path
    delta: Path | None
    corpus: Path
    names: tuple[str, ...]
    takes: int
    sampling: dict
    rig: str | None
    folder: Path
    options: dict = field(default_factory=dict)

    def kept(self) -> Path:
        """The file of the result."""
        model = checkpoint_digest(self.checkpoint, *([self.delta] if self.delta else []))
        return self.folder / f"vertices-{digest(model, self.corpus, self.names, self.takes, self.sampling, self.rig, self.options)}.json"


def given_motion(motion: Motion, name: str, keep: float, keyframes: float) -> MotionEdit | None:
    """The edit of Task.keep and Task.keyframes for a motion; name draws the places of keyframes. None for neither."""
    if not keep and not keyframes:
        return None
    frames = len(motion.coefficients)
    order = np.random.default_rng(list(name.encode())).permutation(frames)
    channels = (*ARKIT_NAMES, *HEAD_NAMES)
    chosen = [
        Keyframe(int(k) / FPS, dict(zip(channels, np.concatenate([motion.coefficients[k], motion.head[k]]).tolist())))
        for k in order[: max(1, round(keyframes * frames / FPS))] if keyframes
    ]  # fmt: skip
    return plan_edit(motion, keyframes=chosen, keep=(keep / 2, keep / 2))


def measure(
    talker: Talker, utterances: Sequence[Utterance], lips: np.ndarray, takes: int, keep: float = 0.0, keyframes: float = 0.0,
    noise: float | None = None, lip_guidance: float | None = None, **options,
) -> dict[str, float]:
    """ERRORS against the corpus's vertices and "Div", metres, means over utterances and takes; and "given", the
    largest distance of a vertex from where it was given, of an edit.

    lips    : indices among the model's vertices
    lip_guidance : instead of the model's own
    options : further arguments of Talker.speak
    """
    if lip_guidance is not None:
        talker.denoiser.config = dataclasses.replace(talker.denoiser.config, lip_guidance=lip_guidance)
    rows, diversity, given = [], [], [0.0]
    for utterance in utterances:
        speech = utterance.speech()
        motion = utterance.motion(FPS, speech.frames(FPS))
        edit = given_motion(motion, utterance.id, keep, keyframes)
        sampled = talker.speak(speech if noise is None else noisy(speech, noise), takes=takes, edit=edit, **options)
        with torch.inference_mode():
            wanted = talker.denoiser.face.displacements(torch.from_numpy(motion.coefficients)).unflatten(-1, (-1, 3)).numpy()
        vertices = np.asarray(sampled.vertices, np.float32)
        for take in vertices:
            rows.append([
                metrics.lip_sync(take, wanted, lips), metrics.lip_max(take, wanted, lips),
                metrics.l2_lip(take, wanted, lips), metrics.l2_face(take, wanted),
            ])  # fmt: skip
        if takes > 1:
            diversity.append(metrics.vertex_diversity(vertices))
        if edit is not None:
            fixed = (edit.mask[:, : len(ARKIT_NAMES)] == 1).all(axis=1)
            given.append(float(np.linalg.norm(vertices[:, fixed] - wanted[fixed], axis=-1).max()))
    found = dict(zip(ERRORS, np.mean(rows, axis=0).tolist()))
    return found | {"Div": float(np.mean(diversity)) if diversity else None, "given": max(given)}


def measured(one: Measuring) -> dict[str, float]:
    """measure, in one thread; kept in a folder and found there again."""
    torch.set_num_threads(1)
    kept = one.kept()
    if not kept.exists():
        talker = Talker.from_pretrained(one.checkpoint)
        if one.delta:
            talker = load_delta(talker, one.delta)
        wanted = set(one.names)
        utterances = [u for u in read_corpus(one.corpus) if u.id in wanted]
        lips = np.flatnonzero(np.isin(talker.denoiser.face.index.numpy(), lip_vertices(find_rig(one.rig)[0])))
        found = measure(talker, utterances, lips, one.takes, **one.sampling, **one.options)
        with whole_file(kept) as temporary:
            temporary.write_text(json.dumps(found, indent=1))
    return json.loads(kept.read_text())


def make_delta(checkpoint: Path, subject: Subject, seconds: float, steps: int, path: Path) -> None:
    """Personalise a model on a subject and write what that changes."""
    torch.set_num_threads(1)
    speech, motion = subject.recording(seconds)
    delta = personalise(Talker.from_pretrained(checkpoint), speech, motion, steps=steps)
    delta.save(path)


def measure_tasks(setup: Setup, tasks: dict[str, list[Task]]) -> dict[str, dict]:
    """Train, personalise and measure: row -> means over its subjects of what `measure` gives ("given": the largest)."""
    subjects = list({task.subject.name: task.subject for row in tasks.values() for task in row}.values())
    everyone = test_subjects(setup)
    runs = {task.run(setup, everyone) for row in tasks.values() for task in row}
    train(sorted(runs, key=lambda run: run.name), setup)
    flat = [task for row in tasks.values() for task in row]
    missing = {task.delta(setup, everyone): task for task in flat if task.personal}
    side_by_side(
        make_delta,
        [
            (task.run(setup, everyone).checkpoint(setup), task.subject, task.personal, setup.budget.personal_steps, path)
            for path, task in missing.items() if not path.exists()
        ],
        setup.jobs, "personalise",
    )  # fmt: skip
    arguments = [
        (Measuring(
            task.run(setup, everyone).checkpoint(setup), task.delta(setup, everyone), setup.corpus,
            tuple(one.id for one in task.subject.tested), setup.budget.takes, setup.budget.sampling, setup.rig,
            setup.runs / "measured",
            {name: getattr(task, name) for name in ("guidance", "lip_guidance", "noise", "keep", "keyframes")},
        ),)
        for task in flat
    ]  # fmt: skip
    found = iter(side_by_side(measured, arguments, setup.jobs, "measure vertices"))
    rows = {name: [next(found) for _ in row] for name, row in tasks.items()}
    return {
        name: {key: None if own[0][key] is None else (np.max if key == "given" else np.mean)([one[key] for one in own]).item()
               for key in own[0]}
        for name, own in rows.items()
    }  # fmt: skip


def legend(setup: Setup, subjects: Sequence[Subject], what: str = "") -> list[str]:
    """Lines under a table that say what "ours" and "paper" are."""
    tested = sum(len(subject.tested) for subject in subjects)
    return [
        f"ours:  {setup.legend}; {tested} recordings of {', '.join(subject.name for subject in subjects)}, left out of "
        f"training, {setup.budget.takes} takes each{what}",
        "       distances in millimetres, Div the mean distance of a vertex in two takes",
        "paper: VOCASET, its two test subjects; the units of L2 and Div are not given",
    ]
