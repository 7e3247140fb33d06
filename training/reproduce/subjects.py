"""Test subjects of 3DiFACE's experiments: people left out of all training, with recordings to personalise a model on and
others to measure it on (3DiFACE, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soundfile

from talker.audio import SAMPLE_RATE, Speech
from talker.errors import TalkerError
from talker.motion import FPS, Motion
from training.beat import Utterance, read_corpus
from training.reproduce.setup import Setup, spread

SUBJECTS = 2
"""As many as VOCASET's test split has."""

PERSONAL_SECONDS = 100.0
"""Motion and speech that a model is personalised on (section 6)."""

TESTED = 20
"""Sequences of each subject that are measured: half of VOCASET's forty."""


@dataclass(frozen=True)
class Subject:
    """One person.

    personal : recordings to personalise on, in order, PERSONAL_SECONDS or more together
    tested   : others, to measure on
    """

    name: str
    personal: list[Utterance]
    tested: list[Utterance]

    def recording(self, seconds: float) -> tuple[Speech, Motion]:
        """The first so many seconds of `personal`, one after the other, as one recording at the models' frame rate."""
        wanted, samples, motions = round(seconds * FPS), [], []
        frames = 0
        for utterance in self.personal:
            speech = utterance.speech()
            motion = utterance.motion(FPS, speech.frames(FPS))
            motion = Motion(motion.coefficients[: wanted - frames], motion.head[: wanted - frames], FPS)
            motions.append(motion)
            # To the sample, so that speech and motion of the last recording are as much in time as those of the first.
            count = _samples(frames + len(motion.head)) - _samples(frames)
            samples.append(np.pad(speech.samples[:count], (0, max(0, count - len(speech.samples)))))
            frames += len(motion.head)
            if frames >= wanted:
                break
        coefficients, head = (np.concatenate([getattr(m, part) for m in motions]) for part in ("coefficients", "head"))
        return Speech(np.concatenate(samples), self.name), Motion(coefficients, head, FPS)


def _samples(frames: int) -> int:
    return round(frames / FPS * SAMPLE_RATE)


def test_subjects(setup: Setup) -> list[Subject]:
    """SUBJECTS speakers with recordings enough, evenly spread over all such; one performance of each recording.

    Raises TalkerError when the corpus has no two of them.
    """
    tested = min(TESTED, max(1, (setup.budget.utterances or TESTED * SUBJECTS) // SUBJECTS))
    own: dict[str, dict[str, Utterance]] = {}
    for one in read_corpus(setup.corpus):
        own.setdefault(one.speaker, {}).setdefault(one.base, one)
    found = []
    for name, performances in sorted(own.items()):
        utterances = list(performances.values())
        personal, seconds = [], 0.0
        for one in utterances[:-tested]:
            personal.append(one)
            seconds += soundfile.info(one.wav).duration
            if seconds >= PERSONAL_SECONDS or (setup.budget.trial and len(personal) > 1):
                found.append(Subject(name, personal, utterances[-tested:]))
                break
    if len(found) < SUBJECTS:
        raise TalkerError(
            f"{setup.corpus} has {len(found)} speakers with {PERSONAL_SECONDS:g} s to personalise on and {tested} further "
            f"recordings, and {SUBJECTS} are needed; give a larger corpus."
        )
    return spread(found, SUBJECTS)
