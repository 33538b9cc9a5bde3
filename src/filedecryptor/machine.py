"""The lanes of this machine, if it has any.

It is loaded for batches only, and loads the lanes only where they may help.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from threading import Lock, Thread
from typing import TYPE_CHECKING

from filedecryptor.crypto import derive_key
from filedecryptor.errors import in_one_line
from filedecryptor.memory import has_room

if TYPE_CHECKING:
    from filedecryptor.lanes import Lanes

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
            from filedecryptor.trial import compiled

            found = compiled()
            if found is not None:
                from filedecryptor.executable import function_of
                from filedecryptor.lanes import Lanes

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
