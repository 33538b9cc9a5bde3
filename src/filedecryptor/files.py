"""Output names, and outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO

from filedecryptor.errors import UsageError

TEMPORARY_PREFIX = ".filedecryptor-"
TEMPORARY_SUFFIX = ".tmp"


def clean_extension(extension: str) -> str:
    """Return an output extension without its dot.

    Raises:
        UsageError: Nothing is left of it, or it would choose another directory.
    """
    bare = extension.removeprefix(".")
    if not bare:
        raise UsageError("the output extension is empty")
    if any(character in bare for character in "/\\\0"):
        raise UsageError("the output extension holds a path separator or a NUL")
    return bare


def replace_suffix(path: str, extensions: Iterable[str]) -> tuple[str, ...]:
    """Return `path` with its last suffix replaced by each extension.

    `x.opus.enc` and `opus` give `x.opus`.
    """
    stem = os.path.splitext(path)[0]
    return tuple(
        stem if stem.endswith(f".{extension}") else f"{stem}.{extension}"
        for extension in extensions
    )


def check_target(target: str, source: str | int) -> bool:
    """Refuse an output that cannot or must not be written; return whether it exists.

    Args:
        target: The output.
        source: The input's path or descriptor. It is compared by its identity on the disk, so
            that no link and no other spelling of its name hides it.

    Raises:
        UsageError: The output is the input.
        OSError: The output is a directory, a device or the like.
    """
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(found.st_mode):
        if os.readlink(target).startswith("/proc/"):  # /dev/stdout, which is everybody's
            raise _not_a_file(target)
        if not os.path.exists(target):
            return True
        found = os.stat(target)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(found.st_mode):
        raise _not_a_file(target)
    if os.path.samestat(found, os.stat(source)):
        raise UsageError("the output would replace the input", filename=target)
    return True


def _not_a_file(target: str) -> OSError:
    return OSError(errno.EINVAL, "Not a regular file", target)


class PendingFile:
    """A file being written that has no visible name yet. Made by `pending_file`."""

    def __init__(self, stream: FileIO, temporary: str, target: str) -> None:
        self._stream = stream
        self._temporary = temporary
        self._target = target

    def write(self, data: memoryview) -> None:
        """Append all of `data`."""
        with _errors_named(self._target):
            while data:
                data = data[self._stream.write(data) :]

    def commit(self, target: str, *, replace: bool) -> None:
        """Bring what was written to the disk, then let it appear as `target`.

        Args:
            target: A path in the directory of the target that the file was begun for.
            replace: Whether a file of that name gives way.

        Raises:
            OSError: It could not be done, and what stood at `target` still does. (Only a
                directory that cannot be flushed is noticed after the file has appeared.)
        """
        with _errors_named(target):
            os.fsync(self._stream.fileno())
            self._stream.close()
            if replace:
                os.replace(self._temporary, target)
            else:
                _rename_to_new(self._temporary, target)
            _flush_directory(os.path.dirname(target) or ".")


@contextmanager
def pending_file(target: str) -> Iterator[PendingFile]:
    """Begin a file in the directory of `target`; without a `commit` it is gone on leaving.

    Its permissions are what the umask leaves of 0666, as those of any new file.

    Args:
        target: Where the file is meant to go; errors speak of this name.

    Raises:
        OSError: The directory is not there, or is not writable.
    """
    # No part of the target's name is in it, so that it is never too long for the file system.
    name = f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
    temporary = os.path.join(os.path.dirname(target), name)
    try:
        with _errors_named(target):
            stream = open(temporary, "xb", buffering=0)  # noqa: SIM115 - closed two lines below
        with stream:
            yield PendingFile(stream, temporary, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def remove_leftovers(directory: str) -> None:
    """Remove what killed runs left half-written; nobody must be writing there meanwhile."""
    for name in os.listdir(directory):
        if name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX):
            os.unlink(os.path.join(directory, name))


@contextmanager
def _errors_named(target: str) -> Iterator[None]:
    """Let errors speak of the target, not of a temporary file that nobody knows."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from error


def _rename_to_new(temporary: str, target: str) -> None:
    try:
        os.link(temporary, target)  # unlike a rename, this never replaces anything
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(temporary, target)


def _flush_directory(directory: str) -> None:
    """Make a rename in `directory` last through a power cut, where the platform can."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows opens no directories, and a directory may be writable only
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot flush directories
            raise
    finally:
        os.close(descriptor)
