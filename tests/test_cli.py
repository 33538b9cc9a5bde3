"""The command line: options, arguments, and what is said of those that make no sense."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from support.commands import SCRIPTS, Result, run, run_process
from support.folders import contents, nothing_changes
from support.posix import posix_only
from support.recordings import AUDIO, PASSWORD, MakeEnc, encrypt

import filedecryptor
from filedecryptor import UsageError
from filedecryptor.terminal.arguments import Given, told_apart

SECRET = "-Secret123"
WRONG = "authentication failed: the password is wrong, or the file was altered"
ORDER = "the order is FILENAME... PASSWORD OUTPUTEXTENSION"
NO_VARIABLE = {"FILEDECRYPTOR_PASSWORD": None}


@pytest.fixture
def folder(folder: Path) -> Path:
    """A folder with recordings, another one in it, and files with passwords."""
    (folder / "calls").mkdir()
    shutil.copy(folder / "a.enc", folder / "calls" / "y.enc")
    (folder / "secret").write_text(PASSWORD)
    (folder / "other").write_text("Secret123")
    return folder


@pytest.mark.parametrize("word", ["-x", "--help", "-- ", "--verify", "--", "-o", " ", "*"])
def test_three_words_are_taken_literally(make_enc: MakeEnc, tmp_path: Path, word: str) -> None:
    """The reference's own call: a password may look like an option."""
    make_enc(password=word)
    assert run("a.enc", word, "opus", cwd=tmp_path) == (0, b"a.opus\n", "")


@pytest.mark.parametrize(
    "line",
    ["-o x a.enc P opus", "a.enc -o x P opus", "a.enc P opus -ox", "a.enc P --output=x opus"],
)
def test_options_may_stand_anywhere(folder: Path, line: str) -> None:
    """Before, between and behind the words."""
    assert run(*line.replace("P", PASSWORD).split(), cwd=folder).stdout == b"x\n"


def test_two_dashes_end_the_options(make_enc: MakeEnc, tmp_path: Path) -> None:
    """After them, names and passwords may begin with a dash."""
    make_enc("-a.enc", password=SECRET)
    result = run("-o", "x", "--", "-a.enc", SECRET, "opus", cwd=tmp_path)
    assert result == (0, b"x\n", "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--verify a.enc -P opus", "unknown option: argument 3"),
        ("a.enc b.enc --P=x opus", "unknown option: argument 3"),
        ("a.enc b.enc x -qS opus", "unknown option: argument 4"),
        ("--if-exists -P a.enc x opus", "invalid value for '--if-exists': it is one of replace, s"),
        (
            "-j 0 a.enc x opus",
            "invalid value for '-j' / '--jobs': it is a whole number from 1 to 5",
        ),
        ("--password P a.enc opus", "unknown option: argument 1"),
        ("--P a.enc opus -q", "unknown option: argument 1"),
        ("-qP a.enc opus -q", "unknown option: argument 1"),
        ("a.enc x opus -j P", "invalid value for '-j' / '--jobs'"),
        ("a.enc x opus --json=P", "option '--json' does not take a value"),
        ("--verify=P a.enc x opus", "option '--verify' does not take a value"),
        ("a.enc x opus -o", "option '-o' requires an argument"),
    ],
)
def test_words_that_make_no_sense(folder: Path, line: str, message: str) -> None:
    """Exit code 2, and no message repeats a word that may be the password."""
    with nothing_changes(folder):
        result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    assert (result.code, result.stdout) == (2, b"")
    assert result.lines[0].startswith(f"error: {message}")
    assert all(line.startswith("hint: ") for line in result.lines[1:])


ALL, ASKS = "FILENAME... PASSWORD OUTPUTEXTENSION", "('-' takes FILEDECRYPTOR_PASSWORD, or asks)"


