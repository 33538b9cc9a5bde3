"""The keys of a run: of several recordings at once, where this machine is faster that way.

It is loaded for batches only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Semaphore
from typing import TYPE_CHECKING, NamedTuple

from filedecryptor.core import crypto
from filedecryptor.core.crypto import Password, WrongKeyError, derive_key, encode_password
from filedecryptor.errors import AuthenticationError
from filedecryptor.lanes.machine import MACHINE

if TYPE_CHECKING:
    from filedecryptor.lanes.kernel import HmacKey, Lanes


GROUPS = 3
"""Groups of recordings for each job: one waits for its keys, while others are read and flushed."""

MOST_THREADS = 512
"""Threads that there are for the sake of the lanes at most."""


def warn_by_python(what: str) -> None:
    """Tell a caller who has named no other way, as Python tells of a library's trouble."""
    import warnings

    warnings.warn(what, RuntimeWarning, stacklevel=2)


class Warned(NamedTuple):
    """Something that has to be known, though no recording fails for it.

    Attributes:
        what: It, in words.
    """

    what: str


class Request:
    """A key that is wanted. It shows in no `repr`.

    Attributes:
        key: It, once it is derived.
        is_by_lanes: Whether lanes have derived it.
        is_served: Set when the thread that has taken the request is done with it.

    Args:
        password: The password's bytes.
        salt: 16 bytes.
    """

    def __init__(self, password: bytes, salt: bytes) -> None:
        self.password = password
        self.salt = salt
        self.key: bytearray | None = None
        self.is_by_lanes = False
        self.is_served = Event()


class Keys:
    """Derives the keys of one run, whose threads ask for them side by side.

    Whoever gets a processor derives the keys of all who wait, as many as there are lanes. So the
    groups follow from the work: where few wait, at the end or because the network is slow, they
    are small, and where too few wait for the lanes to gain, OpenSSL does it.

    Attributes:
        processors: Held by whoever derives or decrypts.
        waiting: The requests that nobody has taken yet.

    Args:
        jobs: How many derive or decrypt at once.
        expected: How many keys will be wanted, if that is known.
    """

    def __init__(self, jobs: int, expected: int = 0) -> None:
        self._jobs = jobs
        MACHINE.expect(expected, jobs)
        self.processors = Semaphore(jobs)
        self._passwords: dict[bytes, HmacKey] = {}
        self.waiting: list[Request] = []
        self._lock = Lock()
        self._told: str | None = None

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

    @contextmanager
    def derive(
        self,
        password: Password,
        salt: bytes,
        on_progress: Callable[[int], object],
        *,
        is_repeatable: bool,
    ) -> Iterator[bytearray]:
        """Derive a key, yield it while a processor is free for its use, and wipe it on exit.

        Args:
            password: See `encode_password`.
            salt: 16 bytes.
            on_progress: Called with 0 now and then; what it raises ends the work.
            is_repeatable: Whether what is done with the key can be done again with another one.

        Yields:
            The key, 32 bytes.

        Raises:
            AuthenticationError: What was done with the key raised it, and the key was right.
            WrongKeyError: The same, but the key was not what `cryptography` derives.
        """
        MACHINE.count(self._jobs)
        request = Request(encode_password(password), salt)
        key = self._derived(request, lambda: on_progress(0), is_repeatable=is_repeatable)
        try:
            with self.processors:
                yield key
        except AuthenticationError:
            if not request.is_by_lanes or self._is_right(request):
                raise
            MACHINE.distrust("derived a wrong key, and is not used any more")
            raise WrongKeyError from None
        finally:
            key[:] = bytes(len(key))

    def _is_right(self, request: Request) -> bool:
        with self.processors, derive_key(request.password, request.salt) as right:
            return request.key == right

    def _derived(
        self, request: Request, pause: Callable[[], object], *, is_repeatable: bool
    ) -> bytearray:
        if is_repeatable:
            with self._lock:
                self.waiting.append(request)
        else:
            with self.processors:
                pause()
                _serve_alone(request)
        while request.key is None:
            with self.processors:
                pause()
                in_use = MACHINE.in_use
                group = self._group(request, in_use)
                if in_use is not None and len(group) >= in_use.fewest:
                    self._serve(group, in_use, pause)
                elif group:
                    _serve_alone(request)
            if not group:
                request.is_served.wait()
        return request.key

    def _group(self, request: Request, in_use: Lanes | None) -> list[Request]:
        """Return those whose keys to derive now: none, if another thread has taken the request."""
        with self._lock:
            if request not in self.waiting:
                return []
            self.waiting.remove(request)
            if in_use is None or len(self.waiting) + 1 < in_use.fewest:
                return [request]
            others = self.waiting[: in_use.count - 1]
            del self.waiting[: len(others)]
        for other in others:
            other.is_served.clear()
        return [request, *others]

    def _serve(self, group: list[Request], lanes: Lanes, pause: Callable[[], object]) -> None:
        """Derive the keys of a group. If that is ended, all but the first wait again."""
        try:
            wanted = [(self._hmac_key(request.password), request.salt) for request in group]
            keys = lanes.derive(wanted, crypto.ITERATIONS, pause)
            for request, key in zip(group, keys, strict=True):
                request.key, request.is_by_lanes = key, True
        finally:
            with self._lock:
                self.waiting += [request for request in group[1:] if request.key is None]
            for request in group[1:]:
                request.is_served.set()

    def _hmac_key(self, password: bytes) -> HmacKey:
        from filedecryptor.lanes.kernel import HmacKey

        if password not in self._passwords:
            self._passwords[password] = HmacKey(password)
        return self._passwords[password]


def _serve_alone(request: Request) -> None:
    with derive_key(request.password, request.salt) as key:
        request.key = bytearray(key)
