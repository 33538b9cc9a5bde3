"""The exceptions, and how they come to name a file."""

from __future__ import annotations

import errno

import pytest

from filedecryptor import errors
from filedecryptor.errors import (
    ExitCode,
    FileDecryptorError,
    StorageError,
    UsageError,
    errors_naming,
    exit_code_of,
    in_one_line,
    unexpected,
)


def test_every_exception_has_an_exit_code() -> None:
    """One of those that are documented."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    found = {kind.exit_code for kind in kinds if issubclass(kind, FileDecryptorError)}
    assert found <= set(ExitCode)
    assert exit_code_of(OSError(errno.EIO, "x")) == ExitCode.FAILED
    assert exit_code_of(UsageError("x")) == ExitCode.USAGE


def test_errors_that_name_no_file_get_one() -> None:
    """Those that name one keep it."""
    with pytest.raises(UsageError) as usage, errors_naming("a"):
        raise UsageError("x")
    assert usage.value.filename == "a"
    with pytest.raises(FileNotFoundError) as missing, errors_naming("a"):
        raise OSError(errno.ENOENT, "x")
    assert (missing.value.filename, missing.value.strerror) == ("a", "x")
    with pytest.raises(OSError, match="b") as named, errors_naming("a"):
        raise OSError(errno.EIO, "x", "b")
    assert named.value.filename == "b"
    with pytest.raises(UsageError) as nested, errors_naming("b"), errors_naming("a"):
        raise UsageError("x")
    assert nested.value.filename == "a"


def test_a_temporary_file_is_not_named() -> None:
    """What the user knows is; whose name another error is to say is left to others."""
    with pytest.raises(OSError, match="a") as found, errors_naming("a", instead=True):
        raise OSError(errno.EIO, "x", "temporary")
    assert found.value.filename == "a"
    with pytest.raises(UsageError) as usage, errors_naming("a", instead=True):
        raise UsageError("x")
    assert usage.value.filename is None


def test_exceptions_of_others_are_translated() -> None:
    """Into one that names the file, without the foreign one behind it; others stay."""

    def translate(error: Exception) -> StorageError | None:
        return StorageError("ours") if isinstance(error, KeyError) else None

    with pytest.raises(StorageError) as found, errors_naming("a", translate=translate):
        raise KeyError("theirs")
    assert (str(found.value), found.value.__cause__) == ("a: ours", None)
    assert found.value.__suppress_context__
    with pytest.raises(ZeroDivisionError), errors_naming("a", translate=translate):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n b\t c", "a b c"),
        ("no s3://me:secret@host/x", "no s3://host/x"),
        ("get https://host/x?X-Signature=abc failed", "get https://host/x failed"),
        ("x" * 500, "x" * 400 + "..."),
        (KeyError(), "KeyError"),
    ],
)
def test_texts_of_others_are_one_bounded_line(text: object, shown: str) -> None:
    """Without what may be a secret in an address."""
    assert in_one_line(text) == shown


def test_what_nobody_foresaw_says_where_but_not_what() -> None:
    """Its message may hold a secret."""
    with pytest.raises(ValueError, match="secret") as caught:
        raise ValueError("secret")
    error = unexpected(caught.value, "a.enc")
    assert str(error).startswith("a.enc: unexpected ValueError in test_errors.py, line ")
    assert error.filename == "a.enc"


@pytest.mark.parametrize(
    "error", [MemoryError(), ImportError("failed to map segment"), ImportError("out of memory")]
)
def test_a_lack_of_memory_is_no_surprise(error: Exception) -> None:
    """Nor a defect to be reported."""
    found = unexpected(error, "a.enc")
    assert isinstance(found, OSError)
    assert (found.errno, found.filename) == (errno.ENOMEM, "a.enc")
