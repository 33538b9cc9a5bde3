"""Whether this machine derives keys in lanes: compiled, tried and checked once a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING

from filedecryptor.errors import in_one_line

if TYPE_CHECKING:
    from filedecryptor.lanes.kernel import Lanes

ENOUGH_KEYS = 6  # for each job, to have the lanes made ready: a smaller batch would not gain
EXPECTED_LANES = 4  # how many there will be, as long as they are not ready
COMPILE_TIMEOUT = 30.0  # seconds that the child may take; a slow machine needs one or two

PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; import filedecryptor.lanes.compiler as c; c.main()"
)

ENVIRONMENT = ("PYTHON", "LD_", "DYLD_", "PATH", "SYSTEMROOT")  # of the child: no secrets
MEMORY_NEEDED = 256 * 1024 * 1024  # bytes: LLVM takes 130 MB, the audio of a batch 64 MiB
OWN_CGROUPS, CGROUPS = "/proc/self/cgroup", "/sys/fs/cgroup"  # cgroups(7)

UNAFFECTED = "the keys are derived without it, and no recording is affected"


class Machine:
    """The lanes of this machine: `in_use` if there are any, else the `trouble` if worth telling."""

    def __init__(self) -> None:
        self.in_use: Lanes | None = None
        self.trouble: str | None = None
        executable = os.path.basename(sys.executable or "").lower()
        is_python = executable.startswith(("python", "pypy")) and not hasattr(sys, "frozen")
        self._is_hopeful = find_spec("llvmlite") is not None and is_python and has_room()
        self._asked = 0
        self._begun_in: int | None = None  # a process: one that was forked has to begin anew

    @property
    def lanes(self) -> int:
        """How many keys are derived at once, or soon will be; 0 if it is one after another."""
        expected = EXPECTED_LANES if self._is_hopeful else 0
        return self.in_use.count if self.in_use else expected

    def count(self, jobs: int) -> None:
        """Count a key, and expect as many as have been counted."""
        self._asked += 1  # a race may lose one, which does not matter
        self.expect(self._asked, jobs)

    def expect(self, keys: int, jobs: int) -> None:
        """Have the lanes made ready if so many keys are enough for so many jobs."""
        has_begun = self._begun_in == os.getpid()
        if has_begun or not self._is_hopeful or keys < ENOUGH_KEYS * jobs:
            return
        self._begun_in = os.getpid()  # a race may begin twice, which does not matter either
        try:
            Thread(target=self.make_ready, daemon=True).start()
        except RuntimeError:  # the system has no more of them
            self._is_hopeful = False

    def make_ready(self) -> None:
        """Have the lanes compiled, and use them if their keys are those of `cryptography`."""
        try:
            lanes = compiled()
            if lanes is None or lanes.are_right():
                self.in_use = lanes
            else:
                self.distrust("derives wrong keys on this machine, and is not used")
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing depends on the lanes
            self.distrust(f"does not work here ({in_one_line(error)}), and is not used")
        self._is_hopeful = False

    def distrust(self, what: str) -> None:
        """Stop using the lanes; `what` says in the warning what the extra did."""
        self.trouble = f"the extra 'lanes' {what}; {UNAFFECTED}"
        self.in_use = None
        self._is_hopeful = False


def compiled() -> Lanes | None:
    """Return lanes that a child process has compiled and tried; None if this CPU takes none."""
    import subprocess

    isolated = "-SE" if sys.flags.ignore_environment else "-S"
    environment = {
        name: os.environ[name] for name in os.environ if name.upper().startswith(ENVIRONMENT)
    }
    output = b""
    with suppress(subprocess.SubprocessError):
        output = subprocess.run(  # noqa: S603 - this Python
            [sys.executable, isolated, "-c", PROGRAM, *map(str, sys.path)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMPILE_TIMEOUT,
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        ).stdout
    from filedecryptor.lanes.compiler import KERNELS, NO_KERNEL, function_of
    from filedecryptor.lanes.kernel import Lanes

    line, _, code = output.partition(b"\n")
    feature = line.decode()
    if feature == NO_KERNEL:
        return None
    if feature not in KERNELS:
        raise ChildProcessError("its test run failed")
    return Lanes(KERNELS[feature](), function_of(code))


def has_room() -> bool:
    """Return whether this process has no limits that LLVM could run into."""
    if sys.platform == "win32":  # which has none of these
        return True
    import resource

    limits = {resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)}
    return limits == {resource.RLIM_INFINITY} and all(room >= MEMORY_NEEDED for room in _rooms())


def _rooms() -> Iterator[int]:
    """Yield the bytes that are left in each control group that this process is in, or that is above.

    In a container, the path may be one of the machine outside; then its own group is the one that
    is mounted. Files that were read once are given back at once.
    """
    with suppress(OSError, ValueError):  # this is not Linux, or has the first version of them
        [path] = (line[3:] for line in _read(OWN_CGROUPS).splitlines() if line.startswith("0::"))
        group = f"{CGROUPS}{path}"
        while len(group) >= len(CGROUPS):
            with suppress(OSError, ValueError):  # it is not there, or has no limit
                room = int(_read(f"{group}/memory.max")) - int(_read(f"{group}/memory.current"))
                statistics = _read(f"{group}/memory.stat").split()
                yield room + int(statistics[statistics.index("inactive_file") + 1])
            group = os.path.dirname(group)


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


MACHINE = Machine()  # there is one for each process: a worker of a cluster compiles once
