"""Objects that appear whole or not at all."""

from __future__ import annotations

import io
from contextlib import nullcontext, suppress
from threading import Condition, Semaphore, Thread
from typing import TYPE_CHECKING, BinaryIO

from filedecryptor.errors import StorageError
from filedecryptor.format import CHUNK_SIZE
from filedecryptor.storage.stores import resolve, store_errors_naming

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from fsspec.spec import AbstractBufferedFile

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
