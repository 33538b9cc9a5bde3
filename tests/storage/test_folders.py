"""Folders of stores: whatever their keys and however they are written, all that is below is found."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from support.bucket import Bucket

from filedecryptor.storage import objects, pieces_of
from filedecryptor.storage.paths import join, split
from filedecryptor.storage.s3 import S3

NAMES = ["", "", "in", "A", "a.enc", "A.ENC", "x?y.enc", "#", "%2F.enc", "ü.enc", "a::b.enc", "*"]
KEYS = some.lists(some.sampled_from(NAMES), min_size=1, max_size=4).map("/".join).filter(bool)


@cache
def bucket_of(server: str) -> Bucket:
    """Return a bucket that is emptied for each example."""
    return Bucket(server)


@pytest.mark.every_server
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    keys=some.sets(KEYS, min_size=1, max_size=5),
    depth=some.integers(0, 9),
    slashes=some.integers(0, 3),
)
@example(keys={"/in/a.enc", "in/b.enc"}, depth=2, slashes=1)
@example(keys={"in/a.enc", "in//b.enc"}, depth=1, slashes=2)
def test_all_below_a_folder_is_found(
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    keys: set[str],
    depth: int,
    slashes: int,
) -> None:
    """Once, at an address that reads it, as another library lists it; a slash more is a folder more."""
    bucket = bucket_of(server)
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(S3, "_cache", {})
    for entry in bucket.entries():
        bucket.client.delete_object(Bucket=bucket.name, Key=entry["Key"])
    for key in keys:
        bucket.put(key, key.encode())
    folders = ["", *(f"/{key[:end]}" for key in sorted(keys) for end in _slashes(key))]
    url = bucket.url + folders[depth % len(folders)] + "/" * slashes
    if "::" in url:
        return
    base = join(url, "")
    prefix = base.removeprefix(f"{bucket.url}/")
    listed: list[str] = bucket.keys()
    below = {key.removeprefix(prefix) for key in listed if key.startswith(prefix)}
    sizes = {name: len((prefix + name).encode()) for name in below if name[-1:] not in {"", "/"}}
    assert objects.sizes_below(url) == sizes
    assert objects.sizes_in(url) == {name: sizes[name] for name in sizes if "/" not in name}
    refused: list[str] = []
    folders_found = objects.recordings_below(
        url, lambda path, _: refused.append(path), refused.append
    )
    found = [join(folder, name) for folder, names, _ in folders_found for name in names]
    wanted = [base + name for name in sizes if name.lower().endswith(".enc")]
    assert sorted(found + refused) == sorted(wanted)
    assert refused == [path for path in refused if "::" in path]
    for path in found:
        assert b"".join(pieces_of(path)).decode() == path.removeprefix(f"{bucket.url}/")
        folder, name = split(path)
        assert objects.sizes_in(folder)[name] == objects.size_of(path)


def _slashes(key: str) -> list[int]:
    """Return where the slashes of a key are."""
    return [place for place, letter in enumerate(key) if letter == "/"]
