"""The disk says no: exit 1, a clear line, and the old output as it was; or it lacks something.

A full disk, a limit of the file's size and directories that cannot be written to are in the tests
of the command.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import odd_disk
from support.commands import begin, run
from support.folders import contents, nothing_changes
from support.posix import posix_only
from support.recordings import AUDIO, PASSWORD, encrypt

FAILING = Path(__file__).parents[1] / "support" / "failing.py"

REFUSALS = {
    "the flush fails": ("os.fsync", "EIO", "Input/output error"),
    "the disk is full at the flush": ("os.fsync", "ENOSPC", "No space left on device"),
    "the quota is used up at the flush": ("os.fsync", "EDQUOT", "Disk quota exceeded"),
    "the rename is not allowed": ("os.replace", "EPERM", "Operation not permitted"),
    "the rename fails": ("os.replace", "EIO", "Input/output error"),
    "the rename has no room": ("os.replace", "ENOSPC", "No space left on device"),
}
HINTED = {"ENOSPC", "EDQUOT"}


def run_failing(
    folder: Path, function: str, error: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Decrypt `a.enc`, while each call of a function fails."""
    words = [str(FAILING), function, error, "--", *options, "a.enc", PASSWORD, "opus"]
    return subprocess.run(
        [sys.executable, *words], check=False, cwd=folder, capture_output=True, text=True
    )


@posix_only("calls of this kind")
@pytest.mark.parametrize("many", [[], ["-d", "."]], ids=["one", "batch"])
@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_system_refuses_changes_nothing(folder: Path, case: str, many: list[str]) -> None:
    """One line names the output and the cause, a hint follows where there is something to do."""
    function, number, cause = REFUSALS[case]
    (folder / "a.opus").write_bytes(b"old")
    with nothing_changes(folder):
        done = run_failing(folder, function, number, *many)
    assert (done.returncode, done.stdout) == (1, "")
    name = "./a.opus" if many else "a.opus"
    expected = [f"error: {name}: {cause}"]
    expected += ["hint: make room, then run this again"] if number in HINTED else []
    said = [line.removeprefix("filedecryptor: ") for line in done.stderr.splitlines()]
    assert said[: len(expected)] == expected


@pytest.mark.parametrize("function", ["os.link", "os.unlink", "os.fchmod", "os.scandir"])
def test_a_disk_without_links_or_removals_or_permissions(folder: Path, function: str) -> None:
    """The output appears whole all the same, and nothing else."""
    done = run_failing(folder, function, "EIO", "--if-exists", "fail")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.opus\n", "")
    assert contents(folder)["a.opus"] == AUDIO
    assert len(contents(folder)) == 2


def test_an_output_that_becomes_a_directory_meanwhile(folder: Path, encrypted_audio: bytes) -> None:
    """What somebody has put there stays, with what is in it."""
    process = begin(folder, encrypted_audio)
    (folder / "a.opus").mkdir()
    (folder / "a.opus" / "precious").write_bytes(b"precious")
    _, stderr = process.communicate(encrypted_audio[5000:], timeout=30)
    assert process.returncode == 1
    assert stderr == b"filedecryptor: error: a.opus: Is a directory\n"
    assert contents(folder) == {
        "a.enc": encrypted_audio,
        "a.opus": None,
        "a.opus/precious": b"precious",
    }


def test_a_directory_that_goes_away_meanwhile(folder: Path, encrypted_audio: bytes) -> None:
    """There is no place for the output any more; nothing is made elsewhere."""
    (folder / "sub").mkdir()
    process = begin(folder, encrypted_audio, output="sub/a.opus")
    (folder / "sub").rmdir()
    _, stderr = process.communicate(encrypted_audio[5000:], timeout=30)
    assert process.returncode == 1
    assert stderr.splitlines() == [
        b"filedecryptor: error: sub/a.opus: No such file or directory",
        b"filedecryptor: hint: there is no directory sub",
    ]
    assert contents(folder) == {"a.enc": encrypted_audio}


# Disks that lack what others have.

LONG = AUDIO + bytes(9_000_000)


@pytest.fixture
def odd(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of the kind that the test asks for."""
    with odd_disk.mounted(tmp_path, request.param) as path:
        yield path


@pytest.mark.parametrize("odd", ["busy"], indirect=True)
@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
def test_a_disk_that_leaves_open_files_alone(odd: Path, audio: bytes, if_exists: str) -> None:
    """It renames and removes only what is closed, links nothing, and flushes no directories."""
    recording = encrypt(audio, PASSWORD)
    (odd / "a.enc").write_bytes(recording)
    result = run("--if-exists", if_exists, "a.enc", PASSWORD, "opus", cwd=odd)
    assert (result.code, result.stdout, result.stderr) == (0, b"a.opus\n", "")
    assert contents(odd) == {"a.enc": recording, "a.opus": audio}
    if if_exists == "replace":
        (odd / "a.opus").write_bytes(b"old")
        assert run("a.enc", PASSWORD, "opus", cwd=odd).code == 0
        assert contents(odd) == {"a.enc": recording, "a.opus": audio}


@pytest.mark.parametrize("odd", ["busy", "folding"], indirect=True)
@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
def test_what_fails_leaves_nothing_there(odd: Path, audio: bytes) -> None:
    """A wrong password writes nothing, and an output that appears meanwhile is left alone."""
    (odd / "a.enc").write_bytes(encrypt(audio, PASSWORD))
    before = contents(odd)
    assert run("a.enc", "wrong", "opus", cwd=odd).code == 3
    assert contents(odd) == before
    (odd / "a.opus").mkdir()
    assert run("a.enc", PASSWORD, "opus", cwd=odd).code == 1
    assert contents(odd) == {**before, "a.opus": None}
