"""The lanes of this machine, if it has any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

import pytest
from support.commands import wait_until
from support.lanes import one_constant_changed

from filedecryptor.lanes import machine
from filedecryptor.lanes.machine import ENOUGH, Machine


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
    wait_until(lambda: bool(made))
    assert made == [1]


@pytest.mark.usefixtures("installed")
def test_where_the_number_of_keys_is_known_they_are_made_ready_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the rest of the program is loaded."""
    made: list[int] = []
    monkeypatch.setattr(Machine, "make_ready", lambda _: made.append(1))
    found = Machine()
    found.expect(4 * ENOUGH - 1, jobs=4)
    assert made == []
    found.expect(4 * ENOUGH, jobs=4)
    found.expect(4 * ENOUGH, jobs=4)
    wait_until(lambda: bool(made))
    assert made == [1]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("jobs", [[4] * 8 + [2] * 40, [8] * 20 + [1], [1] * ENOUGH])
def test_batches_of_different_jobs_have_them_made_ready(
    monkeypatch: pytest.MonkeyPatch, jobs: list[int]
) -> None:
    """However the keys were counted, there were enough of them."""
    made: list[int] = []
    monkeypatch.setattr(Machine, "make_ready", lambda _: made.append(1))
    found = Machine()
    for number in jobs:
        found.count(number)
    wait_until(lambda: bool(made))
    assert made == [1]


@pytest.mark.usefixtures("installed")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_process_has_lanes_of_its_own() -> None:
    """Though the thread that was making them ready is not in it."""
    code = (
        "import os, time\n"
        "from filedecryptor.lanes.machine import ENOUGH, MACHINE\n"
        "def ask():\n"
        "    for _ in range(ENOUGH): MACHINE.count(1)\n"
        "hopeful = MACHINE.lanes\n"
        "ask()\n"
        "if not os.fork():\n"
        "    ask()\n"
        "    deadline = time.monotonic() + 30\n"
        "    while MACHINE.lanes and not MACHINE.in_use and time.monotonic() < deadline:\n"
        "        time.sleep(0.01)\n"
        "    os._exit(bool(MACHINE.lanes and not MACHINE.in_use))\n"
        "os._exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 0


def test_ready_lanes_are_those_of_the_cpu() -> None:
    """Or there are none, without a word."""
    binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")
    features = binding.get_host_cpu_features()
    lanes = 4 if features.get("sha") else 8 if features.get("avx2") else 0
    found = Machine()
    found.make_ready()
    assert (found.lanes, found.trouble) == (lanes, None)
    assert (found.in_use is None) == (lanes == 0)


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


def test_it_is_cheap_to_import() -> None:
    """A batch that is too small to gain does not pay for the lanes."""
    code = (
        "import filedecryptor.jobs.batch, sys; "
        "names = ['llvmlite', 'subprocess', 'filedecryptor.lanes.kernel', *(['ctypes'] * (sys.platform != 'win32'))]; "
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["true", "yes", "no_such_program", "", None])
def test_a_program_with_python_inside_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """It would do its own work once more; so there are no lanes, and nothing to tell."""
    path = shutil.which(name) if name else None
    monkeypatch.setattr(sys, "executable", path or name)
    found = Machine()
    assert (found.lanes, found.in_use, found.trouble) == (0, None, None)
