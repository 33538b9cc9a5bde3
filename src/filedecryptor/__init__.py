"""Decrypt the call recordings of Voice Nexus Service (VNS)."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filedecryptor.batch import decrypt_files
    from filedecryptor.decryptor import Outcome, decrypt, decrypt_file, open_recording
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
    "Outcome",
    "UnknownFormatError",
    "UsageError",
    "__version__",
    "decrypt",
    "decrypt_file",
    "decrypt_files",
    "open_recording",
]


def __getattr__(name: str) -> object:
    # The command passes through here at every start, and must be quick to take care of signals.
    if name in __all__:
        for module in ("errors", "decryptor", "batch"):
            found = import_module(f"filedecryptor.{module}")
            if hasattr(found, name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
