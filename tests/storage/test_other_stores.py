"""Stores other than S3's: what their packages do in ways of their own, done here by a small one."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.commands import run
from support.recordings import AUDIO, PASSWORD, encrypt

pytest.importorskip("fsspec", reason="the extra s3 is not installed")

from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem

from filedecryptor.storage import objects

PASSWORDS = {"FILEDECRYPTOR_PASSWORD": PASSWORD}


class Keys(MemoryFileSystem):  # type: ignore[misc]
    """A store of keys, which are whatever follows `keys://`, also a slash at the end."""

    protocol = "keys"
    root_marker = ""
    store: ClassVar[dict[str, Any]] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("keys://")


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
