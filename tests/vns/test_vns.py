"""`vns-recordings` against a real HTTP server, good and bad."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from conftest import AUDIO, COMMAND, PASSWORD, PLAIN, Result, contents, run_in_terminal
from encryptor import encrypt

pytest.importorskip("requests", reason="the extra vns is not installed")
pytest.importorskip("filelock", reason="the extra vns is not installed")

from server import PATH, TOKEN, Handler, Server, serving

from filedecryptor.errors import ApiError, UsageError
from filedecryptor.vns import Archive, Client, listing, recording_fields

VNS = str(Path(COMMAND).with_name("vns-recordings"))
MP3 = (PLAIN / "recording_def456.mp3").read_bytes()
ONE, TWO, THREE = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "123")


@pytest.fixture
def api() -> Iterator[Server]:
    """An account with one recording."""
    with serving() as server:
        server.recordings[ONE] = encrypt(AUDIO, PASSWORD)
        yield server


def environment(api: Server, **more: str) -> dict[str, str]:
    """Return the environment in which the command reaches the server."""
    variables = {"VNS_API_URL": api.url, "VNS_API_TOKEN": TOKEN}
    return {**os.environ, **variables, "FILEDECRYPTOR_PASSWORD": PASSWORD, **more}


def vns(api: Server, *words: str, cwd: Path, **more: str) -> Result:
    """Run the command. It must show neither a traceback nor the token."""
    done = subprocess.run(
        [VNS, *words],
        check=False,
        cwd=cwd,
        env=environment(api, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
    )
    result = Result(done.returncode, done.stdout, done.stderr.decode())
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


def test_archive(api: Server, tmp_path: Path) -> None:
    """All that is listed is fetched, decrypted and named after its GUID; once."""
    api.recordings[TWO] = encrypt(MP3, PASSWORD)
    first = vns(api, "archive", "calls", cwd=tmp_path)
    assert first.code == 0
    assert sorted(first.stdout.decode().split()) == [f"calls/{ONE}.opus", f"calls/{TWO}.mp3"]
    assert first.stderr.startswith("2 decrypted; 0.0 MB of audio in ")
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO, f"{TWO}.mp3": MP3}
    api.recordings[THREE] = encrypt(AUDIO, PASSWORD)
    second = vns(api, "archive", "calls", cwd=tmp_path)
    assert second.stdout == f"calls/{THREE}.opus\n".encode()
    assert second.stderr.startswith("1 decrypted, 2 skipped; ")
    assert api.count("GET", f"{PATH}/{ONE}") == 1
    assert api.deleted == []


def test_delete_after(api: Server, tmp_path: Path) -> None:
    """What is safe here is deleted there, also what an earlier run had not yet deleted."""
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    api.recordings[TWO] = encrypt(MP3, PASSWORD)
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert sorted(api.deleted) == [ONE, TWO]
    assert set(stored(tmp_path)) == {f"{ONE}.opus", f"{TWO}.mp3"}


def test_a_wrong_password_deletes_nothing(api: Server, tmp_path: Path) -> None:
    """Nor does it store anything."""
    result = vns(
        api, "archive", ".", "--delete-after", cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong"
    )
    assert result.code == 3
    assert result.stderr.startswith(f"error: {ONE}: authentication failed")
    assert api.deleted == []
    assert stored(tmp_path) == {}


@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 0), ("wrong", 3)])
def test_keep_encrypted(api: Server, tmp_path: Path, password: str, code: int) -> None:
    """The `.enc` stays beside the audio, and alone if it could not be decrypted."""
    words = ("archive", ".", "--keep-encrypted", "--delete-after")
    assert vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password).code == code
    assert f"{ONE}.enc" in stored(tmp_path)
    assert (f"{ONE}.opus" in stored(tmp_path)) == (code == 0)
    assert api.deleted == ([] if code else [ONE])


def test_plain_recordings_are_stored_as_they_are(api: Server, tmp_path: Path) -> None:
    """With a password or without: a recording made without one needs none."""
    api.recordings = {ONE: AUDIO, TWO: MP3}
    for folder, more in (("a", {}), ("b", {"FILEDECRYPTOR_PASSWORD": "x"})):
        result = vns(api, "archive", folder, cwd=tmp_path, **more)
        assert result.code == 0
        assert result.stderr.startswith("2 stored; ")
        assert stored(tmp_path / folder) == {f"{ONE}.opus": AUDIO, f"{TWO}.mp3": MP3}


def test_without_a_password_what_is_encrypted_stays_so(api: Server, tmp_path: Path) -> None:
    """It is stored as `.enc`, fetched once, and never deleted: nobody knows whether it is whole."""
    api.recordings[TWO] = MP3
    env = environment(api)
    del env["FILEDECRYPTOR_PASSWORD"]
    for _ in range(2):
        command = [VNS, "archive", ".", "--delete-after"]
        done = subprocess.run(command, check=True, cwd=tmp_path, env=env, capture_output=True)
        assert b"Traceback" not in done.stderr
    assert set(stored(tmp_path)) == {f"{ONE}.enc", f"{TWO}.mp3"}
    assert api.deleted == [TWO]
    assert api.count("GET", f"{PATH}/{ONE}") == 1


def test_download(api: Server, tmp_path: Path) -> None:
    """Named ones, in any spelling, again if they are there."""
    (tmp_path / f"{ONE}.opus").write_bytes(b"old")
    result = vns(api, "download", ONE.replace("-", "").upper(), cwd=tmp_path)
    assert result == (0, f"./{ONE}.opus\n".encode(), "")
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}
    assert vns(api, "download", ONE, "-d", "new", cwd=tmp_path).stdout.startswith(b"new/")


def test_download_of_what_is_not_there(api: Server, tmp_path: Path) -> None:
    """404 names the GUID; what is no GUID never becomes part of an address."""
    result = vns(api, "download", TWO, "../../x", ONE, cwd=tmp_path)
    assert result.code == 1
    assert sorted(result.stderr.splitlines())[:2] == [
        "1 decrypted, 2 failed; 0.0 MB of audio in " + result.stderr.split(" in ")[-1].strip(),
        "error: ../../x: this is not a GUID",
    ]
    assert f"error: {TWO}: the API has no such recording (status 404)" in result.lines
    assert {path for _, path, _ in api.seen} == {f"{PATH}/{ONE}", f"{PATH}/{TWO}"}


def test_list(api: Server, tmp_path: Path) -> None:
    """A table for people, the server's own bytes for programs."""
    api.list_body = (
        b'{"items": [{"SessionGuid": "%s", "length": 12}, {"SessionGuid": "\\u001b[31m"}] }'
        % ONE.encode()
    )
    assert vns(api, "list", "--json", cwd=tmp_path).stdout == api.list_body
    assert vns(api, "list", cwd=tmp_path).stdout.decode().splitlines() == [
        "SessionGuid                           length",
        f"{ONE}  12",
        "\\x1b[31m                              null",
    ]


