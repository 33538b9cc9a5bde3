"""What one call of the command reads, writes and reports."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import COMMAND, run, run_process
from support.folders import contents, nothing_changes
from support.posix import IS_WINDOWS, posix_only, pty, resource
from support.recordings import AUDIO, PASSWORD, MakeEnc, altered, encrypt

NO_ROOM = (
    "error: standard output: No space left on device\n"
    "filedecryptor: hint: make room, then run this again\n"
)


TERMINAL = "the audio would go to the terminal"
REDIRECT = "redirect it, or name a file with --output"


def in_shell(script: str, cwd: Path) -> tuple[int, bytes, str]:
    """Run a script in which `$0` is the command."""
    done = run_process("-c", script, COMMAND, cwd=cwd, command=["bash"])
    return (done.code, done.stdout, done.stderr)


def test_stdout_gets_nothing_before_the_tag_has_verified(folder: Path, make_enc: MakeEnc) -> None:
    """Not one byte of a long recording whose last byte was altered."""
    source = make_enc(audio=bytes(20_000_000))
    with source.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    result = run("a.enc", PASSWORD, "wav", "-o", "-", cwd=folder)
    assert (result.code, result.stdout) == (3, b"")


OVERWRITTEN = "standard output would be written over the recording"


@posix_only("bash")
@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("a.enc P opus <&- >&- 2>&-", 0, ""),
        ("a.enc wrong opus 2>&-", 3, ""),
        ("a.enc opus 2>/dev/full", 2, ""),  # a script reacts to it where nobody can read it
        ("a.enc - opus <&-", 2, "standard input is closed"),
        ("- P opus -o x <&-", 2, "standard input is closed"),
        ("a.enc P opus -o - >&-", 2, "standard output is closed"),
        ("- P opus -o a.enc <a.enc", 2, "a.enc: the output would replace the input"),
        ("a.enc P opus -o - >>a.enc", 2, f"a.enc: {OVERWRITTEN}"),
        ("- P opus <a.enc 1<>a.enc", 2, f"-: {OVERWRITTEN}"),
    ],
)
def test_streams_that_a_shell_has_closed_or_redirected(
    folder: Path, line: str, code: int, error: str
) -> None:
    """Cron and daemons close them. No recording is written over, though the shell opened it."""
    before = contents(folder)
    found, _, stderr = in_shell(f'"$0" {line.replace("P", PASSWORD)}', folder)
    said = f"filedecryptor: error: {error}" if error else ""
    assert (found, stderr.partition("\n")[0]) == (code, said)
    assert contents(folder) == before | ({} if code else {"a.opus": AUDIO})


GOES_ON = (
    "error: standard output: {}; the work goes on, its results are not shown\n"
    "filedecryptor: 2 decrypted; .*\n"
)


@posix_only("such streams")
@pytest.mark.parametrize(
    ("stream", "line", "unbuffered", "said"),
    [
        ("full", "a.enc P opus", "", NO_ROOM),
        ("full", "--help", "", NO_ROOM),
        ("full", "a.enc b.enc P opus --json", "1", GOES_ON.format("No space left on device")),
        # Audio is taken in part.
        ("small", "long.enc P wav -o -", "1", "error: standard output: File too large\n"),
        # A reader that has left before the first byte needs no message.
        ("left", "a.enc P opus", "1", ""),
        ("left", "a.enc P opus -o -", "", ""),
        ("left", "a.enc b.enc P opus", "1", GOES_ON.format("Broken pipe")),
    ],
)
def test_a_result_that_cannot_be_written_is_an_error(  # noqa: PLR0917 - a table
    folder: Path, make_enc: MakeEnc, stream: str, line: str, unbuffered: str, said: str
) -> None:
    """It is said once, what can be done is done, and the exit code tells, however Python buffers."""
    make_enc("long.enc", bytes(500_000))
    make_enc("b.enc")
    reading, left = os.pipe()
    os.close(reading)
    with Path("/dev/full").open("wb") as full, (folder / "out").open("wb") as small:
        done = run_process(
            *line.replace("P", PASSWORD).split(),
            cwd=folder,
            env={"PYTHONUNBUFFERED": unbuffered},
            stdout={"full": full, "small": small, "left": left}[stream],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
        )
    os.close(left)
    assert done.code == 1
    assert re.fullmatch(f"filedecryptor: {said}" if said else "", done.stderr)
    assert (folder / "b.opus").exists() == ("b.enc" in line)


GONE = "the current directory no longer exists"


@posix_only("directories that can be removed while somebody is in them")
@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("@/a.enc P opus", None),
        ("@ P opus -d @/out", None),
        ("a.enc P opus", "a.enc: "),
        ("calls P opus", "FILENAME 1: "),
        ("@/a.enc P opus -o b.opus", "b.opus: "),
        ("@/a.enc P opus -d out", ""),
        ("--files-from list P opus", "list: "),
        ("@/a.enc opus --password-file secret", "--password-file: "),
        ("vns-recordings archive calls", "calls: "),
        ("vns-recordings archive calls --metrics x", "calls: "),
    ],
)
def test_a_directory_that_is_gone(folder: Path, line: str, error: str | None) -> None:
    """It is named as what is wrong, wherever a relative path is used; others need none."""
    words = line.replace("@", str(folder)).replace("P", PASSWORD).split()
    command = [COMMAND]
    if words[0] == "vns-recordings":
        pytest.importorskip("httpcore", reason="the extra vns is not installed")
        command = [str(Path(COMMAND).with_name(words.pop(0)))]
    gone = ["bash", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"', *command]
    done = run_process(*words, cwd=folder, command=gone, env={"VNS_API_TOKEN": "x"})
    assert done.code == (0 if error is None else 1)
    if error is not None:
        assert done.stderr.splitlines()[0].partition(": ")[2] == f"error: {error}{GONE}"


def test_no_audio_goes_to_a_terminal(folder: Path) -> None:
    """By whatever name it is meant; it is said before a password is asked for."""
    controller, terminal = pty.openpty()
    (folder / "link").symlink_to(os.ttyname(terminal))
    for name in (os.ttyname(terminal), "link"):
        with nothing_changes(folder):
            result = run("a.enc", "-", "-o", name, cwd=folder)
        assert (result.code, result.lines) == (2, [f"error: {TERMINAL}", f"hint: {REDIRECT}"])
    os.close(terminal)
    os.close(controller)


@pytest.mark.slow
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
    said = f"filedecryptor: {NO_ROOM}".replace("standard output", "disk/a.wav")
    assert done == (1, b"a.wav\nold", said)


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


def test_more_names_than_a_command_line_holds(calls: Path) -> None:
    """Those that are not there fail by their names, the rest is done."""
    names = [f"{'x' * 200}/" * 14 + f"{number}.enc" for number in range(800)]
    (calls / "list").write_text("\n".join([*names, "a.enc"]))
    result = run_process("--files-from", "list", *WORDS, cwd=calls)
    assert result.code == 1
    assert result.lines[-1].startswith("1 decrypted, 800 failed: No such file or directory; ")
    said = [line for line in result.lines if line.startswith("error: ")]
    assert len(said) == 20
    assert {*said} <= {f"error: {name}: No such file or directory" for name in names}
    assert result.lines[-2] == "and 780 more: No such file or directory"


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


def test_the_first_failure_ends_it_if_that_is_wanted(many: Path) -> None:
    """What is done stays, and a line says how to go on; without a failure all is done."""
    (many / "002.enc").write_bytes(altered(encrypt(AUDIO)))
    words = (PASSWORD, "opus", "--fail-fast")
    result = run(".", *words, "-j", "1", cwd=many)
    assert result.code == 3
    assert sum(line.startswith("error: ") for line in result.lines) == 1
    made = outputs(many)
    assert len(made) < 150
    assert any(line.startswith("stopped at the first failure; what") for line in result.lines)
    assert re.search(r"\b1 failed(;| in) ", result.lines[-1])
    for name in made:
        assert (many / name).read_bytes() == AUDIO
        (many / name).unlink()
    # A name that cannot be ends it before any recording is read.
    assert run("nothing", "000.enc", *words, cwd=many).code == 1
    assert outputs(many) == []
    (many / "002.enc").write_bytes(encrypt(AUDIO))
    result = run(".", *words, cwd=many)
    assert (result.code, result.lines[-1].partition(";")[0]) == (0, "200 decrypted")


def test_a_hint_is_given_once(many: Path) -> None:
    """However many recordings it is for, except in JSON; another one is given as well."""
    (many / "000-page.enc").write_text("<!doctype html><p>" + "not here ".ljust(100))
    result = run(".", "wrong", "opus", "-j1", cwd=many)
    hints = [line for line in result.lines if line.startswith("hint: ")]
    assert len(hints) == 2
    assert sum("in force when the call was recorded" in hint for hint in hints) == 1
    assert sum("look into it, then download" in hint for hint in hints) == 1
    result = run(".", "wrong", "opus", "--json", cwd=many)
    assert result.stdout.count(b"in force when the call was recorded") == 200
