"""How a program begins and ends: signals, limits, errors."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import (
    COMMAND,
    VNS,
    begin,
    ends_of_early_signals,
    run_process,
    wait_until_read,
)
from support.folders import contents, nothing_changes
from support.posix import make_fifo, posix_only
from support.recordings import PASSWORD

INTERRUPTED = b"filedecryptor: error: interrupted\n"


@pytest.mark.parametrize(
    "names", ["SIGINT", "SIGTERM", "SIGHUP", "SIGTERM SIGINT", "SIGTERM SIGTERM", "SIGTERM SIGHUP"]
)
def test_signals_leave_nothing_behind(folder: Path, encrypted_audio: bytes, names: str) -> None:
    """The temporary file goes, the old output stays; a second signal does not tear the clean-up."""
    (folder / "a.opus").write_bytes(b"old")
    with nothing_changes(folder):
        process = begin(folder, encrypted_audio)
        for name in names.split():
            process.send_signal(getattr(signal, name))
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, INTERRUPTED)


@posix_only("signals from elsewhere")
@pytest.mark.slow
def test_a_signal_at_any_moment_shows_no_traceback(folder: Path) -> None:
    """From the moment that we handle it to the end; Python's own start cannot be helped."""
    code = (
        "import os, signal, sys, threading, time\n"
        "from filedecryptor.__main__ import main\n"
        "def send():\n"
        "    while signal.getsignal(signal.SIGINT) == signal.SIG_DFL: time.sleep(0)\n"
        "    time.sleep(moment); os.kill(os.getpid(), signal.SIGINT)\n"
        "moment = float(sys.argv.pop())\n"
        "sys.argv[0] = 'filedecryptor'\n"
        "thread = threading.Thread(target=send); thread.start()\n"
        "code = main(); thread.join(); sys.exit(code)\n"
    )
    for moment in range(0, 150, 6):
        words = ["a.enc", PASSWORD, "opus", str(moment / 1000)]
        done = run_process("-c", code, *words, cwd=folder, command=[sys.executable])
        assert done.code in {0, 130}, done
        assert done.stderr in {"", INTERRUPTED.decode()}
        assert set(contents(folder)) <= {"a.enc", "a.opus"}


@posix_only("signals from elsewhere")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "words"),
    [(COMMAND, ["-", PASSWORD, "opus", "-o", "a.opus"]), (VNS, ["list"])],
    ids=["filedecryptor", "vns-recordings"],
)
def test_an_early_signal_ends_the_program(tmp_path: Path, program: str, words: list[str]) -> None:
    """It dies of it, or exits with 130; Python's own start may show a traceback of its own."""
    late = []
    for code, stderr in ends_of_early_signals(program, *words, cwd=tmp_path, runs=60, seconds=0.25):
        if re.search(r"filedecryptor/(vns/)?__", stderr):
            late.append(stderr)
        elif not re.search(r"KeyboardInterrupt\n$|ignored in|^Fatal Python error: init", stderr):
            assert code == 130, stderr
            assert stderr in {"", f"{Path(program).name}: error: interrupted\n"}
    assert len(late) <= 2, "the moment until our first line is short"


DROPPING = {
    "a destructor": "Thing.__del__ = send; Thing()",
    "a weak reference": "thing = Thing(); reference = weakref.ref(thing, send); del thing",
    "a class that is being made": "Thing.__set_name__ = send; type('Other', (), {'it': Thing()})",
    "the garbage collector": "gc.callbacks.append(send); gc.collect()",
}
"""Where Python drops what is raised, or makes something else of it."""


