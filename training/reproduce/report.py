"""The tables as text and as JSON: our numbers with the paper's own beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from talker.atomic import whole_file
from training.bars import Bar, bar_table

MISSING = "–"
"""Stands where a row has no number: the paper prints none, or the measure does not apply."""


@dataclass(frozen=True)
class Column:
    """One quantity of a table.

    key    : its name in a row, and in a row's "paper"
    title  : what the table calls it; a second line after "\\n"
    spec   : format of its numbers; texts are printed as they are
    scale  : what numbers are multiplied with in print only
    paper  : the paper prints it too, so that its value gets a column beside ours

    A row may hold half a confidence interval under "{key} ±"; it is then printed behind the number.
    """

    key: str
    title: str
    spec: str = ".4f"
    scale: float = 1
    paper: bool = False

    def cell(self, row: Mapping) -> str:
        """The row's number, with its interval where it has one, as the table prints it."""
        interval = row.get(f"{self.key} ±")
        text = self.text(row.get(self.key))
        return text if interval is None else f"{text} ± {self.text(interval)}"

    def text(self, value: object) -> str:
        """A value as the table prints it."""
        if value is None:
            return MISSING
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str):
            return value
        return format(value * self.scale, self.spec)


def format_table(title: str, legend: Sequence[str], columns: Sequence[Column], rows: Sequence[Mapping]) -> str:
    """A table as aligned text, ending in a line break.

    legend : lines under the title, which say what "ours" and "paper" are
    rows   : column key -> value each, with the paper's values under "paper" where it prints the row
    """
    height = max(column.title.count("\n") + 1 for column in columns)
    blocks = []  # one per column: its lines from heading to last row, all of one width
    for column in columns:
        heading = column.title.split("\n")
        heading = [""] * (height - len(heading)) + heading
        cells = [column.cell(row) for row in rows]
        align = str.ljust if all(isinstance(row.get(column.key), str | bool) for row in rows) else str.rjust
        if column.paper:
            beside = [column.cell(row.get("paper", {})) for row in rows]
            widths = [max(map(len, ["ours", *cells])), max(map(len, ["paper", *beside]))]
            pairs = zip(["ours", *cells], ["paper", *beside])
            cells = [f"{ours:>{widths[0]}}  {paper:>{widths[1]}}" for ours, paper in pairs]
        else:
            cells = ["", *cells]
        width = max(map(len, [*heading, *cells]))
        blocks.append([align(line, width) for line in [*heading, *cells]])
    lines = ["   ".join(parts).rstrip() for parts in zip(*blocks)]
    head = height + 1 if any(column.paper for column in columns) else height
    body = [line for line in (*lines[:head], "─" * max(map(len, lines)), *lines[height + 1 :])]
    return "\n".join([title, *legend, "", *body]) + "\n"


def write_report(folder: Path, target: str, text: str, content: dict, bars: Sequence[Bar] = ()) -> str:
    """Write {target}.txt and {target}.json into a folder, each whole or not at all, with bars below the table.

    Returns the text with the bars.
    """
    if bars:
        content = {**content, "bars": [bar.entry() for bar in bars]}
        text += "\n" + bar_table("bars", content["bars"]) + "\n"
    for suffix, body in ((".txt", text), (".json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")):
        with whole_file(folder / f"{target}{suffix}") as temporary:
            temporary.write_text(body, encoding="utf-8")
    return text
