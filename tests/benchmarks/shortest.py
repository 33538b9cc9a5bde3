"""The shortest honest script that does the job: what the command is measured against."""

from pathlib import Path

import click
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC


@click.command()
@click.argument("filename")
@click.argument("password")
@click.argument("output_extension")
def decrypt(filename: str, password: str, output_extension: str) -> None:
    """Decrypt FILENAME."""
    data = memoryview(Path(filename).read_bytes())
    key = PBKDF2HMAC(SHA256(), 32, bytes(data[:16]), 310_000).derive(password.encode())
    audio = AESGCM(key).decrypt(data[16:28], data[28:], None)
    Path(filename).with_suffix(f".{output_extension}").write_bytes(audio)


decrypt()
