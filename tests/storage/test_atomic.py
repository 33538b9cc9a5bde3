"""Outputs that appear whole or not at all, by each of the ways that a disk may allow."""

from __future__ import annotations

import errno
import gc
import io
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import Mock

import pytest
from support.commands import run, run_process
from support.folders import contents
from support.posix import (
    IS_ROOT,
    IS_WINDOWS,
    IS_WINE,
    make_fifo,
    make_null,
    make_socket,
    posix_only,
)
from support.recordings import PASSWORD, encrypt

from filedecryptor.errors import UsageError
from filedecryptor.storage import atomic
from filedecryptor.storage.atomic import Attributes, PendingFile, Written, nameless

AUDIO = os.urandom(600_000)

TIME = 1_700_000_000_123_456_700
"""Nanoseconds since 1970, as fine as NTFS keeps them."""


@pytest.fixture(
    params=[
        pytest.param(("", 0), id="without a name"),
        pytest.param(("open", errno.EOPNOTSUPP), id="no files without a name"),
        pytest.param(("link", errno.EPERM), id="no name for them"),
        pytest.param(("link", errno.ENOENT), id="no /proc"),
    ]
)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to write an output that a file system may leave, by what it refuses."""
    function, number = request.param
    if IS_WINDOWS and function:
        pytest.skip("Windows has one way only")
    if not IS_WINDOWS and not function and sys.platform != "linux":
        pytest.skip("only Linux has files without a name")
    if function:
        real = getattr(os, function)

        def refusing(path: str, *words: Any, **options: Any) -> Any:
            no_name = function == "open" and words[0] & os.O_TMPFILE == os.O_TMPFILE
            if no_name or (function == "link" and str(path).startswith("/proc/")):
                raise OSError(number, os.strerror(number))
            return real(path, *words, **options)

        monkeypatch.setattr(os, function, refusing)


def publish(target: Path | str, data: bytes = AUDIO, *, pending: bool = False, **how: Any) -> None:
    """Publish some bytes; if possible, and wanted, as a file that is only to get its name."""
    content: Any = io.BytesIO(data)
    if pending and (file := nameless(str(target))):
        file.write_all(memoryview(data))
        content = file
    with content:
        atomic.publish(str(target), content, **{"replace": True, **how})


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


in_each_way = pytest.mark.usefixtures("way")


@pytest.mark.parametrize("pending", [True, False])
@pytest.mark.parametrize("old", [None, b"old", "link"])
@in_each_way
def test_a_published_file_is_whole_and_alone(
    tmp_path: Path, old: bytes | str | None, *, pending: bool
) -> None:
    """It replaces what was there, or a link, not what that leads to; its name may be the longest."""
    name = "\u00e9 \U0001f3a7" + "x" * 248
    target = tmp_path / name
    (tmp_path / "precious").write_bytes(b"precious")
    if isinstance(old, bytes):
        target.write_bytes(old)
    elif old:
        target.symlink_to("precious")
    before = open_files()
    publish(target, pending=pending)
    assert contents(tmp_path) == {name: AUDIO, "precious": b"precious"}
    assert not target.is_symlink()
    assert open_files() <= before


@pytest.mark.parametrize("make", [Path.mkdir, make_fifo, make_socket, make_null, None])
@pytest.mark.parametrize("pending", [True, False])
@in_each_way
def test_nothing_but_a_file_is_replaced(tmp_path: Path, make: Any, *, pending: bool) -> None:
    """A directory, a pipe, a socket, a device or a link to one stays what it is."""
    target = tmp_path / "x"
    if make is None:
        make_null(tmp_path / "null")
        target.symlink_to("null")
    else:
        target = make(target) or target
    before = {path.name: path.lstat().st_mode for path in tmp_path.iterdir()}
    for replace in (True, False):
        with pytest.raises(OSError, match=r"Is a directory|Not a regular file|xists"):
            publish(target, replace=replace, pending=pending)
    assert {path.name: path.lstat().st_mode for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("old", [b"old", "nowhere"])
@in_each_way
def test_without_replace_an_existing_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | str, *, links: bool
) -> None:
    """A link to nowhere as well, and without hard links; what was refused can be published after all."""
    if IS_WINE and isinstance(old, str):
        pytest.skip("wine takes a link to nowhere for nothing")
    if not links:
        monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EOPNOTSUPP, "none")))
    target = tmp_path / "x"
    target.write_bytes(old) if isinstance(old, bytes) else target.symlink_to(old)
    with nameless(str(target)) or io.BytesIO() as file:
        file.write(AUDIO)
        with pytest.raises(FileExistsError) as caught:
            atomic.publish(str(target), file, replace=False)
        assert (caught.value.filename, caught.value.errno) == (str(target), errno.EEXIST)
        assert contents(tmp_path) == {"x": old}
        atomic.publish(str(target), file, replace=True)
    publish(tmp_path / "y", replace=False)
    assert contents(tmp_path) == {"x": AUDIO, "y": AUDIO}


@posix_only("permissions of this kind")
@pytest.mark.parametrize(
    ("mode", "umask", "expected"),
    [
        (0o666, 0o000, 0o666),
        (0o666, 0o022, 0o644),
        (0o666, 0o027, 0o640),
        (0o640, 0o022, 0o640),
        (0o644, 0o077, 0o600),
        (0o444, 0o022, 0o444),
        (0o600, 0o000, 0o600),
    ],
    ids=oct,
)
@in_each_way
def test_permissions_are_no_more_than_the_recording_has_and_the_umask_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, umask: int, expected: int
) -> None:
    """Until all is written, however little at once, they are the owner's alone."""
    asked, modes = watched_modes(monkeypatch, umask)
    target = tmp_path / "x"
    before = os.umask(umask)
    try:
        publish(target, attributes=Attributes(mode, TIME))
    finally:
        os.umask(before)
    # Whoever opened it when it was made could read it all.
    assert {mode for _, mode in asked} == {expected}
    assert modes == {0o600}
    assert target.stat().st_mode & 0o777 == expected
    assert target.stat().st_mtime_ns == TIME
    assert contents(tmp_path) == {"x": AUDIO}


