"""What is written to rather than replaced: FIFOs, character devices, and files that are open.

The last are named by their descriptors, as `/dev/stdout` or `/dev/fd/3`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from typing import BinaryIO

from filedecryptor.core.decryptor import OnProgress, ignore
from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.errors import UsageError, errors_naming
from filedecryptor.storage.atomic import NOT_A_FILE
from filedecryptor.storage.disk import refuse_overwriting

LINKS = 40  # that Linux follows (path_resolution(7))


def is_stream(path: str) -> bool:
    """Return whether a path names such a thing, also by way of links."""
    return descriptor_of(path) is not None or _is_special(_mode_of(path))


def descriptor_of(path: str) -> int | None:
    """Return the descriptor of this process that a path stands for; None if it is of another kind."""
    for directory, name in _steps(path):
        own = re.fullmatch(rf"/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd", directory)
        if own and name.isdecimal():
            return int(name)
    return None


def check_place(path: str) -> None:
    """Refuse an input beside which no output belongs: what is no file, below /dev or /proc."""
    if not (mode := _mode_of(path)):  # which is said when it is opened
        return
    inside = [directory for directory, _ in _steps(path)]
    if any(_is_below(directory, "/proc") for directory in inside) or (
        _is_below(inside[-1], "/dev") and not stat.S_ISREG(mode)
    ):
        raise UsageError(
            "it is a stream or a device, so no output can be written beside it",
            hint="name the output with -o or -d",
        )


def _is_below(directory: str, top: str) -> bool:
    return f"{directory}/".startswith(f"{top}/")


def _steps(path: str) -> Iterator[tuple[str, str]]:
    """Yield the canonical directory and the name of a path, then of what each link leads to."""
    with suppress(OSError, ValueError):  # it is no link
        for _ in range(LINKS):
            directory, name = os.path.split(path)
            directory = os.path.realpath(directory)
            yield directory, name
            path = os.path.join(directory, os.readlink(os.path.join(directory, name)))


def _mode_of(path: str) -> int:
    """Return the type and the permissions of what a path leads to; 0 if there is nothing."""
    with suppress(OSError, ValueError):
        return os.stat(path).st_mode
    return 0


def _is_special(mode: int) -> bool:
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


@contextmanager
def _opened(path: str, *, waits: bool = True) -> Iterator[FileIO]:
    """Open a stream for writing, as a shell does: a FIFO waits for its reader, or is refused."""
    with errors_naming(path):
        try:
            with open(_descriptor(path, waits=waits), "wb", buffering=0) as file:
                yield file
        except OSError as error:
            if error.errno in {errno.ENXIO, errno.EAGAIN} and stat.S_ISFIFO(_mode_of(path)):
                raise OSError(error.errno, "No process reads from it") from None
            raise


def _descriptor(path: str, *, waits: bool) -> int:
    if (number := descriptor_of(path)) is not None:  # opened anew, it would be at its beginning
        return os.dup(number)
    flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0)
    descriptor = os.open(path, flags if waits else flags | getattr(os, "O_NONBLOCK", 0))
    if not _is_special(os.fstat(descriptor).st_mode):  # another file has taken its place
        os.close(descriptor)
        raise OSError(errno.EINVAL, NOT_A_FILE)
    return descriptor


def check_target(target: str, source: str | int | None) -> None:
    """Refuse a stream that is the source."""
    number = descriptor_of(target)
    with errors_naming(target):
        found = os.stat(target) if number is None else os.fstat(number)
    refuse_overwriting(found, target, source)


def write(target: str, content: BinaryIO, on_progress: OnProgress = ignore) -> None:
    """Write all that is in a file to a stream, however long that takes."""
    with _opened(target) as file:
        while piece := content.read(CHUNK_SIZE):
            on_progress(0)
            _write_all(file, memoryview(piece))


def _write_all(file: FileIO, data: memoryview) -> None:
    while data:
        count = file.write(data)
        if count is None:  # whoever shares the stream has put it into non-blocking mode
            from select import select

            select([], [file], [])
        data = data[count or 0 :]


def write_to_stream(path: str, data: bytes) -> bool:
    """Write to a stream that takes it at once; return False, and do nothing, if `path` is none."""
    if not is_stream(path):
        return False
    with _opened(path, waits=False) as file:
        while data:
            data = data[os.write(file.fileno(), data) :]
    return True
