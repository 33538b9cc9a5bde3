"""What becomes of each recording, on a disk and in a store."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
pytest.importorskip("s3fs", reason="the extra s3 is not installed")
from support.api_server import PATH, Handler, Server
from support.bucket import Bucket
from support.commands import VNS, Result
from support.folders import contents
from support.recordings import AUDIO, MP3, WAV, encrypt
from support.vns import ONE, THREE, TWO, environment, stored, vns, write_record

from filedecryptor.vns.records import Records

KILLS = int(os.environ.get("KILLS", "10"))
"""Kills of a storm; 200 take five minutes on a disk, and twenty in a store."""


class Place(NamedTuple):
    """Where an archive is: a folder of a disk, or of a store.

    Attributes:
        url: How it is named.
        files: Returns what it holds, by name.
        run: Runs the command.
        write: Puts a file there.
        remove: Removes one.
    """

    url: str
    files: Callable[[], dict[str, bytes]]
    run: Callable[..., Result]
    env: dict[str, str]
    write: Callable[[str, bytes], object]
    remove: Callable[[str], object]

    def recordings(self) -> dict[str, bytes]:
        """Return its files but for records, markers, and what killed runs have left."""
        return {
            name: data
            for name, data in self.files().items()
            if not name.endswith((".json", ".tmp")) and not name.startswith(".vns")
        }

    def record(self, guid: str) -> dict[str, object]:
        """Return the record of a recording."""
        found: dict[str, object] = json.loads(self.files()[f"{guid}.json"])
        return found


@pytest.fixture(params=["disk", "store"])
def place(request: pytest.FixtureRequest, api: Server, tmp_path: Path) -> Place:
    """An empty archive, in either of them."""
    if request.param == "disk":

        def on_disk() -> dict[str, bytes]:
            found = contents(tmp_path / "calls")
            return {name: data for name, data in found.items() if isinstance(data, bytes)}

        calls = tmp_path / "calls"
        return Place(
            "calls",
            on_disk,
            lambda *words, **more: vns(api, *words, cwd=tmp_path, **more),
            {},
            lambda name, data: (calls / name).write_bytes(data),
            lambda name: (calls / name).unlink(),
        )
    bucket: Bucket = request.getfixturevalue("bucket")

    def in_store() -> dict[str, bytes]:
        return {key.removeprefix("calls/"): data for key, data in bucket.contents().items()}

    def run(*words: str, **more: str | None) -> Result:
        found = vns(api, *words, cwd=tmp_path, **{**bucket.env, **more})
        assert contents(tmp_path) == {}
        return found

    return Place(
        f"{bucket.url}/calls",
        in_store,
        run,
        bucket.env,
        lambda name, data: bucket.put(f"calls/{name}", data),
        lambda name: bucket.client.delete_object(Bucket=bucket.name, Key=f"calls/{name}"),
    )


def test_everything_goes_there(api: Server, place: Place) -> None:
    """Decrypted or as it came, with its record; what is printed leads to it; once."""
    api.recordings = {ONE: encrypt(AUDIO), TWO: MP3, THREE: encrypt(WAV)}
    words = ("archive", place.url, "--delete-after", "--keep-encrypted")
    result = place.run(*words)
    assert result.code == 0
    assert sorted(result.stdout.decode().split()) == [
        f"{place.url}/{name}" for name in (f"{ONE}.opus", f"{TWO}.mp3", f"{THREE}.wav")
    ]
    assert place.recordings() == {
        f"{ONE}.opus": AUDIO,
        f"{ONE}.enc": encrypt(AUDIO),
        f"{TWO}.mp3": MP3,
        f"{THREE}.wav": WAV,
        f"{THREE}.enc": encrypt(WAV),
    }
    assert [place.record(guid)["authenticated"] for guid in (ONE, TWO, THREE)] == [
        True,
        False,
        True,
    ]
    assert sorted(api.deleted) == [ONE, TWO, THREE]
    assert not any("lock" in name for name in place.files() if place.env)


def test_many_are_looked_up_together(api: Server, place: Place) -> None:
    """In one list, whether or not a slash ends the name of the place."""
    api.recordings = {f"{n:08}-0000-4000-8000-000000000000": encrypt(AUDIO) for n in range(25)}
    for url, count in ((place.url, 25), (f"{place.url}/", 0), (place.url, 0)):
        result = place.run("archive", url)
        assert (result.code, len(result.stdout.splitlines())) == (0, count)
    lines = place.run("list", "--archived", f"{place.url}/", "--json").stdout.splitlines()
    assert {json.loads(line)["guid"] for line in lines} == set(api.recordings)


def test_without_a_password(api: Server, place: Place) -> None:
    """It goes there as it came, is fetched once, and only what is plain is deleted."""
    api.recordings = {ONE: encrypt(AUDIO), TWO: MP3}
    for _ in range(2):
        result = place.run("archive", place.url, "--delete-after", FILEDECRYPTOR_PASSWORD=None)
        assert result.code == 0
    assert place.recordings() == {f"{ONE}.enc": encrypt(AUDIO), f"{TWO}.mp3": MP3}
    assert api.deleted == [TWO]
    assert api.count("GET", f"{PATH}/{ONE}") == 1
    assert place.run("archive", place.url).code == 0
    assert place.recordings()[f"{ONE}.opus"] == AUDIO


def test_download_goes_there(api: Server, place: Place) -> None:
    """As the archive does, and again if it is there."""
    for _ in range(2):
        result = place.run("download", ONE, "-d", place.url)
        assert result == (0, f"{place.url}/{ONE}.opus\n".encode(), "")
    assert place.recordings() == {f"{ONE}.opus": AUDIO}
    assert api.count("GET", f"{PATH}/{ONE}") == 2


def test_a_deletion_that_fails(api: Server, place: Place) -> None:
    """The recording is there, and is said to be; the next run deletes it."""
    left = [500] * 5

    def behave(handler: Handler) -> bool:
        if handler.command != "DELETE" or not left:
            return False
        handler.send(left.pop(), b"no")
        return True

    api.behaviours.append(behave)
    result = place.run("archive", place.url, "--delete-after", "--json")
    outcome = json.loads(result.stdout.splitlines()[0])
    assert result.code == outcome["code"] == 7
    assert (outcome["status"], outcome["output"]) == ("stored", f"{place.url}/{ONE}.opus")
    assert f"error: {ONE}: stored, but not deleted: the API kept failing" in result.stderr
    assert place.record(ONE)["deleted"] is None
    assert place.run("archive", place.url, "--delete-after").code == 0
    assert api.deleted == [ONE]
    assert place.record(ONE)["deleted"] is not None
    assert api.count("GET", f"{PATH}/{ONE}") == 1


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_gone_needs_no_deletion(api: Server, place: Place, status: int) -> None:
    """Somebody else has done it."""

    def behave(handler: Handler) -> bool:
        if handler.command == "DELETE":
            handler.send(status, b"")
        return handler.command == "DELETE"

    api.behaviours.append(behave)
    assert place.run("archive", place.url, "--delete-after").code == 0
    assert place.record(ONE)["deleted"] is not None


def test_dry_run(api: Server, place: Place) -> None:
    """It says what would be fetched and deleted, and does nothing, not even make a directory."""
    place.run("archive", place.url)
    api.recordings[TWO] = encrypt(MP3)
    before = place.files()
    result = place.run("archive", place.url, "--dry-run", "--delete-after")
    assert result.code == 0
    assert sorted(result.stdout.decode().splitlines()) == [f"to delete: {ONE}", f"to fetch: {TWO}"]
    result = place.run("archive", place.url, "--dry-run", "--json")
    found = {
        entry["input"]: entry["status"] for entry in map(json.loads, result.stdout.splitlines())
    }
    assert found == {ONE: "skipped", TWO: "to fetch"}
    assert place.run("archive", f"{place.url}/new", "--dry-run").code == 0
    assert place.files() == before
    assert api.deleted == []


@pytest.mark.slow
def test_killed_many_times(api: Server, place: Place, tmp_path: Path) -> None:
    """Whatever is deleted on the server is there, byte for byte, and recorded."""
    api.recordings.clear()
    dice = random.Random(1)  # noqa: S311 - it decides when to kill, no more
    wanted: dict[str, bytes] = {}
    env = environment(api, **place.env)
    longest = 4.0 if place.env else 2.0  # a store takes a second to get to know
    kills = 0
    while kills < KILLS:
        while len(api.recordings) < 20:
            guid = str(uuid4())
            wanted[guid] = AUDIO + bytes([len(wanted) % 256]) * 9
            api.recordings[guid] = encrypt(wanted[guid])
        process = subprocess.Popen(
            [VNS, "archive", place.url, "--delete-after", "-q"], cwd=tmp_path, env=env
        )
        try:
            assert process.wait(timeout=dice.uniform(0.2, longest)) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        if kills % 20 == 0 or kills == KILLS:
            files = place.files()
            for guid in api.deleted:
                assert files[f"{guid}.opus"] == wanted[guid]
                assert json.loads(files[f"{guid}.json"])["size"] == len(wanted[guid])
    assert len(api.deleted) > KILLS / 4
    assert place.run("archive", place.url).code == 0
    assert place.recordings() == {f"{guid}.opus": audio for guid, audio in wanted.items()}


def test_the_record_is_written_before_the_deletion(api: Server, place: Place) -> None:
    """When the server is told, everything is there."""
    seen: list[set[str]] = []

    def behave(handler: Handler) -> bool:
        if handler.command == "DELETE":
            seen.append(set(place.files()))
        return False

    api.behaviours.append(behave)
    assert place.run("archive", place.url, "--delete-after").code == 0
    assert len(seen) == 1
    assert {f"{ONE}.opus", f"{ONE}.json"} <= seen[0]


@pytest.mark.parametrize("has_record", [True, False])
def test_what_is_there_already_is_flushed_before_the_deletion(
    api: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_record: bool,  # noqa: FBT001
) -> None:
    """Another program may have put it there a moment ago, and a power cut may come."""
    events: list[object] = []
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        events.append(os.fstat(descriptor).st_ino)
        flush(descriptor)

    def behave(handler: Handler) -> bool:
        if handler.command == "DELETE":
            events.append("DELETE")
        return False

    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO)
    if has_record:
        write_record(tmp_path, ONE, AUDIO)
    monkeypatch.setattr(os, "fsync", fsync)
    api.behaviours.append(behave)
    audio, folder = (tmp_path / f"{ONE}.opus").stat().st_ino, tmp_path.stat().st_ino
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert (tmp_path / f"{ONE}.opus").stat().st_ino == audio
    before = events[: events.index("DELETE")]
    assert {audio, folder} <= set(before)
    if has_record:
        assert len(set(before)) >= 3


def test_what_cannot_be_flushed_is_not_deleted(
    api: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may have lost it already."""
    vns(api, "archive", ".", cwd=tmp_path)
    audio = (tmp_path / f"{ONE}.opus").stat().st_ino
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == audio:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, api.deleted) == (1, [])
    assert f"{ONE}: stored, but not deleted: Input/output error" in result.stderr


