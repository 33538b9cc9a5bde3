"""Every exception the package raises of its own. Each knows the command's exit code for it.

What the operating system refuses stays the `OSError` that it is, with `filename` set
(exit code 1).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager


class FileDecryptorError(Exception):
    """The base of all exceptions here; never raised itself.

    Args:
        cause: What is wrong, in one line, without the file's name.
        hint: What the reader can do about it, if there is something.
        filename: The file it is about, if there is one.
    """

    exit_code = 1

    def __init__(self, cause: str, *, hint: str | None = None, filename: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint
        self.filename = filename

    def __str__(self) -> str:
        return f"{self.filename}: {self.cause}" if self.filename else self.cause


class UsageError(FileDecryptorError):
    """What was asked for makes no sense: nothing was read or written."""

    exit_code = 2


class AuthenticationError(FileDecryptorError):
    """The tag does not fit: the password is wrong, or the file was altered."""

    exit_code = 3


class NotEncError(FileDecryptorError):
    """The bytes cannot be an `.enc` file: there are too few of them, or too many."""

    exit_code = 4


class UnknownFormatError(FileDecryptorError):
    """The audio is none of opus, mp3 and wav, so `auto` has no name for it."""

    exit_code = 5


class StorageError(FileDecryptorError):
    """An object store could not be reached, or refused something."""


class UnavailableError(StorageError):
    """An object store does not answer, or keeps failing."""


class ClusterError(FileDecryptorError):
    """The cluster cannot be reached, went away, or does not have this package."""


class WorkerError(FileDecryptorError):
    """What worked on a recording elsewhere ended without an answer."""


class UnexpectedError(FileDecryptorError):
    """Something that nobody foresaw; a defect of this package, or of one that it uses."""


class TokenError(FileDecryptorError):
    """The API refused the token."""

    exit_code = 6


class ApiError(FileDecryptorError):
    """The API could not be reached, kept failing, or sent what is not understood."""

    exit_code = 7


class NotFoundError(FileDecryptorError):
    """The API has no such recording."""


_LONGEST_TEXT = 400
"""Characters of somebody else's message that are shown."""

_SECRETS_IN_ADDRESSES = r"(?<=://)[^\s/@]*@|\?[^\s'\"]*=[^\s'\"]*"
"""Names and passwords before a host, and queries, which may hold a signature."""


def in_one_line(text: object) -> str:
    """Return what another package or a server says, as one line of bounded length."""
    line = re.sub(_SECRETS_IN_ADDRESSES, "", " ".join(str(text).split())) or type(text).__name__
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."


def unexpected(error: Exception) -> FileDecryptorError | OSError:
    """Return an error of ours for one that nobody foresaw.

    It says where that comes from, and not what it says itself, which may hold a secret. Only a lack
    of memory is known by what it says, where a library could not be loaded for it.
    """
    if isinstance(error, ImportError) and re.search("memory|failed to map", str(error)):
        return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    from traceback import extract_tb

    frame = extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}, line {frame.lineno}"
    return UnexpectedError(
        f"unexpected {type(error).__name__} in {place}", hint="please report this"
    )


@contextmanager
def errors_naming(path: str) -> Iterator[None]:
    """Let errors that name no file speak of this one."""
    try:
        yield
    except FileDecryptorError as error:
        error.filename = error.filename or path
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), path) from error
