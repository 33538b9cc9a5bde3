"""Object stores, by `fsspec`: recordings below an address, objects that appear whole or not at all.

An address is what fsspec takes: `s3://bucket/key`, for instance. The store's package is loaded
when an address is used, and brings its own way to find credentials.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from shutil import copyfileobj
from typing import TYPE_CHECKING, BinaryIO, cast

from filedecryptor.errors import FileDecryptorError, StorageError, UsageError
from filedecryptor.format import CHUNK_SIZE

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from fsspec.spec import AbstractBufferedFile

BLOCK_SIZE = 8 << 20
"""Bytes asked for at once, and audio that is held in memory and sent in one piece.

More is sent in parts of this size: 64 GiB are 8,192 of them, and S3 takes 10,000.
"""

MARKS = ("::", "?versionId=")
"""What fsspec and s3fs take for something else than a part of a key."""


def is_directory(path: str) -> bool:
    """Return whether recordings are to be looked for below this."""
    with _errors_naming(path):
        file_system, key = _resolve(path)
        is_bucket = "/" not in key
        return is_bucket or path.endswith("/") or bool(file_system.isdir(key))


def recordings_below(
    directory: str,
    suffix: str,
    on_error: Callable[[str, FileDecryptorError | OSError], object],
    on_link: Callable[[str], object],  # noqa: ARG001 - other storages tell it
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder below an address that holds recordings, with a slash, and their names.

    Args:
        directory: Where to begin.
        suffix: What a recording's name ends with, in any case.
        on_error: Told each recording whose key cannot be part of an address, and why.
        on_link: Told nothing: an object store has no links.

    Raises:
        OSError: It cannot be listed.
    """
    with _errors_naming(directory):
        file_system, root = _resolve(directory)
        keys = file_system.find(root)
    folders: dict[str, list[str]] = {}
    for key in keys:
        folder, slash, name = key[len(root) :].rpartition("/")
        if slash and name.lower().endswith(suffix):
            if any(mark in key for mark in MARKS):
                on_error(f"{directory.rstrip('/')}{key[len(root) :]}", _not_understood())
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
    with _errors_naming(directory):
        file_system, key = _resolve(directory)
        try:
            return {
                entry["name"].rpartition("/")[2]: int(entry["size"] or 0)
                for entry in file_system.ls(key, detail=True)
                if entry["type"] != "directory" and entry["name"].rpartition("/")[0] == key
            }
        except FileNotFoundError:
            return {}


def real_path(path: str) -> str:
    """Return the one address that all spellings of it have in common."""
    with _errors_naming(path):
        file_system, key = _resolve(path)
        slashes = len(path) - len(path.rstrip("/"))
        # One slash marks a folder. More of them are folders without a name.
        return str(file_system.unstrip_protocol(key)) + ("/" * slashes if slashes > 1 else "")


def size_of(path: str) -> int | None:
    """Return the length of an object in bytes, None if it is not there."""
    with _errors_naming(path):
        file_system, key = _resolve(path)
        try:
            found = file_system.info(key)
        except FileNotFoundError:
            return None
        return None if found["type"] == "directory" else int(found["size"] or 0)


def make_directory(path: str) -> None:
    """Do nothing: an object store has no directories, and its buckets are not for us to make."""


def check_target(target: str, source: str | int) -> None:
    """Refuse an output that is the input.

    Raises:
        UsageError: It is.
    """
    if isinstance(source, str) and real_path(target) == real_path(source):
        raise UsageError("the output would replace the input", filename=target)


@contextmanager
def open_source(path: str) -> Iterator[ObjectReader]:
    """Open a recording, and read its first block, which a short one is all of.

    Raises:
        OSError: It cannot be opened.
    """
    with _errors_naming(path):
        file_system, key = _resolve(path)
        file = file_system.open(key, "rb", block_size=BLOCK_SIZE, cache_type="readahead")
    with file:
        reader = ObjectReader(file, path)
        with _errors_naming(path):
            file.read(1)
            file.seek(0)
        yield reader


class ObjectReader:
    """An object being read."""

    def __init__(self, file: AbstractBufferedFile, path: str) -> None:
        self._file = file
        self._path = path

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""
        with _errors_naming(self._path):
            return int(self._file.readinto(buffer))


def nameless(target: str) -> None:
    """Return None: a store keeps nothing without a key."""


def publish(target: str, content: BinaryIO, *, replace: bool, written: object) -> None:  # noqa: ARG001
    """Let what is in a file appear whole as `target`.

    Args:
        target: The address.
        content: What it holds, all of it authenticated.
        replace: Whether an object of that name gives way.
        written: What the same run has written; keys are unlike, so none of it is in the way.

    Raises:
        OSError: It could not be done, and what was at `target` still is.
    """
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    with _errors_naming(target):
        file_system, key = _resolve(target)
        if size <= BLOCK_SIZE:
            mode = "overwrite" if replace else "create"
            file_system.pipe_file(key, content.read(), mode=mode)
        else:
            _send(content, file_system.open(key, "wb" if replace else "xb", BLOCK_SIZE))


def discard_unfinished() -> None:
    """Abort what is being sent, and let no more begin: the process is about to end."""


def _send(content: BinaryIO, upload: AbstractBufferedFile) -> None:
    try:
        copyfileobj(content, upload, CHUNK_SIZE)
        upload.close()
    except BaseException:
        upload.closed = True  # or its destructor would complete it, cut off as it is
        with suppress(Exception):  # the store may refuse that as well
            upload.discard()
        raise


def _resolve(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an address, and what the object is called there."""
    if any(mark in url for mark in MARKS):
        raise _not_understood()
    if url.lower().startswith(("file:", "local:")):  # which would be written in place
        raise UsageError("this is on the disk", hint="give the path alone")
    try:
        from fsspec import url_to_fs

        # What is listed is never remembered: other programs change it too.
        return cast("tuple[AbstractFileSystem, str]", url_to_fs(url, use_listings_cache=False))
    except ImportError as error:
        missing = "fsspec" if error.name == "fsspec" else url.partition(":")[0]
        hint = "pip install 'filedecryptor[s3]'" if missing in {"fsspec", "s3"} else str(error)
        raise UsageError("the package for such addresses is not installed", hint=hint) from None
    except ValueError as error:
        raise UsageError(_in_one_line(error)) from None


def _not_understood() -> UsageError:
    return UsageError("chains and versions of objects are not understood")


@contextmanager
def _errors_naming(path: str) -> Iterator[None]:
    """Turn what stores raise, each something else, into errors that name the address."""
    try:
        yield
    except FileDecryptorError as error:
        error.filename = error.filename or path
        raise
    except (FileNotFoundError, FileExistsError, PermissionError) as error:
        numbers = {FileNotFoundError: errno.ENOENT, FileExistsError: errno.EEXIST}
        number = numbers.get(type(error), errno.EACCES)
        raise OSError(number, os.strerror(number), path) from None
    except OSError as error:
        raise OSError(error.errno or errno.EIO, _in_one_line(error), path) from None
    except Exception as error:  # noqa: BLE001 - each store has exceptions of its own
        raise StorageError(_in_one_line(error), filename=path) from None


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
