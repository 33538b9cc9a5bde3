"""When to stop: what fails for one recording may fail for all that are left."""

from __future__ import annotations

import errno
from threading import Lock

from filedecryptor.errors import ApiError, Failure, StorageError, TokenError, UnavailableError
from filedecryptor.vns.client import Client
from filedecryptor.vns.limits import TimeOverError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}

FAILURES_IN_A_ROW = 3
"""Recordings that cannot be stored, with none among them that can, until no more are fetched."""


class Trouble:
    """Looks at what recordings fail with, and says whether it is worth going on.

    Args:
        client: It is asked for the list, to tell trouble with a recording from trouble with all.

    Attributes:
        reason: Why the rest is not worth trying; None if it is.
    """

    def __init__(self, client: Client) -> None:
        self.reason: Failure | None = None
        self._client = client
        self._lock = Lock()
        self._not_stored = 0

    def succeeded(self) -> None:
        """Note that a recording has been stored."""
        self._not_stored = 0

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
        if isinstance(error, (TimeOverError, UnavailableError)):
            return True
        if isinstance(error, (OSError, StorageError)):
            self._not_stored += 1
            has_no_room = isinstance(error, OSError) and error.errno in NO_ROOM
            return has_no_room or self._not_stored == FAILURES_IN_A_ROW
        if not isinstance(error, (ApiError, TokenError)):
            return False
        try:
            self._client.list_recordings()
        except (ApiError, TokenError):
            return True
        if isinstance(error, TokenError):
            error.hint = "it is accepted for the list, so this recording alone is refused"
        return False
