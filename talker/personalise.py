"""Personalisation: a model fine-tuned on half a minute to a few minutes of one person's speech and motion.

3DiFACE, section 4.2: the entire model is fitted to the person with the losses of its training. Here this is
done to any model: an identity starts as the mixture of the nearest voices (talker.enrol), a speaking style as
that of the recorded motion (talker.style), and then all weights follow. What that changes is kept as a delta,
a small file that loads on top of the checkpoint that it was made for: of a large matrix, the few directions in
which it changed most.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from talker.atomic import whole_file
from talker.audio import SILENCE_PEAK, Speech
from talker.enrol import check_name, check_pairs
from talker.errors import TalkerError
from talker.fine_tuning import fine_tune, references, trainable_copy
from talker.identity import EnrolledIdentity, Identities, mixture
from talker.models.motion_model import MotionModel
from talker.motion import ARKIT_NAMES, LIP_REGION, Motion, resample
from talker.pipeline import Talker

ADVISED_SECONDS = 30.0
"""Of speech with motion: 3DiFACE's table 2 finds that 5 s make a model worse, 30 s better, and 100 s better still."""

HELD_OUT = 0.1
"""Share at the end of every recording that is never trained on, to say what it brought; as much before decides when to stop."""

STEPS, BATCH, LEARNING_RATE, CLIP_NORM = 600, 16, 1e-4, 1.0

EMBEDDING_RATE = 0.02
"""Learning rate of the person's embedding, as in enrolment."""

DROP = 0.1
"""Share of the crops without speech, for models that can do without (3DiFACE, section 4.1)."""

MOVES = 0.01
"""Standard deviation in time that some coefficient of the lips must have: less is a face that keeps still."""

ENERGY, MAX_RANK = 0.99, 32
"""A matrix's change keeps the fewest directions that hold so much of its squares, and no more than so many."""

LEAD_IN = 60
"""Frames before the held-out end that are sampled with it."""

STEPS_TO_COMPARE = 16
"""Sampling steps, at most, with which errors are taken."""

VERSION = 1
"""Of the file's format; a file of a later one is refused."""


