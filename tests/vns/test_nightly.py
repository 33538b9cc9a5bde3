"""The nightly run: its pace, `--since`, the seven days, the summary, figures, and when it stops."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Handler, Server
from support.commands import VNS, run_process
from support.posix import IS_WINDOWS, make_fifo, make_null, make_socket, posix_only
from support.recordings import AUDIO, encrypt
from support.store_proxy import Answer, Request, forwarding, proxy, refusal
from support.vns import (
    NUMBERED,
    ONE,
    THREE,
    TWO,
    answering,
    environment,
    failing,
    instead,
    limiting,
    meanwhile,
    stored,
    vns,
    vns_process,
)

from filedecryptor.storage.atomic import PendingFile
from filedecryptor.vns.lock import locked
from filedecryptor.vns.nightly import METRICS
from filedecryptor.vns.records import MEMORY_NAME as MEMORY
from filedecryptor.vns.times import shown

if TYPE_CHECKING:
    from support.bucket import Bucket


def remembered(folder: Path) -> dict[str, str]:
    """Return what an archive remembers of its runs."""
    found: dict[str, str] = json.loads((folder / MEMORY).read_text("utf-8"))
    return found


@pytest.mark.parametrize("retry_after", ["0.1", None])
def test_a_rate_limit(api: Server, tmp_path: Path, retry_after: str | None) -> None:
    """All threads slow down together, and nothing fails, whatever the server asks for."""
    api.recordings |= dict.fromkeys(NUMBERED[:5], encrypt(AUDIO))
    api.behaviours.append(limiting(16, retry_after))
    result = vns(api, "archive", ".", "-j", "16", cwd=tmp_path)
    assert (result.code, len(stored(tmp_path))) == (0, 6)
    assert len(api.seen) < 40


def list_calls(api: Server, *entries: dict[str, Any]) -> None:
    """Let the account list these, and have their recordings."""
    api.recordings = {entry["sessionGuid"]: encrypt(AUDIO) for entry in entries}
    api.list_body = json.dumps(entries).encode()


def test_the_oldest_come_first(api: Server, tmp_path: Path) -> None:
    """They are purged first; the list shows what is left until then."""
    now = datetime.now(UTC).replace(microsecond=0)
    ages = {ONE: 1, TWO: 8, THREE: 3}
    ended = {guid: shown(now - timedelta(days=days)) for guid, days in ages.items()}
    list_calls(api, *({"sessionGuid": guid, "callEnd": end} for guid, end in ended.items()))
    rows = vns(api, "list", cwd=tmp_path).stdout.decode().splitlines()
    assert [row[:36] for row in rows[1:]] == [TWO, THREE, ONE]
    assert rows[0].endswith("until purge")
    assert rows[1].endswith("purged")
    assert rows[2].endswith(("3 d 23 h", "4 d 0 h"))
    vns(api, "archive", ".", "-j", "1", cwd=tmp_path)
    order = [path.rpartition("/")[2] for _, path, _ in api.seen if path != PATH]
    assert order == [TWO, THREE, ONE]


def test_since_leaves_out_only_what_is_old_by_every_time(api: Server, tmp_path: Path) -> None:
    """Nobody has documented which field is the call's; how many are left out is said, too."""
    now = datetime.now(UTC)
    recent, old = (shown(now - timedelta(hours=hours)) for hours in (1, 90 * 24))
    calls: list[dict[str, Any]] = [
        {"sessionGuid": ONE, "startTime": recent, "createdDate": "2019-01-01"},
        {"sessionGuid": TWO, "planStartDate": old, "call": {"endedAt": recent}},
        {"sessionGuid": THREE, "endTime": old, "createdDate": "2019-01-01"},
        {"sessionGuid": NUMBERED[0]},
    ]
    list_calls(api, *calls)
    table = vns(api, "list", cwd=tmp_path).stdout.decode().splitlines()
    assert [row.endswith("purged") for row in table] == [False, True, False, False, False]
    for days, left_out in ((2, 1), (91, 0)):
        since = shown(now - timedelta(days=days))
        dry = vns(api, "archive", ".", "--since", since, "--dry-run", cwd=tmp_path)
        result = vns(api, "archive", ".", "--since", since, "--json", cwd=tmp_path)
        *outcomes, summary = map(json.loads, result.stdout.splitlines())
        assert (THREE in {one["input"] for one in outcomes}) == (left_out == 0)
        assert len(outcomes) == 4 - left_out
        assert (result.code, summary["listed"], summary["left_out"]) == (0, 4, left_out)
        for said in (dry.lines[0], result.lines[0]):
            assert said == f"note: left out, of calls before {since}: {left_out}"