def test_a_deletion_that_cannot_be_noted(api: Server, tmp_path: Path) -> None:
    """The recording is here, and is said to be; the next run has nothing to do."""

    def behave(handler: Handler) -> bool:
        if handler.command == "DELETE":
            (tmp_path / f"{ONE}.json").unlink()
            (tmp_path / f"{ONE}.json").mkdir()
        return False

    api.behaviours.append(behave)
    result = vns(api, "archive", ".", "--delete-after", "--json", cwd=tmp_path)
    outcome = json.loads(result.stdout.splitlines()[0])
    assert (result.code, outcome["status"], outcome["output"]) == (1, "stored", f"./{ONE}.opus")
    assert outcome["error"] == "stored and deleted, but not noted: Is a directory"
    assert stored(tmp_path)[f"{ONE}.opus"] == AUDIO
    assert api.deleted == [ONE]


@pytest.mark.parametrize("others", [0, 30])
def test_what_another_run_has_fetched_meanwhile(api: Server, place: Place, others: int) -> None:
    """And deleted: it is skipped, also where the files were listed at first."""
    place.run("archive", place.url)
    files = {name: data for name, data in place.files().items() if name.startswith(ONE)}
    for name in files:
        place.remove(name)
    api.recordings |= {f"{n:08}-0000-4000-8000-000000000000": encrypt(AUDIO) for n in range(others)}

    def behave(handler: Handler) -> bool:
        if handler.path == f"{PATH}/{ONE}" and ONE in api.recordings:
            for name, data in files.items():
                place.write(name, data)
            del api.recordings[ONE]
        return False

    api.behaviours.append(behave)
    result = place.run("archive", place.url, "--json")
    outcomes = [json.loads(line) for line in result.stdout.splitlines()[:-1]]
    assert result.code == 0
    assert [one["status"] for one in outcomes if one["input"] == ONE] == ["skipped"]
    assert len(outcomes) == others + 1


