"""Times as servers write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from filedecryptor.vns import times

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-24T12:00:00Z",
        "2026-11-24T12:00:00.1234567Z",
        "2026-11-24T12:00",
        "2026-11-24 12:00:00",
        "2026-11-24T13:00:00+01:00",
        "2026-11-24T07:00:00-0500",
        "Tue, 24 Nov 2026 12:00:00 GMT",
        "/Date(1795521600000)/",
        1795521600,
        1795521600000,
        "1795521600",
    ],
    ids=repr,
)
def test_a_time(value: object) -> None:
    """ISO 8601 with and without a zone, RFC 5322, .NET's old way, seconds, milliseconds."""
    assert times.parse(value) == NOON


def test_a_day() -> None:
    """It begins at midnight, UTC."""
    assert times.parse("2026-11-24") == NOON.replace(hour=0)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2026-13-01",
        None,
        True,
        [],
        5,
        "15551234567",
        "1601-01-01",
        float("nan"),
        1e300,
        "a, b",
        "Tue, 99 Nov 2026 12:00:00 GMT",
    ],
    ids=repr,
)
def test_what_is_no_time(value: object) -> None:
    """A telephone number, for instance."""
    assert times.parse(value) is None


def test_a_number_only_where_one_is_expected() -> None:
    """Elsewhere it may be anything."""
    assert times.parse(1795521600, may_be_number=False) is None


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(0), "7 d 0 h"),
        (timedelta(days=6, hours=1), "0 d 23 h"),
        (timedelta(days=6, hours=23, minutes=50), "10 min"),
        (timedelta(days=7), "purged"),
    ],
)
def test_what_is_left(age: timedelta, text: str) -> None:
    """Until seven days after the call."""
    assert times.left(NOON, NOON + age) == text
