"""The API, good and bad, and what it says."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from uuid import UUID

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.recordings import AUDIO, MP3, PASSWORD, encrypt
from support.vns import ONE, TWO, answering, failing, record, sending, slow, stored, vns

from filedecryptor.errors import UsageError
from filedecryptor.vns import Archive, Client, recording_fields
from filedecryptor.vns.listing import says_no

PAGE = "<!doctype html><p>Zugriff verweigert f\u00fcr Sie"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, 6, "the API refused the token (status 401)\n"),
        (403, 6, "the API refused the token (status 403)\n"),
        (404, 7, "the API has no list of recordings at this address (status 404)\nhint: see "),
    ],
)
def test_a_refused_list(api: Server, tmp_path: Path, status: int, code: int, said: str) -> None:
    """At once, with its own exit code if it is the token's fault."""
    api.behaviours.append(failing(status, path=PATH))
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == code
    assert result.stderr.startswith(f"error: {said}")
    assert len(api.seen) == 1


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 520, 522, 524])
def test_what_may_pass_is_tried_again(api: Server, tmp_path: Path, status: int) -> None:
    """A few times; then it is exit code 7, and the other recordings are stored."""
    api.behaviours.append(failing(*[status] * 4))
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}
    api.recordings[TWO] = encrypt(MP3)
    api.behaviours.append(failing(*[status] * 5))
    result = vns(api, "archive", "new", cwd=tmp_path)
    assert result.code == 7
    assert f"error: {ONE}: the API kept failing (status {status})" in result.lines
    assert stored(tmp_path / "new") == {f"{TWO}.mp3": MP3}


@pytest.mark.parametrize("status", [400, 405, 418, 451, 501])
def test_what_will_not_pass_is_said_at_once(api: Server, tmp_path: Path, status: int) -> None:
    """With the server's reason, escaped, and without our token."""
    body = f'{{"error": "no \\u001b[31m {TOKEN}"}}'.encode()
    api.behaviours.append(answering(status, body))
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    said = f"error: {ONE}: the API refused the request (status {status}): no \\x1b[31m ..."
    assert result.lines[0] == said
    assert api.count("GET", f"{PATH}/{ONE}") == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        *((b"", ""), (b"{}", ""), (b"null", ""), (b"\x89PNG\r\n\x1a\n\0\0", "")),
        (b"try\n\tagain", "try again"),
        (b'{"error": "no such thing"}', "no such thing"),
        (b'{"code": 3, "errors": {"id": ["unknown", null]}}', "3, unknown"),
        (b"<html><head><title>502</title></head><body>Bad &amp; gone</body>", "502 Bad & gone"),
        (PAGE.encode("latin-1"), "Zugriff verweigert f\u00fcr Sie"),
        ('{"error": "wide"}'.encode("utf-16"), "wide"),
        (b"the token SECRET is no good", "the token ... is no good"),
        (b"<p>S&#69;CRET", "..."),
        (b'{"error": "SEC\\u0052ET"}', "..."),
        (b"word " * 1000, "word " * 40 + "..."),
    ],
)
def test_words(body: bytes, words: str) -> None:
    """The beginning of what a body says, without tags; never the secret."""
    assert Client("SECRET").words(body) == words


@pytest.mark.parametrize("password", [PASSWORD, None])
@pytest.mark.parametrize(
    "body",
    [
        *(PAGE.encode(), PAGE.encode("latin-1"), PAGE.encode("utf-16")),
        *(gzip.compress(b"x", mtime=0), b"x", b"x" * 43, bytes(43), b""),
    ],
    ids=["utf-8", "latin-1", "utf-16", "gzip", "byte", "text", "short", "none"],
)
def test_what_is_not_a_recording_is_never_stored(
    api: Server, tmp_path: Path, body: bytes, password: str | None
) -> None:
    """Exit code 7 with a password and without, the server's words, and again the next time."""
    api.recordings[ONE] = body
    words = ("archive", ".", "--delete-after", "--keep-encrypted")
    for _ in range(2):
        result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password)
        assert result.code == 7
        assert f"error: {ONE}: the API sent " in result.lines[0]
        assert ("Zugriff verweigert f\u00fcr Sie" in result.lines[0]) == (b"Z" in body)
        assert stored(tmp_path) == {}
    assert api.count("GET", f"{PATH}/{ONE}") == 2
    assert api.deleted == []


