"""Archives of recordings: records as a run writes them, and the page that shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from filedecryptor.vns import page
from filedecryptor.vns.records import Record
from support.recordings import BY_FORMAT

WRITTEN = datetime(2026, 11, 30, 9, 5, tzinfo=UTC)


def recorded(number: int, entry: object = None, **fields: Any) -> Record:
    """Return the record of a recording, the first of which is the last call."""
    guid = f"{number:08}-0000-4000-8000-000000000000"
    time = WRITTEN - timedelta(hours=number)
    if entry is None:
        entry = {"sessionGuid": guid, "startTime": f"{time:%Y-%m-%dT%H:%M:%SZ}"}
    extension = fields.get("format", "opus")
    record = Record(
        guid=guid,
        entry=entry,
        file=f"{guid}.{extension}",
        format=extension,
        size=len(BY_FORMAT.get(extension, b"")),
        sha256="0" * 64,
        authenticated=True,
        fetched="2026-11-30T09:00:00Z",
    )
    return record._replace(**fields)


def with_details(number: int, **details: object) -> Record:
    """Return a record of which the entry tells more than the time of the call."""
    record = recorded(number)
    assert isinstance(record.entry, dict)
    return record._replace(entry={**record.entry, **details})


def write_page(folder: Path, *records: Record, missing: tuple[Record, ...] = ()) -> Path:
    """Write the page of records, and the audio of those that are not missing; return its path."""
    for record in records:
        if record.format in BY_FORMAT:
            (folder / record.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / record.file).write_bytes(BY_FORMAT[record.format])
    found = [*((one, True) for one in records), *((one, False) for one in missing)]
    path = folder / page.NAME
    path.write_bytes(page.rendered(found, WRITTEN))
    return path
