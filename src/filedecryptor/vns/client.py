"""The recordings API of VNS (the vendor's pages "Call Recordings" and "API Authentication")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import BinaryIO, TypeVar
from urllib.parse import urljoin
from uuid import UUID

from filedecryptor import __version__
from filedecryptor.decryptor import ignore
from filedecryptor.errors import ApiError, NotFoundError, UsageError
from filedecryptor.vns import guids
from filedecryptor.vns.address import Address
from filedecryptor.vns.download import Download, refuse_compressed
from filedecryptor.vns.guids import SessionGuid
from filedecryptor.vns.limits import Limits
from filedecryptor.vns.listing import Listing
from filedecryptor.vns.network import Answer, Network, PassingError
from filedecryptor.vns.pace import Pace, backoff, sleep
from filedecryptor.vns.refusals import refusal, says_no
from filedecryptor.vns.words import READ, words_of

BASE_URL = "https://vnsapi.voiceelements.com"
RECORDINGS = "/api/customer/recordings"

TIMEOUT = 60.0
"""Seconds to wait for an answer, and for each piece of it."""

LONGEST_TIMEOUT = 3600

ATTEMPTS = 5
"""How often a request is made before it counts as failed."""

PAUSE = 0.5
"""Seconds before the second attempt; twice as long before each of the next."""

LARGEST_LIST = 256 << 20
"""Bytes of a list that are taken into memory: those of more than a million recordings."""

MAX_REDIRECTS = 5

REDIRECTS = {301, 302, 303, 307, 308}

Result = TypeVar("Result")


class Client:
    """One account's recordings. It may be used by several threads.

    Args:
        token: The API key, sent in the header `Token`. It is never shown.
        url: The API's address; `http` only for the machine itself.
        timeout: Seconds to wait for the beginning of an answer. The same time must then bring at
            least 1,000 bytes for each of its seconds.
        max_time: Seconds from now after which every request fails; None if there is no limit.

    Raises:
        UsageError: The address, the token or a time cannot be used.
    """

    def __init__(
        self,
        token: str,
        *,
        url: str = BASE_URL,
        timeout: float = TIMEOUT,
        max_time: float | None = None,
    ) -> None:
        try:
            self._address = Address.parse(url)
        except ValueError:
            self._address = Address("", "", 0, "")
        if not self._address.is_secret:
            raise UsageError(
                "the API's address must begin with https:// (http:// for this machine)"
            )
        if not token:
            raise UsageError("the API token is empty")
        if not token.isascii() or not token.isprintable() or token != token.strip():
            raise UsageError("the API token holds characters that an HTTP header cannot carry")
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise UsageError(f"a timeout is more than 0 and at most {LONGEST_TIMEOUT} seconds")
        self._token = token
        self._limits = Limits(timeout, max_time)
        self._network = Network(self._limits)
        self._pace = Pace()

    def close(self) -> None:
        """Close all connections."""
        self._network.close()

    def list_recordings(self, *, attempts: int = ATTEMPTS) -> Listing:
        """Return the list of the recordings.

        Args:
            attempts: How often to ask before it counts as failed.

        Raises:
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
        """

        def request() -> Listing:
            with self._answer("GET", "") as answer:
                if answer.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
                    raise self._refusal(answer)
                refuse_compressed(answer)
                data = answer.body(LARGEST_LIST)
                # Whatever is made of it, the token must not be in that.
                return Listing(data.replace(self._token.encode(), b"..."), answer.headers)

        try:
            return self._persistently(request, ignore, attempts)
        except NotFoundError:
            raise ApiError(
                "the API has no list of recordings at this address (status 404)",
                hint="see that --api-url is the address of the API, without a path",
            ) from None

    def download(
        self,
        guid: UUID | SessionGuid | str,
        file: BinaryIO,
        on_progress: Callable[[int], object] = ignore,
    ) -> bool:
        """Download a recording into a file, which is cut and written from its beginning.

        A download that breaks off goes on where it was, if the server can do that.

        Args:
            guid: The call's `sessionGuid`, in the server's own spelling.
            file: A binary file, open for writing.
            on_progress: Called with the number of bytes after each piece, and with 0 now and then
                while nothing comes. What it raises ends the download.

        Returns:
            Whether its length was announced, so that it is known to be whole.

        Raises:
            NotFoundError: The API has no such recording.
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
            OSError: The file cannot be written.
        """
        download = Download(file, on_progress)

        def request(spelling: str) -> bool:
            with self._answer("GET", f"/{spelling}", download.headers()) as answer:
                if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    download.start_again()
                    raise PassingError("the API does not send the rest of a download")
                if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                    raise self._refusal(answer)
                refuse_compressed(answer)
                return download.receive(answer)

        return self._in_each_spelling(
            guid, lambda spelling: self._persistently(partial(request, spelling), on_progress)
        )

    def delete(
        self, guid: UUID | SessionGuid | str, on_progress: Callable[[int], object] = ignore
    ) -> None:
        """Delete a recording on the server. No redirection of this is ever followed.

        Args:
            guid: The call's `sessionGuid`, in the server's own spelling.
            on_progress: Called with 0 now and then. What it raises ends the waiting.

        Raises:
            NotFoundError: The API has no such recording, and not because an earlier attempt of
                this call deleted it.
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
        """

        def delete(spelling: str) -> None:
            attempts = 0

            def request() -> None:
                nonlocal attempts
                attempts += 1
                with self._answer("DELETE", f"/{spelling}") as answer:
                    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                        raise self._refusal(answer)
                    body = answer.beginning(READ)
                    if says_no(body):
                        raise ApiError(f"the API has not deleted it: {self.words(body)}")

            try:
                self._persistently(request, on_progress)
            except NotFoundError:
                if attempts == 1:  # or an attempt whose answer got lost has deleted it
                    raise

        self._in_each_spelling(guid, delete)

    def _in_each_spelling(
        self, guid: UUID | SessionGuid | str, request: Callable[[str], Result]
    ) -> Result:
        """Make a request with a GUID as it is written, and then in small letters if it is unknown.

        Raises:
            UsageError: It is no GUID: nothing else becomes part of an address.
        """
        session = guids.session(guid)
        try:
            return request(session.spelling)
        except NotFoundError:
            if session.spelling == str(session):
                raise
            return request(str(session))

    def _refusal(self, answer: Answer) -> Exception:
        return refusal(answer, self.words(answer.beginning(READ)), self._token)

    def words(self, body: bytes) -> str:
        """Return what a body says that is no recording, in one line.

        Args:
            body: Its first bytes.
        """
        return words_of(body[:READ], self._token)

    @contextmanager
    def _answer(
        self, method: str, path: str, more: Mapping[str, str] | None = None
    ) -> Iterator[Answer]:
        """Yield the answer to a request; its body has not been read yet."""
        address = self._address._replace(
            target=f"{self._address.target.rstrip('/')}{RECORDINGS}{path}"
        )
        for _ in range(MAX_REDIRECTS + 1):
            with self._network.exchange(method, address, self._headers(address, more)) as answer:
                target = answer.headers.get("location")
                if answer.status not in REDIRECTS or target is None:
                    yield answer
                    return
            if method != "GET":
                raise ApiError(
                    f"the API redirects (status {answer.status}); to delete, that is not followed"
                )
            address = self._redirected(address, target)
        raise ApiError("the API redirects in a circle")

    def _headers(self, address: Address, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"filedecryptor/{__version__}",
            **(more or {}),
        }
        if address.origin == self._address.origin:  # or the token would travel elsewhere
            headers["Token"] = self._token
        return headers

    def _redirected(self, address: Address, target: str) -> Address:
        try:
            found = Address.parse(urljoin(str(address), target))
        except ValueError:
            raise ApiError("the API redirects to what is no address") from None
        # A server elsewhere has no business on this machine.
        if found.scheme != "https" and not (found.is_loopback and self._address.is_loopback):
            raise ApiError("the API redirects to an address that does not begin with https://")
        return found

    def _persistently(
        self,
        request: Callable[[], Result],
        on_progress: Callable[[int], object],
        attempts: int = ATTEMPTS,
    ) -> Result:
        """Make a request, again while it fails for a reason that may pass.

        An attempt does not count if others got through meanwhile, or if it brought a download on.
        """

        def go_on() -> None:
            self._limits.left(1)
            on_progress(0)

        tries = 0
        while True:
            begun = self._pace.wait(go_on)
            successes = self._pace.successes
            try:
                result = request()
            except PassingError as error:
                failure = error
            else:
                self._pace.went_well()
                return result
            others = failure.is_busy and self._pace.successes > successes
            tries = 0 if failure.has_progressed else tries + (not others)
            if tries >= attempts:
                raise ApiError(failure.cause)
            if failure.is_busy:
                self._pace.slow_down(begun, failure.retry_after, PAUSE)
            else:
                pause = failure.retry_after or backoff(PAUSE, max(tries, 1))
                sleep(pause, go_on)
