"""`vns-recordings` against a real HTTP server, good and bad."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL
from threading import Event

import pytest
from support.posix import posix_only

from filedecryptor.errors import missing_extra

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Server
from support.commands import VNS, run_process, wait_until
from support.recordings import AUDIO, PASSWORD, encrypt
from support.terminal import run_in_terminal
from support.vns import NUMBERED, ONE, THREE, TWO, environment, failing, stored, vns, vns_process


def test_download_of_what_is_not_there(api: Server, tmp_path: Path) -> None:
    """404 names the GUID; what is no GUID never becomes part of an address."""
    result = vns(api, "download", TWO, "../../x", ONE, cwd=tmp_path)
    assert result.code == 1
    assert "error: ../../x: this is not a GUID" in result.lines
    assert result.lines[-1].startswith("1 decrypted, 2 failed; 0.0 MB of audio in ")
    assert f"error: {TWO}: the API has no such recording (status 404): not found" in result.lines
    assert {path for _, path, _ in api.seen} == {f"{PATH}/{ONE}", f"{PATH}/{TWO}"}


def test_list(api: Server, tmp_path: Path) -> None:
    """The server's own bytes for programs, a table for people: a long cell widens its line alone."""
    names = [ONE, "\x1b[31m", "x" * 999]
    items = [{"SessionGuid": name, "length": [12] * count} for count, name in enumerate(names)]
    api.list_body = json.dumps({"items": [*items, {"SessionGuid": "y"}]}).encode()
    assert vns(api, "list", "--json", cwd=tmp_path).stdout == api.list_body
    rows = [("SessionGuid", "length"), (ONE, "[]"), ("\\x1b[31m", "[12]"), ("x" * 999, "[12, 12]")]
    lines = vns(api, "list", cwd=tmp_path).stdout.decode().splitlines()
    assert lines == [f"{name:120}  {length}" for name, length in [*rows, ("y", "null")]]


def test_a_guid_in_two_spellings(api: Server, tmp_path: Path) -> None:
    """It is one recording, and is asked for in the first spelling."""
    lettered = "0a1b2c3d-0000-4000-8000-00000000000f"
    api.recordings = {lettered: encrypt(AUDIO)}
    words = (lettered, lettered.upper(), f"{{{lettered}}}")
    for command, more in (("download", ["-d", "calls"]), ("delete", ["--yes"])):
        result = vns(api, command, *words, *more, cwd=tmp_path)
        assert (result.code, len(result.stdout.splitlines())) == (0, 1)
    assert [path for _, path, _ in api.seen] == [f"{PATH}/{lettered}"] * 2


@posix_only("links")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, "file: Is a file, not a directory") for name in ("file", "file/x")),
        ("link", "link: Is a link to nowhere"),
    ],
)
def test_an_archive_where_something_else_is(
    api: Server, tmp_path: Path, name: str, said: str
) -> None:
    """It is called what it is, and nothing is fetched; who may write there does not matter."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for words in (("archive", name), ("download", ONE, "-d", name)):
        result = vns(api, *words, cwd=tmp_path)
        assert (result.code, result.stdout, result.stderr) == (1, b"", f"error: {said}\n")
    assert not any(ONE in path for _, path, _ in api.seen)


@posix_only("/dev/full")
def test_the_work_goes_on_without_standard_output(api: Server, tmp_path: Path) -> None:
    """A full log must not cost recordings: it is said once, and the exit code tells."""
    api.recordings |= {guid: encrypt(AUDIO) for guid in (TWO, THREE)}
    cause = "standard output: No space left on device"
    said = f"vns-recordings: error: {cause}; the work goes on, its results are not shown"
    for words in (["archive", "calls"], ["delete", "--yes", ONE, TWO, THREE]):
        with open("/dev/full", "wb") as full:
            env = environment(api)
            result = run_process(*words, cwd=tmp_path, env=env, command=(VNS,), stdout=full)
        assert (result.code, result.lines[0]) == (1, said)
    assert (len(stored(tmp_path / "calls")), api.deleted) == (3, [ONE, TWO, THREE])


def test_what_a_terminal_gets_is_harmless(api: Server, tmp_path: Path) -> None:
    """The server's JSON, and paths; elsewhere they are as they came."""
    body = '[{"sessionGuid": "x \x9b31m \u202e"},\n"\x1b[31m"]\n'.encode()
    api.list_body = body
    screen = run_in_terminal("list", "--json", cwd=tmp_path, env=environment(api), command=VNS)
    assert screen.code == 0
    assert screen.text.splitlines() == ['[{"sessionGuid": "x \\x9b31m \\u202e"},', '"\\x1b[31m"]']
    assert vns(api, "list", "--json", cwd=tmp_path).stdout == body
    words = ("download", ONE, "-d", "a\x1b[31m")
    screen = run_in_terminal(*words, cwd=tmp_path, env=environment(api), command=VNS)
    assert f"a\\x1b[31m/{ONE}.opus" in screen.text
    assert "\x1b[31m" not in screen.text


