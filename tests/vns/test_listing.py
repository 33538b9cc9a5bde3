"""Lists of recordings, understood or not."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.recordings import AUDIO, encrypt
from support.vns import ONE, THREE, TWO, failing, stored, vns

from filedecryptor.errors import ApiError
from filedecryptor.vns import listing
from filedecryptor.vns.listing import Listing

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        f'["{ONE}"]',
        f'[{{"sessionGuid": "{ONE}"}}]',
        f'[{{"SESSIONGUID": "{ONE.upper()}", "x": [1]}}]',
        f'{{"recordings": [{{"SessionGuid": "{{{ONE}}}"}}], "total": 1}}',
        f'[null, "{ONE}", null, "{ONE}", {{"sessionGuid": "{ONE.upper()}"}}]',
        f'[{{"session_guid": "{ONE}"}}]',
        f'[{{"session-guid": "{ONE}", "id": "{TWO}"}}]',
        f'[{{"id": "{ONE}", "customerId": 5}}]',
        f'[{{"recordingId": "{ONE}", "name": "x"}}]',
        f'[{{"Guid": "{ONE}"}}]',
        f'[{{"unheard of": "{ONE}"}}]',
        f'[{{"fileName": "{ONE}.enc"}}]',
        f'["{ONE}.enc"]',
        f'{{"data": {{"items": [{{"sessionGuid": "{ONE}"}}]}}}}',
        f'{{"data": {{"result": {{"items": ["{ONE}"]}}}}}}',
        f'[[{{"sessionGuid": "{ONE}"}}]]',
        f'[{{"page": 1, "items": [{{"sessionGuid": "{ONE}"}}]}}]',
        f'{{"errors": [], "columns": ["a", "b"], "recordings": [{{"sessionGuid": "{ONE}"}}]}}',
        f'{{"customers": [{{"id": "{TWO}"}}], "calls": [{{"sessionGuid": "{ONE}"}}]}}',
        f'{{"sessionGuid": "{ONE}", "size": 3}}',
        f'{{"{ONE}": {{"size": 3}}}}',
        f'{{"{ONE}": 3}}',
        f'{{"sessionGuid": "{ONE}"}}\n{{"sessionGuid": "{ONE}"}}\n',
        f'"{ONE}"\n"{ONE}"\n',
        f'\ufeff["{ONE}"]',
        f'["urn:uuid:{ONE}", "URN:UUID:{ONE.upper()}"]',
        f'[{{"sessionGuid": "{ONE.replace("-", "")}"}}]',
    ],
    ids=str,
)
def test_lists_that_are_understood(api: Server, tmp_path: Path, body: str) -> None:
    """Bare or wrapped, strings or objects, with nulls and duplicates: one recording."""
    api.list_body = body.encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())


@pytest.mark.parametrize(
    "body", ["<html>no", "{}", "3", '"x"', '[{"id": 1}]', "[" * 100_000, '{"error": "no"}', '["x"]']
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


@pytest.mark.parametrize(
    "body",
    [
        "",
        " \n",
        "[]",
        "null",
        "[null]",
        "[[]]",
        '{"items": []}',
        '{"a": [], "b": []}',
        '{"recordings": null, "total": 0}',
        '{"data": {"items": []}}',
    ],
    ids=repr,
)
def test_an_empty_list(api: Server, tmp_path: Path, body: str) -> None:
    """Nothing to do is fine, however it is said."""
    api.list_body = body.encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result == (0, b"", "the API lists no recordings\n")
    assert vns(api, "list", cwd=tmp_path).code == 0


def test_no_content(api: Server, tmp_path: Path) -> None:
    """204 is an empty list as well."""
    api.behaviours.append(failing(204, path=PATH))
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {}


def test_the_server_s_own_spelling(api: Server, tmp_path: Path) -> None:
    """Some tell capitals from small letters; files are named in small letters."""
    odd = {spelling: encrypt(AUDIO) for spelling in (TWO.upper(), THREE.replace("-", ""))}
    api.recordings = dict(odd)
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == 0
    assert stored(tmp_path) == {f"{TWO}.opus": AUDIO, f"{THREE}.opus": AUDIO}
    assert sorted(api.deleted) == sorted(odd)
    api.recordings = dict(odd)
    assert vns(api, "download", TWO.upper(), cwd=tmp_path).code == 0


def test_what_names_the_customer_names_no_recording() -> None:
    """A field that is the same in all entries."""
    entries = [{"account": THREE, "key": guid} for guid in (ONE, TWO)]
    recordings, others = Listing(json.dumps(entries).encode(), {}).recordings()
    assert ([str(one.guid) for one in recordings], others) == ([ONE, TWO], [])


@pytest.mark.parametrize(
    ("entry", "hour"),
    [
        ({"created": "2026-11-24T10:00:00Z"}, 10),
        ({"startTime": "2026-11-24T10:00:00Z", "endTime": "2026-11-24T11:00:00Z"}, 11),
        ({"startTime": 1795514400}, 10),
        ({"phone": 1795514400}, None),
        ({"anything": "2026-11-24T10:00:00Z"}, 10),
        ({"expires": None, "note": "2026"}, None),
        ({"endTime": "2026-11-24T10:00:00Z", "createdDate": "2019-01-01"}, 10),
        ({"numberActivatedOn": "2020-05-01", "durationTime": 1500000000, "at": 1795514400}, 10),
        ({"createdDate": "2019-01-01", "call": {"legs": [{"ts": 1795514400}]}}, 10),
        ({"createdDate": "2019-01-01", "start": "11/24/2026 10:00:00 AM"}, None),
        ({"createdDate": "2019-01-01", "start": "24.11.2026 10:00"}, None),
        ({"createdDate": "2019-01-01", "start": "20261124T100000Z"}, None),
        ({"createdDate": "2019-01-01", "start": "24 Nov 2026 10:00"}, None),
        ({"createdDate": "2019-01-01", "when": "Sun Nov 24 10:00:00 2026"}, None),
        ({"createdDate": "2019-01-01", "startTime": "20261124100000"}, None),
        ({"createdDate": "2019-01-01", "startTime": "1795514400.771"}, None),
        ({"createdDate": "2019-01-01", "startTime": 639311112000000000}, None),
        ({"createdDate": "2019-01-01", "startTime": {"_seconds": 1795514400}}, 10),
        ({"createdDate": "2019-01-01", "date": "2026-W48-7T10:00"}, None),
        ({"callDate": "2026-11-24", "callTime": "10:00:00"}, 12),
        ({"start": "2026-11-24T10:00:00"}, 22),
        ({"end": "2026-11-24T10:00:00Z", "duration": "00:05:12", "direction": "inbound"}, 10),
        ({"end": "2026-11-24T10:00:00Z", "deletedOn": "0001-01-01T00:00:00"}, 10),
        ({"end": "2026-11-24T10:00:00Z", "host": "10.0.12.5", "sip": "1-800-555-1212"}, 10),
        ("2026-11-24T10:00:00Z", None),
    ],
    ids=str,
)
def test_the_time_of_an_entry(entry: object, hour: int | None) -> None:
    """The latest in it, numbers only where the name says that they are times; none if unsure."""
    found = listing.time_of(entry)
    assert (found.hour if found else None) == hour


def test_a_list_with_what_is_no_guid(api: Server, tmp_path: Path) -> None:
    """It is refused by name, and the rest goes on."""
    api.list_body = json.dumps(["../../x", "a\x07b", {"sessionGuid": None}, ONE]).encode()
    result = vns(api, "archive", "calls", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[:3] == [
        "error: ../../x: this is not a GUID",
        "error: a\\x07b: this is not a GUID",
        'error: {"sessionGuid": null}: this is not a GUID',
    ]
    assert stored(tmp_path) == {"calls": None, f"calls/{ONE}.opus": AUDIO}


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
    shape = b'["%s", %%s]' % ONE.encode()
    most = deepest(shape)
    for depth in range(max(1, most - 40), most + 40):
        answer = shape % (b"[" * depth + b"]" * depth)
        with suppress(ApiError):
            found = Listing(answer, {})
            assert len(found.recordings()[0]) == 1
            assert len(found.recordings()[1]) == 1
            assert len(listing.table(found.entries(), NOW)[1]) == 2


def test_a_table_has_a_bounded_number_of_columns() -> None:
    """Entries that share no field would make a table that is as wide as it is long."""
    entries: list[object] = [{f"field {number}": number} for number in range(50)]
    assert len(listing.table(entries, NOW)[0]) == 50
    entries.append({"one more": 50})
    with pytest.raises(ApiError, match="more than 50 columns"):
        listing.table(entries, NOW)
