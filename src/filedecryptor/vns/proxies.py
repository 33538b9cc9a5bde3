"""Proxies: through which one a server is asked, and what an address of one means."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, proxy_bypass

from filedecryptor.errors import ApiError, UsageError

PORTS = {"https": 443, "http": 80}
_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?+(?:([^:]*)(?::(.*))?@)?"  # a name and a password
    r"(?P<host>\[[0-9a-f:.]+\]|(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?)"
    r"(?::(?P<port>[0-9]{0,5}))?(?:[/?#][^@]*)?",
    re.IGNORECASE | re.ASCII,
)
_HINT = "write it as http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT, with %25 for a %"


def find(host: str, port: int) -> tuple[str, str] | None:
    """Return the address of a server's proxy and what sets it; None if it is asked directly."""
    named = getproxies()
    kind = next((kind for kind in ("https", "all") if named.get(kind, "").strip()), None)
    spellings = [host, f"[{host}]"] if ":" in host else [host]
    if kind is None or any(proxy_bypass(f"{one}:{port}") for one in spellings):
        return None
    variable = (f"{kind}_proxy", named[kind])
    names = [name for name, value in os.environ.items() if (name.lower(), value) == variable]
    return named[kind].strip(), max(names, default="the settings of the system")


class Proxy:
    """A proxy by its address, which `origin` holds. Its name and password are shown nowhere."""

    def __init__(self, address: str, origin: str) -> None:
        scheme = re.match(r"([a-z][a-z0-9+.-]*)://", address, re.IGNORECASE)
        kind = scheme[1].lower() if scheme else "http"
        if kind not in PORTS:
            cause = f"{origin} names a proxy for {kind}://, which is not supported"
            hint = "name one for http:// or https://, or except the server by NO_PROXY"
            raise UsageError(cause, hint=hint)
        parts = _ADDRESS.fullmatch(address)
        port = int(parts["port"] or PORTS[kind]) if parts else 0
        is_address = scheme or (parts and (parts["port"] or "." in parts["host"]))  # not `None`
        if not (parts and is_address and 0 < port < 1 << 16):
            raise UsageError(f"{origin} is not the address of a proxy", hint=_HINT)
        self._place, self._origin = f"{parts['host']}:{port}", origin
        self.url = f"{kind}://{self._place}"
        user = [(part or "").encode("utf-8", "surrogateescape") for part in parts.groups()[:2]]
        name, password = map(unquote_to_bytes, user)
        self.auth = None if parts[1] is None else (name, password)
        self._lock = Lock()
        self._is_known = self._is_refusing = False

    def __str__(self) -> str:
        return f"the proxy {self._place} ({self._origin})"

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let nobody else ask until the first answer: many wrong passwords lock an account."""
        with nullcontext() if self._is_known else self._lock:
            if self._is_refusing:
                raise self.refused()
            try:
                yield
            finally:
                self._is_known = True

    def refused(self) -> ApiError:
        """Return the error for a name and password that it refuses; they are not sent again."""
        self._is_refusing = True
        cause = f"the proxy {self._place} refuses the name and password in {self._origin}"
        cause = f"{self} wants a name and a password" if self.auth is None else cause
        return ApiError(f"{cause} (status 407)", hint=_HINT)
