"""Files of keyframes: JSON with keyframes and locks, or a CSV of keyframes alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from talker.editing import Keyframe, Lock
from talker.errors import TalkerError


def read_edit(path: str | Path) -> tuple[list[Keyframe], list[Lock]]:
    """Keyframes and locks of a file, not yet checked against a clip (talker.editing.plan_edit does).

    JSON : {"keyframes": [{"time": 1.2, "coefficients": {"jawOpen": 0.6}}, …],
            "locks": [{"region": "lips", "start": 0.5, "end": 1.5}, …]}, times in seconds; either list may
           be left out, and a lock's region may be a list of regions and shapes
    CSV  : a column `time` and one for each shape that keyframes set; an empty cell sets nothing
    Raises TalkerError when the file is missing or says something else.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise TalkerError(f"The keyframes {path.name} cannot be read; give a JSON or CSV file.") from None
    try:
        return _from_csv(text) if path.suffix.lower() == ".csv" else _from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TalkerError(
            f"{path.name} holds no keyframes as docs/editing.md describes them ({type(error).__name__}: {error}); correct it."
        ) from None


def _from_json(text: str) -> tuple[list[Keyframe], list[Lock]]:
    content = json.loads(text)
    if unknown := set(content) - {"keyframes", "locks"}:
        raise ValueError(f"it has {', '.join(sorted(unknown))} beside keyframes and locks")
    keyframes = [
        Keyframe(float(one["time"]), {str(name): float(value) for name, value in one["coefficients"].items()})
        for one in content.get("keyframes", [])
    ]
    locks = [Lock(_names(one["region"]), float(one["start"]), float(one["end"])) for one in content.get("locks", [])]
    return keyframes, locks


def _names(region: object) -> str | list[str]:
    """A name or a list of names. ValueError for anything else."""
    if not isinstance(region, str) and not (isinstance(region, list) and all(isinstance(name, str) for name in region)):
        raise ValueError(f"a region is a name or a list of names, not {region}")
    return region


def _from_csv(text: str) -> tuple[list[Keyframe], list[Lock]]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if "time" not in (rows.fieldnames or []):
        raise ValueError("it has no column time")
    keyframes = []
    for row in rows:
        if None in row or None in row.values():
            raise ValueError(f"line {rows.line_num} has another number of cells than the first")
        keyframes.append(
            Keyframe(float(row.pop("time")), {name.strip(): float(value) for name, value in row.items() if value.strip()})
        )
    return keyframes, []
