"""What a unit of systemd runs, under the restrictions of docs/schedule.md as far as they are imitated.

Files, devices, processes, the network, the user, capabilities, memory that is made executable and
system calls are; limits of memory and of processes are not (`test_limits.py` sets such limits).
It needs root, util-linux, `systemd-analyze`, and `libseccomp` of systemd.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import filedecryptor

NOBODY = 65534
"""The user and the group that stand for any others."""

FILES = """
mask=$(umask); umask 022
mount --bind "$1" /srv
mount --bind "$2" "$2"
mount -t tmpfs none /dev
mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9; ln -s /proc/self/fd /dev/fd
for path in $3; do mkdir -p /dev/needed$path; mount --bind $path /dev/needed$path; done
for path in /home /root /run/user /tmp /var/tmp; do
    test ! -d $path || mount -t tmpfs -o mode=711 none $path
done
for path in $3; do mkdir -p $path; mount --bind /dev/needed$path $path; done
mount -t proc -o hidepid=invisible,subset=pid none /proc
mount -o remount,bind,ro /srv
mount -o remount,bind,ro /
cd /; umask $mask; shift 3; exec "$@"
"""
"""Shows a command a folder as `/srv`, where it can write to one path, and few other files.

Of homes and temporary directories it leaves the paths that the command needs itself.
"""

USER = (
    f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --bounding-set=-all --no-new-privs"
)

ALLOW, REFUSE = 0x7FFF0000, 0x50000
"""What becomes of a system call; to the latter, the number of an error is added."""

PR_SET_MDWE = 65


def line(unit: dict[str, str], folder: Path) -> list[str]:
    """Return the command line that runs a unit, with its directives, where a folder is `/srv`."""
    package = str(Path(filedecryptor.__file__).parent)
    needed = (sys.prefix, sys.base_prefix, package, str(Path(__file__).parent))
    network = ["--net"] if "PrivateNetwork" in unit else []
    return [
        *("unshare", "--mount", "--uts", *network),
        *("sh", "-euc", FILES, "sh", str(folder), unit["ReadWritePaths"], " ".join(needed)),
        *USER.split(),
        *(sys.executable, __file__, " ".join(system_calls(unit["SystemCallFilter"]))),
        unit["RestrictAddressFamilies"].removeprefix("none"),
        *unit["ExecStart"].replace("%d", "/srv/credentials").split(),
    ]


def system_calls(group: str) -> Iterator[str]:
    """Yield the system calls of one of systemd's groups, and of those that it holds."""
    words = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    for name in map(str.strip, done.stdout.splitlines()[1:]):
        if name.startswith("@"):
            yield from system_calls(name)
        elif not name.startswith("#"):
            yield name


class _Comparison(ctypes.Structure):
    """Libseccomp's `scmp_arg_cmp`: an argument's number, an operation, and two values."""

    _fields_ = tuple(
        zip("noab", (ctypes.c_uint, ctypes.c_int, *[ctypes.c_uint64] * 2), strict=True)
    )


def restrict(names: list[str], families: list[str]) -> None:
    """Leave this process, and what it runs, these system calls and kinds of sockets."""
    if ctypes.CDLL(None).prctl(PR_SET_MDWE, 1, 0, 0, 0):
        sys.exit("this kernel lets any process make its memory executable")
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    only_names, others = (
        ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
        for default in (REFUSE | errno.EPERM, ALLOW)
    )
    for name in names:
        if (number := library.seccomp_syscall_resolve_name(name.encode())) >= 0:
            library.seccomp_rule_add_array(only_names, ctypes.c_uint32(ALLOW), number, 0, None)
    number = library.seccomp_syscall_resolve_name(b"socket")
    for family in set(range(64)) - {getattr(socket, name) for name in families}:
        is_it = _Comparison(0, 4, family, 0)
        refuse = ctypes.c_uint32(REFUSE | errno.EAFNOSUPPORT)
        library.seccomp_rule_add_array(others, refuse, number, 1, ctypes.byref(is_it))
    for found in (others, only_names):
        if code := library.seccomp_load(found):
            sys.exit(os.strerror(-code))


if __name__ == "__main__":
    restrict(sys.argv[1].split(), sys.argv[2].split())
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 - no shell is wanted
