"""What is made of the API's answers: of recordings, and of what comes instead of them."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime
from functools import partial
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.recordings import AUDIO, MP3, PASSWORD, encrypt
from support.vns import (
    NUMBERED,
    ONE,
    TWO,
    Resuming,
    answering,
    breaking,
    failing,
    meanwhile,
    sending,
    stored,
    trickling,
    vns,
)

from filedecryptor.core.decryptor import ignore
from filedecryptor.errors import ApiError, UsageError
from filedecryptor.vns import Client, client, http, recording_fields

SORRY = "Zugriff verweigert f\u00fcr Sie"
PAGE = f"<!doctype html><p>{SORRY}"
BREAKS_OFF = "the answer of SERVER breaks off, or is not valid HTTP: "
HOSTILE = f'{{"error": "no \\u001b[31m {TOKEN}"}}'.encode()
BEGINNING = partial(sending, AUDIO[:3000])
WHOLE = {"Content_Length": "3000"}
NEVER = "Fri, 31 Dec 999999999999 23:59:59 GMT"
# A body of a refusal, and what is said of it.
WORDS = [
    *((b"", ""), (b"{}", ""), (b"null", ""), (b"\x89PNG\r\n\x1a\n\0\0", "")),
    (b"try\n\tagain", "try again"),
    (b'{"code": 3, "errors": {"id": ["unknown", null]}}', "3, unknown"),
    (b'{"deleted": false, "left": 1.5}', "false, 1.5"),
    (b"<html><head><title>502</title></head><body>Bad &amp; gone</body>", "502 Bad & gone"),
    ('{"error": "wide"}'.encode("utf-16"), "wide"),
    (f"the token {TOKEN} is no good".encode(), "the token ... is no good"),
    (f"<p>&#77;{TOKEN[1:]}".encode(), "..."),
    (f'{{"error": "\\u004d{TOKEN[1:]}"}}'.encode(), "..."),
    (b"word " * 1000, f"{'word ' * 40}..."),
]


@pytest.mark.parametrize(("body", "said"), WORDS)
def test_what_a_refusal_says(body: bytes, said: str) -> None:
    """In a line, without markup, and without the token."""
    assert Client(TOKEN).words(body) == said


# How often it is asked for, what is said, and what comes: a body, or by what makes a behaviour.
FAILURES: list[tuple[int, str, list[Any]]] = [
    (
        *(1, f"the API sent an HTML or XML page, not a recording: {SORRY}\n"),
        [PAGE.encode(encoding) for encoding in ("utf-8", "latin-1", "utf-16")],
    ),
    (1, "the API sent a gzip archive", [gzip.compress(b"x", mtime=0)]),
    (1, "the API sent a text, not a recording: x", [b"x" * 43]),
    (1, "the API sent 43 bytes, not a recording", [bytes(43)]),
    (1, "the API sent nothing instead of a recording", [b""]),
    *(
        (
            *(1, f"the API refused the request (status {status}): no \\x1b[31m ...\n"),
            [partial(answering, status, HOSTILE, guids={ONE})],
        )
        for status in (405, 501)
    ),
    (5, "the API kept failing (status 500)", [partial(failing, *[500] * 9)]),
    (5, "the API kept failing (status 503)", [partial(failing, *[503] * 9, Retry_After=NEVER)]),
    (
        *(5, BREAKS_OFF),
        [
            *(partial(breaking, how, 9) for how in ("cut", "reset")),
            *(partial(BEGINNING, Content_Length=length) for length in ("-5", "x")),
            partial(BEGINNING, Transfer_Encoding="chunked"),
        ],
    ),
    (
        *(5, f"{BREAKS_OFF}illegal header line\n"),
        [partial(BEGINNING, **header) for header in ({"X_A ": TOKEN}, {"": TOKEN}, {"X": "\0\"'"})],
    ),
    (
        *(5, f"{BREAKS_OFF}illegal chunk header\n"),
        [partial(sending, body, Transfer_Encoding="chunked") for body in (b"'\r\n", b'"\r\n')],
    ),
    (1, "the API sent no recording", [partial(BEGINNING, 202, **WHOLE)]),
    (5, "the API does not send the part of the recording", [partial(BEGINNING, 206, **WHOLE)]),
    (1, "the API compresses its answer", [partial(BEGINNING, Content_Encoding="gzip", **WHOLE)]),
    (
        *(1, "the API redirects to an address that does not begin with https://"),
        [
            partial(failing, 302, Location=place)
            for place in [
                *("ftp://127.0.0.2", "http://a.example/x", "http://[", "\\\\elsewhere"),
                # Some programs read this as an address on the first server, others on the second.
                "http://127.0.0.1:9\\@127.0.0.1/x",
            ]
        ],
    ),
    (
        *(5, "SERVER sends less than 1000 bytes a second"),
        [
            *(partial(trickling, part) for part in ("status", "headers", "chunks")),
            partial(trickling, "body", 0.002),
        ],
    ),
]


@pytest.mark.parametrize(
    ("what", "attempts", "said"),
    [(what, attempts, said) for attempts, said, kind in FAILURES for what in kind],
)
def test_no_recording(api: Server, tmp_path: Path, what: Any, attempts: int, said: str) -> None:
    """It is neither stored nor deleted; it is said why, and the other recording is stored."""
    api.recordings = {ONE: what if isinstance(what, bytes) else AUDIO, TWO: MP3}
    api.behaviours += [] if isinstance(what, bytes) else [what()]
    words = ["archive", ".", "--delete-after", "--keep-encrypted"]
    words += ["--timeout", "0.2"] if "a second" in said else []
    passwords = [PASSWORD, None] if isinstance(what, bytes) else [PASSWORD]
    for password in passwords:
        result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password)
        said = said.replace("SERVER", api.url[7:])
        assert f"error: {ONE}: {said}" in result.stderr
        assert (result.code, stored(tmp_path)) == (7, {f"{TWO}.mp3": MP3})
    assert api.deleted == [TWO]
    assert api.count("GET", f"{PATH}/{ONE}") == attempts * len(passwords)


@pytest.mark.parametrize(
    "passing",
    [
        *(partial(failing, *[code] * 4) for code in (408, 425, 500, 504, 520, 524)),
        *(partial(breaking, how, 2) for how in ("cut", "reset", "stall")),
    ],
)
def test_what_may_pass_is_tried_again(api: Server, tmp_path: Path, passing: Any) -> None:
    """Up to five times, from the beginning: nothing of the first half stays."""
    api.behaviours.append(passing())
    assert vns(api, "archive", ".", "--timeout", "0.3", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_a_body_that_is_longer_than_announced(api: Server, tmp_path: Path) -> None:
    """What was announced is taken, and that has to authenticate."""
    body = encrypt(AUDIO)
    api.behaviours.append(sending(body, Content_Length=str(len(body) - 5)))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert (result.code, stored(tmp_path), api.deleted) == (3, {}, [])


@pytest.mark.parametrize(
    ("what", "words", "said"),
    [
        (partial(failing, 401, path=PATH), "", "the API refused the token (status 401)"),
        (partial(failing, 403, path=PATH), "", "the API refused the token (status 403)"),
        (
            *(partial(failing, 404, path=PATH), ""),
            "the API has no list of recordings at this address (status 404)\nhint: see that --api",
        ),
        (partial(failing, *[307] * 9, path=PATH, Location=PATH), "", "the API redirects in a circ"),
        (
            lambda: meanwhile(lambda _: time.sleep(0.4)),
            "--timeout 0.1",
            "SERVER did not answer within 0.1 seconds",
        ),
        (b"[" + b'"",' * 400, "", "the answer of the API does not end"),
        (None, "--api-url http://127.0.0.1:9", "127.0.0.1:9 cannot be reached: Connection refused"),
        (None, "--api-url https://nowhere.invalid", "nowhere.invalid cannot be reached: "),
    ],
)
def test_no_list(api: Server, tmp_path: Path, what: Any, words: str, said: str) -> None:
    """It is said why, with an exit code of its own if that is the token; refusals are final."""
    api.list_body = what if isinstance(what, bytes) else None
    api.behaviours += [what()] if callable(what) else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "LARGEST_LIST", 1000)
        result = vns(api, "archive", ".", *words.split(), cwd=tmp_path)
    assert (result.code, result.stdout) == (6 if "token" in said else 7, b"")
    assert result.stderr.startswith(f"error: {said}".replace("SERVER", api.url[7:]))
    assert len(api.seen) == 1 or "(status" not in said


ONLY = ": only the key itself belongs there"
MARKED = {
    "the token is in quotation marks": ["'KEY'", '"KEY"'],
    "the token looks like a line that sets a variable": ["VNS_API_TOKEN=KEY", "T='KEY'"],
    f"it begins with 'Bearer'{ONLY}": ["Bearer KEY", "Bearer: KEY"],
    f"it begins with 'Token'{ONLY}": ["Token KEY", "Token:KEY", " Token: KEY"],
    f"it begins with 'Authorization'{ONLY}": ["Authorization: KEY", "Authorization: Bearer KEY"],
    f"it looks like JSON or XML{ONLY}": ['{"token": "KEY"}', "<token>KEY</token>"],
    f"it has a blank in it{ONLY}": ["KEY # of March", "# KEY"],
    "the token came from ": ["KEY", "\t KEY \n", "KEY\u00a0\r\n"],
}
UNFIT = {
    f"it has a line end in it{ONLY}": ["KEY\nB", "# the key\r\nKEY", "KEY\rB"],
    "it begins with a byte order mark": ["\ufeffKEY"],
    "it has characters in it that are not printable ASCII": ["KEY\u200b", "\u201cKEY\u201d"],
    "the token came from ": ["", " \n"],
}


@pytest.mark.parametrize(
    ("hint", "token", "code"),
    [(hint, one, 6) for hint, tokens in MARKED.items() for one in tokens]
    + [(hint, one, 2) for hint, tokens in UNFIT.items() for one in tokens],
)
def test_what_is_no_token(api: Server, tmp_path: Path, hint: str, token: str, code: int) -> None:
    """It is said what shows that, and where it came from; at once where it cannot be sent."""
    api.tokens = set()
    token = token.replace("KEY", "Some-Key-456")
    (tmp_path / "key").write_text(token, "utf-8")
    runs: dict[str, list[str]] = {"VNS_API_TOKEN": []}
    if token and not re.search("\n|\ufeff", token.strip()):  # a file is read without these
        runs["key (its first line)"] = ["--token-file", "key"]
    for origin, words in runs.items():
        api.seen.clear()
        result = vns(api, "list", *words, cwd=tmp_path, VNS_API_TOKEN=token)
        assert (result.code, len(api.seen)) == (code, code == 6)
        assert result.lines[-1].startswith(f"hint: {hint}")
        assert result.lines[-1].endswith(f"the token came from {origin}")
        assert "Some-Key" not in result.stderr


def test_a_token_in_a_program() -> None:
    """Its hint says what is wrong; where it came from is known only if the program says so."""
    for token, hint in [("", None), ("A\n", f"it has a line end in it{ONLY}")]:
        with pytest.raises(UsageError) as raised:
            Client(token)
        assert raised.value.hint == hint


@pytest.mark.parametrize("path", [PATH, f"{PATH}/{ONE}"], ids=["list", "recording"])
def test_a_redirect_elsewhere(api: Server, tmp_path: Path, path: str) -> None:
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


def downloaded(api: Server) -> tuple[bytes, bool]:
    """Return what a client downloads, and whether it is known to be whole."""
    file = io.BytesIO(b"what was there before")
    with Client(TOKEN, url=api.url) as account:
        is_whole = account.download(ONE, file)
    return file.getvalue(), is_whole


@pytest.mark.parametrize(
    ("piece", "tag"), [(100_000, '"1"'), (600_000, None), (600_000, 'W/"1"'), (600_000, "")]
)
def test_it_goes_on_where_it_was(api: Server, piece: int, tag: str | None) -> None:
    """However often it breaks off, if it gets on: by a strong ETag, or else by its length."""
    behaviour = Resuming(piece, lambda: tag)
    api.recordings[ONE] = LONG
    api.behaviours.append(behaviour)
    assert downloaded(api) == (LONG, True)
    begins = range(piece, len(LONG), piece)
    assert behaviour.ranges == [None, *(f"bytes={begin}-" for begin in begins)]
    conditions = {headers.get("If-Range") for _, _, headers in api.seen[1:]}
    assert conditions == {tag if tag == '"1"' else None}


@pytest.mark.parametrize(
    ("offers", "ranges"), [(True, [None, *["bytes=600000-"] * 5]), (False, [None] * 5)]
)
def test_it_begins_again_where_it_cannot_go_on(api: Server, ranges: Any, *, offers: bool) -> None:
    """Parts that are not offered are not asked for, and those of another ETag not mixed."""
    tags = count()
    behaviour = Resuming(600_000, lambda: f'"{next(tags)}"', offers=offers)
    api.recordings[ONE] = LONG
    api.behaviours.append(behaviour)
    with pytest.raises(ApiError, match="breaks off"):
        downloaded(api)
    assert behaviour.ranges == ranges
    behaviour.piece = len(LONG)
    assert downloaded(api) == (LONG, True)


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
def test_unfit_parts(api: Server, tag: str | None, status: int, headers: dict[str, str]) -> None:
    """It is not used, also if only its headers tell: the next attempt begins again."""
    first = Resuming(600_000, lambda: tag)

    def then(handler: Handler) -> bool:
        if not first.ranges:
            return first(handler)
        api.recordings[ONE] = OTHER
        if "Range" in handler.headers:
            handler.send(status, OTHER[600_000:], **headers)
        return "Range" in handler.headers

    api.recordings[ONE] = LONG
    api.behaviours.append(then)
    assert downloaded(api) == (OTHER, True)
    assert len(api.seen) == 3


def test_recording_fields() -> None:
    """What a webhook answers, validated."""
    fields = {"recordCall": True, "recordCallFormat": "opus", "recordCallPassword": None}
    assert recording_fields() == fields
    assert recording_fields("wav", "geheim")["recordCallPassword"] == "geheim"
    for arguments in (("flac",), ("wav", ""), ("wav", "\ud800")):
        with pytest.raises(UsageError):
            recording_fields(*arguments)


# HTTP: addresses, pauses, how long a run may take, and who is trusted

INVALID = [
    *("", "a.example", "ftp://a.example", "https://", "https://user@a.example"),
    *("https://a.example\\@b.example", "https://a.example/\nx", "https://a.example/ x"),
    *("https://b\u00fccher.example", "https://[x", "https://a.example:port"),
    *("https://a.example:99999", "https://a.example:0", "\thttps://a.example"),
    *("https://a..example", f"https://{'a' * 64}.example"),
]


@pytest.mark.parametrize(
    ("url", "origin", "is_loopback"),
    [
        ("https://a.example", ("https", "a.example", 443), False),
        ("https://A.example:8443/x?y=1#z", ("https", "a.example", 8443), False),
        ("http://[::1]:81/x", ("http", "::1", 81), True),
        ("http://127.0.0.1:8080", ("http", "127.0.0.1", 8080), True),
        ("http://LOCALHOST", ("http", "localhost", 80), True),
        ("http://localhost.example", ("http", "localhost.example", 80), False),
        ("http://127.0.0.999", ("http", "127.0.0.999", 80), False),
        ("http://127.0.0.1.example", ("http", "127.0.0.1.example", 80), False),
        *((url, None, False) for url in INVALID),
    ],
)
def test_addresses(url: str, origin: tuple[str, str, int] | None, *, is_loopback: bool) -> None:
    """What leads where, and to this machine; nothing that hides its host or is read in two ways."""
    address = http.address_of(url)
    assert (address and http.origin(address)) == origin
    assert (address is not None and http.is_loopback(address)) == is_loopback


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("3", 3), ("1.5", 1.5), (" 2 ", 2), ("86400", 60), ("inf", 60), ("9" * 400, 60)),
        *((None, None), ("", None), ("soon", None), ("-1", None), ("0", None), ("nan", None)),
        *(("a, b", None), ("Fri, 31 Dec 999999999999 23:59:59 GMT", None)),
        ("Mon, 01 Jan 2024 00:00:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds, fractions and dates, but never more than a minute; None for anything else."""
    assert http.retry_after(value) == seconds
    then = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    assert 28 < (http.retry_after(format_datetime(then, usegmt=True)) or 0) <= 30


