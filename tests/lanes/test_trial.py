"""A child process that compiles: whatever becomes of it, this process goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import children, has_ended, wait_until

from filedecryptor.lanes import machine
from filedecryptor.lanes.machine import Machine, TrialError, compiled

llvmlite = pytest.importorskip("llvmlite", reason="the extra lanes is not installed")

UNTIL_KILLED = "import time; time.sleep(60)"

BROKEN = {
    "a failing import": "raise ImportError('no such library')",
    "an abort": "import os; os.abort()",
    "a crash": "import ctypes; ctypes.string_at(0)",
    "an exit": "raise SystemExit(0)",
    "noise": "print('x' * 100_000, flush=True); import os; os.write(1, bytes(100)); os._exit(0)",
    "a package without anything": "",
    "endless noise": "import os\nwhile True: os.write(1, bytes(1000))",
    "a pause for ever": UNTIL_KILLED,
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a package that is taken for `llvmlite`."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "llvmlite").mkdir()
    return tmp_path / "llvmlite/__init__.py"


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_a_broken_package_is_told(
    package: Path, code: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever has installed the extra wants to know that it does nothing; nothing else is shown."""
    package.write_text(code, "utf-8")
    monkeypatch.setattr(machine, "TIMEOUT", 2.0)
    found = Machine()
    begin = time.monotonic()
    found.make_ready()
    assert time.monotonic() - begin < 20
    assert (found.in_use, found.lanes) == (None, 0)
    assert found.trouble == (
        "the extra 'lanes' does not work here (its test run failed), and is not used; the keys are derived "
        "without it, and no recording is affected"
    )
    assert capfd.readouterr() == ("", "")


def test_what_it_prints_is_no_part_of_the_answer(package: Path) -> None:
    """Machine code is known by its digest, and comes on a descriptor of its own."""
    real = Path(llvmlite.__file__)
    package.write_text(
        f"print('noise', flush=True); __path__ = [{str(real.parent)!r}]\n"
        + real.read_text("utf-8"),
        "utf-8",
    )
    found = Machine()
    found.make_ready()
    assert found.trouble is None


def test_the_child_gets_no_secret(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the modules of this process, nothing on standard input, and no secret."""
    monkeypatch.setenv("FILEDECRYPTOR_PASSWORD", "geheim")
    monkeypatch.setenv("VNS_API_TOKEN", "geheim")
    monkeypatch.setattr(sys, "path", [*sys.path, "a folder"])
    seen = package.with_name("seen")
    package.write_text(
        "import json, os, sys\n"
        "from pathlib import Path\n"
        f"found = [sys.path, dict(os.environ), sys.argv, sys.stdin.read()]\n"
        f"Path({str(seen)!r}).write_text(json.dumps(found), 'utf-8')\n",
        "utf-8",
    )
    before, (stdin, other_end) = os.dup(0), os.pipe()
    os.write(other_end, b"geheim")
    os.close(other_end)
    os.dup2(stdin, 0)
    try:
        with pytest.raises(TrialError):
            compiled()
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(stdin)
    path, environment, _, read = json.loads(seen.read_text("utf-8"))
    assert path == sys.path
    assert read == ""
    assert not {"FILEDECRYPTOR_PASSWORD", "VNS_API_TOKEN"} & set(environment)
    assert "geheim" not in seen.read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("end", ["sys.exit(7)", "os._exit(7)", "time.sleep(60)"])
def test_the_child_ends_with_its_parent(tmp_path: Path, end: str) -> None:
    """However that ends, it does not wait for a child that hangs, and leaves none behind."""
    (tmp_path / "llvmlite").mkdir()
    (tmp_path / "llvmlite/__init__.py").write_text(
        "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(60)", "utf-8"
    )
    code = (
        "import os, pathlib, sys, time\n"
        "sys.path.insert(0, os.getcwd())\n"
        "from filedecryptor.lanes.machine import ENOUGH, MACHINE\n"
        "for _ in range(ENOUGH): MACHINE.count(1)\n"
        "while not pathlib.Path('begun').exists(): time.sleep(0.01)\n"
        "print(flush=True); sys.stdin.readline()\n"
        f"{end}\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        [child] = children(process.pid)
        process.stdin.close()
        if "sleep" in end:
            process.kill()
        begin = time.monotonic()
        assert process.wait(30) == (-signal.SIGKILL if "sleep" in end else 7)
        assert time.monotonic() - begin < 5
        wait_until(lambda: has_ended(child))
        assert time.monotonic() - begin < 20, "the child's own time is 30 seconds"
