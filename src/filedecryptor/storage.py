"""Where recordings lie and audio goes: on the disk, or in an object store.

`storage_of` returns the module that knows the place; each of them has the functions below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from filedecryptor import files
from filedecryptor.errors import FileDecryptorError
from filedecryptor.names import is_url

if TYPE_CHECKING:
    from filedecryptor.format import Source


class Pending(Protocol):
    """An output being written that nobody sees yet."""

    def write(self, data: memoryview, /) -> None:
        """Append all of `data`."""

    def commit(self, target: str, /, *, replace: bool) -> None:
        """Let it appear whole as `target`."""


class Storage(Protocol):
    """What is asked of a place. Paths are paths or addresses, as the user wrote them."""

    def is_directory(self, path: str, /) -> bool:
        """Return whether recordings are to be looked for below this."""

    def recordings_below(
        self,
        directory: str,
        suffix: str,
        on_error: Callable[[str, FileDecryptorError | OSError], object],
        /,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield each folder that holds recordings, their names, and those that are links."""

    def real_path(self, path: str, /) -> str:
        """Return the one name of a place that all its names have in common."""

    def size_of(self, path: str, /) -> int:
        """Return the length of a file in bytes, 0 if it has none."""

    def make_directory(self, path: str, /) -> None:
        """Make a directory if it is not there."""

    def open_source(self, path: str, /) -> AbstractContextManager[Source]:
        """Open a recording."""

    def exists(self, target: str, /) -> bool:
        """Return whether there is an output of that name."""

    def check_target(self, target: str, source: str | int, /) -> None:
        """Refuse an output that cannot or must not be written."""

    def pending_file(self, target: str, /) -> AbstractContextManager[Pending]:
        """Begin an output; without a `commit` nothing of it stays."""


def storage_of(path: str) -> Storage:
    """Return the place that a path or an address belongs to."""
    if is_url(path):
        from filedecryptor import objects

        return objects
    return files
