"""The entry of the console script `filedecryptor` and of `python -m filedecryptor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from filedecryptor.terminal.process import run_program

if TYPE_CHECKING:
    from filedecryptor.terminal.console import Console


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return run_program("filedecryptor", _start, _discard_unfinished)


def _start(console: Console, args: Sequence[str]) -> int:
    # Past click, the .NET utility's own call saves 17 to 20 ms of some 80. These four lines change
    # nothing else: `cli.main` takes three such arguments in the same way.
    match args:
        case [filename, password, extension] if not (filename[:1] == "-" or extension[:1] == "-"):
            from filedecryptor.command import decrypt_command

            return decrypt_command(console, [filename], password, extension)
    from filedecryptor.cli import main

    return main.run(args, console)


def _discard_unfinished() -> None:
    from filedecryptor.storage import discard_unfinished

    discard_unfinished()


if __name__ == "__main__":
    sys.exit(main())
