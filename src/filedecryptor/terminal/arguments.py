"""What the arguments of a command line are, and what is said of those that make no sense.

Any argument may be the password, wherever it stands. So none is repeated unless it names something
that exists, or ends as recordings do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from filedecryptor.audio import FORMATS
from filedecryptor.errors import UsageError
from filedecryptor.jobs.job import AUTO
from filedecryptor.storage.paths import SUFFIX, is_url

USAGE = "FILENAME... PASSWORD OUTPUTEXTENSION"
ORDER = f"the order is {USAGE}"
ELSEWHERE = "-"
"""What stands for a password that is not on the command line."""


class Arguments(NamedTuple):
    """FILENAMEs, PASSWORD and OUTPUTEXTENSION; None for what was left out."""

    filenames: list[str]
    password: str | None
    extension: str | None

    def __repr__(self) -> str:
        return "Arguments(...)"  # one of them is a secret


class Given(NamedTuple):
    """Which options are given that let an argument be left out."""

    names: bool = False
    password: bool = False
    output: bool = False
    verify: bool = False


def told_apart(words: Sequence[str], given: Given) -> Arguments:
    """Return what each argument is, options left out."""
    needs_extension = not (given.output or given.verify)
    fewest = (not given.names) + (not given.password) + needs_extension
    if len(words) < fewest:
        raise _too_few(words, given, needs_extension=needs_extension)
    rest = list(words)
    extension = password = None
    if needs_extension or (len(rest) > fewest and _ends_with_extension(rest, given)):
        extension = rest.pop()
    if not given.password or (len(rest) > (not given.names) and rest[-1] == ELSEWHERE):
        password = rest.pop()
    if given.password and password is None and len(rest) > 1 and not _may_be_input(rest[-1]):
        raise UsageError(
            "PASSWORD and --password-file exclude each other",
            hint="leave PASSWORD out, or put '-' in its place; if a name is meant, there is none",
        )
    return Arguments(rest, password, extension)


def _ends_with_extension(words: list[str], given: Given) -> bool:
    """Return whether the last argument is an extension, though none is needed."""
    if words[-1] == ELSEWHERE:
        return False
    if _is_extension(words[-1]) or given.output or words[-2:-1] == [ELSEWHERE]:
        return True
    return not given.password and not _may_be_input(words[-2])


def _is_extension(word: str) -> bool:
    return word.removeprefix(".").lower() in {AUTO, *FORMATS}


def _may_be_input(word: str) -> bool:
    """Return whether an argument names something that exists, or ends as recordings do."""
    if word == ELSEWHERE or is_url(word) or word.lower().endswith(SUFFIX):
        return True
    if sys.platform == "win32" and ("*" in word or "?" in word):
        return True
    return os.path.lexists(word)


def _too_few(words: Sequence[str], given: Given, *, needs_extension: bool) -> UsageError:
    """Return the error that says which arguments are needed, how many are given, what to type."""
    from shlex import quote

    needed, line = [], ["filedecryptor"]
    if not given.names:
        needed.append("FILENAME...")
        name = words[0] if words and _may_be_input(words[0]) else "FILENAME"
        line.append(f'"{name}"' if sys.platform == "win32" and " " in name else quote(name))
    if not given.password:
        needed.append("PASSWORD")
        line.append(ELSEWHERE)
    if needs_extension:
        needed.append("OUTPUTEXTENSION")
        line.append(words[-1] if words and _is_extension(words[-1]) else AUTO)
    line += ["--files-from LIST"] if given.names else []
    line += ["--password-file PATH"] if given.password else []
    line += ["--verify"] if given.verify else ["-o NAME"] if given.output else []
    cause = f"needed: {' '.join(needed)}; given: {len(words)}"
    remark = "" if given.password else " ('-' takes FILEDECRYPTOR_PASSWORD, or asks)"
    return UsageError(cause, hint=f"type: {' '.join(line)}{remark}")


def misplaced(password: str) -> str | None:
    """Return what a password that is not right may be instead; None if nothing shows it."""
    if _is_extension(password):
        what = "an extension"
    elif password[:1] == "-" and len(password) > 1:
        what = "an option: it begins with '-'"
    elif _may_be_input(password):
        what = "the name of a file here"
    else:
        return None
    return f"what stands in PASSWORD's place is {what}; {ORDER}"


def file_name_hint(extension: str) -> str | None:
    """Return what to say of an extension that looks like the name of a file; else None."""
    stem, _, last = extension.removeprefix(".").rpartition(".")
    if not stem or not _is_extension(last):
        return None
    return (
        f"the third argument is an extension, not a name: {last!r} is enough, and -o names a file"
    )
