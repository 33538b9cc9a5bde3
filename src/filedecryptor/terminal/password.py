"""Passwords and tokens that are not on the command line."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from io import BufferedIOBase, BufferedReader

from filedecryptor.errors import UsageError
from filedecryptor.terminal.console import Console, PatientFile, is_terminal

ENVIRONMENT_VARIABLE = "FILEDECRYPTOR_PASSWORD"

LONGEST_LINE = 1 << 20
"""Bytes that are read in search of a line end: a file of another kind may have none."""

_NAMES_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}


def find_password(
    console: Console, word: str, password_file: str | None, *, stdin_taken: bool
) -> str | bytes:
    """Return the password that PASSWORD stands for.

    Args:
        console: Where it can be asked for.
        word: PASSWORD as it was given; `-` means that the password is elsewhere.
        password_file: A file whose first line it is, if one was named; `-` is standard input.
        stdin_taken: Whether standard input is the recording.

    Raises:
        UsageError: There is no password, or there are two.
        OSError: The password file cannot be read.
    """
    if word != "-":
        if password_file is not None:
            raise UsageError("there are two passwords: give PASSWORD as '-' with --password-file")
        return word
    if password_file is not None:
        if not console.is_standard_input(password_file):
            return first_line(password_file, "--password-file")
    elif (value := os.environ.get(ENVIRONMENT_VARIABLE)) is not None:
        return value
    if stdin_taken:
        raise UsageError(
            "standard input cannot be both the recording and the password",
            hint=f"use --password-file, or set {ENVIRONMENT_VARIABLE}",
        )
    if is_terminal(console.stdin):
        return _ask()
    return _first_line(console.open_standard_input(), "standard input")


def first_line(path: str, option: str) -> bytes:
    """Return the first line of a file, which is a secret, without its line end.

    Args:
        path: The file.
        option: The option that named it, for errors: somebody may have given the secret itself.

    Raises:
        UsageError: There is none, or it is too long.
        OSError: The file cannot be read.
    """
    if error := may_be_secret(path):
        raise OSError(error.errno, error.strerror, option)
    return _first_line(PatientFile(path), path)


def may_be_secret(word: str) -> OSError | None:
    """Return why there is no file of this name, if it may be a secret in the wrong place.

    A word that begins with a directory that is there is a name.
    """
    directory = os.path.dirname(word)
    if directory.strip("./\\") and os.path.isdir(directory):
        return None
    try:
        os.lstat(word)
    except OSError as error:
        return error if error.errno in _NAMES_NOTHING else None
    return None


def _ask() -> str:
    import click

    try:
        # A UnicodeDecodeError carries the password, so it must not be chained.
        with suppress(UnicodeDecodeError):
            return str(click.prompt("Password", hide_input=True, err=True))
    except click.Abort:  # which is what click makes of Ctrl-C and Ctrl-D
        raise KeyboardInterrupt from None
    raise UsageError("the password is not text in the encoding of this terminal")


def _first_line(file: PatientFile | BufferedIOBase, origin: str) -> bytes:
    with BufferedReader(file) as buffered:
        line = buffered.readline(LONGEST_LINE)
    if not line:
        raise UsageError("it is empty", filename=origin)
    if len(line) == LONGEST_LINE:
        raise UsageError("the first line is too long for a secret", filename=origin)
    return line.removesuffix(b"\n").removesuffix(b"\r")
