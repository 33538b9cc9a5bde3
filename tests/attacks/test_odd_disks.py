"""Disks that lack what others have: outputs appear whole all the same, and nothing else stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import odd_disk
from support.commands import run
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, encrypt

LONG = AUDIO + bytes(9_000_000)

pytestmark = pytest.mark.skipif(not odd_disk.is_possible(), reason=odd_disk.REASON)


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of the kind that the test asks for."""
    with odd_disk.mounted(tmp_path, request.param) as path:
        yield path


@pytest.mark.parametrize("disk", ["busy"], indirect=True)
@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
def test_a_disk_that_leaves_open_files_alone(disk: Path, audio: bytes, if_exists: str) -> None:
    """It renames and removes only what is closed, links nothing, and flushes no directories."""
    recording = encrypt(audio, PASSWORD)
    (disk / "a.enc").write_bytes(recording)
    result = run("--if-exists", if_exists, "a.enc", PASSWORD, "opus", cwd=disk)
    assert (result.code, result.stdout, result.stderr) == (0, b"a.opus\n", "")
    assert contents(disk) == {"a.enc": recording, "a.opus": audio}
    if if_exists == "replace":
        (disk / "a.opus").write_bytes(b"old")
        assert run("a.enc", PASSWORD, "opus", cwd=disk).code == 0
        assert contents(disk) == {"a.enc": recording, "a.opus": audio}


@pytest.mark.parametrize("disk", ["busy", "folding"], indirect=True)
@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
def test_what_fails_leaves_nothing_there(disk: Path, audio: bytes) -> None:
    """A wrong password writes nothing, and an output that appears meanwhile is left alone."""
    (disk / "a.enc").write_bytes(encrypt(audio, PASSWORD))
    before = contents(disk)
    assert run("a.enc", "wrong", "opus", cwd=disk).code == 3
    assert contents(disk) == before
    (disk / "a.opus").mkdir()
    assert run("a.enc", PASSWORD, "opus", cwd=disk).code == 1
    assert contents(disk) == {**before, "a.opus": None}