def watched_modes(
    monkeypatch: pytest.MonkeyPatch, umask: int
) -> tuple[list[tuple[bool, int]], set[int]]:
    """Return which files will be made, with a name or not, and what modes they will be filled in."""
    asked: list[tuple[bool, int]] = []
    modes: set[int] = set()
    open_file, write = os.open, PendingFile.write

    def watched(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & (os.O_CREAT | getattr(os, "O_TMPFILE", 0)):
            asked.append((bool(flags & os.O_CREAT), mode & ~umask))
        return open_file(path, flags, mode, **more)

    def little(file: PendingFile, data: Any) -> int:
        modes.add(os.fstat(file.fileno()).st_mode & 0o777)
        return write(file, data[:70_000])

    monkeypatch.setattr(os, "open", watched)
    monkeypatch.setattr(PendingFile, "write", little)
    return asked, modes


@posix_only("permissions of this kind")
@pytest.mark.parametrize("pending", [True, False])
@pytest.mark.parametrize(
    ("old", "mode"), [(0o640, 0o666), (0o444, 0o600), (0, 0o666), (0o6775, 0o600)], ids=oct
)
@in_each_way
def test_what_is_replaced_leaves_its_permissions_and_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: int, mode: int, *, pending: bool
) -> None:
    """But for setuid and the like, and only with its name; who may not give a group keeps the bits."""
    target, group = tmp_path / "x", 1 if IS_ROOT else os.getgid()
    target.write_bytes(b"old")
    os.chown(target, -1, group)
    target.chmod(old)
    asked, modes = watched_modes(monkeypatch, 0)
    named: list[int] = []

    def replace(name: str, new: str) -> None:
        named.append(os.lstat(name).st_mode)
        rename(name, new)

    def flush(descriptor: int) -> None:
        found = os.fstat(descriptor).st_mode
        assert not stat.S_ISREG(found) or not found & ~old & 0o777  # also if the run ends here
        fsync(descriptor)

    rename, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "fsync", flush)
    before = os.umask(0o027)
    try:
        publish(target, attributes=Attributes(mode), pending=pending)
        found = target.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (old & 0o777, group)
        monkeypatch.setattr(os, "fchown", Mock(side_effect=PermissionError))
        publish(target, attributes=Attributes(mode), pending=pending)
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert {stat.S_IMODE(each) for each in named} == {old & 0o777}
    assert {mode for is_named, mode in asked if is_named} <= {0o600}  # others could open it at once
    assert stat.S_IMODE(target.stat().st_mode) == old & 0o777
    assert contents(tmp_path) == {"x": AUDIO}


