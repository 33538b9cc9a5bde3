"""What a CallStart webhook answers to have a call recorded."""

from __future__ import annotations

from filedecryptor.audio import FORMATS
from filedecryptor.core.crypto import encode_password
from filedecryptor.errors import UsageError


def recording_fields(
    format: str = "opus",  # noqa: A002 - the vendor's word
    password: str | None = None,
) -> dict[str, bool | str | None]:
    """Return the fields that make VNS record a call (its page "Call Recordings").

    Args:
        format: `opus`, `mp3` or `wav`.
        password: Encrypts the recording; None stores it unencrypted.

    Returns:
        `recordCall`, `recordCallFormat` and `recordCallPassword`, for the
        `VoiceElements_Instructions` object of the answer.

    Raises:
        UsageError: The format is another one, or the password is empty or cannot be encoded.
    """
    if format not in FORMATS:
        raise UsageError(f"a recording's format is one of {', '.join(FORMATS)}")
    if password is not None:
        if not password:
            raise UsageError("the password is empty; None stores the recording unencrypted")
        encode_password(password)
    return {"recordCall": True, "recordCallFormat": format, "recordCallPassword": password}
