"""Keeping other runs out of an archive."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.commands import VNS, run_process, wait_until
from support.posix import IS_WINDOWS, fcntl, make_fifo, make_socket, posix_only
from support.recordings import AUDIO, encrypt
from support.vns import ONE, THREE, TWO, environment, meanwhile, stored, vns, vns_process

from filedecryptor.errors import FileDecryptorError
from filedecryptor.vns import lock
from filedecryptor.vns.lock import LOCK_NAME, locked

if TYPE_CHECKING:
    from support.bucket import Bucket

NO_LOCKS = [errno.ENOLCK, errno.EIO]
OTHER = b"process 1 on other, since 2026-11-24T02:15:00Z\n"
HERE = f"process {os.getpid()} on {socket.gethostname()}, since 20"


@pytest.fixture(params=[None, *NO_LOCKS], ids=lambda number: errno.errorcode.get(number, "locks"))
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A disk that has locks, and disks that have none, of which runs are quick to find that out."""

    def flock(*_: Any) -> None:
        raise OSError(request.param, os.strerror(request.param))

    if request.param is not None:
        monkeypatch.setattr(fcntl, "flock", flock)
        monkeypatch.setattr(lock, "BEAT", 0.05)
        monkeypatch.setattr(lock, "PATIENCE", 30.0)
    return str(tmp_path)


def refused(place: str) -> FileDecryptorError:
    """Return the error by which a run is kept out."""
    with pytest.raises(FileDecryptorError) as raised, locked(place):
        pass
    return raised.value


def test_a_second_run(disk: str) -> None:
    """It is told who is at work, and what to do, as is a third; afterwards the place is free."""
    with locked(disk):
        for _ in range(3):
            error = refused(disk)
            assert f"{disk}: another run is at work here: {HERE}" in str(error)
            assert error.hint == "let it end, or stop it, then run this again"
        Path(disk, LOCK_NAME).write_bytes(b"x" * 10_000)
        assert len(str(refused(disk))) < 400 + len(disk)  # whatever has been written there
    with locked(disk):
        assert os.listdir(disk) == [LOCK_NAME]
    assert Path(disk, LOCK_NAME).read_bytes() == b""


@pytest.mark.parametrize("disk", [errno.ENOLCK], indirect=True)
@pytest.mark.parametrize(
    ("before", "then", "is_free"),
    [(None, OTHER + b"0123", False), (OTHER, OTHER + b"0123", False), (OTHER, b"", True)],
    ids=["both begin", "it is at work", "it ends"],
)
def test_another_run_while_it_is_looked_at(
    disk: str, monkeypatch: pytest.MonkeyPatch, before: bytes | None, then: bytes, *, is_free: bool
) -> None:
    """Of two that begin together, one at most goes on; of one that ends, nobody waits for more."""
    sleep, path = time.sleep, Path(disk, LOCK_NAME)
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr(time, "sleep", lambda seconds: (path.write_bytes(then), sleep(seconds)))
    begin = time.monotonic()
    if is_free:
        with locked(disk):
            pass
    else:
        assert "process 1 on other" in str(refused(disk))
    assert time.monotonic() - begin < lock.PATIENCE


def test_a_copy_by_hard_links_keeps_nobody_out(tmp_path: Path) -> None:
    """As a backup makes it; what the copy holds stays."""
    with locked(str(tmp_path)):
        (tmp_path / "copy").hardlink_to(tmp_path / LOCK_NAME)
        assert "another run" in str(refused(str(tmp_path)))
    (tmp_path / "copy").write_bytes(b"precious")
    with locked(str(tmp_path)):
        assert (tmp_path / LOCK_NAME).read_bytes().startswith(b"process")
    assert (tmp_path / "copy").read_bytes() == b"precious"


SAYINGS = {
    "old": OTHER,
    "of the future": b"process 1 on other, since 2099-01-01T00:00:00Z\n17\n",
    "of this process": f"{HERE}26-11-24T02:15:00Z\n".encode(),
    "of an earlier version": b'{"host": "other", "process": 1, "since": "2099-01-01T00:00:00Z"}',
    "nonsense": b"\xff\0" * 5000,
    "empty": b"",
}


