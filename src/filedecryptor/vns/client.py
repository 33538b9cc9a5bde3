"""The recordings API: its list, downloads that go on where they broke off, and its refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from html import unescape
from http import HTTPStatus
from itertools import count
from typing import BinaryIO, Self
from uuid import UUID

from filedecryptor.audio.foreign import kind_of, text_of
from filedecryptor.core.decryptor import OnProgress, ignore
from filedecryptor.core.format import SMALLEST_SIZE
from filedecryptor.core.secrets import secret_hint
from filedecryptor.errors import ApiError, NotFoundError, TokenError, UsageError, in_one_line
from filedecryptor.vns import http, listing
from filedecryptor.vns.http import Answer, PassingError, retry_after
from filedecryptor.vns.listing import SHOWN, Listing, Recording, as_json, says_no

READ = 4096  # bytes of a body that are looked at, if it is not a recording
BASE_URL = "https://vnsapi.voiceelements.com"
RECORDINGS = "/api/customer/recordings"
TIMEOUT = 60.0  # seconds to wait for an answer, and for each piece of it
LONGEST_TIMEOUT = 3600
PROGRESS = 64 * 1024  # progress in bytes with which a failed attempt does not count
LARGEST_LIST = 256 << 20  # bytes in memory: those of more than a million recordings
REDIRECTS = {301, 302, 303, 307, 308}  # statuses (RFC 9110, section 15.4)

ONLY_THE_KEY = "only the key itself belongs there"
# What no key holds, and what is said of it.
FOREIGN = {
    "[\\r\\n]": f"it has a line end in it: {ONLY_THE_KEY}",
    "^\ufeff": "it begins with a byte order mark",
    "[^ -~]": "it has characters in it that are not printable ASCII",
    "(?i)^(authorization|bearer|token|basic|key|(x-)?api-?key)(?=[: ])": (
        f"it begins with '{{}}': {ONLY_THE_KEY}"
    ),
    "^[{[<]": f"it looks like JSON or XML: {ONLY_THE_KEY}",
    " ": f"it has a blank in it: {ONLY_THE_KEY}",
}


def not_a_recording(head: bytes, size: int, words: str) -> ApiError | None:
    """Return the error for a body that cannot be a recording, by its first bytes and its words."""
    if not size:
        return ApiError("the API sent nothing instead of a recording")
    kind = kind_of(head)
    if kind is None and size >= SMALLEST_SIZE:
        return None
    what = kind or f"{size} byte{'s' if size > 1 else ''}"
    return ApiError(f"the API sent {what}, not a recording{f': {words}' if words else ''}")


class Download:
    """A body that is written to a file from its beginning, by as many answers as it takes."""

    def __init__(self, file: BinaryIO, on_progress: OnProgress) -> None:
        self._file = file
        self._on_progress = on_progress
        self._count = self._furthest = 0
        self._length: int | None = None
        self._validator = ""
        self._can_go_on = False

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for what is missing (RFC 9110, sections 13.1.5 and 14.2)."""
        if not self._can_go_on or not self._count:
            return {}
        condition = {"If-Range": self._validator} if self._validator else {}
        return {"Range": f"bytes={self._count}-", **condition}

    def receive(self, answer: Answer) -> bool:
        """Write what an answer brings, and return whether the length of the whole was announced.

        A part has to go on where the file ends, by a validator or the same length.
        """
        headers, validator = answer.headers, _validator(answer)
        is_chunked = "transfer-encoding" in headers
        if answer.status == HTTPStatus.OK:
            self._file.seek(0)
            self._file.truncate()
            announced = None if is_chunked else headers.get("content-length")
            self._length = None if announced is None else int(announced)
            self._count, self._validator = 0, validator
            offers = "bytes" in headers.get("accept-ranges", "").lower()
            self._can_go_on = offers and (validator != "" or announced is not None)
        else:
            place = headers.get("content-range", "").strip()
            if not (
                (match := re.fullmatch(rf"bytes {self._count}-\d+/(\d+)", place, re.IGNORECASE))
                and (self._can_go_on and self._count and validator == self._validator)
                and self._length in {None, int(match[1])}
            ):
                self._can_go_on = False
                cause = "the API does not send the part of the recording that was asked for"
                raise PassingError(cause)
            self._length = int(match[1])
        before = self._furthest
        try:
            for piece in answer.pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[self._file.write(rest) :]
                self._count += len(piece)
                self._on_progress(len(piece))
        except PassingError as failure:
            self._furthest = max(before, self._count)
            failure.has_progressed = self._can_go_on and self._furthest - before >= PROGRESS
            raise
        if self._length is not None and self._count != self._length:
            raise PassingError(f"the download ended after {self._count} of {self._length} bytes")
        return self._length is not None or is_chunked


