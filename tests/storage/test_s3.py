"""Object stores that misbehave: the command against a real S3 server behind a proxy on loopback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.recordings import AUDIO, PASSWORD, encrypt

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from support.bucket import Bucket
from support.commands import run_process
from support.store_proxy import (
    NOT_IMPLEMENTED,
    Answer,
    Request,
    is_conditional,
    proxy,
    refusal,
    refusing_conditions,
)

from filedecryptor.jobs.batch import FAILURES_IN_A_ROW, decrypt_files
from filedecryptor.storage import UNCONDITIONAL
from filedecryptor.storage.objects import LARGEST_PIECE
from filedecryptor.storage.s3 import S3

Forward = Callable[[Request], Answer]

LARGE = LARGEST_PIECE + 1_000_000
"""Bytes of audio that are sent in several parts."""

ONE_TRY = {"AWS_MAX_ATTEMPTS": "1"}


@pytest.fixture
def bucket(with_recording: Bucket) -> Bucket:
    """A bucket with one recording."""
    return with_recording


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


def test_the_stores_own_sentence_is_told(bucket: Bucket, tmp_path: Path) -> None:
    """It is the error, in one line; a hint follows where there is one."""
    refusals = {code: refusal(status, code, message) for status, code, message, _ in REFUSALS}
    for code in refusals:
        bucket.put(f"no/{code}.enc", b"")

    def refuse(request: Request, forward: Forward) -> Answer:
        return refusals.get(Path(request.path).stem) or forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], refuse) as store:
        env = {"AWS_ENDPOINT_URL": store.url, "AWS_MAX_ATTEMPTS": "2"}
        result = bucket.run(f"{bucket.url}/no/", "-", "x", cwd=tmp_path, env=env)
    assert result.code == 1
    for _, code, message, hint in REFUSALS:
        at = result.lines.index(f"error: {bucket.url}/no/{code}.enc: {message}")
        assert result.lines[at + 1].startswith("hint: ") == (hint is not None)
        assert (hint or "") in result.lines[at + 1]


@pytest.mark.parametrize("code", ["ExpiredToken", "PermanentRedirect", "SlowDown"])
@pytest.mark.parametrize("word", ["s3://bucket/in/a.enc", "s3://bucket/in/"])
def test_the_stores_own_sentence_about_an_address(
    bucket: Bucket, tmp_path: Path, code: str, word: str
) -> None:
    """Also where the first request is one whose answer has no room for words."""
    [(status, _, message, _)] = [refused for refused in REFUSALS if refused[1] == code]
    with proxy(bucket.env["AWS_ENDPOINT_URL"], lambda *_: refusal(status, code, message)) as store:
        env = {"AWS_ENDPOINT_URL": store.url, "AWS_MAX_ATTEMPTS": "2"}
        result = bucket.run(word, "-", "opus", cwd=tmp_path, env=env)
    assert result.code == 1
    assert result.lines[0] == f"error: {word}: {message}"


def test_what_the_credentials_do_not_allow(bucket: Bucket, tmp_path: Path) -> None:
    """The output is named, and the permission that is missing."""

    def no_writing(request: Request, forward: Forward) -> Answer:
        if request.method == "PUT":
            return refusal(403, "AccessDenied", "Access Denied")
        return forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], no_writing) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        result = bucket.run(f"{bucket.url}/in/a.enc", "-", "opus", cwd=tmp_path, env=env)
    assert result.code == 1
    assert result.lines == [
        f"error: {bucket.url}/in/a.opus: Access Denied",
        "hint: the credentials need s3:PutObject for this",
    ]


def test_nothing_else_is_printed(bucket: Bucket, tmp_path: Path) -> None:
    """The library would tell of connections that it has left open."""

    def refuse(request: Request, forward: Forward) -> Answer:
        return refusal(403, "AccessDenied", "no") if request.method == "HEAD" else forward(request)

    bucket.put("plain.enc", encrypt(AUDIO))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], refuse) as store:
        env = {**bucket.env, "AWS_ENDPOINT_URL": store.url, "FILEDECRYPTOR_PASSWORD": PASSWORD}
        words = (f"{bucket.url}/plain.enc", "-", "-o", "-")
        result = run_process(*words, cwd=tmp_path, env=env)
    assert (result.code, result.stdout) == (1, b"")
    assert [line.partition(": ")[0] for line in result.lines] == ["error", "hint"]


def test_a_sentence_is_one_line_without_secrets(bucket: Bucket, tmp_path: Path) -> None:
    """Whatever a store says: neither a password before a host nor a signature is shown."""
    message = "no\n\n  way: http://me:hush@host/x?X-Amz-Signature=hush " + "and so on " * 1000
    with proxy(bucket.env["AWS_ENDPOINT_URL"], lambda *_: refusal(400, "Bad", message)) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        result = bucket.run("s3://bucket/a.enc", "-", "opus", cwd=tmp_path, env=env)
    assert result.code == 1
    assert result.lines[0].startswith("error: s3://bucket/a.enc: no way: http://host/x and so on ")
    assert len(result.lines) == 1
    assert len(result.lines[0]) < 500
    assert "hush" not in result.stderr


def test_a_missing_object_is_not_a_missing_bucket(bucket: Bucket, tmp_path: Path) -> None:
    """Each is told by the store's own sentence."""
    result = bucket.run(f"{bucket.url}/gone.enc", "-", "opus", cwd=tmp_path)
    assert result.lines == [f"error: {bucket.url}/gone.enc: The specified key does not exist."]
    words = [f"{bucket.url}/in/a.enc", "-", "opus", "-d", "s3://gone"]
    result = bucket.run(*words, cwd=tmp_path)
    assert result.lines[0] == "error: s3://gone/a.opus: The specified bucket does not exist"


