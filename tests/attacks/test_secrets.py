"""The password and the token are in nothing that is raised, that others see, or that is left on disk.

What commands print is searched in every test that runs one (`support/commands.py`).
"""

from __future__ import annotations

import logging
import os
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from io import BytesIO, FileIO
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.commands import COMMAND, children, wait_until
from support.folders import contents
from support.leaks import ASCII, NOT_ASCII, chain, encodings, leaks, on_disk, told
from support.posix import make_fifo
from support.recordings import AUDIO, encrypt
from support.vns import ONE, TWO

from filedecryptor import decrypt, decrypt_file, decrypt_files, open_recording
from filedecryptor.core.crypto import StreamDecryptor
from filedecryptor.errors import FileDecryptorError
from filedecryptor.jobs.job import Job, try_job
from filedecryptor.jobs.plan import Plan
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE
from filedecryptor.vns import Archive, Client
from filedecryptor.vns.lock import locked

SECRET = NOT_ASCII


@pytest.mark.parametrize("secret", [ASCII, NOT_ASCII], ids=["ascii", "not-ascii"])
def test_the_search_finds_what_there_is(tmp_path: Path, secret: str) -> None:
    """Plain, cut, escaped or encoded, in a text, in a file, or as its name."""
    assert all(leaks(b"before" + form + b"after", secret) for form in encodings(secret))
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
    assert not leaks(on_disk(tmp_path), secret)
    file = tmp_path / f"{secret[:8]}.tmp"
    file.touch()
    assert leaks(on_disk(tmp_path), secret)
    file.rename(tmp_path / "x").write_text(secret, encoding="utf-8")
    assert leaks(on_disk(tmp_path), secret)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs the /proc of Linux")
