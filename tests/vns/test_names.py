"""An archive whose recordings are named by a template, on a disk and in a store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.places import Place
from support.posix import posix_only
from support.recordings import AUDIO, MP3, PASSWORD, WAV, encrypt
from support.store_proxy import Answer, Request, proxy, refusal
from support.vns import NUMBERED, ONE, THREE, TWO, meanwhile, record, vns

from filedecryptor import UsageError
from filedecryptor.vns import Archive, Client
from filedecryptor.vns.records import MEMORY_NAME as MEMORY

DAILY = "{time:%Y/%m/%d}/{time:%H%M}_{callerId}_{guid}"
NAMED = f"2026/11/24/1805_+1 555_{ONE}"


def entry(
    guid: str, caller: object = "+1 555", end: str = "2026-11-24T18:05:00Z"
) -> dict[str, Any]:
    """Return what the list says of a call."""
    return {"sessionGuid": guid, "callerId": caller, "callEnd": end}


def let_list(api: Server, *entries: dict[str, Any], body: bytes = encrypt(AUDIO)) -> None:
    """Let the account list these, and have their recordings, besides those that it has."""
    listed = json.loads(api.list_body or b"[]")
    api.list_body = json.dumps([*listed, *entries]).encode()
    api.recordings |= {one["sessionGuid"]: body for one in entries}


def test_names(api: Server, place: Place) -> None:
    """A later run uses the same template; one with another renames nothing, and keeps that."""
    let_list(api, entry(ONE))
    words = ("archive", place.url, "--delete-after")
    result = place.run(*words, "--name", DAILY)
    assert (result.code, result.stdout.decode()) == (0, f"{place.url}/{NAMED}.opus\n")
    let_list(api, entry(TWO, None, ""), body=MP3)
    assert place.run(*words).code == 0
    let_list(api, entry(THREE, "9"))
    assert place.run(*words, "--name", "{callerId}/{guid}").code == 0
    let_list(api, entry(NUMBERED[0], "9"))
    assert place.run(*words).code == 0
    names = [f"{NAMED}.opus", f"unknown/unknown_unknown_{TWO}.mp3"]
    names += [f"9/{guid}.opus" for guid in (THREE, NUMBERED[0])]
    assert place.recordings().keys() == set(names)
    for guid, name in zip((ONE, TWO, THREE, NUMBERED[0]), names, strict=True):
        assert place.record(guid)["file"] == name
        assert place.record(guid)["deleted"]
        assert guid in api.deleted
    api.seen.clear()
    check = place.run(*words, "--check", "--name", "{guid}")
    assert (check.code, check.stderr.partition(" in ")[0]) == (0, "4 skipped")
    assert place.run(*words, "--name", "{guid}", "--dry-run").code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 0
    listed = place.run("list", "--archived", place.url)
    assert listed.code == 0
    assert all(name.replace(" ", "") in listed.stdout.decode().replace(" ", "") for name in names)


def test_damage_under_a_name(api: Server, place: Place) -> None:
    """A check tells of each; a run that fetches it again does so under its name."""
    guids = NUMBERED[:5]
    let_list(api, *map(entry, guids))
    assert place.run("archive", place.url, "--name", DAILY).code == 0
    names = [str(place.record(guid)["file"]) for guid in guids]
    place.files.write(names[0], bytes(len(AUDIO)))
    place.files.write(names[1], AUDIO[:-1])
    place.files.remove(names[2])
    place.files.remove(f"{guids[3]}.json")
    tokens, api.tokens = api.tokens, set()
    check = place.run("archive", place.url, "--check")
    assert [name for name in names if f"error: {name}: " in check.stderr] == names[:4]
    listed = place.run("list", "--archived", place.url)
    assert (listed.code, listed.stderr.count("error: ")) == (1, 3)
    api.tokens = tokens
    assert place.run("archive", place.url, "--check", "--name", "{guid}").code == 0
    found = place.recordings()
    assert found == dict.fromkeys([*names, f"{guids[3]}.opus"], AUDIO)
    assert place.record(guids[3])["file"] == f"{guids[3]}.opus"
    assert place.record(guids[2])["file"] == names[2]


def test_what_a_killed_run_has_stored_is_taken_over(api: Server, place: Place) -> None:
    """Audio without a record gets one, in the same place."""
    let_list(api, entry(ONE))
    assert place.run("archive", place.url, "--name", DAILY).code == 0
    before = place.files.versions()[f"{NAMED}.opus"]
    place.files.remove(f"{ONE}.json")
    assert place.run("archive", place.url).code == 0
    assert place.files.versions()[f"{NAMED}.opus"] == before
    assert place.recordings().keys() == {f"{NAMED}.opus"}
    assert place.record(ONE)["file"] == f"{NAMED}.opus"


def test_a_recording_keeps_its_name(api: Server, place: Place) -> None:
    """Stored without a password, decrypted later, fetched once more, listed with another entry."""
    let_list(api, entry(ONE))
    words = ("archive", place.url, "--name", DAILY)
    assert place.run(*words, FILEDECRYPTOR_PASSWORD=None).code == 0
    assert place.record(ONE)["file"] == f"{NAMED}.enc"
    api.list_body = json.dumps([entry(ONE, "another")]).encode()
    assert place.run("archive", place.url).code == 0
    assert place.run("download", ONE, "-d", place.url).code == 0
    assert place.recordings().keys() == {f"{NAMED}.enc", f"{NAMED}.opus"}
    assert place.record(ONE)["file"] == f"{NAMED}.opus"


def test_what_may_be_cut_off_is_named_so(api: Server, place: Place) -> None:
    """Whatever the caller is called, only our own mark says so."""
    let_list(api, entry(ONE), body=AUDIO[:-100])
    let_list(api, entry(TWO, "x.unverified"))
    words = ("archive", place.url, "--delete-after")
    assert place.run(*words, "--name", "{guid}_{callerId}").code == 0
    names = {f"{ONE}_+1 555.unverified.opus", f"{TWO}_x_unverified.opus"}
    assert place.recordings().keys() == names
    assert api.deleted == [TWO]
    api.recordings[ONE] = AUDIO
    assert place.run(*words).code == 0
    assert place.record(ONE)["file"] == f"{ONE}_+1 555.opus"


HOSTILE: list[Any] = [
    "../../../etc/x",
    "/x",
    "C:\\x",
    "index.html",
    f"{TWO}.json",
    ".vns-recordings.json",
]
HOSTILE += ["\0", "\u202e", "\ud800", "a" * 1_000_000, "con", "nul", "-rf", "*", "", " ", "?x=1::"]
HOSTILE += [["x"], {"y": "/"}, True, 1e308, float("inf"), f"{THREE}.opus", "\u5c71" * 500]


@pytest.mark.parametrize(
    "template", ["{callerId}/{guid}", "{guid}_{callerId}", "{guid}/{callerId}"]
)
def test_hostile_callers(api: Server, place: Place, template: str) -> None:
    """All is stored in the archive, and nothing else is touched; a check finds nothing wrong."""
    guids = NUMBERED[: len(HOSTILE)]
    end = "2026-01-01T00:00:00Z"
    let_list(api, *(entry(guid, caller, end) for guid, caller in zip(guids, HOSTILE, strict=True)))
    result = place.run("archive", place.url, "--delete-after", "--name", template, "--page")
    assert (result.code, len(api.deleted)) == (0, len(guids))
    assert set(place.recordings().values()) - {AUDIO} == {place.files.read("index.html")}
    for guid in guids:
        file = str(place.record(guid)["file"])
        assert place.files.read(file) == AUDIO
        assert file.count("/") == template.count("/")
    assert place.run("archive", place.url, "--check").code == 0
    assert place.run("prune", place.url, "--older-than", "8d", "--yes").code == 0
    assert place.recordings().keys() == {"index.html"}


BAD_PLACES = [f"../{ONE}.opus", f"/{ONE}.opus", f"a/../{ONE}.opus", f"a//{ONE}.opus", f"{ONE}.txt"]
BAD_PLACES += [f"a\\{ONE}.opus", f"C:{ONE}.opus", f".x/{ONE}.opus", "x.opus", f"{TWO}.opus", ""]
BAD_PLACES += [f"{ONE}/", f"{ONE}.json", f"{ONE}\0.opus", f"con/{ONE}.opus", f"./{ONE}.opus"]


@pytest.mark.parametrize("file", BAD_PLACES)
def test_a_record_names_no_file_elsewhere(api: Server, tmp_path: Path, file: str) -> None:
    """One that does makes no sense: nothing is looked at, removed or taken for stored."""
    end = "2020-01-01T00:00:00Z"
    api.list_body = json.dumps([entry(ONE, end=end)]).encode()
    vns(api, "archive", "calls", cwd=tmp_path)
    path = tmp_path / "calls" / f"{ONE}.json"
    outside = tmp_path / f"{ONE}.opus"
    outside.write_bytes(AUDIO)
    path.write_text(json.dumps(record(tmp_path / "calls", ONE) | {"file": file}))
    said = f"error: {ONE}.json: this is not the record of a recording"
    for words in (
        ["list", "--archived", "calls"],
        ["prune", "calls", "--older-than", "8d", "--yes"],
    ):
        result = vns(api, *words, cwd=tmp_path)
        assert (result.code, result.lines[0]) == (1, said)
    assert outside.exists()
    assert (tmp_path / "calls" / f"{ONE}.opus").exists()


@posix_only("the numbers of folders")
def test_folders_are_flushed_before_the_deletion(
    api: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All above the audio, also those that another run has just made."""
    let_list(api, entry(ONE))
    audio = tmp_path / "calls" / "x" / "y" / f"{ONE}.opus"
    vns(api, "archive", "calls", "--name", "x/y/{guid}", cwd=tmp_path)
    flushed: set[int] = set()
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.add(os.fstat(descriptor).st_ino)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    at_deletion: set[int] = set()
    api.behaviours.append(
        meanwhile(
            lambda handler: at_deletion.update(flushed if handler.command == "DELETE" else ())
        )
    )
    assert vns(api, "archive", "calls", "--delete-after", cwd=tmp_path).code == 0
    assert api.deleted == [ONE]
    places = [audio, *list(audio.parents)[:3]]
    assert {place.stat().st_ino for place in places} <= at_deletion


