"""How the command ends when somebody ends it."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import COMMAND, PASSWORD, contents, nothing_changes


def wait_for_a_temporary_file(folder: Path) -> None:
    """Return once the command has begun its output."""
    deadline = time.monotonic() + 30
    while not any(path.name.startswith(".filedecryptor-") for path in folder.iterdir()):
        assert time.monotonic() < deadline, contents(folder)
        time.sleep(0.01)


def begin(folder: Path, encrypted_audio: bytes) -> subprocess.Popen[bytes]:
    """Start a run that waits in the middle of its input."""
    process = subprocess.Popen(
        [COMMAND, "-", PASSWORD, "opus", "-o", "a.opus"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(encrypted_audio[:5000])
    process.stdin.flush()
    wait_for_a_temporary_file(folder)
    return process


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_nothing_behind(folder: Path, encrypted_audio: bytes, name: str) -> None:
    """The temporary file goes, the old output stays, the exit code is 130."""
    (folder / "a.opus").write_bytes(b"old")
    with nothing_changes(folder):
        process = begin(folder, encrypted_audio)
        process.send_signal(getattr(signal, name))
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr == b"filedecryptor: error: interrupted\n"


def test_nohup_is_respected(folder: Path, encrypted_audio: bytes) -> None:
    """A hangup that was to be ignored is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = begin(folder, encrypted_audio)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    process.communicate(encrypted_audio[5000:], timeout=30)
    assert process.returncode == 0
    assert "a.opus" in contents(folder)
