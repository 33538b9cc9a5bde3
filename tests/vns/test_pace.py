"""When requests are made."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from filedecryptor.vns import http
from filedecryptor.vns.http import Pace


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3), ("1.5", 1.5), (" 2 ", 2), ("86400", 60), ("inf", 60), ("9" * 400, 60)],
)
def test_how_long_to_wait(value: str, seconds: float) -> None:
    """Whole seconds and fractions, but never more than a minute."""
    assert http.retry_after(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "-1",
        "0",
        "nan",
        "Fri, 31 Dec 999999999999 23:59:59 GMT",
        "a, b",
        "Mon, 01 Jan 2024 00:00:00 GMT",
    ],
)
def test_what_is_no_time_to_wait(value: str | None) -> None:
    """Then we wait as long as we think right."""
    assert http.retry_after(value) is None


def test_a_date_to_wait_for() -> None:
    """RFC 9110 allows that as well."""
    then = datetime.now(UTC) + timedelta(seconds=30)
    assert 28 < (http.retry_after(format_datetime(then, usegmt=True)) or 0) <= 30


def test_a_pause_is_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks next waits, and the one after that a little longer."""
    shared = Pace()
    begin = time.monotonic()
    shared.slow_down(begin, 0.2, 0)
    shared.wait(lambda: None)
    first = time.monotonic() - begin
    shared.wait(lambda: None)
    assert first > 0.199
    assert time.monotonic() - begin > 0.199 + http.FIRST_INTERVAL


def test_successes_make_it_faster_again() -> None:
    """Until there is no pause between requests any more."""
    shared = Pace()
    shared.slow_down(time.monotonic(), 0.01, 0)
    time.sleep(0.02)
    for _ in range(100):
        shared.went_well()
    shared.wait(lambda: None)
    begin = time.monotonic()
    for _ in range(50):
        shared.wait(lambda: None)
    assert time.monotonic() - begin < 50 * http.SHORTEST_INTERVAL


def test_waiting_can_be_ended() -> None:
    """As an interruption does it."""

    def end() -> None:
        raise KeyboardInterrupt

    shared = Pace()
    shared.slow_down(time.monotonic(), 60, 0)
    with pytest.raises(KeyboardInterrupt):
        shared.wait(end)


def test_backoff() -> None:
    """Twice as long each time, randomly shorter, never more than a minute."""
    assert all(2 <= http.backoff(1, 3) <= 4 for _ in range(100))
    assert len({http.backoff(1, 3) for _ in range(100)}) > 50
    assert http.backoff(1, 10_000) <= 60
