"""Many nights in a row, each with a fault, and each followed by a quiet one: no call is lost.

`NIGHTS` is the number of faults, and `SEED` repeats what was drawn, but not the moments at which
threads and signals meet. `FAULT` is the name of the only fault to draw:

    NIGHTS=200 SEED=7 .venv/bin/python -m pytest -m slow -s tests/attacks/test_nights.py
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support import api_server, store_proxy
from support.account import Account, Directory, Place, StoreFolder
from support.faults import KINDS, names_of
from support.night import Store
from support.posix import IS_ROOT, posix_only

NIGHTS = int(os.environ.get("NIGHTS", "20"))
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**6))
ONLY = os.environ.get("FAULT")
QUIET = "none"


@contextmanager
def on_a_disk(folder: Path) -> Iterator[tuple[Place, dict[str, str], Store]]:
    """Make a directory for the archive; where that is possible, a disk of its own."""
    path = folder / "calls"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8g", "none", str(path)]
    is_mounted = IS_ROOT and subprocess.run(mount, check=False).returncode == 0
    try:
        yield Directory(path), {}, Store()
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", path], check=True)


@contextmanager
def in_a_store(endpoint: str) -> Iterator[tuple[Place, dict[str, str], Store]]:
    """Make a bucket for the archive, with a proxy before it that may misbehave."""
    from support.bucket import Bucket

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which tells of each request
    bucket, store = Bucket(endpoint), Store()
    with store_proxy.proxy(endpoint, store.answer) as shown:
        store.requests = shown.requests
        yield StoreFolder(bucket), {**bucket.env, "AWS_ENDPOINT_URL": shown.url}, store


class Calendar:
    """The nights of an archive, which is on a disk or in a store."""

    def __init__(
        self, kind: str, account: Account, folder: Path, env: dict[str, str], store: Store
    ) -> None:
        self._kind = kind
        self._account = account
        self._folder = folder
        self._env = env
        self._store = store
        self._seconds = 1.0
        self._number = 0
        self._deck: list[str] = []
        self._codes: dict[str, Counter[int | str]] = defaultdict(Counter)
        self._times: Counter[str] = Counter()
        self._began = time.monotonic()

    def pass_nights(self, count: int) -> None:
        """Pass so many nights with a fault, and a quiet one after each."""
        for _ in range(count):
            self._pass_night(self._draw())
            self._pass_night(QUIET)
        self._account.forget()
        assert self._account.missing(self._account.calls.values()) == []

    def _draw(self) -> str:
        """Return a fault: each comes once, in any order, before one comes again."""
        if not self._deck:
            self._deck = [name for name in names_of(KINDS[self._kind]) if ONLY in {None, name}]
            if not self._deck:
                pytest.skip("there is no such fault here")
            self._chance().shuffle(self._deck)
        return self._deck.pop()

    def _chance(self) -> random.Random:
        return random.Random(f"{SEED} {self._kind} {self._number}")  # noqa: S311 - can be repeated

    def _pass_night(self, name: str) -> None:
        self._number += 1
        folder = self._folder / f"night-{self._number}"
        folder.mkdir()
        chance = self._chance()
        self._account.take_calls(chance, chance.randint(2, 12))
        env = dict(self._env)
        night = KINDS[self._kind](self._account, folder, chance, env, self._seconds, self._store)
        began = time.monotonic()
        try:
            with night.undo:
                if name != QUIET:
                    getattr(night, name)()
                night.pass_by()
        except pytest.skip.Exception as reason:
            self._codes[name][f"skipped: {reason}"] += 1
            return
        finally:
            del self._account.server.behaviours[1:]  # the first is the witness
            self._account.server.seen.clear()
            self._store.requests.clear()
        if name == QUIET:
            self._seconds = time.monotonic() - began
        self._times[name] += 1
        self._codes[name].update(run.code for run in night.runs)
        faults = night.faults_of_a_quiet_night() if name == QUIET else night.faults()
        if found := list(faults):
            lines = [f"night {self._number} of SEED={SEED}, {self._kind}, fault: {name}"]
            lines += [f"  drawn: {text}" for text in (" ".join(night.words), *night.drawn)]
            for run in night.runs:
                lines += [f"  exit code {run.code}", *run.stderr.splitlines()]
            pytest.fail("\n".join([*lines, *(f"* {text}" for text in found)]), pytrace=False)

    def table(self) -> str:
        """Return which faults were drawn, how often, and the exit codes of their runs."""
        nights, seconds = sum(self._times.values()), time.monotonic() - self._began
        calls = len(self._account.calls)
        lines = [f"SEED={SEED}, {self._kind}: {nights} nights, {calls} calls, {seconds:.0f} s"]
        for name, codes in sorted(self._codes.items()):
            shown = ", ".join(f"{code} ({count})" for code, count in codes.most_common())
            lines.append(f"{name:44} {self._times[name]:3}  {shown}")
        return "\n".join(lines)


@pytest.mark.slow
@posix_only("signals and limits of this kind")
@pytest.mark.parametrize("kind", KINDS)
def test_no_call_is_lost(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """After each quiet night the archive has all calls that there ever were, whole and recorded."""
    nights, archive = NIGHTS, on_a_disk(tmp_path)
    if kind == "store":  # where they take longer
        nights, archive = (NIGHTS + 1) // 2, in_a_store(request.getfixturevalue("server"))
    with api_server.serving() as server, archive as (place, env, store):
        calendar = Calendar(kind, Account(server, place), tmp_path, env, store)
        try:
            calendar.pass_nights(nights)
        finally:
            print(calendar.table())  # noqa: T201 - for pytest -s
