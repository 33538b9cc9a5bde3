"""What tests of stores share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from support.recordings import AUDIO, encrypt

if TYPE_CHECKING:
    from support.bucket import Bucket


@pytest.fixture(autouse=True)
def forgotten_stores() -> Iterator[None]:
    """Let no test reach the store of another."""
    yield
    if s3 := sys.modules.get("filedecryptor.storage.s3"):
        s3.S3.clear_instance_cache()


@pytest.fixture
def with_recording(bucket: Bucket) -> Bucket:
    """A bucket with one recording, `in/a.enc`."""
    bucket.put("in/a.enc", encrypt(AUDIO))
    return bucket
