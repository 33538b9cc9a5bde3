"""Whatever the API does, its token and the recordings' password are in nothing that is left.

What each run of the other tests prints is searched as well.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import NamedTuple, TypeVar
from uuid import UUID

import pytest
from support.commands import VNS
from support.leaks import DEVELOPER, NOT_ASCII, Place, chain, leaks, make_place, told
from support.recordings import AUDIO, encrypt

pytest.importorskip("httpcore", reason="the extra vns is not installed")

from support.api_server import PATH, TOKEN, Behaviour, Handler, Server, serving
from support.vns import ONE, TWO, slow

from filedecryptor.errors import FileDecryptorError
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE
from filedecryptor.vns import Archive, Client
from filedecryptor.vns.lock import locked

FAILING = str(Path(__file__).parents[1] / "support" / "failing.py")
WRONG_TOKEN = 'kT5wrong"token%0Gz'
Case = TypeVar("Case")
SECRETS = (TOKEN, WRONG_TOKEN, NOT_ASCII)


class Account(NamedTuple):
    """The server, and the folders that a command has to itself."""

    api: Server
    place: Place

    def start(self, *words: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a command; the first word may be a program of its own."""
        command = words if words[0].startswith("/") else (VNS, *words)
        api = {"VNS_API_URL": self.api.url, "VNS_API_TOKEN": TOKEN, ENVIRONMENT_VARIABLE: NOT_ASCII}
        env = {**os.environ, **DEVELOPER, **self.place.env, **api, **more}
        return subprocess.Popen(
            command, cwd=self.place.work, env=env, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a command, search all that it leaves, and return its code."""
        stdout, stderr = process.communicate(timeout=60)
        for text in (stdout, stderr, self.place.files()):
            assert not leaks(text, *SECRETS)
        assert b"Warning" not in stdout + stderr
        assert b"Traceback" not in stderr
        return process.returncode


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """An account of two recordings, one of them with the marked password."""
    with serving() as server:
        server.recordings = {ONE: encrypt(AUDIO, NOT_ASCII), TWO: AUDIO}
        yield Account(server, make_place(tmp_path))


def answering(status: int, body: bytes = b"{}", **headers: str) -> Behaviour:
    """Return a behaviour that gives every request the same answer."""

    def behave(handler: Handler) -> bool:
        handler.send(status, body, **headers)
        return True

    return behave


def sending(data: bytes) -> Behaviour:
    """Return a behaviour that sends some bytes and hangs up."""

    def behave(handler: Handler) -> bool:
        handler.wfile.write(data)
        handler.close_connection = True
        return True

    return behave


# Servers that fail, with the exit code of `list` and `archive`.
SERVERS: dict[str, tuple[Behaviour, int]] = {
    "401": (answering(401), 6),
    "403": (answering(403), 6),
    "404": (answering(404), 7),
    "500": (answering(500), 7),
    "busy": (answering(503, Retry_After="0"), 7),
    "teapot": (answering(418), 7),
    "garbage": (answering(200, b"\xff\0<html>no"), 7),
    "compressed": (answering(200, b"[]", Content_Encoding="gzip"), 7),
    "elsewhere": (answering(302, Location="http://127.0.0.1:9/x"), 7),
    "nowhere": (answering(302, Location="http://["), 7),
    "circle": (answering(307, Location=PATH), 7),
    "breaks": (sending(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n["), 7),
    "hangs": (sending(b""), 7),
    "babbles": (sending(b"\xff\0nonsense\r\n\r\n"), 7),
    "sleeps": (slow, 7),
}


def side_by_side(cases: Iterable[Case], test: Callable[[Case], None]) -> None:
    """Test all cases at once, since most of it waits."""
    with ThreadPoolExecutor(20) as pool:
        for _ in pool.map(test, cases):
            pass


@pytest.mark.slow
def test_a_failing_server_makes_nobody_talk(account: Account, tmp_path: Path) -> None:
    """Each kind of failure, in the list and in a download."""

    def one(name: str) -> None:
        behaviour, code = SERVERS[name]
        (tmp_path / name).mkdir()
        with serving() as server:
            server.recordings = dict(account.api.recordings)
            server.behaviours.append(behaviour)
            here = Account(server, make_place(tmp_path / name))
            assert here.end(here.start("archive", ".", "--timeout", "0.3")) == code, name
            if name in {"401", "404", "elsewhere", "garbage", "babbles"}:
                assert here.end(here.start("download", ONE, "--json")) in {code, 1, 3, 4}, name
            assert any(seen[2].get("Token") == TOKEN for seen in server.seen), name

    side_by_side(SERVERS, one)


# The function that fails, how, and the exit code of `archive`.
INJECTED = [
    ("os.fsync", "EIO", 1),
    ("os.replace", "EACCES", 0),
    ("filedecryptor.storage.atomic.nameless", "ENOSPC", 1),
    ("filedecryptor.storage.atomic.PendingFile.write_all", "ENOSPC", 1),
    ("filedecryptor.core.crypto.encode_password", "EIO", 1),
    ("socket.create_connection", "EIO", 7),
    ("socket.getaddrinfo", "EMFILE", 7),
    ("filedecryptor.vns.client.Download.receive", "KeyboardInterrupt", 130),
]


@pytest.mark.slow
def test_a_failing_system_makes_nobody_talk(account: Account, tmp_path: Path) -> None:
    """Each step that the system can refuse is refused."""

    def one(case: tuple[str, str, int]) -> None:
        function, error, code = case
        (tmp_path / function).mkdir()
        here = account._replace(place=make_place(tmp_path / function))
        words = (sys.executable, FAILING, function, error, "--vns", "archive", "calls")
        assert here.end(here.start(*words)) == code, case

    side_by_side(INJECTED, one)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_tells_nothing(account: Account, name: str) -> None:
    """Neither while it is under way, nor what `/proc` shows of it, nor after its end."""
    token_file = account.place.secret_file(TOKEN)
    account.api.behaviours.append(slow)
    process = account.start("archive", ".", "--token-file", token_file, VNS_API_TOKEN="none")
    while not account.api.seen:
        time.sleep(0.01)
    proc = Path("/proc", str(process.pid))
    if proc.exists():
        assert not leaks((proc / "cmdline").read_bytes(), *SECRETS)
        assert not leaks((proc / "environ").read_bytes(), TOKEN)
        assert leaks((proc / "environ").read_bytes(), NOT_ASCII)  # the search works
        assert not any(path.read_text("utf-8") for path in proc.glob("task/*/children"))
    assert not leaks(account.place.files(), *SECRETS)
    process.send_signal(getattr(signal, name))
    assert account.end(process) == 130


# What can be asked of a client.
ASKING: list[Callable[[Client], object]] = [
    lambda client: client.list_recordings(),
    lambda client: client.download(UUID(ONE), BytesIO()),
    lambda client: client.delete(UUID(ONE)),
]


@pytest.mark.parametrize("ask", ASKING, ids=["list", "download", "delete"])
@pytest.mark.parametrize("name", ["401", "teapot", "elsewhere", "circle", "babbles", "gone"])
def test_exceptions_and_logs_tell_nothing(
    account: Account,
    name: str,
    ask: Callable[[Client], object],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does an exception lead to one of `httpcore`, which holds the request and its token."""
    monkeypatch.setattr("filedecryptor.vns.http.PAUSE", 0)
    url = account.api.url
    if name == "gone":
        with serving() as server:
            url = server.url
    else:
        account.api.behaviours.append(SERVERS[name][0])
    with caplog.at_level(logging.DEBUG), pytest.raises(FileDecryptorError) as raised:
        ask(Client(TOKEN, url=url))
    assert not leaks(told(raised.value), TOKEN)
    assert {type(link).__module__ for link in chain(raised.value)} <= {"filedecryptor.errors"}
    assert_logs_tell_nothing(caplog)


def test_logs_of_a_success_tell_nothing(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    """With the loggers of every library open."""
    with caplog.at_level(logging.DEBUG):
        client = Client(TOKEN, url=account.api.url)
        directory = str(account.place.work / "calls")
        archive = Archive(client, directory, password=NOT_ASCII, delete_after=True)
        with locked(directory):
            outcomes = list(archive.fetch([UUID(ONE), UUID(TWO)]))
    assert {outcome.status for outcome in outcomes} == {"decrypted", "stored"}
    assert {record.name.partition(".")[0] for record in caplog.records} >= {"httpcore"}
    assert_logs_tell_nothing(caplog)
    for thing in (client, archive, *outcomes):
        assert not leaks(f"{thing!r} {thing}", *SECRETS)
    assert not leaks(account.place.files(), *SECRETS)


def assert_logs_tell_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Search every log record, and what it was made of."""
    assert caplog.records
    for record in caplog.records:
        assert not leaks(f"{record.getMessage()} {vars(record)}", *SECRETS)


@pytest.mark.parametrize("token", [NOT_ASCII, f"{WRONG_TOKEN}\n", f" {WRONG_TOKEN}"])
def test_a_token_that_cannot_be_used_is_not_shown(token: str) -> None:
    """The exception says what is wrong with it, and nothing of it."""
    with pytest.raises(FileDecryptorError) as raised:
        Client(token)
    assert not leaks(told(raised.value), *SECRETS)
