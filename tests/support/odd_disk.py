"""A disk that behaves as some network disks and some broken ones do; it has no nameless files.

    python tests/support/odd_disk.py ROOT MOUNTPOINT HABIT...

It keeps its files in ROOT. To one that is `folding`, names that differ in case or in Unicode
normalisation only are one file. One with `room=BYTES` is full once so many have been written. Any
other HABIT is a name of `REFUSED` and the error that it ends with, as in `link=EPERM`; `busy`
stands for several. It needs FUSE: /dev/fuse, libfuse3 and `mfusepy`.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

try:
    import mfusepy  # type: ignore[import-untyped, import-not-found, unused-ignore]
except (ImportError, OSError):  # the latter without its library
    mfusepy = None

REFUSED = {"fsync", "fsyncdir", "link", "rename_open", "rename_over", "unlink_open", "write"}
"""What such a disk can be told to refuse."""

BUSY = ("fsyncdir=EOPNOTSUPP", "link=EOPNOTSUPP", "rename_open=EBUSY", "unlink_open=EBUSY")
"""The habits of a disk that is `busy`."""


@contextmanager
def mounted(folder: Path, *habits: str, root: Path | None = None) -> Iterator[Path]:
    """Make such a disk in a folder, `folding` without habits; yield where it is, and remove it."""
    if mfusepy is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/fuse, fusermount3 and mfusepy")
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    if root is None:
        root = folder / "root"
        root.mkdir()
    process = subprocess.Popen(
        [sys.executable, __file__, str(root), str(disk), *(habits or ("folding",))],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout
        if not process.stdout.readline():
            pytest.skip("no disk may be mounted here")
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=False)
        process.wait(30)


def fold(name: str) -> str:
    """Return a name without what such a disk overlooks."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


class _Disk(mfusepy.Operations if mfusepy else object):  # type: ignore[misc, unused-ignore]
    """What the kernel asks of the disk."""

    use_ns = True

    def __init__(self, root: str, habits: list[str]) -> None:
        self._root = root
        if "busy" in habits:
            habits = [*habits, *BUSY]
        self._folds = "folding" in habits
        values = dict(habit.split("=") for habit in habits if "=" in habit)
        room = values.pop("room", None)
        self._room = None if room is None else int(room)
        assert values.keys() <= REFUSED, values
        self._refused = {name: getattr(errno, value) for name, value in values.items()}
        self._open: dict[int, str] = {}

    def _real(self, path: str) -> str:
        """Return where a path of the disk is kept."""
        found = self._root
        for part in filter(None, path.split("/")):
            names = os.listdir(found) if self._folds and os.path.isdir(found) else []
            name = next((name for name in names if fold(name) == fold(part)), part)
            found = os.path.join(found, name)
        return found

    def _refuse(self, operation: str, *, given: bool = True) -> None:
        """End an operation with its error, if there is one and what it depends on is given."""
        if given and operation in self._refused:
            number = self._refused[operation]
            raise OSError(number, os.strerror(number))

    def _is_open(self, path: str) -> bool:
        return self._real(path) in self._open.values()

    def init(self, _: str) -> None:
        os.write(1, b"\n")  # the process that waits may begin

    def getattr(self, path: str, *_: object) -> dict[str, Any]:
        found = os.lstat(self._real(path))
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino")
        return {name: getattr(found, name) for name in names}

    def readdir(self, path: str, *_: object) -> list[tuple[str, dict[str, Any], int]]:
        names = [".", "..", *os.listdir(self._real(path))]
        return [(name, self.getattr(os.path.join(path, name)), 0) for name in names]

    def create(self, path: str, mode: int, *_: object) -> int:
        return self._opened(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    def open(self, path: str, flags: int) -> int:
        return self._opened(path, flags & ~(os.O_CREAT | os.O_EXCL))

    def _opened(self, path: str, flags: int, mode: int = 0) -> int:
        file = os.open(self._real(path), flags, mode)
        self._open[file] = self._real(path)
        return file

    def read(self, *where: Any) -> bytes:
        _, size, offset, file = where
        return os.pread(file, size, offset)

    def write(self, *where: Any) -> int:
        _, data, offset, file = where
        self._refuse("write")
        if self._room is not None:
            self._room -= len(data)
            if self._room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.pwrite(file, data, offset)

    def flush(self, *where: Any) -> None:
        self._open.pop(where[-1], None)  # it is being closed; `release` comes some time later

    def release(self, *where: Any) -> None:
        os.close(where[-1])

    def truncate(self, path: str, length: int, *_: object) -> None:
        os.truncate(self._real(path), length)

    def fsync(self, *where: Any) -> None:
        self._refuse("fsync")
        os.fsync(where[-1])

    def fsyncdir(self, *_: object) -> None:
        self._refuse("fsyncdir")

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._real(path), mode)

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._real(path), mode)

    def unlink(self, path: str) -> None:
        self._refuse("unlink_open", given=self._is_open(path))
        os.unlink(self._real(path))

    def rename(self, old: str, new: str) -> None:
        self._refuse("rename_open", given=self._is_open(old))
        self._refuse("rename_over", given=os.path.lexists(self._real(new)))
        os.rename(self._real(old), self._real(new))

    def link(self, target: str, source: str) -> None:
        self._refuse("link")
        os.link(self._real(source), self._real(target))


if __name__ == "__main__":
    mfusepy.FUSE(
        _Disk(sys.argv[1], sys.argv[3:]),
        sys.argv[2],
        foreground=True,
        nothreads=True,
        attr_timeout=0,
        entry_timeout=0,
        hard_remove=True,
        use_ino=True,
    )