@pytest.mark.parametrize(
    ("line", "needed", "given", "typed"),
    [
        ("a.enc", ALL, 1, f"a.enc - auto {ASKS}"),
        ("a.enc P", ALL, 2, f"a.enc - auto {ASKS}"),
        ("a.enc .opus", ALL, 2, f"a.enc - .opus {ASKS}"),
        ("P opus", ALL, 2, f"FILENAME - opus {ASKS}"),
        ("-q --json", ALL, 0, f"FILENAME - auto {ASKS}"),
        (
            "--password-file secret calls",
            "FILENAME... OUTPUTEXTENSION",
            1,
            "calls auto --password-file PATH",
        ),
        ("--verify gone.enc", "FILENAME... PASSWORD", 1, f"gone.enc - --verify {ASKS}"),
        ("-o x.opus a.enc", "FILENAME... PASSWORD", 1, f"a.enc - -o NAME {ASKS}"),
        ("--files-from x", "PASSWORD OUTPUTEXTENSION", 0, f"- auto --files-from LIST {ASKS}"),
        ("--files-from x mp3", "PASSWORD OUTPUTEXTENSION", 1, f"- mp3 --files-from LIST {ASKS}"),
        (
            "--files-from x --password-file x",
            "OUTPUTEXTENSION",
            0,
            "auto --files-from LIST --password-file PATH",
        ),
    ],
)
def test_too_few_arguments(folder: Path, line: str, needed: str, given: int, typed: str) -> None:
    """What is needed, how many are given, and one line to type."""
    with nothing_changes(folder):
        result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    assert (result.code, result.stdout) == (2, b"")
    assert result.lines == [
        f"error: needed: {needed}; given: {given}",
        f"hint: type: filedecryptor {typed}",
    ]


@posix_only("sh")
def test_the_line_to_type_can_be_typed(folder: Path) -> None:
    """Whatever the name is."""
    shutil.copy(folder / "a.enc", folder / "a b's.enc")
    result = run("a b's.enc", PASSWORD, cwd=folder)
    line = result.lines[1].removeprefix("hint: type: ").partition(" (")[0]
    script, env = f"PATH=$0:$PATH; {line}", {"FILEDECRYPTOR_PASSWORD": PASSWORD}
    done = run_process("-c", script, SCRIPTS, cwd=folder, command=["sh"], env=env)
    assert (done.code, done.stdout) == (0, b"a b's.opus\n")


def test_a_bare_call_shows_how_it_is_used(tmp_path: Path) -> None:
    """The usage and three examples, as an error."""
    result = run_process(cwd=tmp_path)
    assert (result.code, result.stdout) == (2, b"")
    usage, _, *examples, _, more = result.stderr.splitlines()
    assert usage == "usage: filedecryptor [OPTIONS] FILENAME... PASSWORD OUTPUTEXTENSION"
    assert [example.split()[0] for example in examples] == ["filedecryptor"] * 3
    assert more == "more: filedecryptor --help"


@pytest.mark.parametrize(
    "line",
    [
        "calls auto --password-file secret",
        "calls/ - auto --password-file secret",
        "--password-file=secret a.enc opus",
        "--password-file=secret a.enc calls opus -q",
        "a.enc P -o out.opus",
        "a.enc P opus -o out.opus",
        "a.enc P bin -o out.opus",
        "a.enc -o out.opus --password-file secret",
        "a.enc opus -o out.opus --password-file secret",
        "a.enc - bin -o out.opus --password-file secret",
        "a.enc - -o out.opus --password-file secret",
        "--verify a.enc P",
        "--verify a.enc P opus",
        "--verify a.enc P bin",
        "--verify a.enc calls/y.enc P",
        "--verify a.enc calls/y.enc P .auto",
        "--verify a.enc calls --password-file secret",
        "--verify a.enc calls auto --password-file secret",
        "--verify a.enc - bin --password-file secret",
        "--verify a.enc - --password-file secret",
    ],
)
def test_what_follows_from_the_rest_may_be_left_out(folder: Path, line: str) -> None:
    """And need not be."""
    before = contents(folder)
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    assert (result.code, "error" in result.stderr) == (0, False)
    made = contents(folder).keys() - before
    assert (not made) == ("--verify" in line)
    assert all(contents(folder)[name] == AUDIO for name in made)


