"""What Windows does not have, or has otherwise: a test that uses it is skipped there, and says why."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path
from typing import NoReturn

import pytest

IS_WINDOWS = sys.platform == "win32"

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

IS_WINE = False
"""Whether Windows is only imitated, and not all of it."""


class Missing:
    """Stands for a module that is not there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> NoReturn:
        if "PYTEST_CURRENT_TEST" not in os.environ:  # it is pytest itself that asks
            raise AttributeError(name)
        pytest.skip(f"Windows has no {self._name}")


if sys.platform == "win32":
    import ctypes

    fcntl, pty, resource, termios = map(Missing, ("fcntl", "pty", "resource", "termios"))
    IS_WINE = hasattr(ctypes.windll.ntdll, "wine_get_version")
else:
    import fcntl
    import pty
    import resource
    import termios

__all__ = ["fcntl", "pty", "resource", "termios"]  # that others are to find here


def posix_only(what: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test on Windows, which has none of what it is about."""
    return pytest.mark.skipif(IS_WINDOWS, reason=f"Windows has no {what}")


not_under_wine = pytest.mark.skipif(
    IS_WINE, reason="a ProcessPoolExecutor under wine may wait for ever for its own pipe"
)


def make_null(path: Path) -> Path:
    """Make a device like `/dev/null`, and return its path; the real one is not for tests."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        path.write_bytes(b"x")
    except (AttributeError, OSError):
        pytest.skip("no device can be made here")
    return path


def make_socket(path: Path) -> Path:
    """Make a socket that has a name, and return its path."""
    if IS_WINDOWS:
        pytest.skip("Windows has no sockets in folders")
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)
    return path


def make_fifo(path: Path) -> Path:
    """Make a pipe that has a name, and return its path."""
    if IS_WINDOWS:
        pytest.skip("Windows has no pipes in folders")
    os.mkfifo(path)
    return path
