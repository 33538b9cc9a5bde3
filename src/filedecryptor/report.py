"""What is said: results on standard output, everything that people read on standard error."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, redirect_stdout, suppress
from io import StringIO

from filedecryptor.decryptor import Outcome
from filedecryptor.errors import FileDecryptorError, UsageError, errors_naming
from filedecryptor.names import is_url
from filedecryptor.progress import MEGABYTE, Progress
from filedecryptor.streams import write_all

WRITTEN = {"decrypted", "stored"}
"""What has become of an input that has a new output."""

MOST_NAMES = 8
"""Workers named in one line."""


program = "filedecryptor"
"""The command that speaks; another one says so at its start."""


class Report:
    """Says what became of each recording, and counts.

    Args:
        quiet: Say nothing but errors.
        json: Write an object for each recording instead of the paths of the outputs.
        many: Whether there are many recordings: single ones that are skipped or verified are not
            worth a line then, and a summary is.
    """

    def __init__(self, *, quiet: bool, json: bool, many: bool) -> None:
        self._quiet = quiet
        self._json = json
        self._many = many
        self._begin = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._size = 0
        self._codes: set[int] = set()
        self._shown = Progress()
        self._is_heard = True

    @property
    def code(self) -> int:
        """The exit code: the failures' common one, 1 if they differ, 0 if there are none."""
        return self._codes.copy().pop() if len(self._codes) == 1 else int(bool(self._codes))

    def add_all(self, outcomes: Generator[Outcome], shown: Progress) -> None:
        """Say what became of each recording as it ends; an interruption ends the work too."""
        self._shown = shown
        with closing(outcomes):
            for outcome in outcomes:
                self.add_above(outcome, shown)

    def add_above(self, outcome: Outcome, shown: Progress) -> None:
        """Say what became of one recording, above the progress bar."""
        with shown.above() if self._has_words_for(outcome) else nullcontext():
            self.add(outcome)
        shown.count(outcome)

    def _has_words_for(self, outcome: Outcome) -> bool:
        if self._json or outcome.error is not None:
            return True
        return not self._quiet and (outcome.status in WRITTEN or not self._many)

    def add(self, outcome: Outcome) -> None:
        """Say what became of one recording, and count it."""
        self._counts[outcome.status] += 1
        self._size += outcome.size or 0
        if self._json:
            self.add_result(_as_json(outcome))
        if outcome.note is not None and not self._quiet:
            say(f"note: {outcome.output or ''}: {outcome.note}")
        if outcome.error is not None:
            self._codes.add(say_error(outcome.error))
        elif self._json or not self._has_words_for(outcome):
            return
        elif outcome.status in WRITTEN:
            self.add_result(os.fsencode(outcome.output or ""))
        else:
            say(_note(outcome))

    def say_silence(self, seconds: float, busy: Sequence[str]) -> None:
        """Say that no work has ended for some time, and which workers are busy."""
        if self._quiet:
            return
        names = ", ".join(busy[:MOST_NAMES]) or "no worker"
        more = f", and {len(busy) - MOST_NAMES} more" if len(busy) > MOST_NAMES else ""
        with self._shown.above():
            say(f"nothing has ended for {seconds:.0f} s; busy: {names}{more}")

    def add_result(self, line: bytes) -> None:
        """Write a line to standard output. Where it takes no more, the work goes on without."""
        if not self._is_heard or sys.stdout is None:  # whoever closed it does not want results
            return
        try:
            write_result(line)
        except OSError as error:
            self._is_heard = False
            self._codes.add(_exit_code(error))
            if self._many:
                say(f"error: {_in_words(error)}; the work goes on, its results are not shown")
            elif not isinstance(error, BrokenPipeError):  # a reader who left needs no message
                say_error(error)

    def summary(self) -> None:
        """Say how it went, if there were many recordings."""
        if not self._many or self._quiet or not self._counts:
            return
        counts = [
            f"{self._counts[status]} {status}"
            for status in ("decrypted", "verified", "stored", "skipped", "failed")
            if self._counts[status]
        ]
        seconds = time.monotonic() - self._begin
        audio = f"; {self._size / MEGABYTE:.1f} MB of audio" if self._size else ""
        say(f"{', '.join(counts)}{audio} in {seconds:.1f} s")


