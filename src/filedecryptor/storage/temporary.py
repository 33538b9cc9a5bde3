"""Random names that files have until they are whole, and what is left of them after a kill."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock

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
