"""A directory that holds each recording of the account once, and whole."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO, FileIO
from typing import BinaryIO, cast
from uuid import UUID

from filedecryptor import audio
from filedecryptor.crypto import Password
from filedecryptor.decryptor import OnProgress
from filedecryptor.errors import (
    ApiError,
    AuthenticationError,
    Failure,
    FileDecryptorError,
    NotEncError,
    NotFoundError,
    UnknownFormatError,
)
from filedecryptor.hints import file_hint
from filedecryptor.job import AUTO, Job, do_job
from filedecryptor.outcome import Outcome, failed
from filedecryptor.spool import PrivateFile
from filedecryptor.storage.disk import make_directory
from filedecryptor.storage.names import replace_suffix
from filedecryptor.storage.outputs import Written, nameless, publish
from filedecryptor.vns.client import Client
from filedecryptor.workers import in_threads, usable_cpus

LOCK_NAME = ".vns-recordings.lock"
HOLDER_NAME = ".vns-recordings.holder"


class Archive:
    """Recordings of an account in a directory, named after their GUIDs.

    Args:
        client: Where they come from.
        directory: Where they go to; it is made if it is not there.
        password: Decrypts them; None stores them as they come.
        keep_encrypted: Whether the `.enc` file stays beside the audio. It also stays if it could
            not be decrypted.
        delete_after: Whether a recording is deleted on the server once its audio is on the disk.
    """

    def __init__(
        self,
        client: Client,
        directory: str,
        *,
        password: Password | None = None,
        keep_encrypted: bool = False,
        delete_after: bool = False,
    ) -> None:
        self._client = client
        self._directory = directory
        self._password = password
        self._keep_encrypted = keep_encrypted
        self._delete_after = delete_after

    def fetch(
        self,
        guids: Iterable[UUID],
        *,
        again: bool = False,
        jobs: int | None = None,
        on_progress: Callable[[UUID, int], object] | None = None,
    ) -> Generator[Outcome]:
        """Download and store what is missing, side by side; yield what became of each.

        The status of a recording that is stored as it came is `stored`.

        Args:
            guids: The recordings.
            again: Whether to fetch what is there already.
            jobs: How many at once; None for four for each CPU that this process may use, since
                most of them wait for the network.
            on_progress: Called with a GUID and a number of bytes after each piece, from any
                thread.
        """
        make_directory(self._directory)
        return in_threads(
            guids,
            partial(self._attempt, again=again),
            check=(lambda _: None) if again or self._delete_after else self._present,
            threads=jobs or 4 * usable_cpus(),
            on_progress=on_progress,
        )

    def _present(self, guid: UUID) -> Outcome | None:
        """Return the outcome of a recording that the directory has already."""
        names = audio.FORMATS if self._password is not None else (*audio.FORMATS, "enc")
        for target in replace_suffix(self._path(guid), names):
            if _is_full_file(target):
                return Outcome(str(guid), target, None, None, "skipped")
        return None

    def _attempt(self, guid: UUID, on_progress: OnProgress, *, again: bool) -> Outcome:
        try:
            if not again and (present := self._present(guid)):
                # An earlier run may have been stopped between storing and deleting.
                safe = not str(present.output).endswith(".enc")
                return self._deleted(guid, present) if safe else present
            # It has no name, so whatever happens nothing of it stays.
            with nameless(self._path(guid)) or PrivateFile() as raw:
                whole = self._download(guid, raw, on_progress)
                outcome = self._store(guid, raw, whole=whole)
        except (FileDecryptorError, OSError) as error:
            return failure(guid, error)
        safe = outcome.status == "decrypted" or (whole and outcome.format is not None)
        return self._deleted(guid, outcome) if safe else outcome

    def _download(self, guid: UUID, raw: FileIO, on_progress: OnProgress) -> bool:
        def start_again() -> None:
            raw.seek(0)
            raw.truncate()

        def write(piece: bytes) -> None:
            rest = memoryview(piece)
            while rest:
                rest = rest[raw.write(rest) :]
            on_progress(len(piece))

        return self._client.download(guid, write, start_again)

    def _store(self, guid: UUID, raw: FileIO, *, whole: bool) -> Outcome:
        """Store a download under the name that fits what it is.

        Plain audio that may have been cut off gets a name that does not count as having it.
        """
        size = raw.tell()
        raw.seek(0)
        head = raw.read(audio.HEAD_SIZE)
        raw.seek(0)
        plain_format = audio.detect(head)
        if not size:
            raise ApiError("the download is empty")
        if self._password is not None:
            try:
                return self._decrypt(guid, raw, self._password)
            except (AuthenticationError, NotEncError):
                if plain_format is None:
                    raise
        elif plain_format is None and (hint := file_hint(head)):
            raise ApiError("the API sent something else than a recording", hint=hint)
        extension = plain_format or "enc"
        target = self._path(guid, extension if whole else f"unverified.{extension}")
        self._write(raw, target)
        return Outcome(str(guid), target, plain_format, size, "stored")

    def _decrypt(self, guid: UUID, raw: FileIO, password: Password) -> Outcome:
        encrypted = self._path(guid)
        if self._keep_encrypted and not file_hint(raw.read(audio.HEAD_SIZE)):
            self._write(raw, encrypted)
        raw.seek(0)
        job = Job(str(guid), AUTO, named_after=encrypted)
        try:
            return do_job(job, password, source=raw)
        except UnknownFormatError as error:
            error.hint = "--keep-encrypted keeps it as it came"
            raise

    def _write(self, raw: FileIO, target: str) -> None:
        publish(target, cast("BinaryIO", raw), replace=True, written=Written())

    def _deleted(self, guid: UUID, outcome: Outcome) -> Outcome:
        """Delete on the server what is safe here, if that is wanted."""
        if self._delete_after:
            try:
                self._client.delete(guid)
            except NotFoundError:
                pass  # somebody else has, or the seven days are over
            except FileDecryptorError as error:
                return failure(guid, error)
        return outcome

    def _path(self, guid: UUID, extension: str = "enc") -> str:
        return os.path.join(self._directory, f"{guid}.{extension}")


def _is_full_file(path: str) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def failure(guid: object, error: Failure) -> Outcome:
    """Return what became of a recording that could not be fetched."""
    if error.filename is None:
        error.filename = str(guid)
    return failed(str(guid), error)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Keep other runs out of a directory.

    Raises:
        FileDecryptorError: Another run is in it.
        OSError: The directory cannot be made or written to.
    """
    from filelock import FileLock, Timeout

    make_directory(directory)
    holder = os.path.join(directory, HOLDER_NAME)
    lock = FileLock(os.path.join(directory, LOCK_NAME))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        by = "nobody knows which"
        with suppress(OSError), open(holder, encoding="utf-8", errors="replace") as file:
            by = file.read(200).strip()
        raise FileDecryptorError(f"another run is at work here: {by}", filename=directory) from None
    try:
        who = BytesIO(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        publish(holder, who, replace=True, written=Written())
        yield
    finally:
        lock.release()
