"""The keys of a run: derived many at once where there are lanes, and else one by one."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Semaphore
from typing import TYPE_CHECKING, TypeVar

from filedecryptor.core import crypto
from filedecryptor.core.crypto import Password, derive_key, encode_password
from filedecryptor.errors import AuthenticationError
from filedecryptor.lanes.machine import MACHINE

if TYPE_CHECKING:
    from filedecryptor.lanes.kernel import HmacKey

Result = TypeVar("Result")

GROUPS = 3  # of recordings for each job: one waits for its keys, others are read and flushed
MOST_THREADS = 512  # threads that there are for the sake of the lanes at most


def warn_by_python(what: str) -> None:
    """Tell a caller who has named no other way, as Python tells of a library's trouble."""
    import warnings

    warnings.warn(what, RuntimeWarning, stacklevel=2)


class WantedKey:
    """A key that is wanted, or derived. It shows in no `repr`.

    `is_served` is set once a thread that has taken it is done; there is no `key` if that was ended.
    """

    def __init__(self, password: bytes, salt: bytes) -> None:
        self.password = password
        self.salt = salt
        self.key: bytearray | None = None
        self.is_by_lanes = False
        self.is_served = Event()


class Keys:
    """Derives the keys of one run, whose threads ask for them side by side.

    A thread that holds one of the `processors` derives its own key and those of others that are
    `waiting`, as many as there are lanes. With too few waiting, at the end or because the network is
    slow, it derives its own by `cryptography`.
    """

    def __init__(self, jobs: int, expected: int = 0) -> None:
        self._jobs = jobs
        self.processors = Semaphore(jobs)
        self.waiting: list[WantedKey] = []
        self._lock = Lock()
        self._passwords: dict[bytes, HmacKey] = {}
        self._told: str | None = None
        MACHINE.expect(expected, jobs)

    @property
    def threads(self) -> int:
        """How many threads keep the lanes busy; 0 if there are none."""
        return min(MOST_THREADS, self._jobs * GROUPS * MACHINE.lanes)

    def news(self) -> str | None:
        """Return why there are no lanes, if that is worth telling and has not been told yet."""
        told, self._told = self._told, MACHINE.trouble
        return None if told == self._told else self._told

    def use(
        self,
        password: Password,
        salt: bytes,
        work: Callable[[bytearray], Result],
        on_progress: Callable[[int], object],
        is_repeatable: bool,  # noqa: FBT001 - there is one call
    ) -> Result:
        """Return what `work` does with a key, while a processor is free for it; wipe the key.

        If it raises an `AuthenticationError` under a wrong key of the lanes, it is done again under
        the right one. Only what is repeatable is left to the lanes. `on_progress` is called with 0
        now and then; what it raises ends the derivation.
        """
        MACHINE.count(self._jobs)
        if not is_repeatable:
            with self.processors:
                on_progress(0)
                with derive_key(password, salt) as right:
                    return work(right)
        wanted = WantedKey(encode_password(password), salt)
        key = self._derived(wanted, lambda: on_progress(0))
        try:
            with self.processors:
                return work(key)
        except AuthenticationError:
            if not wanted.is_by_lanes:
                raise
            with self.processors, derive_key(wanted.password, salt) as right:
                if key == right:
                    raise
                MACHINE.distrust("derived a wrong key, and is not used any more")
                return work(right)
        finally:
            key[:] = bytes(len(key))

    def _derived(self, wanted: WantedKey, pause: Callable[[], object]) -> bytearray:
        """Return a key that this thread derives, or another that has taken it along."""
        while wanted.key is None:  # also if that other thread was ended
            wanted.is_served.clear()
            with self._lock:
                self.waiting.append(wanted)
            with self.processors:
                pause()
                self._derive_group(wanted, pause)
            wanted.is_served.wait()
        return wanted.key

    def _derive_group(self, wanted: WantedKey, pause: Callable[[], object]) -> None:
        """Derive a key, and as many others as the lanes have room for, unless it has been taken."""
        lanes = MACHINE.in_use
        with self._lock:
            if wanted not in self.waiting:
                return
            most = lanes.count if lanes and len(self.waiting) >= lanes.fewest else 1
            self.waiting.remove(wanted)
            group = [wanted, *self.waiting[: most - 1]]
            del self.waiting[: most - 1]
        try:
            if lanes is None or most == 1:
                with derive_key(wanted.password, wanted.salt) as key:
                    wanted.key = bytearray(key)
                return
            from filedecryptor.lanes.kernel import HmacKey

            for password in {each.password for each in group} - self._passwords.keys():
                self._passwords[password] = HmacKey(password)
            requests = [(self._passwords[each.password], each.salt) for each in group]
            keys = lanes.derive(requests, crypto.ITERATIONS, pause)
            for each, derived in zip(group, keys, strict=True):
                each.key, each.is_by_lanes = derived, True
        finally:
            for each in group:
                each.is_served.set()
