"""`prune` removes what an archive has of older calls, on a disk and in a store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import Server
from support.commands import VNS
from support.places import Place
from support.posix import posix_only
from support.recordings import AUDIO, MP3, encrypt
from support.terminal import run_in_terminal
from support.vns import NUMBERED, ONE, THREE, TWO, environment, vns

from filedecryptor.vns.lock import locked
from filedecryptor.vns.records import Records
from filedecryptor.vns.times import shown

YEAR = ("--older-than", "365d")


def ago(days: float) -> str:
    """Return when it was so many days ago."""
    return shown(datetime.now(UTC) - timedelta(days=days))


def fill(api: Server, place: Place, ends: Mapping[str, str | None], *words: str) -> None:
    """Let calls that ended so be in an archive."""
    api.recordings = dict.fromkeys(ends, encrypt(AUDIO))
    entries = [{"sessionGuid": guid, "callEnd": end} for guid, end in ends.items()]
    api.list_body = json.dumps(entries).encode()
    assert place.run("archive", place.url, *words).code == 0


def change(place: Place, guid: str, **fields: object) -> None:
    """Change a record."""
    place.files.write(f"{guid}.json", json.dumps(place.record(guid) | fields).encode())


@pytest.mark.parametrize("words", [(), ("--name", "{time:%Y/%m}/{guid}")])
def test_prune(api: Server, place: Place, words: tuple[str, ...]) -> None:
    """By the call's time: audio, .enc and record, a line and an object for each; others stay."""
    fill(api, place, {ONE: ago(366), TWO: ago(364), THREE: ago(400)}, "--keep-encrypted", *words)
    before = set(place.files.versions())
    file = str(place.record(ONE)["file"])
    dry = place.run("prune", place.url, *YEAR, "--dry-run")
    assert (dry.code, set(place.files.versions())) == (0, before)
    lines = dry.stdout.decode().splitlines()
    assert lines[1] == f"to remove: {place.url}/{file} ({place.record(ONE)['entry']['callEnd']})"  # type: ignore[index]
    assert dry.stderr.startswith("2 to remove; 0.0 MB of audio in ")
    result = place.run("prune", place.url, *YEAR, "--yes", "--json")
    assert result.code == 0
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert {one["input"]: one["status"] for one in objects} == {
        line.removeprefix("to remove: ").rpartition(" (")[0]: "removed" for line in lines
    }
    assert all(
        (one["format"], one["size"], one["output"]) == ("opus", len(AUDIO), None) for one in objects
    )
    left = set(place.files.versions())
    assert left - {".vns-recordings.lock"} == {name for name in before if TWO in name} | {
        ".vns-recordings.json"
    }
    assert len(left & before) == 4 + (not place.env)
    again = place.run("prune", place.url, *YEAR, "--yes")
    assert (again.code, again.stderr) == (0, "there is nothing to do\n")


def test_folders_that_are_empty_go(api: Server, tmp_path: Path) -> None:
    """Those that hold anything stay, and so does the archive itself."""
    api.list_body = json.dumps(
        [
            {"sessionGuid": guid, "to": number, "end": ago(9)}
            for guid, number in ((ONE, 1), (TWO, 2))
        ]
    ).encode()
    api.recordings[TWO] = MP3
    vns(api, "archive", "calls", "--name", "x/{to}/y/{guid}", cwd=tmp_path)
    (tmp_path / "calls" / "x" / "2" / "notes.txt").touch()
    assert vns(api, "prune", "calls", "--older-than", "8d", "--yes", cwd=tmp_path).code == 0
    left = {
        path.relative_to(tmp_path / "calls").as_posix() for path in tmp_path.rglob("calls/*/**/*")
    }
    assert left | {"x"} == {"x", "x/2", "x/2/notes.txt"}
    assert (tmp_path / "calls").is_dir()


