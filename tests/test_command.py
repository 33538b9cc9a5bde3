"""The command with one recording, as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import COMMAND, run, run_process
from support.folders import contents, nothing_changes
from support.posix import make_fifo, posix_only, resource
from support.recordings import AUDIO, PASSWORD, PLAIN, MakeEnc

WRONG = "authentication failed: the password is wrong, or the file was altered"


def test_the_reference_call_writes_the_audio_beside_the_recording(folder: Path) -> None:
    """One path on stdout, nothing on stderr, one new file."""
    result = run("a.enc", PASSWORD, "opus", cwd=folder)
    assert result == (0, b"a.opus\n", "")
    assert list(contents(folder)) == ["a.enc", "a.opus"]
    assert (folder / "a.opus").read_bytes() == AUDIO


def test_an_existing_output_is_replaced(folder: Path) -> None:
    """As in the reference."""
    (folder / "a.opus").write_bytes(b"older, and longer than nothing")
    assert run("a.enc", PASSWORD, ".opus", cwd=folder).code == 0
    assert (folder / "a.opus").read_bytes() == AUDIO


def test_if_exists_skip_and_fail(folder: Path) -> None:
    """Both leave the old file alone: one is a success, the other is not."""
    (folder / "a.opus").write_bytes(bytes(len(AUDIO)))
    with nothing_changes(folder):
        skipped = run("--if-exists", "skip", "a.enc", PASSWORD, "auto", cwd=folder)
        failed = run("--if-exists", "fail", "a.enc", PASSWORD, "opus", cwd=folder)
    assert skipped == (0, b"", "filedecryptor: skipped: a.enc: a.opus exists\n")
    assert (failed.code, failed.stdout) == (1, b"")
    assert failed.lines == ["error: a.opus: File exists"]


def test_auto_names_the_output_after_its_audio(folder: Path) -> None:
    """The format found becomes the extension."""
    assert run("a.enc", PASSWORD, "auto", cwd=folder).stdout == b"a.opus\n"


def test_output_names_the_file(folder: Path) -> None:
    """Anywhere, whatever the extension."""
    (folder / "sub").mkdir()
    result = run("a.enc", PASSWORD, "auto", "-o", "sub/x", cwd=folder)
    assert result == (0, b"sub/x\n", "")
    assert (folder / "sub" / "x").read_bytes() == AUDIO


def test_quiet_says_nothing(folder: Path) -> None:
    """Neither results nor notes; errors still."""
    assert run("-q", "a.enc", PASSWORD, "opus", cwd=folder) == (0, b"", "")
    assert run("-q", "--if-exists=skip", "a.enc", PASSWORD, "opus", cwd=folder) == (0, b"", "")
    assert run("-q", "--verify", "a.enc", PASSWORD, "opus", cwd=folder) == (0, b"", "")
    assert run("-q", "a.enc", "wrong", "opus", cwd=folder).lines[0] == f"error: a.enc: {WRONG}"


def test_verify_writes_nothing(folder: Path) -> None:
    """It says what it found, and fails as decrypting would."""
    with nothing_changes(folder):
        good = run("--verify", "a.enc", PASSWORD, "opus", cwd=folder)
        bad = run("--verify", "a.enc", "wrong", "opus", cwd=folder)
    assert good.code == 0
    assert good.stdout == b""
    assert good.lines == [f"verified: a.enc: {len(AUDIO)} bytes of opus audio"]
    assert bad.code == 3


def test_stdin_to_stdout(folder: Path, encrypted_audio: bytes) -> None:
    """A filter: the audio and nothing else."""
    with nothing_changes(folder):
        result = run("-", PASSWORD, "opus", cwd=folder, stdin=encrypted_audio)
    assert result == (0, AUDIO, "")


def test_stdin_to_a_file_and_a_file_to_stdout(folder: Path, encrypted_audio: bytes) -> None:
    """`-` on one side, a name on the other."""
    into = run("-", PASSWORD, "opus", "-o", "x", cwd=folder, stdin=encrypted_audio)
    assert into == (0, b"x\n", "")
    assert (folder / "x").read_bytes() == AUDIO
    assert run("a.enc", PASSWORD, "opus", "-o", "-", cwd=folder) == (0, AUDIO, "")


def test_verify_reads_stdin(folder: Path, encrypted_audio: bytes) -> None:
    """The name of standard input is `-`."""
    result = run("--verify", "-", PASSWORD, "opus", cwd=folder, stdin=encrypted_audio)
    assert result.lines == [f"verified: -: {len(AUDIO)} bytes of opus audio"]


@posix_only("signals from elsewhere")
def test_stdout_gets_nothing_before_the_tag_has_verified(folder: Path, make_enc: MakeEnc) -> None:
    """Not one byte of a long recording whose last byte was altered."""
    source = make_enc(audio=bytes(20_000_000))
    data = bytearray(source.read_bytes())
    data[-1] ^= 1
    source.write_bytes(data)
    result = run("a.enc", PASSWORD, "wav", "-o", "-", cwd=folder)
    assert (result.code, result.stdout) == (3, b"")


@posix_only("bash")
@pytest.mark.parametrize("size", [AUDIO, b"x" * 3_000_000], ids=["short", "long"])
def test_a_closed_pipe_ends_quietly(folder: Path, make_enc: MakeEnc, size: bytes) -> None:
    """`| head -c 1` is no reason to complain."""
    make_enc(audio=size)
    script = f'{COMMAND} a.enc {PASSWORD} wav -o - | head -c 1; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], check=False, cwd=folder, capture_output=True)
    assert (done.stdout, done.stderr) == (size[:1], b"")
    assert done.returncode in {0, 1}  # 0 if all fitted into the pipe


@posix_only("bash")
@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(folder: Path, stream: str) -> None:
    """As cron and daemons may start it."""
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} a.enc {PASSWORD} opus {stream}"],
        check=False,
        cwd=folder,
        capture_output=True,
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert (folder / "a.opus").read_bytes() == AUDIO


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [[], ["-o", "-"], ["--json"]])
def test_a_full_stdout_is_an_error(folder: Path, words: list[str], unbuffered: str) -> None:
    """A result that cannot be written is not a success."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, "a.enc", PASSWORD, "opus", *words],
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "filedecryptor: error: standard output: No space left on device",
        "filedecryptor: hint: make room, then run this again",
    ]


