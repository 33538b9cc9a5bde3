"""What an audio file has in common with its recording."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from support.commands import COMMAND, run, run_process
from support.posix import posix_only
from support.recordings import AUDIO, PASSWORD, encrypt

from filedecryptor.storage import atomic

TIME = 1_700_000_000_123_456_700
"""Nanoseconds since 1970, as fine as NTFS keeps them."""

LONG = AUDIO * 700
"""More than stays in memory."""


@pytest.fixture(params=["with a name", "without a name"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new files have names, or none, where there is such a thing."""
    if request.param == "with a name":
        monkeypatch.setattr(atomic, "nameless", lambda *_: None)


def recording(folder: Path, audio: bytes = AUDIO, mode: int = 0o600) -> Path:
    """Return a recording with permissions and a time of its own."""
    path = folder / "a.enc"
    path.write_bytes(encrypt(audio))
    path.chmod(mode)
    os.utime(path, ns=(TIME, TIME))
    return path


def mode_of(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
@pytest.mark.usefixtures("way")
def test_the_time_is_that_of_the_recording(tmp_path: Path, audio: bytes) -> None:
    """So recordings and their audio sort by the call."""
    recording(tmp_path, audio)
    assert run("a.enc", PASSWORD, "opus", cwd=tmp_path).code == 0
    assert (tmp_path / "a.opus").stat().st_mtime_ns == TIME
    assert run(".", PASSWORD, "opus", "-d", "out", cwd=tmp_path).code == 0
    assert (tmp_path / "out" / "a.opus").stat().st_mtime_ns == TIME


@posix_only("permissions")
@pytest.mark.parametrize(
    ("mode", "umask", "expected"),
    [
        (0o600, 0o022, 0o600),
        (0o640, 0o022, 0o640),
        (0o644, 0o077, 0o600),
        (0o666, 0o022, 0o644),
        (0o755, 0o002, 0o644),
        (0o444, 0o022, 0o444),
        (0o400, 0o000, 0o400),
        (0o4711, 0o000, 0o600),
    ],
    ids=oct,
)
@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
@pytest.mark.usefixtures("way")
def test_permissions_are_no_more_than_the_recording_has(
    tmp_path: Path, mode: int, umask: int, expected: int, audio: bytes
) -> None:
    """And no more than the umask leaves, also where it replaces a file that had others."""
    recording(tmp_path, audio, mode)
    for _ in range(2):
        before = os.umask(umask)
        try:
            assert run("a.enc", PASSWORD, "opus", cwd=tmp_path).code == 0
        finally:
            os.umask(before)
        assert mode_of(tmp_path / "a.opus") == expected
        (tmp_path / "a.opus").chmod(0o666)


@posix_only("permissions")
def test_no_file_is_ever_open_to_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when it is made: whoever opened it then could read all that is written to it."""
    asked = []
    open_really = os.open

    def watched(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & (os.O_CREAT | getattr(os, "O_TMPFILE", 0)) and ".enc" not in path:
            asked.append(mode)
        return open_really(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", watched)
    recording(tmp_path)
    for _ in range(2):
        assert run("a.enc", PASSWORD, "opus", cwd=tmp_path).code == 0
    assert asked
    assert set(asked) <= {0o600}


def test_standard_input_that_is_a_file_counts_as_well(tmp_path: Path) -> None:
    """Its permissions and its time are those of the recording."""
    path = recording(tmp_path)
    with path.open("rb") as stdin:
        words = [COMMAND, "-", PASSWORD, "opus", "-o", "x.opus"]
        subprocess.run(words, check=True, cwd=tmp_path, stdin=stdin)
    assert (tmp_path / "x.opus").stat().st_mtime_ns == TIME


def test_a_pipe_has_neither(tmp_path: Path) -> None:
    """The audio is new then, with what the umask leaves."""
    done = run_process("-", PASSWORD, "opus", "-o", "x.opus", cwd=tmp_path, stdin=encrypt(AUDIO))
    assert done.code == 0
    (tmp_path / "new").touch()
    assert mode_of(tmp_path / "x.opus") == mode_of(tmp_path / "new")
    assert abs((tmp_path / "x.opus").stat().st_mtime - (tmp_path / "new").stat().st_mtime) < 60
