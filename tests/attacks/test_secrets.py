"""The password is in nothing that is raised, that others see of a process, or that is left on disk.

What commands print is searched in every test that runs one (`support/commands.py`).
"""

from __future__ import annotations

import os
import subprocess
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO, FileIO
from pathlib import Path
from urllib.parse import quote

import pytest
from support.commands import COMMAND, children, wait_until
from support.folders import contents
from support.leaks import ASCII, NOT_ASCII, encodings, leaks, on_disk, told
from support.posix import make_fifo, pty
from support.recordings import AUDIO, encrypt

from filedecryptor import decrypt, decrypt_file, decrypt_files, open_recording
from filedecryptor.core.crypto import StreamDecryptor
from filedecryptor.errors import FileDecryptorError
from filedecryptor.jobs.job import Job, try_job
from filedecryptor.jobs.plan import Plan
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE

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
@pytest.mark.parametrize("way", ["word", "file", "variable", "stdin", "prompt"])
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
    ours, stdin = pty.openpty() if way == "prompt" else os.pipe()[::-1]
    with subprocess.Popen(
        [COMMAND, *words],
        cwd=work,
        env={**os.environ, **env},
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that the prompt cannot go to a terminal of ours
    ) as process:
        assert process.stderr
        while way == "prompt" and process.stderr.read(1) != b":":
            pass
        os.write(ours, f"{SECRET}\n".encode())
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
    os.close(ours)
    os.close(stdin)


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
