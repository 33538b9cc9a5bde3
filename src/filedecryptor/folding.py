"""What a file system overlooks in names, so that two of them are one file."""

from __future__ import annotations

import os
import unicodedata
from contextlib import suppress
from typing import NamedTuple

from filedecryptor.outputs import TEMPORARY_PREFIX, TEMPORARY_SUFFIX


class Folding(NamedTuple):
    """What a file system overlooks in names: two that differ in nothing else are one file.

    Attributes:
        case: The case of letters.
        form: Whether an accent is part of its letter or follows it (Unicode normalisation).
    """

    case: bool = False
    form: bool = False

    def __call__(self, name: str) -> str:
        """Return a name without what is overlooked."""
        if self.form and not name.isascii():
            name = unicodedata.normalize("NFD", name)
        if not self.case:
            return name
        folded = name.casefold()  # which may bring composed letters back
        return (
            unicodedata.normalize("NFD", folded) if self.form and not folded.isascii() else folded
        )


def folding(directory: str) -> Folding:
    """Return what the file system overlooks in the names of a directory.

    Only the file system knows: a file is made and looked for by other names. Where none can be
    made, nothing is known to be overlooked, and nothing can be written either.
    """
    name = f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
    with_accent = f"{name}\u00e9{TEMPORARY_SUFFIX}"
    return Folding(
        case=_are_one(directory, name + TEMPORARY_SUFFIX, (name + TEMPORARY_SUFFIX).upper()),
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
