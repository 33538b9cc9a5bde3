"""Key derivation and AES-256-GCM over a stream, by `cryptography`.

That library is imported where it is used: loading it costs some 25 ms, which `--help` need not
wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

from filedecryptor.errors import AuthenticationError, ExitCode, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

ITERATIONS = 310_000  # rounds of PBKDF2-HMAC-SHA-256 (the vendor's page "Call Recordings")

KEY_SIZE = 32

BLOCK_SIZE = 16  # bytes of an AES block (FIPS 197)

Password: TypeAlias = str | bytes


def encode_password(password: Password) -> bytes:
    """Return text as UTF-8, without a byte order mark and without normalisation, as .NET does it.

    A byte of the command line that was not valid text (`surrogateescape`) becomes itself again.
    """
    if isinstance(password, bytes):
        return password
    with suppress(UnicodeEncodeError):  # which carries the password, so it must not be chained
        return password.encode("utf-8", "surrogateescape")
    raise UsageError("the password is not valid Unicode text")


def load() -> None:
    """Import what this module uses of `cryptography`, before many threads need it at once."""
    with suppress(AuthenticationError), derive_key(b"", bytes(16), iterations=1) as key:
        StreamDecryptor(key, bytes(12), 0).verify(bytes(16))


@contextmanager
def derive_key(
    password: Password, salt: bytes, iterations: int | None = None
) -> Iterator[bytearray]:
    """Derive a key by PBKDF2-HMAC-SHA-256 (RFC 8018, section 5.2), yield it, and wipe it on exit."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    key = bytearray(KEY_SIZE)
    derivation = PBKDF2HMAC(SHA256(), KEY_SIZE, salt, iterations or ITERATIONS)
    try:
        derivation.derive_into(encode_password(password), key)
        yield key
    finally:
        key[:] = bytes(KEY_SIZE)


class StreamDecryptor:
    """AES-256-GCM (NIST SP 800-38D): ciphertext in, plaintext out, in pieces of bounded length.

    Nothing that `update` returns may be shown to anyone before `verify` has returned (section
    7.2): until then an attacker may have chosen it.
    """

    def __init__(self, key: bytearray, nonce: bytes, largest_piece: int) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._context = Cipher(algorithms.AES(key), modes.GCM(nonce)).decryptor()
        self._plaintext = memoryview(bytearray(largest_piece))

    def update(self, ciphertext: memoryview) -> memoryview:
        """Decrypt one piece. The result is valid until the next call, and not authenticated."""
        return self._plaintext[: self._context.update_into(ciphertext, self._plaintext)]

    def verify(self, tag: bytes) -> None:
        """Authenticate all that was decrypted, by a tag of 16 bytes."""
        from cryptography.exceptions import InvalidTag

        try:
            self._context.finalize_with_tag(tag)
        except InvalidTag:
            raise AuthenticationError(ExitCode.AUTHENTICATION.meaning) from None


def decryptor_at(position: int, key: bytearray, nonce: bytes) -> CipherContext:
    """Return what decrypts a GCM message from any byte on, in counter mode.

    With a nonce of 96 bits, GCM encrypts by counting up from the nonce and a 32-bit 2 (NIST SP
    800-38D, sections 6.5 and 7.1). Nothing is authenticated here: `StreamDecryptor` must have
    verified the message before.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    block, offset = divmod(position, BLOCK_SIZE)
    counter = nonce + (2 + block).to_bytes(4, "big")
    context = Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor()
    context.update(bytes(offset))
    return context
