"""Lists of recordings, understood or not, complete or not, and the GUIDs and times in them."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.recordings import AUDIO, encrypt
from support.vns import NUMBERED, ONE, THREE, TWO, failing, stored, vns

from filedecryptor.errors import ApiError, UsageError
from filedecryptor.terminal.console import printable
from filedecryptor.vns import listing, times
from filedecryptor.vns.listing import Listing, Recording, says_no, signs_of_more

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ENTRY = {"sessionGuid": ONE}


@pytest.mark.parametrize("guid", [THREE, "0A1B2C3D-0000-4000-8000-00000000000f", "0a1b" * 8])
def test_spellings(guid: str) -> None:
    """The same GUID, and the server's letters for the address."""
    for text in ("{}", "{{{}}}", " ({}) ", "urn:uuid:{}", "URN:UUID:{}"):
        assert Recording.of(text.format(guid)) == (UUID(guid), guid, None, None)


NO_GUIDS = ["", None, 3, ONE[:-1], f"{ONE}0", f"../{ONE}", f"{ONE}/x", f"{ONE}?", f"{ONE}.enc"]


@pytest.mark.parametrize("text", [*NO_GUIDS, "x" * 9999])
def test_no_guid(text: Any) -> None:
    """It never becomes a part of an address or of a name."""
    with pytest.raises(UsageError):
        Recording.of(text)


def cases(table: str) -> list[str]:
    """Return what stands in a table, with GUIDs in the place of their names."""
    guids = {"ONE": ONE, "TWO": TWO, "THREE": THREE}
    table = re.sub("ONE|TWO|THREE", lambda name: guids[name[0]], table.strip())
    return re.split(r" \| |\n", table)


UNDERSTOOD = """
["ONE"] | [{"sessionGuid": "ONE"}] | [{"session_guid": "ONE"}] | [[{"sessionGuid": "ONE"}]]
[{"SESSIONGUID": "ONE", "x": [1]}] | {"recordings": [{"SessionGuid": "{ONE}"}], "total": 1}
[null, "ONE", null, "ONE", "{ONE}"] | [{"session-guid": "ONE", "id": "TWO"}] | \ufeff["ONE"]
[{"unheard of": "ONE"}, null, {"other": "TWO", "unheard of": "ONE"}]
{"data": {"items": [{"sessionGuid": "ONE"}]}} | {"data": {"result": {"items": ["ONE"]}}}
[{"page": 1, "items": [{"sessionGuid": "ONE"}]}] | [{"id": "ONE", "customerId": 5}]
{"errors": [], "columns": ["a", "b"], "recordings": [{"sessionGuid": "ONE"}]}
{"customers": [{"id": "TWO"}], "calls": [{"sessionGuid": "ONE"}]}
{"TWO": {"sessionGuid": "ONE", "parts": [{"sessionGuid": "ONE"}]}} | {"sessionGuid": "ONE", "x": 3}
{"a": {"b": [{"c": [{"d": [[{"e": {"sessionGuid": "ONE"}}]]}]}]}}
"""
NOT_UNDERSTOOD = """
<html>no | {} | 3 | "ONE" | [{"id": 1}] | {"error": "no"} | [{}] | ["x"] | [0] | ["ONE.enc"]
[{"fileName": "ONE.enc"}] | {"ONE": 3} | {"sessionGuid": "ONE"}  {"sessionGuid": "ONE"}
[{"account": "THREE", "key": "ONE"}, {"account": "THREE", "key": "TWO"}] | {"id": "ONE"}
{"customers": [{"customer": "TWO"}], "calls": [{"call": "ONE"}]} | [{"id": "ONE"}, {"name": "x"}]
{"data": null, "links": ["x"]} | {"data": null, "error": "no answer"} | {"x": [], "success": false}
"""
EMPTY = """
[] | null | [null] | [[]] | {"items": []} | {"a": [], "b": []} | {"data": {"items": []}}
{"recordings": null, "total": 0} | {"data": null} | {"data": null, "success": true, "errors": []}
"""


