"""Failures: every exception with its exit code, and the outcome of one recording."""

# Annotations are not postponed here: a NamedTuple would compile their text at each start.
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Self, TypeAlias


class ExitCode(IntEnum):
    """What a command's exit code means: `meaning` is the sentence in the help texts."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Return a member that is `code` and knows its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "done, or skipped as asked"
    FAILED = 1, "the operating system refused something, or failures of different kinds"
    USAGE = 2, "usage"
    AUTHENTICATION = 3, "authentication failed: the password is wrong, or the file was altered"
    NOT_ENC = 4, "not an .enc file: under 44 bytes, or an archive, a page, audio already"
    UNKNOWN_FORMAT = 5, "the audio is not opus, mp3 or wav"
    TOKEN = 6, "the API refused the token"
    API = 7, "the API could not be reached, kept failing, or sent what is not understood"
    INTERRUPTED = 130, "interrupted (SIGINT, SIGTERM or SIGHUP)"


class FileDecryptorError(Exception):
    """The base of all exceptions of this package.

    Args:
        cause: What is wrong, in one line, without the file's name.
        hint: What the reader can do about it, if there is something.
        filename: The file it is about, if there is one.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, cause: str, *, hint: str | None = None, filename: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint
        self.filename = filename

    def __str__(self) -> str:
        return f"{self.filename}: {self.cause}" if self.filename else self.cause


class UsageError(FileDecryptorError):
    """The arguments make no sense: nothing was read or written."""

    exit_code = ExitCode.USAGE


class AuthenticationError(FileDecryptorError):
    """The tag does not fit: the password is wrong, or the file was altered."""

    exit_code = ExitCode.AUTHENTICATION


class NotEncError(FileDecryptorError):
    """Not an `.enc` file: too short, too long, still growing, or known to be something else."""

    exit_code = ExitCode.NOT_ENC
    is_audio = False  # whether it is audio already: decrypted, or recorded without a password


class UnknownFormatError(FileDecryptorError):
    """The audio is none of opus, mp3 and wav, so `auto` has no name for it."""

    exit_code = ExitCode.UNKNOWN_FORMAT


class StorageError(FileDecryptorError):
    """An object store could not be reached, or refused something."""


class UnavailableError(StorageError):
    """An object store does not answer, or keeps failing."""


class ClusterError(FileDecryptorError):
    """The cluster cannot be reached, went away, or does not have this package."""


class WorkerError(FileDecryptorError):
    """The worker that had a recording ended without an answer."""


class UnexpectedError(FileDecryptorError):
    """An unforeseen exception: a defect of this package, or of one that it uses."""


class TokenError(FileDecryptorError):
    """The API refused the token."""

    exit_code = ExitCode.TOKEN


class ApiError(FileDecryptorError):
    """The API could not be reached, kept failing, or sent what is not understood."""

    exit_code = ExitCode.API


class NotFoundError(FileDecryptorError):
    """The API has no such recording."""


Failure: TypeAlias = FileDecryptorError | OSError  # what a recording may fail with


def exit_code_of(error: Failure) -> ExitCode:
    """Return the exit code of a command that ends with this error."""
    return error.exit_code if isinstance(error, FileDecryptorError) else ExitCode.FAILED


def cause_of(error: Failure) -> str:
    """Return what is wrong, without the name of the file."""
    if isinstance(error, FileDecryptorError):
        return error.cause
    if error.errno == errno.ENOENT and not os.path.isabs(str(error.filename or "")):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the current directory no longer exists"
    return error.strerror or str(error)


def described(error: Failure) -> str:
    """Return what went wrong, after the name of the file that the error is about."""
    if error.filename is None:
        return cause_of(error)
    return f"{str(error.filename) or repr('')}: {cause_of(error)}"


def hint_of(error: Failure) -> str | None:
    """Return what can be done about an error; None if there is nothing."""
    if isinstance(error, FileDecryptorError):
        return error.hint
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "make room, then run this again"
    in_use = {errno.EBUSY, errno.ETXTBSY, errno.EACCES if sys.platform == "win32" else errno.EBUSY}
    if error.errno in in_use and not os.path.isdir(error.filename or ""):
        return "if another program has it open, close it there, then run this again"
    name = str(error.filename or "")
    directory = os.path.dirname(name)
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        is_missing = directory and "://" not in name and not os.path.isdir(directory)
        return f"there is no directory {directory}" if is_missing else None
    is_refused = (
        error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        and name
        and (not os.path.lexists(name) or os.access(name, os.R_OK))  # so it is an output
        and os.access(directory or ".", os.X_OK)
        and not os.access(directory or ".", os.W_OK)
    )
    return "name a directory that can be written to, as with -d" if is_refused else None


