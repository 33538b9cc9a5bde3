"""The recordings API, and what its refusals mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from html import unescape
from http import HTTPStatus
from typing import BinaryIO, TypeVar
from urllib.parse import urljoin
from uuid import UUID

from filedecryptor import __version__
from filedecryptor.audio.foreign import kind_of, text_of
from filedecryptor.core.decryptor import ignore
from filedecryptor.core.format import SMALLEST_SIZE
from filedecryptor.core.secrets import secret_hint
from filedecryptor.errors import ApiError, NotFoundError, TokenError, UsageError, in_one_line
from filedecryptor.vns import listing
from filedecryptor.vns.download import Download, refuse_compressed
from filedecryptor.vns.http import (
    Address,
    Answer,
    Limits,
    Network,
    Pace,
    PassingError,
    backoff,
    retry_after,
    sleep,
)
from filedecryptor.vns.listing import Listing, SessionGuid, plain_name

READ = 4096
"""Bytes of a body that are looked at."""

SHOWN = 200
"""Characters that are shown."""

NAMES = ("message", "detail", "error_description", "error", "title", "reason", "errors")
"""Fields in which APIs say what is wrong (RFC 9457, and custom), the wordiest first."""


def words_of(body: bytes, secret: str) -> str:
    """Return what a body says, in one line of bounded length; nothing if it is no text.

    Args:
        body: Its first `READ` bytes.
        secret: What the words must not repeat.
    """
    text = text_of(body) or ""
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        text = re.sub(r"(?is)<(script|style|head)\b.*?(</\1>|$)|<!--.*?-->", " ", _titled(text))
        text = unescape(re.sub(r"<[^>]*>?", " ", text))
    else:
        text = _in_json(text)
    if not text.strip():
        return ""
    line = in_one_line(text.replace(secret, "..."))
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def _titled(page: str) -> str:
    """Return a page whose title is out of its head."""
    title = re.search(r"(?is)<title\b[^>]*>(.*?)</title>", page)
    if title is None or not title[1].strip():
        return page
    return f"{title[1]}: {page[: title.start()]}{page[title.end() :]}"


def _in_json(text: str) -> str:
    """Return the message in a JSON text; the text itself if there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for _ in range(4):
        if isinstance(found, list) and found:
            found = found[0]
        elif isinstance(found, dict):
            named = {name.lower(): value for name, value in found.items()}
            found = next((named[name] for name in NAMES if named.get(name)), None)
        else:
            break
    if isinstance(found, str):
        return found
    return "" if text.strip() in {"{}", "[]", "null"} else text


PASSING = {408, 425, 429, 500, 502, 503, 504, *range(520, 525)}
"""Statuses after which a request is made again; 520 to 524 are Cloudflare's."""

SUCCESSES = {
    *("success", "succeeded", "successful", "issuccess", "ok"),
    *("deleted", "isdeleted", "deletedcount"),
}
ERRORS = {
    *("error", "errors", "errormessage", "errorcode", "exception", "fault", "iserror", "haserrors"),
}
STATUSES = {"status", "statuscode", "code", "result", "outcome"}
"""Names of fields, as `plain_name` has them, by which APIs say whether something was done."""

NO = {"false", "no", "0"}
NOTHING = {"", "none", "null", "ok", "success", "no error", *NO}
FAILED = {"error", "failed", "failure", "locked", "forbidden", "denied", *NO}


def refusal(answer: Answer, words: str, token: str) -> Exception:
    """Return the error for an answer by its status (RFC 9110, section 15).

    Args:
        answer: The answer.
        words: What it says.
        token: What the request was made with.
    """
    status = answer.status
    reason = f"(status {status}){f': {words}' if words else ''}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        hint = secret_hint(token.encode(), "the token")
        return TokenError(f"the API refused the token {reason}", hint=hint)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return NotFoundError(f"the API has no such recording {reason}")
    if status in PASSING:
        wait = retry_after(answer.headers.get("retry-after"))
        is_told = wait is not None and status == HTTPStatus.SERVICE_UNAVAILABLE
        return PassingError(
            f"the API kept failing {reason}",
            retry_after=wait,
            is_busy=is_told or status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    if status < HTTPStatus.BAD_REQUEST:
        return ApiError(f"the API sent no recording {reason}")
    return ApiError(f"the API refused the request {reason}")


def says_no(body: bytes) -> bool:
    """Return whether an answer says, in spite of its status, that nothing was done.

    A page does: it comes from something else than the API.
    """
    try:
        return _says_no(json.loads(body or b"null"))
    except (ValueError, RecursionError):
        return (
            re.match(rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?(html|\?xml.*<error)", body) is not None
        )


def _says_no(found: object) -> bool:
    if isinstance(found, list):
        return any(map(_says_no, found))
    if not isinstance(found, dict):
        return found is False or (isinstance(found, str) and found.lower().startswith("error"))
    fields = {plain_name(name): value for name, value in found.items()}
    words = {name: _word(value) for name, value in fields.items()}
    if any(words[name] in NO for name in words.keys() & SUCCESSES):
        return True
    if any(words[name] == "true" for name in words.keys() & SUCCESSES):
        return False
    return (
        any(_is_error(fields[name]) for name in fields.keys() & ERRORS)
        or any(_is_failure(words[name]) for name in words.keys() & STATUSES)
        or any(_says_no(value) for value in fields.values() if isinstance(value, (dict, list)))
    )


def _word(value: object) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip().lower()


def _is_error(value: object) -> bool:
    """Return whether the field of an error holds one."""
    if isinstance(value, dict):
        return any(map(_is_error, value.values()))
    return any(map(_is_error, value)) if isinstance(value, list) else _word(value) not in NOTHING


def _is_failure(word: str) -> bool:
    return word in FAILED - {"0"} or re.fullmatch(r"[45]\d\d", word) is not None


def foreign(head: bytes, size: int, words: str) -> ApiError | None:
    """Return the error for a body that is no recording; None for one that may be.

    Args:
        head: Its first bytes.
        size: Its length in bytes.
        words: What it says.
    """
    if not size:
        return ApiError("the API sent nothing instead of a recording")
    kind = kind_of(head)
    if kind is None and size >= SMALLEST_SIZE:
        return None
    what = kind or f"{size} byte{'s' if size > 1 else ''}"
    return ApiError(f"the API sent {what}, not a recording{f': {words}' if words else ''}")


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
        session = listing.session(guid)
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
