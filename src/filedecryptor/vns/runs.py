"""When the runs of an archive were complete: VNS keeps a recording for seven days only."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta
from io import BytesIO

from filedecryptor.errors import FileDecryptorError
from filedecryptor.storage import contents_of, storage_of
from filedecryptor.storage.names import join
from filedecryptor.storage.outputs import Written
from filedecryptor.vns import times

NAME = ".vns-recordings.json"

LARGEST = 4096
"""Bytes that are read of what earlier runs have written."""

LONGEST_GAP = timedelta(days=6)
"""Time between complete runs after which recordings are about to be purged, or have been."""


class Runs:
    """What an archive remembers of its runs.

    Args:
        directory: The archive.

    Attributes:
        complete: When the last run ended that fetched everything; None if there was none.
    """

    def __init__(self, directory: str) -> None:
        self._path = join(directory, NAME)
        found: object = None
        with suppress(
            FileDecryptorError, OSError, ValueError, RecursionError
        ):  # what it says is not worth a night
            found = json.loads(contents_of(self._path, LARGEST) or b"")
        fields = found if isinstance(found, dict) else {}
        self._began = times.now().replace(microsecond=0)
        self.complete = self._past(fields.get("complete"))
        self._first = self._past(fields.get("first"))

    def _past(self, text: object) -> datetime | None:
        """Return a time; None for one to come, which a clock that was wrong has left."""
        time = times.parse(text)
        return time if time is not None and time <= self._began else None

    def end(self, *, complete: bool) -> str | None:
        """Remember that a run has ended, and return a warning if the last complete one is long ago.

        Args:
            complete: Whether everything that the account holds is in the archive.

        Raises:
            OSError: It cannot be written.
            StorageError: The store refuses it.
        """
        before, first = self.complete, self._first or self._began
        if complete:
            self.complete = self._began
        if complete or self._first is None:
            fields = {"first": times.shown(first)}
            if self.complete is not None:
                fields["complete"] = times.shown(self.complete)
            data = json.dumps(fields).encode("ascii") + b"\n"
            storage_of(self._path).publish(
                self._path, BytesIO(data), replace=True, written=Written()
            )
        return self._warning(before, first)

    def _warning(self, before: datetime | None, first: datetime) -> str | None:
        if self._began - (before or first) <= LONGEST_GAP:
            return None
        today = times.shown(self._began)
        kept = f"VNS keeps a recording for {times.KEPT.days} days"
        if before is None:
            return f"no run since {times.shown(first)} was complete, and it is {today}: {kept}"
        return f"the last complete run was at {times.shown(before)}, and it is {today}: {kept}"
