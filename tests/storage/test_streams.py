"""Outputs that are written to and never replaced, and inputs beside which there is no place for one.

Devices are made in a folder of the test's own: nobody may lose the real `/dev/null`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from support.commands import COMMAND, run, run_process
from support.folders import contents, nothing_changes
from support.posix import IS_ROOT, make_fifo, make_null, make_socket, posix_only
from support.recordings import AUDIO, PASSWORD, altered, encrypt
from support.terminal import run_in_terminal

from filedecryptor import AuthenticationError, UsageError, decrypt_file
from filedecryptor.storage.streams import check_place, descriptor_of, is_stream

pytestmark = posix_only("FIFOs and devices in folders")

LONG = b"OggS" + os.urandom(9_000_000)
"""More than stays in memory, or than a pipe takes."""

WORDS = ("a.enc", PASSWORD, "opus")


@contextmanager
def read_by_another(pipe: Path) -> Iterator[Callable[[], bytes]]:
    """Let a process read a FIFO to its end; yield what returns all that it has read."""
    with TemporaryFile() as file, subprocess.Popen(["cat", pipe], stdout=file) as reader:

        def read() -> bytes:
            reader.wait(30)
            file.seek(0)
            return file.read()

        try:
            yield read
        finally:
            reader.kill()


@pytest.mark.parametrize(
    ("audio", "name", "options"),
    [(AUDIO, "pipe", []), (LONG, "link", ["--json"]), (LONG, "pipe", ["--if-exists", "fail"])],
)
def test_a_fifo_gets_the_audio(tmp_path: Path, audio: bytes, name: str, options: list[str]) -> None:
    """Also by way of a link; nothing is written beside it, and standard output gets the path."""
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "a.enc"
    source.write_bytes(encrypt(audio))
    (tmp_path / "link").symlink_to(make_fifo(tmp_path / "pipe"))
    tmp_path.chmod(0o555)
    with nothing_changes(tmp_path), read_by_another(tmp_path / "pipe") as read:
        line = (PASSWORD, "opus", "-o", str(tmp_path / name), *options)
        done = run_process(source, *line, cwd=tmp_path, as_anybody=True)
        assert read() == audio
    tmp_path.chmod(0o755)
    assert (done.code, done.stderr) == (0, "")
    path = json.loads(done.stdout)["output"] if "--json" in options else done.stdout.decode()[:-1]
    assert path == str(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(("recording", "code"), [(altered(encrypt(LONG)), 3), (None, 1)])
def test_a_fifo_gets_nothing_that_is_not_authentic(
    folder: Path, recording: bytes | None, code: int
) -> None:
    """It is not even opened: without a reader, nobody waits for one."""
    make_fifo(folder / "pipe")
    source = folder / "a.enc"
    source.write_bytes(recording) if recording else source.unlink()
    line = (*WORDS, "-o", "pipe")
    with nothing_changes(folder):
        assert run_process(*line, cwd=folder)[:2] == (code, b"")
    with pytest.raises((AuthenticationError, FileNotFoundError)):
        decrypt_file(source, PASSWORD, "opus", output=folder / "pipe")


def test_a_reader_is_waited_for(folder: Path) -> None:
    """As a shell waits for one; an interruption ends it."""
    make_fifo(folder / "pipe")
    for is_read in (False, True):
        process = subprocess.Popen(
            [COMMAND, *WORDS, "-o", "pipe"],
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(1)  # it may not have got there, but then it has not gone wrong either
        assert process.poll() is None
        if is_read:
            assert (folder / "pipe").read_bytes() == AUDIO
        else:
            process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        said = b"" if is_read else b"filedecryptor: error: interrupted\n"
        assert (process.returncode, stderr) == (0 if is_read else 130, said)
    with ThreadPoolExecutor(1) as executor:
        read = executor.submit((folder / "pipe").read_bytes)
        output = decrypt_file(folder / "a.enc", PASSWORD, "opus", output=folder / "pipe")
        assert (output, read.result(30)) == (folder / "pipe", AUDIO)


def test_a_reader_that_leaves_needs_no_message(folder: Path) -> None:
    """As that of standard output; the exit code tells."""
    (folder / "a.enc").write_bytes(encrypt(LONG))
    make_fifo(folder / "pipe")
    with subprocess.Popen(["head", "-c", "5", folder / "pipe"], stdout=subprocess.PIPE) as reader:
        done = run_process(*WORDS, "-o", "pipe", cwd=folder)
        assert reader.communicate()[0] == LONG[:5]
    assert done == (1, b"", "")


@pytest.mark.parametrize("name", ["null", "link"])
def test_a_device_takes_the_audio(folder: Path, name: str) -> None:
    """And stays one. In the place of an output that nobody has named, it is refused as ever."""
    (folder / "link").symlink_to(make_null(folder / "null"))
    (folder / "a.opus").symlink_to("null")
    before = (folder / "null").stat().st_ino
    with nothing_changes(folder):
        for options in ([], ["--if-exists", "skip"], ["--if-exists", "fail"]):
            done = run(*WORDS, "-o", name, *options, cwd=folder)
            assert done == (0, f"{name}\n".encode(), "")
        for source in ("a.enc", "."):
            assert run(source, *WORDS[1:], cwd=folder).code == 1
    assert (folder / "null").stat().st_ino == before


@pytest.mark.parametrize(
    ("line", "code", "said", "there"),
    [
        *(
            (f"a.enc P opus -o {name} >>out", 0, "", b"begin" + AUDIO)
            for name in ("/dev/stdout", "/proc/self/fd/1", "link", "../dev")
        ),
        ("a.enc P opus -o /dev/stdout --json >>out", 2, "--json and the audio cannot both", b""),
        ("a.enc P opus -o /dev/fd/7 7>>out --if-exists skip", 0, "", b"begin" + AUDIO),
        ("a.enc P opus -o /dev/stderr 2>>out", 0, "", b"begin" + AUDIO),
        ("a.enc P opus -o >(cat >>out) && sleep 0.5", 0, "", b"begin" + AUDIO),
        ("a.enc wrong opus -o /dev/fd/7 7>>out", 3, "a.enc: authentication failed", b""),
        ("a.enc P opus -o /dev/fd/7 7>>a.enc", 2, "/dev/fd/7: the output would replace", b""),
        ("a.enc P opus -o /dev/stdout >>a.enc", 2, "a.enc: standard output would be written", b""),
        ("- P opus -o /dev/fd/7 <a.enc 7>>a.enc", 2, "/dev/fd/7: the output would repl", b""),
        ("a.enc P opus -o /dev/fd/77", 1, "/dev/fd/77: Bad file descriptor", b""),
        ("a.enc P opus -o /dev/fd/7 7<a.opus", 1, "/dev/fd/7: Bad file descriptor", b""),
        ("a.enc P opus -o socket", 1, "socket: Not a regular file", b""),
        ("pipe P opus -o pipe", 2, "pipe: the output would replace the input", b""),
    ],
)
def test_files_that_are_open(folder: Path, line: str, code: int, said: str, there: bytes) -> None:
    """They are written to where they stand, by any name; nothing takes their place."""
    (folder / "link").symlink_to("/dev/stdout")
    (folder / "a.opus").touch()
    make_socket(folder / "socket")
    make_fifo(folder / "pipe")
    (folder / "out").write_bytes(b"begin")
    line = line.replace("../dev", os.path.relpath("/dev/stdout", folder))
    before = contents(folder) | {"out": there or b"begin"}
    script = f'"$0" {line.replace("P", PASSWORD)}'
    done = run_process("-c", script, COMMAND, cwd=folder, command=["bash"])
    assert done.code == code
    assert (done.lines or [""])[0].startswith(f"error: {said}" if said else "")
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["/dev/stdout", "link"])
def test_a_terminal_gets_no_audio(folder: Path, name: str) -> None:
    """By whatever name."""
    (folder / "link").symlink_to("/dev/tty")
    with nothing_changes(folder):
        shown = run_in_terminal(*WORDS, "-o", name, cwd=folder)
    assert shown.code == 2
    assert "would go to the terminal" in shown.text
    assert "OggS" not in shown.text


def test_a_stream_that_another_has_made_non_blocking_is_waited_for(folder: Path) -> None:
    """As standard output is."""
    (folder / "a.enc").write_bytes(encrypt(LONG))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    line = [COMMAND, *WORDS, "-o", f"/dev/fd/{writing}"]
    process = subprocess.Popen(line, cwd=folder, pass_fds=[writing], stdout=subprocess.DEVNULL)
    os.close(writing)
    time.sleep(0.5)
    with open(reading, "rb") as file:
        assert file.read() == LONG
    assert process.wait(30) == 0


# Inputs that have no place beside them.

NO_PLACE = "it is a stream or a device, so no output can be written beside it"
HINT = "hint: name the output with -o or -d"


@pytest.fixture
def harmless(folder: Path) -> list[str]:
    """What keeps a program from making anything in `/dev`, whatever it tries."""
    if not IS_ROOT:
        return ["bash"]
    script = 'mount -o remount,bind,ro /dev || exit 99; exec "$0" "$@"'
    command = ["unshare", "--mount", "bash", "-c", script, "bash"]
    if run_process("-c", "true", cwd=folder, command=command).code:
        pytest.skip("nothing may be mounted here")
    return command


@pytest.mark.parametrize(
    ("line", "code", "named", "made"),
    [
        ("/dev/stdin P opus <a.enc", 2, "/dev/stdin", {}),
        ("/proc/self/fd/0 P opus <a.enc", 2, "/proc/self/fd/0", {}),
        ("link P opus <a.enc", 0, None, {"link.opus": AUDIO}),
        ("dir/stdin P opus <a.enc", 2, "dir/stdin", {}),
        ("<(cat a.enc) P opus", 2, "/dev/fd/63", {}),
        ("/dev/null P opus", 2, "/dev/null", {}),
        ("/dev/none P opus", 1, None, {}),
        ("<(cat a.enc) P opus -o x", 0, None, {"x": AUDIO}),
        ("<(cat a.enc) P opus -d out", 0, None, {"out": None, "out/63.opus": AUDIO}),
        ("--files-from list P opus 7<a.enc", 2, "/dev/fd/7", {"a.opus": AUDIO}),
        ("pipe P opus & cat a.enc >pipe; wait $!", 0, None, {"pipe.opus": AUDIO}),
    ],
)
def test_inputs_without_a_place(  # noqa: PLR0917 - a table
    folder: Path,
    harmless: list[str],
    line: str,
    code: int,
    named: str | None,
    made: dict[str, bytes | None],
) -> None:
    """What is no file below /dev or /proc; others fail for it in no batch. FIFOs elsewhere may."""
    (folder / "link").symlink_to("/dev/stdin")
    (folder / "dir").symlink_to("/dev")
    (folder / "list").write_text("a.enc\n/dev/fd/7\n")
    make_fifo(folder / "pipe")
    before = contents(folder)
    script = f'"$0" {line.replace("P", PASSWORD)}'
    done = run_process("-c", script, COMMAND, cwd=folder, command=harmless)
    assert done.code == code
    assert (f"error: {named}: {NO_PLACE}" in done.lines) == (named is not None)
    assert (HINT in done.lines) == (named is not None)
    assert contents(folder) == before | made


def test_files_in_memory_have_a_place(folder: Path) -> None:
    """Below /dev/shm, as anywhere, and links to files; from Python as well."""
    check_place(str(folder / "a.enc"))
    shared = Path("/dev/shm") / f"test-{os.getpid()}.enc"  # noqa: S108 - it is the point
    try:
        shared.symlink_to(folder / "a.enc")
    except OSError:
        pytest.skip("there is no shared memory here")
    try:
        check_place(str(shared))
        shared.unlink()
        shared.write_bytes(encrypt(AUDIO))
        assert decrypt_file(shared, PASSWORD, "opus").read_bytes() == AUDIO
    finally:
        shared.unlink()
        shared.with_suffix(".opus").unlink(missing_ok=True)
    reading, writing = os.pipe()
    with pytest.raises(UsageError, match=NO_PLACE), open(reading), open(writing, "w"):
        decrypt_file(f"/dev/fd/{reading}", PASSWORD, "opus")


def test_what_is_a_stream(here: Path) -> None:
    """Neither what is not there nor what only looks like one; links that go round lead nowhere."""
    (here / "loop").symlink_to("loop")
    (here / "1").touch()
    (here / "fd").mkdir()
    for path in ("1", "fd/1", "none", "loop", "a\0b", ".", "", "/dev/fd", "/dev/fd/x"):
        assert not is_stream(path)
    reading, writing = os.pipe()
    with open(reading), open(writing, "w"):
        assert descriptor_of(f"/dev/fd/../fd/{reading}") == reading
