"""Lists of recordings, understood or not."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("requests", reason="the extra vns is not installed")
pytest.importorskip("filelock", reason="the extra vns is not installed")
from support.api_server import Server
from support.recordings import AUDIO
from support.vns import ONE, stored, vns

from filedecryptor.errors import ApiError
from filedecryptor.vns import listing


@pytest.mark.parametrize(
    "body",
    [
        f'["{ONE}"]',
        f'[{{"sessionGuid": "{ONE}"}}]',
        f'[{{"SESSIONGUID": "{ONE.upper()}", "x": [1]}}]',
        f'{{"recordings": [{{"SessionGuid": "{{{ONE}}}"}}], "total": 1}}',
        f'[null, "{ONE}", null, "{ONE}", {{"sessionGuid": "{ONE.upper()}"}}]',
    ],
)
def test_lists_that_are_understood(api: Server, tmp_path: Path, body: str) -> None:
    """Bare or wrapped, strings or objects, with nulls and duplicates: one recording."""
    api.list_body = body.encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())


@pytest.mark.parametrize(
    "body", ["", "<html>no", "{}", '{"a": [], "b": []}', "3", '[{"id": 1}]', "[" * 100_000, "[[]]"]
)
def test_lists_that_are_not_understood(api: Server, tmp_path: Path, body: str) -> None:
    """The beginning of what came is shown, and the way around."""
    api.list_body = body.encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    beginning = f"error: the list of recordings is not understood; it begins: {body[:50]}"
    assert result.stderr.startswith(beginning.rstrip())
    assert "vns-recordings download GUID" in result.stderr
    assert stored(tmp_path) == {}


def test_an_empty_list(api: Server, tmp_path: Path) -> None:
    """Nothing to do is fine."""
    api.recordings.clear()
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0


def test_a_list_with_what_is_no_guid(api: Server, tmp_path: Path) -> None:
    """It is refused by name, and the rest goes on."""
    api.list_body = json.dumps(["../../x", "a\nb", {"sessionGuid": None}, ONE]).encode()
    result = vns(api, "archive", "calls", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[:3] == [
        "error: ../../x: this is not a GUID",
        "error: a\\nb: this is not a GUID",
        'error: {"sessionGuid": null}: this is not a GUID',
    ]
    assert stored(tmp_path) == {"calls": None, f"calls/{ONE}.opus": AUDIO} | {
        name: content for name, content in stored(tmp_path).items() if "/.vns" in name
    }


def test_what_is_no_list_is_shown_harmlessly(api: Server, tmp_path: Path) -> None:
    """Its beginning, in one line."""
    api.list_body = "nothing\nof the \x1b[31m kind \x9b \u202e".encode()
    result = vns(api, "list", cwd=tmp_path)
    assert result.code == 7
    assert result.lines[0].endswith("it begins: nothing of the \\x1b[31m kind \\x9b \\u202e")


def deepest(shape: bytes) -> int:
    """Return how many lists in each other this Python reads in the place of `%s`."""
    low, high = 1, 1_000_000
    while high - low > 1:
        depth = (low + high) // 2
        try:
            json.loads(shape % (b"[" * depth + b"]" * depth))
            low = depth
        except RecursionError:
            high = depth
    return low


def test_an_entry_as_deep_as_can_be_read_spoils_nothing() -> None:
    """One that can be read but hardly be written again is no GUID; the others are still listed."""
    shape = b'["good", %s]'
    most = deepest(shape)
    for depth in range(max(1, most - 40), most + 40):
        answer = shape % (b"[" * depth + b"]" * depth)
        with suppress(ApiError):
            assert len(listing.parse(answer)) == 2
        with suppress(ApiError):
            assert len(listing.table(answer)[1]) == 2


def test_a_table_has_a_bounded_number_of_columns() -> None:
    """Entries that share no field would make a table that is as wide as it is long."""
    entries = [{f"field {number}": number} for number in range(50)]
    assert len(listing.table(json.dumps(entries).encode())[0]) == 50
    entries.append({"one more": 50})
    with pytest.raises(ApiError, match="is not understood"):
        listing.table(json.dumps(entries).encode())
