"""Objects in stores, by `fsspec`: addresses, listings, reading, and writing whole or not at all."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from io import BytesIO
from threading import Condition, Semaphore, Thread
from typing import TYPE_CHECKING, BinaryIO, cast

from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.errors import (
    Failure,
    StorageError,
    UnavailableError,
    UsageError,
    errors_naming,
    in_one_line,
    missing_extra,
)
from filedecryptor.storage.names import SUFFIX, join
from filedecryptor.storage.output import NEW, Attributes

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from fsspec.spec import AbstractBufferedFile
if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from filedecryptor.core.format import Source

MARKS = ("::", "?versionId=")
"""What fsspec and s3fs do not take for a part of a key: chains, and versions of objects."""


def resolve(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an address, and the key of the object there.

    Raises:
        UsageError: It is no address of an object, or the package for it is not installed.
    """
    if any(mark in url for mark in MARKS):
        raise UsageError("chains and versions of objects are not understood")
    if url.lower().startswith(("file:", "local:")):  # which would be written in place
        raise UsageError("this is on the disk", hint="give the path alone")
    try:
        # What is listed is never remembered: other programs change it too.
        if url.startswith(("s3://", "s3a://")):
            from filedecryptor.storage.s3 import S3

            file_system = S3(use_listings_cache=False)
            return file_system, file_system._strip_protocol(url)  # noqa: SLF001 - its only name
        from fsspec import url_to_fs

        return cast("tuple[AbstractFileSystem, str]", url_to_fs(url, use_listings_cache=False))
    except ImportError as error:
        missing = "fsspec" if error.name == "fsspec" else url.partition(":")[0]
        is_ours = missing in {"fsspec", "s3", "s3a"}
        hint = missing_extra("s3") if is_ours else str(error)
        raise UsageError("the package for such addresses is not installed", hint=hint) from None
    except ValueError as error:
        raise UsageError(in_one_line(error)) from None


def _translated(error: Exception) -> Failure:
    """Return our error for what a store raised; each store has exceptions of its own."""
    if isinstance(error, (FileNotFoundError, FileExistsError)):
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EEXIST
        return OSError(number, error.strerror or os.strerror(number))
    # The text of some begins with their number.
    cause = in_one_line(getattr(error, "strerror", None) or error)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return UnavailableError(cause)
    return StorageError(cause)


store_errors_naming = partial(errors_naming, translate=_translated)
"""Makes our errors, which name an address, of what stores raise."""


SMALL = 1 << 20
"""Bytes of audio that any number of threads may send at once."""

LARGEST_PIECE = 8 << 20
"""Bytes of audio that are sent in one request, rather than in parts."""

SMALLEST_PART = 5 << 20
"""Bytes of a part (Amazon S3, "Multipart upload limits")."""

LARGEST_NUMBER_OF_PARTS = 10_000
"""As `SMALLEST_PART`."""

DISCARD_TIME = 5.0
"""Seconds that a store has to forget unfinished uploads."""


def publish(
    target: str,
    content: BinaryIO,
    *,
    replace: bool,
    written: object,  # noqa: ARG001 - of use on a disk
    attributes: object = None,  # noqa: ARG001 - as `written`
) -> None:
    """Let what is in a file appear whole as `target`.

    Args:
        target: The address.
        content: Its file, all of it authenticated. What reading it raises abandons the upload.
        replace: Whether an object of that name gives way.
        written: What the same run has written; keys that differ never name the same object.
        attributes: What files take over from their recordings; objects have none of it.

    Raises:
        FileExistsError: There is one, and it does not give way.
        OSError: It could not be done, and what was at `target` still is.
    """
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    with nullcontext() if size <= SMALL else _LARGE_UPLOADS:
        if size <= LARGEST_PIECE:
            _send_in_one_piece(target, content, replace=replace)
        else:
            _send_in_parts(target, content, size, replace=replace)


def _send_in_one_piece(target: str, content: BinaryIO, *, replace: bool) -> None:
    data = content.read()
    with store_errors_naming(target):
        file_system, key = resolve(target)
        _uploads.check()
        if not replace:
            _look(file_system, key)
        file_system.pipe_file(key, data, mode="overwrite" if replace else "create")


def _send_in_parts(target: str, content: BinaryIO, size: int, *, replace: bool) -> None:
    part_size = max(SMALLEST_PART, -(-size // LARGEST_NUMBER_OF_PARTS))
    with store_errors_naming(target):
        file_system, key = resolve(target)
        upload = file_system.open(key, "wb" if replace else "xb", part_size)
    _uploads.begin(upload)
    try:
        while piece := content.read(CHUNK_SIZE):
            with store_errors_naming(target):
                _uploads.check()
                upload.write(piece)
        with store_errors_naming(target):
            _uploads.check()
            if not replace:
                _look(file_system, key)
            upload.close()
    except BaseException:
        _abort(upload)
        raise
    finally:
        _uploads.end(upload)


def _look(file_system: AbstractFileSystem, key: str) -> None:
    """Refuse to replace an object; not every store has requests that refuse it themselves."""
    if file_system.exists(key):
        raise FileExistsError


def discard_unfinished() -> None:
    """Abort every upload of this process that is under way, and let no new one begin.

    Whatever the store does, this ends in a bounded time. What it did not forget by then is left.
    """
    _uploads.stop()
    _uploads.wait(DISCARD_TIME / 2)  # their own threads do it, once a part has arrived
    for upload in _uploads.under_way():
        Thread(target=_abort, args=[upload], daemon=True).start()
    _uploads.wait(DISCARD_TIME / 2)


def _abort(upload: AbstractBufferedFile) -> None:
    upload.closed = True  # or its destructor would complete it, cut off as it is
    with suppress(Exception):  # the store may refuse that as well
        upload.discard()


class _Uploads:
    """The uploads in parts of this process that are under way."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._under_way: dict[int, AbstractBufferedFile] = {}
        self._stopped = False

    def begin(self, upload: AbstractBufferedFile) -> None:
        with self._changed:
            self._under_way[id(upload)] = upload

    def end(self, upload: AbstractBufferedFile) -> None:
        with self._changed:
            del self._under_way[id(upload)]
            self._changed.notify_all()

    def check(self) -> None:
        """Raise an error where nothing may be sent any more."""
        if self._stopped:
            raise StorageError("the run has been interrupted")

    def stop(self) -> None:
        self._stopped = True

    def under_way(self) -> list[AbstractBufferedFile]:
        with self._changed:
            return list(self._under_way.values())

    def wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, seconds)


_uploads = _Uploads()

_LARGE_UPLOADS = Semaphore(2)
"""What more than a small upload holds in memory is held by so many of them."""


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

FEW_BYTES = 1 << 20
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
            self._block = self._fetch(len(buffer) if len(buffer) >= FEW_BYTES else READ_AHEAD)
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
