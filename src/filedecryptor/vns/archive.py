"""What becomes of each recording of the account: fetched, stored, deleted, or left alone."""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from io import FileIO
from threading import Lock, Semaphore
from typing import BinaryIO, cast
from uuid import UUID

from filedecryptor import audio
from filedecryptor.audio.extent import measure
from filedecryptor.audio.foreign import kind_of
from filedecryptor.core.crypto import load
from filedecryptor.core.decryptor import OnProgress, decrypted, ignore
from filedecryptor.core.format import SMALLEST_SIZE
from filedecryptor.core.secrets import PasswordOrPasswords, Passwords
from filedecryptor.core.spool import HEAD_SIZE, Beginning, PrivateFile
from filedecryptor.errors import (
    ApiError,
    AuthenticationError,
    Failure,
    FileDecryptorError,
    NotEncError,
    NotFoundError,
    Outcome,
    Status,
    StorageError,
    TokenError,
    UnknownFormatError,
    UsageError,
    cause_of,
    described,
    errors_naming,
    exit_code_of,
    failed,
    unexpected,
)
from filedecryptor.jobs.workers import affordable, in_threads, memory_of_each, usable_cpus
from filedecryptor.lanes.keys import Keys, warn_by_python
from filedecryptor.storage import atomic, remark, storage_of
from filedecryptor.vns import times
from filedecryptor.vns.client import Client, not_a_recording
from filedecryptor.vns.http import TimeOverError
from filedecryptor.vns.listing import Recording, size_in
from filedecryptor.vns.records import ENCRYPTED, MEMORY_NAME, UNKNOWN, Record, Records
from filedecryptor.vns.template import BY_GUID, UNVERIFIED, Template

DOWNLOADS_PER_CPU = 4  # at once: most of them wait for the network
NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

ROOM = 1 << 20  # bytes that a disk with room for more recordings takes: those of some minutes
INTERVAL = 60.0  # seconds for which the list is taken to work
SKIPPED: Status = "skipped"  # the status of what is there already
NOT_TRIED: Status = "not tried"  # the status of what was left out after a failure that concerns all
LOOKS = 20  # for what is missing from a store; one list tells of more, if not of their lengths
KEEPING = "--keep-encrypted stores it as it is, to be decrypted later"