def test_a_plan_shows_names(api: Server, tmp_path: Path) -> None:
    """And keeps no template, as nothing is done."""
    let_list(api, entry(ONE))
    dry = vns(api, "archive", "calls", "--dry-run", "--name", DAILY, cwd=tmp_path)
    assert dry.stdout.decode().startswith(f"to fetch: {ONE} (as {NAMED}, ")
    assert not (tmp_path / "calls").exists()
    (tmp_path / "calls").mkdir()
    vns(api, "archive", "calls", "--dry-run", "--name", DAILY, cwd=tmp_path)
    assert not list((tmp_path / "calls").iterdir())
    assert vns(api, "archive", "calls", "--name", DAILY, cwd=tmp_path).code == 0
    let_list(api, entry(TWO))
    dry = vns(api, "archive", "calls", "--dry-run", cwd=tmp_path)
    assert f"to fetch: {TWO} (as {NAMED[:-36]}{TWO}, " in dry.stdout.decode()
    (tmp_path / "calls" / f"{NAMED}.opus").unlink()
    dry = vns(api, "archive", "calls", "--dry-run", "--name", "{guid}/x", cwd=tmp_path)
    assert f"to fetch: {ONE} (as {NAMED}, " in dry.stdout.decode()
    assert f"to fetch: {TWO} (as {TWO}/x, " in dry.stdout.decode()


