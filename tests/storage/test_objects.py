"""Recordings in an object store: the command against a real S3 server on loopback."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from support import odd_disk
from support.commands import run, run_process, wait_until
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, PLAIN, RECORDINGS, encrypt, fixture

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from fsspec import AbstractFileSystem, register_implementation
from fsspec.spec import AbstractBufferedFile
from support.bucket import Bucket, added
from support.store_proxy import Answer, Request, proxy

from filedecryptor import AuthenticationError, UsageError, decrypt_file, open_recording
from filedecryptor.errors import StorageError
from filedecryptor.storage import objects
from filedecryptor.storage.objects import LARGEST_PIECE, READ_AHEAD, publish

Forward = Callable[[Request], Answer]

LARGE = LARGEST_PIECE + 1_000_000
"""Bytes of audio that are sent in several parts."""


@pytest.fixture
def night(bucket: Bucket) -> Bucket:
    """A bucket with a night's recordings, one of each format, one of them below the others."""
    for entry, key in zip(RECORDINGS, ["in/a.enc", "in/b c.ENC", "in/late/d.enc"], strict=True):
        bucket.put(key, fixture(entry["file"]))
    bucket.put("in/notes.txt", b"")
    bucket.put("in/", b"")  # as consoles mark folders
    bucket.put("inside.enc", b"not in the folder")
    return bucket


AUDIO_OF = [
    (PLAIN / f"{Path(entry['file']).stem}.{entry['format']}").read_bytes() for entry in RECORDINGS
]
OUTPUTS = {
    f"{name}.{entry['format']}": audio
    for name, entry, audio in zip(["a", "b c", "late/d"], RECORDINGS, AUDIO_OF, strict=True)
}


ALL = {f"in/{name}": audio for name, audio in OUTPUTS.items()}


@pytest.mark.parametrize(
    ("key", "words", "expected", "last"),
    [
        ("in/a.enc", ["opus"], {"in/a.opus": OUTPUTS["a.opus"]}, None),
        ("in", ["auto"], ALL, "3 decrypted; "),
        ("in/", ["auto", "--verify"], {}, "3 verified; "),
        ("", ["auto"], ALL, "3 decrypted, 1 failed; "),
        ("none/", ["auto"], {}, "{}/none/: there is no .enc file in it"),
    ],
)
def test_an_object_a_folder_or_a_bucket(  # noqa: PLR0917 - a table
    night: Bucket, tmp_path: Path, key: str, words: list[str], expected: dict[str, bytes], last: str
) -> None:
    """Beside the recordings, with the addresses on standard output; other objects stay out."""
    before = night.contents()
    result = night.run(f"{night.url}/{key}", "-", *words, cwd=tmp_path)
    assert result.code == (0 if key else 4), result
    assert added(night, before) == expected
    assert sorted(result.stdout.decode().splitlines()) == [
        f"{night.url}/{key}" for key in sorted(expected)
    ]
    if last is None:
        assert result.stderr == ""
    else:
        assert result.lines[-1].startswith(last.format(night.url))
    if not key:
        said = f"error: {night.url}/inside.enc: not an .enc file: it is 17 bytes long"
        assert said in result.stderr
    assert contents(tmp_path) == {}


