"""One night: a fault is set up, the archive is run, and what must hold is looked at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from threading import Event
from typing import NamedTuple

import pytest

from support.account import Account, Call
from support.api_server import TOKEN
from support.commands import VNS
from support.recordings import PASSWORD
from support.store_proxy import Answer, Behaviour, Request

DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7, 130}  # the exit codes of the README
LONGEST = 60  # seconds after which a run counts as one that never ends
TEMPORARY = re.compile(r"\.filedecryptor-.*\.tmp")

UNDER_MDWE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Store:
    """How the store behaves in which the archive is."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = lambda request, forward: forward(request)
        self.requests: list[Request] = []

    def answer(self, request: Request, forward: Callable[[Request], Answer]) -> Answer | None:
        """Answer as it does at present."""
        return self.behaviour(request, forward)


class Run(NamedTuple):
    """What a run left behind: `code` is less than 0 if a signal ended it."""

    code: int
    stdout: str
    stderr: str
    sent: list[int]
    has_asked: bool
    never_ends: bool

    def faults(self, codes: set[int]) -> Iterator[str]:
        """Yield all that is not as it has to be, given the exit codes that are right."""
        if self.never_ends:
            yield "it never ends"
        if self.code not in (DOCUMENTED | {-one for one in self.sent} if self.sent else codes):
            yield f"exit code {self.code}"
        said = self.stdout + self.stderr
        yield from ("a secret is shown" for secret in (TOKEN, PASSWORD) if secret in said)
        # Before the command has taken its signals over, Python itself ends with a traceback.
        is_pythons = signal.SIGINT in self.sent and not self.has_asked
        if "Traceback" in said and not is_pythons:
            yield "a traceback is shown"