def _validator(answer: Answer) -> str:
    """Return what changes with the content: a strong ETag, or else a date (RFC 9110, 8.8)."""
    tag = answer.headers.get("etag", "")
    is_strong = re.fullmatch(r'"[\x21\x23-\x7e]+"', tag)
    return tag if is_strong else answer.headers.get("last-modified", "")


class Client:
    """One account's recordings. It may be used by several threads.

    As a context manager, it closes its connections at the end.

    Args:
        token: The API key, sent in the header `Token`. It is never shown.
        url: The API's address; `http` only for the machine itself.
        timeout: Seconds to wait for the beginning of an answer. The same time must then bring at
            least 1,000 bytes for each of its seconds.
        max_time: Seconds from now after which every request fails; None if there is no limit.
        origin: Where the token came from, such as a file's name, for the hint if it is refused.

    Raises:
        UsageError: The address, the token or a time cannot be used, or what the environment says
            of a proxy.
    """

    def __init__(
        self,
        token: str,
        *,
        url: str = BASE_URL,
        timeout: float = TIMEOUT,
        max_time: float | None = None,
        origin: str | None = None,
    ) -> None:
        address = http.address_of(url)
        if address is None or not (address.scheme == "https" or http.is_loopback(address)):
            raise UsageError(
                "the API's address must begin with https:// (http:// for this machine)"
            )
        self._token, self._origin = token, origin
        if not token:
            raise UsageError("the API token is empty", hint=self._hint())
        if not token.isascii() or not token.isprintable() or token != token.strip():
            cause = "the API token contains characters not allowed in an HTTP header"
            raise UsageError(cause, hint=self._hint())
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise UsageError(f"a timeout is more than 0 and at most {LONGEST_TIMEOUT} seconds")
        from filedecryptor import __version__  # to find it takes longer than to import the rest

        self._user_agent = f"filedecryptor/{__version__}"
        self._address = address
        self._network = http.Network(timeout, max_time)
        self._network.prepare(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._network.close()

    def list_recordings(self) -> Listing:
        """Request the list of the recordings.

        Returns:
            The list as the server sent it. `Archive.fetch` takes it.

        Raises:
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, keeps failing, or has no list.
        """

        def request() -> Listing:
            with self._answer("GET", "", {200, 204}) as answer:
                data = answer.beginning(LARGEST_LIST + 1)
                if len(data) > LARGEST_LIST:
                    raise ApiError("the answer of the API does not end")
                # Whatever is made of it, the token must not be in that.
                return Listing(data.replace(self._token.encode(), b"..."), answer.headers)

        return self._network.make(request, ignore)

    def download(self, guid: UUID | str, file: BinaryIO, on_progress: OnProgress = ignore) -> bool:
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
            UsageError: This is not a GUID.
            NotFoundError: The API has no such recording.
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
            OSError: The file cannot be written.
        """
        path, download = f"/{Recording.of(guid).spelling}", Download(file, on_progress)

        def request() -> bool:
            with self._answer("GET", path, {200, 206, 416}, download.headers()) as answer:
                return download.receive(answer)

        return self._network.make(request, on_progress)

    def delete(self, guid: UUID | str, on_progress: OnProgress = ignore) -> None:
        """Delete a recording on the server. No redirection of this is ever followed.

        Args:
            guid: The call's `sessionGuid`, in the server's own spelling.
            on_progress: Called with 0 now and then. What it raises ends the waiting.

        Raises:
            UsageError: This is not a GUID.
            NotFoundError: The API has no such recording, and not because an earlier attempt of
                this call deleted it.
            TokenError: The API refuses the token.
            ApiError: It cannot be reached, or keeps failing.
        """
        path, attempts = f"/{Recording.of(guid).spelling}", count()

        def request() -> None:
            # An attempt whose answer got lost may have deleted it.
            lost = suppress(NotFoundError) if next(attempts) else nullcontext()
            with lost, self._answer("DELETE", path, range(200, 300)) as answer:
                if says_no(body := answer.beginning(READ)):
                    raise ApiError(f"the API has not deleted it: {self.words(body)}")

        self._network.make(request, on_progress)

    def words(self, body: bytes) -> str:
        """Return the beginning of what a body says that is not a recording, without the token."""
        text = text_of(body[:READ]) or ""
        try:
            values = [one for _, one in listing.fields(json.loads(text)) if one is not None]
            text = ", ".join(one if isinstance(one, str) else as_json(one) for one in values)
        except (ValueError, RecursionError):
            text = unescape(re.sub(r"<[^>]*>?", " ", text))
        line = in_one_line(text.replace(self._token, "...")) if text.strip() else ""
        return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."

    @contextmanager
    def _answer(
        self, method: str, path: str, expected: Container[int], more: Mapping[str, str] = {}
    ) -> Iterator[Answer]:
        """Yield the answer to a request, after redirections; raise the error for a refusal."""
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": self._user_agent,
            **more,
        }
        home = self._address
        address = home._replace(path=f"{home.path.rstrip('/')}{RECORDINGS}{path}")
        for _ in range(6):  # the request itself, and five redirections
            # Elsewhere, the token must not go.
            token = {"Token": self._token} if http.origin(address) == http.origin(home) else {}
            with self._network.exchange(method, address, headers | token) as answer:
                location = answer.headers.get("location")
                if answer.status not in REDIRECTS or location is None:
                    if answer.status not in expected:
                        raise self._refusal(answer, is_list=not path)
                    encoding = answer.headers.get("content-encoding", "").lower()
                    if method == "GET" and encoding not in {"", "identity"}:
                        raise ApiError("the API compresses its answer, which it was not asked to")
                    yield answer
                    return
            if method != "GET":
                raise ApiError(
                    f"the API redirects (status {answer.status}); to delete, that is not followed"
                )
            found = http.address_of(location, address.geturl())
            # A server elsewhere has no business on this machine.
            if found is None or not (
                found.scheme == "https" or (http.is_loopback(found) and http.is_loopback(home))
            ):
                raise ApiError("the API redirects to an address that does not begin with https://")
            address = found
        raise ApiError("the API redirects in a circle")

    def _hint(self) -> str | None:
        """Return what may not belong to the token, and where it came from."""
        signs = ((re.search(sign, self._token), words) for sign, words in FOREIGN.items())
        hint = next((words.format(found[0]) for found, words in signs if found), None)
        if hint is None and self._token:
            hint = secret_hint(self._token.encode("utf-8", "replace"), "the token")
        origin = self._origin and f"the token came from {self._origin}"
        return "; ".join(filter(None, [hint, origin])) or None

    def _refusal(self, answer: Answer, *, is_list: bool) -> Exception:
        """Return the error for an answer by its status."""
        status, words = answer.status, ""
        with suppress(PassingError):
            words = self.words(answer.beginning(READ))
        reason = f"(status {status}){f': {words}' if words else ''}"
        if status in {401, 403}:
            return TokenError(f"the API refused the token {reason}", hint=self._hint())
        if status in {404, 410} and is_list:
            return ApiError(
                f"the API has no list of recordings at this address {reason}",
                hint="see that --api-url is the address of the API, without a path",
            )
        if status in {404, 410}:
            return NotFoundError(f"the API has no such recording {reason}")
        if status in http.PASSING_STATUSES:
            failure = PassingError(f"the API kept failing {reason}")
            failure.retry_after = wait = retry_after(answer.headers.get("retry-after"))
            failure.is_busy = wait is not None or status == HTTPStatus.TOO_MANY_REQUESTS
            return failure
        what = "refused the request" if status in range(400, 600) else "sent no recording"
        return ApiError(f"the API {what} {reason}")
