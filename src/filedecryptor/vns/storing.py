"""A download, stored under the name that fits what it is."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from io import FileIO
from typing import BinaryIO, NamedTuple, cast

from filedecryptor import audio
from filedecryptor.decryptor import OnProgress, decrypted
from filedecryptor.errors import AuthenticationError, UnknownFormatError
from filedecryptor.format import SMALLEST_SIZE
from filedecryptor.keys import Keys
from filedecryptor.kinds import kind_of
from filedecryptor.outcome import Outcome
from filedecryptor.passwords import Passwords
from filedecryptor.spool import HEAD_SIZE, MEMORY_LIMIT, Beginning
from filedecryptor.storage import remark, storage_of
from filedecryptor.vns import times
from filedecryptor.vns.client import Client
from filedecryptor.vns.listing import Recording
from filedecryptor.vns.records import ENCRYPTED, UNKNOWN, UNVERIFIED, Record, Records
from filedecryptor.vns.refusals import foreign
from filedecryptor.vns.wholeness import is_cut


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
