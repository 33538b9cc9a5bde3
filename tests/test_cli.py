"""The command line: which calls there are, and what is said of those that make no sense."""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.commands import SCRIPTS, run, run_process
from support.folders import contents, nothing_changes
from support.posix import IS_WINDOWS, posix_only
from support.recordings import AUDIO, PASSWORD, MakeEnc, encrypt

import filedecryptor
from filedecryptor import UsageError
from filedecryptor.terminal.arguments import Options, told_apart

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


@pytest.mark.parametrize("word", ["-x", "--help", "-- ", "--verify", "--", "-o", " ", "*", b"\xe9"])
def test_three_words_are_taken_literally(
    make_enc: MakeEnc, tmp_path: Path, word: str | bytes
) -> None:
    """The reference's own call: a password may look like an option, and be of any bytes."""
    make_enc(password=word)
    assert run("a.enc", word, "opus", cwd=tmp_path) == (0, b"a.opus\n", "")


def test_two_dashes_end_the_options(make_enc: MakeEnc, tmp_path: Path) -> None:
    """After them, names and passwords may begin with a dash."""
    make_enc("-a.enc", password="-Secret123")
    result = run("-o", "x", "--", "-a.enc", "-Secret123", "opus", cwd=tmp_path)
    assert result == (0, b"x\n", "")


VERIFIED = f"verified: {{}}: {len(AUDIO)} bytes of opus audio"

OPUS = "note: {}: the audio is opus, and nothing is converted; 'auto' names it right"
AUTO = "note: {}: the audio is opus, and nothing is converted; did you mean 'auto'?"
LAST = "the last argument is the extension: after names only, put '-' for the password"
A_NAME = "hint: the third argument is an extension, not a name: '{}' is enough, and -o names a file"

# A call, what it writes, `-` for standard output, and what is said.
DOING = [
    ("a.enc P opus", "a.opus", ""),
    ("a.enc P .opus", "a.opus", ""),
    ("a.enc P auto", "a.opus", ""),
    ("-q a.enc P opus", "a.opus", ""),
    ("- P opus", "-", ""),
    ("a.enc P wav -o -", "-", ""),
    ("- P opus -o x", "x", ""),
    # Options may stand anywhere.
    ("a.enc -o x P opus", "x", ""),
    ("a.enc P opus -ox", "x", ""),
    # What follows from the rest may be left out, and need not be.
    ("calls auto --password-file secret", "calls/y.opus", "1 decrypted; "),
    ("--password-file secret calls", "calls/y.opus", "1 decrypted; "),
    ("--password-file secret a.enc", "a.opus", ""),
    ("a.enc - --password-file secret", "a.opus", ""),
    ("-d calls a.enc --password-file secret", "calls/a.opus", ""),
    ("--files-from l --password-file secret", "a.opus", "1 decrypted; "),
    ("- --password-file secret", "-", ""),
    ("- - --password-file secret", "-", ""),
    ("opus/ opus --password-file secret", "opus/z.opus", "1 decrypted; "),
    ("--password-file secret plain", "plain.opus", ""),
    ("calls/ - auto --password-file secret", "calls/y.opus", "1 decrypted; "),
    ("--password-file=secret a.enc calls opus -q", "a.opus calls/y.opus", ""),
    ("a.enc P -o x.opus", "x.opus", ""),
    ("a.enc P bin -o x.opus", "x.opus", ""),
    ("a.enc -o x.opus --password-file secret", "x.opus", ""),
    ("a.enc - bin -o x.opus --password-file secret", "x.opus", ""),
    ("a.enc - -o x.opus --password-file secret", "x.opus", ""),
    # `-` may be the recording, the password, or both.
    ("- opus --password-file secret", "-", ""),
    ("- - opus --password-file secret", "-", ""),
    ("- -o - --password-file secret", "-", ""),
    # A name for another format is noted, and so is an extension that looks like a name.
    *((f"a.enc P {end}", f"a.{end}", "") for end in ("ogg", "Opus")),
    *(
        (f"a.enc P {end}", f"a.{end}", OPUS.format(f"a.{end}"))
        for end in ("wav", "WAV", "xyz", "tar.gz", "au")
    ),
    *(
        (f"a.enc P {end}", f"a.{end}", AUTO.format(f"a.{end}"))
        for end in ("aut", "AUTO", "automatic")
    ),
    ("a.enc P auto -o x.mp3", "x.mp3", OPUS.format("x.mp3")),
    ("-q a.enc P wav", "a.wav", ""),
    ("a.enc P x.opus", "a.x.opus", A_NAME.format("opus")),
    ("a.enc P .my.call.Opus", "a.my.call.Opus", A_NAME.format("Opus")),
    # Some write nothing.
    ("--verify a.enc P opus", "", VERIFIED.format("a.enc")),
    ("a.enc P --verify", "", VERIFIED.format("a.enc")),
    ("--verify directory.enc P opus", "", VERIFIED.format("directory.enc")),
    ("--verify - P opus", "", VERIFIED.format("-")),
    ("--verify a.enc - --password-file secret", "", VERIFIED.format("a.enc")),
    ("--verify a.enc calls/y.enc P", "", "2 verified; "),
    ("--verify a.enc calls --password-file secret", "", "2 verified; "),
    ("--verify a.enc calls auto --password-file secret", "", "2 verified; "),
    ("-q --verify a.enc P opus", "", ""),
    ("--if-exists=skip there.enc P opus", "", "skipped: there.enc: there.opus exists"),
    ("-q --if-exists=skip there.enc P opus", "", ""),
]


