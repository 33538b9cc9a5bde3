"""Uploads to stores, whole or not at all: in one request, or in parts that an error aborts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from threading import Condition, Event, Semaphore, Thread
from typing import TYPE_CHECKING, BinaryIO

from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.errors import (
    StorageError,
    errors_naming,
)
from filedecryptor.storage.stores import asking, resolve, translated

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem
    from fsspec.spec import AbstractBufferedFile

SMALL_UPLOAD = 1 << 20
"""Bytes of audio that any number of threads may send at once."""

LARGEST_PIECE = 8 << 20
"""Bytes of audio that are sent in one request, rather than in parts."""

SMALLEST_PART, LARGEST_NUMBER_OF_PARTS = 5 << 20, 10_000
"""The first in bytes (Amazon S3, "Multipart upload limits")."""

DISCARD_TIME = 5.0
"""Seconds that a store has to forget unfinished uploads."""

_large_uploads = Semaphore(2)
"""Bounds the memory that uploads take which are not small."""

_changed = Condition()
_under_way: dict[int, AbstractBufferedFile] = {}
"""Uploads in parts; guarded by `_changed`."""

_interrupted = Event()


def publish(
    target: str,
    content: BinaryIO,
    *,
    replace: bool,
    written: object = None,  # noqa: ARG001 - keys that differ never name the same object
    attributes: object = None,  # noqa: ARG001 - objects have none
) -> None:
    """Let what is in a file appear whole as `target`; what reading it raises abandons the upload."""
    size = content.seek(0, io.SEEK_END)
    content.seek(0)
    with nullcontext() if size <= SMALL_UPLOAD else _large_uploads:
        if size > LARGEST_PIECE:
            _send_in_parts(target, content, size, replace=replace)
            return
        data = content.read()
        with asking(target) as (file_system, key):
            _refuse_if_interrupted()
            if not replace:
                _look(file_system, key)
            file_system.pipe_file(key, data, mode="overwrite" if replace else "create")


def _send_in_parts(target: str, content: BinaryIO, size: int, *, replace: bool) -> None:
    part_size = max(SMALLEST_PART, -(-size // LARGEST_NUMBER_OF_PARTS))
    store_errors = partial(errors_naming, target, translate=translated)
    with store_errors():
        file_system, key = resolve(target)
        upload = file_system.open(key, "wb" if replace else "xb", part_size)
    with _aborted_on_error(upload):
        while piece := content.read(CHUNK_SIZE):  # whose errors are not the store's
            with store_errors():
                _refuse_if_interrupted()
                upload.write(piece)
        with store_errors():
            _refuse_if_interrupted()
            if not replace:
                _look(file_system, key)
            upload.close()


def _look(file_system: AbstractFileSystem, key: str) -> None:
    """Refuse to replace an object; not every store has requests that refuse it themselves."""
    if file_system.exists(key):
        raise FileExistsError


@contextmanager
def _aborted_on_error(upload: AbstractBufferedFile) -> Iterator[None]:
    with _changed:
        _under_way[id(upload)] = upload
    try:
        yield
    except BaseException:
        _abort(upload)
        raise
    finally:
        with _changed:
            del _under_way[id(upload)]
            _changed.notify_all()


def _abort(upload: AbstractBufferedFile) -> None:
    upload.closed = True  # or its destructor would complete it, cut off as it is
    with suppress(Exception):  # the store may refuse that as well
        upload.discard()


def _refuse_if_interrupted() -> None:
    if _interrupted.is_set():
        raise StorageError("the run has been interrupted")


def discard_unfinished() -> None:
    """Abort every upload of this process that is under way, and let no new one begin.

    Whatever the store does, this ends in a bounded time. What it did not forget by then is left.
    """
    _interrupted.set()
    with _changed:
        # Their own threads abort them, once a part has arrived.
        _changed.wait_for(lambda: not _under_way, DISCARD_TIME / 2)
        for upload in _under_way.values():
            Thread(target=_abort, args=[upload], daemon=True).start()
        _changed.wait_for(lambda: not _under_way, DISCARD_TIME / 2)
