"""Standard streams in non-blocking mode, full, or left by whoever read them."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
from conftest import AUDIO, COMMAND, PASSWORD, nothing_changes, run, wait_until

ONE_PAGE = 4096
"""Bytes, the least that a pipe can be told to hold."""

PAUSE = 0.5
"""Seconds until a full pipe is read. However short or long, all of it must arrive."""


@pytest.fixture
def three(folder: Path) -> Path:
    """A folder that holds three recordings."""
    for name in ("b.enc", "c.enc"):
        shutil.copy(folder / "a.enc", folder / name)
    return folder


def waiting(descriptor: int) -> int:
    """Return how many bytes a pipe holds."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0])


def feed(words: Sequence[str], pieces: Sequence[bytes], cwd: Path) -> subprocess.Popen[bytes]:
    """Send pieces through a non-blocking pipe, each once the one before has been taken."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = subprocess.Popen([COMMAND, *words], cwd=cwd, stdin=reading, stderr=subprocess.PIPE)
    os.close(reading)
    with suppress(BrokenPipeError):  # it has given up
        for piece in pieces:
            os.write(writing, piece)
            wait_until(lambda: not waiting(writing) or process.poll() is not None)
    os.close(writing)
    return process


def test_a_recording_is_waited_for(folder: Path, encrypted_audio: bytes) -> None:
    """What has not arrived yet is no end of the recording."""
    pieces = [encrypted_audio[:20], encrypted_audio[20:5000], encrypted_audio[5000:]]
    process = feed(["-", PASSWORD, "opus", "-o", "x"], pieces, folder)
    assert process.communicate(timeout=30)[1] == b""
    assert (folder / "x").read_bytes() == AUDIO


def test_a_password_is_waited_for(folder: Path) -> None:
    """Half of it would be another one."""
    process = feed(["a.enc", "-", "opus"], [b"Encr", b"yptMe", b"\nmore"], folder)
    assert process.communicate(timeout=30)[1] == b""
    assert (folder / "a.opus").read_bytes() == AUDIO


@contextmanager
def full_pipe() -> Iterator[tuple[IO[bytes], int, int]]:
    """A small pipe that is full: the file to read it from, its other end, and what it holds."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, ONE_PAGE)  # of Linux only
    os.set_blocking(writing, False)
    size = os.write(writing, bytes(10 * ONE_PAGE))
    with open(reading, "rb") as file:
        yield file, writing, size


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs small pipes")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "part", "count"),
    [
        (["a.enc", "b.enc", "c.enc", PASSWORD, "opus"], b".opus\n", 3),
        (["a.enc", "b.enc", "c.enc", PASSWORD, "opus", "--json"], b"}\n", 3),
        (["a.enc", PASSWORD, "opus", "-o", "-"], AUDIO, 1),
        (["--help"], b"Show this message and exit.\n", 1),
    ],
    ids=["paths", "JSON", "audio", "help"],
)
def test_standard_output_is_waited_for(
    three: Path, words: list[str], part: bytes, count: int, unbuffered: str
) -> None:
    """A pipe that takes nothing at the moment is no failure: everything arrives."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with full_pipe() as (reader, writing, size):
        process = subprocess.Popen(
            [COMMAND, *words], cwd=three, env=environment, stdout=writing, stderr=subprocess.PIPE
        )
        os.close(writing)
        with suppress(subprocess.TimeoutExpired):  # whoever does not wait ends before this does
            process.wait(PAUSE)
        read = reader.read()[size:]
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 0
    assert b"error" not in said
    assert read.count(part) == count


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs small pipes")
def test_standard_error_is_waited_for(folder: Path) -> None:
    """Nothing that people should read gets lost."""
    names = [f"{number}{'x' * 200}.enc" for number in range(40)]
    with full_pipe() as (reader, writing, size):
        process = subprocess.Popen([COMMAND, *names, PASSWORD, "opus"], cwd=folder, stderr=writing)
        os.close(writing)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PAUSE)
        lines = reader.read()[size:].decode().splitlines()
        assert process.wait(30) == 1
    assert len(lines) == 41
    assert all(line.endswith("No such file or directory") for line in lines[:40])


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs small pipes")
def test_waiting_can_be_interrupted(folder: Path) -> None:
    """As any other wait."""
    with full_pipe() as (_, writing, _):
        process = subprocess.Popen(
            [COMMAND, "a.enc", PASSWORD, "opus"],
            cwd=folder,
            stdout=writing,
            stderr=subprocess.PIPE,
        )
        os.close(writing)
        wait_until((folder / "a.opus").exists)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == b"filedecryptor: error: interrupted\n"
    assert process.returncode == 130


@pytest.mark.slow
def test_an_interruption_with_closed_streams_is_one(three: Path) -> None:
    """Although other threads are at work, and there is nothing to write to."""
    os.mkfifo(three / "pipe.enc")
    script = f"exec {COMMAND} a.enc pipe.enc {PASSWORD} opus <&- >&-"
    process = subprocess.Popen(["bash", "-c", script], cwd=three, stderr=subprocess.PIPE)
    wait_until((three / "a.opus").exists)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said.endswith(b"filedecryptor: error: interrupted\n")


GOES_ON = "the work goes on, its results are not shown"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [[], ["--json"], ["-j", "1"]])
@pytest.mark.parametrize("stream", ["full", "left"])
def test_a_batch_goes_on_without_standard_output(
    three: Path, stream: str, words: list[str], unbuffered: str
) -> None:
    """It is said once, all the work is done, and the exit code tells."""
    if stream == "full":
        output, cause = os.open("/dev/full", os.O_WRONLY), "No space left on device"
    else:
        reading, output = os.pipe()
        os.close(reading)
        cause = "Broken pipe"
    done = subprocess.run(
        [COMMAND, "a.enc", "b.enc", "c.enc", PASSWORD, "opus", *words],
        check=False,
        cwd=three,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(output)
    assert done.returncode == 1
    first, summary = done.stderr.splitlines()
    assert first == f"filedecryptor: error: standard output: {cause}; {GOES_ON}"
    assert summary.startswith("filedecryptor: 3 decrypted")
    assert all((three / f"{name}.opus").read_bytes() == AUDIO for name in "abc")


def test_a_batch_whose_reader_takes_one_line(three: Path) -> None:
    """`| head -1` gets its line, and everything is decrypted."""
    reading, writing = os.pipe()
    command = [COMMAND, "a.enc", "b.enc", "c.enc", PASSWORD, "opus", "-q", "--json"]
    process = subprocess.Popen(command, cwd=three, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    said = process.communicate(timeout=30)[1]
    assert said.count(b"\n") <= 1  # all may have been written before the reader left
    assert process.returncode == len(said.splitlines())
    assert all((three / f"{name}.opus").read_bytes() == AUDIO for name in "abc")


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "link"])
@pytest.mark.parametrize("recording", ["-", "/dev/stdin"])
def test_standard_input_is_one_of_the_two(
    folder: Path, encrypted_audio: bytes, recording: str, name: str
) -> None:
    """By whatever name, it is not the recording and the password at once."""
    (folder / "link").symlink_to("/dev/stdin")
    both = b"EncryptMe\n" + encrypted_audio
    with nothing_changes(folder):
        words = (recording, "-", "opus", "--password-file", name, "-o", "x")
        result = run(*words, cwd=folder, stdin=both)
    assert result.code == 2
    cause = "standard input cannot be both the recording and the password"
    assert result.lines[0] == f"error: {cause}"


def test_a_recording_called_dev_stdin_leaves_no_room_for_the_password(
    folder: Path, encrypted_audio: bytes
) -> None:
    """Where no other place is named."""
    with nothing_changes(folder):
        words = ("/dev/stdin", "-", "opus", "-o", "x")
        result = run(*words, cwd=folder, stdin=b"EncryptMe\n" + encrypted_audio)
    assert result.code == 2
    assert result.lines[0].startswith("error: standard input cannot be both")


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input_as_the_password_file(folder: Path, name: str) -> None:
    """Its first line is the password, before the environment's."""
    words = ("a.enc", "-", "opus", "--password-file", name)
    env = {"FILEDECRYPTOR_PASSWORD": "wrong"}
    assert run(*words, cwd=folder, env=env, stdin=b"EncryptMe\n").code == 0
