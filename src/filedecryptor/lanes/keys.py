"""The keys of a run: derived many at once where there are lanes, and else one by one."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock, Semaphore
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from filedecryptor.core import crypto
from filedecryptor.core.crypto import Password, derive_key, encode_password
from filedecryptor.errors import AuthenticationError
from filedecryptor.lanes.machine import MACHINE

if TYPE_CHECKING:
    from filedecryptor.lanes.kernel import HmacKey, Lanes

Result = TypeVar("Result")

GROUPS = 3
"""Groups of recordings for each job: one waits for its keys, while others are read and flushed."""

MOST_THREADS = 512
"""Threads that there are for the sake of the lanes at most."""


def warn_by_python(what: str) -> None:
    """Tell a caller who has named no other way, as Python tells of a library's trouble."""
    import warnings

    warnings.warn(what, RuntimeWarning, stacklevel=2)


class Warned(NamedTuple):
    """A warning about a run: no recording fails for it."""

    what: str


class WantedKey:
    """A key that is wanted, or derived. It shows in no `repr`.

    `is_served` is set once a thread that has taken the request is done with it.
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
        if self._told == MACHINE.trouble:
            return None
        self._told = MACHINE.trouble
        return self._told

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
        request = WantedKey(encode_password(password), salt)
        key = self._derived(request, lambda: on_progress(0), is_repeatable=is_repeatable)
        try:
            with self.processors:
                return work(key)
        except AuthenticationError:
            if not request.is_by_lanes:
                raise
            with self.processors, derive_key(request.password, salt) as right:
                if key == right:
                    raise
                MACHINE.distrust("derived a wrong key, and is not used any more")
                return work(right)
        finally:
            key[:] = bytes(len(key))

    def _derived(
        self, request: WantedKey, pause: Callable[[], object], *, is_repeatable: bool
    ) -> bytearray:
        if is_repeatable:
            with self._lock:
                self.waiting.append(request)
        while request.key is None:
            with self.processors:
                pause()
                lanes = MACHINE.in_use if is_repeatable else None
                group = self._taken(request, lanes) if is_repeatable else [request]
                if lanes is not None and len(group) >= lanes.fewest:
                    self._derive(group, lanes, pause)
                elif group:
                    with derive_key(request.password, request.salt) as key:
                        request.key = bytearray(key)
            if not group:
                request.is_served.wait()
        return request.key

    def _taken(self, request: WantedKey, lanes: Lanes | None) -> list[WantedKey]:
        """Take a request and as many others as the lanes have room for; none if it is taken."""
        with self._lock:
            if request not in self.waiting:
                return []
            room = lanes.count if lanes and len(self.waiting) >= lanes.fewest else 1
            self.waiting.remove(request)
            others = self.waiting[: room - 1]
            del self.waiting[: len(others)]
            for other in others:
                other.is_served.clear()
        return [request, *others]

    def _derive(self, group: list[WantedKey], lanes: Lanes, pause: Callable[[], object]) -> None:
        """Derive the keys of a group by the lanes. If that is ended, all but the first wait on."""
        from filedecryptor.lanes.kernel import HmacKey

        try:
            for password in {request.password for request in group} - self._passwords.keys():
                self._passwords[password] = HmacKey(password)
            wanted = [(self._passwords[request.password], request.salt) for request in group]
            keys = lanes.derive(wanted, crypto.ITERATIONS, pause)
            for request, key in zip(group, keys, strict=True):
                request.key, request.is_by_lanes = key, True
        finally:
            with self._lock:
                self.waiting += [request for request in group[1:] if request.key is None]
            for request in group[1:]:
                request.is_served.set()
