"""What is written to, never replaced: FIFOs, character devices and open files, as `/dev/fd/3`."""

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
from filedecryptor.storage.disk import refuse_overwriting


def is_stream(path: str) -> bool:
    """Return whether a path names such a thing, also by way of links."""
    with suppress(OSError, ValueError):
        if stat.S_IFMT(os.stat(path).st_mode) in {stat.S_IFIFO, stat.S_IFCHR}:
            return True
    return descriptor_of(path) is not None


def descriptor_of(path: str) -> int | None:
    """Return the descriptor of this process that a path stands for; None if it is of another kind."""
    own = rf"(/dev/fd|/proc/{os.getpid()}(/task/\d+)?/fd)/(\d+)"
    with suppress(OSError, ValueError):  # it is no link
        for _ in range(40):  # as many links as Linux follows (path_resolution(7))
            directory, name = os.path.split(path)
            path = os.path.join(os.path.realpath(directory), name)
            if found := re.fullmatch(own, path):
                return int(found[3])
            path = os.path.join(directory, os.readlink(path))
    return None


def check_place(path: str) -> None:
    """Refuse what is no file as an input in /dev or /proc, where no output belongs beside it."""
    directory = os.path.realpath(os.path.dirname(path))
    if re.match(r"/(dev(?!/shm)|proc)(/|$)", directory) and os.path.exists(path):
        raise UsageError(
            "it is a stream or a device, so no output can be written beside it",
            hint="name the output with -o or -d",
        )


@contextmanager
def _opened(path: str, flags: int = 0) -> Iterator[FileIO]:
    """Open a stream for writing, as a shell does: a FIFO waits for its reader."""
    with errors_naming(path):
        if (number := descriptor_of(path)) is not None:  # opened anew, it would be at its beginning
            descriptor = os.dup(number)
        else:
            descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | flags)
        with open(descriptor, "wb", buffering=0) as file:
            yield file


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
            data = memoryview(piece)
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
    try:
        with _opened(path, getattr(os, "O_NONBLOCK", 0)) as file:
            while data:
                data = data[os.write(file.fileno(), data) :]
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.EAGAIN}:  # of a FIFO, or a terminal that is stopped
            raise OSError(error.errno, "No process reads from it", path) from None
        raise
    return True
