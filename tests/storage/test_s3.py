"""Stores that misbehave, and addresses that lead nowhere: the command against a real S3 server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.recordings import AUDIO, PASSWORD, encrypt

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from support.bucket import Bucket
from support.commands import Result, run_process
from support.store_proxy import (
    NOT_IMPLEMENTED,
    Answer,
    Request,
    is_conditional,
    proxy,
    refusal,
    refusing_conditions,
)

from filedecryptor.errors import missing_extra
from filedecryptor.jobs.batch import FAILURES_IN_A_ROW, decrypt_files
from filedecryptor.storage import UNCONDITIONAL
from filedecryptor.storage.objects import LARGEST_PIECE
from filedecryptor.storage.s3 import S3

Forward = Callable[[Request], Answer]
Handler = Callable[[Request, Forward], Answer | None]

LARGE = LARGEST_PIECE + 1_000_000
"""Bytes of audio that are sent in several parts."""

SLOW_DOWN = refusal(503, "SlowDown", "Please reduce your request rate.")


class Store:
    """A bucket with one recording, behind a proxy, and the requests that were made there."""

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self.bucket = bucket
        self.requests: list[Request] = []
        self._folder = folder

    def run(
        self, handler: Handler, key: str, *words: str, tries: str = "", **options: Any
    ) -> Result:
        """Run the command on a key, or on an address, through a proxy."""
        url = key if "://" in key else f"{self.bucket.url}/{key}"
        with proxy(self.bucket.env["AWS_ENDPOINT_URL"], handler, **options) as store:
            env = {"AWS_ENDPOINT_URL": store.url, **({"AWS_MAX_ATTEMPTS": tries} if tries else {})}
            result = self.bucket.run(url, "-", *words, cwd=self._folder, env=env)
            self.requests += store.requests
        return result


@pytest.fixture
def store(with_recording: Bucket, tmp_path: Path) -> Store:
    """That bucket behind a proxy."""
    return Store(with_recording, tmp_path)


def answering(method: str, answer: Answer | None) -> Handler:
    """Return what gives all requests of a method the same answer."""
    return lambda request, forward: answer if request.method == method else forward(request)


UNREACHABLE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
NOBODY = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "")
NOBODY["AWS_EC2_METADATA_DISABLED"] = "true"


@pytest.mark.parametrize(
    "case",
    [
        ("s3://no-such-bucket/a.enc", {}, "The specified bucket does not exist", 1),
        ("s3://no-such-bucket", {}, "The specified bucket does not exist", 1),
        ("s3://no-such-bucket/", {}, "The specified bucket does not exist", 1),
        ("gs://bucket/a.enc", {}, "the package for such addresses is not installed", 2),
        ("nonsense://a.enc", {}, "Protocol not known: nonsense", 2),
        ("s3://b/a.enc?versionId=1", {}, "chains and versions of objects are not understood", 2),
        ("file:///a.enc", {}, "this is on the disk", 2),
        ("zip://a.enc::s3://b/x.zip", {}, "chains and versions of objects are not", 2),
        ("s3://bucket/a.enc", UNREACHABLE, "Could not connect to the endpoint", 1),
        ("s3://bucket/a.enc", NOBODY, "Unable to locate credentials", 1),
    ],
)
def test_what_is_wrong_with_an_address(
    bucket: Bucket, tmp_path: Path, case: tuple[str, dict[str, str], str, int]
) -> None:
    """One line names the address and the cause; nothing of the credentials is shown."""
    url, env, message, code = case
    result = bucket.run(url, PASSWORD, "opus", cwd=tmp_path, env={"HOME": str(tmp_path), **env})
    assert result.code == code, result
    assert result.lines[0].startswith(f"error: {url}: ")
    assert message in result.lines[0]
    assert all(line.startswith(("error: ", "hint: ")) for line in result.lines)
    assert "secret" not in result.stderr


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line and a hint, no traceback."""
    (tmp_path / "fsspec.py").write_text("raise ImportError('none', name='fsspec')")
    env = {"PYTHONPATH": str(tmp_path)}
    words, command = ("s3://b/a.enc", PASSWORD, "opus"), (sys.executable, "-m", "filedecryptor")
    result = run_process(*words, cwd=tmp_path, env=env, command=command)
    assert result.code == 2
    assert result.lines == [
        "error: s3://b/a.enc: the package for such addresses is not installed",
        f"hint: {missing_extra('s3')}",
    ]