def test_backoff() -> None:
    """Twice as long each time, randomly shorter, never more than a minute."""
    found = {http.backoff(1, 3) for _ in range(100)}
    assert all(2 <= seconds <= 4 for seconds in found)
    assert len(found) > 50
    assert http.backoff(1, 10_000) <= 60


def failing_with(*failures: http.PassingError) -> Callable[[], float]:
    """Return a request that fails in these ways, one after the other; then it returns the time."""
    left = list(reversed(failures))

    def request() -> float:
        if left:
            raise left.pop()
        return time.monotonic()

    return request


def busy(retry_after: float | None = None) -> http.PassingError:
    """Return what a request fails with that is one too many, or has to be made so much later."""
    failure = http.PassingError("busy")
    failure.is_busy, failure.retry_after = True, retry_after
    return failure


def test_a_pause_is_for_all() -> None:
    """The next request waits for it, and the one after that a little longer; that can be ended."""
    retries = http.Network(60, None)
    begin = time.monotonic()
    first = retries.make(failing_with(busy(0.3)), ignore) - begin
    second = retries.make(failing_with(), ignore) - begin
    assert first > 0.299
    assert second >= first + http.SPACING / 2
    looks = iter(range(3))
    with pytest.raises(StopIteration):
        retries.make(failing_with(busy(60)), lambda _: next(looks))
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("failure", [http.PassingError("idle"), busy()], ids=str)
def test_pauses_grow(monkeypatch: pytest.MonkeyPatch, failure: http.PassingError) -> None:
    """Until a request gets through; over several requests, if the server is too busy."""
    monkeypatch.setattr(http, "PAUSE", 0.02)
    monkeypatch.setattr(http, "SPACING", 0)
    retries = http.Network(60, None)

    def seconds(count: int) -> float:
        begin = time.monotonic()
        return retries.make(failing_with(*[failure] * count), ignore) - begin

    for _ in range(2):
        assert 0.02 * (1 + 2 + 4) / 2 <= seconds(3) < 2
    with pytest.raises(ApiError, match=str(failure)):
        seconds(5)
    assert (seconds(1) >= 0.02 * 2**5 / 2) == failure.is_busy


