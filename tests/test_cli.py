"""The words of the command line."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from support.commands import Result, run, run_process
from support.folders import nothing_changes
from support.recordings import PASSWORD, MakeEnc

import filedecryptor

SECRET = "-Secret123"
ORDER = "if this is the password: the order is FILENAME... PASSWORD OUTPUTEXTENSION"


@pytest.mark.parametrize("word", ["-x", "--help", "-- ", "--verify", "--", "-o", " ", "*"])
def test_three_words_are_taken_literally(make_enc: MakeEnc, tmp_path: Path, word: str) -> None:
    """The reference's own call: a password may look like an option."""
    make_enc(password=word)
    assert run("a.enc", word, "opus", cwd=tmp_path) == (0, b"a.opus\n", "")


def test_options_may_stand_anywhere(folder: Path) -> None:
    """Before, between and behind the words."""
    for words in (
        ["-o", "x", "a.enc", PASSWORD, "opus"],
        ["a.enc", "-o", "x", PASSWORD, "opus"],
        ["a.enc", PASSWORD, "opus", "-ox"],
        ["a.enc", PASSWORD, "--output=x", "opus"],
    ):
        assert run(*words, cwd=folder).stdout == b"x\n"


def test_two_dashes_end_the_options(make_enc: MakeEnc, tmp_path: Path) -> None:
    """After them, names and passwords may begin with a dash."""
    make_enc("-a.enc", password=SECRET)
    result = run("-o", "x", "--", "-a.enc", SECRET, "opus", cwd=tmp_path)
    assert result == (0, b"x\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.enc"], "three arguments are needed"),
        (["--verify", "a.enc"], "two arguments are needed"),
        (["a.enc", "Secret123"], "three arguments are needed"),
        (["--verify", "a.enc", SECRET, "opus"], "unknown option: argument 3"),
        (["a.enc", "b.enc", "--Secret123=x", "opus"], "unknown option: argument 3"),
        (["a.enc", "b.enc", "x", "-qS", "opus"], "unknown option: argument 4"),
        (
            ["--if-exists", SECRET, "a.enc", "x", "opus"],
            "invalid value for '--if-exists': it is one of replace, skip, fail",
        ),
        (
            ["-j", "0", "a.enc", "x", "opus"],
            "invalid value for '-j' / '--jobs': it is a whole number from 1 to 512",
        ),
        (["--password", PASSWORD, "a.enc", "opus"], "unknown option: argument 1"),
        ([f"--password={PASSWORD}", "a.enc", "opus", "-q"], "unknown option: argument 1"),
        ([f"--{PASSWORD}", "a.enc", "opus", "-q"], "unknown option: argument 1"),
        ([f"-q{PASSWORD}", "a.enc", "opus", "-q"], "unknown option: argument 1"),
        (["a.enc", "x", "opus", "-j", PASSWORD], "invalid value for '-j' / '--jobs'"),
        (["a.enc", "x", "opus", f"--json={PASSWORD}"], "option '--json' does not take a value"),
        (["a.enc", PASSWORD, "opus", "--unknown-as", "x"], "--unknown-as is for audio that"),
        (["a.enc", PASSWORD, "opus", "--password-file", "a.enc"], "there are two passwords"),
        (["--verify=Secret123", "a.enc", "x", "opus"], "option '--verify' does not take a value"),
        (["a.enc", "x", "opus", "-o"], "option '-o' requires an argument"),
        (["a.enc", "b.enc", "Secret123", "opus", "-o", "x"], "one --output cannot take"),
        (["a.enc", "-", "Secret123", "opus"], "standard input cannot be one of several"),
        (["--verify", "-o", "x", "a.enc", "Secret123", "opus"], "--verify writes nothing"),
        (["a.enc", "Secret123", "a/b"], "the output extension holds a path separator"),
    ],
)
def test_words_that_make_no_sense(folder: Path, words: list[str], message: str) -> None:
    """Exit code 2, and no message repeats a word that may be the password."""
    with nothing_changes(folder):
        result = run(*words, cwd=folder)
    assert result.code == 2
    assert result.stdout == b""
    assert result.lines[0].startswith(f"error: {message}")
    assert all(line.startswith("hint: ") for line in result.lines[1:])
    assert "Secret123" not in result.stderr


