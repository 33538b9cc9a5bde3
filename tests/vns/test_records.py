"""What an archive knows of each recording."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Server
from support.posix import make_fifo
from support.recordings import AUDIO, MP3, encrypt
from support.vns import ONE, TWO, record, stored, vns, write_record


def test_a_record(api: Server, tmp_path: Path) -> None:
    """The list's entry as it came, what the file is, and when what was done."""
    entry = {"SessionGuid": ONE.upper(), "callerId": "+1 555 0100", "odd": [None, {"x": 1}]}
    api.list_body = json.dumps([entry]).encode()
    api.recordings[ONE.upper()] = api.recordings.pop(ONE)
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    found = record(tmp_path, ONE)
    assert found.pop("fetched").startswith("20")
    assert found == {
        "guid": ONE,
        "entry": entry,
        "file": f"{ONE}.opus",
        "format": "opus",
        "size": len(AUDIO),
        "sha256": hashlib.sha256(AUDIO).hexdigest(),
        "authenticated": True,
        "deleted": None,
    }
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert record(tmp_path, ONE)["deleted"].startswith("20")
    assert api.deleted == [ONE.upper()]


@pytest.mark.parametrize("content", [b"x", AUDIO[:5000], bytes(len(AUDIO)), b"not audio"])
@pytest.mark.parametrize("suffix", ["opus", "mp3", "wav"])
def test_a_file_without_a_record_is_no_reason_to_delete(
    api: Server, tmp_path: Path, content: bytes, suffix: str
) -> None:
    """Whatever somebody left there: the recording is fetched, and only then deleted."""
    (tmp_path / f"{ONE}.{suffix}").write_bytes(content)
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())
    assert (tmp_path / f"{ONE}.opus").read_bytes() == AUDIO
    assert api.deleted == [ONE]


def test_a_file_that_is_shorter_than_its_record_says(api: Server, tmp_path: Path) -> None:
    """It is fetched again before anything is deleted."""
    vns(api, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO[:5000])
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}
    assert api.count("GET", f"{PATH}/{ONE}") == 2


def test_a_short_file_among_many(api: Server, tmp_path: Path) -> None:
    """Where all lengths come from one look at the directory."""
    for number in range(40):
        api.recordings[f"{number:08}-0000-4000-8000-000000000000"] = encrypt(AUDIO)
    vns(api, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO[:5000])
    (tmp_path / "00000005-0000-4000-8000-000000000000.opus").unlink()
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, len(result.stdout.splitlines())) == (0, 2)
    assert set(stored(tmp_path).values()) == {AUDIO}
    assert len(stored(tmp_path)) == len(api.deleted) == 41


