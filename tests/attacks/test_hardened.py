"""Batches where LLVM cannot work: no lanes, perhaps a warning, and every recording is done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import pytest
from support import encryptor
from support.commands import COMMAND
from support.folders import contents
from support.night import UNDER_MDWE
from support.posix import IS_ROOT
from support.recordings import AUDIO, PASSWORD

pytest.importorskip("llvmlite", reason="the extra lanes is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_iterations,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux"),
]

WARNING = (
    "filedecryptor: warning: the extra 'lanes' does not work here (its test run failed), and is not used; "
    "the keys are derived without it, and no recording is affected\n"
)

COUNT = 40


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A folder of recordings, for which keys are derived as long as LLVM takes, and longer."""
    (tmp_path / "batch").mkdir()
    recording = encryptor.encrypt(AUDIO, PASSWORD)
    for number in range(COUNT):
        (tmp_path / "batch" / f"{number:02}.enc").write_bytes(recording)
    return tmp_path / "batch"


def decrypt(batch: Path, *before: str, told: Collection[str] = ("",), **env: str) -> None:
    """Run the command behind some others: all is done, and nothing said but what may be."""
    done = subprocess.run(
        [*before, COMMAND, ".", PASSWORD, "opus", "-q"],
        check=False,
        cwd=batch,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode == 99:
        pytest.skip("this kernel cannot forbid it")
    assert done.returncode == 0, done
    assert done.stderr in told
    found = contents(batch)
    assert sum(found[name] == AUDIO for name in found if name.endswith(".opus")) == COUNT
    assert len(found) == 2 * COUNT


def test_memory_that_may_not_become_executable(batch: Path) -> None:
    """As for a service with MemoryDenyWriteExecute=yes."""
    decrypt(batch, sys.executable, "-c", UNDER_MDWE, told={WARNING})


LIMITS = {
    "-d": (100_000, 120_000, 140_000, 200_000, 400_000),
    "-v": (300_000, 600_000),
    "-n": (12, 20, 64, 127, 128),
    "-s": (256, 1_000_000, "unlimited"),
}


@pytest.mark.parametrize("limit", [f"{key} {size}" for key in LIMITS for size in LIMITS[key]])
def test_limits(batch: Path, limit: str) -> None:
    """Those of the shell, or of a service."""
    decrypt(batch, "bash", "-c", f'ulimit {limit}; exec "$0" "$@"')


@pytest.mark.skipif(not IS_ROOT, reason="needs to be a user without processes")
@pytest.mark.parametrize("limit", [1, 2, 6, 30, 60])
def test_few_processes(batch: Path, limit: int) -> None:
    """Threads count as well, so there may be some, and no child."""
    capabilities = "+dac_read_search,+dac_override"  # it may read what root has installed
    user = ["setpriv", "--reuid=65532", "--clear-groups"]
    user += [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
    causes = ("[Errno 11] Resource temporarily unavailable", "can't start new thread")
    told = {"", WARNING, *(WARNING.replace("its test run failed", cause) for cause in causes)}
    decrypt(batch, *user, "bash", "-c", f'ulimit -u {limit}; exec "$0" "$@"', told=told)


@pytest.mark.parametrize("code", ["import os; os.abort()", "import time; time.sleep(5)"])
def test_a_broken_package(batch: Path, tmp_path: Path, code: str) -> None:
    """It crashes, or hangs for longer than the batch takes."""
    (tmp_path / "llvmlite").mkdir()
    (tmp_path / "llvmlite/__init__.py").write_text(code, "utf-8")
    decrypt(batch, told={WARNING, ""}, PYTHONPATH=str(tmp_path))


@pytest.mark.parametrize("size", [48, 64, 96, 128, 192, 256, 384, 512, 768])
def test_a_control_group(batch: Path, size: int) -> None:
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
        script = f'echo $$ >{group}/cgroup.procs && exec "$0" "$@"'
        decrypt(batch, "bash", "-c", script)
        assert "oom_kill 0" in (group / "memory.oom_control").read_text("utf-8")
    finally:
        group.rmdir()
