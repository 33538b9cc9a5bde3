"""What the arguments of a command line are, and what is said of those that make no sense.

Any argument may be the password, wherever it stands. So none is repeated unless it names something
that exists, or ends as recordings do.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import compress, takewhile
from typing import Any

from filedecryptor.audio import FORMATS
from filedecryptor.errors import FileDecryptorError, Outcome, UsageError, cause_of, failed, hint_of
from filedecryptor.jobs.outputs import AUTO, IfExists
from filedecryptor.storage.paths import SUFFIX, is_url

USAGE = "FILENAME... PASSWORD OUTPUTEXTENSION"
ORDER = f"the order is {USAGE}"
ELSEWHERE = "-"  # what stands for a password that is not on the command line

MOST_PIECES = 6  # of a name with spaces that are put together
MOST_GUESSES = 20  # of names in one call what is meant by them is looked for
MOST_NAMES = 10_000  # in a directory that are looked at in search of a similar one
MOST_COMPARED = 1_000  # of these, letter by letter
NEAR = 0.8  # the least ratio of `difflib` of a name that is meant instead


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


def told_apart(
    words: Sequence[str], options: Options, *, in_environment: bool = False, can_ask: bool = False
) -> tuple[list[str], str | None, str | None]:
    """Return FILENAMEs, PASSWORD and OUTPUTEXTENSION; None for what was left out."""
    listed, in_file = options.files_from is not None, bool(options.password_file)
    needs_extension = options.output is None and not options.verify
    needed = list(compress(USAGE.split(), (not listed, not in_file, needs_extension)))
    fewest = 0 if listed else 1
    is_optional = in_file or in_environment or options.dry_run or (can_ask and len(words) <= 1)
    rest = list(words)
    extension = password = None
    if not words or words[-1] == ELSEWHERE:
        ends_with_extension = False
    elif needs_extension:
        ends_with_extension = not (is_optional and _is_input(words, fewest))
    else:
        ends_with_extension = len(words) > len(needed) and (
            _is_extension(words[-1])
            or options.output is not None
            or words[-2:-1] == [ELSEWHERE]
            or not (in_file or may_be_input(words[-2]))
        )
    if ends_with_extension:
        extension = rest.pop()
    # Beside an extension, only a dry run does without: any other call of that form has a PASSWORD.
    is_omitted = in_file or (
        is_optional
        and (extension is None or (options.dry_run and _is_extension(extension)))
        and (len(rest) <= fewest or _is_input(rest, fewest))
        and (needs_extension or len(rest) <= fewest or may_be_input(rest[-1]))
    )
    if len(rest) > fewest and (rest[-1] == ELSEWHERE or not is_omitted):
        password = rest.pop()
    if len(rest) < fewest or (password is None and not is_omitted):
        raise _too_few(words, options, needed)
    if in_file and password is None and len(rest) > 1 and not may_be_input(rest[-1]):
        raise UsageError(
            "PASSWORD and --password-file exclude each other",
            hint=mistyped(rest[-1])
            or "leave PASSWORD out, or put '-' in its place; if a name is meant, there is none",
        )
    return rest, password, extension


def _is_extension(word: str) -> bool:
    return word.removeprefix(".").lower() in {AUTO, *FORMATS}


def _is_input(words: Sequence[str], fewest: int) -> bool:
    """Return whether the last argument is an input where an extension or a password may stand."""
    last = words[-1] if words else ""
    if _is_extension(last):
        return False
    if len(words) == fewest and may_be_input(last):  # then it can be nothing else
        return True
    separators = "/\\" if sys.platform == "win32" else "/"
    has_separator = any(separator in last for separator in separators)
    return last.lower().endswith(SUFFIX) or has_separator or os.path.isdir(last)


def may_be_input(word: str) -> bool:
    """Return whether an argument names something that exists, or ends as recordings do."""
    if word == ELSEWHERE or is_url(word) or word.lower().endswith(SUFFIX):
        return True
    if sys.platform == "win32" and ("*" in word or "?" in word):
        return True
    return os.path.lexists(word)


def without_missing(
    filenames: Sequence[str], password: str | None, options: Options
) -> tuple[list[str], list[Outcome]]:
    """Return the inputs that are there, and failures for others, which name no possible secret."""
    may_be_gone = options.if_exists == "skip" or options.cluster is not None
    inputs: list[str] = []
    failures: list[Outcome] = []
    unknown: list[str] = []
    for number, name in enumerate(filenames, 1):
        is_name = name.lower().endswith(SUFFIX) or is_below_directory(name)
        is_elsewhere = name == ELSEWHERE or is_url(name) or (is_name and may_be_gone)
        if is_elsewhere or (error := missing(name)) is None:
            inputs.append(name)
            continue
        can_guess = len(failures) + len(unknown) < MOST_GUESSES
        hint = (_in_pieces(filenames, number) or mistyped(name)) if can_guess else None
        if hint or is_name:
            place = name if is_name else f"FILENAME {number}"
            failures.append(_not_there(place, error, hint or hint_of(error)))
        else:
            unknown.append(str(number))
            cause = error
    if unknown:
        hint = f"if this is the password: {ORDER}"
        if password not in {None, ELSEWHERE} and number > 1 and unknown[-1] == str(number):
            hint = f"a password with spaces needs quotation marks; {ORDER}"
        failures.append(_not_there(f"FILENAME {', '.join(unknown)}", cause, hint))
    return inputs, failures


def _in_pieces(names: Sequence[str], number: int) -> str | None:
    """Return what to say of one of some names that is a piece of a name with spaces."""
    for first in range(max(0, number - MOST_PIECES), number):
        for last in range(max(number, first + 2), first + MOST_PIECES + 1):
            whole = " ".join(names[first:last])
            if os.path.lexists(whole):
                return f'a name with spaces needs quotation marks: "{whole}"'
    return None


def _not_there(place: str, error: OSError, hint: str | None) -> Outcome:
    return failed(place, FileDecryptorError(cause_of(error), hint=hint, filename=place))


def is_below_directory(word: str) -> bool:
    """Return whether an argument begins with an existing directory: then it is a name."""
    directory = os.path.dirname(word)
    return bool(directory.strip("./\\")) and os.path.isdir(directory)


def missing(word: str) -> OSError | None:
    """Return why there is no file of this name; None if there is one."""
    try:
        os.lstat(word)
    except OSError as error:
        names_nothing = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}
        return error if error.errno in names_nothing else None
    return None


def similar(path: str) -> str | None:
    """Return the path of a recording or a directory that may be meant by one that names nothing."""
    from difflib import get_close_matches
    from itertools import islice

    above, name = os.path.split(path.rstrip(f"{os.sep}/"))
    if above and not os.path.isdir(above):
        other = None if os.path.lexists(above) else similar(above)
        if other is None or not os.path.isdir(other):
            return None
        found = os.path.join(other, name)
        return found if os.path.lexists(found) else similar(found) or other
    names: dict[str, str] = {}
    with suppress(OSError), os.scandir(above or os.curdir) as entries:
        for entry in islice(entries, MOST_NAMES):
            stem, suffix = os.path.splitext(entry.name.lower())
            if suffix == SUFFIX:
                names[stem] = entry.name
            elif entry.is_dir():
                names[entry.name.lower()] = entry.name
    spellings = name.lower().removesuffix(SUFFIX), os.path.splitext(name.lower())[0]
    for typed in dict.fromkeys(spellings):
        compared = [typed] if typed in names else islice(names, MOST_COMPARED)
        if near := get_close_matches(typed, compared, 1, NEAR):
            return os.path.join(above, names[near[0]])
    return None


def mistyped(path: str) -> str | None:
    """Return what to say of a path that names nothing, if a similar one names something."""
    found = similar(path)
    if found is None:
        return None
    return f"there is {found}{'' if os.path.dirname(found) else ' here'}: type that?"


def _too_few(words: Sequence[str], options: Options, needed: list[str]) -> UsageError:
    """Return the error that says which arguments are needed, how many are given, what to type."""
    from shlex import quote

    name = words[0] if words else ""
    name = name if name and may_be_input(name) else similar(name) or "FILENAME"
    name = f'"{name}"' if sys.platform == "win32" and " " in name else quote(name)
    extension = words[-1] if words and _is_extension(words[-1]) else AUTO
    typed = dict(zip(USAGE.split(), (name, ELSEWHERE, extension), strict=True))
    line = ["filedecryptor", *(typed[argument] for argument in needed)]
    line += [] if options.files_from is None else ["--files-from LIST"]
    line += ["--password-file PATH"] if options.password_file else []
    line += ["--verify"] if options.verify else [] if options.output is None else ["-o NAME"]
    line += ["--dry-run"] if options.dry_run else []
    line += [] if options.output_dir is None else ["-d DIR"]
    line += [] if options.if_exists == Options.if_exists else [f"--if-exists {options.if_exists}"]
    remark = "" if options.password_file else " ('-' takes FILEDECRYPTOR_PASSWORD, or asks)"
    cause = f"needed: {' '.join(needed)}; given: {len(words)}"
    return UsageError(cause, hint=f"type: {' '.join(line)}{remark}")


def cannot_be_password(args: Sequence[str], number: int, *, is_mistyped: bool) -> bool:
    """Return whether what looks like an option is no password: it is elsewhere, or comes later."""
    first = list(takewhile(lambda word: word[:1] != "-" or word == ELSEWHERE, args))
    is_whole = (
        len(first) >= len(USAGE.split())
        and _is_extension(first[-1])
        and (first[-2] == ELSEWHERE or not may_be_input(first[-2]))
        and any(map(may_be_input, first[:-2]))
    )
    is_first = all(word[:1] == "-" for word in args[:number])
    in_file = any(word.partition("=")[0] == "--password-file" for word in args)
    return in_file or is_whole or (is_mistyped and is_first)


def misplaced(password: str) -> str | None:
    """Return what a password that is not right may be instead; None if nothing shows it."""
    if password[:1] == "-" and len(password) > 1:
        return (
            "three arguments are FILENAME PASSWORD OUTPUTEXTENSION; type an option first, "
            "as in: filedecryptor --password-file PATH FILENAME"
        )
    if _is_extension(password):
        what = "an extension"
    elif may_be_input(password):
        what = "the name of a file here"
    else:
        return None
    return f"what stands in PASSWORD's place is {what}; {ORDER}"


def file_name_hint(extension: str) -> str | None:
    """Return what to say of an extension that looks like the name of a file; else None."""
    if _is_input([extension], 0) and may_be_input(extension):
        return "the last argument is the extension: after names only, put '-' for the password"
    stem, _, last = extension.removeprefix(".").rpartition(".")
    if not stem or not _is_extension(last):
        return None
    return (
        f"the third argument is an extension, not a name: {last!r} is enough, and -o names a file"
    )
