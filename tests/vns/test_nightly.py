"""The nightly run, under a rate limit, with an API that says little, and by `--since`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.recordings import AUDIO, encrypt
from support.vns import ONE, THREE, TWO, failing, limiting, slow, stored, vns


@pytest.mark.parametrize("retry_after", ["0.5", "soon", None])
def test_a_rate_limit(api: Server, tmp_path: Path, retry_after: str | None) -> None:
    """All threads slow down together, and nothing fails, whatever the server asks for."""
    for number in range(8):
        api.recordings[f"{number:08}-0000-4000-8000-00000000000f"] = encrypt(AUDIO)
    api.behaviours.append(limiting(8, retry_after))
    result = vns(api, "archive", ".", "-j", "16", cwd=tmp_path)
    assert (result.code, len(stored(tmp_path))) == (0, 9)
    refused = len(api.seen) - 10
    assert refused < 40


def test_a_limit_that_is_never_lifted(api: Server, tmp_path: Path) -> None:
    """It ends all the same."""
    api.behaviours.append(failing(*[429] * 99, path=PATH))
    assert vns(api, "archive", ".", cwd=tmp_path).code == 7


def test_a_pause_that_is_asked_for_is_shared(api: Server, tmp_path: Path) -> None:
    """One refusal is enough for all threads."""
    for guid in (TWO, THREE):
        api.recordings[guid] = encrypt(AUDIO)
    api.behaviours.append(failing(503, path=f"{PATH}/{ONE}", Retry_After="0.5"))
    begin = time.monotonic()
    assert vns(api, "archive", ".", "-j", "1", cwd=tmp_path).code == 0
    assert 0.5 < time.monotonic() - begin < 5


def entries(api: Server) -> datetime:
    """Let three calls have ended 1, 3 and 8 days ago; return the time now."""
    now = datetime.now(UTC).replace(microsecond=0)
    api.recordings = {guid: encrypt(AUDIO) for guid in (ONE, TWO, THREE)}
    api.list_body = json.dumps(
        [
            {"sessionGuid": guid, "callEnd": f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"}
            for guid, days in ((ONE, 1), (TWO, 8), (THREE, 3))
        ]
    ).encode()
    return now


def test_the_oldest_come_first(api: Server, tmp_path: Path) -> None:
    """They are purged first; the list shows what is left until then."""
    entries(api)
    rows = vns(api, "list", cwd=tmp_path).stdout.decode().splitlines()
    assert [row[:36] for row in rows[1:]] == [TWO, THREE, ONE]
    assert rows[0].endswith("until purge")
    assert rows[1].endswith("purged")
    assert rows[2].endswith(("3 d 23 h", "4 d 0 h"))
    vns(api, "archive", ".", "-j", "1", cwd=tmp_path)
    order = [path.rpartition("/")[2] for _, path, _ in api.seen if path != PATH]
    assert order == [TWO, THREE, ONE]


def test_since(api: Server, tmp_path: Path) -> None:
    """Older calls are left out, where the list tells their times."""
    now = entries(api)
    for days, count in ((2, 1), (4, 1), (9, 1), (9, 0)):
        since = f"{now - timedelta(days=days):%Y-%m-%dT%H:%MZ}"
        result = vns(api, "archive", ".", "--since", since, cwd=tmp_path)
        assert (result.code, len(result.stdout.splitlines())) == (0, count)
    api.list_body = json.dumps([ONE, TWO, THREE]).encode()
    result = vns(api, "archive", "new", "--since", "2040-01-01", cwd=tmp_path)
    assert (result.code, len(result.stdout.splitlines())) == (0, 3)
    result = vns(api, "archive", ".", "--since", "yesterday", cwd=tmp_path)
    assert (result.code, result.lines[0]) == (
        2,
        "error: --since takes a time, as 2026-11-24 or 2026-11-24T18:00Z",
    )


def test_since_leaves_out_only_what_is_old_by_every_time(api: Server, tmp_path: Path) -> None:
    """Nobody has documented which field is the call's; how many are left out is said, too."""
    now = datetime.now(UTC)
    recent, old = (f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (1, 90 * 24))
    api.recordings = {guid: encrypt(AUDIO) for guid in (ONE, TWO, THREE)}
    api.list_body = json.dumps(
        [
            {"sessionGuid": ONE, "startTime": recent, "createdDate": "2019-01-01"},
            {"sessionGuid": TWO, "planStartDate": old, "call": {"endedAt": recent}},
            {"sessionGuid": THREE, "endTime": old, "createdDate": "2019-01-01"},
        ]
    ).encode()
    since = f"{now - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    dry = vns(api, "archive", ".", "--since", since, "--dry-run", cwd=tmp_path)
    result = vns(api, "archive", ".", "--since", since, "--json", cwd=tmp_path)
    *outcomes, summary = map(json.loads, result.stdout.splitlines())
    assert {outcome["input"] for outcome in outcomes} == {ONE, TWO}
    assert (result.code, summary["listed"], summary["left_out"]) == (0, 3, 1)
    for said in (dry.lines[0], result.lines[0]):
        assert said == f"note: left out, of calls before {since}: 1"
    table = vns(api, "list", cwd=tmp_path).stdout.decode().splitlines()
    assert [row.endswith("purged") for row in table] == [False, True, False, False]


def test_an_end_by_time_says_what_to_do(api: Server, tmp_path: Path) -> None:
    """Nothing has to be mended then."""
    api.recordings = {f"{n:08}-0000-4000-8000-000000000000": encrypt(AUDIO) for n in range(30)}
    api.behaviours.append(slow)
    result = vns(api, "archive", ".", "--max-time", "2.5", "-j", "2", cwd=tmp_path)
    assert result.code == 7
    assert "hint: run this again: what is stored is not fetched again" in result.lines
    assert "mended" not in result.stderr


def test_the_summary(api: Server, tmp_path: Path) -> None:
    """It is the last line of `--json`, also if there was no list."""
    api.recordings[TWO] = encrypt(AUDIO, "another")
    summary = json.loads(vns(api, "archive", ".", "--json", cwd=tmp_path).stdout.splitlines()[-1])
    assert summary.pop("seconds") > 0
    assert summary == {
        "summary": True,
        "listed": 2,
        "fetched": 1,
        "failed": 1,
        "bytes": len(AUDIO),
        "left_out": 0,
        "last_complete": None,
        "statuses": {"decrypted": 1, "failed": 1},
        "code": 3,
    }
    api.behaviours.append(failing(*[500] * 9, path=PATH))
    result = vns(api, "archive", ".", "--json", cwd=tmp_path)
    [line] = result.stdout.splitlines()
    assert (json.loads(line)["summary"], json.loads(line)["code"]) == (True, 7)
