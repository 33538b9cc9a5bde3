"""The recordings API of VNS (the vendor's pages "Call Recordings" and "API Authentication")."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin
from uuid import UUID

from filedecryptor.errors import ApiError, NotFoundError, TokenError, UsageError

if TYPE_CHECKING:
    import requests

BASE_URL = "https://vnsapi.voiceelements.com"
RECORDINGS = "/api/customer/recordings"

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""

TIMEOUT = 60.0
"""Seconds to wait for each piece of an answer."""

LONGEST_TIMEOUT = 3600

ATTEMPTS = 5
"""How often a request is made before it counts as failed."""

PAUSE = 0.5
"""Seconds before the second attempt; twice as long before each of the next."""

LONGEST_PAUSE = 60
"""Seconds between two attempts at the most, whatever the server asks for."""

MAX_REDIRECTS = 5
CHUNK_SIZE = 256 * 1024


class Client:
    """One account's recordings. It may be used by several threads.

    Args:
        token: The API key, sent in the header `Token`. It is never shown.
        url: The API's address; `http` only for the machine itself.
        timeout: Seconds to wait for each piece of an answer.

    Raises:
        UsageError: The address or the token cannot be used.
    """

    def __init__(self, token: str, *, url: str = BASE_URL, timeout: float = TIMEOUT) -> None:
        _check_url(url)
        if not token or not token.isascii() or not token.isprintable() or token != token.strip():
            raise UsageError("the API token is empty, or holds what no header can carry")
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise UsageError(f"a timeout is more than 0 and at most {LONGEST_TIMEOUT} seconds")
        self._token = token
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._of_thread = threading.local()

    def list_recordings(self) -> bytes:
        """Return the JSON that lists the recordings, as it came.

        Raises:
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
        """
        with self._answer("GET", RECORDINGS) as answer, _api_errors(self._timeout):
            return answer.content

    def download(
        self, guid: UUID, write: Callable[[bytes], object], start_again: Callable[[], object]
    ) -> bool:
        """Download a recording.

        Args:
            guid: The call's `sessionGuid`.
            write: Given the bytes, piece by piece.
            start_again: Called before each attempt; forgets what was written.

        Returns:
            Whether its length was announced, so that it is known to be whole.

        Raises:
            NotFoundError: The API has no such recording.
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
        """
        for attempt in range(1, ATTEMPTS + 1):
            start_again()
            with self._answer("GET", f"{RECORDINGS}/{guid}") as answer:
                try:
                    return _write_body(answer, write, self._timeout)
                except ApiError:
                    if attempt == ATTEMPTS:
                        raise
        raise AssertionError

    def delete(self, guid: UUID) -> None:
        """Delete a recording on the server.

        Raises:
            NotFoundError: The API has no such recording, and not because an earlier attempt of
                this call deleted it.
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
        """
        with self._answer("DELETE", f"{RECORDINGS}/{guid}"):
            pass

    @contextmanager
    def _answer(self, method: str, path: str) -> Iterator[requests.Response]:
        """Yield the answer to a request, once its status is fine; the body is not read yet."""
        url = self._url + path
        for _ in range(MAX_REDIRECTS):
            with _api_errors(self._timeout):
                answer = self._session().request(
                    method,
                    url,
                    headers={"Token": self._token, "Accept-Encoding": "identity"},
                    timeout=(CONNECT_TIMEOUT, self._timeout),
                    allow_redirects=False,
                    stream=True,
                )
            with answer:
                if not answer.is_redirect:
                    _check_status(answer, method)
                    yield answer
                    return
                with _api_errors(self._timeout):
                    target = urljoin(url, answer.headers["Location"])
            if _origin(target) != _origin(url):
                # The token must not travel there.
                raise ApiError("the API redirects to another server, which is not followed")
            url = target
        raise ApiError("the API redirects in a circle")

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = _new_session(self._url)
        return session


def _new_session(url: str) -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=ATTEMPTS - 1,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET", "DELETE"),
        backoff_factor=PAUSE,
        backoff_max=LONGEST_PAUSE,
        retry_after_max=LONGEST_PAUSE,
        raise_on_status=False,
    )
    session = requests.Session()
    session.auth = lambda request: request  # or requests would look into ~/.netrc
    if url.startswith("http://"):  # for this machine, which no proxy should be asked for
        session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _check_url(url: str) -> None:
    scheme, host, _ = _origin(url) or (None, None, 0)
    if scheme == "https" or (scheme == "http" and _is_loopback((host or "").strip("[]"))):
        return
    raise UsageError("the API's address must begin with https:// (http:// for this machine)")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _origin(url: str) -> tuple[str | None, str | None, int] | None:
    """Return where an address leads, as the library that connects reads it; None if nowhere."""
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url

    try:
        parts = parse_url(url)
    except LocationParseError:
        return None
    if parts.auth is not None or not parts.host or "\\" in url:
        return None
    return parts.scheme, parts.host, parts.port or (443 if parts.scheme == "https" else 80)


def _check_status(answer: requests.Response, method: str) -> None:
    status = answer.status_code
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise TokenError(f"the API refused the token (status {status})")
    if status == HTTPStatus.NOT_FOUND:
        if method == "DELETE" and _was_repeated(answer):
            return  # an attempt whose answer got lost has deleted it
        raise NotFoundError("the API has no such recording (status 404)")
    if status != HTTPStatus.OK and (method == "GET" or status >= HTTPStatus.MULTIPLE_CHOICES):
        raise ApiError(f"the API kept failing (status {status})")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise ApiError("the API compresses its answer, which it was not asked to")


def _was_repeated(answer: requests.Response) -> bool:
    return bool(answer.raw.retries and answer.raw.retries.history)


def _write_body(
    answer: requests.Response, write: Callable[[bytes], object], timeout: float
) -> bool:
    with _api_errors(timeout):
        announced = answer.headers.get("Content-Length")
        expected = None if announced is None else int(announced)
    count = 0
    pieces = answer.iter_content(CHUNK_SIZE)
    while True:
        with _api_errors(timeout):
            piece = next(pieces, b"")
        if not piece:
            break
        write(piece)
        count += len(piece)
    if expected is not None:
        if count != expected:
            raise ApiError(f"the download ended after {count} of {expected} bytes")
        return True
    return answer.headers.get("Transfer-Encoding") == "chunked"


def _no_answer(timeout: float) -> ApiError:
    return ApiError(f"the API did not answer within {timeout:g} seconds")


@contextmanager
def _api_errors(timeout: float) -> Iterator[None]:
    """Turn exceptions of requests, which hold the request and its token, into our own."""
    from requests import exceptions
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        NewConnectionError,
        ReadTimeoutError,
    )

    try:
        yield
    except exceptions.SSLError:
        ours = ApiError("the API's certificate is not trusted")
    except exceptions.Timeout:
        ours = _no_answer(timeout)
    except (exceptions.ChunkedEncodingError, exceptions.ContentDecodingError):
        ours = ApiError("the download broke off")
    except exceptions.ConnectionError as error:
        # Where retries were of no use, the last reason is inside.
        reasons = [getattr(inner, "reason", inner) for inner in error.args]
        if any(
            isinstance(reason, (ConnectTimeoutError, ReadTimeoutError))
            and not isinstance(reason, NewConnectionError)
            for reason in reasons
        ):
            ours = _no_answer(timeout)
        else:
            ours = ApiError("the API cannot be reached, or breaks off")
    except (exceptions.RequestException, HTTPError, ValueError, OverflowError):
        ours = ApiError("the API's answer is not valid HTTP")
    else:
        return
    try:
        raise ours
    finally:
        ours.__context__ = None  # `from None` would only hide it