# What the record says; whether the call is older than a year.
AGES: dict[str, tuple[dict[str, object], bool]] = {
    "call": ({"entry": {"end": ago(366)}, "fetched": ago(1)}, True),
    "young call": ({"entry": {"end": ago(1)}, "fetched": ago(366)}, False),
    "no entry": ({"entry": None, "fetched": ago(366)}, True),
    "no entry, young": ({"entry": None, "fetched": ago(364)}, False),
    "no time": ({"entry": {"callerId": "1"}, "fetched": ago(366)}, True),
    "latest of two times": ({"entry": {"start": ago(900), "end": ago(364)}}, False),
    "time that is not understood": ({"entry": {"end": "24 Nov, late"}, "fetched": ago(1)}, False),
    "day that may be later": ({"entry": {"end": ago(365.2)[:10]}, "fetched": ago(1)}, False),
    "name of a caller": ({"entry": {"callerIdName": "2001-01-01"}, "fetched": ago(1)}, False),
    "young name of one": ({"entry": {"end": ago(366), "callerIdName": "2099-12-31"}}, True),
    "nonsense": ({"entry": None, "fetched": "soon"}, False),
}


def test_ages(api: Server, tmp_path: Path) -> None:
    """The call's time counts, and where it is not known, that of the download; doubt keeps it."""
    guids = dict(zip(AGES, NUMBERED, strict=False))
    api.recordings = dict.fromkeys(guids.values(), encrypt(AUDIO))
    vns(api, "archive", ".", cwd=tmp_path)
    for case, (fields, _) in AGES.items():
        path = tmp_path / f"{guids[case]}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    assert vns(api, "prune", ".", *YEAR, "--yes", cwd=tmp_path).code == 0
    gone = {case for case in AGES if not (tmp_path / f"{guids[case]}.opus").exists()}
    assert gone == {case for case, (_, is_old) in AGES.items() if is_old}


def test_what_has_no_record_stays(api: Server, place: Place) -> None:
    """A record that makes no sense is an error; the others are removed all the same."""
    fill(api, place, {ONE: ago(9), TWO: ago(9), THREE: ago(9)})
    place.files.remove(f"{TWO}.json")
    place.files.write(f"{THREE}.json", b"{}")
    place.files.write("notes.opus", b"x")
    result = place.run("prune", place.url, "--older-than", "8d", "--yes")
    assert result.code == 1
    assert result.lines[0] == f"error: {THREE}.json: this is not the record of a recording"
    assert place.recordings().keys() == {f"{TWO}.opus", f"{THREE}.opus", "notes.opus"}


@pytest.mark.parametrize("is_there", [True, False])
def test_what_is_gone_already(api: Server, place: Place, *, is_there: bool) -> None:
    """A record whose audio a killed run has removed goes too, with what else there is of the call."""
    fill(api, place, {ONE: ago(9)}, "--keep-encrypted")
    place.files.write(f"{ONE}.unverified.opus", AUDIO[:-9])
    if not is_there:
        place.files.remove(f"{ONE}.opus")
    assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 0
    assert place.recordings() == {}
    assert f"{ONE}.json" not in place.files.versions()


def test_another_recording_is_not_touched(api: Server, place: Place) -> None:
    """Though its caller has the GUID of the one that is removed for a name, or a record names it."""
    api.recordings = dict.fromkeys((ONE, TWO), encrypt(AUDIO))
    entries = [
        {"sessionGuid": ONE, "name": "x", "end": ago(9)},
        {"sessionGuid": TWO, "name": ONE, "end": ago(1)},
    ]
    api.list_body = json.dumps(entries).encode()
    assert place.run("archive", place.url, "--name", "{name}/{guid}").code == 0
    file = str(place.record(TWO)["file"])
    assert file == f"{ONE.replace('-', '_')}/{TWO}.opus"
    old = place.record(ONE)
    assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 0
    assert place.recordings().keys() == {file}
    place.files.write(f"{ONE}/{TWO}.opus", AUDIO)
    for other in (file, f"{ONE}/{TWO}.opus"):
        place.files.write(f"{ONE}.json", json.dumps(old | {"file": other}).encode())
        assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 1
        assert place.recordings().keys() == {file, f"{ONE}/{TWO}.opus"}


