"""One recording to be decrypted."""

# Annotations are not postponed here: a NamedTuple would compile their text at each start.
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from filedecryptor.core.decryptor import Nowhere, OnProgress, UseKey, decrypted, ignore
from filedecryptor.core.format import SMALLEST_SIZE, Source
from filedecryptor.core.secrets import PasswordOrPasswords, Secret
from filedecryptor.core.spool import MEMORY_LIMIT, Beginning
from filedecryptor.errors import (
    Content,
    FileDecryptorError,
    Outcome,
    UsageError,
    errors_naming,
    failed,
    unexpected,
)
from filedecryptor.jobs.outputs import (
    AUTO,
    IfExists,
    check_if_exists,
    existing,
    target_for,
    targets_of,
)
from filedecryptor.storage import atomic, disk, remark, storage_of, streams
from filedecryptor.storage.atomic import NEW, Written
from filedecryptor.storage.paths import clean_extension, is_url, split

if TYPE_CHECKING:
    from pathlib import Path


def size_of(path: str) -> int | None:
    """Return the length of a file or an object in bytes; None if there is none."""
    return storage_of(path).size_of(path)


class Job(NamedTuple):
    """What to do with one recording. It can be sent to another process; it holds no password."""

    input: str  # the path of the `.enc` file, or a name for the file that is read instead
    extension: str  # the output's, without its dot, or `auto`
    output: str | None = None  # the output, if it does not follow from a name and the extension
    named_after: str | None = None  # the path whose suffix is replaced, if not the input's
    if_exists: IfExists = "replace"
    verify: bool = False  # authenticate only, write nothing
    unknown_as: str | None = None  # the extension, with `auto`, for audio that is not recognised


def without_work(
    job: Job,
    written: Written,
    source: Source | None = None,
    length_of: Callable[[str], int | None] = size_of,
) -> Outcome | None:
    """Return the outcome of a job that needs no work; raise an error if it cannot or must not be done.

    Which of its outputs `auto` writes, and whether it can be written, only `do_job` knows.
    """
    check_if_exists(job.if_exists)
    with errors_naming(job.input):
        targets = targets_of(job)
        if stream := _stream(job):
            streams.check_target(stream, _identity(job, source))
            return None
        is_beside = bool(targets) and job.output is None and job.named_after is None
        if is_beside and not is_url(job.input) and atomic.plain_file(job.input) is None:
            streams.check_place(job.input)
        if len(targets) == 1:
            storage_of(targets[0]).check_target(targets[0], _identity(job, source))
        if job.if_exists == "replace":
            return None
        found = {target: size for target in targets if (size := length_of(target)) is not None}
        if not found:
            return None
        source_size = length_of(job.input) if source is None else None
        audio_size = None if source_size is None else source_size - SMALLEST_SIZE
        return existing(job, found, audio_size, written)


def _stream(job: Job) -> str | None:
    """Return the output if it was named and is a stream: that is written to, and never replaced."""
    if job.output is None or is_url(job.output) or not streams.is_stream(job.output):
        return None
    return job.output


def _identity(job: Job, source: Source | None) -> str | int | None:
    """Return what tells whether a file is the one that is read: its path or its descriptor."""
    if source is None:
        return job.input
    return source.fileno() if isinstance(source, FileIO) else None


def try_job(job: Job, password: Secret, **options: Any) -> Outcome:  # noqa: ANN401 - of `do_job`
    """Do one job as `do_job` does, but return a failure as an outcome instead of raising it."""
    try:
        return do_job(job, password, **options)
    except (FileDecryptorError, OSError) as error:
        return failed(job.input, error)
    except Exception as error:  # noqa: BLE001 - it must not end the work on other recordings
        return failed(job.input, unexpected(error, job.input))