@pytest.mark.parametrize(
    "body",
    [
        f'["{ONE}"]',
        f'[{{"sessionGuid": "{ONE}"}}]',
        f'[{{"SESSIONGUID": "{ONE.upper()}", "x": [1]}}]',
        f'{{"recordings": [{{"SessionGuid": "{{{ONE}}}"}}], "total": 1}}',
        f'[null, "{ONE}", null, "{ONE}", {{"sessionGuid": "{ONE.upper()}"}}]',
    ],
)
def test_lists_that_are_understood(api: Server, tmp_path: Path, body: str) -> None:
    """Bare or wrapped, strings or objects, with nulls and duplicates: one recording."""
    api.list_body = body.encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, f"./{ONE}.opus\n".encode())


@pytest.mark.parametrize(
    "body", ["", "<html>no", "{}", '{"a": [], "b": []}', "3", '[{"id": 1}]', "[" * 100_000, "[[]]"]
)
def test_lists_that_are_not_understood(api: Server, tmp_path: Path, body: str) -> None:
    """The beginning of what came is shown, and the way around."""
    api.list_body = body.encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    beginning = f"error: the list of recordings is not understood; it begins: {body[:50]}"
    assert result.stderr.startswith(beginning.rstrip())
    assert "vns-recordings download GUID" in result.stderr
    assert stored(tmp_path) == {}


def test_an_empty_list(api: Server, tmp_path: Path) -> None:
    """Nothing to do is fine."""
    api.recordings.clear()
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0


