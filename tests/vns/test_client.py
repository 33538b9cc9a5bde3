"""What is made of the API's answers: of recordings, and of what comes instead of them."""

from __future__ import annotations

import gzip
import io
import json
import struct
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.recordings import AUDIO, BY_FORMAT, MP3, PASSWORD, WAV, encrypt
from support.vns import (
    ONE,
    TWO,
    Resuming,
    answering,
    breaking,
    failing,
    sending,
    slow,
    stored,
    trickling,
    vns,
)

from filedecryptor.audio.truncation import is_cut
from filedecryptor.errors import ApiError, UsageError
from filedecryptor.vns import Archive, Client, client, recording_fields

PAGE = "<!doctype html><p>Zugriff verweigert f\u00fcr Sie"
REFUSED = "the API refused the request (status "
HOSTILE = f'{{"error": "no \\u001b[31m {TOKEN}"}}'.encode()
ELSEWHERE = "the API redirects to an address that does not begin with https://"
BREAKS_OFF = "the answer of SERVER breaks off, or is not valid HTTP: "
TOO_SLOW = "SERVER sends less than 1000 bytes a second"

BODIES = [
    *((PAGE.encode(encoding), "an HTML or XML page") for encoding in ("utf-8", "latin-1")),
    (PAGE.encode("utf-16"), "an HTML or XML page"),
    (gzip.compress(b"x", mtime=0), "a gzip archive"),
    (b"x", "a text, not a recording: x"),
    (b"x" * 43, f"a text, not a recording: {'x' * 43}"),
    (bytes(43), "43 bytes, not a recording"),
    (b"", "nothing instead of a recording"),
]
WORDS = [
    *((b"", ""), (b"{}", ""), (b"null", ""), (b"\x89PNG\r\n\x1a\n\0\0", "")),
    (b"try\n\tagain", ": try again"),
    (b'{"code": 3, "errors": {"id": ["unknown", null]}}', ": 3, unknown"),
    (b"<html><head><title>502</title></head><body>Bad &amp; gone</body>", ": 502 Bad & gone"),
    ('{"error": "wide"}'.encode("utf-16"), ": wide"),
    (f"the token {TOKEN} is no good".encode(), ": the token ... is no good"),
    (f"<p>&#77;{TOKEN[1:]}".encode(), ": ..."),
    (f'{{"error": "\\u004d{TOKEN[1:]}"}}'.encode(), ": ..."),
    (b"word " * 1000, f": {'word ' * 40}..."),
]
FAILURES: list[tuple[Any, int, str]] = [
    # A body, or what makes a behaviour; how often it is asked for; what is said of it.
    *((body, 1, f"the API sent {said}") for body, said in BODIES),
    *(
        (
            partial(answering, status, HOSTILE, guids={ONE}),
            1,
            f"{REFUSED}{status}): no \\x1b[31m ...",
        )
        for status in (405, 418, 451, 501)
    ),
    *(
        (partial(answering, 400, body, guids={ONE}), 1, f"{REFUSED}400){said}\n")
        for body, said in WORDS
    ),
    (partial(failing, *[500] * 9), 5, "the API kept failing (status 500)"),
    (
        partial(failing, *[503] * 9, Retry_After="Fri, 31 Dec 999999999999 23:59:59 GMT"),
        *(5, "the API kept failing (status 503)"),
    ),
    (partial(breaking, "cut", 9), 5, BREAKS_OFF),
    (partial(breaking, "reset", 9), 5, BREAKS_OFF),
    (partial(sending, AUDIO[:3000], Transfer_Encoding="chunked"), 5, BREAKS_OFF),
    (partial(sending, AUDIO[:3000], Content_Length="-5"), 5, BREAKS_OFF),
    (partial(sending, AUDIO[:3000], Content_Length="x"), 5, BREAKS_OFF),
    (partial(sending, AUDIO[:3000], 202, Content_Length="3000"), 1, "the API sent no recording"),
    (
        partial(sending, AUDIO[:3000], 206, Content_Length="3000"),
        *(5, "the API does not send the part of the recording that was asked for"),
    ),
    (
        partial(sending, AUDIO[:3000], Content_Length="3000", Content_Encoding="gzip"),
        *(1, "the API compresses its answer, which it was not asked to"),
    ),
    *(
        (partial(failing, 302, Location=where), 1, ELSEWHERE)
        for where in ("http://elsewhere.example/x", "ftp://127.0.0.1/", "http://[", "\\\\elsewhere")
    ),
    # Some programs read this as an address on the first server, others on the second.
    (partial(failing, 302, Location="http://127.0.0.1:9\\@127.0.0.1/x"), 1, ELSEWHERE),
    *((partial(trickling, part), 5, TOO_SLOW) for part in ("status", "headers", "body", "chunks")),
    (partial(trickling, "body", 0.002), 5, TOO_SLOW),
]


