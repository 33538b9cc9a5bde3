"""The kernel that derives several keys at once: rounds of SHA-256 in LLVM's language."""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import xor
from typing import NamedTuple, Protocol, TypeVar

INITIAL_STATE = struct.unpack(
    ">8I",
    bytes.fromhex("6a09e667 bb67ae85 3c6ef372 a54ff53a 510e527f 9b05688c 1f83d9ab 5be0cd19"),
)
"""FIPS 180-4, section 5.3.3."""

CONSTANTS = struct.unpack(
    ">64I",
    bytes.fromhex(
        "428a2f98 71374491 b5c0fbcf e9b5dba5 3956c25b 59f111f1 923f82a4 ab1c5ed5 "
        "d807aa98 12835b01 243185be 550c7dc3 72be5d74 80deb1fe 9bdc06a7 c19bf174 "
        "e49b69c1 efbe4786 0fc19dc6 240ca1cc 2de92c6f 4a7484aa 5cb0a9dc 76f988da "
        "983e5152 a831c66d b00327c8 bf597fc7 c6e00bf3 d5a79147 06ca6351 14292967 "
        "27b70a85 2e1b2138 4d2c6dfc 53380d13 650a7354 766a0abb 81c2c92e 92722c85 "
        "a2bfe8a1 a81a664b c24b8b70 c76c51a3 d192e819 d6990624 f40e3585 106aa070 "
        "19a4c116 1e376c08 2748774c 34b0bcb5 391c0cb3 4ed8aa4a 5b9cca4f 682e6ff3 "
        "748f82ee 78a5636f 84c87814 8cc70208 90befffa a4506ceb bef9a3f7 c67178f2 "
    ),
)
"""FIPS 180-4, section 4.2.2."""

Word = TypeVar("Word")


class Words(Protocol[Word]):
    """What SHA-256 does to words of 32 bits, whatever those are."""

    def constant(self, value: int) -> Word:
        """Return a number as a word."""

    def add(self, *words: Word) -> Word:
        """Return the sum, modulo 2 ** 32."""

    def xor(self, *words: Word) -> Word:
        """Return the exclusive or."""

    def both(self, one: Word, other: Word) -> Word:
        """Return the bits that both words have."""

    def rotate(self, word: Word, bits: int) -> Word:
        """Return a word rotated to the right."""

    def shift(self, word: Word, bits: int) -> Word:
        """Return a word shifted to the right."""


def compress(on: Words[Word], state: Sequence[Word], block: Sequence[Word]) -> list[Word]:
    """Return the state of SHA-256 after one more block (FIPS 180-4, section 6.2.2).

    Args:
        on: What computes.
        state: Eight words.
        block: Sixteen words.
    """
    schedule = list(block)
    a, b, c, d, e, f, g, h = state
    for number, constant in enumerate(CONSTANTS):
        if number >= len(block):
            schedule.append(_next_word(on, schedule[-16:]))
        choice = on.xor(g, on.both(e, on.xor(f, g)))
        majority = on.xor(b, on.both(on.xor(a, b), on.xor(b, c)))
        first = on.add(
            schedule[number],
            on.constant(constant),
            h,
            choice,
            on.xor(on.rotate(e, 6), on.rotate(e, 11), on.rotate(e, 25)),
        )
        sum_of_a = on.xor(on.rotate(a, 2), on.rotate(a, 13), on.rotate(a, 22))
        a, b, c, d, e, f, g, h = (
            on.add(first, sum_of_a, majority),
            a,
            b,
            c,
            on.add(d, first),
            e,
            f,
            g,
        )
    return [on.add(old, new) for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True)]


def _next_word(on: Words[Word], last: Sequence[Word]) -> Word:
    """Return the next word of the message schedule, which follows from the sixteen before it."""
    early, late = last[1], last[14]
    return on.add(
        last[0],
        last[9],
        on.xor(on.rotate(early, 7), on.rotate(early, 18), on.shift(early, 3)),
        on.xor(on.rotate(late, 17), on.rotate(late, 19), on.shift(late, 10)),
    )


