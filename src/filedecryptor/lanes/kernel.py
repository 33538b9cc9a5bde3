"""Kernels that derive several keys at once: rounds of SHA-256 in LLVM's language."""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import math
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partialmethod
from typing import TypeAlias, TypeVar

from filedecryptor.core.crypto import KEY_SIZE, derive_key

PRIMES = [number for number in range(2, 312) if all(number % i for i in range(2, number))]

INITIAL_STATE = [int(math.sqrt(prime) % 1 * 2**32) for prime in PRIMES[:8]]
CONSTANTS = [int(math.cbrt(prime) % 1 * 2**32) for prime in PRIMES]
"""The first 32 bits of the fractions of roots (FIPS 180-4, sections 5.3.3 and 4.2.2)."""

PADDING = (0x80000000, 0, 0, 0, 0, 0, 0, (64 + 32) * 8)
"""What follows the 32 bytes of a digest that HMAC hashes after a block (FIPS 180-4, 5.1.1)."""

HASH_BLOCK = 64  # bytes of a block of SHA-256 (FIPS 180-4, section 1)


class Vector:
    """Some words of a kernel, one for each key or some of one key: the result of an instruction."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.name = name

    def _result(self, instruction: str, other: Vector) -> Vector:
        return self.kernel.result(f"{instruction} {self.kernel.type} {self.name}, {other.name}")

    __add__ = partialmethod(_result, "add")
    __xor__ = partialmethod(_result, "xor")
    __and__ = partialmethod(_result, "and")

    def __rshift__(self, bits: int) -> Vector:
        return self._result("lshr", Vector(self.kernel, f"splat (i32 {bits})"))

    def __mod__(self, _: int) -> Vector:
        return self  # whose words are of 32 bits


Word = TypeVar("Word", int, Vector)


def rotated(word: Word, bits: int) -> Word:
    """Return a word of 32 bits rotated to the right, or with other bits above these."""
    if isinstance(word, int):
        return word >> bits | word << 32 - bits
    by = Vector(word.kernel, f"splat (i32 {bits})")
    return word.kernel.call(f"fshr.v{word.kernel.size}i32", word, word, by)


def compress(state: Sequence[Word], block: Sequence[Word], constants: Iterable[Word]) -> list[Word]:
    """Return the state of SHA-256 after one more block (FIPS 180-4, section 6.2.2)."""
    schedule = list(block)
    a, b, c, d, e, f, g, h = state
    for number, constant in enumerate(constants):
        if number >= len(block):
            early, late = schedule[-15], schedule[-2]
            near = rotated(early, 7) ^ rotated(early, 18) ^ early >> 3
            far = rotated(late, 17) ^ rotated(late, 19) ^ late >> 10
            schedule.append((schedule[-16] + near + schedule[-7] + far) % 2**32)
        choice = g ^ e & (f ^ g)
        majority = b ^ (a ^ b) & (b ^ c)
        sum_of_e = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
        sum_of_a = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
        first = schedule[number] + constant + h + choice + sum_of_e
        h, g, f, e = g, f, e, (d + first) % 2**32
        d, c, b, a = c, b, a, (first + sum_of_a + majority) % 2**32
    return [(old + new) % 2**32 for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


ROWS = 4
INNER, OUTER, LAST, KEY = range(ROWS)
"""The rows of a kernel's memory, eight words for each key: two states, U, and the key so far."""


HashRow: TypeAlias = Callable[["Kernel", list[Vector], list[Vector]], list[Vector]]