def do_job(
    job: Job,
    password: Secret,
    *,
    source: Source | None = None,
    written: Written | None = None,
    use_key: UseKey | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_progress: OnProgress = ignore,
) -> Outcome:
    """Do one job. Jobs may be done side by side, in threads or processes.

    `source` is read instead of the job's input. A job that is given what others have `written` is
    known to need work. `memory_limit` is in bytes of audio.
    """
    with errors_naming(job.input):
        if written is None:
            written = Written()
            if done := without_work(job, written, source):
                return done
        opening = storage_of(job.input).open_source
        with opening(job.input) if source is None else nullcontext(source) as opened:
            beginning = Beginning(opened, memory_limit)
            if job.verify:
                content = decrypted(beginning, password, on_progress, Nowhere, use_key)[1]
                unknown = content.unknown and f"'{AUTO}' would not know it: {content.unknown}"
                note = "; ".join(filter(None, [unknown, content.note])) or None
                found = content.format, content.size
                return Outcome(job.input, None, *found, "verified", None, note, content.password)
            if stream := _stream(job):
                recording, content = decrypted(beginning, password, on_progress, use_key=use_key)
                with recording:
                    streams.write(stream, recording, on_progress)
                return _decrypted(job, stream, content)
            if job.named_after is not None:
                directory = split(job.named_after)[0] or "."
                storage_of(directory).make_directory(directory)
            first = targets_of(job)[0]
            attributes = NEW if is_url(first) else atomic.attributes_of(opened)
            nameless = partial(atomic.nameless, first, attributes)
            recording, content = decrypted(beginning, password, on_progress, nameless, use_key)
            with recording:
                target = target_for(job, content)
                if len(targets_of(job)) > 1:  # a single one has been checked before
                    storage_of(target).check_target(target, _identity(job, source))
                publish = partial(
                    storage_of(target).publish,
                    target,
                    recording,
                    written=written,
                    attributes=attributes,
                    on_progress=on_progress,
                )
                return _publish(job, target, content, publish, written)


def _publish(
    job: Job, target: str, content: Content, publish: Callable[..., None], written: Written
) -> Outcome:
    """Make the audio appear, unless an output has appeared meanwhile that counts as done."""
    notes: list[str] = []
    try:
        publish(replace=job.if_exists == "replace")
    except FileExistsError:
        if job.if_exists == "replace":
            raise
        size = size_of(target)
        if done := existing(job, {target: size}, content.size, written):
            return done
        publish(replace=True)
        what = f"{size} bytes, not the {content.size} of the recording"
        notes.append(f"{'a link to nowhere' if size is None else what}: done again")
    if unreadable := disk.unreadable(target):
        notes.append(unreadable)
    return _decrypted(job, target, content, notes)


def _decrypted(job: Job, target: str, content: Content, notes: Sequence[str] = ()) -> Outcome:
    note = "; ".join(filter(None, [*notes, content.note])) or remark()
    found = content.format, content.size
    return Outcome(job.input, target, *found, "decrypted", None, note, content.password)


def decrypt_file(
    path: str | os.PathLike[str],
    password: PasswordOrPasswords,
    output_extension: str = AUTO,
    *,
    output: str | os.PathLike[str] | None = None,
    if_exists: IfExists = "replace",
) -> "Path":
    """Decrypt a recording into a file, which appears whole or not at all.

    Args:
        path: The `.enc` file.
        password: The `recordCallPassword` in force when the call was recorded, or several that
            are tried in turn.
        output_extension: Replaces the last suffix of `path`, with or without its dot; `auto`,
            the default, stands for the format of the audio.
        output: The file to write, instead of the one beside `path`; a FIFO or a device is written
            to as it is.
        if_exists: What to do about an output that is already there: `replace` it, `skip` the
            work if it is as long as the audio (and otherwise replace it), or `fail`.

    Returns:
        The path of the audio file.

    Raises:
        AuthenticationError: The password is wrong, or the file was altered.
        NotEncError: The file is shorter than 44 bytes, longer than 64 GiB, or something else.
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


def open_recording(
    path_or_file: str | os.PathLike[str] | Source, password: PasswordOrPasswords
) -> BinaryIO:
    """Decrypt a recording into a file object, to be played or transcribed without a named file.

    Args:
        path_or_file: The path or the address of the `.enc` file, or a binary file that is open for
            reading. The latter is read from where it stands, and stays open.
        password: The `recordCallPassword` in force when the call was recorded, or several that
            are tried in turn.

    Returns:
        A readable and seekable file, at its beginning; every byte of it is authenticated. Up to
        8 MiB of audio are held in memory. Longer audio is kept as ciphertext, in a temporary file
        without a name, and decrypted as it is read. Closing the file removes it and wipes the key.

    Raises:
        AuthenticationError: The password is wrong, or the file was altered.
        NotEncError: The file is shorter than 44 bytes, longer than 64 GiB, or something else.
        StorageError: An object store cannot be reached, or refuses the recording.
        UsageError: There is no password, or it is not valid Unicode text; or the address is not
            understood.
        OSError: The operating system refused something.
    """
    if isinstance(path_or_file, (str, os.PathLike)):
        path = os.fspath(path_or_file)
        with errors_naming(path), storage_of(path).open_source(path) as source:
            return decrypted(Beginning(source), password)[0]
    return decrypted(Beginning(path_or_file), password)[0]