REFUSALS = [
    (400, "ExpiredToken", "The provided token has expired.", "renew the credentials"),
    (403, "InvalidAccessKeyId", "The key Id does not exist.", "AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", "The signature does not match.", "AWS_SECRET_ACCESS_KEY"),
    (403, "RequestTimeTooSkewed", "The difference is too large.", "clock"),
    (403, "AccessDenied", "Access Denied", "the credentials need s3:"),
    (301, "PermanentRedirect", "Use the specified endpoint.", "AWS_DEFAULT_REGION"),
    (503, "SlowDown", "Please reduce your request rate.", None),
    (500, "InternalError", "We encountered an internal error.", None),
    (404, "NoSuchBucket", "The specified bucket does not exist", None),
]


def test_the_stores_own_sentence_is_told(store: Store) -> None:
    """It is the error, in one line; a hint follows where there is one."""
    refusals = {code: refusal(status, code, message) for status, code, message, _ in REFUSALS}
    for code in refusals:
        store.bucket.put(f"no/{code}.enc", b"")

    def refuse(request: Request, forward: Forward) -> Answer:
        return refusals.get(Path(request.path).stem) or forward(request)

    result = store.run(refuse, "no/", "x", tries="2")
    assert result.code == 1
    for _, code, message, hint in REFUSALS:
        at = result.lines.index(f"error: {store.bucket.url}/no/{code}.enc: {message}")
        assert result.lines[at + 1].startswith("hint: ") == (hint is not None)
        assert (hint or "") in result.lines[at + 1]


@pytest.mark.parametrize("code", ["ExpiredToken", "PermanentRedirect", "SlowDown"])
@pytest.mark.parametrize("word", ["s3://bucket/in/a.enc", "s3://bucket/in/"])
def test_the_stores_own_sentence_about_an_address(store: Store, code: str, word: str) -> None:
    """Also where the first request is one whose answer has no room for words."""
    [(status, _, message, _)] = [refused for refused in REFUSALS if refused[1] == code]
    result = store.run(lambda *_: refusal(status, code, message), word, "opus", tries="2")
    assert result.code == 1
    assert result.lines[0] == f"error: {word}: {message}"


def test_nothing_else_is_printed(bucket: Bucket, tmp_path: Path) -> None:
    """The library would tell of connections that it has left open."""
    bucket.put("plain.enc", encrypt(AUDIO))
    refuse = answering("HEAD", refusal(403, "AccessDenied", "no"))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], refuse) as store:
        env = {**bucket.env, "AWS_ENDPOINT_URL": store.url, "FILEDECRYPTOR_PASSWORD": PASSWORD}
        result = run_process(f"{bucket.url}/plain.enc", "-", "-o", "-", cwd=tmp_path, env=env)
    assert (result.code, result.stdout) == (1, b"")
    assert [line.partition(": ")[0] for line in result.lines] == ["error", "hint"]


def test_a_sentence_is_one_line_without_secrets(store: Store) -> None:
    """Whatever a store says: neither a password before a host nor a signature is shown."""
    message = "no\n\n  way: http://me:hush@host/x?X-Amz-Signature=hush " + "and so on " * 1000
    result = store.run(lambda *_: refusal(400, "Bad", message), "s3://bucket/a.enc", "opus")
    assert result.code == 1
    [line] = result.lines
    assert line.startswith("error: s3://bucket/a.enc: no way: http://host/x and so on ")
    assert len(line) < 500
    assert "hush" not in result.stderr