HAVE = {"7d", "49 h", "1999-01-01", "0001-01-01T00:00Z", "99999999999d"}
LEAVE_OUT = {"36h", " 1D", "0h", "9999-12-31"}
NO_TIMES = {"yesterday", "7", "d", "7w", "-7d", "7d2h", "", "2026-02-30"}


@pytest.mark.parametrize("words", ["archive . --dry-run --since", "list --since", "list --until"])
def test_forms_of_since(api: Server, tmp_path: Path, words: str) -> None:
    """A time of any year, or how long ago that was; what is neither is said to be that."""
    list_calls(api, ended(ONE, hours=48), ended(TWO, hours=-1))
    option = words.rsplit(maxsplit=1)[-1]
    is_before = option == "--until"  # which lists what the other leaves out
    for text in HAVE | LEAVE_OUT:
        result = vns(api, *words.split(), text, cwd=tmp_path)
        found = result.stdout.decode()
        assert (result.code, ONE in found) == (0, (text in HAVE) != is_before), text
        assert (TWO in found) == ((text != "9999-12-31") != is_before)
    for text in NO_TIMES:
        result = vns(api, *words.split(), text, cwd=tmp_path)
        cause = f"error: {option} takes a time, as 2026-11-24 or 2026-11-24T18:00Z"
        assert (result.code, result.lines[0]) == (2, cause)
        assert "as 7d or 36h" in result.lines[1]


# What an archive remembers of its runs


def set_back(folder: Path, **ages: timedelta) -> dict[str, str]:
    """Let the runs of an archive be so old."""
    times = {name: shown(datetime.now(UTC) - age) for name, age in ages.items()}
    (folder / MEMORY).write_text(json.dumps(times))
    return times


def test_a_complete_run_is_remembered(api: Server, tmp_path: Path) -> None:
    """One that failed is not, nor one that has left calls out, unless an earlier one has them."""
    vns(api, "archive", ".", cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong")
    vns(api, "archive", ".", "--since", "2026-01-01", cwd=tmp_path)
    assert not (tmp_path / MEMORY).exists()
    vns(api, "archive", ".", cwd=tmp_path)
    assert set(remembered(tmp_path)) == {"complete"}
    set_back(tmp_path, complete=timedelta(days=3))
    vns(api, "archive", ".", "--since", "2026-01-01", cwd=tmp_path)
    assert remembered(tmp_path)["complete"][:10] == f"{datetime.now(UTC):%Y-%m-%d}"


@pytest.mark.parametrize("fails", [True, False])
def test_a_warning_after_six_days(api: Server, tmp_path: Path, *, fails: bool) -> None:
    """With both dates, also if the run is quiet, and whether or not it was complete itself."""
    times = set_back(tmp_path, complete=timedelta(days=6, hours=1))
    if fails:
        api.behaviours.append(failing(*[500] * 5, path=PATH))
    result = vns(api, "archive", ".", "-q", cwd=tmp_path)
    assert result.code == (7 if fails else 0)
    [warning] = [line for line in result.lines if line.startswith("warning: ")]
    assert f"the last complete run was at {times['complete']}, and it is 20" in warning
    assert "7 days" in warning
    assert (vns(api, "archive", ".", "-q", cwd=tmp_path).stderr == "") == (not fails)


FUTURE = '{"complete": "2099-01-01T00:00:00Z"}'


@pytest.mark.parametrize("data", ["", "[]", '{"complete": 3}', '{"complete": "soon"}', FUTURE])
def test_what_is_not_understood_is_begun_anew(api: Server, tmp_path: Path, data: str) -> None:
    """Nor is what a wrong clock has left: it is no reason to fail, nor to warn too late."""
    (tmp_path / MEMORY).write_text(data)
    assert vns(api, "archive", ".", "--since", "2026-01-01", cwd=tmp_path).code == 0
    assert (tmp_path / MEMORY).read_text() == data
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert remembered(tmp_path)["complete"] < "2099"


@posix_only("permissions")
def test_what_cannot_be_read_costs_no_night(api: Server, tmp_path: Path) -> None:
    """Another user's file is passed over, and a record an error; a pipe stays, and is not waited for."""
    (tmp_path / MEMORY).touch(0)
    api.recordings |= {guid: encrypt(AUDIO) for guid in (TWO, THREE)}
    (tmp_path / f"{TWO}.json").touch(0)
    words = ("archive", ".", "-q")
    result = vns_process(api, *words, cwd=tmp_path, as_anybody=True)
    said = [f"warning: ./{MEMORY}: Permission denied; names are {{guid}}, in this run alone"]
    said.append(f"error: ./{TWO}.json: Permission denied")
    assert (result.code, result.lines) == (1, said)
    (tmp_path / MEMORY).unlink()
    make_fifo(tmp_path / MEMORY)
    (tmp_path / f"{TWO}.json").unlink()
    result = vns(api, *words, cwd=tmp_path)
    said = [f"warning: ./{MEMORY}: Not a regular file; names are {{guid}}, in this run alone"]
    said.append(f"error: ./{MEMORY}: Not a regular file")
    assert (result.code, result.lines) == (1, said)
    assert set(stored(tmp_path)) == {f"{guid}.opus" for guid in (ONE, TWO, THREE)}


COUNT = 40


@pytest.fixture
def many(api: Server) -> Server:
    """An account with many recordings."""
    api.recordings = dict.fromkeys(NUMBERED[:COUNT], encrypt(AUDIO))
    return api


def refuse_after_the_list(api: Server) -> None:
    """Let the account refuse the token once it has answered with the list."""
    api.seen.clear()

    def is_asked(handler: Handler) -> bool:
        return handler.path != PATH or len(api.seen) > 1

    api.behaviours.append(instead(lambda handler: handler.send(401, b""), is_asked))


# The summary, and figures for Prometheus


def figures(data: bytes) -> dict[str, float]:
    """Return what a file holds; it must be as Prometheus wants it."""
    text = data.decode()
    assert not re.sub(r"# HELP (\w+) .+\n# TYPE \1 gauge\n\1 ([0-9.e+-]+|NaN)\n", "", text)
    values = re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)
    found = {name.removeprefix("vns_recordings_"): float(value) for name, value in values}
    assert found.keys() == METRICS.keys()
    return found


