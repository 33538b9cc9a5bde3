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
from support.vns import NUMBERED, ONE, TWO, record, stored, vns, write_record


def test_a_record(api: Server, tmp_path: Path) -> None:
    """The list's entry as it came, what the file is, and when what was done; never the token."""
    entry = {"SessionGuid": ONE.upper(), "callerId": "+1 555 0100", "odd": [None, {"x": 1}]}
    api.list_body = json.dumps([entry | {"asked by": f"token {TOKEN}"}]).encode()
    api.recordings[ONE.upper()] = api.recordings.pop(ONE)
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    found = record(tmp_path, ONE)
    assert found.pop("fetched").startswith("20")
    assert found == {
        "guid": ONE,
        "entry": entry | {"asked by": "token ..."},
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
    assert b"token ..." in vns(api, "list", "--json", cwd=tmp_path).stdout


LEFT: dict[str, Callable[[Path], object]] = {
    "empty": Path.touch,
    "short": lambda path: path.write_bytes(AUDIO[:5000]),
    "as long": lambda path: path.write_bytes(bytes(len(AUDIO))),
    "link": lambda path: path.symlink_to("nowhere"),
    "directory": Path.mkdir,
}


@pytest.mark.parametrize("kind", LEFT)
@pytest.mark.parametrize("suffix", ["opus", "mp3"])
def test_a_file_without_a_record_is_no_reason_to_delete(
    api: Server, tmp_path: Path, kind: str, suffix: str
) -> None:
    """Whatever somebody left there: the recording is fetched, and only then deleted."""
    LEFT[kind](tmp_path / f"{ONE}.{suffix}")
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    if (kind, suffix) == ("directory", "opus"):
        assert (result.code, api.deleted) == (1, [])
    else:
        assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())
        assert (tmp_path / f"{ONE}.opus").read_bytes() == AUDIO
        assert api.deleted == [ONE]


@pytest.mark.parametrize("others", [0, 40])
def test_a_file_that_is_shorter_than_its_record_says(
    api: Server, tmp_path: Path, others: int
) -> None:
    """It is fetched again before anything is deleted, also where the directory is listed."""
    api.recordings |= dict.fromkeys(NUMBERED[:others], encrypt(AUDIO))
    vns(api, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO[:5000])
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())
    assert set(stored(tmp_path).values()) == {AUDIO}
    assert len(stored(tmp_path)) == len(api.deleted) == others + 1
    assert api.count("GET", f"{PATH}/{ONE}") == 2


