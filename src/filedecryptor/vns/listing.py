"""The account's recordings as its list tells them, and the GUIDs that name them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Self
from uuid import UUID

from filedecryptor.errors import ApiError, UsageError
from filedecryptor.vns import times

_GUID = re.compile(  # as .NET or RFC 9562 writes it
    r"(?i)(?:urn:uuid:)?[\s{(]*([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})[\s})]*"
)


def parse_guid(value: object) -> str | None:
    """Return the GUID that a value is, in its own letters; None if it is not one."""
    match = _GUID.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


SHOWN = 200  # characters of an answer that an error shows
MOST_COLUMNS = 50  # of a table, or it would grow with the square of the answer
LEFT = "until purge"  # the column that shows how long a recording is still kept
SESSION = "sessionguid"  # the documented name, as `plain_name` has it
NULLABLE = re.compile(r"^$| (recordings|items|data|results|value|entries|calls)$")

TIME_NAMES = re.compile(
    r"time|date|stamp|created|start|began|recorded|received|utc|at$|on$|when"
    r"|end|complete|finish|stop|hangup|epoch|ts$"
)
TIMED = re.compile(  # names of times that no caller chooses: of an end, but not of a friend
    r"(date|time).*|.*(?<!candi)(date|time|stamp|utc|epoch)s?(utc|ms|local)?"
    r"|.*(creat|start|record|receiv|answer|end|complet|finish|updat|modifi)(ed)?(at|on|ts)"
    r"|(call|record|recording|session)?(start|begin|began|end|stop|hangup|when|created|received)"
    r"|(call|record|recording|session)?(started|recorded|ended|completed|finished|stopped)"
)
NO_TIME = re.compile(r"\s*(0001|1\d{3}|9999)-")  # how a date begins that stands for none
LIKE_A_DATE = re.compile(  # and is not understood
    r"\A\s*(\d{1,4}([-/.])\d{1,2}\2\d{1,4}(?![-/.\d])|\d{8}T\d{4})"
    r"|(?i:\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b)"
)
SIZE = re.compile(  # of a recording, as `fields` has names
    r"( (recording|audio|media|file|content))*"
    r" ((recording|audio|media|file|content|total)*((size|length)?(in)?bytes|(byte)?size|bytelength)"
    r"|(file|content)length|(?P<or_duration>length))"
)
LEAST_LENGTH = 10_000  # of a field called `length`; fewer may be the seconds of a call
MOST_MILLISECONDS = 10**14  # since 1970; a longer number is one of something else


class Recording(NamedTuple):
    """A recording that the API lists, as a `Listing` yields them.

    Attributes:
        guid: The `sessionGuid` of its call.
        spelling: The same as the server writes it, which may tell capitals from small letters.
        entry: What the list says of it; None if that is nothing.
        time: The latest time in that, so its call is no older; None if there is none.
    """

    guid: UUID
    spelling: str
    entry: object = None
    time: datetime | None = None

    @classmethod
    def of(cls, guid: UUID | str) -> Self:
        """Return the recording that a caller names; raise UsageError if this is not a GUID."""
        spelling = parse_guid(str(guid))
        if spelling is None:
            raise UsageError("this is not a GUID", filename=str(guid))
        return cls(UUID(spelling), spelling)


class Listing:
    """The recordings that the API lists, as `Client.list_recordings` returns them.

    Iterating over it yields the recordings, the first to be purged first; `Archive.fetch` takes
    them. Each has `guid` (a `UUID`), `spelling` (the server's own), `entry` (what the list says of
    it) and `time` (the latest in that, or None). What else is listed is passed over.

    Args:
        data: The JSON that the server sent; it is understood only when it is asked for.
        headers: The answer's headers, with names in lower case.

    Raises:
        ApiError: Iterating over a list that is not understood.
    """

    def __init__(self, data: bytes, headers: Mapping[str, str]) -> None:
        self.data = data
        self.headers = headers

    def __iter__(self) -> Iterator[Recording]:
        return iter(self.recordings()[0])

    def entries(self) -> list[object]:
        """Return the entries, without nulls; raise ApiError if the list is not understood."""
        return self._entries()[0]

    def recordings(self) -> tuple[list[Recording], list[str]]:
        """Return the recordings, the first to be purged first, and as text what else is listed."""
        entries, name = self._entries()
        found: dict[UUID, Recording] = {}
        others: dict[str, None] = {}
        for entry in entries:
            text = entry
            if isinstance(entry, dict):
                text = next((entry[key] for key in entry if plain_name(key) == name), None)
            if spelling := parse_guid(text):
                guid = UUID(spelling)
                found.setdefault(guid, Recording(guid, spelling, entry, time_of(entry)))
            else:
                others[text if isinstance(text, str) else as_json(entry)] = None
        return sorted(found.values(), key=lambda one: one.time or times.NEVER), list(others)

    def _entries(self) -> tuple[list[object], str]:
        """Return the entries, and the name of the field that holds their GUIDs."""
        value = loaded(self.data)
        groups = [one if isinstance(one, list) else [one] for _, one in _walk(value)]
        if found := [group for group in groups if any(map(_has_session, group))]:
            entries = {id(one): one for group in found for one in group if one is not None}
            return list(entries.values()), SESSION
        arrays = [
            [entry for entry in one or () if entry is not None]
            for path, one in _walk(value, into_entries=False)
            if isinstance(one, list) or (one is None and NULLABLE.search(path))
        ]
        names = {name for array in arrays for name in _names_of_guids(array)}
        if len(names) == 1:
            return [entry for one in arrays if _names_of_guids(one) for entry in one], names.pop()
        is_empty = arrays and all(entry == [] for array in arrays for entry in array)
        if is_empty and not says_no(self.data):
            return [], SESSION
        raise not_understood(self.data)


def _has_session(entry: object) -> bool:
    return isinstance(entry, dict) and SESSION in map(plain_name, entry)


def _walk(value: object, *, into_entries: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield a value and all that are in it, in order, after the plain names that lead to them.

    Entries are what is in an array, or has a `sessionGuid`.
    """
    left = [("", value)]
    while left:
        path, found = left.pop()
        yield path, found
        if isinstance(found, dict) and (into_entries or not _has_session(found)):
            names = [f"{path[-40:]} {plain_name(name)}" for name in found]
            left += reversed([*zip(names, found.values(), strict=True)])
        elif isinstance(found, list) and into_entries:
            left += [(path, one) for one in reversed(found)]


