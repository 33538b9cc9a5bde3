"""The job: one recording in, one audio file out."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, TypeAlias, cast, get_args

from filedecryptor import audio
from filedecryptor.crypto import Password, RangeDecryptor, StreamDecryptor, derive_key
from filedecryptor.errors import (
    AuthenticationError,
    FileDecryptorError,
    NotEncError,
    UnknownFormatError,
    UsageError,
    errors_naming,
    unexpected,
)
from filedecryptor.format import CHUNK_SIZE, SMALLEST_SIZE, EncReader, Source
from filedecryptor.hints import file_hint, incomplete_hint, password_hint
from filedecryptor.names import clean_extension, is_url, replace_suffix, split
from filedecryptor.outputs import PendingFile, Written
from filedecryptor.spool import MEMORY_LIMIT, Beginning, PrivateFile, SpooledAudio, Tee, Watched
from filedecryptor.storage import storage_of

if TYPE_CHECKING:
    from pathlib import Path

AUTO = "auto"
"""The output extension that stands for the format found in the audio."""

IfExists: TypeAlias = Literal["replace", "skip", "fail"]
IF_EXISTS: tuple[IfExists, ...] = get_args(IfExists)
OnPlaintext: TypeAlias = Callable[[memoryview], object]
OnProgress: TypeAlias = Callable[[int], object]
SizeOf: TypeAlias = Callable[[str], "int | None"]


def _discard(_: object) -> None:
    """Take no notice."""


def decrypt(data: bytes, password: Password) -> bytes:
    """Decrypt a recording that is in memory.

    Args:
        data: The whole `.enc` file.
        password: The `recordCallPassword` in force when the call was recorded.

    Returns:
        The audio.

    Raises:
        AuthenticationError: The password is wrong, or the data was altered.
        NotEncError: The data is shorter than 44 bytes.
    """
    audio_file = io.BytesIO()
    _decrypt(Beginning(io.BytesIO(data), limit=0), password, audio_file.write, _discard)
    return audio_file.getvalue()


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
            work if it is as long as the audio (and else replace it), or `fail`.

    Returns:
        The path of the audio file.

    Raises:
        AuthenticationError: The password is wrong, or the file was altered.
        NotEncError: The file is shorter than 44 bytes.
        UnknownFormatError: The extension is `auto`, and the audio is not opus, mp3 or wav.
        UsageError: The extension is unusable, or the output would be the input.
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
    outcome = run(job, password)
    assert outcome.output is not None  # noqa: S101 - true of every job that does not only verify
    return Path(outcome.output)


def open_recording(path_or_file: str | os.PathLike[str] | Source, password: Password) -> BinaryIO:
    """Decrypt a recording into a file object, to be played or transcribed without a named file.

    Args:
        path_or_file: The `.enc` file, or a binary file open for reading (which stays open).
        password: The `recordCallPassword` in force when the call was recorded.

    Returns:
        A file at its beginning, readable and seekable, every byte of it authenticated. Up to
        8 MiB of audio are held in memory. More of it is kept as ciphertext, in a temporary file
        without a name, and decrypted as it is read; file and key are gone once it is closed.

    Raises:
        AuthenticationError: The password is wrong, or the file was altered.
        NotEncError: The file is shorter than 44 bytes.
        OSError: The operating system refused something.
    """
    if isinstance(path_or_file, (str, os.PathLike)):
        path = os.fspath(path_or_file)
        with errors_naming(path), storage_of(path).open_source(path) as source:
            return decrypted(Beginning(source), password)[0]
    return decrypted(Beginning(path_or_file), password)[0]


class Job(NamedTuple):
    """What to do with one recording. It can be sent to another process; it holds no password.

    Attributes:
        input: The `.enc` file's path, or how to call what is read instead.
        extension: The output's extension without its dot, or `auto`.
        output: The output's path, where it does not follow from a name and the extension.
        named_after: The path whose suffix is replaced to name the output, if that is not the
            input's own. Its directory is made if it is not there.
        if_exists: What to do about an output that is already there.
        is_checked: Whether what is there has been looked at, so that nobody need look again.
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
        """Return the outputs that this job may write; it will write one of them, or none."""
        if self.verify:
            return ()
        if self.output is not None:
            return (self.output,)
        extensions = audio.FORMATS if self.extension == AUTO else (self.extension,)
        return replace_suffix(self.named_after or self.input, extensions)


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
        input: The job's input.
        output: The audio file: written, or found there already. None if only verified.
        format: `opus`, `mp3` or `wav`; None if the audio is none of these, or was not looked at.
        size: The audio's length in bytes; None if it was not looked at.
        status: `decrypted`, `verified`, `stored` (as it came, from the API), `skipped` or
            `failed`.
        error: Why it failed.
        note: What was wrong with an output that was there, and has been replaced.
    """

    input: str
    output: str | None
    format: str | None
    size: int | None
    status: Literal["decrypted", "verified", "stored", "skipped", "failed"]
    error: FileDecryptorError | OSError | None = None
    note: str | None = None


class Content(NamedTuple):
    """What a recording turned out to hold.

    Attributes:
        format: `opus`, `mp3` or `wav`; None if the audio is none of these.
        size: The audio's length in bytes.
    """

    format: str | None
    size: int


class Shared(NamedTuple):
    """What the jobs of one run have in common.

    Attributes:
        written: What they have written.
        turn: Entered for as long as a job needs a processor, and left while it waits for the disk
            to take everything: a semaphore of several jobs.
        memory_limit: Bytes of audio that each of them takes in memory at most.
    """

    written: Written
    turn: AbstractContextManager[object] = nullcontext()
    memory_limit: int = MEMORY_LIMIT


def attempt(
    job: Job,
    password: Password,
    *,
    source: io.FileIO | None = None,
    shared: Shared | None = None,
    on_progress: OnProgress = _discard,
) -> Outcome:
    """Do one job as `run` does, and return a failure as an outcome instead of raising it."""
    try:
        return run(job, password, source=source, shared=shared, on_progress=on_progress)
    except (FileDecryptorError, OSError) as error:
        return failed(job, error)
    except MemoryError:
        return failed(job, OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), job.input))
    except Exception as error:  # noqa: BLE001 - it must not end the work on other recordings
        surprise = unexpected(error)
        surprise.filename = job.input
        return failed(job, surprise)


def failed(job: Job, error: FileDecryptorError | OSError) -> Outcome:
    """Return the outcome of a job that ended with an error.

    The error forgets where it was raised: there lie the buffers of its file, and the password.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return Outcome(job.input, None, None, None, "failed", error)


