"""`page` and `archive --page`: what is written, where, and for whom, on a disk and in a store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import TOKEN, Server
from support.folders import nothing_changes
from support.places import Place
from support.posix import posix_only
from support.recordings import PASSWORD
from support.vns import ONE, TWO, record, vns

if TYPE_CHECKING:
    from support.bucket import Bucket


def page_in(place: Place) -> str:
    """Return the page of an archive."""
    return (place.files.read("index.html") or b"").decode()


def test_page(api: Server, place: Place) -> None:
    """All records are in it, and neither token nor password; no API is asked."""
    api.list_body = json.dumps([{"sessionGuid": ONE, "callerId": "+1 555 0199"}]).encode()
    place.run("archive", place.url)
    assert page_in(place) == ""
    api.seen.clear()
    result = place.run("page", place.url, VNS_API_TOKEN=None)
    assert (result.code, result.stdout.decode()) == (0, f"{place.url}/index.html\n")
    assert f'"{ONE}.opus"' in page_in(place)
    assert "+1 555 0199" in page_in(place)
    assert api.seen == []
    for secret in (TOKEN, PASSWORD):
        assert secret not in page_in(place)


def test_archive_writes_the_page(api: Server, place: Place) -> None:
    """After each run, also one that fails; not in a dry run. It says nothing of it."""
    words = ("archive", place.url, "--page")
    place.run(*words, "--dry-run")
    assert page_in(place) == ""
    result = place.run(*words)
    assert (result.code, result.stdout.decode()) == (0, f"{place.url}/{ONE}.opus\n")
    assert f'"{ONE}.opus"' in page_in(place)
    place.files.remove(f"{ONE}.json")
    api.tokens = set()
    assert place.run(*words).code == 6
    assert f'"{ONE}.opus"' not in page_in(place)


def test_what_is_not_there(api: Server, place: Place) -> None:
    """What is gone is shown as missing, a record that makes no sense is an error, the rest is there."""
    place.run("archive", place.url, "--page")
    assert '"missing"' not in page_in(place)
    place.files.remove(f"{ONE}.opus")
    place.files.write(f"{TWO}.json", b"{}")
    result = place.run("page", place.url)
    said = f"error: {TWO}.json: this is not the record of a recording\n"
    assert (result.code, result.stderr) == (1, said)
    assert '"missing"' in page_in(place)


def test_another_page_is_not_replaced(api: Server, place: Place) -> None:
    """It is an error, which a run tells after its work."""
    place.files.write("index.html", b"<p>mine")
    for words in (["page", place.url], ["archive", place.url, "--page"]):
        result = place.run(*words)
        assert result.code == 1
        assert (
            f"error: {place.url}/index.html: it was not written by vns-recordings" in result.stderr
        )
    assert page_in(place) == "<p>mine"
    assert place.record(ONE)


@pytest.mark.parametrize("words", [["page"], ["prune", "--older-than", "8d"]])
@pytest.mark.parametrize(
    ("name", "cause"),
    [("x", "there is no such directory"), ("file", "this is a file, not a directory")],
)
def test_no_archive(tmp_path: Path, api: Server, words: list[str], name: str, cause: str) -> None:
    """Nothing is made."""
    (tmp_path / "file").touch()
    with nothing_changes(tmp_path):
        result = vns(api, words[0], name, *words[1:], cwd=tmp_path)
    assert (result.code, result.lines[0]) == (2, f"error: {name}: {cause}")


@pytest.mark.parametrize("line", ["page", "prune --older-than 8d", "list --archived"])
def test_no_archive_in_a_store(tmp_path: Path, api: Server, bucket: Bucket, line: str) -> None:
    """A store has no directories, and the error speaks of none."""
    result = vns(api, *line.split(), f"{bucket.url}/x", cwd=tmp_path, **bucket.env)
    assert (result.code, result.lines) == (2, [f"error: {bucket.url}/x: nothing is stored there"])


@posix_only("permissions")
@pytest.mark.parametrize(
    ("mode", "umask", "expected"),
    [(0o755, 0o022, 0o644), (0o700, 0o022, 0o600), (0o750, 0o002, 0o640), (0o755, 0o077, 0o600)],
)
def test_permissions(api: Server, tmp_path: Path, mode: int, umask: int, expected: int) -> None:
    """Who can read neither the directory nor a new file there, cannot read the page."""
    folder = tmp_path / "calls"
    folder.mkdir()
    folder.chmod(mode)
    before = os.umask(umask)
    try:
        for _ in range(2):
            assert vns(api, "archive", "calls", "--page", cwd=tmp_path).code == 0
            assert (folder / "index.html").stat().st_mode & 0o777 == expected
    finally:
        os.umask(before)
    assert record(folder, ONE)


@pytest.mark.parametrize("place", ["store"], indirect=True)
def test_a_browser_shows_what_is_in_a_store(api: Server, place: Place) -> None:
    """The store says what the page is, and what the audio is."""
    place.run("archive", place.url, "--page")
    bucket = place.files.bucket  # type: ignore[union-attr]
    types = {"index.html": "text/html; charset=utf-8", f"{ONE}.opus": "audio/ogg"}
    for name, kind in types.items():
        head = bucket.client.head_object(Bucket=bucket.name, Key=f"calls/{name}")
        assert head["ContentType"] == kind
