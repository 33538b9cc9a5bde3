"""HTTP whose every byte is watched: addresses, limits of time, and one shared pause."""

from __future__ import annotations

import ipaddress
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from filedecryptor.errors import ApiError, in_one_line
from filedecryptor.jobs.workers import WAKING_INTERVAL

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


LONGEST_PAUSE = 60.0
"""Seconds between two attempts at the most, whatever the server asks for."""

FIRST_INTERVAL = 0.1
"""Seconds between two requests of all threads after the server has said for the first time that
there are too many; twice as long each time, a little shorter after each request that succeeds."""

LONGEST_INTERVAL = 10.0

SHORTER = 0.9

SHORTEST_INTERVAL = 0.02
"""An interval that would become shorter than this is none."""

LONGEST_SLEEP = 0.1
"""Seconds after which a thread that waits looks whether it still has to."""


class Pace:
    """How fast requests may follow each other. All threads of a client share it.

    Attributes:
        successes: How many requests have succeeded.
    """

    def __init__(self) -> None:
        self.successes = 0
        self._lock = Lock()
        self._refusals = 0
        self._interval = self._paused_until = self._next = self._slowed_down = 0.0

    def wait(self, on_wait: Callable[[], object]) -> float:
        """Wait until the next request may be made, and return the time, which `slow_down` takes.

        Args:
            on_wait: Called now and then meanwhile. What it raises ends the waiting.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                begin = max(self._paused_until, self._next)
                if now >= begin:
                    self._next = now + self._interval
                    return now
            sleep(begin - now, on_wait)

    def slow_down(self, begun: float, retry_after: float | None, first_pause: float) -> None:
        """Let all threads pause, and ask less often from then on.

        Args:
            begun: When the request was begun that the server has refused.
            retry_after: Seconds that the server asks for; None if it does not.
            first_pause: Seconds to pause at first otherwise; twice as long each time.
        """
        with self._lock:
            now = time.monotonic()
            if begun >= self._slowed_down:  # or its refusal says nothing about the new speed
                longer = max(2 * self._interval, FIRST_INTERVAL)
                self._interval = min(longer, LONGEST_INTERVAL)
                self._refusals += 1
                self._slowed_down = now
            pause = retry_after or backoff(first_pause, self._refusals)
            self._paused_until = max(self._paused_until, now + pause)

    def went_well(self) -> None:
        """Note that a request has succeeded."""
        with self._lock:
            self.successes += 1
            self._refusals = 0
            self._interval *= SHORTER
            if self._interval < SHORTEST_INTERVAL:
                self._interval = 0.0


def sleep(seconds: float, on_wait: Callable[[], object]) -> None:
    """Sleep for some seconds, and call a function before and now and then meanwhile."""
    end = time.monotonic() + seconds
    while True:
        on_wait()
        rest = end - time.monotonic()
        if rest <= 0:
            return
        time.sleep(min(rest, LONGEST_SLEEP))


def backoff(first_pause: float, attempt: int) -> float:
    """Return the seconds to wait after a failed attempt: exponential, and randomly shorter."""
    longest = min(LONGEST_PAUSE, first_pause * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3).

    Fractions are understood as well. None stands for what is no time, or none to come.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
            if then.tzinfo is None:
                then = then.replace(tzinfo=UTC)
            seconds = (then - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError, TypeError, IndexError):
            return None
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else None  # not a number is not either


LEAST_SPEED = 1000
"""Bytes a second that have to come; whoever sends less for the whole of a timeout is given up."""


class TimeOverError(ApiError):
    """The time that the whole run was given is over."""


class TooSlowError(httpcore.ReadTimeout):
    """What comes is less than `LEAST_SPEED`."""


class Limits:
    """How long a client may take.

    Args:
        timeout: Seconds to wait for the beginning of an answer, and for each `LEAST_SPEED` bytes a
            second of it.
        max_time: Seconds from now in which all must be done; None if there is no limit.

    Attributes:
        timeout: As above.
    """

    def __init__(self, timeout: float, max_time: float | None) -> None:
        self.timeout = timeout
        self._max_time = max_time
        self._deadline = None if max_time is None else time.monotonic() + max_time

    def left(self, seconds: float) -> float:
        """Return how many of these seconds there are until the run's time is over.

        Raises:
            TimeOverError: None.
        """
        if self._deadline is None:
            return seconds
        rest = self._deadline - time.monotonic()
        if rest <= 0:
            raise TimeOverError(f"the {self._max_time:g} seconds of --max-time are over")
        return min(seconds, rest)


class Backend(httpcore.SyncBackend):
    """Connects as `httpcore` does, and watches how much comes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        """Return a connection that is watched."""
        return _Stream(super().connect_tcp(*args, **options), self._limits)


class _Stream(httpcore.NetworkStream):
    """A connection that is given up if what comes is too little.

    The time is taken where the bytes arrive, so headers that trickle in count as well, and time
    that this side needs does not.
    """

    def __init__(self, stream: httpcore.NetworkStream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._begin()

    def _begin(self) -> None:
        self._waited, self._count = 0.0, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        most = self._limits.timeout
        data = None
        while data is None:
            begin = time.monotonic()
            rest = self._limits.left(most - self._waited)
            with suppress(httpcore.ReadTimeout):
                data = self._stream.read(max_bytes, min(rest, WAKING_INTERVAL))
            self._waited += time.monotonic() - begin
            if data is None and self._waited >= most:
                raise TooSlowError if self._count else httpcore.ReadTimeout
        self._count += len(data)
        if self._waited >= most:
            if self._count < LEAST_SPEED * self._waited:
                raise TooSlowError
            self._begin()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._begin()
        self._stream.write(buffer, self._limits.left(self._limits.timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        return _Stream(self._stream.start_tls(*args, **options), self._limits)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        return self._stream.get_extra_info(info)


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