@pytest.mark.parametrize("more", [[], ["--json"], ["-q"], ["--verify"], ["-d", "out"]])
@pytest.mark.parametrize(
    "word", ["Secret123", "Secret123/x", "./Secret123", "/Secret123", "S" * 300]
)
def test_a_misplaced_password_is_not_repeated(folder: Path, word: str, more: list[str]) -> None:
    """A word that names nothing fails as the number that it is, and the others go on."""
    result = run("a.enc", word, PASSWORD, "opus", *more, cwd=folder)
    assert result.code == 1
    assert word not in result.stderr
    assert word not in result.stdout.decode()
    assert result.lines[0].startswith("error: FILENAME 2: ")
    assert result.lines[1] == f"hint: {ORDER}"
    if "--verify" not in more:
        assert len(list(folder.rglob("a.opus"))) == 1


@pytest.mark.parametrize("more", [[], ["-o", "-"], ["-o", "x"], ["--json"], ["-d", "out"]])
def test_a_password_in_the_first_place_is_not_repeated(folder: Path, more: list[str]) -> None:
    """Where it is the only name."""
    with nothing_changes(folder):
        result = run("Secret123", "a.enc", "opus", *more, cwd=folder)
    assert result.code == 1
    assert result.lines == ["error: FILENAME 1: No such file or directory", f"hint: {ORDER}"]
    assert b"Secret123" not in result.stdout


@pytest.mark.parametrize("name", ["none.enc", "none/a.ENC", "sub/none", "{folder}/none"])
def test_a_mistyped_name_is_shown(folder: Path, name: str) -> None:
    """What ends as recordings do, or begins with a directory, is a name: it helps to see it."""
    (folder / "sub").mkdir()
    name = name.format(folder=folder.as_posix())
    result = run("a.enc", name, PASSWORD, "opus", cwd=folder)
    assert result.lines[0] == f"error: {name}: No such file or directory"
    result = run(name, PASSWORD, "opus", cwd=folder)
    assert result.lines[0] == f"error: {name}: No such file or directory"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_explains_every_word(tmp_path: Path, option: str) -> None:
    """On stdout, with the exit codes."""
    result = run(option, cwd=tmp_path)
    assert result.code == 0
    for word in (b"FILENAME...", b"PASSWORD", b"OUTPUTEXTENSION", b"--if-exists", b"130"):
        assert word in result.stdout


def test_version(tmp_path: Path) -> None:
    """The package's own."""
    expected = f"filedecryptor {filedecryptor.__version__}\n".encode()
    assert run("--version", cwd=tmp_path) == (0, expected, "")


ON_WINDOWS = (
    "import sys, filedecryptor.jobs.batch, filedecryptor.cli, filedecryptor.__main__\n"
    "sys.platform = 'win32'\n"
    "sys.exit(filedecryptor.__main__.main())"
)
"""The command as on Windows; all that it imports is imported before."""


def on_windows(*words: str, cwd: Path) -> Result:
    """Run the command as on Windows."""
    return run_process("-c", ON_WINDOWS, *words, cwd=cwd, command=(sys.executable,))


def test_patterns_stand_for_names_where_no_shell_expands_them(folder: Path) -> None:
    """In FILENAME; PASSWORD is taken as it is, whatever it holds."""
    shutil.copy(folder / "a.enc", folder / "b.enc")
    result = on_windows("--verify", "?.enc", PASSWORD, "auto", cwd=folder)
    assert (result.code, result.lines[0].split(";")[0]) == (0, "2 verified")
    assert on_windows("--verify", "a.enc", "*", "auto", cwd=folder).code == 3
    assert on_windows("--verify", "a.enc", "?.enc", "auto", cwd=folder).code == 3


@pytest.mark.parametrize("word", ["x*.enc", "none/?.ENC", "Secret*", "?ecret"])
def test_a_pattern_that_fits_nothing(folder: Path, word: str) -> None:
    """One clear line, which does not repeat what may be the password."""
    with nothing_changes(folder):
        result = on_windows("a.enc", word, PASSWORD, "auto", cwd=folder)
    assert result.code == 2
    name = word if word.lower().endswith(".enc") else "FILENAME 2"
    assert result.lines == [f"error: {name}: no file has a name like this"]
