"""The command `vns-recordings` against a server, and how that misbehaves."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.api_server import PATH, TOKEN, Handler, Server
from support.commands import VNS, Result, run, run_process
from support.folders import contents
from support.recordings import PASSWORD

ONE, TWO, THREE = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123")
NUMBERED = [f"{number:08}-0000-4000-8000-000000000000" for number in range(60)]


def environment(api: Server, **more: str) -> dict[str, str]:
    """Return the environment in which the command reaches the server."""
    variables = {"VNS_API_URL": api.url, "VNS_API_TOKEN": TOKEN}
    return {**os.environ, **variables, "FILEDECRYPTOR_PASSWORD": PASSWORD, **more}


def vns(api: Server, *words: str, cwd: Path, **more: str | None) -> Result:
    """Run the command in this process.

    In `more` is what else is in the environment; None for what is not.
    """
    env = {"VNS_API_URL": api.url, "VNS_API_TOKEN": TOKEN, "FILEDECRYPTOR_PASSWORD": PASSWORD}
    return _without_name(run(*words, cwd=cwd, env=env | more, cli="filedecryptor.vns.cli"))


def vns_process(
    api: Server, *words: str, cwd: Path, as_anybody: bool = False, **more: str
) -> Result:
    """Run the command in a process of its own, perhaps without root's rights, else as `vns` does."""
    env = environment(api, **more)
    return _without_name(
        run_process(*words, cwd=cwd, env=env, as_anybody=as_anybody, command=(VNS,))
    )


def _without_name(result: Result) -> Result:
    return result._replace(stderr=result.stderr.replace("vns-recordings: ", ""))


def stored(folder: Path) -> dict[str, bytes | str | None]:
    """Return what is in a folder, without records, and without what runs tell each other."""
    return {
        name: content
        for name, content in contents(folder).items()
        if not name.rpartition("/")[2].startswith(".vns-recordings.") and not name.endswith(".json")
    }


def record(folder: Path, guid: str) -> dict[str, Any]:
    """Return the record of a recording."""
    found: dict[str, Any] = json.loads((folder / f"{guid}.json").read_text("utf-8"))
    return found


def answering(
    status: int,
    body: bytes = b"",
    *,
    command: str = "GET",
    guids: Container[str] | None = None,
    times: int | None = None,
    **headers: str,
) -> Any:
    """Return a behaviour that answers for these recordings, or for all, so often or always."""

    def is_concerned(handler: Handler) -> bool:
        return handler.path != PATH and (guids is None or handler.guid in guids)

    return instead(
        lambda handler: handler.send(status, body, **headers), is_concerned, command, times
    )


def instead(
    answer: Callable[[Handler], object],
    where: str | Callable[[Handler], bool] = f"{PATH}/{ONE}",
    command: str = "GET",
    times: int | None = None,
) -> Any:
    """Return a behaviour that answers some requests, or those for a path, so often or always."""
    turns = iter(range(sys.maxsize if times is None else times))

    def behave(handler: Handler) -> bool:
        is_there = handler.path == where if isinstance(where, str) else where(handler)
        is_its_turn = is_there and handler.command == command and next(turns, None) is not None
        if is_its_turn:
            answer(handler)
        return is_its_turn

    return behave


def failing(*statuses: int, path: str = f"{PATH}/{ONE}", **headers: str) -> Any:
    """Return a behaviour that answers the first requests of a recording with these."""
    left = list(statuses)
    return instead(
        lambda handler: handler.send(left.pop(0), b"{}", **headers), path, times=len(statuses)
    )


def meanwhile(act: Callable[[Handler], object]) -> Any:
    """Return a behaviour that lets something happen, and then leaves the request to the server."""

    def behave(handler: Handler) -> bool:
        act(handler)
        return False

    return behave


def breaking(how: str, times: int | None, path: str = f"{PATH}/{ONE}") -> Any:
    """Return a behaviour that breaks the body of a recording, or of the list, in the middle."""

    def answer(handler: Handler) -> None:
        body = handler.server.recordings.get(handler.guid) or handler.server.listing()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        if how == "reset":
            option = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        elif how == "stall":
            time.sleep(1)
        handler.close_connection = True
        handler.connection.close()

    return instead(answer, path, times=times)


def sending(body: bytes, status: int = 200, **headers: str) -> Any:
    """Return a behaviour that answers for a recording in raw bytes, and then hangs up."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return instead(answer)


TRICKLES = {
    "status": b"HTTP/1.1 200 ",
    "headers": b"HTTP/1.1 200 OK\r\nX-Wait: ",
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;wait=",
}


def trickling(part: str, seconds: float = 0.05, path: str = f"{PATH}/{ONE}") -> Any:
    """Return a behaviour that sends a part a byte at a time, for as long as anybody listens."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(TRICKLES[part])
        with suppress(OSError):
            while True:
                handler.wfile.write(b"x")
                time.sleep(seconds)
        handler.close_connection = True

    return instead(answer, path)


def limiting(per_second: float, retry_after: str | None) -> Any:
    """Return a behaviour that answers so many requests in a second, and the others with 429."""
    lock = threading.Lock()
    next_at = [0.0]

    def behave(handler: Handler) -> bool:
        with lock:
            now = time.monotonic()
            is_too_soon = now < next_at[0]
            if not is_too_soon:
                next_at[0] = now + 1 / per_second
        if is_too_soon:
            headers = {} if retry_after is None else {"Retry_After": retry_after}
            handler.send(429, b"slow down", "text/plain", **headers)
        return is_too_soon

    return behave


class Resuming:
    """A behaviour that breaks each answer off after a piece, and sends the rest if asked for it."""

    def __init__(
        self, piece: int, tag: Callable[[], str | None] = lambda: '"1"', *, offers: bool = True
    ) -> None:
        self.piece = piece
        self.tag = tag
        self.offers = offers
        self.ranges: list[str | None] = []

    def __call__(self, handler: Handler) -> bool:
        """Send a part of the recording."""
        if handler.path != f"{PATH}/{ONE}" or handler.command != "GET":
            return False
        body = handler.server.recordings[ONE]
        wanted = handler.headers.get("Range")
        self.ranges.append(wanted)
        tag = self.tag()
        fits = handler.headers.get("If-Range") in {None, tag}
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and fits else 0
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(body) - begin))
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        if self.offers:
            handler.send_header("Accept-Ranges", "bytes")
        if tag is not None:
            handler.send_header("ETag", tag)
        handler.end_headers()
        handler.wfile.write(body[begin : begin + self.piece])
        handler.close_connection = True
        return True
