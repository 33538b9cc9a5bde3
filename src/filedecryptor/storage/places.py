"""Which names are one place, by links and by what a file system ignores in names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Hashable
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from filedecryptor.storage import storage_of
from filedecryptor.storage.names import is_url, join
from filedecryptor.storage.temporary import SUFFIX, random_name

Place: TypeAlias = tuple[str, str]
"""A directory and a name in it."""


class Folding(NamedTuple):
    """What a file system ignores in names: two that differ in nothing else are one file.

    Attributes:
        case: The case of letters.
        form: Whether an accent is part of its letter or follows it (Unicode normalisation).
    """

    case: bool = False
    form: bool = False

    def __call__(self, name: str) -> str:
        """Return a name without what is ignored."""
        if self.form and not name.isascii():
            name = unicodedata.normalize("NFD", name)
        if not self.case:
            return name
        folded = name.casefold()  # which may bring composed letters back
        return (
            unicodedata.normalize("NFD", folded) if self.form and not folded.isascii() else folded
        )


def folding(directory: str) -> Folding:
    """Return what the file system ignores in the names of a directory.

    A file is made there, and looked for by other names. Where none can be made, nothing can be
    written either.
    """
    name = random_name()
    with_accent = f"{name}\u00e9{SUFFIX}"
    return Folding(
        case=_are_one(directory, name + SUFFIX, (name + SUFFIX).upper()),
        form=_are_one(directory, with_accent, unicodedata.normalize("NFD", with_accent)),
    )


def _are_one(directory: str, name: str, other: str) -> bool:
    path = os.path.join(directory, name)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return os.path.lexists(os.path.join(directory, other))
    except (OSError, UnicodeEncodeError):  # the latter where no file can have such a name
        return False
    finally:
        with suppress(OSError, UnicodeEncodeError):
            os.unlink(path)


EVERYTHING = Folding(case=True, form=True)
"""What any file system may ignore."""


class _Disk(NamedTuple):
    """Where the outputs of a directory are to lie.

    Attributes:
        directory: The identity of the nearest directory that exists.
        missing: The path that is still to be made below it.
        folding: What is ignored in names there.
    """

    directory: Hashable
    missing: str
    folding: Folding


class Places:
    """Finds out which places are one; each directory is examined once."""

    def __init__(self) -> None:
        self._real_paths: dict[str, str] = {}
        self._roughly: dict[str, tuple[str, bool]] = {}
        self._disks: dict[str, _Disk] = {}

    def roughly(self, place: Place) -> int:
        """Return a hash that is equal for places that any file system may hold to be one."""
        directory, name = place
        if directory not in self._roughly:
            real = self._real_path(directory)
            is_disk = not is_url(directory)
            self._roughly[directory] = (EVERYTHING(real) if is_disk else real), is_disk
        real, is_disk = self._roughly[directory]
        return hash((real, EVERYTHING(name) if is_disk else name))

    def by_name(self, place: Place) -> Place:
        """Return what is equal for the same name in the same directory."""
        directory, name = place
        return self._real_path(directory), name if is_url(directory) else os.path.normcase(name)

    def of_file(self, place: Place) -> Hashable:
        """Return what is equal for names of one file that is there; a link is another file.

        Nothing is written to find that out.
        """
        directory, name = self.by_name(place)
        if not is_url(directory):
            with suppress(OSError):
                found = os.lstat(join(directory, name))
                if found.st_ino and found.st_nlink == 1:  # else another name may be meant
                    return found.st_dev, found.st_ino
        return directory, name

    def on_disk(self, place: Place) -> Hashable:
        """Return what is equal for names that are one where they are, or are to be."""
        directory, name = self.by_name(place)
        if is_url(directory):
            return directory, name
        disk = self._disk_of(directory)
        return disk.directory, disk.folding(disk.missing), disk.folding(name)

    def _real_path(self, directory: str) -> str:
        if directory not in self._real_paths:
            self._real_paths[directory] = storage_of(directory).real_path(directory)
        return self._real_paths[directory]

    def _disk_of(self, directory: str) -> _Disk:
        if directory not in self._disks:
            parent, name = os.path.split(directory)
            if os.path.isdir(directory) or parent == directory:
                self._disks[directory] = _Disk(_identity(directory), "", folding(directory))
            else:
                above = self._disk_of(parent)
                self._disks[directory] = above._replace(missing=join(above.missing, name))
        return self._disks[directory]


def _identity(directory: str) -> Hashable:
    """Return the identity of a directory, whatever its name."""
    try:
        found = os.stat(directory)
    except OSError:
        return directory
    return (found.st_dev, found.st_ino) if found.st_ino else directory
