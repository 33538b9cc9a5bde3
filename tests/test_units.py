"""The units of systemd that docs/schedule.md shows: they are safe, and their programs work in them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has systemd", allow_module_level=True)

from support import hardened
from support.api_server import TOKEN, serving
from support.commands import SCRIPTS, VNS
from support.folders import contents
from support.posix import IS_ROOT
from support.recordings import AUDIO, PASSWORD, WAV, encrypt

from filedecryptor.core.spool import MEMORY_LIMIT

PAGE = (Path(__file__).parents[1] / "docs" / "schedule.md").read_text("utf-8")

FILES = dict(re.findall(r"```ini\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
HARDENING = FILES.pop("UNIT.service.d/hardening.conf").removeprefix("[Service]\n")
TIMER = FILES.pop("UNIT.timer")
TEMPLATES = {name: FILES.pop(name) for name in ("tell@.service", "alive@.service")}
ON_SUCCESS = re.findall("`(OnSuccess=.*)`", PAGE)[0]

UNITS = {
    **{
        name: text.replace("/usr/local/bin", str(SCRIPTS)).replace(
            "[Unit]\n", f"[Unit]\n{ON_SUCCESS}\n"
        )
        + HARDENING
        for name, text in FILES.items()
    },
    **{name.replace(".service", ".timer"): TIMER for name in FILES},
    **TEMPLATES,
}
"""What the page shows, with the programs of the tests; the drop-in is part of each service."""

EXPOSURE = 20  # tenths of what `systemd-analyze security` calls the exposure level; below is `OK`


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_a_unit(tmp_path: Path, name: str) -> None:
    """It has nothing to say about any line; a program of ours is hardly exposed, as systemd sees it."""
    if shutil.which("systemd-analyze") is None or not Path(VNS).exists():
        pytest.skip("there is no systemd-analyze, or the extra vns is not installed")
    path = tmp_path / name
    for other, text in UNITS.items():
        (tmp_path / other).write_text(text.replace("/usr/bin/curl", "/bin/true"))
    if name in FILES:
        done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", path)
        assert "Overall exposure level" in done.stdout, done.stderr
        assert done.returncode == 0, done.stdout
    for other in FILES:
        (tmp_path / other).write_text(UNITS[other].replace("User=recordings", "User=root"))
    done = analyze("verify", path)
    if "Failed to" in done.stderr:
        pytest.skip("systemd-analyze does not work in this container")
    assert (done.returncode, path.name in done.stderr) == (0, False), done.stderr


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Let systemd say what it thinks of a unit."""
    return subprocess.run(["systemd-analyze", *words], check=False, capture_output=True, text=True)


STAND_INS = {
    "systemctl": '[ "$*" = "status --no-pager --lines=20 recordings" ] && echo its lines; exit 3',
    "mail": '[ "$*" = "-s recordings has failed on here root" ] && cat',
}


@pytest.mark.parametrize(("way", "told"), [("OnFailure", "its lines\n"), ("OnSuccess", "called")])
def test_the_end_of_a_run_is_told(tmp_path: Path, way: str, told: str) -> None:
    """A failure by mail, a success to a monitor; each by the name of the unit."""
    for name, script in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "recordings").write_text("called")
    [wanted] = {line for name in FILES for line in re.findall(f"{way}=(.*)\n", UNITS[name])}
    [line] = re.findall("ExecStart=(.*)\n", UNITS[wanted.replace("%N", "")])
    line = line.replace("https://monitor.example", tmp_path.as_uri())
    words = shlex.split(line.replace("%i", "recordings").replace("%H", "here"))
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]}")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(words, check=True, env=env, capture_output=True, text=True)
    assert done.stdout == told


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """What is `/srv` for a unit: secrets, and directories."""
    tmp_path.chmod(0o755)
    for name in ("credentials", "recordings", "audio", "calls"):
        (tmp_path / name).mkdir()
    (tmp_path / "credentials" / "vns-password").write_text(f"{PASSWORD}\n")
    (tmp_path / "credentials" / "vns-token").write_text(f"{TOKEN}\n")
    return tmp_path


