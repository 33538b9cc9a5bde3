"""The API, good and bad."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.recordings import AUDIO, MP3, PASSWORD, encrypt
from support.vns import ONE, TWO, breaking, failing, record, sending, slow, stored, vns

from filedecryptor.errors import UsageError
from filedecryptor.vns import Archive, Client


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token(api: Server, tmp_path: Path, status: int) -> None:
    """Exit code 6, at once."""
    api.behaviours.append(failing(status, path=PATH))
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 6
    assert result.stderr == f"error: the API refused the token (status {status})\n"
    assert len(api.seen) == 1


@pytest.mark.parametrize(
    "headers",
    [{}, {"Retry_After": "1"}, {"Retry_After": "date"}],
    ids=["without", "seconds", "date"],
)
def test_too_many_requests(api: Server, tmp_path: Path, headers: dict[str, str]) -> None:
    """429 is waited out, for as long as the server asks."""
    if headers.get("Retry_After") == "date":
        then = datetime.now(UTC) + timedelta(seconds=3)
        headers = {"Retry_After": format_datetime(then, usegmt=True)}
    api.behaviours.append(failing(429, **headers))
    begin = time.monotonic()
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert time.monotonic() - begin > (1 if headers else 0)
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_three_failures_and_then_a_success(api: Server, tmp_path: Path) -> None:
    """Patience pays."""
    api.behaviours.append(failing(500, 503, 502))
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_a_server_that_keeps_failing(api: Server, tmp_path: Path) -> None:
    """Exit code 7; the other recordings are stored."""
    api.recordings[TWO] = encrypt(MP3, PASSWORD)
    api.behaviours.append(failing(*[504] * 50))
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    assert f"error: {ONE}: the API kept failing (status 504)" in result.lines
    assert stored(tmp_path) == {f"{TWO}.mp3": MP3}


@pytest.mark.parametrize("how", ["cut", "reset", "stall"])
def test_a_body_that_breaks_off_is_fetched_again(api: Server, tmp_path: Path, how: str) -> None:
    """From its beginning, and nothing of the first half stays."""
    api.behaviours.append(breaking(how, 2))
    assert vns(api, "archive", ".", "--timeout", "1", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_a_body_longer_than_announced(api: Server, tmp_path: Path) -> None:
    """What was announced is taken, and it has to authenticate."""

    def behave(handler: Handler) -> bool:
        if handler.path != f"{PATH}/{ONE}":
            return False
        body = handler.server.recordings[ONE]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) - 5))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True
        return True

    api.behaviours.append(behave)
    assert vns(api, "archive", ".", cwd=tmp_path).code == 3
    assert stored(tmp_path) == {}


@pytest.mark.parametrize("path", [PATH, f"{PATH}/{ONE}"], ids=["list", "recording"])
def test_a_redirect_to_another_server_goes_there_without_the_token(
    api: Server, tmp_path: Path, path: str
) -> None:
    """As to a store that holds the recordings; the token must not travel."""

    def answer_anybody(handler: Handler) -> bool:
        body = encrypt(AUDIO) if handler.path == "/elsewhere" else b"no"
        handler.send(200, json.dumps([ONE]).encode() if path == PATH else body)
        return True

    with serving() as other:
        other.tokens = None
        other.behaviours.append(answer_anybody)
        api.behaviours.append(failing(302, path=path, Location=f"{other.url}/elsewhere"))
        assert vns(api, "archive", ".", cwd=tmp_path).code == 0
        assert [seen[:2] for seen in other.seen] == [("GET", "/elsewhere")]
        assert TOKEN not in str(other.seen)
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


@pytest.mark.parametrize("where", ["http://elsewhere.example/x", "ftp://127.0.0.1/", "http://["])
def test_a_redirect_that_somebody_could_read_is_not_followed(
    api: Server, tmp_path: Path, where: str
) -> None:
    """Only https is, and what stays on this machine."""
    api.behaviours.append(failing(302, path=f"{PATH}/{ONE}", Location=where))
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    assert f"error: {ONE}: the API " in result.stderr
    assert stored(tmp_path) == {}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", [PATH, f"{PATH}/{TWO}", f"{PATH}/{ONE}/"])
def test_no_redirection_of_a_deletion_is_followed(
    api: Server, tmp_path: Path, status: int, where: str
) -> None:
    """It could delete something else; the recording is stored all the same."""
    api.recordings[TWO] = encrypt(MP3)

    def redirect(handler: Handler) -> bool:
        if handler.command != "DELETE":
            return False
        handler.send(status, b"", Location=where)
        return True

    api.behaviours.append(redirect)
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == 7
    assert len(result.stdout.splitlines()) == 2
    assert f"error: {ONE}: stored, but not deleted: the API redirects (status {status})" in (
        result.stderr
    )
    assert set(stored(tmp_path)) == {f"{ONE}.opus", f"{TWO}.mp3"}
    assert {path for command, path, _ in api.seen if command == "DELETE"} == {
        f"{PATH}/{ONE}",
        f"{PATH}/{TWO}",
    }
    assert vns(api, "delete", "--yes", ONE, cwd=tmp_path).code == 7


def test_a_redirect_on_the_same_server_is_followed(api: Server, tmp_path: Path) -> None:
    """With the token; in a circle it ends."""

    def answer_there(handler: Handler) -> bool:
        if not handler.path.endswith("?page=1"):
            return False
        handler.send(200, handler.server.listing())
        return True

    api.behaviours.append(failing(307, path=PATH, Location=f"{PATH}?page=1"))
    api.behaviours.append(answer_there)
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    api.behaviours.append(failing(*[307] * 20, path=PATH, Location=PATH))
    assert "in a circle" in vns(api, "list", cwd=tmp_path).stderr


def test_a_server_that_never_answers(api: Server, tmp_path: Path) -> None:
    """Exit code 7 after the time allowed, some times."""
    api.behaviours.append(slow)
    result = vns(api, "list", "--timeout", "0.3", cwd=tmp_path)
    assert result.code == 7
    assert "did not answer within 0.3 seconds" in result.stderr


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """Exit code 7."""
    with serving() as server:
        pass
    result = vns(server, "list", cwd=tmp_path)
    assert (result.code, result.stdout) == (7, b"")
    assert result.stderr == f"error: {server.url[7:]} cannot be reached: Connection refused\n"


NOT_DONE = [
    b'{"success": false, "error": "locked"}',
    b'{"Success": false}',
    b'{"isSuccess": false, "message": "held"}',
    b'{"deleted": false}',
    b'{"ok": false}',
    b'{"error": {"code": 17}}',
    b'{"errors": ["locked"]}',
    b'{"status": "error"}',
    b'{"result": "Failed"}',
    b"false",
    b'{"success": "false"}',
    b'{"Success": 0}',
    b'{"result": {"success": false}}',
    b'[{"error": "locked"}]',
    b'{"d": {"error": "x"}}',
    b'{"isError": true}',
    b'{"hasErrors": true}',
    b'{"statusCode": 423, "message": "locked"}',
    b'{"code": "LOCKED", "message": "cannot delete"}',
    b'{"status": 500}',
    b'{"deleted": 0}',
    b'{"deletedCount": 0}',
    b'"error: locked"',
    b'<?xml version="1.0"?><Error><Code>Locked</Code></Error>',
    b"<!DOCTYPE html><html><body>Log in</body></html>",
]

DONE = [
    *(b"", b"{}", b"null", b"true", b"OK", b"[]", b"1"),
    b'{"success": true, "error": null, "errors": [], "status": "ok"}',
    b'{"deleted": true, "errorCode": 0, "errorMessage": ""}',
    b'{"errorCode": 0, "errorMessage": "Success"}',
    b'{"success": true, "errorMessage": "was there"}',
    b'{"errorCode": "OK"}',
    b'{"errorMessage": "No error"}',
    b'{"error": {"code": 0, "message": ""}}',
    b'{"errors": [null]}',
    b'{"error": " "}',
    b'{"code": 0, "status": 200, "result": "deleted"}',
]


def answering(body: bytes) -> Any:
    """Return a behaviour that answers every deletion in this way, with a status of success."""

    def behave(handler: Handler) -> bool:
        if handler.command == "DELETE":
            handler.send(200, body)
        return handler.command == "DELETE"

    return behave


@pytest.mark.parametrize("body", NOT_DONE, ids=repr)
def test_a_deletion_that_says_no(api: Server, tmp_path: Path, body: bytes) -> None:
    """Its status is not all: the record does not say that it was deleted, and it is tried again."""
    api.behaviours.append(answering(body))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, stored(tmp_path)) == (7, {f"{ONE}.opus": AUDIO})
    assert f"error: {ONE}: stored, but not deleted: the API has not deleted it" in result.stderr
    assert record(tmp_path, ONE)["deleted"] is None
    api.behaviours.clear()
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert api.deleted == [ONE]


@pytest.mark.parametrize("body", DONE, ids=repr)
def test_a_deletion_that_says_yes(api: Server, tmp_path: Path, body: bytes) -> None:
    """Or nothing."""
    api.behaviours.append(answering(body))
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert record(tmp_path, ONE)["deleted"] is not None


def test_a_delete_whose_answer_got_lost_has_succeeded(api: Server, tmp_path: Path) -> None:
    """The second attempt's 404 says that the first one worked."""
    lost: list[bytes] = []

    def behave(handler: Handler) -> bool:
        if handler.command != "DELETE" or lost:
            return False
        lost.append(handler.server.recordings.pop(handler.guid))
        handler.send(503, b"")
        return True

    api.behaviours.append(behave)
    assert vns(api, "delete", "--yes", ONE, cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Content_Length": "3000"}),
        (200, {"Content_Length": "3000", "Content_Encoding": "gzip"}),
        (200, {"Content_Length": "x"}),
        (200, {"Content_Length": "-5"}),
        (200, {"Transfer_Encoding": "chunked"}),
        (302, {"Location": "http://["}),
        (302, {"Location": "\\\\elsewhere"}),
        (503, {"Retry_After": "Fri, 31 Dec 999999999999 23:59:59 GMT"}),
    ],
)
def test_answers_that_are_not_to_be_trusted(
    api: Server, tmp_path: Path, status: int, headers: dict[str, str]
) -> None:
    """A failure of that recording alone: nothing stored for it, nothing deleted."""
    api.recordings = {ONE: AUDIO, TWO: MP3}
    api.behaviours.append(sending(AUDIO[:3000], status, **headers))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == 7
    assert result.stderr.startswith(f"error: {ONE}: ") or f"error: {ONE}: " in result.stderr
    assert stored(tmp_path) == {f"{TWO}.mp3": MP3}
    assert api.deleted == [TWO]


