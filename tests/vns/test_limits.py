"""Connections that end in a bounded time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server
from support.recordings import AUDIO, MP3, encrypt
from support.vns import ONE, TWO, failing, stored, trickling, vns

from filedecryptor.vns.cli import TOKEN_VARIABLE, URL_VARIABLE


@pytest.mark.parametrize("part", ["status", "headers", "body", "chunks"])
def test_whoever_sends_a_byte_now_and_then_is_given_up(
    api: Server, tmp_path: Path, part: str
) -> None:
    """Wherever it trickles, the time for it is bounded, and the others are stored."""
    api.recordings[TWO] = encrypt(MP3)
    api.behaviours.append(trickling(part))
    begin = time.monotonic()
    result = vns(api, "archive", ".", "--timeout", "0.3", cwd=tmp_path)
    assert time.monotonic() - begin < 15
    assert result.code == 7
    assert f"error: {ONE}: {api.url[7:]} sends less than 1000 bytes a second" in result.lines
    assert stored(tmp_path) == {f"{TWO}.mp3": MP3}


def test_many_small_pieces_are_no_better(api: Server, tmp_path: Path) -> None:
    """What counts is how much they bring."""
    api.behaviours.append(trickling("body", 0.002))
    result = vns(api, "archive", ".", "--timeout", "0.3", cwd=tmp_path)
    assert result.code == 7
    assert "sends less than 1000 bytes a second" in result.lines[0]


def test_a_slow_server_is_waited_for(api: Server, tmp_path: Path) -> None:
    """If what it sends is little, but enough."""
    api.recordings[ONE] = encrypt(MP3)

    def send_slowly(handler: Handler) -> bool:
        if handler.path != f"{PATH}/{ONE}":
            return False
        body = handler.server.recordings[ONE]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for begin in range(0, len(body), 2000):
            handler.wfile.write(body[begin : begin + 2000])
            time.sleep(0.1)
        return True

    api.behaviours.append(send_slowly)
    assert vns(api, "archive", ".", "--timeout", "2", cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1


@pytest.mark.parametrize("path", [PATH, f"{PATH}/{ONE}"], ids=["list", "recording"])
def test_the_time_for_all_of_it(api: Server, tmp_path: Path, path: str) -> None:
    """`--max-time` ends everything, in one line; what is not done is not tried."""
    for number in range(40):
        api.recordings[f"{number:08}-0000-4000-8000-00000000000f"] = encrypt(AUDIO)
        api.behaviours.append(trickling("body", path=f"{path[:38]}{number:08}{path[46:]}"))
    api.behaviours.append(trickling("body", path=path))
    for guid in list(api.recordings):
        api.behaviours.append(trickling("body", path=f"{PATH}/{guid}"))
    begin = time.monotonic()
    result = vns(api, "archive", ".", "--max-time", "1", "-j", "4", cwd=tmp_path)
    assert time.monotonic() - begin < 8
    assert result.code == 7
    lines = [line for line in result.lines if "the 1 seconds of --max-time are over" in line]
    assert len(lines) == 1
    assert (f"{len(api.recordings) - 1} recordings not tried" in result.stderr) == (path != PATH)


def test_the_time_for_all_of_it_ends_a_pause_too(api: Server, tmp_path: Path) -> None:
    """However long the server wants to be left alone."""
    api.behaviours.append(failing(429, 429, 429, Retry_After="60"))
    begin = time.monotonic()
    assert vns(api, "archive", ".", "--max-time", "1", cwd=tmp_path).code == 7
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("words", [("list",), ("download", ONE, TWO), ("archive", ".")])
def test_ctrl_c_is_seen_though_it_wakes_nobody(
    api: Server, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """As on Windows: whoever waits for a server that says nothing looks now and then."""
    answered = Event()

    def say_nothing(handler: Handler) -> bool:
        answered.wait(30)
        return True

    api.behaviours.append(say_nothing)
    code = (
        "import _thread, sys, threading; from filedecryptor.vns.__main__ import main\n"
        "threading.Timer(1, _thread.interrupt_main).start()\n"
        "sys.exit(main())"
    )
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        check=False,
        cwd=tmp_path,
        env={**os.environ, URL_VARIABLE: api.url, TOKEN_VARIABLE: TOKEN},
        capture_output=True,
        timeout=60,
    )
    seconds = time.monotonic() - begin
    answered.set()
    assert done.returncode == 130
    assert done.stderr.endswith(b"vns-recordings: error: interrupted\n")
    assert seconds < 20  # the timeout of the server's answer is 60
