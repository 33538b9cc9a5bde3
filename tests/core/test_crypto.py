"""Key derivation and AES-256-GCM."""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext

import cryptography_vectors
import pytest
from support.recordings import FIXTURES

from filedecryptor.core import crypto
from filedecryptor.core.crypto import StreamDecryptor, derive_key, encode_password
from filedecryptor.errors import AuthenticationError, UsageError

pytestmark = pytest.mark.real_iterations


def test_the_key_is_pbkdf2_hmac_sha256_with_310000_iterations() -> None:
    """Another implementation, the standard library's, gives the same key."""
    expected = hashlib.pbkdf2_hmac("sha256", b"EncryptMe", b"0123456789abcdef", 310_000, 32)
    with derive_key("EncryptMe", b"0123456789abcdef") as key:
        assert bytes(key) == expected


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
    assert "geheim" not in str(caught.value)
    assert caught.value.__context__ is None


def test_nist_vectors() -> None:
    """Each of NIST's good messages of an `.enc` file's sizes decrypts, each bad one is refused.

    They are the CAVS vectors of SP 800-38D; a recording has no associated data.
    """
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
    """Key derivation agrees with Wycheproof's vectors, of which two are those of RFC 7914.

    Keys of other lengths than ours begin alike, as PBKDF2 makes them block by block.
    """
    tests = json.loads((FIXTURES / "vectors" / "wycheproof_pbkdf2.json").read_text("utf-8"))[
        "tests"
    ]
    for test in tests:
        monkeypatch.setattr(crypto, "ITERATIONS", test["iterationCount"])
        expected = bytes.fromhex(test["dk"])[:32]
        with derive_key(bytes.fromhex(test["password"]), bytes.fromhex(test["salt"])) as key:
            assert bytes(key[: len(expected)]) == expected
    assert len(tests) == 60
