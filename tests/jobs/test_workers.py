"""Threads, as many as the system gives."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from support.commands import COMMAND, Result, run_process, wait_until
from support.folders import contents
from support.posix import IS_ROOT, resource
from support.recordings import AUDIO, PASSWORD, encrypt

from filedecryptor.jobs.workers import affordable, in_threads


def limited(limit: str, cwd: Path, *user: str) -> Result:
    """Run the command with many threads under a limit of the shell."""
    script = f'ulimit {limit}; exec "$0" . {PASSWORD} opus -j 64 -q'
    return run_process(script, COMMAND, cwd=cwd, command=[*user, "bash", "-c"])


NOTHING: dict[str, Any] = {"check": lambda _: None, "on_progress": lambda *_: None}


@pytest.mark.parametrize("available", [0, 1, 3, 100])
def test_work_is_done_by_the_threads_there_are(
    monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    """One thread will do, and so will none; what work raises is raised where it is asked for."""
    start = threading.Thread.start
    running, most = [0], [0]

    def scarce(thread: threading.Thread) -> None:
        if running[0] == available:
            raise RuntimeError("can't start new thread")
        start(thread)

    def work(number: int, _: object) -> float:
        running[0] += 1
        most[0] = max(running[0], most[0])
        time.sleep(0.01)
        running[0] -= 1
        return 100 / number

    monkeypatch.setattr(threading.Thread, "start", scarce)
    results = list(in_threads(range(1, 11), work, threads=lambda: 5, **NOTHING))
    assert sorted(results) == sorted(100 / number for number in range(1, 11))
    assert most[0] <= min(available + 1, 5)
    with pytest.raises(ZeroDivisionError):
        list(in_threads([0], work, threads=lambda: 5, **NOTHING))


def test_without_threads_a_result_comes_before_the_next_item_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a signal or a first failure is heeded at once, and not after as many as there may be."""
    monkeypatch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError))
    begun: list[int] = []
    results = in_threads(
        range(9), lambda number, _: begun.append(number), threads=lambda: 5, **NOTHING
    )
    next(results)
    assert begun == [0]
    results.close()
    assert begun == [0]


def test_at_the_end_what_waits_is_dropped_and_what_began_is_waited_for() -> None:
    """So nothing is half-done once the results are closed; long work ends at its next step."""
    go_on, begun, done = threading.Event(), [], []

    def work(name: str, advance: Callable[[int], object]) -> str:
        begun.append(name)
        try:
            if name == "short":
                wait_until(lambda: len(begun) == 3)
            elif name == "long":
                wait_until(lambda: bool(advance(0)))
            elif name == "step":
                go_on.wait(30)
                time.sleep(0.1)
        finally:
            done.append(name)
        return name

    names = ["short", "step", "long", "next", "last"]
    results = in_threads(names, work, threads=lambda: 3, **NOTHING)
    assert next(results) == "short"
    threading.Timer(0.1, go_on.set).start()
    results.close()
    assert done == ["short", "long", "step"]
    time.sleep(0.2)
    assert len(done) == 3


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task may hang."""
    monkeypatch.setattr("filedecryptor.jobs.workers.SHUTDOWN_TIMEOUT", 0.2)
    hanging = threading.Event()

    def work(number: int, _: object) -> object:
        return number and hanging.wait(30)

    results = in_threads(range(2), work, threads=lambda: 2, **NOTHING)
    assert next(results) == 0
    begin = time.monotonic()
    results.close()
    assert time.monotonic() - begin < 10
    hanging.set()


ENDS_EARLY = """
import os, sys
from filedecryptor import decrypt_files
from filedecryptor.jobs import workers
workers.MEMORY, workers.SHUTDOWN_TIMEOUT = 1, 300
open_any = os.open
def open_named(path, flags, *words, **options):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(95, 'Operation not supported')
    return open_any(path, flags, *words, **options)
if {has_names_only}:
    os.open = open_named
outcomes = decrypt_files(['.'], {password!r}, 'opus', jobs=4)
print(next(outcomes).status)
"""
"""A script that does not want all outcomes, on a disk that may have no files without names."""


@pytest.mark.skipif(sys.platform != "linux", reason="files without names are those of Linux")
@pytest.mark.parametrize("has_names_only", [False, True])
def test_a_script_that_ends_meanwhile_waits_for_nothing(
    tmp_path: Path, *, has_names_only: bool
) -> None:
    """Threads stand still once the interpreter ends; what they have begun is gone by then."""
    audio = AUDIO * 40
    recording = encrypt(audio)
    for number in range(50):
        (tmp_path / f"{number:02}.enc").write_bytes(recording)
    code = ENDS_EARLY.format(has_names_only=has_names_only, password=PASSWORD)
    done = run_process("-c", code, cwd=tmp_path, command=[sys.executable])
    assert done == (0, b"decrypted\n", "")
    found = contents(tmp_path)
    assert set(found.values()) == {audio, recording}
    assert all(name.endswith((".enc", ".opus")) for name in found)
    assert len(found) < 100


def test_threads_are_bounded_by_the_files_that_may_be_open() -> None:
    """At least one of them is always worth a try."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for limit, threads in ((12, 1), (64, 10), (224, 50), (before[0], 50)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
            assert affordable(50) == threads
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("limit", ["-n 12", "-u 6"])
def test_few_open_files_or_threads_fail_nothing(many: Path, limit: str) -> None:
    """However low the limit of a user or a container is, one recording after another is done."""
    user = []
    if limit.startswith("-u"):
        if not IS_ROOT:
            pytest.skip("needs to be a user without processes")
        capabilities = "+dac_read_search,+dac_override"  # it may read what root has installed
        user = ["setpriv", "--reuid=65533", "--clear-groups"]
        user += [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
    done = limited(limit, many, *user)
    assert (done.code, done.stderr) == (0, "")
    assert list(contents(many).values()).count(AUDIO) == 200


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("kilobytes", range(40_000, 130_000, 10_000))
def test_little_memory_is_said_in_one_line(many: Path, kilobytes: int) -> None:
    """It is done, or there is not enough memory: that is foreseen, and no defect to be reported."""
    try:
        done = limited(f"-v {kilobytes}", many)
    except subprocess.TimeoutExpired:
        pytest.skip("Python waits for ever for a thread that has no memory to begin")
    assert "please report" not in done.stderr
    if done.code == 0:
        assert list(contents(many).values()).count(AUDIO) == 200
    elif done.code > 0:  # libraries in C may crash instead, which nobody here can help
        assert "memory" in done.stderr
