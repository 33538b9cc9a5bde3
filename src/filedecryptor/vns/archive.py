"""A directory, or a folder of a store, that holds each recording of the account once, and whole."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from threading import Semaphore
from uuid import UUID

from filedecryptor.crypto import load
from filedecryptor.decryptor import ignore
from filedecryptor.errors import Failure, FileDecryptorError
from filedecryptor.keys import Keys, warn_by_python
from filedecryptor.outcome import Outcome
from filedecryptor.passwords import Passwords, Secret
from filedecryptor.storage import storage_of
from filedecryptor.vns import guids
from filedecryptor.vns.client import Client
from filedecryptor.vns.fetching import Run, failure
from filedecryptor.vns.listing import Recording
from filedecryptor.vns.records import NOT_STORED, Record, Records
from filedecryptor.vns.storing import Shared, Wishes
from filedecryptor.workers import affordable, in_threads, memory_of_each, usable_cpus

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
    return Recording(guids.session(recording))
