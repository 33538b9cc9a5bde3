"""Keeping other runs out of an archive."""

from __future__ import annotations

import errno
import os
import re
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
from support.commands import VNS, wait_until
from support.posix import IS_WINDOWS, fcntl, make_fifo, make_socket, posix_only
from support.recordings import AUDIO, encrypt
from support.vns import ONE, THREE, TWO, environment, meanwhile, stored, vns, vns_process

from filedecryptor.errors import FileDecryptorError
from filedecryptor.vns import lock
from filedecryptor.vns.lock import LOCK_NAME, locked

if TYPE_CHECKING:
    from support.bucket import Bucket

NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EIO]


@pytest.fixture(params=[None, *NO_LOCKS], ids=lambda number: errno.errorcode.get(number, "locks"))
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A disk that has locks, and disks that have none."""
    if request.param is not None:
        refuse(monkeypatch, request.param)
    return str(tmp_path / "calls")


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the disk have no locks, and runs be quick to find that out."""

    def flock(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(lock, "BEAT", 0.05)
    monkeypatch.setattr(lock, "PATIENCE", 3.0)


def test_a_second_run(disk: str) -> None:
    """It is told who is at work, and what to do, as is a third; afterwards the place is free."""
    with locked(disk):
        for _ in range(3):
            with pytest.raises(FileDecryptorError) as raised, locked(disk):
                pass
            said = f"{disk}: another run is at work here: process {os.getpid()} on"
            assert f"{said} {socket.gethostname()}, since 20" in str(raised.value)
            assert raised.value.hint == "let it end, or stop it, then run this again"
        Path(disk, LOCK_NAME).write_bytes(b"x" * 10_000)
        with pytest.raises(FileDecryptorError) as raised, locked(disk):
            pass
        assert len(str(raised.value)) < 400 + len(disk)  # whatever has been written there
    with locked(disk):
        assert os.listdir(disk) == [LOCK_NAME]
    assert Path(disk, LOCK_NAME).read_bytes() == b""


def on_sleep(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen whenever a run waits."""
    sleep = time.sleep

    def sleep_and_act(seconds: float) -> None:
        act()
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep_and_act)


OTHER = b"process 1 on other, since 2026-11-24T02:15:00Z\n"


def test_two_runs_that_begin_at_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk without locks, one of them at most goes on."""
    refuse(monkeypatch, errno.ENOLCK)
    on_sleep(monkeypatch, lambda: (tmp_path / LOCK_NAME).write_bytes(OTHER + b"0123"))
    with pytest.raises(FileDecryptorError, match="process 1 on other"), locked(str(tmp_path)):
        pass


def test_a_copy_by_hard_links_keeps_nobody_out(tmp_path: Path) -> None:
    """As a backup makes it; what the copy holds stays."""
    with locked(str(tmp_path)):
        (tmp_path / "copy").hardlink_to(tmp_path / LOCK_NAME)
        with pytest.raises(FileDecryptorError, match="another run"), locked(str(tmp_path)):
            pass
    (tmp_path / "copy").write_bytes(b"precious")
    with locked(str(tmp_path)):
        assert (tmp_path / LOCK_NAME).read_bytes().startswith(b"process")
    assert (tmp_path / "copy").read_bytes() == b"precious"


SAYINGS = [
    OTHER,
    b"process 1 on other, since 2099-01-01T00:00:00Z\n17\n",
    f"process {os.getpid()} on {socket.gethostname()}, since 2026-11-24T02:15:00Z\n".encode(),
    b'{"host": "other", "process": 1, "since": "2099-01-01T00:00:00Z", "id": "x"}',
    b"\xff\0" * 5000,
    b"",
]


@pytest.mark.parametrize("said", SAYINGS, ids=range(len(SAYINGS)))
@pytest.mark.parametrize("has_locks", [True, False])
def test_what_a_killed_run_has_left_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes, *, has_locks: bool
) -> None:
    """Whatever its clock said, and whoever has the number of its process now."""
    if not has_locks:
        refuse(monkeypatch, errno.ENOLCK)
    (tmp_path / LOCK_NAME).write_bytes(said)
    with locked(str(tmp_path)):
        pass
    assert (tmp_path / LOCK_NAME).read_bytes() == b""


def test_a_run_that_ends_while_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the rest of the time."""
    refuse(monkeypatch, errno.ENOLCK)
    monkeypatch.setattr(lock, "PATIENCE", 60.0)
    (tmp_path / LOCK_NAME).write_bytes(OTHER)
    on_sleep(monkeypatch, lambda: (tmp_path / LOCK_NAME).write_bytes(b""))
    begin = time.monotonic()
    with locked(str(tmp_path)):
        pass
    assert time.monotonic() - begin < 30


@posix_only("permissions")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o200, 0o444])
def test_a_lock_that_is_another_user_s(api: Server, tmp_path: Path, mode: int) -> None:
    """A run by hand, as root with a strict umask, keeps no later one out."""
    lock = tmp_path / LOCK_NAME
    lock.touch()
    lock.chmod(mode)
    result = vns_process(api, "archive", ".", cwd=tmp_path, as_anybody=True)
    assert (result.code, stored(tmp_path)) == (0, {f"{ONE}.opus": AUDIO})


@posix_only("umask")
def test_others_can_open_the_lock(tmp_path: Path) -> None:
    """Whatever the umask of the first run is."""
    before = os.umask(0o077)
    try:
        with locked(str(tmp_path)):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / LOCK_NAME).stat().st_mode) == 0o644


ODD: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "pipe": make_fifo,
    "link": lambda path: path.symlink_to("precious"),
    "socket": make_socket,
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_lock_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Somebody may have put it there to have it written to."""
    lock, precious = tmp_path / LOCK_NAME, tmp_path / "precious"
    precious.write_bytes(b"precious")
    precious.chmod(0o600)
    ODD[kind](lock)
    with pytest.raises(FileDecryptorError) as raised, locked(str(tmp_path)):
        pass
    assert raised.value.filename == str(lock)
    assert str(raised.value.hint).startswith("remove it")
    assert precious.read_bytes() == b"precious"
    assert IS_WINDOWS or stat.S_IMODE(precious.stat().st_mode) == 0o600


@posix_only("permissions")
def test_a_directory_that_cannot_be_written_to(api: Server, tmp_path: Path) -> None:
    """The error says what its user needs."""
    (tmp_path / "calls").mkdir(mode=0o500)
    for place in ("calls", "calls/new"):
        result = vns_process(api, "archive", place, cwd=tmp_path, as_anybody=True)
        assert result.code == 1
        assert result.stderr.splitlines()[0].endswith("Permission denied")
        assert "hint: the user of an archive must be able to write" in result.stderr
    assert api.seen == []


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
    holder = rf"process {process.pid} on {re.escape(socket.gethostname())}, since 20"
    assert re.match(f"error: calls: another run is at work here: {holder}", result.stderr)
    assert vns(api, "archive", "calls", cwd=tmp_path).code == 0
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO}