def test_lists() -> None:
    """One recording, however it is said, or none, or one error for all that is not understood."""
    for body in cases(UNDERSTOOD):
        assert [one.guid for one in Listing(body.encode(), {})] == [UUID(ONE)], body
    for body in [*cases(EMPTY), "", " \n"]:
        assert Listing(body.encode(), {}).recordings() == ([], []), body
    for body in [*cases(NOT_UNDERSTOOD), "[" * 100_000]:
        with pytest.raises(ApiError, match="is not understood"):
            Listing(body.encode(), {}).recordings()


@pytest.mark.parametrize("body", ["no\n\x1b[31m \x9b \u202e", "[1]", "[]", None])
def test_lists_without_recordings(api: Server, tmp_path: Path, body: str | None) -> None:
    """An empty one, or 204, is no error; of others the beginning is shown, and the way around."""
    if body is None:
        api.behaviours.append(failing(204, path=PATH))
    else:
        api.list_body = body.encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    if body in {"[]", None}:
        assert result == (0, b"", "the API lists no recordings\n")
    else:
        beginning = printable(" ".join(str(body).split()))
        said = f"error: the list of recordings is not understood; it begins: {beginning}"
        assert (result.code, result.lines[0], stored(tmp_path)) == (7, said, {})
        assert "vns-recordings download GUID" in result.lines[1]


def test_the_server_s_own_spelling(api: Server, tmp_path: Path) -> None:
    """Some tell capitals from small letters; files are named in small letters."""
    lettered = "0a1b2c3d-0000-4000-8000-00000000000f"
    odd = [lettered.upper(), THREE.replace("-", "")]
    api.recordings = dict.fromkeys(odd, encrypt(AUDIO))
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{lettered}.opus": AUDIO, f"{THREE}.opus": AUDIO}
    assert sorted(api.deleted) == sorted(odd)


def test_a_list_with_what_is_not_a_guid(api: Server, tmp_path: Path) -> None:
    """It is refused by name, and the rest goes on."""
    others = ["../../x", "a\x07b", {"sessionGuid": None}, {"id": 3}]
    names = ["../../x", "a\\x07b", '{"sessionGuid": null}', '{"id": 3}']
    api.list_body = json.dumps([ONE, *others]).encode()
    result = vns(api, "archive", "calls", cwd=tmp_path)
    errors = [line for line in result.lines if line.startswith("error: ")]
    assert (result.code, errors) == (1, [f"error: {name}: this is not a GUID" for name in names])
    assert stored(tmp_path) == {"calls": None, f"calls/{ONE}.opus": AUDIO}


def test_an_entry_as_deep_as_can_be_read_spoils_nothing() -> None:
    """One that can be read but hardly be written again is no GUID; the others are still listed."""
    depths = []
    for depth in (*range(900, 1100), 100_000):
        with suppress(ApiError):
            found = Listing(b'["%s", %s]' % (ONE.encode(), b"[" * depth + b"]" * depth), {})
            assert [len(some) for some in found.recordings()] == [1, 1]
            assert len(listing.table(found.entries(), NOW)[1]) == 2
            depths.append(depth)
    assert depths


def test_a_table_has_a_bounded_number_of_columns() -> None:
    """Entries that share no field would make a table that is as wide as it is long."""
    entries: list[object] = [{f"field {number}": number} for number in range(50)]
    assert len(listing.table(entries, NOW)[0]) == 50
    with pytest.raises(ApiError, match="more than 50 columns"):
        listing.table([*entries, {"one more": 50}], NOW)


