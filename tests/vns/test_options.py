"""What the commands have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import TOKEN, Server
from support.recordings import AUDIO, PASSWORD, encrypt
from support.vns import ONE, THREE, TWO, stored, vns


@pytest.mark.parametrize("command", ["archive", "list", "download", "delete"])
@pytest.mark.parametrize("option", ["--timeout", "--max-time"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", ""])
def test_times_that_cannot_be(
    api: Server, tmp_path: Path, command: str, option: str, value: str
) -> None:
    """They are refused before anything is asked of a server."""
    words = {"archive": ["."], "list": [], "download": [ONE], "delete": ["--yes", ONE]}[command]
    result = vns(api, command, *words, option, value, cwd=tmp_path)
    assert result.code == 2
    assert result.lines[0] == f"error: invalid value for '{option}': it is a number above 0"
    assert api.seen == []


@pytest.mark.parametrize("end", [" ", "\n", "\r\n", " \t", "\n\n", "\u00a0"], ids=repr)
def test_blanks_around_the_token(api: Server, tmp_path: Path, end: str) -> None:
    """Tools that write secrets leave some, in a file and in the environment; no token has one."""
    (tmp_path / "token").write_bytes(f" {TOKEN}{end}".encode())
    words = ("archive", "calls", "--token-file", "token")
    assert vns(api, *words, cwd=tmp_path, VNS_API_TOKEN=None).code == 0
    assert vns(api, "list", cwd=tmp_path, VNS_API_TOKEN=f"{TOKEN}{end}").code == 0


@pytest.mark.parametrize(
    ("token", "cause"),
    [
        ("", "the API token is empty"),
        (" \n", "the API token is empty"),
        ("a\u200bb", "the API token contains characters not allowed in an HTTP header"),
        ("a\nb", "the API token contains characters not allowed in an HTTP header"),
    ],
)
def test_tokens_that_cannot_be(api: Server, tmp_path: Path, token: str, cause: str) -> None:
    """What is wrong with one is said, and nothing of it."""
    result = vns(api, "list", cwd=tmp_path, VNS_API_TOKEN=token)
    assert (result.code, result.lines[0]) == (2, f"error: {cause}")
    assert api.seen == []


def test_the_password_from_a_file(api: Server, tmp_path: Path) -> None:
    """Before the environment."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    words = ("archive", "calls", "--password-file", "password")
    assert vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong").code == 0
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO}


def test_several_passwords_are_tried_in_turn(api: Server, tmp_path: Path) -> None:
    """As after a rotation; the summary counts them by number."""
    api.recordings[TWO] = encrypt(AUDIO, "the one before")
    api.recordings[THREE] = encrypt(AUDIO, "another")
    (tmp_path / "new").write_text(PASSWORD)
    (tmp_path / "old").write_text("the one before")
    words = ("archive", "calls", "--password-file", "new", "--password-file", "old")
    result = vns(api, *words, cwd=tmp_path)
    assert result.code == 3
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO, f"{TWO}.opus": AUDIO}
    assert result.lines == [
        (
            f"error: {THREE}: authentication failed: none of the 2 passwords is right, "
            "or the file was altered"
        ),
        (
            "hint: the password is the one that was in force when the call was recorded; "
            "the passwords came from new, old"
        ),
        result.lines[-1],
    ]
    assert result.lines[-1].startswith("2 decrypted, 1 failed (password 1: 1, password 2: 1); ")
    result = vns(api, "download", TWO, *words[2:], cwd=tmp_path)
    assert result.code == 0


def test_a_wrong_password_says_where_it_came_from(api: Server, tmp_path: Path) -> None:
    """Never what it was."""
    result = vns(api, "archive", "calls", cwd=tmp_path, FILEDECRYPTOR_PASSWORD="Secret123")
    assert result.code == 3
    assert result.lines[1].endswith("; the password came from FILEDECRYPTOR_PASSWORD")
    assert "Secret123" not in result.stderr
