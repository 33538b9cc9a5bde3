"""The matching encryptor, written from the layout's description alone. It shares no code with src.

It is a script, too:

    python tests/support/encryptor.py INPUT OUTPUT.enc PASSWORD
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM


def encrypt(plaintext: bytes, password: bytes | str, *, iterations: int = 310_000) -> bytes:
    """Return the `.enc` file of a piece of audio."""
    return b"".join(encrypted([plaintext], password, iterations=iterations))


def encrypted(
    pieces: Iterable[bytes], password: bytes | str, *, iterations: int = 310_000
) -> Iterable[bytes]:
    """Yield an `.enc` file piece by piece."""
    salt = os.urandom(16)
    nonce = os.urandom(12)
    secret = password.encode() if isinstance(password, str) else password
    key = hashlib.pbkdf2_hmac("sha256", secret, salt, iterations, 32)
    context = Cipher(AES256(key), GCM(nonce)).encryptor()
    yield salt + nonce
    for piece in pieces:
        yield context.update(piece)
    context.finalize()
    yield context.tag


if __name__ == "__main__":
    source, target, password_word = sys.argv[1:]
    Path(target).write_bytes(encrypt(Path(source).read_bytes(), password_word))
