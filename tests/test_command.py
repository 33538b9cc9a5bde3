"""What one call of the command reads, writes and reports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import COMMAND, run, run_process
from support.folders import contents, nothing_changes
from support.posix import IS_WINDOWS, make_fifo, posix_only, resource
from support.recordings import AUDIO, PASSWORD, MakeEnc, encrypt

WRONG = "authentication failed: the password is wrong, or the file was altered"
SHORT = "not an .enc file: it is {} bytes long, the smallest is 44"
FULL = """\
filedecryptor: error: {}: No space left on device
filedecryptor: hint: make room, then run this again
"""


def in_shell(script: str, cwd: Path) -> tuple[int, bytes, str]:
    """Run a script in which `$0` is the command."""
    done = run_process("-c", script, COMMAND, cwd=cwd, command=["bash"])
    return (done.code, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("a.enc P opus", "a.opus"),
        ("a.enc P .opus", "a.opus"),
        ("a.enc P auto", "a.opus"),
        ("a.enc P auto -o sub/x", "sub/x"),
    ],
)
def test_the_audio_is_written_beside_the_recording(folder: Path, line: str, output: str) -> None:
    """Or where asked; an older file is replaced. One path on stdout, nothing on stderr."""
    (folder / "sub").mkdir()
    (folder / "a.opus").write_bytes(b"older, and longer than nothing")
    before = contents(folder)
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    assert result == (0, f"{output}\n".encode(), "")
    assert contents(folder) == before | {output: AUDIO}


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("--if-exists fail c.enc P opus", 1, "error: c.opus: File exists"),
        ("--if-exists fail c.enc P auto", 1, "error: c.opus: File exists"),
        ("--verify a.enc P opus", 0, f"verified: a.enc: {len(AUDIO)} bytes of opus audio"),
        ("--verify d.enc P opus", 0, f"verified: d.enc: {len(AUDIO)} bytes of opus audio"),
        ("--verify a.enc P enc", 0, f"verified: a.enc: {len(AUDIO)} bytes of opus audio"),
        ("--verify - P opus", 0, f"verified: -: {len(AUDIO)} bytes of opus audio"),
        ("--verify a.enc wrong opus", 3, f"error: a.enc: {WRONG}"),
        ("-q a.enc wrong opus", 3, f"error: a.enc: {WRONG}"),
        ("-q --if-exists=skip a.enc P opus", 0, ""),
        ("-q --verify a.enc P opus", 0, ""),
    ],
)
def test_calls_that_change_nothing(folder: Path, line: str, code: int, said: str) -> None:
    """They say so, and print no result."""
    for name in ("c.enc", "d.enc"):
        shutil.copy(folder / "a.enc", folder / name)
    (folder / "a.opus").write_bytes(bytes(len(AUDIO)))
    (folder / "c.opus").symlink_to("nowhere")
    (folder / "d.opus").mkdir()
    with nothing_changes(folder):
        words = line.replace("P", PASSWORD).split()
        result = run(*words, cwd=folder, stdin=encrypt(AUDIO))
    assert (result.code, result.stdout, [*result.lines, ""][0]) == (code, b"", said)


def test_quiet_says_nothing(folder: Path) -> None:
    """No result either."""
    assert run("-q", "a.enc", PASSWORD, "opus", cwd=folder) == (0, b"", "")
    assert (folder / "a.opus").read_bytes() == AUDIO


@pytest.mark.parametrize("extension", ["opus", "auto"])
def test_a_link_to_nowhere_is_not_the_audio(folder: Path, extension: str) -> None:
    """So `skip` does what is missing."""
    (folder / "a.opus").symlink_to("nowhere")
    done = run("--if-exists", "skip", "a.enc", PASSWORD, extension, cwd=folder)
    assert (done.code, done.lines) == (0, ["note: a.opus: a link to nowhere: done again"])
    assert not (folder / "a.opus").is_symlink()
    assert (folder / "a.opus").read_bytes() == AUDIO


@pytest.mark.parametrize("line", ["- P opus", "a.enc P wav -o -", "- P opus -o x"])
def test_streams_instead_of_files(folder: Path, line: str) -> None:
    """The audio and nothing else goes to stdout, or to the named file."""
    before = contents(folder)
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder, stdin=encrypt(AUDIO))
    made = {"x": AUDIO} if line.endswith("x") else {}
    assert result == (0, b"x\n" if made else AUDIO, "")
    assert contents(folder) == before | made


def test_stdout_gets_nothing_before_the_tag_has_verified(folder: Path, make_enc: MakeEnc) -> None:
    """Not one byte of a long recording whose last byte was altered."""
    source = make_enc(audio=bytes(20_000_000))
    with source.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    result = run("a.enc", PASSWORD, "wav", "-o", "-", cwd=folder)
    assert (result.code, result.stdout) == (3, b"")


@posix_only("bash")
@pytest.mark.parametrize("audio", [AUDIO, b"x" * 3_000_000], ids=["short", "long"])
def test_a_closed_pipe_ends_quietly(folder: Path, make_enc: MakeEnc, audio: bytes) -> None:
    """`| head -c 1` is no reason to complain."""
    make_enc(audio=audio)
    script = f'"$0" a.enc {PASSWORD} wav -o - | head -c 1; exit "${{PIPESTATUS[0]}}"'
    code, stdout, stderr = in_shell(script, folder)
    assert (stdout, stderr) == (audio[:1], "")
    assert code in {0, 1}  # 0 if all fitted into the pipe


@posix_only("bash")
@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        *((f"a.enc P opus {streams}", 0, "") for streams in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")),
        ("a.enc wrong opus 2>&-", 3, ""),
        ("a.enc - opus <&-", 2, "filedecryptor: error: standard input is closed"),
        ("- P opus -o x <&-", 2, "filedecryptor: error: standard input is closed"),
        ("a.enc P opus -o - >&-", 2, "filedecryptor: error: standard output is closed"),
    ],
)
def test_closed_streams(folder: Path, line: str, code: int, message: str) -> None:
    """As cron and daemons may start it; those that are needed are a usage error."""
    found, _, stderr = in_shell(f'"$0" {line.replace("P", PASSWORD)}', folder)
    assert found == code
    assert stderr.startswith(message)
    assert (folder / "a.opus").exists() == (code == 0)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "line", ["a.enc P opus", "a.enc P opus -o -", "a.enc P opus --json", "--help"]
)
def test_a_result_that_cannot_be_written_is_an_error(
    folder: Path, line: str, unbuffered: str
) -> None:
    """On a full disk; a reader that has left before the first byte needs no message."""
    words = line.replace("P", PASSWORD).split()
    env = {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        done = run_process(*words, cwd=folder, stdout=full, env=env)
    assert (done.code, done.stderr) == (1, FULL.format("standard output"))
    reading, writing = os.pipe()
    os.close(reading)
    done = run_process(*words, cwd=folder, stdout=writing, env=env)
    os.close(writing)
    assert (done.code, done.stderr) == (1, "")


@posix_only("ulimit")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_audio_that_stdout_takes_in_part_is_an_error(
    folder: Path, make_enc: MakeEnc, unbuffered: str
) -> None:
    """However Python was told to buffer."""
    make_enc(audio=bytes(500_000))
    with (folder / "out").open("wb") as out:
        done = run_process(
            *("a.enc", PASSWORD, "wav", "-o", "-"),
            cwd=folder,
            env={"PYTHONUNBUFFERED": unbuffered},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
            stdout=out,
        )
    assert done.code == 1
    assert done.stderr == "filedecryptor: error: standard output: File too large\n"


@pytest.mark.parametrize(("line", "code"), [("wrong opus", 3), ("opus", 2), ("P opus --verify", 0)])
def test_an_unwritable_stderr_does_not_change_the_code(folder: Path, line: str, code: int) -> None:
    """A script reacts to it where nobody can read the message."""
    with Path("/dev/full").open("wb") as full:
        words = line.replace("P", PASSWORD).split()
        assert run_process("a.enc", *words, cwd=folder, stderr=full).code == code


@posix_only("bash")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("- P opus -o a.enc <a.enc", "a.enc: the output would replace the input"),
        ("a.enc P opus -o - >>a.enc", "a.enc: standard output would be written over the recording"),
        ("a.enc P opus -o - 1<>a.enc", "a.enc: standard output would be written over the record"),
        ("- P opus <a.enc >>a.enc", "-: standard output would be written over the recording"),
        ("- P opus <a.enc 1<>a.enc", "-: standard output would be written over the recording"),
    ],
)
def test_the_recording_is_not_overwritten(folder: Path, line: str, message: str) -> None:
    """The shell opened it, but nothing is written."""
    with nothing_changes(folder):
        code, _, stderr = in_shell(f'"$0" {line.replace("P", PASSWORD)}', folder)
    assert code == 2
    assert stderr.startswith(f"filedecryptor: error: {message}")


@posix_only("/dev/stdout")
def test_a_name_of_stdout_is_not_replaced(folder: Path) -> None:
    """`-o /dev/stdout` would take it away from everybody else; here it is a copy of that link."""
    (folder / "stdout").symlink_to("/proc/self/fd/1")
    (folder / "out").write_bytes(b"")
    with nothing_changes(folder), (folder / "out").open("ab") as out:
        done = run_process("a.enc", PASSWORD, "opus", "-o", "stdout", cwd=folder, stdout=out)
    assert done.code == 1
    assert done.stderr == "filedecryptor: error: stdout: Not a regular file\n"


@pytest.mark.real_iterations
def test_recordings_over_two_gibibytes_work(tmp_path: Path) -> None:
    """The reference reads 2 GiB at the most. This one comes and goes without a disk."""
    script = (
        "import sys; from support.encryptor import encrypted;"
        "sys.stdout.buffer.writelines(encrypted((bytes(1 << 20) for _ in range(2049)), 'x'))"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, stdout=subprocess.PIPE
    )
    done = run_process("--verify", "-", "x", "wav", cwd=tmp_path, stdin=writer.stdout, timeout=None)
    assert writer.wait() == 0
    assert done.stderr.endswith(f"verified: -: {2049 << 20} bytes of unknown audio\n")
    assert done.code == 0


INTACT = "the recording is intact and the password right; its audio begins "
# What bad input gets: the words, the exit code, what the error and the hint begin with.
BAD = [
    ("none.enc P opus", 1, "none.enc: No such file or directory", ""),
    ("a.enc P opus -o sub", 1, "sub: Is a directory", ""),
    ("a.enc P opus -o pipe", 1, "pipe: Not a regular file", ""),
    ("a.enc P opus -o no/x", 1, "no/x: No such file or directory", "there is no directory no"),
    ("a.enc P opus -d a.enc", 1, "a.enc: File exists", ""),
    ("secret.enc P opus", 1, "secret.enc: Permission denied", ""),
    ("locked/a.enc P opus", 1, "locked/a.opus: Permission denied", ""),
    ("short.enc P opus", 4, f"short.enc: {SHORT.format(43)}", ""),
    ("empty.enc P opus", 4, f"empty.enc: {SHORT.format(0)}", ""),
    ("a.enc wrong opus", 3, f"a.enc: {WRONG}", "the password is the one that was in force"),
    ("a.enc _ opus", 3, f"a.enc: {WRONG}", "the password is empty"),
    ("a.enc P_ opus", 3, f"a.enc: {WRONG}", "the password begins or ends with white space"),
    ("altered.enc P opus", 3, f"altered.enc: {WRONG}", ""),
    ("cut.enc P opus", 3, f"cut.enc: {WRONG}", ""),
    ("added.enc P opus", 3, f"added.enc: {WRONG}", ""),
    ("plain.enc P opus", 3, f"plain.enc: {WRONG}", "this is plain opus audio already"),
    ("page.enc P opus", 3, f"page.enc: {WRONG}", "this is an HTML or XML page"),
    ("unknown.enc P auto", 5, f"unknown.enc: {INTACT}", "name the output's"),
    ("a.enc P enc", 2, "a.enc: the output would replace the input", ""),
    ("a.enc P opus -o sub/../a.enc", 2, "sub/../a.enc: the output would replace the input", ""),
    ("a.enc P opus -o link", 2, "link: the output would replace the input", ""),
    ("a.enc P ../opus", 2, "the output extension holds a path separator", ""),
    ("a.enc P ..\\opus", 2, "the output extension holds a path separator", ""),
    ("a.enc P _", 2, "the output extension is empty", ""),
]


@pytest.fixture
def bad_folder(folder: Path, make_enc: MakeEnc, encrypted_audio: bytes) -> Path:
    """A folder with everything that can be wrong with a recording."""
    altered = bytearray(encrypted_audio)
    altered[1000] ^= 1
    files: dict[str, bytes] = {
        "secret": encrypted_audio,
        "short": encrypted_audio[:43],
        "empty": b"",
        "altered": bytes(altered),
        "cut": encrypted_audio[:-1],
        "added": encrypted_audio + b"\n",
        "plain": AUDIO,
        "page": b"<!doctype html>\n<html><title>404</title><p>Not found</p></html>",
    }
    for name, data in files.items():
        (folder / f"{name}.enc").write_bytes(data)
    make_enc("unknown.enc", b"what is this?" * 10)
    (folder / "secret.enc").chmod(0)
    (folder / "sub").mkdir()
    (folder / "link").symlink_to("a.enc")
    make_fifo(folder / "pipe")
    (folder / "locked").mkdir()
    shutil.copy(folder / "a.enc", folder / "locked")
    (folder / "locked").chmod(0o555)
    return folder


@pytest.mark.parametrize(("line", "code", "error", "hint"), BAD)
def test_bad_input(bad_folder: Path, line: str, code: int, error: str, hint: str) -> None:
    """A clear line, the documented exit code, and nothing created, replaced or left behind."""
    words = [{"_": "", "P_": f"{PASSWORD} ", "P": PASSWORD}.get(w, w) for w in line.split()]
    with nothing_changes(bad_folder):
        result = run_process(*words, cwd=bad_folder, as_anybody=True)
    assert (result.code, result.stdout) == (code, b"")
    said, *hints = result.lines
    assert said.startswith(f"error: {error}")
    assert len(hints) <= 1
    assert "".join(hints).startswith(f"hint: {hint}" if hint else "")


@posix_only("ulimit")
def test_a_file_that_grows_too_large_leaves_the_old_one(folder: Path, make_enc: MakeEnc) -> None:
    """The system refuses in the middle of writing: nothing is left, nothing is changed."""
    make_enc(audio=bytes(1_000_000))
    (folder / "a.wav").write_bytes(b"old")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    with nothing_changes(folder):
        result = run_process("a.enc", PASSWORD, "wav", cwd=folder, preexec_fn=limit)
    assert (result.code, result.lines) == (1, ["error: a.wav: File too large"])


@posix_only("tmpfs")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, make_enc: MakeEnc) -> None:
    """On a disk of 400 kB: exit 1, the cause, a hint, and the folder as it was."""
    make_enc(audio=bytes(1_000_000))
    script = f"""
        mount -t tmpfs -o size=400k tmpfs disk || exit 99
        printf old >disk/a.wav
        {COMMAND} a.enc {PASSWORD} wav -o disk/a.wav; code=$?
        ls -A disk; cat disk/a.wav; exit $code
    """
    (tmp_path / "disk").mkdir()
    unshare = ["unshare", "--mount", "--map-root-user", "bash", "-c"]
    done = run_process(script, cwd=tmp_path, command=unshare)
    if done.code == 99 or done.stderr.startswith("unshare"):
        pytest.skip("a small disk cannot be mounted here")
    assert done == (1, b"a.wav\nold", FULL.format("disk/a.wav"))


@posix_only("names that are no text")
def test_names_and_passwords_of_any_bytes(folder: Path, make_enc: MakeEnc) -> None:
    """Not UTF-8, spaces, line ends: the result is exact, a message is one harmless line."""
    name = b"caf\xe9 \n\x1b[31m"
    shutil.copy(folder / "a.enc", folder / os.fsdecode(name + b".enc"))
    assert run(name + b".enc", PASSWORD, "opus", cwd=folder).stdout == name + b".opus\n"
    result = run(name + b".enc", "wrong", "opus", cwd=folder)
    assert result.lines[0] == f"error: caf\\udce9 \\n\\x1b[31m.enc: {WRONG}"
    make_enc(password=b"caf\xe9")
    assert run("a.enc", b"caf\xe9", "opus", cwd=folder).code == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.enc b.enc P opus -o x", "one --output cannot take the audio of several files"),
        (". P opus -o x", "one --output cannot take the audio of several files"),
        ("--files-from l P opus -o x", "one --output cannot take the audio of several files"),
        ("a.enc P opus -o x -d y", "--output and --output-dir cannot both say where"),
        ("- P opus -d y", "standard input has no name for --output-dir"),
        ("- a.enc P opus", "standard input cannot be one of several inputs"),
        ("--files-from l - P opus", "standard input cannot be one of several inputs"),
        ("--files-from - - opus", "standard input cannot be both the list and the password"),
        ("--verify a.enc P -o x", "--verify writes nothing, so there is nothing to say where"),
        ("--verify a.enc P -d x", "--verify writes nothing, so there is nothing to say where"),
        ("-0 a.enc P opus", "--null says how the names in the list of --files-from end"),
        ("a.enc P opus -o - --json", "--json and the audio cannot both go to standard output"),
        ("a.enc P opus --unknown-as x", "--unknown-as is for audio that 'auto' does not know"),
        ("a.enc P auto --unknown-as .auto", "--unknown-as takes an extension, and 'auto' is none"),
        ("a.enc P auto --unknown-as a/b", "the output extension holds a path separator or a NUL"),
        ("a.enc P auto --unknown-as=", "the output extension is empty"),
        ("--cluster tcp://x:1 a.enc P opus -o x", "a cluster reads and writes files and objects"),
        ("--cluster tcp://x:1 - P opus", "a cluster reads and writes files and objects"),
        ("--cluster tcp://x:1 a.enc P opus -j 2", "--jobs is for this machine; a cluster has its"),
    ],
)
def test_contradictions_are_usage_errors(folder: Path, line: str, message: str) -> None:
    """Each names the options that it is about, and nothing is written."""
    (folder / "l").write_text("a.enc\n")
    env = {"FILEDECRYPTOR_PASSWORD": None}
    with nothing_changes(folder):
        result = run(*line.replace("P", PASSWORD).split(), cwd=folder, env=env)
    assert (result.code, result.stdout) == (2, b"")
    assert result.lines[0].startswith(f"error: {message}")


# Inputs that are named by a list.

WORDS = ("auto", "--password-file", "secret")


@pytest.fixture
def calls(folder: Path) -> Path:
    """A folder with recordings, some of them with odd names."""
    (folder / "d").mkdir()
    for name in ("b c.enc", "d/e.enc", "d/f.ENC", "-"):
        shutil.copy(folder / "a.enc", folder / name)
    (folder / "secret").write_text(PASSWORD)
    return folder


def outputs(folder: Path) -> list[str]:
    """Return the outputs in a folder."""
    return [name for name in contents(folder) if name.endswith(".opus")]


ALL = ["a.opus", "b c.opus", "d/e.opus", "d/f.opus"]


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (b"b c.enc\n\nd\na.enc", ALL),
        (b"b c.enc\r\nd\r\n\r\na.enc\r\n", ALL),
        (b"\xef\xbb\xbfb c.enc\nd\na.enc\n", ALL),
        ("a.enc\r\nb c.enc\r\n".encode("utf-16"), ["a.opus", "b c.opus"]),  # of PowerShell
        (b"-\n", ["-.opus"]),  # standard input cannot be in a list
        (b"a.enc\na.enc\n./a.enc\n", ["a.opus"]),
    ],
)
def test_a_list_has_a_name_in_each_line(calls: Path, data: bytes, made: list[str]) -> None:
    """Files and directories, as on the command line; what is named twice is done once."""
    (calls / "list").write_bytes(data)
    result = run("--files-from", "list", *WORDS, cwd=calls)
    assert (result.code, len(result.stdout.splitlines())) == (0, len(made))
    assert outputs(calls) == made


@pytest.mark.parametrize("null", ["-0", "--null"])
def test_a_list_with_nuls(calls: Path, null: str) -> None:
    """As `find -print0` writes it: a line end may be part of a name."""
    odd = calls / ("a.enc" if IS_WINDOWS else os.fsdecode(b"line\nend\xff.enc"))
    if not odd.exists():
        shutil.copy(calls / "a.enc", odd)
    data = os.fsencode(odd) + b"\0d/e.enc\0"
    assert run("--files-from", "-", null, *WORDS, cwd=calls, stdin=data).code == 0
    assert len(outputs(calls)) == 2


@posix_only("find")
def test_find_names_the_inputs(calls: Path) -> None:
    """Through a pipe, in a real shell; they add to the arguments."""
    find = 'find . -name "*.enc" -print0'
    code, *_ = in_shell(f'{find} | "$0" --files-from - -0 d {" ".join(WORDS)}', calls)
    assert (code, outputs(calls)) == (0, ALL)


def test_more_names_than_a_command_line_holds(calls: Path) -> None:
    """Those that are not there fail by their names, the rest is done."""
    names = [f"{'x' * 100}{number}.enc" for number in range(30_000)]
    (calls / "list").write_text("\n".join([*names, "a.enc"]))
    result = run_process("--files-from", "list", *WORDS, cwd=calls)
    assert result.code == 1
    assert result.lines[-1].startswith("1 decrypted, 30000 failed; ")
    assert f"error: {names[7]}: No such file or directory" in result.lines


@pytest.mark.skipif(not IS_WINDOWS, reason="elsewhere any bytes may be a name")
def test_a_list_that_is_not_text(calls: Path) -> None:
    """No file has such a name there."""
    (calls / "list").write_bytes(b"a\xff.enc\n")
    result = run("--files-from", "list", *WORDS, cwd=calls)
    assert (result.code, result.lines) == (2, ["error: list: it is not text in UTF-8"])


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\r\n"])
def test_an_empty_list_is_nothing_to_do(calls: Path, data: bytes) -> None:
    """As an empty folder is; one that is not there fails."""
    result = run("--files-from", "-", *WORDS, cwd=calls, stdin=data)
    assert result == (0, b"", "filedecryptor: -: there is no name in it\n")
    assert run("--files-from", "-", *WORDS, "-q", cwd=calls, stdin=data).stderr == ""
    result = run("--files-from", "none", *WORDS, cwd=calls)
    assert (result.code, result.lines) == (1, ["error: none: No such file or directory"])


# Many recordings.


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 400 recordings; the third one is altered."""
    for number in range(400):
        (tmp_path / f"{number:03}.enc").write_bytes(encrypt(AUDIO))
    (tmp_path / "002.enc").write_bytes(encrypt(AUDIO)[:-1] + b"x")
    return tmp_path


