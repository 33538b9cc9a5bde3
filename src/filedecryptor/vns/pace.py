"""When requests are made: one pause for all threads when a server says that there are too many."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from threading import Lock

LONGEST_PAUSE = 60.0
"""Seconds between two attempts at the most, whatever the server asks for."""

FIRST_INTERVAL = 0.1
"""Seconds between two requests of all threads after the server has said for the first time that
there are too many; twice as long each time, a little shorter after each request that succeeds."""

LONGEST_INTERVAL = 10.0

SHORTER = 0.9

SHORTEST_INTERVAL = 0.02
"""An interval that would become shorter than this is none."""

LONGEST_SLEEP = 0.1
"""Seconds after which a thread that waits looks whether it still has to."""


class Pace:
    """How fast requests may follow each other. All threads of a client share it.

    Attributes:
        successes: How many requests have succeeded.
    """

    def __init__(self) -> None:
        self.successes = 0
        self._lock = Lock()
        self._refusals = 0
        self._interval = self._paused_until = self._next = self._slowed_down = 0.0

    def wait(self, on_wait: Callable[[], object]) -> float:
        """Wait until the next request may be made, and return the time, which `slow_down` takes.

        Args:
            on_wait: Called now and then meanwhile. What it raises ends the waiting.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                begin = max(self._paused_until, self._next)
                if now >= begin:
                    self._next = now + self._interval
                    return now
            sleep(begin - now, on_wait)

    def slow_down(self, begun: float, retry_after: float | None, first_pause: float) -> None:
        """Let all threads pause, and ask less often from then on.

        Args:
            begun: When the request was begun that the server has refused.
            retry_after: Seconds that the server asks for; None if it does not.
            first_pause: Seconds to pause at first otherwise; twice as long each time.
        """
        with self._lock:
            now = time.monotonic()
            if begun >= self._slowed_down:  # or its refusal says nothing about the new speed
                longer = max(2 * self._interval, FIRST_INTERVAL)
                self._interval = min(longer, LONGEST_INTERVAL)
                self._refusals += 1
                self._slowed_down = now
            pause = retry_after or backoff(first_pause, self._refusals)
            self._paused_until = max(self._paused_until, now + pause)

    def went_well(self) -> None:
        """Note that a request has succeeded."""
        with self._lock:
            self.successes += 1
            self._refusals = 0
            self._interval *= SHORTER
            if self._interval < SHORTEST_INTERVAL:
                self._interval = 0.0


def sleep(seconds: float, on_wait: Callable[[], object]) -> None:
    """Sleep for some seconds, and call a function before and now and then meanwhile."""
    end = time.monotonic() + seconds
    while True:
        on_wait()
        rest = end - time.monotonic()
        if rest <= 0:
            return
        time.sleep(min(rest, LONGEST_SLEEP))


def backoff(first_pause: float, attempt: int) -> float:
    """Return the seconds to wait after a failed attempt: exponential, and randomly shorter."""
    longest = min(LONGEST_PAUSE, first_pause * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3).

    Fractions are understood as well. None stands for what is no time, or none to come.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
            if then.tzinfo is None:
                then = then.replace(tzinfo=timezone.utc)
            seconds = (then - datetime.now(timezone.utc)).total_seconds()
        except (ValueError, OverflowError, TypeError, IndexError):
            return None
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else None  # not a number is not either