def test_a_missing_object_is_not_a_missing_bucket(with_recording: Bucket, tmp_path: Path) -> None:
    """Each is told by the store's own sentence."""
    bucket = with_recording
    result = bucket.run(f"{bucket.url}/gone.enc", "-", "opus", cwd=tmp_path)
    assert result.lines == [f"error: {bucket.url}/gone.enc: The specified key does not exist."]
    words = [f"{bucket.url}/in/a.enc", "-", "opus", "-d", "s3://gone"]
    result = bucket.run(*words, cwd=tmp_path)
    assert result.lines[0] == "error: s3://gone/a.opus: The specified bucket does not exist"


@pytest.mark.parametrize("broken", ["GET", "PUT", "body"])
def test_retries_end(store: Store, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A server that hangs up is asked a few times more, in one layer, and given up in time."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 1)

    def break_off(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        is_broken = request.method == "GET" and "in/a.enc" in request.path
        return answer._replace(body=answer.body[:100]) if is_broken else answer

    if broken == "body":
        result = store.run(break_off, "in/a.enc", "opus", announce_whole=True)
    else:
        result = store.run(answering(broken, None), "in/a.enc", "opus")
        assert "Connection was closed before we received a valid response" in result.lines[0]
    assert result.code == 1, result
    method = "PUT" if broken == "PUT" else "GET"
    assert [request.method for request in store.requests].count(method) < 9


def test_what_fails_in_passing_is_tried_again(store: Store) -> None:
    """Each request may fail once: a hung-up line, a busy server, an error of its own."""
    seen: set[str] = set()
    ways = iter([None, SLOW_DOWN, refusal(500, "InternalError", "x")] * 9)

    def fail_once(request: Request, forward: Forward) -> Answer | None:
        if (key := f"{request.method} {request.path}") in seen:
            return forward(request)
        seen.add(key)
        return next(ways)

    audio = os.urandom(LARGE)
    store.bucket.put("in/b.enc", encrypt(audio, PASSWORD))
    result = store.run(fail_once, "in/", "x", "-j", "1")
    assert result.code == 0, result
    assert store.bucket.contents()["in/a.x"] == AUDIO
    assert store.bucket.contents()["in/b.x"] == audio


@pytest.mark.parametrize("count", [80, 50])
def test_a_store_that_keeps_failing_is_given_up(store: Store, count: int) -> None:
    """After many recordings in a row; a failure that is not the store's, and the count begins anew.

    One line says so, after the summary of what was tried.
    """
    is_mixed = count == 50  # more than are under way at once, so none gets far ahead
    recording = store.bucket.get("in/a.enc")
    for number in range(count):
        is_bad = is_mixed and number % 2 == 0
        store.bucket.put(f"many/{number:02}.enc", b"no recording" if is_bad else recording)
    result = store.run(answering("PUT", SLOW_DOWN), "many/", "x", "-j", "1", tries="1")
    assert result.code == 1
    if is_mixed:
        assert result.lines[-1].startswith("50 failed in ")
        return
    failures = [line for line in result.lines if line.endswith("reduce your request rate.")]
    assert len(failures) == FAILURES_IN_A_ROW
    summary, error, hint = result.lines[-3:]
    assert summary.startswith(f"{FAILURES_IN_A_ROW} failed in ")
    said = f"error: the store failed for {FAILURES_IN_A_ROW} recordings in a row"
    assert error.startswith(said)
    assert hint.startswith("hint: ")


NO_CONDITIONS = {
    "501": NOT_IMPLEMENTED,
    "501 without a word": Answer(501, {}, b""),
    "501 with a page": Answer(501, {"Content-Type": "text/html"}, b"<html>Not Implemented</html>"),
    "400": refusal(400, "InvalidArgument", "If-None-Match is not supported"),
    "another 400": refusal(400, "XNotImplemented", "no such header"),
    "400 without a word": Answer(400, {}, b""),
    "405": refusal(405, "MethodNotAllowed", "The specified method is not allowed"),
}
"""What stores say to a condition that do not know it."""


@pytest.mark.parametrize("size", [1000, LARGE])
@pytest.mark.parametrize("if_exists", ["skip", "fail"])
@pytest.mark.parametrize("answer", NO_CONDITIONS.values(), ids=NO_CONDITIONS)
def test_a_store_that_refuses_conditions(
    bucket: Bucket, tmp_path: Path, answer: Answer, if_exists: str, size: int
) -> None:
    """It is asked once, which a note says; what is there is neither replaced nor sent."""
    audio = os.urandom(size)
    for name in ("a", "b", "c"):
        bucket.put(f"in/{name}.enc", encrypt(audio, PASSWORD))
    bucket.put("in/c.x", bytes(size))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], refusing_conditions(answer)) as store:
        words = ["-", "x", "--if-exists", if_exists]
        env = {"AWS_ENDPOINT_URL": store.url}
        first = bucket.run(f"{bucket.url}/in/a.enc", *words, cwd=tmp_path, env=env)
        rest = bucket.run(f"{bucket.url}/in/", *words, cwd=tmp_path, env=env)
    assert (first.code, rest.code) == ((0, 0) if if_exists == "skip" else (0, 1))
    assert first.lines == [f"note: {bucket.url}/in/a.x: {UNCONDITIONAL}"]
    assert "conditional" not in rest.stderr
    assert sum(map(is_conditional, store.requests)) == 1
    found = bucket.contents()
    assert [found[f"in/{name}.x"] for name in "abc"] == [audio, audio, bytes(size)]