def run(
    job: Job,
    password: Password,
    *,
    source: io.FileIO | None = None,
    shared: Shared | None = None,
    on_progress: OnProgress = _discard,
) -> Outcome:
    """Do one job. Jobs may run side by side, in threads or processes.

    Args:
        job: What to do.
        password: The `recordCallPassword` in force when the call was recorded.
        source: Read this instead of opening the job's input.
        shared: What it has in common with other jobs, if there are any.
        on_progress: Told the number of bytes after each piece of work.

    Raises:
        FileDecryptorError: Any of its kinds, with `filename` set.
        OSError: The operating system refused something; `filename` is set.
    """
    with errors_naming(job.input):
        shared = shared or Shared(Written())
        if not job.is_checked and (existing := check(job, source, written=shared.written)):
            return existing
        if source is not None:
            return _run(job, password, source, shared, on_progress, identity=source.fileno())
        with storage_of(job.input).open_source(job.input) as opened:
            return _run(job, password, opened, shared, on_progress, identity=job.input)


def size_of(path: str) -> int | None:
    """Return the length of a file or an object in bytes; None if there is none."""
    return storage_of(path).size_of(path)


def check(
    job: Job, source: io.FileIO | None = None, *, size_of: SizeOf = size_of, written: Written
) -> Outcome | None:
    """Return the outcome of a job that needs no work, since its output is there already.

    Of the three outputs that `auto` may write, the one that fits the audio is checked by `run`.

    Args:
        job: What is to be done.
        source: What is read instead of the job's input.
        size_of: Returns the length of an input or an output, as `size_of` here does.
        written: The outputs that other jobs of the run have written.

    Raises:
        UsageError: The output is the input or another job's, or `if_exists` is none of its values.
        OSError: The output cannot be written, or must not since it exists.
    """
    if job.if_exists not in IF_EXISTS:
        raise UsageError(f"if_exists is not one of {', '.join(IF_EXISTS)}")
    with errors_naming(job.input):
        targets = job.targets()
        if len(targets) == 1:
            identity = source.fileno() if source else job.input
            storage_of(targets[0]).check_target(targets[0], identity)
        if job.if_exists == "replace":
            return None
        size: int | None = None
        others: dict[str, int] = {}
        for target in targets:
            found = size_of(target)
            if found is None:
                continue
            if not others and source is None and (input_size := size_of(job.input)) is not None:
                size = input_size - SMALLEST_SIZE
                if size < 0:  # no recording, which is said when it is read
                    return None
            if size is None or found == size:
                written.refuse(target)
                return already_there(job, target, size, found)
            others[target] = found
        for target, found in others.items():
            already_there(job, target, size, found)  # an error under `fail`
        return None


def already_there(job: Job, target: str, size: int | None, found: int | None) -> Outcome | None:
    """Return the outcome of a job that is not to replace what is at its output.

    That is its audio only if it is as long as that. What is not, is to be replaced if the job
    would be skipped for it: None is returned.

    Args:
        job: The job.
        target: The output.
        size: How long the audio is, in bytes; None if nobody knows.
        found: How long what is there is; None if it is no file, but a link to nowhere.

    Raises:
        FileExistsError: Nothing should be there.
    """
    can_be_it = size is None or size == found
    if job.if_exists == "fail":
        cause = os.strerror(errno.EEXIST)
        if not can_be_it and found is not None:
            cause = f"exists with another length: {found} bytes instead of {size}"
        raise FileExistsError(errno.EEXIST, cause, target)
    return Outcome(job.input, target, None, None, "skipped") if can_be_it else None


