"""The `.enc` layout."""

from __future__ import annotations

import io
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.recordings import Trickle

from filedecryptor.core.format import CHUNK_SIZE, EncReader
from filedecryptor.errors import NotEncError


@given(ciphertext=st.binary(max_size=200), most=st.integers(1, 64))
def test_the_parts_lie_where_the_layout_says(ciphertext: bytes, most: int) -> None:
    """Salt, nonce, ciphertext and tag come out as they went in, however the bytes arrive."""
    salt, nonce, tag = bytes(range(16)), bytes(range(100, 112)), bytes(range(200, 216))
    reader = EncReader(Trickle(salt + nonce + ciphertext + tag, most))
    assert (reader.salt, reader.nonce) == (salt, nonce)
    assert b"".join(map(bytes, reader.ciphertext())) == ciphertext
    assert reader.tag == tag


@pytest.mark.parametrize("extra", [-17, -16, -1, 0, 1, 16, 17])
def test_a_tag_across_two_reads_is_found(extra: int) -> None:
    """Wherever the end lies relative to what is read at once, the tag is the last 16 bytes."""
    body = bytes(range(256)) * (CHUNK_SIZE // 256) + bytes(range(30))
    body = body[: CHUNK_SIZE + extra]
    tag = b"0123456789abcdef"
    reader = EncReader(io.BytesIO(bytes(28) + body + tag))
    assert b"".join(map(bytes, reader.ciphertext())) == body
    assert reader.tag == tag


@pytest.mark.parametrize("extra", [0, 1])
def test_the_longest_gcm_message_is_allowed(extra: int) -> None:
    """2^36 - 32 bytes, and not one more."""
    left = 44 + 2**36 - 32 + extra

    class Exact:
        def readinto(self, buffer: memoryview) -> int:
            nonlocal left
            count = min(left, len(buffer))
            left -= count
            return count

    with pytest.raises(NotEncError, match="64 GiB") if extra else nullcontext():
        assert sum(map(len, EncReader(Exact()).ciphertext())) == 2**36 - 32


def test_a_source_with_nothing_to_give_yet_is_an_error() -> None:
    """A non-blocking source must not look like one that has ended."""

    class NotYet:
        def readinto(self, _: memoryview) -> None:
            return None

    with pytest.raises(BlockingIOError):
        EncReader(NotYet())
