"""A bucket with something in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.recordings import AUDIO, encrypt

if TYPE_CHECKING:
    from support.bucket import Bucket


@pytest.fixture
def with_recording(bucket: Bucket) -> Bucket:
    """A bucket with one recording, `in/a.enc`."""
    bucket.put("in/a.enc", encrypt(AUDIO))
    return bucket
