"""What an address leads to, by `fsspec`, and what stores say in our errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

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

MARKS = ("::", "?versionId=")
"""What fsspec and s3fs do not take for a part of a key: chains, and versions of objects."""


def resolve(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an address, and the key of the object there."""
    if any(mark in url for mark in MARKS):
        raise UsageError("chains and versions of objects are not understood")
    if url.lower().startswith(("file:", "local:")):  # which would be written in place
        raise UsageError("this is on the disk", hint="give the path alone")
    try:
        # What is listed is never remembered: other programs change it too.
        if url.startswith(("s3://", "s3a://")):
            from filedecryptor.storage.s3 import S3

            file_system = S3(use_listings_cache=False)
            return file_system, file_system._strip_protocol(url)  # noqa: SLF001 - its only name
        from fsspec import url_to_fs

        return cast("tuple[AbstractFileSystem, str]", url_to_fs(url, use_listings_cache=False))
    except ImportError as error:
        missing = "fsspec" if error.name == "fsspec" else url.partition(":")[0]
        is_ours = missing in {"fsspec", "s3", "s3a"}
        hint = missing_extra("s3") if is_ours else str(error)
        raise UsageError("the package for such addresses is not installed", hint=hint) from None
    except ValueError as error:
        raise UsageError(in_one_line(error)) from None


def translated(error: Exception) -> Failure:
    """Return our error for what a store raised; each store has exceptions of its own."""
    for kind, number in (FileNotFoundError, errno.ENOENT), (FileExistsError, errno.EEXIST):
        if isinstance(error, kind):
            return OSError(number, error.strerror or os.strerror(number))
    # The text of some begins with their number.
    cause = in_one_line(getattr(error, "strerror", None) or error)
    if isinstance(error, (ConnectionError, TimeoutError)):
        return UnavailableError(cause)
    return StorageError(cause)


@contextmanager
def asking(url: str) -> Iterator[tuple[AbstractFileSystem, str]]:
    """Yield the file system and the key of an address; what is raised inside is our error for it."""
    with errors_naming(url, translate=translated):
        yield resolve(url)