def test_a_check_reads_every_file(api: Server, tmp_path: Path) -> None:
    """What was altered is fetched again; what the server has no more is an error."""
    api.recordings[TWO] = encrypt(MP3)
    vns(api, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO[:-1] + b"x")
    assert vns(api, "archive", ".", cwd=tmp_path).stderr.startswith("2 skipped")
    result = vns(api, "archive", ".", "--check", "--delete-after", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO, f"{TWO}.mp3": MP3}
    (tmp_path / f"{ONE}.opus").write_bytes(AUDIO[:-1] + b"x")
    (tmp_path / f"{TWO}.mp3").unlink()
    result = vns(api, "archive", ".", "--check", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[:2] == [
        f"error: {ONE}.opus: it is missing, or is not what was stored",
        f"error: {TWO}.mp3: it is missing, or is not what was stored",
    ]
    assert vns(api, "archive", ".", cwd=tmp_path) == (0, b"", "the API lists no recordings\n")


def rewritten(new: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Return what gives a file another content."""
    return lambda path: path.write_bytes(new(path.read_bytes()))


def replaced(by: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what puts something else in the place of a file."""

    def spoil(path: Path) -> None:
        path.unlink()
        by(path)

    return spoil


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "huge": ("json", lambda path: os.truncate(path, 8 << 30)),
    "of no size": ("json", rewritten(lambda data: re.sub(rb'"size": \d+', b'"size": true', data))),
    "empty": ("json", rewritten(lambda _: b"")),
    "removed": ("json", Path.unlink),
    "cut": ("json", rewritten(lambda data: data[:100])),
    "zeroed": ("json", rewritten(lambda data: bytes(len(data)))),
    "not text": ("json", rewritten(lambda data: b"\xff\xfe" + data)),
    "of another": ("json", rewritten(lambda data: data.replace(b"00000002", b"00000003"))),
    "directory": ("json", replaced(Path.mkdir)),
    "dangling": ("json", replaced(lambda path: path.symlink_to("nowhere"))),
    "huge audio": ("opus", lambda path: os.truncate(path, 256 << 30)),
    "no audio": ("opus", Path.unlink),
    "short audio": ("opus", rewritten(lambda data: data[:-1])),
    "audio in a directory": ("opus", replaced(Path.mkdir)),
    "unreadable audio": ("opus", replaced(lambda path: path.symlink_to(path.name))),
    "altered": ("opus", rewritten(lambda data: data[:-1] + b"x")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_found(api: Server, tmp_path: Path, damage: str) -> None:
    """One line names the file, whatever lies beside it; the rest is looked at all the same."""
    api.recordings = dict.fromkeys(NUMBERED[1:6], encrypt(AUDIO))
    assert vns(api, "archive", "calls", "--delete-after", cwd=tmp_path).code == 0
    calls = tmp_path / "calls"
    (calls / "notes.txt").write_text("mine")
    (calls / "loop").symlink_to("loop")
    (calls / "nowhere").symlink_to("no")
    (calls / "below").mkdir()
    make_fifo(calls / "pipe")
    clean = vns(api, "archive", "calls", "--check", cwd=tmp_path)
    assert (clean.code, clean.lines[0].partition(";")[0]) == (0, "5 verified")
    guid = NUMBERED[2]
    suffix, spoil = DAMAGES[damage]
    spoil(calls / f"{guid}.{suffix}")
    result = vns(api, "archive", "calls", "--check", cwd=tmp_path)
    [line] = [line for line in result.lines if line.startswith("error: ")]
    assert line.startswith((f"error: {guid}.json: ", f"error: {guid}.opus: "))
    assert result.code == 1
    assert result.lines[-1].partition(";")[0] == "4 verified, 1 failed"
    quiet = vns(api, "archive", "calls", "--check", "-q", "--json", cwd=tmp_path)
    *outcomes, summary = map(json.loads, quiet.stdout.splitlines())
    assert [one["input"] for one in outcomes if one["status"] == "failed"] == [guid]
    assert (quiet.code, summary["statuses"]) == (1, {"verified": 4, "failed": 1})
    if damage != "altered":  # its length is right: only `--check` reads it
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


SPOILT: list[dict[str, Any] | bytes] = [
    *({"file": name} for name in ("../x.opus", f"{TWO}.opus", f"{ONE}.opus/../x", f"{ONE}.json")),
    *({"file": None}, {"size": "1"}, {"sha256": None}, {"guid": TWO}, {"format": 3}),
    *(b"", b"{", b"[]", b"null", b"{}", b"[" * 100_000, b"\xff"),
]


@pytest.mark.parametrize("content", SPOILT, ids=range(len(SPOILT)))
def test_a_record_that_makes_no_sense_is_none(
    api: Server, tmp_path: Path, content: dict[str, Any] | bytes
) -> None:
    """The recording is fetched before it is deleted, and the record written anew."""
    for guid in (ONE, TWO):
        (tmp_path / f"{guid}.opus").write_bytes(AUDIO)
    if isinstance(content, bytes):
        (tmp_path / f"{ONE}.json").write_bytes(content)
    else:
        write_record(tmp_path, ONE, AUDIO, content)
        if content.get("file") == f"{ONE}.json":  # it is as long as it says of itself
            size = (tmp_path / f"{ONE}.json").stat().st_size - 2
            write_record(tmp_path, ONE, AUDIO, content | {"size": size})
            assert (tmp_path / f"{ONE}.json").stat().st_size == size
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1
    found = record(tmp_path, ONE)
    assert (found["file"], found["size"]) == (f"{ONE}.opus", len(AUDIO))


def test_whose_call_it_was_is_not_forgotten(api: Server, tmp_path: Path) -> None:
    """What was fetched by its GUID gets its entry once it is listed, and keeps it then."""
    entry = {"sessionGuid": ONE, "callerId": "555"}
    api.list_body = json.dumps([entry]).encode()
    for words, known in ((["download", ONE], None), (["archive", "."], entry)):
        vns(api, *words, cwd=tmp_path)
        assert record(tmp_path, ONE)["entry"] == known
    vns(api, "download", ONE, cwd=tmp_path)
    assert record(tmp_path, ONE)["entry"] == entry
    assert api.count("GET", f"{PATH}/{ONE}") == 2


def test_the_list_of_an_archive(api: Server, tmp_path: Path) -> None:
    """A table for people, objects for programs; no server is asked, so no token is needed."""
    entry = {"sessionGuid": ONE, "callerId": "555 \x1b[31m", "size": 3}
    api.list_body = json.dumps([entry]).encode()
    vns(api, "archive", "calls", cwd=tmp_path)
    api.seen.clear()
    words = ("list", "--archived", "calls")
    table = vns(api, *words, cwd=tmp_path, VNS_API_TOKEN=None)
    heads, row = table.stdout.decode().splitlines()
    columns = ["file", "size", "authenticated", "fetched", "deleted", "sessionGuid", "callerId"]
    assert heads.split() == columns
    assert row.split()[:3] == [f"{ONE}.opus", str(len(AUDIO)), "true"]
    assert "555 \\x1b[31m" in row
    found = json.loads(vns(api, *words, "--json", cwd=tmp_path, VNS_API_TOKEN=None).stdout)
    assert found == record(tmp_path / "calls", ONE)
    assert api.seen == []
    missing = vns(api, "list", "--archived", "nowhere", cwd=tmp_path)
    assert missing == (2, b"", "error: nowhere: there is no such directory\n")