@pytest.mark.parametrize("broken", ["GET", "PUT"])
def test_retries_end(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A server that hangs up is asked a few times more, in one layer, and given up in time."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 1)

    def hang_up(request: Request, forward: Forward) -> Answer | None:
        return None if request.method == broken else forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], hang_up) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        result = bucket.run(f"{bucket.url}/in/a.enc", "-", "opus", cwd=tmp_path, env=env)
    assert result.code == 1
    assert "Connection was closed before we received a valid response" in result.lines[0]
    assert [request.method for request in store.requests].count(broken) < 9


def test_a_body_that_breaks_off(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for again, in the same way, and given up in time."""
    monkeypatch.setattr("filedecryptor.storage.s3.RETRY_TIME", 1)

    def break_off(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        if request.method == "GET" and "in/a.enc" in request.path:
            return answer._replace(body=answer.body[:100])
        return answer

    endpoint = bucket.env["AWS_ENDPOINT_URL"]
    with proxy(endpoint, break_off, announce_whole=True) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        result = bucket.run(f"{bucket.url}/in/a.enc", "-", "opus", cwd=tmp_path, env=env)
    assert result.code == 1, result
    assert len(store.requests) < 9


def test_what_fails_in_passing_is_tried_again(bucket: Bucket, tmp_path: Path) -> None:
    """Each request may fail once: a hung-up line, a busy server, an error of its own."""
    seen: set[str] = set()
    ways = iter([None, refusal(503, "SlowDown", "x"), refusal(500, "InternalError", "x")] * 9)

    def fail_once(request: Request, forward: Forward) -> Answer | None:
        if (key := f"{request.method} {request.path}") in seen:
            return forward(request)
        seen.add(key)
        return next(ways)

    audio = os.urandom(LARGE)
    bucket.put("in/b.enc", encrypt(audio, PASSWORD))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], fail_once) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        result = bucket.run(f"{bucket.url}/in/", "-", "x", "-j", "1", cwd=tmp_path, env=env)
    assert result.code == 0, result
    assert bucket.contents()["in/a.x"] == AUDIO
    assert bucket.contents()["in/b.x"] == audio


def test_a_store_that_keeps_failing_is_given_up(bucket: Bucket, tmp_path: Path) -> None:
    """After many recordings in a row, with one line, and the summary of what was tried."""
    for number in range(80):
        bucket.put(f"many/{number:02}.enc", bucket.get("in/a.enc"))

    def fail(request: Request, forward: Forward) -> Answer:
        if request.method == "PUT":
            return refusal(503, "SlowDown", "Please reduce your request rate.")
        return forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], fail) as store:
        env = {"AWS_ENDPOINT_URL": store.url, **ONE_TRY}
        result = bucket.run(f"{bucket.url}/many/", "-", "x", "-j", "1", cwd=tmp_path, env=env)
    assert result.code == 1
    failures = [line for line in result.lines if line.endswith("reduce your request rate.")]
    assert len(failures) == FAILURES_IN_A_ROW
    assert result.lines[-3].startswith(f"{FAILURES_IN_A_ROW} failed in ")
    assert result.lines[-2].startswith(
        f"error: the store failed for {FAILURES_IN_A_ROW} recordings in a row"
    )
    assert result.lines[-1].startswith("hint: ")


def test_a_store_that_fails_now_and_then_is_not_given_up(bucket: Bucket, tmp_path: Path) -> None:
    """One success, or a failure that is not the store's, and the count begins anew."""
    recording = bucket.get("in/a.enc")
    for number in range(50):  # more of either than are under way at once, so none gets far ahead
        bucket.put(f"many/{number:02}.enc", recording if number % 2 else b"no recording")

    def fail(request: Request, forward: Forward) -> Answer:
        if request.method == "PUT":
            return refusal(503, "SlowDown", "Please reduce your request rate.")
        return forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], fail) as store:
        env = {"AWS_ENDPOINT_URL": store.url, **ONE_TRY}
        result = bucket.run(f"{bucket.url}/many/", "-", "x", "-j", "1", cwd=tmp_path, env=env)
    assert result.lines[-1].startswith("50 failed in ")