class Kernel:
    """A function that derives several keys side by side, `void derive(ptr memory, i32 iterations)`.

    It is written as `text` in LLVM's language, with vectors of `size` words. `places[row][lane]` are
    the places of eight words in the memory, whose rows `constants` follow: machine code that is
    copied has no other place for them. `hash_row` returns SHA-256 of a row, from its states.
    """

    def __init__(
        self, size: int, places: Sequence[Sequence[Sequence[int]]], hash_row: HashRow
    ) -> None:
        self.size = size
        self.type = f"<{size} x i32>"
        self.places = places
        self.text = ""
        self.constants: list[int] = []
        self._lines: list[str] = []
        self._declarations: set[str] = set()
        self._write(hash_row)

    def result(self, instruction: str) -> Vector:
        """Add an instruction and return its result."""
        vector = Vector(self, f"%x{len(self._lines)}")
        self._lines.append(f"{vector.name} = {instruction}")
        return vector

    def constant(self, *words: int) -> Vector:
        """Return a vector of these words, over and over. Used once, it takes no register."""
        vector = self.load("%constants", len(self.constants) // self.size)
        self.constants += words * (self.size // len(words))
        return vector

    def call(self, function: str, *vectors: Vector) -> Vector:
        """Return what one of LLVM's own functions makes of vectors."""
        arguments = ", ".join(f"{self.type} {vector.name}" for vector in vectors)
        types = ", ".join([self.type] * len(vectors))
        self._declarations.add(f"declare {self.type} @llvm.{function}({types})")
        return self.result(f"call {self.type} @llvm.{function}({arguments})")

    def picked(self, one: Vector, other: Vector, *numbers: int) -> Vector:
        """Return words of two vectors, by their numbers, which go on from the first vector's."""
        mask = ", ".join(f"i32 {number}" for number in numbers)
        pair = f"{self.type} {one.name}, {self.type} {other.name}"
        return self.result(f"shufflevector {pair}, <{self.size} x i32> <{mask}>")

    def load(self, pointer: str, number: int) -> Vector:
        """Return a vector of the memory from a pointer on, by its number."""
        place = self.result(f"getelementptr {self.type}, ptr {pointer}, i64 {number}")
        return self.result(f"load {self.type}, ptr {place.name}, align 4")

    def store(self, vector: Vector, pointer: str, number: int) -> None:
        """Write a vector to the memory."""
        place = self.result(f"getelementptr {self.type}, ptr {pointer}, i64 {number}")
        self._lines.append(f"store {self.type} {vector.name}, ptr {place.name}, align 4")

    def _write(self, hash_row: HashRow) -> None:
        row = 4 * 8 * len(self.places[KEY])
        vectors = range(row // 4 // self.size)
        state, last = ([self.load(name, i) for i in vectors] for name in ("%state", "%last"))
        for number, vector in enumerate(hash_row(self, state, last)):
            self.store(vector, "%last", number)
        body = "\n".join(self._lines)
        begin = len(self._lines)
        for number in vectors:
            self.store(self.load("%key", number) ^ self.load("%last", number), "%key", number)
        end = "\n".join(self._lines[begin:])
        declarations = "\n".join(sorted(self._declarations))
        self.text = f"""
define void @derive(ptr %memory, i32 %iterations) {{
entry:
  %outer = getelementptr i8, ptr %memory, i64 {OUTER * row}
  %last = getelementptr i8, ptr %memory, i64 {LAST * row}
  %key = getelementptr i8, ptr %memory, i64 {KEY * row}
  %constants = getelementptr i8, ptr %memory, i64 {ROWS * row}
  br label %iteration
iteration:
  %done = phi i32 [0, %entry], [%count, %end]
  br label %hash
hash:
  %state = phi ptr [%memory, %iteration], [%outer, %hash]
{body}
  %is_inner = icmp eq ptr %state, %memory
  br i1 %is_inner, label %hash, label %end
end:
{end}
  %count = add i32 %done, 1
  %is_short = icmp ult i32 %count, %iterations
  br i1 %is_short, label %iteration, label %exit
exit:
  ret void
}}
{declarations}
"""


def with_vectors(lanes: int) -> Kernel:
    """Return a kernel each of whose vectors holds one word of every key."""
    row = 8 * lanes
    places = [
        [range(row * number + lane, row * (number + 1), lanes) for lane in range(lanes)]
        for number in range(ROWS)
    ]
    return Kernel(lanes, places, _compress_words)


def _compress_words(kernel: Kernel, states: list[Vector], blocks: list[Vector]) -> list[Vector]:
    padding = [kernel.constant(word) for word in PADDING]
    return compress(states, blocks + padding, map(kernel.constant, CONSTANTS))


def with_sha_instructions() -> Kernel:
    """Return a kernel for x86 CPUs that have instructions for SHA-256.

    Each of them waits for the result of the one before, and meanwhile the CPU could begin others:
    those for four keys leave it no pause. They hold a state as two vectors, of the words F, E, B,
    A and H, G, D, C (Intel's manual, SHA256RNDS2).
    """
    orders = [(3, 2, 7, 6, 1, 0, 5, 4)] * 2 + [range(8)] * 2
    places = [
        [[8 * (4 * number + lane) + word for word in order] for lane in range(4)]
        for number, order in enumerate(orders)
    ]
    return Kernel(4, places, _compress_pairs)


def _compress_pairs(kernel: Kernel, states: list[Vector], blocks: list[Vector]) -> list[Vector]:
    """Return the digests of one more block of each key, step by step in turns."""
    padding = [kernel.constant(*PADDING[:4]), kernel.constant(*PADDING[4:])]
    keys = range(0, len(states), 2)
    schedules = [[*blocks[key : key + 2], *padding] for key in keys]
    pairs = [(states[key], states[key + 1]) for key in keys]
    for step in range(len(CONSTANTS) // 4):
        for key, words in enumerate(schedules):
            if step == len(words):
                early = kernel.call("x86.sha256msg1", words[-4], words[-3])
                middle = kernel.picked(words[-2], words[-1], 1, 2, 3, 4)
                words.append(kernel.call("x86.sha256msg2", early + middle, words[-1]))
            low = words[step] + kernel.constant(*CONSTANTS[4 * step : 4 * step + 4])
            for two_words in (low, kernel.picked(low, low, 2, 3, 0, 1)):
                feba, hgdc = pairs[key]
                pairs[key] = kernel.call("x86.sha256rnds2", hgdc, feba, two_words), feba
    digests = []
    for key, pair in zip(keys, pairs, strict=True):
        feba, hgdc = (new + states[key + half] for half, new in enumerate(pair))
        digests += [kernel.picked(feba, hgdc, 3, 2, 7, 6), kernel.picked(feba, hgdc, 1, 0, 5, 4)]
    return digests


PIECE = 31_000  # iterations between two looks at whether the keys are still wanted: 20 ms or less
TRIAL_ITERATIONS = 2_000  # of the keys by which lanes are checked: less than a millisecond each


class HmacKey:
    """A password as HMAC-SHA-256 begins with it (RFC 2104). It shows in no `repr`."""

    def __init__(self, password: bytes) -> None:
        self.password = password
        key = hashlib.sha256(password).digest() if len(password) > HASH_BLOCK else password
        self.inner, self.outer = (self._state(key, pad) for pad in (0x36, 0x5C))

    def _state(self, key: bytes, pad: int) -> list[int]:
        block = bytes(byte ^ pad for byte in key.ljust(HASH_BLOCK, b"\0"))
        return compress(INITIAL_STATE, struct.unpack(">16I", block), CONSTANTS)


class Lanes:
    """A compiled kernel: a function of its memory and a number of iterations."""

    def __init__(self, kernel: Kernel, function: Callable[[object, int], object]) -> None:
        self._kernel = kernel
        self.function = function
        self.count = len(kernel.places[KEY])
        self.fewest = self.count // 2  # OpenSSL derives fewer keys as fast

    def derive(
        self, wanted: Sequence[tuple[HmacKey, bytes]], iterations: int, pause: Callable[[], object]
    ) -> list[bytearray]:
        """Derive a key for each password and salt, up to `count`, in 2 iterations or more.

        `pause` is called now and then; what it raises ends the work.
        """
        places, constants = self._kernel.places, self._kernel.constants
        memory = (ctypes.c_uint32 * (8 * ROWS * self.count + len(constants)))()
        memory[-len(constants) :] = [*constants]
        try:
            for lane, (key, salt) in enumerate(wanted):
                digest = hmac.digest(key.password, salt + b"\0\0\0\1", "sha256")
                first = struct.unpack(">8I", digest)
                for row, words in enumerate((key.inner, key.outer, first, first)):
                    for place, word in zip(places[row][lane], words, strict=True):
                        memory[place] = word
            for done in range(1, iterations, PIECE):
                self.function(memory, min(PIECE, iterations - done))
                pause()
            found = [bytearray(KEY_SIZE) for _ in wanted]
            for lane, derived in enumerate(found):
                struct.pack_into(">8I", derived, 0, *(memory[i] for i in places[KEY][lane]))
            return found
        finally:
            ctypes.memset(memory, 0, ctypes.sizeof(memory))

    def are_right(self) -> bool:
        """Return whether keys of random passwords and salts are those of `cryptography`."""
        wanted = [(HmacKey(os.urandom(1 + lane)), os.urandom(16)) for lane in range(self.count)]
        found = self.derive(wanted, TRIAL_ITERATIONS, lambda: None)
        for (password, salt), derived in zip(wanted, found, strict=True):
            with derive_key(password.password, salt, TRIAL_ITERATIONS) as key:
                if key != derived:
                    return False
        return True