def fields(value: object) -> list[tuple[str, object]]:
    """Return each value that holds no others, after the plain names that lead to it."""
    return [(path, one) for path, one in _walk(value) if not isinstance(one, (dict, list))]


def _names_of_guids(array: list[object]) -> set[str]:
    """Return the names of the fields that hold a GUID in every entry; {""} if entries are GUIDs."""
    if any(map(parse_guid, array)):
        return {""}
    objects = [entry if isinstance(entry, dict) else {} for entry in array]
    of_each = [{plain_name(name) for name in one if parse_guid(one[name])} for one in objects]
    return set.intersection(*of_each) if of_each else set()


@lru_cache(256)
def plain_name(name: str) -> str:
    """Return a field's name in small letters, and nothing but letters and digits."""
    return re.sub(r"[\W_]", "", name.lower())


def loaded(data: bytes) -> object:
    """Return the value of a JSON text."""
    try:
        return json.loads(data) if data.strip() else None
    except (ValueError, RecursionError):
        raise not_understood(data) from None


def not_understood(data: bytes) -> ApiError:
    """Return the error for a list that is not understood."""
    beginning = " ".join(data[:SHOWN].decode("utf-8", "replace").split())
    return ApiError(
        f"the list of recordings is not understood; it begins: {beginning}",
        hint="recordings can be fetched one by one: vns-recordings download GUID",
    )


def as_json(value: object) -> str:
    """Return a value that was read as JSON as text."""
    try:
        return json.dumps(value)
    except RecursionError:  # reading allows for a little more depth than writing
        return "..."


def table(entries: list[object], at: datetime) -> tuple[list[str], list[dict[str, object]]]:
    """Return the columns and rows of a table, with the time left at `at` if entries hold times."""
    rows = [dict(entry) if isinstance(entry, dict) else {"sessionGuid": entry} for entry in entries]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if len(columns) > MOST_COLUMNS:
        raise ApiError(f"the list has more than {MOST_COLUMNS} columns: use --json")
    timed = [(time_of(entry), row) for entry, row in zip(entries, rows, strict=True)]
    timed.sort(key=lambda one: one[0] or times.NEVER)
    if timed and timed[0][0]:
        columns = list(dict.fromkeys([*columns, LEFT]))
        for time, row in timed:
            row[LEFT] = "" if time is None else times.left(time, at)
    return columns, [row for _, row in timed]


def time_of(
    entry: object, uncertainty: Callable[[object], timedelta] = times.uncertainty
) -> datetime | None:
    """Return the latest time that an entry has: its call cannot be older.

    It is not documented which field is the call's time. None if there is no time, or if one is not
    understood, which may be later.
    """
    found = []
    for path, value in fields(entry) if isinstance(entry, dict) else ():
        is_named = TIME_NAMES.search(path) is not None
        if time := times.parse(value, may_be_number=is_named):
            found.append(time + uncertainty(value))
        elif _may_be_time(value, is_named=is_named):
            return None
    return max(found, default=None)


def call_time(entry: object) -> datetime | None:
    """Return the latest time in the `timed` fields of an entry, taken for UTC if it has no zone."""
    return time_of(timed(entry), lambda _: timedelta(0))


def timed(entry: object) -> dict[str, object]:
    """Return the fields of an entry whose names are those of times."""
    named = [(path.rpartition(" ")[2], one) for path, one in fields(entry)]
    return {
        f"{number} {name}": one for number, (name, one) in enumerate(named) if TIMED.fullmatch(name)
    }


def within(entry: object, since: datetime | None, until: datetime | None) -> bool:
    """Return whether a call was at or after a time, and before another, or may have been."""
    is_late = since is None or (time_of(entry) or times.NEVER) >= since
    last = time_of(entry, lambda _: timedelta(0)) or times.FIRST  # of any field, taken for UTC
    return is_late and (until is None or last < until)