@pytest.mark.parametrize("size", [1000, LARGE])
@pytest.mark.parametrize(("if_exists", "code"), [("skip", 0), ("fail", 1)])
def test_without_conditional_writes_it_looks_before_it_sends(
    bucket: Bucket, tmp_path: Path, size: int, if_exists: str, code: int
) -> None:
    """An object that appears while the recording is read stays."""

    def unconditional(request: Request, forward: Forward) -> Answer:
        headers = {
            name: value for name, value in request.headers.items() if name != "If-None-Match"
        }
        if request.method == "GET" and request.path.endswith("b.enc"):
            bucket.put("in/b.x", bytes(size))
        return forward(request._replace(headers=headers))

    bucket.put("in/b.enc", encrypt(os.urandom(size), PASSWORD))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], unconditional) as store:
        words = [f"{bucket.url}/in/b.enc", "-", "x", "--if-exists", if_exists]
        result = bucket.run(*words, cwd=tmp_path, env={"AWS_ENDPOINT_URL": store.url})
    assert result.code == code, result
    assert bucket.contents()["in/b.x"] == bytes(size)


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


@pytest.mark.parametrize("size", [1000, LARGE])
@pytest.mark.parametrize("if_exists", ["skip", "fail"])
@pytest.mark.parametrize("answer", [NO_CONDITIONS["501"], NO_CONDITIONS["400"]])
def test_what_appears_before_a_condition_is_refused_stays(
    bucket: Bucket, tmp_path: Path, answer: Answer, if_exists: str, size: int
) -> None:
    """It is looked for once more, before anything is sent without a condition."""

    def refuse(request: Request, forward: Forward) -> Answer:
        if is_conditional(request):
            bucket.put("in/b.x", bytes(size))
            return answer
        return forward(request)

    bucket.put("in/b.enc", encrypt(os.urandom(size), PASSWORD))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], refuse) as store:
        words = [f"{bucket.url}/in/b.enc", "-", "x", "--if-exists", if_exists]
        result = bucket.run(*words, cwd=tmp_path, env={"AWS_ENDPOINT_URL": store.url})
    if if_exists == "skip":
        assert (result.code, result.stdout) == (0, b"")
    else:
        assert result.code == 1
        assert result.lines == [f"error: {bucket.url}/in/b.x: File exists"]
    assert bucket.contents()["in/b.x"] == bytes(size)


def test_the_note_is_in_an_outcome(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python it is that of one recording, though many find it out side by side."""
    for number in range(8):
        bucket.put(f"many/{number}.enc", bucket.get("in/a.enc"))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], refusing_conditions()) as store:
        for name, value in {**bucket.env, "AWS_ENDPOINT_URL": store.url}.items():
            monkeypatch.setenv(name, value)
        S3.clear_instance_cache()
        outcomes = list(decrypt_files([f"{bucket.url}/many"], PASSWORD, "x", if_exists="skip"))
    S3.clear_instance_cache()
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
def test_another_refusal_stays_an_error(
    bucket: Bucket, tmp_path: Path, size: int, answers: list[Answer]
) -> None:
    """The store's own sentence about what was asked last; no request is made again."""
    last: list[Request] = []

    def refuse(request: Request, forward: Forward) -> Answer:
        is_last = is_conditional(request) or (last and request[:2] == last[0][:2])
        if not is_last:
            return forward(request)
        last.append(request)
        return answers[len(last) - 1]

    bucket.put("in/b.enc", encrypt(os.urandom(size), PASSWORD))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], refuse) as store:
        words = [f"{bucket.url}/in/b.enc", "-", "x", "--if-exists", "skip"]
        result = bucket.run(*words, cwd=tmp_path, env={"AWS_ENDPOINT_URL": store.url})
    assert result.code == 1
    assert result.lines == [f"error: {bucket.url}/in/b.x: No such part."]
    assert len(last) == len(answers)
    assert "in/b.x" not in bucket.contents()


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    "words", ["A header you provided implies functionality that is not implemented", ""]
)
def test_what_a_store_does_not_implement(
    bucket: Bucket, tmp_path: Path, method: str, words: str
) -> None:
    """It is not asked for again: its sentence is told at once, or the status."""
    answer = NO_CONDITIONS["501" if words else "501 without a word"]

    def refuse(request: Request, forward: Forward) -> Answer:
        return answer if request.method == method else forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], refuse) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        result = bucket.run(f"{bucket.url}/in/a.enc", "-", "x", cwd=tmp_path, env=env)
    assert result.code == 1
    name = "a.enc" if method == "GET" else "a.x"
    assert result.lines == [f"error: {bucket.url}/in/{name}: {words or 'Not Implemented'}"]
    assert [request.method for request in store.requests].count(method) == 1


