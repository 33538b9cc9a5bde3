"""Objects in stores, by `fsspec`: listings, reading, and writing whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from threading import Semaphore
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from filedecryptor.core.decryptor import OnProgress, ignore
from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.errors import StorageError, UnavailableError, UsageError, errors_naming
from filedecryptor.storage import uploads
from filedecryptor.storage.addresses import MARKS, asking, resolve, translated
from filedecryptor.storage.disk import Folder, OnError, OnLink
from filedecryptor.storage.paths import SUFFIX, is_url, join

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

READ_AHEAD = 1 << 20  # bytes asked for at once, unless the reader has room for more
SMALL_UPLOAD = 1 << 20  # bytes of audio that any number of threads may send at once
LARGEST_PIECE = 8 << 20  # bytes of audio that are sent in one request, rather than in parts
# The first in bytes (Amazon S3, "Multipart upload limits").
SMALLEST_PART, LARGEST_NUMBER_OF_PARTS = 5 << 20, 10_000

_large_uploads = Semaphore(2)  # bounds the memory that uploads take which are not small


def _found(path: str) -> dict[str, Any]:
    """Return what a store tells of an object or a folder; nothing if there is none."""
    with asking(path) as (file_system, key):
        try:
            return cast("dict[str, Any]", file_system.info(key))
        except FileNotFoundError:
            return {}


def is_directory(path: str) -> bool:
    """Return whether there is a folder or a bucket of that name, and no object."""
    with asking(path) as (_, key):
        is_folder = "/" not in key or path.endswith("/")
    # An object comes first: what is below it is found with a slash at the end.
    return is_folder or _found(path).get("type") == "directory"


def size_of(path: str) -> int | None:
    """Return the length of an object in bytes; None if it is not there."""
    found = _found(path)
    return None if found.get("type") in {None, "directory"} else int(found["size"] or 0)


def _found_below(store: AbstractFileSystem, folder: str) -> Iterable[dict[str, Any]]:
    """Return what is below a folder; raise an error for each folder there that cannot be listed."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    def walk(folder: str, listed: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for entry in listed:
            name = entry["name"].rstrip("/")
            if entry["type"] == "directory" and name != folder:
                yield from walk(name, store.ls(name, detail=True))
            else:
                yield entry

    find = getattr(type(store), "_find", type(store).find)
    if find not in {AbstractFileSystem.find, AsyncFileSystem._find}:  # noqa: SLF001 - its only name
        found = store.find(folder, detail=True)
        if not isinstance(found, dict):  # `adlfs` looks no further
            raise StorageError("this is an object as well: what is below it is not told")
        return (found.pop(name) for name in [*found])  # there may be millions: none is held twice
    with suppress(FileNotFoundError):  # these pass over what they cannot list
        return walk(folder, store.ls(folder, detail=True))
    return ()


def _sizes(directory: str, *, below: bool) -> Iterator[tuple[str, int]]:
    """Yield the objects in a folder, by what `join` adds to it, with their lengths in bytes."""
    with asking(directory) as (store, _):
        # Some packages keep a slash at the end of a key, some do not.
        prefix = resolve(join(directory, "x"))[1][:-1]
        folder = prefix.rstrip("/")
        found: Iterable[dict[str, Any]] = ()
        if below or prefix != f"{folder}/":  # no `ls` knows a folder without a name
            found = _found_below(store, folder)
        else:
            with suppress(FileNotFoundError):
                found = store.ls(folder, detail=True)
        for entry in found:
            name = entry.get("name", "")
            key = name.removeprefix(prefix)
            is_object = entry["type"] != "directory" and not name.endswith("/")
            if is_object and name.startswith(prefix) and (below or "/" not in key):
                yield key, int(entry["size"] or 0)


def sizes_in(directory: str, *, below: bool = False) -> dict[str, int]:
    """Return the objects in a folder, by what `join` adds to it, with their lengths in bytes."""
    return dict(_sizes(directory, below=below))


sizes_below = partial(sizes_in, below=True)


def recordings_below(directory: str, on_error: OnError, _: OnLink) -> Iterator[Folder]:
    """Yield each folder as on a disk; `on_error` gets each key that cannot be part of an address."""
    base = join(directory, "")
    folders: dict[str, list[str]] = {}
    for key, _size in _sizes(directory, below=True):
        folder, slash, name = key.rpartition("/")
        if not name.lower().endswith(SUFFIX):
            continue
        path = f"{base}{folder}{slash}"
        if any(mark in key for mark in MARKS):
            on_error(path + name, StorageError(f"an address cannot hold {' or '.join(MARKS)}"))
        else:
            folders.setdefault(path, []).append(name)
    for folder, names in folders.items():
        yield folder, sorted(names), []


