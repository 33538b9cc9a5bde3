"""Batches that somebody interrupts, at the worst moments: exit 130, and nothing half-done stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import encryptor
from support.commands import COMMAND, children, has_ended, wait_until
from support.folders import contents
from support.recordings import PASSWORD, encrypt

INTERRUPTIONS = 60
"""Runs that are interrupted; the same again and again is a matter of patience."""

AUDIO = os.urandom(3_000_000)

INTERRUPTED = b"filedecryptor: error: interrupted\n"

SLOW_FLUSH = """
import os, sys, time
from filedecryptor.__main__ import main
real = os.fsync
def fsync(descriptor):
    open('flushing', 'w').close(); time.sleep(20); real(descriptor)
os.fsync = fsync
sys.exit(main())
"""
"""The command on a disk that takes longer to flush than anybody waits."""

ONLY_NAMES = """
import os
open_any = os.open
def open_named(path, flags, *words, **options):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(95, 'Operation not supported')
    return open_any(path, flags, *words, **options)
os.open = open_named
"""
"""What makes it a disk without nameless files as well."""


def fill(folder: Path, count: int, recording: bytes) -> None:
    """Make a folder of recordings."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}.enc").write_bytes(recording)


def begin(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a batch."""
    return subprocess.Popen(
        [*(words or [COMMAND]), ".", PASSWORD, "wav", "-j", "30"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def interrupt(process: subprocess.Popen[bytes], name: str, folder: Path, recording: bytes) -> int:
    """Interrupt a batch, look at what it leaves, and return its code."""
    process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(timeout=15)
    after = {name: found for name, found in contents(folder).items() if name != "flushing"}
    assert set(after.values()) <= {AUDIO, recording}
    assert all(name.endswith((".enc", ".wav")) for name in after)
    if process.returncode == 0:  # it was done already
        assert sum(name.endswith(".wav") for name in after) * 2 == len(after)
    else:
        assert process.returncode == 130, stderr
        assert stderr.endswith(INTERRUPTED)
    return process.returncode


def interrupt_often(folder: Path, count: int) -> None:
    """Interrupt batches soon after they have begun."""
    chance = random.Random(folder.name)  # noqa: S311 - chance that can be repeated
    recording = encrypt(AUDIO, PASSWORD)
    fill(folder, 60, recording)
    for _ in range(count):
        process = begin(folder)
        # By then the handlers are there, and threads are being started.
        tasks = Path(f"/proc/{process.pid}/task")
        while process.poll() is None and len(list(tasks.iterdir())) == 1:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2))
        interrupt(process, chance.choice(["SIGINT", "SIGTERM", "SIGHUP"]), folder, recording)
        for path in folder.glob("*.wav"):
            path.unlink()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_interrupted_batches_leave_nothing(tmp_path: Path) -> None:
    """Also where the signal comes while a thread is just being started."""
    with ThreadPoolExecutor() as pool:
        folders = [tmp_path / "one", tmp_path / "two"]
        list(pool.map(interrupt_often, folders, [INTERRUPTIONS // 2] * 2))


@pytest.mark.slow
@pytest.mark.parametrize("prepare", ["", ONLY_NAMES], ids=["nameless", "named"])
def test_a_slow_flush_is_not_waited_for(tmp_path: Path, prepare: str) -> None:
    """The command ends some seconds later, and what was being written has no name, or none now."""
    folder, recording = tmp_path / "folder", encrypt(AUDIO, PASSWORD)
    fill(folder, 3, recording)
    process = begin(folder, sys.executable, "-c", prepare + SLOW_FLUSH)
    wait_until((folder / "flushing").exists)
    assert any(folder.glob(".filedecryptor-*")) == bool(prepare)
    assert interrupt(process, "SIGTERM", folder, recording) == 130
    assert not list(folder.glob("*.wav"))


@pytest.mark.slow
@pytest.mark.real_iterations
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("when", ["compiling", "deriving"])
@pytest.mark.parametrize("times", range(5))
def test_the_lanes_do_not_delay_the_end(tmp_path: Path, when: str, times: int) -> None:
    """Neither while they are compiled, nor while they derive keys, in pieces."""
    pytest.importorskip("llvmlite", reason="the extra lanes is not installed")
    folder, recording = tmp_path / "folder", encryptor.encrypt(AUDIO, PASSWORD)
    fill(folder, 200, recording)
    process = begin(folder)
    wait_until(lambda: bool(children(process.pid)))
    [child] = children(process.pid)
    if when == "deriving":
        wait_until(lambda: len(list(folder.glob("*.wav"))) > 25)
    time.sleep(0.02 * times)
    assert interrupt(process, "SIGINT", folder, recording) == 130
    wait_until(lambda: has_ended(child))