@pytest.mark.parametrize(("line", "made", "said"), DOING)
def test_what_is_done(folder: Path, line: str, made: str, said: str) -> None:
    """Older files are replaced. Standard output has the paths, or the audio and nothing else."""
    for name in ("directory", "there"):
        shutil.copy(folder / "a.enc", folder / f"{name}.enc")
    for name in ("directory.opus", "opus"):
        (folder / name).mkdir()
    shutil.copy(folder / "a.enc", folder / "opus" / "z.enc")
    shutil.copy(folder / "a.enc", folder / "plain")
    (folder / "l").write_text("a.enc\n")
    (folder / "there.opus").write_bytes(bytes(len(AUDIO)))
    (folder / "a.opus").write_bytes(b"older")
    before = contents(folder)
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder, stdin=encrypt(AUDIO))
    outputs = [] if made == "-" else made.split()
    assert contents(folder) == before | dict.fromkeys(outputs, AUDIO)
    paths = "" if "-q" in line else "".join(f"{output}\n" for output in outputs)
    assert (result.code, result.stdout) == (0, AUDIO if made == "-" else paths.encode())
    assert len(result.lines) == bool(said)
    assert "".join(result.lines).startswith(said)


ALL, ASKS = "FILENAME... PASSWORD OUTPUTEXTENSION", "('-' takes FILEDECRYPTOR_PASSWORD, or asks)"
WRONG = "authentication failed: the password is wrong, or the file was altered"
IN_FORCE = "the password is the one that was in force when the call was recorded"
CHANGED = "%, !, ^" if IS_WINDOWS else "$, !, \\"
SHELL = (
    f"; it came from the command line, where the shell may have changed {CHANGED} or quotation "
    "marks: put '-' in its place, and type it"
)
AGAIN = "it is not complete: run this again once it is, or download it again"
SWAPPED = "what stands in PASSWORD's place is {}; " + ORDER
MAY_BE = f"if this is the password: {ORDER}"
QUOTE = f"a password with spaces needs quotation marks; {ORDER}"
WRITABLE = "name a directory that can be written to, as with -d"
INTACT = "the recording is intact and the password right"
NAME_IT = "name the output's extension instead of 'auto', or store such audio by --unknown-as"
SEE = "see 'filedecryptor --help'"
THREE = "three arguments are FILENAME PASSWORD OUTPUTEXTENSION; type an option first, as in: file"
DASHES = "put '--' before a name or a password that begins with '-'"
ONE_OUTPUT = "one --output cannot take the audio of several files"
NOT_FOR_CLUSTERS = "a cluster reads and writes files and objects only"
NAME_DIRECTORY = "name a directory with --output-dir"

