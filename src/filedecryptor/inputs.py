"""The inputs that a command line names: by its arguments, and by a list."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from io import BufferedReader

from filedecryptor.errors import FileDecryptorError, UsageError, errors_naming
from filedecryptor.format import CHUNK_SIZE
from filedecryptor.outcome import Outcome, failed
from filedecryptor.storage import disk
from filedecryptor.storage.names import SUFFIX, is_url
from filedecryptor.terminal.console import STANDARD_STREAM, Console, PatientFile
from filedecryptor.terminal.password import may_be_secret, text_of


def matching(words: Sequence[str]) -> list[str]:
    """Return the inputs, with what stands for several of them replaced by their names.

    Raises:
        UsageError: There is none.
    """
    inputs = []
    for number, word in enumerate(words, 1):
        found = disk.matching(word)
        if not found:
            # Whatever does not end as recordings do may be the password.
            name = word if word.lower().endswith(SUFFIX) else f"FILENAME {number}"
            raise UsageError("no file has a name like this", filename=name)
        inputs += found
    return inputs


def without_misplaced(filenames: Sequence[str], report: Callable[[Outcome], object]) -> list[str]:
    """Return the inputs without those that may be the password: they fail, and are not shown.

    What ends as recordings do is a name, however it is mistyped.

    Args:
        filenames: The inputs.
        report: Called with the outcome of each of the others.
    """
    inputs = []
    for number, name in enumerate(filenames, 1):
        may_be_name = name == STANDARD_STREAM or is_url(name) or name.lower().endswith(SUFFIX)
        if may_be_name or not (reason := may_be_secret(name)):
            inputs.append(name)
        else:
            report(_misplaced(f"FILENAME {number}", reason))
    return inputs


def _misplaced(place: str, reason: OSError) -> Outcome:
    from filedecryptor.grammar import ORDER

    hint = f"if this is the password: {ORDER}"
    error = FileDecryptorError(str(reason.strerror), hint=hint, filename=place)
    return failed(place, error)


def listed(console: Console, path: str, *, null: bool) -> list[str]:
    """Return the names in a list.

    Args:
        console: Has standard input.
        path: The list: one name in a line; `-` is standard input.
        null: Whether each name ends with a NUL instead of a line end, as `find -print0` writes it.

    Raises:
        UsageError: Standard input is closed, or the names are no text where they must be.
        OSError: The list cannot be read.
    """
    is_standard_input = console.is_standard_input(path)
    with errors_naming(path):
        file = console.open_standard_input() if is_standard_input else PatientFile(path)
        with BufferedReader(file) as buffered:
            data = b"".join(iter(lambda: buffered.read(CHUNK_SIZE), b""))
    names: Iterable[bytes]
    if null:
        names = data.split(b"\0")
    else:
        names = (line.removesuffix(b"\r") for line in text_of(data).split(b"\n"))
    try:
        paths = [os.fsdecode(name) for name in names if name]
    except UnicodeDecodeError:  # on Windows; elsewhere a name may be any bytes
        raise UsageError("it is not text in UTF-8", filename=path) from None
    # A file of that name is meant, not standard input.
    return [os.path.join(os.curdir, name) if name == STANDARD_STREAM else name for name in paths]
