"""The `.enc` layout, key derivation and AES-256-GCM."""

from __future__ import annotations

import json
from contextlib import nullcontext

import cryptography_vectors
import pytest
from support.recordings import FIXTURES, Trickle

from filedecryptor.core import crypto
from filedecryptor.core.crypto import StreamDecryptor, derive_key, encode_password
from filedecryptor.core.format import CHUNK_SIZE, EncReader
from filedecryptor.errors import AuthenticationError, NotEncError, UsageError

pytestmark = pytest.mark.real_iterations


def test_the_key_is_wiped() -> None:
    """After the block nothing of the key is left in its buffer, after an error neither."""
    with derive_key("x", bytes(16)) as key:
        pass
    with pytest.raises(KeyError), derive_key("x", bytes(16)) as key_of_failure:
        raise KeyError
    assert key == key_of_failure == bytes(32)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("pässwörd–密码🔐", "pässwörd–密码🔐".encode()),
        ("e\u0301", b"e\xcc\x81"),  # not normalised
        ("caf\udce9", b"caf\xe9"),
        (b"\xff\x00", b"\xff\x00"),
        ("", b""),
    ],
)
def test_passwords_become_bytes_as_in_dotnet(password: str | bytes, expected: bytes) -> None:
    """UTF-8 without BOM or normalisation; bytes that were never text stay as they are."""
    assert encode_password(password) == expected


def test_a_password_that_is_no_text_is_refused_without_showing_it() -> None:
    """Neither the error nor anything chained to it holds the password."""
    with pytest.raises(UsageError) as caught:
        encode_password("geheim\ud800")
    assert ("geheim" in str(caught.value), caught.value.__context__) == (False, None)


def test_nist_vectors() -> None:
    """Each of the good CAVS vectors of our sizes (SP 800-38D) decrypts, each bad one is refused."""
    with cryptography_vectors.open_vector_file("ciphers/AES/GCM/gcmDecrypt256.rsp", "r") as file:
        blocks = file.read().split("\n\n")
    sizes: dict[str, str] = {}
    results = []
    for block in blocks:
        if block.startswith("["):
            sizes = dict(line.strip("[]").split(" = ") for line in block.splitlines())
        fields = dict(line.partition(" =")[::2] for line in block.splitlines())
        found = [sizes.get(name) for name in ("IVlen", "AADlen", "Taglen")]
        if "Count" not in fields or found != ["96", "0", "128"]:
            continue
        key, nonce, ciphertext, tag = (bytes.fromhex(fields[i]) for i in ("Key", "IV", "CT", "Tag"))
        decryptor = StreamDecryptor(bytearray(key), nonce, len(ciphertext) + 1)
        plaintext = bytes(decryptor.update(memoryview(ciphertext)))
        results.append("FAIL" in fields)
        with pytest.raises(AuthenticationError) if results[-1] else nullcontext():
            decryptor.verify(tag)
            assert plaintext == bytes.fromhex(fields["PT"])
    assert len(results) == 75
    assert 25 < sum(results) < 50


def test_wycheproof_and_rfc_7914_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of Wycheproof. Keys of other lengths than ours begin alike, as PBKDF2 makes blocks."""
    path = FIXTURES / "vectors" / "wycheproof_pbkdf2.json"
    tests = json.loads(path.read_text("utf-8"))["tests"]
    for test in tests:
        monkeypatch.setattr(crypto, "ITERATIONS", test["iterationCount"])
        expected = bytes.fromhex(test["dk"])[:32]
        with derive_key(bytes.fromhex(test["password"]), bytes.fromhex(test["salt"])) as key:
            assert bytes(key[: len(expected)]) == expected
    assert len(tests) == 60


@pytest.mark.parametrize("most", [4096, CHUNK_SIZE + 16])
@pytest.mark.parametrize(
    "size", [0, *(CHUNK_SIZE + extra for extra in (-17, -16, -1, 0, 1, 16, 17)), 2 * CHUNK_SIZE]
)
def test_the_parts_lie_where_the_layout_says(most: int, size: int) -> None:
    """Salt, nonce, ciphertext and tag come out as they went in, however the bytes arrive."""
    salt, nonce, tag = bytes(range(16)), bytes(range(100, 112)), bytes(range(200, 216))
    ciphertext = (bytes(range(256)) * (2 * CHUNK_SIZE // 256))[:size]
    reader = EncReader(Trickle(salt + nonce + ciphertext + tag, most))
    assert (reader.salt, reader.nonce) == (salt, nonce)
    assert b"".join(map(bytes, reader.ciphertext())) == ciphertext
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