def test_a_body_longer_than_announced(api: Server, tmp_path: Path) -> None:
    """What was announced is taken, and it has to authenticate."""
    body = encrypt(AUDIO)
    api.behaviours.append(sending(body, Content_Length=str(len(body) - 5)))
    assert vns(api, "archive", ".", cwd=tmp_path).code == 3
    assert stored(tmp_path) == {}


@pytest.mark.parametrize("path", [PATH, f"{PATH}/{ONE}"], ids=["list", "recording"])
def test_a_redirect_to_another_server_goes_there_without_the_token(
    api: Server, tmp_path: Path, path: str
) -> None:
    """As to a store that holds the recordings; the token must not travel."""
    with serving() as other:
        other.tokens = None
        body = json.dumps([ONE]).encode() if path == PATH else encrypt(AUDIO)
        other.behaviours.append(answering(200, body))
        api.behaviours.append(failing(302, path=path, Location=f"{other.url}/elsewhere"))
        assert vns(api, "archive", ".", cwd=tmp_path).code == 0
        assert [seen[:2] for seen in other.seen] == [("GET", "/elsewhere")]
        assert TOKEN not in str(other.seen)
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


@pytest.mark.parametrize(
    "where",
    [
        *("http://elsewhere.example/x", "ftp://127.0.0.1/", "http://[", "\\\\elsewhere"),
        "{other}\\@{api}/x",
    ],
)
def test_some_redirects_are_not_followed(api: Server, tmp_path: Path, where: str) -> None:
    """Only to https, and to what stays on this machine, and not to what parsers read differently."""
    with serving() as other:
        where = where.format(other=other.url, api=api.url.removeprefix("http://"))
        api.behaviours.append(failing(302, path=f"{PATH}/{ONE}", Location=where))
        result = vns(api, "archive", ".", cwd=tmp_path)
        assert result.code == 7
        assert f"error: {ONE}: the API redirects to " in result.stderr
        assert (stored(tmp_path), other.seen) == ({}, [])


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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", [PATH, f"{PATH}/{TWO}", f"{PATH}/{ONE}/"])
def test_no_redirection_of_a_deletion_is_followed(
    api: Server, tmp_path: Path, status: int, where: str
) -> None:
    """It could delete something else; the recording is stored all the same."""
    api.recordings[TWO] = encrypt(MP3)
    api.behaviours.append(answering(status, command="DELETE", Location=where))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == 7
    assert len(result.stdout.splitlines()) == 2
    said = f"error: {ONE}: stored, but not deleted: the API redirects (status {status})"
    assert said in result.stderr
    assert set(stored(tmp_path)) == {f"{ONE}.opus", f"{TWO}.mp3"}
    asked = {path for command, path, _ in api.seen if command == "DELETE"}
    assert asked == {f"{PATH}/{ONE}", f"{PATH}/{TWO}"}
    assert vns(api, "delete", "--yes", ONE, cwd=tmp_path).code == 7


def test_a_server_that_never_answers(api: Server, tmp_path: Path) -> None:
    """Exit code 7 after the time allowed, several times."""
    api.behaviours.append(slow)
    result = vns(api, "list", "--timeout", "0.3", cwd=tmp_path)
    assert result.code == 7
    assert "did not answer within 0.3 seconds" in result.stderr