def test_what_has_another_name_by_chance(api: Server, place: Place) -> None:
    """On a disk that ignores the case of letters, one folder has two names; others' files stay."""
    fill(api, place, {ONE: ago(9)}, "--name", "Bob/{guid}")
    place.files.write(f"bob/{ONE}.enc", b"x")
    place.files.write(f"BOB/{ONE}.enc", b"x")
    place.files.write(f"Bob/{ONE}", b"x")
    place.files.write(f"Bob/{ONE}.txt", b"x")
    assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 0
    assert place.recordings().keys() == {f"Bob/{ONE}", f"Bob/{ONE}.txt"}


@posix_only("links to folders")
def test_nothing_outside_is_removed(api: Server, tmp_path: Path) -> None:
    """A folder may be a link that leads out of the archive: what is there is not removed."""
    api.list_body = json.dumps([{"sessionGuid": ONE, "end": ago(9)}]).encode()
    vns(api, "archive", "calls", "--name", "x/{guid}", cwd=tmp_path)
    (tmp_path / "calls" / "x").rename(tmp_path / "calls2")
    (tmp_path / "calls" / "x").symlink_to("../calls2")
    result = vns(api, "prune", "calls", "--older-than", "8d", "--yes", cwd=tmp_path)
    said = f"error: calls/x/{ONE}.opus: a link leads out of the archive"
    assert (result.code, result.lines[0]) == (1, said)
    assert (tmp_path / "calls2" / f"{ONE}.opus").exists()
    assert (tmp_path / "calls" / f"{ONE}.json").exists()
    (tmp_path / "link").symlink_to("calls")
    (tmp_path / "calls" / "x").unlink()
    (tmp_path / "calls2").rename(tmp_path / "calls" / "x")
    assert vns(api, "prune", "link", "--older-than", "8d", "--yes", cwd=tmp_path).code == 0
    assert not (tmp_path / "calls" / "x").exists()


