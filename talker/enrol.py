"""Enrolment: a new identity from recordings of its speech, or from speech with the motion of the same recordings.

From speech alone the embedding is the mixture of the nearest learned identities (IdentityLibrary.neighbours).
With motion it starts there and is fine-tuned, it alone: "the identity embedding library can be
continuously enriched and expanded by finetuning" (paper, section 3.2), here without touching the model.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from talker.audio import Speech
from talker.errors import TalkerError
from talker.identity import AUTO, WITHOUT_IDENTITIES, EnrolledIdentity, mixture
from talker.identity_file import taken
from talker.models.motion_model import Condition, MotionModel
from talker.motion import FPS, Motion, check_lengths, resample
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
    before, after : mean absolute error of the coefficients there, with the mixture and with the fine-tuned
                 embedding; None without motion
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
    if motions and len(motions) != len(speeches):
        raise TalkerError(
            f"There are {len(speeches)} recordings and {len(motions)} motions; give one motion for each recording, in the "
            "same order."
        )
    for speech, motion in zip(speeches, motions):
        check_lengths(motion, speech.seconds, f"The motion of {speech.name}")
        if speech.seconds < MIN_SECONDS:
            raise TalkerError(
                f"{speech.name} lasts {speech.seconds:.1f} s; give recordings of {MIN_SECONDS:g} s or more with motion, "
                "or leave the motion out."
            )
    features = [talker.encoder.encode(speech, speech.frames(FPS), FPS) for speech in speeches]
    library = talker.denoiser.library
    voices = np.stack([one.voice for one in features])
    neighbours = library.neighbours(library.voice_feature(voices))
    identity = EnrolledIdentity(name, voices, talker.fingerprints["encoder"])
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
    held_out = sum(len(motion.head[parts(len(frames))[2]]) for frames, motion in pairs) / FPS
    return Enrolment(identity, neighbours, seconds, held_out, before, after)


def fine_tune(
    denoiser: MotionModel,
    start: torch.Tensor,
    pairs: Sequence[tuple[np.ndarray, Motion]],
    steps: int = 60,
    batch: int = 8,
    learning_rate: float = 0.02,
    pull: float = 0.01,
    patience: int = 3,
    seed: int = 0,
    callback: Callable[[str, float], None] | None = None,
) -> torch.Tensor:
    """The embedding (32,) with which the denoiser best explains motion; the denoiser itself stays as it is.

    start : (32,) to begin at; pairs : speech features (T, D) with motion of T frames at FPS
    Minimises the squared error of the predicted clean motion, standardised, at random steps and crops
    (eq. 12), plus `pull` times the squared distance from `start`, by Adam. Every 10 steps the error on the part
    before the held-out end is taken, at every diffusion step with fixed noise; what was best there is returned,
    and `patience` looks without a better one end the search.
    """
    device = start.device
    # A frozen copy in training mode, whose recurrent layers have the fast backward pass, but without dropout.
    model = copy.deepcopy(denoiser).requires_grad_(False).train()
    for module in model.modules():
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0
    utterances = []
    for frames, motion in pairs:
        values = torch.from_numpy(np.concatenate([motion.coefficients, motion.head], axis=1)[:, : model.channels])
        train, stop, _ = parts(len(frames))
        utterances.append((torch.from_numpy(frames).to(device), model.standardise(values.to(device)), train, stop))
    generator = torch.Generator().manual_seed(seed)
    embedding = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([embedding], lr=learning_rate)

    def error(audio: torch.Tensor, clean: torch.Tensor, step: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Squared error (B, T, C) of what the model makes of noised motion (B, T, C)."""
        x = model.schedule.add_noise(clean, step, noise.to(device))
        condition = Condition(audio, embedding.expand(len(clean), -1))
        return (model(x, step.to(device), condition) - clean) ** 2

    checks = []
    for audio, clean, _, stop in utterances:
        # The frames before the part that decides are heard too, but do not count.
        first = max(0, stop.stop - 2 * CROP)
        levels = torch.arange(1, model.schedule.steps + 1)[:: max(1, model.schedule.steps // 8)]
        noise = torch.randn((len(levels), stop.stop - first, model.channels), generator=generator)
        checks.append((audio[first : stop.stop], clean[first : stop.stop], stop.start - first, levels, noise))

    @torch.no_grad()
    def check() -> float:
        losses = []
        for audio, clean, begin, levels, noise in checks:
            shape = (len(levels), -1, -1)
            losses.append(error(audio.expand(shape), clean.expand(shape), levels, noise)[:, max(0, begin) :].mean().item())
        return sum(losses) / len(losses)

    best, best_loss, since = start.clone(), check(), 0
    weights = torch.tensor([float(train.stop) for _, _, train, _ in utterances])
    for done in range(1, steps + 1):
        length = min(CROP, *(train.stop for _, _, train, _ in utterances))
        crops = []
        for row in torch.multinomial(weights, batch, replacement=True, generator=generator):
            audio, clean, train, _ = utterances[row]
            begin = int(torch.randint(train.stop - length + 1, (), generator=generator))
            crops.append((audio[begin : begin + length], clean[begin : begin + length]))
        audio, clean = (torch.stack(part) for part in zip(*crops))
        step = torch.randint(1, model.schedule.steps + 1, (batch,), generator=generator)
        loss = error(audio, clean, step, torch.randn(clean.shape, generator=generator)).mean()
        optimiser.zero_grad()
        (loss + pull * ((embedding - start) ** 2).mean()).backward()
        optimiser.step()
        if callback is not None:
            callback("tune", done / steps)
        if done % 10 == 0:
            now, since = check(), since + 1
            if now < best_loss:
                best, best_loss, since = embedding.detach().clone(), now, 0
            if since == patience:
                break
    if callback is not None:
        callback("tune", 1.0)
    return best


def parts(frames: int) -> tuple[slice, slice, slice]:
    """Of a recording's frames: those to train on, those that decide when to stop, those held out."""
    stop, end = round(frames * (1 - 2 * HELD_OUT)), round(frames * (1 - HELD_OUT))
    return slice(0, stop), slice(stop, end), slice(end, frames)


def held_out_error(
    talker: Talker, embedding: torch.Tensor, pairs: Sequence[tuple[np.ndarray, Motion]], seed: int = 0
) -> float:
    """Mean absolute difference of coefficients between 4 takes and the recorded motion, on the held-out ends."""
    errors = []
    for frames, motion in pairs:
        coefficients, _ = talker.sample(frames, embedding, takes=4, seed=seed)
        tail = parts(len(frames))[2]
        errors.append(np.abs(coefficients[:, tail] - motion.coefficients[tail]).mean())
    return float(np.mean(errors))