def test_requests_that_are_refused_together_count_once() -> None:
    """Or the first pause of many threads would be a long one."""
    retries, together, refusals = http.Network(60, None), Barrier(6), [0] * 6

    def request() -> float:
        if refusals:
            refusals.pop()
            together.wait(10)
            raise busy()
        return time.monotonic()

    begin = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(lambda _: retries.make(request, ignore), range(6))) - begin < 3


def test_a_slow_server_is_waited_for(api: Server, tmp_path: Path) -> None:
    """If what it sends is little, but enough, also if the time ends between two pieces."""
    body = encrypt(MP3)
    api.recordings[ONE] = body

    def send_slowly(handler: Handler) -> bool:
        if handler.path == PATH:
            return False
        handler.send(200, b"", Content_Length=str(len(body)))
        for begin in range(0, len(body), 4000):
            handler.wfile.write(body[begin : begin + 4000])
            time.sleep(0.2)
        return True

    api.behaviours.append(send_slowly)
    assert vns(api, "archive", ".", "--timeout", "0.6", cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1


@pytest.mark.parametrize("what", ["list", "recordings", "pause"])
def test_the_time_for_all_of_it(api: Server, tmp_path: Path, what: str) -> None:
    """`--max-time` ends everything, also a pause, in one line; what is not done is not tried."""
    api.recordings |= dict.fromkeys(NUMBERED[:20], encrypt(AUDIO))
    for path in [PATH] if what == "list" else [f"{PATH}/{guid}" for guid in api.recordings]:
        pause = failing(503, 503, 503, path=path, Retry_After="60")
        api.behaviours.append(pause if what == "pause" else trickling("body", path=path))
    begin = time.monotonic()
    result = vns(api, "archive", ".", "--max-time", "0.7", "-j", "4", cwd=tmp_path)
    assert time.monotonic() - begin < 30
    assert result.code == 7
    assert result.stderr.count("the 0.7 seconds of --max-time are over") == 1
    if what != "list":
        assert f"{len(api.recordings) - 1} recordings not tried" in result.stderr
        assert "hint: run this again: what is stored is not fetched again" in result.lines