def test_the_summary_and_the_figures(api: Server, tmp_path: Path) -> None:
    """The one is the last line of `--json`, the others a file; both also without a list."""
    path = tmp_path / "vns.prom"
    path.write_text("old")
    api.recordings[TWO] = encrypt(AUDIO, "another")
    words = ("archive", ".", "--json", "--metrics", "vns.prom")
    begin = datetime.now(UTC)
    summary = json.loads(vns(api, *words, cwd=tmp_path).stdout.splitlines()[-1])
    found = figures(path.read_bytes())
    assert 0 < summary.pop("seconds") == found.pop("seconds") < 60
    began = found.pop("last_run_timestamp_seconds")
    assert begin.timestamp() - 1 <= began <= begin.timestamp() + 60
    assert summary.pop("last_run") == shown(datetime.fromtimestamp(began, UTC))
    assert isnan(found.pop("seconds_to_first_purge"))
    both = {"listed": 2, "fetched": 1, "failed": 1, "bytes": len(AUDIO), "missing": 1}
    assert found == both | {"exit_code": 3, "last_complete_timestamp_seconds": 0}
    more: dict[str, Any] = {
        "summary": True,
        "seconds_to_first_purge": None,
        "last_complete": None,
        "code": 3,
    }
    more |= {"left_out": 0, "statuses": {"decrypted": 1, "failed": 1}}
    assert summary == both | more
    del api.recordings[TWO]
    assert vns(api, *words, cwd=tmp_path).code == 0
    found = figures(path.read_bytes())
    assert (found["listed"], found["fetched"], found["failed"], found["bytes"]) == (1, 0, 0, 0)
    complete = found["last_complete_timestamp_seconds"]
    assert complete > 1.7e9
    api.behaviours.append(failing(*[500] * 9, path=PATH))
    [line] = vns(api, *words, cwd=tmp_path).stdout.splitlines()
    assert (json.loads(line)["summary"], json.loads(line)["code"]) == (True, 7)
    found = figures(path.read_bytes())
    assert (found["listed"], found["last_complete_timestamp_seconds"]) == (0, complete)


def firing(found: dict[str, float]) -> set[str]:
    """Return which of the page's alerts fire, whose rules are also expressions of Python."""
    page = (Path(__file__).parents[2] / "docs" / "schedule.md").read_text("utf-8")
    rules = re.findall(r"- alert: (\w+)\n +expr: (.+)", page)
    names: dict[str, Any] = {f"vns_recordings_{name}": value for name, value in found.items()}
    names |= {"time": time.time, "absent": lambda _: False}
    assert len(rules) == 5
    return {name for name, rule in rules if eval(rule, names)}  # noqa: S307


