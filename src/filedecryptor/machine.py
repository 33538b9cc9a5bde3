"""What the lanes of this machine are good for.

It is loaded for batches only, and loads the lanes only where they may help.
"""

from __future__ import annotations

import math
import os
import sys
import time
from importlib.util import find_spec
from threading import Lock, Thread
from typing import TYPE_CHECKING, NamedTuple

from filedecryptor.crypto import derive_key

if TYPE_CHECKING:
    from filedecryptor.lanes import Lanes

PACKAGE = "llvmlite"
"""What the extra `lanes` installs."""

ENOUGH = 6
"""Keys for each job after which the lanes are made ready: a smaller batch would not gain."""

LIKELY = 4
"""How many lanes to expect before they are ready."""

TRIAL_ITERATIONS = 2_000
"""Iterations of the keys by which lanes are checked and timed: less than a millisecond each."""

CLEARLY = 0.9
"""The part of the time of other lanes at which these are worth their larger groups."""

UNAFFECTED = "the keys are derived without it, and no recording is affected"


class InUse(NamedTuple):
    """Lanes that are checked, and timed.

    Attributes:
        lanes: They.
        seconds: What an iteration of all of them takes.
        fewest: The keys from which on they take less time than OpenSSL.
    """

    lanes: Lanes
    seconds: float
    fewest: int

    def is_better(self, old: InUse | None) -> bool:
        """Return whether to use these lanes instead of others; None is OpenSSL."""
        if old is None:
            return self.fewest <= self.lanes.count
        return self.seconds / self.lanes.count < CLEARLY * old.seconds / old.lanes.count


class Machine:
    """What the lanes of the machine are good for that this process runs on.

    They are made ready once, in a thread of their own, while OpenSSL derives the first keys. That
    thread is no daemon: the interpreter must not end while LLVM works.

    Attributes:
        in_use: The lanes, if there are any to use.
        trouble: Why there are none, if that is worth telling.
    """

    def __init__(self) -> None:
        self.in_use: InUse | None = None
        self.trouble: str | None = None
        self._is_hopeful = find_spec(PACKAGE) is not None and not _memory_is_limited()
        self._asked = 0
        self._lock = Lock()

    @property
    def lanes(self) -> int:
        """How many keys are derived at once, or soon will be; 0 if it is one after another."""
        if self.in_use is not None:
            return self.in_use.lanes.count
        return LIKELY if self._is_hopeful else 0

    def count(self, jobs: int) -> None:
        """Count a key that is wanted; have the lanes made ready once there were enough.

        Args:
            jobs: How many derive keys.
        """
        with self._lock:
            self._asked += 1
            is_time = self._is_hopeful and self._asked == ENOUGH * jobs
        if is_time:
            try:
                # Who asks for keys is a daemon, and would pass that on.
                Thread(target=self.make_ready, daemon=False).start()
            except RuntimeError:  # the system has no more of them
                self._is_hopeful = False

    def make_ready(self) -> None:
        """Compile the lanes, check them, and use the fastest, if they are faster than OpenSSL."""
        try:
            from filedecryptor.lanes import compiled

            for lanes in compiled():
                tried = _trial(lanes)
                if tried is None:
                    self.distrust("derives wrong keys on this machine, and is not used")
                if self.trouble is not None:
                    break
                if tried is not None and tried.is_better(self.in_use):
                    self.in_use = tried
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing depends on the lanes
            self.distrust(f"does not work here ({type(error).__name__}), and is not used")
        self._is_hopeful = False

    def distrust(self, what: str) -> None:
        """Use the lanes no more.

        Args:
            what: What the extra did.
        """
        self.trouble = f"the extra 'lanes' {what}; {UNAFFECTED}"
        self.in_use = None
        self._is_hopeful = False


def _memory_is_limited() -> bool:
    """Return whether this process may have only so much memory: LLVM ends it where that is all."""
    if sys.platform == "win32":  # where there is no such limit
        return False
    import resource

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _trial(lanes: Lanes) -> InUse | None:
    """Return what lanes are worth; None if their keys are not those of `cryptography`."""
    from filedecryptor.lanes import HmacKey

    wanted = [(os.urandom(1 + lane), os.urandom(16)) for lane in range(lanes.count)]
    keys = lanes.derive(
        [(HmacKey(password), salt) for password, salt in wanted], TRIAL_ITERATIONS, lambda: None
    )
    seconds = math.inf
    for (password, salt), found in zip(wanted, keys, strict=True):
        begin = time.perf_counter()
        with derive_key(password, salt, TRIAL_ITERATIONS) as key:
            seconds = min(seconds, time.perf_counter() - begin)
            if key != found:
                return None
    of_lanes = lanes.seconds(TRIAL_ITERATIONS)
    return InUse(lanes, of_lanes, math.floor(of_lanes / seconds) + 1)


MACHINE = Machine()
"""There is one for each process: a worker of a cluster compiles once."""
