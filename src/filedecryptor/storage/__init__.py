"""Where recordings lie and audio goes: on the disk, or in an object store.

`storage_of` returns the module for a path or an address. Each of these modules has the functions
of `Storage`; `disk` documents them, and `objects` says where it differs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from typing import BinaryIO, Protocol

from filedecryptor.core.decryptor import OnProgress
from filedecryptor.core.format import CHUNK_SIZE, Source
from filedecryptor.errors import UsageError, errors_naming
from filedecryptor.storage import atomic, disk
from filedecryptor.storage.atomic import Attributes, Written, regular_file
from filedecryptor.storage.disk import Folder, OnError, OnLink
from filedecryptor.storage.paths import is_url

UNCONDITIONAL = (
    "this store knows no conditional writes: an object that another program creates in the last "
    "moment is replaced"
)

# ruff: noqa: D102 - `disk` documents them


class Storage(Protocol):
    """What the rest of the package asks of a place."""

    def is_directory(self, path: str, /) -> bool: ...
    def recordings_below(
        self, directory: str, on_error: OnError, on_link: OnLink, /
    ) -> Iterator[Folder]: ...
    def real_path(self, path: str, /) -> str: ...
    def size_of(self, path: str, /) -> int | None: ...
    def sizes_below(self, directory: str, /) -> Mapping[str, int | None]: ...
    def try_writing(self, directory: str, size: int, /) -> None: ...
    def make_directory(self, path: str, /) -> None: ...
    def remove(self, path: str, /) -> None: ...
    def open_source(self, path: str, /) -> AbstractContextManager[Source]: ...
    def seekable(self, path: str, /) -> AbstractContextManager[BinaryIO]: ...
    def check_target(self, target: str, source: str | int | None, /) -> None: ...
    def publish(
        self,
        target: str,
        content: BinaryIO,
        /,
        *,
        replace: bool,
        written: Written | None = ...,
        attributes: Attributes = ...,
        on_progress: OnProgress = ...,
    ) -> None: ...


def storage_of(path: str) -> Storage:
    """Return the storage that a path or an address belongs to; refuse what is nearly an address."""
    if is_url(path):
        from filedecryptor.storage import objects

        return objects
    scheme, separator, _ = path.partition(":/")
    if separator and is_url(f"{scheme}://") and not os.path.isdir(f"{scheme}:"):
        raise UsageError(
            "an address has two slashes after its colon, as s3://bucket/key",
            hint="if a path is meant, put './' before it",
            filename=path,
        )
    return disk


def pieces_of(path: str) -> Iterator[bytes]:
    """Yield what a regular file or an object holds, piece by piece; refuse anything else."""
    buffer = memoryview(bytearray(CHUNK_SIZE))
    if not is_url(path):
        regular_file(path)
    with errors_naming(path), storage_of(path).open_source(path) as source:
        while count := source.readinto(buffer):
            yield bytes(buffer[:count])


def contents_of(path: str, largest: int) -> bytes | None:
    """Return what a file or an object holds; None if that is longer than `largest` bytes."""
    found = b""
    for piece in pieces_of(path):
        found += piece
        if len(found) > largest:
            return None
    return found


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file or object whole, in the place of an earlier one."""
    storage_of(path).publish(path, BytesIO(data), replace=True)


def discard_unfinished() -> None:
    """Remove what is being written, and let nothing more begin: the process is about to end."""
    atomic.discard_unfinished()
    if uploads := sys.modules.get("filedecryptor.storage.uploads"):
        uploads.discard_unfinished()


def remark() -> str | None:
    """Return what this process has found out about a store, the first time; None afterwards."""
    s3 = sys.modules.get("filedecryptor.storage.s3")
    is_news = s3 is not None and s3.unconditional.acquire(blocking=False)
    return UNCONDITIONAL if is_news else None
