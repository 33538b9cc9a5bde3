"""The units of systemd that docs/schedule.md shows: they are safe, and their programs work in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has systemd", allow_module_level=True)

from support import encryptor, hardened
from support.api_server import TOKEN, serving
from support.commands import SCRIPTS, VNS
from support.folders import contents
from support.posix import IS_ROOT
from support.recordings import AUDIO, PASSWORD, WAV

from filedecryptor.core.spool import MEMORY_LIMIT

PAGE = (Path(__file__).parents[1] / "docs" / "schedule.md").read_text("utf-8")

FILES = dict(re.findall(r"```ini\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
HARDENING = FILES.pop("UNIT.service.d/hardening.conf").removeprefix("[Service]\n")
TIMER = FILES.pop("UNIT.timer")

UNITS = {
    **{
        name: f"{text.replace('/opt/filedecryptor/bin', str(SCRIPTS))}{HARDENING}"
        for name, text in FILES.items()
    },
    **{name.replace(".service", ".timer"): TIMER for name in FILES},
}
"""What the page shows, with the programs of the tests; the drop-in is part of each service."""

SERVICES = [name for name in UNITS if name.endswith(".service")]

EXPOSURE = 20  # tenths of what `systemd-analyze security` calls the exposure level; below is `OK`


def test_each_program_has_a_unit_and_a_timer() -> None:
    """They have the same names."""
    assert sorted(UNITS) == [
        f"{name}.{kind}"
        for name in ("recordings", "vns-recordings")
        for kind in ("service", "timer")
    ]


@pytest.fixture
def folder_of_units(tmp_path: Path) -> Path:
    """A folder that holds the units, and may be shown to systemd."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace("User=recordings", "User=root"))
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_a_unit(folder_of_units: Path, name: str) -> None:
    """It has nothing to say about any line."""
    if not Path(VNS).exists():
        pytest.skip("the extra vns is not installed")
    done = analyze("verify", str(folder_of_units / name))
    if "Failed to" in done.stderr:
        pytest.skip("systemd-analyze does not work in this container")
    assert (done.returncode, name in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_hardly_exposed(folder_of_units: Path, name: str) -> None:
    """As systemd sees it."""
    (folder_of_units / name).write_text(UNITS[name])
    done = analyze(
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE}",
        "--no-pager",
        str(folder_of_units / name),
    )
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Let systemd say what it thinks of a unit."""
    return subprocess.run(["systemd-analyze", *words], check=False, capture_output=True, text=True)


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """What is `/srv` for a unit: secrets, and directories."""
    tmp_path.chmod(0o755)
    for name in ("credentials", "recordings", "audio", "calls"):
        (tmp_path / name).mkdir()
    (tmp_path / "credentials" / "vns-password").write_text(f"{PASSWORD}\n")
    (tmp_path / "credentials" / "vns-token").write_text(f"{TOKEN}\n")
    return tmp_path


def run_plainly(unit: str, srv: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a unit, as the user of the tests."""
    [command] = hardened.parsed(unit)["ExecStart"]
    words = command.replace("%d", "/srv/credentials").replace("/srv", str(srv)).split()
    return subprocess.run(words, check=False, capture_output=True, text=True, env=env, umask=0o077)


