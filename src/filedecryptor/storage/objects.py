"""Recordings in object stores: finding and reading them.

An address is what fsspec takes, `s3://bucket/key`, for instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING

from filedecryptor.errors import Failure, StorageError, UsageError
from filedecryptor.storage.attributes import NEW, Attributes
from filedecryptor.storage.names import SUFFIX, join
from filedecryptor.storage.stores import MARKS, resolve, store_errors_naming
from filedecryptor.storage.uploads import discard_unfinished, publish

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from filedecryptor.format import Source

__all__ = [
    "attributes_of",
    "check_target",
    "discard_unfinished",
    "flush_file",
    "is_directory",
    "make_directory",
    "nameless",
    "open_source",
    "publish",
    "real_path",
    "recordings_below",
    "size_of",
    "sizes_in",
    "try_writing",
]

SMALL = 1 << 20
"""Bytes that any number of threads may read at once."""

TRIAL = ".filedecryptor.tmp"
"""The name of an object that is written to see whether one can be."""

READ_AHEAD = 1 << 20
"""Bytes asked for at once, unless the reader has room for a number that is not small."""


def is_directory(path: str) -> bool:
    """Return whether `path` is to be searched for recordings."""
    with store_errors_naming(path):
        file_system, key = resolve(path)
        if "/" not in key or path.endswith("/"):
            return True
        try:  # an object comes first: what is below it is found with a slash at the end
            return bool(file_system.info(key)["type"] == "directory")
        except FileNotFoundError:
            return False


def recordings_below(
    directory: str,
    on_error: Callable[[str, Failure], object],
    on_link: Callable[[str], object],  # noqa: ARG001 - other storages tell it
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder at or below an address that holds recordings, as `Storage` does.

    Args:
        directory: Where to begin.
        on_error: Called with each recording whose key cannot be part of an address, and the reason.
        on_link: Never called: an object store has no links.

    Raises:
        OSError: It cannot be listed.
    """
    with store_errors_naming(directory):
        file_system, root = resolve(directory)
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
    """Return the objects in a folder by name, with their lengths in bytes.

    There are none if the folder is not there, or has no name.

    Raises:
        OSError: It cannot be listed.
    """
    if directory.endswith("/"):  # whose name is empty: fsspec cannot ask for it
        return {}
    with store_errors_naming(directory):
        file_system, key = resolve(directory)
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
    with store_errors_naming(path):
        file_system, key = resolve(path)
        slashes = len(path) - len(path.rstrip("/"))
        # One slash marks a folder. More of them are folders without a name.
        return str(file_system.unstrip_protocol(key)) + ("/" * slashes if slashes > 1 else "")


def size_of(path: str) -> int | None:
    """Return the length of an object in bytes, None if it is not there."""
    with store_errors_naming(path):
        file_system, key = resolve(path)
        try:
            found = file_system.info(key)
        except FileNotFoundError:
            return None
        return None if found["type"] == "directory" else int(found["size"] or 0)


def flush_file(path: str) -> None:
    """Do nothing: what a store has taken, it has."""


def try_writing(directory: str, size: int) -> None:
    """Write an object to a folder, and remove it, if that is allowed as well.

    Raises:
        OSError: None can be written there.
    """
    path = join(directory, TRIAL)
    publish(path, BytesIO(bytes(size)), replace=True, written=None)
    with suppress(OSError, StorageError), store_errors_naming(path):
        file_system, key = resolve(path)
        file_system.rm_file(key)


def make_directory(path: str) -> None:
    """Do nothing: an object store has no directories, and its buckets are not for us to make."""


def check_target(target: str, source: str | int | None) -> None:
    """Refuse an output that is the input.

    Raises:
        UsageError: It is.
    """
    if isinstance(source, str) and real_path(target) == real_path(source):
        raise UsageError("the output would replace the input", filename=target)


def attributes_of(source: Source) -> Attributes:
    """Return what an output on the disk takes over from an object: its time, if it is known."""
    return Attributes(modified=source.modified()) if isinstance(source, ObjectReader) else NEW


def nameless(target: str, attributes: Attributes = NEW) -> None:
    """Return None: a store keeps nothing without a key."""


@contextmanager
def open_source(path: str) -> Iterator[ObjectReader]:
    """Open a recording. Nothing is asked of the store before it is read.

    Raises:
        UsageError: There is no such store.
    """
    with store_errors_naming(path):
        reader = ObjectReader(path, *resolve(path))
    yield reader


class ObjectReader:
    """An object being read from its beginning to its end. Made by `open_source`."""

    def __init__(self, path: str, file_system: AbstractFileSystem, key: str) -> None:
        self._path = path
        self._file_system = file_system
        self._key = key
        self._position = 0
        self._block = b""
        self._begin = 0
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""
        if not self._block and not self._ended:
            self._block = self._fetch(len(buffer) if len(buffer) >= SMALL else READ_AHEAD)
        end = min(self._begin + len(buffer), len(self._block))
        count = end - self._begin
        buffer[:count] = memoryview(self._block)[self._begin : end]
        self._begin = end
        if end == len(self._block):
            self._block, self._begin = b"", 0  # many readers wait now, and need hold nothing
        return count

    def modified(self) -> int | None:
        """Return when the object was modified last, in nanoseconds since 1970; None if unknown."""
        with suppress(Exception):  # not every store tells, nor in the same way
            return int(self._file_system.modified(self._key).timestamp()) * 1_000_000_000
        return None

    def _fetch(self, count: int) -> bytes:
        """Return the next bytes; fewer than asked for are the last."""
        begin = self._position
        with store_errors_naming(self._path):
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
