"""What the arguments of a command line are, and what is said of those that make no sense.

Any argument may be the password, wherever it stands. So none is repeated unless it names something
that exists, or ends as recordings do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import compress
from typing import Any

from filedecryptor.audio import FORMATS
from filedecryptor.errors import UsageError
from filedecryptor.jobs.outputs import AUTO, IfExists
from filedecryptor.storage.paths import SUFFIX, is_url

USAGE = "FILENAME... PASSWORD OUTPUTEXTENSION"
ORDER = f"the order is {USAGE}"
ELSEWHERE = "-"  # what stands for a password that is not on the command line


class Options:
    """The options as they were given; the help texts in `cli` say what each means."""

    files_from: str | None = None
    null: bool = False
    output: str | None = None
    output_dir: str | None = None
    if_exists: IfExists = "replace"
    unknown_as: str | None = None
    password_file: Sequence[str] = ()
    jobs: int | None = None
    cluster: str | None = None
    verify: bool = False
    dry_run: bool = False
    fail_fast: bool = False
    json: bool = False
    quiet: bool = False
    progress: bool | None = None

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - named above
        vars(self).update(given)  # a NamedTuple would cost half a millisecond of each start


def told_apart(words: Sequence[str], options: Options) -> tuple[list[str], str | None, str | None]:
    """Return FILENAMEs, PASSWORD and OUTPUTEXTENSION; None for what was left out."""
    listed, elsewhere = options.files_from is not None, bool(options.password_file)
    needs_extension = options.output is None and not options.verify
    needed = list(compress(USAGE.split(), (not listed, not elsewhere, needs_extension)))
    if len(words) < len(needed):
        raise _too_few(words, options, needed)
    rest = list(words)
    extension = password = None
    ends_with_extension = needs_extension or (
        len(words) > len(needed)
        and words[-1] != ELSEWHERE
        and (
            _is_extension(words[-1])
            or options.output is not None
            or rest[-2:-1] == [ELSEWHERE]
            or not (elsewhere or _may_be_input(words[-2]))
        )
    )
    if ends_with_extension:
        extension = rest.pop()
    if not elsewhere or (len(rest) > (not listed) and rest[-1] == ELSEWHERE):
        password = rest.pop()
    if elsewhere and password is None and len(rest) > 1 and not _may_be_input(rest[-1]):
        raise UsageError(
            "PASSWORD and --password-file exclude each other",
            hint="leave PASSWORD out, or put '-' in its place; if a name is meant, there is none",
        )
    return rest, password, extension


def _is_extension(word: str) -> bool:
    return word.removeprefix(".").lower() in {AUTO, *FORMATS}


def _may_be_input(word: str) -> bool:
    """Return whether an argument names something that exists, or ends as recordings do."""
    if word == ELSEWHERE or is_url(word) or word.lower().endswith(SUFFIX):
        return True
    if sys.platform == "win32" and ("*" in word or "?" in word):
        return True
    return os.path.lexists(word)


def _too_few(words: Sequence[str], options: Options, needed: list[str]) -> UsageError:
    """Return the error that says which arguments are needed, how many are given, what to type."""
    from shlex import quote

    name = words[0] if words and _may_be_input(words[0]) else "FILENAME"
    name = f'"{name}"' if sys.platform == "win32" and " " in name else quote(name)
    extension = words[-1] if words and _is_extension(words[-1]) else AUTO
    typed = dict(zip(USAGE.split(), (name, ELSEWHERE, extension), strict=True))
    line = ["filedecryptor", *(typed[argument] for argument in needed)]
    line += [] if options.files_from is None else ["--files-from LIST"]
    line += ["--password-file PATH"] if options.password_file else []
    line += ["--verify"] if options.verify else [] if options.output is None else ["-o NAME"]
    remark = "" if options.password_file else " ('-' takes FILEDECRYPTOR_PASSWORD, or asks)"
    cause = f"needed: {' '.join(needed)}; given: {len(words)}"
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
