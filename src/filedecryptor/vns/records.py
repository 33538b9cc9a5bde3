"""What is stored of recordings: their files, and a record beside each."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial
from io import FileIO
from typing import BinaryIO, NamedTuple, cast
from uuid import UUID

from filedecryptor.core.decryptor import OnProgress, ignore
from filedecryptor.errors import Failure, FileDecryptorError, UnavailableError
from filedecryptor.storage import contents_of, disk, pieces_of, storage_of, write_bytes
from filedecryptor.storage.paths import is_url, join
from filedecryptor.vns import times
from filedecryptor.vns.listing import Recording

UNKNOWN = "unknown"  # the extension of authenticated audio that is not opus, mp3 or wav
UNVERIFIED = "unverified"  # comes before the extension of a recording that may be truncated
ENCRYPTED = "enc"  # the extension of a recording that was stored without being decrypted
MEMORY_NAME = ".vns-recordings.json"  # the file that tells when the last complete run was
LARGEST = 16 << 20  # bytes of a record that are read; one has some hundred
_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_FILE = re.compile(rf"({_GUID})\.({UNVERIFIED}\.)?(opus|mp3|wav|{UNKNOWN}|{ENCRYPTED}|json)")


class Record(NamedTuple):
    """What is known of a recording that was fetched; in its JSON, the fields have these names."""

    guid: str  # in small letters
    entry: object  # what the list said of it, as it came; None if it was fetched without a list
    file: str  # the name of the file that holds it
    format: str | None  # `opus`, `mp3` or `wav`; None if it is encrypted, or none of these
    size: int
    sha256: str  # of the file, in hexadecimal (FIPS 180-4)
    authenticated: bool  # whether it was decrypted, and so is what was recorded
    fetched: str  # when, in UTC, as is the next
    deleted: str | None = None  # when it was deleted on the server
    seconds: float | None = None  # the length of the audio; None if it is not known

    @property
    def is_whole(self) -> bool:
        """Whether the recording is known to be complete."""
        return f".{UNVERIFIED}." not in self.file

    @property
    def may_be_deleted(self) -> bool:
        """Whether the server's copy may go, once the file is found as it was stored.

        False if the file's format is unknown or it may be truncated.
        """
        return self.is_whole and self.format is not None


# Of a record's fields. The last was not there at first.
_TYPES = (str, object, str, str | None, int, str, bool, str, str | None, float | int | None)


class Records:
    """The records in a directory or a folder of a store, and the files that they describe."""

    def __init__(self, directory: str) -> None:
        self.are_remote = is_url(directory)
        # A slash at the end of an address would stand for a folder without a name.
        self._directory = directory.removesuffix("/") if self.are_remote else directory
        self._storage = storage_of(directory)

    def path(self, name: str) -> str:
        """Return the path or the address of a file."""
        return join(self._directory, name)

    def find(self, guid: UUID) -> Record | None:
        """Return the record of a recording; None if there is none, or if it makes no sense."""
        with suppress(FileNotFoundError):
            return self._read(f"{guid}.json")
        return None

    def holds(self, record: Record, on_progress: OnProgress = ignore, *, read: bool) -> bool:
        """Return whether a record's file is there in its length and, if it is `read`, unaltered."""
        with suppress(FileNotFoundError):
            if self._storage.size_of(self.path(record.file)) == record.size:
                return not read or self._sha256(record.file, on_progress) == record.sha256
        return False

    def have(self, guid: UUID) -> bool:
        """Return whether a recording is here whole: its audio, or the `.enc` file as it came."""
        record = self.find(guid)
        return record is not None and record.is_whole and self.holds(record, read=False)

    def named(self) -> set[str]:
        """Return the GUIDs that have a record and a whole file, by the names of all files."""
        names = self._storage.sizes_in(self._directory)
        matches = [match for match in map(_FILE.fullmatch, names) if match]
        recorded = {match[1] for match in matches if match[3] == "json"}
        return recorded & {match[1] for match in matches if match[3] != "json" and not match[2]}

    def _sha256(self, name: str, on_progress: OnProgress) -> str:
        found = hashlib.sha256()
        for piece in pieces_of(self.path(name)):
            found.update(piece)
            on_progress(0)
        return found.hexdigest()

    def all(
        self, *, without: Collection[str] = (), read: bool = False
    ) -> Iterator[tuple[str, Record | None, Failure | None]]:
        """Yield every GUID in order, with its record, and what is wrong.

        Of the files that the records describe, the length is compared, or all that they hold.
        """
        names = self._storage.sizes_in(self._directory)
        files = {  # of each GUID, the first one
            match[1]: name
            for name in sorted(names, reverse=True)
            if (match := _FILE.fullmatch(name)) and match[1] not in without
        }
        for guid, file in sorted(files.items()):
            name = f"{guid}.json"
            record: Record | None = None
            error: Failure | None = None
            try:
                if name not in names:
                    name, error = file, FileDecryptorError("there is no record of it")
                elif (record := self._read(name)) is None:
                    error = FileDecryptorError("this is not the record of a recording")
                elif not self.holds(record, read=read):
                    error = FileDecryptorError("it is missing, or is not what was stored")
            except (FileDecryptorError, OSError) as refusal:
                self.refuse_if_general(refusal)
                error = refusal
            if error is not None:
                error.filename = record.file if record else name
            yield guid, record, error

    def refuse_if_general(self, error: Failure) -> None:
        """Raise an error if one file could not be read because the store does not answer at all."""
        if isinstance(error, UnavailableError):
            self._storage.sizes_in(self._directory)

    def _read(self, name: str) -> Record | None:
        """Return the record in a file; None if it makes no sense, or is far too long."""
        data = contents_of(self.path(name), LARGEST)
        try:
            fields = {"seconds": None, **json.loads(data or b"")}
            record = Record(**{field: fields[field] for field in Record._fields})
        except (ValueError, RecursionError, TypeError, KeyError):
            return None
        fits = (
            all(map(isinstance, record, _TYPES))
            and name == f"{record.guid}.json"
            and (match := _FILE.fullmatch(record.file))
            and match[1] == record.guid
            and record.file != name
        )
        return record if fits else None

    def write(self, record: Record) -> None:
        """Write a record, whole, in the place of an earlier one."""
        data = json.dumps(record._asdict(), indent=2).encode("ascii") + b"\n"
        write_bytes(self.path(f"{record.guid}.json"), data)

    def store(
        self,
        recording: Recording,
        content: BinaryIO,
        extension: str,
        on_progress: OnProgress,
        *,
        authenticated: bool = False,
    ) -> Record:
        """Store a file whole, and return the record for it, which is not written yet.

        A file of that name is replaced, unless it holds the same, or neither may be whole and that
        one is longer.
        """
        name = f"{recording.guid}.{extension}"
        kind = extension.rpartition(".")[2]
        publish = partial(self._storage.publish, self.path(name), content, on_progress=on_progress)
        content.seek(0)
        sha256 = hashlib.file_digest(cast("FileIO", content), "sha256").hexdigest()
        size = content.seek(0, os.SEEK_END)
        try:
            publish(replace=False)
        except FileExistsError:
            there = self._storage.size_of(self.path(name)) or 0
            if f".{UNVERIFIED}." in name and there > size:
                size, sha256 = there, self._sha256(name, on_progress)
            elif there != size or self._sha256(name, on_progress) != sha256:
                publish(replace=True)
        return Record(
            guid=str(recording.guid),
            entry=recording.entry,
            file=name,
            format=None if kind in {ENCRYPTED, UNKNOWN} else kind,
            size=size,
            sha256=sha256,
            authenticated=authenticated,
            fetched=times.shown(times.now()),
        )

    def flush(self, record: Record) -> None:
        """Bring a record and its file to the disk, also if another run has put them there."""
        for name in () if self.are_remote else (record.file, f"{record.guid}.json"):
            disk.flush_file(self.path(name))

    def try_writing(self, size: int) -> None:
        """Raise an error if a file of so many bytes cannot be stored."""
        self._storage.try_writing(self._directory, size)
