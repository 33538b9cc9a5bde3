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
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread

from filedecryptor.errors import FileDecryptorError, errors_naming
from filedecryptor.storage import storage_of
from filedecryptor.storage.paths import is_url, join
from filedecryptor.vns import times

LOCK_NAME = ".vns-recordings.lock"
BEAT = 1.0  # seconds after which a run writes to its lock again, on a disk that has no locks
PATIENCE = 10.0  # seconds without a beat after which the run that has written the lock is over
LONGEST_SAYING = 200  # bytes of what the other run says of itself
_FAR = 1 << 30  # the byte that is locked on Windows, where other processes cannot read a locked one
_FLAGS = os.O_RDWR | os.O_CREAT
_SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Keep other runs out of a directory, which is made if it is not there."""
    if is_url(directory):
        yield
        return
    path = join(directory, LOCK_NAME)
    with errors_naming(path, translate=_with_hint):
        storage_of(directory).make_directory(directory)
        descriptor = _open(path)
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
        now = times.shown(times.now())
        own = f"process {os.getpid()} on {socket.gethostname()}, since {now}\n".encode()
        if _has_locked(descriptor, path):
            _write(descriptor, own)
            stack.callback(_write, descriptor, b"")
        else:
            stack.enter_context(_beating(descriptor, path, own + os.urandom(16).hex().encode()))
        yield


def _with_hint(error: Exception) -> FileDecryptorError | None:
    """Return an error that says what to do, if the console does not, and there is something."""
    known = {errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR, errno.EEXIST}
    if not isinstance(error, OSError) or error.errno in known:
        return None
    hint = "the user of an archive must be able to write to its directory"
    if error.errno in {errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENXIO}:
        hint = "remove it: a run that is at work writes to a file of this name"
    return FileDecryptorError(error.strerror or str(error), hint=hint, filename=error.filename)


def _open(path: str) -> int:
    """Return the descriptor of the lock, which other users can open as well."""
    try:
        descriptor = os.open(path, _FLAGS | _SAFE, 0o644)
    except PermissionError as error:
        if os.path.isdir(path):  # which Windows tells in this way
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        try:  # it is another user's
            descriptor = os.open(path, os.O_RDONLY | _SAFE)
        except OSError:
            if storage_of(path).size_of(path) != 0:
                raise error from None
            descriptor = _replaced(path)  # an earlier version has left it for its user alone
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file")
    if found.st_nlink > 1:  # in a copy of the archive, say: the other name is not for us
        try:
            _has_locked(descriptor, path)
        finally:
            os.close(descriptor)
        descriptor = _replaced(path)
    if hasattr(os, "fchmod"):
        with suppress(OSError):  # it is another user's, or this file system has no permissions
            os.fchmod(descriptor, 0o644)
    return descriptor


def _replaced(path: str) -> int:
    os.unlink(path)
    return os.open(path, _FLAGS | os.O_EXCL | _SAFE, 0o644)


def _has_locked(descriptor: int, path: str) -> bool:
    """Lock a file, or raise an error if another process has; return False if the disk has no locks."""
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
def _beating(descriptor: int, path: str, own: bytes) -> Iterator[None]:
    """Write something new to the lock again and again, unless another run does so.

    A clock or the number of a process would not tell a run at work from a killed one.
    """
    before = found = _said(path)
    deadline = time.monotonic() + PATIENCE
    while found and time.monotonic() < deadline:
        time.sleep(BEAT / 2)
        found = _said(path)
        if found not in {before, b""}:
            raise _in_use(path, found)
    _write(descriptor, own)
    time.sleep(BEAT)
    said = _said(path)
    if said not in {found, own[:LONGEST_SAYING]}:  # the former where nothing can be written
        raise _in_use(path, said)
    ended = Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            _write(descriptor, own + b" %d" % time.monotonic_ns())

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE)
        _write(descriptor, b"")


def _said(path: str) -> bytes:
    """Return what a run has written to the lock; it is opened anew, or NFS might not look again."""
    with suppress(OSError), open(path, "rb") as file:
        return file.read(LONGEST_SAYING)
    return b""


def _in_use(path: str, said: bytes) -> FileDecryptorError:
    who = said.partition(b"\n")[0].decode("utf-8", "replace") or "it does not say which"
    return FileDecryptorError(
        f"another run is at work here: {who}",
        hint="let it end, or stop it, then run this again",
        filename=os.path.dirname(path),
    )


def _write(descriptor: int, data: bytes) -> None:
    # It may be another user's, or the disk be full; the lock holds all the same.
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, data)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
