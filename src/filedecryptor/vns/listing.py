"""The account's recordings as its list tells them, and the GUIDs that name them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from filedecryptor.errors import ApiError, UsageError
from filedecryptor.vns import times

_WITH_HYPHENS = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

_SPELLINGS = re.compile(
    rf"(?:urn:uuid:)?[\s{{(]*({_WITH_HYPHENS}|[0-9a-f]{{32}})[\s}})]*(?:\.[a-z0-9]{{1,8}}){{0,2}}",
    re.IGNORECASE,
)
"""A GUID as .NET or RFC 9562 writes it, with braces or not, perhaps as the name of a file."""

LONGEST = 100
"""Characters of a text that is looked at."""


class SessionGuid(NamedTuple):
    """A recording's `sessionGuid`.

    Attributes:
        guid: What it is; it names the files.
        spelling: How it is written in an address; some servers tell capitals from small letters.
    """

    guid: UUID
    spelling: str

    def __str__(self) -> str:
        return str(self.guid)


def parse(text: object) -> SessionGuid | None:
    """Return the GUID that a text is, or that it is a file's name for; None if it is not."""
    match = _SPELLINGS.fullmatch(text) if isinstance(text, str) and len(text) <= LONGEST else None
    if match is None:
        return None
    return SessionGuid(UUID(match[1]), match[1])


def session(guid: UUID | SessionGuid | str) -> SessionGuid:
    """Return what a caller means by a GUID.

    Raises:
        UsageError: It is none.
    """
    if isinstance(guid, SessionGuid):
        return guid
    found = parse(str(guid))
    if found is None:
        raise UsageError("this is not a GUID", filename=str(guid))
    return found


SHOWN = 120
"""Characters of an answer that an error shows."""

MOST_COLUMNS = 50
"""Columns of a table. One for each entry would make it grow with the square of the answer."""

DEEPEST = 4
"""Levels of objects and arrays in which the entries are looked for."""

SESSION = "sessionguid"
"""The documented name, as `plain_name` has it."""

NAMES = ("recordingguid", "recordingid", "guid", "id", "uuid", "callguid", "callid", "filename")
"""Other likely names, the likeliest first."""

EMPTY_NAMES = ("recordings", "items", "data", "results", "value", "entries", "calls")
"""Names of what may be null where there is no recording."""

TIME_NAMES = re.compile(
    r"time|date|stamp|created|start|began|recorded|received|utc|at$|on$|when"
    r"|end|complete|finish|stop|hangup|epoch|ts$"
)
NO_TIME = re.compile(r"\s*(0001|1\d{3}|9999)-")
"""How a date begins that stands for none."""

LIKE_A_DATE = re.compile(
    rf"(?!{NO_TIME.pattern})\s*(\d{{1,4}}([-/.])\d{{1,2}}\3\d{{1,4}}(?![-/.\d])|\d{{8}}T\d{{4}})"
)
"""How a date may begin that is not understood."""

MONTH = re.compile(r"(?i)\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b")

FEWEST_DIGITS = 6
"""Digits of the shortest way to write a day."""

MOST_MILLISECONDS = 10**14
"""A number of milliseconds since 1970 that is longer is one of something else."""

LEFT = "until purge"
"""The column that shows how long a recording is still kept."""

Entry: TypeAlias = object
"""An entry of the list: a JSON value."""


class Recording(NamedTuple):
    """A recording that the list names.

    Attributes:
        session: Its `sessionGuid`.
        entry: What the list says of it, as it came; None if nothing is known.
        time: The latest time in the entry; None if there is none, or one is not understood.
    """

    session: SessionGuid
    entry: Entry = None
    time: datetime | None = None

    @property
    def guid(self) -> UUID:
        """The `sessionGuid`, however it is spelled."""
        return self.session.guid


class Listing:
    """The answer to the request for a list.

    Attributes:
        data: The JSON as it came.
        headers: Those of the answer, their names in lower case.
    """

    def __init__(self, data: bytes, headers: Mapping[str, str]) -> None:
        self.data = data
        self.headers = headers

    def entries(self) -> list[Entry]:
        """Return the entries, without nulls.

        Raises:
            ApiError: The list is not understood.
        """
        value = loaded(self.data)
        arrays = list(_arrays(value))
        ranked = [(_rank(array), array) for array in arrays]
        best = min((rank for rank, _ in ranked if rank is not None), default=None)
        if best is not None:
            found = [entry for rank, array in ranked if rank == best for entry in array]
            return [entry for entry in found if entry is not None]
        if (
            value is None
            or (arrays and not any(entry is not None for array in arrays for entry in array))
            or _says_nothing(value)
        ):
            return []
        raise not_understood(self.data)

    def recordings(self) -> tuple[list[Recording], list[str]]:
        """Return the recordings, each once, and as text what else is in the list.

        The oldest come first, since they are purged first, and after them those without a time.

        Raises:
            ApiError: The list is not understood.
        """
        entries = self.entries()
        key = _key_of(entries)
        found: dict[UUID, Recording] = {}
        others: dict[str, None] = {}
        for entry in entries:
            text = _value(entry, key) if isinstance(entry, dict) else entry
            session = parse(text)
            if session is None:
                others[text if isinstance(text, str) else _as_json(entry)] = None
            else:
                found.setdefault(session.guid, Recording(session, entry, time_of(entry)))
        return sorted(found.values(), key=lambda one: age_key(one.time)), list(others)