@pytest.mark.parametrize("size", [0, 1000, LARGE])
@pytest.mark.parametrize("if_exists", ["skip", "fail"])
@pytest.mark.parametrize("knows", ["conditions", "nothing of them", "501", "400"])
def test_an_object_that_appears_meanwhile_stays(
    store: Store, knows: str, if_exists: str, size: int
) -> None:
    """It is looked for once more, before anything is sent without a condition."""

    def handle(request: Request, forward: Forward) -> Answer:
        is_late = knows != "nothing of them"
        if is_conditional(request) if is_late else request.path.endswith("b.enc"):
            store.bucket.put("in/b.x", bytes(size))
            if knows in NO_CONDITIONS:
                return NO_CONDITIONS[knows]
        if is_late:
            return forward(request)
        headers = {name: text for name, text in request.headers.items() if name != "If-None-Match"}
        return forward(request._replace(headers=headers))

    store.bucket.put("in/b.enc", encrypt(os.urandom(size), PASSWORD))
    result = store.run(handle, "in/b.enc", "x", "--if-exists", if_exists)
    if if_exists == "skip":
        assert (result.code, result.stdout) == (0, b"")
    else:
        assert result.code == 1
        assert result.lines == [f"error: {store.bucket.url}/in/b.x: File exists"]
    assert store.bucket.contents()["in/b.x"] == bytes(size)


