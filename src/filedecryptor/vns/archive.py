"""A directory that holds what the account lists, each recording once and whole."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from tempfile import TemporaryFile
from uuid import UUID

from filedecryptor import audio, batch, decryptor, files
from filedecryptor.crypto import Password
from filedecryptor.decryptor import AUTO, Job, OnProgress, Outcome
from filedecryptor.errors import (
    ApiError,
    AuthenticationError,
    FileDecryptorError,
    NotEncError,
    NotFoundError,
    UnknownFormatError,
)
from filedecryptor.format import CHUNK_SIZE
from filedecryptor.hints import file_hint
from filedecryptor.vns.client import Client

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

        Args:
            guids: The recordings.
            again: Whether to fetch what is there already.
            jobs: How many at once; four for each CPU that this process may use if None, since
                most of them wait for the network.
            on_progress: Told a GUID and a number of bytes after each piece, from any thread.
        """
        os.makedirs(self._directory, exist_ok=True)
        return batch.side_by_side(
            guids,
            self._attempt,
            check=(lambda _: None) if again else self._present,
            threads=jobs or 4 * batch.usable_cpus(),
            on_progress=on_progress,
        )

    def _present(self, guid: UUID) -> Outcome | None:
        """Return the outcome of a recording that the directory has already."""
        names = audio.FORMATS if self._password is not None else (*audio.FORMATS, "enc")
        for target in files.replace_suffix(self._path(guid), names):
            if os.path.lexists(target):
                outcome = Outcome(str(guid), target, None, None, "skipped")
                # An earlier run may have been stopped between storing and deleting.
                return outcome if target.endswith(".enc") else self._deleted(guid, outcome)
        return None

    def _attempt(self, guid: UUID, on_progress: OnProgress) -> Outcome:
        try:
            # It has no name, so whatever happens nothing of it stays.
            with TemporaryFile(dir=self._directory, buffering=0) as raw:
                whole = self._download(guid, raw, on_progress)
                outcome = self._store(guid, raw)
        except (FileDecryptorError, OSError) as error:
            return _failed(guid, error)
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

    def _store(self, guid: UUID, raw: FileIO) -> Outcome:
        """Store a download under the name that fits what it is."""
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
        target = self._write(raw, self._path(guid, plain_format or "enc"))
        return Outcome(str(guid), target, plain_format, size, "stored")

    def _decrypt(self, guid: UUID, raw: FileIO, password: Password) -> Outcome:
        encrypted = self._path(guid)
        job = Job(str(guid), AUTO, named_after=encrypted)
        try:
            outcome = decryptor.run(job, password, source=raw)
        except (AuthenticationError, UnknownFormatError) as error:
            if isinstance(error, UnknownFormatError):
                error.hint = "--keep-encrypted keeps it as it came"
            raw.seek(0)
            if self._keep_encrypted and not file_hint(raw.read(audio.HEAD_SIZE)):
                self._write(raw, encrypted)
            raise
        if self._keep_encrypted:
            self._write(raw, encrypted)
        return outcome

    def _write(self, raw: FileIO, target: str) -> str:
        raw.seek(0)
        with files.pending_file(target) as pending:
            while piece := raw.read(CHUNK_SIZE):
                pending.write(memoryview(piece))
            pending.commit(target, replace=True)
        return target

    def _deleted(self, guid: UUID, outcome: Outcome) -> Outcome:
        """Delete on the server what is safe here, if that is wanted."""
        if self._delete_after:
            try:
                self._client.delete(guid)
            except NotFoundError:
                pass  # somebody else has, or the seven days are over
            except FileDecryptorError as error:
                return _failed(guid, error)
        return outcome

    def _path(self, guid: UUID, extension: str = "enc") -> str:
        return os.path.join(self._directory, f"{guid}.{extension}")


def _failed(guid: UUID, error: FileDecryptorError | OSError) -> Outcome:
    if error.filename is None:
        error.filename = str(guid)
    return decryptor.failed(Job(str(guid), AUTO), error)


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Keep other runs out of a directory.

    Raises:
        FileDecryptorError: Another run is in it.
        OSError: The directory cannot be made or written to.
    """
    from filelock import FileLock, Timeout

    os.makedirs(directory, exist_ok=True)
    holder = os.path.join(directory, HOLDER_NAME)
    lock = FileLock(os.path.join(directory, LOCK_NAME))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        with open(holder, encoding="utf-8") as file:
            by = file.read(200).strip()
        raise FileDecryptorError(f"another run is at work here: {by}", filename=directory) from None
    try:
        with open(holder, "w", encoding="utf-8") as file:
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        lock.release()
