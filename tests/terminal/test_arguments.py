"""Which argument is what, and what is said where that makes no sense."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.commands import SCRIPTS, run, run_process
from support.folders import contents, nothing_changes
from support.posix import posix_only
from support.recordings import AUDIO, PASSWORD, encrypt

from filedecryptor import UsageError
from filedecryptor.terminal.arguments import Given, told_apart

NEEDED = "three arguments are needed: FILENAME... PASSWORD OUTPUTEXTENSION; there"
WRONG = "authentication failed: the password is wrong, or the file was altered"
ORDER = "the order is FILENAME... PASSWORD OUTPUTEXTENSION"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with recordings, another one in it, and a file with the password."""
    (tmp_path / "x.enc").write_bytes(encrypt(AUDIO))
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "y.enc").write_bytes(encrypt(AUDIO))
    (tmp_path / "secret").write_text(PASSWORD)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ["x.enc"],
            f"{NEEDED} is one: FILENAME; PASSWORD and OUTPUTEXTENSION are missing",
            "type: filedecryptor x.enc - auto ('-' asks for the password)",
        ),
        (
            ["x.enc", "Secret123"],
            f"{NEEDED} are two: FILENAME and PASSWORD; OUTPUTEXTENSION is missing",
            "type: filedecryptor x.enc PASSWORD auto",
        ),
        (
            ["x.enc", ".opus"],
            f"{NEEDED} are two: FILENAME and OUTPUTEXTENSION; PASSWORD is missing",
            "type: filedecryptor x.enc - .opus ('-' asks for the password)",
        ),
        (
            ["Secret123", "opus"],
            f"{NEEDED} are two: FILENAME and OUTPUTEXTENSION; PASSWORD is missing",
            "type: filedecryptor FILENAME - opus ('-' asks for the password)",
        ),
        (
            ["--password-file", "secret", "calls"],
            (
                "two arguments are needed: FILENAME... OUTPUTEXTENSION; there is one: FILENAME; "
                "OUTPUTEXTENSION is missing"
            ),
            "type: filedecryptor calls auto --password-file PATH",
        ),
        (
            ["--verify", "gone.enc"],
            (
                "two arguments are needed: FILENAME... PASSWORD; there is one: FILENAME; "
                "PASSWORD is missing"
            ),
            "type: filedecryptor gone.enc - --verify ('-' asks for the password)",
        ),
        (
            ["-o", "x.opus", "x.enc"],
            (
                "two arguments are needed: FILENAME... PASSWORD; there is one: FILENAME; "
                "PASSWORD is missing"
            ),
            "type: filedecryptor x.enc - -o NAME ('-' asks for the password)",
        ),
        (
            ["-q", "--json"],
            f"{NEEDED} is none; FILENAME and PASSWORD and OUTPUTEXTENSION are missing",
            "type: filedecryptor FILENAME - auto ('-' asks for the password)",
        ),
        (
            ["--files-from", "secret"],
            (
                "two arguments are needed: PASSWORD OUTPUTEXTENSION; there is none; "
                "PASSWORD and OUTPUTEXTENSION are missing"
            ),
            "type: filedecryptor - auto --files-from LIST ('-' asks for the password)",
        ),
        (
            ["--files-from", "secret", "auto"],
            (
                "two arguments are needed: PASSWORD OUTPUTEXTENSION; there is one: OUTPUTEXTENSION; "
                "PASSWORD is missing"
            ),
            "type: filedecryptor - auto --files-from LIST ('-' asks for the password)",
        ),
        (
            ["--files-from", "secret", "--password-file", "secret"],
            "one argument is needed: OUTPUTEXTENSION; there is none; OUTPUTEXTENSION is missing",
            "type: filedecryptor auto --files-from LIST --password-file PATH",
        ),
    ],
)  # fmt: skip
def test_missing_arguments_are_counted_and_named(
    folder: Path, words: list[str], error: str, hint: str
) -> None:
    """With the line to type; what may be the password is not repeated."""
    with nothing_changes(folder):
        result = run(*words, cwd=folder, env={"FILEDECRYPTOR_PASSWORD": None})
    assert (result.code, result.stdout) == (2, b"")
    assert result.lines == [f"error: {error}", f"hint: {hint}"]
    assert "Secret123" not in result.stderr


