"""Several passwords, of which one is right."""

from __future__ import annotations

import inspect
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commands import run, run_process
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, encrypt

from filedecryptor import (
    PasswordOrPasswords,
    UsageError,
    decrypt,
    decrypt_file,
    decrypt_files,
    open_recording,
)
from filedecryptor.core.secrets import Passwords, secret_hint

OLD = "the one before"


@pytest.fixture
def rotated(tmp_path: Path) -> Path:
    """Return a folder whose recordings have two passwords, and files that hold these."""
    for name, password in ("a", PASSWORD), ("b", OLD), ("c", PASSWORD), ("d", OLD), ("e", OLD):
        (tmp_path / f"{name}.enc").write_bytes(encrypt(AUDIO, password))
    (tmp_path / "new").write_text(f"{PASSWORD}\n")
    (tmp_path / "old").write_text(f"{OLD}\n")
    return tmp_path


PASSWORDS = ("--password-file", "new", "--password-file", "old")


def test_each_recording_finds_its_password(rotated: Path) -> None:
    """The summary counts how many were right, by number, also if nothing needs one any more."""
    (rotated / "oldest").write_text("older still")
    result = run(".", "auto", *PASSWORDS, "--password-file", "oldest", cwd=rotated)
    assert result.code == 0
    counts = "password 1: 2, password 2: 3, password 3: 0"
    assert result.lines[-1].startswith(f"5 decrypted ({counts}); 0.1 MB of audio")
    assert all(contents(rotated)[f"{name}.opus"] == AUDIO for name in "abcde")
    assert b'"password": 2' in run("b.enc", "opus", *PASSWORDS, "--json", cwd=rotated).stdout
    assert b"password" not in run("b.enc", OLD, "opus", "--json", cwd=rotated).stdout
    outcomes = decrypt_files([rotated], [OLD, PASSWORD], "auto")
    assert sorted(outcome.password or 0 for outcome in outcomes) == [1, 1, 1, 2, 2]


def test_where_none_is_right_the_error_counts_them(rotated: Path) -> None:
    """And says where they came from, not what they are; a pipe is no other matter."""
    recording = encrypt(AUDIO, "another")
    (rotated / "f.enc").write_bytes(recording)
    failed = "authentication failed: none of the 2 passwords is right, or the file was altered"
    hint = "hint: the password is the one that was in force when the call was recorded"
    origin = "the passwords came from new, old"
    result = run(".", "auto", *PASSWORDS, "-q", cwd=rotated)
    assert result.code == 3
    assert result.lines == [f"error: ./f.enc: {failed}", f"{hint}; {origin}"]
    result = run_process("-", "opus", *PASSWORDS, cwd=rotated, stdin=recording)
    assert (result.code, result.lines) == (3, [f"error: -: {failed}", f"{hint}; {origin}"])


FUNCTIONS: dict[str, Callable[[PasswordOrPasswords], bytes]] = {
    "decrypt": lambda password: decrypt(encrypt(AUDIO), password),
    "of a path": lambda password: open_recording("a.enc", password).read(),
    "of a file": lambda password: open_recording(io.BytesIO(encrypt(AUDIO)), password).read(),
    "one file": lambda password: decrypt_file("a.enc", password).read_bytes(),
    "output": lambda password: decrypt_file("a.enc", password, output="b").read_bytes(),
    "files": lambda password: b"".join(
        Path(outcome.output or "").read_bytes() for outcome in decrypt_files(["a.enc"], password)
    ),
}
"""The public functions that decrypt, with the fewest arguments that they take: what they make."""


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "password", [PASSWORD, [PASSWORD.encode()], [OLD, PASSWORD], (b"", PASSWORD)]
)
def test_each_function_takes_one_password_or_several(
    rotated: Path, monkeypatch: pytest.MonkeyPatch, name: str, password: PasswordOrPasswords
) -> None:
    """The types say so as well; the extension is `auto` if it is left out."""
    monkeypatch.chdir(rotated)
    assert FUNCTIONS[name](password) == AUDIO


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("password", "message"),
    [
        ([], "there is no password"),
        (None, "a password is a str or bytes, not NoneType"),
        ([PASSWORD, None], "a password is a str or bytes, not NoneType"),
        (5, "a password is a str or bytes, not int"),
        (bytearray(b"secret"), "a password is a str or bytes, not bytearray"),
    ],
)
def test_what_is_no_password_is_said(
    rotated: Path, monkeypatch: pytest.MonkeyPatch, name: str, password: Any, message: str
) -> None:
    """By its type, so nothing of it is shown."""
    monkeypatch.chdir(rotated)
    with pytest.raises(UsageError, match=f"{message}$"):
        FUNCTIONS[name](password)


def test_help_shows_what_a_password_may_be() -> None:
    """By a name that says it, or by what it stands for."""
    for function in (decrypt, open_recording, decrypt_file, decrypt_files):
        shown = str(inspect.signature(function).parameters["password"])
        assert re.search(r"PasswordOrPasswords|str \| bytes \| .*Sequence\[str \| bytes\]$", shown)


@pytest.mark.parametrize("size", [len(AUDIO), 9 << 20])
def test_a_pipe_is_kept_until_a_password_fits(rotated: Path, size: int) -> None:
    """It cannot be read twice, however long it is."""
    audio = (AUDIO * (size // len(AUDIO) + 1))[:size]
    result = run_process("-", "opus", *PASSWORDS, cwd=rotated, stdin=encrypt(audio, OLD))
    assert (result.code, result.stdout) == (0, audio)


def test_the_last_one_that_was_right_is_tried_first() -> None:
    """So a folder of old recordings does not derive two keys for each; also in another process."""
    passwords = Passwords(["hidden", b"b", "c"])
    assert list(passwords.in_turn()) == [(1, "hidden"), (2, b"b"), (3, "c")]
    passwords.was_right(3)
    sent = pickle.loads(pickle.dumps(passwords))  # noqa: S301 - our own
    assert list(sent.in_turn()) == [(3, "c"), (1, "hidden"), (2, b"b")]
    assert "hidden" not in repr(passwords)
    with pytest.raises(UsageError, match="no password"):
        Passwords([])


@pytest.mark.parametrize(
    ("secrets", "hint"),
    [
        ([b"A=b", b"TOKEN = x", b"export P='x'", b"set P=x", b'$env:P="x"'], "sets a variable"),
        ([b'"EncryptMe"', b"'x'"], "the token is in quotation marks"),
        ([b"EncryptMe", b"SGVsbG8=", b"a==", b"=x", b"1=x", b'"', b"'x\""], "None"),
    ],
)
def test_what_may_not_belong_to_a_secret(secrets: list[bytes], hint: str) -> None:
    """A line of a shell, and quotation marks as cmd.exe leaves them; not Base64."""
    for secret in secrets:
        assert hint in str(secret_hint(secret, "the token"))
