"""How long things may take: time limits that hold wherever bytes arrive."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import httpcore

from filedecryptor.errors import ApiError
from filedecryptor.workers import WAKING_INTERVAL

LEAST_SPEED = 1000
"""Bytes a second that have to come; whoever sends less for the whole of a timeout is given up."""


class TimeOverError(ApiError):
    """The time that the whole run was given is over."""


class TooSlowError(httpcore.ReadTimeout):
    """What comes is less than `LEAST_SPEED`."""


class Limits:
    """How long a client may take.

    Args:
        timeout: Seconds to wait for the beginning of an answer, and for each `LEAST_SPEED` bytes a
            second of it.
        max_time: Seconds from now in which all must be done; None if there is no limit.

    Attributes:
        timeout: As above.
    """

    def __init__(self, timeout: float, max_time: float | None) -> None:
        self.timeout = timeout
        self._max_time = max_time
        self._deadline = None if max_time is None else time.monotonic() + max_time

    def left(self, seconds: float) -> float:
        """Return how many of these seconds there are until the run's time is over.

        Raises:
            TimeOverError: None.
        """
        if self._deadline is None:
            return seconds
        rest = self._deadline - time.monotonic()
        if rest <= 0:
            raise TimeOverError(f"the {self._max_time:g} seconds of --max-time are over")
        return min(seconds, rest)


class Backend(httpcore.SyncBackend):
    """Connects as `httpcore` does, and watches how much comes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        """Return a connection that is watched."""
        return _Stream(super().connect_tcp(*args, **options), self._limits)


class _Stream(httpcore.NetworkStream):
    """A connection that is given up if what comes is too little.

    The time is taken where the bytes arrive, so headers that trickle in count as well, and time
    that this side needs does not.
    """

    def __init__(self, stream: httpcore.NetworkStream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._begin()

    def _begin(self) -> None:
        self._waited, self._count = 0.0, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        most = self._limits.timeout
        data = None
        while data is None:
            begin = time.monotonic()
            rest = self._limits.left(most - self._waited)
            with suppress(httpcore.ReadTimeout):
                data = self._stream.read(max_bytes, min(rest, WAKING_INTERVAL))
            self._waited += time.monotonic() - begin
            if data is None and self._waited >= most:
                raise TooSlowError if self._count else httpcore.ReadTimeout
        self._count += len(data)
        if self._waited >= most:
            if self._count < LEAST_SPEED * self._waited:
                raise TooSlowError
            self._begin()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._begin()
        self._stream.write(buffer, self._limits.left(self._limits.timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        return _Stream(self._stream.start_tls(*args, **options), self._limits)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        return self._stream.get_extra_info(info)
