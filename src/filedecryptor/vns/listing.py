"""The list of recordings. Its JSON is not documented, so several shapes are understood."""

from __future__ import annotations

import json

from filedecryptor.errors import ApiError

SHOWN = 120
"""Characters of an answer that an error shows."""

MOST_COLUMNS = 50
"""Columns of a table. One for each entry would make it grow with the square of the answer."""


def parse(data: bytes) -> list[str]:
    """Return the GUIDs in a list, each once, as they are written there.

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


def table(data: bytes) -> tuple[list[str], list[dict[str, object]]]:
    """Return the list as the columns and the rows of a table.

    Raises:
        ApiError: The list is not understood.
    """
    entries = [entry for entry in _array(data) if entry is not None]
    rows = [entry if isinstance(entry, dict) else {"sessionGuid": entry} for entry in entries]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if len(columns) > MOST_COLUMNS:
        raise _not_understood(data)
    return columns, rows


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