def test_a_template_that_makes_no_sense(api: Server, tmp_path: Path) -> None:
    """It is refused before anything is done."""
    result = vns(api, "archive", "calls", "--name", "{callerId}", cwd=tmp_path)
    cause = "error: the template of names has no {guid}, so two recordings could get the same name"
    assert (result.code, result.lines[0]) == (2, cause)
    assert result.lines[1] == "hint: a template looks like '{time:%Y/%m/%d}/{callerId}_{guid}'"
    assert not (tmp_path / "calls" / f"{ONE}.json").exists()
    assert api.seen == []


DAMAGED = ['{"name": "x"}', '{"name": "../{guid}"}', '{"name": "{guid}/{password}"}']


@pytest.mark.parametrize("data", DAMAGED)
def test_a_kept_template_that_makes_no_sense(api: Server, tmp_path: Path, data: str) -> None:
    """A warning says so each time, until another is given; the night is done."""
    (tmp_path / MEMORY).write_text(data)
    for _ in range(2):
        result = vns(api, "archive", ".", "-q", cwd=tmp_path)
        assert result.code == 0
        assert result.stderr.count("warning: the template of names") == 1
        assert "names are {guid}, in this run alone" in result.stderr
    assert (tmp_path / f"{ONE}.opus").exists()
    vns(api, "archive", ".", "-q", "--name", "{guid}", cwd=tmp_path)
    assert vns(api, "archive", ".", "-q", cwd=tmp_path).stderr == ""


