"""A real HTTP server on loopback that behaves as the recordings API, or as badly as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "Marked-Token-123"
PATH = "/api/customer/recordings"

Behaviour = Callable[["Handler"], bool]
"""Answers a request in its own way and returns True, or leaves it to the server."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """List, or send a recording."""
        if self._begin():
            return
        if self.path == PATH:
            self.send(200, self.server.listing(), **self.server.list_headers)
        elif (recording := self.server.recordings.get(self.guid)) is not None:
            self.send(200, recording, "application/octet-stream")
        else:
            self.send(404, b'{"error":"not found"}')

    do_CONNECT = do_GET  # noqa: N815 - a proxy is asked in the same way

    def do_DELETE(self) -> None:
        """Forget a recording."""
        if self._begin():
            return
        with self.server.lock:
            found = self.server.recordings.pop(self.guid, None)
            if found is not None:
                self.server.deleted.append(self.guid)
        self.send(404 if found is None else 204, b"")

    @property
    def guid(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def _begin(self) -> bool:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        if self.server.tokens is not None and self.headers.get("Token") not in self.server.tokens:
            self.send(401, b"")
            return True
        return any(behave(self) for behave in self.server.behaviours)

    def send(
        self, status: int, body: bytes, kind: str = "application/json", **headers: str
    ) -> None:
        """Send a whole answer; headers may say something else than the body."""
        self.send_response(status)
        announced = {"Content_Type": kind, "Content_Length": str(len(body))}
        for name, value in (announced | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


class QuietServer(ThreadingHTTPServer):
    """A server on loopback that says nothing of clients that leave."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """Stay silent."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve meanwhile."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class Server(QuietServer):
    """The account's recordings, and how to behave."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.recordings: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.behaviours: list[Behaviour] = []
        self.list_body: bytes | None = None
        self.list_headers: dict[str, str] = {}
        self.tokens: set[str] | None = {TOKEN}
        self.lock = threading.Lock()

    def listing(self) -> bytes:
        """Return what the list request gets."""
        if self.list_body is not None:
            return self.list_body
        return json.dumps([{"sessionGuid": guid} for guid in self.recordings]).encode()

    def count(self, command: str, path: str) -> int:
        """Return how often something was asked for."""
        return sum(1 for seen in self.seen if seen[:2] == (command, path))


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server meanwhile."""
    server = Server()
    with server.running():
        yield server
