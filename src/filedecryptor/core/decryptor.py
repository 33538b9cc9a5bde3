"""A recording in, its authenticated audio out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from io import BufferedReader, BytesIO
from typing import BinaryIO, TypeAlias, cast

from filedecryptor import audio
from filedecryptor.core.crypto import Password, StreamDecryptor, derive_key
from filedecryptor.core.format import CHUNK_SIZE, EncReader
from filedecryptor.core.secrets import PasswordOrPasswords, Passwords, Secret
from filedecryptor.core.spool import (
    MEMORY_LIMIT,
    Beginning,
    LongFile,
    PrivateFile,
    SpooledAudio,
    repeatable,
)
from filedecryptor.errors import AuthenticationError, Content, FileDecryptorError, NotEncError

NONE_IS_RIGHT = "authentication failed: none of the {} passwords is right, or the file was altered"
DISK_BLOCK = 4096  # bytes; unfinished copies and downloads are whole numbers of them

OnProgress: TypeAlias = Callable[[int], object]
Attempt: TypeAlias = Callable[[bytearray], tuple[BinaryIO, Content]]
"""Decrypts a recording under a key: its audio as a file, and what is known of that."""
UseKey: TypeAlias = Callable[[Password, bytes, Attempt, OnProgress, bool], tuple[BinaryIO, Content]]
"""Derives a key of a password and a salt, and attempts to decrypt; after a wrong key, again, if
that can be repeated."""
AudioFile: TypeAlias = BytesIO | LongFile


class Nowhere(BytesIO):
    """A file that drops what is written to it."""

    def write(self, data: object, /) -> int:  # noqa: ARG002 - it is dropped
        """Drop `data`."""
        return 0


def ignore(_: object) -> None:
    """Ignore the argument: the callback of a caller who does not want to know."""


def decrypt(data: bytes, password: PasswordOrPasswords) -> bytes:
    """Decrypt a recording that is in memory.

    Args:
        data: The whole `.enc` file.
        password: The `recordCallPassword` in force when the call was recorded, or several that
            are tried in turn.

    Returns:
        The audio.

    Raises:
        AuthenticationError: The password is wrong, or the data was altered.
        NotEncError: The data is shorter than 44 bytes, longer than 64 GiB, or something else.
        UsageError: There is no password, or it is not valid Unicode text.
    """
    return decrypted(Beginning(BytesIO(data), limit=0), password, nameless=BytesIO)[0].read()


def decrypted(
    beginning: Beginning,
    secret: Secret,
    on_progress: OnProgress = ignore,
    nameless: Callable[[], AudioFile | None] = lambda: None,
    use_key: UseKey | None = None,
) -> tuple[BinaryIO, Content]:
    """Return the authenticated audio of a recording as a file, and what is known of it.

    Audio that is too long for the memory goes to the file without a name that `nameless` returns;
    if that is None, it stays encrypted in a private file.
    """
    passwords = Passwords.of(secret)
    in_turn = passwords.in_turn()
    with repeatable(beginning) if len(in_turn) > 1 else nullcontext(beginning) as source:

        def attempt(key: bytearray) -> tuple[BinaryIO, Content]:
            source.rewind()
            file = BytesIO() if source.is_whole else nameless() or _private_file(source)
            return _decrypt(source, key, file, on_progress)

        failure: FileDecryptorError
        for number, password in in_turn:
            try:
                salt = EncReader(BytesIO(source.head)).salt
                if use_key is None:
                    with derive_key(password, salt) as key:
                        file, content = attempt(key)
                else:
                    file, content = use_key(
                        password, salt, attempt, on_progress, source.is_repeatable
                    )
            except NotEncError as error:
                failure = error
                break
            except AuthenticationError as error:
                failure = error
            else:
                right = number if len(passwords) > 1 else None
                note = passwords.was_right(number, password)
                return file, content._replace(password=right, note=note)
        raise _explained(failure, source, passwords)


def _explained(
    failure: FileDecryptorError, source: Beginning, passwords: Passwords
) -> FileDecryptorError:
    """Return the error that says what is known, once no password has decrypted a recording."""
    from filedecryptor.audio import foreign  # most runs do not need it

    if error := foreign.refusal(source.head):
        return error
    if source.has_grown():
        return NotEncError("the file is still growing", hint="run this again once it is complete")
    if isinstance(failure, NotEncError):
        return failure
    if len(passwords) > 1:
        failure.cause = NONE_IS_RIGHT.format(len(passwords))
    hint = passwords.hint()
    if source.size % DISK_BLOCK == 0:  # what was cut off elsewhere seldom ends so
        hint = "the file may be an unfinished copy: it is a whole number of disk blocks long"
    failure.hint = "; ".join(filter(None, [foreign.remark(source.head), hint]))
    return failure


def _decrypt(
    source: Beginning, key: bytearray, file: AudioFile, on_progress: OnProgress
) -> tuple[BinaryIO, Content]:
    """Decrypt a recording into a file, which is closed on an error."""
    with ExitStack() as stack:
        stack.callback(file.close)
        write = file.write_all if isinstance(file, LongFile) else file.write
        reader = EncReader(source)
        head = audio.Head()
        size = 0
        decryptor = StreamDecryptor(key, reader.nonce, CHUNK_SIZE)
        for ciphertext in reader.ciphertext():
            plaintext = decryptor.update(ciphertext)
            write(ciphertext if isinstance(file, PrivateFile) else plaintext)
            size += len(plaintext)
            head.add(plaintext)
            on_progress(len(plaintext))
        decryptor.verify(reader.tag)
        result: AudioFile | BufferedReader = file
        if isinstance(file, PrivateFile):
            result = BufferedReader(SpooledAudio(file, key, reader.nonce, size), CHUNK_SIZE)
        stack.pop_all()
    result.seek(0)
    audio_format = head.format
    return cast("BinaryIO", result), Content(audio_format, size, None if audio_format else head)


def _private_file(source: Beginning) -> AudioFile:
    """Return a file for a long recording, or memory where there is no directory to make one in."""
    try:
        return PrivateFile()
    except (FileDecryptorError, OSError):  # then what is not long may take more memory
        source.read_on(MEMORY_LIMIT)
        if not source.is_whole:
            raise
        return BytesIO()