@pytest.mark.parametrize("words", [[], ["-o", "-"], ["--json"]])
def test_a_stdout_that_nobody_reads_ends_quietly(folder: Path, words: list[str]) -> None:
    """The reader has left before the first byte."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [COMMAND, "a.enc", PASSWORD, "opus", *words],
        check=False,
        cwd=folder,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@posix_only("bash")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.enc - opus <&-", "error: standard input is closed"),
        (f"- {PASSWORD} opus -o x <&-", "error: standard input is closed"),
        (f"a.enc {PASSWORD} opus -o - >&-", "error: standard output is closed"),
    ],
)
def test_closed_streams_that_are_needed(folder: Path, words: str, message: str) -> None:
    """A usage error each."""
    with nothing_changes(folder):
        script = f"{COMMAND} {words}"
        done = subprocess.run(
            ["bash", "-c", script], check=False, cwd=folder, capture_output=True, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"filedecryptor: {message}")


@posix_only("bash")
def test_a_failure_without_stderr_keeps_its_code(folder: Path) -> None:
    """`2>&-` is no reason for another one."""
    script = f"{COMMAND} a.enc wrong opus 2>&-"
    assert subprocess.run(["bash", "-c", script], check=False, cwd=folder).returncode == 3


def test_stdin_that_is_the_output_is_refused(folder: Path) -> None:
    """`- ... -o a.enc <a.enc` would replace the recording."""
    with nothing_changes(folder), (folder / "a.enc").open("rb") as stdin:
        command = [COMMAND, "-", PASSWORD, "opus", "-o", "a.enc"]
        done = subprocess.run(command, check=False, cwd=folder, stdin=stdin, capture_output=True)
    assert done.returncode == 2


def test_verify_does_not_care_for_the_output(folder: Path) -> None:
    """Nothing is written, so nothing stands in the way."""
    (folder / "a.opus").mkdir()
    for extension in ("enc", "opus"):
        assert run("--verify", "a.enc", PASSWORD, extension, cwd=folder).code == 0


@pytest.mark.parametrize("extension", ["opus", "auto"])
def test_a_link_to_nowhere_is_there_but_not_the_audio(folder: Path, extension: str) -> None:
    """Somebody put it there: `fail` leaves it alone, `skip` does what is missing."""
    (folder / "a.opus").symlink_to("nowhere")
    words = ("a.enc", PASSWORD, extension)
    with nothing_changes(folder):
        failed = run("--if-exists", "fail", *words, cwd=folder)
    assert (failed.code, failed.lines) == (1, ["error: a.opus: File exists"])
    done = run("--if-exists", "skip", *words, cwd=folder)
    assert (done.code, done.lines) == (0, ["note: a.opus: a link to nowhere: done again"])
    assert not (folder / "a.opus").is_symlink()
    assert (folder / "a.opus").read_bytes() == AUDIO


def test_auto_with_fail_looks_at_all_three(folder: Path) -> None:
    """As it does with skip."""
    (folder / "a.mp3").write_bytes(bytes(len(AUDIO)))
    with nothing_changes(folder):
        result = run("--if-exists", "fail", "a.enc", PASSWORD, "auto", cwd=folder)
    assert (result.code, result.lines) == (1, ["error: a.mp3: File exists"])


@posix_only("ulimit")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_audio_that_stdout_takes_in_part_is_an_error(
    folder: Path, make_enc: MakeEnc, unbuffered: str
) -> None:
    """However Python was told to buffer, what is cut off is no success."""
    make_enc(audio=bytes(500_000))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    with (folder / "out").open("wb") as out:
        done = subprocess.run(
            [COMMAND, "a.enc", PASSWORD, "wav", "-o", "-"],
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            preexec_fn=limit,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == "filedecryptor: error: standard output: File too large\n"


@posix_only("bash")
@pytest.mark.parametrize("redirection", [">>a.enc", "1<>a.enc"])
@pytest.mark.parametrize("words", ["a.enc EncryptMe opus -o -", "- EncryptMe opus <a.enc"])
def test_stdout_must_not_be_the_recording(folder: Path, words: str, redirection: str) -> None:
    """The shell opened it, but nothing is written."""
    with nothing_changes(folder):
        script = f"{COMMAND} {words} {redirection}"
        done = subprocess.run(["bash", "-c", script], check=False, cwd=folder, capture_output=True)
    assert done.returncode == 2
    assert b"would be written over the recording" in done.stderr


@posix_only("/dev/stdout")
def test_a_name_of_stdout_is_not_replaced(folder: Path) -> None:
    """`-o /dev/stdout` would take it away from everybody else; here it is a copy of that link."""
    (folder / "stdout").symlink_to("/proc/self/fd/1")
    (folder / "out").write_bytes(b"")
    with nothing_changes(folder), (folder / "out").open("ab") as out:
        command = [COMMAND, "a.enc", PASSWORD, "opus", "-o", "stdout"]
        done = subprocess.run(command, check=False, cwd=folder, stdout=out, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        1,
        b"filedecryptor: error: stdout: Not a regular file\n",
    )


@pytest.mark.parametrize(
    ("words", "code"), [(["wrong", "opus"], 3), (["opus"], 2), ([PASSWORD, "opus", "--verify"], 0)]
)
def test_an_unwritable_stderr_does_not_change_the_code(
    folder: Path, words: list[str], code: int
) -> None:
    """What a script reacts to stays right where nobody can read the message."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([COMMAND, "a.enc", *words], check=False, cwd=folder, stderr=full)
    assert done.returncode == code


