"""The page of an archive as a file: what is in it, and what must never be."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.archives import WRITTEN, recorded, with_details

from filedecryptor.vns import page
from filedecryptor.vns.records import Record, Records


def rendered(*records: Record) -> str:
    """Return the page of records whose files are there."""
    return page.rendered([(one, True) for one in records], WRITTEN).decode("ascii")


def data(*records: Record) -> tuple[list[str], list[list[Any]]]:
    """Return the headings and rows in a page, as a browser parses them."""
    found = re.findall(
        r'<script id="data" type="application/json">(.*?)</script>', rendered(*records)
    )

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    (text,) = found
    headings, rows = json.loads(text, parse_constant=refuse)
    return headings, rows


def test_a_row() -> None:
    """What is known of a recording, in the order of the headings, then what is not a column."""
    entry = {
        "sessionGuid": recorded(1).guid,
        "accountId": "{12345678-1234-1234-1234-123456789012}",
        "startTime": "2026-11-30T08:05:59+01:00",
        "caller": "+1 555 0100",
        "rings": 3,
        "answered": True,
        "queue": None,
        "note": "",
        "tags": ["a", "b"],
    }
    record = recorded(1, entry, size=14_001)
    headings, (row,) = data(record)
    assert dict(zip(headings, row, strict=False)) == {
        "Time (UTC)": "2026-11-30 07:05",
        "Length": "",
        "caller": "+1 555 0100",
        "rings": 3,
        "answered": "true",
        "tags": '["a", "b"]',
        "Format": "opus",
        "Size (kB)": 15,
        "Authentic": "yes",
        "File": record.file,
    }
    assert row[len(headings) :] == [""]
    assert "Recordings as of 2026-11-30 09:05 UTC" in rendered(record)
    _, (row,) = data(record._replace(file="x.enc", format=None, authenticated=False))
    assert row[len(headings) - 4 :] == ["", 15, "no", "x.enc", ""]


def test_the_order() -> None:
    """The newest call comes first, the one of unknown time last; of two, the one fetched last."""
    unknown = recorded(9, entry={})
    later = recorded(8, entry={}, fetched="2026-11-30T10:00:00Z")
    records = [recorded(5), unknown, recorded(1), later, recorded(3)]
    _, rows = data(*records)
    assert [row[0] for row in rows] == [
        *("2026-11-30 08:05", "2026-11-30 06:05", "2026-11-30 04:05", "", "")
    ]
    assert [row[-2] for row in rows[3:]] == [later.file, unknown.file]


def test_no_caller_chooses_the_time() -> None:
    """It is that of a field which is named for one."""
    _, (row, other) = data(
        with_details(1, callerIdName="2099-12-31"),
        recorded(2, entry={"callerIdName": "2099-12-31"}),
    )
    assert (row[0], other[0]) == ("2026-11-30 08:05", "")


def test_signed_addresses_are_cut() -> None:
    """What signs them may let anybody in."""
    address = "https://user:hush@host.example/a/b?X-Amz-Signature=hush&x=1"
    text = rendered(with_details(1, recordingUrl=address))
    assert "hush" not in text
    assert "host.example/a/b" in text


@pytest.mark.parametrize(
    ("seconds", "details", "shown"),
    [
        (4.81, {"duration": 99}, "0:00:04"),
        (3600, {}, "1:00:00"),
        (0, {}, "0:00:00"),
        (360_000, {}, "100:00:00"),
        (None, {"duration": 75}, "0:01:15"),
        (None, {"Call_Duration": "75.9"}, "0:01:15"),
        (None, {"durationSeconds": "01:02:03"}, "1:02:03"),
        (None, {"seconds": "2:03"}, "0:02:03"),
        (None, {"duration": "PT5M", "seconds": 7}, "0:00:07"),
        (float("nan"), {"duration": True}, ""),
        (float("inf"), {"duration": 1e300}, ""),
        (-1, {"duration": "-5"}, ""),
        (True, {"duration": [5]}, ""),
        (None, {"duration": "1" * 1_000_000}, ""),
        (None, {"time": 75}, ""),
    ],
)
def test_the_length(seconds: float | None, details: dict[str, object], shown: str) -> None:
    """It is that of the audio; if that is not known, what the entry tells of the call."""
    _, (row,) = data(with_details(1, **details)._replace(seconds=seconds))
    assert row[1] == shown


@pytest.mark.parametrize(
    "details",
    [
        {"password": "hush"},
        {"ApiKey": "hush"},
        {"api_key": "hush"},
        {"access-token": "hush"},
        {"client_SECRET_2": 815_4711},
        {"auth": {"Pass-Word": "hush"}},
        {"several": [{"deep": {"refresh_token": "hush"}}]},
        *({name: "hush"} for name in ("passwd", "Pass-Code", "pwd", "sessionKey", "Authorization")),
        *({name: "hush"} for name in ("credentials", "Cookie", "private_key", "urlSignature")),
    ],
)
def test_secrets_are_left_out(details: dict[str, object]) -> None:
    """By the names of fields, at any depth."""
    text = rendered(with_details(1, secretary="Ada", **details))
    assert "Ada" in text
    assert "hush" not in text
    assert "8154711" not in text


def test_the_policy() -> None:
    """It allows the style and the script that stand in the page, by their hashes, and nothing else."""
    text = rendered(with_details(1, note="<script>HASH-OF-script WRITTEN DATA</script>"))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text, re.DOTALL)
    hashes = {}
    for name in ("style", "script"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[f"{name}-src"] = [f"'sha256-{digest}'"]
    directives = {words[0]: words[1:] for words in map(str.split, policy.split(";"))}
    assert directives == hashes | {
        "default-src": ["'none'"],
        "media-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|https?:", text
    )


def nested(depth: int) -> object:
    """Return lists in lists."""
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "</script><script>alert(1)</script>",
        "<!-- <script>",
        "\ud800 \udfff",
        "\0\x1b\u2028\u2029\u202e",
        float("nan"),
        float("-inf"),
        1e308,
        -(10**400),
        "x" * 1_000_000,
        ["x" * 1_000_000],
        nested(10_000),
        {"a": nested(500)},
        {"__proto__": {"</script>": "<!--"}},
    ],
    ids=range(13),
)
def test_hostile_values(value: object) -> None:
    """Wherever they stand, the page is short ASCII, with data that is JSON, and other rows."""
    bad = [
        with_details(2, told=value),
        recorded(3, value),
        recorded(4, {"startTime": value, "duration": value, "endDate": "9999-99-99T99:99:99Z"}),
    ]
    if isinstance(value, str):
        bad += [
            with_details(5, **{value: 1}),
            recorded(6, file="a.opus", format=value, fetched=value),
        ]
    if isinstance(value, (int, float)):
        bad.append(recorded(7, seconds=value))
    text = rendered(*bad)
    assert text.count("</script>") == 2
    assert "<!--" not in text
    _, rows = data(*bad, with_details(1, caller="Ada"))
    assert len(rows) == len(bad) + 1
    assert any("Ada" in row for row in rows)
    assert len(text) < 30_000


def test_many_fields() -> None:
    """Only so many have a column: those that most entries have."""
    records = [
        with_details(n, **{f"odd {n} {m}": 1 for m in range(500)}, usual=n) for n in range(9)
    ]
    headings, rows = data(*records)
    assert len(headings) < 60
    assert headings[2] == "usual"
    assert {len(row) for row in rows} == {len(headings) + 1}


BEGINNINGS: dict[str, tuple[bytes | None, bool | None]] = {
    "a page": (rendered(recorded(1)).encode(), True),
    "its beginning": (rendered().encode()[:512], True),
    "none": (None, None),
    "nothing": (b"", False),
    "another": (b"<!doctype html><title>Call recordings</title>", False),
    "another with one in it": (b" " * 512 + rendered().encode(), False),
}


@pytest.mark.parametrize("case", BEGINNINGS)
def test_is_ours(tmp_path: Path, case: str) -> None:
    """A page is known by its beginning, and what others have written is not taken for one."""
    data, is_ours = BEGINNINGS[case]
    if data is not None:
        (tmp_path / page.NAME).write_bytes(data)
    assert page.is_ours(Records(str(tmp_path))) is is_ours
