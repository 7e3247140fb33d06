"""Contact sheets of a head: its views, every shape at full weight, and what speech makes of them."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from render.rig import Rig
from talker.motion import ARKIT_INDEX, ARKIT_NAMES

EXPRESSIONS = {
    "AA": {"jawOpen": 0.6, "mouthStretch": 0.1},
    "EE": {"jawOpen": 0.18, "mouthStretch": 0.5, "mouthSmile": 0.3, "mouthUpperUp": 0.15, "mouthLowerDown": 0.3},
    "OO": {"jawOpen": 0.25, "mouthFunnel": 0.5, "mouthPucker": 0.5},
    "FV": {"jawOpen": 0.08, "mouthRollLower": 0.6, "mouthUpperUp": 0.3, "mouthShrugLower": 0.4},
    "M": {"jawOpen": 0.15, "mouthClose": 0.15, "mouthPress": 0.2},
    "laugh": {"mouthSmile": 1.0, "jawOpen": 0.3, "eyeSquint": 0.5, "mouthUpperUp": 0.2},
    "angry": {"browDown": 1.0, "mouthFrown": 0.6, "noseSneer": 0.4, "eyeSquint": 0.3},
    "surprise": {"browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 1.0, "jawOpen": 0.4},
    "sad": {"browInnerUp": 1.0, "mouthFrown": 0.8, "eyeLookDown": 0.4},
    "whistle": {"mouthPucker": 1.0, "mouthFunnel": 0.3, "browOuterUp": 0.4},
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.7, "mouthSmileLeft": 0.6, "browDownLeft": 0.3},
    "doubt": {"browDownRight": 0.8, "browOuterUpLeft": 1.0, "mouthPress": 0.6, "mouthLeft": 0.3},
}
"""Coefficients by ARKit name; a name without Left or Right means both."""

COMBINATIONS = {
    "blink .5": {"eyeBlink": 0.5},
    "blink, look down": {"eyeBlink": 1.0, "eyeLookDown": 1.0},
    "closed, jaw .5": {"jawOpen": 0.5, "mouthClose": 0.5},
    "funnel, jaw .6": {"mouthFunnel": 1.0, "jawOpen": 0.6},
    "pucker, jaw .6": {"mouthPucker": 1.0, "jawOpen": 0.6},
    "smile, jaw .6": {"mouthSmile": 1.0, "jawOpen": 0.6},
    "tongue, jaw .4": {"tongueOut": 1.0, "jawOpen": 0.4},
}
"""What correctives are for, as EXPRESSIONS."""

CAPTION_HEIGHT = 18
SHOWN = 1.22
"""Height of a picture as drawn over that of its cell, from which neck and shoulders are cut off."""


def coefficients(**weights: float) -> np.ndarray:
    """Coefficients (52,) float32 from names; `mouthSmile=1` sets both sides."""
    row = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, weight in weights.items():
        for full in [name] if name in ARKIT_INDEX else [name + "Left", name + "Right"]:
            row[ARKIT_INDEX[full]] = weight
    return row


def without_clothes(rig: Rig) -> Rig:
    """The rig's head and neck alone, which turn as one piece: they fill a small picture better."""
    keep = np.ones(len(rig.vertices), bool)
    keep[rig.parts.get("clothes", np.zeros(0, int))] = False
    number = np.cumsum(keep) - 1
    chosen = {name: number[index[keep[index]]].astype(np.int32) for name, index in rig.parts.items()}
    return Rig(
        vertices=rig.vertices[keep], faces=number[rig.faces[keep[rig.faces].all(1)]].astype(np.int32),
        deltas=rig.deltas[:, keep], colors=rig.colors[keep], pivot=rig.pivot,
        landmarks={name: number[index].astype(np.int32) for name, index in rig.landmarks.items()},
        parts={name: index for name, index in chosen.items() if len(index)}, name=rig.name,
        correctives=rig.correctives, corrective_deltas=rig.corrective_deltas[:, keep],
    )


def sheet(rig: Rig, rows: list[tuple[str, np.ndarray]], columns: int = 9, cell: tuple[int, int] = (160, 200), turn: float = 0.0):
    """Picture (h, w, 3) uint8 of captioned poses [(caption, coefficients (52,))]; turn is the heads' yaw in radians."""
    from render.renderer import Renderer

    strips, font = [], ImageFont.load_default(size=12)
    rows = rows + [("", coefficients())] * (-len(rows) % columns)
    head = np.tile(np.float32([turn, 0, 0]), (columns, 1))
    drawn = round(SHOWN * cell[1])
    with Renderer(without_clothes(rig), columns, cell[0] * columns, drawn, captions=[""] * columns, fine=True) as renderer:
        for start in range(0, len(rows), columns):
            names, poses = zip(*rows[start : start + columns], strict=True)
            strip = Image.new("RGB", (cell[0] * columns, cell[1] + CAPTION_HEIGHT), (20, 22, 26))
            strip.paste(Image.fromarray(renderer.frame(np.stack(poses), head)[: cell[1]]), (0, CAPTION_HEIGHT))
            for k, name in enumerate(names):
                middle = (k * cell[0] + cell[0] // 2, CAPTION_HEIGHT // 2)
                ImageDraw.Draw(strip).text(middle, name, (225, 228, 232), font, anchor="mm")
            strips.append(np.asarray(strip))
    return np.concatenate(strips)


def write_sheet(rig: Rig, path: str | Path) -> None:
    """Write the contact sheet of all 52 shapes at weight 1, of EXPRESSIONS and of COMBINATIONS as a PNG.

    mouthClose is shown over the open jaw that it is for; without one it does nothing.
    """
    rows = [("neutral", coefficients())]
    rows += [(name, coefficients(**{name: 1.0, **({"jawOpen": 1.0} if name == "mouthClose" else {})})) for name in ARKIT_NAMES]
    rows += [(name, coefficients(**weights)) for name, weights in {**EXPRESSIONS, **COMBINATIONS}.items()]
    _write(sheet(rig, rows), path)


def write_portrait(rigs: list[Rig], path: str | Path, cell: tuple[int, int] = (340, 440)) -> None:
    """Write neutral heads from three sides, a row each, as a PNG."""
    from render.renderer import Renderer

    turns = {"front": 0.0, "three quarters": -0.6, "profile": -1.5}
    heads = np.zeros((3, 3), np.float32)
    heads[:, 0] = list(turns.values())
    rows = []
    for rig in rigs:
        rig = dataclasses.replace(rig, head_weight=None)  # the view goes round the bust, no head looks over its shoulder
        captions = [f"{rig.name}, {turn}" for turn in turns]
        with Renderer(rig, 3, 3 * cell[0], cell[1], captions=captions, fine=True) as renderer:
            rows.append(renderer.frame(np.stack([coefficients()] * 3), heads))
    _write(np.concatenate(rows), path)


def _write(picture: np.ndarray, path: str | Path) -> None:
    """Write a PNG whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".png")
    os.close(handle)
    try:
        Image.fromarray(picture).save(temporary, optimize=True)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
