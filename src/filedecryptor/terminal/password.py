"""Passwords and tokens that are not on the command line."""

from __future__ import annotations

import os
import sys
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedIOBase, BufferedReader

from filedecryptor.errors import (
    AuthenticationError,
    Failure,
    FileDecryptorError,
    UsageError,
    cause_of,
)
from filedecryptor.terminal.arguments import is_below_directory, misplaced, missing
from filedecryptor.terminal.console import STANDARD_STREAM, Console, PatientFile, is_terminal

ENVIRONMENT_VARIABLE = "FILEDECRYPTOR_PASSWORD"

SHELL = (
    "it came from the command line, where the shell may have changed {} or quotation marks: "
    "put '-' in its place, and type it"
).format("%, !, ^" if sys.platform == "win32" else "$, !, \\")
PROMPT = "the prompt"  # where a password came from that was typed

_LONGEST_LINE = 1 << 20  # bytes; a file of another kind may have no line end


class Found:
    """Passwords, each with its origin, and the `word` that is one. They show in no `repr`."""

    def __init__(self, *found: tuple[str | bytes, str], word: str | None = None) -> None:
        self.secrets = [secret for secret, _ in found]
        self.origins = ", ".join(origin for _, origin in found)
        self.is_typed = self.origins == PROMPT
        self._word = word

    def explain(self, error: Failure | None) -> None:
        """Let a failed authentication say where the password came from, or what may be wrong."""
        if not isinstance(error, AuthenticationError):
            return
        if self._word is not None:
            error.hint = misplaced(self._word) or f"{error.hint}; {SHELL}"
        elif not self.is_typed:
            what = "password" if len(self.secrets) == 1 else "passwords"
            error.hint = f"{error.hint}; the {what} came from {self.origins}"


def find_password(
    console: Console,
    word: str | None,
    password_files: Sequence[str],
    *,
    stdin_is: str | None = None,
) -> Found:
    """Return the password that PASSWORD stands for, or several that are tried in turn."""
    if word not in {None, STANDARD_STREAM}:
        return Found((str(word), "the command line"), word=word)
    value = os.environ.get(ENVIRONMENT_VARIABLE)
    if value is not None and not password_files:
        return Found((value, ENVIRONMENT_VARIABLE))
    if sum(map(console.is_standard_input, password_files)) > 1:
        raise UsageError(
            "standard input cannot be both one password and the next",
            hint="put each into a file of its own",
        )
    found: list[tuple[str | bytes, str]] = []
    for path in password_files or [STANDARD_STREAM]:
        if not console.is_standard_input(path):
            found.append((first_line(path, "--password-file"), path))
            continue
        try:
            found.append(_from_standard_input(console, stdin_is))
        except UsageError as error:
            if not password_files:
                error.hint = error.hint or (
                    f"there is no --password-file, and {ENVIRONMENT_VARIABLE} is not set, "
                    "so the password is looked for here"
                )
            raise
    return Found(*found)


def _from_standard_input(console: Console, stdin_is: str | None) -> tuple[str | bytes, str]:
    """Return what is typed or read there, and where that came from."""
    if stdin_is is not None:
        raise UsageError(
            f"standard input cannot be both {stdin_is} and the password",
            hint=f"use --password-file, or set {ENVIRONMENT_VARIABLE}",
        )
    if not is_terminal(console.stdin):
        line = _first_line(console.open_standard_input(), "standard input")
        return line, "the first line of standard input"
    return typed(console), PROMPT


def typed(console: Console) -> str:
    """Return what is typed at the prompt."""
    # A UnicodeDecodeError carries the password, so it must not be chained.
    with suppress(UnicodeDecodeError):
        while not (text := console.ask("Password: ", is_hidden=True)):
            pass
        # A console of Windows hands over the two halves of some characters one by one.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    raise UsageError(
        "the password is not text in the encoding of this terminal",
        hint="choose another one, as by LC_ALL=C.UTF-8, or use --password-file",
    )


def first_line(path: str, option: str) -> bytes:
    """Return the first line of a file, which is a secret, without its line end.

    If the path may be the secret itself, errors name the option instead.
    """
    if not is_below_directory(path) and (error := missing(path)):
        hint = "it takes the name of a file, whose first line is the secret"
        raise FileDecryptorError(cause_of(error), hint=hint, filename=option)
    return _first_line(PatientFile(path), path)


def _first_line(file: PatientFile | BufferedIOBase, origin: str) -> bytes:
    # A UnicodeDecodeError carries the secret, so it must not be chained.
    with BufferedReader(file) as buffered, suppress(UnicodeDecodeError):
        line = buffered.readline(_LONGEST_LINE)
        if encoding := _utf_16_of(line):  # the line may have been cut within a character
            decoder = getincrementaldecoder(encoding)()
            text = decoder.decode(line)
            while line and "\n" not in text and len(text) < _LONGEST_LINE:
                line = buffered.readline(_LONGEST_LINE)
                text += decoder.decode(line, final=not line)
            line = "".join(text.partition("\n")[:2]).encode()
        line = line.removeprefix(BOM_UTF8)
        if not line:
            raise UsageError("it is empty", filename=origin)
        if len(line) >= _LONGEST_LINE:
            raise UsageError("the first line is too long for a secret", filename=origin)
        return line.removesuffix(b"\n").removesuffix(b"\r")
    raise UsageError("it is not text, though it begins as UTF-16 does", filename=origin)


def _utf_16_of(line: bytes) -> str | None:
    """Return how a line is encoded if that is UTF-16, which tools of Windows write."""
    if line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    if len(line) > 1 and not (line[0] and line[1]):  # as in ASCII, and in no secret
        return "utf-16-le" if line[0] else "utf-16-be"
    return None


def as_utf_8(data: bytes) -> bytes:
    """Return a text in UTF-8, without a mark, that tools of Windows may have written in UTF-16.

    What cannot be decoded becomes U+FFFD: one bad name must not spoil a list.
    """
    encoding = _utf_16_of(data)
    return data.decode(encoding, "replace").encode() if encoding else data.removeprefix(BOM_UTF8)
