"""Stores other than S3's: what their packages do in ways of their own, done here by a small one."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.commands import run, run_process
from support.recordings import AUDIO, PASSWORD, encrypt

pytest.importorskip("fsspec", reason="the extra s3 is not installed")

from fsspec import AbstractFileSystem, register_implementation
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from filedecryptor.errors import StorageError, UnavailableError, UsageError
from filedecryptor.storage import objects
from filedecryptor.storage.objects import LARGEST_PIECE

PASSWORDS = {"FILEDECRYPTOR_PASSWORD": PASSWORD}


class Keys(MemoryFileSystem):  # type: ignore[misc]
    """A store of keys, whatever follows `keys://`, also a slash at the end, but without tabs."""

    protocol = "keys"
    root_marker = ""
    store: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:  # as some, it takes no options
        super().__init__()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("keys://").replace("\t", "")

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: object) -> None:
        """Write an object; what is below it is no matter."""
        if mode == "create" and path in self.store:
            raise FileExistsError
        self.store[path] = MemoryFile(self, path, value)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """Let addresses that begin with `keys://` lead to an empty store of this kind."""
    Keys.store.clear()
    register_implementation("keys", Keys, clobber=True)
    yield
    Keys.store.clear()


def put(url: str, data: bytes, *, replace: bool = True) -> None:
    """Write an object."""
    objects.publish(url, BytesIO(data), replace=replace)


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("in", ["out//c.x", "out/a.x", "out/late/b.x"]),
        ("in/", ["out//c.x", "out/a.x", "out/late/b.x"]),
        ("in//", ["out/c.x"]),  # which has no name
        ("in/late/", ["out/b.x"]),
    ],
)
def test_a_slash_at_the_end_hides_no_recording(
    tmp_path: Path, folder: str, found: list[str]
) -> None:
    """A folder holds the same with it and without, also in a store that takes it for a part of the key."""
    for name in ("in/a", "in/late/b", "in//c", "inside/d"):
        put(f"keys://bucket/{name}.enc", encrypt(AUDIO))
    result = run(
        f"keys://bucket/{folder}", "-", "x", "-d", "keys://bucket/out", cwd=tmp_path, env=PASSWORDS
    )
    assert result.code == 0, result
    assert sorted(result.stdout.decode().split()) == [f"keys://bucket/{path}" for path in found]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), FileNotFoundError()])
def test_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """What is in it is not passed over in silence, though `fsspec` itself would."""
    monkeypatch.setattr(Keys, "find", AbstractFileSystem.find)
    for name in ("in/a", "in/late/b", "in/late/in/c"):
        put(f"keys://bucket/{name}.enc", encrypt(AUDIO))
    words = ("keys://bucket/in", "-", "x", "-d", "keys://bucket/out")
    assert objects.sizes_below("keys://bucket/none") == {}
    assert len(run(*words, cwd=tmp_path, env=PASSWORDS).stdout.splitlines()) == 3

    def refuse(store: Keys, path: str, **options: Any) -> Any:
        if path.endswith("late"):
            raise error
        return MemoryFileSystem.ls(store, path, **options)

    monkeypatch.setattr(Keys, "ls", refuse)
    result = run(*words, cwd=tmp_path, env=PASSWORDS)
    assert result.code == 1
    assert len(result.lines) == 1
    assert result.lines[0].startswith("error: keys://bucket/in: ")


def test_a_folder_whose_package_tells_an_object_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `adlfs` does, without its length: that is no empty folder."""
    monkeypatch.setattr(Keys, "find", lambda _, path, **__: [path])
    result = run(
        "keys://bucket/a.enc/", "-", "x", "-d", "keys://bucket/out", cwd=tmp_path, env=PASSWORDS
    )
    assert result.code == 1
    said = "error: keys://bucket/a.enc/: this is an object as well: what is below it is not told"
    assert result.lines == [said]


def test_a_folder_is_not_in_the_way_of_an_object() -> None:
    """Whatever `exists` says; an object of that name is."""
    put("keys://bucket/a.x/below", b"")
    put("keys://bucket/a.x", b"first", replace=False)
    with pytest.raises(FileExistsError):
        put("keys://bucket/a.x", b"second", replace=False)
    assert Keys.store["bucket/a.x"].getvalue() == b"first"