@pytest.mark.parametrize(("setting", "code"), [({}, 0), ({"when": "when_supported"}, 1)])
def test_checksums_of_whole_objects_with_ranges(
    bucket: Bucket, tmp_path: Path, setting: dict[str, str], code: int
) -> None:
    """They are not looked at, since all is authenticated; a setting of the user's wins."""

    def with_checksum(request: Request, forward: Forward) -> Answer:
        answer = forward(request)
        if request.method == "GET" and request.path.endswith("b.enc"):
            return answer._replace(headers={**answer.headers, "x-amz-checksum-crc32": "AAAAAA=="})
        return answer

    audio = os.urandom(LARGE)
    bucket.put("in/b.enc", encrypt(audio, PASSWORD))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], with_checksum) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        if setting:
            env["AWS_RESPONSE_CHECKSUM_VALIDATION"] = setting["when"]
        result = bucket.run(f"{bucket.url}/in/b.enc", "-", "x", cwd=tmp_path, env=env)
    assert result.code == code, result
    if code == 0:
        assert bucket.get("in/b.x") == audio


def test_an_answer_that_is_lost(bucket: Bucket, tmp_path: Path) -> None:
    """What this run has written is not in its own way; what another has written is."""
    lost: list[str] = []

    def lose_one(request: Request, forward: Forward) -> Answer | None:
        answer = forward(request)
        if request.method == "PUT" and request.path not in lost:
            lost.append(request.path)
            if "mine" in request.path:
                return None
            bucket.put("in/other.x", bytes(len(AUDIO)))
            return None
        return answer

    bucket.put("in/mine.enc", bucket.get("in/a.enc"))
    bucket.put("in/other.enc", bucket.get("in/a.enc"))
    with proxy(bucket.env["AWS_ENDPOINT_URL"], lose_one) as store:
        words = ["-", "x", "--if-exists", "fail"]
        env = {"AWS_ENDPOINT_URL": store.url}
        mine = bucket.run(f"{bucket.url}/in/mine.enc", *words, cwd=tmp_path, env=env)
        other = bucket.run(f"{bucket.url}/in/other.enc", *words, cwd=tmp_path, env=env)
    assert mine.code == 0, mine
    assert bucket.get("in/mine.x") == AUDIO
    assert other.lines == [f"error: {bucket.url}/in/other.x: File exists"]


def test_an_object_that_is_also_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    """Its name is the object; with a slash at its end it is the folder."""
    bucket.put("in/a.enc/b.enc", encrypt(b"below", PASSWORD))
    result = bucket.run(f"{bucket.url}/in/a.enc", "-", "x", cwd=tmp_path)
    assert result.stdout.decode() == f"{bucket.url}/in/a.x\n"
    assert bucket.get("in/a.x") == AUDIO
    result = bucket.run(f"{bucket.url}/in/a.enc/", "-", "x", cwd=tmp_path)
    assert result.stdout.decode() == f"{bucket.url}/in/a.enc/b.x\n"
    assert bucket.get("in/a.enc/b.x") == b"below"


@pytest.mark.parametrize("key", ["a::b.enc", "a?versionId=1.enc"])
def test_one_odd_key(bucket: Bucket, tmp_path: Path, key: str) -> None:
    """It is a failure that names the object; the code is not that of a wrong usage."""
    bucket.put(f"in/{key}", b"")
    result = bucket.run(f"{bucket.url}/in", "-", "x", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[0].startswith(f"error: {bucket.url}/in/{key}: ")
    assert bucket.get("in/a.x") == AUDIO