def run_unit(
    way: str, name: str, srv: Path, *, command: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the command of a unit, or another one, as the user of the tests or as systemd would."""
    unit = dict(re.findall("^([A-Za-z]+)=(.*)$", UNITS[name], re.MULTILINE))
    unit["ExecStart"] = command or unit["ExecStart"]
    if way == "plainly":
        line = unit["ExecStart"].replace("%d", "/srv/credentials").replace("/srv", str(srv)).split()
    elif not IS_ROOT or shutil.which("systemd-analyze") is None:
        pytest.skip("only root can imitate systemd, with systemd-analyze")
    else:
        line = hardened.line(unit, srv)
        for path in (srv / "audio", srv / "calls", *(srv / "credentials").iterdir()):
            os.chown(path, hardened.NOBODY, hardened.NOBODY)
    options: Any = {"capture_output": True, "text": True, "umask": int(unit["UMask"], 8)}
    env |= {name: os.environ[name] for name in ("PATH", "PYTHONPATH")}
    done = subprocess.run(line, check=False, env=env, timeout=120, **options)
    if done.stderr.startswith(("unshare:", "mount:", "mknod:", "this kernel")):
        pytest.skip(f"systemd cannot be imitated here: {done.stderr}")
    return done


WAYS = [("plainly", 3), pytest.param("hardened", 40, marks=pytest.mark.slow)]
"""How to run a unit, and with how many recordings; with many, keys are derived side by side."""


@pytest.mark.parametrize(("way", "count"), WAYS)
def test_recordings_are_decrypted_in_their_unit(srv: Path, way: str, count: int) -> None:
    """All of them, short ones and one that does not fit in memory; a second run has no work."""
    long = WAV + bytes(MEMORY_LIMIT)
    for number in range(count):
        (srv / "recordings" / f"{number}.enc").write_bytes(encrypt(WAV))
    (srv / "recordings" / "long.enc").write_bytes(encrypt(long))
    for _ in range(2):
        done = run_unit(way, "recordings.service", srv)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        found = contents(srv / "audio")
        assert found == {f"{number}.wav": WAV for number in range(count)} | {"long.wav": long}
    assert {(srv / "audio" / name).stat().st_mode & 0o777 for name in found} == {0o600}


@pytest.mark.parametrize(("way", "count"), WAYS)
def test_an_archive_is_filled_in_its_unit(srv: Path, way: str, count: int) -> None:
    """With all that the account lists."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    with serving() as api:
        api.recordings = {str(uuid4()): encrypt(AUDIO) for _ in range(count)}
        done = run_unit(way, "vns-recordings.service", srv, VNS_API_URL=api.url)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    found = contents(srv / "calls")
    for guid in api.recordings:
        assert found[f"{guid}.opus"] == AUDIO
        assert f"{guid}.json" in found


FORBIDDEN = {
    "write elsewhere": "open('/srv/calls/x', 'w')",
    "write where anybody may": "open('/tmp/x', 'x')",
    "see a home": "os.listdir('/root')",
    "be root": "os.setuid(0)",
    "use the network": "socket.socket()",
    "talk to other programs": "socket.socket(socket.AF_UNIX)",
    "make code": "mmap.mmap(-1, 4096, prot=7)",
    "make a device": "os.mknod('/srv/audio/null', 0o20666, os.makedev(1, 3))",
    "be traced": "ctypes.CDLL(None).ptrace(0, 0, 0, 0) and os.lstat('')",
    "see the machine's memory": "open('/proc/meminfo')",
    "see other processes": "os.stat('/proc/1')",
}
"""What a unit may not do, and Python that does it."""

TRY = f"""
import ctypes, mmap, os, socket
for name, code in {FORBIDDEN}.items():
    try:
        exec(code)
        print(name)
    except OSError:
        pass
open("/srv/audio/done", "w"), open("/dev/null", "w"), os.urandom(1), os.stat("/proc/self/fd/0")
"""


def test_what_a_unit_may_not_do(srv: Path) -> None:
    """The imitation is one, and what programs need works in it."""
    (srv / "try.py").write_text(TRY)
    command = f"{sys.executable} /srv/try.py"
    done = run_unit("hardened", "recordings.service", srv, command=command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
