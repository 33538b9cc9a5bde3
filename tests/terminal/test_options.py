"""What the click commands have in common: how they end, what they do not repeat, completion."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from support.commands import run, run_process
from support.folders import contents
from support.posix import posix_only
from support.recordings import PASSWORD

from filedecryptor.errors import ExitCode
from filedecryptor.terminal.options import redacted

README = Path(__file__).parents[2] / "README.md"
MODULES = {"filedecryptor": "filedecryptor.cli", "vns-recordings": "filedecryptor.vns.cli"}


def test_what_click_says_is_not_repeated() -> None:
    """A fault that is not foreseen is named in our own words only."""
    for kind in (click.UsageError, click.BadArgumentUsage, type("New", (click.UsageError,), {})):
        error = redacted(kind("What is Secret123?"), "filedecryptor")
        assert str(error) == "the arguments make no sense"
        assert error.hint == "see 'filedecryptor --help'"
    error = redacted(click.BadOptionUsage("-o", "What is Secret123?"), "filedecryptor")
    assert str(error) == "option '-o' requires an argument"


@pytest.mark.parametrize(
    "line", ["a.enc P opus", "a.enc --help opus", "--json none.enc P opus", "--P a.enc P opus", ""]
)
def test_all_ways_to_run_the_command_agree(folder: Path, line: str) -> None:
    """As a program, and in this process: code, both streams, files."""
    words = line.replace("P", PASSWORD).split()
    program = run_process(*words, cwd=folder)
    after = contents(folder)
    (folder / "a.opus").unlink(missing_ok=True)
    assert run(*words, cwd=folder) == program
    assert contents(folder) == after


def test_exit_codes_are_told_once() -> None:
    """The README says of each what the source says."""
    section = README.read_text("utf-8").partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", section, re.MULTILINE)
    told = {int(code): re.sub("`", "", meaning) for code, meaning in rows}
    assert told == {code.value: code.meaning for code in ExitCode}


@pytest.mark.parametrize(
    "command", ["", "vns", "vns list", "vns archive", "vns download", "vns delete"]
)
def test_help(tmp_path: Path, command: str) -> None:
    """It tells the exit codes that the program has, and fits eighty columns in any terminal."""
    program, *words = command.split() or [""]
    if program:
        pytest.importorskip("httpcore", reason="the extra vns is not installed")
    module = "filedecryptor.vns.cli" if program else "filedecryptor.cli"
    short, long = (
        run(*words, option, cwd=tmp_path, cli=module, env={"COLUMNS": "200"})
        for option in ("-h", "--help")
    )
    assert (short, short.code) == (long, 0)
    told = short.stdout.decode()
    assert max(map(len, told.splitlines())) <= 80
    codes = {} if words else {str(code.value): code.meaning for code in ExitCode}
    if not program:
        del codes["6"], codes["7"]
    assert dict(re.findall(r"^ +(\d+) +(.*)$", told, re.MULTILINE)) == codes


def told_a_shell(line: str, cwd: Path, shell: str = "bash", what: str = "complete") -> str:
    """Return what a shell is told when somebody presses Tab at the end of a line."""
    program, *words = line.split(" ")
    env = {
        f"_{program}_COMPLETE".replace("-", "_").upper(): f"{shell}_{what}",
        "COMP_WORDS": line,
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    told = run(cwd=cwd, env=env, cli=MODULES[program])
    assert (told.code, told.stderr) == (0, "")
    return told.stdout.decode()


@posix_only("shells that complete")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("filedecryptor --ver", ["plain,--verify", "plain,--version"]),
        ("filedecryptor a.enc x opus --ver", ["plain,--verify", "plain,--version"]),
        ("filedecryptor a", ["file,a"]),
        ("filedecryptor -d ou", ["dir,ou"]),
        ("filedecryptor -o ou", ["file,ou"]),
        ("filedecryptor --password-file s", ["file,s"]),
        ("filedecryptor --if-exists s", ["plain,skip"]),
        ("filedecryptor a.enc x au", ["plain,auto", "file,au"]),
        ("filedecryptor a.enc au", ["file,au"]),
    ],
)
def test_completion(tmp_path: Path, line: str, expected: list[str]) -> None:
    """Options, their values, names of files and directories, and the extensions there are."""
    assert told_a_shell(line, tmp_path).splitlines() == expected


@posix_only("shells that complete")
@pytest.mark.parametrize("program", MODULES)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(tmp_path: Path, shell: str, program: str) -> None:
    """It is printed on demand, and names the program."""
    if program != "filedecryptor":
        pytest.importorskip("httpcore", reason="the extra vns is not installed")
    assert program in told_a_shell(f"{program} ", tmp_path, shell, "source")
    options = told_a_shell(f"{program} --vers", tmp_path, shell)
    assert "--version" in options
    assert "--help" not in options


THERE_ARE = "there are archive, delete, download, list"


@pytest.mark.parametrize(
    ("line", "error", "hint"),
    [
        ("", f"missing command: {THERE_ARE}", "see 'vns-recordings --help'"),
        ("ls", f"no such command: {THERE_ARE}", "see 'vns-recordings --help'"),
        ("-q archive .", "unknown option: -q", "options follow the command: vns-recor"),
        ("archive . --delete", "unknown option: --delete", "did you mean --delete-after?"),
        (
            "archive . --log-file x",
            "unknown option: --log-file",
            "see 'vns-recordings archive --he",
        ),
        ("archive . --include=x", "unknown option: --include", "see 'vns-recordings archive --hel"),
        ("list --quite", "unknown option: --quite", "see 'vns-recordings list --help'"),
        ("archive . -xq", "unknown option: -x", "see 'vns-recordings archive --help'"),
        ("list x", "there are more arguments than the command takes", "see 'vns-recordings"),
        ("archive . --timeout 0", "invalid value for '--timeout': it is a number abo", "see 'vns-"),
    ],
)
def test_what_the_other_command_says(tmp_path: Path, line: str, error: str, hint: str) -> None:
    """Its errors name what there is to choose from, too."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    result = run(*line.split(), cwd=tmp_path, cli="filedecryptor.vns.cli")
    assert result.code == 2
    said, hinted = result.stderr.splitlines()
    assert said.startswith(f"vns-recordings: error: {error}")
    assert hinted.startswith(f"vns-recordings: hint: {hint}")
