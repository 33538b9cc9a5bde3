"""Where the password comes from."""

from __future__ import annotations

import codecs
import getpass
from itertools import product
from pathlib import Path
from threading import Event, Thread, Timer

import pytest
from support.commands import COMMAND, Result, run
from support.folders import contents
from support.posix import IS_WINDOWS, make_fifo, posix_only
from support.recordings import AUDIO, PASSWORD, MakeEnc
from support.terminal import Terminal, run_in_terminal

from filedecryptor.terminal.console import Console
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE, find_password, first_line

LINE = PASSWORD.encode()


@posix_only("pipes with names")
def test_a_line_of_a_pipe_is_enough(tmp_path: Path) -> None:
    """The pipe may stay open behind it."""
    make_fifo(tmp_path / "p")
    is_read = Event()

    def write() -> None:
        with (tmp_path / "p").open("wb", buffering=0) as pipe:
            pipe.write(codecs.BOM_UTF16_BE + f"{PASSWORD}\n".encode("utf-16-be"))
            is_read.wait(20)

    Thread(target=write, daemon=True).start()
    timer = Timer(10, is_read.set)
    timer.start()
    assert first_line(str(tmp_path / "p"), "--password-file") == LINE
    assert not is_read.is_set()
    is_read.set()
    timer.cancel()


def run_with_file(folder: Path, data: bytes) -> Result:
    """Run the command with a password file that holds some bytes."""
    (folder / "p").write_bytes(data)
    return run("a.enc", "-", "opus", "--password-file", "p", cwd=folder)


@pytest.mark.parametrize(
    ("data", "password"),
    [
        *product([LINE, LINE + b"\n", LINE + b"\r\n", LINE + b"\nsecond line\n"], [LINE]),
        (b" \xff \n", b" \xff "),  # need not be text
        (b"x\r\r\n", b"x\r"),
        *product([b"\n", b"\r\n", b"\nEncryptMe"], [b""]),
    ],
)
def test_the_first_line_of_a_file(make_enc: MakeEnc, data: bytes, password: bytes) -> None:
    """Without its line end and nothing else; it may be empty."""
    source = make_enc(password=password)
    assert run_with_file(source.parent, data) == (0, b"a.opus\n", "")


@pytest.mark.parametrize("end", ["", "\r\n", "\nsecond line\n"])
@pytest.mark.parametrize(
    ("encoding", "password"),
    [
        *product(
            ["utf-8-sig", "utf-16", "bom utf-16-be"],
            ["pässwörd–密码🔐", "\u0a0a\u0a05", ""],
        ),
        ("utf-16-le", PASSWORD),
        ("utf-16-be", PASSWORD),
    ],
)
def test_a_file_as_tools_of_windows_write_it(
    make_enc: MakeEnc, encoding: str, password: str, end: str
) -> None:
    """`echo x > file` in PowerShell, `Out-File -Encoding utf8`, `cmd /u`, Notepad."""
    mark = codecs.BOM_UTF16_BE if encoding.startswith("bom") else b""
    data = mark + (password + end).encode(encoding.removeprefix("bom "))
    folder = make_enc(password=password).parent
    result = run_with_file(folder, data)
    if not password and not end:
        assert result == (2, b"", "filedecryptor: error: p: it is empty\n")
    else:
        assert result == (0, b"a.opus\n", "")
    assert run("a.enc", "-", "opus", cwd=folder, stdin=data).code == result.code


NOT_TEXT = "it is not text, though it begins as UTF-16 does"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is empty"),
        (b"\xff\xfeE\0\0\xd8\n\0", NOT_TEXT),
        (b"\xff\xfeE\0n", NOT_TEXT),
        (b"E\0\0\xdc", NOT_TEXT),
        ("x".encode("utf-16") * (1 << 20), "the first line is too long for a secret"),
        (bytes(1 << 21), "the first line is too long for a secret"),
    ],
)
def test_a_file_that_holds_no_secret(folder: Path, data: bytes, message: str) -> None:
    """It is said, nothing of it is shown, and it is not read to an end it may not have."""
    result = run_with_file(folder, data)
    assert (result.code, result.lines) == (2, [f"error: p: {message}"])


@pytest.mark.parametrize(
    ("path", "error", "hints"),
    [
        (
            "EncryptMe",
            "--password-file: No such file or directory",
            ["hint: it takes the name of a file, whose first line is the secret"],
        ),
        ("{folder}/none", "{folder}/none: No such file or directory", []),
        ("d", f"d: {'Permission denied' if IS_WINDOWS else 'Is a directory'}", []),
    ],
)
def test_a_password_file_that_cannot_be_read(
    folder: Path, path: str, error: str, hints: list[str]
) -> None:
    """A name that may be the password itself is not shown."""
    (folder / "d").mkdir()
    path, error = (text.format(folder=folder.as_posix()) for text in (path, error))
    result = run("a.enc", "-", "opus", "--password-file", path, cwd=folder)
    assert (result.code, result.lines) == (1, [f"error: {error}", *hints])