class Integers:
    """Words that are Python's integers."""

    def constant(self, value: int) -> int:
        """Return a number as a word."""
        return value

    def add(self, *words: int) -> int:
        """Return the sum, modulo 2 ** 32."""
        return sum(words) & 0xFFFFFFFF

    def xor(self, *words: int) -> int:
        """Return the exclusive or."""
        return reduce(xor, words)

    def both(self, one: int, other: int) -> int:
        """Return the bits that both words have."""
        return one & other

    def rotate(self, word: int, bits: int) -> int:
        """Return a word rotated to the right."""
        return word >> bits | word << 32 - bits & 0xFFFFFFFF

    def shift(self, word: int, bits: int) -> int:
        """Return a word shifted to the right."""
        return word >> bits


PADDING = (0x80000000, 0, 0, 0, 0, 0, 0, (64 + 32) * 8)
"""What follows the 32 bytes of a digest that HMAC hashes after a block (FIPS 180-4, 5.1.1)."""

ROWS = 4
INNER, OUTER, LAST, KEY = range(ROWS)
"""The rows of a kernel's memory, eight words for each key: two states, U, and the key so far."""

_ATTRIBUTES = '"min-legal-vector-width"="512" "prefer-vector-width"="512"'
"""LLVM would halve the vectors of AVX-512, for the sake of programs that use them now and then."""


class Code:
    """Instructions in LLVM's language, for vectors of words.

    Attributes:
        lines: The instructions so far.
        declarations: The declarations of LLVM's functions that they call.
        table: The vectors of constants that they load.

    Args:
        size: How many words a vector has.
    """

    def __init__(self, size: int) -> None:
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.table: list[tuple[int, ...]] = []
        self._known: dict[str, tuple[int, ...]] = {}
        self._size = size
        self._type = f"<{size} x i32>"
        self._suffix = f"v{size}i32"

    def _result(self, instruction: str) -> str:
        name = f"%x{len(self.lines)}"
        self.lines.append(f"{name} = {instruction}")
        return name

    def constant(self, value: int) -> str:
        """Return a vector of equal words."""
        return self.constants((value,) * self._size)

    def constants(self, values: tuple[int, ...]) -> str:
        """Return a vector of words. One that is used once takes no register."""
        name = self.load("%constants", len(self.table))
        self.table.append(values)
        self._known[name] = values
        return name

    def add(self, *words: str) -> str:
        """Return the sum, modulo 2 ** 32."""
        if self._known.keys() >= set(words):
            return self.constants(
                tuple(map(Integers().add, *(self._known[word] for word in words)))
            )
        return reduce(lambda one, other: self._result(f"add {self._type} {one}, {other}"), words)

    def xor(self, *words: str) -> str:
        """Return the exclusive or."""
        return reduce(lambda one, other: self._result(f"xor {self._type} {one}, {other}"), words)

    def both(self, one: str, other: str) -> str:
        """Return the bits that both words have."""
        return self._result(f"and {self._type} {one}, {other}")

    def rotate(self, word: str, bits: int) -> str:
        """Return words rotated to the right."""
        return self.call(f"fshr.{self._suffix}", word, word, f"splat (i32 {bits})")

    def shift(self, word: str, bits: int) -> str:
        """Return words shifted to the right."""
        return self._result(f"lshr {self._type} {word}, splat (i32 {bits})")

    def call(self, function: str, *vectors: str) -> str:
        """Return what one of LLVM's own functions makes of vectors."""
        arguments = ", ".join(f"{self._type} {vector}" for vector in vectors)
        types = ", ".join([self._type] * len(vectors))
        self.declarations.add(f"declare {self._type} @llvm.{function}({types})")
        return self._result(f"call {self._type} @llvm.{function}({arguments})")

    def picked(self, one: str, other: str, numbers: Iterable[int]) -> str:
        """Return words of two vectors, by their numbers, which go on from the first vector's."""
        mask = ", ".join(f"i32 {number}" for number in numbers)
        return self._result(
            f"shufflevector {self._type} {one}, {self._type} {other}, <{self._size} x i32> <{mask}>"
        )

    def load(self, pointer: str, number: int) -> str:
        """Return a vector of the memory from a pointer on, by its number."""
        place = self._result(f"getelementptr {self._type}, ptr {pointer}, i64 {number}")
        return self._result(f"load {self._type}, ptr {place}, align 4")

    def store(self, vector: str, pointer: str, number: int) -> None:
        """Write a vector to the memory."""
        place = self._result(f"getelementptr {self._type}, ptr {pointer}, i64 {number}")
        self.lines.append(f"store {self._type} {vector}, ptr {place}, align 4")


