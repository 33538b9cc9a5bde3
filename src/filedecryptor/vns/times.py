"""Times as APIs write them. Nobody has documented which fields of a recording hold one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import cast

KEPT = timedelta(days=7)
"""How long VNS keeps a recording after its call (its page "Call Recordings")."""

WESTERNMOST = timedelta(hours=12)
"""How much later than UTC a day ends in the last zone."""

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?([.,]\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
"""ISO 8601 as servers write it; `datetime.fromisoformat` of Python 3.10 knows less of it."""

_DOTNET = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")
"""What older .NET serialisers write: milliseconds since 1970."""


def parse(value: object, *, may_be_number: bool = True) -> datetime | None:
    """Return the time that a value stands for; None if it stands for none.

    A time without a zone is taken for UTC.

    Args:
        value: A text (ISO 8601, RFC 5322, `/Date(...)/`), or a number of seconds or milliseconds
            since 1970.
        may_be_number: Whether to take a number for a time.
    """
    try:
        found = _parsed(value, may_be_number=may_be_number)
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None
    if found is None:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    found = found.astimezone(UTC)
    return found if _EARLIEST <= found < _LATEST else None


def uncertainty(value: object) -> timedelta:
    """Return how much later a time may be than `parse` takes it for: a day, or a zone, is missing."""
    match = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[5] is not None:
        return timedelta(0)
    return WESTERNMOST if match[2] else WESTERNMOST + timedelta(days=1)


def _parsed(value: object, *, may_be_number: bool) -> datetime | None:
    text = value.strip() if isinstance(value, str) else ""
    if match := _ISO.fullmatch(text):
        date, minutes, seconds, _, zone = match.groups()
        zone = "+00:00" if zone is None or zone in "Zz" else zone
        zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
        return datetime.fromisoformat(f"{date}T{minutes or '00:00'}{seconds or ':00'}{zone}")
    if match := _DOTNET.fullmatch(text):
        return _since_1970(int(match[1]))
    if "," in text:
        return parsedate_to_datetime(text)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if may_be_number and (is_number or re.fullmatch(r"\d{10}|\d{13}", text)):
        return _since_1970(float(text or cast("float", value)))
    return None


def _since_1970(number: float) -> datetime:
    is_in_milliseconds = abs(number) >= _LATEST.timestamp()
    return datetime.fromtimestamp(number / 1000 if is_in_milliseconds else number, UTC)


def now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


def shown(time: datetime) -> str:
    """Return a time as it is shown and stored: ISO 8601, UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def left(call: datetime, at: datetime) -> str:
    """Return how long a recording is still kept, in days and hours, at some time.

    Args:
        call: When the call was.
        at: The time now.
    """
    rest = min(call + KEPT - at, KEPT)  # what is to come is not the time of a call
    if rest <= timedelta(0):
        return "purged"
    days, hours = rest.days, rest.seconds // 3600
    return f"{days} d {hours} h" if days or hours else f"{rest.seconds // 60} min"
