"""Objects appear whole or not at all."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest

pytest.importorskip("s3fs", reason="the extra s3 is not installed")
import threading
import time
from collections.abc import Callable

from fsspec import AbstractFileSystem, register_implementation
from fsspec.spec import AbstractBufferedFile
from support.bucket import Bucket, added
from support.commands import COMMAND, wait_until, wait_until_read
from support.recordings import AUDIO, PASSWORD, encrypt
from support.store_proxy import Answer, Request, proxy

from filedecryptor.errors import StorageError
from filedecryptor.storage.objects import LARGEST_PIECE, publish

LARGE = LARGEST_PIECE + 1_000_000
"""Bytes of audio that are sent in several parts."""


@pytest.mark.parametrize("size", [0, 1, LARGE])
def test_audio_of_any_size(bucket: Bucket, tmp_path: Path, size: int) -> None:
    """Sent at once or in parts, it arrives whole, and replaces what was there."""
    audio = os.urandom(size)
    bucket.put("a.enc", encrypt(audio, PASSWORD))
    bucket.put("a.wav", b"old")
    assert bucket.run(f"{bucket.url}/a.enc", "-", "wav", cwd=tmp_path).code == 0
    assert bucket.contents()["a.wav"] == audio


@pytest.mark.parametrize("size", [0, 1000, LARGE])
@pytest.mark.parametrize("many", [[], ["-d"]])
def test_what_fails_leaves_no_object_and_no_upload(
    bucket: Bucket, tmp_path: Path, size: int, many: list[str]
) -> None:
    """Nothing is sent before the tag has verified; what was there stays."""
    recording = bytearray(encrypt(os.urandom(size), PASSWORD))
    recording[-1] ^= 1
    bucket.put("in/a.enc", bytes(recording))
    bucket.put("in/a.wav", b"old")
    before = bucket.contents()
    where = [*many, f"{bucket.url}/out"] if many else []
    result = bucket.run(f"{bucket.url}/in/a.enc", "-", "wav", *where, cwd=tmp_path)
    assert result.code == 3
    assert result.lines[0].startswith(f"error: {bucket.url}/in/a.enc: authentication failed")
    assert added(bucket, before) == {}


@pytest.mark.parametrize("size", [0, 1000, LARGE])
@pytest.mark.parametrize(("if_exists", "code"), [("skip", 0), ("fail", 1)])
def test_an_object_that_appears_meanwhile_stays(
    bucket: Bucket, tmp_path: Path, size: int, if_exists: str, code: int
) -> None:
    """Whoever came first wins, and no upload is left behind."""
    recording = encrypt(bytes(size), PASSWORD)
    words = ["-", "-", "wav", "-o", f"{bucket.url}/a.wav", "--if-exists", if_exists]
    process = subprocess.Popen(
        [COMMAND, *words],
        cwd=tmp_path,
        env={**os.environ, **bucket.env, "FILEDECRYPTOR_PASSWORD": PASSWORD},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(recording[:44])
    process.stdin.flush()
    wait_until_read(process.stdin)  # before that, it has looked for the output
    first = b"1" * size
    bucket.put("a.wav", first)
    _, stderr = process.communicate(recording[44:], timeout=60)
    assert process.returncode == code, stderr
    assert bucket.contents() == {"a.wav": first}
    assert (b"File exists" if code else b"skipped") in stderr


class Refusing(AbstractBufferedFile):  # type: ignore[misc]
    """An upload of which the store takes the first part only, and refuses even to forget it."""

    completed = False

    def _initiate_upload(self) -> None:
        self.parts = 0

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: FBT001, FBT002 - fsspec's own
        self.parts += 1
        if self.parts == 2:
            raise PermissionError
        Refusing.completed = final
        return True

    def discard(self) -> None:
        """Refuse."""
        raise PermissionError


class RefusingStore(AbstractFileSystem):  # type: ignore[misc]
    """A store of such uploads."""

    protocol = "refusing"

    def _open(self, path: str, mode: str, block_size: int, **_: object) -> Refusing:
        return Refusing(self, path, mode, block_size)


def test_an_upload_that_cannot_be_forgotten_is_not_completed() -> None:
    """Not even when its remains are collected: it would be cut off audio."""
    register_implementation("refusing", RefusingStore, clobber=True)
    with pytest.raises(StorageError):
        publish("refusing://x/y", BytesIO(bytes(2 * LARGE)), replace=True, written=None)
    gc.collect()
    assert not Refusing.completed


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle(bucket: Bucket, tmp_path: Path, name: str) -> None:
    """What is done stays whole, no upload is left, the summary is printed."""
    recording = encrypt(AUDIO, PASSWORD)
    for number in range(80):
        bucket.put(f"{number}.enc", recording)
    process = subprocess.Popen(
        [COMMAND, bucket.url, PASSWORD, "auto"],
        cwd=tmp_path,
        env={**os.environ, **bucket.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    for _ in range(10):
        process.stdout.readline()
    process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.decode().splitlines()[-1] == "filedecryptor: error: interrupted"
    assert re.search(r"\d+ decrypted; ", stderr.decode())
    done = [data for key, data in bucket.contents().items() if key.endswith(".opus")]
    assert 10 <= len(done) < 80
    assert set(done) == {AUDIO}


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1, 7])
def test_an_interruption_leaves_no_upload(bucket: Bucket, tmp_path: Path, seconds: int) -> None:
    """However slow the store is: what was begun is aborted, in a bounded time."""
    parts: list[str] = []

    def slow(request: Request, forward: Forward) -> Answer:
        if "partNumber=" in request.path:
            parts.append(request.path)
            time.sleep(seconds)
        return forward(request)

    recording = encrypt(bytes(40 << 20), PASSWORD)
    for name in "bcd":
        bucket.put(f"big/{name}.enc", recording)
    with proxy(bucket.env["AWS_ENDPOINT_URL"], slow) as store:
        env = {**bucket.env, "AWS_ENDPOINT_URL": store.url, "FILEDECRYPTOR_PASSWORD": PASSWORD}
        process = subprocess.Popen(
            [COMMAND, f"{bucket.url}/big/", "-", "x"],
            cwd=tmp_path,
            env={**os.environ, **env},
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: len(parts) >= 3)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert time.monotonic() - begin < 15
    assert not bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads")


def test_no_temporary_directory_is_needed(with_recording: Bucket, tmp_path: Path) -> None:
    """Not for a recording that fits in memory."""
    code = (
        "import sys, tempfile; from filedecryptor import __main__\n"
        "def none(): raise FileNotFoundError('no usable temporary directory')\n"
        "tempfile._get_default_tempdir = none; sys.exit(__main__.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{with_recording.url}/in/a.enc", PASSWORD, "x"],
        check=False,
        cwd=tmp_path,
        env={**os.environ, **with_recording.env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert with_recording.get("in/a.x") == AUDIO


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_objects(tmp_path: Path) -> None:
    """64 of them at a time, each larger than what is held of it."""
    code = (
        "import sys; from filedecryptor import __main__; code = __main__.main();"
        "print(open('/proc/self/status').read(), file=sys.stderr); sys.exit(code)"
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr
        address = next(filter(None, (re.search(r"http://\S+:\d+", line) for line in server.stderr)))
        threading.Thread(target=server.stderr.read, daemon=True).start()  # or it would wait for us
        bucket = Bucket(address[0])
        recording = encrypt(bytes(LARGE))
        for number in range(64):
            bucket.put(f"in/{number}.enc", recording)
        done = subprocess.run(
            [sys.executable, "-c", code, f"{bucket.url}/in/", PASSWORD, "x", "-q", "-j", "16"],
            check=False,
            cwd=tmp_path,
            env={**os.environ, **bucket.env},
            capture_output=True,
            text=True,
        )
    finally:
        server.kill()
        server.wait()
    assert done.returncode == 0, done.stderr
    peak = PEAK.search(done.stderr)
    assert peak
    print(f"peak: {int(peak[1]) // 1024} MiB")  # noqa: T201 - for pytest -s
    # The compiler of the lanes takes its share, where there is one.
    assert int(peak[1]) <= (300 if find_spec("llvmlite") else 200) * 1024


PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


Forward = Callable[[Request], Answer]
