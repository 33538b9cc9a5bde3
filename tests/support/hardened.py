"""Runs what a unit of systemd runs, under its restrictions, as far as they can be imitated.

    python tests/support/hardened.py UNIT FOLDER

FOLDER is `/srv` meanwhile, and its `credentials` are the unit's; its `not-imitated` lists what was
not possible here. Root is what it needs, and `systemd-analyze` and `libseccomp` of systemd.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import mmap
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NOBODY = 65534  # the user and the group that stand for any others
IMPOSSIBLE = 77  # the exit code if it cannot be imitated here; standard error says why

Unit = dict[str, list[str]]

IMPLIED = {
    "Type", "LoadCredential", "TimeoutStartSec",  # the caller's affair
    "ProtectClock", "ProtectKernelLogs", "ProtectKernelModules",  # by capabilities and system calls
    "ProtectControlGroups", "ProtectKernelTunables",  # by the root that is read-only
    "SystemCallArchitectures", "SystemCallErrorNumber",  # by the filter of system calls
}  # fmt: skip
"""Directives that need nothing of their own."""

KNOWN = IMPLIED | {
    "CapabilityBoundingSet", "ExecStart", "LockPersonality", "MemoryDenyWriteExecute", "MemoryMax",
    "NoNewPrivileges", "PrivateDevices", "PrivateNetwork", "PrivateTmp", "ProcSubset",
    "ProtectHome", "ProtectHostname", "ProtectProc", "ProtectSystem", "ReadWritePaths",
    "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID",
    "SystemCallFilter", "TasksMax", "UMask", "User",
}  # fmt: skip
"""Directives that are imitated."""


def parsed(text: str) -> Unit:
    """Return the directives of a unit's service with their values."""
    unit: Unit = {}
    for line in text.partition("[Service]\n")[2].partition("\n[")[0].splitlines():
        name, sign, value = line.partition("=")
        if sign:
            unit.setdefault(name, []).append(value)
    return unit


