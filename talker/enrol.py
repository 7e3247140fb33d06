"""Enrolment: a new identity from recordings of its speech, or from speech with the motion of the same recordings.

From speech alone the embedding is the mixture of the nearest learned identities (IdentityLibrary.neighbours).
With motion it starts there and is fine-tuned, it alone: "the identity embedding library can be
continuously enriched and expanded by finetuning" (paper, section 3.2), here without touching the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from talker import fine_tuning
from talker.audio import Speech
from talker.errors import TalkerError
from talker.fine_tuning import parts, references, trainable_copy
from talker.identity import AUTO, WITHOUT_IDENTITIES, EnrolledIdentity, mixture
from talker.identity_file import taken
from talker.models.motion_model import Condition, MotionModel
from talker.motion import FPS, LIP_REGION, Motion, check_lengths, resample
from talker.pipeline import Talker

NAME = re.compile(r"\w[\w .'’-]{0,39}")
"""Names of enrolled identities: letters of any script, digits, and what names of people hold. Colons and commas
separate the parts of a blend."""

HELD_OUT = 0.2
"""Share at the end of every recording that fine-tuning never sees, to say what it brought; as much before that
decides when to stop."""

MIN_SECONDS = 4.0
"""Shortest recording with motion: what is held out of less than that is no sentence."""

CROP = 120
"""Frames of a training crop: 4 s, as the models were trained on."""


@dataclass(frozen=True)
class Enrolment:
    """An identity and how it came to be.

    identity   : what the library file stores
    neighbours : learned identities and the weights of their mixture
    seconds    : of speech, over all recordings
    held_out   : seconds at the recordings' ends that fine-tuning did not see; 0 without motion
    before, after : mean absolute error of the lips' and jaw's coefficients there, with the mixture and with the
                 fine-tuned embedding; None without motion
    """

    identity: EnrolledIdentity
    neighbours: dict[str, float]
    seconds: float
    held_out: float = 0.0
    before: float | None = None
    after: float | None = None


def check_name(talker: Talker, name: str) -> str:
    """The name without spaces around it. Raises TalkerError when it is taken or cannot be one."""
    if talker.library.library is None:
        raise TalkerError(WITHOUT_IDENTITIES)
    name = name.strip()
    if not NAME.fullmatch(name) or name == AUTO:
        raise TalkerError(
            f"“{name}” cannot be an identity's name; use 1 to 40 letters, digits, spaces, dots, hyphens and apostrophes, "
            f"the first a letter or digit, and not “{AUTO}”."
        )
    if name in talker.denoiser.library.names:
        raise TalkerError(f"The model {talker.name} has learned an identity “{name}” of its own; choose another name.")
    if name in talker.library.names or name in talker.library.refused:
        raise TalkerError(taken(name))
    return name


def check_pairs(speeches: Sequence[Speech], motions: Sequence[Motion], wanted: str) -> None:
    """Raise TalkerError, with a sentence, for recordings and motions that do not fit each other or are too short.

    wanted : what the sentence asks for behind "MIN_SECONDS or more"
    """
    if not speeches or len(speeches) != len(motions):
        raise TalkerError(
            f"There are {len(speeches)} recordings and {len(motions)} motions; give one motion for each recording, in the "
            "same order."
        )
    for speech, motion in zip(speeches, motions):
        check_lengths(motion, speech.seconds, f"The motion of {speech.name}")
        if speech.seconds < MIN_SECONDS:
            raise TalkerError(
                f"{speech.name} lasts {speech.seconds:.1f} s; give recordings of {MIN_SECONDS:g} s or more {wanted}."
            )


def enrol(
    talker: Talker,
    name: str,
    speeches: Sequence[Speech],
    motions: Sequence[Motion] = (),
    seed: int = 0,
    callback: Callable[[str, float], None] | None = None,
) -> Enrolment:
    """Make a new identity; nothing is written.

    speeches : one or more recordings of one speaker; their voices are averaged
    motions  : none, or what the face did in each of them, in the same order, at any frame rate
    seed     : of the crops, steps and noise of the fine-tuning
    callback : called with ("tune", fraction done)
    Raises TalkerError for a bad name, and for motion that does not fit its speech or is too short.
    """
    name = check_name(talker, name)
    if motions:
        check_pairs(speeches, motions, "with motion, or leave the motion out")
    features = [talker.encoder.encode(speech, speech.frames(FPS), FPS) for speech in speeches]
    library = talker.denoiser.library
    voices = np.stack([one.voice for one in features])
    neighbours = library.neighbours(library.voice_feature(voices))
    identity = EnrolledIdentity(name, voices, talker.fingerprints["voice"])
    seconds = sum(speech.seconds for speech in speeches)
    if not motions:
        return Enrolment(identity, neighbours, seconds)

    start = mixture(library, neighbours)
    pairs = [
        (one.frames, resample(motion, FPS, len(one.frames))) for one, motion in zip(features, motions, strict=True)
    ]
    embedding = fine_tune(talker.denoiser, start, pairs, seed=seed, callback=callback)
    identity = EnrolledIdentity(
        name, voices, identity.encoder, embedding.cpu().numpy(), talker.fingerprints["checkpoint"], talker.name
    )
    before, after = (held_out_error(talker, e, pairs, seed) for e in (start, embedding))
    held_out = sum(len(motion.head[parts(len(frames), HELD_OUT)[2]]) for frames, motion in pairs) / FPS
    return Enrolment(identity, neighbours, seconds, held_out, before, after)


def fine_tune(
    denoiser: MotionModel,
    start: torch.Tensor,
    pairs: Sequence[tuple[np.ndarray, Motion]],
    steps: int = 60,
    batch: int = 8,
    learning_rate: float = 0.02,
    pull: float = 0.01,
    seed: int = 0,
    callback: Callable[[str, float], None] | None = None,
) -> torch.Tensor:
    """The embedding (32,) with which the denoiser best explains motion; the denoiser itself stays as it is.

    start : (32,) to begin at; pairs : speech features (T, D) with motion of T frames at FPS
    pull  : weight of the squared distance from `start` beside the squared error; see talker.fine_tuning
    """
    model = trainable_copy(denoiser).requires_grad_(False)
    embedding = start.clone().requires_grad_(True)

    def difference(audio: torch.Tensor, clean: torch.Tensor, step: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        x = model.schedule.add_noise(clean, step, noise.to(start.device))
        condition = Condition(audio, embedding.expand(len(clean), -1))
        return model(x, step.to(start.device), condition) - clean

    fine_tuning.fine_tune(
        model, [{"params": [embedding], "lr": learning_rate}], difference, references(model, pairs, HELD_OUT), steps, batch, CROP,
        penalty=lambda: pull * ((embedding - start) ** 2).mean(), seed=seed, callback=callback,
    )  # fmt: skip
    return embedding.detach()


def held_out_error(
    talker: Talker, embedding: torch.Tensor, pairs: Sequence[tuple[np.ndarray, Motion]], seed: int = 0
) -> float:
    """Mean absolute difference of the lip region's coefficients between 4 takes and the recorded motion, on the held-out
    ends. Of brows and lids every take is another performance, and one blink would outweigh what was learned."""
    errors = []
    for frames, motion in pairs:
        coefficients, _ = talker.sample(frames, embedding, takes=4, seed=seed)
        tail = parts(len(frames), HELD_OUT)[2]
        errors.append(np.abs(coefficients[:, tail] - motion.coefficients[tail])[..., LIP_REGION].mean())
    return float(np.mean(errors))
