"""What an archive knows of each recording, and every way in which that can be damaged."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support import odd_disk
from support.api_server import PATH, TOKEN, Server
from support.places import Place
from support.posix import make_fifo
from support.recordings import AUDIO, BY_FORMAT, encrypt
from support.vns import NUMBERED, ONE, TWO, record, vns

from filedecryptor.terminal import report
from filedecryptor.vns.records import Records


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
        "seconds": 4.816,
    }
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert record(tmp_path, ONE)["deleted"].startswith("20")
    assert api.deleted == [ONE.upper()]
    assert b"token ..." in vns(api, "list", "--json", cwd=tmp_path).stdout


Spoil = Callable[[Path], object]


def in_turn(*steps: Spoil) -> Spoil:
    """Return what does one thing after the other to a file."""

    def spoil(path: Path) -> None:
        for step in steps:
            step(path)

    return spoil


def forget(path: Path) -> None:
    """Remove the record of an audio file."""
    path.with_suffix(".json").unlink()


def written(data: bytes) -> Spoil:
    """Return what writes this into a file."""
    return lambda path: path.write_bytes(data)


def rewritten(pattern: bytes, new: bytes) -> Spoil:
    """Return what replaces something in a file."""
    return lambda path: path.write_bytes(re.sub(pattern, new, path.read_bytes()))


def as_field(name: str, value: object) -> Spoil:
    """Return what gives a record another value of a field."""
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))


def naming_itself(path: Path) -> None:
    """Let a record say of itself that it is the audio, as long as it is."""
    fields = json.loads(path.read_text()) | {"file": path.name}
    texts = (json.dumps(fields | {"size": size}) for size in range(1000))
    path.write_text(next(text for size, text in enumerate(texts) if len(text) == size))


NO_FILES: dict[str, Spoil] = {
    "directory": Path.mkdir,
    "pipe": make_fifo,
    "loop": lambda path: path.symlink_to(path.name),
}

DAMAGES: dict[str, tuple[str, Spoil]] = {
    **{
        f"{name} as record": ("json", in_turn(Path.unlink, make)) for name, make in NO_FILES.items()
    },
    **{f"{name} as audio": ("opus", in_turn(Path.unlink, make)) for name, make in NO_FILES.items()},
    "directory without record": ("opus", in_turn(forget, Path.unlink, Path.mkdir)),
    "huge record": ("json", lambda path: os.truncate(path, 8 << 30)),
    "no record": ("json", Path.unlink),
    "dangling record": ("json", in_turn(Path.unlink, lambda path: path.symlink_to("nowhere"))),
    "cut record": ("json", rewritten(rb"(?s)(.{100}).*", rb"\1")),
    "zeroed record": ("json", rewritten(rb"(?s).", b"\0")),
    "record that is not text": ("json", rewritten(rb"\A", b"\xff\xfe")),
    "record of itself": ("json", naming_itself),
    "record of another": ("json", rewritten(rb"0000-4000", b"0000-4001")),
    **{
        f"record: {data[:9]!r}": ("json", written(data))
        for data in (b"", b"{", b"[]", b"null", b"{}", b"[" * 100_000, b"\xff")
    },
    **{
        f"record: {name}={value}": ("json", as_field(name, value))
        for name, value in [
            *(("file", name) for name in ("../x.opus", f"{ONE}.opus", f"{ONE}.json", None)),
            *(("size", True), ("size", "1"), ("sha256", None), ("guid", TWO), ("format", 3)),
        ]
    },
    "huge audio": ("opus", lambda path: os.truncate(path, 256 << 30)),
    "no audio": ("opus", Path.unlink),
    "short audio": ("opus", written(AUDIO[:-1])),
    "altered audio": ("opus", written(AUDIO[:-1] + b"x")),
    "dangling audio": ("opus", in_turn(Path.unlink, lambda path: path.symlink_to("nowhere"))),
    "empty audio without record": ("opus", in_turn(forget, written(b""))),
    "audio as long without record": ("opus", in_turn(forget, written(bytes(len(AUDIO))))),
    "audio under another name": (
        "opus",
        in_turn(forget, lambda path: path.rename(path.with_suffix(".mp3"))),
    ),
}


STAYS = {"directory without record", "directory as audio", "pipe as audio"}
STAYS |= {f"{name} as record" for name in NO_FILES}
"""What a run cannot read or replace, so that it is an error."""


def test_damage(api: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the file, also without a server; nothing is deleted before it is mended."""
    run, calls = partial(vns, api, cwd=tmp_path), tmp_path / "calls"
    monkeypatch.setattr(report, "MOST_ERRORS", len(DAMAGES))
    guids = dict(zip(DAMAGES, NUMBERED, strict=False))
    api.recordings = dict.fromkeys([*guids.values(), ONE], encrypt(AUDIO))
    on_server = dict(api.recordings)
    assert run("archive", "calls", "--delete-after").code == 0
    (tmp_path / "x.opus").write_bytes(AUDIO)
    others: dict[str, Spoil] = {"notes.txt": Path.touch, "below": Path.mkdir, **NO_FILES}
    for name, make in others.items():
        make(calls / name)
    clean = run("archive", "calls", "--check")
    assert (clean.code, clean.lines[0].partition(";")[0]) == (0, f"{len(on_server)} verified")
    for name, (suffix, spoil) in DAMAGES.items():
        spoil(calls / f"{guids[name]}.{suffix}")
    listed = run("list", "--archived", "calls")
    assert listed.code == 1
    tokens, api.tokens = api.tokens, set()
    for words in ((), ("--dry-run",)):
        check = run("archive", "calls", "--check", *words)
        assert check.lines[0] == "error: the API refused the token (status 401)"
        summary = f"1 verified, {len(DAMAGES) - 1} failed"
        assert (check.code, check.lines[-1].partition(";")[0]) == (1, summary)
        for name, guid in guids.items():
            pattern = rf"(?m)^error: {guid}\.(json|opus|mp3): "
            is_file = name != "directory without record"
            assert len(re.findall(pattern, check.stderr)) == is_file, name
            # The length of altered audio is right: only `--check` reads it.
            is_seen = is_file and name != "altered audio"
            assert len(re.findall(pattern, listed.stderr)) == is_seen, name
    api.tokens, api.recordings, api.deleted = tokens, dict(on_server), []
    api.seen.clear()
    dry = run("archive", "calls", "--dry-run")
    assert dry.lines[-1].startswith(f"{len(DAMAGES) - 4} to fetch, 2 skipped, 3 failed")
    result = run("archive", "calls", "--delete-after", "--check")
    assert (result.code, result.stderr.count("error: ")) == (1, len(STAYS))
    assert "not tried" not in result.stderr
    assert api.count("GET", f"{PATH}/{ONE}") == 0
    assert {name for name, guid in guids.items() if guid not in api.deleted} == STAYS
    for guid in api.deleted:
        assert (calls / f"{guid}.opus").read_bytes() == AUDIO
        assert record(calls, guid)["file"] == f"{guid}.opus"
        assert record(calls, guid)["size"] == len(AUDIO)


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
    assert heads.split() == ["call", "file", "size", "callerId", "authenticated", "deleted"]
    assert row.split()[:3] == ["null", f"{ONE}.opus", str(len(AUDIO))]
    assert "555 \\x1b[31m" in row
    found = json.loads(vns(api, *words, "--json", cwd=tmp_path, VNS_API_TOKEN=None).stdout)
    assert found == record(tmp_path / "calls", ONE)
    assert api.seen == []


