"""Training data as features that are computed once, and batches that depend on (seed, step) alone."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from talker.atomic import whole_file
from talker.errors import TalkerError
from talker.motion import ARKIT_NAMES, FLAME_NAMES, HEAD_NAMES
from training.recipe import Recipe


def motion_channels(recipe: Recipe, cache: FeatureCache) -> list[str]:
    """Names of the channels that a recipe models of a split's motion. TalkerError where one is in FLAME's terms and the
    other in ARKit's."""
    if bool(recipe.flame) != (cache.shapes is not None):
        has, wants = ("FLAME's", "ARKit's") if cache.shapes is not None else ("ARKit's", "FLAME's")
        raise TalkerError(
            f"The features hold motion in {has} terms, and the recipe asks for {wants}; give other features, or set flame to "
            "the path of your FLAME file, or to nothing."
        )
    return [*(FLAME_NAMES if recipe.flame else ARKIT_NAMES), *(HEAD_NAMES if recipe.head else ())]


@dataclass(frozen=True)
class CachedUtterance:
    """One utterance of a split, encoded.

    name, speaker : strings; motion : (T, C) coefficients then head, at the models' frame rate
    frames        : V arrays (T, D), the features of the speech and of augmented copies of it
    voices        : V arrays (E,), the voice of each of them
    shape         : (100,) FLAME's β of the face, for motion in FLAME's terms
    """

    name: str
    speaker: str
    motion: np.ndarray
    frames: list[np.ndarray]
    voices: list[np.ndarray]
    shape: np.ndarray | None = None


@dataclass(frozen=True)
class Batch:
    """One training batch, or one process's share of it.

    audio (B, T, D), motion (B, T, C) raw, voice (B, E), speaker (B,) rows of the library or -1,
    weight (B, T) and pair_weight (B, T - 1): 0 in padding, mean 1 over the global batch,
    uniform (B,) in [0, 1) to draw the diffusion step from, noise (B, T, C), shape (B, 100) of FLAME's faces or None.
    """

    audio: torch.Tensor
    motion: torch.Tensor
    voice: torch.Tensor
    speaker: torch.Tensor
    weight: torch.Tensor
    pair_weight: torch.Tensor
    uniform: torch.Tensor
    noise: torch.Tensor
    shape: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Batch(**{name: None if value is None else value.to(device) for name, value in values.items()})


def write_feature_cache(path: str | Path, utterances: Iterable[CachedUtterance], notes: dict | None = None) -> Path:
    """Write one split's features, voices and motion into one safetensors file, whole or not at all.

    Features are kept as float16. notes : what else a reader should know (encoder, corpus), JSON.
    """
    names, speakers, motion, frames, voices, owner, shapes = [], [], [], [], [], [], []
    for index, utterance in enumerate(utterances):
        length = len(utterance.motion)
        if any(len(f) != length for f in utterance.frames):
            raise TalkerError(f"The features of {utterance.name} are not as long as its motion; encode it again.")
        if not np.isfinite(utterance.motion).all():
            raise TalkerError(f"The motion of {utterance.name} holds numbers that are not finite; make it again.")
        names.append(utterance.name)
        speakers.append(utterance.speaker)
        motion.append(torch.from_numpy(np.asarray(utterance.motion, dtype=np.float32)))
        if utterance.shape is not None:
            shapes.append(torch.from_numpy(np.asarray(utterance.shape, dtype=np.float32)))
        for one, voice in zip(utterance.frames, utterance.voices, strict=True):
            frames.append(torch.from_numpy(np.asarray(one, dtype=np.float16)))
            voices.append(torch.from_numpy(np.asarray(voice, dtype=np.float32)))
            owner.append(index)
    if not names:
        raise TalkerError(
            "The corpus holds no utterance that can be used; mend the files that are left aside, or make a corpus "
            "with `python -m training corpus`."
        )
    tensors = {
        "motion": torch.cat(motion),
        "motion_lengths": torch.tensor([len(m) for m in motion]),
        "frames": torch.cat(frames),
        "voices": torch.stack(voices),
        "owner": torch.tensor(owner),
        **({"shapes": torch.stack(shapes)} if shapes else {}),
    }
    # One entry, because safetensors writes several in no fixed order and the same input should give the same file.
    header = json.dumps({"names": names, "speakers": speakers, "notes": notes or {}})
    with whole_file(path) as temporary:
        save_file(tensors, temporary, metadata={"utterances": header})
    return Path(path)


