"""Addresses, taken apart once."""

from __future__ import annotations

import pytest

from filedecryptor.vns.http import Address


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://a.example", ("https", "a.example", 443, "/")),
        ("https://a.example:8443/x?y=1#z", ("https", "a.example", 8443, "/x?y=1")),
        ("http://[::1]:80/x", ("http", "::1", 80, "/x")),
    ],
)
def test_parts(url: str, parts: tuple[str, str, int, str]) -> None:
    """Scheme, host, port and target, with the usual port filled in."""
    assert tuple(Address.parse(url)) == parts


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a.example",
        "https://",
        "https://user@a.example",
        "https://a.example\\@b.example",
        "https://a.example/\nx",
        "https://a.example/ x",
        "https://b\u00fccher.example",
        "https://[x",
        "https://a.example:port",
        "https://a.example:99999",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """Nothing that hides its host, or that two programs would read differently."""
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words
        Address.parse(url).host_header  # noqa: B018 - some parts are looked at late


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://a.example", True),
        ("http://a.example", False),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]", True),
        ("http://localhost", True),
        ("http://localhost.example", False),
    ],
)
def test_what_nobody_can_read(url: str, secret: bool) -> None:  # noqa: FBT001
    """Encrypted, or on this machine."""
    assert Address.parse(url).is_secret == secret


def test_written_again() -> None:
    """The port only where it is not the usual one; IPv6 in brackets."""
    assert str(Address.parse("https://a.example:443/x")) == "https://a.example/x"
    assert Address.parse("http://[::1]:81/").host_header == "[::1]:81"