class Kernel(NamedTuple):
    """A function that derives several keys side by side, `void derive(ptr memory, i32 iterations)`.

    Attributes:
        text: The function in LLVM's language.
        places: Where in its memory the words are: of each row, `INNER` to `KEY`, for each lane
            the places of the row's eight words.
        constants: The words that follow the rows.
    """

    text: str
    places: Sequence[Sequence[Sequence[int]]]
    constants: list[int]


def with_vectors(lanes: int) -> Kernel:
    """Return a kernel each of whose vectors holds one word of every key.

    Args:
        lanes: The number of words that the CPU's vectors hold.
    """
    code = Code(lanes)
    padding = [code.constant(word) for word in PADDING]
    text = _function(code, 8, lanes, lambda state, block: compress(code, state, block + padding))
    row = 8 * lanes
    places = [
        [range(row * number + lane, row * (number + 1), lanes) for lane in range(lanes)]
        for number in range(ROWS)
    ]
    return Kernel(text, places, [word for vector in code.table for word in vector])


def with_sha_instructions() -> Kernel:
    """Return a kernel for x86 CPUs that have instructions for SHA-256.

    Each of them waits for the result of the one before, and meanwhile the CPU could begin others:
    those for four keys leave it no pause. They hold a state as two vectors, of the words F, E, B,
    A and H, G, D, C (Intel's manual, SHA256RNDS2).
    """
    lanes = 4
    code = Code(4)
    text = _function(
        code, 2 * lanes, lanes, lambda state, block: _compress_pairs(code, state, block)
    )
    orders = [(3, 2, 7, 6, 1, 0, 5, 4)] * 2 + [range(8)] * 2
    places = [
        [[8 * (lanes * number + lane) + word for word in order] for lane in range(lanes)]
        for number, order in enumerate(orders)
    ]
    return Kernel(text, places, [word for vector in code.table for word in vector])


def _compress_pairs(code: Code, states: list[str], blocks: list[str]) -> list[str]:
    """Return the digests of one more block of each key, step by step in turns."""
    padding = [code.constants(PADDING[:4]), code.constants(PADDING[4:])]
    keys = range(0, len(states), 2)
    schedules = [[*blocks[key : key + 2], *padding] for key in keys]
    pairs = [(states[key], states[key + 1]) for key in keys]
    for step in range(len(CONSTANTS) // 4):
        for key, words in enumerate(schedules):
            if step == len(words):
                early = code.call("x86.sha256msg1", words[-4], words[-3])
                middle = code.picked(words[-2], words[-1], (1, 2, 3, 4))
                words.append(code.call("x86.sha256msg2", code.add(early, middle), words[-1]))
            low = code.add(words[step], code.constants(CONSTANTS[4 * step : 4 * step + 4]))
            for two_words in (low, code.picked(low, low, (2, 3, 0, 1))):
                feba, hgdc = pairs[key]
                pairs[key] = code.call("x86.sha256rnds2", hgdc, feba, two_words), feba
    digests = []
    for key, pair in zip(keys, pairs, strict=True):
        feba, hgdc = (code.add(new, states[key + half]) for half, new in enumerate(pair))
        digests += [code.picked(feba, hgdc, (3, 2, 7, 6)), code.picked(feba, hgdc, (1, 0, 5, 4))]
    return digests


def _function(
    code: Code, vectors: int, lanes: int, hashed: Callable[[list[str], list[str]], list[str]]
) -> str:
    """Return the kernel's function.

    Args:
        code: Its instructions.
        vectors: How many vectors a row has.
        lanes: How many keys it derives.
        hashed: Returns SHA-256 of a row of the memory, from a row that is its state.
    """
    row = 32 * lanes
    state, last = ([code.load(name, i) for i in range(vectors)] for name in ("%state", "%last"))
    for number, vector in enumerate(hashed(state, last)):
        code.store(vector, "%last", number)
    body = "\n".join(code.lines)
    begin = len(code.lines)
    for number in range(vectors):
        both = code.xor(code.load("%key", number), code.load("%last", number))
        code.store(both, "%key", number)
    end = "\n".join(code.lines[begin:])
    declarations = "\n".join(sorted(code.declarations))
    return f"""
define void @derive(ptr %memory, i32 %iterations) {_ATTRIBUTES} {{
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