def start(command: list[str], api: Server, folder: Path) -> subprocess.Popen[bytes]:
    """Start a command, all of whose streams are pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment(api), stdin=pipe, stdout=pipe, stderr=pipe
    )


def test_delete(api: Server, tmp_path: Path) -> None:
    """Only with consent; what is not there is an error."""
    # No terminal, though Windows says that it is one.
    words = ("delete", ONE)
    refused = run_process(*words, cwd=tmp_path, stdin=DEVNULL, env=environment(api), command=(VNS,))
    assert (refused.code, api.deleted) == (2, [])
    assert "standard input is not a terminal" in refused.stderr
    result = vns(api, "delete", "--yes", ONE, TWO, cwd=tmp_path)
    assert (result.code, result.stdout) == (1, f"{ONE}\n".encode())
    assert api.deleted == [ONE]


@pytest.mark.parametrize("answer", ["y", "n"])
def test_delete_asks_in_a_terminal(api: Server, tmp_path: Path, answer: str) -> None:
    """A no deletes nothing, and is no error."""
    answers = {"on the server?": f"{answer}\n"}
    screen = run_in_terminal(
        "delete", ONE, cwd=tmp_path, env=environment(api), answers=answers, command=VNS
    )
    assert screen.code == 0
    assert "Delete 1 recording on the server?" in screen.text
    assert ("nothing was done" in screen.text) == (answer == "n")
    assert api.deleted == ([ONE] if answer == "y" else [])
    assert TOKEN not in screen.text


SINCE_UNTIL = ("--since", "--until")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "missing command"),
        *(
            (["list", "--api-url", url], "the API's address must begin with https://")
            for url in ("http://a.example", "ftp://127.0.0.1", "https://[x", "http://127.0.0.1@x")
        ),
        (["list", "--token-file", "empty"], "empty: it is empty"),
        (["archive"], "missing argument 'DIR'"),
        *((f"list --json {one} 7d".split(), "--json writes the list") for one in SINCE_UNTIL),
        *(([*["list", "--archived", "."], one, "soon"], f"{one} takes") for one in SINCE_UNTIL),
        (["list", "--archived", "empty"], "empty: this is a file, not a directory"),
        (["list", "--archived", "none"], "none: there is no such directory"),
        *((["list", "--timeout", value], "a timeout is more than 0") for value in ("nan", "1e300")),
        (["list", "--token-file", "Secret123"], "--token-file: No such file or directory"),
        (["download", ONE, "--password-file", "Secret123"], "--password-file: No such file"),
        *(
            (["list", option, value], f"invalid value for '{option}': it is a number above 0")
            for option in ("--timeout", "--max-time")
            for value in ("0", "-1", "soon", "")
        ),
    ],
    ids=str,
)
def test_usage(api: Server, tmp_path: Path, words: list[str], message: str) -> None:
    """What is wrong is said, but for what may be a secret, and nothing is asked of the server."""
    (tmp_path / "empty").touch()
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.stdout) == (1 if "No such file" in message else 2, b"")
    assert result.stderr.startswith(f"error: {message}")
    assert "Secret123" not in result.stderr
    assert api.seen == []


NO_HEADER = "the API token contains characters not allowed in an HTTP header"


@pytest.mark.parametrize(
    ("file", "variable", "code", "said"),
    [
        *((f"{TOKEN}\r\n".encode(name), "wrong", 0, "") for name in ("utf-8-sig", "utf-16")),
        (f"{TOKEN}\r\n".encode("utf-16-le"), None, 0, ""),
        *((f" {TOKEN}{end}".encode(), None, 0, "") for end in ("\r\n", " \t", "\n\n", "\u00a0")),
        (None, f" {TOKEN} \r\n", 0, ""),
        (None, None, 2, "use --token-file, or set VNS_API_TOKEN"),
        (None, "", 2, "error: the API token is empty"),
        (None, " \n", 2, "error: the API token is empty"),
        (None, "Secret\u200b123", 2, f"error: {NO_HEADER}"),
        (None, "Secret\n123", 2, f"error: {NO_HEADER}"),
        (None, f"VNS_API_TOKEN={TOKEN}", 6, "hint: the token looks like a line that sets a"),
    ],
    ids=repr,
)
def test_the_token(
    api: Server, tmp_path: Path, file: bytes | None, variable: str | None, *, code: int, said: str
) -> None:
    """From a file before the environment; tools leave blanks around it, and none is shown."""
    words = ["list"]
    if file is not None:
        (tmp_path / "token").write_bytes(file)
        words += ["--token-file", "token"]
    result = vns(api, *words, cwd=tmp_path, VNS_API_TOKEN=variable)
    assert result.code == code
    assert said in result.stderr
    assert "Secret" not in result.stderr
    assert (api.seen == []) == (code == 2)


def test_the_password_from_files(api: Server, tmp_path: Path) -> None:
    """Before the environment; several are tried in turn, and the summary counts them by number."""
    api.recordings[TWO] = encrypt(AUDIO, "the one before")
    api.recordings[THREE] = encrypt(AUDIO, "another")
    (tmp_path / "new").write_text(f"{PASSWORD}\n")
    (tmp_path / "old").write_text("the one before")
    words = ("archive", "calls", "--password-file", "new", "--password-file", "old")
    result = vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong")
    assert result.code == 3
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO, f"{TWO}.opus": AUDIO}
    none = "authentication failed: none of the 2 passwords is right, or the file was altered"
    hint = "the password is the one that was in force when the call was recorded"
    keeping = "--keep-encrypted stores it as it is, to be decrypted later"
    assert result.lines[:-1] == [
        f"error: {THREE}: {none}",
        f"hint: {hint}; {keeping}; the passwords came from new, old",
    ]
    assert result.lines[-1].startswith("2 decrypted, 1 failed (password 1: 1, password 2: 1); ")
    assert vns(api, "download", TWO, *words[2:], cwd=tmp_path).code == 0
    result = vns(api, "archive", "calls", cwd=tmp_path, FILEDECRYPTOR_PASSWORD="Secret123")
    assert (
        result.lines[1] == f"hint: {hint}; {keeping}; the password came from FILEDECRYPTOR_PASSWORD"
    )
    assert "Secret123" not in result.stderr


def test_progress(api: Server, tmp_path: Path) -> None:
    """By recordings, since nobody knows how long they are."""
    env = environment(api)
    screen = run_in_terminal("archive", ".", "--progress", cwd=tmp_path, env=env, command=VNS)
    assert screen.code == 0
    assert "1 decrypted" in screen.text
    assert re.search(r"100%.* 28 kB", screen.text)


def test_a_few_failures_of_a_kind_are_shown(api: Server, tmp_path: Path) -> None:
    """Then how many more, and the reason; no option is named that there is not."""
    result = vns(api, "delete", "--yes", *NUMBERED[:25], cwd=tmp_path)
    assert (result.code, result.stderr.count("error: ")) == (1, 20)
    assert result.lines[-2] == "and 5 more: the API has no such recording"
    api.recordings = dict.fromkeys(NUMBERED[:25], encrypt(AUDIO, "another one"))
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert (result.code, result.stderr.count("error: ")) == (3, 20)
    reason = "the password is wrong; it came from FILEDECRYPTOR_PASSWORD"
    assert result.lines[-2] == "and 5 more: authentication failed"
    assert result.lines[-1].startswith(f"25 failed: {reason}; in ")
    assert "note: " not in result.stderr


@posix_only("signals from elsewhere")
def test_an_interrupted_run_leaves_nothing_half_done(api: Server, tmp_path: Path) -> None:
    """The summary is printed, the exit code is 130."""
    api.recordings = dict.fromkeys(NUMBERED, encrypt(AUDIO))
    process = start([VNS, "archive", "."], api, tmp_path)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == b"vns-recordings: error: interrupted"
    found = stored(tmp_path)
    assert 0 < len(found) < len(NUMBERED)
    assert set(found.values()) == {AUDIO}


@pytest.mark.parametrize("name", [pytest.param("SIGINT", marks=posix_only("signals")), None])
@pytest.mark.parametrize("line", [f"download {ONE} {TWO}", "archive pause"])
def test_interruptions(api: Server, tmp_path: Path, line: str, name: str | None) -> None:
    """Nor for the pause that it asks for; also if no thread is woken, as on Windows."""
    over = Event()
    pause = failing(429, Retry_After="60")
    api.behaviours.append(pause if "pause" in line else lambda _: over.wait(60))
    code = (
        "import _thread, os, sys, threading; from filedecryptor.jobs import workers\n"
        "from filedecryptor.vns.__main__ import main; workers.SHUTDOWN_TIMEOUT = 0.5\n"
        "end = lambda: _thread.interrupt_main() if os.read(0, 1) else None\n"
        "threading.Thread(target=end, daemon=True).start(); sys.exit(main())"
    )
    process = start([sys.executable, "-c", code, *line.split()], api, tmp_path)
    wait_until(lambda: len(api.seen) > ("pause" in line))
    if name is not None:
        process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(b"" if name else b"x", timeout=30)
    over.set()
    assert (process.returncode, stderr) == (130, b"vns-recordings: error: interrupted\n")
    assert stored(tmp_path) in ({}, {"pause": None})


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line and a hint; `filedecryptor` does not care."""
    code = (
        "import sys; sys.modules['httpcore'] = None\n"
        "from filedecryptor.vns.__main__ import main; sys.exit(main())"
    )
    result = run_process("list", cwd=tmp_path, command=(sys.executable, "-c", code))
    lines = ["error: vns-recordings needs more packages", f"hint: {missing_extra('vns')}"]
    assert (result.code, result.lines) == (1, [f"vns-recordings: {line}" for line in lines])


def test_all_ways_to_run_the_command_agree(api: Server, tmp_path: Path) -> None:
    """As a program and by click's runner: the same code, the same words."""
    (tmp_path / "token").write_text("wrong")
    for words, code in {"list": 0, "list --token-file token": 6, "": 2}.items():
        found = vns(api, *words.split(), cwd=tmp_path)
        assert found.code == code
        assert vns_process(api, *words.split(), cwd=tmp_path) == found
