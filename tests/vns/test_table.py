"""Rows of data as lines for people."""

from __future__ import annotations

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")

from filedecryptor.vns.cli import table


def test_a_table() -> None:
    """The columns stand one below the other; what is not text is shown as JSON, or as three dots."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    rows: list[dict[str, object]] = [
        {"name": "a", "size": 1200, "more": None},
        {"name": "\x1b[31m", "size": [1]},
        {"name": deep, "size": 1},
    ]
    shown = ["name      size", "a         1200", "\\x1b[31m  [1]", "...       1"]
    assert list(table(["name", "size"], rows)) == shown
    assert list(table([], [])) == [""]


def test_a_long_cell_is_repeated_in_no_other_line() -> None:
    """It is shown whole, and the other lines are not filled up to its length."""
    lines = table(["a", "b"], [{"a": "x" * 1000, "b": 1}, {"a": "y", "b": 2}])
    blanks = " " * 121
    assert list(lines) == [f"a{blanks}b", "x" * 1000 + "  1", f"y{blanks}2"]
