"""What becomes of each recording, on a disk and in a store."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server
from support.folders import contents
from support.places import Place
from support.recordings import AUDIO, BY_FORMAT, MP3, PASSWORD, WAV, encrypt
from support.store_proxy import proxy, refusing_conditions
from support.vns import (
    NUMBERED,
    ONE,
    THREE,
    TWO,
    answering,
    meanwhile,
    record,
    sending,
    stored,
    vns,
)

from filedecryptor import UsageError
from filedecryptor.vns import ApiError, Archive, Client, Listing
from filedecryptor.vns.lock import locked
from filedecryptor.vns.times import shown

if TYPE_CHECKING:
    from support.bucket import Bucket

KEEP = "--keep-encrypted"


def on_deletion(api: Server, act: Callable[[str], object]) -> None:
    """Let something happen at the moment in which the server is told to delete a GUID."""
    api.behaviours.append(
        meanwhile(lambda handler: handler.command == "DELETE" and act(handler.guid))
    )


FLAC = b"fLaC and so on"
# What is on the server, and an option; the right password or another; the exit code, what is stored,
# whether it is authenticated and deleted, and how often two runs fetch it.
STORED: dict[str, tuple[bytes, str, str | None, int, dict[str, bytes], bool | None, bool, int]] = {
    "decrypted": (encrypt(AUDIO), "", PASSWORD, 0, {"opus": AUDIO}, True, True, 1),
    "plain": (MP3, "", PASSWORD, 0, {"mp3": MP3}, False, True, 1),
    "both": (encrypt(WAV), KEEP, PASSWORD, 0, {"wav": WAV, "enc": encrypt(WAV)}, True, True, 1),
    "other spelling": (encrypt(WAV, "p\xe4ss"), "", "pa\u0308ss", 0, {"wav": WAV}, True, True, 1),
    "no password": (encrypt(WAV), "", None, 0, {"enc": encrypt(WAV)}, False, False, 1),
    "none needed": (MP3, "", None, 0, {"mp3": MP3}, False, True, 1),
    "wrong password": (encrypt(WAV), "", "wrong", 3, {}, None, False, 2),
    "kept": (encrypt(WAV), KEEP, "wrong", 3, {"enc": encrypt(WAV)}, False, False, 2),
    "no audio": (encrypt(b""), "", PASSWORD, 5, {"unknown": b""}, True, False, 1),
    "unknown": (encrypt(FLAC), "", PASSWORD, 5, {"unknown": FLAC}, True, False, 1),
}


@pytest.mark.parametrize("case", STORED)
def test_what_is_stored(api: Server, place: Place, case: str) -> None:
    """Under its GUID, with a record, once; only what is whole is deleted, when it is all there."""
    body, option, password, code, files, is_authenticated, is_deleted, times = STORED[case]
    api.recordings = {ONE: body}
    names = [f"{ONE}.{suffix}" for suffix in files]
    at_deletion: set[str] = set()
    on_deletion(api, lambda _: at_deletion.update(place.files.versions()))
    words = ("archive", place.url, "--delete-after", *option.split())
    result = place.run(*words, FILEDECRYPTOR_PASSWORD=password)
    said = "the recording is intact, and stored as"
    assert (result.code, said in result.stderr) == (code, code == 5)
    assert result.stdout.decode() == ("" if code == 3 else f"{place.url}/{names[0]}\n")
    again = place.run(*words, FILEDECRYPTOR_PASSWORD=password)
    assert (again.code, again.stdout) == (0 if code == 5 else code, b"")
    assert place.recordings() == dict(zip(names, files.values(), strict=True))
    assert not names or place.record(ONE)["authenticated"] is is_authenticated
    assert api.deleted == ([ONE] if is_deleted else [])
    assert at_deletion >= {*names, f"{ONE}.json"} or not is_deleted
    assert api.count("GET", f"{PATH}/{ONE}") == times
    assert not place.env or not any(
        "lock" in name for name in {*place.files.versions(), *at_deletion}
    )


def test_what_is_no_recording_and_which_password_is_right(api: Server, place: Place) -> None:
    """A page is the API's fault and no password's; the other spelling is noted once in a run."""
    page = b"<!doctype html><title>Sorry</title>" + b" " * 20
    api.recordings = {ONE: page, TWO: encrypt(WAV, "p\xe4ss"), THREE: encrypt(MP3, "p\xe4ss")}
    result = place.run("archive", place.url, FILEDECRYPTOR_PASSWORD="pa\u0308ss")
    assert (result.code, len(result.stdout.split())) == (7, 2)
    error = f"error: {ONE}: the API sent an HTML or XML page, not a recording: Sorry"
    assert [line for line in result.lines if line.startswith(("error", "hint"))] == [error]
    assert result.stderr.count("the password is right with composed letters") == 1


@pytest.mark.parametrize("place", ["store"], indirect=True)
def test_damage_in_a_store(api: Server, place: Place) -> None:
    """As on a disk: what is gone, cut or altered is fetched again."""
    changes: list[Callable[[bytes], bytes]] = [lambda data: data[1:], lambda data: bytes(len(data))]
    cases = dict(zip(NUMBERED, product(("json", "opus"), [None, *changes]), strict=False))
    api.recordings = dict.fromkeys(cases, encrypt(AUDIO))
    place.run("archive", place.url)
    for guid, (suffix, change) in cases.items():
        data = place.files.read(f"{guid}.{suffix}") or b""
        place.files.remove(f"{guid}.{suffix}")
        if change:
            place.files.write(f"{guid}.{suffix}", change(data))
    assert place.run("archive", place.url).code == 0
    assert set(place.recordings().values()) == {AUDIO, bytes(len(AUDIO))}  # as long as it should be
    assert place.run("archive", place.url, "--check").code == 0
    assert place.recordings() == {f"{guid}.opus": AUDIO for guid in cases}
    assert {place.record(guid)["size"] for guid in cases} == {len(AUDIO)}


def test_a_slash_at_the_end_of_a_place(api: Server, place: Place) -> None:
    """It makes no other place."""
    api.recordings[TWO] = encrypt(AUDIO)
    for url, count in ((place.url, 2), (f"{place.url}/", 0), (place.url, 0)):
        result = place.run("archive", url)
        assert (result.code, len(result.stdout.splitlines())) == (0, count)
    lines = place.run("list", "--archived", f"{place.url}/", "--json").stdout.splitlines()
    assert {json.loads(line)["guid"] for line in lines} == set(api.recordings)


@pytest.mark.parametrize(
    ("audio_format", "kind"),
    [("opus", "cut, of unknown length"), ("mp3", "of unknown length")]
    + [(name, "cut") for name in BY_FORMAT],
)
def test_audio_that_may_be_cut(api: Server, tmp_path: Path, audio_format: str, kind: str) -> None:
    """It is not deleted; the next run fetches it again, and keeps the longer one."""
    audio = BY_FORMAT[audio_format]
    name = f"{ONE}.unverified.{audio_format}"
    longer = audio[: len(audio) * 7 // 10 + 1] if "cut" in kind else audio
    for count, part in enumerate((longer, audio[: len(audio) * 3 // 10 + 1]), 1):
        api.recordings = {ONE: part}
        api.behaviours[:] = [sending(part)] if "length" in kind else []
        result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
        said = "it is shorter than its own header says: it may be cut off"
        if kind == "of unknown length" and count == 1:
            said = "the API did not say how long it is: it may be cut off"
        assert f"{name}: {said}" in result.stderr
        assert (result.code, stored(tmp_path)) == (0, {name: longer})
        assert record(tmp_path, ONE)["file"] == name
        assert (api.deleted, api.count("GET", f"{PATH}/{ONE}")) == ([], count)
    api.behaviours.clear()
    api.recordings = {ONE: audio}
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {name: longer, f"{ONE}.{audio_format}": audio}
    assert api.deleted == [ONE]


def test_what_was_kept_encrypted_is_decrypted_later(api: Server, place: Place) -> None:
    """With the right password; a wrong one replaces no record: what is stored counts."""
    assert place.run("archive", place.url, FILEDECRYPTOR_PASSWORD=None).code == 0
    assert place.run("archive", place.url).code == 0
    again = ("download", ONE, "-d", place.url, KEEP)
    assert place.run(*again, FILEDECRYPTOR_PASSWORD="wrong").code == 3
    assert place.record(ONE)["file"] == f"{ONE}.opus"
    assert place.recordings() == {f"{ONE}.opus": AUDIO, f"{ONE}.enc": encrypt(AUDIO)}


def test_download_fetches_again(api: Server, place: Place) -> None:
    """The same stays as it is; something else gives way to what is authenticated."""
    seen = []
    for audio in (AUDIO, AUDIO, AUDIO + b"more"):
        api.recordings[ONE] = encrypt(audio)
        result = place.run("download", f"{{{ONE}}}", "-d", place.url)
        assert result == (0, f"{place.url}/{ONE}.opus\n".encode(), "")
        assert place.recordings() == {f"{ONE}.opus": audio}
        seen.append(place.files.versions()[f"{ONE}.opus"])
    assert seen[0] == seen[1] != seen[2]
    assert api.count("GET", f"{PATH}/{ONE}") == 3


LOCKED = b'{"success": false, "error": "locked"}'


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (partial(answering, 500, times=5), 7, "the API kept failing (status 500)"),
        (partial(answering, 403), 6, "the API refused the token (status 403)"),
        (partial(answering, 200, LOCKED), 7, "the API has not deleted it: false, locked"),
        (partial(answering, 200, b"<html>Log in"), 7, "the API has not deleted it: Log in"),
        # What is followed could delete something else.
        *(
            (partial(answering, status, Location=where), 7, f"the API redirects (status {status})")
            for status, where in ((301, PATH), (303, f"{PATH}/{TWO}"), (308, f"{PATH}/{ONE}/"))
        ),
        (partial(answering, 404), 0, ""),
        (partial(answering, 410), 0, ""),
        (partial(answering, 200, b'{"success": true}'), 0, ""),
    ],
)
def test_failed_deletions(api: Server, tmp_path: Path, answer: Any, code: int, said: str) -> None:
    """The recording is stored, and is said to be; the next run deletes it. What is gone is gone."""
    api.behaviours.append(answer(command="DELETE"))
    result = vns(api, "archive", ".", "--delete-after", "--json", cwd=tmp_path)
    outcome = json.loads(result.stdout.splitlines()[0])
    assert result.code == outcome["code"] == code
    assert (stored(tmp_path), outcome["output"]) == ({f"{ONE}.opus": AUDIO}, f"./{ONE}.opus")
    assert outcome["status"] == ("stored" if code else "decrypted")
    assert f"error: {ONE}: stored, but not deleted: {said}" in result.stderr or not code
    assert (record(tmp_path, ONE)["deleted"] is None) == (code != 0)
    assert {path for command, path, _ in api.seen if command == "DELETE"} == {f"{PATH}/{ONE}"}
    api.behaviours.clear()
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert api.deleted == [ONE]
    assert record(tmp_path, ONE)["deleted"] is not None
    assert api.count("GET", f"{PATH}/{ONE}") == 1


def test_a_deletion_whose_answer_got_lost_has_succeeded(api: Server, tmp_path: Path) -> None:
    """The second attempt's 404 says that the first one worked."""

    def lose(handler: Handler) -> bool:
        if handler.command != "DELETE" or api.recordings.pop(handler.guid, None) is None:
            return False
        handler.send(503, b"")
        return True

    api.behaviours.append(lose)
    assert vns(api, "delete", "--yes", ONE, cwd=tmp_path).code == 0
    assert vns(api, "delete", "--yes", ONE, cwd=tmp_path).code == 1


