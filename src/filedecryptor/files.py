"""The disk: recordings below a directory, and outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO

from filedecryptor.errors import FileDecryptorError, UsageError
from filedecryptor.names import is_url

if sys.platform != "win32":
    import fcntl

TEMPORARY_PREFIX = ".filedecryptor-"
TEMPORARY_SUFFIX = ".tmp"

MOST_TEMPORARY_FILES = 1000
"""Of one output, on a file system where nobody can tell which of them are abandoned."""


def is_directory(path: str) -> bool:
    """Return whether recordings are to be looked for below this."""
    return os.path.isdir(path)


def real_path(path: str) -> str:
    """Return the one name of a place that all its names have in common."""
    return os.path.realpath(path)


def make_directory(path: str) -> None:
    """Make a directory, with those above it, if it is not there.

    Raises:
        OSError: It cannot be made.
    """
    os.makedirs(path, exist_ok=True)


def size_of(path: str | int) -> int:
    """Return the length of a regular file, by path or descriptor, in bytes; 0 for others."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def recordings_below(
    directory: str, suffix: str, on_error: Callable[[str, FileDecryptorError | OSError], object]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder at or below a directory that holds recordings, their names, the links.

    Links to directories are not followed.

    Args:
        directory: Where to begin.
        suffix: What a recording's name ends with, in any case.
        on_error: Told each folder that cannot be read, and why.
    """
    waiting = [directory]
    while waiting:
        folder = waiting.pop()
        recordings, links, subfolders = [], [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        subfolders.append(entry.name)
                    elif _is_recording(entry, suffix):
                        recordings.append(entry.name)
                        if entry.is_symlink():
                            links.append(entry.name)
        except OSError as error:
            on_error(folder, error)
        if recordings:
            yield folder, sorted(recordings), links
        waiting += (os.path.join(folder, name) for name in sorted(subfolders, reverse=True))


def _is_recording(entry: os.DirEntry[str], suffix: str) -> bool:
    if not entry.name.lower().endswith(suffix):
        return False
    if entry.is_symlink():  # one that leads nowhere is reported later, not passed over
        return os.path.isfile(entry.path) or not os.path.exists(entry.path)
    return entry.is_file()


def open_source(path: str) -> FileIO:
    """Open a recording.

    Raises:
        OSError: It cannot be opened.
    """
    return open(path, "rb", buffering=0)


def exists(target: str) -> bool:
    """Return whether there is something of that name, be it a link to nowhere."""
    return os.path.lexists(target)


def check_target(target: str, source: str | int) -> None:
    """Refuse an output that cannot or must not be written.

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
        return
    if stat.S_ISLNK(found.st_mode):
        if os.readlink(target).startswith("/proc/"):  # /dev/stdout, which is everybody's
            raise _not_a_file(target)
        if not os.path.exists(target):
            return
        found = os.stat(target)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(found.st_mode):
        raise _not_a_file(target)
    if isinstance(source, str) and is_url(source):
        return
    if os.path.samestat(found, os.stat(source)):
        raise UsageError("the output would replace the input", filename=target)


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
            is_ours = _is_at(self._stream.fileno(), self._temporary)
            if os.path.lexists(self._temporary) and not is_ours:  # or another's would appear
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            if sys.platform == "win32":  # where an open file cannot be renamed
                self._stream.close()
            if replace:
                os.replace(self._temporary, target)
            else:
                _rename_to_new(self._temporary, target)
            self._stream.close()
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
    stream: FileIO | None = None
    temporary = ""
    names = _temporary_names(target)
    try:
        with _errors_named(target):
            for temporary in names:
                _remove_abandoned(temporary)
                with suppress(FileExistsError):  # another run is writing the same output
                    stream = open(temporary, "xb", buffering=0)  # noqa: SIM115 - closed below
                    if _is_ours(stream.fileno(), temporary):
                        break
                    stream.close()
        if stream is None or stream.closed:
            raise OSError(errno.EEXIST, "Too many temporary files are in the way", target)
        while _remove_abandoned(next(names, "")):
            pass
        yield PendingFile(stream, temporary, target)
    finally:
        if stream is not None and not stream.closed:
            with suppress(OSError):  # the next run removes it
                if sys.platform != "win32" and _is_at(stream.fileno(), temporary):
                    os.unlink(temporary)
            stream.close()
        _remove_abandoned(temporary)


def remove_leftovers(directory: str) -> None:
    """Remove what killed runs left half-written, and nothing that is being written."""
    for name in os.listdir(directory):
        if name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX):
            _remove_abandoned(os.path.join(directory, name))


def _temporary_names(target: str) -> Iterator[str]:
    """Yield what a temporary file for a target may be called.

    The names follow from the target's, so that what a killed run has left is found without a look
    at the whole directory. The suffix has no part in it: `auto` learns it at the end only. Nor is
    the name itself in it, which may be as long as the file system allows. Where two targets share
    a name, or two runs a target, each takes the first that is free. Every machine has names of its
    own, since on some shared disks it does not see the locks of others.
    """
    directory, name = os.path.split(target)
    machine = "" if sys.platform == "win32" else os.uname().nodename
    key = zlib.crc32(os.fsencode(f"{machine}/{os.path.splitext(name)[0]}"))
    for number in range(MOST_TEMPORARY_FILES):
        yield os.path.join(directory, f"{TEMPORARY_PREFIX}{key:08x}-{number}{TEMPORARY_SUFFIX}")


def _is_ours(descriptor: int, temporary: str) -> bool:
    """Lock a new temporary file for as long as it is open; return whether that came in time.

    The lock ends with the process, however it ends: a file without one is abandoned.
    """
    try:
        return _lock(descriptor) and _is_at(descriptor, temporary)
    except OSError:  # a file system without locks, where nobody will take it for abandoned either
        return True


def _remove_abandoned(temporary: str) -> bool:
    """Remove a temporary file that nobody is writing any more; return whether there was one."""
    with suppress(OSError):  # there is none, or nobody can tell, or it is none of ours
        if sys.platform == "win32":
            os.unlink(temporary)  # which fails while somebody has it open
            return True
        if stat.S_ISREG(os.lstat(temporary).st_mode):
            descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _lock(descriptor) and _is_at(descriptor, temporary):
                    os.unlink(temporary)
                    return True
            finally:
                os.close(descriptor)
    return False


def _lock(descriptor: int) -> bool:
    """Lock an open file against other runs, and return whether none of them has."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    """Return whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


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
    else:
        with suppress(OSError):  # the output is there, and the next run removes the other name
            os.unlink(temporary)


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