def test_the_first_failure_ends_it_if_that_is_wanted(many: Path) -> None:
    """What is done stays, and a line says how to go on."""
    result = run(".", PASSWORD, "opus", "--fail-fast", "-j", "1", cwd=many)
    assert result.code == 3
    assert sum(line.startswith("error: ") for line in result.lines) == 1
    made = outputs(many)
    assert len(made) < 350
    assert any(line.startswith("stopped at the first failure; what") for line in result.lines)
    assert "1 failed in " in result.lines[-1] or "1 failed; " in result.lines[-1]
    assert all((many / name).read_bytes() == AUDIO for name in made)
    for name in made:
        (many / name).unlink()
    # A name that cannot be ends it before any recording is read.
    assert run("nothing", "000.enc", PASSWORD, "opus", "--fail-fast", cwd=many).code == 1
    assert outputs(many) == []


def test_without_a_failure_all_is_done(many: Path) -> None:
    """The option changes nothing then."""
    (many / "002.enc").write_bytes(encrypt(AUDIO))
    result = run(".", PASSWORD, "opus", "--fail-fast", cwd=many)
    assert (result.code, result.lines[-1].partition(";")[0]) == (0, "400 decrypted")


def test_a_hint_is_given_once(many: Path) -> None:
    """However many recordings it is for, except in JSON; another one is given as well."""
    (many / "page.enc").write_text("<!doctype html><p>" + "not here ".ljust(100))
    result = run(".", "wrong", "opus", cwd=many)
    hints = [line for line in result.lines if line.startswith("hint: ")]
    assert sum(line.startswith("error: ") for line in result.lines) == 401
    assert len(hints) == 2
    assert sum("in force when the call was recorded" in hint for hint in hints) == 1
    assert sum("an HTML or XML page" in hint for hint in hints) == 1
    result = run(".", "wrong", "opus", "--json", cwd=many)
    assert result.stdout.count(b"in force when the call was recorded") == 400
