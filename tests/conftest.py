"""What the tests share: the command run as a user runs it, and folders that must not change."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sysconfig
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
from encryptor import encrypt

FIXTURES = Path(__file__).parents[1] / "fixtures"
PLAIN = FIXTURES / "plain"
COMMAND = str(Path(sysconfig.get_path("scripts"), "filedecryptor"))
PASSWORD = "EncryptMe"
AUDIO = (PLAIN / "recording_abc123.opus").read_bytes()
RECORDINGS = json.loads((FIXTURES / "manifest.json").read_text())

# Root may read and write everything; without these two capabilities it is like anybody else.
AS_ANYBODY = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]
if os.geteuid() != 0:
    AS_ANYBODY.clear()


# Under nohup, or in the background of a script, signals are ignored, and what a test starts would
# inherit that. A handler is not inherited; this one changes nothing else.
for _signal in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, lambda *_: None)


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Standard error without the program's name."""
        return [line.removeprefix("filedecryptor: ") for line in self.stderr.splitlines()]


def run(
    *words: str | bytes | Path,
    cwd: Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    as_anybody: bool = False,
    command: Sequence[str] = (COMMAND,),
    **options: Any,
) -> Result:
    """Run the command to its end. Whatever happens, it must not show a traceback."""
    prefix = AS_ANYBODY if as_anybody else []
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(
        [*prefix, *command, *words],
        check=False,
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=environment,
        timeout=60,
        **options,
    )
    result = Result(done.returncode, done.stdout, done.stderr.decode())
    assert "Traceback" not in result.stderr, result.stderr
    return result


class Screen(NamedTuple):
    """What a command showed in a terminal."""

    code: int
    text: str


def run_in_terminal(
    *words: str | Path,
    cwd: Path,
    answers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    columns: int = 80,
    command: str = COMMAND,
) -> Screen:
    """Run the command in a real pseudo-terminal, typing each answer where its prompt appears."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(command, [command, *map(str, words)], {**os.environ, **(env or {})})  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    waiting = dict(answers or {})
    text = b""
    try:
        while select.select([terminal], [], [], 60)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # Linux says so when the other side has gone
                break
            if not piece:
                break
            text += piece
            for prompt in [prompt for prompt in waiting if prompt.encode() in text]:
                os.write(terminal, waiting.pop(prompt).encode())
    finally:
        os.close(terminal)
    return Screen(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode())


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """Return every name below a folder with what it holds."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            mode = path.stat().st_mode
            path.chmod(mode | 0o400)
            found[name] = path.read_bytes()
            path.chmod(mode)
        else:
            found[name] = None
    return found


def wait_until(happened: Callable[[], bool]) -> None:
    """Return once something has happened, which must be soon."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_until_read(pipe: IO[bytes]) -> None:
    """Return once the other side has read all that was written to a pipe."""
    waiting = bytearray(4)
    wait_until(lambda: not any(fcntl.ioctl(pipe, termios.FIONREAD, waiting) or waiting))


def begin(
    folder: Path, encrypted_audio: bytes, *words: str, output: str = "a.opus"
) -> subprocess.Popen[bytes]:
    """Start a run that waits in the middle of its input."""
    process = subprocess.Popen(
        [COMMAND, "-", PASSWORD, "opus", "-o", output, *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(encrypted_audio[:5000])
    process.stdin.flush()
    wait_until_read(process.stdin)
    return process


@contextmanager
def nothing_changes(folder: Path) -> Iterator[None]:
    """Whatever happens inside, the folder is afterwards as it was before."""
    before = contents(folder)
    yield
    assert contents(folder) == before


@pytest.fixture(scope="session")
def encrypted_audio() -> bytes:
    """A real recording, encrypted."""
    return encrypt(AUDIO, PASSWORD)


@pytest.fixture
def folder(tmp_path: Path, encrypted_audio: bytes) -> Path:
    """A folder that holds `a.enc`."""
    (tmp_path / "a.enc").write_bytes(encrypted_audio)
    return tmp_path


MakeEnc = Callable[..., Path]


@pytest.fixture
def make_enc(tmp_path: Path) -> MakeEnc:
    """Return a function that writes an encrypted recording and returns its path."""

    def make(name: str = "a.enc", audio: bytes = AUDIO, password: bytes | str = PASSWORD) -> Path:
        path = tmp_path / name
        path.write_bytes(encrypt(audio, password))
        return path

    return make
