"""What makes a request again: which failures may pass, how often, and after which pause."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from filedecryptor.errors import ApiError
from filedecryptor.jobs.workers import WAKING_INTERVAL
from filedecryptor.vns import times

Result = TypeVar("Result")

ATTEMPTS = 5  # how often a request is made before it counts as failed
PAUSE = 0.5  # seconds before the second attempt; twice as long before each of the next
LONGEST_PAUSE = 60.0  # seconds between two attempts, whatever the server asks for
BUSY_PAUSE = 0.5  # seconds of the first pause of all threads, if the server asks for none
SPACING = 0.1  # seconds between the beginnings of two requests, from the first refusal on


class PassingError(Exception):
    """A failure that may pass: the request can be made again."""

    has_progressed = False
    """Whether the request brought a download on, before it failed."""


class BusyError(PassingError):
    """The server gets too many requests, or asks for a pause of so many seconds."""

    def __init__(self, cause: str, retry_after: float | None) -> None:
        super().__init__(cause)
        self.retry_after = retry_after


class Retries:
    """Requests of several threads, made again together: one refusal for too many pauses them all."""

    def __init__(self) -> None:
        self.answers = 0  # to requests that were not refused
        self._lock = Lock()
        self._refusals = 0  # since the last such answer
        self._until = self._next = 0.0

    def make(self, request: Callable[[], Result], go_on: Callable[[], object]) -> Result:
        """Return what a request returns, made again while it fails for a reason that may pass.

        An attempt does not count if it brought a download on, or if the server gets too many
        requests, but others got through since the attempt before. `go_on` may raise.
        """
        failures, earliest, answers = 0, 0.0, self.answers
        while True:
            failure = None
            waited = self.wait(go_on, earliest)
            try:
                return request()
            except PassingError as error:
                failure = error
            finally:
                if not isinstance(failure, BusyError):
                    self.note_answer()
            is_counted = not failure.has_progressed
            if isinstance(failure, BusyError):
                is_counted = self.answers == answers
                answers = self.answers
                self.pause(waited, failure.retry_after)
            failures = failures + 1 if is_counted else 0
            if failures >= ATTEMPTS:
                raise ApiError(str(failure))
            if not isinstance(failure, BusyError):
                earliest = time.monotonic() + backoff(PAUSE, max(failures, 1))

    def wait(self, on_wait: Callable[[], object], earliest: float = 0) -> float:
        """Wait until the next request may begin, and return the time; `on_wait` may raise."""
        while True:
            on_wait()
            with self._lock:
                now = time.monotonic()
                rest = max(self._until, self._next, earliest) - now
                if rest <= 0:
                    self._next = now + (SPACING if self._until else 0)
                    return now
            time.sleep(min(rest, WAKING_INTERVAL))

    def pause(self, waited: float, retry_after: float | None) -> None:
        """Let all threads pause, each time longer if the server asks for no time.

        A refusal says nothing new if its request began (`waited`) before the last pause ended.
        """
        with self._lock:
            self._refusals += waited >= self._until
            pause = max(retry_after or backoff(BUSY_PAUSE, self._refusals), SPACING)
            self._until = max(self._until, time.monotonic() + pause)

    def note_answer(self) -> None:
        """Note that a request was not refused."""
        with self._lock:
            self.answers += 1
            self._refusals = 0


def backoff(first_pause: float, attempt: int) -> float:
    """Return the seconds to wait after a failed attempt: exponential, and randomly shorter."""
    longest = min(LONGEST_PAUSE, first_pause * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, if any (RFC 9110, 10.2.3)."""
    try:
        seconds = float(value or "")
    except ValueError:
        then = times.parse(value, may_be_number=False)
        seconds = 0 if then is None else (then - times.now()).total_seconds()
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else None  # not a number is not either
