"""The standard streams, which others may have left in non-blocking mode: then they are waited for.

That mode belongs to the pipe, not to the process: to switch it off would disturb who shares it.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import FileIO
from typing import TextIO

from filedecryptor.errors import UsageError

STANDARD_STREAM = "-"
"""What standard input and output are called on the command line."""

RETRY_INTERVAL = 0.02
"""Seconds until a stream is tried again where the system cannot tell when it is ready."""


class PatientFile(FileIO):
    """A file for reading that has not ended as long as more may come."""

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""
        while (count := super().readinto(buffer)) is None:
            _wait_for(self.fileno(), writing=False)
        return count


def standard_input() -> PatientFile:
    """Return standard input; closing it leaves the stream open.

    Raises:
        UsageError: It is closed already.
    """
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    return PatientFile(sys.stdin.fileno(), closefd=False)


def is_standard_input(path: str) -> bool:
    """Return whether a path names standard input: `-`, `/dev/stdin`, or what it leads to."""
    if path == STANDARD_STREAM:
        return True
    with suppress(OSError, ValueError):
        return sys.stdin is not None and os.path.samestat(
            os.stat(path), os.fstat(sys.stdin.fileno())
        )
    return False


def write_all(stream: TextIO, data: bytes) -> None:
    """Write all of `data` past Python's buffers, so that nothing is left to fail at its end.

    Raises:
        OSError: The stream does not take it.
    """
    raw = getattr(stream.buffer, "raw", stream.buffer)  # there is no buffer if PYTHONUNBUFFERED
    rest = memoryview(data)
    while rest:
        count = raw.write(rest)
        if count is None:
            _wait_for(raw.fileno(), writing=True)
        else:
            rest = rest[count:]


def _wait_for(descriptor: int, *, writing: bool) -> None:
    if sys.platform == "win32":
        import time

        time.sleep(RETRY_INTERVAL)  # its `select` knows sockets only
        return
    import select

    wanted = [descriptor]
    select.select([] if writing else wanted, wanted if writing else [], [])
