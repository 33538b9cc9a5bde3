"""What the arguments of a command line are, and what is said of those that make no sense.

An argument may be the password, in whatever place it stands. So none is repeated unless it is the
name of something that is there, or ends as recordings do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from filedecryptor.audio import FORMATS
from filedecryptor.errors import UsageError
from filedecryptor.jobs.job import AUTO
from filedecryptor.storage.names import SUFFIX, is_url

FILENAME, PASSWORD, EXTENSION = "FILENAME", "PASSWORD", "OUTPUTEXTENSION"
ORDER = f"the order is {FILENAME}... {PASSWORD} {EXTENSION}"
ELSEWHERE = "-"
"""What stands for a password that is not on the command line."""

_NUMBERS = ("none", "one", "two", "three")


class Arguments(NamedTuple):
    """The arguments, told apart. What was left out is None.

    Attributes:
        filenames: The inputs.
        password: PASSWORD.
        extension: OUTPUTEXTENSION.
    """

    filenames: list[str]
    password: str | None
    extension: str | None

    def __repr__(self) -> str:
        return "Arguments(...)"  # one of them is a secret


class Given(NamedTuple):
    """The options that say which arguments may be left out.

    Attributes:
        names: Whether the inputs are named elsewhere.
        password: Whether the password is elsewhere.
        output: Whether the one output is named.
        verify: Whether nothing is written.
    """

    names: bool = False
    password: bool = False
    output: bool = False
    verify: bool = False


def told_apart(words: Sequence[str], given: Given) -> Arguments:
    """Return what each argument is.

    Args:
        words: The arguments, without the options.
        given: What the options say.

    Raises:
        UsageError: There are too few of them, or there is a second password.
    """
    needs_extension = not (given.output or given.verify)
    rest = list(words)
    extension = (
        rest.pop() if rest and (needs_extension or _ends_with_extension(rest, given)) else None
    )
    password = None
    if not given.password:
        password = rest.pop() if rest else None
    elif len(rest) > (not given.names) and rest[-1] == ELSEWHERE:
        password = rest.pop()
    missing = (
        (needs_extension and extension is None)
        or (not given.password and password is None)
        or not (rest or given.names)
    )
    if missing:
        raise _too_few(words, given, needs_extension=needs_extension)
    if given.password and password is None and len(rest) > 1 and not _may_be_input(rest[-1]):
        raise UsageError(
            f"there are two passwords: --password-file, and what stands before {EXTENSION}",
            hint=f"leave {PASSWORD} out, or put '-' in its place; if a name is meant, there is none",
        )
    return Arguments(rest, password, extension)


def _ends_with_extension(words: Sequence[str], given: Given) -> bool:
    """Return whether the last argument is an extension, though none is needed."""
    fewest = (not given.names) + (not given.password)
    if len(words) <= fewest or words[-1] == ELSEWHERE:
        return False
    if _is_extension(words[-1]) or given.output or words[-2:-1] == [ELSEWHERE]:
        return True
    return not given.password and not _may_be_input(words[-2])


def _is_extension(word: str) -> bool:
    return word.removeprefix(".").lower() in {AUTO, *FORMATS}


def _may_be_input(word: str) -> bool:
    """Return whether an argument names something that is there, or ends as recordings do."""
    if word == ELSEWHERE or is_url(word) or word.lower().endswith(SUFFIX):
        return True
    if sys.platform == "win32" and ("*" in word or "?" in word):
        return True
    return os.path.lexists(word)


def _too_few(words: Sequence[str], given: Given, *, needs_extension: bool) -> UsageError:
    """Return the error that says how many arguments are needed, which are there, what to type."""
    wanted = [
        *([] if given.names else [FILENAME]),
        *([] if given.password else [PASSWORD]),
        *([EXTENSION] if needs_extension else []),
    ]
    there = wanted[: len(words)]
    if (
        len(words) > 1
        and wanted[1:2] == [PASSWORD]
        and needs_extension
        and _is_extension(words[-1])
    ):
        there = [FILENAME, EXTENSION]
    elif words and given.names and wanted[0] == PASSWORD and _is_extension(words[-1]):
        there = [EXTENSION]
    missing = [name for name in wanted if name not in there]
    named = " ".join(f"{name}..." if name == FILENAME else name for name in wanted)
    count = (
        f"{_NUMBERS[len(wanted)]} argument{'s are' if len(wanted) > 1 else ' is'} needed: {named}"
    )
    found = f"there {'are' if len(there) > 1 else 'is'} {_NUMBERS[len(there)]}"
    if there:
        found += f": {' and '.join(there)}"
    lacks = f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing"
    return UsageError(f"{count}; {found}; {lacks}", hint=_line(words, wanted, there, given))


def _line(words: Sequence[str], wanted: Sequence[str], there: Sequence[str], given: Given) -> str:
    """Return the line to type."""
    parts = {FILENAME: FILENAME, PASSWORD: PASSWORD, EXTENSION: AUTO}
    if FILENAME in there and _may_be_input(words[0]):
        parts[FILENAME] = _quoted(words[0])
    if EXTENSION in there:
        parts[EXTENSION] = words[-1]
    remark = ""
    if PASSWORD in wanted and PASSWORD not in there:
        parts[PASSWORD] = ELSEWHERE
        remark = " ('-' asks for the password)"
        if "FILEDECRYPTOR_PASSWORD" in os.environ:
            remark = " ('-' takes the password from FILEDECRYPTOR_PASSWORD)"
    options = [
        *(["--files-from LIST"] if given.names else []),
        *(["--password-file PATH"] if given.password else []),
        *(["--verify"] if given.verify else ["-o NAME"] if given.output else []),
    ]
    line = " ".join(["filedecryptor", *(parts[name] for name in wanted), *options])
    return f"type: {line}{remark}"


def _quoted(word: str) -> str:
    if sys.platform == "win32":
        return f'"{word}"' if " " in word else word
    import shlex

    return shlex.quote(word)


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
    return f"what stands in {PASSWORD}'s place is {what}; {ORDER}"


def file_name_hint(extension: str) -> str | None:
    """Return what to say of an extension that looks like the name of a file; else None."""
    stem, dot, last = extension.removeprefix(".").rpartition(".")
    if not (stem and dot and _is_extension(last)):
        return None
    return (
        f"the third argument is an extension, not a name: {last!r} is enough, and -o names a file"
    )
