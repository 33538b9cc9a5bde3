"""Recordings in an object store: the command against a real S3 server on loopback."""

from __future__ import annotations

import base64
import gc
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from socket import socket
from threading import Barrier, Event, Semaphore
from unittest.mock import Mock

import pytest
from support.commands import COMMAND, run, run_process, wait_until
from support.folders import contents
from support.recordings import AUDIO, BY_FORMAT, PASSWORD, altered, encrypt

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from fsspec.implementations.memory import MemoryFileSystem
from support.bucket import Bucket
from support.store import RECORDING, Store
from support.store_proxy import (
    NOT_IMPLEMENTED,
    Answer,
    Behaviour,
    Request,
    forwarding,
    is_conditional,
    proxy,
    refusal,
    refusing_conditions,
)
from support.tls import certificate, listening, secure

from filedecryptor import AuthenticationError, UsageError, decrypt_file, open_recording
from filedecryptor.errors import StorageError, UnavailableError, in_one_line
from filedecryptor.jobs.batch import FAILURES_IN_A_ROW
from filedecryptor.storage import UNCONDITIONAL, objects, uploads
from filedecryptor.storage.objects import LARGEST_PIECE, READ_AHEAD
from filedecryptor.storage.paths import join
from filedecryptor.storage.s3 import S3

Forward = Callable[[Request], Answer]

LARGE = LARGEST_PIECE + 1_000_000
"""Bytes of audio that are sent in several parts."""


OUTPUTS = dict(zip(["a.opus", "b c.mp3", "late/d.wav"], BY_FORMAT.values(), strict=True))
ALL = {f"in/{name}": audio for name, audio in OUTPUTS.items()}


@pytest.fixture
def night(store: Store) -> Store:
    """A store with a night's recordings, one of each format, one of them below the others."""
    for key, audio in zip(["in/a.enc", "in/b c.ENC", "in/late/d.enc"], ALL.values(), strict=True):
        store.put(key, encrypt(audio))
    store.put("in/notes.txt", b"")
    store.put("in/", b"")  # as consoles mark folders
    store.put("inside.enc", b"not in the folder")
    return store


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("line", "code", "expected", "last"),
    [
        ("@/in/a.enc - opus", 0, {"in/a.opus": AUDIO}, ""),
        ("@/in - auto", 0, ALL, "3 decrypted; "),
        ("@/in/ - auto --verify", 0, {}, "3 verified; "),
        ("@ - auto", 4, ALL, "3 decrypted, 1 failed; "),
        ("@/none/ - auto", 1, {}, "1 failed in "),
    ],
)
def test_an_object_a_folder_or_a_bucket(
    night: Store, line: str, code: int, expected: dict[str, bytes], last: str
) -> None:
    """Beside the recordings, with the addresses on standard output; other objects stay out."""
    before = night.contents()
    result = night.run(line)
    assert result.code == code, result
    assert night.contents() == before | expected
    assert sorted(result.stdout.decode().splitlines()) == [f"@/{key}" for key in expected]
    assert "".join(result.lines[-1:]).startswith(last)
    assert (code == 4) == ("error: @/inside.enc: this is a text, not a recording" in result.stderr)
    assert contents(night.folder) == {}


@pytest.mark.every_server
def test_between_the_store_and_other_places(night: Store) -> None:
    """Input and output may be on the disk, or the streams; a second run believes lengths only."""
    folder = night.folder
    assert night.run("@/in - auto -d out").code == 0
    found = {f"out/{name}": audio for name, audio in OUTPUTS.items()}
    assert contents(folder) == {**found, "out": None, "out/late": None}
    (folder / "new").touch()
    new, written = (folder / "new").stat(), (folder / "out" / "a.opus").stat()
    assert written.st_mtime_ns % 1_000_000_000 == 0  # as the store tells the object's time
    assert abs(written.st_mtime - new.st_mtime) < 600
    assert written.st_mode == new.st_mode  # an object has no permissions to take
    assert night.run("@/in - auto -d out --if-exists skip").stdout == b""
    (folder / "out" / "a.opus").write_bytes(b"cut")
    again = night.run("@/in - auto -d out --if-exists skip")
    assert (again.code, again.stdout) == (0, b"out/a.opus\n")
    assert "3 bytes, not the 14165" in again.lines[0]
    assert contents(folder) == {**found, "out": None, "out/late": None, "new": b""}

    (folder / "z.enc").write_bytes(RECORDING)
    before = night.contents()
    assert night.run("z.enc - opus -o @/x/y.opus") == (0, b"@/x/y.opus\n", "")
    assert night.run("z.enc - opus -o @/x/y.opus --if-exists skip").stdout == b""
    assert night.run("@/in/a.enc - opus -o -").stdout == AUDIO
    assert night.run("- - opus -o @/new.opus", stdin=RECORDING).code == 0
    assert night.contents() == before | {"x/y.opus": AUDIO, "new.opus": AUDIO}


@pytest.mark.every_server
@pytest.mark.parametrize("key", ["in/a.enc", "in/"])
def test_an_object_that_is_there(night: Store, key: str) -> None:
    """As on the disk: the length tells; for many, the listings tell it."""
    line = f"@/{key} - auto --if-exists"
    night.put("in/a.opus", b"cut")
    failed = night.run(f"{line} fail")
    assert failed.code == 1
    said = "error: @/in/a.opus: exists with another length: 3 bytes instead of 14165"
    assert said in failed.lines
    done = night.run(f"{line} skip")
    assert done.code == 0
    assert "note: @/in/a.opus: 3 bytes, not the 14165 of the recording: done again" in done.lines
    assert night.get("in/a.opus") == AUDIO
    night.client.delete_object(Bucket=night.name, Key="in/a.opus")
    night.put("in/a.wav", bytes(len(AUDIO)))  # with `auto`, the name of any format counts
    before = night.contents()
    assert night.run(f"{line} skip")[:2] == (0, b"")
    assert "error: @/in/a.wav: File exists" in night.run(f"{line} fail").lines
    assert night.contents() == before


NAMES = [
    "a b", "-dash", "--", "new\tline", "ünï☃🔐", "e\u0301", "#", "?x=1", "%41", "*", "[a]", "a+b",
    "back\\slash", "a//b", "x/../y", "..hidden",
]  # fmt: skip