class Archive:
    """Recordings of an account in one place, each with a record.

    One call of `fetch` ends before the next begins.

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
        name: The template of names for what is new, as `{time:%Y/%m/%d}/{callerId}_{guid}`: fields
            of the list's entries, whatever their case and without regard to `_`, the call's time
            (UTC, with a format of strftime(3)), the GUID. The archive keeps it. None for the one
            that it has kept, which is `{guid}` at first.

    Raises:
        UsageError: The template makes no sense, has no `{guid}`, or would not give names that all
            systems have.
    """

    def __init__(
        self,
        client: Client,
        directory: str | os.PathLike[str],
        *,
        password: PasswordOrPasswords | None = None,
        keep_encrypted: bool = False,
        delete_after: bool = False,
        check: bool = False,
        name: str | None = None,
    ) -> None:
        self._client = client
        self._directory = os.fspath(directory)
        self._records = Records(self._directory)
        self._password = None if password is None else Passwords.of(password)
        self._keep_encrypted = keep_encrypted
        self._delete_after = delete_after
        self._check = check
        self._template = None if name is None else Template(name)
        self._lock = Lock()

    def fetch(
        self,
        recordings: Iterable[Recording | UUID | str],
        *,
        again: bool = False,
        jobs: int | None = None,
        on_progress: Callable[[str, int], object] = lambda _guid, _count: None,
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
                thread. What it raises ends the work, and is raised by the iteration.
            warn: Called with each warning that concerns no single recording.

        Raises:
            UsageError: An item is neither a `Recording` nor a GUID, or it is a single GUID.
            OSError: The directory cannot be made.
        """
        if isinstance(recordings, str):  # whose letters would be taken for GUIDs
            raise UsageError("the recordings are not a list of GUIDs, but one")
        load()  # where memory or files to open are scarce, this fails once, here
        storage_of(self._directory).make_directory(self._directory)
        self._choose_names(warn)
        wanted = [one if isinstance(one, Recording) else Recording.of(one) for one in recordings]
        downloads = jobs or DOWNLOADS_PER_CPU * usable_cpus()
        keys = Keys(usable_cpus())

        def threads() -> int:
            return affordable(max(downloads, keys.threads))

        self._again = again
        self._keys, self._memory_limit = keys, memory_of_each(threads())
        self._downloads = Semaphore(downloads)
        self._reason: Failure | None = None  # why the rest is not worth trying
        self._listed = -math.inf  # when the list was last seen to work
        outcomes = in_threads(
            wanted,
            self._attempt,
            check=self._without_work,
            threads=threads,
            on_progress=lambda recording, count: on_progress(str(recording.guid), count),
        )
        with closing(outcomes):
            for outcome in outcomes:
                yield outcome
                if news := keys.news():
                    warn(news)

    def _choose_names(self, warn: Callable[[str], object] | None) -> None:
        """Choose the template of new names: that which was given, or is kept; keep none without `warn`."""
        records = self._records
        records.template = self._template or BY_GUID
        try:
            kept = records.memory().get("name", BY_GUID.text)
            if self._template is None:
                records.template = Template(kept)
            elif warn and kept != self._template.text:
                records.remember(name=self._template.text)
        except (FileDecryptorError, OSError) as error:
            if warn:
                warn(f"{described(error)}; names are {records.template.text}, in this run alone")

    def name_of(self, recording: Recording) -> str:
        """Return the name of a recording, without its extension; valid once `plan` has begun."""
        return self._records.stem_of(recording)

    def plan(self, recordings: Iterable[Recording]) -> Generator[Outcome]:
        """Yield what `fetch` would do: `to fetch (and delete)`, `to delete`, or it is `skipped`."""
        fetching: Status = "to fetch and delete" if self._delete_after else "to fetch"
        self._choose_names(None)
        for recording in recordings:
            name = str(recording.guid)
            try:
                with errors_naming(name):
                    record = self._present(recording)
            except (FileDecryptorError, OSError) as error:
                self._records.refuse_if_general(error)
                yield failed(name, error)
            else:
                if record is None:
                    yield Outcome(name, None, None, size_in(recording.entry), fetching)
                elif self._delete_after and record.may_be_deleted:
                    yield Outcome(name, None, record.format, record.size, "to delete")
                else:
                    yield self._outcome(record, SKIPPED)

    def missing(self, recordings: Sequence[Recording]) -> list[Recording]:
        """Return those that are not here whole; raise an error if the store does not answer."""
        if self._records.are_remote and len(recordings) > LOOKS:
            whole = self._records.named()
            return [one for one in recordings if str(one.guid) not in whole]
        # Any name will do to see whether a store answers; a disk always does.
        storage_of(self._directory).size_of(self._records.path(MEMORY_NAME))
        return [one for one in recordings if not self._records.have(one.guid)]

    def check_others(self, without: Collection[str], *, update: bool) -> Generator[Outcome]:
        """Read what is in the archive, as `Records.all`; yield which are `verified` or `failed`."""
        for guid, record, error in self._records.all(without=without, read=True, update=update):
            if error is not None:
                yield failed(guid, error)
            elif record is not None:
                yield self._outcome(record, "verified")

    def _present(self, recording: Recording, on_progress: OnProgress = ignore) -> Record | None:
        """Return the record of a recording that is there as it was stored; None if it is not.

        With a password, a recording kept as `.enc` counts as missing.
        """
        record = self._records.find(recording.guid)
        if record is None or not record.is_whole:
            return None
        is_wanted = self._password is None or not record.file.endswith(f".{ENCRYPTED}")
        is_there = is_wanted and self._records.holds(record, on_progress, read=self._check)
        return record if is_there else None

    def _without_work(self, recording: Recording) -> Outcome | None:
        """Return the outcome of a recording that is seen at once to need no work, else None."""
        if not (self._again or self._delete_after or self._check or self._records.are_remote):
            with suppress(FileDecryptorError, OSError):  # it happens again, where it is reported
                record = self._present(recording)
                if record is not None and record.entry is not None:
                    return self._outcome(record, SKIPPED)
        return None

    def _attempt(self, recording: Recording, on_progress: OnProgress) -> Outcome:
        """Do what is needed for a recording, and return what became of it."""
        name = str(recording.guid)
        # Until it is clear whether a failure concerns all, no other download begins in its place.
        with ExitStack() as turn:
            turn.enter_context(self._downloads)
            on_progress(0)  # it may be over by now
            try:
                if self._reason is None:
                    with errors_naming(name):
                        return self._fetch_one(recording, on_progress, turn.close)
            except (FileDecryptorError, OSError) as error:
                with self._lock:
                    if self._reason is None:
                        self._reason = error if self._is_general(error) else None
                        return failed(name, error)
            except Exception as error:  # noqa: BLE001 - it must not end the work on other recordings
                return failed(name, unexpected(error, name))
        # The first error that concerns all recordings is one's failure.
        return Outcome(name, None, None, None, NOT_TRIED, self._reason)

    def _is_general(self, error: Failure) -> bool:
        """Return whether all other recordings would fail as well; this may wait for the server."""
        try:
            if isinstance(error, (OSError, StorageError)):
                is_full = getattr(error, "errno", None) in NO_ROOM
                self._records.try_writing(ROOM if is_full else 1)  # files may have to be short
            elif isinstance(error, (ApiError, TokenError)):
                if time.monotonic() - self._listed >= INTERVAL:
                    self._client.list_recordings()
                    self._listed = time.monotonic()
                if isinstance(error, TokenError):
                    error.hint = "it is accepted for the list, so this recording alone is refused"
        except (FileDecryptorError, OSError):
            return True
        return isinstance(error, TimeOverError)

    def _fetch_one(
        self, recording: Recording, on_progress: OnProgress, downloaded: Callable[[], object]
    ) -> Outcome:
        """Fetch, store and delete what is wanted; call `downloaded` before the decryption."""
        records = self._records
        if not self._again and (record := self._present(recording, on_progress)):
            if self._check:
                record = records.measured(record)
            if record.entry is None and recording.entry is not None:  # it is listed only now
                record = record._replace(entry=recording.entry)
                records.write(record)
            skipped = self._outcome(record, SKIPPED)
            return self._delete_if_safe(recording, record, skipped, on_progress)
        path = records.path(f"{recording.guid}.{ENCRYPTED}")
        # It has no name, so whatever happens nothing of it stays.
        with cast("BinaryIO", atomic.nameless(path) or PrivateFile()) as file:
            try:
                with errors_naming(path, instead=True):
                    is_complete = self._client.download(recording.spelling, file, on_progress)
            except NotFoundError:
                # Another run may have stored and deleted it since it was looked for.
                if self._again or not (record := self._present(recording, on_progress)):
                    raise
                return self._outcome(record, SKIPPED)
            downloaded()
            record, outcome = self._store(recording, file, on_progress, is_complete=is_complete)
        if record.entry is None and (known := records.find(recording.guid)):
            record = record._replace(entry=known.entry)
        records.write(record)
        return self._delete_if_safe(recording, record, outcome, on_progress)

    def _store(
        self, recording: Recording, file: BinaryIO, on_progress: OnProgress, *, is_complete: bool
    ) -> tuple[Record, Outcome]:
        """Store a download, decrypted if it can be, under the name that fits what it is.

        One that may be truncated is named `GUID.unverified.EXT` and does not count as stored.
        """
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(HEAD_SIZE)
        plain_format = audio.detect_in(file)
        error: FileDecryptorError | None = None
        kept: Record | None = None
        if self._password is not None and size >= SMALLEST_SIZE:
            if self._keep_encrypted and plain_format is None and kind_of(head) is None:
                kept = self._records.store(recording, file, ENCRYPTED, on_progress)
                if self._records.find(recording.guid) is None:
                    self._records.write(kept)
            try:
                return self._store_decrypted(recording, file, self._password, on_progress)
            except NotEncError as refusal:
                error = refusal
            except AuthenticationError as refusal:
                error = _saying_what_is_left(refusal, recording, kept)
        if plain_format is None or size < SMALLEST_SIZE:
            error = not_a_recording(head, size, self._client.words(head)) or error
            if error is not None:
                raise error
        note = None if is_complete else "the API did not say how long it is: it may be cut off"
        if plain_format is not None and measure(file, plain_format).is_cut:
            note = "it is shorter than its own header says: it may be cut off"
        extension = plain_format or ENCRYPTED
        if note is not None:
            extension = f"{UNVERIFIED}.{extension}"
        record = self._records.store(recording, file, extension, on_progress)
        return record, self._outcome(record, "stored", note or remark())

    def _store_decrypted(
        self, recording: Recording, file: BinaryIO, password: Passwords, on_progress: OnProgress
    ) -> tuple[Record, Outcome]:
        target = self._records.path(f"{recording.guid}.{UNKNOWN}")
        file.seek(0)
        decrypted_audio, content = decrypted(
            Beginning(cast("FileIO", file), self._memory_limit),
            password,
            on_progress,
            lambda: atomic.nameless(target),
            use_key=self._keys.use,
        )
        extension = content.format or UNKNOWN
        with decrypted_audio as found:
            record = self._records.store(
                recording, found, extension, on_progress, authenticated=True
            )
        note = content.note or remark()
        outcome = self._outcome(record, "decrypted", note)._replace(password=content.password)
        if content.format is None:
            cause = f"the recording is intact, and stored as {record.file}; {content.unknown}"
            error = UnknownFormatError(cause, filename=record.guid)
            outcome = outcome._replace(status="stored", error=error)
        return record, outcome

    def _outcome(self, record: Record, status: Status, note: str | None = None) -> Outcome:
        path = self._records.path(record.file)
        outcome = Outcome(record.guid, path, record.format, record.size, status, note=note)
        return outcome._replace(format=None, size=None) if status == SKIPPED else outcome

    def _delete_if_safe(
        self, recording: Recording, record: Record, outcome: Outcome, on_progress: OnProgress
    ) -> Outcome:
        """Delete on the server what is safe here, if that is wanted."""
        if not self._delete_after or not record.may_be_deleted:
            return outcome
        what, hint = "stored, but not deleted", "the next run with --delete-after tries it again"
        try:
            self._records.flush(record)
            with suppress(NotFoundError):  # another run has done it, or the seven days are over
                self._client.delete(recording.spelling, on_progress)
            what = "stored and deleted, but not noted"
            hint = "nothing is lost: only the time of its deletion is not in its record"
            self._records.write(record._replace(deleted=times.shown(times.now())))
        except (FileDecryptorError, OSError) as error:
            cause = f"{what}: {cause_of(error)}"
            found = FileDecryptorError(cause, hint=hint, filename=record.guid)
            found.exit_code = exit_code_of(error)
            return outcome._replace(status="stored", error=found)
        return outcome


def _saying_what_is_left(
    error: AuthenticationError, recording: Recording, kept: Record | None
) -> AuthenticationError:
    """Return an error that says how long its recording is still kept, by VNS or here."""
    if kept is not None:
        error.cause += f"; it is kept as {kept.file}"
        return error
    if recording.time is not None:
        error.cause += f"; {times.kept(recording.time, times.now())}"
    error.hint = "; ".join(filter(None, [error.hint, KEEPING]))
    return error
