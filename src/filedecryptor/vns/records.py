"""What is stored of a recording: its audio, and the record beside it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO, FileIO
from typing import BinaryIO, NamedTuple, cast
from uuid import UUID

from filedecryptor import audio
from filedecryptor.audio.foreign import kind_of
from filedecryptor.audio.truncation import is_cut
from filedecryptor.core.decryptor import OnProgress, decrypted
from filedecryptor.core.format import CHUNK_SIZE, SMALLEST_SIZE
from filedecryptor.core.secrets import Passwords
from filedecryptor.core.spool import HEAD_SIZE, MEMORY_LIMIT, Beginning, Watched
from filedecryptor.errors import (
    AuthenticationError,
    Failure,
    FileDecryptorError,
    Outcome,
    UnavailableError,
    UnknownFormatError,
)
from filedecryptor.lanes import Keys
from filedecryptor.storage import contents_of, pieces_of, remark, storage_of
from filedecryptor.storage.names import is_url, join
from filedecryptor.storage.output import PendingFile, Written
from filedecryptor.vns import times
from filedecryptor.vns.client import Client, foreign
from filedecryptor.vns.listing import Recording

UNKNOWN = "unknown"
"""The extension of authenticated audio that is not opus, mp3 or wav."""

UNVERIFIED = "unverified"
"""Comes before the extension of what may not be whole."""

ENCRYPTED = "enc"
"""The extension of what was stored without being decrypted."""

LARGEST = 16 << 20
"""Bytes of a record that are read; one has some hundred."""

NOT_STORED = "it is missing, or is not what was stored"

FEW = 20
"""So many recordings are looked up one by one; for more, the directory is listed."""

_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = re.compile(rf"({_GUID})\.json")
_FILE = re.compile(rf"({_GUID})\.({UNVERIFIED}\.)?(opus|mp3|wav|{UNKNOWN}|{ENCRYPTED})")


class Record(NamedTuple):
    """What is known of a recording that was fetched.

    Attributes:
        guid: Its `sessionGuid`, in small letters.
        entry: What the list said of it, as it came; None if it was fetched without a list.
        file: The name of the file that holds it.
        format: `opus`, `mp3` or `wav`; None if it is encrypted, or none of these.
        size: The file's length in bytes.
        sha256: The file's SHA-256, in hexadecimal (FIPS 180-4).
        authenticated: Whether it was decrypted, and so is what was recorded.
        fetched: When it was fetched, in UTC.
        deleted: When it was deleted on the server, in UTC; None if it was not.
    """

    guid: str
    entry: object
    file: str
    format: str | None
    size: int
    sha256: str
    authenticated: bool
    fetched: str
    deleted: str | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether the file holds the recording as it was stored by the server, encrypted."""
        return self.file.endswith(f".{ENCRYPTED}")

    @property
    def is_whole(self) -> bool:
        """Whether the recording is known to be complete."""
        return f".{UNVERIFIED}." not in self.file

    @property
    def may_be_deleted(self) -> bool:
        """Whether the server's copy is needed no more, once the file is found as it was stored.

        It is needed where nobody has heard, so to say, what the file holds.
        """
        return self.is_whole and self.format is not None


