"""The passwords of a run: one, or several that are tried in turn, as after a rotation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from filedecryptor.crypto import Password
from filedecryptor.errors import UsageError


class Passwords:
    """Passwords that are numbered from 1 on. They show in no `repr`.

    Args:
        secrets: At least one.

    Raises:
        UsageError: There is none.
    """

    def __init__(self, secrets: Sequence[Password]) -> None:
        if not secrets:
            raise UsageError("there is no password")
        self._secrets = tuple(secrets)
        self._last = 1

    @classmethod
    def of(cls, secret: Secret) -> Passwords:
        """Return what a caller has given as passwords."""
        if isinstance(secret, Passwords):
            return secret
        return cls([secret] if isinstance(secret, (str, bytes)) else secret)

    def __len__(self) -> int:
        return len(self._secrets)

    def in_turn(self) -> Iterator[tuple[int, Password]]:
        """Yield each with its number: first the one that was right last, then the others."""
        last = self._last
        yield last, self._secrets[last - 1]
        for number, secret in enumerate(self._secrets, 1):
            if number != last:
                yield number, secret

    def was_right(self, number: int) -> None:
        """Try this one first from now on."""
        self._last = number


Secret: TypeAlias = Password | Sequence[Password] | Passwords
"""What a caller may give: a password, or several that are tried in turn."""