def test_between_the_store_and_other_places(night: Bucket, tmp_path: Path) -> None:
    """Input and output may be on the disk, or the streams; a second run believes lengths only."""
    skip = ["--if-exists", "skip"]
    words = [f"{night.url}/in", "-", "auto", "-d", "out"]
    assert night.run(*words, cwd=tmp_path).code == 0
    found = {f"out/{name}": audio for name, audio in OUTPUTS.items()}
    assert contents(tmp_path) == {**found, "out": None, "out/late": None}
    (tmp_path / "new").touch()
    new, written = (tmp_path / "new").stat(), (tmp_path / "out" / "a.opus").stat()
    assert written.st_mtime_ns % 1_000_000_000 == 0  # as the store tells the object's time
    assert abs(written.st_mtime - new.st_mtime) < 600
    assert written.st_mode == new.st_mode  # an object has no permissions to take
    (tmp_path / "new").unlink()
    assert night.run(*words, *skip, cwd=tmp_path).stdout == b""
    (tmp_path / "out" / "a.opus").write_bytes(b"cut")
    again = night.run(*words, *skip, cwd=tmp_path)
    assert (again.code, again.stdout.decode()) == (0, f"{Path('out/a.opus')}\n")
    assert "3 bytes, not the 14165" in again.lines[0]
    assert contents(tmp_path) == {**found, "out": None, "out/late": None}

    recording, output = night.get("in/a.enc"), f"{night.url}/x/y.opus"
    (tmp_path / "z.enc").write_bytes(recording)
    before = night.contents()
    words = ["z.enc", "-", "opus", "-o", output]
    assert night.run(*words, cwd=tmp_path) == (0, f"{output}\n".encode(), "")
    assert night.run(*words, *skip, cwd=tmp_path).stdout == b""
    assert added(night, before) == {"x/y.opus": OUTPUTS["a.opus"]}

    shown = night.run(f"{night.url}/in/a.enc", "-", "opus", "-o", "-", cwd=tmp_path).stdout
    assert shown == OUTPUTS["a.opus"]
    env = {**night.env, "FILEDECRYPTOR_PASSWORD": PASSWORD}
    words = ["-", "-", "opus", "-o", f"{night.url}/new.opus"]
    assert run(*words, cwd=tmp_path, env=env, stdin=recording).code == 0
    assert night.get("new.opus") == OUTPUTS["a.opus"]


@pytest.mark.parametrize("key", ["in/a.enc", "in/"])
def test_an_object_that_is_there(night: Bucket, tmp_path: Path, key: str) -> None:
    """As on the disk: the length tells; for many, the listings tell it."""
    words = [f"{night.url}/{key}", "-", "auto", "--if-exists"]
    output = f"{night.url}/in/a.opus"
    night.put("in/a.opus", b"cut")
    failed = night.run(*words, "fail", cwd=tmp_path)
    assert failed.code == 1
    said = "exists with another length: 3 bytes instead of 14165"
    assert f"error: {output}: {said}" in failed.lines
    done = night.run(*words, "skip", cwd=tmp_path)
    assert done.code == 0
    assert f"note: {output}: 3 bytes, not the 14165 of the recording: done again" in done.lines
    assert night.get("in/a.opus") == OUTPUTS["a.opus"]
    night.client.delete_object(Bucket=night.name, Key="in/a.opus")
    night.put("in/a.wav", bytes(len(AUDIO)))  # with `auto`, the name of any format counts
    before = night.contents()
    assert night.run(*words, "skip", cwd=tmp_path)[:2] == (0, b"")
    assert (
        f"error: {night.url}/in/a.wav: File exists" in night.run(*words, "fail", cwd=tmp_path).lines
    )
    assert added(night, before) == {}


NAMES = [
    "a b", "-dash", "--", "new\tline", "ünï☃🔐", "e\u0301", "#", "?x=1", "%41", "*", "[a]", "a+b",
    "back\\slash", "a//b", "x/../y", "..hidden", "a::b", "c::d/e", "x?versionId=1",
]  # fmt: skip


def test_keys_of_every_kind(bucket: Bucket, tmp_path: Path) -> None:
    """A key is taken as it is: nothing in it is a pattern, a path or an escape."""
    recording = encrypt(AUDIO, PASSWORD)
    for name in NAMES:
        bucket.put(f"in/{name}.enc", recording)
    result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", f"{bucket.url}/out", cwd=tmp_path)
    assert result.code == 1  # for those that fsspec would take for chains of addresses
    errors = [line for line in result.lines if ".enc: an address cannot hold" in line]
    assert len(errors) == 3
    outputs = {key for key in bucket.keys() if key.startswith("out/")}  # noqa: SIM118 - no dict
    assert outputs == {f"out/{name}.opus" for name in NAMES[:-3]}


