"""Whether this machine derives keys in lanes: compiled, tried and checked once a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from threading import Lock, Thread, Timer
from typing import TYPE_CHECKING

from filedecryptor.core.crypto import derive_key
from filedecryptor.errors import in_one_line

if TYPE_CHECKING:
    from filedecryptor.lanes.kernel import Kernel, Lanes


TIMEOUT = 30.0
"""Seconds that the child may take; a slow machine needs one or two."""

DIGEST_SIZE = 32
"""Bytes before an answer, by which it is known to be whole."""

LARGEST = 1 << 20
"""Bytes of an answer at most; machine code has some 20,000."""

ENVIRONMENT = ("PYTHON", "LD_", "DYLD_", "PATH", "SYSTEMROOT")
"""How the variables begin that the child gets; others may hold secrets."""

PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; from filedecryptor.lanes.compiler import main; main"
)


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
    from filedecryptor.lanes.compiler import KERNELS

    feature, _, code = content.partition(b"\n")
    return (KERNELS[feature.decode()](), code) if content else None


def _answer() -> bytes:
    import hashlib
    import subprocess

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


ROOM = 256 * 1024 * 1024
"""Bytes that a control group has to have left: LLVM takes 130 MB, the audio of a batch 64 MiB."""

FILES = 128
"""Files that the process has to be allowed, since those who wait for their keys have some open."""

GROUPS = "/proc/self/cgroup"
MOUNTS = "/proc/self/mountinfo"

CONTROLLERS = {
    "cgroup2": ("memory.max", "memory.current", "inactive_file"),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By the kind of the file system: the files of the limit and of the usage, and what of the usage is
given back at once, by its name in memory.stat: files that were read once."""


def has_room() -> bool:
    """Return whether this process has no limits that LLVM, or many threads, could run into."""
    if sys.platform == "win32":  # which has none of these
        return True
    import resource

    unlimited = resource.RLIM_INFINITY
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    if any(resource.getrlimit(kind)[0] != unlimited for kind in kinds):
        return False
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != unlimited and files < FILES:
        return False
    return all(room >= ROOM for room in _rooms())


def _rooms() -> Iterator[int]:
    """Yield the bytes that are left in each control group that this process is in (cgroups(7))."""
    for kind, directory in _groups():
        limit, usage, reclaimable = CONTROLLERS[kind]
        with suppress(OSError, ValueError):  # it has no limit, or the controller is another one
            room = int(_read(directory, limit)) - int(_read(directory, usage))
            statistics = dict(line.split() for line in _read(directory, "memory.stat").splitlines())
            yield room + int(statistics.get(reclaimable, 0))


def _groups() -> Iterator[tuple[str, str]]:
    """Yield the directory of each of those groups, with the kind of its file system."""
    with suppress(OSError, ValueError):  # this is no Linux, or shows nothing of itself
        own = {}
        for line in _read(GROUPS).splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "memory" in controllers.split(","):
                own["cgroup" if controllers else "cgroup2"] = path
        for line in _read(MOUNTS).splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            if kind in own and (kind == "cgroup2" or "memory" in options.split(",")):
                root, mount = before.split()[3:5]
                inside = os.path.relpath(own[kind], root)
                while inside not in {"", "."} and not inside.startswith(".."):
                    yield kind, os.path.join(mount, inside)
                    inside = os.path.dirname(inside)
                yield kind, mount


def _read(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


PACKAGE = "llvmlite"
"""What the extra `lanes` installs."""

ENOUGH = 6
"""Keys for each job after which the lanes are made ready: a smaller batch would not gain."""

LIKELY = 4
"""How many lanes to expect before they are ready."""

UNAFFECTED = "the keys are derived without it, and no recording is affected"


class Machine:
    """The lanes of the machine that this process runs on.

    They are made ready once, in a thread of their own, while OpenSSL derives the first keys.

    Attributes:
        in_use: The lanes, if there are any to use.
        trouble: Why there are none, if that is worth telling.
    """

    def __init__(self) -> None:
        self.in_use: Lanes | None = None
        self.trouble: str | None = None
        self._is_hopeful = find_spec(PACKAGE) is not None and _can_start_python() and has_room()
        self._asked = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the thread that makes the lanes ready, as is right in a process that was forked."""
        self._has_begun = False
        self._lock = Lock()

    @property
    def lanes(self) -> int:
        """How many keys are derived at once, or soon will be; 0 if it is one after another."""
        if self.in_use is not None:
            return self.in_use.count
        return LIKELY if self._is_hopeful else 0

    def expect(self, keys: int, jobs: int) -> None:
        """Have the lanes made ready if so many keys are enough, before the first is wanted.

        Args:
            keys: How many will be wanted.
            jobs: How many derive keys.
        """
        if keys >= ENOUGH * jobs:
            self._begin()

    def count(self, jobs: int) -> None:
        """Count a key that is wanted; have the lanes made ready once there were enough."""
        with self._lock:
            self._asked += 1
        if self._asked >= ENOUGH * jobs:
            self._begin()

    def _begin(self) -> None:
        with self._lock:
            if not self._is_hopeful or self._has_begun:
                return
            self._has_begun = True
        try:
            Thread(target=self.make_ready, daemon=True).start()
        except RuntimeError:  # the system has no more of them
            self._is_hopeful = False

    def make_ready(self) -> None:
        """Have the lanes compiled, and use them if their keys are those of `cryptography`."""
        try:
            found = compiled()
            if found is not None:
                from filedecryptor.lanes.executable import function_of
                from filedecryptor.lanes.kernel import Lanes

                kernel, code = found
                lanes = Lanes(kernel, function_of(code))
                if lanes.agree_with(_derive):
                    self.in_use = lanes
                else:
                    self.distrust("derives wrong keys on this machine, and is not used")
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing depends on the lanes
            self.distrust(f"does not work here ({in_one_line(error)}), and is not used")
        self._is_hopeful = False

    def distrust(self, what: str) -> None:
        """Use the lanes no more.

        Args:
            what: What the extra did.
        """
        self.trouble = f"the extra 'lanes' {what}; {UNAFFECTED}"
        self.in_use = None
        self._is_hopeful = False


def _can_start_python() -> bool:
    """Return whether `sys.executable` is Python, and not a program that has it inside."""
    name = os.path.basename(sys.executable or "").lower()
    return name.startswith(("python", "pypy")) and not hasattr(sys, "frozen")


def _derive(password: bytes, salt: bytes, iterations: int) -> bytes:
    with derive_key(password, salt, iterations) as key:
        return bytes(key)


MACHINE = Machine()
"""There is one for each process: a worker of a cluster compiles once."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=MACHINE.begin_anew)
