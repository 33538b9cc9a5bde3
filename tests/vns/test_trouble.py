"""When a run stops before its end, and when it does not."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
pytest.importorskip("filelock", reason="the extra vns is not installed")
from support.api_server import PATH, Handler, Server
from support.commands import Result
from support.recordings import AUDIO, encrypt
from support.vns import stored, vns

from filedecryptor.storage.outputs import PendingFile

COUNT = 60


@pytest.fixture
def many(api: Server) -> Server:
    """An account with many recordings."""
    api.recordings = {
        f"{number:08}-0000-4000-8000-000000000000": encrypt(AUDIO) for number in range(COUNT)
    }
    return api


def after(count: int, behaviour: Any) -> Any:
    """Return a behaviour that begins once so many recordings have been sent."""

    def behave(handler: Handler) -> bool:
        sent = sum(path != PATH for _, path, _ in handler.server.seen)
        return sent > count and bool(behaviour(handler))

    return behave


def answer(status: int) -> Any:
    """Return a behaviour that answers with a status."""

    def behave(handler: Handler) -> bool:
        handler.send(status, b"")
        return True

    return behave


def hang_up(handler: Handler) -> bool:
    """Be there no more."""
    handler.close_connection = True
    return True


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


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(answer(401), 6), (answer(403), 6), (answer(503), 7), (hang_up, 7)],
    ids=["401", "403", "503", "gone"],
)
def test_what_concerns_all(many: Server, tmp_path: Path, behaviour: Any, code: int) -> None:
    """A revoked token, a server that is down."""
    many.behaviours.append(after(10, behaviour))
    result = vns(many, "archive", ".", "--json", "-j", "4", cwd=tmp_path)
    assert result.code == code
    assert_stopped(result, many, tmp_path)


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


@pytest.mark.parametrize("status", [403, 500])
def test_what_concerns_one(many: Server, tmp_path: Path, status: int) -> None:
    """If the API still answers for the list, the others are fetched; even one by one."""
    bad = list(many.recordings)[:10]

    def behave(handler: Handler) -> bool:
        if handler.guid not in bad:
            return False
        handler.send(status, b"")
        return True

    many.behaviours.append(behave)
    result = vns(many, "archive", ".", "-j", "1", cwd=tmp_path)
    assert result.code == (6 if status == 403 else 7)
    assert len(stored(tmp_path)) == COUNT - len(bad)
    assert "not tried" not in result.stderr


def test_a_directory_that_takes_nothing(many: Server, tmp_path: Path) -> None:
    """Three in a row are enough."""
    for guid in many.recordings:
        (tmp_path / f"{guid}.opus").mkdir()
    result = vns(many, "archive", ".", "-j", "1", cwd=tmp_path)
    assert result.code == 1
    assert result.stderr.count("Is a directory") == 3
    assert "57 recordings not tried" in result.stderr


def test_deletions_that_are_refused(many: Server, tmp_path: Path) -> None:
    """After three in a row no more are tried; everything is stored."""

    def behave(handler: Handler) -> bool:
        if handler.command != "DELETE":
            return False
        handler.send(403, b"")
        return True

    many.behaviours.append(behave)
    result = vns(many, "archive", ".", "--delete-after", "-j", "1", cwd=tmp_path)
    assert result.code == 6
    assert len(result.stdout.splitlines()) == len(stored(tmp_path)) == COUNT
    assert result.stderr.count("stored, but not deleted") == 3
    assert sum(command == "DELETE" for command, _, _ in many.seen) == 3
