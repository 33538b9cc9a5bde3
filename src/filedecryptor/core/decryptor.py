"""A recording in, its authenticated audio out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import BinaryIO, Protocol, TypeAlias, TypeVar, cast

from filedecryptor import audio
from filedecryptor.core.crypto import (
    Password,
    RangeDecryptor,
    StreamDecryptor,
    WrongKeyError,
    derive_key,
)
from filedecryptor.core.format import CHUNK_SIZE, EncReader
from filedecryptor.core.secrets import Passwords, Secret
from filedecryptor.core.spool import (
    MEMORY_LIMIT,
    Beginning,
    LongFile,
    PrivateFile,
    SpooledAudio,
    Tee,
    repeatable,
)
from filedecryptor.errors import AuthenticationError, Content, NotEncError

NONE_IS_RIGHT = "authentication failed: none of the {} passwords is right, or the file was altered"

OnPlaintext: TypeAlias = Callable[[memoryview], object]
OnProgress: TypeAlias = Callable[[int], object]
Result = TypeVar("Result")


class Keys(Protocol):
    """What derives the keys of several recordings."""

    def derive(
        self, password: Password, salt: bytes, pause: OnProgress, *, is_repeatable: bool
    ) -> AbstractContextManager[bytearray]:
        """Yield a key; a `WrongKeyError` may follow if the recording is repeatable."""


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
    audio_file = io.BytesIO()
    _decrypt(Beginning(io.BytesIO(data), limit=0), password, audio_file.write, ignore)
    return audio_file.getvalue()


def verify(
    beginning: Beginning,
    secret: Secret,
    on_progress: OnProgress = ignore,
    keys: Keys | None = None,
) -> Content:
    """Authenticate a recording, drop its audio, and return what is known of that.

    The arguments and the exceptions are those of `decrypted`.
    """
    found, number = _in_turn(
        beginning, secret, lambda again, one: _decrypt(again, one, ignore, on_progress, keys)
    )
    return found._replace(password=number)


def decrypted(
    beginning: Beginning,
    secret: Secret,
    on_progress: OnProgress = ignore,
    nameless: Callable[[], LongFile | None] = lambda: None,
    keys: Keys | None = None,
) -> tuple[BinaryIO, Content]:
    """Return the authenticated audio of a recording as a file, and what is known of it.

    Args:
        beginning: The recording.
        secret: The `recordCallPassword` in force when the call was recorded, or several that may
            be it.
        on_progress: Called with the number of bytes after each piece of work.
        nameless: Returns a file without a name for audio that is too long for the memory; None if
            there is no such file.
        keys: Derives the key, if the recording is one of several.

    Raises:
        AuthenticationError: The password is wrong, or the recording was altered.
        NotEncError: The recording is shorter than 44 bytes.
        OSError: The audio cannot be stored.
    """
    (file, content), number = _in_turn(
        beginning, secret, lambda again, one: _decrypted(again, one, on_progress, nameless, keys)
    )
    return file, content._replace(password=number)


def _in_turn(
    beginning: Beginning, secret: Secret, attempt: Callable[[Beginning, Password], Result]
) -> tuple[Result, int | None]:
    """Return what an attempt does with the password that is right, and the number of that.

    Raises:
        AuthenticationError: None is right.
    """
    passwords = Passwords.of(secret)
    if len(passwords) == 1:
        ((_, only),) = passwords.in_turn()
        return _repeated(beginning, lambda: attempt(beginning, only)), None
    with repeatable(beginning) as again:
        for number, password in passwords.in_turn():
            try:
                result = _repeated(again, partial(attempt, again, password))
            except AuthenticationError as error:
                failure = error
                again.rewind()
            else:
                passwords.was_right(number)
                return result, number
    failure.cause = NONE_IS_RIGHT.format(len(passwords))
    raise failure


def _repeated(beginning: Beginning, attempt: Callable[[], Result]) -> Result:
    """Return what an attempt does; repeat it as long as its key was not right.

    After a wrong key the lanes are not used any more. Only a thread that was about to use them may
    still do so, once.
    """
    while True:
        try:
            return attempt()
        except WrongKeyError:
            beginning.rewind()


def _decrypted(
    beginning: Beginning,
    password: Password,
    on_progress: OnProgress,
    nameless: Callable[[], LongFile | None],
    keys: Keys | None,
) -> tuple[BinaryIO, Content]:
    file = _place_for(beginning, nameless)
    if file is None:
        audio_file = io.BytesIO()
        content = _decrypt(beginning, password, audio_file.write, on_progress, keys)
        audio_file.seek(0)
        return audio_file, content
    with ExitStack() as stack:
        stack.callback(file.close)
        if not isinstance(file, PrivateFile):
            content = _decrypt(beginning, password, file.write_all, on_progress, keys)
            stack.pop_all()
            return cast("BinaryIO", file), content
        with _hints(beginning, password):
            reader = EncReader(Tee(beginning, file))
            with _key(beginning, password, reader.header.salt, on_progress, keys) as key:
                content = _decrypt_with(key, reader, ignore, on_progress)
                decryptor = RangeDecryptor(key, reader.header.nonce)
        stack.pop_all()
        return io.BufferedReader(SpooledAudio(file, decryptor, content.size), CHUNK_SIZE), content


def _place_for(
    beginning: Beginning, nameless: Callable[[], LongFile | None]
) -> LongFile | PrivateFile | None:
    """Return a file for a recording that does not fit in memory; None if it does."""
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
    beginning: Beginning,
    password: Password,
    write: OnPlaintext,
    on_progress: OnProgress,
    keys: Keys | None = None,
) -> Content:
    """Decrypt a recording. What was given to `write` is authentic only once this has returned."""
    with _hints(beginning, password):
        reader = EncReader(beginning)
        with _key(beginning, password, reader.header.salt, on_progress, keys) as key:
            return _decrypt_with(key, reader, write, on_progress)


def _key(
    beginning: Beginning,
    password: Password,
    salt: bytes,
    on_progress: OnProgress,
    keys: Keys | None,
) -> AbstractContextManager[bytearray]:
    if keys is None:
        return derive_key(password, salt)
    return keys.derive(password, salt, on_progress, is_repeatable=beginning.is_repeatable)


def _decrypt_with(
    key: bytearray, reader: EncReader, write: OnPlaintext, on_progress: OnProgress
) -> Content:
    head = audio.Head()
    size = 0
    decryptor = StreamDecryptor(key, reader.header.nonce, CHUNK_SIZE)
    for ciphertext in reader.ciphertext():
        plaintext = decryptor.update(ciphertext)
        write(plaintext)
        size += len(plaintext)
        head.add(plaintext)
        on_progress(len(plaintext))
    decryptor.verify(reader.tag)
    found = head.format
    return Content(found, size, head.unknown if found is None else None)


@contextmanager
def _hints(beginning: Beginning, password: Password) -> Iterator[None]:
    """Give the errors that are raised inside a hint why the recording may not decrypt."""
    try:
        yield
    except AuthenticationError as error:
        from filedecryptor.core.secrets import file_hint, incomplete_hint, password_hint

        error.hint = (
            file_hint(beginning.head)
            or incomplete_hint(beginning.size, grew=beginning.has_grown())
            or password_hint(password)
        )
        raise
    except NotEncError as error:
        from filedecryptor.core.secrets import file_hint

        error.hint = file_hint(beginning.head)
        raise
