"""Where there is no room for LLVM."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from filedecryptor.lanes import machine
from filedecryptor.lanes.machine import ROOM, has_room

MIB = 1 << 20
PLENTY, LITTLE = ROOM + 100 * MIB, ROOM - MIB

CODE = "from filedecryptor.lanes.machine import has_room; print(has_room())"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("limit", ["-v 4000000", "-d 4000000", "-n 100"])
def test_where_a_limit_is_set_there_is_none(limit: str) -> None:
    """However high one of memory is: nobody knows what else is to fit in."""
    words = ["bash", "-c", f'ulimit {limit}; exec "$0" -c "{CODE}"', sys.executable]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for control groups, in which this process is in `/a/b`."""
    monkeypatch.setattr(machine, "GROUPS", str(tmp_path / "cgroup"))
    monkeypatch.setattr(machine, "MOUNTS", str(tmp_path / "mountinfo"))
    own = "5:cpuset:/\n4:cpu,memory:/a/b\n1:name=systemd:/x\n0::/a/b\n"
    (tmp_path / "cgroup").write_text(own, "utf-8")
    (tmp_path / "mount/a/b").mkdir(parents=True)
    return tmp_path


def mount(groups: Path, root: str = "/", kind: str = "cgroup2 cgroup2 rw") -> Path:
    """Say that the groups are mounted, among other file systems; return where."""
    place = groups / "mount"
    lines = f"22 1 0:1 / /proc rw,nosuid - proc proc rw\n35 31 0:32 {root} {place} rw - {kind}\n"
    (groups / "mountinfo").write_text(lines, "utf-8")
    return place


def fill(group: Path, most: str | int, used: int, given_back: int = 0) -> None:
    """Make the files of a group of version 2."""
    (group / "memory.max").write_text(f"{most}\n", "utf-8")
    (group / "memory.current").write_text(f"{used}\n", "utf-8")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {given_back}\n", "utf-8")


@pytest.mark.parametrize(
    ("own", "above", "room"),
    [
        ((PLENTY, 0), ("max", 0), True),
        ((LITTLE, 0), ("max", 0), False),
        ((PLENTY, 200 * MIB), ("max", 0), False),
        ((PLENTY, 200 * MIB, 150 * MIB), ("max", 0), True),
        (("max", 0), (LITTLE, 0), False),
        (("max", 0), ("max", 0), True),
    ],
)
def test_every_group_counts(
    groups: Path, own: tuple[str | int, int], above: tuple[str | int, int], *, room: bool
) -> None:
    """The process's own and those above; files that were read once are given back at once."""
    place = mount(groups)
    fill(place / "a/b", *own)
    fill(place / "a", *above)
    assert has_room() == room


@pytest.mark.parametrize("root", ["/a/b", "/../../elsewhere"])
def test_the_group_of_a_container_is_where_it_is_mounted(groups: Path, root: str) -> None:
    """Whatever path it has outside, of which nothing can be seen."""
    fill(mount(groups, root), LITTLE, 0)
    assert not has_room()


def test_groups_of_the_first_version_count(groups: Path) -> None:
    """Those of the controller of memory, whose files have other names."""
    group = mount(groups, kind="cgroup cgroup rw,cpu,memory") / "a"
    (group / "memory.limit_in_bytes").write_text(str(PLENTY), "utf-8")
    (group / "memory.usage_in_bytes").write_text(str(200 * MIB), "utf-8")
    (group / "memory.stat").write_text(f"total_inactive_file {MIB}\n", "utf-8")
    assert not has_room()
    mount(groups, kind="cgroup cgroup rw,cpu")
    assert has_room()


@pytest.mark.parametrize("text", [None, "", "nonsense\n", "1:memory:/a\n"])
def test_where_nothing_is_known_there_is_room(groups: Path, text: str | None) -> None:
    """Without /proc, or with files that nobody understands, there is no limit."""
    (groups / "cgroup").unlink()
    if text is not None:
        (groups / "cgroup").write_text(text, "utf-8")
        (groups / "mountinfo").write_text(text, "utf-8")
    assert has_room()


@pytest.fixture
def real_group() -> Iterator[Path]:
    """A control group of this machine."""
    for place in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        group = Path(place, f"filedecryptor-{os.getpid()}")
        with suppress(OSError):
            group.mkdir()
            if any(group.glob("memory.[lm][ia][mx]*")):
                yield group
                group.rmdir()
                return
            group.rmdir()
    pytest.skip("no control group can be made here")


@pytest.mark.parametrize(("size", "room"), [(PLENTY, "True"), (LITTLE, "False")])
def test_a_real_group(real_group: Path, size: int, room: str) -> None:
    """It is found, and its limit counts."""
    names = ("memory.limit_in_bytes", "memory.max")
    limit = next(real_group / name for name in names if (real_group / name).exists())
    limit.write_text(str(size), "utf-8")
    words = ["bash", "-c", f'echo $$ >{real_group}/cgroup.procs && exec "$0" -c "{CODE}"']
    done = subprocess.run([*words, sys.executable], check=True, capture_output=True, text=True)
    assert done.stdout == f"{room}\n"
