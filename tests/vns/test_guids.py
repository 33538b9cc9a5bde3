"""How a `sessionGuid` may be written."""

from __future__ import annotations

from uuid import UUID

import pytest

from filedecryptor.errors import UsageError
from filedecryptor.vns import listing

TEXT = "0a1b2c3d-0000-4000-8000-00000000000f"


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        (TEXT, TEXT),
        (TEXT.upper(), TEXT.upper()),
        (f"{{{TEXT}}}", TEXT),
        (f" ({TEXT}) ", TEXT),
        (TEXT.replace("-", ""), TEXT.replace("-", "")),
        (f"{TEXT}.enc", TEXT),
        (f"{TEXT}.opus.enc", TEXT),
    ],
)
def test_spellings(text: str, spelling: str) -> None:
    """The same GUID, and the server's letters for the address."""
    assert listing.parse(text) == (UUID(TEXT), spelling)
    assert str(listing.session(text)) == TEXT


@pytest.mark.parametrize(
    "text", ["", None, 3, TEXT[:-1], f"{TEXT}0", f"../{TEXT}", f"{TEXT}/x", f"{TEXT}?", "x" * 9999]
)
def test_what_is_no_guid(text: object) -> None:
    """It never becomes a part of an address or of a name."""
    assert listing.parse(text) is None
    with pytest.raises(UsageError):
        listing.session(str(text))
