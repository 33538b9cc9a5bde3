"""Outputs on the disk: whole and flushed under their names, or not there at all."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from io import FileIO
from threading import Lock
from typing import BinaryIO

from filedecryptor.core.format import CHUNK_SIZE, Source
from filedecryptor.errors import UsageError, errors_naming
from filedecryptor.storage import windows
from filedecryptor.storage.names import real_path
from filedecryptor.storage.windows import patiently

PREFIX = ".filedecryptor-"
SUFFIX = ".tmp"

LEFTOVER_NAME = r"\.filedecryptor-[0-9a-f-]+\u00e9?\.tmp"

LEFTOVER_AGE = 24 * 60 * 60
"""Seconds after which nothing writes to a temporary file any more: a killed run has left it."""

naming = Lock()
"""Held while a file gets a temporary name, so that none appears after `discard_unfinished`."""

_unfinished: set[str] = set()
_directories_seen: set[str] = set()


def random_name() -> str:
    """Return a name that nobody can foresee, without its suffix."""
    return f"{PREFIX}{os.urandom(8).hex()}"


@contextmanager
def temporary_name(directory: str) -> Iterator[str]:
    """Yield a path that nobody can foresee; a file that still has it on exit is removed."""
    path = os.path.join(directory, random_name() + SUFFIX)
    _unfinished.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _unfinished.discard(path)


def _remove(path: str) -> None:
    with suppress(OSError):
        if sys.platform == "win32":  # where a scanner may have it open
            patiently(partial(os.unlink, path))
        else:
            os.unlink(path)


def discard_unfinished() -> None:
    """Remove what has a temporary name, and let nothing get one: the process is about to end."""
    naming.acquire(timeout=1)  # a disk that does not answer may hold it for ever
    for path in list(_unfinished):
        with suppress(OSError):
            os.unlink(path)


def remove_leftovers(directory: str, now: float) -> None:
    """Remove what killed runs of this user left in a directory; done once in each process.

    Args:
        directory: The directory.
        now: The time of a new file there: the disk's clock need not be that of this machine.
    """
    if directory in _directories_seen:
        return
    _directories_seen.add(directory)
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            is_temporary = entry.name.startswith(PREFIX)
            if (
                is_temporary
                and re.fullmatch(LEFTOVER_NAME, entry.name)
                and _is_leftover(entry, now)
            ):
                os.unlink(entry.path)


def _is_leftover(entry: os.DirEntry[str], now: float) -> bool:
    found = entry.stat(follow_symlinks=False)
    is_own = sys.platform == "win32" or found.st_uid == os.geteuid()
    return is_own and stat.S_ISREG(found.st_mode) and found.st_mtime < now - LEFTOVER_AGE


class Attributes:
    """What an output takes over from its recording.

    Args:
        mode: The permissions that it may have at most.
        modified: When the recording was modified last, in nanoseconds since 1970; None for now.
    """

    def __init__(self, mode: int = 0o666, modified: int | None = None) -> None:
        self.mode = mode
        self.modified = modified


NEW = Attributes()
"""What a file has that takes over nothing."""


def attributes_of(source: Source) -> Attributes:
    """Return what an output takes over from an open recording: nothing if it is no file."""
    if isinstance(source, FileIO):
        found = os.fstat(source.fileno())
        if stat.S_ISREG(found.st_mode):
            return Attributes(stat.S_IMODE(found.st_mode) & 0o666, found.st_mtime_ns)
    return NEW


def keep_time(path: str, attributes: Attributes) -> None:
    """Give a file the time of its recording, where there is one and the file system keeps times."""
    if attributes.modified is None:
        return
    times = time.time_ns(), attributes.modified
    follow = os.utime not in os.supports_follow_symlinks
    with suppress(OSError):
        os.utime(path, ns=times, follow_symlinks=follow)


CANNOT_FLUSH = {errno.EINVAL, errno.EBADF, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system answers that cannot flush directories. Anything else: the disk fails."""

NOT_A_FILE = "Not a regular file"