def hold_the_lock(folder: Path, _: Server) -> AbstractContextManager[None]:
    """Let another run be at work."""
    return locked(str(folder / "calls"))


def change(act: Callable[[Path, Server], object]) -> Callable[..., AbstractContextManager[None]]:
    """Return what changes something before a run."""

    def begin(folder: Path, api: Server) -> AbstractContextManager[None]:
        act(folder, api)
        return nullcontext()

    return begin


@contextmanager
def no_host(*_: object) -> Iterator[None]:
    """Let the system do what nobody has foreseen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: int("x"))
        yield


def is_a_file(folder: Path, _: Server) -> None:
    """Let something else stand where the archive was."""
    shutil.rmtree(folder / "calls")
    (folder / "calls").touch()


DOWN = failing(*[500] * 10, path=PATH)
nothing = change(lambda *_: None)
FAILURES: dict[str, tuple[Callable[..., AbstractContextManager[None]], str, int]] = {
    "token refused": (change(lambda _, api: setattr(api, "tokens", set())), "", 6),
    "API down": (change(lambda _, api: api.behaviours.append(DOWN)), "", 7),
    "no list": (change(lambda _, api: setattr(api, "list_body", b"{}")), "", 7),
    "no token": (nothing, "VNS_API_TOKEN", 2),
    "no token file": (nothing, "--token-file none", 1),
    "empty token file": (change(lambda folder, _: (folder / "x").touch()), "--token-file x", 2),
    "no password file": (nothing, "--password-file none", 1),
    "address": (nothing, "--api-url http://example.org", 2),
    "since": (nothing, "--since soon", 2),
    "lock": (hold_the_lock, "", 1),
    "unforeseen": (no_host, "", 1),
    "one of many": (change(lambda _, api: api.recordings.update({TWO: b"no"})), "", 7),
    "file": (change(is_a_file), "", 1),
}


@pytest.mark.parametrize("case", FAILURES)
def test_every_failure_is_measured(api: Server, tmp_path: Path, case: str) -> None:
    """Also before the run begins; when the last complete one was is still told."""
    words = ["archive", "calls", "-q", "--metrics", "vns.prom"]
    assert vns(api, *words, cwd=tmp_path).code == 0
    before = figures((tmp_path / "vns.prom").read_bytes())
    assert (firing(before), before["missing"], before["exit_code"]) == (set(), 0, 0)
    complete = before["last_complete_timestamp_seconds"]
    (tmp_path / "vns.prom").unlink()
    begin, more, code = FAILURES[case]
    unset = {"VNS_API_TOKEN": None} if more == "VNS_API_TOKEN" else {}
    words += [] if unset else more.split()
    with begin(tmp_path, api):
        result = vns(api, *words, cwd=tmp_path, **unset)
        found = figures((tmp_path / "vns.prom").read_bytes())
        summary = vns(api, *words, "--json", cwd=tmp_path, **unset).stdout.splitlines()[-1]
    summary = json.loads(summary)
    assert result.code == found["exit_code"] == summary["code"] == code
    assert found["last_run_timestamp_seconds"] >= complete
    is_listed = case == "one of many"
    assert found["missing"] == 1 if is_listed else isnan(found["missing"])
    assert summary["missing"] == (1 if is_listed else None)
    assert firing(found) >= {"RunFailed"} | ({"RecordingsMissing"} if is_listed else set())
    if case != "file":  # which holds no memory
        assert found["last_complete_timestamp_seconds"] == complete
    else:
        assert "NoCompleteRun" in firing(found)


def test_old_runs_and_purges_are_alerted(api: Server, tmp_path: Path) -> None:
    """Each rule of the page fires on what it is about, and on nothing else."""
    vns(api, "archive", ".", "--metrics", "vns.prom", cwd=tmp_path)
    found = figures((tmp_path / "vns.prom").read_bytes())
    hour = 3600
    for name, value, alert in [
        ("exit_code", 3, "RunFailed"),
        ("last_run_timestamp_seconds", time.time() - 27 * hour, "NoRun"),
        ("last_complete_timestamp_seconds", time.time() - 73 * hour, "NoCompleteRun"),
        ("last_complete_timestamp_seconds", 0, "NoCompleteRun"),
        ("missing", 1, "RecordingsMissing"),
        ("seconds_to_first_purge", 47 * hour, "RecordingsLostSoon"),
        ("seconds_to_first_purge", 0, "RecordingsLostSoon"),
    ]:
        assert firing(found | {name: value}) == {alert}


@posix_only("signals")
def test_an_interrupted_run_is_measured(many: Server, tmp_path: Path) -> None:
    """What was stored before is not missing; the summary is the last line."""
    vns(many, "archive", "calls", "--metrics", "vns.prom", cwd=tmp_path)
    complete = figures((tmp_path / "vns.prom").read_bytes())["last_complete_timestamp_seconds"]
    for guid in NUMBERED[10:COUNT]:
        (tmp_path / "calls" / f"{guid}.opus").unlink()
    many.behaviours.append(meanwhile(lambda handler: time.sleep(0.2 * (handler.path != PATH))))
    words = [VNS, "archive", "calls", "--json", "-j", "1", "--metrics", "vns.prom"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, cwd=tmp_path, env=environment(many), stdout=pipe, stderr=pipe)
    assert process.stdout
    first = process.stdout.readline()
    while json.loads(first)["status"] != "decrypted":
        first = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    summary = json.loads(process.communicate(timeout=30)[0].splitlines()[-1])
    found = figures((tmp_path / "vns.prom").read_bytes())
    assert process.returncode == summary["code"] == found["exit_code"] == 130
    assert found["last_complete_timestamp_seconds"] == complete
    there = len(list((tmp_path / "calls").glob("*.opus")))
    assert summary["missing"] == found["missing"] == COUNT - there > 0


@posix_only("/dev/full")
def test_a_run_that_cannot_say_how_it_ended(api: Server, tmp_path: Path) -> None:
    """Each of figures and summary tells that the other could not be written."""
    api.recordings.clear()  # so that the summary is what cannot be written
    with open("/dev/full", "wb") as full:
        words = ("archive", "calls", "--json", "--metrics", "vns.prom")
        env = environment(api)
        result = run_process(*words, cwd=tmp_path, env=env, command=(VNS,), stdout=full)
    assert result.code == figures((tmp_path / "vns.prom").read_bytes())["exit_code"] == 1
    result = vns(api, "archive", "calls", "--json", "--metrics", "none/x", cwd=tmp_path)
    assert result.code == json.loads(result.stdout.splitlines()[-1])["code"] == 1


def within(shell: str, folder: Path) -> list[str]:
    """Return the program as a shell starts it in a folder, with a directory for the archive."""
    (folder / "calls").mkdir()
    command = shlex.split(f"""{shell} "$@"' sh""")
    if subprocess.run([*command, "true"], check=False, cwd=folder).returncode:
        pytest.skip("nothing can be mounted here")
    return [*command, VNS]


