"""SIGKILL at any moment of `archive --name --page` and of `prune`, on a disk and in a store.

`KILLS` is the number of kills of each, `SEED` repeats the moments as far as that is possible.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support import api_server
from support.commands import VNS
from support.night import Directory, Place, StoreFolder
from support.posix import posix_only
from support.recordings import BY_FORMAT, encrypt
from support.vns import environment

KILLS = int(os.environ.get("KILLS", "8"))
SEED = os.environ.get("SEED") or str(random.SystemRandom().randrange(10**6))
AUDIO = re.compile(r".*\.(opus|mp3|wav|enc|unknown)")
TEMPLATE = "{callEnd}/{time:%Y/%m}_{guid}"
CALLS = 24  # in an archive at once
YOUNG, OLD = "2026-11-24T18:00:00Z", "2020-01-01T00:00:00Z"


@pytest.fixture(params=["disk", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Place, dict[str, str]]:
    """An empty archive, and what is in the environment of a run that reaches it."""
    if request.param == "disk":
        (tmp_path / "calls").mkdir()
        return Directory(tmp_path / "calls"), {}
    bucket = request.getfixturevalue("bucket")
    return StoreFolder(bucket), dict(bucket.env)


def let_call(api: api_server.Server, chance: random.Random) -> None:
    """Let the account have as many new calls, every other one of them old."""
    entries = []
    for number in range(CALLS):
        guid = str(UUID(int=chance.getrandbits(128), version=4))
        entries.append({"sessionGuid": guid, "callEnd": (YOUNG, OLD)[number % 2]})
        api.recordings[guid] = encrypt(BY_FORMAT[chance.choice([*BY_FORMAT])])
    api.list_body = json.dumps(entries).encode()


def start(api: api_server.Server, env: Mapping[str, str], *words: str) -> subprocess.Popen[bytes]:
    """Start the command, which nothing is heard of."""
    null = subprocess.DEVNULL
    return subprocess.Popen([VNS, *words], env=environment(api, **env), stdout=null, stderr=null)


def kill_when(
    process: subprocess.Popen[bytes], has_begun: Callable[[], bool], seconds: float
) -> bool:
    """Kill a run so long after it has begun to change something; return whether it still ran."""
    while process.poll() is None and not has_begun():
        pass  # a run may take no longer than a few milliseconds
    time.sleep(seconds)
    process.kill()
    return process.wait() != 0


def has_more(place: Place, count: int) -> bool:
    """Return whether an archive has more files than that."""
    return len(place.versions()) > count


def is_gone(place: Place, name: str) -> bool:
    """Return whether a file has been removed."""
    return place.read(name) is None


def records_in(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return all records, each of which must be whole."""
    guids = (
        name.removesuffix(".json") for name in files if re.fullmatch(r"[0-9a-f-]+\.json", name)
    )
    return {guid: json.loads(files[f"{guid}.json"]) for guid in guids}


def all_in(place: Place) -> dict[str, bytes]:
    """Return what is in an archive now."""
    return {name: found for name in place.versions() if (found := place.read(name)) is not None}


def wrong(files: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the GUIDs of records that name a file which is not there as it was stored."""
    for guid, record in records_in(files).items():
        data = files.get(record["file"])
        if data is None or hashlib.sha256(data).hexdigest() != record["sha256"]:
            yield guid


def unrecorded(files: Mapping[str, bytes]) -> set[str]:
    """Return the recordings that no record names."""
    named = {record["file"] for record in records_in(files).values()}
    return {name for name in files if AUDIO.fullmatch(name)} - named


@pytest.mark.slow
@posix_only("SIGKILL")
def test_killed_archives(place: tuple[Place, dict[str, str]]) -> None:
    """Every record names its file, the page is whole; what has no record was just stored.

    The next run takes that over.
    """
    archive, env = place
    chance = random.Random(f"{SEED} archive")  # noqa: S311 - chance that can be repeated
    kills = runs = taken_over = 0
    words = ("archive", archive.word, "--name", TEMPLATE, "--page", "-j", "4")
    with api_server.serving() as api:
        let_call(api, chance)
        while kills < KILLS:
            runs += 1
            before = all_in(archive)
            process = start(api, env, *words)
            begun = partial(has_more, archive, len(before))
            kills += kill_when(process, begun, chance.uniform(0, 0.4 if env else 0.15))
            files = all_in(archive)
            assert not [*wrong(files)], SEED
            new = unrecorded(files) - before.keys()
            assert {files[name] for name in new} <= {*BY_FORMAT.values()}, SEED
            taken_over += len(unrecorded(before) - unrecorded(files))
            if page := files.get("index.html"):
                assert page.endswith(b"</script>\n"), SEED
            if process.returncode == 0:
                assert not unrecorded(files), SEED
                assert len(records_in(files)) == CALLS
                for name in files:
                    archive.remove(name)
                let_call(api, chance)
        assert start(api, env, *words).wait() == 0
        assert not unrecorded(all_in(archive))
        assert start(api, env, "archive", archive.word, "--check").wait() == 0
    print(f"SEED={SEED}: {kills} kills in {runs} runs, {taken_over} taken over")  # noqa: T201 - for -s


@pytest.mark.slow
@posix_only("SIGKILL")
def test_killed_prunes(place: tuple[Place, dict[str, str]]) -> None:
    """No audio is left whose record is gone; only the record of the one at hand may be left over.

    Young calls stay as they are, and the next run removes what is left.
    """
    archive, env = place
    chance = random.Random(f"{SEED} prune")  # noqa: S311 - as above
    kills, halves = 0, 0
    words = ("prune", archive.word, "--older-than", "365d", "--yes")
    with api_server.serving() as api:
        let_call(api, chance)
        fill = ("archive", archive.word, "--name", TEMPLATE, "--page", "--keep-encrypted")
        assert start(api, env, *fill).wait() == 0
        whole = all_in(archive)
        young = {
            guid for guid, one in records_in(whole).items() if one["entry"]["callEnd"] == YOUNG
        }
        while kills < KILLS:
            present = archive.versions()
            for name in whole.keys() - present.keys():
                archive.write(name, whole[name])
            first = min(records_in(whole).keys() - young)
            process = start(api, env, *words)
            longest = 0.3 if env else 0.004
            kills += kill_when(
                process,
                partial(is_gone, archive, f"{first}.json"),
                chance.uniform(0, longest),
            )
            files = all_in(archive)
            over = {*wrong(files)}
            halves += len(over)
            assert len(over) <= 1, SEED
            assert not over & young, SEED
            named = {record["file"].rpartition(".")[0] for record in records_in(files).values()}
            stems = {name.rpartition(".")[0] for name in files if AUDIO.fullmatch(name)}
            assert stems <= named, SEED
            assert {guid for guid in young if f"{guid}.json" in files} == young, SEED
        assert start(api, env, *words).wait() == 0
        assert records_in(all_in(archive)).keys() == young
        assert not [*wrong(all_in(archive))]
    print(f"SEED={SEED}: {kills} kills, {halves} records without audio")  # noqa: T201 - as above
