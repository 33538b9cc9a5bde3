"""Whether there is room for LLVM, which ends its process, or another one, where memory is short."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress

ROOM = 256 * 1024 * 1024
"""Bytes that a control group has to have left: LLVM takes 130 MB, the audio of a batch 64 MiB."""

FILES = 128
"""Files that the process has to be allowed, since those who wait for their keys have some open."""

GROUPS = "/proc/self/cgroup"
MOUNTS = "/proc/self/mountinfo"

CONTROLLERS = {
    "cgroup2": ("memory.max", "memory.current", "inactive_file"),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By the kind of the file system: the files of the limit and of the usage, and what of the usage is
given back at once, by its name in memory.stat: files that were read once."""


def has_room() -> bool:
    """Return whether this process has no limits that LLVM, or many threads, could run into."""
    if sys.platform == "win32":  # which has none of these
        return True
    import resource

    unlimited = resource.RLIM_INFINITY
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    if any(resource.getrlimit(kind)[0] != unlimited for kind in kinds):
        return False
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != unlimited and files < FILES:
        return False
    return all(room >= ROOM for room in _rooms())


def _rooms() -> Iterator[int]:
    """Yield the bytes that are left in each control group that this process is in (cgroups(7))."""
    for kind, directory in _groups():
        limit, usage, reclaimable = CONTROLLERS[kind]
        with suppress(OSError, ValueError):  # it has no limit, or the controller is another one
            room = int(_read(directory, limit)) - int(_read(directory, usage))
            statistics = dict(line.split() for line in _read(directory, "memory.stat").splitlines())
            yield room + int(statistics.get(reclaimable, 0))


def _groups() -> Iterator[tuple[str, str]]:
    """Yield the directory of each of those groups, with the kind of its file system."""
    with suppress(OSError, ValueError):  # this is no Linux, or shows nothing of itself
        own = {}
        for line in _read(GROUPS).splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "memory" in controllers.split(","):
                own["cgroup" if controllers else "cgroup2"] = path
        for line in _read(MOUNTS).splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ", 2)
            if kind in own and (kind == "cgroup2" or "memory" in options.split(",")):
                root, mount = before.split()[3:5]
                inside = os.path.relpath(own[kind], root)
                while inside not in {"", "."} and not inside.startswith(".."):
                    yield kind, os.path.join(mount, inside)
                    inside = os.path.dirname(inside)
                yield kind, mount


def _read(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
