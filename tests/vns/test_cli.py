"""`vns-recordings` against a real HTTP server, good and bad."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from support.posix import posix_only

from filedecryptor.errors import missing_extra

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Server
from support.commands import VNS, wait_until
from support.recordings import AUDIO, PASSWORD, encrypt
from support.terminal import run_in_terminal
from support.vns import ONE, THREE, TWO, environment, failing, stored, vns, vns_process


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
    assert f"error: {TWO}: the API has no such recording (status 404): not found" in result.lines
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


@pytest.mark.parametrize(("answer", "deleted"), [("y\n", [ONE]), ("n\n", [])])
def test_delete_asks_in_a_terminal(
    api: Server, tmp_path: Path, answer: str, deleted: list[str]
) -> None:
    """A no deletes nothing, and is no error."""
    env = {"VNS_API_URL": api.url, "VNS_API_TOKEN": TOKEN}
    screen = run_in_terminal(
        "delete", ONE, cwd=tmp_path, env=env, answers={"on the server?": answer}, command=VNS
    )
    assert screen.code == 0
    assert "Delete 1 recording on the server?" in screen.text
    assert ("nothing was deleted" in screen.text) == (not deleted)
    assert api.deleted == deleted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "missing command"),
        (["list", "--api-url", "http://vns.example"], "the API's address must begin with https://"),
        (["list", "--api-url", "ftp://127.0.0.1"], "the API's address must begin with https://"),
        (["list", "--token-file", "empty"], "empty: it is empty"),
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
    result = vns(api, "list", cwd=tmp_path, VNS_API_TOKEN=None)
    assert result.code == 2
    assert "use --token-file, or set VNS_API_TOKEN" in result.stderr


def test_json_and_quiet(api: Server, tmp_path: Path) -> None:
    """The same objects as for files."""
    api.recordings[TWO] = encrypt(AUDIO, "another")
    result = vns(api, "archive", ".", "--json", "-q", cwd=tmp_path)
    *entries, summary = map(json.loads, result.stdout.splitlines())
    found = {entry["input"]: entry for entry in entries}
    assert (summary["summary"], summary["listed"], summary["failed"]) == (True, 2, 1)
    assert (summary["code"], summary["bytes"]) == (3, len(AUDIO))
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


@posix_only("signals from elsewhere")
def test_an_interrupted_run_leaves_nothing_half_done(api: Server, tmp_path: Path) -> None:
    """The summary is printed, the exit code is 130."""
    for _ in range(50):
        api.recordings[str(uuid4())] = encrypt(AUDIO)
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


@posix_only("signals from elsewhere")
def test_an_interruption_does_not_wait_for_the_server(api: Server, tmp_path: Path) -> None:
    """Not even for the pause that it asked for; there is one line, and no empty one."""
    api.behaviours.append(failing(429, Retry_After="60"))
    impatient = (
        "import sys; from filedecryptor.jobs import workers; workers.SHUTDOWN_TIMEOUT = 0.5;"
        "from filedecryptor.vns.__main__ import main; sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", impatient, "archive", "."],
        cwd=tmp_path,
        env=environment(api),
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: api.count("GET", f"{PATH}/{ONE}") > 0)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, b"vns-recordings: error: interrupted\n")
    assert stored(tmp_path) == {}


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line and a hint; `filedecryptor` does not care."""
    code = (
        "import sys; import importlib.util; find = importlib.util.find_spec; importlib.util.find_spec = lambda name: None if name == 'httpcore' else find(name)\n"
        "from filedecryptor.vns.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "list"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "vns-recordings: error: vns-recordings needs more packages",
        f"vns-recordings: hint: {missing_extra('vns')}",
    ]


@pytest.mark.slow
def test_an_early_interruption_shows_no_traceback(api: Server, tmp_path: Path) -> None:
    """From the moment that signals are handled, whatever is being imported."""
    code = (
        "import os, signal, sys, threading, time\n"
        "from filedecryptor.vns.__main__ import main\n"
        "def send():\n"
        "    while signal.getsignal(signal.SIGINT) is signal.default_int_handler: time.sleep(0)\n"
        "    time.sleep(moment); os.kill(os.getpid(), signal.SIGINT)\n"
        "moment = float(sys.argv.pop())\n"
        "thread = threading.Thread(target=send); thread.start()\n"
        "code = main(); thread.join(); sys.exit(code)\n"
    )
    for moment in range(0, 300, 12):
        done = subprocess.run(
            [sys.executable, "-c", code, "archive", ".", str(moment / 1000)],
            check=False,
            cwd=tmp_path,
            env=environment(api),
            capture_output=True,
        )
        assert done.returncode in {0, 130}, done
        interrupted = done.stderr.splitlines()[-1:] == [b"vns-recordings: error: interrupted"]
        assert interrupted == (done.returncode == 130)
        assert b"Traceback" not in done.stderr
        assert b"\n\n" not in done.stderr
        assert not done.stderr.startswith(b"\n")


def test_all_ways_to_run_the_command_agree(api: Server, tmp_path: Path) -> None:
    """As a program and by click's runner: the same code, the same words."""
    (tmp_path / "token").write_text("wrong")
    for words, code in (
        (["list"], 0),
        (["download", TWO], 1),
        (["delete", "--yes", TWO], 1),
        (["delete", ONE], 2),
        (["list", "--token-file", "token"], 6),
        (["nonsense"], 2),
        ([], 2),
    ):
        found = vns(api, *words, cwd=tmp_path)
        assert found.code == code
        assert vns_process(api, *words, cwd=tmp_path) == found


@pytest.mark.parametrize("command", ["archive", "list", "download", "delete"])
def test_each_command_has_a_help(api: Server, tmp_path: Path, command: str) -> None:
    """With its own options, and those that it shares."""
    result = vns(api, command, "--help", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert b"--token-file PATH" in result.stdout
    assert (b"--password-file PATH" in result.stdout) == (command in {"archive", "download"})


def test_nobody_is_asked_whether_to_delete_where_nobody_is(api: Server, tmp_path: Path) -> None:
    """Standard input of a service is no terminal, also where Windows says that it is."""
    done = subprocess.run(
        [VNS, "delete", ONE],
        check=False,
        cwd=tmp_path,
        env=environment(api),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert b"nobody can be asked whether to delete" in done.stderr
    assert api.deleted == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_token_file_as_tools_of_windows_write_it(
    api: Server, tmp_path: Path, encoding: str
) -> None:
    """As that of the password."""
    (tmp_path / "t").write_bytes(f"{TOKEN}\r\n".encode(encoding))
    words = ("list", "--token-file", "t", "--api-url", api.url)
    assert vns(api, *words, cwd=tmp_path, VNS_API_TOKEN=None).code == 0


def test_a_token_in_the_line_of_a_variable(api: Server, tmp_path: Path) -> None:
    """The API refuses it, and a hint says what it looks like; it is not shown."""
    result = vns(api, "list", cwd=tmp_path, VNS_API_TOKEN=f"VNS_API_TOKEN={TOKEN}")
    assert result.code == 6
    assert result.lines[1].startswith("hint: the token looks like a line that sets a variable")
    assert TOKEN not in result.stderr