@posix_only("permissions of this kind")
@in_each_way
def test_permissions_are_not_those_that_a_link_leads_to(tmp_path: Path) -> None:
    """That is none of the output's business."""
    (tmp_path / "open").write_bytes(b"for everybody")
    (tmp_path / "open").chmod(0o666)
    (tmp_path / "link").symlink_to("open")
    publish(tmp_path / "link", attributes=Attributes(0o600))
    assert (tmp_path / "link").lstat().st_mode & 0o777 == 0o600


def access_of(path: Path) -> bytes:
    """Return who may do what to a file."""
    return subprocess.check_output(["getfacl", "-cp", path])


@pytest.mark.parametrize("fails", [False, True])
@in_each_way
def test_an_access_control_list_is_replaced_by_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """Not by that of the directory; where it cannot be, its mask is not taken for permissions."""
    listed, plain = tmp_path / "x", tmp_path / "y"
    for path in (listed, plain):
        path.write_bytes(b"old")
        path.chmod(0o640)
    lists: tuple[list[str | Path], ...] = (
        ["-m", "u:1:r,g::-", listed],
        ["-d", "-m", "u:65534:r", tmp_path],
    )
    if any(subprocess.run(["setfacl", *words], check=False).returncode for words in lists):
        pytest.skip("this disk has no access control lists")
    before = [access_of(path) for path in (listed, plain)]
    if fails:
        monkeypatch.setattr(os, "setxattr", Mock(side_effect=OSError(errno.EPERM, "no")))
    for path in (listed, plain):
        publish(path)
    if fails:
        assert listed.stat().st_mode & 0o070 == 0
    else:
        assert access_of(listed) == before[0]
    assert access_of(plain) == before[1]


@in_each_way
def test_permissions_follow_the_directory_where_it_has_a_default(tmp_path: Path) -> None:
    """An access control list of the directory counts instead of the umask; so does setgid."""
    changed = subprocess.run(["setfacl", "-d", "-m", "u:65534:r,o::-", tmp_path], check=False)
    if changed.returncode:
        pytest.skip("this disk has no access control lists")
    tmp_path.chmod(0o2770)
    (tmp_path / "ordinary").touch()
    publish(tmp_path / "x")
    ordinary, published = (
        (
            (tmp_path / name).stat().st_gid,
            subprocess.check_output(["getfacl", "-cp", tmp_path / name]),
        )
        for name in ("ordinary", "x")
    )
    assert published == ordinary