class PendingFile(FileIO):
    """A new file that is its owner's alone until it is finished.

    Args:
        path: Its name; or its directory, with `O_TMPFILE` among the flags: it has no name then,
            nobody can foresee or block it, and it is gone once it is closed, however that happens.
        flags: How to make it; on Windows there is one way only.
        target: Where it is meant to go; errors speak of this name.
        mode: The permissions that it may have at most, when it is finished.

    Raises:
        OSError: There is no such directory, or no such kind of file in it.
    """

    def __init__(self, path: str, flags: int, target: str, mode: int = 0o666) -> None:
        if sys.platform == "win32":
            descriptor = windows.create(path)
        else:
            descriptor = os.open(path, os.O_RDWR | flags, mode)
        super().__init__(descriptor, "r+")
        self._target = target
        found = os.fstat(self.fileno())
        # What a new file gets follows from the umask or an access control list of the directory.
        self._permissions = stat.S_IMODE(found.st_mode)
        self._permit(0o600)
        remove_leftovers(os.path.dirname(target) or ".", found.st_mtime)

    def fill(self, content: BinaryIO) -> None:
        """Write all that is in another file."""
        content.seek(0)
        while piece := content.read(CHUNK_SIZE):
            self.write_all(memoryview(piece))

    def write_all(self, data: memoryview) -> None:
        """Write all of `data`, however little the system takes at once."""
        with errors_naming(self._target, instead=True):
            while data:
                data = data[self.write(data) :]

    def finish(self) -> None:
        """Give it its permissions, and bring it to the disk."""
        self._permit(self._permissions)
        flush(self.fileno())

    def _permit(self, permissions: int) -> None:
        if hasattr(os, "fchmod"):
            with suppress(OSError):  # a file system that has no permissions
                os.fchmod(self.fileno(), permissions)