@pytest.mark.every_server
def test_a_key_is_taken_as_it_is(store: Store) -> None:
    """Nothing in it is a pattern, a path or an escape; what fsspec takes for a chain is refused."""
    chains = ["a::b", "c::d/e", "x?versionId=1"]
    for name in NAMES + chains:
        store.put(f"odd/{name}.enc", RECORDING)
    result = store.run("@/odd - opus -d @/out")
    assert result.code == 1
    assert sum(".enc: an address cannot hold" in line for line in result.lines) == len(chains)
    found = {key for key in store.contents() if key.startswith("out/")}
    assert found == {f"out/{name}.opus" for name in NAMES}
    for key in ("../../evil", "/etc/evil", "./x"):
        store.put(f"in/{key}.enc", RECORDING)
    result = store.run("@/in - opus -d deep/down")
    assert result.code == 1
    assert sorted(line.partition(": ")[2] for line in result.lines if line[-4:] == "path") == [
        f"@/in/{key}.enc: its key is not a plain relative path"
        for key in ("../../evil", "./x", "/etc/evil")
    ]
    assert contents(store.folder) == {"deep": None, "deep/down": None, "deep/down/a.opus": AUDIO}


@pytest.mark.every_server
def test_slashes_and_folders_hide_nothing(night: Store) -> None:
    """The end of `-d` has one; a folder may have no name, or that of an object, which goes first."""
    old = bytes(len(AUDIO))
    night.put("in//a.enc", RECORDING)
    night.put("out//a.opus", old)
    assert night.run("@/in - auto -d @/out// --if-exists fail").code == 1
    found = night.contents()
    assert found["out//a.opus"] == old
    assert {name: found.get(f"out/{name}") for name in OUTPUTS} == OUTPUTS
    night.put("in/a.enc/b.enc", encrypt(b"below"))
    for line, output, audio in (
        ("@/in/a.enc - x", "in/a.x", AUDIO),
        ("@/in/a.enc/ - x", "in/a.enc/b.x", b"below"),
        ("@/in/a.enc - x -d @/in/a.x --if-exists skip", "in/a.x/a.x", AUDIO),
    ):
        assert night.run(line).stdout.decode() == f"@/{output}\n"
        assert night.get(output) == audio


def test_collisions_are_refused(night: Store) -> None:
    """Before anything is written; what is named twice is done once, in any spelling."""
    again = f"s3a://{night.name}/in/a.enc"
    night.put("in/late/a.enc", RECORDING)
    twice = night.run(f"@/in/a.enc {again} - opus")
    assert (twice.code, twice.lines[-1][:11]) == (0, "1 decrypted")
    before = night.contents()
    for line, said, count in (
        ("@/in/a.enc @/in/late/a.enc - opus -d @/out", "it would have the same output as", 2),
        ("@/in/a.enc - enc", "the output would replace the input", 1),
        (f"@/in/a.enc - x -o {again}", "the output would replace the input", 1),
    ):
        result = night.run(line)
        assert (result.code, result.stdout) == (2, b"")
        assert sum(said in line for line in result.lines if line.startswith("error: ")) == count
    assert night.contents() == before


def test_audio_is_passed_over(night: Store) -> None:
    """As on a disk: it is not in the way of its recording; a recording of that name is."""
    night.put("in/a.opus", AUDIO)
    night.put("in/a.wav", AUDIO)
    for line, made in ("auto", "in/a.opus"), ("bin", "in/a.bin"), ("auto -d @/out", "out/a.opus"):
        result = night.run(f"@/in/a.enc @/in/a.opus @/in/a.wav - {line}")
        assert (result.code, result.stdout.decode()) == (0, f"@/{made}\n")
        assert "note: @/in/a.wav: this is opus audio already: passed over" in result.lines
        assert night.get(made) == AUDIO
    night.put("in/a.wav", RECORDING)
    assert night.run("@/in/a.enc @/in/a.wav - auto").code == 2


