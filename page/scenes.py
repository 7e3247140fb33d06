"""Scenes: motions with their speech that a visitor made or gave, to be edited further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from talker.audio import Speech, load_speech
from talker.errors import TalkerError
from talker.formats import read_motion
from talker.motion import FPS, Motion, check_lengths, resample
from talker.takes import Takes, load_takes

MOTION_FILES = [".csv", ".json", ".npz"]
"""What talker.formats reads: Live Link Face, BEAT, Talker's own."""


@dataclass(frozen=True)
class Scene:
    """A motion, at the frame rate of the model that made it or at FPS, as long as its speech, and the speech."""

    motion: Motion
    speech: Speech


def speech_of(audio: str | None) -> Speech:
    """The recording on the page."""
    if audio is None:
        raise TalkerError("There is no speech yet; record some, upload a file or choose an example.")
    return load_speech(audio)


def with_takes(scenes: Mapping[str, Scene], takes: Takes, speech: Speech) -> dict[str, Scene]:
    """The takes first, in place of those of an earlier run; what was uploaded or edited stays."""
    made = {f"Take {i + 1}": Scene(motion, speech) for i, motion in enumerate(takes.motions)}
    return made | {name: scene for name, scene in scenes.items() if not name.startswith("Take ")}


def with_edit(scenes: Mapping[str, Scene], motion: Motion, speech: Speech) -> tuple[str, dict[str, Scene]]:
    """The name that a regenerated motion gets, and the scenes with it."""
    name = f"Edit {1 + sum(name.startswith('Edit ') for name in scenes)}"
    return name, {**scenes, name: Scene(motion, speech)}


def uploaded(motion: str | None, audio: str | None) -> dict[str, Scene]:
    """The scenes of a motion file and its recording, by name: several takes of an npz are several. Raises TalkerError
    when one is missing or cannot be read, and when they differ in length."""
    if motion is None:
        raise TalkerError("There is no motion yet; upload a Live Link Face CSV, a BEAT JSON or Talker's npz.")
    if audio is None:
        raise TalkerError("There is no speech to this motion yet; upload the recording that belongs to it.")
    label, speech = Path(motion).name, load_speech(audio)
    motions = load_takes(motion).motions if label.lower().endswith(".npz") else [read_motion(motion)]
    check_lengths(motions[0], speech.seconds, label)
    names = [label] if len(motions) == 1 else [f"{label}, take {i + 1}" for i in range(len(motions))]
    whole = (resample(one, FPS, speech.frames(FPS)) for one in motions)
    return {name: Scene(one, speech) for name, one in zip(names, whole, strict=True)}