@posix_only("directories that can be flushed")
@pytest.mark.parametrize("name", ["x", "sub/x"])
@pytest.mark.parametrize("old", [True, False])
@in_each_way
def test_everything_is_on_the_disk_before_it_has_a_name(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, old: bool
) -> None:
    """The order is: all bytes, flush, name, flush the directory that the name is in."""
    (here / "sub").mkdir()
    target = Path(name)
    if old:
        target.write_bytes(b"old")
    steps: list[object] = []

    def named() -> list[int]:
        return [path.stat().st_ino for path in here.rglob("x")]

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        size = found.st_size if stat.S_ISREG(found.st_mode) else None
        steps.extend([(found.st_ino, size), named()])

    before = named()
    monkeypatch.setattr(os, "fsync", fsync)
    publish(target)
    file, directory = target.stat().st_ino, target.parent.stat().st_ino
    # A file without a name may turn out to get none only after it was flushed.
    assert steps[-4:] == [(file, len(AUDIO)), before, (directory, None), [file]]


@posix_only("directories that can be flushed")
@pytest.mark.parametrize("number", [*sorted(atomic.CANNOT_FLUSH), errno.EIO])
def test_a_directory_that_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where the file system has no such thing it is fine; a failing disk is not."""
    fsync = os.fsync

    def refuse_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_directories)
    before = open_files()
    with pytest.raises(OSError, match="Input") if number == errno.EIO else nullcontext():
        publish(tmp_path / "x")
    assert contents(tmp_path) == {"x": AUDIO}
    assert open_files() <= before


@posix_only("permissions of this kind")
def test_a_directory_that_can_only_be_written_to(folder: Path) -> None:
    """It cannot be flushed, nor searched for leftovers; the output is there all the same."""
    (folder / "out").mkdir(0o300)
    words = ("a.enc", PASSWORD, "opus", "-d", "out")
    assert run_process(*words, cwd=folder, as_anybody=True).code == 0
    (folder / "out").chmod(0o700)
    assert set(contents(folder)) == {"a.enc", "out", "out/a.opus"}


@posix_only("calls of this kind")
@pytest.mark.parametrize("pending", [True, False])
@pytest.mark.parametrize("function", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("is_refused", [True, False])
@in_each_way
def test_what_fails_leaves_the_old_output_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    *,
    pending: bool,
    is_refused: bool,
) -> None:
    """Be it refused, which names the target, or interrupted, even when a file has just been made."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    owner: Any = PendingFile if function == "write" else os
    real = getattr(owner, function)

    def fail(*words: Any, **options: Any) -> NoReturn:
        if is_refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if function != "replace":
            real(*words, **options)
        raise KeyboardInterrupt

    before = open_files()
    monkeypatch.setattr(owner, function, fail)
    with pytest.raises(OSError if is_refused else KeyboardInterrupt) as caught:
        publish(target, pending=pending)
    monkeypatch.undo()
    if isinstance(caught.value, OSError):
        assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(target))
    assert contents(tmp_path) == {"x": b"old"}
    del caught
    if open_files() > before:  # a file that could not even be filled is closed when it is forgotten
        gc.collect()
    if is_refused or function != "open":  # whose descriptor nobody has
        assert open_files() <= before


