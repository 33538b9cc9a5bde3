"""What the lanes of this machine are good for."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from support.lanes import good_lanes, one_constant_changed

from filedecryptor import lanes, machine
from filedecryptor.kernels import Kernel, with_vectors
from filedecryptor.lanes import Lanes, built
from filedecryptor.machine import ENOUGH, InUse, Machine


@pytest.fixture
def installed() -> None:
    """Skip what needs the extra."""
    pytest.importorskip("llvmlite", reason="the extra lanes is not installed")


@pytest.mark.usefixtures("installed")
def test_lanes_are_made_ready_once_there_is_enough_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before, and only once."""
    made: list[int] = []
    monkeypatch.setattr(Machine, "make_ready", lambda _: made.append(1))
    found = Machine()
    for _ in range(3 * ENOUGH - 1):
        found.count(jobs=3)
    assert made == []
    for _ in range(3 * ENOUGH):
        found.count(jobs=3)
    deadline = time.monotonic() + 30
    while not made and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [1]


@pytest.mark.usefixtures("installed")
def test_ready_lanes_are_right_and_faster() -> None:
    """Or there are none, without a word."""
    found = Machine()
    found.make_ready()
    assert found.trouble is None
    if found.in_use is None:
        assert found.lanes == 0
    else:
        assert 1 <= found.in_use.fewest <= found.in_use.lanes.count == found.lanes


@pytest.mark.usefixtures("installed")
def test_wrong_keys_are_found_before_the_first_use() -> None:
    """Lanes that fail are not used, and it is said why."""
    found = Machine()
    with one_constant_changed():
        found.make_ready()
    assert found.in_use is None
    assert found.lanes == 0
    assert found.trouble == (
        "the extra 'lanes' derives wrong keys on this machine, and is not used; the keys are "
        "derived without it, and no recording is affected"
    )


@pytest.mark.usefixtures("installed")
def test_lanes_that_are_slower_than_openssl_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an ARM CPU whose SHA instructions OpenSSL uses. There is nothing to tell."""
    fast = good_lanes()

    def slow(memory: object, iterations: int) -> None:
        time.sleep(0.1)
        fast.function(memory, iterations)

    lanes_of_arm = Lanes(with_vectors(4), slow, fast)
    monkeypatch.setattr(lanes, "compiled", lambda: iter([lanes_of_arm]))
    found = Machine()
    found.make_ready()
    assert (found.in_use, found.trouble, found.lanes) == (None, None, 0)


@pytest.mark.usefixtures("installed")
def test_other_lanes_have_to_be_clearly_faster() -> None:
    """A key in each of four lanes is soon there; more of them wait longer for their group."""
    four, eight = good_lanes(4), good_lanes(8)
    assert InUse(four, 1.0, 4).is_better(None)
    assert not InUse(four, 1.0, 5).is_better(None)
    assert not InUse(eight, 1.9, 2).is_better(InUse(four, 1.0, 2))
    assert InUse(eight, 1.7, 2).is_better(InUse(four, 1.0, 2))


@pytest.mark.usefixtures("installed")
def test_what_was_distrusted_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lanes that become ready later do not bring the extra back."""
    found = Machine()
    fast = next(lanes.compiled())

    def compiled() -> Iterator[Lanes]:
        yield fast
        found.distrust("derived a wrong key")
        yield fast

    monkeypatch.setattr(lanes, "compiled", compiled)
    found.make_ready()
    assert found.in_use is None


def test_without_the_extra_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread, no lanes, and nothing to tell."""
    monkeypatch.setattr(machine, "PACKAGE", "no_such_package")
    monkeypatch.setattr(Machine, "make_ready", lambda _: pytest.fail("it is not installed"))
    found = Machine()
    for _ in range(10 * ENOUGH):
        found.count(jobs=1)
    assert (found.lanes, found.in_use, found.trouble) == (0, None, None)


@pytest.mark.usefixtures("installed")
def test_without_a_thread_to_compile_in_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may have no more of them."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    found = Machine()
    for _ in range(2 * ENOUGH):
        found.count(jobs=1)
    assert (found.lanes, found.in_use, found.trouble) == (0, None, None)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_where_memory_is_limited_there_are_none() -> None:
    """LLVM would end the process where there is no more of it."""
    code = "from filedecryptor.machine import MACHINE; print(MACHINE.lanes)"
    script = f'ulimit -v 4000000; exec "$0" -c "{code}"'
    words = ["bash", "-c", script, sys.executable]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout == "0\n"


def test_a_broken_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has installed the extra wants to know that it does nothing."""
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    found = Machine()
    found.make_ready()
    assert found.trouble is not None
    assert found.trouble.startswith(
        "the extra 'lanes' does not work here (ModuleNotFoundError), and is not used; "
    )


@pytest.mark.usefixtures("installed")
def test_a_compiler_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a broken installation is."""
    nonsense = Kernel("this is no code", with_vectors(4).places)
    monkeypatch.setattr(lanes, "compiled", lambda: map(built, [nonsense]))
    found = Machine()
    found.make_ready()
    assert "does not work here (RuntimeError)" in str(found.trouble)


def test_it_is_cheap_to_import() -> None:
    """A batch that is too small to gain does not pay for the lanes."""
    code = (
        "import filedecryptor.batch, sys; "
        "names = ['llvmlite', 'filedecryptor.lanes', *(['ctypes'] * (sys.platform != 'win32'))]; "
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_interpreter_does_not_end_while_the_lanes_are_made_ready() -> None:
    """LLVM would be taken apart under its own hands, and the exit code be that of a crash."""
    pytest.importorskip("llvmlite", reason="the extra lanes is not installed")
    code = (
        "import atexit, threading\n"
        "from filedecryptor.machine import ENOUGH, MACHINE\n"
        "def ask():\n"
        "    for _ in range(ENOUGH): MACHINE.count(1)\n"
        "atexit.register(lambda: print(MACHINE.in_use is not None or MACHINE.lanes == 0))\n"
        "asking = threading.Thread(target=ask, daemon=True)\n"
        "asking.start()\n"
        "asking.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
