"""Where recordings lie and audio goes: on the disk, or in an object store.

`storage_of` returns the module that knows the place; each of them has the functions below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO, Protocol

from filedecryptor import files
from filedecryptor.errors import FileDecryptorError
from filedecryptor.names import is_url

if TYPE_CHECKING:
    from filedecryptor.format import Source
    from filedecryptor.outputs import PendingFile, Written


class Storage(Protocol):
    """What is asked of a place. Paths are paths or addresses, as the user wrote them."""

    def is_directory(self, path: str, /) -> bool:
        """Return whether recordings are to be looked for below this."""

    def recordings_below(
        self,
        directory: str,
        suffix: str,
        on_error: Callable[[str, FileDecryptorError | OSError], object],
        on_link: Callable[[str], object],
        /,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield each folder that holds recordings, their names, and those that are links."""

    def real_path(self, path: str, /) -> str:
        """Return the one name of a place that all its names have in common."""

    def size_of(self, path: str, /) -> int | None:
        """Return the length of a file in bytes; None if there is none, or nobody knows it."""

    def make_directory(self, path: str, /) -> None:
        """Make a directory if it is not there."""

    def open_source(self, path: str, /) -> AbstractContextManager[Source]:
        """Open a recording."""

    def check_target(self, target: str, source: str | int, /) -> None:
        """Refuse an output that cannot or must not be written."""

    def nameless(self, target: str, /) -> PendingFile | None:
        """Return a file without a name that `publish` can give it, if there is such a thing."""

    def publish(
        self, target: str, content: BinaryIO, /, *, replace: bool, written: Written
    ) -> None:
        """Let what is in a file appear whole as `target`."""

    def discard_unfinished(self) -> None:
        """Remove what is being written, and let no more begin: the process is about to end."""


def storage_of(path: str) -> Storage:
    """Return the place that a path or an address belongs to."""
    if is_url(path):
        from filedecryptor import objects

        return objects
    return files


def discard_unfinished() -> None:
    """Remove what is being written, and let no more begin: the process is about to end."""
    files.discard_unfinished()
    if objects := sys.modules.get("filedecryptor.objects"):
        objects.discard_unfinished()
