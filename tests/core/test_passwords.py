"""Several passwords, of which one is right."""

from __future__ import annotations

import inspect
import io
import pickle
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.commands import run, run_process
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, Trickle, encrypt

from filedecryptor import (
    AuthenticationError,
    PasswordOrPasswords,
    UsageError,
    decrypt,
    decrypt_file,
    decrypt_files,
    open_recording,
)
from filedecryptor.core.crypto import encode_password
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
@pytest.mark.parametrize("password", [PASSWORD, (OLD, PASSWORD.encode())])
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


def test_a_pipe_is_kept_until_a_password_fits(rotated: Path) -> None:
    """It cannot be read twice, however long it is."""
    audio = AUDIO + bytes(9 << 20)
    for words, password in ((PASSWORDS, OLD), ((DECOMPOSED,), COMPOSED)):
        stdin = encrypt(audio, password)
        result = run_process("-", *words, "opus", cwd=rotated, stdin=stdin)
        assert (result.code, result.stdout) == (0, audio)


def test_the_last_one_that_was_right_is_tried_first() -> None:
    """So a folder of old recordings does not derive two keys for each; also in another process."""
    passwords = Passwords(["hidden", b"b", "c"])
    assert list(passwords.in_turn()) == [(1, "hidden"), (2, b"b"), (3, "c")]
    passwords.was_right(3, "c")
    sent = pickle.loads(pickle.dumps(passwords))  # noqa: S301 - our own
    assert list(sent.in_turn()) == [(3, "c"), (1, "hidden"), (2, b"b")]
    assert "hidden" not in repr(passwords)
    with pytest.raises(UsageError, match="no password"):
        Passwords([])


@pytest.mark.parametrize(
    ("secrets", "hint"),
    [
        (["A=b", "TOKEN = x", "export P='x'", "set P=x", '$env:P="x"'], "sets a variable"),
        (['"EncryptMe"', "'x'", "`x`", "\u201cx\u201d", "\u201ex\u201c"], "is in quotation marks"),
        ([b""], "is empty"),
        (["x ", " x", "x\r", "\tx", "x\xa0", "x\u3000"], "begins or ends with white space"),
        (["# the password", "// secret", "; the one of May", "#!/bin/sh -e"], "like a comment"),
        (["EncryptMe\\n", "x\\r\\n", "p\\u00e4ss", "x\\t"], "has an escape sequence"),
        (["EncryptMe\u200b", "a\ufeffb", "a\xa0b", "En\xadcrypt", "a\0b", "\u2060x"], "invisible"),
        (["don\u2019t", "a\u2013b", "and so on\u2026"], "has a dash or quotation mark as word"),
        (["RW5jcnlwdE1l", "RW5jcnlwdE1lCg==", "R3LDvMOfZSE=", "SGVsbG8="], "the Base64 of a text"),
        (
            ["Gr\xfc\xdfe".encode("latin-1"), b"\xff", "x\udcff"],
            "is not UTF-8 text: save it as UTF-8",
        ),
        (["EncryptMe", "a==", "=x", "1=x", '"', "'x\"", "#1Fan", "a#b c", "a\\b"], "None"),
        (["p\xe4ss", "correct horse", "abcdefghijkl", "password", "d2Vl", "\U0001f3a7"], "None"),
    ],
)
def test_what_may_not_belong_to_a_secret(secrets: list[str | bytes], hint: str) -> None:
    """A line of a shell or of a file, what a page or a terminal adds; not what may be meant."""
    for secret in secrets:
        assert hint in str(secret_hint(encode_password(secret), "the token")), secret
    recording = encrypt(AUDIO, "another")
    if hint != "None":  # a file of it is named; of several, the number is
        with pytest.raises(AuthenticationError) as caught:
            open_recording(io.BytesIO(recording), ["EncryptMe", secrets[-1]])
        assert re.match(f"password 2 .*{hint.removeprefix('the ')}", str(caught.value.hint))


ACCENTS = "Gr\xfc\xdfe, caf\xe9"
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, ACCENTS) for form in ("NFC", "NFD"))
SAVE = "the password is right with {}composed letters (Unicode {}): save it like that"
RIGHT = {COMPOSED: SAVE.format("", "NFC"), DECOMPOSED: SAVE.format("de", "NFD")}