def test_a_store_that_shows_what_is_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, nothing is replaced that was there, and what is not completed is removed."""
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    url, size = "memory://bucket/a.x", LARGEST_PIECE + 1
    put(url, bytes(size), replace=False)
    with pytest.raises(FileExistsError):
        put(url, b"x" * size, replace=False)
    assert objects.size_of(url) == size
    assert MemoryFileSystem.store["/bucket/a.x"].getvalue() == bytes(size)

    def break_off(count: int) -> None:
        calls.append(count)
        if len(calls) > 2:
            raise KeyboardInterrupt

    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        objects.publish(
            "memory://bucket/b.x", BytesIO(bytes(size)), replace=True, on_progress=break_off
        )
    assert MemoryFileSystem.store.keys() == {"/bucket/a.x"}


class File(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is written piece by piece, as that of `ftp://`: each is in its place at once."""

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002 - theirs
        self.buffer.seek(0)
        old = self.fs.store[self.path].getvalue() if self.offset else b""
        self.fs.store[self.path] = MemoryFile(self.fs, self.path, old + self.buffer.read())
        return True


def test_a_file_that_is_in_its_place_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for one that was there, nor removed, or written to, in the place of one."""
    # A class itself would be no method.
    monkeypatch.setattr(Keys, "_open", lambda *place, **more: File(*place, **more))  # noqa: PLW0108
    url, size = "keys://bucket/a.x", 3 * LARGEST_PIECE
    put(url, bytes(size), replace=False)
    assert Keys.store["bucket/a.x"].getvalue() == bytes(size)
    with pytest.raises(FileExistsError):
        put(url, b"x" * size, replace=False)
    assert Keys.store["bucket/a.x"].getvalue() == bytes(size)
    put(url, b"x" * size)
    assert Keys.store["bucket/a.x"].getvalue() == b"x" * size


def test_a_file_that_finds_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there of it is removed, though it cannot be closed either."""

    class Full(File):
        def _upload_chunk(self, final: bool = False) -> bool:  # noqa: FBT001, FBT002 - theirs
            if self.offset:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super()._upload_chunk(final)

    monkeypatch.setattr(Keys, "_open", lambda *place, **more: Full(*place, **more))  # noqa: PLW0108
    with pytest.raises(StorageError, match="No space left on device"):
        put("keys://bucket/a.x", bytes(3 * LARGEST_PIECE))
    assert Keys.store == {}


LOGGING = """
import logging, sys
import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from filedecryptor.__main__ import main

class Talkative(MemoryFileSystem):
    protocol = "talkative"

    def info(self, path, **options):
        for name in "gcsfs", "azure.identity", "adlfs.spec", "aiohttp.client", "google.auth":
            logging.getLogger(name).warning("out of retries")
        raise FileNotFoundError

fsspec.register_implementation("talkative", Talkative)
sys.exit(main())
"""


def test_what_packages_log_is_not_printed(tmp_path: Path) -> None:
    """Only our own line is."""
    line = ("talkative://bucket/a.enc", "-", "x")
    command = (sys.executable, "-c", LOGGING)
    result = run_process(*line, cwd=tmp_path, env=PASSWORDS, command=command)
    assert result.lines == ["error: talkative://bucket/a.enc: No such file or directory"]


class AzureError(Exception):
    """What Azure's package raises: a sentence, and below it what is for logs."""

    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(f"{message}\nContent: <?xml?>")
        self.message = f"{message}\nRequestId:b2aa583e"
        self.status_code = status_code


class ClientConnectionError(Exception):
    """What aiohttp raises: no error of Python's own."""


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (
            AzureError("There is no such container.", 404),
            StorageError,
            "There is no such container.",
        ),
        (AzureError("The server is busy.", 503), UnavailableError, "The server is busy."),
        (AzureError("", 10054), StorageError, "Content: <?xml?>"),  # no status of HTTP
        (ClientConnectionError("Cannot connect"), UnavailableError, "Cannot connect"),
        (ConnectionRefusedError(111, "Connection refused"), UnavailableError, "Connection refused"),
        (OSError("Forbidden: b/x\nno such\nright"), StorageError, "Forbidden: b/x no such right"),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_what_a_store_has_said(
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    kind: type[StorageError],
    said: str,
    *,
    is_wrapped: bool,
) -> None:
    """Its sentence alone is told, and it is known what may pass, also inside an error of a package."""

    def fail(*_: object, **__: object) -> None:
        if is_wrapped:
            raise RuntimeError("Failed to upload block!") from failure
        raise failure

    monkeypatch.setattr(Keys, "pipe_file", fail)
    with pytest.raises(StorageError) as caught:
        put("keys://bucket/a.x", b"")
    assert (type(caught.value), caught.value.cause) == (kind, said)


def test_a_key_that_a_package_would_change() -> None:
    """It is refused: with it, another object would be read or replaced."""
    put("keys://bucket/ab", b"old")
    with pytest.raises(UsageError, match="does not take this key as it is"):
        put("keys://bucket/a\tb", b"new")
    with pytest.raises(UsageError):
        objects.size_of("keys://bucket/a\tb")
    assert Keys.store["bucket/ab"].getvalue() == b"old"