def test_help_into_a_full_disk_is_an_error(folder: Path) -> None:
    """One line, exit code 1."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, "--help"], check=False, cwd=folder, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"filedecryptor: error: standard output: No space left")


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
    done = subprocess.run(
        [COMMAND, "--verify", "-", "x", "wav"],
        check=False,
        cwd=tmp_path,
        stdin=writer.stdout,
        capture_output=True,
        text=True,
    )
    assert writer.wait() == 0
    assert done.stderr.endswith(f"verified: -: {2049 << 20} bytes of unknown audio\n")
    assert done.returncode == 0


# What bad input gets: the words, what stderr begins with, the exit code.
BAD = {
    "missing file": (
        ["none.enc", PASSWORD, "opus"],
        ["error: none.enc: No such file or directory"],
        1,
    ),
    "a directory as output": (
        ["a.enc", PASSWORD, "opus", "-o", "sub"],
        ["error: sub: Is a directory"],
        1,
    ),
    "something else than a file as output": (
        ["a.enc", PASSWORD, "opus", "-o", "pipe"],
        ["error: pipe: Not a regular file"],
        1,
    ),
    "an output in a directory that is not there": (
        ["a.enc", PASSWORD, "opus", "-o", "no/x"],
        ["error: no/x: No such file or directory", "hint: there is no directory no"],
        1,
    ),
    "unreadable": (["secret.enc", PASSWORD, "opus"], ["error: secret.enc: Permission denied"], 1),
    "unwritable": (
        ["locked/a.enc", PASSWORD, "opus"],
        ["error: locked/a.opus: Permission denied"],
        1,
    ),
    "too short": (
        ["short.enc", PASSWORD, "opus"],
        ["error: short.enc: not an .enc file: it is 43 bytes long, the smallest is 44"],
        4,
    ),
    "empty": (
        ["empty.enc", PASSWORD, "opus"],
        ["error: empty.enc: not an .enc file: it is 0 bytes long, the smallest is 44"],
        4,
    ),
    "wrong password": (
        ["a.enc", "wrong", "opus"],
        [f"error: a.enc: {WRONG}", "hint: the password is the one that was in force"],
        3,
    ),
    "empty password": (
        ["a.enc", "", "opus"],
        [f"error: a.enc: {WRONG}", "hint: the password is empty"],
        3,
    ),
    "password with a space": (
        ["a.enc", f"{PASSWORD} ", "opus"],
        [f"error: a.enc: {WRONG}", "hint: the password begins or ends with white space"],
        3,
    ),
    "altered": (["altered.enc", PASSWORD, "opus"], [f"error: altered.enc: {WRONG}"], 3),
    "cut off": (["cut.enc", PASSWORD, "opus"], [f"error: cut.enc: {WRONG}"], 3),
    "added to": (["added.enc", PASSWORD, "opus"], [f"error: added.enc: {WRONG}"], 3),
    "plain audio": (
        ["plain.enc", PASSWORD, "opus"],
        [f"error: plain.enc: {WRONG}", "hint: this is plain opus audio already"],
        3,
    ),
    "an error page": (
        ["page.enc", PASSWORD, "opus"],
        [f"error: page.enc: {WRONG}", "hint: this is an HTML or XML page"],
        3,
    ),
    "unknown audio": (
        ["unknown.enc", PASSWORD, "auto"],
        [
            "error: unknown.enc: the recording is intact and the password right; its audio begins ",
            "hint: name the output's",
        ],
        5,
    ),
    "the input as output": (
        ["a.enc", PASSWORD, "enc"],
        ["error: a.enc: the output would replace the input"],
        2,
    ),
    "the input as output in another spelling": (
        ["a.enc", PASSWORD, "opus", "-o", "sub/../a.enc"],
        ["error: sub/../a.enc: the output would replace the input"],
        2,
    ),
    "the input as output through a link": (
        ["a.enc", PASSWORD, "opus", "-o", "link"],
        ["error: link: the output would replace the input"],
        2,
    ),
    "an extension with a slash": (
        ["a.enc", PASSWORD, "../opus"],
        ["error: the output extension holds a path separator"],
        2,
    ),
    "an extension with a backslash": (
        ["a.enc", PASSWORD, "..\\opus"],
        ["error: the output extension holds a path separator"],
        2,
    ),
    "an empty extension": (["a.enc", PASSWORD, ""], ["error: the output extension is empty"], 2),
}


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
        "plain": (PLAIN / "recording_abc123.opus").read_bytes(),
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


@pytest.mark.parametrize("case", BAD)
def test_what_bad_input_gets(case: str, bad_folder: Path) -> None:
    """A clear line, the documented exit code, and nothing created, replaced or left behind."""
    words, lines, code = BAD[case]
    with nothing_changes(bad_folder):
        result = run_process(*words, cwd=bad_folder, as_anybody=True)
    assert result.code == code
    assert result.stdout == b""
    assert [line[: len(start)] for line, start in zip(result.lines, lines, strict=False)] == lines
    assert all(line.startswith(("error: ", "hint: ")) for line in result.lines)


@posix_only("ulimit")
def test_a_file_that_grows_too_large_leaves_the_old_one(folder: Path, make_enc: MakeEnc) -> None:
    """The system refuses in the middle of writing: nothing is left, nothing is changed."""
    make_enc(audio=bytes(1_000_000))
    (folder / "a.wav").write_bytes(b"old")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    with nothing_changes(folder):
        result = run_process("a.enc", PASSWORD, "wav", cwd=folder, preexec_fn=limit)
    assert result.code == 1
    assert result.lines == ["error: a.wav: File too large"]


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
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "bash", "-c", script],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    if done.returncode == 99 or done.stderr.startswith("unshare"):
        pytest.skip("a small disk cannot be mounted here")
    assert done.returncode == 1
    assert done.stdout == "a.wav\nold"
    assert done.stderr == (
        "filedecryptor: error: disk/a.wav: No space left on device\n"
        "filedecryptor: hint: make room, then run this again\n"
    )


@posix_only("names that are no text")
def test_names_of_any_bytes(folder: Path) -> None:
    """Not UTF-8, spaces, line ends: the result is exact, a message is one harmless line."""
    name = b"caf\xe9 \n\x1b[31m"
    shutil.copy(folder / "a.enc", folder / os.fsdecode(name + b".enc"))
    assert run(name + b".enc", PASSWORD, "opus", cwd=folder).stdout == name + b".opus\n"
    result = run(name + b".enc", "wrong", "opus", cwd=folder)
    assert result.lines[0] == f"error: caf\\udce9 \\n\\x1b[31m.enc: {WRONG}"


@posix_only("words that are no text")
def test_bytes_of_the_password_pass_through(folder: Path, make_enc: MakeEnc) -> None:
    """A password that is not UTF-8 on the command line is taken as the bytes that it is."""
    make_enc(password=b"caf\xe9")
    assert run("a.enc", b"caf\xe9", "opus", cwd=folder).code == 0


def test_failures_of_different_kinds(bad_folder: Path) -> None:
    """Each failure has its line, and the exit code is 1."""
    with nothing_changes(bad_folder):
        result = run("short.enc", "cut.enc", PASSWORD, "opus", cwd=bad_folder)
    assert result.code == 1
    names = sorted(line.split(":")[1] for line in result.lines if line.startswith("error: "))
    assert names == [" cut.enc", " short.enc"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.enc", "b.enc", PASSWORD, "opus", "-o", "x"], "one --output cannot take the audio of"),
        ([".", PASSWORD, "opus", "-o", "x"], "one --output cannot take the audio of several"),
        (
            ["a.enc", PASSWORD, "opus", "-o", "x", "-d", "y"],
            "--output and --output-dir cannot both",
        ),
        (["-", PASSWORD, "opus", "-d", "y"], "standard input has no name for --output-dir"),
        (["-", "a.enc", PASSWORD, "opus"], "standard input cannot be one of several inputs"),
        (["--verify", "a.enc", PASSWORD, "-o", "x"], "--verify writes nothing, so there is"),
        (["--verify", "a.enc", PASSWORD, "-d", "x"], "--verify writes nothing, so there is"),
        (["-0", "a.enc", PASSWORD, "opus"], "--null says how the names in the list"),
        (["--files-from", "l", PASSWORD, "opus", "-o", "x"], "one --output cannot take the audio"),
        (
            ["--cluster", "tcp://x:1", "a.enc", PASSWORD, "opus", "-o", "x"],
            "a cluster reads and writes files and objects only",
        ),
        (
            ["--cluster", "tcp://x:1", "a.enc", PASSWORD, "opus", "-j", "2"],
            "--jobs is for this machine; a cluster has its own number of them",
        ),
    ],
)
def test_contradictions_are_usage_errors(folder: Path, words: list[str], message: str) -> None:
    """Each names the options that it is about."""
    with nothing_changes(folder):
        result = run(*words, cwd=folder)
    assert (result.code, result.stdout) == (2, b"")
    assert result.lines[0].startswith(f"error: {message}")
