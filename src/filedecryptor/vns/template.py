"""Names of recordings in an archive, made from what the list says of their calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from string import Formatter
from uuid import UUID

from filedecryptor.errors import UsageError
from filedecryptor.storage.windows import is_impossible
from filedecryptor.vns import times
from filedecryptor.vns.listing import Recording, as_json, call_time, fields, plain_name

UNVERIFIED = "unverified"  # comes before the extension of a recording that may be truncated
ABSENT = "unknown"  # stands for what an entry does not have
LONGEST_VALUE = 100  # characters of a field
LONGEST_PART = 239  # bytes: most systems allow 255, and `.unverified.opus` is to follow
LONGEST_NAME = 800  # bytes: Amazon S3 allows 1,024, with the folder ("Naming Amazon S3 objects")
SECRET = re.compile(  # in names, as `plain_name` has them
    "passw|passphrase|passcode|pwd|token|secret(?!ar)|credential|authorization|bearer|cookie"
    "|(api|access|private|session)key|signature"
)

_TIME = "%Y-%m-%dT%H%M%SZ"
_SAMPLE, _NIL = times.FIRST.replace(year=2000), str(UUID(int=0))
_NOT_PLAIN = frozenset('<>:"/\\|?*.')  # a dot as well, so that no field looks like an extension
_GUID = re.compile(r"(?=([\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}))", re.ASCII)
_EXTENSION = re.compile(r"(?i)\.(opus|mp3|wav|enc|unknown|unverified|json|html)$")


def is_portable(part: str) -> bool:
    """Return whether a part of a path is a file's name on every system, and not a hidden one."""
    is_name = part.isprintable() and part[:1] not in {"", "."} and "\\" not in part
    return is_name and not is_impossible(part)


def guids_in(name: str) -> set[str]:
    """Return all GUIDs that there are in a name, in small letters, however they overlap."""
    return {found.lower() for found in _GUID.findall(name)}


def _fits(name: str, guid: str) -> bool:
    """Return whether a name is one on every system, of this recording alone, and of its audio."""
    parts = name.split("/")
    if not all(map(is_portable, parts)) or any(map(_EXTENSION.search, parts)):
        return False
    is_short = max(len(part.encode()) for part in parts) <= LONGEST_PART
    return is_short and len(name.encode()) <= LONGEST_NAME and guids_in(name) == {guid}


class Template:
    """What recordings are named by, as `Archive` documents it."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._pieces = [*_parsed(text)]
            self._names = {name for _, name, _ in self._pieces if name is not None}
            name = self._filled(dict.fromkeys(self._names, UNVERIFIED) | {"guid": _NIL}, _SAMPLE)
        except ValueError:
            name = ""
        if not name:
            cause = "makes no sense"
        elif "guid" not in self._names:
            cause = "has no {guid}, so two recordings could get the same name"
        elif any(map(SECRET.search, self._names)):
            cause = "has a field that may be a secret"
        elif any(map(_EXTENSION.search, name.split("/"))):
            cause = "ends a name with an extension, which is added automatically"
        elif not _fits(name, _NIL):
            cause = "gives names that some systems do not allow"
        else:
            return
        hint = "a template looks like '{time:%Y/%m/%d}/{callerId}_{guid}'"
        raise UsageError(f"the template of names {cause}", hint=hint)

    def name_of(self, recording: Recording) -> str:
        """Return the path of a recording in the archive, with slashes and without its extension."""
        found: dict[str, object] = {}
        # What is deeper in an entry gives way.
        for path, value in sorted(fields(recording.entry), key=lambda one: -one[0].count(" ")):
            found[path.rpartition(" ")[2]] = value
        time, guid = call_time(recording.entry), str(recording.guid)
        for longest in range(LONGEST_VALUE, 0, -1):
            values = {name: _plain(found.get(name), longest) for name in self._names}
            parts = self._filled(values | {"guid": guid}, time).split("/")
            parts = [f"_{part}" if is_impossible(part) else part for part in parts]
            name = "/".join(parts)
            if _fits(name, guid):
                return name
        return guid

    def _filled(self, values: dict[str, str], time: datetime | None) -> str:
        name = ""
        for text, field, form in self._pieces:
            name += text
            if field == "time":
                name += time.strftime(form) if time else ABSENT
            elif field is not None:
                name += values[field]
        return name


def _parsed(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Yield pieces of a template: a text, the plain name of the field after it, a time's format."""
    for literal, field, form, conversion in Formatter().parse(text):
        name = None if field is None else plain_name(field)
        if name == "" or conversion or (form and name != "time"):
            raise ValueError
        yield literal, name, form or _TIME


def _plain(value: object, longest: int) -> str:
    """Return a value as it can stand in a part of a path, on every system."""
    text = (value if isinstance(value, str) else "" if value is None else as_json(value))[:longest]
    if guids_in(text):
        text = text.replace("-", "_")
    kept = (one if one.isprintable() and one not in _NOT_PLAIN else "_" for one in text)
    return "".join(kept).strip() or ABSENT[:longest]


BY_GUID = Template("{guid}")