def test_the_line_to_type_knows_the_variable(folder: Path) -> None:
    """Where it is set, nobody is asked."""
    result = run("x.enc", "opus", cwd=folder, env={"FILEDECRYPTOR_PASSWORD": PASSWORD})
    assert result.lines[1] == (
        "hint: type: filedecryptor x.enc - opus ('-' takes the password from FILEDECRYPTOR_PASSWORD)"
    )


@posix_only("sh")
def test_the_line_to_type_can_be_typed(folder: Path) -> None:
    """Whatever the name is."""
    shutil.copy(folder / "x.enc", folder / "a b's.enc")
    result = run("a b's.enc", PASSWORD, cwd=folder)
    line = result.lines[1].removeprefix("hint: type: ").replace("PASSWORD", PASSWORD)
    done = run_process("-c", f"PATH=$0:$PATH; {line}", SCRIPTS, cwd=folder, command=["sh"])
    assert (done.code, done.stdout) == (0, b"a b's.opus\n")


def test_a_bare_call_shows_how_it_is_used(tmp_path: Path) -> None:
    """The usage and three examples, as an error."""
    result = run_process(cwd=tmp_path)
    assert (result.code, result.stdout) == (2, b"")
    usage, _, *examples, _, more = result.stderr.splitlines()
    assert usage == "usage: filedecryptor [OPTIONS] FILENAME... PASSWORD OUTPUTEXTENSION"
    assert [example.split()[0] for example in examples] == ["filedecryptor"] * 3
    assert more == "more: filedecryptor --help"


DONE = [
    ["calls", "auto", "--password-file", "secret"],
    ["calls/", "-", "auto", "--password-file", "secret"],
    ["--password-file=secret", "x.enc", "opus"],
    ["--password-file=secret", "x.enc", "calls", "opus", "-q"],
    ["x.enc", PASSWORD, "-o", "out.opus"],
    ["x.enc", PASSWORD, "opus", "-o", "out.opus"],
    ["x.enc", PASSWORD, "bin", "-o", "out.opus"],
    ["x.enc", "-o", "out.opus", "--password-file", "secret"],
    ["x.enc", "opus", "-o", "out.opus", "--password-file", "secret"],
    ["x.enc", "-", "bin", "-o", "out.opus", "--password-file", "secret"],
    ["x.enc", "-", "-o", "out.opus", "--password-file", "secret"],
    ["--verify", "x.enc", PASSWORD],
    ["--verify", "x.enc", PASSWORD, "opus"],
    ["--verify", "x.enc", PASSWORD, "bin"],
    ["--verify", "x.enc", "calls/y.enc", PASSWORD],
    ["--verify", "x.enc", "calls/y.enc", PASSWORD, ".auto"],
    ["--verify", "x.enc", "calls", "--password-file", "secret"],
    ["--verify", "x.enc", "calls", "auto", "--password-file", "secret"],
    ["--verify", "x.enc", "-", "bin", "--password-file", "secret"],
    ["--verify", "x.enc", "-", "--password-file", "secret"],
]


@pytest.mark.parametrize("words", DONE, ids=" ".join)
def test_what_follows_from_the_rest_may_be_left_out(folder: Path, words: list[str]) -> None:
    """And need not be."""
    before = contents(folder)
    result = run(*words, cwd=folder)
    assert (result.code, "error" in result.stderr) == (0, False)
    made = contents(folder).keys() - before
    assert (not made) == ("--verify" in words)
    assert all(contents(folder)[name] == AUDIO for name in made)


@pytest.mark.parametrize(
    "words", [["-", "opus"], ["-", "-", "opus"], ["-", "-o", "-"], ["-", "auto"]]
)
def test_standard_input_with_a_password_file(folder: Path, words: list[str]) -> None:
    """`-` may be the recording, the password, or both."""
    result = run(*words, "--password-file", "secret", cwd=folder, stdin=encrypt(AUDIO))
    assert (result.code, result.stdout) == (0, AUDIO)