OLD, NOON, MIDNIGHT = "2020-01-01 00", "2026-11-24 12", "2026-11-25 00"
# The time that is found in a field whose name is that of a time, and in another one, of values. If
# neither is, the old time that stands beside them counts; none, if they may be a later one.
TIMES: list[tuple[str | None, str | None, list[object]]] = [
    (  # ISO 8601, RFC 5322, .NET's old way
        *(NOON, NOON),
        [
            *("2026-11-24T12:00:00Z", "2026-11-24T12:00:00.1234567Z", "2026-11-24t12:00:00,5z"),
            *("2026-11-24 12:00:00 +00:00", "2026-11-24T13:00:00+01:00", " 2026-11-24T12:00Z\n"),
            *("2026-11-24T07:00:00-0500", "Tue, 24 Nov 2026 12:00:00 GMT"),
            *("/Date(1795521600000)/", "/Date(1795521600000+0100)/"),
        ],
    ),
    (NOON, OLD, [1795521600, 1795521600000, "1795521600", "1795521600000"]),
    # Without a zone, it is twelve hours later in the last one; without an hour, a day more.
    (MIDNIGHT, MIDNIGHT, ["2026-11-24T12:00", "2026-11-24 12:00:00"]),
    ("2026-11-25 12", "2026-11-25 12", ["2026-11-24"]),
    (OLD, OLD, ["", "soon", "1601-01-01", "a, b", "0001-01-01T00:00:00", "2026", "00:05:12"]),
    (OLD, OLD, [None, True, [], 5, 150000000.0, float("nan")]),
    (None, OLD, ["971501234567", "10.0.12.5", "1-800-555-1212", "20261124", "2026-W48-7T10:00"]),
    (None, OLD, ["20261124100000", 639311112000000000, "1795514400.771", 1e300, 10**400]),
    (None, None, ["2026-13-01", "Tue, 99 Nov 2026 12:00:00 GMT", "11/24/2026 10:00:00 AM"]),
    (None, None, ["24.11.2026 10:00", "24 Nov 2026 10:00", "20261124T100000Z", "2026-11-24T10"]),
    (None, None, ["Sun Nov 24 10:00:00 2026"]),
]


@pytest.mark.parametrize(("named", "other", "values"), TIMES)
def test_the_time_of_a_field(named: str | None, other: str | None, values: list[object]) -> None:
    """In whatever way it is written; a number only where the name says that it is a time."""
    expected = {"start": named, "endTime": named, "called at": named, "when": named, "phone": other}
    for value in values:
        for name, time in expected.items():
            found = listing.time_of({name: value, "x": "2020-01-01T00:00:00Z"})
            assert (found and f"{found:%Y-%m-%d %H}") == time, (name, value)


@pytest.mark.parametrize(
    ("entry", "hour"),
    [
        ({"startTime": "2026-11-24T10:00:00Z", "endTime": "2026-11-24T11:00:00Z"}, 11),
        ({"numberActivatedOn": "2020-05-01", "durationTime": 1500000000, "at": 1795514400}, 10),
        ({"createdDate": "2019-01-01", "call": {"legs": [{"ts": 1795514400}]}}, 10),
        ({"createdDate": "2019-01-01", "startTime": {"_seconds": 1795514400}}, 10),
        ({"callDate": "2026-11-24", "callTime": "10:00:00"}, 12),
        ({"end": "2026-11-24T10:00:00Z", "duration": "00:05:12", "direction": "inbound"}, 10),
        ({"expires": None, "note": "2026"}, None),
        ("2026-11-24T10:00:00Z", None),
    ],
)
def test_the_time_of_an_entry(entry: object, hour: int | None) -> None:
    """The latest in it, however deep; none if there is none."""
    found = listing.time_of(entry)
    assert (found.hour if found else None) == hour


def test_the_size_of_a_recording() -> None:
    """By names that can mean nothing else; a small `length` may be seconds."""
    names = "size fileSize file_size_in_bytes Bytes contentLength length audioSizeBytes"
    others = "duration seconds lengthSeconds callLength pageSize resize recordingLength time"
    sizes: list[object] = [{name: 14209} for name in names.split()]
    sizes += [{"size": "14209"}, {"recording": {"length": 12, "size": 14209}}]
    none: list[object] = [{name: 14209} for name in others.split()]
    none += [{"size": value} for value in (True, None, -5, 1.5, "14 kB", "9" * 99)]
    none += [{"length": value} for value in (312, "312", 9999)]
    none += [{"customer": {"size": 14209}}, ONE]
    assert [one for one in sizes if listing.size_in(one) != 14209] == []
    assert [one for one in none if listing.size_in(one) is not None] == []


