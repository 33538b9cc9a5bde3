"""Keeping other runs out of an archive on a disk.

In an object store nothing does that. Nor would anything be lost on a disk if two runs met: what
they write is whole, and an output is created only if it is not there.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from uuid import uuid4

from filedecryptor.errors import FileDecryptorError, errors_naming
from filedecryptor.storage import storage_of
from filedecryptor.storage.names import is_url, join
from filedecryptor.vns import times

LOCK_NAME = ".vns-recordings.lock"

BEAT = 1.0
"""Seconds after which a run writes to its lock again, on a disk that has no locks of its own."""

PATIENCE = 10.0
"""Seconds without a beat after which the run that has written the lock is over."""

SHOWN = 200
"""Bytes of what the other run says of itself."""

_FAR = 1 << 30
"""The byte that is locked on Windows, where nobody else could read it."""


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Keep other runs out of a directory, which is made if it is not there.

    Raises:
        FileDecryptorError: Another run is in it, or nothing can be written to it.
        OSError: The disk is full.
    """
    if is_url(directory):
        yield
        return
    path = join(directory, LOCK_NAME)
    with _errors_with_hints():
        storage_of(directory).make_directory(directory)
        with errors_naming(path):
            descriptor = _open(path)
    try:
        has_locked = _has_locked(descriptor, path)
        with _telling(descriptor) if has_locked else _beating(descriptor, path):
            yield
    finally:
        os.close(descriptor)


@contextmanager
def _errors_with_hints() -> Iterator[None]:
    """Let an error say what to do about it; of a full disk, the console knows."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        hint = "the user of an archive must be able to write to its directory"
        if error.errno in {errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENXIO}:
            hint = "remove it: a run that is at work writes to a file of this name"
        cause = error.strerror or str(error)
        raise FileDecryptorError(cause, hint=hint, filename=error.filename) from None


def _open(path: str) -> int:
    """Return the descriptor of the lock, which other users can open as well.

    Raises:
        FileDecryptorError: Another process has locked it.
        OSError: It cannot be opened, or is no file.
    """
    flags = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o644)
    except PermissionError:
        if os.path.isdir(path):  # which Windows tells in this way
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.path.lexists(path):
            raise
        try:  # it is another user's
            descriptor = os.open(path, os.O_RDONLY | flags)
        except PermissionError:
            if os.lstat(path).st_size:
                raise
            os.unlink(path)  # an earlier version has left it: empty, and for its user alone
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o644)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file")
    if found.st_nlink > 1:  # in a copy of the archive, say: the other name is not for us
        try:
            _has_locked(descriptor, path)
        finally:
            os.close(descriptor)
        os.unlink(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o644)
    if hasattr(os, "fchmod"):
        with suppress(OSError):  # it is another user's, or this file system has no permissions
            os.fchmod(descriptor, 0o644)
    return descriptor


def _has_locked(descriptor: int, path: str) -> bool:
    """Lock a file; return False where the disk has no locks.

    Raises:
        FileDecryptorError: Another process has locked it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Wine has no number for it.
        numbers = {0, errno.EACCES} if sys.platform == "win32" else {errno.EWOULDBLOCK}
        if error.errno in numbers:
            raise _in_use(path, _said(path)) from None
        return False
    return True


@contextmanager
def _telling(descriptor: int) -> Iterator[None]:
    """Let the lock say who is at work."""
    _write(descriptor, _myself())
    try:
        yield
    finally:
        _write(descriptor, b"")


@contextmanager
def _beating(descriptor: int, path: str) -> Iterator[None]:
    """Write to the lock now and then, each time something else, unless another run does.

    Raises:
        FileDecryptorError: One does, or has begun at the same moment.
    """
    before = _said_by_no_run(path)
    own = _myself() + uuid4().hex.encode()
    _write(descriptor, own)
    time.sleep(BEAT)
    said = _said(path)
    if said not in {before, own[:SHOWN]}:  # the former where nothing can be written
        raise _in_use(path, said)
    ended = Event()
    thread = Thread(target=_beat, args=[descriptor, own, ended], daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE)
        _write(descriptor, b"")


def _said_by_no_run(path: str) -> bytes:
    """Return what a run that is over has left in the lock.

    Neither a clock nor the number of a process can be taken for a run that has been killed: one that
    is at work beats.

    Raises:
        FileDecryptorError: Another run writes to the lock while it is looked at.
    """
    first = _said(path)
    deadline = time.monotonic() + PATIENCE
    while first and time.monotonic() < deadline:
        time.sleep(BEAT / 2)
        found = _said(path)
        if not found:
            return found
        if found != first:
            raise _in_use(path, found)
    return first


def _said(path: str) -> bytes:
    """Return what a run has written to the lock; it is opened anew, or NFS might not look again."""
    with suppress(OSError), open(path, "rb") as file:
        return file.read(SHOWN)
    return b""


def _in_use(path: str, said: bytes) -> FileDecryptorError:
    who = said.partition(b"\n")[0].decode("utf-8", "replace") or "it does not say which"
    return FileDecryptorError(
        f"another run is at work here: {who}",
        hint="let it end, or stop it, then run this again",
        filename=os.path.dirname(path),
    )


def _myself() -> bytes:
    now = times.shown(times.now())
    return f"process {os.getpid()} on {socket.gethostname()}, since {now}\n".encode()


def _beat(descriptor: int, own: bytes, ended: Event) -> None:
    count = 0
    while not ended.wait(BEAT):
        count += 1
        _write(descriptor, own + b" %d" % count)


def _write(descriptor: int, data: bytes) -> None:
    with suppress(
        OSError
    ):  # it is another user's, or the disk is full; the lock holds all the same
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, data)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