@pytest.mark.parametrize(("what", "attempts", "said"), FAILURES)
def test_what_is_not_a_recording_is_never_stored(
    api: Server, tmp_path: Path, what: Any, attempts: int, said: str
) -> None:
    """Nor is anything deleted for it. It is said why, and the other recording is stored."""
    api.recordings = {ONE: what if isinstance(what, bytes) else AUDIO, TWO: MP3}
    api.behaviours += [] if isinstance(what, bytes) else [what()]
    words = ["archive", ".", "--delete-after", "--keep-encrypted"]
    words += ["--timeout", "0.3"] if said == TOO_SLOW else []
    passwords = [PASSWORD, None] if isinstance(what, bytes) else [PASSWORD]
    for password in passwords:
        result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password)
        said = said.replace("SERVER", api.url[7:])
        assert f"error: {ONE}: {said}" in result.stderr
        assert ("Zugriff verweigert f\u00fcr Sie\n" in result.stderr) == ("HTML" in said)
        assert (result.code, stored(tmp_path)) == (7, {f"{TWO}.mp3": MP3})
    assert api.deleted == [TWO]
    assert api.count("GET", f"{PATH}/{ONE}") == attempts * len(passwords)


@pytest.mark.parametrize(
    "passing",
    [
        *(partial(failing, *[code] * 4) for code in (408, 425, 500, 502, 503, 504, 520, 522, 524)),
        *(partial(breaking, how, 2) for how in ("cut", "reset", "stall")),
    ],
)
def test_what_may_pass_is_tried_again(api: Server, tmp_path: Path, passing: Any) -> None:
    """Up to five times, from the beginning: nothing of the first half stays."""
    api.behaviours.append(passing())
    assert vns(api, "archive", ".", "--timeout", "1", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_a_body_that_is_longer_than_announced(api: Server, tmp_path: Path) -> None:
    """What was announced is taken, and that has to authenticate."""
    body = encrypt(AUDIO)
    api.behaviours.append(sending(body, Content_Length=str(len(body) - 5)))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, stored(tmp_path), api.deleted) == (3, {}, [])


UNREACHABLE = "cannot be reached: "


@pytest.mark.parametrize(
    ("what", "words", "code", "said"),
    [
        (partial(failing, 401, path=PATH), "", 6, "the API refused the token (status 401)"),
        (partial(failing, 403, path=PATH), "", 6, "the API refused the token (status 403)"),
        (
            *(partial(failing, 404, path=PATH), "", 7),
            "the API has no list of recordings at this address (status 404)\nhint: see that --api",
        ),
        (partial(failing, *[307] * 9, path=PATH, Location=PATH), "", 7, "the API redirects in a c"),
        (lambda: slow, "--timeout 0.3", 7, "SERVER did not answer within 0.3 seconds"),
        (b"[" + b'"",' * 400, "", 7, "the answer of the API does not end"),
        (None, "--api-url http://127.0.0.1:9", 7, f"127.0.0.1:9 {UNREACHABLE}Connection refused"),
        (None, "--api-url https://nowhere.invalid", 7, f"nowhere.invalid {UNREACHABLE}"),
    ],
)
def test_a_list_that_cannot_be_had(
    api: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: Any,
    *,
    words: str,
    code: int,
    said: str,
) -> None:
    """It is said why, with an exit code of its own if that is the token; refusals are final."""
    monkeypatch.setattr(client, "LARGEST_LIST", 1000)
    api.list_body = what if isinstance(what, bytes) else None
    api.behaviours += [what()] if callable(what) else []
    result = vns(api, "archive", ".", *words.split(), cwd=tmp_path)
    assert (result.code, result.stdout) == (code, b"")
    assert result.stderr.startswith(f"error: {said}".replace("SERVER", api.url[7:]))
    assert len(api.seen) == 1 or "(status" not in said


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


