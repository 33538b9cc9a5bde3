"""Many keys at once, one in each lane of the CPU's vectors.

Key derivation computes SHA-256 some 620,000 times, each time of what the last one gave, so one
key cannot be hurried. But the keys of different recordings do not wait for each other: a kernel
that is compiled for this CPU derives several side by side.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
import struct
from collections.abc import Callable, Sequence

from filedecryptor.kernels import INNER, KEY, LAST, OUTER, Kernel
from filedecryptor.sha256 import INITIAL_STATE, Integers, compress

BLOCK_SIZE = 64
"""Bytes of a block of SHA-256 (FIPS 180-4, section 1)."""

PIECE = 31_000
"""Iterations between two looks at whether anybody still waits for the keys: 20 ms or less."""

TRIAL_ITERATIONS = 2_000
"""Iterations of the keys by which lanes are checked: less than a millisecond each."""


class HmacKey:
    """A password as HMAC-SHA-256 begins with it (RFC 2104). It shows in no `repr`.

    Args:
        password: Any number of bytes.
    """

    def __init__(self, password: bytes) -> None:
        self._password = password
        key = hashlib.sha256(password).digest() if len(password) > BLOCK_SIZE else password
        self.inner = self._state(key, 0x36)
        self.outer = self._state(key, 0x5C)

    @staticmethod
    def _state(key: bytes, pad: int) -> Sequence[int]:
        block = bytes(byte ^ pad for byte in key.ljust(BLOCK_SIZE, b"\0"))
        return compress(Integers(), INITIAL_STATE, struct.unpack(">16I", block))

    def first(self, salt: bytes) -> Sequence[int]:
        """Return the first U of the first block of PBKDF2 (RFC 8018, section 5.2), as words."""
        return struct.unpack(">8I", hmac.digest(self._password, salt + b"\0\0\0\1", "sha256"))


class Lanes:
    """A compiled kernel.

    Attributes:
        count: How many keys it derives at once.
        fewest: The keys from which on it is used: for less, OpenSSL is as fast.
        function: The kernel, as a function of the memory and a number of iterations.

    Args:
        kernel: What was compiled.
        function: See above.
    """

    def __init__(self, kernel: Kernel, function: Callable[[object, int], object]) -> None:
        self._places = kernel.places
        self._constants = kernel.constants
        self.function = function
        self.count = len(kernel.places[KEY])
        self.fewest = self.count // 2

    def derive(
        self,
        wanted: Sequence[tuple[HmacKey, bytes]],
        iterations: int,
        pause: Callable[[], object],
    ) -> list[bytearray]:
        """Derive keys by PBKDF2-HMAC-SHA-256 (RFC 8018, section 5.2), without the GIL.

        Args:
            wanted: Passwords and salts; no more than `count`.
            iterations: 2 or more.
            pause: Called now and then; what it raises ends the work.

        Returns:
            The keys, 32 bytes each.
        """
        memory = self._memory()
        try:
            for lane, (password, salt) in enumerate(wanted):
                first = password.first(salt)
                self._fill(memory, INNER, lane, password.inner)
                self._fill(memory, OUTER, lane, password.outer)
                self._fill(memory, LAST, lane, first)
                self._fill(memory, KEY, lane, first)
            for done in range(1, iterations, PIECE):
                self.function(memory, min(PIECE, iterations - done))
                pause()
            return [self._key(memory, lane) for lane in range(len(wanted))]
        finally:
            ctypes.memset(memory, 0, ctypes.sizeof(memory))

    def agree_with(self, derive: Callable[[bytes, bytes, int], bytes]) -> bool:
        """Return whether keys of random salts are those of another function.

        Args:
            derive: Returns the key for a password, a salt and a number of iterations.
        """
        wanted = [(os.urandom(1 + lane), os.urandom(16)) for lane in range(self.count)]
        requests = [(HmacKey(password), salt) for password, salt in wanted]
        keys = self.derive(requests, TRIAL_ITERATIONS, lambda: None)
        return keys == [derive(password, salt, TRIAL_ITERATIONS) for password, salt in wanted]

    def _memory(self) -> ctypes.Array[ctypes.c_uint32]:
        rows = 8 * len(self._places) * self.count
        memory = (ctypes.c_uint32 * (rows + len(self._constants)))()
        memory[rows:] = [*self._constants]
        return memory

    def _fill(
        self, memory: ctypes.Array[ctypes.c_uint32], row: int, lane: int, words: Sequence[int]
    ) -> None:
        for place, word in zip(self._places[row][lane], words, strict=True):
            memory[place] = word

    def _key(self, memory: ctypes.Array[ctypes.c_uint32], lane: int) -> bytearray:
        key = bytearray(32)
        struct.pack_into(">8I", key, 0, *(memory[place] for place in self._places[KEY][lane]))
        return key