@posix_only("calls of this kind")
def test_a_file_that_another_has_put_in_place_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is at the temporary name must be what was written."""

    def swap(_: int) -> None:
        for path in tmp_path.iterdir():
            path.unlink()
            path.write_bytes(b"another's")

    monkeypatch.setattr(atomic, "nameless", lambda *_: None)
    monkeypatch.setattr(os, "fsync", swap)
    with pytest.raises(OSError, match="Another program") as caught:
        publish(tmp_path / "x")
    assert caught.value.filename == str(tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("disks", ["one", "two", "without numbers"])
@in_each_way
def test_a_run_replaces_nothing_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disks: str, *, replace: bool
) -> None:
    """Two names may be one file, two disks have one number for files, or a disk have no numbers."""

    def other(path: Any, look: Callable[[Any], os.stat_result]) -> os.stat_result:
        mode, number, disk, *rest = look(path)
        return os.stat_result(
            (mode, disk, number, *rest) if disks == "two" else (mode, 0, disk, *rest)
        )

    for name in () if disks == "one" else ("fstat", "lstat"):
        monkeypatch.setattr(os, name, partial(other, look=getattr(os, name)))
    if replace:
        (tmp_path / "y").touch()
    written = Written()
    for name in "xy":
        publish(tmp_path / name, name.encode(), written=written)
    with pytest.raises(UsageError if replace else FileExistsError):
        publish(os.path.join(tmp_path, ".", "x"), b"z", replace=replace, written=written)
    assert contents(tmp_path) == {"x": b"x", "y": b"y"}
    with pytest.raises(UsageError, match="same output as another input"):
        written.refuse(str(tmp_path / "x"))
    written.refuse(str(tmp_path / "nowhere"))
    publish(tmp_path / "x", b"another run's")
    assert contents(tmp_path) == {"x": b"another run's", "y": b"y"}


@posix_only("functions of os that give names")
@in_each_way
def test_an_output_may_be_taken_away_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a program that collects what appears."""
    target, taken = str(tmp_path / "x"), tmp_path / "taken"
    for function in ("link", "replace"):

        def give(real: Any, path: str, name: str, **how: Any) -> None:
            real(path, name, **how)
            if name == target:
                os.rename(target, taken)

        monkeypatch.setattr(os, function, partial(give, getattr(os, function)))
    publish(target)
    assert contents(tmp_path) == {"taken": AUDIO}


def test_the_number_of_a_file_does_not_outlive_it(tmp_path: Path) -> None:
    """It may be another file's once another run has replaced it, or if it got no name at all."""
    written = Written()
    publish(tmp_path / "x", b"first", written=written)
    (tmp_path / "y").hardlink_to(tmp_path / "x")  # and so has that number
    publish(tmp_path / "x", b"another run's")
    publish(tmp_path / "y", b"second", written=written)
    publish(tmp_path / "x", b"third", written=written)
    assert contents(tmp_path) == {"x": b"third", "y": b"second"}
    (tmp_path / "z").mkdir()
    for replace in (True, False):
        with pytest.raises(OSError, match="z"):
            publish(tmp_path / "z", replace=replace, written=written)
    assert set(written._targets.values()) == {str(tmp_path / name) for name in "xy"}  # noqa: SLF001 - whose numbers cannot be chosen


@posix_only("calls of this kind")
@in_each_way
def test_of_two_threads_only_one_gets_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second looks whose it is only once the first has it."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    written = Written()
    others: list[Future[None]] = []
    replace = os.replace

    def meanwhile(name: str, new: str) -> None:
        monkeypatch.setattr(os, "replace", replace)
        others.append(executor.submit(publish, target, b"second", written=written))
        wait(others, 0.2)  # it must wait for us; it ends at once if it does not
        replace(name, new)

    monkeypatch.setattr(os, "replace", meanwhile)
    with ThreadPoolExecutor(1) as executor:
        publish(target, b"first", written=written)
    assert [type(other.exception()) for other in others] == [UsageError]
    assert contents(tmp_path) == {"x": b"first"}


@pytest.mark.parametrize("can", [True, False])
def test_a_flush_reaches_the_disk_itself_on_macos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can: bool
) -> None:
    """Past the disk's own cache, where fsync(2) would leave it; by fsync(2) where it must be."""
    calls: list[object] = []

    def full_flush(_: int, command: int) -> None:
        calls.append(command)
        if not can:
            raise OSError(errno.ENOTSUP, "no such thing on this disk")

    fcntl = pytest.importorskip("fcntl", reason="Windows has no fcntl")
    monkeypatch.setattr(fcntl, "fcntl", full_flush)
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("fsync"))
    monkeypatch.setattr(sys, "platform", "darwin")
    publish(tmp_path / "a")  # the file, and the directory
    assert calls == ([51] if can else [51, "fsync"]) * 2


# What killed runs leave.

DAY = 24 * 60 * 60
LEFTOVER = ".filedecryptor-0123456789abcdef.tmp"


