"""The disk: recordings below a directory, and what must not be written to."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO, FileIO
from typing import BinaryIO, TypeAlias

from filedecryptor.errors import Failure, UsageError, errors_naming
from filedecryptor.storage import atomic, paths
from filedecryptor.storage.atomic import (
    PendingFile,
    flush,
    flush_directory,
    regular_file,
    temporary_name,
)
from filedecryptor.storage.paths import SUFFIX, is_possible, is_url

OnError: TypeAlias = Callable[[str, Failure], object]
OnLink: TypeAlias = Callable[[str], object]
Folder: TypeAlias = tuple[str, list[str], list[str]]
"""Its path, the names of its recordings, sorted, and those of them that are links."""

is_directory = os.path.isdir
real_path = paths.real_path
publish = atomic.publish
remove = atomic.remove


def make_directory(path: str) -> None:
    """Make a directory, with those above it, if it is not there; it lasts through a power cut."""
    if os.path.isdir(path):
        return
    refuse_file(path)
    parent = os.path.dirname(path) or "."
    if parent != path:
        make_directory(parent)
    os.makedirs(path, exist_ok=True)
    flush_directory(parent)


def refuse_file(path: str) -> None:
    """Raise an error if what has the name of a directory is none."""
    # Asked in this order, since another thread may make it meanwhile.
    if os.path.lexists(path) and not os.path.isdir(path):
        what = "a file, not a directory" if os.path.exists(path) else "a link to nowhere"
        raise NotADirectoryError(errno.ENOTDIR, f"Is {what}", path)


def size_of(path: str | int) -> int | None:
    """Return the length of a regular file, by path or descriptor, in bytes; None for others."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def unreadable(path: str) -> str | None:
    """Return what to say of an output that its owner cannot read; None if that is not so."""
    if is_url(path):
        return None
    with suppress(OSError):
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        if not mode & stat.S_IRUSR:
            who = "its owner cannot" if mode & 0o044 else "nobody but root can"
            return f"{who} read it, by its permissions ({mode:04o}): 'chmod u+r' changes that"
    return None


def sizes_below(directory: str) -> dict[str, int | None]:
    """Return what is below a directory by name, with `/` between parts, if there is a directory.

    That is the lengths of regular files in bytes, and None for others, such as links and junctions
    to directories, which are not followed. Unreadable folders below it are passed over.
    """
    found = {}
    waiting = [(directory, "")]
    while waiting:
        folder, prefix = waiting.pop()
        with suppress(OSError if prefix else FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not _is_junction(entry):
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    found[prefix + entry.name] = size_of(entry.path)
    return found


def flush_file(path: str) -> None:
    """Bring a file that is there already to the disk, and its name."""
    # Windows flushes only what is open for writing.
    mode = "r+b" if sys.platform == "win32" else "rb"
    with errors_naming(path), open(path, mode, buffering=0) as file:
        flush(file.fileno())
    flush_directory(os.path.dirname(path) or ".")


def try_writing(directory: str, size: int) -> None:
    """Write so many bytes to a directory, and leave nothing of them."""
    with (
        errors_naming(directory, instead=True),
        temporary_name(directory) as path,
        PendingFile(path, path) as file,
    ):
        file.fill(BytesIO(bytes(size)))


def recordings_below(directory: str, on_error: OnError, on_link: OnLink) -> Iterator[Folder]:
    """Yield each folder at or below a directory that holds recordings.

    `on_error` is called with each folder that cannot be read, and the reason; `on_link` with each
    link or junction to a directory. None of these is followed.
    """
    waiting = [directory]
    while waiting:
        folder = waiting.pop()
        recordings, links, subfolders = [], [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _is_junction(entry):
                        on_link(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        subfolders.append(entry.name)
                    elif _is_recording(entry):
                        recordings.append(entry.name)
                        if entry.is_symlink():
                            links.append(entry.name)
                    elif entry.is_symlink() and os.path.isdir(entry.path):
                        on_link(entry.path)
        except OSError as error:
            on_error(folder, error)
        if recordings:
            yield folder, sorted(recordings), links
        waiting += (os.path.join(folder, name) for name in sorted(subfolders, reverse=True))


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is what Windows calls a junction: not a link, yet it leads away."""
    if sys.platform != "win32":
        return False
    return entry.stat(follow_symlinks=False).st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT


def _is_recording(entry: os.DirEntry[str]) -> bool:
    if not entry.name.lower().endswith(SUFFIX):
        return False
    if entry.is_symlink():  # one that leads nowhere is reported later, not passed over
        return os.path.isfile(entry.path) or not os.path.exists(entry.path)
    return entry.is_file()


def matching(pattern: str) -> list[str]:
    """Return the paths that a word with `*` or `?` stands for, sorted; others as they are.

    For Windows, whose shells do not expand wildcards, and whose files cannot have such names.
    """
    rest = os.path.splitdrive(pattern)[1]
    if sys.platform != "win32" or is_url(pattern) or not ("*" in rest or "?" in rest):
        return [pattern]
    from glob import glob

    found = sorted(glob(pattern.replace("[", "[[]")))
    if not found:
        # What does not end as recordings do may be the password.
        shown = pattern if pattern.lower().endswith(SUFFIX) else None
        raise UsageError("no file has a name like this", filename=shown)
    return found


def open_source(path: str) -> FileIO:
    """Open a recording."""
    return open(path, "rb", buffering=0)


def seekable(path: str) -> BinaryIO:
    """Open a file that can be read from anywhere."""
    return open(path, "rb")


def check_target(target: str, source: str | int | None) -> None:
    """Refuse an output that cannot be written, or is the source: a path, a descriptor or unknown."""
    if not is_possible(target):
        raise UsageError("Windows has no file of such a name", filename=target)
    if found := regular_file(target):
        refuse_overwriting(found, target, source)


def refuse_overwriting(found: os.stat_result, target: str, source: str | int | None) -> None:
    """Refuse an output that is the source.

    It is compared by its identity on the disk, which no link and no other spelling of its name
    hides; by its path where the disk gives its files none.
    """
    if source is None or (isinstance(source, str) and is_url(source)):
        return
    if os.path.samestat(found, os.stat(source)) and (
        found.st_ino or (isinstance(source, str) and real_path(target) == real_path(source))
    ):
        raise UsageError("the output would replace the input", filename=target)