PARTS = {
    "": "1234",
    "--since 2026-11-24": "1234",
    "--since 2026-11-24T12:00Z": "134",
    "--until 2026-11-24T12:00Z": "24",
    "--until 2026-11-24T12:01Z": "1234",
    "--since 2026-11-23 --until 2026-11-24T11:00Z": "4",
    "--since 2026-11-25": "34",
    "--since 2026-11-25T00:01Z": "4",
}


@pytest.mark.parametrize("place", ["account", "archive", "archive --json"])
def test_part_of_a_list(api: Server, tmp_path: Path, place: str) -> None:
    """From a time on and before another; what may be in that is kept, of unknown times with a note."""
    ends = ["2026-11-24T12:00Z", "2026-11-24T11:00Z", "2026-11-24T12:00", "soon 2026-11-24 Nov"]
    guids = dict(zip((ONE, TWO, THREE, NUMBERED[0]), "1234", strict=True))
    api.recordings = dict.fromkeys(guids, encrypt(AUDIO))
    fields = ["end", "Anruf", "end", "end"]  # whatever a time is called
    rows = zip(guids, fields, ends, strict=True)
    api.list_body = json.dumps([{"sessionGuid": one, key: end} for one, key, end in rows]).encode()
    command = ["list"]
    if place != "account":
        vns(api, "archive", "calls", cwd=tmp_path)
        command = ["list", "--archived", "calls", *place.split()[1:]]
    for words, shown in PARTS.items():
        result = vns(api, *command, *words.split(), cwd=tmp_path)
        text = result.stdout.decode()
        assert "".join(sorted(guids[one] for one in guids if one in text)) == shown
        note = "note: listed, though the time of the call is not known: 1\n"
        assert (result.code, result.stderr) == (0, note if words else "")


def test_the_time_left() -> None:
    """Until seven days after the call."""
    noon, day = datetime(2026, 11, 24, 12, tzinfo=UTC), timedelta(days=1)
    ages = (0 * day, 6 * day + day / 24, 7 * day - timedelta(minutes=10), 7 * day)
    left = ["7 d 0 h", "0 d 23 h", "10 min", "purged"]
    assert [times.left(noon, noon + age) for age in ages] == left


SIGNS = """
"nextPage": "/x" | "next_page": 2 | "next": "https://x" | "@odata.nextLink": "https://x"
"@odata.count": 2 | "hasMore": true | "has_next": "true" | "isTruncated": true | "total": 2
"totalCount": "2" | "total_count": 2 | "TotalRecords": 5 | "totalPages": 2 | "final": "false"
"continuationToken": "abc" | "nextCursor": "abc" | "meta": {"pagination": {"total": 2}}
"links": {"next": "/x"} | "_links": {"next": {"href": "/x"}} | "lastPage": false
"isLastPage": false | "nextPageNumber": 2 | "recordCount": 5 | "TotalItemCount": 4
"Remaining": 5 | "moreData": true | "LastEvaluatedKey": {"id": "x"} | "NextMarker": "x"
"recordsLeft": "3" | "total_items": 7
"""

NO_SIGNS = """
"nextPage": null | "next": "" | "hasMore": false | "total": 1 | "count": 1 | "totalPages": 1
"page": 1, "pageSize": 100 | "links": {"next": null, "prev": null} | "remaining": 0
"version": 3, "generated": "2026-11-24" | "isLastPage": true | "nextPageNumber": null
"moreData": false | "LastEvaluatedKey": null
"""

