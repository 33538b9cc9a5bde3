"""Paths of files, and addresses of objects such as `s3://bucket/recording.enc`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable

from filedecryptor.errors import UsageError
from filedecryptor.storage.windows import is_impossible

SUFFIX = ".enc"  # what a directory's recordings end with, in any case


def is_url(path: str) -> bool:
    """Return whether this is the address of an object: a scheme (RFC 3986), `://` and the rest."""
    # A scheme is longer than the name of a drive, as in `C://`.
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


def absolute(path: str) -> str:
    """Return a path that means the same in any directory; an empty one stays empty.

    A `..` is kept, with the name before it: that may be a link, which leads elsewhere.
    """
    from pathlib import Path  # most runs do not need it

    return path if not path or is_url(path) else str(Path(path).absolute())


def real_path(path: str) -> str:
    """Return the canonical path, links resolved; on Windows in lower case."""
    return os.path.normcase(os.path.realpath(path))


def join(directory: str, name: str) -> str:
    """Return the path or address of a name in a directory."""
    if not is_url(directory):
        return os.path.join(directory, name)
    return directory + name if directory.endswith("/") else f"{directory}/{name}"


def split(path: str) -> tuple[str, str]:
    """Return the directory and the name of a path or address, the inverse of `join`."""
    if not is_url(path):
        return os.path.split(path)
    directory, slash, name = path.rpartition("/")
    return (directory + slash if directory.endswith("/") else directory), name


def clean_extension(extension: str) -> str:
    """Return an output extension without its dot; refuse one that cannot be part of a name."""
    bare = extension.removeprefix(".")
    if not bare:
        raise UsageError("the output extension is empty")
    if any(character in bare for character in "/\\\0"):
        raise UsageError("the output extension holds a path separator or a NUL")
    if not is_possible(f"x.{bare}"):
        raise UsageError("Windows has no file with such an extension")
    return bare


def is_possible(path: str) -> bool:
    """Return whether this system can name a file as the last part of a path does."""
    name = os.path.basename(os.path.splitdrive(path)[1])
    return sys.platform != "win32" or not is_impossible(name)


def replace_suffix(path: str, extensions: Iterable[str]) -> tuple[str, ...]:
    """Return `path` with its last suffix replaced by each extension: `x.opus` for `x.opus.enc`."""
    stem = os.path.splitext(path)[0]
    return tuple(
        stem if stem.endswith(f".{extension}") else f"{stem}.{extension}"
        for extension in extensions
    )


def is_plain(part: str) -> bool:
    """Return whether a part of a key is the plain name of a file on this system."""
    return part not in {"", ".", ".."} and os.path.split(part) == ("", part) and "\0" not in part