@dataclass(frozen=True)
class Delta:
    """What personalisation changed, and what that brought.

    name          : of the person
    model         : name of the model it loads on top of
    checkpoint    : fingerprint of that model's weights, encoder : of its speech encoder's
    tensors       : "weights.NAME" change of a parameter, or "left.NAME" (m, r) and "right.NAME" (r, n) whose product it
                    is; "voices" (n, E) of the recordings, "embedding" (32,) or "style" (128,) where the model has them
    seconds       : of speech; held_out : seconds of it that were not trained on
    before, after : mean absolute error of the lips' and jaw's coefficients there, of the model as it was and personalised;
                    what brows, lids and gaze do is for chance to say, and no two takes agree about it
    """

    name: str
    model: str
    checkpoint: str
    encoder: str
    tensors: dict[str, torch.Tensor] = field(repr=False)
    seconds: float = 0.0
    held_out: float = 0.0
    before: float = 0.0
    after: float = 0.0

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file that only its owner reads, whole or not at all."""
        about = {key: value for key, value in vars(self).items() if key != "tensors"}
        header = json.dumps({"version": VERSION, **about}, ensure_ascii=False)
        with whole_file(path, private=True) as temporary:  # voices are personal
            save_file({name: tensor.contiguous() for name, tensor in self.tensors.items()}, temporary, {"delta": header})
            temporary.chmod(0o600)
        return Path(path)


def personalise(
    talker: Talker,
    speech: Speech | Sequence[Speech],
    motion: Motion | Sequence[Motion],
    callback: Callable[[str, float], None] | None = None,
    name: str = "personal",
    steps: int | None = None,
    seed: int = 0,
) -> Delta:
    """Fine-tune a model on one person; the talker itself stays as it is, and nothing is written.

    speech, motion : one recording of the person, or several, and what the face did in each, in the same order, at any
                     frame rate. ADVISED_SECONDS or more together; what there is of one recording below enrol.MIN_SECONDS is refused
    callback : called with ("tune", fraction done)
    name     : of the person; steps : of the training, at most, STEPS unless given; seed : of crops, steps and noise
    Raises TalkerError for speech or motion of silence, of different length, or too short.
    """
    speeches = [speech] if isinstance(speech, Speech) else list(speech)
    motions = [motion] if isinstance(motion, Motion) else list(motion)
    check_recordings(speeches, motions)
    model = talker.denoiser
    if model.config.channels[: len(ARKIT_NAMES)] != list(ARKIT_NAMES):
        raise TalkerError(f"The model {talker.name} makes FLAME's motion, and the recordings are of ARKit's; choose another model.")
    if model.library is not None:
        name = check_name(talker, name)
    fps = model.config.fps
    features = [talker.encoder.encode(one, one.frames(fps), fps) for one in speeches]
    pairs = [(one.frames, resample(moved, fps, len(one.frames))) for one, moved in zip(features, motions, strict=True)]
    tensors = {"voices": torch.from_numpy(np.stack([one.voice for one in features]))}
    if model.library is not None:
        voice = model.library.voice_feature(tensors["voices"].numpy())
        tensors["embedding"] = mixture(model.library, model.library.neighbours(voice)).clone()
    if getattr(model.config, "style_dim", 0):
        whole = Motion(*(np.concatenate([getattr(one, key) for _, one in pairs]) for key in ("coefficients", "head")))
        tensors["style"] = talker.style_encoder.encode(whole)
    base = Delta(name, talker.name, talker.fingerprints["checkpoint"], talker.fingerprints["encoder"], tensors)
    tuned = _tuned(model, tensors, pairs, steps or STEPS, seed, callback)
    embedding = {"embedding": tuned.pop("embedding")} if "embedding" in tuned else {}
    changed = {**tensors, **embedding, **compressed(tuned)}
    made = Delta(name, talker.name, base.checkpoint, base.encoder, changed)
    before, after = (_held_out_error(load_delta(talker, delta), delta, pairs, seed) for delta in (base, made))
    seconds = sum(one.seconds for one in speeches)
    held = sum(round(len(frames) * HELD_OUT) for frames, _ in pairs) / fps
    return Delta(name, talker.name, base.checkpoint, base.encoder, changed, seconds, held, before, after)


def check_recordings(speeches: Sequence[Speech], motions: Sequence[Motion]) -> None:
    """Raise TalkerError, with a sentence, for recordings that no model can be personalised on."""
    check_pairs(speeches, motions, f"and of {ADVISED_SECONDS:g} s to 100 s together")
    for speech, motion in zip(speeches, motions):
        if np.abs(speech.samples - speech.samples.mean()).max() < SILENCE_PEAK:
            raise TalkerError(f"{speech.name} is silent; give recordings of the person speaking.")
        if motion.coefficients[:, LIP_REGION].std(axis=0).max() < MOVES:
            raise TalkerError(f"The lips keep still in the motion of {speech.name}; give the motion of a face that speaks.")


def _tuned(
    model: MotionModel, tensors: dict[str, torch.Tensor], pairs: Sequence[tuple[np.ndarray, Motion]], steps: int, seed: int,
    callback: Callable[[str, float], None] | None,
) -> dict[str, torch.Tensor]:
    """The changes of all parameters but the identity library's, by name, and the person's embedding."""
    copied = trainable_copy(model)
    own = {name: parameter for name, parameter in copied.named_parameters() if not name.startswith("library.")}
    before = {name: parameter.detach().clone() for name, parameter in own.items()}
    groups = [{"params": list(own.values()), "lr": LEARNING_RATE}]
    embedding, style = tensors.get("embedding"), tensors.get("style")
    if embedding is not None:
        embedding = embedding.clone().requires_grad_(True)
        groups.append({"params": [embedding], "lr": EMBEDDING_RATE})
    dropping = torch.Generator().manual_seed(seed + 1)
    device = copied.motion_mean.device

    def difference(audio: torch.Tensor, clean: torch.Tensor, step: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        identity, spoken = (None if one is None else one.expand(len(clean), -1) for one in (embedding, style))
        condition, first = copied.crop_condition(audio, clean, identity, spoken)
        if "audio" in copied.guidances and torch.is_grad_enabled():  # while training, not when it is looked at
            condition = condition.without(audio=(torch.rand(len(clean), generator=dropping) < DROP).to(device))
        clean, step = clean[:, first:], step.to(device)
        x = copied.schedule.add_noise(clean, step, noise[:, first:].to(device))
        return copied(x, step, condition) - clean

    fine_tune(
        copied, groups, difference, references(copied, pairs, HELD_OUT), steps, BATCH, model.crop, model.velocity,
        clip_norm=CLIP_NORM, seed=seed, callback=callback,
    )  # fmt: skip
    changes = {name: (parameter.detach() - before[name]).cpu() for name, parameter in own.items()}
    return changes | ({} if embedding is None else {"embedding": embedding.detach().cpu()})


def compressed(changes: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Changes of parameters as the tensors of a Delta: matrices, and convolutions as matrices (out, rest), by their
    largest directions in 16 bits where that is smaller, the rest whole."""
    found = {}
    for name, change in changes.items():
        if change.ndim < 2 or not change.any():
            found[f"weights.{name}"] = change
            continue
        left, size, right = torch.linalg.svd(change.flatten(1).double(), full_matrices=False)
        share = (size**2).cumsum(0) / (size**2).sum()
        rank = min(int((share < ENERGY).sum()) + 1, MAX_RANK)
        if rank * (len(left) + right.shape[1]) >= change.numel():
            found[f"weights.{name}"] = change.half()
            continue
        root = size[:rank].sqrt()
        found[f"left.{name}"], found[f"right.{name}"] = (left[:, :rank] * root).half(), (root[:, None] * right[:rank]).half()
    return found