def table(entries: list[Entry], at: datetime) -> tuple[list[str], list[dict[str, object]]]:
    """Return the entries of a list as the columns and the rows of a table, the oldest first.

    Where entries hold a time, a column shows what is left until the purge.

    Args:
        entries: As `Listing.entries` returns them.
        at: The time now.

    Raises:
        ApiError: There are too many columns.
    """
    rows = [dict(entry) if isinstance(entry, dict) else {"sessionGuid": entry} for entry in entries]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if len(columns) > MOST_COLUMNS:
        raise ApiError(f"the list has more than {MOST_COLUMNS} columns: use --json")
    timed = [(time_of(entry), row) for entry, row in zip(entries, rows, strict=True)]
    if not any(time for time, _ in timed):
        return columns, rows
    timed.sort(key=lambda one: age_key(one[0]))
    for time, row in timed:
        row[LEFT] = "" if time is None else times.left(time, at)
    return [*dict.fromkeys([*columns, LEFT])], [row for _, row in timed]


def time_of(entry: Entry) -> datetime | None:
    """Return the latest time that an entry has: its call cannot be older.

    Nobody has documented which field is the call's time. None if there is no time in it, or if one
    is not understood, which may be later.
    """
    if not isinstance(entry, dict):
        return None
    found = []
    for name, value in _fields(entry):
        is_named = TIME_NAMES.search(plain_name(name)) is not None
        if time := times.parse(value, may_be_number=is_named):
            found.append(time + times.uncertainty(value))
        elif _may_be_time(value, is_named=is_named):
            return None
    return max(found, default=None)


def _may_be_time(value: object, *, is_named: bool) -> bool:
    """Return whether a value that is not understood may be a time, a duration apart."""
    if isinstance(value, (int, float)):
        return is_named and abs(value) >= MOST_MILLISECONDS
    if not isinstance(value, str):
        return False
    digits = sum(map(str.isdecimal, value))
    is_duration = re.fullmatch(r"[\d:.,\s]*", value) and ":" in value
    return (
        LIKE_A_DATE.match(value) is not None
        or (MONTH.search(value) is not None and digits > 0)
        or (is_named and digits >= FEWEST_DIGITS and not is_duration and not NO_TIME.match(value))
    )