# A call, its exit code, and how its error and its hint begin.
REFUSED = [
    # Recordings and outputs.
    ("gone.enc P opus", 1, "gone.enc: No such file or directory", ""),
    ("none/a.ENC P opus", 1, "none/a.ENC: No such file or directory", "there is no directory none"),
    ("a.enc/b.enc P opus", 1, "a.enc/b.enc: Not a directory", "there is no directory a.enc"),
    ("calls/none P opus", 1, "calls/none: No such file or directory", ""),
    ("a.enc P opus -o calls", 1, "calls: Is a directory", ""),
    ("a.enc P opus -o no/x", 1, "no/x: No such file or directory", "there is no directory no"),
    ("a.enc P opus -o a.enc/x", 1, "a.enc/x: Not a directory", "there is no directory a.enc"),
    ("a.enc P opus -d a.enc", 1, "a.enc: Is a file, not a directory", ""),
    ("a.enc P opus -d a.enc/x/y", 1, "a.enc: Is a file, not a directory", ""),
    ("calls P opus -d link.opus", 1, "link.opus: Is a link to nowhere", ""),
    ("--if-exists fail link.enc P opus", 1, "link.opus: File exists", ""),
    ("short.enc P opus", 4, "short.enc: not an .enc file: it is 43 bytes long, the smalle", AGAIN),
    ("empty.enc P opus", 4, "empty.enc: not an .enc file: it is empty", AGAIN),
    ("a.enc wrong opus", 3, f"a.enc: {WRONG}", f"{IN_FORCE}{SHELL}"),
    ("a.enc '' opus", 3, f"a.enc: {WRONG}", f"the password is empty{SHELL}"),
    ("a.enc 'P ' opus", 3, f"a.enc: {WRONG}", "the password begins or ends with white space"),
    ("altered.enc P opus", 3, f"altered.enc: {WRONG}", IN_FORCE),
    ("plain.enc P opus", 4, "plain.enc: this is opus audio already", "either it is decrypted, or "),
    ("plain.enc P auto -o -", 4, "plain.enc: this is opus audio already", "either it is decr"),
    ("--verify page.enc opus", 4, "page.enc: this is an HTML or XML page, not a recording", "look"),
    ("note.enc P opus", 4, "note.enc: this is a JSON text, not a recording", "look into it, then"),
    ("r.zip P auto", 4, "r.zip: this is a zip archive, not a recording", "unpack it, and decrypt"),
    ("a.enc P enc", 2, "a.enc: the output would replace the input", ""),
    ("a.enc P opus -o calls/../a.enc", 2, "calls/../a.enc: the output would replace the inp", ""),
    ("a.enc P ../opus", 2, "the output extension holds a path separator", ""),
    ("a.enc P '..\\opus'", 2, "the output extension holds a path separator", ""),
    ("a.enc P ''", 2, "the output extension is empty", ""),
    ("flac.enc P auto", 5, f"flac.enc: {INTACT}; its audio begins with 66 4c 61 43 00 ", NAME_IT),
    ("none.enc P auto", 5, f"none.enc: {INTACT}; it holds no audio", NAME_IT),
    ("a.enc l calls/", 2, "the output extension holds a path separator or a NUL", LAST),
    ("a.enc calls/y.enc ./short.enc", 2, "the output extension holds a path separator", LAST),
    # Options that contradict each other.
    ("a.enc b.enc P opus -o x", 2, ONE_OUTPUT, NAME_DIRECTORY),
    (". P opus -o x", 2, ONE_OUTPUT, NAME_DIRECTORY),
    ("a.enc P opus -o x -d y", 2, "--output and --output-dir cannot both say where", ""),
    ("- P opus -d y", 2, "standard input has no name for --output-dir", "use --output"),
    ("- a.enc P opus", 2, "standard input cannot be one of several inputs", ""),
    ("--files-from l - P opus", 2, "standard input cannot be one of several inputs", ""),
    ("--files-from - - opus", 2, "standard input cannot be both the list and the password", "use"),
    ("--verify a.enc P -o x", 2, "--verify writes nothing, so there is nothing to say where", ""),
    ("-0 a.enc P opus", 2, "--null says how the names in the list of --files-from end", ""),
    ("a.enc P opus -o - --json", 2, "--json and the audio cannot both go to standard output", ""),
    ("a.enc P opus --unknown-as x", 2, "--unknown-as is for audio that 'auto' does not know", ""),
    ("a.enc P auto --unknown-as .auto", 2, "--unknown-as takes an extension, and 'auto' is", ""),
    ("a.enc P auto --unknown-as a/b", 2, "the output extension holds a path separator or a N", ""),
    ("a.enc P auto --unknown-as=", 2, "the output extension is empty", ""),
    ("--cluster tcp://x:1 a.enc P opus -o x", 2, NOT_FOR_CLUSTERS, NAME_DIRECTORY),
    ("--cluster tcp://x:1 - P opus", 2, NOT_FOR_CLUSTERS, NAME_DIRECTORY),
    ("--cluster tcp://x:1 a.enc P opus -j 2", 2, "--jobs is for this machine; a cluster has", ""),
    ("a.enc P opus --password-file secret", 2, "PASSWORD and --password-file exclude", "leave PA"),
    ("a.enc - opus", 2, "standard input: it is empty", "there is no --password-file, and FILEDECR"),
    # Words that are not shown, as each may be the password.
    ("--verify a.enc -P opus", 2, "unknown option: argument 3", DASHES),
    ("a.enc b.enc --P=x opus", 2, "unknown option: argument 3", DASHES),
    ("a.enc b.enc x -qS opus", 2, "unknown option: argument 4", DASHES),
    ("--password P a.enc opus", 2, "unknown option: --password", "did you mean --password-file?"),
    ("--if-exist skip a.enc x opus", 2, "unknown option: --if-exist", "did you mean --if-exists?"),
    ("--P a.enc opus -q", 2, "unknown option: argument 1", DASHES),
    ("--log-file x a.enc P opus", 2, "unknown option: argument 1", DASHES),
    ("a.enc --quite opus -q", 2, "unknown option: argument 2", "did you mean --quiet?"),
    ("a.enc opus --P -q", 2, "unknown option: argument 3", DASHES),
    # Options that cannot be one: it is there already, or elsewhere, or they are nearly ours.
    ("a.enc P opus --recursive", 2, "unknown option: --recursive", DASHES),
    ("a.enc calls - auto -q --log-file=x", 2, "unknown option: --log-file", DASHES),
    ("a.enc P opus -qx", 2, "unknown option: -x", DASHES),
    ("a.enc opus --password-file secret --include x", 2, "unknown option: --include", DASHES),
    ("--quite a.enc P opus", 2, "unknown option: --quite", "did you mean --quiet?"),
    ("-q --passwordfile x a.enc opus", 2, "unknown option: --passwordfile", "did you mean --passw"),
    ("--dryrun a.enc P opus", 2, "unknown option: --dryrun", "did you mean --dry-run?"),
    ("--out x a.enc P opus", 2, "unknown option: --out", "did you mean --output?"),
    ("-qP a.enc opus -q", 2, "unknown option: argument 1", DASHES),
    ("--if-exists -P a.enc x opus", 2, "invalid value for '--if-exists': it is one of repla", SEE),
    ("-j 0 a.enc x opus", 2, "invalid value for '-j' / '--jobs': it is a whole number from 1", SEE),
    ("a.enc x opus -j P", 2, "invalid value for '-j' / '--jobs'", SEE),
    ("--verify a.enc P -", 2, "standard input: it is empty", "there is no --password-file"),
    ("a.enc x opus --json=P", 2, "option '--json' does not take a value", SEE),
    ("--verify=P a.enc x opus", 2, "option '--verify' does not take a value", SEE),
    ("a.enc x opus -o", 2, "option '-o' requires an argument", SEE),
    ("P a.enc opus", 1, "FILENAME 1: No such file or directory", MAY_BE),
    ("P a.enc opus -d out", 1, "FILENAME 1: No such file or directory", MAY_BE),
    # Too few words: what is needed, how many are given, and one line to type.
    ("a.enc P", 2, f"needed: {ALL}; given: 2", f"type: filedecryptor a.enc - auto {ASKS}"),
    (
        "--dry-run a.enc P",
        2,
        f"needed: {ALL}; given: 2",
        "type: filedecryptor a.enc - auto --dry-run ",
    ),
    ("a.enc .opus", 2, f"needed: {ALL}; given: 2", f"type: filedecryptor a.enc - .opus {ASKS}"),
    ("P opus", 2, f"needed: {ALL}; given: 2", f"type: filedecryptor FILENAME - opus {ASKS}"),
    ("-q --json", 2, f"needed: {ALL}; given: 0", f"type: filedecryptor FILENAME - auto {ASKS}"),
    (
        "-d out --if-exists skip a.enc auto",
        2,
        f"needed: {ALL}; given: 2",
        "type: filedecryptor a.enc - auto -d DIR --if-exists skip ",
    ),
    *(
        (line, 2, f"needed: {needed}; given: {line.count(' ') - 1}", f"type: filedecryptor {typed}")
        for line, needed, typed in (
            ("--password-file secret opus", "FILENAME... OUTPUTEXTENSION", "FILENAME opus --pass"),
            ("-o x.opus gone.enc", "FILENAME... PASSWORD", f"gone.enc - -o NAME {ASKS}"),
            ("--files-from x", "PASSWORD OUTPUTEXTENSION", f"- auto --files-from LIST {ASKS}"),
        )
    ),
    ("--verify a.enc", 2, "needed: FILENAME... PASSWORD; given: 1", "type: filedecryptor a.enc - "),
    # The wrong order, which what stands in the password's place shows.
    ("a.enc opus P", 3, f"a.enc: {WRONG}", SWAPPED.format("an extension")),
    ("a.enc calls/y.enc opus", 3, f"a.enc: {WRONG}", SWAPPED.format("the name of a file here")),
    ("a.enc gone.enc opus", 3, f"a.enc: {WRONG}", SWAPPED.format("the name of a file here")),
    *(
        (f"a.enc {option}", 3, f"a.enc: {WRONG}", THREE)
        for option in ("--password-file secret", "-d x", "-j 2", "--verify opus", "-q P")
    ),
]


