"""Keeping other runs out, on a disk and in a store."""

from __future__ import annotations

import json
import os
import socket
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
pytest.importorskip("filelock", reason="the extra vns is not installed")
pytest.importorskip("s3fs", reason="the extra s3 is not installed")
from support.bucket import Bucket

from filedecryptor.errors import FileDecryptorError
from filedecryptor.storage.s3 import S3
from filedecryptor.vns.locking import LOCK_NAME, locked


@pytest.fixture
def folder(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder of a store."""
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    S3.clear_instance_cache()
    return f"{bucket.url}/calls"


def mark(bucket: Bucket, **fields: object) -> None:
    """Put a marker of another run there."""
    since = datetime.now(timezone.utc) - timedelta(minutes=1)
    known = {"host": "other", "process": 1, "since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "id": "x"}
    bucket.put(f"calls/{LOCK_NAME}", json.dumps(known | fields).encode())


def test_a_second_run_on_a_disk(tmp_path: Path) -> None:
    """It is told who is at work, and since when."""
    with locked(str(tmp_path)), pytest.raises(FileDecryptorError) as raised:  # noqa: SIM117
        with locked(str(tmp_path)):
            pass
    found = str(raised.value)
    assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in found
    with locked(str(tmp_path)):
        pass


def test_a_second_run_in_a_store(bucket: Bucket, folder: str) -> None:
    """By an object, which is there meanwhile."""
    with locked(folder):
        assert bucket.keys() == [f"calls/{LOCK_NAME}"]
        with pytest.raises(FileDecryptorError) as raised, locked(folder):
            pass
        found = str(raised.value)
        assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in found
    assert bucket.keys() == []


def test_a_run_on_another_machine(bucket: Bucket, folder: str) -> None:
    """It is believed for some hours."""
    mark(bucket)
    with pytest.raises(FileDecryptorError, match="process 1 on other"), locked(folder):
        pass
    assert bucket.keys() == [f"calls/{LOCK_NAME}"]


ABANDONED: list[dict[str, object]] = [
    {"since": "2026-01-01T00:00:00Z"},
    {"since": None},
    {"host": socket.gethostname(), "process": 2**22 + 1},
]


@pytest.mark.parametrize("fields", ABANDONED, ids=["old", "odd", "killed"])
def test_a_marker_that_was_left_behind(
    bucket: Bucket, folder: str, fields: dict[str, object]
) -> None:
    """It keeps nobody out."""
    mark(bucket, **fields)
    with locked(folder):
        pass
    assert bucket.keys() == []


def test_a_marker_that_is_another_run_s_stays(bucket: Bucket, folder: str) -> None:
    """Only one's own is removed."""
    with locked(folder):
        mark(bucket)
    assert bucket.keys() == [f"calls/{LOCK_NAME}"]


def test_what_the_other_run_says_is_short(bucket: Bucket, folder: str) -> None:
    """Whatever somebody has put there."""
    mark(bucket, process="x" * 10_000)
    with pytest.raises(FileDecryptorError) as raised, locked(folder):
        pass
    assert len(str(raised.value)) < 400
