"""Names of blend shapes: which of the 52 ARKit shapes a file means, in any of the usual spellings.

Programs write one shape as jawOpen, JawOpen, jaw_open, blendShape1.jawOpen or A25_Jaw_Open, and a side as Left,
_L or L. ICT-FaceKit splits browInnerUp and cheekPuff in two. All of that is read here, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from talker.motion import ARKIT_NAMES

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|\d+")
_PATH = re.compile(r".*[.:|/]")
"""What programs put before a name: a deformer, a name space, a place in the scene."""

_SIDES = ("left", "right")


def _spellings() -> dict[str, str]:
    """Letters of every spelling, in lower case and without separators -> ARKit name."""
    table = {}
    for name in ARKIT_NAMES:
        plain = name.lower()
        table[plain] = name
        side = next((side for side in _SIDES if plain.endswith(side)), None)
        if side:
            table[plain.removesuffix(side) + side[0]] = name
    for name in ("browInnerUp", "cheekPuff"):
        table |= {name.lower() + ending: name for side in _SIDES for ending in (side, side[0])}
    return table


_SPELLINGS = _spellings()


def arkit_name(label: str) -> str | None:
    """The ARKit name that a label means, or None.

    Words in front of it are ignored ("Face_jawOpen", "A25_Jaw_Open") unless they are a shape themselves:
    "jawOpen_mouthClose" is a corrective for two shapes, and neither of them.
    """
    words = [word.lower() for word in _WORD.findall(_PATH.sub("", label.strip()))]
    for start in range(len(words)):
        name = _SPELLINGS.get("".join(words[start:]))
        if name:
            return None if _any_shape(words[:start]) else name
    return None


def arkit_shapes(labels: Iterable[str]) -> dict[str, str]:
    """The labels of one mesh that mean ARKit shapes -> their ARKit names, each shape once.

    Of two spellings of one shape the first counts. Halves of browInnerUp and cheekPuff, whose movements add up, get
    _L or _R behind the name; they do not count beside a whole one.
    """
    named = [(label, name) for label in labels if (name := arkit_name(label))]
    found: dict[str, str] = {}
    for label, name in named:
        found.setdefault(name + _half(label, name), label)
    return {label: shape for shape, label in found.items() if shape in ARKIT_NAMES or shape[:-2] not in found}


def _half(label: str, name: str) -> str:
    """"_L" or "_R" where a label is one half of a shape that ARKit has as a whole."""
    if any(name.endswith(side.capitalize()) for side in _SIDES):
        return ""
    last = _WORD.findall(label)[-1].lower()
    return f"_{last[0].upper()}" if last in ("l", "r", *_SIDES) else ""


def _any_shape(words: list[str]) -> bool:
    return any("".join(words[i:j]) in _SPELLINGS for i in range(len(words)) for j in range(i + 1, len(words) + 1))


def shortened(names: Iterable[str], shown: int = 12) -> str:
    """A list of names for one sentence: the first of them, each cut to 32 characters, and how many more."""
    names = [name if len(name) <= 32 else f"{name[:31]}…" for name in (" ".join(str(n).split()) for n in names)]
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
