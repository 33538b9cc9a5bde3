"""A recording in, its authenticated audio out."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import BinaryIO, Protocol, TypeAlias, TypeVar, cast

from filedecryptor import audio
from filedecryptor.core.crypto import Password, StreamDecryptor, derive_key
from filedecryptor.core.format import CHUNK_SIZE, EncReader
from filedecryptor.core.secrets import Passwords, Secret, file_hint, password_hint
from filedecryptor.core.spool import (
    MEMORY_LIMIT,
    Beginning,
    LongFile,
    PrivateFile,
    SpooledAudio,
    repeatable,
)
from filedecryptor.errors import AuthenticationError, Content, NotEncError

NONE_IS_RIGHT = "authentication failed: none of the {} passwords is right, or the file was altered"

OnProgress: TypeAlias = Callable[[int], object]
Result = TypeVar("Result")


class KeyDeriver(Protocol):
    """What derives the keys of several recordings."""

    def use(
        self,
        password: Password,
        salt: bytes,
        work: Callable[[bytearray], Result],
        on_progress: OnProgress,
        is_repeatable: bool,  # noqa: FBT001 - there is one call
    ) -> Result:
        """Return what `work` does with a key; after a wrong key, repeat what is repeatable."""


def ignore(_: object) -> None:
    """Ignore the argument: the callback of a caller who does not want to know."""


def decrypt(data: bytes, password: Password) -> bytes:
    """Decrypt a recording that is in memory.

    Args:
        data: The whole `.enc` file.
        password: The `recordCallPassword` in force when the call was recorded.

    Returns:
        The audio.

    Raises:
        AuthenticationError: The password is wrong, or the data was altered.
        NotEncError: The data is shorter than 44 bytes, or longer than 64 GiB.
        UsageError: The password is not valid Unicode text.
    """

    def attempt(source: Beginning, key: bytearray) -> tuple[io.BytesIO, Content]:
        return _in_memory(source, key, ignore)

    beginning = Beginning(io.BytesIO(data), limit=0)
    return _authenticated(beginning, password, attempt, ignore, None)[0].getvalue()


def verify(
    beginning: Beginning,
    secret: Secret,
    on_progress: OnProgress = ignore,
    keys: KeyDeriver | None = None,
) -> Content:
    """Authenticate a recording, drop its audio, and return what is known of that."""

    def attempt(source: Beginning, key: bytearray) -> tuple[None, Content]:
        return None, _decrypt(EncReader(source), key, ignore, on_progress)

    return _authenticated(beginning, secret, attempt, on_progress, keys)[1]


def decrypted(
    beginning: Beginning,
    secret: Secret,
    on_progress: OnProgress = ignore,
    nameless: Callable[[], LongFile | None] = lambda: None,
    keys: KeyDeriver | None = None,
) -> tuple[BinaryIO, Content]:
    """Return the authenticated audio of a recording as a file, and what is known of it.

    Audio that is too long for the memory goes to the file without a name that `nameless` returns;
    if that is None, it stays encrypted in a private file.
    """

    def attempt(source: Beginning, key: bytearray) -> tuple[BinaryIO, Content]:
        file = None if source.is_whole else nameless() or _private_file(source)
        if file is None:
            return _in_memory(source, key, on_progress)
        with ExitStack() as stack:
            stack.callback(file.close)
            if isinstance(file, PrivateFile):
                source.copy_to = file
                reader = EncReader(source)
                content = _decrypt(reader, key, ignore, on_progress)
                spooled = SpooledAudio(file, key, reader.nonce, content.size)
                found = cast("BinaryIO", io.BufferedReader(spooled, CHUNK_SIZE))
            else:
                content = _decrypt(EncReader(source), key, file.write_all, on_progress)
                found = cast("BinaryIO", file)
            stack.pop_all()
        return found, content

    return _authenticated(beginning, secret, attempt, on_progress, keys)


def _authenticated(
    given: Beginning,
    secret: Secret,
    attempt: Callable[[Beginning, bytearray], tuple[Result, Content]],
    on_progress: OnProgress,
    keys: KeyDeriver | None,
) -> tuple[Result, Content]:
    """Return what an attempt does under the key of the password that is right."""
    passwords = Passwords.of(secret)
    are_several = len(passwords) > 1
    with repeatable(given) if are_several else nullcontext(given) as source:

        def from_the_beginning(key: bytearray) -> tuple[Result, Content]:
            source.rewind()
            return attempt(source, key)

        for number, password in passwords.in_turn():
            source.rewind()
            try:
                salt = EncReader(source).salt
                if keys is None:
                    with derive_key(password, salt) as key:
                        result, content = from_the_beginning(key)
                else:
                    result, content = keys.use(
                        password, salt, from_the_beginning, on_progress, source.is_repeatable
                    )
            except NotEncError as error:
                error.hint = file_hint(source.head)
                raise
            except AuthenticationError as error:
                failure = error
            else:
                passwords.was_right(number)
                return result, content._replace(password=number if are_several else None)
        failure.hint = file_hint(source.head) or password_hint(
            password, source.size, grew=source.has_grown()
        )
    if are_several:
        failure.cause = NONE_IS_RIGHT.format(len(passwords))
    raise failure


def _decrypt(
    reader: EncReader,
    key: bytearray,
    write: Callable[[memoryview], object],
    on_progress: OnProgress,
) -> Content:
    """Decrypt a recording. What was written is authentic only once this has returned."""
    head = audio.Head()
    size = 0
    decryptor = StreamDecryptor(key, reader.nonce, CHUNK_SIZE)
    for ciphertext in reader.ciphertext():
        plaintext = decryptor.update(ciphertext)
        write(plaintext)
        size += len(plaintext)
        head.add(plaintext)
        on_progress(len(plaintext))
    decryptor.verify(reader.tag)
    found = head.format
    return Content(found, size, head if found is None else None)


def _in_memory(
    source: Beginning, key: bytearray, on_progress: OnProgress
) -> tuple[io.BytesIO, Content]:
    file = io.BytesIO()
    content = _decrypt(EncReader(source), key, file.write, on_progress)
    file.seek(0)
    return file, content


def _private_file(source: Beginning) -> PrivateFile | None:
    """Return a file for a long recording; None if that is in memory after all."""
    try:
        return PrivateFile()
    except OSError:  # no directory to make one in: then what is not long may take more memory
        source.read_on(MEMORY_LIMIT)
        if source.is_whole:
            return None
        raise
