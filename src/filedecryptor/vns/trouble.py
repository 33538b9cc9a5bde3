"""When to stop: what fails for one recording may fail for all that are left."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable
from functools import partial
from threading import Lock

from filedecryptor.errors import (
    ApiError,
    Failure,
    FileDecryptorError,
    StorageError,
    TokenError,
)
from filedecryptor.vns.limits import TimeOverError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

ROOM = 1 << 20
"""Bytes that have to find room: those of a recording of some minutes."""

INTERVAL = 60.0
"""Seconds for which it is believed that the list, or the place of the archive, works."""


class Trouble:
    """Looks at what recordings fail with, and says whether it is worth going on.

    Attributes:
        reason: Why the rest is not worth trying; None if it is.

    Args:
        ask: Asks the API for what needs no recording: its list.
        write: Writes to the archive what is no recording, so many bytes.
    """

    def __init__(self, ask: Callable[[], object], write: Callable[..., object]) -> None:
        self.reason: Failure | None = None
        self._ask = ask
        self._write = write
        self._worked: dict[Callable[[], object], float] = {}
        self._lock = Lock()

    def failed(self, error: Failure) -> bool:
        """Note that a recording has failed; return whether that is news.

        This may wait for the server. Whatever fails after `reason` is known, failed for that.
        """
        with self._lock:
            if self.reason is None and self._is_general(error):
                self.reason = error
                return True
            return self.reason is None

    def _is_general(self, error: Failure) -> bool:
        if isinstance(error, TimeOverError):
            return True
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return not _succeeds(partial(self._write, ROOM))
        if isinstance(error, (OSError, StorageError)):
            return not self._works(self._write)
        if not isinstance(error, (ApiError, TokenError)):
            return False
        works = self._works(self._ask)
        if works and isinstance(error, TokenError):
            error.hint = "it is accepted for the list, so this recording alone is refused"
        return not works

    def _works(self, attempt: Callable[[], object]) -> bool:
        """Return whether something works that needs no recording; it is tried once in a while."""
        if time.monotonic() - self._worked.get(attempt, -math.inf) < INTERVAL:
            return True
        works = _succeeds(attempt)
        if works:
            self._worked[attempt] = time.monotonic()
        return works


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (FileDecryptorError, OSError):
        return False
    return True
