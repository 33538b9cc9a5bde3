"""What becomes of each recording of the account: fetched, stored, deleted, or left alone."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from functools import partial
from threading import Lock, Semaphore
from typing import BinaryIO, cast
from uuid import UUID

from filedecryptor.core.crypto import load
from filedecryptor.core.decryptor import OnProgress, ignore
from filedecryptor.core.secrets import Passwords, Secret
from filedecryptor.core.spool import PrivateFile
from filedecryptor.errors import (
    ApiError,
    Failure,
    FileDecryptorError,
    NotFoundError,
    Outcome,
    StorageError,
    TokenError,
    cause_of,
    errors_naming,
    exit_code_of,
    failed,
    unexpected,
)
from filedecryptor.jobs.workers import affordable, in_threads, memory_of_each, usable_cpus
from filedecryptor.lanes import Keys, warn_by_python
from filedecryptor.storage import storage_of
from filedecryptor.vns import listing, times
from filedecryptor.vns.client import Client
from filedecryptor.vns.http import TimeOverError
from filedecryptor.vns.listing import Recording
from filedecryptor.vns.records import (
    ENCRYPTED,
    NOT_STORED,
    Record,
    Records,
    Shared,
    Storing,
    Wishes,
)

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


DOWNLOADS_PER_CPU = 4
"""Downloads at once for each CPU that this process may use: most of them wait for the network."""


class Archive:
    """Recordings of an account in one place, named after their GUIDs, each with a record.

    Args:
        client: Where they come from.
        directory: Where they go to: a directory, which is made if it is not there, or the address
            of a folder of a store.
        password: Decrypts them; several are tried in turn; None stores them as they come.
        keep_encrypted: Whether the `.enc` file stays beside the audio. It also stays if it could
            not be decrypted.
        delete_after: Whether a recording is deleted on the server once it is stored, and recorded.
        check: Whether a file counts as stored only if its SHA-256 is that of its record. Otherwise
            its length is enough.
    """

    def __init__(
        self,
        client: Client,
        directory: str,
        *,
        password: Secret | None = None,
        keep_encrypted: bool = False,
        delete_after: bool = False,
        check: bool = False,
    ) -> None:
        self._client = client
        self._directory = directory
        self._password = None if password is None else Passwords.of(password)
        self._keep_encrypted = keep_encrypted
        self._delete_after = delete_after
        self._check = check

    def fetch(
        self,
        recordings: Iterable[Recording | UUID | str],
        *,
        again: bool = False,
        jobs: int | None = None,
        on_progress: Callable[[str, int], object] | None = None,
        warn: Callable[[str], object] = warn_by_python,
    ) -> Generator[Outcome]:
        """Download and store what is missing, side by side; yield what became of each.

        The status is `decrypted`, `stored` (as it came; or decrypted and then not deleted on the
        server, as was wanted), `skipped` (it is there), `failed` or `not tried`.

        Args:
            recordings: As `Client.list_recordings` lists them, or their GUIDs.
            again: Whether to fetch what is there already.
            jobs: How many to download at once; None for `DOWNLOADS_PER_CPU`.
            on_progress: Called with a GUID and a number of bytes after each piece, from any
                thread.
            warn: Called with what has to be known, though no recording fails for it.

        Raises:
            UsageError: What is no recording is not a GUID either.
            OSError: The directory cannot be made.
        """
        load()  # where memory or files to open are scarce, this fails once, here
        storage_of(self._directory).make_directory(self._directory)
        wanted = [_recording(recording) for recording in recordings]
        downloads = jobs or DOWNLOADS_PER_CPU * usable_cpus()
        keys = Keys(usable_cpus())

        def threads() -> int:
            return affordable(max(downloads, keys.threads))

        shared = Shared(keys, Semaphore(downloads), memory_of_each(threads()))
        run = self._run(len(wanted), again=again, shared=shared)

        def advance(recording: Recording, count: int) -> None:
            if on_progress is not None:
                on_progress(str(recording.guid), count)

        outcomes = in_threads(
            wanted, run.attempt, check=run.check, threads=threads, on_progress=advance
        )
        with closing(outcomes):
            for outcome in outcomes:
                yield outcome
                if news := keys.news():
                    warn(news)

    def plan(self, recordings: Iterable[Recording]) -> Generator[Outcome]:
        """Yield what `fetch` would do: with the status `to fetch`, `to delete` or `skipped`."""
        wanted = list(recordings)
        run = self._run(len(wanted), again=False)
        for recording in wanted:
            name = str(recording.guid)
            try:
                record = run.present(recording, ignore)
            except (FileDecryptorError, OSError) as error:
                run.records.refuse_if_general(error)
                yield failure(name, error)
                continue
            if record is None:
                yield Outcome(name, None, None, None, "to fetch")
            elif self._delete_after and record.may_be_deleted:
                yield Outcome(name, None, record.format, record.size, "to delete")
            else:
                yield run.skipped(record)

    def check_others(self, recordings: Iterable[Recording]) -> Generator[Outcome]:
        """Read what is in the archive, and yield what became of each recording.

        The status is `verified` or `failed`.

        Args:
            recordings: Those that are not looked at, since `fetch` has done it.

        Raises:
            OSError: The directory cannot be read.
            UnavailableError: The store does not answer.
        """
        records = Records(self._directory, 0)
        done = {str(recording.guid) for recording in recordings}
        for guid, found in records.all():
            if guid not in done:
                yield _checked(records, guid, found)

    def _run(self, count: int, *, again: bool, shared: Shared | None = None) -> Run:
        wishes = Wishes(
            self._password,
            keep_encrypted=self._keep_encrypted,
            delete_after=self._delete_after,
            check=self._check,
            again=again,
        )
        return Run(self._client, Records(self._directory, count), wishes, shared or Shared())


def _checked(records: Records, guid: str, found: Record | Failure) -> Outcome:
    """Return whether a recording is what was stored, by its record or by what is wrong with that."""
    if not isinstance(found, Record):
        return failure(guid, found)
    path = records.path(found.file)
    try:
        if records.has_same_bytes(found, ignore):
            return Outcome(guid, path, found.format, found.size, "verified")
    except (FileDecryptorError, OSError) as error:
        records.refuse_if_general(error)
        error.filename = found.file
        return failure(guid, error)
    return failure(guid, FileDecryptorError(NOT_STORED, filename=found.file))


def _recording(recording: Recording | UUID | str) -> Recording:
    if isinstance(recording, Recording):
        return recording
    return Recording(listing.session(recording))