def test_a_store_has_no_lock(
    api: Server, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for a moment; a marker that an earlier version has left there keeps nobody out."""
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    with locked(f"{bucket.url}/calls"), locked(f"{bucket.url}/calls"):
        assert bucket.keys() == []
    marker = f'{{"host": "{socket.gethostname()}", "process": 1, "since": "2099-01-01"}}'
    bucket.put(f"calls/{LOCK_NAME}", marker.encode())
    assert vns(api, "archive", f"{bucket.url}/calls", cwd=tmp_path, **bucket.env).code == 0
    assert bucket.get(f"calls/{ONE}.opus") == AUDIO


def test_two_runs_side_by_side_in_a_store(api: Server, bucket: Bucket, tmp_path: Path) -> None:
    """Both succeed, and each recording is there once, and deleted."""
    api.recordings = {guid: encrypt(AUDIO) for guid in (ONE, TWO, THREE)}
    words = ("archive", f"{bucket.url}/calls", "--delete-after", "-j", "2")
    command, env = [VNS, *words], environment(api, **bucket.env)
    runs = [
        subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(run.communicate()[1], run.returncode)[1] for run in runs] == [0, 0]
    audio = {key for key in bucket.keys() if key.endswith(".opus")}  # noqa: SIM118
    assert audio == {f"calls/{guid}.opus" for guid in (ONE, TWO, THREE)}
    assert sorted(api.deleted) == [ONE, TWO, THREE]