class Records:
    """The records of a directory or a folder of a store, and the files that they are about.

    Args:
        directory: Where they are.
        count: How many recordings will be looked up, about.

    Attributes:
        are_remote: Whether looking one up takes a request.
    """

    def __init__(self, directory: str, count: int) -> None:
        self.are_remote = is_url(directory)
        self._directory = directory
        self._storage = storage_of(directory)
        self._sizes: Mapping[str, int | None] | None = None
        if count > FEW:
            self._sizes = self._list()

    def _list(self) -> Mapping[str, int | None]:
        # A slash at the end of an address would stand for a folder without a name.
        is_folder = self.are_remote and self._directory.endswith("/")
        return self._storage.sizes_in(self._directory[:-1] if is_folder else self._directory)

    def path(self, name: str) -> str:
        """Return the path or the address of a file."""
        return join(self._directory, name)

    def find(self, guid: UUID) -> Record | None:
        """Return the record of a recording; None if there is none, or if it makes no sense.

        Raises:
            OSError: It cannot be read.
        """
        name = f"{guid}.json"
        if self._sizes is not None and name not in self._sizes:
            return None
        try:
            return self._parsed(name, str(guid))
        except FileNotFoundError:
            return None

    def has_file(self, record: Record) -> bool:
        """Return whether the file of a record is there, in the length that it was stored in."""
        if self._sizes is not None:
            return self._sizes.get(record.file) == record.size
        return self._storage.size_of(self.path(record.file)) == record.size

    def has_same_bytes(self, record: Record, on_progress: Callable[[int], object]) -> bool:
        """Return whether the file of a record holds what was stored; it is read for that."""
        try:
            has_size = self.has_file(record)
            return has_size and self.sha256(record.file, on_progress) == record.sha256
        except FileNotFoundError:
            return False

    def _parsed(self, name: str, guid: str) -> Record | None:
        """Return the record in a file; None if it makes no sense, or is far too long."""
        data = contents_of(self.path(name), LARGEST)
        return None if data is None else _parsed(data, guid)

    def now(self) -> Records:
        """Return the same records as they are now, whatever was listed at first."""
        return Records(self._directory, 0)

    def sha256(self, name: str, on_progress: Callable[[int], object]) -> str:
        """Return the SHA-256 of a file, in hexadecimal.

        Raises:
            OSError: It cannot be read.
        """
        found = hashlib.sha256()
        for piece in pieces_of(self.path(name)):
            found.update(piece)
            on_progress(0)
        return found.hexdigest()

    def all(self) -> Iterator[tuple[str, Record | Failure]]:
        """Yield every GUID in the order of the files' names, with its record or what is wrong.

        Raises:
            OSError: The directory cannot be read.
            UnavailableError: The store does not answer.
        """
        self._sizes = self._list()
        recorded = {match[1] for name in self._sizes if (match := _NAME.fullmatch(name))}
        for name in sorted(self._sizes):
            if match := _NAME.fullmatch(name):
                yield match[1], self._read(name, match[1])
            elif (match := _FILE.fullmatch(name)) and match[1] not in recorded:
                recorded.add(match[1])
                yield match[1], FileDecryptorError("there is no record of it", filename=name)

    def _read(self, name: str, guid: str) -> Record | Failure:
        """Return a record, or what is wrong with it."""
        try:
            record = self._parsed(name, guid)
        except (FileDecryptorError, OSError) as error:
            self.refuse_if_general(error)
            error.filename = name
            return error
        if record is None:
            return FileDecryptorError("this is not the record of a recording", filename=name)
        return record

    def refuse_if_general(self, error: Failure) -> None:
        """Raise an error if that by which one file cannot be read concerns all of them.

        Raises:
            UnavailableError: The store does not answer at all.
        """
        if isinstance(error, UnavailableError):
            self._list()

    def write(self, record: Record) -> None:
        """Write a record, whole, in the place of an earlier one.

        Raises:
            OSError: It cannot be written.
            StorageError: The store refuses it.
        """
        data = json.dumps(record._asdict(), indent=2).encode("ascii") + b"\n"
        self.publish(f"{record.guid}.json", BytesIO(data), replace=True)

    def store(
        self, name: str, content: BinaryIO, on_progress: Callable[[int], object]
    ) -> tuple[int, str]:
        """Store a file whole, and return its length in bytes and its SHA-256, in hexadecimal.

        One of that name is replaced, unless it holds the same, or neither may be whole and that one
        is longer.

        Raises:
            OSError: It cannot be written.
            StorageError: The store refuses it.
        """
        if not isinstance(content, PendingFile):  # which is not read to be published
            content = cast("BinaryIO", Watched(content, on_progress))
        digest = hashlib.sha256()
        size = 0
        content.seek(0)
        while piece := content.read(CHUNK_SIZE):
            digest.update(piece)
            size += len(piece)
        try:
            self.publish(name, content, replace=False)
        except FileExistsError:
            there = self._storage.size_of(self.path(name)) or 0
            if f".{UNVERIFIED}." in name and there > size:
                return there, self.sha256(name, on_progress)
            if there != size or self.sha256(name, on_progress) != digest.hexdigest():
                self.publish(name, content, replace=True)
        return size, digest.hexdigest()

    def publish(self, name: str, content: BinaryIO, *, replace: bool) -> None:
        """Let a file appear whole, as `Storage.publish` does."""
        self._storage.publish(self.path(name), content, replace=replace, written=Written())

    def flush(self, record: Record) -> None:
        """Bring a record and its file to the disk, whoever has put them there.

        Raises:
            OSError: One of them is not there, or the disk fails.
        """
        for name in (record.file, f"{record.guid}.json"):
            self._storage.flush_file(self.path(name))

    def try_writing(self, size: int = 1) -> None:
        """Raise what keeps any file from being stored, of so many bytes.

        Raises:
            OSError: The directory takes none.
            StorageError: The store takes none.
        """
        self._storage.try_writing(self._directory, size)


