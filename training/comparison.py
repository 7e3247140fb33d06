"""Comparison videos: a model's take beside the naive rival and the corpus's own motion, and sheets of close-ups of
the moments at which lips give a face away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from render.layout import LABEL, Patch
from render.renderer import Renderer
from render.rig import Rig
from render.video import encode, write_still
from talker.audio import SAMPLE_RATE, Speech
from talker.motion import FPS, Motion
from talker.pipeline import Talker
from training.alignment import SILENCE, Phone
from training.beat import Utterance
from training.loudness_jaw import loudness_jaw

VIDEO_SIZE = (960, 480)

MOMENTS = ("P", "B", "M", "F", "V", "W", "UW", "TH", "DH", SILENCE)
"""Phones whose middles a sheet shows, in this order."""

PER_PHONE = 2
"""Moments of each phone on one sheet at most, the longest ones."""

SHORTEST_PAUSE = 0.15
"""Seconds from which on a silence is a pause to look at."""

AROUND = (-2, -1, 0, 1, 2)
"""Frames shown about the one nearest to the middle of the phone."""

CLOSE_UP = (128, 104)
"""Pixels of one close-up of a mouth."""

BLOCKS_PER_ROW = 3

MOUTH_BOX = ((-0.038, -0.040, -0.05), (0.038, 0.022, 0.05))
"""What a close-up shows: metres about the middle of the lips' inner edge."""

PAPER, INK = (24, 27, 33), (235, 238, 242)


def lower_face(rig: Rig) -> Rig:
    """What lies within MOUTH_BOX of a rig's lips, as a rig of its own: a renderer shows it as large as it can."""
    lips = rig.vertices[np.concatenate([rig.landmarks["inner_lip_upper"], rig.landmarks["inner_lip_lower"]])]
    low, high = lips.mean(axis=0) + np.array(MOUTH_BOX, np.float32)
    inside = ((rig.vertices >= low) & (rig.vertices <= high)).all(axis=1)
    faces = rig.faces[inside[rig.faces].all(axis=1)]
    kept = np.unique(faces)
    place = np.full(len(rig.vertices), -1, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)

    def moved(groups: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: place[indices][place[indices] >= 0] for name, indices in groups.items()}

    return replace(
        rig, vertices=rig.vertices[kept], faces=place[faces], deltas=rig.deltas[:, kept], colors=rig.colors[kept],
        landmarks=moved(rig.landmarks), parts=moved(rig.parts), head_weight=rig.head_weight[kept],
        corrective_deltas=rig.corrective_deltas[:, kept], components=rig.components[:, kept],
    )  # fmt: skip


class _CloseUps(Renderer):
    """A renderer without captions and label: a sheet of many small pictures has them once."""

    def _patches(self, captions: Sequence[str]) -> list[Patch]:
        return []


def said(phones: Sequence[Phone], time: float, context: int = 3) -> str:
    """The phone at a time in brackets, with its neighbours: "DH AH [M] AE N"."""
    now = next((k for k, p in enumerate(phones) if time < p.end), len(phones) - 1)
    near = range(max(0, now - context), min(len(phones), now + context + 1))
    names = ["-" if phones[k].label == SILENCE else phones[k].label for k in near]
    return " ".join(f"[{name}]" if k == now else name for k, name in zip(near, names))


def moments(phones: Sequence[Phone]) -> list[Phone]:
    """The phones that a sheet shows: of each of MOMENTS the longest ones, in time order within it."""
    chosen = []
    for label in MOMENTS:
        shortest = SHORTEST_PAUSE if label == SILENCE else 0.0
        own = [p for p in phones if p.label == label and p.end - p.start >= shortest]
        longest = sorted(own, key=lambda p: p.start - p.end)[:PER_PHONE]
        chosen += sorted(longest, key=lambda p: p.start)
    return chosen


def _written(picture: np.ndarray, text: str, left: int, top: int, size: int) -> np.ndarray:
    """A picture with a line of text."""
    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((left, top), text, font=ImageFont.load_default(size), fill=INK)
    return np.asarray(image)


