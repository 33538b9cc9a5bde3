"""SIGKILL at any moment: no half-written output, and nothing left behind but whole audio."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from itertools import product
from pathlib import Path

import pytest
from support.commands import COMMAND, begin, run, run_process
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, encrypt

LEFTOVER = re.compile(r"\.filedecryptor-[0-9a-f]{16}\.tmp")
LONG = 9_000_000
"""Bytes of audio that are too many for the memory, so that they are written as they come."""


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start the command."""
    return subprocess.Popen(
        [COMMAND, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
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
        target.write_bytes(old) if old else target.unlink(missing_ok=True)
        if not is_killed_at(step, number, words, tmp_path, can_link=can_link):
            break
        found = target.read_bytes() if target.exists() else None
        assert found in {old, audio}
        for left in leftovers(tmp_path):
            data = left.read_bytes()
            # Another file gets its name early, but it has been authenticated by then.
            assert data == audio or (not can_link and audio.startswith(data))
            if 0 < len(data) < len(audio):
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
    for number in range(30):
        (tmp_path / f"{number}.enc").write_bytes(encrypted_audio)
    processes = [start(tmp_path, ".", PASSWORD, "opus") for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert set(contents(tmp_path).values()) == {encrypted_audio, AUDIO}
    assert len(contents(tmp_path)) == 60


@pytest.mark.slow
def test_a_killed_batch_is_simply_repeated(tmp_path: Path) -> None:
    """With `skip`, the next run does what is missing; the killed ones have left nothing."""
    chance = random.Random("batch")  # noqa: S311 - as above
    audio = AUDIO + chance.randbytes(500_000)
    recordings = {f"{number:02}.enc": encrypt(audio, PASSWORD) for number in range(20)}
    for name, recording in recordings.items():
        (tmp_path / name).write_bytes(recording)
    words = [".", PASSWORD, "auto", "--if-exists", "skip"]
    for _ in range(10):
        process = start(tmp_path, *words)
        time.sleep(chance.uniform(0.1, 0.6))
        process.kill()
        process.wait()
        found = contents(tmp_path)
        assert set(found.values()) <= {audio, *recordings.values()}
        assert not leftovers(tmp_path)
    assert run(*words, cwd=tmp_path).code == 0
    opus = {name.replace(".enc", ".opus"): audio for name in recordings}
    assert contents(tmp_path) == {**recordings, **opus}
