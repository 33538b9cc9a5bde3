"""The command in a real pseudo-terminal. POSIX only."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from support.commands import COMMAND
from support.posix import fcntl, pty, termios


class Screen(NamedTuple):
    """What a command showed in a terminal."""

    code: int
    text: str


def run_in_terminal(
    *words: str | Path,
    cwd: Path,
    answers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    columns: int = 80,
    command: str = COMMAND,
) -> Screen:
    """Run the command in a terminal, typing each answer where its prompt appears."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(command, [command, *map(str, words)], {**os.environ, **(env or {})})  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    waiting = dict(answers or {})
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
            for prompt in [prompt for prompt in waiting if prompt.encode() in text]:
                os.write(terminal, waiting.pop(prompt).encode())
    finally:
        os.close(terminal)
    return Screen(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode())
