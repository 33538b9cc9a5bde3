"""One recording in, one audio file out."""

from __future__ import annotations

import os
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from filedecryptor import audio, existing
from filedecryptor.crypto import Password
from filedecryptor.decryptor import Content, OnProgress, decrypted, ignore, verify
from filedecryptor.errors import (
    FileDecryptorError,
    UnknownFormatError,
    UsageError,
    errors_naming,
    unexpected,
)
from filedecryptor.existing import IfExists, SizeOf
from filedecryptor.format import Source
from filedecryptor.outcome import Outcome, failed
from filedecryptor.spool import MEMORY_LIMIT, Beginning, Watched
from filedecryptor.storage import storage_of
from filedecryptor.storage.names import clean_extension, is_url, replace_suffix, split
from filedecryptor.storage.outputs import PendingFile, Written

if TYPE_CHECKING:
    from pathlib import Path

    from filedecryptor.keys import Keys

AUTO = "auto"
"""The output extension that stands for the format found in the audio."""


def decrypt_file(
    path: str | os.PathLike[str],
    password: Password,
    output_extension: str,
    *,
    output: str | os.PathLike[str] | None = None,
    if_exists: IfExists = "replace",
) -> Path:
    """Decrypt a recording into a file, which appears whole or not at all.

    Args:
        path: The `.enc` file.
        password: The `recordCallPassword` in force when the call was recorded.
        output_extension: Replaces the last suffix of `path`, with or without its dot; `auto`
            stands for the format of the audio.
        output: The file to write, instead of the one beside `path`.
        if_exists: What to do about an output that is already there: `replace` it, `skip` the
            work if it is as long as the audio (and otherwise replace it), or `fail`.

    Returns:
        The path of the audio file.

    Raises:
        AuthenticationError: The password is wrong, or the file was altered.
        NotEncError: The file is shorter than 44 bytes, or longer than 64 GiB.
        UnknownFormatError: The extension is `auto`, and the audio is not opus, mp3 or wav.
        UsageError: The extension or the password is unusable, or the output would be the input.
        OSError: The operating system refused something.
    """
    from pathlib import Path

    if any(isinstance(name, str) and is_url(name) for name in (path, output)):
        raise UsageError("decrypt_file is for files; decrypt_files takes addresses as well")
    job = Job(
        input=os.fspath(path),
        extension=clean_extension(output_extension),
        output=None if output is None else os.fspath(output),
        if_exists=if_exists,
    )
    outcome = do_job(job, password)
    assert outcome.output is not None  # noqa: S101 - true of every job that does not only verify
    return Path(outcome.output)


class Job(NamedTuple):
    """What to do with one recording. It can be sent to another process; it holds no password.

    Attributes:
        input: The path of the `.enc` file, or a name for the file that is read instead.
        extension: The output's extension without its dot, or `auto`.
        output: The output's path, if it does not follow from a name and the extension.
        named_after: The path whose suffix is replaced to name the output, if that is not the
            input's own. Its directory is made if it is not there.
        if_exists: What to do about an output that is already there.
        is_checked: Whether `find_existing` has been asked already.
        verify: Authenticate only, write nothing.
    """

    input: str
    extension: str
    output: str | None = None
    named_after: str | None = None
    if_exists: IfExists = "replace"
    is_checked: bool = False
    verify: bool = False

    def targets(self) -> tuple[str, ...]:
        """Return the outputs that this job may write; it writes one of them, or none."""
        if self.verify:
            return ()
        if self.output is not None:
            return (self.output,)
        extensions = audio.FORMATS if self.extension == AUTO else (self.extension,)
        return replace_suffix(self.named_after or self.input, extensions)


class Shared(NamedTuple):
    """What the jobs of one run have in common.

    Attributes:
        written: What they have written.
        keys: Derives their keys, several at once, and says who may use a processor; None if there
            is only one job.
        memory_limit: The most bytes of audio that each of them has in memory.
    """

    written: Written
    keys: Keys | None = None
    memory_limit: int = MEMORY_LIMIT


def try_job(
    job: Job,
    password: Password,
    *,
    source: Source | None = None,
    shared: Shared | None = None,
    on_progress: OnProgress = ignore,
) -> Outcome:
    """Do one job as `do_job` does, but return a failure as an outcome instead of raising it."""
    try:
        return do_job(job, password, source=source, shared=shared, on_progress=on_progress)
    except (FileDecryptorError, OSError) as error:
        return failed(job.input, error)
    except Exception as error:  # noqa: BLE001 - it must not end the work on other recordings
        return failed(job.input, unexpected(error, job.input))


