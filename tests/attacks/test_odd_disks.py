"""Disks that lack what others have: outputs appear whole all the same, and nothing else stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import odd_disk
from support.commands import run
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, encrypt

from filedecryptor import UsageError
from filedecryptor.jobs.job import Job, Shared, do_job, try_job
from filedecryptor.storage.output import Written

LONG = AUDIO + bytes(9_000_000)
OTHER = AUDIO[:-1]

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


@pytest.mark.parametrize("disk", ["folding"], indirect=True)
@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
def test_two_recordings_have_no_output_in_common(disk: Path, if_exists: str) -> None:
    """Where nothing told before, the second of them fails; the first one's audio stays."""
    for name, audio in (("one", AUDIO), ("other", AUDIO[::-1])):
        (disk / f"{name}.enc").write_bytes(encrypt(audio, PASSWORD))
    shared = Shared(Written())
    jobs = [
        Job(str(disk / f"{name}.enc"), "opus", output=str(disk / output), if_exists=if_exists)  # type: ignore[arg-type]
        for name, output in (("one", "Call.opus"), ("other", "call.opus"))
    ]
    do_job(jobs[0], PASSWORD, shared=shared)
    error = try_job(jobs[1], PASSWORD, shared=shared).error
    assert isinstance(error, UsageError)
    assert (error.exit_code, error.filename) == (2, jobs[1].input)
    assert "same output" in str(error)
    found = contents(disk)
    assert found["Call.opus"] == AUDIO
    assert set(found) == {"one.enc", "other.enc", "Call.opus"}
