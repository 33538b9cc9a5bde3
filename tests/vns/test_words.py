"""What a server says, as one line."""

from __future__ import annotations

import pytest

from filedecryptor.vns.client import words_of


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"{}", ""),
        (b"\x89PNG\r\n\x1a\n\0\0", ""),
        (b"try\n\tagain", "try again"),
        (b'{"error": "no such thing"}', "no such thing"),
        (b'{"title": "Bad", "detail": "The token ended"}', "The token ended"),
        (b'{"error": {"code": 3, "message": "deep"}}', "deep"),
        (b'[{"message": "first"}]', "first"),
        (b'{"code": 3}', '{"code": 3}'),
        (
            b"<html><head><title>502</title><style>x{}</style></head><body>Bad &amp; gone</body>",
            "502: Bad & gone",
        ),
        ("Zugriff verweigert f\u00fcr Sie".encode("latin-1"), "Zugriff verweigert f\u00fcr Sie"),
        ('{"error": "wide"}'.encode("utf-16"), "wide"),
        (b"the token SECRET is no good", "the token ... is no good"),
        (b'{"error": "SEC\\u0052ET"}', "..."),
    ],
)
def test_words(body: bytes, words: str) -> None:
    """The message in a JSON text, the text of a page; never the secret."""
    assert words_of(body, "SECRET") == words


def test_words_are_few() -> None:
    """An error has one line."""
    assert len(words_of(b"word " * 1000, "x")) < 220