def test_a_list_with_what_is_no_guid(api: Server, tmp_path: Path) -> None:
    """It is refused by name, and the rest goes on."""
    api.list_body = json.dumps(["../../x", "a\nb", {"sessionGuid": None}, ONE]).encode()
    result = vns(api, "archive", "calls", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[:3] == [
        "error: ../../x: this is not a GUID",
        "error: a\\nb: this is not a GUID",
        'error: {"sessionGuid": null}: this is not a GUID',
    ]
    assert stored(tmp_path) == {"calls": None, f"calls/{ONE}.opus": AUDIO} | {
        name: content for name, content in stored(tmp_path).items() if "/.vns" in name
    }


def test_a_list_of_ten_thousand(api: Server, tmp_path: Path) -> None:
    """All of them are there already, but one."""
    guids = [str(uuid4()) for _ in range(10_000)]
    for guid in guids:
        (tmp_path / f"{guid}.opus").write_bytes(b"x")
    api.list_body = json.dumps([*guids, ONE]).encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.stderr.startswith("1 decrypted, 10000 skipped; ")


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
    time.sleep(2)
    return False


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
        then = datetime.now(timezone.utc) + timedelta(seconds=3)
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


@pytest.mark.parametrize("how", ["cut", "reset", "stall"])
def test_a_body_that_breaks_off_is_fetched_again(api: Server, tmp_path: Path, how: str) -> None:
    """From its beginning, and nothing of the first half stays."""
    api.behaviours.append(breaking(how, 2))
    assert vns(api, "archive", ".", "--timeout", "1", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


@pytest.mark.parametrize("how", ["cut", "reset"])
@pytest.mark.parametrize("plain", [True, False])
def test_a_body_that_always_breaks_off(
    api: Server,
    tmp_path: Path,
    how: str,
    plain: bool,  # noqa: FBT001
) -> None:
    """Nothing partial is stored, not even of plain audio, and nothing is deleted."""
    if plain:
        api.recordings[ONE] = AUDIO
    api.behaviours.append(breaking(how, 50))
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == 7
    assert stored(tmp_path) == {}
    assert api.deleted == []


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


@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_page_instead_of_a_recording(api: Server, tmp_path: Path, password: str | None) -> None:
    """200 with HTML is no recording: not stored, not deleted, and the hint says what it is."""
    api.recordings[ONE] = b"<!doctype html><title>Sign in</title>" + b"please " * 10
    env = environment(api)
    if password is None:
        del env["FILEDECRYPTOR_PASSWORD"]
    command = [VNS, "archive", ".", "--delete-after", "--keep-encrypted"]
    done = subprocess.run(command, check=False, cwd=tmp_path, env=env, capture_output=True)
    assert done.returncode == (3 if password else 7)
    assert b"HTML" in done.stderr
    assert stored(tmp_path) == {}
    assert api.deleted == []


def test_a_redirect_to_another_server_is_not_followed(api: Server, tmp_path: Path) -> None:
    """The token must not travel."""
    with serving() as other:
        where = f"{other.url}{PATH}"
        api.behaviours.append(failing(302, path=PATH, Location=where))
        result = vns(api, "archive", ".", cwd=tmp_path)
        assert other.seen == []
    assert result.code == 7
    assert result.stderr.startswith("error: the API redirects to another server")


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
    assert result.stderr == "error: the API cannot be reached, or breaks off\n"


@pytest.mark.parametrize(("audio", "code"), [(None, 7), (b"", 5)])
def test_an_empty_recording(api: Server, tmp_path: Path, audio: bytes | None, code: int) -> None:
    """No bytes at all, or a whole file of no audio: a failure, nothing stored or deleted."""
    api.recordings[ONE] = b"" if audio is None else encrypt(audio, PASSWORD)
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == code
    assert stored(tmp_path) == {}
    assert api.deleted == []


@pytest.mark.parametrize("stream", ["full", "left"])
@pytest.mark.parametrize("command", ["archive", "delete"])
def test_the_work_goes_on_without_standard_output(
    api: Server, tmp_path: Path, command: str, stream: str
) -> None:
    """A full log must not cost recordings: it is said once, and the exit code tells."""
    for guid in (TWO, THREE):
        api.recordings[guid] = encrypt(AUDIO, PASSWORD)
    words = {"archive": ["archive", "calls"], "delete": ["delete", "--yes", ONE, TWO, THREE]}
    if stream == "full":
        output, cause = os.open("/dev/full", os.O_WRONLY), "No space left on device"
    else:
        reading, output = os.pipe()
        os.close(reading)
        cause = "Broken pipe"
    done = subprocess.run(
        [VNS, *words[command]],
        check=False,
        cwd=tmp_path,
        env=environment(api),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(output)
    lines = done.stderr.splitlines()
    said = f"{cause}; the work goes on, its results are not shown"
    assert done.returncode == 1
    assert lines[0] == f"vns-recordings: error: standard output: {said}"
    if command == "archive":
        assert sorted(path.name for path in (tmp_path / "calls").glob("*.opus")) == [
            f"{guid}.opus" for guid in (ONE, TWO, THREE)
        ]
    else:
        assert api.deleted == [ONE, TWO, THREE]
        assert len(lines) == 1


def test_what_a_terminal_gets_is_harmless(api: Server, tmp_path: Path) -> None:
    """The server's JSON, and paths; elsewhere they are as they came."""
    body = '[{"sessionGuid": "x \x9b31m \u202e"},\n"\x1b[31m"]\n'.encode()
    api.list_body = body
    screen = run_in_terminal("list", "--json", cwd=tmp_path, env=environment(api), command=VNS)
    assert screen.code == 0
    assert screen.text.splitlines() == [
        '[{"sessionGuid": "x \\x9b31m \\u202e"},',
        '"\\x1b[31m"]',
    ]
    assert vns(api, "list", "--json", cwd=tmp_path).stdout == body
    words = ("download", ONE, "-d", "a\x1b[31m")
    screen = run_in_terminal(*words, cwd=tmp_path, env=environment(api), command=VNS)
    assert f"a\\x1b[31m/{ONE}.opus" in screen.text
    assert "\x1b[31m" not in screen.text


def test_what_is_no_list_is_shown_harmlessly(api: Server, tmp_path: Path) -> None:
    """Its beginning, in one line."""
    api.list_body = "nothing\nof the \x1b[31m kind \x9b \u202e".encode()
    result = vns(api, "list", cwd=tmp_path)
    assert result.code == 7
    assert result.lines[0].endswith("it begins: nothing of the \\x1b[31m kind \\x9b \\u202e")


def test_a_misplaced_token_is_not_repeated(api: Server, tmp_path: Path) -> None:
    """Where a file's name is expected."""
    result = vns(api, "list", "--token-file", "Secret123", cwd=tmp_path)
    assert result.lines[0] == "error: --token-file: No such file or directory"
    result = vns(api, "download", ONE, "--password-file", "Secret123", cwd=tmp_path)
    assert result.lines[0] == "error: --password-file: No such file or directory"


def test_delete(api: Server, tmp_path: Path) -> None:
    """Only with consent; what is not there is an error."""
    refused = vns(api, "delete", ONE, cwd=tmp_path)
    assert (refused.code, api.deleted) == (2, [])
    result = vns(api, "delete", "--yes", ONE, TWO, cwd=tmp_path)
    assert (result.code, result.stdout) == (1, f"{ONE}\n".encode())
    assert api.deleted == [ONE]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_delete_asks_in_a_terminal(api: Server, tmp_path: Path, answer: str, code: int) -> None:
    """A no deletes nothing."""
    env = {"VNS_API_URL": api.url, "VNS_API_TOKEN": TOKEN}
    screen = run_in_terminal(
        "delete", ONE, cwd=tmp_path, env=env, answers={"on the server?": answer}, command=VNS
    )
    assert screen.code == code
    assert api.deleted == ([] if code else [ONE])


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


def test_a_second_run_is_kept_out(api: Server, tmp_path: Path) -> None:
    """It says who holds the directory, and exits 1."""
    api.behaviours.append(slow)
    first = subprocess.Popen(
        [VNS, "archive", "."], cwd=tmp_path, env=environment(api), stdout=subprocess.PIPE
    )
    while not api.seen:
        time.sleep(0.01)
    second = vns(api, "archive", ".", cwd=tmp_path)
    first.communicate()
    assert second.code == 1
    holder = f"process {first.pid} on {socket.gethostname()}"
    assert second.stderr == f"error: .: another run is at work here: {holder}\n"
    assert first.returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "missing command"),
        (["list", "--api-url", "http://vns.example"], "the API's address must begin with https://"),
        (["list", "--api-url", "ftp://127.0.0.1"], "the API's address must begin with https://"),
        (["list", "--token-file", "empty"], "empty: there is no secret in it"),
        (["archive"], "missing argument 'DIR'"),
        (["list", "--api-url", "https://[x"], "the API's address must begin with https://"),
        (["list", "--api-url", "http://127.0.0.1@x"], "the API's address must begin with https"),
        (["list", "--timeout", "nan"], "a timeout is more than 0"),
        (["list", "--timeout", "1e300"], "a timeout is more than 0"),
    ],
)
def test_usage(api: Server, tmp_path: Path, words: list[str], message: str) -> None:
    """Exit code 2, and nothing was asked of the server."""
    (tmp_path / "empty").touch()
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr.startswith(f"error: {message}")
    assert api.seen == []