@pytest.fixture
def bad_folder(folder: Path, encrypted_audio: bytes) -> Path:
    """A folder with everything that can be wrong with a recording."""
    altered = bytearray(encrypted_audio)
    altered[1000] ^= 1
    for name, data in {
        "short": encrypted_audio[:43],
        "empty": b"",
        "altered": bytes(altered),
        "plain": AUDIO,
        "page": b"<!doctype html>\n<html><title>404</title><p>Not found</p></html>",
        "note": b'{"error": "no such thing"}',
        "link": encrypted_audio,
        "flac": encrypt(b"fLaC\0\0\0\x22" + bytes(100)),
        "none": encrypt(b""),
    }.items():
        (folder / f"{name}.enc").write_bytes(data)
    (folder / "link.opus").symlink_to("nowhere")
    (folder / "l").write_text("a.enc\n")
    (folder / "r.zip").write_bytes(b"PK\x03\x04\x14\0\0\0\x08\0" + encrypted_audio)
    return folder


@pytest.mark.parametrize(("line", "code", "error", "hint"), REFUSED)
def test_what_is_refused(bad_folder: Path, line: str, code: int, error: str, hint: str) -> None:
    """One clear line, the documented exit code, a hint where there is one; nothing is changed."""
    with nothing_changes(bad_folder):
        words = shlex.split(line.replace("P", PASSWORD))
        result = run(*words, cwd=bad_folder, env=NO_VARIABLE)
    assert (result.code, result.stdout) == (code, b"")
    said, *hints = (text for text in result.lines if not text[0].isdigit())  # which is a summary
    assert said.startswith(f"error: {error}")
    assert len(hints) == bool(hint)
    assert "".join(hints).startswith(f"hint: {hint}" if hint else "")


