"""The entry of the console script `vns-recordings` and of `python -m filedecryptor.vns`."""

import sys

import filedecryptor.__main__  # noqa: F401 - first, as it lets an early Ctrl-C end the process
from filedecryptor.terminal.process import run_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from filedecryptor.terminal.console import Console


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return run_program("vns-recordings", start)


def start(console: "Console", args: "Sequence[str]") -> int:
    """Do what a command line asks for and return the exit code."""
    from importlib.util import find_spec

    if find_spec("httpcore") is None:
        from filedecryptor.errors import FileDecryptorError, missing_extra

        raise FileDecryptorError("vns-recordings needs more packages", hint=missing_extra("vns"))

    from filedecryptor.vns.cli import main

    return main.run(args, console)


if __name__ == "__main__":
    sys.exit(main())