def video(
    rig: Rig, motions: Sequence[Motion], captions: Sequence[str], phones: Sequence[Phone], speech: Speech, path: Path
) -> None:
    """Heads side by side with sound, and above them the phones as they are said."""

    def pictures(renderer: Renderer) -> Iterator[np.ndarray]:
        for k, picture in enumerate(renderer.frames(motions)):
            yield _written(picture, said(phones, k / FPS), 12, 8, 22)

    with Renderer(rig, len(motions), *VIDEO_SIZE, captions=captions) as renderer:
        encode(pictures(renderer), speech.samples, SAMPLE_RATE, FPS, path, title=f"Talker: {speech.name}")


def sheet(rig: Rig, motions: Sequence[Motion], captions: Sequence[str], phones: Sequence[Phone]) -> np.ndarray:
    """Close-ups of the mouths about every one of `moments`: a block each, a row per motion, a column per frame."""
    wide, high = CLOSE_UP
    label = 18
    still = np.zeros((len(motions), 3), np.float32)
    blocks = []
    tall = round(high * 1.07)  # the band for captions is cut off below
    with _CloseUps(lower_face(rig), len(motions), wide * len(motions), tall) as renderer:
        for phone in moments(phones):
            middle = round((phone.start + phone.end) / 2 * FPS)
            rows = [min(max(middle + k, 0), len(motions[0].coefficients) - 1) for k in AROUND]
            pictures = [renderer.frame(np.stack([m.coefficients[row] for m in motions]), still)[:high] for row in rows]
            block = np.concatenate([
                np.concatenate([picture[:, k * wide : (k + 1) * wide] for picture in pictures], axis=1)
                for k in range(len(motions))
            ])  # fmt: skip
            head = np.tile(np.array(PAPER, np.uint8), (label, block.shape[1], 1))
            length = 1000 * (phone.end - phone.start)
            title = f"{said(phones, (phone.start + phone.end) / 2)}   {phone.start:.2f} s, {length:.0f} ms"
            blocks.append(np.concatenate([_written(head, title, 4, 2, 12), block]))
    if not blocks:
        return np.tile(np.array(PAPER, np.uint8), (label, wide * len(AROUND), 1))
    empty = np.tile(np.array(PAPER, np.uint8), (*blocks[0].shape[:2], 1))
    blocks += [empty] * (-len(blocks) % BLOCKS_PER_ROW)
    gap = np.tile(np.array(PAPER, np.uint8), (blocks[0].shape[0], 10, 1))
    lines = [
        np.concatenate([part for block in blocks[k : k + BLOCKS_PER_ROW] for part in (block, gap)], axis=1)
        for k in range(0, len(blocks), BLOCKS_PER_ROW)
    ]
    title = np.tile(np.array(PAPER, np.uint8), (26, lines[0].shape[1], 1))
    text = f"{LABEL}. Rows: {', '.join(captions)}. Columns: {len(AROUND)} frames at {FPS:g} per second around the phone's middle."
    return np.concatenate([_written(title, text, 6, 4, 14), *lines])


def compare(talker: Talker, utterances: Sequence[Utterance], rig: Rig, folder: Path, seed: int = 0) -> Iterator[Path]:
    """Write NAME.mp4 and NAME.png into a folder for every utterance; yields the paths of the videos.

    Shown are the model's first take, the loudness jaw and the corpus's own motion.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for utterance in utterances:
        speech, phones = utterance.speech(), utterance.phones()
        frames = speech.frames(FPS)
        take = talker.speak(speech, takes=1, seed=seed).motions[0]
        rival = Motion(loudness_jaw(speech.samples, frames), np.zeros((frames, 3), np.float32))
        motions = [take, rival, utterance.motion(FPS, frames)]
        captions = [talker.name, "loudness alone", "corpus's motion"]
        path = folder / f"{utterance.base}.mp4"
        video(rig, motions, captions, phones, speech, path)
        write_still(sheet(rig, motions, captions, phones), path.with_suffix(".png"))
        yield path
