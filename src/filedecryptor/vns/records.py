"""What is stored of recordings: their files, and a record beside each."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from io import FileIO
from typing import BinaryIO, NamedTuple, TypeAlias, cast
from uuid import UUID

from filedecryptor.audio.extent import measure
from filedecryptor.core.decryptor import OnProgress, ignore
from filedecryptor.errors import Failure, FileDecryptorError, StorageError, UnavailableError
from filedecryptor.jobs.plan import folded
from filedecryptor.jobs.workers import affordable, in_threads
from filedecryptor.storage import atomic, contents_of, disk, pieces_of, storage_of, write_bytes
from filedecryptor.storage.paths import is_url, join, split
from filedecryptor.vns import times
from filedecryptor.vns.listing import Recording, time_of, timed
from filedecryptor.vns.template import BY_GUID, UNVERIFIED, guids_in, is_portable

UNKNOWN = "unknown"  # the extension of authenticated audio that is not opus, mp3 or wav
ENCRYPTED = "enc"  # the extension of a recording that was stored without being decrypted
MEMORY_NAME = ".vns-recordings.json"  # the archive's own record; see `Records.memory`
LARGEST_MEMORY = 1 << 16  # bytes of it that are read
LARGEST = 16 << 20  # bytes of a record that are read; one has some hundred
READERS = 16  # of a store at once
_EXTENSION = re.compile(rf"(\.{UNVERIFIED})?\.(opus|mp3|wav|{UNKNOWN}|{ENCRYPTED})$")


class Record(NamedTuple):
    """What is known of a recording that was fetched; in its JSON, the fields have these names."""

    guid: str  # in small letters
    entry: object  # what the list said of it, as it came; None if it was fetched without a list
    file: str  # the file that holds it: its path in the archive, with slashes
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
        return not self.file.startswith(f"{self.stem}.{UNVERIFIED}.")

    @property
    def stem(self) -> str:
        """What all files of the recording have in common: the path without its extension."""
        return _EXTENSION.sub("", self.file)

    @property
    def time(self) -> datetime:
        """When its call was at the latest, or else when it was fetched."""
        return time_of(timed(self.entry)) or times.parse(self.fetched) or times.NEVER

    @property
    def may_be_deleted(self) -> bool:
        """Whether the server's copy may go, once the file is found as it was stored."""
        return self.is_whole and self.format is not None


# Of a record's fields. The last was not there at first.
_TYPES = (str, object, str, str | None, int, str, bool, str, str | None, float | int | None)


def _recorded(names: Iterable[str]) -> set[str]:
    """Return the GUIDs that have a record, among the names of files."""
    stems = {name[:-5] for name in names if name.endswith(".json")}
    return {stem for stem in stems if guids_in(stem) == {stem}}


Seen: TypeAlias = tuple[str, Record | None, Failure | None]  # a GUID, its record, what is wrong