def _fields(entry: Entry) -> Iterator[tuple[str, object]]:
    """Yield each value in an entry that holds no others, with the names that lead to it."""
    left: list[tuple[str, object]] = [("", entry)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += ((f"{name[-40:]} {key}", inner) for key, inner in value.items())
        elif isinstance(value, list):
            left += ((name, inner) for inner in value)
        else:
            yield name, value


def age_key(time: datetime | None) -> tuple[bool, float]:
    """Return what sorts times: the oldest first, and last what has none."""
    return time is None, time.timestamp() if time else 0.0


def not_understood(data: bytes) -> ApiError:
    """Return the error for a list that is not understood."""
    beginning = " ".join(data[:SHOWN].decode("utf-8", "replace").split())
    return ApiError(
        f"the list of recordings is not understood; it begins: {beginning}",
        hint="recordings can be fetched one by one: vns-recordings download GUID",
    )


def loaded(data: bytes) -> object:
    """Return the value of a JSON text, or of a text of many: one a line."""
    if not data.strip():
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        lines = data.strip().splitlines()
        if len(lines) > 1:
            try:
                return [json.loads(line) for line in lines if line.strip()]
            except (ValueError, RecursionError):
                pass
        raise not_understood(data) from None


def _arrays(value: object, depth: int = 0) -> Iterator[list[Entry]]:
    """Yield what may be arrays of entries: those that are in no entry of another one."""
    if isinstance(value, list):
        if (
            _rank(value) is not None
            or depth == DEEPEST
            or not any(isinstance(inner, (dict, list)) for inner in value)
        ):
            yield value
        else:
            for inner in value:
                yield from _arrays(inner, depth + 1)
    elif isinstance(value, dict):
        if value and all(map(parse, value)):  # by GUID
            yield [
                {"sessionGuid": key, **(inner if isinstance(inner, dict) else {"value": inner})}
                for key, inner in value.items()
            ]
        elif parse(_value(value, SESSION)):  # a single entry
            yield [value]
        elif depth < DEEPEST:
            for inner in value.values():
                yield from _arrays(inner, depth + 1)


def _rank(array: list[Entry]) -> int | None:
    """Return how likely an array is that of the recordings, 0 for the likeliest; None if not."""
    entries = [entry for entry in array if entry is not None]
    key = _key_of(entries)
    if key == SESSION:
        return 0
    if key is not None:
        return 1
    return 2 if any(parse(entry) for entry in entries) else None


def _key_of(entries: list[Entry]) -> str | None:
    """Return the plain name of the field that holds the GUIDs; None if there is none."""
    objects = [entry for entry in entries if isinstance(entry, dict)]
    if not objects:
        return None
    if any(parse(_value(entry, SESSION)) for entry in objects):
        return SESSION
    if len(objects) != len(entries):
        return None
    plain = [{plain_name(key): value for key, value in entry.items()} for entry in objects]
    common = [key for key in plain[0] if all(parse(entry.get(key)) is not None for entry in plain)]
    order = {name: number for number, name in enumerate(NAMES)}
    # What is the same in all of them names the customer, say.
    return min(
        common,
        key=lambda key: (-len({entry[key] for entry in plain}), order.get(key, len(order))),
        default=None,
    )


def _value(entry: Mapping[str, object], key: str | None) -> object:
    return next((value for name, value in entry.items() if plain_name(name) == key), None)


def plain_name(name: str) -> str:
    """Return a field's name in small letters, and nothing but letters and digits."""
    return "".join(character for character in name.lower() if character.isalnum())


def _says_nothing(value: object) -> bool:
    """Return whether an object has a null in the place of its recordings."""
    return isinstance(value, dict) and any(
        inner is None and plain_name(name) in EMPTY_NAMES for name, inner in value.items()
    )


def _as_json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:  # reading allows for a little more depth than writing
        return "..."


_THINGS = "(data|items?|results?|records?|recordings?|calls?|elements?|hits?|rows?|entries)"

NEXT = re.compile(
    r"(x|odata)?(next|continuation|cursor|(has)?(more|next)|(is)?truncated)"
    rf"({_THINGS}|pages?|link|url|uri|href|token|cursor|offset|number|key|marker|available)*"
    r"|lastevaluatedkey"
)
"""Names of what is there if there is another page, as `plain_name` has them."""

LAST = re.compile(r"(is)?(last|final)(page)?")
"""Names of what is false if there is another page."""

TOTAL = re.compile(
    rf"(x|odata|x?pagination)?({_THINGS}|total|count)*(total|count)({_THINGS}|count)*|contentrange"
)
"""Names of how many recordings there are in all."""

REMAINING = re.compile(rf"{_THINGS}?(remaining|left){_THINGS}?")
"""Names of how many recordings there are besides."""

PAGES = re.compile(r"(x|x?pagination|total|number|count|num|last)*(of)?pages?(total|count)?")
"""Names of how many pages there are."""

NEXT_RELATION = r"""rel\s*=\s*["']?[^"',;]*\bnext\b"""
"""RFC 8288, section 3.3."""

LONGEST_NAME = 64
"""Characters of a name that are looked at, since the patterns try many ways."""

NOTHING = {"", "0", "false", "null", "none", "[]", "{}"}


def signs_of_more(listing: Listing) -> list[str]:
    """Return what in an answer shows that more recordings exist than it lists, for people.

    Raises:
        ApiError: The list is not understood.
    """
    count = len(listing.entries())
    found: list[str] = []
    for name, value in listing.headers.items():
        if name == "x-pagination":
            with suppress(ApiError):
                found += _signs(loaded(value.encode()), count)
        elif name == "link" and re.search(NEXT_RELATION, value, re.IGNORECASE):
            found.append("the header link names a next page")
        elif _sign(name, value.rpartition("/")[2], count):
            found.append(f"the header {name} is {value.strip()}")
    return [*found, *_signs(loaded(listing.data), count)]


def _signs(value: object, count: int, depth: int = 0) -> Iterator[str]:
    """Yield the signs in an object and in those in it, but for entries of the list."""
    if not isinstance(value, dict) or depth == DEEPEST:
        return
    for name, inner in value.items():
        if plain_name(name) == SESSION or parse(name):
            return
        if sign := _sign(name, inner, count):
            yield f"{name!r} {sign}"
        yield from _signs(inner, count, depth + 1)


def _sign(name: str, value: object, count: int) -> str | None:
    plain, text = plain_name(name[:LONGEST_NAME]), str(value).strip().lower()
    number = int(text) if re.fullmatch(r"\d{1,18}", text) else 0
    if NEXT.fullmatch(plain) and text not in NOTHING:
        return "is there"
    if LAST.fullmatch(plain) and text == "false":
        return "is false"
    is_more = (
        (TOTAL.fullmatch(plain) and number > count)
        or (REMAINING.fullmatch(plain) and number > 0)
        or (PAGES.fullmatch(plain) and number > 1)
    )
    return f"is {number}" if is_more else None