def real_path(path: str) -> str:
    """Return the canonical address."""
    with asking(path) as (file_system, key):
        slashes = len(path) - len(path.rstrip("/"))
        # One slash marks a folder. More of them are folders without a name.
        return str(file_system.unstrip_protocol(key)) + ("/" * slashes if slashes > 1 else "")


def make_directory(path: str) -> None:
    """Do nothing: an object store has no directories, and its buckets are not for us to make."""


def try_writing(directory: str, size: int) -> None:
    """Write an object of so many bytes to a folder, and remove it, if that is allowed as well."""
    path = join(directory, ".filedecryptor.tmp")
    publish(path, io.BytesIO(bytes(size)), replace=True)
    with suppress(OSError, StorageError):
        remove(path)


def remove(path: str) -> None:
    """Remove an object if it is there; refuse a folder and a bucket."""
    with asking(path) as (file_system, key), suppress(FileNotFoundError):
        if "/" not in key or path.endswith("/"):  # some stores remove a bucket
            raise StorageError("this is no object")
        file_system.rm_file(key)


def check_target(target: str, source: str | int | None) -> None:
    """Refuse an output that is the source."""
    if isinstance(source, str) and is_url(source) and real_path(target) == real_path(source):
        raise UsageError("the output would replace the input", filename=target)


class ObjectReader(io.RawIOBase):
    """An object being read from its beginning to its end. Nothing is asked of the store before."""

    def __init__(self, path: str) -> None:
        self._path = path
        with asking(path) as (self._file_system, self._key):
            self._position = 0
        self._block = memoryview(b"")
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
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
            except UnavailableError:  # it would not tell the size either
                raise
            except Exception:
                size = None
                with suppress(Exception):  # the first error is the one to tell
                    size = self._file_system.info(self._key)["size"]
                if size != begin:  # where nothing is left, stores refuse to send some of it
                    raise
                data = b""
        self._position += len(data)
        self._ended = len(data) < count
        return data


open_source = ObjectReader


@contextmanager
def seekable(path: str) -> Iterator[BinaryIO]:
    """Yield an object that can be read from anywhere; what is raised inside is our error for it."""
    with asking(path) as (store, key), store.open(key, "rb", block_size=READ_AHEAD) as file:
        yield file


def publish(
    target: str,
    content: BinaryIO,
    *,
    replace: bool,
    on_progress: OnProgress = ignore,
    **_: object,  # keys that differ never name one object, and objects have no attributes
) -> None:
    """Let what is in a file appear whole as `target`; what `on_progress` raises abandons the upload."""
    on_progress(0)
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    with nullcontext() if size <= SMALL_UPLOAD else _large_uploads:
        if size > LARGEST_PIECE:
            _send_in_parts(target, content, size, on_progress, replace=replace)
            return
        data = content.read()
        with asking(target) as (file_system, key):
            _look(target, file_system, key, replace=replace)
            file_system.pipe_file(key, data, mode="overwrite" if replace else "create")


def _send_in_parts(
    target: str, content: BinaryIO, size: int, on_progress: OnProgress, *, replace: bool
) -> None:
    part_size = max(SMALLEST_PART, -(-size // LARGEST_NUMBER_OF_PARTS))
    with asking(target) as (file_system, key):
        _look(target, file_system, key, replace=replace)  # not all do that themselves
        upload = uploads.begin(file_system, key, "wb" if replace else "xb", part_size)
    with uploads.aborted_on_error(upload):
        while piece := content.read(CHUNK_SIZE):  # whose errors are not the store's
            on_progress(0)
            with errors_naming(target, translate=translated):
                uploads.refuse_if_interrupted()
                upload.write(piece)
        with errors_naming(target, translate=translated):
            # What is in its place from the beginning would be found itself.
            _look(target, file_system, key, replace=replace or isinstance(upload, uploads.InPlace))
            upload.close()


def _look(target: str, file_system: AbstractFileSystem, key: str, *, replace: bool) -> None:
    """Refuse to replace an object; not every store has requests that refuse it themselves."""
    uploads.refuse_if_interrupted()
    # Some say of a folder, too, that it exists.
    if not replace and file_system.exists(key) and size_of(target) is not None:
        raise FileExistsError