@pytest.mark.parametrize("place", ["store"], indirect=True)
def test_no_folder_of_this_machine_goes(
    api: Server, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is called like the address of one in a store."""
    fill(api, place, {ONE: ago(9)}, "--name", "x/{guid}")
    folder = tmp_path / f"{place.url.replace('//', '/')}/x"
    folder.mkdir(parents=True)
    result = vns(api, "prune", place.url, "--older-than", "8d", "--yes", cwd=tmp_path, **place.env)
    assert result.code == 0
    assert folder.exists()
    shutil.rmtree(tmp_path / "s3:")


def test_what_was_fetched_again_meanwhile(api: Server, tmp_path: Path) -> None:
    """While somebody thinks about the question, say: it stays."""
    vns(api, "archive", "calls", cwd=tmp_path)
    records = Records(str(tmp_path / "calls"))
    [(old, _)] = records.known(print)
    records.write(old._replace(fetched="2099-01-01T00:00:00Z"))
    [error] = records.remove([old])
    assert "fetched again" in str(error)
    assert (tmp_path / "calls" / f"{ONE}.opus").exists()


TOO_YOUNG = ["7d", "191h", "0d", "2099-01-01"]


@pytest.mark.parametrize("given", TOO_YOUNG)
def test_less_than_eight_days(api: Server, tmp_path: Path, given: str) -> None:
    """It is refused: the server would hand the recordings out again."""
    vns(api, "archive", "calls", cwd=tmp_path)
    result = vns(api, "prune", "calls", "--older-than", given, "--yes", cwd=tmp_path)
    assert (result.code, result.lines[0]) == (2, "error: --older-than must be at least 8 days ago")
    assert (tmp_path / "calls" / f"{ONE}.opus").exists()


WRONG: dict[str, tuple[list[str], str]] = {
    "no age": (["calls"], "missing argument '--older-than'"),
    "no time": (["calls", "--older-than", "soon"], "--older-than takes a time"),
    "no directory": (["elsewhere", *YEAR], "elsewhere: there is no such directory"),
    "a file": (["file", *YEAR], "file: this is a file, not a directory"),
    "no terminal": (
        ["calls", *YEAR],
        "standard input is not a terminal, so nothing can be confirm",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_usage(api: Server, tmp_path: Path, case: str) -> None:
    """Nothing is removed, and nothing made."""
    words, said = WRONG[case]
    api.list_body = json.dumps([{"sessionGuid": ONE, "end": ago(400)}]).encode()
    vns(api, "archive", "calls", cwd=tmp_path)
    (tmp_path / "file").touch()
    result = vns(api, "prune", *words, cwd=tmp_path)
    assert (result.code, said in result.lines[0]) == (2, True)
    assert (tmp_path / "calls" / f"{ONE}.opus").exists()
    assert not (tmp_path / "elsewhere").exists()


@posix_only("a pseudo-terminal")
@pytest.mark.parametrize("answer", ["y", "n"])
def test_it_asks_in_a_terminal(api: Server, tmp_path: Path, answer: str) -> None:
    """A no removes nothing, and is no error."""
    api.list_body = json.dumps([{"sessionGuid": ONE, "end": ago(400)}]).encode()
    vns(api, "archive", "calls", cwd=tmp_path)
    answers = {"[y/N]: ": f"{answer}\n"}
    screen = run_in_terminal(
        "prune", "calls", *YEAR, cwd=tmp_path, env=environment(api), answers=answers, command=VNS
    )
    assert screen.code == 0
    assert "Remove 1 recording of calls before 20" in screen.text
    assert (tmp_path / "calls" / f"{ONE}.opus").exists() == (answer == "n")


def test_the_lock_holds(api: Server, tmp_path: Path) -> None:
    """Nothing is removed while another run is at work; a dry run needs no lock."""
    api.list_body = json.dumps([{"sessionGuid": ONE, "end": ago(400)}]).encode()
    vns(api, "archive", "calls", cwd=tmp_path)
    with locked(str(tmp_path / "calls")):
        result = vns(api, "prune", "calls", *YEAR, "--yes", cwd=tmp_path)
        assert vns(api, "prune", "calls", *YEAR, "--dry-run", cwd=tmp_path).code == 0
    assert result.code == 1
    assert result.lines[0].startswith("error: calls: another run is at work here: process ")
    assert (tmp_path / "calls" / f"{ONE}.opus").exists()


@posix_only("permissions")
def test_what_cannot_be_removed(api: Server, tmp_path: Path) -> None:
    """It is an error that names it, and its record stays; the others are removed."""
    entries: list[dict[str, Any]] = [
        {"sessionGuid": guid, "to": number, "end": ago(9)} for guid, number in ((ONE, 1), (TWO, 2))
    ]
    api.list_body = json.dumps(entries).encode()
    api.recordings[TWO] = MP3
    vns(api, "archive", "calls", "--name", "{to}/{guid}", cwd=tmp_path)
    audio = tmp_path / "calls" / "1" / f"{ONE}.opus"
    audio.unlink()
    audio.mkdir()
    result = vns(api, "prune", "calls", "--older-than", "8d", "--yes", cwd=tmp_path)
    assert (result.code, result.stdout.decode()) == (
        1,
        f"removed: calls/2/{TWO}.mp3 ({entries[1]['end']})\n",
    )
    assert result.lines[0].startswith(f"error: calls/1/{ONE}.opus: ")
    assert (tmp_path / "calls" / f"{ONE}.json").exists()


def test_the_page_forgets_them(api: Server, place: Place) -> None:
    """It is written anew, if there is one, and another's page is left alone."""
    fill(api, place, {ONE: ago(9), TWO: ago(1)}, "--page")
    assert ONE.encode() in (place.files.read("index.html") or b"")
    assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 0
    page = place.files.read("index.html") or b""
    assert ONE.encode() not in page
    assert TWO.encode() in page
    # A run may have been killed before it wrote the page.
    place.files.write("index.html", page + f"<p>{THREE}".encode())
    assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 0
    assert THREE.encode() not in (place.files.read("index.html") or b"")
    change(place, TWO, entry={"end": ago(9)})
    place.files.write("index.html", b"<p>mine")
    assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 0
    assert place.files.read("index.html") == b"<p>mine"