def test_a_redirect_on_the_same_server_is_followed(api: Server, tmp_path: Path) -> None:
    """With the token."""
    api.recordings[TWO] = encrypt(MP3)
    api.behaviours.append(failing(307, path=f"{PATH}/{ONE}", Location=f"{PATH}/{TWO}"))
    assert vns(api, "download", ONE, cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.mp3": MP3}


# A download that breaks off, and audio that is cut though it has its announced length

LONG = bytes(range(256)) * 4000
OTHER = LONG[::-1]


@pytest.fixture
def long(api: Server) -> Server:
    """An account with one recording that takes several answers."""
    api.recordings[ONE] = LONG
    return api


def downloaded(api: Server) -> tuple[bytes, bool]:
    """Return what a client downloads, and whether it is known to be whole."""
    file = io.BytesIO(b"what was there before")
    with Client(TOKEN, url=api.url) as account:
        is_whole = account.download(ONE, file)
    return file.getvalue(), is_whole


@pytest.mark.parametrize(
    ("piece", "tag"), [(100_000, '"1"'), (600_000, None), (600_000, 'W/"1"'), (600_000, "")]
)
def test_it_goes_on_where_it_was(long: Server, piece: int, tag: str | None) -> None:
    """However often it breaks off, if it gets on: by a strong ETag, or else by its length."""
    behaviour = Resuming(piece, lambda: tag)
    long.behaviours.append(behaviour)
    assert downloaded(long) == (LONG, True)
    begins = range(piece, len(LONG), piece)
    assert behaviour.ranges == [None, *(f"bytes={begin}-" for begin in begins)]
    conditions = {headers.get("If-Range") for _, _, headers in long.seen[1:]}
    assert conditions == {tag if tag == '"1"' else None}


def test_it_begins_again_where_it_cannot_go_on(long: Server) -> None:
    """Parts that are not offered are not asked for, and those of another ETag not mixed."""
    tags = count()
    behaviour = Resuming(600_000, lambda: f'"{next(tags)}"')
    long.behaviours.append(behaviour)
    with pytest.raises(ApiError):
        downloaded(long)
    assert behaviour.ranges[1] == "bytes=600000-"
    behaviour.offers = False
    behaviour.ranges.clear()
    with pytest.raises(ApiError, match="breaks off"):
        downloaded(long)
    assert behaviour.ranges == [None] * 5
    behaviour.piece = len(LONG)
    assert downloaded(long) == (LONG, True)


@pytest.mark.parametrize(
    ("tag", "status", "headers"),
    [
        (None, 206, {"Content_Range": "bytes 0-9/1024000"}),
        (None, 206, {"Content_Range": "bytes 600000-1023999/2000000"}),
        (None, 206, {"Content_Range": "bytes 600000-1023999/*"}),
        (None, 206, {"Content_Range": "nonsense"}),
        (None, 206, {}),
        (None, 416, {}),
        ('"1"', 206, {"Content_Range": "bytes 600000-1023999/1024000", "ETag": '"2"'}),
    ],
)
def test_a_part_that_does_not_fit(
    long: Server, tag: str | None, status: int, headers: dict[str, str]
) -> None:
    """It is not used, also if only its headers tell: the next attempt begins again."""
    first = Resuming(600_000, lambda: tag)

    def then(handler: Handler) -> bool:
        if not first.ranges:
            return first(handler)
        long.recordings[ONE] = OTHER
        if "Range" in handler.headers:
            handler.send(status, OTHER[600_000:], **headers)
        return "Range" in handler.headers

    long.behaviours.append(then)
    assert downloaded(long) == (OTHER, True)


def with_xing(count: int) -> bytes:
    """Return MP3 whose first frame says that there are so many bytes."""
    frame = MP3[:4] + bytes(32) + b"Info" + struct.pack(">III", 3, 100, count)
    return frame.ljust(MP3.index(MP3[:3], 4), b"\0") + MP3


def streamed(size: bytes) -> bytes:
    """Return WAV that was written to a pipe, so that nobody knew its length."""
    begin = WAV.index(b"data") + 4
    return WAV[:4] + size + WAV[8:begin] + size + WAV[begin + 4 :]


def test_what_is_cut() -> None:
    """In a page, a frame or a chunk, or by a Xing header; but not what has something behind it."""
    whole = [("wav", streamed(bytes(4))), ("wav", streamed(b"\xff" * 4))]
    whole += [("mp3", with_xing(len(MP3)))]
    cut = [("mp3", with_xing(2 * len(MP3)))]
    for name, audio in BY_FORMAT.items():
        whole += [(name, audio), (name, audio + b"TAG" + bytes(125))]
        cut += [(name, audio[: len(audio) * percent // 100 + 1]) for percent in (99, 70, 31)]
    assert [name for name, audio in whole if is_cut(io.BytesIO(audio), name)] == []
    assert [name for name, audio in cut if not is_cut(io.BytesIO(audio), name)] == []


# From Python


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