HEADERS = [
    {"link": '<https://x>; rel="next"'},
    {"link": "<https://x>; rel=prev, <https://y>; rel=next"},
    *({"x-total-count": "2"}, {"x-total": "2"}, {"x-next-page": "2"}, {"x-total-pages": "2"}),
    *({"content-range": "items 0-0/2"}, {"x-pagination": '{"TotalCount": 2, "HasNext": true}'}),
]


def test_a_sign() -> None:
    """Whatever its spelling, and wherever it stands around the entries; or in the headers."""
    nothing: dict[str, str] = {}
    for more in cases(SIGNS):
        data = f'{{"items": [{json.dumps(ENTRY)}], {more}}}'
        assert signs_of_more(Listing(data.encode(), nothing)), more
    data = json.dumps([ENTRY])
    assert all(signs_of_more(Listing(data.encode(), headers)) for headers in HEADERS)


def test_no_sign() -> None:
    """A total that fits, a next page that is null; and whatever an entry holds."""
    entry = json.dumps({**ENTRY, "next": "x", "total": 99, "count": 5, "call": {"next": "x"}})
    headers = {"x-total-count": "1", "link": '<x>; rel="prev"', "x-ratelimit-remaining": "59"}
    around = [f'{{"items": [{entry}], {more}}}' for more in cases(NO_SIGNS)]
    for data in (*around, entry, f'{{"{ONE}": {entry}}}'):
        assert signs_of_more(Listing(data.encode(), headers)) == [], data


@pytest.mark.parametrize(
    ("body", "total", "code"),
    [(json.dumps({"items": [ENTRY], "hasMore": True}), "1", 7), (None, "2", 7), (None, "1", 0)],
)
def test_more_pages(api: Server, tmp_path: Path, body: str | None, total: str, code: int) -> None:
    """With an error and exit code 7; `list` says it as well."""
    api.list_body = body.encode() if body else None
    api.list_headers = {"X_Total_Count": total}
    for words in ("archive .", "list", "list --json"):
        result = vns(api, *words.split(), cwd=tmp_path)
        assert (result.code, ONE.encode() in result.stdout) == (code, True)
        assert ("error: the list looks incomplete" in result.stderr) == (code == 7)
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


NOT_DONE = """
{"success": false, "error": "locked"} | {"Success": false} | {"deleted": false} | {"ok": false}
{"isSuccess": false, "message": "held"} | {"error": {"code": 17}} | {"errors": ["locked"]}
{"status": "error"} | {"result": "Failed"} | false | {"success": "false"} | {"Success": 0}
{"result": {"success": false}} | [{"error": "locked"}] | {"d": {"error": "x"}} | {"isError": true}
{"hasErrors": true} | {"statusCode": 423, "message": "locked"} | {"status": 500} | {"deleted": 0}
{"code": "LOCKED", "message": "cannot delete"} | "error: locked" | {"deletedCount": 0}
{"a": {"success": true}, "error": "locked"} | [{"success": false}, {"success": true}]
<?xml version="1.0"?><Error><Code>Locked</Code></Error>
<!DOCTYPE html><html><body>Log in</body></html>
"""
DONE = """
{} | null | true | OK | [] | 1 | {"success": true, "error": null, "errors": [], "status": "ok"}
{"deleted": true, "errorCode": 0, "errorMessage": ""} | {"errorCode": "OK"} | {"errors": [null]}
{"errorCode": 0, "errorMessage": "Success"}
{"error": {"code": 0, "message": ""}} | {"errorMessage": "No error"} | {"error": " "}
{"code": 0, "status": 200, "result": "deleted"} |
"""


@pytest.mark.parametrize("is_done", [False, True])
def test_an_answer_that_says_no(*, is_done: bool) -> None:
    """In one of the ways of APIs, or as a page; an answer may also say yes, or nothing."""
    texts = re.split(r" \| | \|$|\n", (DONE if is_done else NOT_DONE).strip())
    assert [text for text in texts if says_no(text.encode()) == is_done] == []