@dataclass
class Night:
    """A night, which a fault changes before it begins.

    `seconds` is what a run takes without any fault; `words` and `env` are what else is on the
    command line and in the environment, and `prefix` is what the command is started by. `known` is
    what a fault has put under names that count as having a recording. In the morning `is_over` is
    set, for servers that stall, and what is left to `undo` is set right.
    """

    account: Account
    folder: Path
    chance: Random
    env: dict[str, str]
    seconds: float
    store: Store
    prefix: list[str] = field(default_factory=list)
    at_once: int = 1
    codes: set[int] = field(default_factory=DOCUMENTED.copy)
    known: dict[str, bytes] = field(default_factory=dict)
    is_over: Event = field(default_factory=Event)
    undo: ExitStack = field(default_factory=ExitStack)
    drawn: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place, self.server = self.account.place, self.account.server
        self.where = self.place.word
        self.words = ["-j", self.chance.choice("144")]
        self._numbers = count()
        self._signals: list[tuple[float, signal.Signals]] = []
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

    def with_limit(self, option: str, number: int) -> None:
        """Set a limit of the shell's `ulimit`."""
        self.draw(f"ulimit {option} {number}")
        self.prefix = ["sh", "-c", f'ulimit {option} {number}; exec "$@"', "sh"]

    def without_executable_memory(self) -> None:
        """Do what `MemoryDenyWriteExecute=yes` does in a unit of systemd."""
        self.prefix = [sys.executable, "-S", "-c", UNDER_MDWE]
        if subprocess.run([*self.prefix, "true"], check=False).returncode:
            pytest.skip("this kernel has no such thing")

    def send(self, *signals: signal.Signals) -> None:
        """Send these at random moments, from the start of a run to half as long after its end."""
        moments = sorted(self.chance.uniform(0, 1.5 * self.seconds) for _ in signals)
        self._signals = list(zip(moments, signals, strict=True))
        self.draw(", ".join(f"{name.name} after {at:.3f} s" for at, name in self._signals))

    def some(self) -> list[Call]:
        """Return one, some or all of the calls on the server."""
        waiting = self.account.waiting
        number = self.chance.choice([1, 1, self.chance.randint(1, len(waiting)), len(waiting)])
        self.draw(f"{number} of {len(waiting)} recordings")
        return self.chance.sample(waiting, number)

    def stored(self, most: int) -> list[Call]:
        """Have the calls on the server archived, but not deleted; return some; more calls come."""
        waiting = self.account.waiting
        assert self.run(delete=False).code == 0
        self.account.take_calls(self.chance, self.chance.randint(1, 6))
        return self.chance.sample(waiting, min(most, len(waiting)))

    def put(self, name: str, data: bytes | None) -> None:
        """Write a file of the archive, or remove it if None."""
        self.known[name] = data or b""
        if data is None:
            self.place.remove(name)
        else:
            self.place.write(name, data)

    # The night itself

    def run(self, *, delete: bool = True, killed_after: float | None = None) -> Run:
        """Run the archive before the night, perhaps kill it, and return what became of that."""
        kill = [] if killed_after is None else [(killed_after, signal.SIGKILL)]
        return self._end(*self._start(delete=delete), kill)

    def pass_by(self) -> None:
        """Run the archive as cron does, and as the fault has it."""
        processes = [self._start() for _ in range(self.at_once)]
        for process in processes:
            self._end(*process, self._signals)
        self.is_over.set()

    def _start(self, *, delete: bool = True) -> tuple[subprocess.Popen[bytes], Path, float, int]:
        words = ["archive", self.where, *(["--delete-after"] if delete else [])]
        words += ["--token-file", str(self.folder / "token")]
        words += ["--password-file", str(self.folder / "password"), *self.words]
        output = self.folder / f"run-{next(self._numbers)}"
        seen = len(self.server.seen)
        with output.open("wb") as stdout, output.with_suffix(".err").open("wb") as stderr:
            process = subprocess.Popen(
                [*self.prefix, VNS, *words],
                env={**os.environ, "VNS_API_URL": self.server.url, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return process, output, time.monotonic(), seen

    def _end(
        self,
        process: subprocess.Popen[bytes],
        output: Path,
        started: float,
        seen: int,
        signals: Sequence[tuple[float, signal.Signals]],
    ) -> Run:
        for after, number in signals:
            time.sleep(max(0, started + after - time.monotonic()))
            process.send_signal(number)
        never_ends = False
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            never_ends = True
            process.kill()
            process.wait()
        stdout, stderr = output.read_text("utf-8"), output.with_suffix(".err").read_text("utf-8")
        sent = [int(number) for _, number in signals]
        has_asked = len(self.server.seen) > seen
        self.runs.append(Run(process.returncode, stdout, stderr, sent, has_asked, never_ends))
        return self.runs[-1]

    # The morning

    def faults(self) -> Iterator[str]:
        """Yield all that is not as it has to be after any night."""
        for run in self.runs:
            yield from run.faults(self.codes)
        account = self.account
        yield from (
            f"{guid}: its deletion was asked for before it was stored" for guid in account.lost
        )
        gone = [call for call in account.calls.values() if call.guid not in self.server.recordings]
        yield from (f"{name}: deleted, and not stored" for name in account.missing(gone))
        if self._concerned is not None:
            others = [call for call in account.calls.values() if call.guid not in self._concerned]
            yield from (f"{name}: not stored" for name in account.missing(others))
        yield from (f"{name}: not whole" for name in account.halves(self.known))
        if not any(run.code < 0 for run in self.runs):
            new = account.place.versions().keys() - self._before
            yield from (f"{name}: left behind" for name in new if TEMPORARY.fullmatch(name))

    def faults_of_a_quiet_night(self) -> Iterator[str]:
        """Yield also what is not as it has to be after a night without a fault."""
        self.is_harmless()
        yield from self.faults()
        yield from (f"{guid}: still on the server" for guid in self.server.recordings)
        for run in self.runs:
            yield from (line for line in run.stderr.splitlines() if "error" in line)