def test_at_the_end_of_the_process_nothing_appears_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has a temporary name is removed, and nothing gets one."""
    monkeypatch.setattr(atomic, "naming", naming := threading.Lock())
    (tmp_path / "x").write_bytes(b"old")
    with atomic.temporary_name(str(tmp_path)) as path, PendingFile(path, path):
        atomic.discard_unfinished()
        assert contents(tmp_path) == {"x": b"old"}
    thread = threading.Thread(target=publish, args=[tmp_path / "x"])
    thread.start()
    thread.join(0.2)
    assert contents(tmp_path) == {"x": b"old"}
    naming.release()  # as no process does that ends
    thread.join(30)


def test_what_killed_runs_left_is_removed_when_it_is_a_day_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next run of this user that writes there, by the clock of the disk, and it alone."""
    yesterday = time.time() - DAY - 60
    left = [LEFTOVER, ".filedecryptor-d347080b-0.tmp"]  # the latter as version 0.1 called them
    alike = [".filedecryptor-notes", "draft.tmp", f"{LEFTOVER}.enc", f"a{LEFTOVER}"]
    for name in (*left, *alike, ".filedecryptor-recordings.tmp"):
        (tmp_path / name).write_bytes(b"old")
        os.utime(tmp_path / name, (yesterday, yesterday))
    young, link, folder, foreign = (tmp_path / LEFTOVER.replace("0", letter) for letter in "abcd")
    young.write_bytes(b"young")
    link.symlink_to("draft.tmp")
    folder.mkdir()
    if IS_ROOT:  # and can make another user's file, whose run may be stopped
        foreign.write_bytes(b"foreign")
        os.chown(foreign, 65534, 65534)
    for path in (link, folder, *([foreign] if IS_ROOT else [])):
        os.utime(path, (yesterday, yesterday), follow_symlinks=False)
    before = contents(tmp_path)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000 * DAY)
    publish(tmp_path / "x")
    stays = {name: data for name, data in before.items() if name not in left}
    assert contents(tmp_path) == {**stays, "x": AUDIO}


def test_where_files_have_no_times_nothing_is_a_leftover(disk: Path) -> None:
    """As on this disk, where all are of 1970."""
    left = disk / LEFTOVER
    left.write_bytes(b"new")
    assert left.stat().st_mtime == 0
    publish(disk / "x")
    assert contents(disk) == {left.name: b"new", "x": AUDIO}


# What an audio file has in common with its recording.

LONG = b"OggS" + bytes(9_000_000)
"""More than stays in memory."""


@pytest.mark.parametrize("audio", [b"OggS", LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    "line", ["in/a.enc - opus -o a.opus", "in - opus -d .", "- - opus -o a.opus"]
)
def test_an_output_is_as_its_recording(tmp_path: Path, line: str, audio: bytes) -> None:
    """In time and permissions, also on standard input; audio from a pipe is as any new file."""
    path = tmp_path / "in" / "a.enc"
    path.parent.mkdir()
    path.write_bytes(encrypt(audio))
    path.chmod(0o4751)
    os.utime(path, ns=(TIME, TIME))
    words, env = line.split(), {"FILEDECRYPTOR_PASSWORD": PASSWORD}
    with path.open("rb") as file:
        call = partial(run_process, stdin=file) if line.startswith("-") else run
        assert call(*words, cwd=tmp_path, env=env).code == 0
    found = (tmp_path / "a.opus").stat()
    assert found.st_mtime_ns == TIME
    assert IS_WINDOWS or stat.S_IMODE(found.st_mode) == 0o640
    if line.startswith("-"):
        (tmp_path / "a.opus").unlink()
        assert run_process(*words, cwd=tmp_path, stdin=path.read_bytes(), env=env).code == 0
        (tmp_path / "new").touch()
        new, found = (tmp_path / "new").stat(), (tmp_path / "a.opus").stat()
        assert found.st_mode == new.st_mode
        assert abs(found.st_mtime - new.st_mtime) < 60