@pytest.mark.parametrize("line", ["- opus", "- - opus", "- -o -", "- auto"])
def test_standard_input_with_a_password_file(folder: Path, line: str) -> None:
    """`-` may be the recording, the password, or both."""
    words = (*line.split(), "--password-file", "secret")
    assert run(*words, cwd=folder, stdin=encrypt(AUDIO)) == (0, AUDIO, "")


def test_a_second_password_is_seen(folder: Path) -> None:
    """An argument in its place names nothing; it is not shown."""
    with nothing_changes(folder):
        result = run("a.enc", PASSWORD, "opus", "--password-file", "secret", cwd=folder)
    assert result.code == 2
    assert result.lines == [
        "error: PASSWORD and --password-file exclude each other",
        "hint: leave PASSWORD out, or put '-' in its place; if a name is meant, there is none",
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a.enc opus P", "an extension"),
        ("a.enc .Mp3 P", "an extension"),
        ("a.enc auto P --json", "an extension"),
        ("a.enc calls/y.enc opus", "the name of a file here"),
        ("a.enc gone.enc opus", "the name of a file here"),
        ("a.enc calls opus", "the name of a file here"),
        ("a.enc a.enc calls/y.enc P", "the name of a file here"),
        ("a.enc --verify opus", "an option: it begins with '-'"),
        ("a.enc -q P", "an option: it begins with '-'"),
    ],
)
def test_arguments_in_the_wrong_order_are_seen(folder: Path, line: str, what: str) -> None:
    """By what stands in the password's place, which is not shown."""
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    assert result.code == 3
    assert result.lines[:2] == [
        f"error: a.enc: {WRONG}",
        (
            f"hint: what stands in PASSWORD's place is {what}; {ORDER}; "
            "the password came from the command line"
        ),
    ]


@pytest.mark.parametrize(
    ("line", "env", "stdin", "origin"),
    [
        ("a.enc Secret123 opus", {}, b"", "the command line"),
        ("calls - opus", {"FILEDECRYPTOR_PASSWORD": "Secret123"}, b"", "FILEDECRYPTOR_PASSWORD"),
        ("a.enc - opus", {}, b"Secret123\nnext\n", "the first line of standard input"),
        ("calls opus --password-file other", {}, b"", "other"),
        ("a.enc opus --password-file -", {}, b"Secret123", "the first line of standard input"),
        ("a.enc --verify --password-file other", {}, b"", "other"),
        ("- -o - --password-file other", {}, encrypt(AUDIO), "other"),
    ],
)
def test_a_failed_authentication_says_where_the_password_came_from(
    folder: Path, line: str, env: dict[str, str | None], stdin: bytes, origin: str
) -> None:
    """Never what it was."""
    result = run(*line.split(), cwd=folder, env=NO_VARIABLE | env, stdin=stdin)
    assert result.code == 3
    assert result.lines[1] == (
        "hint: the password is the one that was in force when the call was recorded; "
        f"the password came from {origin}"
    )
    assert "Secret123" not in result.stderr


def test_other_hints_say_it_as_well(folder: Path) -> None:
    """Also where the file is to blame."""
    (folder / "a.enc").write_text("{" + "a text that is no recording".ljust(80) + "}")
    result = run("a.enc", PASSWORD, "opus", cwd=folder)
    assert result.lines[1].startswith("hint: this is a JSON text, not a recording: ")
    assert result.lines[1].endswith("; the password came from the command line")


@pytest.mark.parametrize("extension", ["x.opus", "my.call.WAV", ".x.mp3", "tar.gz", "opus.part"])
def test_a_file_name_in_the_extension_s_place_gets_a_hint(folder: Path, extension: str) -> None:
    """The output is the reference's all the same. Other extensions get none."""
    result = run("a.enc", PASSWORD, extension, cwd=folder)
    assert result.code == 0
    assert contents(folder)[f"a.{extension.removeprefix('.')}"] == AUDIO
    last = extension.rpartition(".")[2]
    hint = f"hint: the third argument is an extension, not a name: '{last}' is enough, and -o names"
    assert any(line.startswith(hint) for line in result.lines) == (last not in {"gz", "part"})


