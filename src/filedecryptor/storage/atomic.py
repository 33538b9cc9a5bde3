"""Outputs on the disk: whole and flushed under their names, or not there at all."""

# Annotations are not postponed here: a NamedTuple would compile their text at each start.
import errno
import os
import re
import stat
import sys
import time
from collections.abc import Hashable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from io import FileIO
from threading import Lock, RLock
from typing import BinaryIO, NamedTuple

from filedecryptor.core.decryptor import OnProgress, ignore
from filedecryptor.core.format import CHUNK_SIZE, Source
from filedecryptor.core.spool import LongFile
from filedecryptor.errors import UsageError, errors_naming
from filedecryptor.storage import windows
from filedecryptor.storage.paths import is_url, real_path

TEMPORARY_PREFIX = ".filedecryptor-"

LEFTOVER_AGE = 24 * 60 * 60  # seconds; what is older was left by a killed run

# What a file system answers that cannot flush directories. Anything else: the disk fails.
CANNOT_FLUSH = {errno.EINVAL, errno.EBADF, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP}

ACCESS_LIST = "system.posix_acl_access"  # where Linux keeps one; the group's bits are its mask

naming = Lock()  # held while a file gets a temporary name; see `discard_unfinished`

_unfinished: set[str] = set()
_directories_seen: set[str] = set()


class Attributes(NamedTuple):
    """What an output takes over: the most permissions, and the time in nanoseconds since 1970."""

    mode: int = 0o666
    modified: int | None = None


NEW = Attributes()  # what a file has that takes over nothing


def attributes_of(source: Source) -> Attributes:
    """Return what an output takes over from an open recording: nothing of a pipe."""
    if isinstance(source, FileIO):
        found = os.fstat(source.fileno())
        if stat.S_ISREG(found.st_mode):
            return Attributes(stat.S_IMODE(found.st_mode) & 0o666, found.st_mtime_ns)
    modified = getattr(source, "modified", None)  # of an object
    return Attributes(modified=modified()) if modified else NEW


@contextmanager
def temporary_name(directory: str) -> Iterator[str]:
    """Yield a path that cannot be foreseen; a file that still has it on exit is removed."""
    path = os.path.join(directory, f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}.tmp")
    _unfinished.add(path)
    try:
        yield path
    finally:
        with suppress(OSError):
            remove(path)
        _unfinished.discard(path)


def remove(path: str) -> None:
    """Remove a file, or a link rather than its target, if it is there; refuse a directory."""
    with suppress(FileNotFoundError):
        windows.patiently(partial(os.unlink, path))  # where a scanner may have it open


def discard_unfinished() -> None:
    """Remove what has a temporary name, and let nothing get one: the process is about to end."""
    naming.acquire(timeout=1)  # a disk that does not answer may hold it for ever
    for path in list(_unfinished):
        with suppress(OSError):
            os.unlink(path)


def _remove_leftovers(directory: str, now: float) -> None:
    """Remove what killed runs of this user left in a directory; done once in each process.

    `now` is the time of a new file there: the disk's clock need not be that of this machine.
    """
    if directory in _directories_seen:
        return
    _directories_seen.add(directory)
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if not re.fullmatch(rf"{re.escape(TEMPORARY_PREFIX)}[0-9a-f-]+\.tmp", entry.name):
                continue
            found = entry.stat(follow_symlinks=False)
            is_own = sys.platform == "win32" or found.st_uid == os.geteuid()
            if is_own and stat.S_ISREG(found.st_mode) and found.st_mtime < now - LEFTOVER_AGE:
                os.unlink(entry.path)


