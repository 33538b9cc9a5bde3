"""Objects in stores, by `fsspec`: addresses, listings, reading, and writing whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING

from filedecryptor.core.format import Source
from filedecryptor.errors import (
    Failure,
    StorageError,
    UsageError,
    errors_naming,
)
from filedecryptor.storage import uploads
from filedecryptor.storage.atomic import NEW, Attributes
from filedecryptor.storage.paths import SUFFIX, join
from filedecryptor.storage.stores import MARKS, asking, translated

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

publish = uploads.publish
discard_unfinished = uploads.discard_unfinished

READ_AHEAD = 1 << 20
"""Bytes asked for at once, unless the reader has room for more."""

TRIAL = ".filedecryptor.tmp"
"""The name of an object that is written to see whether one can be."""


def is_directory(path: str) -> bool:
    """Return whether there is a folder or a bucket of that name, and no object."""
    with asking(path) as (file_system, key):
        if "/" not in key or path.endswith("/"):
            return True
        try:  # an object comes first: what is below it is found with a slash at the end
            return bool(file_system.info(key)["type"] == "directory")
        except FileNotFoundError:
            return False


def recordings_below(
    directory: str,
    on_error: Callable[[str, Failure], object],
    on_link: Callable[[str], object],  # noqa: ARG001 - a store has no links
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder as on a disk; `on_error` gets each key that cannot be part of an address."""
    with asking(directory) as (file_system, root):
        keys = file_system.find(root)
    folders: dict[str, list[str]] = {}
    for key in keys:
        folder, slash, name = key[len(root) :].rpartition("/")
        if slash and name.lower().endswith(SUFFIX):
            if any(mark in key for mark in MARKS):
                error = StorageError(f"an address cannot hold {' or '.join(MARKS)}")
                on_error(f"{directory.rstrip('/')}{key[len(root) :]}", error)
            else:
                folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        yield f"{directory.rstrip('/')}{folder}/", sorted(names), []


def sizes_in(directory: str) -> dict[str, int]:
    """Return the objects in a folder by name, with their lengths in bytes."""
    if directory.endswith("/"):  # whose name is empty: fsspec cannot ask for it
        return {}
    with asking(directory) as (file_system, key):
        try:
            entries = file_system.ls(key, detail=True)
        except FileNotFoundError:
            return {}
    sizes = {}
    for entry in entries:
        folder, _, name = entry["name"].rpartition("/")
        if folder == key and entry["type"] != "directory":
            sizes[name] = int(entry["size"] or 0)
    return sizes


def real_path(path: str) -> str:
    """Return the canonical address."""
    with asking(path) as (file_system, key):
        slashes = len(path) - len(path.rstrip("/"))
        # One slash marks a folder. More of them are folders without a name.
        return str(file_system.unstrip_protocol(key)) + ("/" * slashes if slashes > 1 else "")


def size_of(path: str) -> int | None:
    """Return the length of an object in bytes; None if it is not there."""
    with asking(path) as (file_system, key):
        try:
            found = file_system.info(key)
        except FileNotFoundError:
            return None
        return None if found["type"] == "directory" else int(found["size"] or 0)


def flush_file(path: str) -> None:
    """Do nothing: what a store has taken, it has."""


def try_writing(directory: str, size: int) -> None:
    """Write an object of so many bytes to a folder, and remove it, if that is allowed as well."""
    path = join(directory, TRIAL)
    publish(path, BytesIO(bytes(size)), replace=True)
    with suppress(OSError, StorageError), asking(path) as (file_system, key):
        file_system.rm_file(key)


def make_directory(path: str) -> None:
    """Do nothing: an object store has no directories, and its buckets are not for us to make."""


def check_target(target: str, source: str | int | None) -> None:
    """Refuse an output that is the source."""
    if isinstance(source, str) and real_path(target) == real_path(source):
        raise UsageError("the output would replace the input", filename=target)


def attributes_of(source: Source) -> Attributes:
    """Return what an output on the disk takes over from an object: its time, if it is known."""
    return Attributes(modified=source.modified()) if isinstance(source, ObjectReader) else NEW


def nameless(target: str, attributes: Attributes = NEW) -> None:
    """Return None: a store keeps nothing without a key."""


@contextmanager
def open_source(path: str) -> Iterator[ObjectReader]:
    """Open a recording. Nothing is asked of the store before it is read."""
    with asking(path) as (file_system, key):
        reader = ObjectReader(path, file_system, key)
    yield reader


class ObjectReader:
    """An object being read from its beginning to its end."""

    def __init__(self, path: str, file_system: AbstractFileSystem, key: str) -> None:
        self._path = path
        self._file_system = file_system
        self._key = key
        self._position = 0
        self._block = memoryview(b"")
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""
        if not self._block and not self._ended:
            self._block = memoryview(self._fetch(max(len(buffer), READ_AHEAD)))
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        # Many readers wait once they are through with a block, and need hold nothing then.
        self._block = self._block[count:] if count < len(self._block) else memoryview(b"")
        return count

    def modified(self) -> int | None:
        """Return when the object was modified last, in nanoseconds since 1970; None if unknown."""
        with suppress(Exception):  # not every store tells, nor in the same way
            return int(self._file_system.modified(self._key).timestamp()) * 1_000_000_000
        return None

    def _fetch(self, count: int) -> bytes:
        """Return the next bytes; fewer than asked for are the last."""
        begin = self._position
        with errors_naming(self._path, translate=translated):
            try:
                data: bytes = self._file_system.cat_file(self._key, start=begin, end=begin + count)
            except Exception:
                # Where nothing is left, stores refuse to send some of it.
                if not self._ends_at(begin):
                    raise
                data = b""
        self._position += len(data)
        self._ended = len(data) < count
        return data

    def _ends_at(self, position: int) -> bool:
        with suppress(Exception):  # the first error is the one to tell
            return bool(self._file_system.info(self._key)["size"] == position)
        return False
