"""The system says no: a documented exit code, a clear line, and all as it was; or it lacks something.

A full disk, a limit of the file's size and directories that cannot be written to are in the tests
of the command.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import odd_disk
from support.commands import begin, run, run_process
from support.folders import contents
from support.leaks import DEVELOPER
from support.posix import posix_only
from support.recordings import AUDIO, PASSWORD, MakeEnc, encrypt

FAILING = (sys.executable, str(Path(__file__).parents[1] / "support" / "failing.py"))

ROOM = r"\n.*hint: make room, then run this again"
NO_MEMORY = r"error: (a\.enc: Cannot allocate memory|there is not enough memory)"
UNEXPECTED = r"error: a\.enc: unexpected RuntimeError in failing\.py, line \d+\n.*please report"

REFUSALS = [
    ("os.fsync", "EIO", "a.enc - opus -o old.opus", 1, "error: old.opus: Input/output error"),
    ("os.fsync", "ENOSPC", "a.enc - opus -d .", 1, f"error: ./a.opus: No space left.*{ROOM}"),
    ("os.fsync", "ENOSPC", "calls - opus", 1, f"error: calls/b.opus: No space left.*{ROOM}"),
    ("os.fsync", "EDQUOT", "a.enc - opus -o old.opus", 1, f"old.opus: Disk quota exceeded{ROOM}"),
    ("os.replace", "EPERM", "a.enc - opus -o old.opus", 1, "old.opus: Operation not permitted"),
    ("os.replace", "ENOSPC", "a.enc - opus -o old.opus", 1, f"old.opus: No space left.*{ROOM}"),
    ("os.rename", "EIO", "a.enc - opus", 0, ""),
    ("os.link", "EPERM", "a.enc - opus --if-exists fail", 0, ""),
    ("os.link", "EEXIST", "a.enc - opus --if-exists fail", 0, ""),
    ("os.unlink", "EIO", "a.enc - opus --if-exists fail", 0, ""),
    ("os.unlink", "EACCES", "other.enc - opus", 3, "other.enc: authentication failed"),
    ("os.fchmod", "EIO", "a.enc - opus --if-exists fail", 0, ""),
    ("os.scandir", "EIO", "a.enc - opus --if-exists fail", 0, ""),
    ("os.scandir", "EACCES", "calls - opus", 1, "calls: Permission denied"),
    ("os.open", "EMFILE", "a.enc - opus", 1, "a.opus: Too many open files"),
    ("os.lstat", "EIO", "a.enc - opus", 1, "Input/output error"),
    ("os.stat", "EACCES", "a.enc - enc", 1, "Permission denied"),
    ("os.makedirs", "ENOSPC", "a.enc - opus -d out", 1, "No space left on device"),
    ("builtins.open", "EMFILE", "a.enc - opus", 1, "a.enc: Too many open files"),
    ("core.spool.read_into", "EIO", "a.enc - opus", 1, "Input/output error"),
    ("core.spool.read_into", "EIO", "a.enc - opus -o -", 1, "Input/output error"),
    ("core.crypto.StreamDecryptor.update", "EIO", "calls - opus", 1, "Input/output error"),
    ("core.crypto.encode_password", "MemoryError", "a.enc - opus", 1, NO_MEMORY),
    ("core.crypto.encode_password", "RuntimeError", "a.enc - opus", 1, UNEXPECTED),
    ("core.decryptor.derive_key", "MemoryError", "a.enc - opus", 1, NO_MEMORY),
    ("core.decryptor.derive_key", "RuntimeError", "a.enc - opus", 1, UNEXPECTED),
    ("core.decryptor.derive_key", "KeyboardInterrupt", "a.enc - opus", 130, "error: interrupted"),
    ("storage.atomic.PendingFile.write_all", "ENOSPC", "calls - opus", 1, f"No space left.*{ROOM}"),
]
"""The function whose every call fails, how, the words (`-` is a password), the code, what is said."""


@posix_only("calls of this kind")
@pytest.mark.parametrize(("function", "error", "line", "code", "said"), REFUSALS)
def test_what_the_system_refuses(
    folder: Path, make_enc: MakeEnc, function: str, error: str, *, line: str, code: int, said: str
) -> None:
    """It changes nothing, or the output appears whole all the same; no file is left open."""
    (folder / "calls").mkdir()
    make_enc("calls/b.enc")
    make_enc("other.enc", password="another password")
    (folder / "old.opus").write_bytes(b"old")
    before = contents(folder)
    if not function.startswith(("os.", "builtins.")):
        function = f"filedecryptor.{function}"
    result = run_process(
        *(function, error, "--", *line.replace(" - ", f" {PASSWORD} ").split()),
        cwd=folder,
        env=DEVELOPER,
        command=FAILING,
    )
    assert result.code == code
    assert re.search(said, result.stderr) if said else not result.stderr
    assert "Warning" not in result.stderr
    assert result.stdout == (b"" if code else b"a.opus\n")
    assert contents(folder) == (before if code else {**before, "a.opus": AUDIO})


def test_what_becomes_of_an_output_meanwhile(folder: Path, encrypted_audio: bytes) -> None:
    """A directory that somebody has put there stays; where its own is gone, nothing is made."""
    (folder / "sub").mkdir()
    runs = [begin(folder, encrypted_audio, output=output) for output in ("a.opus", "sub/a.opus")]
    (folder / "sub").rmdir()
    (folder / "a.opus").mkdir()
    (folder / "a.opus" / "precious").write_bytes(b"precious")
    before = contents(folder)
    said = [run.communicate(encrypted_audio[5000:], timeout=30)[1].splitlines() for run in runs]
    assert said == [
        [b"filedecryptor: error: a.opus: Is a directory"],
        [
            b"filedecryptor: error: sub/a.opus: No such file or directory",
            b"filedecryptor: hint: there is no directory sub",
        ],
    ]
    assert [run.returncode for run in runs] == [1, 1]
    assert contents(folder) == before


# Disks that lack what others have.

LONG = AUDIO + bytes(9_000_000)


@pytest.fixture
def odd(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of the kind that the test asks for."""
    with odd_disk.mounted(tmp_path, request.param) as path:
        yield path