@posix_only("pipes and permissions like these")
@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    [
        ("a.enc P opus -o link", 2, "link: the output would replace the input", ""),
        ("a.enc P opus -d locked", 1, "locked/a.opus: Permission denied", WRITABLE),
        ("closed P opus", 1, "closed: Permission denied", ""),
        ("locked P auto", 1, "locked/b.opus: Permission denied", WRITABLE),
        ("locked/secret.enc P opus", 1, "locked/secret.enc: Permission denied", ""),
    ],
)
def test_what_any_user_is_refused(
    folder: Path, words: str, code: int, error: str, hint: str
) -> None:
    """As above, of what only POSIX has."""
    (folder / "link").symlink_to("a.enc")
    (folder / "locked").mkdir()
    shutil.copy(folder / "a.enc", folder / "locked" / "b.enc")
    (folder / "locked" / "b.opus").write_bytes(b"older")
    if words.startswith("locked/s"):
        (folder / "locked" / "secret.enc").write_bytes(b"")
        (folder / "locked" / "secret.enc").chmod(0)
    (folder / "locked").chmod(0o555)
    (folder / "closed").mkdir(0)
    with nothing_changes(folder):
        line = words.replace("P", PASSWORD).split()
        result = run_process(*line, cwd=folder, as_anybody=True)
    assert (result.code, result.stdout) == (code, b"")
    said = [line for line in result.lines if not line[0].isdigit()]
    assert said == [f"error: {error}", *([f"hint: {hint}"] if hint else [])]


RIGHT, OTHER = ({"FILEDECRYPTOR_PASSWORD": word} for word in (PASSWORD, "Secret123"))
LINE = PASSWORD.encode()


@pytest.mark.parametrize(
    ("line", "env", "stdin", "origin"),
    [
        ("a.enc Secret123 opus", RIGHT, LINE, "the command line"),
        ("calls - opus", OTHER, LINE, "FILEDECRYPTOR_PASSWORD"),
        ("a.enc - opus", {"FILEDECRYPTOR_PASSWORD": ""}, LINE, "FILEDECRYPTOR_PASSWORD"),
        ("a.enc - opus", {}, b"Secret123\nEncryptMe\n", "the first line of standard input"),
        ("calls opus --password-file other", RIGHT, LINE, "other"),
        ("a.enc opus --password-file -", RIGHT, b"Secret123", "the first line of standard input"),
        ("a.enc --verify --password-file other", RIGHT, LINE, "other"),
        ("- -o - --password-file other", RIGHT, encrypt(AUDIO), "other"),
    ],
)
def test_a_failed_authentication_says_where_the_password_came_from(
    folder: Path, line: str, env: dict[str, str | None], stdin: bytes, origin: str
) -> None:
    """The file comes before the environment, that before standard input. Never what it was."""
    result = run(*line.split(), cwd=folder, env=NO_VARIABLE | env, stdin=stdin)
    assert result.code == 3
    cause = IN_FORCE if any(env.values()) or not env else "the password is empty"
    came = SHELL if " command line" in origin else f"; the password came from {origin}"
    assert result.lines[1] == f"hint: {cause}{came}"
    assert len(result.lines[1]) < 206
    assert "Secret123" not in result.stderr


