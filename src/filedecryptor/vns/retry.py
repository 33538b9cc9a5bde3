"""Requests made again: after which failures, how often, and after which pause."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from filedecryptor.core.decryptor import OnProgress
from filedecryptor.errors import ApiError
from filedecryptor.jobs.workers import WAKING_INTERVAL
from filedecryptor.vns import times

Result = TypeVar("Result")

ATTEMPTS = 5  # how often a request is made before it counts as failed
PAUSE = 0.5  # seconds before the second attempt; twice as long before each of the next
LONGEST_PAUSE = 60.0  # seconds between two attempts, whatever the server asks for
SPACING = 0.1  # seconds between the beginnings of two requests, from the first refusal on


class PassingError(Exception):
    """A failure that may pass; if the request has brought a download on, it does not count."""

    has_progressed = False
    retry_after: float | None = None


class BusyError(PassingError):
    """The server gets too many requests, or asks for a pause of so many seconds."""

    def __init__(self, cause: str, retry_after: float | None) -> None:
        super().__init__(cause)
        self.retry_after = retry_after


class Retries:
    """Requests of several threads: one refusal for too many of them pauses all threads.

    `left` returns how many of some seconds there are until everything must end, or raises.
    """

    def __init__(self, left: Callable[[float], float]) -> None:
        self._left = left
        self._lock = Lock()
        self._answers = 0  # to requests that were not refused
        self._until = self._next = 0.0

    def make(self, request: Callable[[], Result], on_progress: OnProgress) -> Result:
        """Return what a request returns, made again while it fails for a reason that may pass.

        A refusal does not count if others got through since the attempt before.
        """
        failures, answers, earliest = 0, self._answers, 0.0
        while True:
            self._wait(earliest, on_progress)
            failure: PassingError | None = None
            try:
                return request()
            except PassingError as error:
                failure = error
            finally:
                is_busy = isinstance(failure, BusyError)
                with self._lock:
                    self._answers += not is_busy
            counts = self._answers == answers if is_busy else not failure.has_progressed
            answers, failures = self._answers, failures + 1 if counts else 0
            pause = failure.retry_after or backoff(PAUSE, max(failures, 1))
            earliest = time.monotonic() + max(pause, SPACING if is_busy else 0)
            if is_busy:
                with self._lock:
                    self._until = max(self._until, earliest)
            if failures >= ATTEMPTS:
                raise ApiError(str(failure))

    def _wait(self, earliest: float, on_progress: OnProgress) -> None:
        """Wait until the next request may begin."""
        while True:
            on_progress(0)
            with self._lock:
                now = time.monotonic()
                rest = max(self._until, self._next, earliest) - now
                if rest <= 0:
                    self._next = now + (SPACING if self._until else 0)
                    return
            time.sleep(self._left(min(rest, WAKING_INTERVAL)))


def backoff(first_pause: float, attempt: int) -> float:
    """Return the seconds to wait after a failed attempt: exponential, and randomly shorter."""
    longest = min(LONGEST_PAUSE, first_pause * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, if any (RFC 9110, 10.2.3)."""
    try:
        seconds = float(value or "")
    except ValueError:
        then = times.parse(value)
        seconds = 0 if then is None else (then - times.now()).total_seconds()
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else None  # not a number is not either
