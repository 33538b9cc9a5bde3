"""Standard streams: waited for, left by their readers, and what is printed to them."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest
from support.commands import COMMAND, run, run_process, wait_until, wait_until_read
from support.folders import nothing_changes
from support.posix import fcntl, posix_only
from support.recordings import AUDIO, PASSWORD
from support.terminal import Terminal, run_in_terminal

from filedecryptor.errors import StorageError, UsageError
from filedecryptor.terminal.console import Console, is_terminal, printable, write_all

ONE_PAGE = 4096
"""Bytes, the least that a pipe can be told to hold."""

PAUSE = 0.5
"""Seconds until a full pipe is read. However short or long, all of it must arrive."""

INTERRUPTED = b"filedecryptor: error: interrupted\n"


@posix_only("pipes that do not block")
@pytest.mark.parametrize("words", [["-", PASSWORD, "opus", "-o", "a.opus"], ["a.enc", "-", "opus"]])
def test_standard_input_is_waited_for(
    folder: Path, encrypted_audio: bytes, words: Sequence[str]
) -> None:
    """What has not arrived yet is no end of the recording; half of a password is another one."""
    pieces = [b"Encr", b"yptMe", b"\nmore"]
    if words[0] == "-":
        pieces = [encrypted_audio[:20], encrypted_audio[20:5000], encrypted_audio[5000:]]
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = subprocess.Popen([COMMAND, *words], cwd=folder, stdin=reading, stderr=subprocess.PIPE)
    os.close(reading)
    with open(writing, "wb", 0) as pipe:
        for piece in pieces:
            pipe.write(piece)
            wait_until_read(pipe)
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


needs_small_pipes = pytest.mark.skipif(
    not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs small pipes"
)
MISSING = " ".join(f"{number}{'x' * 200}.enc" for number in range(20))


@needs_small_pipes
@pytest.mark.parametrize(
    ("words", "part", "count", "unbuffered"),
    [
        pytest.param("000.enc 001.enc P opus", b".opus\n", 2, "", id="paths"),
        pytest.param("000.enc 001.enc P opus --json", b"}\n", 2, "1", id="JSON"),
        pytest.param("000.enc P opus -o -", AUDIO, 1, "", id="audio"),
        pytest.param(f"{MISSING} P opus", b"No such file or directory\n", 20, "1", id="errors"),
    ],
)
def test_a_full_pipe_is_waited_for(
    many: Path, words: str, part: bytes, *, count: int, unbuffered: str
) -> None:
    """A pipe that takes nothing at the moment is no failure: everything arrives."""
    stream = "stderr" if count == 20 else "stdout"
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with full_pipe() as (reader, writing, size):
        streams: dict[str, Any] = {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            stream: writing,
        }
        line = [COMMAND, *words.replace("P", PASSWORD).split()]
        process = subprocess.Popen(line, cwd=many, env=env, **streams)
        os.close(writing)
        with suppress(subprocess.TimeoutExpired):  # a program that does not wait has ended by then
            process.wait(PAUSE)
        read = reader.read()[size:]
    assert process.wait(30) == (stream == "stderr")
    assert read.count(part) == count


@needs_small_pipes
def test_waiting_can_be_interrupted(folder: Path) -> None:
    """As any other wait."""
    with full_pipe() as (_, writing, _):
        command = [COMMAND, "a.enc", PASSWORD, "opus"]
        process = subprocess.Popen(command, cwd=folder, stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        wait_until((folder / "a.opus").exists)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == INTERRUPTED
    assert process.returncode == 130


@posix_only("/dev/stdin")
@pytest.mark.parametrize(
    ("recording", "password_file"),
    [
        *(("-", name) for name in ("-", "/proc/self/fd/0", "link")),
        ("/dev/stdin", None),
    ],
)
def test_standard_input_is_one_of_the_two(
    folder: Path, encrypted_audio: bytes, recording: str, password_file: str | None
) -> None:
    """By whatever name, it is not the recording and the password at once."""
    (folder / "link").symlink_to("/dev/stdin")
    more = ["--password-file", password_file] if password_file else []
    with nothing_changes(folder):
        words = (recording, "-", "opus", "-o", "x", *more)
        result = run_process(*words, cwd=folder, stdin=b"EncryptMe\n" + encrypted_audio)
    assert result.code == 2
    assert result.lines == [
        "error: standard input cannot be both the recording and the password",
        "hint: use --password-file, or set FILEDECRYPTOR_PASSWORD",
    ]


# Escape sequences of 7 and 8 bits, line ends, and marks that turn or hide the text beside them.
HOSTILE = "\x00\x07\x08\t\n\r\x1b\x7f\x80\x85\x9b\x9d\xa0\xad\u061c\u200b\u200e\u200f\u2028\u2029"
HOSTILE += "\u202a\u202e\u2066\u2069\ufeff\ud800\udc9b\udfff\U000e0001\U000e0041"


def test_nothing_hostile_is_shown() -> None:
    """Each character becomes an escape of ASCII; letters of any script and spaces stay."""
    for character in HOSTILE:
        shown = printable(f"a{character}b")
        assert re.fullmatch(r"a\\[ -~]+b", shown)
        assert printable(shown) == shown
    text = "Grüße, 録音 мир 'x' \\ \U0001f3a7"
    assert printable(text) == text


def test_texts_from_outside_are_one_harmless_line() -> None:
    """Cause, hint and name alike, whatever sent them."""
    terminal = Terminal()
    console = Console("x", None, None, terminal)
    text = f"no\n{HOSTILE}"
    error = StorageError(text, hint=text, filename=f"s3://b/{HOSTILE}")
    assert console.say_error(error) == 1
    console.say_error(OSError(5, text, text))
    console.say(text)
    assert re.fullmatch("x: error: .+\nx: hint: .+\nx: error: .+\nx: no.+\n", terminal.shown)
    assert all(line.isprintable() for line in terminal.shown.split("\n"))


@posix_only("such names")
@pytest.mark.parametrize("words", [[], ["b.enc"]])
def test_paths_are_escaped_in_a_terminal_only(folder: Path, words: list[str]) -> None:
    """A terminal would obey them; a file or a pipe gets the bytes of the name."""
    name = os.fsdecode(b"esc\x1b[31m\xc2\x9b\xe9\n")
    for copy in (name, "b"):
        shutil.copy(folder / "a.enc", folder / f"{copy}.enc")
    screen = run_in_terminal(f"{name}.enc", *words, PASSWORD, "opus", cwd=folder)
    assert screen.code == 0
    assert "esc\\x1b[31m\\x9b\\udce9\\n.opus\r\n" in screen.text
    assert not {"\x1b", "\x9b"} & {*screen.text}
    redirected = run(f"{name}.enc", *words, PASSWORD, "opus", cwd=folder).stdout
    assert b"%s.opus\n" % os.fsencode(name) in redirected


@posix_only("terminals in ASCII")
def test_messages_do_not_depend_on_the_locale(folder: Path) -> None:
    """With an ASCII terminal a name is still one readable line."""
    result = run_process("é.enc", "x", "opus", cwd=folder, env={"PYTHONIOENCODING": "ascii"})
    assert result.lines == ["error: \\xe9.enc: No such file or directory"]


def test_a_device_of_windows_is_not_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of NUL and other devices, the C library there says that it is one."""
    device = Terminal()
    monkeypatch.setattr(Terminal, "buffer", io.BytesIO())
    for platform in ("linux", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        assert is_terminal(device) == (platform == "linux")
    monkeypatch.undo()
    assert is_terminal(device)
    assert not is_terminal(None)


def test_the_null_device_asks_nobody_and_shows_nothing(folder: Path) -> None:
    """A service or a scheduler has it as its streams, and on Windows it looks like a terminal."""
    null = subprocess.DEVNULL
    done = run_process("a.enc", "-", "opus", "--progress", cwd=folder, stdin=null, stdout=null)
    assert (done.code, done.lines[0]) == (2, "error: standard input: it is empty")
    with (folder / "a.enc").open("rb") as stdin:
        done = run_process("-", PASSWORD, "opus", cwd=folder, stdin=stdin, stdout=null)
    assert done == (0, b"", "")


def test_what_windows_calls_invalid_is_a_reader_that_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its C library has that error for a broken pipe, and any other for a full disk."""

    class Pipe(io.BytesIO):
        def write(self, _: object, /) -> NoReturn:
            raise OSError(errno.EINVAL, "Invalid argument")

    stream = io.TextIOWrapper(Pipe(), "utf-8")
    for platform, kind in (("win32", BrokenPipeError), ("linux", OSError)):
        monkeypatch.setattr(sys, "platform", platform)
        with pytest.raises(kind) as caught:
            write_all(stream, b"x")
        assert type(caught.value) is kind


def test_what_is_redirected_on_windows_is_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams, whatever code page the system has; with the line ends of all systems."""
    monkeypatch.setattr(sys, "platform", "win32")
    raw = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(file, "cp1252", newline="\r\n") for file in raw]
    console = Console("filedecryptor", None, *streams)
    console.say("Grüße 録音")
    with console.collecting_prints():
        print("Grüße 録音")  # noqa: T201 - as click does
    out, err = (file.getvalue().decode() for file in raw)
    assert (out, err) == ("Grüße 録音\n", "filedecryptor: Grüße 録音\n")


def test_a_drive_without_identities_does_not_confuse_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There any two files seem to be one."""
    with (folder / "a.enc").open() as stdin, (folder / "a.enc").open("rb", 0) as source:
        console = Console("filedecryptor", stdin, stdin, None)
        assert console.is_standard_input(str(folder / "a.enc"))
        with pytest.raises(UsageError, match="written over the recording"):
            console.refuse_overwriting(source)
        found = os.stat_result((0o100644, 0, 1, 1, 0, 0, 9, 0, 0, 0))
        for name in ("stat", "fstat"):
            monkeypatch.setattr(os, name, lambda *_: found)
        assert not console.is_standard_input(str(folder / "a.enc"))
        console.refuse_overwriting(source)


def test_a_file_that_is_open_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may help is said."""
    hint = "x: hint: if another program has it open, close it there, then run this again"
    for system, number in ("linux", errno.ETXTBSY), ("linux", errno.EBUSY), ("win32", errno.EACCES):
        monkeypatch.setattr(sys, "platform", system)
        terminal = Terminal()
        Console("x", None, None, terminal).say_error(OSError(number, "no", "a.opus"))
        assert terminal.states == ["x: error: a.opus: no", hint, ""]