def test_the_token_from_a_file(api: Server, tmp_path: Path) -> None:
    """Before the environment; without either there is a hint."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    words = ("list", "--token-file", "token")
    assert vns(api, *words, cwd=tmp_path, VNS_API_TOKEN="wrong").code == 0
    env = environment(api)
    del env["VNS_API_TOKEN"]
    done = subprocess.run([VNS, "list"], check=False, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "use --token-file, or set VNS_API_TOKEN" in done.stderr


def test_json_and_quiet(api: Server, tmp_path: Path) -> None:
    """The same objects as for files."""
    api.recordings[TWO] = b"x" * 50
    result = vns(api, "archive", ".", "--json", "-q", cwd=tmp_path)
    found = {entry["input"]: entry for entry in map(json.loads, result.stdout.splitlines())}
    assert found[ONE]["output"] == f"./{ONE}.opus"
    assert (found[ONE]["status"], found[TWO]["status"]) == ("decrypted", "failed")
    assert found[TWO]["code"] == result.code == 3


def test_progress(api: Server, tmp_path: Path) -> None:
    """By recordings, since nobody knows how long they are."""
    env = environment(api)
    screen = run_in_terminal("archive", ".", "--progress", cwd=tmp_path, env=env, command=VNS)
    assert screen.code == 0
    assert "1 decrypted" in screen.text
    assert re.search(r"100%.* 0 MB", screen.text)


def test_an_interrupted_run_leaves_nothing_half_done(api: Server, tmp_path: Path) -> None:
    """The summary is printed, the exit code is 130."""
    for _ in range(50):
        api.recordings[str(uuid4())] = encrypt(AUDIO, PASSWORD, bytes(16))
    process = subprocess.Popen(
        [VNS, "archive", "."],
        cwd=tmp_path,
        env=environment(api),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "vns-recordings: error: interrupted"
    found = stored(tmp_path)
    assert 0 < len(found) < 51
    assert set(found.values()) == {AUDIO}


def test_killed_at_any_moment(api: Server, tmp_path: Path) -> None:
    """However often: in the end each recording is there once, and the server has lost none else."""
    salt = bytes(16)
    wanted = {str(uuid4()): AUDIO + bytes([number]) for number in range(20)}
    api.recordings = {guid: encrypt(audio, PASSWORD, salt) for guid, audio in wanted.items()}
    dice = random.Random(1)  # noqa: S311 - it decides when to kill, no more
    kills = 0
    while api.recordings:
        process = subprocess.Popen(
            [VNS, "archive", ".", "--delete-after", "-q"], cwd=tmp_path, env=environment(api)
        )
        try:
            assert process.wait(timeout=dice.uniform(0.2, 1.0)) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        on_disk = {name.partition(".")[0] for name in stored(tmp_path)}
        assert set(wanted) <= on_disk | set(api.recordings)
        assert kills < 200
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{guid}.opus": audio for guid, audio in wanted.items()}
    assert kills > 0


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


def test_plain_audio_of_unknown_length_is_never_taken_for_the_whole(
    api: Server, tmp_path: Path
) -> None:
    """It is kept under a name of its own, fetched again by each run, and not deleted."""
    api.behaviours.append(sending(AUDIO[:3000]))
    for count in (1, 2):
        assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
        assert stored(tmp_path) == {f"{ONE}.unverified.opus": AUDIO[:3000]}
        assert api.count("GET", f"{PATH}/{ONE}") == count
    assert api.deleted == []


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Content_Length": "3000"}),
        (200, {"Content_Length": "3000", "Content_Encoding": "gzip"}),
        (200, {"Content_Length": "x"}),
        (200, {"Content_Length": "3000, 3000"}),
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


@pytest.mark.parametrize("kind", ["empty", "link", "directory"])
def test_what_is_no_recording_does_not_count_as_one(api: Server, tmp_path: Path, kind: str) -> None:
    """A name alone is no reason to delete on the server."""
    target = tmp_path / f"{ONE}.opus"
    if kind == "empty":
        target.touch()
    elif kind == "link":
        target.symlink_to("nowhere")
    else:
        target.mkdir()
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == (1 if kind == "directory" else 0)
    assert (api.deleted == [ONE]) == (kind != "directory")
    assert kind == "directory" or stored(tmp_path) == {f"{ONE}.opus": AUDIO}


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


def test_leftovers_of_a_killed_run_are_removed(api: Server, tmp_path: Path) -> None:
    """By a later one, which writes into the directory when they are a day old."""
    left = tmp_path / ".filedecryptor-0123456789abcdef.tmp"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def test_an_interruption_does_not_wait_for_the_server(api: Server, tmp_path: Path) -> None:
    """Not even for the pause that it asked for."""
    api.behaviours.append(failing(429, Retry_After="60"))
    process = subprocess.Popen(
        [VNS, "archive", "."], cwd=tmp_path, env=environment(api), stderr=subprocess.PIPE
    )
    while not api.count("GET", f"{PATH}/{ONE}"):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr.strip()) == (130, b"vns-recordings: error: interrupted")
    assert stored(tmp_path) == {}


def test_recording_fields() -> None:
    """What a webhook answers, validated."""
    assert recording_fields() == {
        "recordCall": True,
        "recordCallFormat": "opus",
        "recordCallPassword": None,
    }
    assert recording_fields("wav", "geheim")["recordCallPassword"] == "geheim"
    for arguments in (("flac",), ("wav", ""), ("wav", "\ud800")):
        with pytest.raises(UsageError):
            recording_fields(*arguments)


def test_the_client_from_python(api: Server, tmp_path: Path) -> None:
    """The token is in no representation."""
    client = Client(TOKEN, url=api.url)
    assert TOKEN not in repr(client)
    archive = Archive(client, str(tmp_path / "calls"), password=PASSWORD)
    [outcome] = archive.fetch([UUID(ONE)])
    assert outcome.output == str(tmp_path / "calls" / f"{ONE}.opus")
    with pytest.raises(UsageError):
        Client("a\nb")


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line and a hint; `filedecryptor` does not care."""
    code = (
        "import sys; sys.modules['requests'] = None\n"
        "from filedecryptor.vns.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "list"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "vns-recordings: error: vns-recordings needs more packages",
        "vns-recordings: hint: pip install 'filedecryptor[vns]'",
    ]


