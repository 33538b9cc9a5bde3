"""Passwords and tokens that are not on the command line."""

from __future__ import annotations

import errno
import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedIOBase, BufferedReader
from typing import Any

from filedecryptor.errors import UsageError
from filedecryptor.terminal.console import Console, PatientFile, is_terminal

ENVIRONMENT_VARIABLE = "FILEDECRYPTOR_PASSWORD"

STANDARD_INPUT = "standard input"
FIRST_LINE = "the first line of standard input"

LONGEST_LINE = 1 << 20
"""Bytes that are read in search of a line end: a file of another kind may have none."""

_NAMES_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}


class Found:
    """Passwords, and where they came from. They show in no `repr`.

    Attributes:
        secrets: The passwords.
        origin: Where they came from, as a sentence without its end.
        word: The argument that is the password, if one is.

    Args:
        origins: Where each of them came from.
    """

    def __init__(
        self, *secrets: str | bytes, origins: Sequence[str], word: str | None = None
    ) -> None:
        self.secrets = secrets
        self.word = word
        what = "password" if len(secrets) == 1 else "passwords"
        self.origin = f"the {what} came from {', '.join(origins)}"


def find_password(
    console: Console, word: str | None, password_files: Sequence[str], *, stdin_is: str | None
) -> Found:
    """Return the password that PASSWORD stands for, or several that may be it.

    Args:
        console: Where it can be asked for.
        word: PASSWORD as it was given; `-` or None means that the password is elsewhere.
        password_files: Files whose first lines they are; `-` is standard input.
        stdin_is: What else standard input is, if anything.

    Raises:
        UsageError: There is no password, or there are two.
        OSError: A password file cannot be read.
    """
    if word not in {None, "-"}:
        if password_files:
            raise UsageError("there are two passwords: give PASSWORD as '-' with --password-file")
        return Found(str(word), origins=["the command line"], word=word)
    if password_files:
        return _in_files(console, password_files, stdin_is=stdin_is)
    if (value := os.environ.get(ENVIRONMENT_VARIABLE)) is not None:
        return Found(value, origins=[ENVIRONMENT_VARIABLE])
    _refuse_taken(stdin_is)
    if is_terminal(console.stdin):
        return Found(_ask(), origins=["the prompt"])
    try:
        secret = _first_line(console.open_standard_input(), STANDARD_INPUT)
    except UsageError as error:
        error.hint = (
            error.hint
            or f"there is no --password-file, and {ENVIRONMENT_VARIABLE} is not set, "
            "so the password is looked for here"
        )
        raise
    return Found(secret, origins=[FIRST_LINE])


def _in_files(console: Console, paths: Sequence[str], *, stdin_is: str | None) -> Found:
    secrets: list[str | bytes] = []
    origins: list[str] = []
    for path in paths:
        if not console.is_standard_input(path):
            secrets.append(first_line(path, "--password-file"))
            origins.append(path)
            continue
        _refuse_taken(stdin_is or ("another one" if FIRST_LINE in origins else None))
        if is_terminal(console.stdin):
            secrets.append(_ask())
            origins.append("the prompt")
        else:
            secrets.append(_first_line(console.open_standard_input(), STANDARD_INPUT))
            origins.append(FIRST_LINE)
    return Found(*secrets, origins=origins)


def _refuse_taken(stdin_is: str | None) -> None:
    if stdin_is is not None:
        raise UsageError(
            f"standard input cannot be both {stdin_is} and the password",
            hint=f"use --password-file, or set {ENVIRONMENT_VARIABLE}",
        )


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
            text = str(click.prompt("Password", hide_input=True, err=True))
            # A console of Windows hands over the two halves of some characters one by one.
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    except click.Abort:  # which is what click makes of Ctrl-C and Ctrl-D
        raise KeyboardInterrupt from None
    raise UsageError("the password is not text in the encoding of this terminal")


def _first_line(file: PatientFile | BufferedIOBase, origin: str) -> bytes:
    with BufferedReader(file) as buffered:
        line = buffered.readline(LONGEST_LINE)
        if encoding := _utf_16_of(line):
            line = _in_utf_8(line, buffered, encoding, origin)
    line = line.removeprefix(BOM_UTF8)
    if not line:
        raise UsageError("it is empty", filename=origin)
    if len(line) >= LONGEST_LINE:
        raise UsageError("the first line is too long for a secret", filename=origin)
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _utf_16_of(line: bytes) -> str | None:
    """Return how a line is encoded if that is UTF-16, which tools of Windows write."""
    if line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    if len(line) > 1 and not (line[0] and line[1]):  # as in ASCII, and in no secret
        return "utf-16-le" if line[0] else "utf-16-be"
    return None


def _in_utf_8(line: bytes, buffered: BufferedReader[Any], encoding: str, origin: str) -> bytes:
    """Return a line of UTF-16 in UTF-8.

    Args:
        line: What has been read of it: up to a byte that would be a line end in ASCII.
        buffered: Where the rest is.
        encoding: The encoding.
        origin: What errors speak of.
    """
    decoder = getincrementaldecoder(encoding)()
    with suppress(UnicodeDecodeError):  # which carries the secret, and must not be chained
        text = decoder.decode(line)
        while "\n" not in text and len(text) < LONGEST_LINE:
            line = buffered.readline(LONGEST_LINE)
            text += decoder.decode(line, final=not line)
            if not line:
                break
        return "".join(text.partition("\n")[:2]).encode()
    raise UsageError("it is not text, though it begins as UTF-16 does", filename=origin)


def text_of(data: bytes) -> bytes:
    """Return what a file holds in UTF-8, if tools of Windows have marked it as UTF-16 or UTF-8."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data.removeprefix(BOM_UTF8)
