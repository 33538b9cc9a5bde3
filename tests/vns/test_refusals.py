"""What the API refuses, and what it sends instead."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server
from support.recordings import AUDIO, PASSWORD
from support.vns import ONE, failing, stored, vns

PAGE = "<!doctype html><p>Zugriff verweigert f\u00fcr Sie"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 522, 524])
def test_what_may_pass_is_tried_again(api: Server, tmp_path: Path, status: int) -> None:
    """A few times."""
    api.behaviours.append(failing(status, status))
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


@pytest.mark.parametrize("status", [400, 405, 418, 451, 501])
def test_what_will_not_pass_is_said_at_once(api: Server, tmp_path: Path, status: int) -> None:
    """With the server's reason, escaped, and without our token."""

    def refuse(handler: Handler) -> bool:
        if not handler.path.endswith(ONE):
            return False
        handler.send(status, f'{{"error": "no \\u001b[31m {TOKEN}"}}'.encode())
        return True

    api.behaviours.append(refuse)
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    said = f"error: {ONE}: the API refused the request (status {status}): no \\x1b[31m ..."
    assert result.lines[0] == said
    assert api.count("GET", f"{PATH}/{ONE}") == 1


def test_an_address_without_a_list(api: Server, tmp_path: Path) -> None:
    """It is no recording that is missing."""
    api.behaviours.append(failing(404, path=PATH))
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    assert (
        result.lines[0] == "error: the API has no list of recordings at this address (status 404)"
    )
    assert "--api-url" in result.lines[1]


@pytest.mark.parametrize("password", [PASSWORD, None])
@pytest.mark.parametrize(
    "body",
    [
        PAGE.encode(),
        PAGE.encode("latin-1"),
        PAGE.encode("utf-16"),
        gzip.compress(PAGE.encode()),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04\x14\0" + bytes(100),
        b"x",
        b"x" * 43,
        bytes(43),
    ],
    ids=["utf-8", "latin-1", "utf-16", "gzip", "png", "zip", "byte", "text", "short"],
)
def test_what_is_no_recording_is_never_stored(
    api: Server, tmp_path: Path, body: bytes, password: str | None
) -> None:
    """Exit code 7 with a password and without, the server's words, and again the next time."""
    api.recordings[ONE] = body
    words = ("archive", ".", "--delete-after", "--keep-encrypted")
    for _ in range(2):
        result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password)
        assert result.code == 7
        assert f"error: {ONE}: the API sent " in result.lines[0]
        assert ("Zugriff verweigert f\u00fcr Sie" in result.lines[0]) == (b"Z" in body[:40])
        assert stored(tmp_path) == {}
    assert api.count("GET", f"{PATH}/{ONE}") == 2
    assert api.deleted == []
