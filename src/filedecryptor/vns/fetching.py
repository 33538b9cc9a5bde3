"""One run of an archive: what becomes of each recording."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO, cast
from uuid import UUID

from filedecryptor.decryptor import OnProgress
from filedecryptor.errors import (
    Failure,
    FileDecryptorError,
    NotFoundError,
    cause_of,
    errors_naming,
    exit_code_of,
    unexpected,
)
from filedecryptor.outcome import Outcome, failed
from filedecryptor.spool import PrivateFile
from filedecryptor.storage import storage_of
from filedecryptor.vns import times
from filedecryptor.vns.client import Client
from filedecryptor.vns.listing import Recording
from filedecryptor.vns.records import ENCRYPTED, Record, Records
from filedecryptor.vns.storing import Shared, Storing, Wishes
from filedecryptor.vns.trouble import Trouble

FAILURES_IN_A_ROW = 20
"""Recordings that cannot be deleted, with none among them that can, until no more are."""

NOT_TRIED = "not tried"
"""The status of a recording that was left out after a failure that concerns all of them."""


class Run:
    """Fetches recordings, any number of them side by side.

    Attributes:
        records: Where they go to.

    Args:
        client: Where they come from.
        records: Where they go to.
        wishes: What is wanted.
        shared: What its threads have in common.
    """

    def __init__(self, client: Client, records: Records, wishes: Wishes, shared: Shared) -> None:
        self._client = client
        self.records = records
        self._wishes = wishes
        self._storing = Storing(client, records, wishes, shared)
        self._downloads = shared.downloads
        self._trouble = Trouble(client.list_recordings, records.try_writing)
        self._not_deleted = 0

    def present(
        self, recording: Recording, on_progress: OnProgress, records: Records | None = None
    ) -> Record | None:
        """Return the record of a recording that is there as it was stored; None if it is not.

        With a password, a recording that is kept as `.enc` only counts as missing.
        """
        records = records or self.records
        record = records.find(recording.guid)
        if record is None or not record.is_whole or not records.has_file(record):
            return None
        if record.is_encrypted and self._wishes.password is not None:
            return None
        if self._wishes.check and not records.has_same_bytes(record, on_progress):
            return None
        return record

    def check(self, recording: Recording) -> Outcome | None:
        """Return the outcome of a recording that needs no work; None if it may need some.

        Whatever takes time is left to `attempt`.
        """
        wishes = self._wishes
        if self._trouble.reason is not None:
            return self._not_tried(recording.guid, self._trouble.reason)
        if wishes.again or wishes.delete_after or wishes.check or self.records.are_remote:
            return None
        try:
            record = self.present(recording, lambda _: None)
        except (FileDecryptorError, OSError):
            return None  # it happens again, where it is reported
        if record is None or _completed(record, recording) != record:
            return None
        return self.skipped(record)

    def skipped(self, record: Record) -> Outcome:
        """Return the outcome of a recording that is there."""
        return Outcome(record.guid, self.records.path(record.file), None, None, "skipped")

    def attempt(self, recording: Recording, on_progress: OnProgress) -> Outcome:
        """Do what is needed for a recording, and return what became of it."""
        # Until it is clear whether a failure concerns all, nobody else begins in its place.
        with ExitStack() as turn:
            turn.enter_context(self._downloads)
            on_progress(0)  # it may be over by now
            return self._attempt(recording, on_progress, turn.close)

    def _attempt(
        self, recording: Recording, on_progress: OnProgress, downloaded: Callable[[], object]
    ) -> Outcome:
        if self._trouble.reason is not None:
            return self._not_tried(recording.guid, self._trouble.reason)
        try:
            outcome = self._fetched(recording, on_progress, downloaded)
        except (FileDecryptorError, OSError) as error:
            is_news = self._trouble.failed(error)
            reason = self._trouble.reason
            if is_news or reason is None:
                return failure(recording.guid, error)
            return self._not_tried(recording.guid, reason)
        except Exception as error:  # noqa: BLE001 - it must not end the work on other recordings
            return failed(str(recording.guid), unexpected(error, str(recording.guid)))
        return outcome

    def _not_tried(self, guid: UUID, reason: Failure) -> Outcome:
        return Outcome(str(guid), None, None, None, NOT_TRIED, reason)

    def _fetched(
        self, recording: Recording, on_progress: OnProgress, downloaded: Callable[[], object]
    ) -> Outcome:
        guid = recording.guid
        if not self._wishes.again and (record := self.present(recording, on_progress)):
            if (completed := _completed(record, recording)) != record:
                self.records.write(completed)
                record = completed
            return self._deleted(recording, record, self.skipped(record), on_progress)
        path = self.records.path(f"{guid}.{ENCRYPTED}")
        # It has no name, so whatever happens nothing of it stays.
        with storage_of(path).nameless(path) or PrivateFile() as raw:
            try:
                with errors_naming(path, instead=True):
                    is_complete = self._client.download(
                        recording.session, cast("BinaryIO", raw), on_progress
                    )
            except NotFoundError:
                if self._wishes.again:
                    raise
                # Another run may have stored and deleted it since this one looked.
                record = self.present(recording, on_progress, self.records.now())
                if record is None:
                    raise
                return self.skipped(record)
            downloaded()
            record, outcome = self._storing.store(
                recording, raw, on_progress, is_complete=is_complete
            )
        if record.entry is None and (known := self.records.find(guid)):
            record = record._replace(entry=known.entry)
        self.records.write(record)
        return self._deleted(recording, record, outcome, on_progress)

    def _deleted(
        self, recording: Recording, record: Record, outcome: Outcome, on_progress: OnProgress
    ) -> Outcome:
        """Delete on the server what is safe here, if that is wanted."""
        if not self._wishes.delete_after or not record.may_be_deleted:
            return outcome
        if self._not_deleted >= FAILURES_IN_A_ROW:
            return outcome if outcome.status == "skipped" else outcome._replace(status="stored")
        try:
            self.records.flush(record)
            self._client.delete(recording.session, on_progress)
        except NotFoundError:
            pass  # another run has, or the seven days are over
        except (FileDecryptorError, OSError) as error:
            self._not_deleted += 1
            hint = "the next run with --delete-after tries it again"
            if self._not_deleted >= FAILURES_IN_A_ROW:
                hint = "no more are deleted now: the next run with --delete-after does it"
            return _stored(outcome, "stored, but not deleted", error, hint)
        self._not_deleted = 0
        try:
            self.records.write(record._replace(deleted=times.shown(times.now())))
        except (FileDecryptorError, OSError) as error:
            hint = "nothing is lost: only the time of its deletion is not in its record"
            return _stored(outcome, "stored and deleted, but not noted", error, hint)
        return outcome


def _completed(record: Record, recording: Recording) -> Record:
    """Return a record with what the list says of a recording that was fetched without a list."""
    return record if record.entry is not None else record._replace(entry=recording.entry)


def failure(name: object, error: Failure) -> Outcome:
    """Return what became of a recording that could not be fetched."""
    if error.filename is None:
        error.filename = str(name)
    return failed(str(name), error)


def _stored(outcome: Outcome, what: str, error: Failure, hint: str) -> Outcome:
    """Return the outcome of a recording that is stored, though something after that failed."""
    found = FileDecryptorError(f"{what}: {cause_of(error)}", hint=hint, filename=outcome.input)
    found.exit_code = exit_code_of(error)
    return outcome._replace(status="stored", error=found)
