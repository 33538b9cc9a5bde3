"""SHA-256 of words of any kind."""

from __future__ import annotations

import hashlib
import os
import struct

import pytest

from filedecryptor.lanes.kernel import INITIAL_STATE, Integers, compress


@pytest.mark.parametrize("length", [0, 3, 32, 55])
def test_one_block_is_hashed_as_the_standard_library_does_it(length: int) -> None:
    """So the constants and the rounds are those of FIPS 180-4."""
    message = os.urandom(length)
    block = (message + b"\x80").ljust(56, b"\0") + (8 * length).to_bytes(8, "big")
    state = compress(Integers(), INITIAL_STATE, struct.unpack(">16I", block))
    assert struct.pack(">8I", *state) == hashlib.sha256(message).digest()


def test_blocks_follow_each_other() -> None:
    """The state after one block is what the next begins with."""
    message = os.urandom(64)
    state = compress(Integers(), INITIAL_STATE, struct.unpack(">16I", message))
    padding = b"\x80".ljust(56, b"\0") + (8 * len(message)).to_bytes(8, "big")
    state = compress(Integers(), state, struct.unpack(">16I", padding))
    assert struct.pack(">8I", *state) == hashlib.sha256(message).digest()
