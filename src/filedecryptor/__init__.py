"""Decrypt the call recordings of Voice Nexus Service (VNS).

The public names are those in `__all__`. The modules of the package are its own affair.
"""

# A program that begins here must be quick to take care of signals, so nothing else is imported.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from filedecryptor.core.decryptor import decrypt
    from filedecryptor.core.secrets import PasswordOrPasswords
    from filedecryptor.errors import (
        AuthenticationError,
        FileDecryptorError,
        NotEncError,
        Outcome,
        StorageError,
        UnavailableError,
        UnexpectedError,
        UnknownFormatError,
        UsageError,
        WorkerError,
    )
    from filedecryptor.jobs.batch import decrypt_files
    from filedecryptor.jobs.job import decrypt_file, open_recording

    __version__: str  # the release, and the commit where it is known; found when it is asked for

__all__ = [
    "AuthenticationError",
    "FileDecryptorError",
    "NotEncError",
    "Outcome",
    "PasswordOrPasswords",
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
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version  # they take 30 ms

        try:
            return version("filedecryptor")
        except PackageNotFoundError:  # the source is run where it lies
            return "unknown"
    if name in __all__:
        from importlib import import_module

        for module in ("errors", "core.decryptor", "jobs.job", "jobs.batch"):
            if found := getattr(import_module(f"filedecryptor.{module}"), name, None):
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
