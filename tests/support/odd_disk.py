"""A disk that behaves as some network disks do; it has no files without names either.

    python tests/support/odd_disk.py ROOT MOUNTPOINT KIND

It keeps its files in ROOT. On one of the KIND `folding`, names that differ in case or in Unicode
normalisation only are one file. One that is `busy` neither renames nor removes an open file, has no
hard links, and flushes no directories. FUSE is what it needs: /dev/fuse, libfuse3 and `mfusepy`.
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

REASON = "needs /dev/fuse, fusermount3 and mfusepy"


def is_possible() -> bool:
    """Return whether such a disk can be had here."""
    return mfusepy is not None and os.access("/dev/fuse", os.R_OK | os.W_OK)


@contextmanager
def mounted(folder: Path, kind: str = "folding") -> Iterator[Path]:
    """Make such a disk in a folder, yield where it is, and take it away again."""
    root, disk = folder / "root", folder / "disk"
    root.mkdir()
    disk.mkdir()
    process = subprocess.Popen(
        [sys.executable, __file__, str(root), str(disk), kind], stdout=subprocess.PIPE
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

    def __init__(self, root: str, kind: str) -> None:
        self._root = root
        self._folds = kind == "folding"
        self._is_busy = kind == "busy"
        self._open: dict[int, str] = {}

    def _real(self, path: str) -> str:
        """Return where a path of the disk is kept."""
        found = self._root
        for part in filter(None, path.split("/")):
            names = os.listdir(found) if self._folds and os.path.isdir(found) else []
            name = next((name for name in names if fold(name) == fold(part)), part)
            found = os.path.join(found, name)
        return found

    def init(self, path: str) -> None:
        os.write(1, os.fsencode(path) + b"\n")  # whoever waits may begin

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

    def _refuse_if_busy(self, path: str) -> None:
        if self._is_busy and self._real(path) in self._open.values():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def read(self, *where: Any) -> bytes:
        _, size, offset, file = where
        return os.pread(file, size, offset)

    def write(self, *where: Any) -> int:
        _, data, offset, file = where
        return os.pwrite(file, data, offset)

    def release(self, *where: Any) -> int:
        os.close(where[-1])
        del self._open[where[-1]]
        return 0

    def truncate(self, path: str, length: int, *_: object) -> int:
        os.truncate(self._real(path), length)
        return 0

    def fsyncdir(self, *_: object) -> int:
        if self._is_busy:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._real(path), mode)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._real(path), mode)
        return 0

    def unlink(self, path: str) -> int:
        self._refuse_if_busy(path)
        os.unlink(self._real(path))
        return 0

    def rename(self, old: str, new: str) -> int:
        self._refuse_if_busy(old)
        os.rename(self._real(old), self._real(new))
        return 0

    def link(self, target: str, source: str) -> int:
        if self._is_busy:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        os.link(self._real(source), self._real(target))
        return 0


if __name__ == "__main__":
    mfusepy.FUSE(
        _Disk(sys.argv[1], sys.argv[3]),
        sys.argv[2],
        foreground=True,
        nothreads=True,
        attr_timeout=0,
        entry_timeout=0,
        hard_remove=True,
        use_ino=True,
    )
