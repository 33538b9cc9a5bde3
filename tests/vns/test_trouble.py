"""When a run stops before its end, and when it does not."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Handler, Server
from support.commands import VNS, Result, run_process
from support.posix import make_fifo, posix_only
from support.recordings import AUDIO, encrypt
from support.store_proxy import Answer, Request, proxy, refusal
from support.vns import NUMBERED, ONE, THREE, TWO, answering, environment, stored, vns, vns_process

from filedecryptor.storage.atomic import PendingFile

if TYPE_CHECKING:
    from support.bucket import Bucket

COUNT = len(NUMBERED)


@pytest.fixture
def many(api: Server) -> Server:
    """An account with many recordings."""
    api.recordings = dict.fromkeys(NUMBERED, encrypt(AUDIO))
    return api


def after(count: int, behaviour: Any) -> Any:
    """Return a behaviour that begins once so many recordings have been sent."""

    def behave(handler: Handler) -> bool:
        sent = sum(path != PATH for _, path, _ in handler.server.seen)
        return sent > count and bool(behaviour(handler))

    return behave


def refusing(status: int | None) -> Any:
    """Return a behaviour that answers everything with a status, or hangs up if it is None."""

    def behave(handler: Handler) -> bool:
        handler.close_connection = status is None
        if status is not None:
            handler.send(status, b"")
        return True

    return behave


def assert_stopped(result: Result, api: Server, folder: Path) -> None:
    """One line says why, one how many are left, and each of those is reported."""
    outcomes = [json.loads(line) for line in result.stdout.splitlines()][:-1]
    left = [outcome for outcome in outcomes if outcome["status"] == "not tried"]
    assert len(outcomes) == COUNT
    assert len(left) > COUNT / 2
    assert {outcome["code"] for outcome in left} == {result.code}
    assert len([line for line in result.lines if line.startswith("error: ")]) == 2
    assert f"{len(left)} recordings not tried" in result.stderr
    assert f"{len(left)} not tried, 1 failed" in result.stderr
    # What cannot be recorded may be there all the same.
    assert 0 <= len(stored(folder)) - (COUNT - len(left) - 1) <= 4
    assert len(api.seen) < COUNT


@pytest.mark.parametrize(("status", "code"), [(401, 6), (403, 6), (503, 7), (None, 7)])
def test_what_concerns_all(many: Server, tmp_path: Path, status: int | None, code: int) -> None:
    """A revoked token, a server that is down."""
    many.behaviours.append(after(10, refusing(status)))
    result = vns(many, "archive", ".", "--json", "-j", "4", cwd=tmp_path)
    assert result.code == code
    assert_stopped(result, many, tmp_path)


def test_what_is_not_tried_is_checked_all_the_same(many: Server, tmp_path: Path) -> None:
    """It may have been here before the server was not."""
    vns(many, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{NUMBERED[0]}.opus").unlink()
    many.seen.clear()
    many.behaviours.append(after(0, refusing(401)))
    result = vns(many, "archive", ".", "--check", "-j", "1", cwd=tmp_path)
    assert result.code == 6
    assert f"{COUNT - 1} verified, {COUNT - 1} not tried" in result.stderr


def test_a_full_disk(many: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that follows would find room either."""
    written: list[int] = []
    write = PendingFile.write

    def run_out(file: PendingFile, data: memoryview) -> int:
        written.append(len(data))
        if len(written) > 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr(PendingFile, "write", run_out)
    result = vns(many, "archive", ".", "--json", "-j", "2", cwd=tmp_path)
    assert result.code == 1
    assert "No space left on device" in result.lines[0]
    assert_stopped(result, many, tmp_path)


@posix_only("disks that can be made so small")
def test_a_recording_that_does_not_fit(many: Server, tmp_path: Path) -> None:
    """Others may, so they are fetched as long as there is room for such."""
    many.recordings = {THREE: encrypt(AUDIO + os.urandom(9_000_000))} | many.recordings
    (tmp_path / "small").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", "small"]
    if subprocess.run(mount, check=False, cwd=tmp_path).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        result = vns(many, "archive", "small", "-j", "1", cwd=tmp_path)
        found = stored(tmp_path / "small")
    finally:
        subprocess.run(["umount", "-l", "small"], check=True, cwd=tmp_path)
    assert result.code == 1
    assert result.lines[0].startswith("error: small/") or THREE in result.lines[0]
    assert "No space left on device" in result.lines[0]
    assert "not tried" not in result.stderr
    assert len(found) == COUNT


@posix_only("limits of this kind")
def test_files_that_have_to_be_short(many: Server, tmp_path: Path) -> None:
    """What is longer fails; the rest is fetched."""
    many.recordings = {THREE: encrypt(AUDIO + os.urandom(500_000))} | many.recordings
    shell = ("sh", "-c", 'ulimit -f 500; exec "$@"', "sh", VNS)
    result = run_process(
        "archive", ".", "-j", "1", cwd=tmp_path, env=environment(many), command=shell
    )
    assert (result.code, len(stored(tmp_path))) == (1, COUNT)
    assert "File too large" in result.stderr
    assert "not tried" not in result.stderr


@pytest.mark.parametrize("status", [403, 500])
def test_what_concerns_one(many: Server, tmp_path: Path, status: int) -> None:
    """If the API still answers for the list, the others are fetched; even one by one."""
    bad = list(many.recordings)[:10]
    many.behaviours.append(answering(status, guids=bad))
    result = vns(many, "archive", ".", "-j", "1", cwd=tmp_path)
    assert result.code == (6 if status == 403 else 7)
    assert len(stored(tmp_path)) == COUNT - len(bad)
    assert "not tried" not in result.stderr


