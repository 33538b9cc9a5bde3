"""SIGKILL and signals that ask for an end, at any moment: no half-written output, nothing left behind.

What is killed may leave whole audio under a temporary name; what is interrupted exits with 130.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pytest
from support import encryptor
from support.commands import COMMAND, begin, children, has_ended, run, run_process, wait_until
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, encrypt

LEFTOVER = re.compile(r"\.filedecryptor-[0-9a-f]{16}\.tmp")
LONG = 9_000_000
"""Bytes of audio that are too many for the memory, so that they are written as they come."""

LARGE = os.urandom(3_000_000)
"""Audio that takes a while to be written."""


def fill(folder: Path, count: int, recording: bytes) -> None:
    """Make a folder of recordings: links to one, as hundreds of megabytes take long to write."""
    first = folder / "000.enc"
    first.write_bytes(recording)
    for number in range(1, count):
        (folder / f"{number:03}.enc").hardlink_to(first)


def are_only(found: Mapping[str, object], *allowed: bytes) -> bool:
    """Return whether all that was found is one of these. A set would take longer: it hashes."""
    return all(one in allowed for one in found.values())


def start(
    folder: Path, *words: str, command: Sequence[str] = (COMMAND,)
) -> subprocess.Popen[bytes]:
    """Start a batch of a folder."""
    return subprocess.Popen(
        [*command, ".", PASSWORD, "wav", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def leftovers(folder: Path) -> list[Path]:
    """Return what looks like a leftover."""
    return [path for path in folder.rglob("*") if LEFTOVER.fullmatch(path.name)]


STEPS = [
    *product(["write", "fchmod", "fsync", "?rename,?renameat", "?unlink,?unlinkat"], [True, False]),
    ("linkat", True),
]
"""What a run asks of the system from the moment that it has a file, and whether it has no name."""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize(("step", "can_link"), STEPS)
@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "replaced"])
def test_killed_at_each_step(
    tmp_path: Path, step: str, old: bytes | None, *, can_link: bool
) -> None:
    """The output is absent, the old one or the new one, whole; nothing unauthenticated stays.

    The next run does the work, and a day later nothing is left.
    """
    target = tmp_path / "a.opus"
    audio = AUDIO + bytes(LONG if step == "write" else 0)
    done = {"a.enc": encrypt(audio, PASSWORD), "a.opus": audio}
    (tmp_path / "a.enc").write_bytes(done["a.enc"])
    words = ["a.enc", PASSWORD, "opus", *([] if old else ["--if-exists", "fail"])]
    number = 1
    while True:
        target.unlink(missing_ok=True)
        if old:
            target.write_bytes(old)
            target.chmod(0o600)  # less than a new one's
        if not is_killed_at(step, number, words, tmp_path, can_link=can_link):
            break
        found = target.read_bytes() if target.exists() else None
        assert found in {old, audio}
        for left in leftovers(tmp_path):
            data = left.read_bytes()
            # Another file gets its name early, but it has been authenticated by then.
            assert data == audio or (not can_link and audio.startswith(data))
            if old or 0 < len(data) < len(audio):
                assert left.stat().st_mode & 0o077 == 0
            os.utime(left, (0, 0))
        assert run_process("a.enc", PASSWORD, "opus", cwd=tmp_path).code == 0
        assert contents(tmp_path) == done
        number = max(number + 1, 2 * number - 4)  # there are many pieces to write
    assert contents(tmp_path) == done
    assert number > 1 or (not old and "rename" in step)  # which is for what was there


def is_killed_at(step: str, number: int, words: list[str], folder: Path, *, can_link: bool) -> bool:
    """Run the command, and kill it when it calls a function that often; return if it did."""
    kill = ["-e", f"inject={step}:signal=SIGKILL:when={number}"]
    if not can_link:
        kill += ["-e", "inject=linkat:error=EPERM"]
    process = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", *kill, COMMAND, *words],
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # which would be steps as well
        capture_output=True,
    )
    if b"ptrace" in process.stderr:
        pytest.skip("strace may not trace here")
    assert process.returncode in {0, -signal.SIGKILL}, process
    return process.returncode != 0


def test_two_runs_of_one_output_do_not_meet(folder: Path, encrypted_audio: bytes) -> None:
    """Both succeed, and the last one stays."""
    slow = begin(folder, encrypted_audio)
    assert run("a.enc", PASSWORD, "opus", cwd=folder).code == 0
    slow.communicate(encrypted_audio[5000:])
    assert slow.returncode == 0
    assert contents(folder) == {"a.enc": encrypted_audio, "a.opus": AUDIO}


@pytest.mark.slow
def test_batches_of_the_same_outputs_do_not_meet(tmp_path: Path, encrypted_audio: bytes) -> None:
    """Each replaces what the others have written, and takes none of it for its own."""
    fill(tmp_path, 30, encrypted_audio)
    processes = [start(tmp_path) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert set(contents(tmp_path).values()) == {encrypted_audio, AUDIO}
    assert len(contents(tmp_path)) == 60


@pytest.mark.slow
def test_a_killed_batch_is_simply_repeated(tmp_path: Path) -> None:
    """With `skip`, the next run does what is missing; the killed ones have left nothing."""
    chance = random.Random("batch")  # noqa: S311 - chance that can be repeated
    recording = encrypt(LARGE, PASSWORD)
    fill(tmp_path, 20, recording)
    for _ in range(10):
        process = start(tmp_path, "--if-exists", "skip")
        time.sleep(chance.uniform(0.1, 0.6))
        process.kill()
        process.communicate()
        assert are_only(contents(tmp_path), LARGE, recording)
        assert not leftovers(tmp_path)
    assert start(tmp_path, "--if-exists", "skip").wait(60) == 0
    found = contents(tmp_path)
    assert are_only(found, LARGE, recording)
    assert sum(name.endswith(".wav") for name in found) == len(found) / 2 == 20


# Interruptions

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

ONLY_NAMES = "from filedecryptor.storage import atomic; atomic.nameless = lambda *_: None"
"""What makes it a disk without nameless files as well."""


def interrupt(process: subprocess.Popen[bytes], name: str, folder: Path, recording: bytes) -> int:
    """Interrupt a batch, look at what it leaves, and return its code."""
    process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(timeout=15)
    after = {name: found for name, found in contents(folder).items() if name != "flushing"}
    assert are_only(after, LARGE, recording)
    assert all(name.endswith((".enc", ".wav")) for name in after)
    if process.returncode == 0:  # it was done already
        assert sum(name.endswith(".wav") for name in after) * 2 == len(after)
    else:
        assert process.returncode == 130, stderr
        assert stderr.endswith(INTERRUPTED)
    return process.returncode


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("seed", ["one", "two"])
def test_interrupted_batches_leave_nothing(tmp_path: Path, seed: str) -> None:
    """Also where the signal comes while a thread is just being started."""
    chance = random.Random(seed)  # noqa: S311 - as above
    recording = encrypt(LARGE, PASSWORD)
    fill(tmp_path, 60, recording)
    for _ in range(30):
        process = start(tmp_path, "-j", "30")
        # By then the handlers are there, and threads are being started.
        tasks = Path(f"/proc/{process.pid}/task")
        while process.poll() is None and len(list(tasks.iterdir())) == 1:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2))
        interrupt(process, chance.choice(["SIGINT", "SIGTERM", "SIGHUP"]), tmp_path, recording)
        for path in tmp_path.glob("*.wav"):
            path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("prepare", ["", ONLY_NAMES], ids=["nameless", "named"])
def test_a_slow_flush_is_not_waited_for(tmp_path: Path, prepare: str) -> None:
    """The command ends some seconds later, and what was being written has no name, or none now."""
    recording = encrypt(LARGE, PASSWORD)
    fill(tmp_path, 3, recording)
    process = start(tmp_path, command=[sys.executable, "-c", prepare + SLOW_FLUSH])
    wait_until((tmp_path / "flushing").exists)
    assert any(tmp_path.glob(".filedecryptor-*")) == bool(prepare)
    assert interrupt(process, "SIGTERM", tmp_path, recording) == 130
    assert not list(tmp_path.glob("*.wav"))


@pytest.mark.slow
@pytest.mark.real_iterations
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("when", ["compiling", "deriving"])
@pytest.mark.parametrize("times", range(5))
def test_the_lanes_do_not_delay_the_end(tmp_path: Path, when: str, times: int) -> None:
    """Neither while they are compiled, nor while they derive keys, in pieces."""
    pytest.importorskip("llvmlite", reason="the extra lanes is not installed")
    recording = encryptor.encrypt(LARGE, PASSWORD)
    fill(tmp_path, 200, recording)
    process = start(tmp_path, "-j", "30")
    wait_until(lambda: bool(children(process.pid)))
    [child] = children(process.pid)
    if when == "deriving":
        wait_until(lambda: len(list(tmp_path.glob("*.wav"))) > 25)
    time.sleep(0.02 * times)
    assert interrupt(process, "SIGINT", tmp_path, recording) == 130
    wait_until(lambda: has_ended(child))