@pytest.fixture(params=[COMPOSED, DECOMPOSED], ids=["composed", "decomposed"])
def spelled(request: pytest.FixtureRequest, rotated: Path) -> tuple[str, str, Path]:
    """A password that is right, its other spelling in the file `p`, and a folder of recordings."""
    right = request.param
    given = COMPOSED if right == DECOMPOSED else DECOMPOSED
    for name in "abcde":
        (rotated / f"{name}.enc").write_bytes(encrypt(AUDIO, right))
    (rotated / "p").write_text(f"{given}\n", "utf-8")
    return right, given, rotated


@pytest.mark.parametrize(
    ("line", "outputs"),
    [
        ("a.enc P opus", ["a.opus"]),
        ("a.enc auto --password-file p", ["a.opus"]),
        ("--verify a.enc P", []),
        ("a.enc P opus -o -", [AUDIO]),
        ("- P opus", [AUDIO]),
        (". auto --password-file p --json", [f"{name}.opus" for name in "abcde"]),
        (
            "a.enc b.enc auto -d out --password-file new --password-file p",
            ["out/a.opus", "out/b.opus"],
        ),
    ],
)
def test_letters_with_two_spellings(
    spelled: tuple[str, str, Path], line: str, outputs: list[str | bytes]
) -> None:
    """The other spelling is tried as well, from wherever it came; a note says once which is right."""
    right, given, folder = spelled
    words = [given if word == "P" else word for word in line.split()]
    result = run_process(*words, cwd=folder, stdin=encrypt(AUDIO, right))
    assert (result.code, result.stderr.count(RIGHT[right])) == (0, 1), result
    assert result.stdout == AUDIO if outputs == [AUDIO] else AUDIO not in result.stdout
    made = {name: AUDIO for name in outputs if isinstance(name, str)}
    assert {name: contents(folder)[name] for name in made} == made
    quiet = run("-q", *words, cwd=folder, stdin=encrypt(AUDIO, right))
    assert (quiet.code, quiet.stderr) == (0, "")


def test_the_other_spelling_from_python(spelled: tuple[str, str, Path]) -> None:
    """For text and for bytes, in each function; each outcome has the note."""
    right, given, folder = spelled
    recording = encrypt(AUDIO, right)
    for password in (given, given.encode()):
        assert decrypt(recording, password) == AUDIO
        assert open_recording(Trickle(recording), password).read() == AUDIO
        assert decrypt_file(folder / "a.enc", ["x", password], "opus").read_bytes() == AUDIO
        outcomes = list(decrypt_files([folder], password, "auto"))
        assert [outcome.note for outcome in outcomes] == [RIGHT[right]] * 5
        with ProcessPoolExecutor(1) as executor:
            outcomes = list(decrypt_files([folder], ["x", password], "auto", executor=executor))
        assert [(one.note, one.password) for one in outcomes] == [(RIGHT[right], 2)] * 5


def test_the_other_spelling_is_tried_last_and_then_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each recording that fails; a password of ASCII has none, and costs nothing."""
    other = (2, COMPOSED)
    passwords = Passwords(["ascii", DECOMPOSED, b"\xff"])
    given = [(1, "ascii"), (2, DECOMPOSED), (3, b"\xff")]
    assert passwords.in_turn() == [*given, other]
    assert passwords.was_right(*other) == RIGHT[COMPOSED]
    assert pickle.loads(pickle.dumps(passwords)).in_turn() == [other, *given]  # noqa: S301 - our own
    assert passwords.was_right(1, "ascii") is None
    # U+212B is one of three spellings, and \u2126 one of two; the third has a single one.
    found = {
        word: {other for _, other in Passwords([word]).in_turn()} for word in "\u212b\u2126\xdf"
    }
    assert found["\u212b"] == {"\u212b", "\xc5", "A\u030a"}
    assert found["\u2126"] == {"\u2126", "\u03a9"}
    assert found["\xdf"] == {"\xdf"}
    with monkeypatch.context() as patch:
        patch.setattr(unicodedata, "normalize", None)
        assert len(Passwords([PASSWORD, PASSWORD.encode()]).in_turn()) == 2
