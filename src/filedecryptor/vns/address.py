"""Addresses of HTTP servers."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"https": 443, "http": 80}


class Address(NamedTuple):
    """Where a request goes, taken apart once, so that no two parsers can read it differently."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Return the parts of a URL.

        Raises:
            ValueError: It is none for HTTP, or holds a name, a password, or what hides its host.
        """
        parts = urlsplit(url)
        odd = "\\" in url or not url.isascii() or any(character <= " " for character in url)
        if odd or parts.scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
            raise ValueError(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.scheme, parts.hostname, port, target)

    @property
    def origin(self) -> tuple[str, str, int]:
        """What tells servers apart (RFC 6454, section 4)."""
        return self[:3]

    @property
    def is_secret(self) -> bool:
        """Whether nobody on the way can read along: it is encrypted, or stays on this machine."""
        return self.scheme == "https" or self.is_loopback

    @property
    def is_loopback(self) -> bool:
        """Whether it leads to this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def host_header(self) -> str:
        """The value of the header `Host` (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS[self.scheme] == self.port else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.target}"