def test_arguments_show_no_secret() -> None:
    """In no `repr`."""
    assert "Secret123" not in repr(told_apart(["a", "Secret123", "opus"], Given()))
    with pytest.raises(UsageError) as caught:
        told_apart(["Secret123"], Given())
    assert "Secret123" not in str(caught.value)


@pytest.mark.parametrize("more", [[], ["--json"], ["-q"], ["--verify"], ["-d", "out"]])
@pytest.mark.parametrize("word", ["{}", "{}/x", "./{}", "/{}", "S" * 300])
def test_a_misplaced_password_is_not_repeated(folder: Path, word: str, more: list[str]) -> None:
    """A word that names nothing fails as the number that it is, and the others go on."""
    word = word.format(PASSWORD)
    result = run("a.enc", word, PASSWORD, "opus", *more, cwd=folder)
    assert result.code == 1
    assert word not in result.stderr + result.stdout.decode()
    assert result.lines[0].startswith("error: FILENAME 2: ")
    assert result.lines[1] == f"hint: if this is the password: {ORDER}"
    assert len(list(folder.rglob("a.opus"))) == ("--verify" not in more)


@pytest.mark.parametrize("more", [[], ["-o", "-"], ["-o", "x"], ["--json"], ["-d", "out"]])
def test_a_password_in_the_first_place_is_not_repeated(folder: Path, more: list[str]) -> None:
    """Where it is the only name."""
    with nothing_changes(folder):
        result = run(PASSWORD, "a.enc", "opus", *more, cwd=folder)
    assert result.code == 1
    assert result.lines == [
        "error: FILENAME 1: No such file or directory",
        f"hint: if this is the password: {ORDER}",
    ]


@pytest.mark.parametrize("name", ["none.enc", "none/a.ENC", "calls/none", "{folder}/none"])
def test_a_mistyped_name_is_shown(folder: Path, name: str) -> None:
    """It ends as recordings do, or begins with a directory: it helps to see it."""
    name = name.format(folder=folder.as_posix())
    for names in (["a.enc", name], [name]):
        result = run(*names, PASSWORD, "opus", cwd=folder)
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


def on_windows(*words: str, cwd: Path) -> Result:
    """Run the command as on Windows; all that it imports is imported before."""
    code = (
        "import sys, filedecryptor.jobs.batch, filedecryptor.cli, filedecryptor.__main__\n"
        "sys.platform = 'win32'\n"
        "sys.exit(filedecryptor.__main__.main())"
    )
    return run_process("-c", code, *words, cwd=cwd, command=(sys.executable,))


def test_patterns_stand_for_names_where_no_shell_expands_them(folder: Path) -> None:
    """In FILENAME; PASSWORD is taken as it is, whatever it holds."""
    shutil.copy(folder / "a.enc", folder / "b.enc")
    result = on_windows("--verify", "?.enc", PASSWORD, "auto", cwd=folder)
    assert (result.code, result.lines[0].split(";")[0]) == (0, "2 verified")
    for password in ("*", "?.enc"):
        assert on_windows("--verify", "a.enc", password, "auto", cwd=folder).code == 3


@pytest.mark.parametrize("word", ["x*.enc", "none/?.ENC", f"{PASSWORD}*"])
def test_a_pattern_that_fits_nothing(folder: Path, word: str) -> None:
    """One clear line, which does not repeat what may be the password."""
    with nothing_changes(folder):
        result = on_windows("a.enc", word, PASSWORD, "auto", cwd=folder)
    assert result.code == 2
    name = word if word.lower().endswith(".enc") else "FILENAME 2"
    assert result.lines == [f"error: {name}: no file has a name like this"]
