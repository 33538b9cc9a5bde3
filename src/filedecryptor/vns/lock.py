"""Keeping other runs out of an archive, on a disk that has locks.

An object store has none. Nor would anything be lost on a disk if two runs met: what they write is
whole, and an output is created only if it is not there.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from filedecryptor.errors import FileDecryptorError, errors_naming
from filedecryptor.storage import storage_of
from filedecryptor.storage.paths import is_url, join
from filedecryptor.vns import times

LOCK_NAME = ".vns-recordings.lock"
_LONGEST = 200  # bytes of what the other run says of itself
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
        _lock(descriptor, path)
        stack.callback(_write, descriptor, b"")
        now = times.shown(times.now())
        _write(descriptor, f"process {os.getpid()} on {socket.gethostname()}, since {now}".encode())
        yield


def _with_hint(error: Exception) -> FileDecryptorError | None:
    """Return an error that says what to do; for a full disk, the console does that."""
    if not isinstance(error, OSError) or error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return None
    hint = "the user of an archive must be able to write to its directory"
    if error.errno in {errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENXIO}:
        hint = "remove it: a run that is at work writes to a file of this name"
    return FileDecryptorError(error.strerror or str(error), hint=hint, filename=error.filename)


def _open(path: str) -> int:
    """Return the descriptor of the lock, which other users can open as well."""
    try:
        descriptor = os.open(path, _FLAGS | _SAFE, 0o644)
    except PermissionError:
        if os.path.isdir(path):  # which Windows tells in this way
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.path.exists(path):
            raise
        descriptor = os.open(path, os.O_RDONLY | _SAFE)  # it is another user's
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file")
    if found.st_nlink > 1:  # in a copy of the archive, say: the other name is not for us
        try:
            _lock(descriptor, path)
        finally:
            os.close(descriptor)
        os.unlink(path)
        descriptor = os.open(path, _FLAGS | os.O_EXCL | _SAFE, 0o644)
    if hasattr(os, "fchmod"):
        with suppress(OSError):  # it is another user's, or this file system has no permissions
            os.fchmod(descriptor, 0o644)
    return descriptor


def _lock(descriptor: int, path: str) -> None:
    """Lock a file if the disk has locks; raise an error if another process has done so."""
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
        if error.errno not in numbers:
            return
        os.lseek(descriptor, 0, os.SEEK_SET)
        said = os.read(descriptor, _LONGEST).partition(b"\n")[0].decode("utf-8", "replace")
        raise FileDecryptorError(
            f"another run is at work here: {said or 'it does not say which'}",
            hint="let it end, or stop it, then run this again",
            filename=os.path.dirname(path),
        ) from None


def _write(descriptor: int, data: bytes) -> None:
    # It may be another user's, or the disk be full; the lock holds all the same.
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, data)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