def in_one_line(text: object) -> str:
    """Return the message of another package or of a server as one line of bounded length."""
    # Names and passwords before a host go, and queries, which may hold a signature.
    secrets = r"(?<=://)[^\s/@]*@|\?[^\s'\"]*=[^\s'\"]*"
    line = re.sub(secrets, "", " ".join(str(text).split())) or type(text).__name__
    return line if len(line) <= 400 else f"{line[:400]}..."  # noqa: PLR2004 - characters


def unexpected(error: Exception, filename: str | None = None) -> Failure:
    """Return an error that says where an unforeseen one was raised, but not its message.

    That may hold a secret. Only a lack of memory is recognised by it, where a library could not be
    loaded.
    """
    out_of_memory = isinstance(error, ImportError) and re.search("memory|failed to map", str(error))
    if out_of_memory or isinstance(error, MemoryError):
        return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), filename)
    from traceback import extract_tb

    frame = extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}, line {frame.lineno}"
    cause = f"unexpected {type(error).__name__} in {place}"
    return UnexpectedError(cause, hint="please report this", filename=filename)


@contextmanager
def errors_naming(
    path: str,
    *,
    instead: bool = False,
    translate: Callable[[Exception], Failure | None] = lambda _: None,
) -> Iterator[None]:
    """Let the errors that are raised inside name a file.

    With `instead`, each `OSError` names it, also one that names another file, such as a temporary
    one, and no other error does. `translate` returns the error to raise for an exception, or None.
    """
    try:
        yield
    except FileDecryptorError as error:
        if not instead:
            error.filename = error.filename or path
        raise
    except Exception as error:
        found = translate(error) or error
        if isinstance(found, FileDecryptorError):
            found.filename = found.filename or path
            raise found from None
        is_named = found is error and getattr(error, "filename", None) is not None
        if not isinstance(found, OSError) or (is_named and not instead):
            raise
        # An OSError that is made anew is of the class that fits its number.
        raise OSError(found.errno, found.strerror or str(found), path) from None


class Content(NamedTuple):
    """What is known of a recording's audio; the fields are those of `Outcome`."""

    format: str | None
    size: int
    unknown: Any = None
    """Of audio whose format is None: an object whose `str` describes it in a half-sentence."""
    password: int | None = None
    note: str | None = None


Status: TypeAlias = Literal[
    "decrypted", "verified", "skipped", "failed", "stored", "not tried",
    "to decrypt", "to replace", "to fetch", "to fetch and delete", "to delete",
    "to remove", "removed",
]  # fmt: skip


class Outcome(NamedTuple):
    """What became of a recording.

    Attributes:
        input: The path or the address of the recording.
        output: The audio file, which was written or was there already. None if there is none.
        format: `opus`, `mp3` or `wav`; None if the audio is none of these, or was not looked at.
        size: The audio's length in bytes; None if it was not looked at.
        status: `decrypted`, `verified`, `skipped` or `failed`; in a dry run `to decrypt` or
            `to replace`; of `filedecryptor.vns` also `stored`, `to fetch`, `to fetch and delete`,
            `to delete`, `not tried`, `to remove` or `removed`.
        error: Why it failed.
        note: What is worth knowing, though nothing failed.
        password: The number of the password that was right, from 1 on; None if there was only one.
    """

    input: str
    output: str | None
    format: str | None
    size: int | None
    status: Status
    error: Failure | None = None
    note: str | None = None
    password: int | None = None

    def as_dict(self) -> dict[str, str | int | None]:
        """Return what `--json` prints: texts, numbers and None, for `json.dumps` or a table.

        Returns:
            The fields `input`, `output`, `format`, `size` and `status`; `code`, the exit code that
            this recording alone would have given; `error` and `hint`, which are texts or None; with
            several passwords, `password`.
        """
        fields = dict(zip(self._fields, self[:5], strict=False))
        fields |= {"code": ExitCode.DONE.value, "error": None, "hint": None}
        if error := self.error:
            # The name is repeated only if it is not the input.
            is_input = error.filename == self.input
            fields["code"] = exit_code_of(error).value
            fields["error"] = cause_of(error) if is_input else described(error)
            fields["hint"] = hint_of(error)
        return fields if self.password is None else {**fields, "password": self.password}


def failed(name: str, error: Failure) -> Outcome:
    """Return the outcome of a recording that failed.

    The error forgets where it was raised: the frames there hold buffers, and the password.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return Outcome(name, None, None, None, "failed", error)


def missing_extra(extra: str) -> str:
    """Return what to do where an optional part of the package is not installed."""
    if hasattr(sys, "frozen"):
        return (
            "the program to download is without it:"
            " install filedecryptor with Python, as its README says"
        )
    from importlib.util import find_spec

    # uv leaves pip out of the environments that it makes for tools.
    if find_spec("pip") is None:
        installer = "uv tool install --force"
    else:
        installer = f"{sys.executable} -m pip install"
    return f'in a clone of filedecryptor: {installer} ".[{extra}]"'
