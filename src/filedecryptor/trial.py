"""A child process that compiles and tries out the kernel for this CPU.

So LLVM never comes into this process, and whatever becomes of the child, this one goes on.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from threading import Timer

from filedecryptor import compiler
from filedecryptor.compiler import DIGEST_SIZE, KERNELS, TIMEOUT, TrialError
from filedecryptor.kernels import Kernel

LARGEST = 1 << 20
"""Bytes of an answer at most; machine code has some 20,000."""

ENVIRONMENT = ("PYTHON", "LD_", "DYLD_", "PATH", "SYSTEMROOT")
"""How the variables begin that the child gets; others may hold secrets."""

PROGRAM = (
    f"import sys; sys.path[:] = sys.argv[1:]; from {compiler.__name__} import answer; answer()"
)


def compiled() -> tuple[Kernel, bytes] | None:
    """Return the kernel that this CPU takes and its machine code, tried out; None if it takes none.

    Raises:
        OSError: There can be no child.
        RuntimeError: There can be no thread.
        TrialError: The child came to no good end.
    """
    content = _answer()
    feature, _, code = content.partition(b"\n")
    return (KERNELS[feature.decode()](), code) if content else None


def _answer() -> bytes:
    words = [sys.executable, "-SE" if sys.flags.ignore_environment else "-S", "-c", PROGRAM]
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
        raise TrialError
    return content