def test_a_second_password_is_seen(folder: Path) -> None:
    """What stands in its place names nothing; it is not shown."""
    with nothing_changes(folder):
        result = run("x.enc", "Secret123", "opus", "--password-file", "secret", cwd=folder)
    assert result.code == 2
    assert result.lines == [
        "error: there are two passwords: --password-file, and what stands before OUTPUTEXTENSION",
        "hint: leave PASSWORD out, or put '-' in its place; if a name is meant, there is none",
    ]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["x.enc", "opus", "EncryptMe"], "an extension"),
        (["x.enc", ".MP3", "EncryptMe"], "an extension"),
        (["x.enc", "auto", "EncryptMe"], "an extension"),
        (["x.enc", "calls/y.enc", "opus"], "the name of a file here"),
        (["x.enc", "gone.enc", "opus"], "the name of a file here"),
        (["x.enc", "calls", "opus"], "the name of a file here"),
        (["x.enc", "secret", "opus"], "the name of a file here"),
        (["x.enc", "x.enc", "calls/y.enc", "EncryptMe"], "the name of a file here"),
        (["x.enc", "--verify", "opus"], "an option: it begins with '-'"),
        (["x.enc", "-q", "EncryptMe"], "an option: it begins with '-'"),
    ],
)
def test_arguments_in_the_wrong_order_are_seen(folder: Path, words: list[str], what: str) -> None:
    """By what stands in the password's place, which is not shown."""
    result = run(*words, cwd=folder)
    assert result.code == 3
    assert result.lines[:2] == [
        f"error: x.enc: {WRONG}",
        (
            f"hint: what stands in PASSWORD's place is {what}; {ORDER}; "
            "the password came from the command line"
        ),
    ]


@pytest.mark.parametrize(
    ("words", "env", "stdin", "origin"),
    [
        (["Secret123", "opus"], {}, b"", "the command line"),
        (["-", "opus"], {"FILEDECRYPTOR_PASSWORD": "Secret123"}, b"", "FILEDECRYPTOR_PASSWORD"),
        (["-", "opus"], {}, b"Secret123\nnext\n", "the first line of standard input"),
        (["opus", "--password-file", "other"], {}, b"", "other"),
        (["opus", "--password-file", "-"], {}, b"Secret123", "the first line of standard input"),
        (["-o", "-", "--password-file", "other"], {}, b"", "other"),
        (["--verify", "--password-file", "other"], {}, b"", "other"),
    ],
)
def test_a_failed_authentication_says_where_the_password_came_from(
    folder: Path, words: list[str], env: dict[str, str | None], stdin: bytes, origin: str
) -> None:
    """Never what it was."""
    (folder / "other").write_text("Secret123")
    env = {"FILEDECRYPTOR_PASSWORD": None, **env}
    for name in ("x.enc", "calls"):
        if "-o" in words and name == "calls":
            continue
        result = run(name, *words, cwd=folder, env=env, stdin=stdin)
        assert result.code == 3
        assert result.lines[1] == (
            "hint: the password is the one that was in force when the call was recorded; "
            f"the password came from {origin}"
        )
        assert "Secret123" not in result.stderr


def test_other_hints_say_it_as_well(folder: Path) -> None:
    """Also where the file is to blame."""
    (folder / "x.enc").write_text("{" + "a text that is no recording".ljust(80) + "}")
    result = run("x.enc", "Secret123", "opus", cwd=folder)
    assert result.lines[1].startswith("hint: this is a JSON text, not a recording: ")
    assert result.lines[1].endswith("; the password came from the command line")


@pytest.mark.parametrize("extension", ["x.opus", "my.call.WAV", ".x.mp3"])
def test_a_file_name_in_the_extension_s_place_gets_a_hint(folder: Path, extension: str) -> None:
    """The output is the reference's all the same."""
    result = run("x.enc", PASSWORD, extension, cwd=folder)
    assert result.code == 0
    assert contents(folder)[f"x.{extension.removeprefix('.')}"] == AUDIO
    last = extension.rpartition(".")[2]
    assert result.lines[0] == (
        f"hint: the third argument is an extension, not a name: '{last}' is enough, "
        "and -o names a file"
    )


@pytest.mark.parametrize("extension", ["tar.gz", "opus", ".opus", "opus.part"])
def test_other_extensions_get_none(folder: Path, extension: str) -> None:
    """They are what they are."""
    assert run("x.enc", PASSWORD, extension, cwd=folder).stderr == ""


def test_arguments_show_no_secret() -> None:
    """In no `repr`."""
    assert "Secret123" not in repr(told_apart(["a", "Secret123", "opus"], Given()))
    with pytest.raises(UsageError) as caught:
        told_apart(["Secret123"], Given())
    assert "Secret123" not in str(caught.value)
