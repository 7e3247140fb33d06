"""Bars and tables as text."""

from training.bars import Bar, bar_table, table


def test_a_bar_holds_on_its_limit_and_never_for_nan():
    assert Bar("closure", 0.18, "<=", 0.18).holds and not Bar("closure", 0.19, "<=", 0.18).holds
    assert Bar("rounding", 5.1, ">=", 5.0).holds and not Bar("rounding", 4.9, ">=", 5.0).holds
    assert not Bar("lag", float("nan"), "<=", 1.0).holds and not Bar("lag", float("nan"), ">=", 1.0).holds


def test_a_table_aligns_names_to_the_left_and_numbers_to_the_right():
    lines = table("title", ["measure", "ours"], [["a", 1.0], ["long name", 12.34], ["no value", None]]).splitlines()
    assert lines[:2] == ["title", "  measure     ours"]
    assert lines[2:] == ["  a          1.000", "  long name   12.3", "  no value       -"]


def test_a_table_of_bars_says_which_fail():
    entries = [Bar("closure", 0.2, "<=", 0.18).entry(), Bar("rounding", 6.0, ">=", 5.0).entry()]
    assert [entry["holds"] for entry in entries] == [False, True]
    lines = bar_table("bars", entries).splitlines()
    assert lines[2].endswith("<= 0.180  FAILS") and lines[3].endswith(">= 5.000  holds")
