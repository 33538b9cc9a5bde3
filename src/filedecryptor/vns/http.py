"""HTTP whose every byte is watched: addresses, connections, limits of time, new attempts."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from http import HTTPStatus
from http.client import responses
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

from filedecryptor.core.decryptor import OnProgress
from filedecryptor.errors import ApiError, in_one_line
from filedecryptor.jobs.workers import WAKING_INTERVAL
from filedecryptor.vns import proxies, times, tls
from filedecryptor.vns.proxies import PORTS, Proxy

Result = TypeVar("Result")


def address_of(url: str, base: str = "") -> SplitResult | None:
    """Return the parts of an HTTP URL; None if it is invalid, or could hide its host."""
    odd = "\\" in url or not url.isascii() or any(character <= " " for character in url)
    try:
        parts = urlsplit(urljoin(base, url))
        is_address = parts.scheme in PORTS and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")  # as the resolver will do
    except ValueError:
        return None
    return parts if is_address and "@" not in parts.netloc and not odd else None


def is_loopback(address: SplitResult) -> bool:
    """Return whether an address leads to this machine."""
    number = r"127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}"
    return re.fullmatch(rf"localhost|::1|{number}", address.hostname or "") is not None


def origin(address: SplitResult) -> tuple[str, str, int]:
    """Return what tells servers apart (RFC 6454, section 4)."""
    return address.scheme, address.hostname or "", address.port or PORTS[address.scheme]


LEAST_SPEED = 1000  # bytes a second; a server that sends less for a whole timeout is given up
CONNECT_TIMEOUT = 10.0  # seconds
ATTEMPTS = 5  # how often a request is made before it counts as failed
PAUSE = 0.5  # seconds before the second attempt; twice as long before each of the next
LONGEST_PAUSE = 60.0  # seconds between two attempts, whatever the server asks for
SPACING = 0.1  # seconds between the beginnings of two requests, from the first refusal on

# Statuses (RFC 9110, section 15; 520 to 524 are Cloudflare's).
PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504, *range(520, 525)}


class PassingError(Exception):
    """A failure that may pass; if the request has brought a download on, it does not count."""

    has_progressed = False
    is_busy = False  # the server gets too many requests, or asks for a pause
    retry_after: float | None = None  # seconds of it


class TimeOverError(ApiError):
    """The time that the whole run was given is over."""


class TooSlowError(httpcore.ReadTimeout):
    """Less than `LEAST_SPEED` is received."""


_BREAKS_OFF = "the answer of {peer} breaks off, or is not valid HTTP: {cause}"
_CAUSES: dict[type[Exception], str] = {
    TooSlowError: f"{{peer}} sends less than {LEAST_SPEED} bytes a second",
    httpcore.ConnectTimeout: f"{{peer}} cannot be reached within {CONNECT_TIMEOUT:g} seconds",
    httpcore.TimeoutException: "{peer} did not answer within {timeout:g} seconds",
    httpcore.ConnectError: "{peer} cannot be reached: {cause}",
    httpcore.ProxyError: "{peer} does not lead to {server}: {cause}",
    **dict.fromkeys((httpcore.NetworkError, httpcore.ProtocolError, OverflowError), _BREAKS_OFF),
    ValueError: "the answer of {peer} is not valid HTTP",  # a number that h11 cannot read
}


class Answer(NamedTuple):
    """The answer to a request, with the names of its headers in lower case."""

    status: int
    headers: dict[str, str]
    pieces: Iterator[bytes]

    def beginning(self, size: int) -> bytes:
        """Return the first bytes of the body, or all of it if it is shorter."""
        body = bytearray()
        for piece in self.pieces:
            body += piece
            if len(body) >= size:
                break
        return bytes(body)[:size]


class Network(httpcore.SyncBackend):
    """Connections to servers, the time that may pass, and requests that are made again.

    Several threads may use it: one refusal for too many requests pauses all of them.
    """

    def __init__(self, timeout: float, max_time: float | None) -> None:
        self.timeout = timeout
        self._max_time = math.inf if max_time is None else max_time
        self._deadline = time.monotonic() + self._max_time
        self._pools: dict[object, tuple[Proxy | None, httpcore.ConnectionPool]] = {}
        self._lock = Lock()
        self._answers = 0  # to requests that were not refused
        self._refusals = 0  # one after another, since the last such answer
        self._until = 0.0  # when the next request may begin; 0 until one is refused

    def close(self) -> None:
        """Close all connections."""
        for _, pool in self._pools.values():
            pool.close()

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        """Connect as `httpcore` does, and watch how much comes."""
        return _Stream(super().connect_tcp(*args, **options), self)

    def left(self, seconds: float) -> float:
        """Return how many of these seconds there are until the run's time is over, or raise."""
        rest = self._deadline - time.monotonic()
        if rest <= 0:
            raise TimeOverError(f"the {self._max_time:g} seconds of --max-time are over")
        return min(seconds, rest)

    def make(self, request: Callable[[], Result], on_progress: OnProgress) -> Result:
        """Return what a request returns, made again while it fails for a reason that may pass.

        A refusal does not count if others got through since the attempt before.
        """
        failures, answers, earliest = 0, self._answers, 0.0
        while True:
            self._wait(earliest, on_progress)
            failure: PassingError | None = None
            refusals = self._refusals
            try:
                return request()
            except PassingError as error:
                failure = error
            finally:
                is_busy = failure is not None and failure.is_busy
                with self._lock:
                    self._answers += not is_busy
                    # Those that were under way together count once.
                    self._refusals = max(self._refusals, refusals + 1) if is_busy else 0
            counts = self._answers == answers if is_busy else not failure.has_progressed
            answers, failures = self._answers, failures + 1 if counts else 0
            pause = failure.retry_after or backoff(PAUSE, max(failures, self._refusals, 1))
            earliest = time.monotonic() + max(pause, SPACING if is_busy else 0)
            if is_busy:
                with self._lock:
                    self._until = max(self._until, earliest)
            if failures >= ATTEMPTS:
                raise ApiError(str(failure))

    def _wait(self, earliest: float, on_progress: OnProgress) -> None:
        """Wait until the next request may begin."""
        while True:
            on_progress(0)
            with self._lock:
                now = time.monotonic()
                rest = max(self._until, earliest) - now
                if rest <= 0:
                    self._until = self._until and now + SPACING
                    return
            time.sleep(self.left(min(rest, WAKING_INTERVAL)))

    @contextmanager
    def exchange(
        self, method: str, address: SplitResult, headers: Mapping[str, str]
    ) -> Iterator[Answer]:
        """Make a request once, and yield the answer to it; raise PassingError if there is none."""
        scheme, host, port = origin(address)
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        proxy, pool = self.prepare(address)
        way = _Way(self, address.netloc, proxy)
        request = httpcore.Request(
            method,
            httpcore.URL(scheme=scheme, host=host, port=port, target=target),
            headers=[("Host", address.netloc), *headers.items()],
            extensions={"timeout": {"connect": self.left(CONNECT_TIMEOUT)}, "trace": way.watch},
        )
        with proxy.first_alone() if proxy else nullcontext():
            response = way.attempt(pool.handle_request, request)
        try:
            names: dict[str, str] = {}
            for name, value in response.headers:
                key = name.decode("ascii", "replace").lower()
                text = value.decode("utf-8", "replace")
                names[key] = f"{names[key]}, {text}" if key in names else text
            stream = response.iter_stream()
            pieces = iter(lambda: way.attempt(next, stream, None), None)
            yield Answer(response.status, names, pieces)
        finally:
            response.close()

    def prepare(self, address: SplitResult) -> tuple[Proxy | None, httpcore.ConnectionPool]:
        """Return the proxy for a server, and the connections; raise UsageError if one is unfit."""
        scheme, host, port = origin(address)
        found = proxies.find(host, port) if scheme == "https" else None
        with self._lock:
            if (scheme, found) not in self._pools:
                proxy = Proxy(*found) if found else None
                # The certificates of the system (or of SSL_CERT_FILE), and those of `certifi`.
                trust = tls.context(httpcore.default_ssl_context) if scheme == "https" else None
                pool = httpcore.ConnectionPool(
                    ssl_context=trust,
                    proxy=httpcore.Proxy(proxy.url, proxy.auth) if proxy else None,
                    max_connections=None,
                    keepalive_expiry=5,  # seconds
                    network_backend=self,
                )
                self._pools[scheme, found] = proxy, pool
            return self._pools[scheme, found]


