"""The inner loop of PBKDF2-HMAC-SHA-256 for several keys at once, as LLVM's intermediate language.

A kernel is a function `void derive(ptr memory, i32 iterations)`. For each key, each iteration of it
does (RFC 8018, section 5.2; RFC 2104)

    U = outer(inner(U));  key = key xor U

where `inner` and `outer` are SHA-256 of one more block, after the two blocks by which HMAC begins.
Its vectors of constants are at the end of its memory, so what is compiled refers to nothing outside
of itself and runs at any address. Nothing here knows passwords, or LLVM: it is all words and text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import NamedTuple

from filedecryptor.sha256 import CONSTANTS, Integers, compress

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