def test_the_list_of_an_archive_is_sorted(api: Server, tmp_path: Path) -> None:
    """By the call's time, then by when it was fetched; in 100 columns, with each GUID once."""
    ends = {NUMBERED[3]: "2026-11-24T09:00:00Z", NUMBERED[1]: "2026-11-23T23:00:00-11:00"}
    ends |= {NUMBERED[2]: "2026-11-24T08:00:00Z", NUMBERED[0]: ""}
    api.recordings = dict.fromkeys(ends, encrypt(AUDIO))
    more = {"start": "2020-01-01T00:00:00Z", "callerId": "+15551234567", "to": "+15557654321"}
    more |= {"note": "x" * 80, "status": "ended"}
    entries = [{"sessionGuid": guid, "callEnd": end, **more} for guid, end in ends.items()]
    entries[3] = {"sessionGuid": NUMBERED[0]}
    api.list_body = json.dumps(entries).encode()
    vns(api, "archive", "calls", "--delete-after", cwd=tmp_path)
    api.recordings = dict.fromkeys([ONE, TWO], encrypt(AUDIO))
    vns(api, "download", ONE, TWO, "-d", "calls", cwd=tmp_path)
    path = tmp_path / "calls" / f"{ONE}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fetched": "2199-01-01T00:00:00Z"}))
    order = [NUMBERED[2], NUMBERED[3], NUMBERED[1], NUMBERED[0], TWO, ONE]
    words = ("list", "--archived", "calls")
    heads, *rows = vns(api, *words, cwd=tmp_path).stdout.decode().splitlines()
    assert heads.split() == ["call", "file", "size", "callerId", "to"]
    assert [row.split()[1] for row in rows] == [f"{guid}.opus" for guid in order]
    assert (
        rows[2].split()
        == f"2026-11-24T10:00Z {NUMBERED[1]}.opus 14165 {more['callerId']} {more['to']}".split()
    )
    assert all(len(row) <= 100 and row.count("-4000-") == 1 for row in rows)
    lines = vns(api, *words, "--json", cwd=tmp_path).stdout.splitlines()
    assert [json.loads(line)["guid"] for line in lines] == order
    assert json.loads(lines[0]) == record(tmp_path / "calls", order[0])