@pytest.mark.parametrize("odd", ["busy"], indirect=True)
@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
def test_a_disk_that_leaves_open_files_alone(odd: Path, audio: bytes, if_exists: str) -> None:
    """It renames and removes only what is closed, links nothing, and flushes no directories."""
    recording = encrypt(audio, PASSWORD)
    (odd / "a.enc").write_bytes(recording)
    result = run("--if-exists", if_exists, "a.enc", PASSWORD, "opus", cwd=odd)
    assert (result.code, result.stdout, result.stderr) == (0, b"a.opus\n", "")
    assert contents(odd) == {"a.enc": recording, "a.opus": audio}
    if if_exists == "replace":
        (odd / "a.opus").write_bytes(b"old")
        assert run("a.enc", PASSWORD, "opus", cwd=odd).code == 0
        assert contents(odd) == {"a.enc": recording, "a.opus": audio}


@pytest.mark.parametrize("odd", ["busy", "folding"], indirect=True)
@pytest.mark.parametrize("audio", [AUDIO, LONG], ids=["short", "long"])
def test_what_fails_leaves_nothing_there(odd: Path, audio: bytes) -> None:
    """A wrong password writes nothing, and an output that appears meanwhile is left alone."""
    (odd / "a.enc").write_bytes(encrypt(audio, PASSWORD))
    before = contents(odd)
    assert run("a.enc", "wrong", "opus", cwd=odd).code == 3
    assert contents(odd) == before
    (odd / "a.opus").mkdir()
    assert run("a.enc", PASSWORD, "opus", cwd=odd).code == 1
    assert contents(odd) == {**before, "a.opus": None}
