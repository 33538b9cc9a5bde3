"""Many nights in a row, each with a fault, and each followed by a quiet one: no call is lost.

`NIGHTS` is the number of faults, and `SEED` repeats what was drawn, but not the moments at which
threads and signals meet. `FAULT` is the name of the only fault to draw:

    NIGHTS=200 SEED=7 .venv/bin/python -m pytest -m slow -s tests/attacks/test_nights.py
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support import api_server, store_proxy
from support.faults import KINDS, names_of
from support.night import Account, Directory, Night, Place, StoreFolder
from support.posix import posix_only

NIGHTS = int(os.environ.get("NIGHTS", "13"))  # on a disk, each fault comes once
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**6))
ONLY = os.environ.get("FAULT")
FAULTS = [(ONLY, NIGHTS)] if ONLY else [(None, NIGHTS), ("killed", NIGHTS // 2)]

Archive = tuple[Place, dict[str, str], store_proxy.StoreProxy | None]


@contextmanager
def on_a_disk(folder: Path) -> Iterator[Archive]:
    """Make a directory for the archive."""
    path = folder / "calls"
    path.mkdir()
    yield Directory(path), {}, None


@contextmanager
def in_a_store(endpoint: str) -> Iterator[Archive]:
    """Make a bucket for the archive, with a proxy before it that may misbehave."""
    from support.bucket import Bucket

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which tells of each request
    bucket = Bucket(endpoint)
    with store_proxy.proxy(endpoint, store_proxy.forwarding) as shown:
        yield StoreFolder(bucket), {**bucket.env, "AWS_ENDPOINT_URL": shown.url}, shown


def deck_of(kind: type[Night], count: int, only: str | None) -> Iterator[str]:
    """Yield so many names of faults: each comes once, in any order, before one comes again."""
    deck: list[str] = []
    for number in range(count):
        if not deck:
            deck = [name for name in names_of(kind) if only in {None, name}]
            if not deck:
                pytest.skip("there is no such fault here")
            random.Random(f"{SEED} {number}").shuffle(deck)  # noqa: S311 - can be repeated
        yield deck.pop()


def pass_night(night: Night, name: str) -> None:
    """Let a night pass with a fault, or a quiet one without a name; see that all is as it must be."""
    try:
        with night.undo:
            if name:
                getattr(night, name)()
            night.run()
    except pytest.skip.Exception as reason:
        night.draw(f"skipped: {reason}")
        return
    finally:
        del night.server.behaviours[1:]  # the first is the witness
        night.server.seen.clear()
        if night.store:
            night.store.requests.clear()
    if found := list(night.faults() if name else night.faults_of_a_quiet_night()):
        lines = [f"{night.folder.name} of SEED={SEED}, fault: {name}", " ".join(night.words)]
        lines += [f"  drawn: {text}" for text in night.drawn]
        for run in night.runs:
            lines += [f"  exit code {run.code}", *run.said.splitlines()]
        pytest.fail("\n".join([*lines, *(f"* {text}" for text in found)]), pytrace=False)


@pytest.mark.slow
@posix_only("signals and limits of this kind")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "nights"), FAULTS)
def test_no_call_is_lost(
    kind: str, fault: str | None, nights: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """After each quiet night the archive has all calls that there ever were, whole and recorded."""
    archive = on_a_disk(tmp_path)
    if kind == "store":  # where they take longer
        nights, archive = (nights + 1) // 2, in_a_store(request.getfixturevalue("server"))
    with api_server.serving() as server, archive as (place, env, store):
        account, seconds = Account(server, place), 1.0
        for number, drawn in enumerate(deck_of(KINDS[kind], nights, fault)):
            for name in (drawn, ""):
                folder = tmp_path / f"night-{number}{name and '-of-a-fault'}"
                folder.mkdir()
                chance = random.Random(f"{SEED} {folder.name}")  # noqa: S311 - as above
                account.take_calls(chance, chance.randint(2, 12))
                night = KINDS[kind](account, folder, chance, dict(env), seconds, store)
                began = time.monotonic()
                pass_night(night, name)
                if name:
                    codes = [run.code for run in night.runs] or night.drawn
                    print(f"{kind:5} {name:44} {codes}")  # noqa: T201 - for pytest -s
                else:
                    seconds = time.monotonic() - began
        assert account.calls.keys() == account.look()[0]
        print(f"SEED={SEED}, {kind}: {len(account.calls)} calls")  # noqa: T201 - as above
