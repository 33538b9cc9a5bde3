"""HTTP requests that end in a bounded time, however slowly the other side sends."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from filedecryptor.errors import ApiError, in_one_line
from filedecryptor.vns.address import Address
from filedecryptor.vns.limits import LEAST_SPEED, Backend, Limits, TooSlowError

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""

KEEP_ALIVE = 5.0
"""Seconds that an idle connection is kept for the next request."""


class PassingError(Exception):
    """A failure that may pass: the request can be made again.

    Args:
        cause: What is wrong, in one line.
        retry_after: Seconds that the server asks to wait for; None if it does not.
        is_busy: Whether it says that it gets too many requests.

    Attributes:
        has_progressed: Whether the request brought a download on, before it failed.
    """

    def __init__(
        self, cause: str, *, retry_after: float | None = None, is_busy: bool = False
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after
        self.is_busy = is_busy
        self.has_progressed = False


class Answer:
    """The answer to a request; its body has not been read yet."""

    def __init__(self, response: httpcore.Response, address: Address, network: Network) -> None:
        self.status = response.status
        self.headers: dict[str, str] = {}
        for name, value in response.headers:
            key = name.decode("ascii", "replace").lower()
            text = value.decode("utf-8", "replace")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
        self.address = address
        self._response = response
        self._network = network

    def pieces(self) -> Iterator[bytes]:
        """Yield the body piece by piece.

        Raises:
            PassingError: It breaks off, or comes too slowly.
            TimeOverError: The run's time is over.
        """
        with self._network.errors(self.address):
            yield from self._response.iter_stream()

    def body(self, largest: int) -> bytes:
        """Return the whole body.

        Args:
            largest: Its length in bytes at the most.

        Raises:
            PassingError: As `pieces`.
            ApiError: It is longer.
        """
        found = []
        for piece in self.pieces():
            largest -= len(piece)
            if largest < 0:
                raise ApiError("the answer of the API does not end")
            found.append(piece)
        return b"".join(found)

    def beginning(self, size: int) -> bytes:
        """Return the first bytes of the body, as far as they come: what an error has to say."""
        found = b""
        try:
            for piece in self.pieces():
                found += piece
                if len(found) >= size:
                    break
        except PassingError:
            pass
        return found[:size]


class Network:
    """Connections to servers; several threads may use them.

    Args:
        limits: How long things may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pools: dict[str, httpcore.ConnectionPool] = {}
        self._lock = Lock()

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()

    @contextmanager
    def exchange(
        self, method: str, address: Address, headers: Mapping[str, str]
    ) -> Iterator[Answer]:
        """Make a request once, and yield the answer to it.

        Raises:
            PassingError: There is none, or it breaks off.
            ApiError: The server cannot be trusted.
            TimeOverError: The run's time is over.
        """
        connect = self._limits.left(CONNECT_TIMEOUT)
        response = None
        try:
            with self.errors(address):
                url = httpcore.URL(
                    scheme=address.scheme,
                    host=address.host,
                    port=address.port,
                    target=address.target,
                )
                request = httpcore.Request(
                    method,
                    url,
                    headers=[("Host", address.host_header), *headers.items()],
                    extensions={"timeout": {"connect": connect}},
                )
                response = self._pool(address).handle_request(request)
            yield Answer(response, address, self)
        finally:
            if response is not None:
                response.close()

    def _pool(self, address: Address) -> httpcore.ConnectionPool:
        proxy = ""
        if address.scheme == "https" and not proxy_bypass(address.host):
            proxies = getproxies()
            proxy = proxies.get("https") or proxies.get("all") or ""
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = httpcore.ConnectionPool(
                    ssl_context=self._certificates if address.scheme == "https" else None,
                    proxy=_proxy(proxy) if proxy else None,
                    max_connections=None,
                    keepalive_expiry=KEEP_ALIVE,
                    network_backend=Backend(self._limits),
                )
            return self._pools[proxy]

    @cached_property
    def _certificates(self) -> ssl.SSLContext:
        """Those of the system (or of SSL_CERT_FILE), and those of the package `certifi`."""
        return httpcore.default_ssl_context()

    @contextmanager
    def errors(self, address: Address) -> Iterator[None]:
        """Turn exceptions of `httpcore`, which hold the request and its token, into our own."""
        try:
            yield
        except (*_FAILURES, httpcore.UnsupportedProtocol) as error:
            ours = _translated(error, address.host_header, self._limits.timeout)
        except (ValueError, OverflowError):  # what h11 cannot make a number of
            ours = PassingError(f"the answer of {address.host_header} is not valid HTTP")
        else:
            return
        self._limits.left(1)  # or the run's time is over, which says more
        try:
            raise ours
        finally:
            ours.__context__ = None  # `from None` would only hide it


_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
)


def _translated(error: Exception, server: str, timeout: float) -> PassingError | ApiError:
    reason = error.args[0] if error.args else None
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ApiError(
            f"the certificate of {server} is not trusted: {reason.verify_message}",
            hint="if it is a proxy's, name its certificate with the variable SSL_CERT_FILE",
        )
    if isinstance(error, httpcore.UnsupportedProtocol):
        return ApiError("the proxy named in the environment is not one for HTTP")
    cause = in_one_line(getattr(reason, "strerror", None) or error)
    sentences: tuple[tuple[type[Exception], str], ...] = (
        (TooSlowError, f"{server} sends less than {LEAST_SPEED} bytes a second"),
        (
            httpcore.ConnectTimeout,
            f"{server} cannot be reached within {CONNECT_TIMEOUT:g} seconds",
        ),
        (httpcore.TimeoutException, f"{server} did not answer within {timeout:g} seconds"),
        (httpcore.ConnectError, f"{server} cannot be reached: {cause}"),
        (httpcore.ProxyError, f"the proxy does not lead to {server}: {cause}"),
        (Exception, f"the answer of {server} breaks off, or is not valid HTTP: {cause}"),
    )
    return PassingError(next(text for kind, text in sentences if isinstance(error, kind)))


def _proxy(url: str) -> httpcore.Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return httpcore.Proxy(f"{parts.scheme}://{host}{port}", auth)
