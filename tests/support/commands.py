"""The commands, run as a user runs them: in this process, or in one of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NamedTuple

from click.testing import CliRunner

from filedecryptor.cli import EXAMPLES
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.process import exit_code
from support.api_server import TOKEN
from support.leaks import encodings
from support.posix import IS_ROOT, IS_WINDOWS, fcntl, termios
from support.recordings import PASSWORD

SCRIPTS = Path(sysconfig.get_path("scripts"))
EXE = ".exe" if IS_WINDOWS else ""
COMMAND = str(SCRIPTS / f"filedecryptor{EXE}")
VNS = str(SCRIPTS / f"vns-recordings{EXE}")

# Root may read and write everything; without these two capabilities it is like anybody else.
AS_ANYBODY = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]
if not IS_ROOT:
    AS_ANYBODY.clear()

SECRET_VARIABLES = ("FILEDECRYPTOR_PASSWORD", "VNS_API_TOKEN")


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def lines(self) -> list[str]:
        """Standard error without the program's name."""
        return [line.removeprefix("filedecryptor: ") for line in self.stderr.splitlines()]


WORDS_OF_WINDOWS: dict[str, str] = {}
"""What Windows says of a failure, and what other systems do (Microsoft, "System Error Codes")."""

if sys.platform == "win32":
    import ctypes

    _missing, _exists = "No such file or directory", "File exists"
    _words = {2: _missing, 3: _missing, 5: "Permission denied", 80: _exists, 183: _exists}
    for _code, _word in _words.items():
        WORDS_OF_WINDOWS[ctypes.FormatError(_code).rstrip(" .\r\n")] = _word


def neutral(output: bytes) -> bytes:
    """Return what a program has printed as it would be elsewhere: separators, the system's words."""
    if not IS_WINDOWS:
        return output
    try:
        text = output.decode()
    except UnicodeDecodeError:  # the audio
        return output
    for theirs, words in WORDS_OF_WINDOWS.items():
        text = text.replace(theirs, words)
    separator = r"\\{2}" if text.startswith("{") else r"\\(?!x[0-9a-f]{2}|u[0-9a-f]{4})"
    return re.sub(separator, "/", text).encode()


def without_secrets(result: Result, env: Mapping[str, str | None]) -> Result:
    """Return what a command left behind, once no secret that it was given is found there."""
    # The examples of the help name the same password.
    printed = (result.stdout + result.stderr.encode()).replace(EXAMPLES[0].encode(), b"").lower()
    for secret in {PASSWORD, TOKEN, *(env.get(name) or "" for name in SECRET_VARIABLES)}:
        if len(secret) >= len(PASSWORD):  # a short one may stand there by chance
            assert not [form for form in encodings(secret) if form in printed]
    return result


@contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Be in a folder meanwhile."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run(
    *words: str | bytes | Path,
    cwd: Path,
    stdin: bytes = b"",
    env: Mapping[str, str | None] | None = None,
    cli: str = "filedecryptor.cli",
) -> Result:
    """Run a command to its end in this process, without signals, descriptors and limits of its own.

    Args:
        words: The command line.
        cwd: Where to be.
        stdin: What is on standard input; it has no descriptor.
        env: What is added to the environment; None for what is taken out.
        cli: The module whose `main` is the command.
    """
    _forget_other_stores(env or {})
    program = import_module(cli.replace("cli", "__main__"))
    with (
        working_directory(cwd),
        CliRunner().isolation(stdin, dict(env or {})) as (stdout, stderr, _),
    ):
        console = Console.of_process(import_module(cli).main.name)
        arguments = [os.fsdecode(word) for word in words]
        code = exit_code(console, lambda: program.start(console, arguments))
    result = Result(code, neutral(stdout.getvalue()), neutral(stderr.getvalue()).decode())
    return without_secrets(result, {**os.environ, **(env or {})})


def _forget_other_stores(env: Mapping[str, str | None]) -> None:
    """Let no client of s3fs serve a run in another environment than the one it was made in."""
    store = [item for item in {**os.environ, **env}.items() if item[0].startswith("AWS_")]
    if (store := sorted(store)) != _last_store:
        if module := sys.modules.get("filedecryptor.storage.s3"):
            module.S3.clear_instance_cache()
        _last_store[:] = store


_last_store: list[tuple[str, str | None]] = []


def run_process(
    *words: str | bytes | Path,
    cwd: Path,
    stdin: bytes | int | IO[Any] | None = b"",
    env: Mapping[str, str] | None = None,
    as_anybody: bool = False,
    command: Sequence[str] = (COMMAND,),
    **options: Any,
) -> Result:
    """Run a command to its end in a process of its own. It must not show a traceback.

    Args:
        words: The command line.
        cwd: Where to be.
        stdin: What is on standard input, or a file.
        env: What is added to the environment.
        as_anybody: Whether it may do no more than any user.
        command: The program.
        options: Arguments for `subprocess.run`.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60} | options
    options["input" if isinstance(stdin, bytes) else "stdin"] = stdin
    environment = {**os.environ, **(env or {})}
    prefix = AS_ANYBODY if as_anybody else []
    line = [*prefix, *command, *words]
    done: Any = subprocess.run(line, check=False, cwd=cwd, env=environment, **options)
    stdout, stderr = neutral(done.stdout or b""), neutral(done.stderr or b"")
    result = Result(done.returncode, stdout, stderr.decode())
    assert "Traceback" not in result.stderr, result.stderr
    return without_secrets(result, environment)


def wait_until(happened: Callable[[], bool]) -> None:
    """Return once something has happened, which must be soon."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def children(process: int) -> list[int]:
    """Return the processes that another one has started."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text("utf-8").split()]


def has_ended(process: int) -> bool:
    """Return whether a process is no more, or waits for somebody to notice that."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").split()[2] == "Z"
    except OSError:
        return True


def wait_until_read(pipe: IO[bytes]) -> None:
    """Return once the other side has read all that was written to a pipe."""
    waiting = bytearray(4)
    wait_until(lambda: not any(fcntl.ioctl(pipe, termios.FIONREAD, waiting) or waiting))


def begin(
    folder: Path, encrypted_audio: bytes, *words: str, output: str = "a.opus"
) -> subprocess.Popen[bytes]:
    """Start a run that waits in the middle of its input."""
    command = [COMMAND, "-", PASSWORD, "opus", "-o", output, *words]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=folder, stdin=pipe, stderr=pipe)
    assert process.stdin
    process.stdin.write(encrypted_audio[:5000])
    process.stdin.flush()
    wait_until_read(process.stdin)
    return process


def ends_of_early_signals(
    *command: str, cwd: Path, runs: int, seconds: float
) -> Iterator[tuple[int, str]]:
    """Start a program that waits for its input, or for an API that is silent; yield how it ends.

    The first run gets a signal at once, the last one after so many seconds. The exit code is 130 for
    a run that died of the signal as well.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {**os.environ, "VNS_API_URL": url, "VNS_API_TOKEN": "x"}
        for run in range(runs):
            number = signal.SIGTERM if run % 3 == 0 else signal.SIGINT
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            time.sleep(0.002 + run * seconds / runs)
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            _, stderr = process.communicate()
            yield 130 if process.returncode == -number else process.returncode, stderr