def nameless(target: str, attributes: Attributes = NEW) -> PendingFile | None:
    """Return a new file without a name in the target's directory, if there is such a thing.

    Linux has it (open(2), `O_TMPFILE`), on most of its file systems.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # whatever is wrong with the disk, the next attempt tells
            directory = os.path.dirname(target) or "."
            return PendingFile(directory, os.O_TMPFILE, target, attributes.mode)
    return None


def publish(
    target: str,
    content: BinaryIO,
    *,
    replace: bool,
    written: Written,
    attributes: Attributes = NEW,
) -> None:
    """Let a file appear whole under its name.

    Args:
        target: The name.
        content: What it holds, all of it authenticated. A file that `nameless` has made for the
            same directory gets the name itself.
        replace: Whether a file that has the name gives way.
        written: What the same run has written; none of that gives way.
        attributes: What it takes over from its recording.

    Raises:
        UsageError: The target is an output of the same run.
        OSError: It could not be done, and what stood at `target` still does. (Only a directory
            that cannot be flushed is noticed after the file has appeared.)
    """
    _publish(target, content, attributes, replace=replace, written=written)
    # Only now, since a temporary file that is old may be taken for a leftover.
    keep_time(target, attributes)


def _publish(
    target: str, content: BinaryIO, attributes: Attributes, *, replace: bool, written: Written
) -> None:
    directory = os.path.dirname(target) or "."
    with errors_naming(target, instead=True), temporary_name(directory) as temporary:
        if not _name(content, target, temporary, attributes, replace=replace, written=written):
            flags = os.O_CREAT | os.O_EXCL
            with naming:
                file = PendingFile(temporary, flags, target, attributes.mode)
            _rename(file, content, target, temporary, replace=replace, written=written)
        flush_directory(directory)


def _rename(
    file: PendingFile,
    content: BinaryIO,
    target: str,
    temporary: str,
    *,
    replace: bool,
    written: Written,
) -> None:
    """Fill a file that has a temporary name, and give it its own."""
    with ExitStack() as unless_named:
        with file:
            file.fill(content)
            file.finish()
            unless_named.callback(written.add(file, target))
            if sys.platform == "win32":  # where others could hold it once it is closed
                with written.replacing(target) if replace else nullcontext():
                    windows.rename(file.fileno(), target, replace=replace)
            elif not os.path.samestat(os.fstat(file.fileno()), os.lstat(temporary)):
                raise OSError(errno.EBUSY, "Another program has taken the temporary file away")
        if sys.platform != "win32":  # now it is closed: not every system renames what is open
            if replace:
                with written.replacing(target):
                    os.replace(temporary, target)
            else:
                _rename_to_new(temporary, target)
        unless_named.pop_all()


def _name(
    content: BinaryIO,
    target: str,
    temporary: str,
    attributes: Attributes,
    *,
    replace: bool,
    written: Written,
) -> bool:
    """Give a file without a name its name; return whether this file system can do it.

    What exists is replaced by way of the temporary name, since only a rename replaces anything.
    """
    is_ready = isinstance(content, PendingFile)
    file = content if isinstance(content, PendingFile) else nameless(target, attributes)
    if file is None:
        return False
    with nullcontext() if is_ready else file, ExitStack() as unless_named:
        if not is_ready:
            file.fill(content)
        file.finish()
        unless_named.callback(written.add(file, target))
        try:
            _link(file, target)
        except FileExistsError:
            if not replace:
                raise
            with naming:
                _link(file, temporary)
            with written.replacing(target):
                os.replace(temporary, target)
        except OSError:  # nor has such a file any name in /proc, perhaps
            return False
        unless_named.pop_all()
    return True


def _link(file: PendingFile, name: str) -> None:
    """Give a file without a name a new one."""
    descriptor = file.fileno()
    # Python follows the link in /proc only if it is given a directory's descriptor as well.
    os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor, follow_symlinks=True)


def _rename_to_new(temporary: str, target: str) -> None:
    try:
        os.link(temporary, target)  # unlike a rename, this never replaces anything
    except OSError:  # it is there, or this is a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(temporary, target)


class Written:
    """The outputs that one run has written, by their identity on the disk.

    What are two names here may be one to a file system, as to those that ignore case. So a run looks
    whose output it is before it replaces one, or takes one for finished.
    """

    def __init__(self) -> None:
        self._targets: dict[Hashable, str] = {}
        self._lock = Lock()

    def add(self, file: PendingFile, target: str) -> Callable[[], object]:
        """Remember a file that is about to get its name, and return what forgets it again.

        That is called if it gets none: its identity may then be that of any new file.
        """
        identity = _identity(os.fstat(file.fileno()), target)
        self._targets[identity] = target
        return lambda: self._targets.pop(identity, None)

    def refuse(self, target: str) -> None:
        """Refuse an output that this run has written for another input.

        Raises:
            UsageError: It has.
        """
        with suppress(FileNotFoundError):
            found = os.lstat(target)
            own = self._targets.get(_identity(found, target))
            # Somebody may have replaced our output meanwhile, and its number be a new file's.
            if own is not None and os.path.samestat(found, os.lstat(own)):
                raise UsageError(
                    f"it would have the same output as another input, {target!r}",
                    hint="decrypt them one after the other, with other names or directories",
                )

    @contextmanager
    def replacing(self, target: str) -> Iterator[None]:
        """Let a file be replaced inside; nothing else ever is, nor what this run has written.

        Raises:
            UsageError: This run has written it.
            OSError: It is a directory, a device or the like.
        """
        with self._lock:  # or two threads might look before either of them renames
            self.refuse(target)
            regular_file(target)
            yield


def regular_file(path: str) -> os.stat_result | None:
    """Return what is known of a file, links followed; None if there is none, or a link to nowhere.

    Raises:
        OSError: It is a directory, a device or the like.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        if os.readlink(path).startswith("/proc/"):  # /dev/stdout, which is everybody's
            raise OSError(errno.EINVAL, NOT_A_FILE, path)
        if not os.path.exists(path):
            return None
        found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, NOT_A_FILE, path)
    return found


def _identity(found: os.stat_result, path: str) -> Hashable:
    """Return what tells a file from others; not every drive of Windows numbers its files."""
    return (found.st_dev, found.st_ino) if found.st_ino else real_path(path)


def flush(descriptor: int) -> None:
    """Bring a file or a directory to the disk, past its own cache where the system can do that.

    Raises:
        OSError: The disk fails, or does not flush such a thing.
    """
    if sys.platform == "darwin":  # whose fsync(2) leaves it in the cache
        import fcntl

        with suppress(OSError):  # not every disk can
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_directory(directory: str) -> None:
    """Make a new name in `directory` last through a power cut, where the platform can.

    Raises:
        OSError: The disk fails.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows opens no directories, and a directory may be writable only
        return
    try:
        flush(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            error.filename = directory
            raise
    finally:
        os.close(descriptor)