def test_a_redirect_that_two_parsers_read_differently(api: Server, tmp_path: Path) -> None:
    """What follows a backslash must not hide where the token would go."""
    with serving() as other:
        where = f"{other.url}\\@{api.url.removeprefix('http://')}{PATH}"
        api.behaviours.append(failing(302, path=PATH, Location=where))
        assert vns(api, "list", cwd=tmp_path).code == 7
        assert other.seen == []


def test_no_proxy_gets_the_token_in_clear_text(api: Server, tmp_path: Path) -> None:
    """An address of this machine is asked directly."""
    with serving() as proxy:
        more = {"http_proxy": proxy.url, "HTTP_PROXY": proxy.url, "all_proxy": proxy.url}
        assert vns(api, "list", cwd=tmp_path, **more).code == 0
        assert proxy.seen == []


def test_the_client_from_python(api: Server, tmp_path: Path) -> None:
    """The token is in no representation."""
    client = Client(TOKEN, url=api.url)
    assert TOKEN not in repr(client)
    archive = Archive(client, str(tmp_path / "calls"), password=PASSWORD)
    [outcome] = archive.fetch([UUID(ONE)])
    assert outcome.output == str(tmp_path / "calls" / f"{ONE}.opus")
    with pytest.raises(UsageError):
        Client("a\nb")
