"""Standard streams in non-blocking mode, full, or left by whoever read them."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

import pytest
from support.commands import COMMAND, run, run_process, wait_until
from support.folders import nothing_changes
from support.posix import fcntl, make_fifo, posix_only, termios
from support.recordings import AUDIO, PASSWORD
from support.terminal import run_in_terminal

from filedecryptor.errors import ClusterError, StorageError, UsageError
from filedecryptor.terminal.console import Console, is_terminal, printable, write_all

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


@posix_only("pipes that do not block")
def test_a_recording_is_waited_for(folder: Path, encrypted_audio: bytes) -> None:
    """What has not arrived yet is no end of the recording."""
    pieces = [encrypted_audio[:20], encrypted_audio[20:5000], encrypted_audio[5000:]]
    process = feed(["-", PASSWORD, "opus", "-o", "x"], pieces, folder)
    assert process.communicate(timeout=30)[1] == b""
    assert (folder / "x").read_bytes() == AUDIO


@posix_only("pipes that do not block")
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
    make_fifo(three / "pipe.enc")
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


@posix_only("/dev/stdin")
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
        result = run_process(*words, cwd=folder, stdin=both)
    assert result.code == 2
    cause = "standard input cannot be both the recording and the password"
    assert result.lines[0] == f"error: {cause}"


@posix_only("/dev/stdin")
def test_a_recording_called_dev_stdin_leaves_no_room_for_the_password(
    folder: Path, encrypted_audio: bytes
) -> None:
    """Where no other place is named."""
    with nothing_changes(folder):
        words = ("/dev/stdin", "-", "opus", "-o", "x")
        result = run_process(*words, cwd=folder, stdin=b"EncryptMe\n" + encrypted_audio)
    assert result.code == 2
    assert result.lines[0].startswith("error: standard input cannot be both")


@pytest.mark.parametrize("name", ["-", pytest.param("/dev/stdin", marks=posix_only("/dev/stdin"))])
def test_standard_input_as_the_password_file(folder: Path, name: str) -> None:
    """Its first line is the password, before the environment's."""
    words = ("a.enc", "-", "opus", "--password-file", name)
    env = {"FILEDECRYPTOR_PASSWORD": "wrong"}
    assert run_process(*words, cwd=folder, env=env, stdin=b"EncryptMe\n").code == 0


# Escape sequences of 7 and 8 bits, line ends, and marks that turn or hide the text beside them.
HOSTILE = "\x00\x07\x08\t\n\r\x1b\x7f\x80\x85\x9b\x9d\xa0\xad\u061c\u200b\u200e\u200f\u2028\u2029"
HOSTILE += "\u202a\u202e\u2066\u2069\ufeff\ud800\udc9b\udfff\U000e0001\U000e0041"


@pytest.mark.parametrize("character", HOSTILE)
def test_nothing_hostile_is_shown(character: str) -> None:
    """Each becomes an escape of letters, digits and a backslash."""
    shown = printable(f"a{character}b")
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert shown.isascii()
    assert shown.isprintable()
    assert printable(shown) == shown


def test_what_is_harmless_is_shown_as_it_is() -> None:
    """Letters of any script, and spaces."""
    text = "Grüße, 録音 мир 'x' \\ \U0001f3a7"
    assert printable(text) == text