def test_what_appears_meanwhile_is_compared(
    api: Server, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same stays as it is; something else gives way to what is authenticated."""
    place.run("archive", place.url)
    replaced: list[bool] = []
    publish = Records.publish

    def watch(records: Records, name: str, content: BinaryIO, *, replace: bool) -> None:
        if name.endswith(".opus"):
            replaced.append(replace)
        publish(records, name, content, replace=replace)

    monkeypatch.setattr(Records, "publish", watch)
    place.run("download", ONE, "-d", place.url)
    assert replaced == [False]
    api.recordings[ONE] = encrypt(AUDIO + b"more")
    place.run("download", ONE, "-d", place.url)
    assert replaced == [False, False, True]
    assert place.recordings() == {f"{ONE}.opus": AUDIO + b"more"}


def test_a_slash_that_is_missing(api: Server, tmp_path: Path) -> None:
    """`s3:/bucket` is no path that anybody means, unless it is there."""
    for words in (("archive", "s3:/bucket/calls"), ("download", ONE, "-d", "s3:/bucket")):
        result = vns(api, *words, cwd=tmp_path)
        assert result.code == 2
        assert "an address has two slashes after its colon" in result.stderr
        assert contents(tmp_path) == {}
    (tmp_path / "s3:").mkdir()
    assert vns(api, "archive", "s3:/calls", cwd=tmp_path).code == 0
    assert stored(tmp_path / "s3:" / "calls") == {f"{ONE}.opus": AUDIO}


def test_a_wrong_password_replaces_no_record(api: Server, place: Place) -> None:
    """What an earlier run has stored still counts."""
    place.run("archive", place.url)
    words = ("download", ONE, "-d", place.url, "--keep-encrypted")
    assert place.run(*words, FILEDECRYPTOR_PASSWORD="wrong").code == 3
    assert place.record(ONE)["file"] == f"{ONE}.opus"
    assert place.recordings() == {f"{ONE}.opus": AUDIO, f"{ONE}.enc": encrypt(AUDIO)}
