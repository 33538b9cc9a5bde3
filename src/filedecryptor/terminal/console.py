"""The standard streams of a program: what is read from them, and all that is printed.

Another program may have left a stream in non-blocking mode: then it is waited for. That mode
belongs to the pipe, not to the process, so switching it off would disturb those who share it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import BufferedIOBase, BytesIO, FileIO, TextIOWrapper, UnsupportedOperation
from threading import RLock
from typing import Any, TextIO

from filedecryptor.errors import (
    ExitCode,
    Failure,
    UsageError,
    described,
    errors_naming,
    exit_code_of,
    hint_of,
)

STANDARD_STREAM = "-"  # the name of standard input and output on the command line


class Console:
    """A program's name, which begins each line on standard error, and streams, None if closed."""

    def __init__(
        self, program: str, stdin: TextIO | None, stdout: TextIO | None, stderr: TextIO | None
    ) -> None:
        self.program = program
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._status = ""
        self._said: set[str] = set()
        self._lock = RLock()

    @classmethod
    def of_process(cls, program: str) -> Console:
        """Return a console with the streams of this process."""
        return cls(program, sys.stdin, sys.stdout, sys.stderr)

    def open_standard_input(self) -> PatientFile | BufferedIOBase:
        """Return standard input as a binary file; closing it leaves the stream open."""
        if self.stdin is None:
            raise UsageError("standard input is closed")
        try:
            return PatientFile(self.stdin.fileno(), closefd=False)
        except UnsupportedOperation:  # a stream in memory
            return self.stdin.buffer  # type: ignore[return-value]

    def is_standard_input(self, path: str) -> bool:
        """Return whether a path names standard input: `-`, `/dev/stdin`, or what it leads to."""
        return _names(path, self.stdin)

    def is_standard_output(self, path: str) -> bool:
        """Return whether a path names standard output, as `is_standard_input` does for input."""
        return _names(path, self.stdout)

    def refuse_overwriting(self, source: FileIO) -> None:
        """Raise a `UsageError` if standard output is redirected into the file that is read."""
        with suppress(UnsupportedOperation):
            found = os.fstat(self.stdout.fileno()) if self.stdout else None
            if found and stat.S_ISREG(found.st_mode) and _are_one(found, os.fstat(source.fileno())):
                raise UsageError("standard output would be written over the recording")

    def say(self, line: str) -> None:
        """Write a line for people to standard error, escaping what would not be shown as it is."""
        with self._above_status():
            self.write_text(f"{self.program}: {printable(line)}\n")

    def say_error(self, error: Failure) -> ExitCode:
        """Say what went wrong, and what can be done about it; return the exit code for it."""
        if isinstance(error, BrokenPipeError):  # a reader who left needs no message
            return ExitCode.FAILED
        self.say(f"error: {described(error)}")
        if (hint := hint_of(error)) and self.is_news(hint):
            self.say(f"hint: {hint}")
        return exit_code_of(error)

    def is_news(self, text: str) -> bool:
        """Return whether this is called for the first time with a text, which is then said."""
        is_news = text not in self._said
        self._said.add(text)
        return is_news

    @property
    def can_redraw(self) -> bool:
        """Whether standard error is a terminal on which a line can take the place of another."""
        return is_terminal(self.stderr) and os.environ.get("TERM") != "dumb"

    def show_status(self, line: str) -> None:
        """Replace the status line; on what is not a terminal it is a line like others."""
        with self._above_status():
            if self.can_redraw:
                self._status = line
            else:
                self.write_text(f"{line}\n")

    def keep_status(self) -> None:
        """Leave the status line where it is, and go on below it."""
        with self._lock:
            if self._status:
                self.write_text("\n")
            self._status = ""

    @contextmanager
    def _above_status(self) -> Iterator[None]:
        """Wipe the status line off with blanks, as not every console obeys an escape sequence."""
        with self._lock:
            if self._status:
                self.write_text(f"\r{'':{len(self._status)}}\r")
            yield
            self.write_text(self._status)

    def write_text(self, text: str) -> None:
        """Write to standard error as it is. A terminal that has gone is no reason to stop."""
        if self.stderr is not None:
            with suppress(OSError):
                write_all(self.stderr, text.encode(_encoding_of(self.stderr), "backslashreplace"))

    def ask(self, question: str, *, is_hidden: bool = False) -> str:
        """Return what is typed in answer to a question at the terminal that standard input is."""
        from getpass import getpass

        with suppress(KeyboardInterrupt, EOFError):
            if is_hidden:
                return getpass(question)
            self.write_text(question)
            if self.stdin and (line := self.stdin.readline()):
                return line.rstrip("\r\n")
        self.write_text("\n")  # what follows begins a line
        raise KeyboardInterrupt

    def write_line(self, line: bytes) -> None:
        """Write a line to standard output: byte for byte, but escaped where that is a terminal."""
        if is_terminal(self.stdout):
            line = os.fsencode(printable(os.fsdecode(line)))
        with self._above_status():
            self.write(line + b"\n")

    def write(self, data: bytes) -> None:
        """Write bytes to standard output as they are."""
        if self.stdout is None:
            raise UsageError("standard output is closed")
        with errors_naming("standard output"):
            write_all(self.stdout, data)

    @contextmanager
    def collecting_prints(self) -> Iterator[None]:
        """Collect what is printed to `sys.stdout`, and write it on exit as `write` does."""
        encoding = _encoding_of(self.stdout) if self.stdout else "utf-8"
        printed = TextIOWrapper(BytesIO(), encoding, "replace", newline="\n", write_through=True)
        try:
            with redirect_stdout(printed):
                yield
        finally:
            data = printed.buffer.getvalue()
            if data and self.stdout is not None:
                self.write(data)