def run_hardened(unit: str, srv: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a unit as systemd would."""
    if not IS_ROOT:
        pytest.skip("only root can imitate systemd")
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    (srv / "service").write_text(unit)
    for path in (srv / "audio", srv / "calls", *(srv / "credentials").iterdir()):
        os.chown(path, hardened.NOBODY, hardened.NOBODY)
    done = subprocess.run(
        [sys.executable, hardened.__file__, srv / "service", srv],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **env},
        timeout=120,
    )
    if done.returncode == hardened.IMPOSSIBLE:
        pytest.skip(f"systemd cannot be imitated here: {done.stderr}")
    return done


def skip_if_incomplete(srv: Path) -> None:
    """Skip what has been tested, but for a limit that could not be set here."""
    path = srv / "not-imitated"
    if path.exists() and (missing := path.read_text()):
        pytest.skip(f"all but {missing} was imitated")


RunUnit = Callable[..., subprocess.CompletedProcess[str]]

WAYS = [(run_plainly, 3), (run_hardened, 40)]
"""How to run a unit, and with how many recordings; with many, keys are derived side by side."""


@pytest.mark.real_iterations
@pytest.mark.parametrize(("run", "count"), WAYS)
def test_recordings_are_decrypted_in_their_unit(srv: Path, run: RunUnit, count: int) -> None:
    """All of them, short ones and one that does not fit in memory; a second run has no work."""
    long = WAV + bytes(MEMORY_LIMIT)
    recording = encryptor.encrypt(WAV, PASSWORD)
    for number in range(count):
        (srv / "recordings" / f"{number}.enc").write_bytes(recording)
    (srv / "recordings" / "long.enc").write_bytes(encryptor.encrypt(long, PASSWORD))
    for _ in range(2):
        done = run(UNITS["recordings.service"], srv)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        found = contents(srv / "audio")
        assert found == {f"{number}.wav": WAV for number in range(count)} | {"long.wav": long}
    assert {(srv / "audio" / name).stat().st_mode & 0o777 for name in found} == {0o600}
    skip_if_incomplete(srv)


@pytest.mark.real_iterations
@pytest.mark.parametrize(("run", "count"), WAYS)
def test_an_archive_is_filled_in_its_unit(srv: Path, run: RunUnit, count: int) -> None:
    """With all that the account lists."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    with serving() as api:
        recording = encryptor.encrypt(AUDIO, PASSWORD)
        api.recordings = {str(uuid4()): recording for _ in range(count)}
        done = run(UNITS["vns-recordings.service"], srv, VNS_API_URL=api.url)
        names = {f"{guid}.opus" for guid in api.recordings}
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    found = contents(srv / "calls")
    assert {name for name in found if name.endswith(".opus")} == names
    assert {found[name] for name in names} == {AUDIO}
    assert {name.replace(".opus", ".json") for name in names} <= set(found)
    skip_if_incomplete(srv)


FORBIDDEN = {
    "write elsewhere": "open('/srv/calls/x', 'w')",
    "see a home": "os.listdir('/root')",
    "be root": "os.setuid(0)",
    "use the network": "socket.socket()",
    "talk to other programs": "socket.socket(socket.AF_UNIX)",
    "make code": "mmap.mmap(-1, 4096, prot=7)",
    "make code of data": "refuse(c.mprotect(address, 4096, 5))",
    "make a namespace": "refuse(c.unshare(0x4000000))",
    "make a program of root's": "os.chmod('/srv/audio', 0o4755)",
    "mount": "refuse(c.mount(b'/srv/audio', b'/mnt', b'', 4096, b''))",
    "see the machine's memory": "open('/proc/meminfo')",
    "see other processes": "os.stat('/proc/1')",
}
"""What a unit may not do, and Python that does it."""

TRY = f"""
import ctypes, mmap, os, socket, tempfile

def refuse(result):
    if result:
        raise OSError

c = ctypes.CDLL(None)
page = mmap.mmap(-1, 4096)
address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page)))
for name, code in {FORBIDDEN}.items():
    try:
        exec(code)
        print(name)
    except OSError:
        pass
open("/srv/audio/done", "w"), open("/dev/null", "w"), os.urandom(1), os.stat("/proc/self/fd/0")
tempfile.TemporaryFile().write(b"x")
"""


@pytest.mark.parametrize(("kind", "expected"), [("bare", [*FORBIDDEN]), ("hardened", [])])
def test_what_a_unit_may_not_do(srv: Path, kind: str, expected: list[str]) -> None:
    """The imitation is one: what works in a bare unit fails, and what programs need works."""
    (srv / "try.py").write_text(TRY)
    command = f"ExecStart={sys.executable} /srv/try.py"
    text = f"[Service]\nUMask=0077\n{command}\n"
    if kind == "hardened":
        text = re.sub("ExecStart=.*", command, UNITS["recordings.service"])
    done = run_hardened(text, srv)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == expected
