"""An archive on a disk or in a store, and the command that is run on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from support.commands import Result
from support.night import Directory, StoreFolder


class Place(NamedTuple):
    """Where an archive is, how it is named there, and what runs the command."""

    url: str
    files: Directory | StoreFolder
    env: dict[str, str]
    run: Callable[..., Result]

    def recordings(self) -> dict[str, bytes]:
        """Return its files but for records, markers, and what killed runs have left."""
        return {
            name: self.files.read(name) or b""
            for name in self.files.versions()
            if not name.endswith((".json", ".tmp")) and not name.startswith(".vns")
        }

    def record(self, guid: str) -> dict[str, object]:
        """Return the record of a recording."""
        found: dict[str, object] = json.loads(self.files.read(f"{guid}.json") or b"")
        return found
