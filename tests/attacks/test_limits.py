"""Batches where LLVM cannot work: no lanes, perhaps a warning, and every recording is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import pytest
from support import encryptor
from support.commands import COMMAND, run_process
from support.folders import contents
from support.posix import IS_ROOT
from support.recordings import AUDIO, PASSWORD

pytest.importorskip("llvmlite", reason="the extra lanes is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_iterations,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux"),
]

WARNING = (
    "filedecryptor: warning: the extra 'lanes' does not work here ({}), and is not used; "
    "the keys are derived without it, and no recording is affected\n"
)
FAILED = WARNING.format("its test run failed")

UNDER_MDWE = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(99)
os.execvp(sys.argv[1], sys.argv[1:])
"""

COUNT = 40


def decrypt(folder: Path, *before: str, told: Collection[str] = ("",), **env: str) -> None:
    """Run a batch that takes longer than LLVM: all is done, and nothing said but what may be."""
    batch = folder / "batch"
    batch.mkdir()
    recording = encryptor.encrypt(AUDIO, PASSWORD)
    for number in range(COUNT):
        (batch / f"{number:02}.enc").write_bytes(recording)
    command = [*before, COMMAND]
    done = run_process(".", PASSWORD, "opus", "-q", cwd=batch, env=env, command=command)
    if done.code == 99:
        pytest.skip("this kernel cannot forbid it")
    assert done.code == 0
    assert done.stderr in told
    outputs = {f"{number:02}.opus": AUDIO for number in range(COUNT)}
    assert contents(batch) == {f"{number:02}.enc": recording for number in range(COUNT)} | outputs


@pytest.mark.parametrize(
    "limit",
    [
        *("-d 100000", "-d 140000", "-d 400000", "-v 300000", "-v 600000"),
        *("-n 12", "-n 64", "-n 128", "-s 256", "-s unlimited"),
        "of memory that may not become executable",
    ],
)
def test_limits(tmp_path: Path, limit: str) -> None:
    """Those of memory, open files and the stack; and that of MemoryDenyWriteExecute=yes."""
    if limit.startswith("-"):
        decrypt(tmp_path, "bash", "-c", f'ulimit {limit}; exec "$0" "$@"')
    else:
        decrypt(tmp_path, sys.executable, "-c", UNDER_MDWE, told={FAILED})


@pytest.mark.skipif(not IS_ROOT, reason="needs to be a user without processes")
@pytest.mark.parametrize("limit", [1, 6, 30])
def test_few_processes(tmp_path: Path, limit: int) -> None:
    """Threads count as well, so there may be some, and no child."""
    capabilities = "+dac_read_search,+dac_override"  # it may read what root has installed
    user = ["setpriv", "--reuid=65532", "--clear-groups"]
    user += [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
    causes = ("[Errno 11] Resource temporarily unavailable", "can't start new thread")
    told = {"", FAILED, *map(WARNING.format, causes)}
    decrypt(tmp_path, *user, "bash", "-c", f'ulimit -u {limit}; exec "$0" "$@"', told=told)


@pytest.mark.parametrize("code", ["import os; os.abort()", "import time; time.sleep(5)"])
def test_a_broken_package(tmp_path: Path, code: str) -> None:
    """It crashes, or hangs for longer than the batch takes."""
    (tmp_path / "llvmlite").mkdir()
    (tmp_path / "llvmlite/__init__.py").write_text(code, "utf-8")
    decrypt(tmp_path, told={FAILED, ""}, PYTHONPATH=str(tmp_path))


@pytest.mark.parametrize("size", [48, 96, 256, 768])
def test_a_control_group(tmp_path: Path, size: int) -> None:
    """The memory of a container, in MiB: nobody is killed for LLVM."""
    group = Path(f"/sys/fs/cgroup/memory/filedecryptor-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(size << 20), "utf-8")
    except OSError:
        with suppress(OSError):
            group.rmdir()
        pytest.skip("no control group can be made here")
    try:
        decrypt(tmp_path, "bash", "-c", f'echo $$ >{group}/cgroup.procs && exec "$0" "$@"')
        assert "oom_kill 0" in (group / "memory.oom_control").read_text("utf-8")
    finally:
        group.rmdir()