def test_an_archive_from_python(api: Server, tmp_path: Path) -> None:
    """It takes a template as well, which is checked at once, and names what has no entry."""
    with Client("Marked-Token-123", url=api.url) as client:
        with pytest.raises(UsageError):
            Archive(client, tmp_path, name="x")
        let_list(api, entry(ONE))
        archive = Archive(client, tmp_path, password=PASSWORD, name=DAILY)
        [outcome] = archive.fetch(client.list_recordings())
        assert outcome.output == str(tmp_path / f"{NAMED}.opus")
        api.recordings[TWO] = encrypt(WAV)
        [outcome] = Archive(client, tmp_path, password=PASSWORD).fetch([TWO])
        assert outcome.output == str(tmp_path / "unknown" / f"unknown_unknown_{TWO}.wav")


def test_a_name_that_the_system_refuses(api: Server, tmp_path: Path) -> None:
    """A file is in the way of a folder: the recording is stored by its GUID, rather than lost."""
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "x").touch()
    let_list(api, entry(ONE), entry(TWO))
    words = ("archive", "calls", "--name", "x/{callerId}_{guid}", "--delete-after")
    assert vns(api, *words, cwd=tmp_path).code == 0
    assert record(tmp_path / "calls", ONE)["file"] == f"{ONE}.opus"
    assert (tmp_path / "calls" / f"{ONE}.opus").read_bytes() == AUDIO
    assert sorted(api.deleted) == [ONE, TWO]
    assert vns(api, "archive", "calls", "--check", cwd=tmp_path).code == 0


def test_a_known_recording_keeps_its_folder(api: Server, tmp_path: Path) -> None:
    """If it cannot be stored there any more, that is an error: one GUID has not two files."""
    let_list(api, entry(ONE))
    words = ("archive", "calls", "--name", "x/{guid}")
    assert vns(api, *words, cwd=tmp_path).code == 0
    (tmp_path / "calls" / "x").rename(tmp_path / "y")
    (tmp_path / "calls" / "x").touch()
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, "Is a file, not a directory" in result.stderr) == (1, True)
    assert not (tmp_path / "calls" / f"{ONE}.opus").exists()


@pytest.mark.parametrize("place", ["store"], indirect=True)
def test_a_store_that_is_down_is_not_asked_twice(
    api: Server, place: Place, server: str, tmp_path: Path
) -> None:
    """A name is not what it refuses, so no other is tried."""
    let_list(api, entry(ONE))
    asked: list[str] = []

    def behave(request: Request, forward: Callable[[Request], Answer]) -> Answer:
        if request.method == "PUT" and request.path.endswith(".opus"):
            asked.append(request.path)
            return refusal(500, "InternalError", "We encountered an internal error")
        return forward(request)

    with proxy(server, behave) as between:
        more = {"AWS_ENDPOINT_URL": between.url, "AWS_MAX_ATTEMPTS": "1"}
        assert place.run("archive", place.url, "--name", "x/{guid}", **more).code == 1
    assert len(asked) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["store"], indirect=True)
def test_what_is_missing_under_names(api: Server, place: Place) -> None:
    """One list of the store tells it, of names as well."""
    let_list(api, *map(entry, NUMBERED[:30]))
    assert place.run("archive", place.url, "--name", DAILY).code == 0
    place.files.remove(str(place.record(NUMBERED[3])["file"]))
    words = ("archive", place.url, "--json", "--since", "2026-11-25")
    summary = json.loads(place.run(*words).stdout.splitlines()[-1])
    assert (summary["left_out"], summary["missing"]) == (30, 1)
