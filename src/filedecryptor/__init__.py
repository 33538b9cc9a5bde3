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

RELEASE = "0.1.0"

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


def version_of_source() -> str:
    """Return the release, and the commit of the clone that this file is in, if it is in one."""
    from os.path import abspath, dirname, exists, join

    root = dirname(dirname(dirname(abspath(__file__))))
    if not exists(join(root, ".git")):  # an installed copy needs no git
        return RELEASE
    import subprocess

    # Root may ask for a user's clone, to which it must not write.
    git = ["git", "-C", root, "--git-dir=.git", "--no-optional-locks"]
    status = [*git, "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        done = subprocess.run(status, check=False, capture_output=True, encoding="latin-1")  # noqa: S603
    except OSError:
        return RELEASE
    commit = done.stdout.removeprefix("# branch.oid ")[:7]
    changed = any(line and line[0] != "#" for line in done.stdout.split("\n"))
    return f"{RELEASE}+g{commit}{'.dirty' * changed}" if commit.isalnum() else RELEASE


def _version() -> str:
    """Return the version of the clone, as it is now, or else the one that was installed."""
    if (version := version_of_source()) == RELEASE:
        from contextlib import suppress
        from importlib import metadata  # which takes 30 ms

        with suppress(metadata.PackageNotFoundError):
            return metadata.version("filedecryptor")
    return version


def __getattr__(name: str) -> object:
    if name == "__version__":
        return globals().setdefault(name, _version())
    if name in __all__:
        from importlib import import_module

        for module in ("errors", "core.decryptor", "jobs.job", "jobs.batch"):
            if found := getattr(import_module(f"filedecryptor.{module}"), name, None):
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