def read_delta(path: str | Path) -> Delta:
    """Read what Delta.save wrote. Raises TalkerError for a file that is missing, broken or of a later version."""
    path = Path(path)
    if not path.is_file():
        raise TalkerError(f"There is no file {path}; give the delta that `personalise` wrote.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["delta"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        if header.pop("version") > VERSION:
            raise TalkerError(f"The delta {path} is of a later version of Talker; update it, or personalise again.")
        delta = Delta(tensors=tensors, **header)
        if "voices" not in tensors or not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise ValueError("it holds values that are not numbers")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, TalkerError):
            raise
        raise TalkerError(f"The delta {path} cannot be read ({error}); personalise again.") from None
    return delta


def load_delta(talker: Talker, delta: Delta | str | Path) -> Talker:
    """The personalised talker: its weights with what was changed, and the person as the only identity or as its style.

    Raises TalkerError for a delta of another checkpoint or speech encoder, and for a file that cannot be read.
    """
    delta = delta if isinstance(delta, Delta) else read_delta(delta)
    for key, what in (("checkpoint", "checkpoint"), ("encoder", "speech encoder")):
        if talker.fingerprints[key] != getattr(delta, key):
            raise TalkerError(
                f"“{delta.name}” was personalised for another {what} ({delta.model}); choose that model, or personalise "
                f"{talker.name} anew."
            )
    personal = copy.copy(talker)
    personal.name = f"{talker.name}, personalised for {delta.name}"
    personal.person = delta.name
    personal.denoiser = copy.deepcopy(talker.denoiser)
    parameters = dict(personal.denoiser.named_parameters())
    with torch.no_grad():
        for key, tensor in delta.tensors.items():
            kind, _, name = key.partition(".")
            if kind in ("weights", "left") and name not in parameters:
                raise TalkerError(f"The delta “{delta.name}” changes {name}, which {talker.name} does not have; personalise again.")
            if kind == "weights":
                parameters[name] += tensor.to(parameters[name])
            elif kind == "left":
                change = tensor.float() @ delta.tensors[f"right.{name}"].float()
                parameters[name] += change.view_as(parameters[name]).to(parameters[name])
    personal.__dict__.pop("fingerprints", None)  # those of the model as it was
    if "style" in delta.tensors:
        personal.own_style = delta.tensors["style"].float().to(talker.device)
    if personal.denoiser.library is not None:
        voices, embedding = (delta.tensors[key].float().numpy() for key in ("voices", "embedding"))
        person = EnrolledIdentity(delta.name, voices, delta.encoder, embedding)
        personal.library = Identities(personal.denoiser.library, {delta.name: person}, delta.encoder).alone(delta.name)
    return personal


def _held_out_error(talker: Talker, delta: Delta, pairs: Sequence[tuple[np.ndarray, Motion]], seed: int) -> float:
    """Mean absolute difference of the lip region's coefficients between 4 takes and the recorded motion, on the held-out ends."""
    errors = []
    steps = min(talker.max_steps, STEPS_TO_COMPARE)
    embedding, style = (
        None if one is None else one.float().to(talker.device) for one in map(delta.tensors.get, ("embedding", "style"))
    )
    for frames, motion in pairs:
        held = round(len(frames) * HELD_OUT)
        first = max(0, len(frames) - held - LEAD_IN)
        coefficients, _ = talker.sample(frames[first:], embedding, 4, seed, steps, style=style)
        errors.append(np.abs(coefficients[:, -held:, LIP_REGION] - motion.coefficients[-held:, LIP_REGION]).mean())
    return float(np.mean(errors))
