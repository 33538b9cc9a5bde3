"""Lanes that derive wrong keys, though they have passed their check: no recording is lost by it."""

from __future__ import annotations

import json
import threading
import warnings
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from support.api_server import serving
from support.commands import run
from support.lanes import broken_lanes, good_lanes, use
from support.posix import make_fifo, not_under_wine
from support.recordings import PASSWORD, altered, encrypt
from support.vns import stored, vns

from filedecryptor import decrypt_files
from filedecryptor.core.spool import HEAD_SIZE
from filedecryptor.jobs import workers

if TYPE_CHECKING:
    from support.bucket import Bucket

pytest.importorskip("llvmlite", reason="the extra lanes is not installed")

COUNT = 30

WARNING = (
    "warning: the extra 'lanes' derived a wrong key, and is not used any more; the keys are "
    "derived without it, and no recording is affected"
)

ON_A_WORKER = """
from filedecryptor.lanes import kernel, keys
from filedecryptor.lanes.compiler import function_of, machine_code
good = kernel.CONSTANTS
kernel.CONSTANTS = [*good[:40], good[40] ^ 1, *good[41:]]
vectors = kernel.with_vectors(2)
keys.MACHINE.in_use = kernel.Lanes(vectors, function_of(machine_code(vectors)))
kernel.CONSTANTS = good
"""
"""Has a worker begin with broken lanes."""


@pytest.fixture(params=["broken", "good"])
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Use lanes, broken or good ones; return the warnings that there must be."""
    is_broken = request.param == "broken"
    use(monkeypatch, broken_lanes() if is_broken else good_lanes())
    return [WARNING] if is_broken else []


def audio(number: int, size: int = 1_000) -> bytes:
    """Return the audio of a recording, which is unlike any other's."""
    return b"RIFF" + number.to_bytes(4, "big") + b"WAVE" + bytes(size)


def fill(folder: Path, size: int = 1_000) -> dict[str, bytes]:
    """Write recordings, every third of them altered, and return the audio of the good ones."""
    expected = {}
    for number in range(COUNT):
        data = encrypt(audio(number, size))
        if number % 3 == 2:
            data = altered(data)
        else:
            expected[f"{number:02}.wav"] = audio(number, size)
        (folder / f"{number:02}.enc").write_bytes(data)
    return expected


def outputs(folder: Path) -> dict[str, bytes]:
    """Return what was written."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".enc"}


@pytest.mark.parametrize(
    ("options", "size", "has_nameless"),
    [
        ("-j 1", 1_000, True),
        ("-j 3", 1_000, True),
        ("--verify", 1_000, True),
        # What is too long for the memory is read from its file once more, into a new output.
        ("", 600_000, True),
        ("", 600_000, False),
    ],
)
def test_a_batch(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: list[str],
    options: str,
    size: int,
    *,
    has_nameless: bool,
) -> None:
    """Good recordings come out right, altered ones fail, and nothing else is written."""
    if size > 1_000:
        monkeypatch.setattr(workers, "MEMORY", 1)
    if not has_nameless:
        monkeypatch.setattr("filedecryptor.storage.atomic.nameless", lambda *_: None)
    expected = fill(here, size)
    result = run(".", PASSWORD, "wav", "--json", *options.split(), cwd=here)
    codes = [line["code"] for line in map(json.loads, result.stdout.splitlines())]
    assert codes.count(3) == COUNT - len(expected)
    assert [line for line in result.lines if line.startswith("warning")] == told
    assert result.code == 3
    assert outputs(here) == ({} if "--verify" in options else expected)


@pytest.mark.parametrize("size", [1_000, 600_000])
def test_pipes(tmp_path: Path, told: list[str], size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They cannot be read again, and need not be."""
    monkeypatch.setattr(workers, "MEMORY", 1)
    paths = [make_fifo(tmp_path / f"{number}.enc") for number in range(6)]
    for number, path in enumerate(paths):
        data = encrypt(audio(number, size))
        threading.Thread(target=path.write_bytes, args=[data], daemon=True).start()
    result = run(*paths, PASSWORD, "wav", cwd=tmp_path)
    assert result.code == 0
    assert outputs(tmp_path) == {f"{number}.wav": audio(number, size) for number in range(6)}
    assert result.lines[:-1] == (told if size < HEAD_SIZE else [])


def test_objects(bucket: Bucket, tmp_path: Path, told: list[str]) -> None:
    """From a store to a store."""
    for number in range(COUNT):
        bucket.put(f"{number:02}.enc", encrypt(audio(number)))
    result = run(bucket.url, PASSWORD, "wav", "-q", cwd=tmp_path, env=bucket.env)
    assert (result.code, result.lines) == (0, told)
    for number in range(COUNT):
        assert bucket.get(f"{number:02}.wav") == audio(number)


def test_an_archive(tmp_path: Path, told: list[str]) -> None:
    """Downloads go through the same keys."""
    with serving() as api:
        api.recordings = {str(uuid4()): encrypt(audio(number)) for number in range(COUNT)}
        result = vns(api, "archive", ".", "-q", cwd=tmp_path)
    assert (result.code, result.lines) == (0, told)
    assert set(stored(tmp_path).values()) == set(map(audio, range(COUNT)))


@pytest.mark.parametrize(
    "kind", [ThreadPoolExecutor, pytest.param(ProcessPoolExecutor, marks=not_under_wine)]
)
def test_executors(tmp_path: Path, told: list[str], kind: type[Executor]) -> None:
    """Their workers tell the caller, who is warned once, as Python warns."""
    expected = fill(tmp_path)
    with kind() as executor, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcomes = list(decrypt_files([tmp_path], PASSWORD, "wav", executor=executor))
    assert sum(outcome.status == "failed" for outcome in outcomes) == COUNT - len(expected)
    assert outputs(tmp_path) == expected
    found = [str(one.message) for one in caught if one.category is RuntimeWarning]
    assert [f"warning: {what}" for what in found] == told


@pytest.mark.slow
def test_workers_of_a_cluster(tmp_path: Path) -> None:
    """The line appears once, however many of them have found it."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    from support.dask_cluster import running

    folder = tmp_path / "recordings"
    folder.mkdir()
    expected = fill(folder)
    with running(tmp_path / "cluster", ON_A_WORKER, ON_A_WORKER) as cluster:
        words = (folder, PASSWORD, "wav", "-q", "--cluster", cluster.address)
        result = run(*words, cwd=tmp_path)
    assert outputs(folder) == expected
    assert result.code == 3
    assert result.lines.count(WARNING) == 1