def size_in(entry: object) -> int | None:
    """Return the size in bytes that an entry tells, perhaps that of the `.enc` file, if any."""
    for path, value in fields(entry) if isinstance(entry, dict) else ():
        match = SIZE.fullmatch(path)
        size = int(text) if re.fullmatch(r"\d{1,15}", text := str(value)) else 0
        if match and size >= (LEAST_LENGTH if match["or_duration"] else 1):
            return size
    return None


def _may_be_time(value: object, *, is_named: bool) -> bool:
    """Return whether a value that is not understood may be a time, a duration apart."""
    if isinstance(value, (int, float)):
        return is_named and abs(value) >= MOST_MILLISECONDS
    if not isinstance(value, str) or NO_TIME.match(value):
        return False
    if LIKE_A_DATE.search(value):
        return re.search(r"\d", value) is not None
    has_a_day = is_named and re.search(r"(\d\D*){6}", value) is not None
    return has_a_day and not re.fullmatch(r"[\d.,\s]*:[\d:.,\s]*", value)


# How APIs say that something was not done: names of fields as in `fields`, and their values.
SUCCESS = re.compile(r"\b(success|succeeded|successful|issuccess|ok|(is)?deleted|deletedcount)$")
ERROR = re.compile(r"\b(errors?|error(message|code)|exception|fault|iserror|haserrors)\b")
STATUS = re.compile(r"\b(status(code)?|code|result|outcome)$")
FAILED = re.compile(r"error|failed|failure|locked|forbidden|denied|false|no|[45]\d\d")
NO = {"false", "no", "0"}
NO_ERROR = {"", "none", "null", "ok", "success", "no error", *NO}
PAGE = re.compile(rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?(html|\?xml.*<error)")


def says_no(body: bytes) -> bool:
    """Return whether an answer says that nothing was done, as a page does, whatever its status."""
    try:
        found = fields(json.loads(body or b"null"))
    except (ValueError, RecursionError):
        return PAGE.match(body) is not None
    words = [(path, str(value).strip().lower()) for path, value in found]
    return any(
        (SUCCESS.search(path) and word in NO)
        or (ERROR.search(path) and word not in NO_ERROR)
        or (STATUS.search(path) and FAILED.fullmatch(word))
        or (not path and word.startswith(("error", "false")))
        for path, word in words
    )


# Names, as `plain_name` has them: of another page, of all recordings, and of all pages.
_THINGS = "(data|items?|results?|records?|recordings?|calls?|elements?|hits?|rows?|entries)"
NEXT = re.compile(
    r"(x|odata)?(next|continuation|cursor|(has)?(more|next)|(is)?truncated)"
    rf"({_THINGS}|pages?|link|url|uri|href|token|cursor|offset|number|key|marker|available)*"
    rf"|lastevaluatedkey|{_THINGS}?(remaining|left){_THINGS}?"
)
LAST = re.compile(r"(is)?(last|final)(page)?")
TOTAL = re.compile(
    rf"(x|odata|x?pagination)?({_THINGS}|total|count)*(total|count)({_THINGS}|count)*|contentrange"
)
PAGES = re.compile(r"(x|x?pagination|total|number|count|num|last)*(of)?pages?(total|count)?")
NEXT_RELATION = re.compile(r"""(?i)rel\s*=\s*["']?[^"',;]*\bnext\b""")  # RFC 8288, section 3.3

NOTHING = {"", "0", "false", "null", "none", "[]", "{}"}


def signs_of_more(listing: Listing) -> list[str]:
    """Return what in an answer shows that more recordings exist than it lists, for people."""
    count = len(listing.entries())
    found: list[str] = []
    values = [loaded(listing.data)]
    for name, value in listing.headers.items():
        if name == "x-pagination":
            with suppress(ApiError):
                values.append(loaded(value.encode()))
        elif name == "link" and NEXT_RELATION.search(value):
            found.append("the header link names a next page")
        elif _sign(name, value.rpartition("/")[2], count):
            found.append(f"the header {name} is {value.strip()}")
    for _, one in (pair for value in values for pair in _walk(value, into_entries=False)):
        if isinstance(one, dict) and not _has_session(one):
            signs = ((name, _sign(name, inner, count)) for name, inner in one.items())
            found += (f"{name!r} {sign}" for name, sign in signs if sign)
    return found


def _sign(name: str, value: object, count: int) -> str | None:
    plain = plain_name(name[:64])
    # Of an array with a million entries, the text would take as much memory again.
    text = "..." if value and isinstance(value, (dict, list)) else str(value).strip().lower()
    number = int(text) if re.fullmatch(r"\d{1,18}", text) else 0
    if NEXT.fullmatch(plain) and text not in NOTHING:
        return "is there"
    if LAST.fullmatch(plain) and text == "false":
        return "is false"
    is_more = (TOTAL.fullmatch(plain) and number > count) or (PAGES.fullmatch(plain) and number > 1)
    return f"is {number}" if is_more else None
