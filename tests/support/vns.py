"""The command `vns-recordings` against a server, and how that misbehaves."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

from support.api_server import PATH, TOKEN, Handler, Server
from support.commands import VNS, Result, run, run_process
from support.folders import contents
from support.recordings import PASSWORD

ONE, TWO, THREE = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123")


def environment(api: Server, **more: str) -> dict[str, str]:
    """Return the environment in which the command reaches the server."""
    variables = {"VNS_API_URL": api.url, "VNS_API_TOKEN": TOKEN}
    return {**os.environ, **variables, "FILEDECRYPTOR_PASSWORD": PASSWORD, **more}


def vns(api: Server, *words: str, cwd: Path, **more: str | None) -> Result:
    """Run the command in this process; it must show neither a secret nor a traceback.

    Args:
        api: The server.
        words: The command line.
        cwd: Where to be.
        more: What else is in the environment; None for what is not.
    """
    env = {"VNS_API_URL": api.url, "VNS_API_TOKEN": TOKEN, "FILEDECRYPTOR_PASSWORD": PASSWORD}
    return _checked(run(*words, cwd=cwd, env=env | more, cli="filedecryptor.vns.cli"))


def vns_process(api: Server, *words: str, cwd: Path, **more: str) -> Result:
    """Run the command in a process of its own, else as `vns` does."""
    return _checked(run_process(*words, cwd=cwd, env=environment(api, **more), command=(VNS,)))


def _checked(result: Result) -> Result:
    for secret in ("Traceback", TOKEN, PASSWORD):
        assert secret not in result.stderr + result.stdout.decode()
    return result._replace(stderr=result.stderr.replace("vns-recordings: ", ""))


def stored(folder: Path) -> dict[str, bytes | str | None]:
    """Return what is in a folder, without the files that keep other runs out."""
    return {
        name: content
        for name, content in contents(folder).items()
        if not name.startswith(".vns-recordings.")
    }


def failing(*statuses: int, path: str = f"{PATH}/{ONE}", **headers: str) -> Any:
    """Return a behaviour that answers the first requests of a recording with these."""
    left = list(statuses)

    def behave(handler: Handler) -> bool:
        if handler.path != path or not left:
            return False
        handler.send(left.pop(0), b"{}", **headers)
        return True

    return behave


def slow(_: Handler) -> bool:
    """Answer late."""
    time.sleep(1)
    return False


def breaking(how: str, times: int) -> Any:
    """Return a behaviour that breaks the body of a recording in the middle."""
    left = [how] * times

    def behave(handler: Handler) -> bool:
        if handler.path != f"{PATH}/{ONE}" or handler.command != "GET" or not left:
            return False
        left.pop()
        body = handler.server.recordings[ONE]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        if how == "reset":
            option = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        elif how == "stall":
            time.sleep(3)
        handler.close_connection = True
        handler.connection.close()
        return True

    return behave


def sending(body: bytes, status: int = 200, **headers: str) -> Any:
    """Return a behaviour that answers for a recording in raw bytes, and then hangs up."""

    def behave(handler: Handler) -> bool:
        if handler.path != f"{PATH}/{ONE}" or handler.command != "GET":
            return False
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True
        return True

    return behave
