"""One call of the command, once its words are told apart: the work, and what is said about it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from io import FileIO
from typing import BinaryIO

from filedecryptor import decryptor, files, progress
from filedecryptor.crypto import Password
from filedecryptor.decryptor import IfExists, Job, Outcome, errors_naming
from filedecryptor.errors import FileDecryptorError, UsageError
from filedecryptor.format import CHUNK_SIZE
from filedecryptor.password import find_password

STANDARD_STREAM = "-"

INTERRUPTED = 130
"""The exit code after SIGINT, SIGTERM or SIGHUP."""


def run(
    filenames: Sequence[str],
    password: str,
    output_extension: str,
    *,
    output: str | None = None,
    if_exists: IfExists = "replace",
    password_file: str | None = None,
    verify: bool = False,
    quiet: bool = False,
) -> int:
    """Decrypt the files that the command line names.

    Args:
        filenames: The inputs; `-` is standard input.
        password: The PASSWORD word; `-` means that the password is elsewhere.
        output_extension: The OUTPUTEXTENSION word.
        output: The one output's name; `-` is standard output.
        if_exists: What to do about an output that is already there.
        password_file: A file whose first line is the password.
        verify: Authenticate only, write nothing.
        quiet: Say nothing but errors.

    Returns:
        The exit code.

    Raises:
        UsageError: The words contradict each other, or there is no password.
        OSError: The password file cannot be read, or standard output cannot be written.
    """
    extension = files.clean_extension(output_extension)
    output = _only_output(filenames, output, verify=verify)
    secret = find_password(password, password_file, stdin_taken=STANDARD_STREAM in filenames)
    codes = set()
    for filename in filenames:
        job = Job(filename, extension, output, if_exists, verify)
        codes.add(_do(job, secret, quiet=quiet))
    failures = codes - {0}
    return failures.pop() if len(failures) == 1 else bool(failures)


def _only_output(filenames: Sequence[str], output: str | None, *, verify: bool) -> str | None:
    """Return the output's name, where it does not follow from the input's."""
    if len(filenames) > 1:
        if STANDARD_STREAM in filenames:
            raise UsageError("standard input cannot be one of several inputs")
        if output is not None:
            raise UsageError("one --output cannot take the audio of several files")
    if verify and output is not None:
        raise UsageError("--verify writes nothing, so it cannot have an --output")
    if verify or output is not None or STANDARD_STREAM not in filenames:
        return output
    if sys.stdout is not None and sys.stdout.isatty():
        raise UsageError(
            "the audio of standard input would go to the terminal",
            hint="redirect it, or name a file with --output",
        )
    return STANDARD_STREAM


def _do(job: Job, password: Password, *, quiet: bool) -> int:
    """Do one job, say what became of it, and return its exit code."""
    try:
        source = _standard_input() if job.input == STANDARD_STREAM else None
        if job.output == STANDARD_STREAM:
            with decryptor.open_recording(source or job.input, password) as recording:
                _copy_to_stdout(recording)
            return 0
        with progress.bar(source or job.input, quiet=quiet) as on_progress:
            outcome = decryptor.run(job, password, source=source, on_progress=on_progress)
    except BrokenPipeError:
        raise  # whoever read our output has left: no fault of this job
    except (FileDecryptorError, OSError) as error:
        return report_error(error)
    if not quiet:
        _say_outcome(outcome)
    return 0


def _say_outcome(outcome: Outcome) -> None:
    if outcome.status == "decrypted":
        say_result(str(outcome.output))
    elif outcome.status == "skipped":
        say(f"skipped: {printable(outcome.input)}: {printable(str(outcome.output))} exists")
    else:
        kind = outcome.format or "unknown"
        say(f"verified: {printable(outcome.input)}: {outcome.size} bytes of {kind} audio")


def _standard_input() -> FileIO:
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def _copy_to_stdout(recording: BinaryIO) -> None:
    if sys.stdout is None:
        raise UsageError("standard output is closed")
    with errors_naming("standard output"):
        while chunk := recording.read(CHUNK_SIZE):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def say_result(path: str) -> None:
    """Write a path to standard output, byte for byte, whatever is in it."""
    if sys.stdout is not None:
        with errors_naming("standard output"):
            sys.stdout.buffer.write(os.fsencode(path) + b"\n")
            sys.stdout.buffer.flush()


def say(line: str) -> None:
    """Write a line for people to standard error."""
    if sys.stderr is not None:
        sys.stderr.write(f"filedecryptor: {line}\n")


def report_error(error: FileDecryptorError | OSError) -> int:
    """Say what went wrong, where there is one a hint too, and return the exit code for it."""
    if isinstance(error, FileDecryptorError):
        cause, hint, code = error.cause, error.hint, error.exit_code
    else:
        cause, hint, code = error.strerror or str(error), _hint(error), 1
    subject = "" if error.filename is None else f"{printable(str(error.filename))}: "
    say(f"error: {subject}{cause}")
    if hint is not None:
        say(f"hint: {hint}")
    return code


def _hint(error: OSError) -> str | None:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "nothing was changed: make room, then run this again"
    if error.errno == errno.ENOENT and error.filename:
        directory = os.path.dirname(str(error.filename))
        if directory and not os.path.isdir(directory):
            return f"there is no directory {printable(directory)}"
    return None


def printable(name: str) -> str:
    """Return a name as one harmless line: no line ends, no terminal commands, never empty."""
    shown = "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in name
    )
    return shown or "''"