@posix_only("small disks of this kind")
def test_a_full_disk_is_measured(many: Server, tmp_path: Path) -> None:
    """Where the figures lie on another one."""
    command = within("unshare -m sh -c 'mount -t tmpfs -o size=200k n calls && exec", tmp_path)
    words = ("archive", "calls", "--json", "--metrics", "vns.prom")
    result = run_process(*words, cwd=tmp_path, env=environment(many), command=command)
    found = figures((tmp_path / "vns.prom").read_bytes())
    assert result.code == found["exit_code"] == 1
    assert 0 < found["missing"] == found["failed"] < COUNT
    assert json.loads(result.stdout.splitlines()[-1])["missing"] == found["missing"]


# What is missing, and when it is lost


def ended(guid: str, **ago: float) -> dict[str, Any]:
    """Return the entry of a call that was so long ago."""
    return {"sessionGuid": guid, "callEnd": shown(datetime.now(UTC) - timedelta(**ago))}


# What is on the server, the options, how long ago the call was in hours; whether it is missing.
MISSING: dict[str, tuple[bytes, str, float, bool]] = {
    "fetched": (encrypt(AUDIO), "", 150, False),
    "another password": (encrypt(AUDIO, "another"), "", 150, True),
    "kept": (encrypt(AUDIO, "another"), "--keep-encrypted", 150, False),
    "an answer that is no recording": (b"<html>", "", 150, True),
    "may be cut": (AUDIO[:-100], "", 150, True),
    "unknown audio": (encrypt(b"fLaC"), "", 150, False),
    "left out": (encrypt(AUDIO), "--since 2d", 150, True),
    "recent": (encrypt(AUDIO, "another"), "", 100, True),
    "future": (encrypt(AUDIO, "another"), "", -90, True),
    "due": (encrypt(AUDIO, "another"), "", 170, True),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing(api: Server, tmp_path: Path, case: str) -> None:
    """What is listed and not here whole; it is counted, with the time left, and warned of in time."""
    body, option, hours, is_missing = MISSING[case]
    list_calls(api, ended(ONE, hours=hours), {"sessionGuid": TWO}, ended(THREE, hours=2))
    api.recordings[ONE] = body
    words = ("archive", ".", "-q", "--metrics", "vns.prom", *option.split())
    for _ in range(2):
        result = vns(api, *words, cwd=tmp_path)
        found = figures((tmp_path / "vns.prom").read_bytes())
        left = max(0, min(168, 168 - hours)) * 3600
        assert found["missing"] == is_missing
        assert not is_missing or left - 60 <= found["seconds_to_first_purge"] <= left
        assert is_missing or isnan(found["seconds_to_first_purge"])
        warnings = [line for line in result.lines if line.startswith("warning: ")]
        soon = (
            "may purge the first of them now"
            if hours > 168
            else "keeps the first of them for another 0 d 1"
        )
        assert len(warnings) == (is_missing and hours >= 150)
        assert not warnings or f"1 recording is missing here; VNS {soon}" in warnings[0]
    api.recordings[ONE] = encrypt(AUDIO)
    assert vns(api, *words[:2], cwd=tmp_path).code == 0
    vns(api, *words, "--since", "2d", cwd=tmp_path)  # which now leaves out what is here
    assert figures((tmp_path / "vns.prom").read_bytes())["missing"] == 0


def test_the_first_of_what_is_missing(api: Server, tmp_path: Path) -> None:
    """What was not tried and is here is not missing; what has no time says nothing of the purge."""
    hours = {ONE: 30, TWO: 50, THREE: 166, NUMBERED[0]: 10}
    calls = [ended(guid, hours=ago) for guid, ago in hours.items()]
    list_calls(api, *calls, {"sessionGuid": NUMBERED[1]})
    vns(api, "archive", ".", "--since", "40h", cwd=tmp_path)
    vns(api, "download", THREE, cwd=tmp_path)
    refuse_after_the_list(api)
    words = ("archive", ".", "--json", "--delete-after")
    result = vns(api, *words, cwd=tmp_path)
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (result.code, summary["missing"]) == (6, 1)
    assert 117 * 3600 < summary["seconds_to_first_purge"] <= 118 * 3600


@pytest.mark.parametrize(
    ("hours", "option", "end"),
    [
        (110.9, "", "; VNS keeps it for another 2 d 9 h"),
        (167.49, "", "; VNS keeps it for another 30 min"),
        (None, "", ""),
        (169, "", "; VNS may purge it now"),
        (110.9, "--keep-encrypted", f"; it is kept as {ONE}.enc"),
    ],
)
def test_what_cannot_be_decrypted_says_how_long_it_is_kept(
    api: Server, tmp_path: Path, hours: float | None, option: str, end: str
) -> None:
    """And what saves it; with that option, under which name it is kept."""
    list_calls(api, {"sessionGuid": ONE} if hours is None else ended(ONE, hours=hours))
    words = ("archive", ".", "-q", *option.split())
    error, hint, *_ = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong").lines
    assert error.endswith(f": the password is wrong, or the file was altered{end}")
    assert ("--keep-encrypted stores it" in hint) == (option == "")
    assert (tmp_path / f"{ONE}.enc").exists() == (option != "")


@posix_only("/proc/self")
@pytest.mark.parametrize("name", ["-", "stdout"])
def test_figures_to_standard_output(api: Server, tmp_path: Path, name: str) -> None:
    """With a pipe, and with a file, to which it is added. The real `/dev` is not for tests."""
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    words = ("archive", "calls", "-q", "--metrics", name)
    result = vns_process(api, *words, cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert figures(result.stdout)["fetched"] == 1
    with (tmp_path / "file").open("wb") as file:
        file.write(b"begin\n")
        file.flush()
        env = environment(api)
        subprocess.run([VNS, *words], check=True, cwd=tmp_path, env=env, stdout=file)
    begin, _, rest = (tmp_path / "file").read_bytes().partition(b"\n")
    assert (begin, figures(rest)["listed"]) == (b"begin", 1)
    assert (tmp_path / "stdout").is_symlink()
    result = vns(api, "archive", "calls", "--json", "--metrics", "-", cwd=tmp_path)
    assert (result.code, result.stdout) == (2, b"")


def test_figures_to_a_pipe_that_has_a_name(api: Server, tmp_path: Path) -> None:
    """Its reader gets them; where there is none, nobody waits, and the pipe stays a pipe."""
    pipe = make_fifo(tmp_path / "pipe")
    words = ("archive", "calls", "--metrics", "pipe")
    unread = (1, "error: pipe: No process reads from it")
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.lines[0]) == unread
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert vns(api, *words, cwd=tmp_path).code == 0
    assert figures(os.read(reader, 65536))["listed"] == 1
    filling = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while os.write(filling, bytes(4096)):
            pass
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.lines[0]) == unread
    os.close(filling)
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("name", "make", "cause"),
    [
        ("device", make_null, ""),
        ("file", Path.touch, ""),
        ("directory", Path.mkdir, "Is a directory"),
        ("socket", make_socket, "Not a regular file"),
        ("missing/file", Path, "No such file or directory"),
    ],
)
def test_figures_elsewhere(api: Server, tmp_path: Path, name: str, make: Any, cause: str) -> None:
    """A device takes them, and stays one; a link leads to where they go; others are an error."""
    make(tmp_path / name)
    (tmp_path / "link").symlink_to(name)
    for word in (name, *([] if cause else ["link"])):
        result = vns(api, "archive", "calls", "--metrics", word, cwd=tmp_path)
        assert result.code == (1 if cause else 0)
        assert not cause or f"error: {word}: {cause}" in result.lines
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / name).is_file() == (name == "file")
    assert list(stored(tmp_path / "calls")) == [f"{ONE}.opus"]
    assert name != "file" or figures((tmp_path / name).read_bytes())["listed"] == 1


