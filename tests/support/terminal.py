"""The command in a real pseudo-terminal (POSIX only), and a terminal in memory."""

from __future__ import annotations

import io
import os
import re
import select
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from support.commands import COMMAND, Result, without_secrets
from support.posix import fcntl, pty, termios


class _WindowsConsoleIO(io.BytesIO):
    """What is below a terminal of Windows is of a class with this name."""


class Terminal(io.TextIOWrapper):
    """A terminal in memory, of unknown width."""

    def __init__(self) -> None:
        super().__init__(_WindowsConsoleIO(), "utf-8", write_through=True)

    def isatty(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Raise an error, as a terminal that has gone."""
        raise OSError

    @property
    def shown(self) -> str:
        """All that was written to it."""
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()

    @property
    def states(self) -> list[str]:
        """The lines and states of the bar that were shown, one after the other."""
        return re.split(r"\r +\r|\n", self.shown)


class Screen(NamedTuple):
    """What a command showed in a terminal."""

    code: int
    text: str


def run_in_terminal(
    *words: str | Path,
    cwd: Path,
    answers: Mapping[str, str | list[str]] | None = None,
    env: Mapping[str, str] | None = None,
    columns: int = 80,
    command: str = COMMAND,
) -> Screen:
    """Run the command in a terminal, typing each answer where its prompt appears, or one each time."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(command, [command, *map(str, words)], {**os.environ, **(env or {})})  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    waiting = {
        (prompt.encode(), number): answer.encode()
        for prompt, given in (answers or {}).items()
        for number, answer in enumerate([given] if isinstance(given, str) else given, 1)
    }
    text = b""
    try:
        while select.select([terminal], [], [], 60)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # Linux says so when the other side has gone
                break
            if not piece:
                break
            text += piece
            for prompt in [prompt for prompt in waiting if text.count(prompt[0]) >= prompt[1]]:
                os.write(terminal, waiting.pop(prompt))
    finally:
        os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    without_secrets(Result(code, text, ""), {**os.environ, **(env or {})})
    return Screen(code, text.decode())
