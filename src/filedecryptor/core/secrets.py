"""The passwords to try in turn, and what may be wrong with one that did not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from filedecryptor import audio
from filedecryptor.core.crypto import Password, encode_password
from filedecryptor.errors import UsageError


class Passwords:
    """Passwords that are numbered from 1 on. They show in no `repr`."""

    def __init__(self, secrets: Sequence[Password]) -> None:
        self._secrets = tuple(secrets) if isinstance(secrets, Iterable) else (secrets,)
        if not self._secrets:
            raise UsageError("there is no password")
        for one in self._secrets:
            if not isinstance(one, (str, bytes)):
                raise UsageError(f"a password is a str or bytes, not {type(one).__name__}")
        self._last = 1

    @classmethod
    def of(cls, secret: Secret) -> Passwords:
        """Return what a caller has given as passwords."""
        if isinstance(secret, Passwords):
            return secret
        return cls([secret] if isinstance(secret, (str, bytes, bytearray)) else secret)

    def __len__(self) -> int:
        return len(self._secrets)

    def in_turn(self) -> Iterator[tuple[int, Password]]:
        """Yield each with its number: first the one that was right last, then the others."""
        numbered = list(enumerate(self._secrets, 1))
        yield numbered.pop(self._last - 1)
        yield from numbered

    def was_right(self, number: int) -> None:
        """Try this one first from now on."""
        self._last = number


PasswordOrPasswords: TypeAlias = Password | Sequence[Password]
"""What a caller gives as the password: one, or several that are tried in turn."""
Secret: TypeAlias = PasswordOrPasswords | Passwords
DISK_BLOCK = 4096  # bytes; unfinished copies and downloads are whole numbers of them


def file_hint(head: bytes) -> str | None:
    """Return what a file is instead of a recording; None if its first bytes do not show it."""
    plain = f"plain {found} audio" if (found := audio.detect(head)) else "plain audio with a tag"
    if found or audio.tag_length(head):
        return f"this is {plain} already: it was recorded without a password"
    from filedecryptor.audio.foreign import kind_of  # most runs do not need it

    if kind := kind_of(head):
        return f"this is {kind}, not a recording: look into it, then download the recording again"
    return None


def password_hint(password: Password, size: int, *, grew: bool) -> str:
    """Return why a file of some size may not decrypt under a password, showing no part of that."""
    if grew:
        return "the file is still growing: run this again once it is complete"
    if size % DISK_BLOCK == 0:  # what was cut off elsewhere seldom ends so
        return (
            "the password may be wrong, or the file incomplete: its size is a whole number of "
            "disk blocks, as that of an unfinished copy"
        )
    secret = encode_password(password)
    if not secret:
        return "the password is empty"
    if secret != secret.strip():
        return "the password begins or ends with white space or a line end"
    if hint := secret_hint(secret, "the password"):
        return hint
    return "the password is the one that was in force when the call was recorded"


def secret_hint(secret: bytes, what: str) -> str | None:
    """Return what may not belong to a secret, which `what` names; None if nothing shows it."""
    if re.match(rb"(export\s+|set\s+|\$env:)?[A-Za-z_]\w*\s*=\s*[^=\s]", secret):
        return (
            f"{what} looks like a line that sets a variable: only what follows the '=' may be meant"
        )
    if re.fullmatch(rb"([\"']).*\1", secret, re.DOTALL):
        return f"{what} is in quotation marks, which count as part of it"
    return None
