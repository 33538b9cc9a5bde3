"""Uploads to stores in parts: sent whole, or aborted, also when the process is about to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, BinaryIO, Protocol

from filedecryptor.errors import StorageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

DISCARD_TIME = 5.0  # seconds that a store has to forget unfinished uploads


class Upload(Protocol):
    """A file of `fsspec` that is being written."""

    closed: bool

    def write(self, data: bytes, /) -> object: ...  # noqa: D102 - `fsspec` documents it
    def close(self) -> None: ...  # noqa: D102 - as above
    def discard(self) -> None: ...  # noqa: D102 - as above


class InPlace:
    """A file that is seen under its name while it is written, as if it were an upload in parts."""

    closed = False

    def __init__(self, file: BinaryIO, remove: Callable[[], object]) -> None:
        self.write = file.write
        self.close = file.close
        self._remove = remove

    def discard(self) -> None:
        """Remove what has been written so far, also if the last of it cannot be written."""
        with suppress(Exception):
            self.close()
        self._remove()


def begin(file_system: AbstractFileSystem, key: str, mode: str, part_size: int) -> Upload:
    """Begin to write an object."""
    from fsspec.spec import AbstractBufferedFile

    file = file_system.open(key, mode, part_size)
    initiate = AbstractBufferedFile._initiate_upload  # noqa: SLF001 - overridden by uploads in parts
    if getattr(type(file), "_initiate_upload", initiate) is initiate:
        return InPlace(file, partial(file_system.rm_file, key))
    upload: Upload = file
    return upload


_changed = Condition()
_under_way: dict[int, Upload] = {}  # guarded by `_changed`
_interrupted = Event()


@contextmanager
def aborted_on_error(upload: Upload) -> Iterator[None]:
    """Abort an upload whatever is raised inside, or if the process is about to end."""
    with _changed:
        _under_way[id(upload)] = upload
    try:
        yield
    except BaseException:
        abort(upload)
        raise
    finally:
        with _changed:
            del _under_way[id(upload)]
            _changed.notify_all()


def abort(upload: Upload) -> None:
    """Let the store forget what it has got so far."""
    upload.closed = True  # or its destructor would complete it, cut off as it is
    with suppress(Exception):  # the store may refuse that as well
        upload.discard()


def refuse_if_interrupted() -> None:
    """Raise an error if the process is about to end."""
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
            Thread(target=abort, args=[upload], daemon=True).start()
        _changed.wait_for(lambda: not _under_way, DISCARD_TIME / 2)