class Records:
    """The records in a directory or a folder of a store, and what they describe or will describe."""

    def __init__(self, directory: str) -> None:
        self.template = BY_GUID
        self.are_remote = is_url(directory)
        # A slash at the end of an address would stand for a folder without a name.
        self._directory = directory.removesuffix("/") if self.are_remote else directory
        self._storage = storage_of(directory)

    def path(self, name: str) -> str:
        """Return the path or the address of a file."""
        return join(self._directory, name if self.are_remote else name.replace("/", os.sep))

    def memory(self) -> dict[str, str]:
        """Return what the archive says of itself: `complete` and `name`, each if it is known."""
        with suppress(FileNotFoundError, ValueError, RecursionError, AttributeError):
            found = json.loads(contents_of(self.path(MEMORY_NAME), LARGEST_MEMORY) or b"")
            return {key: value for key, value in found.items() if isinstance(value, str)}
        return {}

    def remember(self, **fields: str) -> None:
        """Add to what the archive says of itself."""
        data = json.dumps(self.memory() | fields).encode("ascii") + b"\n"
        write_bytes(self.path(MEMORY_NAME), data)

    def find(self, guid: UUID | str) -> Record | None:
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
        """Return whether a recording is seen to be here whole: its audio, or the `.enc` file."""
        with suppress(FileDecryptorError, OSError):
            record = self.find(guid)
            return record is not None and record.is_whole and self.holds(record, read=False)
        return False

    def named(self) -> set[str]:
        """Return the GUIDs that have a record and a whole file, by the names of all files."""
        names = self._storage.sizes_below(self._directory)
        endings = [(name, match) for name in names if (match := _EXTENSION.search(name))]
        whole = {guid for name, match in endings if not match[1] for guid in guids_in(name)}
        return whole & _recorded(names)

    def _sha256(self, name: str, on_progress: OnProgress) -> str:
        found = hashlib.sha256()
        for piece in pieces_of(self.path(name)):
            found.update(piece)
            on_progress(0)
        return found.hexdigest()

    def all(
        self, *, without: Collection[str] = (), read: bool = False, update: bool = False
    ) -> Iterator[Seen]:
        """Yield every GUID with its record, and what is wrong; of a store, in any order.

        Of the files that the records describe, the length is compared, or all that they hold. An
        `update` gives records the lengths of their audio that do not have them.
        """
        names = self._storage.sizes_below(self._directory)
        guids = sorted(_recorded(names).difference(without))
        look = partial(self._look, read=read, update=update)
        if self.are_remote:
            threads = partial(affordable, READERS)
            yield from in_threads(
                guids, look, check=lambda _: None, threads=threads, on_progress=lambda *_: None
            )
        else:
            yield from map(look, guids)
        # Folders may hold archives of their own, or what a system keeps of files that are gone.
        records = [name for name in names if name.endswith(".json")]
        seen = {guid for name in records for guid in guids_in(name)}.union(without)
        for name in sorted(names):
            found = guids_in(name) if _EXTENSION.search(name) and "/." not in f"/{name}" else ()
            if found and seen.isdisjoint(found):
                error = FileDecryptorError("there is no record of it", filename=name)
                yield min(found), None, error

    def _look(
        self, guid: str, on_progress: OnProgress = ignore, *, read: bool, update: bool
    ) -> Seen:
        record: Record | None = None
        error: Failure | None = None
        try:
            if (record := self._read(f"{guid}.json")) is None:
                error = FileDecryptorError("this is not the record of a recording")
            elif not self.holds(record, on_progress, read=read):
                error = FileDecryptorError("it is missing, or is not what was stored")
            elif update:
                record = self.measured(record)
        except (FileDecryptorError, OSError) as refusal:
            self.refuse_if_general(refusal)
            error = refusal
        if error is not None:
            error.filename = record.file if record else f"{guid}.json"
        return guid, record, error

    def known(self, say_error: Callable[[Failure], object]) -> Iterator[tuple[Record, bool]]:
        """Yield every record, and whether its file is there; say which records make no sense."""
        for guid, record, error in self.all():
            if record is not None:
                yield record, error is None
            elif error is not None and error.filename == f"{guid}.json":
                say_error(error)

    def measured(self, record: Record) -> Record:
        """Return a record with the length of its audio; write it if it did not tell that yet."""
        if record.seconds is not None or record.format is None:
            return record
        with self._storage.seekable(self.path(record.file)) as file:
            seconds = measure(file, record.format).seconds
        if seconds is not None:
            record = record._replace(seconds=seconds)
            with suppress(FileDecryptorError, OSError):  # the recording is no worse for that
                self.write(record)
        return record

    def remove(self, records: Iterable[Record]) -> Iterator[Failure | None]:
        """Remove recordings with all their files; yield for each what went wrong, None if nothing."""
        files: dict[str, list[str]] = {}
        for name in self._storage.sizes_below(self._directory):
            if match := _EXTENSION.search(name):  # a disk may take names for one
                files.setdefault(folded(name[: match.start()]), []).append(name)
        for record in records:
            others = [name for name in files.get(folded(record.stem), ()) if name != record.file]
            try:
                self._refuse_other(record)
                # The record goes last, so that whatever a killed run leaves is recorded.
                for name in *others, record.file, f"{record.guid}.json":
                    self._storage.remove(self.path(name))
            except (FileDecryptorError, OSError) as error:
                self.refuse_if_general(error)
                yield error
            else:
                if not self.are_remote:
                    with suppress(OSError):  # until one is not empty: the archive has its lock
                        os.removedirs(os.path.dirname(self.path(record.file)))
                yield None

    def _refuse_other(self, record: Record) -> None:
        """Raise an error if a recording has been fetched anew, or is not in the archive itself."""
        path = self.path(record.file)
        found = self.find(record.guid)
        if found is not None and found.fetched != record.fetched:
            raise FileDecryptorError("it has been fetched again in the meantime", filename=path)
        places = map(self._storage.real_path, (os.path.dirname(path), self._directory))
        folder, archive = (os.path.join(place, "") for place in places)
        if not (self.are_remote or folder.startswith(archive)):
            raise FileDecryptorError("a link leads out of the archive", filename=path)

    def refuse_if_general(self, error: Failure) -> None:
        """Raise an error if one file could not be read because the store does not answer at all."""
        if isinstance(error, UnavailableError):
            self._storage.sizes_below(self._directory)

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
            and (match := _EXTENSION.search(record.file)) is not None
            and record.format in {match[2], None}
            and guids_in(record.file) == {record.guid}
            and all(map(is_portable, record.file.split("/")))
            and 0 <= (record.seconds or 0) < math.inf
        )
        return record if fits else None

    def stem_of(self, recording: Recording) -> str:
        """Return the path of a recording without its extension: that which it has, or a new one."""
        known = self.find(recording.guid)
        return known.stem if known else self.template.name_of(recording)

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
        name = f"{self.stem_of(recording)}.{extension}"
        try:
            size, sha256 = self._publish(name, content, on_progress)
        except (OSError, StorageError) as error:
            if isinstance(error, UnavailableError) or self.find(recording.guid):
                raise
            name = f"{recording.guid}.{extension}"  # if the system refuses the other
            size, sha256 = self._publish(name, content, on_progress)
        kind = extension.rpartition(".")[2]
        audio_format = None if kind in {ENCRYPTED, UNKNOWN} else kind
        return Record(
            guid=str(recording.guid),
            entry=recording.entry,
            file=name,
            format=audio_format,
            size=size,
            sha256=sha256,
            authenticated=authenticated,
            fetched=times.shown(times.now()),
            seconds=None if audio_format is None else measure(content, audio_format).seconds,
        )

    def _publish(self, name: str, content: BinaryIO, on_progress: OnProgress) -> tuple[int, str]:
        """Let what is in a file appear under a name; return the size and SHA-256 of what is there."""
        path = self.path(name)
        self._storage.make_directory(split(path)[0])
        publish = partial(self._storage.publish, path, content, on_progress=on_progress)
        content.seek(0)
        sha256 = hashlib.file_digest(cast("FileIO", content), "sha256").hexdigest()
        size = content.seek(0, os.SEEK_END)
        try:
            publish(replace=False)
        except FileExistsError:
            there = self._storage.size_of(path) or 0
            if f".{UNVERIFIED}." in name and there > size:
                return there, self._sha256(name, on_progress)
            if there != size or self._sha256(name, on_progress) != sha256:
                publish(replace=True)
        return size, sha256

    def flush(self, record: Record) -> None:
        """Bring a record and its file to the disk, also if another run has put them there."""
        if self.are_remote:
            return
        for name in record.file, f"{record.guid}.json":
            disk.flush_file(self.path(name))
        folder = record.file
        while folder := folder.rpartition("/")[0]:
            atomic.flush_directory(self.path(folder))

    def try_writing(self, size: int) -> None:
        """Raise an error if a file of so many bytes cannot be stored."""
        self._storage.try_writing(self._directory, size)