class PendingFile(LongFile):
    """A new file that only its owner can read until it is filled, with `mode` at most.

    Its path is its name; or its directory, if it is nameless (open(2), `O_TMPFILE`): then it cannot
    be foreseen or blocked, and is gone once it is closed, however that happens. Errors name the
    target instead.
    """

    def __init__(
        self, path: str, target: str, mode: int = 0o666, *, is_nameless: bool = False
    ) -> None:
        with naming:
            if sys.platform == "win32":
                descriptor = windows.create(path)
            else:
                flags = getattr(os, "O_TMPFILE", 0) if is_nameless else os.O_CREAT | os.O_EXCL
                descriptor = os.open(path, os.O_RDWR | flags, mode)
        super().__init__(descriptor, "r+")
        self.place = target
        self.is_nameless = is_nameless
        found = os.fstat(descriptor)
        # What a new file gets follows from the umask or an access control list of the directory.
        self._permissions = stat.S_IMODE(found.st_mode)
        self._permit(0o600)
        _remove_leftovers(os.path.dirname(target) or ".", found.st_mtime)

    def fill(
        self, content: BinaryIO, on_progress: OnProgress = ignore, replaced: str | None = None
    ) -> None:
        """Write all that is in another file, give this one its permissions, and flush it."""
        if content is not self:
            content.seek(0)
            while piece := content.read(CHUNK_SIZE):
                on_progress(0)
                self.write_all(memoryview(piece))
        self._permit_as(replaced)
        flush(self.fileno())

    def _permit_as(self, replaced: str | None) -> None:
        """Give this file the permissions of the one that it is to replace, or else a new file's.

        Also in the place of a link: that may lead to a file which is open to anybody.
        """
        permissions = self._permissions
        if sys.platform != "win32" and replaced and (old := plain_file(replaced)):
            permissions = stat.S_IMODE(old.st_mode) & 0o777
            descriptor = self.fileno()
            if os.fstat(descriptor).st_gid != old.st_gid:
                self._permit(0o600)  # or another group could read meanwhile what this one may
                with suppress(OSError):  # only its members, and root, can give a group a file
                    os.fchown(descriptor, -1, old.st_gid)
            if not _copy_access_list(replaced, descriptor):
                permissions &= ~0o070
        self._permit(permissions)

    def link(self, name: str) -> bool:
        """Give a nameless file a name; return False where there is no way to do so."""
        descriptor = self.fileno()
        # Python follows the link in /proc only if it is given a directory's descriptor as well.
        path = f"/proc/self/fd/{descriptor}"
        with naming, suppress(OSError):
            os.link(path, name, src_dir_fd=descriptor, follow_symlinks=True)
            return True
        return False

    def _permit(self, permissions: int) -> None:
        if hasattr(os, "fchmod"):
            with suppress(OSError):  # a file system that has no permissions
                os.fchmod(self.fileno(), permissions)


def plain_file(path: str) -> os.stat_result | None:
    """Return what is known of a regular file; None of all else, and of links to one."""
    with suppress(OSError, ValueError):
        found = os.lstat(path)
        if stat.S_ISREG(found.st_mode):
            return found
    return None


def _copy_access_list(path: str, descriptor: int) -> bool:
    """Give a file the access control list of another, or none; return False if that has failed."""
    if sys.platform == "linux":
        try:
            entries = os.getxattr(path, ACCESS_LIST, follow_symlinks=False)
        except OSError as error:
            with suppress(OSError):  # one that it has of its directory
                os.removexattr(descriptor, ACCESS_LIST)
            return error.errno in {errno.ENODATA, errno.ENOTSUP}
        try:
            os.setxattr(descriptor, ACCESS_LIST, entries)
        except OSError:
            return False
    return True


def nameless(target: str, attributes: Attributes = NEW) -> PendingFile | None:
    """Return a file without a name that `publish` can name; None if there is no such thing."""
    if sys.platform == "linux" and not is_url(target):
        with suppress(OSError):  # whatever is wrong with the disk, the next attempt tells
            directory = os.path.dirname(target) or "."
            return PendingFile(directory, target, attributes.mode, is_nameless=True)
    return None