@pytest.mark.parametrize("words", [["-j", "1"], ["-j", "8"], ["--check"], ["--delete-after"]])
def test_outputs_that_cannot_be_written(many: Server, tmp_path: Path, words: list[str]) -> None:
    """Each of them is one recording's trouble, however many they are, and wherever they stand."""
    before = set(many.recordings)
    taken = sorted(before)[:5]
    for guid in taken:
        (tmp_path / f"{guid}.opus").mkdir()
    result = vns(many, "archive", ".", *words, cwd=tmp_path)
    assert result.code == 1
    assert result.stderr.count("Is a directory") == len(taken)
    assert "not tried" not in result.stderr
    assert len(stored(tmp_path)) == COUNT
    assert many.recordings.keys() == (set(taken) if many.deleted else before)


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "nobody's": lambda path: path.touch(mode=0),
    "directory": Path.mkdir,
    "pipe": make_fifo,
    "loop": lambda path: path.symlink_to(path.name),
}


def spoil(path: Path, kind: str) -> None:
    """Let a file be there, but not be readable."""
    path.unlink(missing_ok=True)
    UNREADABLE[kind](path)


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("words", [["-j", "1"], ["--check"]], ids=str)
def test_what_cannot_be_read(many: Server, tmp_path: Path, kind: str, words: list[str]) -> None:
    """As of another user, or on bad sectors: one line for each, and the rest as ever."""
    oldest = list(many.recordings)[:5]
    for guid in oldest:
        spoil(tmp_path / f"{guid}.json", kind)
    result = vns_process(many, "archive", ".", *words, cwd=tmp_path, as_anybody=True)
    assert (result.code, result.stderr.count("error: ")) == (1, len(oldest))
    assert "not tried" not in result.stderr
    found = [data for name, data in stored(tmp_path).items() if name.endswith(".opus")]
    assert len(found) >= COUNT - len(oldest)
    assert set(found) == {AUDIO}
    audio, other = list(many.recordings)[5:7]
    spoil(tmp_path / f"{audio}.opus", kind)
    many.recordings = {oldest[0]: encrypt(AUDIO), other: encrypt(AUDIO)}
    dry = vns_process(many, "archive", ".", "--dry-run", cwd=tmp_path, as_anybody=True)
    assert (dry.code, dry.stderr.count("error: ")) == (1, 1)
    assert "1 skipped, 1 failed" in dry.stderr
    many.recordings.clear()
    check = vns_process(many, "archive", ".", "--check", cwd=tmp_path, as_anybody=True)
    assert (check.code, check.stderr.count("error: ")) == (1, 6)
    assert f"{COUNT - 6} verified, 6 failed" in check.stderr
    listed = vns_process(many, "list", "--archived", ".", cwd=tmp_path, as_anybody=True)
    assert all(f"error: {guid}.json: " in listed.stderr for guid in oldest)
    assert (listed.code, len(listed.stdout.splitlines())) == (1, COUNT - len(oldest) + 1)


@pytest.mark.parametrize("words", [["archive"], ["archive", "--dry-run"], ["archive", "--check"]])
@pytest.mark.parametrize("is_down", [True, False])
def test_objects_that_cannot_be_read(
    api: Server, bucket: Bucket, tmp_path: Path, words: list[str], *, is_down: bool
) -> None:
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
        result = vns(api, words[0], place, *words[1:], "-j", "1", cwd=tmp_path, **more)
    assert result.code == 1
    assert "We encountered an internal error" in result.stderr
    if not is_down:
        assert "not tried" not in result.stderr
        assert "1 failed" in result.stderr
        assert "1 skipped" in result.stderr


@posix_only("permissions")
def test_a_directory_that_takes_nothing_any_more(many: Server, tmp_path: Path) -> None:
    """That concerns all recordings, and is found out without another one."""
    calls = tmp_path / "calls"
    many.behaviours.append(after(10, lambda _: calls.chmod(0o500)))
    words = ("archive", "calls", "--json", "-j", "1")
    result = vns_process(many, *words, cwd=tmp_path, as_anybody=True)
    calls.chmod(0o700)
    assert result.code == 1
    assert_stopped(result, many, calls)
    assert not [path for path in calls.iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize("answer_of_all", [(400, b""), (403, b""), (204, b""), (200, b"<html>no")])
def test_the_list_is_not_asked_for_each_time(
    many: Server, tmp_path: Path, answer_of_all: tuple[int, bytes]
) -> None:
    """It may have megabytes; what it shows holds for a while."""
    many.behaviours.append(answering(*answer_of_all))
    result = vns(many, "archive", ".", cwd=tmp_path)
    assert result.code in {6, 7}
    assert f"{COUNT} failed" in result.stderr
    assert many.count("GET", PATH) == 2


def test_deletions_that_are_refused(many: Server, tmp_path: Path) -> None:
    """Each is its own recording's trouble, and is said."""
    held = list(many.recordings)[:5]
    many.behaviours.append(answering(403, command="DELETE", guids=held))
    result = vns(many, "archive", ".", "--delete-after", "-j", "1", cwd=tmp_path)
    assert (result.code, len(many.deleted)) == (6, COUNT - len(held))
    assert result.stderr.count("stored, but not deleted") == len(held)
