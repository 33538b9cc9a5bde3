"""The entry of the console script `vns-recordings` and of `python -m filedecryptor.vns`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from filedecryptor.terminal.process import run_program

if TYPE_CHECKING:
    from filedecryptor.terminal.console import Console


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return run_program("vns-recordings", _start, _discard_unfinished)


def _start(console: Console, args: Sequence[str]) -> int:
    if find_spec("httpcore") is None:
        from filedecryptor.errors import FileDecryptorError
        from filedecryptor.extras import missing_extra

        raise FileDecryptorError("vns-recordings needs more packages", hint=missing_extra("vns"))

    from filedecryptor.vns.cli import main

    return main.run(args, console)


def _discard_unfinished() -> None:
    from filedecryptor.storage import discard_unfinished

    discard_unfinished()


if __name__ == "__main__":
    sys.exit(main())
