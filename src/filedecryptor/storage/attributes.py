"""What an audio file has in common with its recording: who may read it, and its time."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from io import FileIO

from filedecryptor.format import Source


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
