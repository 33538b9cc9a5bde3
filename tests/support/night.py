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
from pathlib import Path
from random import Random
from threading import Event
from typing import NamedTuple

import pytest

from support.account import Account, Call
from support.api_server import TOKEN
from support.commands import AS_ANYBODY, VNS
from support.recordings import PASSWORD
from support.store_proxy import Answer, Behaviour, Request

DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7, 130}
"""The exit codes of the README."""

LONGEST = 60
"""Seconds after which a run counts as one that never ends."""

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


class _Process(NamedTuple):
    popen: subprocess.Popen[bytes]
    outputs: list[Path]
    started: float
    seen: int


@dataclass
class Night:
    """A night, which a fault changes before it begins.

    Attributes:
        account: The account and its archive.
        folder: Where a fault may put what it needs.
        chance: What a fault draws its parameters from.
        env: What else is in the environment.
        seconds: What a run takes without any fault.
        words: What else is on the command line.
        prefix: What the command is started by.
        at_once: How many runs are started together.
        codes: The exit codes that are right.
        known: What the fault has put under names that count as having a recording.
        is_over: Set in the morning, for servers that stall.
        undo: What has to be set right before anything else is run.
        drawn: What the fault says of its parameters.
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
        self._started = 0
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

    def is_anybody(self) -> None:
        """Take from root what makes it root."""
        self.prefix = AS_ANYBODY

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
        moments = [self.chance.uniform(0, 1.5 * self.seconds) for _ in signals]
        self._signals = list(zip(sorted(moments), signals, strict=True))
        self.draw(", ".join(f"{name.name} after {at:.3f} s" for at, name in self._signals))

    def some(self) -> list[Call]:
        """Return one, some or all of the calls on the server."""
        waiting = self.account.waiting
        count = self.chance.choice([1, 1, self.chance.randint(1, len(waiting)), len(waiting)])
        self.draw(f"{count} of {len(waiting)} recordings")
        return self.chance.sample(waiting, count)

    def stored(self, count: int) -> list[Call]:
        """Have the calls on the server archived, but not deleted; return some; more calls come."""
        waiting = self.account.waiting
        assert self.run(delete=False).code == 0
        self.account.take_calls(self.chance, self.chance.randint(1, 6))
        return self.chance.sample(waiting, min(count, len(waiting)))

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
        return self._end(self._start(delete=delete), kill)

    def pass_by(self) -> None:
        """Run the archive as cron does, and as the fault has it."""
        processes = [self._start() for _ in range(self.at_once)]
        for process in processes:
            self._end(process, self._signals)
        self.is_over.set()

    def _start(self, *, delete: bool = True) -> _Process:
        words = ["archive", self.where, *(["--delete-after"] if delete else [])]
        words += ["--token-file", str(self.folder / "token")]
        words += ["--password-file", str(self.folder / "password"), *self.words]
        self._started += 1
        outputs = [self.folder / f"run-{self._started}.{name}" for name in ("out", "err")]
        seen = len(self.server.seen)
        with outputs[0].open("wb") as stdout, outputs[1].open("wb") as stderr:
            popen = subprocess.Popen(
                [*self.prefix, VNS, *words],
                env={**os.environ, "VNS_API_URL": self.server.url, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return _Process(popen, outputs, time.monotonic(), seen)

    def _end(self, process: _Process, signals: Sequence[tuple[float, signal.Signals]]) -> Run:
        popen = process.popen
        for after, number in signals:
            time.sleep(max(0, process.started + after - time.monotonic()))
            popen.send_signal(number)
        never_ends = False
        try:
            popen.wait(LONGEST)
        except subprocess.TimeoutExpired:
            never_ends = True
            popen.kill()
            popen.wait()
        stdout, stderr = (output.read_text("utf-8") for output in process.outputs)
        sent = [int(number) for _, number in signals]
        has_asked = len(self.server.seen) > process.seen
        self.runs.append(Run(popen.returncode, stdout, stderr, sent, has_asked, never_ends))
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


class QuietNight(Night):
    """A night without a fault."""

    def faults(self) -> Iterator[str]:
        """Yield also what is not as it has to be after a night without a fault."""
        self.is_harmless()
        yield from super().faults()
        yield from (f"{guid}: still on the server" for guid in self.server.recordings)
        for run in self.runs:
            yield from (line for line in run.stderr.splitlines() if "error" in line)
