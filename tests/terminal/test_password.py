"""Where the password comes from."""

from __future__ import annotations

import codecs
import io
from itertools import product
from pathlib import Path

import click
import pytest
from support.commands import run
from support.folders import nothing_changes
from support.posix import IS_WINDOWS
from support.recordings import AUDIO, PASSWORD, MakeEnc
from support.terminal import run_in_terminal

from filedecryptor.terminal.console import Console
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE, find_password


@pytest.mark.parametrize(
    "line", [b"EncryptMe", b"EncryptMe\n", b"EncryptMe\r\n", b"EncryptMe\nsecond line\n"]
)
def test_the_first_line_of_a_file(folder: Path, line: bytes) -> None:
    """Without its line end, whichever system wrote it."""
    (folder / "p").write_bytes(line)
    result = run("a.enc", "-", "opus", "--password-file", "p", cwd=folder)
    assert result == (0, b"a.opus\n", "")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\n\r\n", "\nsecond line\n"])
@pytest.mark.parametrize(
    ("encoding", "password"),
    [
        *product(
            ["utf-8-sig", "utf-16", "bom and utf-16-be"],
            ["EncryptMe", "pässwörd–密码🔐", "\u0a0a\u0a05", ""],
        ),
        ("utf-16-le", "EncryptMe"),
        ("utf-16-be", "EncryptMe"),
    ],
)
def test_a_file_as_tools_of_windows_write_it(
    make_enc: MakeEnc, encoding: str, password: str, end: str
) -> None:
    """`echo x > file` in PowerShell, `Out-File -Encoding utf8`, `cmd /u`, Notepad."""
    text = password + end
    data = (
        codecs.BOM_UTF16_BE + text.encode("utf-16-be")
        if encoding.startswith("bom")
        else text.encode(encoding)
    )
    source = make_enc(password=password)
    (source.parent / "p").write_bytes(data)
    result = run("a.enc", "-", "opus", "--password-file", "p", cwd=source.parent)
    if not password and not end:
        assert result == (2, b"", "filedecryptor: error: p: it is empty\n")
    else:
        assert result == (0, b"a.opus\n", "")
    stdin = run("a.enc", "-", "opus", cwd=source.parent, stdin=data)
    assert stdin.code == result.code


@pytest.mark.parametrize("data", [b"\xff\xfeE\0\0\xd8\n\0", b"\xff\xfeE\0n", b"E\0\0\xdc"])
def test_a_file_that_is_not_what_it_begins_as(folder: Path, data: bytes) -> None:
    """It is said, and nothing of it is shown."""
    (folder / "p").write_bytes(data)
    result = run("a.enc", "-", "opus", "--password-file", "p", cwd=folder)
    assert result.code == 2
    assert result.lines == ["error: p: it is not text, though it begins as UTF-16 does"]


def test_a_line_in_utf_16_that_does_not_end(folder: Path) -> None:
    """It is no secret, and not read to its end."""
    (folder / "p").write_bytes("x".encode("utf-16") * (1 << 20))
    result = run("a.enc", "-", "opus", "--password-file", "p", cwd=folder)
    assert result.lines == ["error: p: the first line is too long for a secret"]


def test_a_line_that_sets_a_variable(folder: Path) -> None:
    """It may be the file of a service; it is tried as it is, and a hint follows."""
    (folder / "p").write_text("FILEDECRYPTOR_PASSWORD=EncryptMe\n")
    result = run("a.enc", "-", "opus", "--password-file", "p", cwd=folder)
    assert result.code == 3
    assert result.lines[1] == (
        "hint: the password looks like a line that sets a variable: "
        "only what follows the '=' may be meant; the password came from p"
    )
    assert "EncryptMe" not in result.stderr


def test_only_the_line_end_is_taken_off(make_enc: MakeEnc, tmp_path: Path) -> None:
    """Spaces belong to the password, and it need not be text."""
    make_enc(password=b" \xff ")
    (tmp_path / "p").write_bytes(b" \xff \n")
    assert run("a.enc", "-", "opus", "--password-file", "p", cwd=tmp_path).code == 0


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\nEncryptMe"])
def test_an_empty_first_line_is_an_empty_password(make_enc: MakeEnc, line: bytes) -> None:
    """It is there, and it is empty; the next line is not looked at."""
    source = make_enc(password=b"")
    (source.parent / "p").write_bytes(line)
    assert run("a.enc", "-", "opus", "--password-file", "p", cwd=source.parent).code == 0


def test_carriage_returns_of_a_password_stay(make_enc: MakeEnc) -> None:
    """Only the line end's own goes."""
    source = make_enc(password=b"x\r")
    (source.parent / "p").write_bytes(b"x\r\r\n")
    assert run("a.enc", "-", "opus", "--password-file", "p", cwd=source.parent).code == 0


def test_an_empty_variable_is_an_empty_password(folder: Path) -> None:
    """It is there, so nothing else is asked; the hint says what is wrong."""
    env = {ENVIRONMENT_VARIABLE: ""}
    result = run("a.enc", "-", "opus", cwd=folder, env=env, stdin=b"EncryptMe\n")
    assert result.code == 3
    assert result.lines[1] == (
        f"hint: the password is empty; the password came from {ENVIRONMENT_VARIABLE}"
    )


