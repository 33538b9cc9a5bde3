"""The page of an archive: a table of its recordings, to search, to sort and to listen to."""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from filedecryptor.errors import Failure, FileDecryptorError, in_one_line
from filedecryptor.storage import pieces_of, storage_of
from filedecryptor.storage.atomic import NEW, Attributes
from filedecryptor.vns import times
from filedecryptor.vns.listing import MOST_COLUMNS, as_json, call_time, parse_guid, plain_name
from filedecryptor.vns.records import Record, Records
from filedecryptor.vns.template import SECRET

NAME = "index.html"
LONGEST = 200  # characters of a name or a value that are shown
_GENERATOR = b'<meta name="generator" content="vns-recordings">'
_DURATIONS = {"duration", "callduration", "seconds", "durationseconds"}  # as `SECRET` has names
_DURATION = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,7})(?:\.\d*)?", re.ASCII)


def is_ours(records: Records) -> bool | None:
    """Return whether the page of an archive was written by this program; None if there is none."""
    with suppress(FileNotFoundError):
        return _GENERATOR in next(pieces_of(records.path(NAME)), b"")[:512]
    return None


def write(records: Records, say_error: Callable[[Failure], object]) -> str:
    """Write the page of an archive, and return its path; say which records make no sense."""
    path = records.path(NAME)
    if is_ours(records) is False:
        raise FileDecryptorError(
            "it was not written by vns-recordings",
            hint="rename that file, or remove it",
            filename=path,
        )
    # Nobody is to read it who cannot read the directory.
    mode = NEW.mode if records.are_remote else os.stat(os.path.dirname(path)).st_mode & NEW.mode
    content = BytesIO(rendered(records.known(say_error), times.now()))
    storage_of(path).publish(path, content, replace=True, attributes=Attributes(mode))
    return path


def rendered(records: Iterable[tuple[Record, bool]], at: datetime) -> bytes:
    """Return the page of these records, each with whether its file is there as it was stored."""
    calls = [(call_time(one.entry), one, there, _details(one.entry)) for one, there in records]
    calls.sort(key=lambda call: (call[0] or times.FIRST, call[1].fetched), reverse=True)
    counts = Counter(name for *_, details in calls for name in details)
    names = [name for name, _ in counts.most_common() if not SECRET.search(plain_name(name))]
    durations = [name for name in names if plain_name(name) in _DURATIONS]
    columns = names[:MOST_COLUMNS]
    rows = [
        [
            f"{time:%Y-%m-%d %H:%M}" if time else "",
            _length(record.seconds, *map(details.get, durations)),
            *(_shown(details.get(column, "")) for column in columns),
            _shown(record.format or ""),
            -(-record.size // 1000),
            "yes" if record.authenticated else "no",
            record.file,
            "" if is_there else "missing",
        ]
        for time, record, is_there, details in calls
    ]
    headings = ["Time (UTC)", "Length", *map(_shown, columns)]
    headings += ["Format", "Size (kB)", "Authentic", "File"]
    text = json.dumps([headings, rows], allow_nan=False, separators=(",", ":"))
    page = Path(__file__).with_name("page.html").read_text("utf-8")
    for name in ("style", "script"):
        content = page.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
        digest = b64encode(hashlib.sha256(content.encode()).digest()).decode()
        page = page.replace(f"HASH-OF-{name}", f"'sha256-{digest}'")
    page = page.replace("WRITTEN", f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    # With `<` escaped, nothing in it can end its element, or begin a comment.
    return page.replace("DATA", text.replace("<", r"\u003c")).encode("ascii")


def _details(entry: object) -> dict[str, object]:
    """Return what an entry tells that is neither a GUID nor a time."""
    return {
        name: value
        for name, value in (entry.items() if isinstance(entry, dict) else ())
        if not (value in (None, "") or parse_guid(value) or times.parse(value))
    }


def _shown(value: object) -> str | float:
    """Return a value as a number, if JavaScript has it exactly, else as a text that is not long."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1 << 53:
        return value
    text = value if isinstance(value, str) else as_json(value)
    if "://" in text:  # an address may be signed
        text = in_one_line(text)
    if text is not value and SECRET.search(plain_name(text)):
        return ""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _length(*durations: object) -> str:
    """Return the first duration that is understood, seconds or h:mm:ss, as h:mm:ss; or nothing."""
    for one in durations:
        if match := _DURATION.fullmatch(str(one) if isinstance(one, (str, int, float)) else ""):
            hours, minutes, seconds = (int(group or 0) for group in match.groups())
            minutes, seconds = divmod((hours * 60 + minutes) * 60 + seconds, 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return ""
