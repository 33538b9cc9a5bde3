"""A directory that holds what the account lists."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server
from support.commands import VNS
from support.posix import IS_WINDOWS
from support.recordings import AUDIO, MP3, PASSWORD, encrypt
from support.vns import (
    ONE,
    THREE,
    TWO,
    breaking,
    environment,
    slow,
    stored,
    vns,
    vns_process,
    write_record,
)

from filedecryptor.vns import Archive, Client


def test_archive(api: Server, tmp_path: Path) -> None:
    """All that is listed is fetched, decrypted and named after its GUID; once."""
    api.recordings[TWO] = encrypt(MP3, PASSWORD)
    first = vns(api, "archive", "calls", cwd=tmp_path)
    assert first.code == 0
    assert sorted(first.stdout.decode().split()) == [f"calls/{ONE}.opus", f"calls/{TWO}.mp3"]
    assert first.stderr.startswith("2 decrypted; 0.0 MB of audio in ")
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO, f"{TWO}.mp3": MP3}
    api.recordings[THREE] = encrypt(AUDIO, PASSWORD)
    second = vns(api, "archive", "calls", cwd=tmp_path)
    assert second.stdout == f"calls/{THREE}.opus\n".encode()
    assert second.stderr.startswith("1 decrypted, 2 skipped; ")
    assert api.count("GET", f"{PATH}/{ONE}") == 1
    assert api.deleted == []


def test_delete_after(api: Server, tmp_path: Path) -> None:
    """What is safe here is deleted there, also what an earlier run had not yet deleted."""
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    api.recordings[TWO] = encrypt(MP3, PASSWORD)
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert sorted(api.deleted) == [ONE, TWO]
    assert set(stored(tmp_path)) == {f"{ONE}.opus", f"{TWO}.mp3"}


def test_a_wrong_password_deletes_nothing(api: Server, tmp_path: Path) -> None:
    """Nor does it store anything."""
    result = vns(
        api, "archive", ".", "--delete-after", cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong"
    )
    assert result.code == 3
    assert result.stderr.startswith(f"error: {ONE}: authentication failed")
    assert api.deleted == []
    assert stored(tmp_path) == {}


def test_without_a_password_what_is_encrypted_stays_so(api: Server, tmp_path: Path) -> None:
    """It is stored as `.enc`, fetched once, and never deleted: nobody knows whether it is whole."""
    api.recordings[TWO] = MP3
    for _ in range(2):
        words = ("archive", ".", "--delete-after")
        assert vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=None).code == 0
    assert set(stored(tmp_path)) == {f"{ONE}.enc", f"{TWO}.mp3"}
    assert api.deleted == [TWO]
    assert api.count("GET", f"{PATH}/{ONE}") == 1


def test_a_long_list(api: Server, tmp_path: Path) -> None:
    """All of them are there already, but one."""
    guids = [str(uuid4()) for _ in range(2_000)]
    for guid in guids:
        (tmp_path / f"{guid}.opus").write_bytes(b"x")
        write_record(tmp_path, guid, b"x")
    api.list_body = json.dumps([*guids, ONE]).encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.stderr.startswith("1 decrypted, 2000 skipped; ")


@pytest.mark.parametrize("how", ["cut", "reset"])
@pytest.mark.parametrize("plain", [True, False])
def test_a_body_that_always_breaks_off(
    api: Server,
    tmp_path: Path,
    how: str,
    plain: bool,  # noqa: FBT001
) -> None:
    """Nothing partial is stored, not even of plain audio, and nothing is deleted."""
    if plain:
        api.recordings[ONE] = AUDIO
    api.behaviours.append(breaking(how, 50))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == 7
    assert stored(tmp_path) == {}
    assert api.deleted == []


@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_page_instead_of_a_recording(api: Server, tmp_path: Path, password: str | None) -> None:
    """200 with HTML is no recording: not stored, not deleted, and the hint says what it is."""
    api.recordings[ONE] = b"<!doctype html><title>Sign in</title>" + b"please " * 10
    words = ("archive", ".", "--delete-after", "--keep-encrypted")
    result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password)
    assert result.code == 7
    what = f"the API sent an HTML or XML page, not a recording: Sign in {'please ' * 10}".strip()
    assert result.lines[0] == f"error: {ONE}: {what}"
    assert stored(tmp_path) == {}
    assert api.deleted == []


def test_a_second_run_is_kept_out(api: Server, tmp_path: Path) -> None:
    """It says who holds the directory, and exits 1."""
    api.behaviours.append(slow)
    first = subprocess.Popen(
        [VNS, "archive", "."], cwd=tmp_path, env=environment(api), stdout=subprocess.PIPE
    )
    while not api.seen:
        time.sleep(0.01)
    second = vns(api, "archive", ".", cwd=tmp_path)
    first.communicate()
    assert second.code == 1
    # On Windows, what was started is not Python itself, but its parent.
    process = r"\d+" if IS_WINDOWS else first.pid
    holder = rf"process {process} on {re.escape(socket.gethostname())}, since 20"
    assert re.match(f"error: .: another run is at work here: {holder}", second.stderr)
    assert first.returncode == 0


@pytest.mark.parametrize("kind", ["empty", "link", "directory"])
def test_what_is_no_recording_does_not_count_as_one(api: Server, tmp_path: Path, kind: str) -> None:
    """A name alone is no reason to delete on the server."""
    target = tmp_path / f"{ONE}.opus"
    if kind == "empty":
        target.touch()
    elif kind == "link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == (1 if kind == "directory" else 0)
    assert (api.deleted == [ONE]) == (kind != "directory")
    assert kind == "directory" or stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_leftovers_of_a_killed_run_are_removed(api: Server, tmp_path: Path) -> None:
    """By a later one, which writes into the directory when they are a day old."""
    left = tmp_path / ".filedecryptor-0123456789abcdef.tmp"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    assert vns_process(api, "archive", ".", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_no_more_downloads_at_once_than_jobs(api: Server, tmp_path: Path) -> None:
    """Though more recordings than that wait for their keys."""
    now: list[str] = []
    most: list[int] = []

    def watching(handler: Handler) -> bool:
        if handler.path != PATH:
            now.append(handler.path)
            most.append(len(now))
            time.sleep(0.05)
            now.remove(handler.path)
        return False

    api.recordings = {str(uuid4()): encrypt(AUDIO) for _ in range(20)}
    api.behaviours.append(watching)
    assert vns(api, "archive", ".", "-j", "2", cwd=tmp_path).code == 0
    assert max(most) == 2


def test_leaving_early_asks_for_no_more(api: Server, tmp_path: Path) -> None:
    """Those that wait for their turn to download have waited in vain."""

    def late(_: Handler) -> bool:
        time.sleep(0.1)
        return False

    api.behaviours.append(late)
    guids = [str(uuid4()) for _ in range(20)]
    api.recordings = {guid: encrypt(AUDIO) for guid in guids}
    archive = Archive(Client(TOKEN, url=api.url), str(tmp_path), password=PASSWORD)
    outcomes = archive.fetch(guids, jobs=1)
    assert next(outcomes).status == "decrypted"
    seen = len(api.seen)
    outcomes.close()
    time.sleep(0.5)
    assert len(api.seen) <= seen + 1