def test_the_note_is_in_an_outcome(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python it is that of one recording, though many find it out side by side."""
    for number in range(8):
        bucket.put(f"many/{number}.enc", encrypt(AUDIO))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], refusing_conditions()) as store:
        bucket.use(monkeypatch, AWS_ENDPOINT_URL=store.url)
        outcomes = list(decrypt_files([f"{bucket.url}/many"], PASSWORD, "x", if_exists="skip"))
    assert [outcome.status for outcome in outcomes] == ["decrypted"] * 8
    assert len([outcome for outcome in outcomes if outcome.note]) == 1


@pytest.mark.parametrize("size", [1000, LARGE])
@pytest.mark.parametrize(
    "answers",
    [
        # This may be about the condition, and is not.
        [refusal(400, "InvalidPart", "No such part.")] * 2,
        [refusal(400, "InvalidArgument", "No such part.")] * 2,
        [refusal(501, "NotImplemented", "No such part.")] * 2,
        # This is, and there is something else as well.
        [NO_CONDITIONS["501"], refusal(400, "InvalidPart", "No such part.")],
    ],
)
def test_another_refusal_stays_an_error(store: Store, size: int, answers: list[Answer]) -> None:
    """The store's own sentence about what was asked last; no request is made again."""
    last: list[Request] = []

    def refuse(request: Request, forward: Forward) -> Answer:
        is_last = is_conditional(request) or (last and request[:2] == last[0][:2])
        if not is_last:
            return forward(request)
        last.append(request)
        return answers[len(last) - 1]

    store.bucket.put("in/b.enc", encrypt(os.urandom(size), PASSWORD))
    result = store.run(refuse, "in/b.enc", "x", "--if-exists", "skip")
    assert result.code == 1
    assert result.lines == [f"error: {store.bucket.url}/in/b.x: No such part."]
    assert len(last) == len(answers)
    assert "in/b.x" not in store.bucket.contents()


@pytest.mark.parametrize(("method", "name"), [("GET", "a.enc"), ("PUT", "a.x")])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (NOT_IMPLEMENTED, "A header you provided implies functionality that is not implemented"),
        (NO_CONDITIONS["501 without a word"], "Not Implemented"),
        (refusal(403, "AccessDenied", "Access Denied"), "Access Denied"),
    ],
)
def test_what_a_store_does_not_implement_or_allow(
    store: Store, method: str, name: str, answer: Answer, said: str
) -> None:
    """It is not asked for again: its sentence is told at once, or the status."""
    result = store.run(answering(method, answer), "in/a.enc", "x")
    assert result.code == 1
    expected = [f"error: {store.bucket.url}/in/{name}: {said}"]
    if answer.status == 403:
        expected.append(f"hint: the credentials need s3:{method.title()}Object for this")
    assert result.lines == expected
    assert [request.method for request in store.requests].count(method) == 1


@pytest.mark.parametrize(("setting", "code"), [(None, 0), ("when_supported", 1)])
def test_checksums_of_whole_objects_with_ranges(
    store: Store, monkeypatch: pytest.MonkeyPatch, setting: str | None, code: int
) -> None:
    """They are not looked at, since all is authenticated; a setting of the user's wins."""

    def with_checksum(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        if request.method == "GET" and request.path.endswith("b.enc"):
            return answer._replace(headers={**answer.headers, "x-amz-checksum-crc32": "AAAAAA=="})
        return answer

    audio = os.urandom(LARGE)
    store.bucket.put("in/b.enc", encrypt(audio, PASSWORD))
    if setting:
        store.bucket.env["AWS_RESPONSE_CHECKSUM_VALIDATION"] = setting
    result = store.run(with_checksum, "in/b.enc", "x")
    assert result.code == code, result
    if code == 0:
        assert store.bucket.get("in/b.x") == audio


def test_an_answer_that_is_lost(store: Store) -> None:
    """What this run has written is not in its own way; what another has written is."""
    lost: list[str] = []

    def lose_one(request: Request, forward: Forward) -> Answer | None:
        answer = forward(request)
        if request.method == "PUT" and request.path not in lost:
            lost.append(request.path)
            if "other" in request.path:
                store.bucket.put("in/other.x", bytes(len(AUDIO)))
            return None
        return answer

    for name in ("mine", "other"):
        store.bucket.put(f"in/{name}.enc", encrypt(AUDIO))
    mine = store.run(lose_one, "in/mine.enc", "x", "--if-exists", "fail")
    other = store.run(lose_one, "in/other.enc", "x", "--if-exists", "fail")
    assert mine.code == 0, mine
    assert store.bucket.get("in/mine.x") == AUDIO
    assert other.lines == [f"error: {store.bucket.url}/in/other.x: File exists"]


def test_requests_are_answered_after_memory_was_short(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that makes them goes on: without it, all would wait for ever."""
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    bucket.put("a", b"x")
    S3.clear_instance_cache()
    loop = S3().loop
    run_once = loop._run_once  # noqa: SLF001 - what memory is needed for between two callbacks

    def fail() -> None:
        loop._run_once = run_once  # noqa: SLF001 - as above
        raise MemoryError

    loop._run_once = fail  # noqa: SLF001 - as above
    loop.call_soon_threadsafe(bool)
    assert S3().exists(f"{bucket.name}/a")
    S3.clear_instance_cache()
