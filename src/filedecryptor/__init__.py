"""Decrypt the call recordings of Voice Nexus Service (VNS)."""

from filedecryptor.decryptor import decrypt, decrypt_file, open_recording
from filedecryptor.errors import (
    AuthenticationError,
    FileDecryptorError,
    NotEncError,
    UnknownFormatError,
    UsageError,
)

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
    "FileDecryptorError",
    "NotEncError",
    "UnknownFormatError",
    "UsageError",
    "__version__",
    "decrypt",
    "decrypt_file",
    "open_recording",
]
