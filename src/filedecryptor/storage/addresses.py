"""Addresses of objects: the store and the key that each leads to, and what stores raise."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from filedecryptor.errors import (
    Failure,
    StorageError,
    UnavailableError,
    UsageError,
    errors_naming,
    in_one_line,
    missing_extra,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MARKS = ("::", "?versionId=")  # of chains, and of versions of objects, to fsspec and s3fs

# Errors of connections, by name: Python's, aiohttp's and Azure's.
PASSING = {"ConnectionError", "TimeoutError", "ClientConnectionError", "ClientPayloadError"}
PASSING |= {"ServiceRequestError", "ServiceResponseError"}

LOGGERS = {"adlfs", "aiobotocore", "aiohttp", "asyncio", "azure", "botocore", "fsspec", "gcsfs"}
LOGGERS |= {"google", "s3fs", "urllib3"}


@cache
def _keep_logs_from_the_terminal() -> None:
    import logging

    # What these log, as of connections that were given up, would be printed, were there no handler.
    for name in LOGGERS:
        logging.getLogger(name).addHandler(logging.NullHandler())


def resolve(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an address, and the key of the object there."""
    if any(mark in url for mark in MARKS):
        raise UsageError("chains and versions of objects are not understood")
    if url.lower().startswith(("file:", "local:")):  # which would be written in place
        raise UsageError("this is on the disk", hint="give the path alone")
    _keep_logs_from_the_terminal()
    try:
        if url.startswith(("s3://", "s3a://")):
            from filedecryptor.storage.s3 import S3

            file_system = S3(use_listings_cache=False)
            return file_system, file_system._strip_protocol(url)  # noqa: SLF001 - its only name
        from fsspec import url_to_fs

        file_system, key = url_to_fs(url)
        # What is listed is never remembered: other programs change it too. Some take no option.
        file_system.dircache.use_listings_cache = False
    except ImportError as error:
        missing = "fsspec" if error.name == "fsspec" else url.partition(":")[0]
        is_ours = missing in {"fsspec", "s3", "s3a"}
        hint = missing_extra("s3") if is_ours or hasattr(sys, "frozen") else str(error)
        raise UsageError("the package for such addresses is not installed", hint=hint) from None
    except ValueError as error:
        raise UsageError(in_one_line(error)) from None
    # Some drop a tab, or a `#` at the end: that would be another object.
    if not url.rstrip("/").endswith(key.partition("/")[2].rstrip("/")):
        raise UsageError("the package for such addresses does not take this key as it is")
    return file_system, key


def translated(error: Exception) -> Failure:
    """Return our error for what a store raised; each store has exceptions of its own."""
    for kind, number in (FileNotFoundError, errno.ENOENT), (FileExistsError, errno.EEXIST):
        if isinstance(error, kind):
            return OSError(number, in_one_line(error.strerror or os.strerror(number)))
    # Some packages put a sentence of their own around what has failed.
    cause = error.__cause__ if isinstance(error, RuntimeError) else None
    failure = cause if isinstance(cause, Exception) else error
    return (UnavailableError if _is_passing(failure) else StorageError)(_sentence(failure))


def _is_passing(failure: Exception) -> bool:
    kinds = {kind.__name__ for kind in type(failure).__mro__}
    status = getattr(failure, "status_code", None) or getattr(failure, "code", None)
    # A code may be that of something else than HTTP.
    is_busy = status == HTTPStatus.TOO_MANY_REQUESTS or status in range(500, 600)
    return is_busy or bool(kinds & PASSING)


def _sentence(failure: Exception) -> str:
    message = getattr(failure, "message", None)
    first = message.partition("\n")[0] if isinstance(message, str) else ""
    # Azure's goes on with numbers and XML. The text of some begins with their number.
    return in_one_line(first or getattr(failure, "strerror", None) or failure)


@contextmanager
def asking(url: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """Yield the file system and the key of an address; what is raised inside is our error for it."""
    with errors_naming(url, translate=translated):
        yield resolve(url)