@dataclass
class FeatureCache:
    """One split, memory-mapped: utterances with one or more feature variants each.

    motion (F, C), motion_start (U + 1,), frames (G, D), frames_start (R + 1,), voices (R, E),
    owner (R,) utterance of a variant, speakers: U strings, shapes (U, 100) of FLAME's faces or None.
    """

    names: list[str]
    speakers: list[str]
    notes: dict
    motion: torch.Tensor
    motion_start: np.ndarray
    frames: torch.Tensor
    frames_start: np.ndarray
    voices: torch.Tensor
    owner: np.ndarray
    shapes: torch.Tensor | None = None
    rows: np.ndarray = field(init=False)

    def __post_init__(self):
        self.variants = [np.flatnonzero(self.owner == u) for u in range(len(self.names))]
        self.lengths = np.diff(self.motion_start)
        self.rows = np.full(len(self.names), -1, dtype=np.int64)

    @classmethod
    def load(cls, path: str | Path) -> "FeatureCache":
        """Open a file of write_feature_cache. Raises TalkerError when it is missing or broken."""
        try:
            tensors = load_file(path)
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})["utterances"])
            lengths, owner = tensors["motion_lengths"].numpy(), tensors["owner"].numpy()
        except FileNotFoundError:
            raise TalkerError(f"There are no features at {path}; give --corpus to compute them.") from None
        except (SafetensorError, OSError, KeyError) as error:
            raise TalkerError(f"The features {path} are broken ({error}); delete the file and compute them again.") from None
        return cls(
            names=header["names"],
            speakers=header["speakers"],
            notes=header["notes"],
            motion=tensors["motion"],
            motion_start=np.concatenate([[0], np.cumsum(lengths)]),
            frames=tensors["frames"],
            frames_start=np.concatenate([[0], np.cumsum(lengths[owner])]),
            voices=tensors["voices"],
            owner=owner,
            shapes=tensors.get("shapes"),
        )

    def without(self, speakers: Sequence[str]) -> "FeatureCache":
        """The split without some speakers; their numbers stay in the tensors, and count in statistics alone.

        Raises TalkerError when nobody is left.
        """
        kept = np.array([speaker not in speakers for speaker in self.speakers])
        if not kept.any():
            raise TalkerError(f"Without {', '.join(speakers)} nobody is left to train on; leave fewer of them out.")
        found = copy.copy(self)
        utterances, variants = np.flatnonzero(kept), kept[self.owner]
        found.names, found.speakers = ([values[u] for u in utterances] for values in (self.names, self.speakers))
        found.motion_start, found.lengths = self.motion_start[:-1][kept], self.lengths[kept]
        found.frames_start, found.voices = self.frames_start[:-1][variants], self.voices[torch.from_numpy(variants)]
        found.owner = (np.cumsum(kept) - 1)[self.owner[variants]]
        found.variants = [np.flatnonzero(found.owner == u) for u in range(len(utterances))]
        found.rows = np.full(len(utterances), -1, dtype=np.int64)
        found.shapes = None if self.shapes is None else self.shapes[torch.from_numpy(utterances)]
        return found

    @property
    def seconds(self) -> float:
        """Length of all utterances at 30 fps, variants not counted."""
        return float(self.lengths.sum()) / 30.0

    def set_library(self, names: list[str]) -> None:
        """Number the speakers by the rows of an identity library; others get -1."""
        index = {name: row for row, name in enumerate(names)}
        self.rows = np.array([index.get(speaker, -1) for speaker in self.speakers], dtype=np.int64)

    def motion_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, std) of the motion's channels."""
        motion = self.motion.numpy().astype(np.float64)
        return motion.mean(axis=0), motion.std(axis=0)

    def audio_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, std) of the features' dimensions."""
        total, squares = np.zeros(self.frames.shape[1]), np.zeros(self.frames.shape[1])
        for start in range(0, len(self.frames), 65536):
            part = self.frames[start : start + 65536].double().numpy()
            total += part.sum(axis=0)
            squares += (part**2).sum(axis=0)
        mean = total / len(self.frames)
        std = np.sqrt(np.maximum(squares / len(self.frames) - mean**2, 0))
        return mean, std

    def batch(
        self,
        step: int,
        seed: int,
        size: int,
        crop: tuple[int, int],
        channels: int | None = None,
        noise_channels: int | None = None,
        rank: int = 0,
        world: int = 1,
        clean_share: float = 0.5,
    ) -> Batch:
        """The batch of a training step: `size` random crops, a pure function of (seed, step).

        All processes draw the same crops, noise and steps and keep their share, so that any number
        of processes trains on the same global batch, and a resumed run on the same batches. The
        crop's length is drawn from crop (both ends included) once a batch; utterances are drawn by
        their length; shorter ones are padded by their last frame with weight 0. Features are those of the recording
        itself in `clean_share` of the crops, and of one of its augmented copies in the others.
        channels : the motion's first so many; noise_channels : of the noise, as many unless given
        """
        if size % world:
            raise TalkerError(f"A batch of {size} cannot be shared by {world} processes; make batch_size a multiple.")
        rng = np.random.default_rng([seed, step])
        length = int(rng.integers(crop[0], crop[1] + 1))
        utterances = rng.choice(len(self.names), size=size, p=self.lengths / self.lengths.sum())
        used = np.minimum(self.lengths[utterances], length)
        starts = rng.integers(0, self.lengths[utterances] - used + 1)
        picks = rng.random(size)
        uniform = torch.from_numpy(rng.random(size))
        channels = self.motion.shape[1] if channels is None else channels
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(size, length, noise_channels or channels, generator=generator)

        valid = torch.from_numpy(np.arange(length)[None] < used[:, None]).float()
        weight, pair_weight = valid / valid.mean(), valid[:, 1:] / valid[:, 1:].mean()
        share = slice(rank * size // world, (rank + 1) * size // world)
        audio, motion, voice = [], [], []
        for u, start, count, pick in zip(utterances[share], starts[share], used[share], picks[share]):
            clean, *noisy = self.variants[u]
            variant = clean
            if noisy and pick >= clean_share:
                variant = noisy[int((pick - clean_share) / (1 - clean_share) * len(noisy))]
            index = start + np.minimum(np.arange(length), count - 1)
            audio.append(self.frames[self.frames_start[variant] + index])
            motion.append(self.motion[self.motion_start[u] + index, :channels])
            voice.append(self.voices[variant])
        return Batch(
            audio=torch.stack(audio).float(),
            motion=torch.stack(motion),
            voice=torch.stack(voice),
            speaker=torch.from_numpy(self.rows[utterances[share]]),
            weight=weight[share],
            pair_weight=pair_weight[share],
            uniform=uniform[share],
            noise=noise[share],
            shape=None if self.shapes is None else self.shapes[torch.from_numpy(utterances[share])],
        )
