"""Run a command while one function that it calls fails, as a broken disk or system would make it.

    python tests/support/failing.py FUNCTION ERROR -- WORDS...       runs filedecryptor
    python tests/support/failing.py FUNCTION ERROR --vns WORDS...    runs vns-recordings

FUNCTION is a dotted name such as `os.fsync`, `os.replace`, `builtins.open` or
`filedecryptor.core.format._read`: anything that its caller looks up by name when it calls it. ERROR is
what each call raises: an `OSError` for a name of `errno` (`EIO`, `ENOSPC`), or else the exception
of that name (`MemoryError`, `KeyboardInterrupt`). All else is the real command in a real process.
"""

from __future__ import annotations

import builtins
import errno
import os
import sys
from importlib import import_module
from pkgutil import resolve_name
from typing import NoReturn

COMMANDS = {"--": "filedecryptor.__main__", "--vns": "filedecryptor.vns.__main__"}


def main() -> int:
    """Replace the function, then hand the words on and return the command's exit code."""
    _, function, error, which, *words = sys.argv

    def fail(*_: object, **__: object) -> NoReturn:
        number = getattr(errno, error, None)
        raise getattr(builtins, error)() if number is None else OSError(number, os.strerror(number))

    command = import_module(COMMANDS[which])
    sys.argv = [command.__name__, *words]
    owner, _, name = function.rpartition(".")
    setattr(resolve_name(owner), name, fail)
    return int(command.main())


if __name__ == "__main__":
    sys.exit(main())
