"""One run of an archive: what becomes of each recording."""

from __future__ import annotations

import os
from io import FileIO
from typing import BinaryIO, NamedTuple, cast
from uuid import UUID

from filedecryptor import audio
from filedecryptor.crypto import Password
from filedecryptor.decryptor import OnProgress, decrypted
from filedecryptor.errors import (
    AuthenticationError,
    Failure,
    FileDecryptorError,
    NotFoundError,
    UnknownFormatError,
    errors_naming,
    unexpected,
)
from filedecryptor.format import SMALLEST_SIZE
from filedecryptor.kinds import kind_of
from filedecryptor.outcome import Outcome, failed
from filedecryptor.spool import HEAD_SIZE, Beginning, PrivateFile
from filedecryptor.storage import storage_of
from filedecryptor.vns import times
from filedecryptor.vns.client import Client
from filedecryptor.vns.listing import Recording
from filedecryptor.vns.records import ENCRYPTED, UNKNOWN, UNVERIFIED, Record, Records
from filedecryptor.vns.refusals import foreign
from filedecryptor.vns.trouble import Trouble
from filedecryptor.vns.wholeness import is_cut

FAILURES_IN_A_ROW = 3
"""Recordings that cannot be deleted, with none among them that can, until no more are."""

NOT_TRIED = "not tried"
"""The status of a recording that was left out after a failure that concerns all of them."""


class Wishes(NamedTuple):
    """What is wanted of a run.

    Attributes:
        password: Decrypts the recordings; None stores them as they come.
        keep_encrypted: Whether the `.enc` file stays beside the audio.
        delete_after: Whether to delete on the server what is stored.
        check: Whether to read what is there, and compare it with its record.
        again: Whether to fetch what is there already.
    """

    password: Password | None
    keep_encrypted: bool
    delete_after: bool
    check: bool
    again: bool

    def __repr__(self) -> str:
        return "Wishes(...)"  # one of them is a secret


