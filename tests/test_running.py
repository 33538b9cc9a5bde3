"""What a call does with its recordings, and says of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import run
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, encrypt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 400 recordings; the third one is altered."""
    for number in range(400):
        (tmp_path / f"{number:03}.enc").write_bytes(encrypt(AUDIO))
    (tmp_path / "002.enc").write_bytes(encrypt(AUDIO)[:-1] + b"x")
    return tmp_path


def test_the_first_failure_ends_it_if_that_is_wanted(folder: Path) -> None:
    """What is done stays, and a line says how to go on."""
    result = run(".", PASSWORD, "opus", "--fail-fast", "-j", "1", cwd=folder)
    assert result.code == 3
    assert sum(line.startswith("error: ") for line in result.lines) == 1
    made = [name for name in contents(folder) if name.endswith(".opus")]
    assert len(made) < 350
    assert any(line.startswith("stopped at the first failure; what") for line in result.lines)
    assert "1 failed in " in result.lines[-1] or "1 failed; " in result.lines[-1]
    for name in made:
        assert (folder / name).read_bytes() == AUDIO


@pytest.mark.parametrize("words", [[], ["--fail-fast"]])
def test_without_a_failure_all_is_done(folder: Path, words: list[str]) -> None:
    """The option changes nothing then."""
    (folder / "002.enc").write_bytes(encrypt(AUDIO))
    result = run(".", PASSWORD, "opus", *words, cwd=folder)
    assert (result.code, result.lines[-1].partition(";")[0]) == (0, "400 decrypted")


def test_a_name_that_cannot_be_ends_it_at_once(folder: Path) -> None:
    """Before any recording is read."""
    result = run("nothing", "000.enc", PASSWORD, "opus", "--fail-fast", cwd=folder)
    assert result.code == 1
    assert "000.opus" not in contents(folder)


def test_a_hint_is_given_once(folder: Path) -> None:
    """However many recordings it is for; another one is given as well."""
    (folder / "page.enc").write_text("<!doctype html><p>" + "not here ".ljust(100))
    result = run(".", "wrong", "opus", cwd=folder)
    hints = [line for line in result.lines if line.startswith("hint: ")]
    assert len([line for line in result.lines if line.startswith("error: ")]) == 401
    assert len(hints) == 2
    assert sum("in force when the call was recorded" in hint for hint in hints) == 1
    assert sum("an HTML or XML page" in hint for hint in hints) == 1


def test_json_has_each_hint(folder: Path) -> None:
    """A program reads them one by one."""
    result = run(".", "wrong", "opus", "--json", cwd=folder)
    assert result.stdout.count(b"in force when the call was recorded") == 400