def _run(
    job: Job,
    password: Password,
    source: Source,
    shared: Shared,
    on_progress: OnProgress,
    *,
    identity: str | int,
) -> Outcome:
    beginning = Beginning(source, shared.memory_limit)
    if job.verify:
        with shared.turn:
            content = _decrypt(beginning, password, _discard, on_progress)
        return Outcome(job.input, None, content.format, content.size, "verified")
    if job.named_after is not None:
        directory = split(job.named_after)[0] or "."
        storage_of(directory).make_directory(directory)
    note = None
    first = job.targets()[0]
    storage = storage_of(first)
    with shared.turn:
        nameless = partial(storage.nameless, first)
        recording, content = decrypted(beginning, password, on_progress, nameless)
    with recording:
        target = _target(job, content.format, identity)
        replace = job.if_exists == "replace"
        if not isinstance(recording, PendingFile):  # which is not read again
            recording = cast("BinaryIO", Watched(recording, on_progress))
        try:
            storage.publish(target, recording, replace=replace, written=shared.written)
        except FileExistsError:
            if replace:
                raise
            shared.written.refuse(target)
            found = size_of(target)
            if existing := already_there(job, target, content.size, found):
                return existing
            storage.check_target(target, identity)
            storage.publish(target, recording, replace=True, written=shared.written)
            what = f"{found} bytes, not the {content.size} of the recording"
            note = f"{'a link to nowhere' if found is None else what}: done again"
    return Outcome(job.input, target, content.format, content.size, "decrypted", note=note)


def _target(job: Job, audio_format: str | None, source: str | int) -> str:
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
    storage_of(target).check_target(target, source)
    return target


def decrypted(
    beginning: Beginning,
    password: Password,
    on_progress: OnProgress = _discard,
    nameless: Callable[[], PendingFile | None] = lambda: None,
) -> tuple[BinaryIO, Content]:
    """Return the audio of a recording as a file, all of it authenticated, and what it is.

    Args:
        beginning: The recording.
        password: The `recordCallPassword` in force when the call was recorded.
        on_progress: Told the number of bytes after each piece of work.
        nameless: Returns a file to take audio that is too long for the memory, if there is one
            that nobody sees before the audio has been authenticated.

    Raises:
        AuthenticationError: The password is wrong, or the recording was altered.
        NotEncError: The recording is shorter than 44 bytes.
        OSError: There is no place for the audio.
    """
    file = _place_for(beginning, nameless)
    if file is None:
        audio_file = io.BytesIO()
        content = _decrypt(beginning, password, audio_file.write, on_progress)
        audio_file.seek(0)
        return audio_file, content
    with ExitStack() as stack:
        stack.enter_context(file)
        if isinstance(file, PendingFile):
            content = _decrypt(beginning, password, file.write_all, on_progress)
            stack.pop_all()
            return cast("BinaryIO", file), content
        with _hints(beginning, password):
            reader = EncReader(Tee(beginning, file))
            with derive_key(password, reader.header.salt) as key:
                content = _decrypt_with(key, reader, _discard, on_progress)
                decryptor = RangeDecryptor(key, reader.header.nonce)
        stack.pop_all()
        return io.BufferedReader(SpooledAudio(file, decryptor, content.size), CHUNK_SIZE), content


def _place_for(
    beginning: Beginning, nameless: Callable[[], PendingFile | None]
) -> PendingFile | PrivateFile | None:
    """Return a file for what does not fit in memory; None if all of it does."""
    if beginning.is_whole:
        return None
    if pending := nameless():
        return pending
    try:
        return PrivateFile()
    except OSError:  # no directory to make one in: then what is not long may take more memory
        beginning.read_on(MEMORY_LIMIT)
        if beginning.is_whole:
            return None
        raise


def _decrypt(
    beginning: Beginning, password: Password, write: OnPlaintext, on_progress: OnProgress
) -> Content:
    """Decrypt a recording. What was given to `write` is authentic only once this has returned."""
    with _hints(beginning, password):
        reader = EncReader(beginning)
        with derive_key(password, reader.header.salt) as key:
            return _decrypt_with(key, reader, write, on_progress)


def _decrypt_with(
    key: bytearray, reader: EncReader, write: OnPlaintext, on_progress: OnProgress
) -> Content:
    head = b""
    size = 0
    decryptor = StreamDecryptor(key, reader.header.nonce, CHUNK_SIZE)
    for ciphertext in reader.ciphertext():
        plaintext = decryptor.update(ciphertext)
        write(plaintext)
        size += len(plaintext)
        head += plaintext[: audio.HEAD_SIZE - len(head)]
        on_progress(len(plaintext))
    decryptor.verify(reader.tag)
    return Content(audio.detect(head), size)


@contextmanager
def _hints(beginning: Beginning, password: Password) -> Iterator[None]:
    """Let errors say why a recording may not decrypt, as far as its bytes and its length show it."""
    try:
        yield
    except AuthenticationError as error:
        error.hint = (
            file_hint(beginning.head)
            or incomplete_hint(beginning.size, grew=beginning.has_grown())
            or password_hint(password)
        )
        raise
    except NotEncError as error:
        error.hint = file_hint(beginning.head)
        raise
