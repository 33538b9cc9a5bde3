"""What the API lists. The shape of its JSON is not documented, so several are understood."""

from __future__ import annotations

import json
from collections.abc import Iterator

from filedecryptor.errors import ApiError
from filedecryptor.report import printable

SHOWN = 120
"""Characters of an answer that an error shows."""

MOST_COLUMNS = 50
"""Columns of a table. One for each entry would make it grow with the square of the answer."""

WIDEST_COLUMN = 120
"""Characters that a column takes in every line; a longer cell lengthens its own line only."""


def parse(data: bytes) -> list[str]:
    """Return what the API names as GUIDs, each once. They are not checked yet.

    The list is an array, or an object that holds one array, of strings or of objects with a
    `sessionGuid` in any capitalisation. Nulls are passed over.

    Raises:
        ApiError: It is something else.
    """
    entries = [entry for entry in _array(data) if entry is not None]
    found = [_session_guid(entry) for entry in entries]
    if found and not any(found):
        raise _not_understood(data)
    names = (guid or _as_json(entry) for guid, entry in zip(found, entries, strict=True))
    return list(dict.fromkeys(names))


def table(data: bytes) -> Iterator[str]:
    """Yield the lines of a table that shows the list to people.

    Raises:
        ApiError: The list is not understood.
    """
    entries = [entry for entry in _array(data) if entry is not None]
    rows = [entry if isinstance(entry, dict) else {"sessionGuid": entry} for entry in entries]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if len(columns) > MOST_COLUMNS:
        raise _not_understood(data)
    # Made twice rather than kept: cells are many times as large as what they are made from.
    widths = [0] * len(columns)
    for cells in _lines(columns, rows):
        sizes = (min(len(cell), WIDEST_COLUMN) for cell in cells)
        widths = list(map(max, widths, sizes))
    for cells in _lines(columns, rows):
        yield "  ".join(map(str.ljust, cells, widths)).rstrip()


def _lines(columns: list[str], rows: list[dict[str, object]]) -> Iterator[list[str]]:
    yield [printable(column) for column in columns]
    for row in rows:
        yield [printable(_cell(row.get(column))) for column in columns]


def _array(data: bytes) -> list[object]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise _not_understood(data) from None
    if isinstance(found, dict):
        arrays = [value for value in found.values() if isinstance(value, list)]
        found = arrays[0] if len(arrays) == 1 else None
    if not isinstance(found, list):
        raise _not_understood(data)
    return found


def _session_guid(entry: object) -> str | None:
    if isinstance(entry, dict):
        named = [value for key, value in entry.items() if key.lower() == "sessionguid"]
        entry = named[0] if named else None
    return entry if isinstance(entry, str) else None


def _cell(value: object) -> str:
    return value if isinstance(value, str) else _as_json(value)


def _as_json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:  # reading allows for a little more depth than writing
        return "..."


def _not_understood(data: bytes) -> ApiError:
    beginning = " ".join(data[:SHOWN].decode("utf-8", "replace").split())
    return ApiError(
        f"the list of recordings is not understood; it begins: {beginning}",
        hint="recordings can be fetched one by one: vns-recordings download GUID",
    )