def test_a_deletion_that_cannot_be_noted(api: Server, tmp_path: Path) -> None:
    """The recording is here, and is said to be; the next run has nothing to do."""

    def spoil(_: str) -> None:
        (tmp_path / f"{ONE}.json").unlink()
        (tmp_path / f"{ONE}.json").mkdir()

    on_deletion(api, spoil)
    result = vns(api, "archive", ".", "--delete-after", "--json", cwd=tmp_path)
    outcome = json.loads(result.stdout.splitlines()[0])
    assert (result.code, outcome["status"], outcome["output"]) == (1, "stored", f"./{ONE}.opus")
    assert outcome["error"] == "stored and deleted, but not noted: Is a directory"
    assert stored(tmp_path)[f"{ONE}.opus"] == AUDIO
    assert api.deleted == [ONE]


@pytest.mark.parametrize("case", ["recorded", "not recorded", "lost"])
def test_what_is_there_is_flushed_before_the_deletion(
    api: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Another program may have put it there, and a power cut may come; or the disk has lost it."""
    events: list[object] = []
    flush, path = os.fsync, tmp_path / f"{ONE}.opus"
    if case == "not recorded":
        path.write_bytes(AUDIO)
    else:
        vns(api, "archive", ".", cwd=tmp_path)
    audio, folder = path.stat().st_ino, tmp_path.stat().st_ino

    def fsync(descriptor: int) -> None:
        events.append(os.fstat(descriptor).st_ino)
        if case == "lost" and events[-1] == audio:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    on_deletion(api, lambda _: events.append("DELETE"))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert path.stat().st_ino == audio
    if case == "lost":
        assert (result.code, "DELETE" in events) == (1, False)
        assert f"{ONE}: stored, but not deleted: Input/output error" in result.stderr
    else:
        before = set(events[: events.index("DELETE")])
        assert {audio, folder} <= before
        assert len(before) >= (3 if case == "recorded" else 2)


def test_dry_run(api: Server, place: Place) -> None:
    """It says what would be fetched and deleted, and does nothing, not even make a directory."""
    place.run("archive", place.url)
    api.recordings[TWO] = encrypt(MP3)
    before = place.files.versions()
    result = place.run("archive", place.url, "--dry-run", "--delete-after")
    assert result.code == 0
    lines = [f"to delete: {ONE}", f"to fetch and delete: {TWO}"]
    assert sorted(result.stdout.decode().splitlines()) == lines
    assert result.lines[-1].startswith("1 to delete, 1 to fetch, then to delete")
    result = place.run("archive", place.url, "--dry-run", "--json")
    outcomes = map(json.loads, result.stdout.splitlines())
    assert {one["input"]: one["status"] for one in outcomes} == {ONE: "skipped", TWO: "to fetch"}
    assert place.run("archive", f"{place.url}/new", "--dry-run").code == 0
    assert place.files.versions() == before
    assert api.deleted == []


def test_a_dry_run_says_what_the_list_tells(api: Server, tmp_path: Path) -> None:
    """Sizes, the time left, and what becomes of what is here; without a password, lock or bar."""
    api.recordings = dict.fromkeys(NUMBERED[:5], encrypt(AUDIO))
    kinds = {NUMBERED[0]: PASSWORD, NUMBERED[1]: None}
    for guid, password in kinds.items():
        vns(api, "download", guid, "-d", "calls", cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password)
    call = datetime.now(UTC) - timedelta(days=4, hours=14.5)
    about: list[dict[str, object]] = [{}, {}, {"fileSize": 14209, "end": shown(call)}]
    about += [{"end": shown(call - timedelta(days=9))}, {"seconds": 312, "length": 312}]
    entries = [
        {"sessionGuid": guid, **more} for guid, more in zip(api.recordings, about, strict=True)
    ]
    api.list_body = json.dumps(entries).encode()
    words = ("archive", "calls", "--dry-run", "--delete-after", "--progress")
    lines = [
        f"to fetch and delete: {NUMBERED[3]} (purged)",
        f"to fetch and delete: {NUMBERED[2]} (14209 bytes, 2 d 9 h until purge)",
        f"to delete: {NUMBERED[0]}",
        f"to fetch and delete: {NUMBERED[1]}",
        f"to fetch and delete: {NUMBERED[4]}",
    ]
    files = ("--password-file", "missing", "--password-file", "-")
    with locked(str(tmp_path / "calls")):
        result = vns(api, *words, *files, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=None)
    assert result.stdout.decode().splitlines() == lines
    [summary] = result.lines
    assert summary.startswith("1 to delete, 4 to fetch, then to delete; 0.0 MB of audio in ")
    # Without a password, what is encrypted is not decrypted, and so is not deleted.
    result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=None)
    del lines[3]
    assert result.stdout.decode().splitlines() == lines
    assert "note: without a password, what is encrypted is stored, and not deleted" in result.lines
    assert "1 skipped" in result.lines[-1]
    found = vns(api, *words[:-1], "--json", cwd=tmp_path).stdout.splitlines()
    sizes = {one["input"]: one["size"] for one in map(json.loads, found)}
    assert [sizes[guid] for guid in NUMBERED[:5]] == [len(AUDIO), None, 14209, None, None]
    assert api.deleted == []


@pytest.mark.parametrize("more", [("--json",), ("--since", "1d"), ("--delete-after",)])
def test_a_dry_run_that_has_nothing_to_do(
    api: Server, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """It says so, whether all is here or left out."""
    call = shown(datetime.now(UTC) - timedelta(days=2))
    api.list_body = json.dumps([{"sessionGuid": ONE, "end": call}]).encode()
    if "--since" not in more:
        vns(api, "archive", ".", cwd=tmp_path, FILEDECRYPTOR_PASSWORD=None)
    words = ("archive", ".", "--dry-run", *more)
    result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=None)
    assert result.code == 0
    assert "there is nothing to do" in result.lines


def test_what_another_run_has_fetched_meanwhile(api: Server, place: Place) -> None:
    """And deleted: it is skipped."""
    place.run("archive", place.url)
    names = [name for name in place.files.versions() if name.startswith(ONE)]
    files = {name: place.files.read(name) or b"" for name in names}
    for name in files:
        place.files.remove(name)

    def fetch(handler: Handler) -> None:
        if handler.path == f"{PATH}/{ONE}" and ONE in api.recordings:
            for name, data in files.items():
                place.files.write(name, data)
            del api.recordings[ONE]

    api.behaviours.append(meanwhile(fetch))
    result = place.run("archive", place.url, "--json")
    outcome, _ = map(json.loads, result.stdout.splitlines())
    assert (result.code, outcome["status"]) == (0, "skipped")


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


def test_no_more_downloads_at_once_than_jobs(api: Server, tmp_path: Path) -> None:
    """Though more recordings than that wait for their keys."""
    now: list[str] = []
    most: list[int] = []

    def watch(handler: Handler) -> None:
        if handler.path != PATH:
            now.append(handler.path)
            most.append(len(now))
            time.sleep(0.05)
            now.remove(handler.path)

    api.recordings = dict.fromkeys(NUMBERED[:20], encrypt(AUDIO))
    api.behaviours.append(meanwhile(watch))
    assert vns(api, "archive", ".", "-j", "2", cwd=tmp_path).code == 0
    assert max(most) == 2


def test_the_list_can_be_fetched_as_it_is(api: Server, tmp_path: Path) -> None:
    """Iterating over a list yields its recordings, what is about to be purged first."""
    now = datetime.now(UTC)
    ends = {ONE: shown(now), TWO: shown(now - timedelta(days=6))}
    api.recordings[TWO] = encrypt(AUDIO)
    entries = [{"sessionGuid": guid, "end": end} for guid, end in ends.items()]
    api.list_body = json.dumps([*entries, {"sessionGuid": "x"}]).encode()
    with Client(TOKEN, url=api.url) as client:
        found: Listing = client.list_recordings()
        outcomes = list(Archive(client, tmp_path, password=PASSWORD).fetch(found))
    assert {one.input: one.status for one in outcomes} == dict.fromkeys(ends, "decrypted")
    assert [str(one.guid) for one in found] == [TWO, ONE]
    assert record(tmp_path, ONE)["entry"] == entries[0]
    with pytest.raises(ApiError):
        list(Listing(b"{}", {}))
    with pytest.raises(UsageError, match="not a list of GUIDs, but one"):
        next(Archive(client, tmp_path).fetch(ONE))
    assert all(part in (Listing.__doc__ or "") for part in ("Args:", "Raises:", "guid"))


def test_leaving_early_asks_for_no_more(api: Server, tmp_path: Path) -> None:
    """Those that wait for their turn to download have waited in vain; a `Path` will do."""
    api.behaviours.append(meanwhile(lambda _: time.sleep(0.1)))
    api.recordings = dict.fromkeys(NUMBERED[:20], encrypt(AUDIO))
    archive = Archive(Client(TOKEN, url=api.url), tmp_path / "calls", password=PASSWORD)
    outcomes = archive.fetch(NUMBERED[:20], jobs=1)
    assert next(outcomes).status == "decrypted"
    seen = len(api.seen)
    outcomes.close()
    time.sleep(0.5)
    assert len(api.seen) <= seen + 1
    assert len(stored(tmp_path / "calls")) <= 2


def test_no_conditional_writes(api: Server, bucket: Bucket, server: str, tmp_path: Path) -> None:
    """All is stored there, and one note says what can happen."""
    api.recordings |= {TWO: MP3, THREE: encrypt(AUDIO, PASSWORD)}
    with proxy(server, refusing_conditions()) as store:
        env = {**bucket.env, "AWS_ENDPOINT_URL": store.url}
        result = vns(api, "archive", f"{bucket.url}/calls", cwd=tmp_path, **env)
    assert result.code == 0, result
    assert bucket.get(f"calls/{ONE}.opus") == bucket.get(f"calls/{THREE}.opus") == AUDIO
    assert bucket.get(f"calls/{TWO}.mp3") == MP3
    assert result.stderr.count("conditional writes") == 1


def test_what_progress_raises_ends_the_work(api: Server, tmp_path: Path) -> None:
    """It reaches the caller as it is; nothing is stored."""

    def stop(_: str, count: int) -> None:
        if count:
            raise ZeroDivisionError("ours")

    archive = Archive(Client(TOKEN, url=api.url), tmp_path, password=PASSWORD)
    with pytest.raises(ZeroDivisionError, match="ours"):
        list(archive.fetch([ONE], on_progress=stop))
    assert contents(tmp_path) == {}
