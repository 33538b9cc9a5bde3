"""Nothing that is not authenticated can be seen while a recording is decrypted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from support import odd_disk
from support.commands import COMMAND
from support.folders import contents
from support.recordings import PASSWORD, altered, encrypt

LONG = os.urandom(30_000_000)
SHORT = LONG[:50_000]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with others for outputs and for temporary files."""
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out/a.wav", "-", "disk/a.wav"])
def test_what_is_not_authenticated_never_has_a_name(place: Path, output: str) -> None:
    """Neither where the output goes nor in the temporary directory, and nothing of it stays.

    On a disk without nameless files there are two names then, one after the other.
    """
    (place / "disk").mkdir()
    is_odd = output.startswith("disk")
    with odd_disk.mounted(place, "busy") if is_odd else nullcontext(place / "out") as there:
        (place / "a.enc").write_bytes(altered(encrypt(LONG, PASSWORD)))
        log = strace(place, "a.enc", PASSWORD, "wav", "-o", output)
        assert "+++ exited with 3 +++" in log
        assert not re.search("O_CREAT|link|rename", log)
        assert contents(there) == contents(place / "tmp") == {}
        if is_odd:
            (place / "a.enc").write_bytes(encrypt(LONG, PASSWORD))
            log = strace(place, "a.enc", PASSWORD, "wav", "-o", output)
            assert [log.count(step) for step in ("O_CREAT", "rename")] == [1, 1]
            assert contents(there) == {"a.wav": LONG}
            assert contents(place / "tmp") == {}


def strace(folder: Path, *words: str) -> str:
    """Run the command and return what it asked of the system; skip where that cannot be traced."""
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    log = folder / "log"
    calls = "trace=openat,open,creat,linkat,link,rename,renameat,renameat2,unlink,unlinkat,"
    calls += "write,pwrite64,writev,sendfile,copy_file_range,fsync,fdatasync,mkdir"
    traced = ["strace", "-f", "-y", "-o", str(log), "-e", calls, "-s", "64", COMMAND, *words]
    # What Python compiles would be written, too.
    env = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(traced, check=False, cwd=folder, env=env, capture_output=True)
    if not log.exists() or b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    text = log.read_text("utf-8")
    log.unlink()
    return text


def test_a_short_recording_is_written_only_once_it_is_authenticated(place: Path) -> None:
    """With a wrong password no byte gets to any file, whether it has a name or not."""
    (place / "a.enc").write_bytes(encrypt(SHORT, PASSWORD))
    log = strace(place, "a.enc", "wrong", "wav")
    written = [line for line in log.splitlines() if re.search(r"\bp?write(64|v)?\(", line)]
    assert {"write(2<" in line for line in written} == {True}  # the error
    assert not re.search("O_TMPFILE|O_CREAT", log)


@pytest.mark.slow
@pytest.mark.parametrize("size", [len(SHORT), 9_000_000])
@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
def test_the_order_survives_a_power_cut(
    place: Path, size: int, old: bytes | None, if_exists: str
) -> None:
    """All bytes are flushed before the name appears, and its directory is flushed afterwards."""
    if old and if_exists == "fail":
        pytest.skip("nothing is written")
    (place / "a.enc").write_bytes(encrypt(LONG[:size], PASSWORD))
    if old:
        (place / "out" / "a.wav").write_bytes(old)
    directory = "out" if old else "out/new/newer"
    log = strace(place, "--if-exists", if_exists, "-d", directory, "a.enc", PASSWORD, "wav")
    shown = f'"{directory}/a.wav"'
    steps = log.splitlines()
    writes = [n for n, line in enumerate(steps) if re.search(r"write\(\d+<[^>]*/out/", line)]
    flushes = [n for n, line in enumerate(steps) if "fsync(" in line]
    names = [
        n
        for n, line in enumerate(steps)
        if ("link" in line or "rename" in line) and shown in line and line.endswith("= 0")
    ]
    [name] = names
    assert max(writes) < flushes[-2] < name < flushes[-1], log
    made = [n for n, line in enumerate(steps) if "mkdir" in line and line.endswith("= 0")]
    assert len(made) == (0 if old else 2)
    for step, parent in zip(made, ("out", "out/new"), strict=False):
        flush = re.compile(rf"fsync\(\d+<{re.escape(str(place / parent))}>\) += 0")
        assert any(map(flush.search, steps[step:])), log
    assert (place / directory / "a.wav").read_bytes() == LONG[:size]
    assert len(list((place / directory).iterdir())) == 1
