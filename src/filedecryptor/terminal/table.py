"""Rows of data as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from filedecryptor.terminal.console import printable

WIDEST_COLUMN = 120
"""Characters that a column takes in every line; a longer cell lengthens its own line only."""


def table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Yield the lines of a table: the names of the columns, then a line for each row.

    Args:
        columns: The keys to show, in their order.
        rows: The values by key; a value that is not text is shown as JSON.
    """
    # Made twice rather than kept: cells are many times as large as what they are made from.
    widths = [0] * len(columns)
    for cells in _lines(columns, rows):
        sizes = (min(len(cell), WIDEST_COLUMN) for cell in cells)
        widths = list(map(max, widths, sizes))
    for cells in _lines(columns, rows):
        yield "  ".join(map(str.ljust, cells, widths)).rstrip()


def _lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[list[str]]:
    yield [printable(column) for column in columns]
    for row in rows:
        yield [printable(_cell(row.get(column))) for column in columns]


def _cell(value: object) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except RecursionError:  # reading allows for a little more depth than writing
        return "..."