# What is left out, and what is left.
LEFT_OUT = [
    ("a.enc", ["a.opus"]),
    ("calls", ["calls/y.opus"]),
    ("opus/", ["opus/z.opus"]),
    ("a.enc -", ["a.opus"]),
    ("a.enc calls/y.enc -", ["a.opus", "calls/y.opus"]),
    ("a.enc B.ENC", ["a.opus", "B.opus"]),
    ("a.enc calls", ["a.opus", "calls/y.opus"]),
    ("--files-from l", ["a.opus"]),
    ("--files-from l calls -j 1", ["a.opus", "calls/y.opus"]),
    ("--files-from l -", ["a.opus"]),
    ("-d out a.enc", ["out/a.opus"]),
    ("-o x a.enc", ["x"]),
    ("-- -x.enc", ["-x.opus"]),
    ("--verify a.enc B.ENC", []),
    ("a.enc --if-exists=skip", ["a.opus"]),
]


@pytest.mark.parametrize(("line", "made"), LEFT_OUT)
def test_a_password_elsewhere_stands_for_itself(folder: Path, line: str, made: list[str]) -> None:
    """In the environment: PASSWORD and the extension may be left out where the last is an input."""
    (folder / "opus").mkdir()
    for name in ("B.ENC", "opus/z.enc", "-x.enc"):
        shutil.copy(folder / "a.enc", folder / name)
    (folder / "l").write_text("a.enc\n")
    before = contents(folder).keys()
    result = run(*line.split(), cwd=folder, env=RIGHT)
    assert (result.code, contents(folder).keys() - before - {"out"}) == (0, set(made))


@pytest.mark.parametrize(
    ("line", "env"),
    [
        *(
            (line, NO_VARIABLE)
            for line in ("a.enc", "calls/", "-", "--files-from l", "a.enc calls")
        ),
        *((line, OTHER) for line in ("opus", "P", "a.enc P", "calls P -q")),
    ],
)
def test_a_script_is_told_what_to_type(folder: Path, line: str, env: dict[str, str | None]) -> None:
    """What it has on standard input is not taken for a password, nor an argument for an input."""
    with nothing_changes(folder):
        result = run(*line.replace("P", PASSWORD).split(), cwd=folder, stdin=LINE, env=env)
    assert (result.code, result.stdout) == (2, b"")
    assert result.lines[0].startswith("error: needed: ")


@posix_only("sh")
def test_the_line_to_type_can_be_typed(folder: Path) -> None:
    """Whatever the name is."""
    shutil.copy(folder / "a.enc", folder / "a b's.enc")
    result = run("a b's.enc", PASSWORD, cwd=folder)
    line = result.lines[1].removeprefix("hint: type: ").partition(" (")[0]
    script, env = f"PATH=$0:$PATH; {line}", {"FILEDECRYPTOR_PASSWORD": PASSWORD}
    done = run_process("-c", script, SCRIPTS, cwd=folder, command=["sh"], env=env)
    assert (done.code, done.stdout) == (0, b"a b's.opus\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("empty P opus", 1),
        ("-q empty P opus", 1),
        ("-q --files-from l P auto", 1),
        ("--json empty P opus", 1),
        ("--verify empty P", 1),
        ("-q empty -d out P opus", 1),
        ("-q empty a.enc P opus", 0),
        ("-q empty calls P opus --if-exists skip", 0),
    ],
)
def test_a_directory_without_recordings(folder: Path, line: str, code: int) -> None:
    """It is said however quiet the run is, and is a failure if there is nothing else to do."""
    (folder / "empty").mkdir()
    (folder / "l").write_text("empty\n")
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    said = f"{'error' if code else 'warning'}: empty: there is no .enc file in it"
    assert (result.code, said in result.lines) == (code, True)
    if "--json" in line:
        assert b'"input": "empty"' in result.stdout
        assert b'"status": "failed"' in result.stdout


