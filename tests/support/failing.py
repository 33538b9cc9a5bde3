"""Run the command while one function that it calls fails, as a broken disk or system would make it.

    python tests/support/failing.py FUNCTION ERROR -- WORDS...

FUNCTION is a dotted name such as `os.fsync` or `builtins.open`, of anything that its caller looks up
by name when it calls it. ERROR is what each call raises: an `OSError` for a name of `errno` (`EIO`),
or else the exception of that name (`MemoryError`). All else is the real command.
"""

from __future__ import annotations

import builtins
import errno
import os
import sys
from pkgutil import resolve_name
from typing import NoReturn

from filedecryptor.__main__ import main

if __name__ == "__main__":
    _, function, error, _, *words = sys.argv
    sys.argv = ["filedecryptor", *words]

    def fail(*_: object, **__: object) -> NoReturn:
        """Do what a call ends with from now on."""
        number = getattr(errno, error, None)
        raise getattr(builtins, error)() if number is None else OSError(number, os.strerror(number))

    owner, _, name = function.rpartition(".")
    setattr(resolve_name(owner), name, fail)
    sys.exit(main())
