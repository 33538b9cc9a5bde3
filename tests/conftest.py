"""Fixtures that all tests share, and the cheap key derivation that most of them use."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import odd_disk
from support.posix import IS_WINDOWS
from support.recordings import AUDIO, CUSTOMIZED, ITERATIONS, PASSWORD, MakeEnc, encrypt

from filedecryptor.core import crypto

if TYPE_CHECKING:
    from support.bucket import Bucket

# Under nohup, or in the background of a script, signals are ignored, and what a test starts would
# inherit that. A handler is not inherited; this one changes nothing else.
for _name in ("SIGHUP", "SIGINT", "SIGTERM"):
    _signal = getattr(signal, _name, None)
    if _signal is not None and signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, lambda *_: None)


# Compiled once, or each process that a test starts compiles all of the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers() -> int:
    """Return what `-n auto` means: two workers for each CPU, as many tests wait more than they work."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(autouse=True)
def cheap_keys(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys in few rounds, here and in processes, unless a test is about real recordings."""
    if request.node.get_closest_marker("real_iterations") is None:
        monkeypatch.setattr(crypto, "ITERATIONS", ITERATIONS)
        monkeypatch.setenv("PYTHONPATH", CUSTOMIZED)


@pytest.fixture(autouse=True)
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip a test that makes a link where the system makes none."""
    if not IS_WINDOWS:
        return
    request.getfixturevalue("tmp_path")  # beside which pytest makes links of its own
    make = Path.symlink_to

    def make_or_skip(link: Path, *args: Any, **options: Any) -> None:
        try:
            make(link, *args, **options)
        except OSError:
            pytest.skip("Windows lets only some users make links")
        if not link.is_symlink():
            pytest.skip("this Windows makes no links")

    monkeypatch.setattr(Path, "symlink_to", make_or_skip)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code that only Windows needs run here as well."""
    monkeypatch.setattr(sys, "platform", "win32")


@pytest.fixture(scope="session")
def encrypted_audio() -> bytes:
    """A real recording, encrypted."""
    return encrypt(AUDIO)


@pytest.fixture
def folder(tmp_path: Path, encrypted_audio: bytes) -> Path:
    """A folder that holds `a.enc`."""
    (tmp_path / "a.enc").write_bytes(encrypted_audio)
    return tmp_path


@pytest.fixture
def make_enc(tmp_path: Path) -> MakeEnc:
    """Return a function that writes an encrypted recording and returns its path."""

    def make(name: str = "a.enc", audio: bytes = AUDIO, password: bytes | str = PASSWORD) -> Path:
        path = tmp_path / name
        path.write_bytes(encrypt(audio, password))
        return path

    return make


@pytest.fixture
def many(tmp_path: Path, encrypted_audio: bytes) -> Path:
    """A folder of 200 recordings, `000.enc` to `199.enc`, for what ends before the last of them."""
    for number in range(200):
        (tmp_path / f"{number:03}.enc").write_bytes(encrypted_audio)
    return tmp_path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def disk(here: Path) -> Iterator[Path]:
    """A real disk that overlooks case and normalisation, as the working directory's `disk`."""
    with odd_disk.mounted(here) as path:
        yield path


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The S3 server of most tests; its address."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    from support.bucket import serving

    with serving() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def ceph() -> Iterator[str]:
    """Another S3 server, which is stricter; its address."""
    from support.ceph import IS_INSTALLED, serving

    if not IS_INSTALLED:
        pytest.skip("Ceph is not installed")
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    """An S3 server; its address."""
    endpoint: str = request.getfixturevalue(getattr(request, "param", "moto"))
    return endpoint


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that is marked `every_server` against each of them."""
    if metafunc.definition.get_closest_marker("every_server"):
        servers = ["moto", pytest.param("ceph", marks=pytest.mark.slow)]
        metafunc.parametrize("server", servers, indirect=True)


@pytest.fixture
def bucket(server: str) -> Bucket:
    """An empty bucket."""
    from support.bucket import Bucket

    return Bucket(server)
