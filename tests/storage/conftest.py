"""An object store for the tests that need one: a server for each process, a bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.recordings import AUDIO, encrypt

if TYPE_CHECKING:
    from support.bucket import Bucket


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """An S3 server; its address."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    from support.bucket import serving

    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(server: str) -> Bucket:
    """An empty bucket."""
    from support.bucket import Bucket

    return Bucket(server)


@pytest.fixture
def with_recording(bucket: Bucket) -> Bucket:
    """A bucket with one recording, `in/a.enc`."""
    bucket.put("in/a.enc", encrypt(AUDIO))
    return bucket