@contextmanager
def reporting(*, quiet: bool, json: bool, many: bool) -> Iterator[Report]:
    """Yield a `Report`, and print its summary on exit, whatever ends the work."""
    report = Report(quiet=quiet, json=json, many=many)
    try:
        yield report
    finally:
        report.summary()


def say(line: str) -> None:
    """Write a line for people to standard error, escaping what would not be shown as it is.

    Where nobody can read it, that is no failure.
    """
    if sys.stderr is not None:
        text = f"{program}: {printable(line)}\n"
        with suppress(OSError):
            write_all(sys.stderr, text.encode(sys.stderr.encoding, "backslashreplace"))


def say_error(error: FileDecryptorError | OSError) -> int:
    """Say what went wrong, and what can be done about it; return the exit code for it."""
    say(f"error: {_in_words(error)}")
    hint = error.hint if isinstance(error, FileDecryptorError) else _hint(error)
    if hint is not None:
        say(f"hint: {hint}")
    return _exit_code(error)


def write_to_standard_output(data: bytes) -> None:
    """Write all of `data`, as it is, and see that it has left.

    Raises:
        OSError: Standard output does not take it.
    """
    if sys.stdout is None:
        raise UsageError("standard output is closed")
    with errors_naming("standard output"):
        write_all(sys.stdout, data)


def write_result(line: bytes) -> None:
    """Write a line to standard output: byte for byte, but harmless where that is a terminal.

    Raises:
        OSError: Standard output does not take it.
    """
    if is_read_by_people():
        line = os.fsencode(printable(os.fsdecode(line)))
    write_to_standard_output(line + b"\n")


def is_read_by_people() -> bool:
    """Return whether standard output is a terminal, which obeys what is written to it."""
    return sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def standard_output() -> Iterator[None]:
    """Collect what others print, and write it as `write_to_standard_output` does."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        if printed.getvalue() and sys.stdout is not None:
            write_to_standard_output(printed.getvalue().encode(sys.stdout.encoding, "replace"))


def printable(text: str) -> str:
    """Return a text as one harmless line: no line ends, no terminal commands, never empty."""
    shown = "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
    return shown or "''"


def _as_json(outcome: Outcome) -> bytes:
    from json import dumps

    fields = {
        "input": outcome.input,
        "output": outcome.output,
        "format": outcome.format,
        "size": outcome.size,
        "status": outcome.status,
        "code": 0 if outcome.error is None else _exit_code(outcome.error),
        "error": None if outcome.error is None else printable(_in_words(outcome.error)),
    }
    return dumps(fields).encode("ascii")  # bytes that are not text become \udcXX, which is


def _note(outcome: Outcome) -> str:
    if outcome.status == "skipped":
        return f"skipped: {outcome.input}: {outcome.output} exists"
    kind = outcome.format or "unknown"
    return f"verified: {outcome.input}: {outcome.size} bytes of {kind} audio"


def _exit_code(error: FileDecryptorError | OSError) -> int:
    return error.exit_code if isinstance(error, FileDecryptorError) else 1


def _in_words(error: FileDecryptorError | OSError) -> str:
    subject = "" if error.filename is None else f"{str(error.filename) or repr('')}: "
    if isinstance(error, FileDecryptorError):
        return subject + error.cause
    return subject + (error.strerror or str(error))


def _hint(error: OSError) -> str | None:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "make room, then run this again"
    if error.errno == errno.ENOENT and error.filename:
        directory = os.path.dirname(str(error.filename))
        if directory and not is_url(directory) and not os.path.isdir(directory):
            return f"there is no directory {directory}"
    return None