_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns -1 for an error."""
    if getattr(_libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x20000, 0x4000000, 0x40000000
NAMESPACES = [0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
AT_FDCWD, AT_RECURSIVE, SYS_MOUNT_SETATTR = -100, 0x8000, 442
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 38, 65


def _mount(source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
    words = (word.encode() for word in (source, target, kind))
    _call("mount", *words, ctypes.c_ulong(flags), data.encode())


def _bind(source: str, target: str) -> None:
    _mount(source, target, flags=MS_BIND | MS_REC)


def _set_read_only(path: str, *, read_only: bool) -> None:
    """Let nobody write below a path, or let them again (mount_setattr(2))."""
    attributes = (ctypes.c_uint64 * 4)(int(read_only), int(not read_only), 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    flags = ctypes.c_uint(AT_RECURSIVE)
    _call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, attributes, size)


def _cover(path: str, mode: int) -> None:
    """Put an empty directory before another; what the programs need stays where it is."""
    spec = importlib.util.find_spec("filedecryptor")
    assert spec is not None
    source = os.path.dirname(str(spec.origin))
    needed = {
        place: os.open(place, os.O_PATH)
        for place in (sys.prefix, sys.base_prefix, source)
        if place.startswith(f"{path}/")
    }
    if os.path.isdir(path):
        _mount("tmpfs", path, "tmpfs", data=f"mode={mode:o}")
    for place, descriptor in needed.items():
        os.makedirs(place, 0o711)
        _bind(f"/proc/self/fd/{descriptor}", place)


def _make_devices() -> None:
    _mount("tmpfs", "/dev", "tmpfs", data="mode=755")
    for minor, name in ((3, "null"), (5, "zero"), (7, "full"), (8, "random"), (9, "urandom")):
        os.mknod(f"/dev/{name}", stat.S_IFCHR, os.makedev(1, minor))
        os.chmod(f"/dev/{name}", 0o666)  # noqa: S103 - as it is
    os.symlink("/proc/self/fd", "/dev/fd")


def _arrange_files(unit: Unit, folder: str) -> None:
    """Let the unit see no more of the disks than it should."""
    _call("unshare", CLONE_NEWNS)
    _mount("none", "/", flags=MS_REC | MS_PRIVATE)
    _bind(folder, "/srv")
    os.chdir("/")
    if "ProtectHome" in unit:
        for path in ("/home", "/root", "/run/user"):
            _cover(path, 0o711)
    if "ProtectSystem" in unit:
        places = " ".join(unit.get("ReadWritePaths", [])).split()
        for place in places:
            _bind(place, place)
        _set_read_only("/", read_only=True)
        for place in places:
            _set_read_only(place, read_only=False)
    if "PrivateTmp" in unit:
        for path in ("/tmp", "/var/tmp"):  # noqa: S108 - a new one
            _cover(path, 0o1777)
    if "PrivateDevices" in unit:
        _make_devices()
    if "ProcSubset" in unit or "ProtectProc" in unit:
        _mount("proc", "/proc", "proc", data="hidepid=invisible,subset=pid")


ALLOW, REFUSE = 0x7FFF0000, 0x50000
"""What becomes of a system call; to the latter, the number of an error is added."""

NE, EQ, MASKED_EQ = 1, 4, 7


class _Comparison(ctypes.Structure):
    """Libseccomp's `scmp_arg_cmp`: an argument's number, an operation, and two values."""

    _fields_ = tuple(
        zip("noab", (ctypes.c_uint, ctypes.c_int, *[ctypes.c_uint64] * 2), strict=True)
    )


class Filter:
    """A filter of system calls, by libseccomp; `default` is what becomes of those without a rule."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def add(self, action: int, name: str, *comparisons: tuple[int, int, int, int]) -> None:
        """Add a rule for a system call, if this machine has it; all comparisons must hold."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return
        array = (_Comparison * len(comparisons))(*(_Comparison(*each) for each in comparisons))
        arguments = (ctypes.c_uint32(action), number, len(comparisons), array)
        if code := self._library.seccomp_rule_add_array(self._context, *arguments):
            raise OSError(-code, f"{name}: {os.strerror(-code)}")

    def load(self) -> None:
        """Put it in force, for ever."""
        if code := self._library.seccomp_load(self._context):
            raise OSError(-code, os.strerror(-code))


def _has(argument: int, bits: int) -> tuple[int, int, int, int]:
    """Return the comparison that holds if all these bits are set in an argument."""
    return (argument, MASKED_EQ, bits, bits)


REFUSED: dict[str, list[tuple[Any, ...]]] = {
    "MemoryDenyWriteExecute": [
        ("mmap", _has(2, mmap.PROT_WRITE | mmap.PROT_EXEC)),
        ("mprotect", _has(2, mmap.PROT_EXEC)),
        ("pkey_mprotect", _has(2, mmap.PROT_EXEC)),
        ("shmat", _has(2, 0o100000)),  # SHM_EXEC
    ],
    "RestrictNamespaces": [
        ("setns",),
        *((name, _has(0, flag)) for name in ("unshare", "clone") for flag in NAMESPACES),
    ],
    "RestrictRealtime": [
        ("sched_setscheduler", (1, EQ, policy, 0)) for policy in (os.SCHED_FIFO, os.SCHED_RR)
    ],
    "RestrictSUIDSGID": [
        (name, *(_has(where, os.O_CREAT) for where in creating), _has(mode, bit))
        for bit in (stat.S_ISUID, stat.S_ISGID)
        for name, creating, mode in (
            *(("chmod", (), 1), ("fchmod", (), 1), ("fchmodat", (), 2)),
            *(("mkdir", (), 1), ("mkdirat", (), 2), ("open", (1,), 2), ("openat", (2,), 3)),
        )
    ],
    "LockPersonality": [("personality", (0, NE, 0, 0))],
}
"""The system calls that single directives refuse, and the arguments that matter."""


def _refuse_some(unit: Unit) -> None:
    """Refuse the system calls of single directives, as seccomp-util.c of systemd does."""
    found = Filter(ALLOW)
    families = unit.get("RestrictAddressFamilies", [""])[0].split()
    allowed = {getattr(socket, name) for name in families if name != "none"}
    for family in set(range(64 if families else 0)) - allowed:
        found.add(REFUSE | errno.EAFNOSUPPORT, "socket", (0, EQ, family, 0))
    for directive, rules in REFUSED.items():
        for name, *comparisons in rules if directive in unit else ():
            found.add(REFUSE | errno.EPERM, name, *comparisons)
    if "RestrictNamespaces" in unit:
        found.add(REFUSE | errno.ENOSYS, "clone3")  # whose flags no filter can see
    found.load()


def system_calls(group: str) -> Iterator[str]:
    """Yield the system calls of one of systemd's groups, and of those that it holds."""
    words = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            yield from system_calls(name)
        elif not name.startswith("#"):
            yield name