def do_job(
    job: Job,
    password: Password,
    *,
    source: Source | None = None,
    shared: Shared | None = None,
    on_progress: OnProgress = ignore,
) -> Outcome:
    """Do one job. Jobs may be done side by side, in threads or processes.

    Args:
        job: What to do.
        password: The `recordCallPassword` in force when the call was recorded.
        source: A file to read instead of the job's input.
        shared: What the job has in common with others, if there are any.
        on_progress: Called with the number of bytes after each piece of work.

    Raises:
        FileDecryptorError: Any of its kinds, with `filename` set.
        OSError: The operating system refused something; `filename` is set.
    """
    with errors_naming(job.input):
        shared = shared or Shared(Written())
        if not job.is_checked and (done := check(job, shared.written, source)):
            return done
        if source is not None:
            identity = _identity(job, source)
            return _decrypt(job, password, source, shared, on_progress, identity=identity)
        with storage_of(job.input).open_source(job.input) as opened:
            return _decrypt(job, password, opened, shared, on_progress, identity=job.input)


def check(
    job: Job,
    written: Written,
    source: Source | None = None,
    size_of: SizeOf = existing.size_of,
) -> Outcome | None:
    """Return the outcome of a job that needs no work, since its output is there already.

    Of the three outputs that `auto` may write, the one that fits the audio is checked by `do_job`.

    Args:
        job: What is to be done.
        written: The outputs that other jobs of the run have written.
        source: A file to read instead of the job's input.
        size_of: Returns the length of a file, as `existing.size_of` does.

    Raises:
        UsageError: The output is the input or another job's, or `if_exists` is none of its values.
        OSError: The output cannot be written, or must not since it exists.
    """
    existing.check_if_exists(job.if_exists)
    with errors_naming(job.input):
        targets = job.targets()
        if len(targets) == 1:
            storage_of(targets[0]).check_target(targets[0], _identity(job, source))
        path = job.input if source is None else None
        found = existing.find_existing(path, targets, job.if_exists, written, size_of)
    return None if found is None else _skipped(job, found)


def _identity(job: Job, source: Source | None) -> str | int | None:
    """Return what tells whether a file is the one that is read: its path or its descriptor."""
    if source is None:
        return job.input
    return source.fileno() if isinstance(source, FileIO) else None


def _skipped(job: Job, output: str) -> Outcome:
    return Outcome(job.input, output, None, None, "skipped")


def _decrypt(
    job: Job,
    password: Password,
    source: Source,
    shared: Shared,
    on_progress: OnProgress,
    *,
    identity: str | int | None,
) -> Outcome:
    if job.verify:
        beginning = Beginning(source, shared.memory_limit)
        content = verify(beginning, password, on_progress, shared.keys)
        return Outcome(job.input, None, content.format, content.size, "verified")
    if job.named_after is not None:
        directory = split(job.named_after)[0] or "."
        storage_of(directory).make_directory(directory)
    first = job.targets()[0]
    nameless = partial(storage_of(first).nameless, first)
    recording, content = decrypted(
        Beginning(source, shared.memory_limit), password, on_progress, nameless, shared.keys
    )
    with recording:
        target = _target(job, content.format, identity)
        if not isinstance(recording, PendingFile):  # which is not read again
            recording = cast("BinaryIO", Watched(recording, on_progress))
        return _publish(job, target, recording, content, shared.written, identity=identity)


def _target(job: Job, audio_format: str | None, identity: str | int | None) -> str:
    """Return the output that fits the audio.

    Raises:
        UnknownFormatError: None does.
        UsageError: It is the input.
        OSError: It cannot be written.
    """
    targets = job.targets()
    if len(targets) == 1:
        return targets[0]
    if audio_format is None:
        raise UnknownFormatError(
            "the audio is not opus, mp3 or wav",
            hint="name the output's extension instead of 'auto'",
        )
    target = targets[audio.FORMATS.index(audio_format)]
    storage_of(target).check_target(target, identity)
    return target


def _publish(
    job: Job,
    target: str,
    recording: BinaryIO,
    content: Content,
    written: Written,
    *,
    identity: str | int | None,
) -> Outcome:
    """Make the audio appear, unless an output has appeared meanwhile that counts as done."""
    storage = storage_of(target)
    replace = job.if_exists == "replace"
    note = None
    try:
        storage.publish(target, recording, replace=replace, written=written)
    except FileExistsError:
        if replace:
            raise
        written.refuse(target)
        size = existing.size_of(target)
        if existing.is_finished(target, size, content.size, job.if_exists):
            return _skipped(job, target)
        storage.check_target(target, identity)
        storage.publish(target, recording, replace=True, written=written)
        what = f"{size} bytes, not the {content.size} of the recording"
        note = f"{'a link to nowhere' if size is None else what}: done again"
    return Outcome(job.input, target, content.format, content.size, "decrypted", note=note)
