"""SHA-256 of words of any kind: of Python's numbers, or of what a compiler makes vectors of."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import reduce
from operator import xor
from typing import Protocol, TypeVar

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
