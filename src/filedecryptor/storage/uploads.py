"""Uploads to stores in parts: sent whole, or aborted, also when the process is about to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Event, Thread
from typing import Protocol

from filedecryptor.errors import StorageError

DISCARD_TIME = 5.0  # seconds that a store has to forget unfinished uploads


class Upload(Protocol):
    """What is needed to let a store forget it: a file of `fsspec`, or what stands for one."""

    closed: bool

    def discard(self) -> None: ...  # noqa: D102 - a file of `fsspec` documents it


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
