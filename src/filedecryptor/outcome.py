"""What became of a recording."""

from typing import NamedTuple

from filedecryptor.errors import Failure


# As in `format`, no annotation is text, since that would cost time.
class Content(NamedTuple):
    """What is known of the audio of a recording.

    Attributes:
        format: `opus`, `mp3` or `wav`; None if the audio is none of these.
        size: The audio's length in bytes.
        unknown: If it is none of these, what there is to say of it, as a half-sentence.
        password: The number of the password that was right, from 1 on; None if there was only one.
    """

    format: str | None
    size: int
    unknown: str | None = None
    password: int | None = None


class Outcome(NamedTuple):
    """What became of a recording.

    Attributes:
        input: The path or the address of the recording.
        output: The audio file, which was written or was there already. None if only verified.
        format: `opus`, `mp3` or `wav`; None if the audio is none of these, or was not looked at.
        size: The audio's length in bytes; None if it was not looked at.
        status: One word: `decrypted`, `verified`, `skipped` or `failed`. Other rooms of the house
            may have more of them.
        error: Why it failed.
        note: What is worth knowing, though nothing failed.
        password: The number of the password that was right, from 1 on; None if there was only one.
    """

    input: str
    output: str | None
    format: str | None
    size: int | None
    status: str
    error: Failure | None = None
    note: str | None = None
    password: int | None = None


def failed(name: str, error: Failure) -> Outcome:
    """Return the outcome of a recording that failed.

    The error forgets where it was raised: the frames there hold buffers, and the password.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return Outcome(name, None, None, None, "failed", error)
