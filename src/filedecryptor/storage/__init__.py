"""Where recordings lie and audio goes: on the disk, or in an object store.

`storage_of` returns the module for a path or an address. Each of these modules has the functions
of `Storage`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Protocol

from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.errors import UsageError, errors_naming
from filedecryptor.storage import disk
from filedecryptor.storage.names import is_half_url, is_url
from filedecryptor.storage.output import Written, regular_file

if TYPE_CHECKING:
    from filedecryptor.core.format import Source
    from filedecryptor.errors import Failure
    from filedecryptor.storage.output import Attributes, PendingFile

UNCONDITIONAL = (
    "this store knows no conditional writes: an object that another program creates in the last "
    "moment is replaced"
)


class Storage(Protocol):
    """What the rest of the package asks of a place."""

    def is_directory(self, path: str, /) -> bool:
        """Return whether `path` is to be searched for recordings."""

    def recordings_below(
        self,
        directory: str,
        on_error: Callable[[str, Failure], object],
        on_link: Callable[[str], object],
        /,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield each folder at or below a directory that holds recordings.

        With the folder come the names of its recordings, sorted, and those of them that are links.
        """

    def real_path(self, path: str, /) -> str:
        """Return the canonical path, links resolved."""

    def size_of(self, path: str, /) -> int | None:
        """Return the length of a file in bytes; None if it is not there, or has none."""

    def sizes_in(self, directory: str, /) -> Mapping[str, int | None]:
        """Return what is in a directory by name: the lengths of files in bytes, None for others."""

    def flush_file(self, path: str, /) -> None:
        """Bring a file that is there already to the disk."""

    def try_writing(self, directory: str, size: int, /) -> None:
        """Raise an error if so many bytes cannot be written to a directory."""

    def make_directory(self, path: str, /) -> None:
        """Make a directory if it is not there."""

    def open_source(self, path: str, /) -> AbstractContextManager[Source]:
        """Open a recording."""

    def check_target(self, target: str, source: str | int | None, /) -> None:
        """Raise an error if `target` cannot be written, or is the source."""

    def attributes_of(self, source: Source, /) -> Attributes:
        """Return what an output on the disk takes over from an open recording."""

    def nameless(self, target: str, attributes: Attributes = ..., /) -> PendingFile | None:
        """Return a file without a name that `publish` can name; None if there is no such thing."""

    def publish(
        self,
        target: str,
        content: BinaryIO,
        /,
        *,
        replace: bool,
        written: Written,
        attributes: Attributes = ...,
    ) -> None:
        """Make what a file holds appear whole as `target`."""

    def discard_unfinished(self) -> None:
        """Remove what is being written, and let nothing more begin: the process is about to end."""


def storage_of(path: str) -> Storage:
    """Return the storage that a path or an address belongs to.

    Raises:
        UsageError: It is neither, but nearly an address.
    """
    if is_url(path):
        from filedecryptor.storage import objects

        return objects
    if is_half_url(path):
        raise UsageError(
            "an address has two slashes after its colon, as s3://bucket/key",
            hint="if a path is meant, put './' before it",
            filename=path,
        )
    return disk


def pieces_of(path: str) -> Iterator[bytes]:
    """Yield what a regular file or an object holds, piece by piece.

    Raises:
        OSError: It cannot be read, or is something else; of a FIFO, no end might ever come.
        StorageError: The store refuses it.
    """
    buffer = memoryview(bytearray(CHUNK_SIZE))
    if not is_url(path):
        regular_file(path)
    with errors_naming(path), storage_of(path).open_source(path) as source:
        while count := source.readinto(buffer):
            yield bytes(buffer[:count])


def contents_of(path: str, largest: int) -> bytes | None:
    """Return what a file or an object holds, as `pieces_of` yields it; None if that is too long."""
    found = b""
    for piece in pieces_of(path):
        found += piece
        if len(found) > largest:
            return None
    return found


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file or object whole, in the place of an earlier one."""
    storage_of(path).publish(path, BytesIO(data), replace=True, written=Written())


def discard_unfinished() -> None:
    """Remove what is being written, and let nothing more begin: the process is about to end."""
    disk.discard_unfinished()
    if objects := sys.modules.get("filedecryptor.storage.objects"):
        objects.discard_unfinished()


def remark() -> str | None:
    """Return what this process has found out about a store, the first time; None afterwards."""
    s3 = sys.modules.get("filedecryptor.storage.s3")
    is_news = s3 is not None and s3.unconditional.acquire(blocking=False)
    return UNCONDITIONAL if is_news else None