class Run:
    """Fetches recordings, any number of them side by side.

    Args:
        client: Where they come from.
        records: Where they go to.
        wishes: What is wanted.
    """

    def __init__(self, client: Client, records: Records, wishes: Wishes) -> None:
        self._client = client
        self._records = records
        self._wishes = wishes
        self._trouble = Trouble(client)
        self._not_deleted = 0

    def present(self, recording: Recording, on_progress: OnProgress) -> Record | None:
        """Return the record of a recording that is there as it was stored; None if it is not.

        What is encrypted is not there for somebody who has a password.
        """
        record = self._records.find(recording.guid)
        if record is None or not record.is_whole or not self._records.has_file(record):
            return None
        if record.is_encrypted and self._wishes.password is not None:
            return None
        if self._wishes.check and not self._records.has_same_bytes(record, on_progress):
            return None
        return record

    def check(self, recording: Recording) -> Outcome | None:
        """Return the outcome of a recording that needs no work; None if it may need some.

        Whatever takes time is left to `attempt`.
        """
        wishes = self._wishes
        if self._trouble.reason is not None:
            return self._not_tried(recording.guid, self._trouble.reason)
        if wishes.again or wishes.delete_after or wishes.check or self._records.are_remote:
            return None
        try:
            record = self.present(recording, lambda _: None)
        except (FileDecryptorError, OSError):
            return None  # it happens again, where it is reported
        return None if record is None else self.skipped(record)

    def skipped(self, record: Record) -> Outcome:
        """Return the outcome of a recording that is there."""
        return Outcome(record.guid, self._records.path(record.file), None, None, "skipped")

    def attempt(self, recording: Recording, on_progress: OnProgress) -> Outcome:
        """Do what is needed for a recording, and return what became of it."""
        if self._trouble.reason is not None:
            return self._not_tried(recording.guid, self._trouble.reason)
        try:
            outcome = self._fetched(recording, on_progress)
        except (FileDecryptorError, OSError) as error:
            is_news = self._trouble.failed(error)
            reason = self._trouble.reason
            if is_news or reason is None:
                return failure(recording.guid, error)
            return self._not_tried(recording.guid, reason)
        except Exception as error:  # noqa: BLE001 - it must not end the work on other recordings
            return failed(str(recording.guid), unexpected(error, str(recording.guid)))
        self._trouble.succeeded()
        return outcome

    def _not_tried(self, guid: UUID, reason: Failure) -> Outcome:
        return Outcome(str(guid), None, None, None, NOT_TRIED, reason)

    def _fetched(self, recording: Recording, on_progress: OnProgress) -> Outcome:
        guid = recording.guid
        if not self._wishes.again and (record := self.present(recording, on_progress)):
            return self._deleted(recording, record, self.skipped(record), on_progress)
        path = self._records.path(f"{guid}.{ENCRYPTED}")
        # It has no name, so whatever happens nothing of it stays.
        with storage_of(path).nameless(path) or PrivateFile() as raw:
            with errors_naming(path, instead=True):
                is_complete = self._client.download(
                    recording.session, cast("BinaryIO", raw), on_progress
                )
            record, outcome = self._stored(recording, raw, on_progress, is_complete=is_complete)
        self._records.write(record)
        return self._deleted(recording, record, outcome, on_progress)

    def _stored(
        self, recording: Recording, raw: FileIO, on_progress: OnProgress, *, is_complete: bool
    ) -> tuple[Record, Outcome]:
        """Store a download under the name that fits what it is."""
        size = raw.seek(0, os.SEEK_END)
        raw.seek(0)
        head = raw.read(HEAD_SIZE)
        is_plain = audio.detect(head) is not None
        if self._wishes.password is not None and size >= SMALLEST_SIZE:
            try:
                return self._decrypted(recording, raw, head, on_progress)
            except AuthenticationError:
                if not is_plain:
                    self._refuse_foreign(head, size)
                    raise
        if not is_plain:
            self._refuse_foreign(head, size)
        return self._as_it_came(recording, raw, head, on_progress, is_complete=is_complete)

    def _refuse_foreign(self, head: bytes, size: int) -> None:
        """Raise an error for what is no recording, with the server's words.

        Raises:
            ApiError: It is none.
        """
        if error := foreign(head, size, self._client.words(head)):
            raise error

    def _decrypted(
        self, recording: Recording, raw: FileIO, head: bytes, on_progress: OnProgress
    ) -> tuple[Record, Outcome]:
        guid, password = recording.guid, self._wishes.password
        assert password is not None  # noqa: S101 - or nobody would have called this
        if self._wishes.keep_encrypted and kind_of(head) is None and not audio.detect(head):
            kept = self._record(recording, raw, ENCRYPTED, None, on_progress)
            if self._records.find(guid) is None:
                self._records.write(kept)
        target = self._records.path(f"{guid}.{UNKNOWN}")
        raw.seek(0)
        recording_file, content = decrypted(
            Beginning(raw), password, on_progress, lambda: storage_of(target).nameless(target)
        )
        with recording_file as file:
            extension = content.format or UNKNOWN
            record = self._record(
                recording, file, extension, content.format, on_progress, authenticated=True
            )
        outcome = self._outcome(record, "decrypted")
        if content.format is None:
            cause = f"the recording is intact, and stored as {record.file}; but its audio is not opus, mp3 or wav"
            outcome = outcome._replace(
                status="stored", error=UnknownFormatError(cause, filename=record.guid)
            )
        return record, outcome

    def _as_it_came(
        self,
        recording: Recording,
        raw: FileIO,
        head: bytes,
        on_progress: OnProgress,
        *,
        is_complete: bool,
    ) -> tuple[Record, Outcome]:
        """Store a download that is not decrypted.

        What may be cut off gets a name that does not count as having it.
        """
        plain_format = audio.detect(head)
        file = cast("BinaryIO", raw)
        is_short = plain_format is not None and is_cut(file, plain_format)
        extension = plain_format or ENCRYPTED
        if is_short or not is_complete:
            extension = f"{UNVERIFIED}.{extension}"
        record = self._record(recording, file, extension, plain_format, on_progress)
        note = None
        if is_short:
            note = "it is shorter than its own header says: it may be cut off"
        elif not is_complete:
            note = "the API did not say how long it is: it may be cut off"
        return record, self._outcome(record, "stored")._replace(note=note)

    def _record(
        self,
        recording: Recording,
        file: BinaryIO,
        extension: str,
        audio_format: str | None,
        on_progress: OnProgress,
        *,
        authenticated: bool = False,
    ) -> Record:
        """Store a file, and return the record for it, which is not written yet."""
        guid = str(recording.guid)
        name = f"{guid}.{extension}"
        size, sha256 = self._records.store(name, file, on_progress)
        return Record(
            guid,
            recording.entry,
            name,
            audio_format,
            size,
            sha256,
            authenticated,
            times.shown(times.now()),
        )

    def _outcome(self, record: Record, status: str) -> Outcome:
        path = self._records.path(record.file)
        return Outcome(record.guid, path, record.format, record.size, status)

    def _deleted(
        self, recording: Recording, record: Record, outcome: Outcome, on_progress: OnProgress
    ) -> Outcome:
        """Delete on the server what is safe here, if that is wanted."""
        if not self._wishes.delete_after or not record.may_be_deleted:
            return outcome
        if self._not_deleted >= FAILURES_IN_A_ROW:
            return outcome if outcome.status == "skipped" else outcome._replace(status="stored")
        try:
            self._client.delete(recording.session, on_progress)
        except NotFoundError:
            pass  # somebody else has, or the seven days are over
        except FileDecryptorError as error:
            return self._not_deleted_outcome(outcome, error)
        self._not_deleted = 0
        self._records.write(record._replace(deleted=times.shown(times.now())))
        return outcome

    def _not_deleted_outcome(self, outcome: Outcome, error: FileDecryptorError) -> Outcome:
        self._not_deleted += 1
        error.cause = f"stored, but not deleted: {error.cause}"
        error.filename = outcome.input
        error.hint = "the next run with --delete-after tries it again"
        if self._not_deleted >= FAILURES_IN_A_ROW:
            error.hint = "no more are deleted now: the next run with --delete-after does it"
        return outcome._replace(status="stored", error=forgetful(error))


def failure(name: object, error: Failure) -> Outcome:
    """Return what became of a recording that could not be fetched."""
    if error.filename is None:
        error.filename = str(name)
    return failed(str(name), error)


def forgetful(error: FileDecryptorError) -> FileDecryptorError:
    """Return an error that has forgotten where it was raised, as `failed` lets it."""
    return cast("FileDecryptorError", failed("", error).error)