def test_from_python(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are taken where paths are, but for `decrypt_file`, which returns a path."""
    url = f"{store.url}/in/a.enc"
    store.use(monkeypatch)
    with open_recording(url, PASSWORD) as recording:
        assert recording.read() == AUDIO
    with pytest.raises(AuthenticationError):
        open_recording(url, "wrong")
    with pytest.raises(UsageError):
        decrypt_file(url, PASSWORD, "opus")
    store.use(monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    with pytest.raises(StorageError) as caught:
        open_recording(url, PASSWORD)
    assert (caught.value.filename, caught.value.__cause__) == (url, None)


def test_more_objects_than_one_page_lists(store: Store) -> None:
    """All are found, page by page; a second run does none of them again."""

    def in_pages(request: Request, forward: Forward) -> Answer:
        more = "&max-keys=2" if "list-type=2" in request.path else ""
        return forward(request._replace(path=request.path + more))

    wanted = {f"{number % 3}/{number}" for number in range(9)}
    for name in wanted:
        store.put(f"many/{name}.enc", RECORDING)
        store.put(f"many/{name}.txt", RECORDING)
    for if_exists, count in (("replace", 9), ("skip", 0)):
        done = store.run(f"@/many - wav -d @/out --if-exists {if_exists}", in_pages)
        assert done.code == 0, done
        assert len(done.stdout.splitlines()) == count
    assert store.count("GET") > 9 + 18 / 2 + 9 / 2
    assert {key for key in store.contents() if "out/" in key} == {
        f"out/{name}.wav" for name in wanted
    }


@pytest.mark.every_server
def test_a_reader_finds_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it lies: stores refuse a range that begins there."""
    store.use(monkeypatch)
    for size in (0, 44, READ_AHEAD, READ_AHEAD + 1, 2 * READ_AHEAD):
        data = os.urandom(size)
        store.put("x", data)
        read = bytearray()
        buffer = memoryview(bytearray(300_000))
        with objects.open_source(f"{store.url}/x") as source:
            while count := source.readinto(buffer):
                read += buffer[:count]
            assert source.readinto(buffer) == 0
        assert read == data


def test_a_bucket_with_dots_at_an_address_with_a_path(store: Store) -> None:
    """As behind a gateway: the bucket's name comes after the path, whatever it looks like."""

    def behind(request: Request, forward: Forward) -> Answer:
        front, _, path = request.path.partition("/some/path/")
        assert not front
        return forward(request._replace(path=f"/{path}"))

    bucket = Bucket(store.endpoint, f"with.dots-{store.name}")
    bucket.put("in/a.enc", RECORDING)
    bucket.put("in/b.enc", encrypt(bytes(LARGE)))
    for slash in ("", "/"):
        with proxy(store.endpoint, behind) as seen:
            env = {"AWS_ENDPOINT_URL": f"{seen.url}/some/path{slash}"}
            done = store.run(
                f"{bucket.url}/in - x --if-exists fail -d {bucket.url}/{slash}o", env=env
            )
        assert done.code == 0, done
        assert bucket.get(f"{slash}o/a.x") == AUDIO


def test_a_public_bucket(store: Store) -> None:
    """It is read without credentials, by requests that nobody has signed."""
    store.client.put_object_acl(Bucket=store.name, Key="in/a.enc", ACL="public-read")
    words = store.words("@/in/a.enc - opus -o -")
    with proxy(store.endpoint, forwarding) as seen:
        env = {**store.env, **NOBODY, "AWS_ENDPOINT_URL": seen.url, "HOME": str(store.folder)}
        refused, read = (
            run_process(*words, cwd=store.folder, env={**env, **more})
            for more in ({}, {"FSSPEC_S3_ANON": "true"})
        )
    assert refused.code == 1
    assert "FSSPEC_S3_ANON=true" in refused.lines[-1]
    assert (read.code, read.stdout) == (0, AUDIO)
    assert seen.requests
    assert not any("Authorization" in request.headers for request in seen.requests)


def test_an_object_that_is_replaced_while_it_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read belongs to one object, or there is an error; it is not that something exists."""
    store.use(monkeypatch)
    store.put("x", bytes(4 * READ_AHEAD))
    with (
        pytest.raises(StorageError, match="pre-conditions"),
        objects.seekable(f"{store.url}/x") as file,
    ):
        assert file.read(1) == b"\0"
        store.put("x", b"1" * 4 * READ_AHEAD)
        file.seek(3 * READ_AHEAD)
        file.read(1)


def test_few_requests(store: Store) -> None:
    """A short recording is one to read, and one to write; listings tell names and sizes."""
    store.put("in/b.enc", RECORDING)
    for if_exists, wanted in (
        ("replace", ["GET ", "GET /in/a.enc", "GET /in/b.enc", "PUT /in/a.x", "PUT /in/b.x"]),
        ("skip", ["GET ", "GET "]),
    ):
        store.requests.clear()
        assert store.run(f"@/in/ - x --if-exists {if_exists}", answering("none", None)).code == 0
        made = [
            f"{request.method} {request.path.partition('?')[0].removeprefix(f'/{store.name}')}"
            for request in store.requests
        ]
        assert sorted(made) == wanted


# Objects appear whole or not at all.


@pytest.mark.every_server
@pytest.mark.parametrize(("size", "folder"), [(0, "in"), (1000, "out"), (LARGE, "in")])
def test_an_object_appears_whole_or_not_at_all(store: Store, size: int, folder: str) -> None:
    """Nothing is sent before the tag has verified, neither at once nor in parts; what was there stays."""
    audio = os.urandom(size)
    store.put("in/a.enc", altered(encrypt(audio)))
    store.put(f"{folder}/a.wav", b"old")
    before = store.contents()
    line = "@/in/a.enc - wav" if folder == "in" else "@/in/a.enc - wav -d @/out"
    result = store.run(line)
    assert result.code == 3
    assert result.lines[0].startswith("error: @/in/a.enc: authentication failed")
    assert store.contents() == before
    store.put("in/a.enc", encrypt(audio))
    assert store.run(line).code == 0
    assert store.contents() == {"in/a.enc": encrypt(audio), f"{folder}/a.wav": audio}


@pytest.mark.every_server
def test_an_upload_that_cannot_be_aborted_is_not_completed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when its remains are collected: it would be cut off audio."""
    asked: set[str] = set()
    abort = Mock(side_effect=uploads.abort)  # it holds the upload meanwhile
    monkeypatch.setattr(uploads, "abort", abort)

    def refuse(request: Request, forward: Forward) -> Answer:
        is_new = request.path not in asked
        asked.add(request.path)
        is_refused = (is_new and "partNumber=2" in request.path) or request.method == "DELETE"
        return refusal(403, "AccessDenied", "no") if is_refused else forward(request)

    store.put("in/b.enc", encrypt(bytes(2 * LARGE)))
    with proxy(store.endpoint, refuse) as seen:
        result = store.run("@/in/b.enc - x", env={"AWS_ENDPOINT_URL": seen.url})
        gc.collect()
        abort.reset_mock()  # the last that held it
    assert result.lines[0] == "error: @/in/b.x: no"
    assert [request.method for request in seen.requests].count("DELETE") == 1
    assert "in/b.x" not in store.keys()  # noqa: SIM118 - no dict


@pytest.mark.every_server
@pytest.mark.parametrize("seconds", [0.3, pytest.param(7, marks=pytest.mark.slow)])
def test_an_interruption_leaves_no_upload(store: Store, seconds: float) -> None:
    """However slow the store is: what was begun is aborted, in a bounded time; the rest is whole."""
    parts: list[str] = []

    def slow(request: Request, forward: Forward) -> Answer:
        if "partNumber=" in request.path:
            parts.append(request.path)
            time.sleep(seconds)
        return forward(request)

    for name in "bcd":
        store.put(f"in/{name}.enc", encrypt(bytes(LARGE)))
    with proxy(store.endpoint, slow) as seen:
        process = subprocess.Popen(
            [COMMAND, *store.words("@/in/ - x -j 2")],
            cwd=store.folder,
            env={**os.environ, **store.env, "AWS_ENDPOINT_URL": seen.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: len(parts) >= 3)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=60)
    assert time.monotonic() - begin < 15
    assert process.returncode == 130, stderr
    assert stderr.endswith(b"filedecryptor: error: interrupted\n")
    done = {key for key in store.contents() if key.endswith(".x")}
    assert {f"{store.url}/{key}" for key in done} >= {*stdout.decode().split()}
    assert "in/a.x" in done
    assert len(done) < 4
    assert {len(store.get(key)) for key in done} <= {len(AUDIO), LARGE}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_objects(store: Store) -> None:
    """16 of them at a time, each larger than what is held of it; together they exceed the bound."""
    code = (
        "import sys; from filedecryptor import __main__; code = __main__.main();"
        "print(open('/proc/self/status').read(), file=sys.stderr); sys.exit(code)"
    )
    recording = encrypt(bytes(LARGE))
    for number in range(40):
        store.put(f"many/{number}.enc", recording)
    words, command = store.words("@/many/ - x -q -j 16"), (sys.executable, "-c", code)
    done = run_process(*words, cwd=store.folder, env=store.env, command=command, timeout=600)
    assert done.code == 0, done.stderr
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    assert peak
    # The compiler of the lanes takes its share, where there is one.
    assert int(peak[1]) <= (300 if find_spec("llvmlite") else 200) * 1024


# Stores that misbehave, and addresses that lead nowhere.

SLOW_DOWN = refusal(503, "SlowDown", "Please reduce your request rate.")


def answering(method: str, answer: Answer | None) -> Behaviour:
    """Return what gives all requests of a method, or of any, the same answer."""
    return lambda request, forward: answer if method in {request.method, ""} else forward(request)


def test_a_store_that_does_not_speak_http(store: Store) -> None:
    """Nothing of what it sends is shown as Python would write it."""
    answer = b"HTTP/1.1 200 OK\r\nX Bad\x01: its-header\r\n\r\n"
    with listening(lambda one: one.recv(5000) and one.send(answer)) as odd:
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{odd.port}", "AWS_MAX_ATTEMPTS": "1"}
        result = store.run("@/in/a.enc - opus", env=env)
    assert (result.code, "its-header" in result.stderr) == (1, False)
    assert result.stderr.endswith("a.enc: the answer is not valid HTTP: Invalid header token\n")


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_store_that_does_not_ask_for_what_is_sent(store: Store, size: int) -> None:
    """It gets all the same: no answer is due before, and some stores and proxies give none."""
    audio = os.urandom(size)
    store.put("in/a.enc", encrypt(audio))
    with proxy(store.endpoint, forwarding, invite=False) as seen:
        env = {**store.env, "AWS_ENDPOINT_URL": seen.url}
        words = store.words("@/in/a.enc - x")
        result = run_process(*words, cwd=store.folder, env=env, timeout=30)
    assert (result.code, result.lines) == (0, [])
    assert store.get("in/a.x") == audio


def test_a_line_that_breaks_while_something_is_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is made again, as after any other failure in passing."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 1)
    with listening(lambda one: one.recv(5000)) as deaf:  # what is left unread resets the line
        store.use(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{deaf.port}")
        with pytest.raises(UnavailableError):
            put(f"{store.url}/x", LARGEST_PIECE)
        assert deaf.count > 2  # aiohttp makes it twice


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits how long sending takes")
def test_a_store_that_takes_no_more_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as long as for an answer, and not until it hangs up."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 0)
    monkeypatch.setattr(S3, "read_timeout", 1)
    given_up = Event()
    with listening(lambda one: one.recv(5000) and given_up.wait(20)) as deaf:
        store.use(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{deaf.port}")
        begin = time.monotonic()
        with pytest.raises(UnavailableError, match="Connection timed out"):
            put(f"{store.url}/x", LARGEST_PIECE)
        given_up.set()
    assert time.monotonic() - begin < 15


def test_a_store_that_trickles_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, and the last never would: asked again, it would take as long."""
    monkeypatch.setattr("filedecryptor.storage.s3.REQUEST_TIME", 1)
    given_up = Event()
    reads: list[bool] = []

    def trickle(one: socket) -> None:
        is_read = one.recv(5000).startswith(b"GET")
        reads.append(is_read)
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(200 * is_read):
            one.send(b"x")
            if given_up.wait(0.1):
                break

    with listening(trickle) as slow:
        env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{slow.port}"}
        result = store.run("@/in/a.enc - x", env=env)
        given_up.set()
    said = "error: @/in/a.enc: a request has taken 1 seconds"
    assert (result.code, result.lines) == (1, [said])
    assert reads.count(True) == 1


def test_a_proxy_that_says_nothing_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as long as for a store, and not until it hangs up."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 0)
    monkeypatch.setattr(S3, "read_timeout", 1)
    monkeypatch.setattr(S3, "connect_timeout", 1)
    given_up = Event()
    with listening(lambda one: one.recv(5000) and given_up.wait(20)) as deaf:
        way = {"HTTPS_PROXY": f"http://127.0.0.1:{deaf.port}"}
        result = store.run("@/a.enc - x", env={"AWS_ENDPOINT_URL": "https://store", **way})
        given_up.set()
    assert (result.code, deaf.count) == (1, 1)
    assert result.lines[0].startswith("error: @/a.enc: Connect timeout on endpoint URL")


def test_no_request_waits_for_others(store: Store) -> None:
    """There are as many connections as `--jobs` says: one that is slow is in nobody's way."""
    together = Barrier(16, timeout=60)

    def wait(request: Request, forward: Forward) -> Answer:
        if request.method == "GET" and request.path.endswith(".enc"):
            together.wait()
        return forward(request)

    for number in range(together.parties):
        store.put(f"many/{number}.enc", RECORDING)
    assert store.run(f"@/many/ - x -j {together.parties}", wait).code == 0
    assert not together.broken


UNREACHABLE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
NOBODY = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
NOBODY["AWS_EC2_METADATA_DISABLED"] = "true"
NO_BUCKET = "The specified bucket does not exist"
CHAINS = "chains and versions of objects are not understood"


@pytest.mark.parametrize(
    ("url", "env", "message", "code"),
    [
        *((f"s3://no-such-bucket{key}", {}, NO_BUCKET, 1) for key in ("/a.enc", "", "/")),
        ("@/gone.enc", {}, "The specified key does not exist.", 1),
        ("@/in/a.enc -d s3://gone", {}, NO_BUCKET, 1),  # of the output, which is named
        ("dropbox://bucket/a.enc", {}, "the package for such addresses is not installed", 2),
        ("nonsense://a.enc", {}, "Protocol not known: nonsense", 2),
        ("s3://b/a.enc?versionId=1", {}, CHAINS, 2),
        ("zip://a.enc::s3://b/x.zip", {}, CHAINS, 2),
        ("file:///a.enc", {}, "this is on the disk", 2),
        ("s3://A_Bucket!/a.enc", {}, 'Parameter validation failed: Invalid bucket name "A_Bu', 1),
        ("s3://bucket/a.enc", UNREACHABLE, "Could not connect to the endpoint", 1),
        ("s3://bucket/a.enc", NOBODY, "Unable to locate credentials", 1),
    ],
)
def test_what_is_wrong_with_an_address(
    store: Store, url: str, env: dict[str, str], message: str, code: int
) -> None:
    """One line names the address and the cause; nothing of the credentials is shown."""
    result = store.run(f"{url} - opus", env={"HOME": str(store.folder), **env})
    assert result.code == code, result
    named = "s3://gone/a.opus" if "-d" in url else url
    assert result.lines[0].startswith(f"error: {named}: ")
    assert message in result.lines[0]
    assert all(line.startswith(("error: ", "hint: ")) for line in result.lines)
    assert "there is no directory" not in result.stderr
    assert "secret" not in result.stderr


REFUSALS = {
    "ExpiredToken": (400, "The provided token has expired.", "renew the credentials"),
    "InvalidAccessKeyId": (403, "The key Id does not exist.", "AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (403, "The signature does not match.", "AWS_SECRET_ACCESS_KEY"),
    "RequestTimeTooSkewed": (403, "The difference is too large.", "clock"),
    "InvalidToken": (400, "The provided token is malformed.", "renew the credentials"),
    "InvalidObjectState": (403, "Not valid for the object's storage class", "restore it there"),
    "AccessDenied": (403, "Access Denied", "this needs the permission s3:"),
    "PermanentRedirect": (301, "Use the specified endpoint.", "AWS_DEFAULT_REGION"),
    "SlowDown": (503, "Please reduce your request rate.", "later"),
    "InternalError": (500, "We encountered an internal error.", None),
    "NoSuchBucket": (404, NO_BUCKET, None),
    "NotThisWay": (400, "", None),
    "Odd": (400, "no\n\n way: http://me:hush@host/x?X-Amz-Signature=hush " + "so on " * 100, None),
}


@pytest.mark.parametrize(
    ("code", "url"),
    [*((code, "@/in/a.enc") for code in REFUSALS), ("AccessDenied", "@/in/"), ("Odd", "@/in/")],
)
def test_the_stores_own_sentence_is_told(store: Store, code: str, url: str) -> None:
    """In one line, also where the first answer has no room for words; some have a hint."""
    status, message, hint = REFUSALS[code]
    refuse = answering("", refusal(status, code, message))
    result = store.run(f"{url} - x", refuse, env={"AWS_MAX_ATTEMPTS": "2"})
    error, *hints = result.lines
    assert (result.code, error) == (1, f"error: {url}: {in_one_line(message or 'Not This Way')}")
    assert len(hints) == (hint is not None)
    assert (hint or "") in "".join(hints)


@pytest.mark.parametrize(("method", "more"), [("none", ""), ("HEAD", " -o -"), ("none", " -d out")])
def test_a_process_needs_no_temporary_directory(store: Store, method: str, more: str) -> None:
    """Nor does it print anything else, as the libraries would of connections that are left open."""
    failing = str(Path(__file__).parents[1] / "support" / "failing.py")
    command = (sys.executable, failing, "tempfile._get_default_tempdir", "ENOENT", "--")
    with proxy(store.endpoint, answering(method, refusal(403, "AccessDenied", "no"))) as seen:
        env = {**store.env, "AWS_ENDPOINT_URL": seen.url, "FSSPEC_ODD": "1"}  # which is warned of
        words = store.words(f"@/in/a.enc - opus{more}")
        result = run_process(*words, cwd=store.folder, env=env, command=command)
    said = [line.partition(": ")[0] for line in result.lines]
    assert (result.code, said) == ((1, ["error", "hint"]) if method == "HEAD" else (0, []))
    assert method == "HEAD" or more or store.get("in/a.opus") == AUDIO


@pytest.mark.parametrize("broken", ["GET", "PUT", "body"])
def test_retries_end(store: Store, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A server that hangs up is asked a few times more, in one layer, and given up in time."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 0.5)

    def break_off(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        is_broken = request.method == "GET" and "in/a.enc" in request.path
        return answer._replace(body=answer.body[:100]) if is_broken else answer

    behaviour = break_off if broken == "body" else answering(broken, None)
    result = store.run("@/in/a.enc - opus", behaviour, announce_whole=broken == "body")
    assert result.code == 1, result
    said = "Connection was closed before we received a valid response"
    assert broken == "body" or said in result.lines[0]
    assert 1 < store.count("PUT" if broken == "PUT" else "GET") < 9
    assert store.count("HEAD") == 1


CONFLICTS = "ConditionalRequestConflict", "OperationAborted"
"""What a store says of a request that met another one for the same object."""


def test_what_fails_in_passing_is_tried_again(store: Store) -> None:
    """Each request may fail once: a hung-up line, a busy server, an error of its own."""
    seen: set[str] = set()
    refusals = [(500, "InternalError"), *((409, code) for code in CONFLICTS)]
    ways = iter([None, SLOW_DOWN, *(refusal(*way, "x") for way in refusals)] * 9)

    def fail_once(request: Request, forward: Forward) -> Answer | None:
        if (key := f"{request.method} {request.path}") in seen:
            return forward(request)
        seen.add(key)
        return next(ways)

    audio = os.urandom(LARGE)
    store.put("in/b.enc", encrypt(audio))
    result = store.run("@/in/ - x -j 1", fail_once)
    assert result.code == 0, result
    assert store.contents()["in/a.x"] == AUDIO
    assert store.contents()["in/b.x"] == audio


def test_a_store_that_is_not_there_for_a_moment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while it is started anew: nobody listens, and it is asked again."""
    asked: list[object] = []
    connect = socket.connect

    def counted(one: socket, address: object) -> None:
        asked.append(address)
        connect(one, address)  # type: ignore[arg-type] # as asyncio gives it

    monkeypatch.setattr(socket, "connect", counted)
    result = store.run("@/in/a.enc - x", env={**UNREACHABLE, "AWS_MAX_ATTEMPTS": "3"})
    assert result.lines[0].startswith("error: @/in/a.enc: Could not connect to the endpoint URL")
    assert result.lines[1].startswith("hint: see AWS_ENDPOINT_URL")
    assert (result.code, asked) == (1, [("127.0.0.1", 9)] * 3)


@pytest.mark.parametrize("is_mixed", [False, True])
def test_a_store_that_keeps_failing_is_given_up(store: Store, *, is_mixed: bool) -> None:
    """After many recordings in a row, in a line after the summary; other failures end the row."""
    for number in range(30):  # more than are under way at once, so none gets far ahead
        is_bad = is_mixed and number % 2 == 0
        store.put(f"many/{number:02}.enc", b"no recording" if is_bad else RECORDING)
    result = store.run(
        "@/many/ - x -j 1", answering("PUT", SLOW_DOWN), env={"AWS_MAX_ATTEMPTS": "1"}
    )
    assert result.code == 1
    if is_mixed:
        assert result.lines[-1].startswith("30 failed: ")
        return
    failures = [line for line in result.lines if line.endswith("reduce your request rate.")]
    assert len(failures) == FAILURES_IN_A_ROW
    summary, error, hint = result.lines[-3:]
    reason = "Please reduce your request rate"
    assert summary.startswith(f"{FAILURES_IN_A_ROW} failed: {reason}; in ")
    said = f"error: the store failed for {FAILURES_IN_A_ROW} recordings in a row"
    assert error.startswith(said)
    assert hint.startswith("hint: ")


# What is asked of stores but for recordings.


ODD = "[o]dd *"
BESIDE = {"x": 1, "odd x": 1, f"{ODD}.x": 1, f"{ODD}ity/x": 1}
"""What is beside the folder of that name, with the sizes."""


@pytest.fixture(params=["s3", "memory"])
def place(request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in stores of two kinds, with objects beside it whose keys are alike."""
    store.use(monkeypatch)
    store.client.delete_object(Bucket=store.name, Key="in/a.enc")
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    bucket = store.url if request.param == "s3" else f"memory://{store.name}"
    for name in BESIDE:
        put(f"{bucket}/{name}", 1)
    return f"{bucket}/{ODD}"


def put(url: str, size: int, *, replace: bool = True) -> None:
    """Write an object of so many bytes."""
    objects.publish(url, BytesIO(bytes(size)), replace=replace)


@pytest.mark.every_server
def test_the_sizes_of_all_objects_below_a_folder(place: str) -> None:
    """By what is to be added to its address, which then is theirs."""
    assert objects.sizes_below(place) == objects.sizes_in(place) == {}
    sizes = {"one": 2, "sub/one": 0, "sub/sub.html/one": 3, **dict.fromkeys(NAMES, 1)}
    for name, size in sizes.items():
        put(join(place, name), size)
    assert objects.sizes_below(place) == objects.sizes_below(f"{place}/") == sizes
    assert [objects.size_of(join(place, name)) for name in sizes] == [*sizes.values()]
    direct = {name: size for name, size in sizes.items() if "/" not in name}
    assert objects.sizes_in(place) == objects.sizes_in(f"{place}/") == direct
    assert objects.sizes_below(f"{place}//") == {}
    assert objects.sizes_below(f"{place}/a") == {"/b": 1}
    assert objects.sizes_below(f"{place}/a//") == {"b": 1}
    above = objects.sizes_below(place.removesuffix(f"/{ODD}"))
    assert above == BESIDE | {f"{ODD}/{name}": sizes[name] for name in sizes}


@pytest.mark.every_server
def test_folders_are_not_among_the_sizes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as consoles mark them, nor an object of the folder's own name."""
    store.use(monkeypatch)
    url = f"{store.url}/out"
    store.put("out", b"own")
    for directory in (url, f"{url}/", f"{store.url}/none"):
        assert objects.sizes_below(directory) == objects.sizes_in(directory) == {}
    for key in ("out/", "out/sub/", "out/none//"):
        store.put(key, b"")
    assert objects.sizes_below(url) == objects.sizes_in(url) == {}
    store.put("out/sub/out", b"xx")
    assert objects.sizes_below(url) == {"sub/out": 2}
    assert objects.sizes_below(store.url).keys() == {"in/a.enc", "out", "out/sub/out"}


@pytest.mark.every_server
@pytest.mark.parametrize("key", ["", "/", "/calls", "/calls/"])
@pytest.mark.parametrize("command", ["list --archived", "page", "prune --older-than 365d"])
def test_an_archive_in_a_bucket_that_is_not_there(
    bucket: Bucket, tmp_path: Path, key: str, command: str
) -> None:
    """It is told, rather than shown as an archive that has nothing."""
    words = [*command.split(), f"s3://no-such-bucket{key}"]
    result = run(*words, cwd=tmp_path, env=bucket.env, cli="filedecryptor.vns.cli")
    assert result.code != 0
    (line,) = result.lines
    assert re.search("does not exist|No Such Bucket|nothing is stored there", line)


def test_sizes_are_listed_page_by_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however many folders there are; an error names the address that was asked for."""
    keys = [f"many/{number % 3}/{number}" for number in range(9)]
    for key in keys:
        store.put(key, b"x")

    def in_pages(request: Request, forward: Forward) -> Answer:
        return forward(request._replace(path=f"{request.path}&max-keys=2"))

    with proxy(store.endpoint, in_pages) as seen:
        store.use(monkeypatch, AWS_ENDPOINT_URL=seen.url)
        found = objects.sizes_below(f"{store.url}/many")
    assert found == {key.removeprefix("many/"): 1 for key in keys}
    assert len(seen.requests) == 5
    with proxy(store.endpoint, answering("GET", DENIED)) as seen:
        store.use(monkeypatch, AWS_ENDPOINT_URL=seen.url)
        with pytest.raises(StorageError, match="Access Denied") as caught:
            objects.sizes_below(f"{store.url}/many")
    assert caught.value.filename == f"{store.url}/many"


@pytest.mark.every_server
def test_an_object_that_is_removed(place: str) -> None:
    """It alone, whatever its key; what is not there is no matter."""
    sizes = dict.fromkeys(["one", "sub/one", *NAMES], 1)
    for name in sizes:
        put(join(place, name), 1)
    for name in [*sizes]:
        objects.remove(join(place, name))
        objects.remove(join(place, name))
        del sizes[name]
        assert objects.sizes_below(place) == sizes
    objects.remove(f"{place}ity")
    for folder in (f"{place}.x/", f"{place}ity/"):
        with pytest.raises(StorageError, match="this is no object") as caught:
            objects.remove(folder)
        assert caught.value.filename == folder
    assert objects.sizes_below(place.removesuffix(f"/{ODD}")) == BESIDE


@pytest.mark.parametrize("slashes", ["", "/"])
def test_a_bucket_is_not_removed(
    store: Store, monkeypatch: pytest.MonkeyPatch, slashes: str
) -> None:
    """Not even an empty one: nothing is asked of the store, as some would do it."""
    store.client.delete_object(Bucket=store.name, Key="in/a.enc")
    with proxy(store.endpoint, forwarding) as seen:
        store.use(monkeypatch, AWS_ENDPOINT_URL=seen.url)
        with pytest.raises(StorageError, match="this is no object"):
            objects.remove(f"{store.url}{slashes}")
    assert (seen.requests, store.keys()) == ([], [])


def test_an_object_that_may_not_be_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it, and the permission; whoever only tries to write does without."""
    with proxy(store.endpoint, answering("DELETE", DENIED)) as seen:
        store.use(monkeypatch, AWS_ENDPOINT_URL=seen.url)
        with pytest.raises(StorageError, match="Access Denied") as caught:
            objects.remove(f"{store.url}/in/a.enc")
        objects.try_writing(f"{store.url}/in", 1)
    assert caught.value.filename == f"{store.url}/in/a.enc"
    assert caught.value.hint == "this needs the permission s3:DeleteObject"
    assert store.contents().keys() == {"in/a.enc", "in/.filedecryptor.tmp"}


UNTOLD = "binary/octet-stream"
CONTENT_TYPES = {
    "x.html": "text/html; charset=utf-8", "x.json": "application/json", "x.opus": "audio/ogg",
    "x.y.mp3": "audio/mpeg", "x.wav": "audio/wav", "X.WAV": "audio/wav",
    "x.enc": UNTOLD, "html": UNTOLD, "x.wav/x": UNTOLD,
}  # fmt: skip
"""By the name of an object, what the store then tells browsers that it is."""


@pytest.mark.every_server
@pytest.mark.parametrize(
    "behaviour", [forwarding, refusing_conditions()], ids=["all", "no conditions"]
)
@pytest.mark.parametrize("replace", [True, False])
def test_browsers_are_told_what_an_object_is(
    store: Store, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, *, replace: bool
) -> None:
    """Whether it is sent at once or in parts, and whatever the store knows."""
    monkeypatch.setattr("filedecryptor.storage.s3.unconditional", Semaphore(0))
    with proxy(store.endpoint, behaviour) as seen:
        store.use(monkeypatch, AWS_ENDPOINT_URL=seen.url)
        for name in CONTENT_TYPES:
            put(f"{store.url}/small/{name}", 1, replace=replace)
        for name in ("x.html", "x.enc"):
            put(f"{store.url}/large/{name}", LARGE, replace=replace)
    for key in store.keys():  # noqa: SIM118 - no dict
        told = store.client.head_object(Bucket=store.name, Key=key)["ContentType"]
        assert told == CONTENT_TYPES.get(key.partition("/")[2], UNTOLD), key
    assert sum("uploads" in request.path for request in seen.requests) >= 2


# Stores that know no conditional writes.

NO_CONDITIONS = {
    "501": NOT_IMPLEMENTED,
    "501 with a page": Answer(501, {"Content-Type": "text/html"}, b"<html>Not Implemented</html>"),
    "400": refusal(400, "InvalidArgument", "If-None-Match is not supported"),
    "400 without a word": Answer(400, {}, b""),
    "405": refusal(405, "MethodNotAllowed", "The specified method is not allowed"),
}
"""What stores say to a condition that do not know it."""


@pytest.mark.parametrize(
    ("answer", "if_exists", "size"),
    [
        *((answer, "skip", 1000) for answer in NO_CONDITIONS if " " not in answer),
        ("501 with a page", "skip", 1000),
        ("400 without a word", "fail", LARGE),
    ],
)
def test_a_store_that_refuses_conditions(
    store: Store, answer: str, if_exists: str, size: int
) -> None:
    """It is asked once, which a note says; what is there is neither replaced nor sent."""
    audio = os.urandom(size)
    for name in "abc":
        store.put(f"in/{name}.enc", encrypt(audio))
    store.put("in/c.x", bytes(size))
    with proxy(store.endpoint, refusing_conditions(NO_CONDITIONS[answer])) as seen:
        line, way = f"- x --if-exists {if_exists}", {"AWS_ENDPOINT_URL": seen.url}
        first, rest = (store.run(f"{url} {line}", env=way) for url in ("@/in/a.enc", "@/in/"))
    assert (first.code, rest.code) == ((0, 0) if if_exists == "skip" else (0, 1))
    assert first.lines == [f"note: @/in/a.x: {UNCONDITIONAL}"]
    assert "conditional" not in rest.stderr
    assert sum(map(is_conditional, seen.requests)) == 1
    found = store.contents()
    assert [found[f"in/{name}.x"] for name in "abc"] == [audio, audio, bytes(size)]


@pytest.mark.parametrize(
    ("knows", "if_exists", "size"),
    [
        ("conditions", "fail", LARGE),
        ("nothing of them", "skip", LARGE),
        ("501", "fail", 1000),
        ("400", "skip", 0),
    ],
)
def test_an_object_that_appears_meanwhile_stays(
    store: Store, knows: str, if_exists: str, size: int
) -> None:
    """It is looked for once more, before anything is sent without a condition."""
    other = bytes(size) if if_exists == "skip" else b""

    def handle(request: Request, forward: Forward) -> Answer:
        is_late = knows != "nothing of them"
        is_read = request.method == "GET" and request.path.endswith("b.enc")
        if is_conditional(request) if is_late else is_read:
            store.put("in/b.x", other)
            if knows in NO_CONDITIONS:
                return NO_CONDITIONS[knows]
        if is_late:
            return forward(request)
        headers = {name: text for name, text in request.headers.items() if name != "If-None-Match"}
        return forward(request._replace(headers=headers))

    store.put("in/b.enc", encrypt(os.urandom(size)))
    result = store.run(f"@/in/b.enc - x --if-exists {if_exists}", handle)
    if if_exists == "skip":
        assert (result.code, result.stdout) == (0, b"")
    else:
        said = f"error: @/in/b.x: exists with another length: 0 bytes instead of {size}"
        assert (result.code, result.lines) == (1, [said])
    assert store.contents()["in/b.x"] == other


@pytest.mark.every_server
@pytest.mark.parametrize("if_exists", ["skip", "fail"])
@pytest.mark.parametrize(("size", "lost"), [(1000, "PUT a.x"), (LARGE, "POST uploadId=")])
def test_an_object_whose_answer_was_lost(
    store: Store, if_exists: str, size: int, lost: str
) -> None:
    """It is there when the request is made again: that is no other object which was there before."""
    audio = os.urandom(size)
    store.put("in/a.enc", encrypt(audio))
    method, _, part = lost.partition(" ")
    sent: list[Answer] = []

    def lose(request: Request, forward: Forward) -> Answer | None:
        if request.method != method or part not in request.path or sent:
            return forward(request)
        sent.append(forward(request))
        return None

    result = store.run(f"@/in/a.enc - x --if-exists {if_exists}", lose)
    assert (result.code, result.stdout, result.lines) == (0, b"@/in/a.x\n", [])
    assert store.contents()["in/a.x"] == audio
    assert [answer.status for answer in sent] == [200]


@pytest.mark.parametrize("asked", ["PUT a.x", "POST uploads", "PUT partNumber", "POST uploadId="])
def test_an_answer_that_is_not_of_a_store(store: Store, asked: str) -> None:
    """As of a page to log in: nothing is taken for stored."""
    method, _, part = asked.partition(" ")
    page = Answer(200, {"Content-Type": "text/html"}, b"<html>Log in</html>")

    def answer(request: Request, forward: Forward) -> Answer:
        return page if request.method == method and part in request.path else forward(request)

    if part != "a.x":
        store.put("in/a.enc", encrypt(bytes(LARGE)))
    result = store.run("@/in/a.enc - x", answer)
    said = "error: @/in/a.x: the answer is not that of an S3 store"
    assert (result.code, result.lines) == (1, [said])
    assert store.contents().keys() == {"in/a.enc"}


NO_PART = refusal(400, "InvalidPart", "No such part.")
DENIED = refusal(403, "AccessDenied", "Access Denied")


@pytest.mark.parametrize(
    ("asked", "if_exists", "answers", "said"),
    [
        *(
            (asked, "replace", [answer], said)
            for asked in ("GET b.enc", "PUT b.x")
            for answer, said in (
                (NOT_IMPLEMENTED, "A header you provided implies functionality that is not"),
                (Answer(501, {}, b""), "Not Implemented"),
                (DENIED, "Access Denied"),
            )
        ),
        # This may be about the condition, and is not.
        ("PUT b.x", "skip", [NO_PART] * 2, "No such part."),
        ("POST uploadId=", "skip", [refusal(501, "NotImplemented", "No")] * 2, "No"),
        # This is, and there is something else as well.
        ("PUT b.x", "skip", [NOT_IMPLEMENTED, NO_PART], "No such part."),
        ("POST uploadId=", "skip", [NOT_IMPLEMENTED, NO_PART], "No such part."),
    ],
)
def test_a_refusal_is_told_at_once(
    store: Store, asked: str, if_exists: str, answers: list[Answer], said: str
) -> None:
    """By the store's sentence about what was asked last, or the status; nothing is repeated."""
    method, _, part = asked.partition(" ")
    left = [*answers]

    def refuse(request: Request, forward: Forward) -> Answer:
        is_it = request.method == method and part in request.path
        return left.pop(0) if is_it else forward(request)

    store.put("in/b.enc", encrypt(os.urandom(LARGE if method == "POST" else 1000)))
    result = store.run(f"@/in/b.enc - x --if-exists {if_exists}", refuse)
    assert (result.code, left) == (1, [])
    name = "b.enc" if method == "GET" else "b.x"
    assert result.lines[0].startswith(f"error: @/in/{name}: {said}")
    hint = f"hint: this needs the permission s3:{method.title()}Object"
    assert result.lines[1:] == ([hint] if answers == [DENIED] else [])
    assert "in/b.x" not in store.contents()


@pytest.mark.parametrize(("setting", "code"), [(None, 0), ("when_supported", 1)])
def test_checksums_of_whole_objects_with_ranges(
    store: Store, setting: str | None, code: int
) -> None:
    """They are not looked at, since all is authenticated; a setting of the user's wins."""

    def with_checksum(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        if request.method == "GET" and request.path.endswith("a.enc"):
            return answer._replace(headers={**answer.headers, "x-amz-checksum-crc32": "AAAAAA=="})
        return answer

    env = {"AWS_RESPONSE_CHECKSUM_VALIDATION": setting} if setting else {}
    result = store.run("@/in/a.enc - x", with_checksum, env=env)
    assert result.code == code, result
    assert code or store.get("in/a.x") == AUDIO


@pytest.mark.every_server
@pytest.mark.parametrize(("setting", "code"), [(None, 0), ("when_supported", 1)])
def test_checksums_of_what_is_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch, setting: str | None, code: int
) -> None:
    """They are MD5, before the body: not all stores know others, over TLS at the end of it."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 0)

    def refuse_others(request: Request, forward: Forward) -> Answer | None:
        names = {name.lower() for name in request.headers}
        if names & {"x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm", "x-amz-trailer"}:
            return None  # its body may be unread
        if request.method == "PUT":
            digest = hashlib.md5(request.body, usedforsecurity=False).digest()
            assert base64.b64decode(request.headers["Content-MD5"]) == digest
        return forward(request)

    audio = os.urandom(LARGE)
    store.put("in/b.enc", encrypt(audio))
    with proxy(store.endpoint, refuse_others) as seen:
        pem = certificate(store.folder, "127.0.0.1")
        secure(seen, pem)
        way = {"AWS_ENDPOINT_URL": f"https://127.0.0.1:{seen.server_port}"}
        way |= {"AWS_CA_BUNDLE": str(pem)}
        way |= {"AWS_REQUEST_CHECKSUM_CALCULATION": setting} if setting else {}
        result = store.run("@/in/ - x", env=way)
    assert result.code == code, result
    assert any("Content-MD5" in request.headers for request in seen.requests) == (not setting)
    assert code or store.contents().items() >= {"in/a.x": AUDIO, "in/b.x": audio}.items()


def test_requests_are_answered_after_memory_was_short(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that makes them goes on: without it, all would wait for ever."""
    store.use(monkeypatch)
    loop = S3().loop
    run_once = loop._run_once  # noqa: SLF001 - what memory is needed for between two callbacks

    def fail() -> None:
        loop._run_once = run_once  # noqa: SLF001 - as above
        raise MemoryError

    loop._run_once = fail  # noqa: SLF001 - as above
    loop.call_soon_threadsafe(bool)
    assert S3().exists(f"{store.name}/in/a.enc")
