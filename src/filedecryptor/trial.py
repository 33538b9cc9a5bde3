"""A child process that compiles and tries out the kernel for this CPU.

So LLVM never comes into this process, and whatever becomes of the child, this one goes on.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from threading import Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filedecryptor.kernels import Kernel

TIMEOUT = 30.0
"""Seconds that the child may take; a slow machine needs one or two."""

DIGEST_SIZE = 32
"""Bytes before an answer, by which it is known to be whole."""

LARGEST = 1 << 20
"""Bytes of an answer at most; machine code has some 20,000."""

ENVIRONMENT = ("PYTHON", "LD_", "DYLD_", "PATH", "SYSTEMROOT")
"""How the variables begin that the child gets; others may hold secrets."""

PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from filedecryptor.compiler import main; main"


class TrialError(Exception):
    """The child came to no good end."""


def compiled() -> tuple[Kernel, bytes] | None:
    """Return the kernel that this CPU takes and its machine code, tried out; None if it takes none.

    Raises:
        OSError: There can be no child.
        RuntimeError: There can be no thread.
        TrialError: The child came to no good end.
    """
    content = _answer()
    from filedecryptor.compiler import KERNELS

    feature, _, code = content.partition(b"\n")
    return (KERNELS[feature.decode()](), code) if content else None


def _answer() -> bytes:
    words = [
        sys.executable,
        "-SE" if sys.flags.ignore_environment else "-S",
        "-c",
        f"{PROGRAM}({TIMEOUT})",
    ]
    child = subprocess.Popen(  # noqa: S603 - this Python
        [*words, *map(str, sys.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in os.environ if name.upper().startswith(ENVIRONMENT)},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    with child:
        timer = Timer(TIMEOUT, child.kill)
        timer.daemon = True
        try:
            timer.start()
            found = child.stdout.read(LARGEST) if child.stdout else b""
        finally:
            timer.cancel()
            child.kill()
    digest, content = found[:DIGEST_SIZE], found[DIGEST_SIZE:]
    if digest != hashlib.sha256(content).digest():
        raise TrialError("its test run failed")
    return content
