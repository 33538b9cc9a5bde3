"""Rows of data as lines for people."""

from __future__ import annotations

from filedecryptor.vns.cli import table


def test_a_table() -> None:
    """The columns stand one below the other; what is not text is shown as JSON."""
    rows: list[dict[str, object]] = [
        {"name": "a", "size": 1200, "more": None},
        {"name": "\x1b[31m", "size": [1]},
    ]
    assert list(table(["name", "size"], rows)) == [
        "name      size",
        "a         1200",
        "\\x1b[31m  [1]",
    ]
    assert list(table([], [])) == [""]


def test_a_cell_that_cannot_be_written() -> None:
    """Three dots stand for it, and the others are shown."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert list(table(["a", "b"], [{"a": deep, "b": 1}]))[1] == "...  1"


def test_a_long_cell_is_repeated_in_no_other_line() -> None:
    """It is shown whole, and the other lines are not filled up to its length."""
    rows = [{"a": "x" * 1000, "b": 1}, {"a": "y", "b": 2}]
    assert list(table(["a", "b"], rows)) == [
        "a" + " " * 121 + "b",
        "x" * 1000 + "  1",
        "y" + " " * 121 + "2",
    ]
