"""Key derivation and AES-256-GCM."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

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


def nist_decrypt_vectors() -> Iterator[dict[str, str]]:
    """Yield NIST's AES-256-GCM decrypt vectors with the sizes that an `.enc` file has.

    They are the CAVS vectors of SP 800-38D; a recording has no associated data.
    """
    sizes: dict[str, str] = {}
    path = "ciphers/AES/GCM/gcmDecrypt256.rsp"
    with cryptography_vectors.open_vector_file(path, "r") as file:
        blocks = file.read().split("\n\n")
    for block in blocks:
        if block.startswith("["):
            sizes = dict(line.strip("[]").split(" = ") for line in block.splitlines())
        fields = dict(line.partition(" =")[::2] for line in block.splitlines())
        if "Count" in fields and (sizes["IVlen"], sizes["AADlen"], sizes["Taglen"]) == (
            "96",
            "0",
            "128",
        ):
            yield fields


def test_nist_vectors() -> None:
    """Each of NIST's good messages decrypts, and each of its bad ones is refused."""
    good = bad = 0
    for fields in nist_decrypt_vectors():
        ciphertext = bytes.fromhex(fields["CT"])
        decryptor = StreamDecryptor(
            bytearray.fromhex(fields["Key"]), bytes.fromhex(fields["IV"]), len(ciphertext) + 1
        )
        plaintext = bytes(decryptor.update(memoryview(ciphertext)))
        tag = bytes.fromhex(fields["Tag"])
        if "FAIL" in fields:
            bad += 1
            with pytest.raises(AuthenticationError):
                decryptor.verify(tag)
        else:
            good += 1
            decryptor.verify(tag)
            assert plaintext == bytes.fromhex(fields["PT"])
    assert good + bad == 75
    assert good > 25 < bad


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