def _parsed(data: bytes, guid: str) -> Record | None:
    try:
        fields = json.loads(data)
        record = Record(**{name: fields[name] for name in Record._fields})
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    fits = (
        record.guid == guid
        and isinstance(record.file, str)
        and (match := _FILE.fullmatch(record.file))
        and match[1] == guid
        and isinstance(record.size, int)
        and isinstance(record.sha256, str)
        and all(isinstance(text, (str, type(None))) for text in (*record[7:], record.format))
    )
    return record if fits else None


class Wishes(NamedTuple):
    """What is wanted of a run.

    Attributes:
        password: Decrypts the recordings; None stores them as they come.
        keep_encrypted: Whether the `.enc` file stays beside the audio.
        delete_after: Whether to delete on the server what is stored.
        check: Whether to read what is there, and compare it with its record.
        again: Whether to fetch what is there already.
    """

    password: Passwords | None
    keep_encrypted: bool
    delete_after: bool
    check: bool
    again: bool

    def __repr__(self) -> str:
        return "Wishes(...)"  # one of them is a secret


class Shared(NamedTuple):
    """What the threads of a run have in common.

    Attributes:
        keys: Derives the keys, if there are any to derive.
        downloads: Held by whoever downloads.
        memory_limit: The most bytes of audio that each of them has in memory.
    """

    keys: Keys | None = None
    downloads: AbstractContextManager[object] = nullcontext()
    memory_limit: int = MEMORY_LIMIT


class Storing:
    """Stores downloads.

    Args:
        client: Where they come from.
        records: Where they go to.
        wishes: What is wanted.
        shared: What the threads of the run have in common.
    """

    def __init__(self, client: Client, records: Records, wishes: Wishes, shared: Shared) -> None:
        self._client = client
        self._records = records
        self._wishes = wishes
        self._shared = shared

    def store(
        self, recording: Recording, raw: FileIO, on_progress: OnProgress, *, is_complete: bool
    ) -> tuple[Record, Outcome]:
        """Store a download under the name that fits what it is."""
        size = raw.seek(0, os.SEEK_END)
        raw.seek(0)
        head = raw.read(HEAD_SIZE)
        plain_format = audio.detect_in(cast("BinaryIO", raw))
        if self._wishes.password is not None and size >= SMALLEST_SIZE:
            try:
                return self._decrypted(recording, raw, head, plain_format, on_progress)
            except AuthenticationError:
                if plain_format is None:
                    self._refuse_foreign(head, size)
                    raise
        if plain_format is None or size < SMALLEST_SIZE:
            self._refuse_foreign(head, size)
        return self._as_it_came(recording, raw, plain_format, on_progress, is_complete=is_complete)

    def _refuse_foreign(self, head: bytes, size: int) -> None:
        """Raise an error for what is no recording, with the server's words.

        Raises:
            ApiError: It is none.
        """
        if error := foreign(head, size, self._client.words(head)):
            raise error

    def _decrypted(
        self,
        recording: Recording,
        raw: FileIO,
        head: bytes,
        plain_format: str | None,
        on_progress: OnProgress,
    ) -> tuple[Record, Outcome]:
        guid, password = recording.guid, self._wishes.password
        assert password is not None  # noqa: S101 - or nobody would have called this
        if self._wishes.keep_encrypted and kind_of(head) is None and not plain_format:
            kept = self._record(recording, raw, ENCRYPTED, None, on_progress)
            if self._records.find(guid) is None:
                self._records.write(kept)
        target = self._records.path(f"{guid}.{UNKNOWN}")
        raw.seek(0)
        recording_file, content = decrypted(
            Beginning(raw, self._shared.memory_limit),
            password,
            on_progress,
            lambda: storage_of(target).nameless(target),
            self._shared.keys,
        )
        with recording_file as file:
            extension = content.format or UNKNOWN
            record = self._record(
                recording, file, extension, content.format, on_progress, authenticated=True
            )
        outcome = self._outcome(record, "decrypted")._replace(password=content.password)
        if content.format is None:
            cause = f"the recording is intact, and stored as {record.file}; {content.unknown}"
            outcome = outcome._replace(
                status="stored", error=UnknownFormatError(cause, filename=record.guid)
            )
        return record, outcome

    def _as_it_came(
        self,
        recording: Recording,
        raw: FileIO,
        plain_format: str | None,
        on_progress: OnProgress,
        *,
        is_complete: bool,
    ) -> tuple[Record, Outcome]:
        """Store a download that is not decrypted.

        What may be cut off gets a name that does not count as having it.
        """
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
        return record, self._outcome(record, "stored", note)

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

    def _outcome(self, record: Record, status: str, note: str | None = None) -> Outcome:
        path = self._records.path(record.file)
        return Outcome(record.guid, path, record.format, record.size, status, note=note or remark())
