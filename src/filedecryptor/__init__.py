"""Decrypt the call recordings of Voice Nexus Service (VNS).

The public names are those in `__all__`. The modules of the package are its own affair.
"""

# A program that begins here must be quick to take care of signals, so nothing else is imported.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from filedecryptor.batch import decrypt_files
    from filedecryptor.decryptor import decrypt, open_recording
    from filedecryptor.errors import (
        AuthenticationError,
        FileDecryptorError,
        NotEncError,
        StorageError,
        UnavailableError,
        UnexpectedError,
        UnknownFormatError,
        UsageError,
        WorkerError,
    )
    from filedecryptor.outcome import Outcome
    from filedecryptor.single import decrypt_file

__version__ = "0.1.0"

__all__ = [
    "AuthenticationError",
    "FileDecryptorError",
    "NotEncError",
    "Outcome",
    "StorageError",
    "UnavailableError",
    "UnexpectedError",
    "UnknownFormatError",
    "UsageError",
    "WorkerError",
    "__version__",
    "decrypt",
    "decrypt_file",
    "decrypt_files",
    "open_recording",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        for module in ("errors", "outcome", "decryptor", "single", "batch"):
            found = import_module(f"filedecryptor.{module}")
            if hasattr(found, name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
