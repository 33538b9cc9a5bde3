"""The nightly run: its pace, `--since`, the seven days, the summary, figures, and when it stops."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Handler, Server
from support.commands import VNS, run_process
from support.posix import IS_WINDOWS, make_fifo, make_null, make_socket, posix_only
from support.recordings import AUDIO, encrypt
from support.store_proxy import Answer, Request, proxy, refusal
from support.vns import (
    NUMBERED,
    ONE,
    THREE,
    TWO,
    answering,
    environment,
    failing,
    limiting,
    stored,
    vns,
    vns_process,
)

from filedecryptor.storage.atomic import PendingFile
from filedecryptor.vns.nightly import MEMORY_NAME as MEMORY
from filedecryptor.vns.times import shown

if TYPE_CHECKING:
    from support.bucket import Bucket


def remembered(folder: Path) -> dict[str, str]:
    """Return what an archive remembers of its runs."""
    found: dict[str, str] = json.loads((folder / MEMORY).read_text("utf-8"))
    return found


@pytest.mark.parametrize("retry_after", ["0.3", None])
def test_a_rate_limit(api: Server, tmp_path: Path, retry_after: str | None) -> None:
    """All threads slow down together, and nothing fails, whatever the server asks for."""
    api.recordings |= dict.fromkeys(NUMBERED[:5], encrypt(AUDIO))
    api.behaviours.append(limiting(8, retry_after))
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
    result = vns(api, "archive", ".", "--since", "yesterday", cwd=tmp_path)
    cause = "--since takes a time, as 2026-11-24 or 2026-11-24T18:00Z"
    assert (result.code, result.lines[0]) == (2, f"error: {cause}")


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


@pytest.mark.parametrize(
    "data", ["", "[]", '{"complete": 3}', "{", '{"complete": "soon"}', "\0" * 80, FUTURE]
)
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
    said = f"error: ./{TWO}.json: Permission denied"
    assert (result.code, result.lines) == (1, [said])
    (tmp_path / MEMORY).unlink()
    make_fifo(tmp_path / MEMORY)
    (tmp_path / f"{TWO}.json").unlink()
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.lines) == (1, [f"error: ./{MEMORY}: Not a regular file"])
    assert set(stored(tmp_path)) == {f"{guid}.opus" for guid in (ONE, TWO, THREE)}


# The summary, and figures for Prometheus


def figures(data: bytes) -> dict[str, float]:
    """Return what a file holds; it must be as Prometheus wants it."""
    text = data.decode()
    assert not re.sub(r"# HELP (\w+) .+\n# TYPE \1 gauge\n\1 [0-9.e+-]+\n", "", text)
    values = re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)
    return {name.removeprefix("vns_recordings_"): float(value) for name, value in values}


def test_the_summary_and_the_figures(api: Server, tmp_path: Path) -> None:
    """The one is the last line of `--json`, the others a file; both also without a list."""
    path = tmp_path / "vns.prom"
    path.write_text("old")
    api.recordings[TWO] = encrypt(AUDIO, "another")
    words = ("archive", ".", "--json", "--metrics", "vns.prom")
    summary = json.loads(vns(api, *words, cwd=tmp_path).stdout.splitlines()[-1])
    found = figures(path.read_bytes())
    assert 0 < summary.pop("seconds") == found.pop("seconds") < 60
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
    assert found == {"listed": 2, "fetched": 1, "failed": 1, "bytes": len(AUDIO)}
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

COUNT = 40


@pytest.fixture
def many(api: Server) -> Server:
    """An account with many recordings."""
    api.recordings = dict.fromkeys(NUMBERED[:COUNT], encrypt(AUDIO))
    return api


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
        (9_000_000, "unshare -m sh -c 'mount -t tmpfs -o size=8m n calls && exec", "No space left"),
        (500_000, "sh -c 'ulimit -f 500; exec", "File too large"),
    ],
)
def test_a_long_recording(many: Server, tmp_path: Path, size: int, shell: str, said: str) -> None:
    """Others may, so they are fetched as long as there is room for such."""
    many.recordings = {THREE: encrypt(AUDIO + os.urandom(size))} | many.recordings
    (tmp_path / "calls").mkdir()
    command = [*shlex.split(f"""{shell} "$@"' sh"""), VNS]
    if subprocess.run([*command[:-1], "true"], check=False, cwd=tmp_path).returncode:
        pytest.skip("nothing can be mounted here")
    words = ("archive", "calls", "-j", "1")
    result = run_process(*words, cwd=tmp_path, env=environment(many), command=command)
    assert (result.code, len(result.stdout.splitlines())) == (1, COUNT)
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
            result = vns(api, "archive", place, *words, "-j", "1", cwd=tmp_path, **more)
            assert result.code == 1
            assert "We encountered an internal error" in result.stderr
            is_said = [text in result.stderr for text in ("skipped", "1 failed", "not tried")]
            assert is_down or is_said == [True, True, False]


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

    def refuse(handler: Handler) -> bool:
        is_asked = handler.path != PATH or len(many.seen) > 1
        if is_asked:
            handler.send(401, b"")
        return is_asked

    many.seen.clear()
    many.behaviours.append(refuse)
    result = vns(many, "archive", ".", "--check", "-j", "1", cwd=tmp_path)
    assert result.code == 6
    assert f"{COUNT - 1} verified, {COUNT - 1} not tried" in result.stderr
