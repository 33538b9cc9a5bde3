"""Names of outputs, and what tells the name of a file from the address of an object."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from filedecryptor.errors import UsageError

SUFFIX = ".enc"
"""What a directory's recordings end with, in any case."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # longer than the C of C://


def is_url(path: str) -> bool:
    """Return whether this is the address of an object, such as `s3://bucket/recording.enc`."""
    return _URL.match(path) is not None


def absolute(path: str) -> str:
    """Return a path that means the same in any directory; an empty one stays what it is.

    No `..` is taken away with the name before it: that may be a link, which leads elsewhere.
    """
    from pathlib import Path  # which most runs do without

    return path if not path or is_url(path) else str(Path(path).absolute())


def join(directory: str, name: str) -> str:
    """Return the path or address of what is called `name` in a directory."""
    if not is_url(directory):
        return os.path.join(directory, name)
    return directory + name if directory.endswith("/") else f"{directory}/{name}"


def split(path: str) -> tuple[str, str]:
    """Return a directory and a name in it that `join` makes `path` of again."""
    if not is_url(path):
        return os.path.split(path)
    directory, slash, name = path.rpartition("/")
    return (directory + slash if directory.endswith("/") else directory), name


def clean_extension(extension: str) -> str:
    """Return an output extension without its dot.

    Raises:
        UsageError: Nothing is left of it, or it would choose another directory.
    """
    bare = extension.removeprefix(".")
    if not bare:
        raise UsageError("the output extension is empty")
    if any(character in bare for character in "/\\\0"):
        raise UsageError("the output extension holds a path separator or a NUL")
    return bare


def replace_suffix(path: str, extensions: Iterable[str]) -> tuple[str, ...]:
    """Return `path` with its last suffix replaced by each extension.

    `x.opus.enc` and `opus` give `x.opus`.
    """
    stem = os.path.splitext(path)[0]
    return tuple(
        stem if stem.endswith(f".{extension}") else f"{stem}.{extension}"
        for extension in extensions
    )
