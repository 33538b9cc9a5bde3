"""The passwords to try in turn, and what may be wrong with one that did not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Literal, TypeAlias

from filedecryptor.core.crypto import Password, encode_password
from filedecryptor.errors import UsageError


class Passwords:
    """Passwords that are numbered from 1 on. They show in no `repr`."""

    def __init__(self, secrets: Sequence[Password]) -> None:
        self._given = list(enumerate(secrets if isinstance(secrets, Iterable) else (secrets,), 1))
        if not self._given:
            raise UsageError("there is no password")
        for _, secret in self._given:
            if not isinstance(secret, (str, bytes)):
                raise UsageError(f"a password is a str or bytes, not {type(secret).__name__}")
        self._respelled = {
            (number, other): note
            for number, secret in self._given
            for other, note in _respelled(secret).items()
        }
        self._last = self._given[0]

    @classmethod
    def of(cls, secret: Secret) -> Passwords:
        """Return what a caller has given as passwords."""
        if isinstance(secret, Passwords):
            return secret
        return cls([secret] if isinstance(secret, (str, bytes, bytearray)) else secret)

    def __len__(self) -> int:
        return len(self._given)

    def in_turn(self) -> list[tuple[int, Password]]:
        """Return each with its number: the one that was right last, the others, other spellings."""
        others = [each for each in (*self._given, *self._respelled) if each != self._last]
        return [self._last, *others]

    def was_right(self, number: int, password: Password) -> str | None:
        """Try this one first from now on; return a note if it is spelled otherwise than given."""
        self._last = number, password
        return self._respelled.get(self._last)

    def hint(self) -> str:
        """Return what may be wrong with them, showing no part of them."""
        for number, secret in self._given:
            what = "the password" if len(self) == 1 else f"password {number}"
            if found := secret_hint(encode_password(secret), what):
                return found
        return "the password is the one that was in force when the call was recorded"


RESPELLED: dict[Literal["NFC", "NFD"], str] = {
    "NFC": "the password is right with composed letters (Unicode NFC): save it like that",
    "NFD": "the password is right with decomposed letters (Unicode NFD): save it like that",
}
"""The notes on a password that was right in the other spelling of its letters."""
PasswordOrPasswords: TypeAlias = Password | Sequence[Password]
"""What a caller gives as the password: one, or several that are tried in turn."""
Secret: TypeAlias = PasswordOrPasswords | Passwords


def _respelled(password: Password) -> dict[Password, str]:
    """Return the other spellings of a text whose accents may be letters' parts or characters."""
    found: dict[Password, str] = {}
    # A UnicodeDecodeError carries the password, so it must not be chained.
    with suppress(UnicodeDecodeError):
        if not password.isascii():
            from unicodedata import normalize

            text = password if isinstance(password, str) else password.decode()
            found = {normalize(form, text): note for form, note in RESPELLED.items()}
            found.pop(text, None)
    return found


_SIGNS = {
    r"\s|.*\s\Z": "begins or ends with white space or a line end",
    r"(export\s+|set\s+|\$env:)?[A-Za-z_]\w*\s*=\s*[^=\s]": (
        "looks like a line that sets a variable: only what follows the '=' may be meant"
    ),
    r"([\"'`]).*\1\Z|[\u201c\u201d\u201e\u2018\u201a\u00ab\u00bb].*[\u201c\u201d\u2018\u2019\u00ab\u00bb]\Z": (
        "is in quotation marks, which count as part of it"
    ),
    r"(#|//|;).*\s": "looks like a comment: the first line is taken, so leave the comment out",
    r".*(\\[nrt]\Z|\\u[\dA-Fa-f]{4})": (
        "has an escape sequence, such as a line end that is spelled out; it is taken as it stands"
    ),
    r".*[\u2010-\u2015\u2018-\u201f\u2026]": "has a dash or quotation mark as word processors make them",
}
"""How a secret is matched that may not be what was meant, and what is said of it."""


def secret_hint(secret: bytes, what: str) -> str | None:
    """Return what may not belong to a secret, which `what` names; None if nothing shows it."""
    # A UnicodeDecodeError carries the secret, so it must not be chained.
    with suppress(UnicodeDecodeError):
        text = secret.decode()
        for pattern, sign in _SIGNS.items():
            if re.match(pattern, text, re.DOTALL):
                return f"{what} {sign}"
        if not text:
            return f"{what} is empty"
        if not text.isprintable():
            return f"{what} has an invisible character, as text copied from a page may have"
        return f"{what} looks like the Base64 of a text: decode it" if _is_base64(text) else None
    return f"{what} is not UTF-8 text: save it as UTF-8"


def _is_base64(text: str) -> bool:
    """Return whether this is Base64 (RFC 4648, section 4) of a text, as Kubernetes stores one."""
    from base64 import b64decode

    with suppress(ValueError):
        decoded = b64decode(text, validate=True).decode()
        return len(text) >= 8 and decoded.rstrip("\r\n").isprintable()  # noqa: PLR2004 - or chance
    return False