@pytest.mark.parametrize("kind", [StorageError, ClusterError])
def test_texts_from_outside_are_one_harmless_line(
    kind: type[StorageError], capfd: pytest.CaptureFixture[str]
) -> None:
    """Cause, hint and name alike, whatever sent them."""
    error = kind(f"no {HOSTILE}", hint=f"try\n{HOSTILE}", filename=f"s3://b/{HOSTILE}")
    console = Console.of_process("filedecryptor")
    assert console.say_error(error) == 1
    console.say_error(OSError(5, f"no\n{HOSTILE}", f"x\n{HOSTILE}"))
    console.say(f"note\n{HOSTILE}")
    captured = capfd.readouterr()
    assert captured.out == ""
    lines = captured.err.split("\n")
    assert len(lines) == 5
    assert all(line.startswith("filedecryptor: ") for line in lines[:4])
    assert all(line.isprintable() for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("words", [[], ["-d", "out"], ["b.enc"]])
def test_paths_are_escaped_in_a_terminal_only(folder: Path, words: list[str]) -> None:
    """A terminal would obey them; a file or a pipe gets the bytes of the name."""
    name = os.fsdecode(b"esc\x1b[31m\xc2\x9b\xe9\n")
    shutil.copy(folder / "a.enc", folder / f"{name}.enc")
    shutil.copy(folder / "a.enc", folder / "b.enc")
    screen = run_in_terminal(f"{name}.enc", *words, PASSWORD, "opus", cwd=folder)
    assert screen.code == 0
    assert "esc\\x1b[31m\\x9b\\udce9\\n.opus\r\n" in screen.text
    assert "\x1b[31m" not in screen.text
    assert "\x9b" not in screen.text
    assert (
        b"%s.opus\n" % os.fsencode(name)
        in run(f"{name}.enc", *words, PASSWORD, "opus", cwd=folder).stdout
    )


@posix_only("terminals in ASCII")
def test_messages_do_not_depend_on_the_locale(folder: Path) -> None:
    """With an ASCII terminal a name is still one readable line."""
    result = run_process("é.enc", "x", "opus", cwd=folder, env={"PYTHONIOENCODING": "ascii"})
    assert result.lines == ["error: \\xe9.enc: No such file or directory"]
    assert os.environ.get("FILEDECRYPTOR_PASSWORD") is None


class Stream(io.TextIOWrapper):
    """A stream in memory that says of itself that it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


class _WindowsConsoleIO(io.BytesIO):
    """Python's own name for a console of Windows."""


def test_what_is_no_console_of_windows_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of NUL and other devices, the C library there says that it is one."""
    device, console = Stream(io.BytesIO(), "cp1252"), Stream(_WindowsConsoleIO(), "utf-8")
    monkeypatch.setattr(sys, "platform", "linux")
    assert is_terminal(device)
    monkeypatch.setattr(sys, "platform", "win32")
    assert not is_terminal(device)
    assert is_terminal(console)
    assert not is_terminal(None)


@pytest.mark.parametrize("words", [["a.enc", "-", "opus"], ["a.enc", "-", "opus", "--progress"]])
def test_nobody_is_asked_where_nobody_is(folder: Path, words: list[str]) -> None:
    """Under a service or a scheduler, standard input is NUL, or /dev/null."""
    done = subprocess.run(
        [COMMAND, *words],
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=30,
    )
    assert done.returncode == 2
    assert b"standard input: it is empty" in done.stderr


def test_audio_may_go_to_the_null_device(folder: Path, encrypted_audio: bytes) -> None:
    """It is no terminal, though it looks like one on Windows."""
    done = subprocess.run(
        [COMMAND, "-", PASSWORD, "opus"],
        check=False,
        cwd=folder,
        input=encrypted_audio,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_windows_calls_invalid_is_a_reader_that_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its C library has that error for a broken pipe, and any other for a full disk."""

    class Pipe(io.BytesIO):
        def write(self, _: object, /) -> NoReturn:
            raise OSError(errno.EINVAL, "Invalid argument")

    stream = io.TextIOWrapper(Pipe(), "utf-8")
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(BrokenPipeError):
        write_all(stream, b"x")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(OSError, match="Invalid"):
        write_all(stream, b"x")


@pytest.mark.parametrize("words", [["--help"], ["a.enc", PASSWORD, "opus", "-o", "-"]])
def test_a_reader_that_leaves_needs_no_message(folder: Path, words: list[str]) -> None:
    """Whatever was to be written."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [COMMAND, *words], cwd=folder, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    os.close(reading)
    assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 1


def test_what_is_redirected_on_windows_is_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams, whatever code page the system has; with the line ends of all systems."""
    monkeypatch.setattr(sys, "platform", "win32")
    raw = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(file, "cp1252", newline="\r\n") for file in raw]
    console = Console("filedecryptor", None, *streams)
    console.say("Gr\u00fc\u00dfe \u9332\u97f3")
    with console.collecting_prints():
        print("Gr\u00fc\u00dfe \u9332\u97f3")  # noqa: T201 - as click does
    out, err = (file.getvalue() for file in raw)
    assert out.decode() == "Gr\u00fc\u00dfe \u9332\u97f3\n"
    assert err.decode() == "filedecryptor: Gr\u00fc\u00dfe \u9332\u97f3\n"


def test_names_that_are_redirected_are_utf_8(folder: Path) -> None:
    """Results and messages alike, in a real process."""
    shutil.copy(folder / "a.enc", folder / "Gr\u00fc\u00dfe \u9332\u97f3.enc")
    result = run_process("Gr\u00fc\u00dfe \u9332\u97f3.enc", "x", "opus", cwd=folder)
    assert result.lines[0].startswith("error: Gr\u00fc\u00dfe \u9332\u97f3.enc: auth")
    result = run_process("Gr\u00fc\u00dfe \u9332\u97f3.enc", PASSWORD, "opus", cwd=folder)
    assert result.stdout.decode() == "Gr\u00fc\u00dfe \u9332\u97f3.opus\n"


def test_no_status_needs_an_escape_sequence() -> None:
    """A console that knows none would show it; blanks wipe everywhere."""
    raw = _WindowsConsoleIO()
    console = Console("filedecryptor", None, None, Stream(raw, "utf-8"))
    console.show_status("[##--]")
    console.say("note: x")
    console.show_status("[#]")
    console.show_status("")
    text = raw.getvalue().decode()
    wiped = f"\r{'':6}\r"
    shown = f"[##--]{wiped}filedecryptor: note: x\n[##--]{wiped}[#]\r   \r"
    assert text == shown


def test_a_drive_without_identities_does_not_confuse_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There any two files seem to be one."""
    with (folder / "a.enc").open() as stdin, (folder / "a.enc").open("rb", 0) as source:
        console = Console("filedecryptor", stdin, stdin, None)
        assert console.is_standard_input(str(folder / "a.enc"))
        with pytest.raises(UsageError, match="written over the recording"):
            console.refuse_overwriting(source)
        for name in ("stat", "fstat"):
            monkeypatch.setattr(
                os, name, lambda *_: os.stat_result((0o100644, 0, 1, 1, 0, 0, 9, 0, 0, 0))
            )
        assert not console.is_standard_input(str(folder / "a.enc"))
        console.refuse_overwriting(source)


@pytest.mark.parametrize(
    ("system", "number"),
    [("linux", errno.ETXTBSY), ("linux", errno.EBUSY), ("win32", errno.EACCES)],
)
def test_a_file_that_is_open_elsewhere(system: str, number: int) -> None:
    """What may help is said."""
    code = (
        f"import sys; sys.platform = {system!r}\n"
        "from filedecryptor.terminal.console import Console\n"
        f"Console('x', None, None, sys.stderr).say_error(OSError({number}, 'no', 'a.opus'))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.splitlines() == [
        "x: error: a.opus: no",
        "x: hint: if another program has it open, close it there, then run this again",
    ]