@posix_only("signals from elsewhere")
@pytest.mark.parametrize("place", DROPPING)
def test_an_interruption_that_is_dropped_comes_again(place: str) -> None:
    """A little later; it also wakes a main thread that waits for something which may never come."""
    name, waiting = "SIGTERM", "sys.stdin.buffer.raw.read(1)"
    if place == "a destructor":
        name, waiting = "SIGINT", "time.sleep(60)"
    code = (
        "import gc, os, signal, sys, time, weakref\n"
        "from filedecryptor.terminal import process\n"
        "process._RETRY_INTERVAL = 0  # so soon that what drops it may still be running\n"
        "if 'TERM' in sys.argv[1]: signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "class Thing: pass\n"
        "def send(*_):\n"
        "    gc.callbacks.clear()\n"
        "    os.kill(os.getpid(), getattr(signal, sys.argv[1])); time.sleep(0.1)\n"
        "def start(*_):\n"
        f"    {DROPPING[place]}\n"
        f"    {waiting}; return 0\n"
        "sys.exit(process.run_program('filedecryptor', start))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, name], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.wait(20) == 130
        finally:
            process.kill()
        assert process.stderr
        assert process.stderr.read() == INTERRUPTED


@posix_only("limits")
def test_no_core_dump_is_written_and_many_files_may_be_open(tmp_path: Path) -> None:
    """A dump would hold password, key and audio; the soft limit of files is in nobody's interest."""
    code = (
        "from resource import *; from filedecryptor.terminal.process import run_program\n"
        "setrlimit(RLIMIT_NOFILE, (200, most := getrlimit(RLIMIT_NOFILE)[1]))\n"
        "def start(*_): print(getrlimit(RLIMIT_CORE), getrlimit(RLIMIT_NOFILE) == (most, most))\n"
        "run_program('filedecryptor', start)\n"
    )
    done = run_process("-c", code, cwd=tmp_path, command=[sys.executable])
    assert done == (0, b"(0, 0) True\n", "")


@posix_only("SIGHUP")
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


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "words", [["--help"], ["-", PASSWORD, "opus"]], ids=["done", "interrupted"]
)
def test_a_signal_while_the_interpreter_ends_changes_nothing(words: list[str]) -> None:
    """All is done by then, and the exit code must say so; here the C library ends very slowly."""
    code = (
        "import ctypes, sys; from filedecryptor.__main__ import main; libc = ctypes.CDLL(None);"
        "libc.__cxa_atexit(libc.pause, None, None); libc.__cxa_atexit(libc.close, 2, None);"
        "sys.argv[0] = 'filedecryptor'; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stderr
    if words[0] == "-":
        process.stdin.write(b"x")
        process.stdin.flush()
        wait_until_read(process.stdin)
        process.send_signal(signal.SIGTERM)
    assert process.stderr.read() == (INTERRUPTED if words[0] == "-" else b"")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None
    process.kill()
    assert process.wait(30) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "win32", reason="Windows only")
@pytest.mark.parametrize("name", ["SIGBREAK", "SIGINT", "SIGTERM"])
def test_windows_ends_like_others(folder: Path, name: str) -> None:
    """Ctrl-Break too: nothing is left behind, and the exit code is 130."""
    code = (
        "import signal, sys; from filedecryptor.storage import atomic\n"
        "from filedecryptor.__main__ import main\n"
        "fill = atomic.PendingFile.fill\n"
        f"atomic.PendingFile.fill = lambda *args: (fill(*args), signal.raise_signal(signal.{name}))\n"
        "sys.exit(main())"
    )
    with nothing_changes(folder):
        words = ("a.enc", PASSWORD, "opus")
        done = run_process("-c", code, *words, cwd=folder, command=[sys.executable])
    assert (done.code, done.lines) == (130, ["error: interrupted"])


@pytest.mark.parametrize("streams", ["", "<&- >&-"], ids=["open", "closed"])
def test_a_batch_looks_for_ctrl_c(folder: Path, streams: str) -> None:
    """Though what is read may never come, whose thread is left, or there is nothing to write to."""
    make_fifo(folder / "pipe.enc")
    code = (  # SIGINT as on Windows: it wakes nobody, so the main thread has to look
        "import _thread, os, sys, threading, time; from filedecryptor.__main__ import main\n"
        "from filedecryptor.jobs import workers; workers.SHUTDOWN_TIMEOUT = 0.5\n"
        "def interrupt():\n"
        "    while not os.path.exists('a.opus'): time.sleep(0.05)\n"
        "    time.sleep(0.2); _thread.interrupt_main()\n"
        "threading.Thread(target=interrupt).start(); sys.exit(main())\n"
    )
    words = ("a.enc", "pipe.enc", PASSWORD, "opus")
    shell = ["bash", "-c", f'exec "$0" "$@" {streams}'] if streams else []
    done = run_process("-c", code, *words, cwd=folder, command=[*shell, sys.executable], timeout=20)
    assert (done.code, done.lines[-1]) == (130, "error: interrupted")
    assert list(contents(folder)) == ["a.enc", "a.opus", "pipe.enc"]
