"""The lanes: keys derived side by side are those that `cryptography` derives."""

from __future__ import annotations

import ctypes
import hashlib
import os
import time

import pytest
from support.lanes import broken_lanes, built, good_lanes, kernels_here, one_constant_changed

from filedecryptor.core.crypto import derive_key
from filedecryptor.lanes.kernel import HmacKey, Lanes, with_vectors

pytest.importorskip("llvmlite", reason="the extra lanes is not installed")

ITERATIONS = 500
PASSWORDS = [b"".join([b"x" * length]) for length in (0, 1, 63, 64, 65, 200)]


@pytest.fixture(scope="module", params=kernels_here())
def lanes(request: pytest.FixtureRequest) -> Lanes:
    """One kernel after the other."""
    return built(kernels_here()[request.param])


def expected(password: bytes, salt: bytes, iterations: int = ITERATIONS) -> bytes:
    """Return the key that `cryptography` derives."""
    with derive_key(password, salt, iterations) as key:
        return bytes(key)


def nothing() -> None:
    """Go on."""


def test_keys_are_those_of_cryptography(lanes: Lanes) -> None:
    """For any number of keys, any password, and random salts."""
    for count in range(1, lanes.count + 1):
        for first in range(len(PASSWORDS)):
            passwords = [PASSWORDS[(first + lane) % len(PASSWORDS)] for lane in range(count)]
            wanted = [(password, os.urandom(16)) for password in passwords]
            keys = lanes.derive(
                [(HmacKey(password), salt) for password, salt in wanted], ITERATIONS, nothing
            )
            assert [bytes(key) for key in keys] == [expected(*one) for one in wanted]


@pytest.mark.parametrize(
    ("password", "salt", "iterations", "key"),
    [
        # RFC 7914, section 11; the first 32 of its 64 bytes.
        (b"passwd", b"salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
        (
            b"Password",
            b"NaCl",
            80_000,
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56",
        ),
    ],
)
def test_published_vectors(
    lanes: Lanes, password: bytes, salt: bytes, iterations: int, key: str
) -> None:
    """A key of the RFC is found in every lane."""
    wanted = [(HmacKey(password), salt)] * lanes.count
    assert {found.hex() for found in lanes.derive(wanted, iterations, nothing)} == {key}


def test_as_many_iterations_as_recordings_have(lanes: Lanes) -> None:
    """They are done piece by piece, and none is lost between two pieces."""
    salt = os.urandom(16)
    pieces: list[int] = []
    [key] = lanes.derive([(HmacKey(b"x"), salt)], 310_000, lambda: pieces.append(1))
    assert bytes(key) == hashlib.pbkdf2_hmac("sha256", b"x", salt, 310_000)
    assert len(pieces) == 10


def test_one_wrong_constant_makes_wrong_keys() -> None:
    """So what looks for wrong keys has something to find."""
    with one_constant_changed():
        broken = built(with_vectors(4))
    [key] = broken.derive([(HmacKey(b"x"), bytes(16))], 2, nothing)
    assert bytes(key) != expected(b"x", bytes(16), 2)


def test_whoever_does_not_wait_ends_the_work() -> None:
    """What `pause` raises comes through after a piece, not after the whole derivation."""

    def pause() -> None:
        raise KeyError

    begin = time.monotonic()
    with pytest.raises(KeyError):
        good_lanes().derive([(HmacKey(b"x"), bytes(16))], 1_000_000_000, pause)
    assert time.monotonic() - begin < 10


def test_nothing_is_left_in_the_memory() -> None:
    """The states that follow from the password, and the keys, are wiped."""
    seen: list[ctypes.Array[ctypes.c_uint32]] = []

    def spy(memory: object, _iterations: int) -> None:
        assert isinstance(memory, ctypes.Array)
        assert any(memory)
        seen.append(memory)

    kernel = with_vectors(4)
    Lanes(kernel, spy).derive([(HmacKey(b"x"), bytes(16))], 2, nothing)
    assert not any(seen[0])


def test_a_password_shows_in_no_repr() -> None:
    """Objects get into logs."""
    assert "geheim" not in repr(HmacKey(b"geheim")) + str(HmacKey(b"geheim"))


@pytest.mark.parametrize("lanes", [4, 8])
def test_half_of_the_lanes_have_to_be_filled(lanes: int) -> None:
    """With fewer keys, OpenSSL is as fast."""
    assert Lanes(with_vectors(lanes), lambda *_: None).fewest == lanes // 2


def test_lanes_agree_with_what_is_right() -> None:
    """All their keys are compared, each with a salt of its own."""

    def right(password: bytes, salt: bytes, iterations: int) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", password, salt, iterations)

    asked: list[tuple[bytes, bytes]] = []

    def right_but_for_the_last(password: bytes, salt: bytes, iterations: int) -> bytes:
        asked.append((password, salt))
        return bytes(32) if len(asked) == 4 else right(password, salt, iterations)

    assert good_lanes().agree_with(right)
    assert not broken_lanes().agree_with(right)
    assert not good_lanes().agree_with(right_but_for_the_last)
    assert len({salt for _, salt in asked}) == len({password for password, _ in asked}) == 4
