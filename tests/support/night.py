"""One night: a fault is set up, the archive is run, and what must hold is looked at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from support.account import Account, Call
from support.api_server import TOKEN
from support.commands import VNS
from support.recordings import PASSWORD
from support.store_proxy import StoreProxy

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
    chance: Random
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