@pytest.mark.parametrize("extension", ["b.enc", "B.ENC", "calls"])
def test_an_input_in_the_place_of_the_extension(folder: Path, extension: str) -> None:
    """Three arguments are taken literally, and then it is said what the last one was taken for."""
    result = run("a.enc", PASSWORD, extension, cwd=folder, env=RIGHT)
    assert (result.code, result.lines[0]) == (0, f"hint: {LAST}")


def test_a_bare_call_shows_how_it_is_used(tmp_path: Path) -> None:
    """The usage and three examples, as an error."""
    result = run(cwd=tmp_path)
    assert (result.code, result.stdout) == (2, b"")
    usage, _, *examples, _, more = result.stderr.splitlines()
    assert usage == f"usage: filedecryptor [OPTIONS] {ALL}"
    assert [example.split()[0] for example in examples] == ["filedecryptor"] * 3
    assert more == "more: filedecryptor --help"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("a.enc P opus", (["a.enc"], PASSWORD, "opus")),
        ("a.enc P xyz", (["a.enc"], PASSWORD, "xyz")),
        ("a.enc - auto", (["a.enc"], "-", "auto")),
        ("a.enc opus", (["a.enc"], None, "opus")),
        ("a.enc calls opus", (["a.enc", "calls"], None, "opus")),
        ("a.enc calls/ ", (["a.enc", "calls/"], None, None)),
        ("a.enc", (["a.enc"], None, None)),
        ("a.enc P", None),
        ("opus", None),
    ],
)
def test_a_dry_run_takes_the_real_line_and_needs_no_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: str, told: tuple[object, ...] | None
) -> None:
    """What may be the password, and has no place, is not taken for an extension, which is shown."""
    monkeypatch.chdir(folder)
    with nullcontext() if told else pytest.raises(UsageError):
        assert told_apart(words.replace("P", PASSWORD).split(), Options(dry_run=True)) == told


@pytest.mark.parametrize("more", [[], ["--json"], ["--verify"]])
@pytest.mark.parametrize("word", ["{}", "{}/x", "./{}", "/{}", "S" * 300])
def test_a_misplaced_password_is_not_repeated(folder: Path, word: str, more: list[str]) -> None:
    """A word that names nothing fails as the number that it is, and the others go on."""
    word = word.format(PASSWORD)
    result = run("a.enc", word, PASSWORD, "opus", *more, cwd=folder)
    assert result.code == 1
    assert word not in result.stderr + result.stdout.decode()
    assert result.lines[0].startswith("error: FILENAME 2: ")
    assert result.lines[1] == f"hint: {QUOTE}"
    assert len(list(folder.rglob("a.opus"))) == ("--verify" not in more)


@pytest.mark.parametrize("line", ["a.enc my P pass opus", "my P pass opus -q"])
def test_a_password_in_pieces(folder: Path, line: str) -> None:
    """One error for all that name nothing says what a password with spaces needs, and shows none."""
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    said = "\n".join(result.lines)
    assert re.match(rf"error: FILENAME [1-3](, [23])?: No such file.*\nhint: {QUOTE}", said)
    assert said.count("No such file") == said.count(QUOTE) == 1
    assert f"{PASSWORD}" not in said


NAMES = ("recording_x.enc", "Old.ENC", "calls/2024.05.enc", "a b.enc", "recordings/b.enc")

# What is typed, how it is shown, and what is there instead.
MISTYPED = [
    ("recording_x", "FILENAME {}", "recording_x.enc here"),
    ("RECORDING_X", "FILENAME {}", "recording_x.enc here"),
    ("recording_x.opus", "FILENAME {}", "recording_x.enc here"),
    ("recordng_x.enc", "recordng_x.enc", "recording_x.enc here"),
    ("old", "FILENAME {}", "Old.ENC here"),
    ("old.enc", "old.enc", "Old.ENC here"),
    ("a_b.enc", "a_b.enc", None),
    ("calls/2024.05", "calls/2024.05", "calls/2024.05.enc"),
    ("calls/2024.06.enc", "calls/2024.06.enc", "calls/2024.05.enc"),
    ("call/2024.05", "FILENAME {}", "calls/2024.05.enc"),
    ("recordngs/", "FILENAME {}", "recordings here"),
    ("recordngs/b.enc", "recordngs/b.enc", "recordings/b.enc"),
    ("recordngs/none.enc", "recordngs/none.enc", "recordings here"),
    ("nothing/like/it.enc", "nothing/like/it.enc", None),
    ("recording_x/y.enc", "recording_x/y.enc", None),
    ("Secret123", "FILENAME {}", None),
]


