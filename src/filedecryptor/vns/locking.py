"""Keeping other runs out of an archive."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

from filedecryptor.errors import FileDecryptorError
from filedecryptor.storage import pieces_of, storage_of
from filedecryptor.storage.names import is_url, join
from filedecryptor.storage.outputs import Written
from filedecryptor.vns import times

LOCK_NAME = ".vns-recordings.lock"
HOLDER_NAME = ".vns-recordings.holder"

LONGEST_RUN = timedelta(hours=6)
"""How long a marker in a store is believed. Nothing is lost if two runs meet there after all:
whatever they write is whole, and the same."""

SHOWN = 200
"""Characters of what the other run says of itself."""


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Keep other runs out of a directory, or of a folder of a store.

    Raises:
        FileDecryptorError: Another run is in it.
        OSError: The directory cannot be made or written to.
    """
    storage_of(directory).make_directory(directory)
    with _marked(directory) if is_url(directory) else _locked(directory):
        yield


def _in_use(directory: str, by: str) -> FileDecryptorError:
    return FileDecryptorError(f"another run is at work here: {by[:SHOWN]}", filename=directory)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    holder = join(directory, HOLDER_NAME)
    lock = FileLock(join(directory, LOCK_NAME))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        by = "nobody knows which"
        with suppress(OSError), open(holder, encoding="utf-8", errors="replace") as file:
            by = file.read(SHOWN).strip()
        raise _in_use(directory, by) from None
    try:
        _write(holder, f"{_myself()}, since {times.shown(times.now())}\n".encode(), replace=True)
        yield
    finally:
        lock.release()


@contextmanager
def _marked(directory: str) -> Iterator[None]:
    """Put a marker into a folder: an object that is created only if it is not there."""
    marker = join(directory, LOCK_NAME)
    own = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": times.shown(times.now()),
        "id": uuid4().hex,
    }
    data = json.dumps(own).encode("ascii")
    try:
        _write(marker, data, replace=False)
    except FileExistsError:
        found = _read(marker)
        if found is not None and not _is_abandoned(found):
            who = f"process {found.get('process')} on {found.get('host')}"
            raise _in_use(directory, f"{who}, since {found.get('since')}") from None
        _write(marker, data, replace=True)
    try:
        yield
    finally:
        with suppress(OSError, FileDecryptorError):  # it is believed for some hours only
            if _read(marker) == own:
                storage_of(marker).remove(marker)


def _myself() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _write(path: str, data: bytes, *, replace: bool) -> None:
    storage_of(path).publish(path, BytesIO(data), replace=replace, written=Written())


def _read(marker: str) -> dict[str, Any] | None:
    """Return what a marker says; None if it has gone, or says nothing that is understood."""
    try:
        found = json.loads(b"".join(pieces_of(marker)))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_abandoned(marker: dict[str, Any]) -> bool:
    """Return whether whoever made a marker has been killed, or has had more than enough time."""
    since = times.parse(marker.get("since"))
    if since is None or times.now() - since > LONGEST_RUN:
        return True
    process = marker.get("process")
    if marker.get("host") != socket.gethostname() or not isinstance(process, int):
        return False
    return not _is_running(process)


def _is_running(process: int) -> bool:
    if os.name != "posix":  # where asking would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return process > 0