def deepest(shape: bytes) -> int:
    """Return how many lists in each other this Python reads in the place of `%s`."""
    low, high = 1, 1_000_000
    while high - low > 1:
        depth = (low + high) // 2
        try:
            json.loads(shape % (b"[" * depth + b"]" * depth))
            low = depth
        except RecursionError:
            high = depth
    return low


def test_an_entry_as_deep_as_can_be_read_spoils_nothing() -> None:
    """One that can be read but hardly be written again is no GUID; the others are still listed."""
    shape = b'["good", %s]'
    most = deepest(shape)
    for depth in range(max(1, most - 40), most + 40):
        answer = shape % (b"[" * depth + b"]" * depth)
        with suppress(ApiError):
            assert len(listing.parse(answer)) == 2
        with suppress(ApiError):
            assert len(list(listing.table(answer))) == 3


def test_a_table_has_a_bounded_number_of_columns() -> None:
    """Entries that share no field would make a table that is as wide as it is long."""
    entries = [{f"field {number}": number} for number in range(50)]
    assert len(list(listing.table(json.dumps(entries).encode()))) == 51
    entries.append({"one more": 50})
    with pytest.raises(ApiError, match="is not understood"):
        list(listing.table(json.dumps(entries).encode()))


def test_a_long_cell_is_repeated_in_no_other_line() -> None:
    """It is shown whole, and the other lines are not filled up to its length."""
    answer = json.dumps([{"a": "x" * 1000, "b": 1}, {"a": "y", "b": 2}]).encode()
    assert list(listing.table(answer)) == [
        "a" + " " * 121 + "b",
        "x" * 1000 + "  1",
        "y" + " " * 121 + "2",
    ]