def _restrict(unit: Unit) -> None:
    """Take from this process what systemd would take from the unit's."""
    names = {name for group in unit.get("SystemCallFilter", []) for name in system_calls(group)}
    if "ProtectHostname" in unit:
        _call("unshare", CLONE_NEWUTS)
    if "PrivateNetwork" in unit:
        _call("unshare", CLONE_NEWNET)
    os.umask(int(unit["UMask"][0], 8))
    if {"User", "CapabilityBoundingSet"} <= unit.keys():
        for capability in range(64):
            with suppress(OSError):  # not all of them are there
                _call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if "NoNewPrivileges" in unit:
        _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if "MemoryDenyWriteExecute" in unit:
        with suppress(OSError):  # an old kernel, where the filter alone must do
            _call("prctl", PR_SET_MDWE, 1, 0, 0, 0)
    _refuse_some(unit)
    if names:
        allowed = Filter(REFUSE | errno.EPERM)
        for name in names:
            allowed.add(ALLOW, name)
        allowed.load()


GROUPS = {"MemoryMax": ("memory", "limit_in_bytes", "max"), "TasksMax": ("pids", "max", "max")}
"""Limits by control groups: the controller, and the name of its file, in version 1 and in 2."""


@contextmanager
def _group(unit: Unit) -> Iterator[tuple[set[Path], list[str]]]:
    """Yield the control groups with the unit's limits, and the limits that cannot be had here."""
    root, made, missing = Path("/sys/fs/cgroup"), set[Path](), []
    for name in GROUPS.keys() & unit.keys():
        controller, old, new = GROUPS[name]
        is_old = (root / controller).is_dir()
        path = (root / controller if is_old else root) / f"hardened-{os.getpid()}"
        try:
            path.mkdir(exist_ok=True)
            made.add(path)
            (path / f"{controller}.{old if is_old else new}").write_text(unit[name][0])
        except OSError:
            missing.append(name)
    try:
        yield made, missing
    finally:
        for path in made:
            path.rmdir()


def main() -> int:
    """Run the unit, and return the exit code of what it ran; 128 and more for a signal."""
    unit = parsed(Path(sys.argv[1]).read_text("utf-8"))
    assert unit.keys() <= KNOWN, unit.keys() - KNOWN
    words = unit["ExecStart"][0].replace("%d", "/srv/credentials").split()
    with _group(unit) as (groups, missing):
        (Path(sys.argv[2]) / "not-imitated").write_text(" ".join(missing))
        child = os.fork()
        if child == 0:
            try:
                for group in groups:
                    (group / "cgroup.procs").write_text(str(os.getpid()))
                _arrange_files(unit, sys.argv[2])
                _restrict(unit)
                os.execv(words[0], words)  # noqa: S606 - no shell is wanted
            except OSError as error:  # as where nobody may mount, or may read the programs
                os.write(2, str(error).encode())
            finally:
                os._exit(IMPOSSIBLE)
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