class _Way:
    """The way of a request to its server: a failure names the one that it had come to."""

    def __init__(self, network: Network, server: str, proxy: Proxy | None) -> None:
        self._network, self._server, self._proxy = network, server, proxy
        self._is_at_proxy = False

    def watch(self, event: str, _: Mapping[str, Any]) -> None:
        """Note how far it has come; `httpcore` calls this, as its extension `trace`."""
        if event == "connection.connect_tcp.started":
            self._is_at_proxy = self._proxy is not None
        elif event == "proxy.start_tls.started":
            self._is_at_proxy = False

    def attempt(self, step: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401
        """Return what a step returns; raise an error of ours, which does not hold the token."""
        try:
            return step(*args)
        except tuple(_CAUSES) as error:
            failure = self._failure(error)
        self._network.left(1)  # or the run's time is over, which says more
        # Errors are raised here, as their context would be kept even if `from None` hid it.
        raise failure

    def _failure(self, error: Exception) -> ApiError | PassingError:
        """Return the error of ours for one of `httpcore`; it says whether it may pass."""
        server, proxy, status = self._server, self._proxy, 0
        peer = f"{server} through {proxy}" if proxy else server
        peer = str(proxy) if self._is_at_proxy else peer
        reason = error.args[0] if error.args else None
        # Without places in C, and without what the server has sent: that may hold the token, and would
        # be written as Python writes bytes.
        place, sent = r"^\[[^]]*\] | \(_ssl\.c:\d+\)$", r":? (bytearray\()?b['\"].*"
        said = str(getattr(reason, "strerror", None) or error)
        cause = in_one_line(re.sub(f"{place}|{sent}", "", said, flags=re.DOTALL))
        if proxy and isinstance(error, httpcore.ProxyError):
            status = int(cause.split()[0])
            if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                return proxy.refused()
            # In the standard's words: the proxy's own might repeat the password.
            cause = f"{status} {responses.get(status, '')}".rstrip()
        text = next(text for kind, text in _CAUSES.items() if isinstance(error, kind))
        text = text.format(peer=peer, server=server, timeout=self._network.timeout, cause=cause)
        if status and status not in PASSING_STATUSES:
            return ApiError(text)
        return tls.refusal(reason, peer) or PassingError(text)


def backoff(first_pause: float, attempt: int) -> float:
    """Return the seconds to wait after a failed attempt: exponential, and randomly shorter."""
    longest = min(LONGEST_PAUSE, first_pause * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, if any (RFC 9110, 10.2.3)."""
    try:
        seconds = float(value or "")
    except ValueError:
        then = times.parse(value)
        seconds = 0 if then is None else (then - times.now()).total_seconds()
    return min(seconds, LONGEST_PAUSE) if seconds > 0 else None  # not a number is not either


class _Stream(httpcore.NetworkStream):
    """A connection that is given up if too few bytes come.

    The time is taken where the bytes arrive, so headers that trickle in count as well, and time
    that this side needs does not.
    """

    def __init__(self, stream: httpcore.NetworkStream, network: Network) -> None:
        self._stream = stream
        self._network = network
        self._begin()

    def _begin(self) -> None:
        self._waited, self._count = 0.0, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        most = self._network.timeout
        data = None
        while data is None:
            begin = time.monotonic()
            rest = self._network.left(most - self._waited)
            with suppress(httpcore.ReadTimeout):
                data = self._stream.read(max_bytes, min(rest, WAKING_INTERVAL))
            self._waited += time.monotonic() - begin
            self._count += len(data or b"")
            if self._waited >= most:
                if self._count < LEAST_SPEED * self._waited:
                    raise TooSlowError if self._count else httpcore.ReadTimeout
                self._begin()
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._begin()
        self._stream.write(buffer, self._network.left(self._network.timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:  # noqa: ANN401
        return _Stream(self._stream.start_tls(*args, **options), self._network)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        return self._stream.get_extra_info(info)