def test_keys_never_choose_a_directory_here(bucket: Bucket, tmp_path: Path) -> None:
    """What would lead out of the output directory is refused by its name; the rest is done."""
    recording = encrypt(AUDIO, PASSWORD)
    for key in ("in/good.enc", "in/../../evil.enc", "in//etc/evil.enc", "in/./x.enc"):
        bucket.put(key, recording)
    folder = tmp_path / "deep" / "down"
    folder.mkdir(parents=True)
    result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", "out", cwd=folder)
    assert result.code == 1
    said = [line.partition(": ")[2] for line in result.lines if "plain" in line]
    assert sorted(said) == [
        f"{bucket.url}/in/{key}: its key is not a plain relative path"
        for key in ("../../evil.enc", "./x.enc", "/etc/evil.enc")
    ]
    assert set(contents(tmp_path)) == {
        "deep", "deep/down", "deep/down/out", "deep/down/out/good.opus",
    }  # fmt: skip


def test_keys_that_are_one_name_on_the_disk(bucket: Bucket, tmp_path: Path) -> None:
    """Two objects never share an output: where the disk ignores case, the second fails."""
    if not odd_disk.is_possible():
        pytest.skip(odd_disk.REASON)
    for key in ("in/A/x.enc", "in/a/x.enc"):
        bucket.put(key, encrypt(AUDIO, PASSWORD))
    with odd_disk.mounted(tmp_path) as disk:
        result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", disk / "out", cwd=tmp_path)
        assert (result.code, len(result.stdout.splitlines())) == (2, 1)
        assert "it would have the same output as" in result.lines[0]
    result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", f"{bucket.url}/out", cwd=tmp_path)
    assert result.code == 0


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_slashes_too_many_hide_nothing(night: Bucket, tmp_path: Path, if_exists: str) -> None:
    """At the end of `-d` they count as one; a folder without a name is one of its own."""
    night.put("in//a.enc", night.get("in/a.enc"))
    old = bytes(len(AUDIO))
    night.put("out//a.opus", old)
    words = [f"{night.url}/in", "-", "auto", "-d", f"{night.url}/out//", "--if-exists", if_exists]
    result = night.run(*words, cwd=tmp_path)
    assert result.code == (0 if if_exists == "skip" else 1), result.stderr
    found = night.contents()
    assert found["out//a.opus"] == old
    assert {name: found.get(f"out/{name}") for name in OUTPUTS} == OUTPUTS


def test_an_object_that_is_also_a_folder(night: Bucket, tmp_path: Path) -> None:
    """Its name is the object; with a slash at its end, or after `-d`, it is the folder."""
    night.put("in/a.enc/b.enc", encrypt(b"below", PASSWORD))
    url = f"{night.url}/in/a.enc"
    for words, output in (([url], "in/a.x"), ([f"{url}/"], "in/a.enc/b.x")):
        shown = night.run(*words, "-", "x", cwd=tmp_path).stdout.decode()
        assert shown == f"{night.url}/{output}\n"
    assert (night.get("in/a.x"), night.get("in/a.enc/b.x")) == (AUDIO, b"below")
    words = [url, "-", "x", "-d", f"{night.url}/in/a.x", "--if-exists", "skip"]
    assert night.run(*words, cwd=tmp_path).stdout.decode() == f"{night.url}/in/a.x/a.x\n"