def test_other_archives_below(api: Server, place: Place) -> None:
    """What they hold is recorded there; what a system keeps of files that are gone is nobody's."""
    place.run("archive", place.url)
    for name in (f"eu/{TWO}.opus", f"eu/{TWO}.json", f".snapshot/x/{NUMBERED[3]}.opus"):
        place.files.write(name, b"x")
    assert place.run("archive", place.url, "--check").code == 0
    place.files.write(f"eu/{NUMBERED[4]}.opus", b"x")
    result = place.run("archive", place.url, "--check")
    assert (result.code, result.stderr.count("there is no record of it")) == (1, 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "flac"},
        {"format": "mp3"},
        {"file": f"{ONE}.enc"},
        {"file": f"{TWO}/{ONE}.opus"},
    ],
)
def test_a_record_that_does_not_fit_itself(
    api: Server, tmp_path: Path, fields: dict[str, object]
) -> None:
    """It makes no sense, and nothing is deleted on the server for it."""
    vns(api, "archive", "calls", cwd=tmp_path)
    old = record(tmp_path / "calls", ONE)
    del old["seconds"]
    (tmp_path / "calls" / f"{ONE}.json").write_text(json.dumps(old | fields))
    result = vns(api, "list", "--archived", "calls", cwd=tmp_path)
    assert (result.code, "this is not the record of a recording" in result.stderr) == (1, True)
    api.recordings[ONE] = b"no recording"
    assert vns(api, "archive", "calls", "--delete-after", "--check", cwd=tmp_path).code == 7
    assert api.deleted == []


def test_a_length_that_cannot_be_written(api: Server, tmp_path: Path) -> None:
    """The recording is no worse for it: a check on a full disk finds it whole."""
    vns(api, "archive", "calls", cwd=tmp_path)
    old = record(tmp_path / "calls", ONE)
    (tmp_path / "calls" / f"{ONE}.json").write_text(json.dumps(old | {"seconds": None}))
    with odd_disk.mounted(tmp_path, "room=1", root=tmp_path / "calls") as disk:
        [(_, seen, error)] = Records(str(disk)).all(read=True, update=True)
    assert error is None
    assert seen is not None
    assert seen.seconds == LENGTHS["opus"]


LENGTHS = {"opus": 4.816, "mp3": 4.896, "wav": 4.816}


def test_lengths(api: Server, place: Place) -> None:
    """Of all formats, decrypted or not; a check gives them to records that do not tell them."""
    bodies: list[tuple[bytes, str | None, float | None]] = [
        *((encrypt(audio), kind, LENGTHS[kind]) for kind, audio in BY_FORMAT.items()),
        *((audio, kind, LENGTHS[kind]) for kind, audio in BY_FORMAT.items()),
        (encrypt(b"fLaC"), None, None),
        (encrypt(AUDIO, "another"), None, None),
        (b"RIFF\0\0\0\0WAVE" + bytes(40), "wav", None),
    ]
    guids = dict(zip(NUMBERED, bodies, strict=False))
    api.recordings = {guid: body for guid, (body, _, _) in guids.items()}
    words = ("archive", place.url, "--keep-encrypted", "--name", "{guid}/x")
    place.run(*words)

    def lengths() -> dict[str, object]:
        found = {guid: place.record(guid) for guid in guids}
        assert {guid: one["format"] for guid, one in found.items()} == {
            guid: kind for guid, (_, kind, _) in guids.items()
        }
        return {guid: one.get("seconds") for guid, one in found.items()}

    told = {guid: seconds for guid, (_, _, seconds) in guids.items()}
    assert lengths() == told
    for guid in guids:
        fields = {key: one for key, one in place.record(guid).items() if key != "seconds"}
        place.files.write(f"{guid}.json", json.dumps(fields).encode())
    place.run("archive", place.url)
    for guid in NUMBERED[:2]:
        del api.recordings[guid]  # which a check finds in another way
    place.run("archive", place.url, "--check", "--dry-run")
    assert set(lengths().values()) == {None}
    place.run("archive", place.url, "--check")
    assert lengths() == told


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", []])
def test_a_length_is_a_number(api: Server, tmp_path: Path, seconds: object) -> None:
    """A record that says something else makes no sense."""
    vns(api, "archive", ".", cwd=tmp_path)
    as_field("seconds", seconds)(tmp_path / f"{ONE}.json")
    result = vns(api, "list", "--archived", ".", cwd=tmp_path)
    assert result.lines == [f"error: {ONE}.json: this is not the record of a recording"]
