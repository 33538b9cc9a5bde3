"""An account that gets new calls, the archive that is to hold them, and a witness of deletions."""

from __future__ import annotations

import hashlib
import json
import random
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from support import encryptor
from support.api_server import Handler, Server
from support.recordings import BY_FORMAT, ITERATIONS, PASSWORD
from support.vns import meanwhile

if TYPE_CHECKING:
    from support.bucket import Bucket

FINAL = re.compile(r"([0-9a-f-]{36})\.(?:opus|mp3|wav|enc|unknown)")
"""The names that count as having a recording."""


class Call(NamedTuple):
    """A recorded call, as the archive is to have it: the name, length and SHA-256 of its audio."""

    guid: str
    name: str
    size: int
    sha256: str

    def fits(self, audio: bytes | None) -> bool:
        """Return whether this is its audio."""
        return audio is not None and hashlib.sha256(audio).hexdigest() == self.sha256


class Directory:
    """An archive on a disk, seen without the code under test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.word = str(path)

    def versions(self) -> dict[str, object]:
        """Return the names of all files, each with what changes whenever the file does."""
        return {
            path.name: (found.st_ino, found.st_size, found.st_ctime_ns)
            for path in self.path.iterdir()
            if stat.S_ISREG((found := path.lstat()).st_mode)
        }

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None if there is no such file."""
        path = self.path / name
        return path.read_bytes() if path.is_file() and not path.is_symlink() else None

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        (self.path / name).write_bytes(data)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.path / name).unlink()


class StoreFolder:
    """The same in a folder of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.word = f"{bucket.url}/calls"

    def versions(self) -> dict[str, object]:
        """As of a `Directory`."""
        found = self.bucket.entries(Prefix="calls/")
        return {
            one["Key"].removeprefix("calls/"): (one["ETag"], one["LastModified"]) for one in found
        }

    def read(self, name: str) -> bytes | None:
        """As of a `Directory`."""
        try:
            return self.bucket.get(f"calls/{name}")
        except self.bucket.client.exceptions.NoSuchKey:
            return None

    def write(self, name: str, data: bytes) -> None:
        """As of a `Directory`."""
        self.bucket.put(f"calls/{name}", data)

    def remove(self, name: str) -> None:
        """As of a `Directory`."""
        self.bucket.client.delete_object(Bucket=self.bucket.name, Key=f"calls/{name}")


Place = Directory | StoreFolder


class Account:
    """Calls that are recorded night after night, and what has become of them.

    Attributes:
        calls: All there ever were, by GUID.
        lost: Those for which a deletion was asked while the archive did not hold them.
    """

    def __init__(self, server: Server, place: Place) -> None:
        self.server = server
        self.place = place
        self.calls: dict[str, Call] = {}
        self.lost: list[str] = []
        server.behaviours.append(meanwhile(self._witness))

    def _witness(self, handler: Handler) -> None:
        """Look, at the moment of a deletion, whether the archive holds the recording."""
        call = self.calls.get(handler.guid) if handler.command == "DELETE" else None
        if call is not None and not _is_held(call, self.place.read):
            self.lost.append(call.guid)

    def take_calls(self, chance: random.Random, count: int) -> None:
        """Let so many calls be recorded: any format, encrypted or not, one in ten of some MB."""
        for _ in range(count):
            extension = chance.choice(list(BY_FORMAT))
            more = chance.randrange(2 << 20, 6 << 20) if chance.random() < 0.1 else 100
            audio = BY_FORMAT[extension] + b"TAG" + chance.randbytes(more)
            guid = str(UUID(int=chance.getrandbits(128), version=4))
            digest = hashlib.sha256(audio).hexdigest()
            self.calls[guid] = Call(guid, f"{guid}.{extension}", len(audio), digest)
            if chance.random() < 0.7:
                audio = encryptor.encrypt(audio, PASSWORD, iterations=ITERATIONS)
            self.server.recordings[guid] = audio

    @property
    def waiting(self) -> list[Call]:
        """The calls that are on the server."""
        return [self.calls[guid] for guid in list(self.server.recordings)]

    def look(self) -> tuple[set[str], list[str]]:
        """Return what the archive has, whole and recorded, and the names that promise more than is there.

        The former are GUIDs; the latter count as having a recording, and hold something else.
        """
        files = {name: self.place.read(name) for name in self.place.versions()}
        held = {guid for guid, call in self.calls.items() if _is_held(call, files.get)}

        def is_whole(name: str) -> bool:
            call = self.calls.get(name[:36])
            return bool(call and call.name == name and call.fits(files[name]))

        return held, [name for name in files if FINAL.fullmatch(name) and not is_whole(name)]


def _is_held(call: Call, read: Callable[[str], bytes | None]) -> bool:
    """Return whether a call's audio and its record are there, and fit each other."""
    try:
        record = json.loads(read(f"{call.guid}.json") or b"")
    except ValueError:
        return False
    fields = {"guid": call.guid, "file": call.name, "size": call.size, "sha256": call.sha256}
    says_so = isinstance(record, dict) and all(record.get(key) == fields[key] for key in fields)
    return says_so and call.fits(read(call.name))