# When a run stops before its end, and when it does not

GENERAL = {
    "401": (6, "the API refused the token (status 401)"),
    "403": (6, "the API refused the token (status 403)"),
    "503": (7, "the API kept failing (status 503)"),
    "server": (7, "the answer of "),
    "disk": (1, "No space left on device"),
    "directory": (1, "Permission denied"),
}


@pytest.mark.parametrize("trouble", GENERAL)
def test_what_concerns_all(
    many: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """One line says why, one how many are left, and each of those is reported."""
    if trouble == "directory" and IS_WINDOWS:
        pytest.skip("Windows has no permissions")
    calls = tmp_path / "calls"
    calls.mkdir()

    def run_out(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def begin(handler: Handler) -> bool:
        if sum(path != PATH for _, path, _ in many.seen) <= 10:
            return False
        handler.close_connection = trouble == "server"
        if trouble.isdigit():
            handler.send(int(trouble), b"")
        elif trouble == "disk":
            monkeypatch.setattr(PendingFile, "write", run_out)
        elif trouble == "directory":
            calls.chmod(0o500)
        return trouble.isdigit() or trouble == "server"

    many.behaviours.append(begin)
    words = ("archive", "calls", "--json", "-j", "2")
    if trouble == "directory":
        result = vns_process(many, *words, cwd=tmp_path, as_anybody=True)
    else:
        result = vns(many, *words, cwd=tmp_path)
    calls.chmod(0o700)
    code, said = GENERAL[trouble]
    outcomes = [json.loads(line) for line in result.stdout.splitlines()][:-1]
    left = [outcome["code"] for outcome in outcomes if outcome["status"] == "not tried"]
    assert (result.code, len(outcomes), set(left)) == (code, COUNT, {code})
    errors = [line for line in result.lines if line.startswith("error: ")]
    assert (len(errors), said in errors[0]) == (2, True)
    assert f"{len(left)} recordings not tried" in errors[1]
    assert f"{len(left)} not tried, 1 failed" in result.stderr
    # What cannot be recorded may be there all the same.
    assert 0 <= len(stored(calls)) - (COUNT - len(left) - 1) <= 4
    assert len(left) > COUNT / 2
    assert len(many.seen) < COUNT
    assert not [path for path in calls.iterdir() if path.suffix == ".tmp"]


@posix_only("small disks and limits of this kind")
@pytest.mark.parametrize(
    ("size", "shell", "said"),
    [
        (3_000_000, "unshare -m sh -c 'mount -t tmpfs -o size=2m n calls && exec", "No space left"),
        (500_000, "sh -c 'ulimit -f 500; exec", "File too large"),
    ],
)
def test_a_long_recording(api: Server, tmp_path: Path, size: int, shell: str, said: str) -> None:
    """Others may, so they are fetched as long as there is room for such."""
    others = dict.fromkeys(NUMBERED[:3], encrypt(AUDIO))
    api.recordings = {THREE: encrypt(AUDIO + os.urandom(size))} | others
    words, command = ("archive", "calls", "-j", "1"), within(shell, tmp_path)
    result = run_process(*words, cwd=tmp_path, env=environment(api), command=command)
    assert (result.code, len(result.stdout.splitlines())) == (1, len(others))
    assert said in result.lines[0]
    assert "not tried" not in result.stderr


@pytest.mark.parametrize(("status", "count"), [(403, 10), (500, 10), (400, 40), (204, 40)])
def test_what_concerns_one(many: Server, tmp_path: Path, status: int, count: int) -> None:
    """If the API still answers for the list, the others are fetched; it is asked for once more."""
    many.behaviours.append(answering(status, guids=list(many.recordings)[:count]))
    result = vns(many, "archive", ".", "-j", "1", cwd=tmp_path)
    assert result.code == (6 if status == 403 else 7)
    assert len(stored(tmp_path)) == COUNT - count
    assert f"{count} failed" in result.stderr
    assert "not tried" not in result.stderr
    assert many.count("GET", PATH) == 2  # it may have megabytes


@pytest.mark.parametrize("is_down", [True, False])
def test_unreadable_objects(api: Server, bucket: Bucket, tmp_path: Path, *, is_down: bool) -> None:
    """A store may have lost some of its objects; only one that answers for none ends a run."""
    api.recordings = {guid: encrypt(AUDIO) for guid in (ONE, TWO, THREE)}
    place = f"{bucket.url}/calls"
    assert vns(api, "archive", place, cwd=tmp_path, **bucket.env).code == 0
    bucket.client.delete_object(Bucket=bucket.name, Key=f"calls/{THREE}.json")

    def behave(request: Request, forward: Callable[[Request], Answer]) -> Answer:
        if is_down or ONE in request.path:
            return refusal(500, "InternalError", "We encountered an internal error")
        return forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], behave) as between:
        more = {**bucket.env, "AWS_ENDPOINT_URL": between.url, "AWS_MAX_ATTEMPTS": "1"}
        for words in (["--dry-run"], ["--check"], []):
            words += ["--metrics", "vns.prom"]
            result = vns(api, "archive", place, *words, "-j", "1", cwd=tmp_path, **more)
            assert result.code == 1
            assert "We encountered an internal error" in result.stderr
            is_said = [text in result.stderr for text in ("skipped", "1 failed", "not tried")]
            assert is_down or is_said == [True, True, False]
    missing = figures((tmp_path / "vns.prom").read_bytes())["missing"]
    assert isnan(missing) if is_down else missing == 1


