"""Times as APIs write them. It is not documented which fields of a recording hold one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

KEPT = timedelta(days=7)  # how long VNS keeps a recording (its page "Call Recordings")
PURGED = "purged"  # what is left then
WESTERNMOST = timedelta(hours=12)  # how much later than UTC a day ends in the last zone
NEVER = datetime.max.replace(tzinfo=UTC)  # later than any time
FIRST = datetime.min.replace(tzinfo=UTC)  # earlier than any
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)

# A day, perhaps with a time, perhaps with a zone; and what older .NET serialisers write.
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d[\d:.,]*)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)
_DOTNET = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/", re.ASCII)
_AGO = re.compile(r"(\d+)\s*([dh])", re.ASCII | re.IGNORECASE)


def parse(value: Any, *, may_be_number: bool = False) -> datetime | None:  # noqa: ANN401
    """Return the time that a value stands for, or None. Without a zone it is taken for UTC.

    A text is ISO 8601, RFC 5322 or `/Date(...)/`; a number is seconds or milliseconds since 1970.
    """
    found = _parsed(value, may_be_number=may_be_number)
    return found if found and _EARLIEST <= found < _LATEST else None


def parse_given(text: str) -> datetime | None:
    """Return the time that a user means, of any year: as `parse` does, or so long ago, as `7d`."""
    if not (match := _AGO.fullmatch(text.strip())):
        return _parsed(text)
    try:
        return now() - timedelta(hours=int(match[1]) * (24 if match[2] in "dD" else 1))
    except (OverflowError, ValueError):
        return FIRST


def _parsed(value: Any, *, may_be_number: bool = False) -> datetime | None:  # noqa: ANN401
    text = value.strip() if isinstance(value, str) else ""
    try:
        if match := _ISO.fullmatch(text):
            found = datetime.fromisoformat("".join(match.groups("")).upper())
        elif match := _DOTNET.fullmatch(text):
            found = _since_1970(float(match[1]))
        elif "," in text:
            found = parsedate_to_datetime(text)
        elif may_be_number and (not text or re.fullmatch(r"\d{10}|\d{13}", text)):
            found = _since_1970(float(value))
        else:
            return None
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None


def uncertainty(value: object) -> timedelta:
    """Return how much later a time may be than `parse` takes it for: a day, or a zone, is missing."""
    match = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match[3] is not None:
        return timedelta(0)
    return WESTERNMOST if match[2] else WESTERNMOST + timedelta(days=1)


def _since_1970(number: float) -> datetime:
    is_in_milliseconds = abs(number) >= _LATEST.timestamp()
    return datetime.fromtimestamp(number / 1000 if is_in_milliseconds else number, UTC)


def now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


def shown(time: datetime) -> str:
    """Return a time as it is shown and stored: ISO 8601, UTC, whole seconds."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def rest(call: datetime, at: datetime) -> timedelta:
    """Return how long the recording of a call is still kept at some time; 0 if it may be gone."""
    # A time to come is not that of a call.
    return max(timedelta(0), min(call + KEPT - at, KEPT))


def left(call: datetime, at: datetime) -> str:
    """Return how long the recording of a call is still kept, in days and hours, at some time."""
    found = rest(call, at)
    if not found:
        return PURGED
    days, hours = found.days, found.seconds // 3600
    return f"{days} d {hours} h" if days or hours else f"{found.seconds // 60} min"


def kept(call: datetime, at: datetime, what: str = "it") -> str:
    """Return as a sentence how long the recording of a call is still kept at some time."""
    if not rest(call, at):
        return f"VNS may purge {what} now"
    return f"VNS keeps {what} for another {left(call, at)}"
