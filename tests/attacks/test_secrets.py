"""Whatever happens, the password is in nothing that is printed, raised or left on the disk."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from io import BytesIO, FileIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from support.commands import COMMAND, children, run_process, wait_until_read
from support.leaks import ASCII, DEVELOPER, NOT_ASCII, Place, encodings, leaks, make_place, told
from support.posix import make_fifo, pty
from support.recordings import AUDIO, encrypt
from support.terminal import run_in_terminal

from filedecryptor import decrypt, decrypt_file, decrypt_files, open_recording
from filedecryptor.core.crypto import StreamDecryptor
from filedecryptor.errors import FileDecryptorError
from filedecryptor.jobs.job import Job, try_job
from filedecryptor.jobs.plan import Plan
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE

FAILING = (sys.executable, str(Path(__file__).parents[1] / "support" / "failing.py"))

WAYS = ("word", "file", "variable", "stdin")


SECRET = NOT_ASCII


@pytest.fixture(scope="session")
def recordings() -> dict[str, bytes]:
    """Good and bad recordings."""
    good = encrypt(AUDIO, SECRET)
    return {
        **dict.fromkeys(("a.enc", "b.enc", "calls/c.enc", "calls/sub/d.enc"), good),
        "other.enc": encrypt(AUDIO, "another password"),
        "noise.enc": encrypt(b"x" * 100, SECRET),
        "long.enc": encrypt(bytes(100_000), SECRET),
        "altered.enc": good[:-1] + bytes([good[-1] ^ 1]),
    }


@pytest.fixture
def place(tmp_path: Path, recordings: dict[str, bytes]) -> Place:
    """Fresh folders, with the recordings in them."""
    place = make_place(tmp_path)
    (place.work / "calls" / "sub").mkdir(parents=True)
    for name, data in recordings.items():
        (place.work / name).write_bytes(data)
    return place


def environment(place: Place, **more: str) -> dict[str, str]:
    """Return the variables of a process that Python tells all it knows."""
    return {**os.environ, **DEVELOPER, **place.env, **more}


def assert_nothing_leaks(place: Place, *texts: bytes | str) -> None:
    """Search what was printed, and the disk; and let Python have nothing to complain about."""
    for text in (*texts, place.files()):
        assert not leaks(text, SECRET)
    for text in texts:
        assert "Warning" not in (text if isinstance(text, str) else repr(text))


def given(place: Place, line: str, way: str) -> tuple[list[str], dict[str, str], bytes]:
    """Return the words with the password given in one of the ways, the variables, and stdin."""
    words = [SECRET if word == "PASSWORD" and way == "word" else word for word in line.split()]
    words = ["-" if word == "PASSWORD" else word for word in words]
    if way == "file":
        words += ["--password-file", place.secret_file(SECRET)]
    env = environment(place, **({ENVIRONMENT_VARIABLE: SECRET} if way == "variable" else {}))
    return words, env, f"{SECRET}\n".encode() if way == "stdin" else b""


@pytest.mark.parametrize("secret", [ASCII, NOT_ASCII], ids=["ascii", "not-ascii"])
def test_the_search_finds_what_there_is(tmp_path: Path, secret: str) -> None:
    """Plain, cut, escaped or encoded, in a text, in a file, or as its name."""
    for form in encodings(secret):
        assert leaks(b"before" + form + b"after", secret)
    for text in (
        f"cut: {secret[:10]}...",
        f"...{secret[-7:]}",
        b64encode(f"user:{secret}".encode()),
        secret.encode().hex().upper(),
        quote(secret),
        str(OSError(2, "no", secret)),
        secret.encode("utf-16-le"),
    ):
        assert leaks(text, secret)
    assert not leaks("nothing", secret)
    place = make_place(tmp_path)
    assert not leaks(place.files(), secret)
    file = tmp_path / "home" / f"{secret[:8]}.tmp"
    file.touch()
    assert leaks(place.files(), secret)
    (tmp_path / "tmp" / "x").write_text(secret, encoding="utf-8")
    file.unlink()
    assert leaks(place.files(), secret)


UNEXPECTED = r"error: a\.enc: unexpected RuntimeError in failing\.py, line \d+\n.*please report"
NO_MEMORY = r"error: (a\.enc: Cannot allocate memory|there is not enough memory)"
# The function that fails, how, in which call, the exit code, and what is said.
INJECTED = [
    ("os.fsync", "EIO", "a.enc PASSWORD opus", 1, "a.opus: Input/output error"),
    ("os.fsync", "ENOSPC", "calls PASSWORD opus", 1, "No space left on device"),
    ("os.replace", "EACCES", "a.enc PASSWORD opus -o long.enc", 1, "long.enc: Permission denied"),
    ("os.rename", "EIO", "a.enc PASSWORD opus", 0, ""),
    ("os.link", "EPERM", "a.enc PASSWORD opus --if-exists fail", 0, ""),
    ("os.unlink", "EACCES", "other.enc PASSWORD opus", 3, "authentication failed"),
    ("os.open", "EMFILE", "a.enc PASSWORD opus", 1, "a.opus: Too many open files"),
    ("os.lstat", "EIO", "a.enc PASSWORD opus", 1, "Input/output error"),
    ("os.stat", "EACCES", "a.enc PASSWORD enc", 1, "Permission denied"),
    ("os.makedirs", "ENOSPC", "a.enc PASSWORD opus -d out", 1, "No space left on device"),
    ("os.scandir", "EACCES", "calls PASSWORD opus", 1, "Permission denied"),
    ("builtins.open", "EMFILE", "a.enc PASSWORD opus", 1, "a.enc: Too many open files"),
    ("core.decryptor.BytesIO", "ENOSPC", "- PASSWORD opus", 1, "No space left on device"),
    ("core.spool.read_into", "EIO", "a.enc PASSWORD opus", 1, "Input/output error"),
    ("core.spool.read_into", "EIO", "a.enc PASSWORD opus -o -", 1, "Input/output error"),
    ("core.crypto.StreamDecryptor.update", "EIO", "calls PASSWORD opus", 1, "Input/output error"),
    ("core.crypto.encode_password", "EIO", "a.enc PASSWORD opus", 1, "Input/output error"),
    ("core.crypto.encode_password", "MemoryError", "a.enc PASSWORD opus", 1, NO_MEMORY),
    ("core.crypto.encode_password", "RuntimeError", "a.enc PASSWORD opus", 1, UNEXPECTED),
    ("core.decryptor.derive_key", "MemoryError", "a.enc PASSWORD opus", 1, NO_MEMORY),
    ("core.decryptor.derive_key", "RuntimeError", "a.enc PASSWORD opus", 1, UNEXPECTED),
    ("core.decryptor.derive_key", "KeyboardInterrupt", "a.enc PASSWORD opus", 130, "interrupted"),
    ("storage.atomic.PendingFile.write_all", "ENOSPC", "long.enc PASSWORD wav", 1, "No space left"),
    ("terminal.console.Console.write", "EIO", "a.enc PASSWORD opus", 1, "Input/output error"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "error", "line", "code", "said"), INJECTED)
def test_a_failing_system_makes_nobody_talk(
    place: Place, function: str, error: str, line: str, *, code: int, said: str
) -> None:
    """Each step that the system can refuse is refused."""
    words, env, _ = given(place, line, "word")
    if function.startswith(("core.", "storage.", "terminal.")):
        function = f"filedecryptor.{function}"
    result = run_process(
        *words,
        cwd=place.work,
        env=env | {"PYTHONTRACEMALLOC": "5"},
        stdin=(place.work / "a.enc").read_bytes(),
        command=(*FAILING, function, error, "--"),
    )
    assert result.code == code
    assert re.search(said, result.stderr)
    assert_nothing_leaks(place, result.stdout, result.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_too_little_memory(place: Place, way: str) -> None:
    """At whatever point it runs out, be it before our first line or in another library.

    Not with several files: Python itself may wait for ever for a thread that it could not start.
    """
    words, env, stdin = given(place, "a.enc PASSWORD opus", way)
    codes = set()
    for megabytes in (24, 40, 400):
        # Python is too weak to speak below the first limit, and all of this works above the last.
        script = f'ulimit -c 0 -v {megabytes * 1024}; exec "$0" "$@"'
        command = ["bash", "-c", script, COMMAND]
        done = subprocess.run(
            [*command, *words],
            check=False,
            cwd=place.work,
            env=env,
            input=stdin,
            capture_output=True,
            timeout=60,
        )
        codes.add(done.returncode)
        assert not leaks(done.stdout + done.stderr + place.files(), SECRET)
    assert 0 in codes
    assert codes != {0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "key", "code"),
    [
        ("a.enc", "\n", 0),
        ("other.enc", "\n", 3),
        ("missing.enc", "\n", 1),
        ("other.enc", "\x03", 130),  # Ctrl-C
        ("other.enc", "\x04\x04", 3),  # Ctrl-D
    ],
)
def test_what_is_typed_at_the_prompt_is_not_shown(
    place: Place, name: str, key: str, code: int
) -> None:
    """Whether the prompt is answered or left half-way, and whatever follows."""
    screen = run_in_terminal(
        *(name, "-", "opus"),
        cwd=place.work,
        env=environment(place),
        answers={"Password": SECRET + key},
    )
    assert screen.code == code
    assert_nothing_leaks(place, screen.text)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["word", "file"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_tells_nothing(place: Place, name: str, way: str) -> None:
    """Not on the disk while it is under way, and nowhere after its end."""
    words, env, _ = given(place, "- PASSWORD opus -o x --progress", way)
    process = subprocess.Popen(
        [COMMAND, *words],
        cwd=place.work,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write((place.work / "a.enc").read_bytes()[:5000])
    process.stdin.flush()
    wait_until_read(process.stdin)
    assert not leaks(place.files(), SECRET)
    process.send_signal(getattr(signal, name))
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert_nothing_leaks(place, stdout, stderr)


class Seen(NamedTuple):
    """What `/proc` shows everybody, or the user, of a process and of all that it started."""

    processes: list[int]
    words: bytes
    variables: bytes


def look_at(root: int) -> Seen:
    """Look at a process."""
    found, words, variables = [root], b"", b""
    for process in found:
        with suppress(OSError):  # it has ended meanwhile
            words += Path(f"/proc/{process}/cmdline").read_bytes()
            variables += Path(f"/proc/{process}/environ").read_bytes()
            found += children(process)
    return Seen(found, words, variables)


def watch(process: subprocess.Popen[bytes], end: Callable[[], bool]) -> Iterable[Seen]:
    """Look at a process until something has happened."""
    while not end():
        yield look_at(process.pid)
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs the /proc of Linux")
@pytest.mark.parametrize("way", [*WAYS, "prompt"])
def test_what_other_users_see(place: Place, way: str) -> None:
    """A password given as `-` is no word and no variable of a process, and there is only one."""
    make_fifo(place.work / "pipe.enc")
    line = "a.enc b.enc calls pipe.enc PASSWORD opus -d out"
    words, env, stdin = given(place, line, way)
    terminal, stdin_of_process = pty.openpty() if way == "prompt" else os.pipe()[::-1]
    process = subprocess.Popen(
        [COMMAND, *words],
        cwd=place.work,
        env=env,
        stdin=stdin_of_process,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that the prompt cannot go to a terminal of ours
    )
    os.close(stdin_of_process)
    assert process.stderr
    if way == "prompt":
        stdin = f"{SECRET}\n".encode()
        while process.stderr.read(1) != b":":
            pass
    os.write(terminal, stdin)
    outputs = [place.work / "out" / name for name in ("a.opus", "b.opus", "c.opus")]
    seen = list(watch(process, lambda: all(map(Path.exists, outputs))))
    seen += [look_at(process.pid) for _ in range(10)]  # it cannot end before the pipe is fed
    feeder = threading.Thread(
        target=(place.work / "pipe.enc").write_bytes, args=[(place.work / "a.enc").read_bytes()]
    )
    feeder.start()
    seen += watch(process, lambda: process.poll() is not None)
    feeder.join()
    os.close(terminal)
    assert process.returncode == 0
    assert_nothing_leaks(place, process.stderr.read())
    process.stderr.close()
    assert all(look.processes == [process.pid] for look in seen)
    assert bool(leaks(b"".join(look.words for look in seen), SECRET)) == (way == "word")
    in_variables = leaks(b"".join(look.variables for look in seen), SECRET)
    assert bool(in_variables) == (way == "variable")


class BrokenSource:
    """Cannot be read."""

    def readinto(self, _: memoryview) -> int:
        """Fail."""
        raise OSError(5, "no")


def outcomes_of(sources: Sequence[Path], secret: str, extension: str = "opus") -> None:
    """Decrypt them side by side, and raise the first failure."""
    for outcome in decrypt_files(sources, secret, extension):
        assert not leaks(repr(outcome), secret.rstrip("\ud800"))
        if outcome.error is not None:
            raise outcome.error


# What raises, given the folder and a password.
RAISING: list[Callable[[Path, str], object]] = [
    lambda folder, secret: decrypt((folder / "other.enc").read_bytes(), secret),
    lambda folder, secret: decrypt((folder / "other.enc").read_bytes(), secret.encode()),
    lambda folder, secret: decrypt((folder / "a.enc").read_bytes(), f"{secret}\ud800"),
    lambda _, secret: decrypt(b"short", secret),
    lambda folder, secret: decrypt_file(folder / "other.enc", secret, "opus"),
    lambda folder, secret: decrypt_file(folder / "missing.enc", secret, "opus"),
    lambda folder, secret: decrypt_file(folder / "noise.enc", secret, "auto"),
    lambda folder, secret: decrypt_file(folder / "a.enc", f"{secret}\ud800", "opus"),
    lambda folder, secret: decrypt_file(folder / "a.enc", secret, "a/b"),
    lambda folder, secret: decrypt_file(folder / "a.enc", secret, "enc"),
    lambda folder, secret: decrypt_file(folder / "a.enc", secret, "opus", output=folder),
    lambda folder, secret: open_recording(folder / "altered.enc", secret),
    lambda folder, secret: open_recording(folder / "missing.enc", secret),
    lambda _, secret: open_recording(BrokenSource(), secret),
    lambda _, secret: open_recording(BytesIO(b"short"), secret),
    lambda folder, secret: outcomes_of([folder / "a.enc", folder / "other.enc"], secret),
    lambda folder, secret: outcomes_of([folder / "a.enc"], f"{secret}\ud800"),
    lambda folder, secret: outcomes_of([folder / "missing.enc"], secret),
    lambda folder, secret: outcomes_of([folder / "noise.enc"], secret, "auto"),
]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(RAISING)))
def test_exceptions_tell_nothing(place: Place, number: int) -> None:
    """None of the Python functions', nor what they are chained to, their notes and attributes."""
    with pytest.raises((FileDecryptorError, OSError)) as raised:
        RAISING[number](place.work, SECRET)
    assert not leaks(told(raised.value), SECRET)


def test_objects_tell_nothing(place: Place) -> None:
    """No secret is in what represents a job, an outcome, a plan, or the decryption under way."""
    secret = SECRET
    key = bytearray(secret.encode()[:16].ljust(32, b"\0"))
    wrong = try_job(Job(str(place.work / "other.enc"), "opus"), secret)
    assert wrong.status == "failed"
    with (
        open_recording(place.work / "a.enc", secret) as recording,
        FileIO(place.work / "b.enc") as source,
    ):
        for thing in (
            recording,
            source,
            StreamDecryptor(key, bytes(12), 16),
            Job("a.enc", "opus"),
            wrong,
            try_job(Job("b.enc", "opus", verify=True), secret, source=source),
            Plan([str(place.work)], Job("", "opus")),
            decrypt_files([place.work], secret, "opus"),
        ):
            assert not leaks(f"{thing!r} {thing} {getattr(thing, '__dict__', '')}", secret)