def test_collisions_are_refused(night: Bucket, tmp_path: Path) -> None:
    """Before anything is written; what is named twice is done once, in any spelling."""
    one, again = f"{night.url}/in/a.enc", f"s3a://{night.name}/in/a.enc"
    night.put("in/late/a.enc", night.get("in/a.enc"))
    twice = night.run(one, again, "-", "opus", cwd=tmp_path)
    assert (twice.code, twice.lines[-1][:11]) == (0, "1 decrypted")
    before = night.contents()
    shared = [one, f"{night.url}/in/late/a.enc", "-", "opus", "-d", f"{night.url}/out"]
    for words, said, count in (
        (shared, "it would have the same output as", 2),
        ([one, "-", "enc"], "the output would replace the input", 1),
        ([one, "-", "x", "-o", again], "the output would replace the input", 1),
    ):
        result = night.run(*words, cwd=tmp_path)
        assert (result.code, result.stdout) == (2, b"")
        assert result.stderr.count(said) == count
    assert added(night, before) == {}


def test_from_python(night: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are taken where paths are, but for `decrypt_file`, which returns a path."""
    url = f"{night.url}/in/a.enc"
    night.use(monkeypatch)
    with open_recording(url, PASSWORD) as recording:
        assert recording.read() == OUTPUTS["a.opus"]
    with pytest.raises(AuthenticationError):
        open_recording(url, "wrong")
    with pytest.raises(UsageError):
        decrypt_file(url, PASSWORD, "opus")
    night.use(monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    with pytest.raises(StorageError) as caught:
        open_recording(url, PASSWORD)
    assert (caught.value.filename, caught.value.__cause__) == (url, None)


@pytest.mark.slow
def test_more_objects_than_one_page_lists(bucket: Bucket, tmp_path: Path) -> None:
    """All are found, page by page; a second run does none of them again."""
    recording = encrypt(b"tiny")
    wanted = []
    for number in range(1100):
        is_recording = number % 11 == 0
        name = f"{number % 50:02}/{number:04}"
        bucket.put(f"in/{name}.{'enc' if is_recording else 'txt'}", recording)
        wanted += [f"out/{name}.wav"] if is_recording else []
    words = [f"{bucket.url}/in", PASSWORD, "wav", "-d", f"{bucket.url}/out"]
    for if_exists in ("replace", "skip"):
        done = bucket.run(*words, "--if-exists", if_exists, cwd=tmp_path)
        assert done.code == 0, done
        assert len(done.stdout.splitlines()) == (100 if if_exists == "replace" else 0)
    outputs = [key for key in bucket.keys() if key.startswith("out/")]  # noqa: SIM118 - as above
    assert outputs == sorted(wanted)


def unchanged(request: Request, forward: Forward) -> Answer:
    """Hand on a request as it is."""
    return forward(request)


@pytest.mark.parametrize("size", [0, 44, READ_AHEAD, READ_AHEAD + 1, 2 * READ_AHEAD])
def test_a_reader_finds_the_end(
    with_recording: Bucket, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Wherever it lies: stores refuse a range that begins there."""
    data = os.urandom(size)
    with_recording.put("x", data)
    with_recording.use(monkeypatch)
    read = bytearray()
    buffer = memoryview(bytearray(300_000))
    with objects.open_source(f"{with_recording.url}/x") as source:
        while count := source.readinto(buffer):
            read += buffer[:count]
        assert source.readinto(buffer) == 0
    assert read == data


def test_few_requests(
    with_recording: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short recording is one to read, and one to write; a listing tells names and sizes."""
    bucket, url = with_recording, with_recording.url
    with proxy(bucket.env["AWS_ENDPOINT_URL"], lambda request, forward: forward(request)) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        assert bucket.run(f"{url}/in/", "-", "x", cwd=tmp_path, env=env).code == 0
        methods = [(request.method, request.path.partition("?")[0]) for request in store.requests]
        assert methods == [
            ("GET", f"/{bucket.name}"),
            ("GET", f"/{bucket.name}/in/a.enc"),
            ("PUT", f"/{bucket.name}/in/a.x"),
        ]
        store.requests.clear()
        bucket.put("in/late/c.enc", b"123")
        bucket.use(monkeypatch, **env)
        found = list(objects.recordings_below(url, print, print))
        assert found == [(f"{url}/in/", ["a.enc"], []), (f"{url}/in/late/", ["c.enc"], [])]
        assert len(store.requests) == 1
        sizes = {"a.enc": len(bucket.get("in/a.enc")), "a.x": len(AUDIO)}
        assert objects.sizes_in(f"{url}/in") == sizes
        assert len(store.requests) == 2
        assert objects.sizes_in(f"{url}/nowhere") == {}
        assert objects.size_of(f"{url}/in/late/c.enc") == 3
        assert objects.size_of(f"{url}/in/none.enc") is None


# Objects appear whole or not at all.


@pytest.mark.parametrize("size", [0, 1000, LARGE])
@pytest.mark.parametrize("many", [[], ["-d"]])
def test_an_object_appears_whole_or_not_at_all(
    bucket: Bucket, tmp_path: Path, size: int, many: list[str]
) -> None:
    """Nothing is sent before the tag has verified, neither at once nor in parts; what was there stays."""
    audio = os.urandom(size)
    recording = encrypt(audio, PASSWORD)
    folder = "out" if many else "in"
    bucket.put("in/a.enc", recording[:-1] + bytes([recording[-1] ^ 1]))
    bucket.put(f"{folder}/a.wav", b"old")
    before = bucket.contents()
    where = [*many, f"{bucket.url}/out"] if many else []
    words = [f"{bucket.url}/in/a.enc", "-", "wav", *where]
    result = bucket.run(*words, cwd=tmp_path)
    assert result.code == 3
    assert result.lines[0].startswith(f"error: {bucket.url}/in/a.enc: authentication failed")
    assert bucket.contents() == before
    bucket.put("in/a.enc", recording)
    assert bucket.run(*words, cwd=tmp_path).code == 0
    assert bucket.contents() == {"in/a.enc": recording, f"{folder}/a.wav": audio}


class Refusing(AbstractBufferedFile):  # type: ignore[misc]
    """An upload of which the store takes the first part only, and refuses even to forget it."""

    parts = 0
    completed = False

    def _initiate_upload(self) -> None:
        """Begin with the first part."""

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

    def _open(self, path: str, mode: str, block_size: int, **_: object) -> Refusing:
        return Refusing(self, path, mode, block_size)


def test_an_upload_that_cannot_be_forgotten_is_not_completed() -> None:
    """Not even when its remains are collected: it would be cut off audio."""
    register_implementation("refusing", RefusingStore, clobber=True)
    with pytest.raises(StorageError):
        publish("refusing://x/y", BytesIO(bytes(2 * LARGE)), replace=True)
    gc.collect()
    assert not Refusing.completed


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle(bucket: Bucket, tmp_path: Path, name: str) -> None:
    """What is done stays whole, no upload is left, the summary is printed."""
    recording = encrypt(AUDIO, PASSWORD)
    for number in range(80):
        bucket.put(f"{number}.enc", recording)
    process = bucket.start(bucket.url, "-", "auto", cwd=tmp_path)
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
        words = [f"{bucket.url}/big/", "-", "x"]
        process = bucket.start(*words, cwd=tmp_path, AWS_ENDPOINT_URL=store.url)
        wait_until(lambda: len(parts) >= 3)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert time.monotonic() - begin < 15
    assert not bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads")


def test_no_temporary_directory_is_needed(with_recording: Bucket, tmp_path: Path) -> None:
    """Not for a recording that fits in memory."""
    failing = str(Path(__file__).parents[1] / "support" / "failing.py")
    command = (sys.executable, failing, "tempfile._get_default_tempdir", "ENOENT", "--")
    words = (f"{with_recording.url}/in/a.enc", PASSWORD, "x")
    done = run_process(*words, cwd=tmp_path, env=with_recording.env, command=command)
    assert done.code == 0, done.stderr
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
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.stderr)
    assert peak
    print(f"peak: {int(peak[1]) // 1024} MiB")  # noqa: T201 - for pytest -s
    # The compiler of the lanes takes its share, where there is one.
    assert int(peak[1]) <= (300 if find_spec("llvmlite") else 200) * 1024
