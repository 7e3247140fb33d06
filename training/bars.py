"""Bars: a measured value beside the limit that it has to keep, and tables of both as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Bar:
    """One value and its limit. NaN never holds.

    measure : what was measured, in words
    value   : what came out
    sense   : "<=" or ">="
    limit   : what it has to keep
    """

    measure: str
    value: float
    sense: str
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the value keeps the limit."""
        return self.value <= self.limit if self.sense == "<=" else self.value >= self.limit

    def row(self) -> list[str]:
        """Its cells in a table: measure, value, limit, verdict."""
        return [self.measure, number(self.value), f"{self.sense} {number(self.limit)}", "holds" if self.holds else "FAILS"]

    def entry(self) -> dict:
        """The same as JSON."""
        return asdict(self) | {"holds": self.holds}


def ratio(value: float, of: float) -> float:
    """value / of; NaN, which holds no bar, where there is nothing to divide by."""
    return value / of if of else float("nan")


def number(value: float | str | None) -> str:
    """A cell of a table: three digits that mean something; words stay as they are, and nothing is a dash."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 0.02 else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[float | str | None]]) -> str:
    """Aligned columns under a title: the first to the left, the others to the right."""
    cells = [list(head), *([number(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths))) for row in cells]
    return "\n".join([title, *("  " + line.rstrip() for line in lines)])


def bar_table(title: str, bars: Sequence[dict]) -> str:
    """The bars of a report, as Bar.entry gives them, one a line."""
    named = [Bar(*(bar[key] for key in ("measure", "value", "sense", "limit"))) for bar in bars]
    return table(title, ["bar", "value", "limit", ""], [bar.row() for bar in named])