@pytest.mark.parametrize("way", ["word", "file", "variable", "stdin"])
def test_what_others_see_of_a_run(tmp_path: Path, way: str) -> None:
    """A password given as `-` is no word and no variable of the process; it starts no others."""
    work, recording = tmp_path / "work", encrypt(AUDIO, SECRET)
    work.mkdir()
    make_fifo(work / "pipe.enc")
    (work / "a.enc").write_bytes(recording)
    (tmp_path / "password").write_text(f"{SECRET}\n")
    words = ["a.enc", "pipe.enc", SECRET if way == "word" else "-", "opus"]
    words += ["--password-file", str(tmp_path / "password")] if way == "file" else []
    env = {"HOME": str(work), "TMPDIR": str(work)}
    env |= {ENVIRONMENT_VARIABLE: SECRET} if way == "variable" else {}
    with subprocess.Popen(
        [COMMAND, *words],
        cwd=work,
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(f"{SECRET}\n".encode())
        process.stdin.flush()
        wait_until((work / "a.opus").exists)
        seen = [Path(f"/proc/{process.pid}/{name}") for name in ("cmdline", "environ")]
        found = [bool(leaks(path.read_bytes(), SECRET)) for path in seen]
        assert found == [way == "word", way == "variable"]
        assert children(process.pid) == []
        assert not leaks(on_disk(work), SECRET)
        (work / "pipe.enc").write_bytes(recording)
        assert not leaks(process.stderr.read(), SECRET)
    assert process.returncode == 0
    assert not leaks(on_disk(work), SECRET)


def first(name: str, secret: str | bytes, extension: str = "opus") -> None:
    """Decrypt a recording as one of many, and raise its error."""
    [outcome] = decrypt_files([name], secret, extension)
    assert not leaks(repr(outcome), SECRET)
    assert outcome.error
    raise outcome.error


RAISING: list[Callable[[str], object]] = [
    lambda secret: decrypt(Path("other.enc").read_bytes(), secret),
    lambda secret: decrypt(Path("other.enc").read_bytes(), secret.encode()),
    lambda secret: decrypt(b"short", secret),
    lambda secret: decrypt_file("a.enc", f"{secret}\ud800", "opus"),
    lambda secret: decrypt_file("noise.enc", secret, "auto"),
    lambda secret: decrypt_file("missing.enc", secret, "opus"),
    lambda secret: decrypt_file("a.enc", secret, "a/b"),
    lambda secret: decrypt_file("a.enc", secret, "enc"),
    lambda secret: decrypt_file("a.enc", secret, "opus", output="."),
    lambda secret: open_recording("other.enc", secret),
    lambda secret: open_recording(BytesIO(b"short"), secret),
    lambda secret: open_recording("a.enc", f"{secret}\ud800"),
    lambda secret: first("other.enc", secret),
    lambda secret: first("a.enc", f"{secret}\ud800"),
    lambda secret: first("noise.enc", secret, "auto"),
]


@pytest.fixture
def recordings(here: Path) -> Path:
    """A folder with good and bad recordings, which is the working directory."""
    (here / "a.enc").write_bytes(encrypt(AUDIO, SECRET))
    (here / "other.enc").write_bytes(encrypt(AUDIO, "another password"))
    (here / "noise.enc").write_bytes(encrypt(b"x" * 100, SECRET))
    return here


@pytest.mark.parametrize("number", range(len(RAISING)))
def test_exceptions_tell_nothing(recordings: Path, number: int) -> None:
    """None of the Python functions', nor what they are chained to, their notes and attributes."""
    with pytest.raises((FileDecryptorError, OSError)) as raised:
        RAISING[number](SECRET)
    assert not leaks(told(raised.value), SECRET)


def test_objects_tell_nothing(recordings: Path) -> None:
    """No secret is in what represents a job, an outcome, a plan, or the decryption under way."""
    key = bytearray(SECRET.encode()[:16].ljust(32, b"\0"))
    with open_recording("a.enc", SECRET) as recording, FileIO("a.enc") as source:
        for thing in (
            recording,
            source,
            StreamDecryptor(key, bytes(12), 16),
            try_job(Job("other.enc", "opus"), SECRET),
            try_job(Job("a.enc", "opus", verify=True), SECRET, source=source),
            Plan(["."], Job("", "opus")),
            decrypt_files(["."], SECRET, "opus"),
        ):
            assert not leaks(f"{thing!r} {thing} {getattr(thing, '__dict__', '')}", SECRET)
    assert contents(recordings).keys() == {"a.enc", "noise.enc", "other.enc"}


# Whatever the API does


@pytest.fixture
def api() -> Iterator[Server]:
    """An account of two recordings, one of them with the marked password."""
    with serving() as server:
        server.recordings = {ONE: encrypt(AUDIO, SECRET), TWO: AUDIO}
        yield server


# What can be asked of a client.
ASKING: dict[str, Callable[[Client], object]] = {
    "list": lambda client: client.list_recordings(),
    "download": lambda client: client.download(UUID(ONE), BytesIO()),
    "delete": lambda client: client.delete(UUID(ONE)),
}

ANSWERS: dict[str, Callable[[Handler], object]] = {
    "refused": lambda handler: handler.send(401, b"{}"),
    "teapot": lambda handler: handler.send(418, TOKEN.encode()),
    "elsewhere": lambda handler: handler.send(302, b"", Location="http://127.0.0.1:9/x"),
    "circle": lambda handler: handler.send(307, b"", Location=PATH),
    "babbles": lambda handler: handler.wfile.write(b"\xff\0nonsense\r\n\r\n"),
}


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("name", [*ANSWERS, "gone"])
def test_exceptions_and_logs_tell_nothing(
    api: Server,
    name: str,
    ask: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does an exception lead to one of `httpcore`, which holds the request and its token."""
    monkeypatch.setattr("filedecryptor.vns.http.PAUSE", 0)
    url = "http://127.0.0.1:9" if name == "gone" else api.url

    def answer(handler: Handler) -> bool:
        ANSWERS[name](handler)
        handler.close_connection = True
        return True

    api.behaviours.append(answer)
    with caplog.at_level(logging.DEBUG), pytest.raises(FileDecryptorError) as raised:
        ASKING[ask](Client(TOKEN, url=url))
    assert not leaks(told(raised.value), TOKEN)
    assert {type(link).__module__ for link in chain(raised.value)} <= {"filedecryptor.errors"}
    assert_logs_tell_nothing(caplog)


def test_a_success_tells_nothing(
    api: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the loggers of every library open; nor does what represents a client or an archive."""
    with caplog.at_level(logging.DEBUG):
        client = Client(TOKEN, url=api.url)
        archive = Archive(client, str(tmp_path), password=SECRET, delete_after=True)
        with locked(str(tmp_path)):
            outcomes = list(archive.fetch([UUID(ONE), UUID(TWO)]))
    assert {outcome.status for outcome in outcomes} == {"decrypted", "stored"}
    assert {record.name.partition(".")[0] for record in caplog.records} >= {"httpcore"}
    assert_logs_tell_nothing(caplog)
    for thing in (client, archive, *outcomes):
        assert not leaks(f"{thing!r} {thing}", TOKEN, SECRET)
    assert not leaks(on_disk(tmp_path), TOKEN, SECRET)


def assert_logs_tell_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Search every log record, and what it was made of."""
    assert caplog.records
    for record in caplog.records:
        assert not leaks(f"{record.getMessage()} {vars(record)}", TOKEN, SECRET)


@pytest.mark.parametrize("token", [SECRET, f"{TOKEN}\n", f" {TOKEN}"])
def test_a_token_that_cannot_be_used_is_not_shown(token: str) -> None:
    """The exception says what is wrong with it, and nothing of it."""
    with pytest.raises(FileDecryptorError) as raised:
        Client(token)
    assert not leaks(told(raised.value), TOKEN, SECRET)