@pytest.mark.parametrize(("typed", "shown", "found"), MISTYPED)
def test_a_mistyped_name_looks_like_one(
    folder: Path, typed: str, shown: str, found: str | None
) -> None:
    """What is there is named, alone and among others; what may be a password is not shown."""
    (folder / "recordings").mkdir()
    for name in NAMES:
        shutil.copy(folder / "a.enc", folder / name)
    (folder / "calls" / "y.enc").unlink()
    for line in ("{} P opus", "{} P opus -o -", "a.enc {} P auto", "--verify a.enc {} - --json"):
        words = line.replace("P", PASSWORD).format(typed).split()
        result = run(*words, cwd=folder, stdin=LINE)
        place = shown.format(words.index(typed) - words.count("--verify") + 1)
        assert result.lines[0] == f"error: {place}: No such file or directory"
        assert (f"hint: there is {found}: type that?" in result.lines) == (found is not None)
        assert place == typed or typed not in result.stderr.replace(str(found), "")
        assert result.code == 1
        assert ("a.enc" in words) == (b"a." in result.stdout)
    if found and found.endswith(".enc here"):
        result = run(typed, cwd=folder, env=NO_VARIABLE)
        name = typed if typed.endswith(".enc") else found.removesuffix(" here")
        assert result.lines[1].startswith(f"hint: type: filedecryptor {name} - auto (")


@pytest.mark.parametrize("before", ["", "calls "])
@pytest.mark.parametrize(
    "name", ["a b.enc", "my long call.enc", "1 2 3 4 5 6.enc", "1 2 3 4 5 6 7.enc"]
)
def test_a_name_in_pieces(folder: Path, before: str, name: str) -> None:
    """The whole of it is named, as it is there; of very many pieces it is not looked for."""
    shutil.copy(folder / "a.enc", folder / name)
    result = run(*f"{before}{name} {PASSWORD} opus".split(), cwd=folder)
    hint = f'hint: a name with spaces needs quotation marks: "{name}"'
    assert (result.code, result.lines.count(hint)) == (1, name.count(" ") < 6)


def test_a_name_is_looked_for_a_few_times_only(folder: Path) -> None:
    """In a long list of names most of which are not there."""
    shutil.copy(folder / "a.enc", folder / "recording.enc")
    names = [f"recording{number}.enc" for number in range(40)]
    result = run(*names, PASSWORD, "opus", "--json", cwd=folder)
    assert result.stdout.count(b'"error": "No such file or directory"') == 40
    assert result.stdout.count(b"there is recording.enc here: type that?") == 20


def test_a_recording_that_is_gone_needs_no_work(folder: Path) -> None:
    """Where its output is there, and outputs are skipped."""
    (folder / "gone.opus").write_bytes(AUDIO)
    result = run("gone.enc", PASSWORD, "auto", "--if-exists", "skip", cwd=folder)
    assert (result.code, result.lines) == (0, ["skipped: gone.enc: gone.opus exists"])


def test_a_password_may_look_like_a_path(make_enc: MakeEnc, tmp_path: Path) -> None:
    """Also where the environment holds another: no file has its name."""
    make_enc(password="Secret123/x")
    assert run("--verify", "a.enc", "Secret123/x", cwd=tmp_path, env=OTHER).code == 0
    assert run("a.enc", "Secret123/x", "-o", "y", cwd=tmp_path, env=OTHER).code == 0


def test_the_version(tmp_path: Path) -> None:
    """The package's own."""
    expected = f"filedecryptor {filedecryptor.__version__}\n".encode()
    assert run("--version", cwd=tmp_path) == (0, expected, "")


def test_patterns_stand_for_names_where_no_shell_expands_them(folder: Path, windows: None) -> None:
    """In FILENAME; PASSWORD is taken as it is, whatever it holds."""
    shutil.copy(folder / "a.enc", folder / "b.enc")
    result = run("--verify", "?.enc", PASSWORD, "auto", cwd=folder)
    assert (result.code, result.lines[0].split(";")[0]) == (0, "2 verified")
    for password in ("*", "?.enc"):
        assert run("--verify", "a.enc", password, "auto", cwd=folder).code == 3


@pytest.mark.parametrize("word", ["none/?.ENC", f"{PASSWORD}*"])
def test_a_pattern_that_fits_nothing(folder: Path, windows: None, word: str) -> None:
    """One clear line, which does not repeat what may be the password."""
    with nothing_changes(folder):
        result = run("a.enc", word, PASSWORD, "auto", cwd=folder)
    name = word if word.lower().endswith(".enc") else "FILENAME 2"
    assert (result.code, result.lines) == (2, [f"error: {name}: no file has a name like this"])