def test_a_file_that_is_not_what_was_stored(api: Server, tmp_path: Path) -> None:
    """`--check` finds it by its SHA-256, and fetches it again; its length alone does not tell."""
    vns(api, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO[:-1] + b"x")
    assert vns(api, "archive", ".", cwd=tmp_path).stderr.startswith("1 skipped")
    result = vns(api, "archive", ".", "--check", "--delete-after", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_what_the_server_has_no_more_is_checked_too(api: Server, tmp_path: Path) -> None:
    """It cannot be fetched again, so it is an error."""
    api.recordings[TWO] = encrypt(MP3)
    vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert vns(api, "archive", ".", "--check", cwd=tmp_path).code == 0
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO[:-1] + b"x")
    (tmp_path / f"{TWO}.mp3").unlink()
    result = vns(api, "archive", ".", "--check", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[:2] == [
        f"error: {ONE}.opus: it is missing, or is not what was stored",
        f"error: {TWO}.mp3: it is missing, or is not what was stored",
    ]


def _emptied(record: Path, audio: Path) -> None:
    record.write_bytes(b"")
    audio.unlink()


def _huge(record: Path, _: Path) -> None:
    os.truncate(record, 8 << 30)


def _huge_audio(_: Path, audio: Path) -> None:
    os.truncate(audio, 256 << 30)


def _of_no_size(record: Path, _: Path) -> None:
    record.write_bytes(re.sub(rb'"size": \d+', b'"size": true', record.read_bytes()))


def _removed(record: Path, _: Path) -> None:
    record.unlink()


def _cut(record: Path, _: Path) -> None:
    record.write_bytes(record.read_bytes()[:100])


def _zeroed(record: Path, _: Path) -> None:
    record.write_bytes(bytes(record.stat().st_size))


def _not_text(record: Path, _: Path) -> None:
    record.write_bytes(b"\xff\xfe" + record.read_bytes())


def _of_another(record: Path, _: Path) -> None:
    record.write_bytes(record.read_bytes().replace(b"00000002", b"00000003"))


def _directory(record: Path, _: Path) -> None:
    record.unlink()
    record.mkdir()


def _dangling(record: Path, _: Path) -> None:
    record.unlink()
    record.symlink_to("nowhere")


def _no_audio(_: Path, audio: Path) -> None:
    audio.unlink()


def _short_audio(_: Path, audio: Path) -> None:
    audio.write_bytes(audio.read_bytes()[:-1])


def _audio_in_a_directory(_: Path, audio: Path) -> None:
    audio.unlink()
    audio.mkdir()


def _flipped(_: Path, audio: Path) -> None:
    audio.write_bytes(audio.read_bytes()[:-1] + b"x")


def _unreadable_audio(_: Path, audio: Path) -> None:
    audio.unlink()
    audio.symlink_to(audio.name)


DAMAGES = [
    *(_huge, _huge_audio, _of_no_size),
    *(_emptied, _removed, _cut, _zeroed, _not_text, _of_another, _directory, _dangling),
    *(_no_audio, _short_audio, _audio_in_a_directory, _flipped, _unreadable_audio),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_every_damage_is_found(
    api: Server, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    """One line names the file, whatever lies beside it; the rest is looked at all the same."""
    api.recordings = {f"{n:08}-0000-4000-8000-000000000000": encrypt(AUDIO) for n in range(1, 6)}
    assert vns(api, "archive", "calls", "--delete-after", cwd=tmp_path).code == 0
    calls = tmp_path / "calls"
    (calls / "notes.txt").write_text("mine")
    (calls / "loop").symlink_to("loop")
    (calls / "nowhere").symlink_to("no")
    (calls / "below").mkdir()
    make_fifo(calls / "pipe")
    clean = vns(api, "archive", "calls", "--check", cwd=tmp_path)
    assert (clean.code, clean.lines[0].partition(";")[0]) == (0, "5 verified")
    guid = "00000002-0000-4000-8000-000000000000"
    damage(calls / f"{guid}.json", calls / f"{guid}.opus")
    result = vns(api, "archive", "calls", "--check", cwd=tmp_path)
    [line] = [line for line in result.lines if line.startswith("error: ")]
    assert line.startswith((f"error: {guid}.json: ", f"error: {guid}.opus: "))
    assert result.code == 1
    assert result.lines[-1].partition(";")[0] == "4 verified, 1 failed"
    quiet = vns(api, "archive", "calls", "--check", "-q", "--json", cwd=tmp_path)
    *outcomes, summary = map(json.loads, quiet.stdout.splitlines())
    assert [one["input"] for one in outcomes if one["status"] == "failed"] == [guid]
    assert (quiet.code, summary["statuses"]) == (1, {"verified": 4, "failed": 1})
    if damage is not _flipped:  # whose length is right: only `--check` reads it
        listed = vns(api, "list", "--archived", "calls", cwd=tmp_path)
        assert (listed.code, listed.stderr.count(f"error: {guid}.")) == (1, 1)


def test_a_check_needs_no_server(api: Server, tmp_path: Path) -> None:
    """What is here is looked at, also where the list cannot be had, and in a dry run."""
    vns(api, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{ONE}.opus").write_bytes(b"cut")
    (tmp_path / f"{TWO}.mp3").write_bytes(MP3)
    api.tokens = set()
    for words in (["--check"], ["--check", "--dry-run"]):
        result = vns(api, "archive", ".", *words, cwd=tmp_path)
        assert [line for line in result.lines if line.startswith("error")] == [
            "error: the API refused the token (status 401)",
            f"error: {ONE}.opus: it is missing, or is not what was stored",
            f"error: {TWO}.mp3: there is no record of it",
        ]
        assert (result.code, result.lines[-1].partition(" in ")[0]) == (1, "2 failed")


SPOILT: list[dict[str, Any]] = [
    {"file": "../x.opus"},
    {"file": f"{TWO}.opus"},
    {"file": f"{ONE}.opus/../x"},
    {"file": f"{ONE}.json"},
    {"file": None},
    {"size": "1"},
    {"sha256": None},
    {"guid": TWO},
    {"format": 3},
]


@pytest.mark.parametrize("fields", SPOILT, ids=str)
def test_a_record_that_makes_no_sense_is_none(
    api: Server, tmp_path: Path, fields: dict[str, Any]
) -> None:
    """The recording is fetched, and the record written anew."""
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO)
    write_record(tmp_path, ONE, AUDIO, fields)
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1
    assert record(tmp_path, ONE)["file"] == f"{ONE}.opus"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", b"[" * 100_000, b"\xff"])
def test_a_record_that_is_no_record(api: Server, tmp_path: Path, data: bytes) -> None:
    """As above."""
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO)
    (tmp_path / f"{ONE}.json").write_bytes(data)
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1
    assert record(tmp_path, ONE)["size"] == len(AUDIO)


def test_whose_call_it_was_is_not_forgotten(api: Server, tmp_path: Path) -> None:
    """What was fetched by its GUID gets its entry once it is listed, and keeps it then."""
    entry = {"sessionGuid": ONE, "callerId": "555"}
    api.list_body = json.dumps([entry]).encode()
    vns(api, "download", ONE, cwd=tmp_path)
    assert record(tmp_path, ONE)["entry"] is None
    vns(api, "archive", ".", cwd=tmp_path)
    assert record(tmp_path, ONE)["entry"] == entry
    vns(api, "download", ONE, cwd=tmp_path)
    assert record(tmp_path, ONE)["entry"] == entry
    assert api.count("GET", f"{PATH}/{ONE}") == 2


def test_a_token_that_the_server_repeats(api: Server, tmp_path: Path) -> None:
    """It gets neither into a record nor to standard output."""
    api.list_body = json.dumps([{"sessionGuid": ONE, "asked by": f"token {TOKEN}"}]).encode()
    vns(api, "archive", ".", cwd=tmp_path)
    assert record(tmp_path, ONE)["entry"]["asked by"] == "token ..."
    assert b"token ..." in vns(api, "list", "--json", cwd=tmp_path).stdout


def test_the_list_of_an_archive(api: Server, tmp_path: Path) -> None:
    """A table for people, objects for programs; no server is asked, so no token is needed."""
    entry = {"sessionGuid": ONE, "callerId": "555 \x1b[31m"}
    api.list_body = json.dumps([entry]).encode()
    vns(api, "archive", "calls", cwd=tmp_path)
    api.seen.clear()
    words = ("list", "--archived", "calls")
    table = vns(api, *words, cwd=tmp_path, VNS_API_TOKEN=None)
    heads, row = table.stdout.decode().splitlines()
    assert heads.split() == [
        *["file", "size", "authenticated", "fetched", "deleted", "sessionGuid", "callerId"]
    ]
    assert row.split()[:3] == [f"{ONE}.opus", str(len(AUDIO)), "true"]
    assert "555 \\x1b[31m" in row
    found = json.loads(vns(api, *words, "--json", cwd=tmp_path, VNS_API_TOKEN=None).stdout)
    assert found == record(tmp_path / "calls", ONE)
    assert api.seen == []
    assert vns(api, "list", "--archived", "nowhere", cwd=tmp_path) == (
        2,
        b"",
        "error: nowhere: there is no such directory\n",
    )