def test_standard_input_is_one_password_only(folder: Path) -> None:
    """Though it is named twice."""
    twice = ["--password-file", "-"] * 2
    result = run("a.enc", "-", "opus", *twice, cwd=folder, stdin=LINE)
    error = "error: standard input cannot be both one password and the next"
    assert (result.code, result.lines[0]) == (2, error)


AGAIN = {"Password: ": "\n", "Password: \r\nPassword: ": f"{PASSWORD}\n"}


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        pytest.param(AGAIN, 0, "a.opus", id="after nothing it asks again"),
        pytest.param({"Password": "\x03"}, 130, "filedecryptor: error: interrupted", id="Ctrl-C"),
        pytest.param({"Password": "\x04"}, 130, "filedecryptor: error: interrupted", id="Ctrl-D"),
        pytest.param(
            *({"Password": "ä\n"}, 2),
            "filedecryptor: error: the password is not text in the encoding of this terminal\r\n"
            "filedecryptor: hint: choose another one, as by LC_ALL=C.UTF-8, or use --password-file",
            id="no text",
        ),
    ],
)
def test_a_prompt_where_stdin_is_a_terminal(
    folder: Path, answers: dict[str, str], code: int, said: str
) -> None:
    """What is typed does not appear, and can be anything."""
    is_ascii = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"} if code == 2 else {}
    screen = run_in_terminal("a.enc", "-", "opus", cwd=folder, answers=answers, env=is_ascii)
    assert screen.code == code
    assert f"{said}\r\n" in screen.text
    assert PASSWORD not in screen.text
    assert "Traceback" not in screen.text
    assert contents(folder).keys() == ({"a.enc"} if code else {"a.enc", "a.opus"})


PROMPT = "Password: "
WRONG = "authentication failed: the password is wrong"


@pytest.mark.parametrize(
    ("line", "typed", "code", "made"),
    [
        ("a.enc", [PASSWORD], 0, {"a.opus"}),
        ("a.enc - wav", ["x", "y", PASSWORD], 0, {"a.wav"}),
        ("a.enc", ["x", "y", "z"], 3, set()),
        ("a.enc", ["x", "\x03"], 130, set()),
        ("-o out a.enc", ["x", PASSWORD], 0, {"out"}),
        ("a.enc calls/ - --json", ["x", PASSWORD], 0, {"a.opus", "calls/b.opus", "calls/c.opus"}),
        ("calls/ -", ["x", "y", "z"], 3, set()),
        ("--files-from list", ["x", PASSWORD], 0, {"a.opus", "calls/b.opus"}),
        ("--verify calls/", ["x", "y", PASSWORD], 0, set()),
        ("text.enc a.enc -", ["x", PASSWORD], 4, {"a.opus"}),
        ("there.enc -q --if-exists skip a.enc -", ["x", PASSWORD], 0, {"a.opus"}),
        ("there.enc - auto --if-exists skip", ["any"], 0, set()),
        ("gone", [], 2, set()),
        ("a.enc calls/", [], 2, set()),
        ("a.enc - -o -", [], 2, set()),
    ],
)
def test_a_prompt_asks_three_times(
    folder: Path, line: str, typed: list[str], code: int, made: set[str]
) -> None:
    """Until one recording shows that the password is right; nothing else is begun before."""
    (folder / "calls").mkdir()
    for name in ("calls/b.enc", "calls/c.enc", "there.enc"):
        (folder / name).write_bytes((folder / "a.enc").read_bytes())
    (folder / "text.enc").write_text("short")
    (folder / "there.opus").write_bytes(AUDIO)
    (folder / "list").write_text("a.enc\ncalls/b.enc\n")
    before = contents(folder).keys()
    screen = run_in_terminal(
        *line.split(), cwd=folder, answers={PROMPT: [f"{text}\n" for text in typed]}
    )
    assert (screen.code, contents(folder).keys() - before) == (code, made)
    assert screen.text.count(PROMPT) == len(typed)
    assert screen.text.count(WRONG) == len({"x", "y", "z"} & set(typed))
    assert not any(f"\n{text}\r" in screen.text for text in typed)


@posix_only("shells")
def test_a_prompt_before_a_pipe(folder: Path) -> None:
    """What goes into it begins once the password is right."""
    script = f"{COMMAND} a.enc - -o - | wc -c"
    answers = {PROMPT: ["x\n", f"{PASSWORD}\n"]}
    screen = run_in_terminal("-c", script, cwd=folder, command="/bin/sh", answers=answers)
    assert screen.text.split()[-1] == str(len(AUDIO))
    assert screen.text.count(WRONG) == 1


def test_the_halves_of_a_character_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console of Windows hands them over one by one; what was no text stays as it is."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    for typed, expected in (("p\ud83d\udd10", "p\U0001f510"), ("caf\udce9", "caf\udce9")):
        monkeypatch.setattr(getpass, "getpass", lambda _, typed=typed: typed)
        console = Console("filedecryptor", Terminal(), None, None)
        assert find_password(console, "-", []).secrets == [expected]