NOT_DONE = """
{"success": false, "error": "locked"} | {"Success": false} | {"deleted": false} | {"ok": false}
{"isSuccess": false, "message": "held"} | {"error": {"code": 17}} | {"errors": ["locked"]}
{"status": "error"} | {"result": "Failed"} | false | {"success": "false"} | {"Success": 0}
{"result": {"success": false}} | [{"error": "locked"}] | {"d": {"error": "x"}} | {"isError": true}
{"hasErrors": true} | {"statusCode": 423, "message": "locked"} | {"status": 500} | {"deleted": 0}
{"code": "LOCKED", "message": "cannot delete"} | "error: locked" | {"deletedCount": 0}
{"a": {"success": true}, "error": "locked"} | [{"success": false}, {"success": true}]
<?xml version="1.0"?><Error><Code>Locked</Code></Error>
<!DOCTYPE html><html><body>Log in</body></html>
"""
DONE = """
{} | null | true | OK | [] | 1 | {"success": true, "error": null, "errors": [], "status": "ok"}
{"deleted": true, "errorCode": 0, "errorMessage": ""} | {"errorCode": "OK"} | {"errors": [null]}
{"errorCode": 0, "errorMessage": "Success"} | {"success": true, "errorMessage": "was there"}
{"error": {"code": 0, "message": ""}} | {"errorMessage": "No error"} | {"error": " "}
{"code": 0, "status": 200, "result": "deleted"} | {"success": true, "errors": {"old": "x"}} |
"""


@pytest.mark.parametrize("is_done", [False, True])
def test_an_answer_that_says_no(*, is_done: bool) -> None:
    """In one of the ways of APIs, or as a page; an answer may also say yes, or nothing."""
    texts = re.split(r" \| | \|$|\n", (DONE if is_done else NOT_DONE).strip())
    assert [text for text in texts if says_no(text.encode()) == is_done] == []


@pytest.mark.parametrize("body", [b'{"success": false, "error": "locked"}', b"<html>Log in"])
def test_a_deletion_that_fails_with_success(api: Server, tmp_path: Path, body: bytes) -> None:
    """Its status is not all: the record does not say that it was deleted, and it is tried again."""
    api.behaviours.append(answering(200, body, command="DELETE"))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, stored(tmp_path)) == (7, {f"{ONE}.opus": AUDIO})
    assert f"error: {ONE}: stored, but not deleted: the API has not deleted it: " in result.stderr
    assert record(tmp_path, ONE)["deleted"] is None
    api.behaviours[:] = [answering(200, b'{"success": true}', command="DELETE")]
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert record(tmp_path, ONE)["deleted"] is not None
    assert api.count("DELETE", f"{PATH}/{ONE}") == 2


def test_a_delete_whose_answer_got_lost_has_succeeded(api: Server, tmp_path: Path) -> None:
    """The second attempt's 404 says that the first one worked."""

    def behave(handler: Handler) -> bool:
        if handler.command != "DELETE" or handler.guid not in api.recordings:
            return False
        del api.recordings[handler.guid]
        handler.send(503, b"")
        return True

    api.behaviours.append(behave)
    assert vns(api, "delete", "--yes", ONE, cwd=tmp_path).code == 0
    assert vns(api, "delete", "--yes", ONE, cwd=tmp_path).code == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Content_Length": "3000"}),
        (200, {"Content_Length": "3000", "Content_Encoding": "gzip"}),
        (200, {"Content_Length": "x"}),
        (200, {"Content_Length": "-5"}),
        (200, {"Transfer_Encoding": "chunked"}),
        (202, {"Content_Length": "3000"}),
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
    assert f"error: {ONE}: " in result.stderr
    assert stored(tmp_path) == {f"{TWO}.mp3": MP3}
    assert api.deleted == [TWO]


def test_the_client_from_python(api: Server, tmp_path: Path) -> None:
    """A context manager, whose token is in no representation; impossible arguments are refused."""
    with Client(TOKEN, url=api.url) as account:
        assert TOKEN not in repr(account)
        archive = Archive(account, str(tmp_path / "calls"), password=PASSWORD)
        [outcome] = archive.fetch([UUID(ONE)])
        assert outcome.output == str(tmp_path / "calls" / f"{ONE}.opus")
    for token, url in (("a\nb", api.url), ("", api.url), ("a", "http://a.example"), ("a", "x")):
        with pytest.raises(UsageError):
            Client(token, url=url)


def test_recording_fields() -> None:
    """What a webhook answers, validated."""
    fields = {"recordCall": True, "recordCallFormat": "opus", "recordCallPassword": None}
    assert recording_fields() == fields
    assert recording_fields("wav", "geheim")["recordCallPassword"] == "geheim"
    for arguments in (("flac",), ("wav", ""), ("wav", "\ud800")):
        with pytest.raises(UsageError):
            recording_fields(*arguments)
