"""Many keys at once, one in each lane of the CPU's vectors.

Key derivation computes SHA-256 some 620,000 times, each time of what the last one gave, so one
key cannot be hurried. But the keys of different recordings do not wait for each other: a kernel
that is compiled for this CPU derives several side by side.

`llvmlite`, which compiles it, is imported where it is used.
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from filedecryptor.kernels import (
    INNER,
    KEY,
    LAST,
    OUTER,
    Kernel,
    with_sha_instructions,
    with_vectors,
)
from filedecryptor.sha256 import INITIAL_STATE, Integers, compress

BLOCK_SIZE = 64
"""Bytes of a block of SHA-256 (FIPS 180-4, section 1)."""

PIECE = 31_000
"""Iterations between two looks at whether anybody still waits for the keys: 20 ms or less."""

TRIALS = 5
"""How often the speed is measured; the best time counts, since others may use the CPU as well."""


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
        function: It, as a function of the memory and a number of iterations.

    Args:
        kernel: What was compiled.
        function: See above.
        owner: What has to live as long as the function.
    """

    def __init__(
        self, kernel: Kernel, function: Callable[[object, int], object], owner: object
    ) -> None:
        self._places = kernel.places
        self.function = function
        self._owner = owner
        self.count = len(kernel.places[KEY])

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

    def seconds(self, iterations: int) -> float:
        """Return the time that so many iterations take, for all keys together."""
        memory = self._memory()
        times = []
        for _ in range(TRIALS):
            begin = time.perf_counter()
            self.function(memory, iterations)
            times.append(time.perf_counter() - begin)
        return min(times)

    def _memory(self) -> ctypes.Array[ctypes.c_uint32]:
        return (ctypes.c_uint32 * (8 * len(self._places) * self.count))()

    def _fill(
        self, memory: ctypes.Array[ctypes.c_uint32], row: int, lane: int, words: Sequence[int]
    ) -> None:
        for place, word in zip(self._places[row][lane], words, strict=True):
            memory[place] = word

    def _key(self, memory: ctypes.Array[ctypes.c_uint32], lane: int) -> bytearray:
        key = bytearray(32)
        struct.pack_into(">8I", key, 0, *(memory[place] for place in self._places[KEY][lane]))
        return key


def compiled() -> Iterator[Lanes]:
    """Compile the kernels that suit this CPU, and yield each as soon as it is ready.

    Raises:
        ImportError: `llvmlite` cannot be imported.
        RuntimeError: It does not know this CPU.
    """
    from llvmlite import binding

    return map(built, _suitable(binding.get_host_cpu_features()))


def built(kernel: Kernel) -> Lanes:
    """Compile a kernel for this CPU.

    Raises:
        ImportError: `llvmlite` cannot be imported.
        RuntimeError: It does not know this CPU.
    """
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=1,
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(kernel.text), machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)
    return Lanes(kernel, function(engine.get_function_address("derive")), engine)


def _suitable(features: Mapping[str, bool]) -> Iterator[Kernel]:
    """Yield the kernels that may be the fastest on a CPU, the one that is compiled soonest first.

    OpenSSL uses SHA instructions as well, but for one key at a time.

    Args:
        features: Those that LLVM knows, and whether the CPU has them.
    """
    if features.get("sha"):
        yield with_sha_instructions()
    if features.get("avx512f"):
        yield with_vectors(16)
    elif not features.get("sha"):
        yield with_vectors(8 if features.get("avx2") else 4)