class Written:
    """The outputs that one run has written or found done, by their identity on the disk.

    Two names may be one file there, as where the case of letters is ignored. So a run looks whose
    output a file is before it replaces it, or takes it for finished.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        """Held while an output gets its name, so that no other thread looks before it is added."""
        self._targets: dict[Hashable, str] = {}

    def add(self, target: str, found: os.stat_result) -> None:
        """Remember an output."""
        self._targets[_identity(found, target)] = target

    def claim(self, target: str) -> None:
        """Remember an output that was there and counts as done, unless it has other names."""
        with suppress(OSError):
            found = os.lstat(target)
            if found.st_nlink == 1:
                self.add(target, found)

    def refuse(self, target: str) -> None:
        """Raise a `UsageError` for an output that is that of another input of this run."""
        with self.lock, suppress(FileNotFoundError):
            found = os.lstat(target)
            own = self._targets.get(_identity(found, target))
            # Another program may have replaced it meanwhile, and its number be a new file's.
            if own is not None and os.path.samestat(found, os.lstat(own)):
                raise same_output(f"another input, {own!r}")


def same_output(other: str) -> UsageError:
    """Return the error for an input that shares its output with another one."""
    return UsageError(
        f"it would have the same output as {other}",
        hint="decrypt them one after the other, with other names or directories",
    )


def _identity(found: os.stat_result, path: str) -> Hashable:
    """Return what tells a file from others; not every drive of Windows numbers its files."""
    return (found.st_dev, found.st_ino) if found.st_ino else real_path(path)


def publish(
    target: str,
    content: BinaryIO,
    *,
    replace: bool,
    written: Written | None = None,
    attributes: Attributes = NEW,
    on_progress: OnProgress = ignore,
) -> None:
    """Let what is in a file, all of it authenticated, appear whole as `target`.

    A file that `nameless` has made for the same directory gets the name itself. With `replace`, a
    file that has the name gives way, unless it is among the outputs that the run has `written`.
    If an error is raised, also by `on_progress`, what stood at `target` still does; only a directory
    that cannot be flushed is noticed after the file has appeared.
    """
    written = written or Written()
    directory = os.path.dirname(target) or "."
    replaced = target if replace else None
    # Whoever opened a file when it was made could read it all.
    mode = attributes.mode & (0o600 if replace and plain_file(target) else 0o666)
    with errors_naming(target, instead=True):
        with temporary_name(directory) as temporary, ExitStack() as files:
            if isinstance(content, PendingFile):
                file = content
            else:
                file = nameless(target, attributes) or PendingFile(temporary, target, mode)
                files.enter_context(file)
            file.fill(content, on_progress, replaced)
            with written.lock:
                found = os.fstat(file.fileno())
                # A new output has no other name before its own.
                if not (file.is_nameless and file.link(target)):
                    if not replace and os.path.lexists(target):
                        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
                    if file.is_nameless and not file.link(temporary):
                        file = files.enter_context(PendingFile(temporary, target, mode))
                        file.fill(content, on_progress, replaced)
                        found = os.fstat(file.fileno())
                    if replace:
                        written.refuse(target)
                        regular_file(target)
                    _rename(file, temporary, target, replace=replace)
                written.add(target, found)
        flush_directory(directory)
    # Only now, since a temporary file that is old may be taken for a leftover.
    if attributes.modified is not None:
        times = time.time_ns(), attributes.modified
        with suppress(OSError):  # a file system that keeps no times
            os.utime(target, ns=times, follow_symlinks=os.utime not in os.supports_follow_symlinks)


def _rename(file: PendingFile, temporary: str, target: str, *, replace: bool) -> None:
    """Give a file that has a temporary name its own."""
    if sys.platform == "win32":  # where others could hold it once it is closed
        windows.rename(file.fileno(), target, replace=replace)
        return
    if not os.path.samestat(os.fstat(file.fileno()), os.lstat(temporary)):
        raise OSError(errno.EBUSY, "Another program has taken the temporary file away")
    if not file.is_nameless:  # which its caller may go on reading
        file.close()  # not every system renames what is open
    if replace:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)  # unlike a rename, this never replaces anything
    except OSError:  # it is there, or this is a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(temporary, target)


def regular_file(path: str) -> os.stat_result | None:
    """Return what is known of a file, links followed; None if it is not there; refuse all else."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    # A link into /proc, as /dev/stdout is one, leads to what is everybody's, and is no file.
    if stat.S_ISLNK(found.st_mode) and not os.readlink(path).startswith("/proc/"):
        if not os.path.exists(path):
            return None
        found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)
    return found


def flush(descriptor: int) -> None:
    """Bring a file or a directory to the disk, past its own cache where the system can do that."""
    if sys.platform == "darwin":  # whose fsync(2) leaves it in the cache
        import fcntl

        with suppress(OSError):  # not every disk can
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_directory(directory: str) -> None:
    """Make a new name in `directory` last through a power cut, where the platform can."""
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
