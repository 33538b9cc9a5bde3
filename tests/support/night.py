"""An account that gets new calls, the archive that is to hold them, and one night of both.

In a night a fault is set up, the archive is run, and what must hold is looked at.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from support import encryptor
from support.api_server import TOKEN, Handler, Server
from support.commands import VNS
from support.recordings import BY_FORMAT, ITERATIONS, PASSWORD
from support.store_proxy import StoreProxy
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
        found: dict[str, object] = {}
        for path in self.path.rglob("*"):
            with suppress(FileNotFoundError):  # a run has just removed it
                one = path.lstat()
                if stat.S_ISREG(one.st_mode):
                    name = path.relative_to(self.path).as_posix()
                    found[name] = (one.st_ino, one.st_size, one.st_ctime_ns)
        return found

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None if there is no such file."""
        path = self.path / name
        with suppress(FileNotFoundError):  # a run has just removed it
            return path.read_bytes() if path.is_file() and not path.is_symlink() else None
        return None

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in a folder that is made for it."""
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
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
        self._files: dict[str, tuple[object, bytes | None]] = {}
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

    def _read(self, name: str, version: object) -> bytes | None:
        """Return what a file holds; it is read anew whenever it has changed."""
        if name not in self._files or self._files[name][0] != version:
            self._files[name] = version, self.place.read(name)
        return self._files[name][1]

    def look(self) -> tuple[set[str], list[str]]:
        """Return what the archive has, whole and recorded, and the names that promise more than is there.

        The former are GUIDs; the latter count as having a recording, and hold something else.
        """
        files = {name: self._read(name, version) for name, version in self.place.versions().items()}
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


DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7, 130}  # the exit codes of the README
LONGEST, NEVER_ENDED = 60, 999  # seconds after which a run counts as one that never ends; its code
TEMPORARY = re.compile(r"\.filedecryptor-.*\.tmp")

Signals = list[tuple[float, signal.Signals]]
"""What to send to a run, and how many seconds after its start."""


class Run(NamedTuple):
    """What a run left behind: `code` is less than 0 if a signal ended it."""

    code: int
    said: str
    signals: Signals
    has_asked: bool

    def faults(self, codes: set[int]) -> Iterator[str]:
        """Yield all that is not as it has to be, given the exit codes that are right."""
        sent = {number for _, number in self.signals}
        if self.code not in (DOCUMENTED | {-number for number in sent} if sent else codes):
            yield f"exit code {self.code}"
        yield from ("a secret is shown" for secret in (TOKEN, PASSWORD) if secret in self.said)
        # Before the command has taken its signals over, Python itself ends with a traceback.
        if "Traceback" in self.said and (signal.SIGINT not in sent or self.has_asked):
            yield "a traceback is shown"


@dataclass
class Night:
    """A night, which a fault changes before it begins.

    `seconds` is what a run takes without any fault; `words`, `env` and `signals` are what else a run
    is given, and `prefix` is what the command is started by. In the morning, what is left to `undo` is set right.
    """

    account: Account
    folder: Path
    chance: random.Random
    env: dict[str, str]
    seconds: float
    store: StoreProxy | None = None
    prefix: list[str] = field(default_factory=list)
    signals: Signals = field(default_factory=list)
    codes: set[int] = field(default_factory=DOCUMENTED.copy)
    undo: ExitStack = field(default_factory=ExitStack)
    drawn: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place, self.server = self.account.place, self.account.server
        self.where = self.place.word
        self.words = ["-j", self.chance.choice("144")]
        self._concerned: set[str] | None = None
        self._before = set(self.place.versions())
        (self.folder / "token").write_text(f"{TOKEN}\n")
        (self.folder / "password").write_text(f"{PASSWORD}\n")

    # What faults say

    def draw(self, *values: object) -> None:
        """Note what was drawn, for the report of a failure."""
        self.drawn += map(str, values)

    def concerns(self, *calls: Call) -> None:
        """Say which recordings the fault may keep from being stored; the others must be."""
        self._concerned = {call.guid for call in calls}

    def is_harmless(self, *_: Call) -> None:
        """Say that the run must do all its work in spite of the fault."""
        self.concerns()
        self.codes = {0}

    def limit_time(self, *_: Call) -> None:
        """Let the run end soon; anything may be left undone then."""
        self.words += ["--max-time", "1.5"]
        self._concerned = None

    def some(self) -> list[Call]:
        """Return one, some or all of the calls on the server."""
        waiting = self.account.waiting
        number = self.chance.choice([1, 1, self.chance.randint(1, len(waiting)), len(waiting)])
        self.draw(f"{number} of {len(waiting)} recordings")
        return self.chance.sample(waiting, number)

    # The night itself

    def run(self) -> None:
        """Run the archive as cron does, and as the fault has it."""
        words = ["archive", self.where, "--delete-after", *self.words]
        words += ["--token-file", str(self.folder / "token")]
        words += ["--password-file", str(self.folder / "password")]
        process = subprocess.Popen(
            [*self.prefix, VNS, *words],
            env={**os.environ, "VNS_API_URL": self.server.url, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started, seen = time.monotonic(), len(self.server.seen)
        for after, number in self.signals:
            time.sleep(max(0, started + after - time.monotonic()))
            process.send_signal(number)
        try:
            said, _ = process.communicate(timeout=LONGEST)
            code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            said, code = process.communicate()[0], NEVER_ENDED
        self.runs.append(Run(code, said, self.signals, len(self.server.seen) > seen))

    # The morning

    def faults(self) -> Iterator[str]:
        """Yield all that is not as it has to be after any night."""
        account = self.account
        for run in self.runs:
            yield from run.faults(self.codes)
        yield from (f"{guid}: deleted before it was stored" for guid in account.lost)
        held, halves = account.look()
        gone = account.calls.keys() - self.server.recordings.keys()
        yield from (f"{guid}: deleted, and not stored" for guid in gone - held)
        if self._concerned is not None:
            others = account.calls.keys() - self._concerned
            yield from (f"{guid}: not stored" for guid in others - held)
        yield from (f"{name}: not whole" for name in halves)
        if not any(run.code < 0 for run in self.runs):
            new = account.place.versions().keys() - self._before
            yield from (f"{name}: left behind" for name in new if TEMPORARY.fullmatch(name))

    def faults_of_a_quiet_night(self) -> Iterator[str]:
        """Yield also what is not as it has to be after a night without a fault."""
        self.is_harmless()
        yield from self.faults()
        yield from (f"{guid}: still on the server" for guid in self.server.recordings)
        for run in self.runs:
            yield from (line for line in run.said.splitlines() if "error" in line)
