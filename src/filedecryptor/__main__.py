"""The way in: `filedecryptor` and `python -m filedecryptor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from filedecryptor import process


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return process.run(_start)


def _start(words: Sequence[str]) -> int:
    match words:
        # The call of the .NET utility: no option is looked for in it, nor click loaded for it,
        # which would take as long as decrypting a short recording.
        case [filename, password, extension] if not (filename[:1] == "-" or extension[:1] == "-"):
            from filedecryptor import command

            return command.run([filename], password, extension)
        case _:
            from filedecryptor import cli

            return cli.main(words)


if __name__ == "__main__":
    sys.exit(main())