def test_many_that_are_missing_in_a_store(
    api: Server, server: str, bucket: Bucket, tmp_path: Path
) -> None:
    """A few requests tell which, as a signal may wait for that; what may be cut off is missing."""
    api.recordings = dict.fromkeys(NUMBERED[:2], encrypt(AUDIO)) | {TWO: AUDIO[:-100]}
    with proxy(server, forwarding) as store:
        env = {**bucket.env, "AWS_ENDPOINT_URL": store.url}
        words = ("archive", f"{bucket.url}/calls", "--json")
        assert vns(api, *words, cwd=tmp_path, **env).code == 0
        bucket.client.delete_object(Bucket=bucket.name, Key=f"calls/{NUMBERED[1]}.json")
        list_calls(api, *(ended(guid, hours=50) for guid in [*NUMBERED[:30], TWO]))
        store.requests.clear()
        result = vns(api, *words, "--since", "2d", cwd=tmp_path, **env)
        summary = json.loads(result.stdout.splitlines()[-1])
        assert (summary["left_out"], summary["missing"], len(store.requests) < 9) == (31, 30, True)


def test_deletions_that_are_refused(many: Server, tmp_path: Path) -> None:
    """Each is its own recording's trouble, and is said."""
    held = list(many.recordings)[:5]
    many.behaviours.append(answering(403, command="DELETE", guids=held))
    result = vns(many, "archive", ".", "--delete-after", "-j", "1", cwd=tmp_path)
    assert (result.code, len(many.deleted)) == (6, COUNT - len(held))
    assert result.stderr.count("stored, but not deleted") == len(held)


def test_what_is_not_tried_is_checked_all_the_same(many: Server, tmp_path: Path) -> None:
    """It may have been here before the server was not."""
    vns(many, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{NUMBERED[0]}.opus").unlink()
    refuse_after_the_list(many)
    result = vns(many, "archive", ".", "--check", "-j", "1", cwd=tmp_path)
    assert result.code == 6
    assert f"{COUNT - 1} verified, {COUNT - 1} not tried" in result.stderr
