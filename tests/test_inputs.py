"""Inputs that are named by a list."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.commands import COMMAND, run, run_process
from support.folders import contents
from support.posix import IS_WINDOWS, posix_only
from support.recordings import AUDIO, PASSWORD, encrypt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with recordings, some of them with odd names."""
    for name in ("a.enc", "b c.enc", "d/e.enc", "d/f.ENC"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encrypt(AUDIO))
    (tmp_path / "secret").write_text(PASSWORD)
    return tmp_path


WORDS = ("auto", "--password-file", "secret")


def outputs(folder: Path) -> list[str]:
    """Return the outputs in a folder."""
    return [name for name in contents(folder) if name.endswith(".opus")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_list_has_a_name_in_each_line(folder: Path, end: bytes, mark: bytes) -> None:
    """Files and directories, as on the command line; empty lines are none."""
    (folder / "list").write_bytes(mark + end.join([b"b c.enc", b"", b"d", b"a.enc"]))
    result = run("--files-from", "list", *WORDS, cwd=folder)
    assert (result.code, len(result.stdout.splitlines())) == (0, 4)
    assert outputs(folder) == ["a.opus", "b c.opus", "d/e.opus", "d/f.opus"]


def test_a_list_of_windows(folder: Path) -> None:
    """PowerShell writes UTF-16."""
    (folder / "list").write_bytes("a.enc\r\nb c.enc\r\n".encode("utf-16"))
    assert run("--files-from", "list", *WORDS, cwd=folder).code == 0
    assert outputs(folder) == ["a.opus", "b c.opus"]


@pytest.mark.parametrize("null", ["-0", "--null"])
def test_a_list_with_nuls(folder: Path, null: str) -> None:
    """As `find -print0` writes it: a line end may be part of a name."""
    odd = folder / (b"line\nend\xff.enc".decode("utf-8", "surrogateescape"))
    if IS_WINDOWS:
        odd = folder / "a.enc"
    else:
        shutil.copy(folder / "a.enc", odd)
    data = os.fsencode(odd) + b"\0d/e.enc\0"
    result = run("--files-from", "-", null, *WORDS, cwd=folder, stdin=data)
    assert result.code == 0
    assert len(outputs(folder)) == 2


@posix_only("find")
def test_find_names_the_inputs(folder: Path) -> None:
    """Through a pipe, in a real shell."""
    script = 'find . -name "*.enc" -print0 | "$0" --files-from - -0 auto --password-file secret'
    result = run_process("-c", script, COMMAND, cwd=folder, command=["sh"])
    assert result.code == 0
    assert outputs(folder) == ["a.opus", "b c.opus", "d/e.opus"]


def test_a_list_adds_to_the_arguments(folder: Path) -> None:
    """What both name is done once."""
    (folder / "list").write_text("a.enc\nd/e.enc\n")
    result = run("d", "a.enc", "--files-from", "list", *WORDS, cwd=folder)
    assert result.code == 0
    assert result.lines[-1].startswith("3 decrypted; ")


def test_more_names_than_a_command_line_holds(folder: Path) -> None:
    """Those that are not there fail by their names, the rest is done."""
    names = [f"{'x' * 100}{number}.enc" for number in range(30_000)]
    (folder / "list").write_text("\n".join([*names, "a.enc"]))
    result = run_process("--files-from", "list", *WORDS, cwd=folder)
    assert result.code == 1
    assert result.lines[-1].startswith("1 decrypted, 30000 failed; ")
    assert f"error: {names[7]}: No such file or directory" in result.lines


@pytest.mark.skipif(not IS_WINDOWS, reason="elsewhere any bytes may be a name")
def test_a_list_that_is_no_text(folder: Path) -> None:
    """No file has such a name there."""
    (folder / "list").write_bytes(b"a\xff.enc\n")
    result = run("--files-from", "list", *WORDS, cwd=folder)
    assert (result.code, result.lines) == (2, ["error: list: it is not text in UTF-8"])


def test_a_name_that_is_a_dash_is_a_file(folder: Path) -> None:
    """Standard input cannot be in a list."""
    (folder / "-").write_bytes(encrypt(AUDIO))
    (folder / "list").write_text("-\n")
    assert run("--files-from", "list", *WORDS, cwd=folder).stdout.split() == [b"./-.opus"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\r\n"])
def test_an_empty_list_is_nothing_to_do(folder: Path, data: bytes) -> None:
    """As an empty folder is."""
    result = run("--files-from", "-", *WORDS, cwd=folder, stdin=data)
    assert (result.code, result.stdout) == (0, b"")
    assert result.lines == ["-: there is no name in it"]
    assert run("--files-from", "-", *WORDS, "-q", cwd=folder, stdin=data).stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--null", "a.enc", PASSWORD, "opus"], "--null says how the names in the list of"),
        (["--files-from", "-", "-", "opus"], "standard input cannot be both the list and the"),
        (["--files-from", "list", "-", PASSWORD, "opus"], "standard input cannot be one of"),
        (["--files-from", "list", PASSWORD, "-o", "x.opus"], "one --output cannot take the audio"),
        (["--files-from", "none", PASSWORD, "opus"], "none: No such file or directory"),
    ],
)
def test_what_cannot_be_meant(folder: Path, words: list[str], message: str) -> None:
    """Nothing is written."""
    (folder / "list").write_text("a.enc\nb c.enc\n")
    before = contents(folder)
    result = run(*words, cwd=folder, env={"FILEDECRYPTOR_PASSWORD": None})
    assert result.code in {1, 2}
    assert result.lines[0].startswith(f"error: {message}")
    assert contents(folder) == before
