"""A proxy on loopback that stands before an S3 server, and lets it misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

from support.api_server import QuietServer


class Request(NamedTuple):
    """What a client asks for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What it is told."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Behaviour = Callable[[Request, Callable[[Request], Answer]], "Answer | None"]
"""Given a request, and what passes one on, it returns the answer, or None to hang up."""


class StoreProxy(QuietServer):
    """The proxy, how it behaves, and what it was asked for."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], behaviour: Behaviour) -> None:
        super().__init__(handler)
        self.behaviour = behaviour
        self.requests: list[Request] = []


def forwarding(request: Request, forward: Callable[[Request], Answer]) -> Answer:
    """Behave as the server does."""
    return forward(request)


def refusal(status: int, code: str, message: str, extra: str = "") -> Answer:
    """Return an S3 store's way to say no."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


def is_conditional(request: Request) -> bool:
    """Return whether a request must not replace an object."""
    return "if-none-match" in map(str.lower, request.headers)


NOT_IMPLEMENTED = refusal(
    501, "NotImplemented", "A header you provided implies functionality that is not implemented"
)


def refusing_conditions(answer: Answer = NOT_IMPLEMENTED) -> Behaviour:
    """Return the behaviour of a store that knows no conditional writes, and says so."""
    return lambda request, forward: answer if is_conditional(request) else forward(request)


@contextmanager
def proxy(
    endpoint: str, behaviour: Behaviour, *, announce_whole: bool = False, invite: bool = True
) -> Iterator[StoreProxy]:
    """Run a proxy before the server at `endpoint`; yield it.

    With `announce_whole`, the length that it tells is the server's own, also of a body that the
    behaviour has cut off. Without `invite`, it says nothing to a client that waits for a word
    before it sends a body.
    """

    def forward(request: Request) -> Answer:
        connection = HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
        connection.request(request.method, request.path, request.body, request.headers)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle_expect_100(self) -> bool:
            return super().handle_expect_100() if invite else True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            server.requests.append(request)
            answer = server.behaviour(request, forward)
            if answer is None:
                self.close_connection = True
                return
            length = len(answer.body)
            if self.command == "HEAD" or announce_whole:
                length = int(answer.headers.get("Content-Length", length))
            with suppress(ConnectionError):  # the client may have left
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else answer.body)
            self.close_connection = self.command != "HEAD" and len(answer.body) < length

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the names are those of the base

    server = StoreProxy(Handler, behaviour)
    with server.running():
        yield server