@pytest.mark.parametrize("disk", [None, errno.ENOLCK], indirect=True)
@pytest.mark.parametrize("said", SAYINGS)
def test_what_a_killed_run_left(disk: str, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Whatever its clock said, and whoever has the number of its process now."""
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    path = Path(disk, LOCK_NAME)
    path.write_bytes(SAYINGS[said])
    with locked(disk):
        pass
    assert path.read_bytes() == b""


@posix_only("permissions")
@pytest.mark.parametrize("mode", [None, 0o000, 0o444])
def test_others_can_open_the_lock(api: Server, tmp_path: Path, mode: int | None) -> None:
    """Whatever the umask of a run is; and a lock of another user keeps nobody out."""
    path = tmp_path / LOCK_NAME
    if mode is not None:
        path.touch()
        path.chmod(mode)
    options: Any = {"command": (VNS,), "as_anybody": True, "umask": 0o077}
    assert run_process("archive", ".", cwd=tmp_path, env=environment(api), **options).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


ODD: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "pipe": make_fifo,
    "link": lambda path: path.symlink_to("precious"),
    "socket": make_socket,
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_lock_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Somebody may have put it there to have it written to."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    precious.chmod(0o600)
    ODD[kind](tmp_path / LOCK_NAME)
    error = refused(str(tmp_path))
    assert error.filename == str(tmp_path / LOCK_NAME)
    assert str(error.hint).startswith("remove it")
    assert precious.read_bytes() == b"precious"
    assert IS_WINDOWS or stat.S_IMODE(precious.stat().st_mode) == 0o600


@posix_only("permissions")
@pytest.mark.parametrize("place", ["calls", "calls/new"])
def test_a_directory_that_cannot_be_written_to(api: Server, tmp_path: Path, place: str) -> None:
    """The error says what its user needs."""
    (tmp_path / "calls").mkdir(mode=0o500)
    result = vns_process(api, "archive", place, cwd=tmp_path, as_anybody=True)
    assert (result.code, api.seen) == (1, [])
    assert result.lines[0].endswith("Permission denied")
    assert result.lines[1].startswith("hint: the user of an archive must be able to write")


@posix_only("signals from elsewhere")
def test_a_run_that_was_killed(api: Server, tmp_path: Path) -> None:
    """While it is there, the next one is kept out; then no more."""
    over = Event()
    api.behaviours.append(meanwhile(lambda handler: handler.guid == ONE and over.wait(60)))
    process = subprocess.Popen([VNS, "archive", "calls"], cwd=tmp_path, env=environment(api))
    wait_until(lambda: api.count("GET", f"{PATH}/{ONE}") > 0)
    result = vns(api, "archive", "calls", cwd=tmp_path)
    process.kill()
    process.wait()
    over.set()
    assert result.code == 1
    holder = HERE.replace(str(os.getpid()), str(process.pid))
    assert result.stderr.startswith(f"error: calls: another run is at work here: {holder}")
    assert vns(api, "archive", "calls", cwd=tmp_path).code == 0
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO}


def test_two_runs_side_by_side_in_a_store(api: Server, bucket: Bucket, tmp_path: Path) -> None:
    """Both succeed, and each recording is there once, and deleted; no lock is made, nor heeded."""
    api.recordings = {guid: encrypt(AUDIO) for guid in (ONE, TWO, THREE)}
    marker = f'{{"host": "{socket.gethostname()}", "process": 1, "since": "2099-01-01"}}'.encode()
    bucket.put(f"calls/{LOCK_NAME}", marker)  # as an earlier version has left it
    words = ("archive", f"{bucket.url}/calls", "--delete-after", "-j", "2")
    command, env = [VNS, *words], environment(api, **bucket.env)
    runs = [
        subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(run.communicate()[1], run.returncode)[1] for run in runs] == [0, 0]
    audio = {key for key in bucket.keys() if key.endswith(".opus")}  # noqa: SIM118
    assert audio == {f"calls/{guid}.opus" for guid in (ONE, TWO, THREE)}
    assert bucket.get(f"calls/{LOCK_NAME}") == marker
    assert sorted(api.deleted) == [ONE, TWO, THREE]
