"""Whether this machine has lanes; and whatever becomes of the child that compiles them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.commands import has_ended, wait_until
from support.lanes import one_constant_changed
from support.posix import resource

from filedecryptor.lanes import machine
from filedecryptor.lanes.compiler import KERNELS
from filedecryptor.lanes.machine import ENOUGH_KEYS, MEMORY_NEEDED, Machine, compiled, has_room

llvmlite = pytest.importorskip("llvmlite", reason="the extra lanes is not installed")
binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")

UNAFFECTED = "the keys are derived without it, and no recording is affected"
FAILED = (
    f"the extra 'lanes' does not work here (its test run failed), and is not used; {UNAFFECTED}"
)
NONE = (0, None, None)


def made_ready() -> tuple[int, object, str | None]:
    """Return all that is known of a machine whose lanes are ready, or never will be."""
    found = Machine()
    found.make_ready()
    return found.lanes, found.in_use, found.trouble


def python(code: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program by a Python of its own."""
    words = [sys.executable, "-c", code]
    return subprocess.run(words, check=False, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("jobs", [[3] * 3 * ENOUGH_KEYS, [4] * (4 * ENOUGH_KEYS - 1) + [2]])
def test_lanes_are_made_ready_once_there_is_enough_to_do(
    monkeypatch: pytest.MonkeyPatch, jobs: list[int]
) -> None:
    """As soon as that is known, not before, and only once."""
    made: list[int] = []
    monkeypatch.setattr(Machine, "make_ready", lambda _: made.append(1))
    found = Machine()
    found.expect(len(jobs) - 1, jobs[0])
    for number in jobs[:-1]:
        found.count(number)
    assert made == []
    for number in jobs:
        found.count(number)
    found.expect(len(jobs), jobs[0])
    wait_until(lambda: bool(made))
    assert made == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_process_has_lanes_of_its_own() -> None:
    """Though the thread that was making them ready is not in it."""
    code = (
        "import os, time\n"
        "from filedecryptor.lanes.machine import ENOUGH_KEYS, MACHINE\n"
        "MACHINE.expect(ENOUGH_KEYS, 1)\n"
        "if not (child := os.fork()):\n"
        "    MACHINE.expect(ENOUGH_KEYS, 1)\n"
        "    deadline = time.monotonic() + 30\n"
        "    while MACHINE.lanes and not MACHINE.in_use and time.monotonic() < deadline:\n"
        "        time.sleep(0.01)\n"
        "    os._exit(bool(MACHINE.lanes and not MACHINE.in_use))\n"
        "os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert python(code).returncode == 0


def test_ready_lanes_are_those_of_the_cpu() -> None:
    """Or there are none, without a word; wrong keys are found before the first use, and told."""
    features = binding.get_host_cpu_features()
    expected = 4 if features.get("sha") else 8 if features.get("avx2") else 0
    lanes, in_use, trouble = made_ready()
    assert (lanes, in_use is None, trouble) == (expected, expected == 0, None)
    with one_constant_changed():
        found = made_ready()
    what = "the extra 'lanes' derives wrong keys on this machine, and is not used"
    assert found == (0, None, f"{what}; {UNAFFECTED}")


def test_where_there_can_be_none_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, without a thread, or in a program that has Python inside."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        found = [Machine()]
        found[0].expect(ENOUGH_KEYS, 1)
    for name in (shutil.which("true"), "no_such_program", "", None):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", name)
            found.append(Machine())
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    found.append(Machine())
    assert {(each.lanes, each.in_use, each.trouble) for each in found} == {NONE}


BROKEN = {
    "a failing import": "raise ImportError('no such library')",
    "an abort": "import os; os.abort()",
    "a crash": "import ctypes; ctypes.string_at(0)",
    "an exit": "raise SystemExit(0)",
    "noise": "print('x' * 100_000, flush=True); import os; os.write(1, bytes(100)); os._exit(0)",
    "endless noise": "import os\nwhile True: os.write(1, bytes(1000))",
    "a pause for ever": "import time; time.sleep(60)",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a package that is taken for `llvmlite`."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "llvmlite").mkdir()
    return tmp_path / "llvmlite/__init__.py"


def real_but(change: str) -> str:
    """Return the source of a package that is `llvmlite` but for a change."""
    real = Path(llvmlite.__file__)
    begin = f"__path__ = [{str(real.parent)!r}]\n{real.read_text('utf-8')}\n"
    return f"{begin}from llvmlite import binding\nreal = binding.get_host_cpu_features()\n{change}"


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_a_broken_package_is_told(
    package: Path, code: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who has installed the extra wants to know that it does nothing; nothing else is shown."""
    package.write_text(code, "utf-8")
    monkeypatch.setattr(machine, "COMPILE_TIMEOUT", 1.0)
    assert made_ready() == (0, None, FAILED)
    assert capfd.readouterr() == ("", "")


def test_a_cpu_that_no_kernel_suits_has_none(package: Path) -> None:
    """As on ARM, whose SHA instructions OpenSSL uses; what LLVM prints is no part of the answer."""
    package.write_text(real_but("print('noise', flush=True)"), "utf-8")
    assert made_ready()[2] is None
    package.write_text(real_but("binding.get_host_cpu_features = dict"), "utf-8")
    assert made_ready() == NONE


@pytest.mark.parametrize("feature", KERNELS)
def test_wrong_machine_code_is_not_handed_on(package: Path, feature: str) -> None:
    """The child has tried it out, for each of the kernels."""
    if not binding.get_host_cpu_features().get(feature):
        pytest.skip(f"this CPU has no {feature}")
    only = (
        f"class Only(dict): flatten = real.flatten\n"
        f"binding.get_host_cpu_features = lambda: Only({feature}=True)\n"
    )
    package.write_text(real_but(only), "utf-8")
    assert compiled() is not None
    wrong = "parse = binding.parse_assembly\nbinding.parse_assembly = lambda text: parse("
    package.write_text(real_but(f"{only}{wrong}text.replace(' xor ', ' or '))"), "utf-8")
    with pytest.raises(ChildProcessError):
        compiled()


def test_the_child_gets_no_secret(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the modules of this process, nothing on standard input, and no secret."""
    monkeypatch.setenv("FILEDECRYPTOR_PASSWORD", "geheim")
    monkeypatch.setenv("VNS_API_TOKEN", "geheim")
    monkeypatch.setattr(sys, "path", [*sys.path, "a folder"])
    seen = package.with_name("seen")
    found = "[sys.path, dict(os.environ), sys.argv, sys.stdin.read()]"
    write = f"open({str(seen)!r}, 'w').write(json.dumps({found}))"
    package.write_text(f"import json, os, sys; {write}", "utf-8")
    before, (stdin, other_end) = os.dup(0), os.pipe()
    os.write(other_end, b"geheim")
    os.close(other_end)
    os.dup2(stdin, 0)
    os.close(stdin)
    try:
        with pytest.raises(ChildProcessError):
            compiled()
    finally:
        os.dup2(before, 0)
        os.close(before)
    path, environment, _, read = json.loads(seen.read_text("utf-8"))
    assert (path, read) == (sys.path, "")
    assert not {"FILEDECRYPTOR_PASSWORD", "VNS_API_TOKEN"} & set(environment)
    assert "geheim" not in seen.read_text("utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("end", "code"),
    [("sys.exit(7)", 7), ("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)],
)
def test_the_child_ends_with_its_parent(package: Path, end: str, code: int) -> None:
    """However that ends, it does not wait for a child that hangs, and leaves none behind."""
    package.write_text(
        "import os, pathlib, time; pathlib.Path('child').write_text(f'{os.getpid()}\\n')\n"
        "time.sleep(60)",
        "utf-8",
    )
    program = (
        "import os, pathlib, sys, time\n"
        "from filedecryptor.lanes.machine import ENOUGH_KEYS, MACHINE\n"
        "MACHINE.expect(ENOUGH_KEYS, 1)\n"
        "child = pathlib.Path('child')\n"
        "while not (child.exists() and child.read_text()): time.sleep(0.01)\n"
        f"{end}\n"
    )
    begin = time.monotonic()
    assert python(program, cwd=package.parents[1]).returncode == code
    child = int((package.parents[1] / "child").read_text("utf-8"))
    wait_until(lambda: has_ended(child))
    assert time.monotonic() - begin < 20, "the child's own time is 30 seconds"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_where_a_limit_is_set_there_is_no_room(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """However high it is: other things may have to fit in as well."""
    limits = {getattr(resource, kind): 1 << 40}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits.get(kind, -1), -1))
    assert not has_room()
    limits.clear()
    assert has_room()


MIB = 1 << 20
PLENTY, LITTLE = MEMORY_NEEDED + 100 * MIB, MEMORY_NEEDED - MIB


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all control groups."""
    monkeypatch.setattr(machine, "CGROUPS", str(tmp_path))
    monkeypatch.setattr(machine, "OWN_CGROUPS", str(tmp_path / "own"))
    return tmp_path


@pytest.mark.parametrize(
    ("own", "above", "room"),
    [
        ((PLENTY, 0, 0), (), True),
        ((LITTLE, 0, 0), (), False),
        ((PLENTY, 200 * MIB, 0), (), False),
        ((PLENTY, 200 * MIB, 150 * MIB), (), True),
        (("max", 0, 0), (LITTLE, 0, 0), False),
        (("max", 0, 0), ("max", 0, 0), True),
        ((), (LITTLE, 0, 0), False),  # in a container, where its own path is not to be seen
        ((), (), True),
    ],
)
def test_every_control_group_counts(
    groups: Path, own: tuple[Any, ...], above: tuple[Any, ...], *, room: bool
) -> None:
    """The process's own and those above; files that were read once are given back at once."""
    (groups / "own").write_text("5:cpuset:/\n1:name=systemd:/x\n0::/a/b\n", "utf-8")
    (groups / "a/b").mkdir(parents=True)
    for place, group in (("a/b", own), (".", above)):
        names = ["memory.max", "memory.current", "memory.stat"]
        for name, value in zip(names, group, strict=False):
            before = "anon 1\ninactive_file " if name == "memory.stat" else ""
            (groups / place / name).write_text(f"{before}{value}\n", "utf-8")
    assert has_room() == room
    # Without /proc, or with files that are not understood, there is no limit.
    for text in ("", "nonsense\n", "1:memory:/a\n"):
        (groups / "own").write_text(text, "utf-8")
        assert has_room()
    (groups / "own").unlink()
    assert has_room()