class PatientFile(FileIO):
    """A file for reading that waits for more in non-blocking mode."""

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""
        while (count := super().readinto(buffer)) is None:
            _wait_for(self.fileno(), writing=False)
        return count


def _names(path: str, stream: TextIO | None) -> bool:
    """Return whether a path names a stream."""
    if path == STANDARD_STREAM:
        return True
    with suppress(OSError, ValueError):
        return stream is not None and _are_one(os.stat(path), os.fstat(stream.fileno()))
    return False


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal, at which somebody may sit."""
    if stream is None or not stream.isatty():
        return False
    # On Windows, that is said of NUL as well, but Python has a class for consoles alone.
    return sys.platform != "win32" or type(_raw(stream)).__name__ == "_WindowsConsoleIO"


def is_terminal_device(path: str) -> bool:
    """Return whether a path leads to a terminal, as `/dev/tty` does."""
    if sys.platform == "win32":  # which calls NUL one as well
        return False
    with suppress(OSError, ValueError):
        if stat.S_ISCHR(os.stat(path).st_mode):
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            with open(descriptor, "wb", buffering=0) as device:
                return device.isatty()
    return False


def _raw(stream: TextIO) -> Any:  # noqa: ANN401 - a file, or a stream in memory
    """Return what is below Python's buffers; there are none if PYTHONUNBUFFERED is set."""
    return getattr(stream.buffer, "raw", stream.buffer)


def _encoding_of(stream: TextIO) -> str:
    """Return the encoding of a stream: on Windows UTF-8, whatever the code page is."""
    return "utf-8" if sys.platform == "win32" else stream.encoding


def _are_one(found: os.stat_result, other: os.stat_result) -> bool:
    """Return whether two files are one. Not every drive of Windows gives its files an identity."""
    return found.st_ino != 0 and os.path.samestat(found, other)


def write_all(stream: TextIO, data: bytes) -> None:
    """Write all of `data` past Python's buffers, so that nothing is left to fail at exit."""
    raw = _raw(stream)
    rest = memoryview(data)
    while rest:
        try:
            count = raw.write(rest)
        except OSError as error:
            if sys.platform == "win32" and error.errno == errno.EINVAL:  # not EPIPE
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
            raise
        if count is None:
            _wait_for(raw.fileno(), writing=True)
        else:
            rest = rest[count:]


def printable(text: str) -> str:
    """Return a text as one harmless line: no line ends, no terminal commands, never empty."""
    shown = "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
    return shown or "''"


def _wait_for(descriptor: int, *, writing: bool) -> None:
    if sys.platform == "win32":
        import time

        time.sleep(0.02)  # its `select` knows sockets only
        return
    import select

    select.select([] if writing else [descriptor], [descriptor] if writing else [], [])