def test_the_environment(folder: Path) -> None:
    """Where no file is named."""
    result = run("a.enc", "-", "opus", cwd=folder, env={ENVIRONMENT_VARIABLE: PASSWORD})
    assert result == (0, b"a.opus\n", "")


def test_the_first_line_of_stdin(folder: Path) -> None:
    """Where there is neither."""
    assert run("a.enc", "-", "opus", cwd=folder, stdin=b"EncryptMe\nmore").code == 0


def test_the_order(folder: Path) -> None:
    """The file before the environment, the environment before stdin."""
    (folder / "p").write_bytes(b"EncryptMe")
    wrong = {ENVIRONMENT_VARIABLE: "wrong"}
    right = {ENVIRONMENT_VARIABLE: PASSWORD}
    words = ("a.enc", "-", "opus")
    assert run(*words, "--password-file", "p", cwd=folder, env=wrong, stdin=b"wrong").code == 0
    assert run(*words, cwd=folder, env=right, stdin=b"wrong").code == 0


def test_a_prompt_where_stdin_is_a_terminal(folder: Path) -> None:
    """What is typed does not appear."""
    screen = run_in_terminal("a.enc", "-", "opus", cwd=folder, answers={"Password": "EncryptMe\n"})
    assert screen.code == 0
    assert "Password: " in screen.text
    assert "EncryptMe" not in screen.text
    assert (folder / "a.opus").read_bytes() == AUDIO


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_a_prompt_can_be_left(folder: Path, key: str) -> None:
    """As any other wait."""
    with nothing_changes(folder):
        screen = run_in_terminal("a.enc", "-", "opus", cwd=folder, answers={"Password": key})
    assert screen.code == 130
    assert "Traceback" not in screen.text
    assert screen.text.endswith("filedecryptor: error: interrupted\r\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.enc", "EncryptMe", "opus", "--password-file", "p"], "there are two passwords"),
        (["-", "-", "opus"], "standard input cannot be both"),
        (["a.enc", "-", "opus"], "standard input: it is empty"),
        (["a.enc", "-", "opus", "--password-file", "empty"], "empty: it is empty"),
    ],
)
def test_no_password_or_two(folder: Path, words: list[str], message: str) -> None:
    """A usage error, before anything is read or written."""
    (folder / "p").write_bytes(b"EncryptMe")
    (folder / "empty").write_bytes(b"")
    with nothing_changes(folder):
        result = run(*words, cwd=folder)
    assert result.code == 2
    assert result.lines[0].startswith(f"error: {message}")


def test_a_file_without_line_ends(folder: Path) -> None:
    """The wrong file is not read to its end, which it may not have."""
    result = run("a.enc", "-", "opus", "--password-file", "/dev/zero", cwd=folder)
    assert result.code == 2
    assert result.lines == ["error: /dev/zero: the first line is too long for a secret"]


def test_a_prompt_where_text_cannot_be_read(folder: Path) -> None:
    """In a terminal without an encoding for it, a typed letter is a usage error."""
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    screen = run_in_terminal("a.enc", "-", "opus", cwd=folder, answers={"Password": "ä\n"}, env=env)
    assert screen.code == 2
    assert "the password is not text in the encoding of this terminal" in screen.text


def test_a_password_file_that_is_not_there(folder: Path) -> None:
    """The line names the option, since its value may be the password itself."""
    result = run("a.enc", "-", "opus", "--password-file", "Secret123", cwd=folder)
    assert result.code == 1
    assert result.lines == ["error: --password-file: No such file or directory"]


def test_a_password_file_that_is_not_in_its_directory(folder: Path) -> None:
    """What begins with a directory is a name, and is shown."""
    path = (folder / "none").as_posix()
    result = run("a.enc", "-", "opus", "--password-file", path, cwd=folder)
    assert result.lines == [f"error: {path}: No such file or directory"]


def test_a_password_file_that_cannot_be_read(folder: Path) -> None:
    """It is there, so it is named."""
    (folder / "p").mkdir()
    result = run("a.enc", "-", "opus", "--password-file", "p", cwd=folder)
    assert result.lines == [f"error: p: {'Permission denied' if IS_WINDOWS else 'Is a directory'}"]


def test_a_recording_from_stdin_with_its_password_elsewhere(
    folder: Path, encrypted_audio: bytes
) -> None:
    """`- -` works as long as stdin serves one of the two only."""
    env = {ENVIRONMENT_VARIABLE: PASSWORD}
    assert run("-", "-", "opus", cwd=folder, env=env, stdin=encrypted_audio).stdout == AUDIO


def test_the_halves_of_a_character_are_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A console of Windows hands them over one by one; what was no text stays as it is."""
    for typed, expected in (("p\ud83d\udd10", "p\U0001f510"), ("caf\udce9", "caf\udce9")):
        monkeypatch.setattr(click, "prompt", lambda *_, typed=typed, **__: typed)
        monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
        terminal = _Terminal(_WindowsConsoleIO(), "utf-8")
        console = Console("filedecryptor", terminal, None, None)
        assert find_password(console, "-", [], stdin_is=None).secrets == (expected,)


class _WindowsConsoleIO(io.BytesIO):
    """What is below a terminal of Windows is of a class with this name."""


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        """Return True."""
        return True
