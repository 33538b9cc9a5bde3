"""The `sessionGuid` of a recording: what it is, and how the server spells it."""

from __future__ import annotations

import re
from typing import NamedTuple
from uuid import UUID

from filedecryptor.errors import UsageError

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
