"""Machine code in memory, as a function."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from filedecryptor.lanes.compiler import function_of


@pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"} or sys.platform == "win32",
    reason="machine code of x86-64, as all but Windows call it",
)
def test_machine_code_is_run() -> None:
    """As a function of its two arguments, each beside the others."""
    store = [function_of(b"\x89\x37\xc3"), function_of(b"\xc3")]
    memory = (ctypes.c_uint32 * 1)()
    for function in store:
        function(memory, 7)
    assert list(memory) == [7]


PROTECTED = {
    "memory that may not become executable": """
import ctypes
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE of linux/prctl.h
    print('this kernel cannot forbid it'); raise SystemExit
""",
    "a filter of system calls": """
import ctypes, ctypes.util, errno
try:
    library = ctypes.CDLL('libseccomp.so.2')
except OSError:
    print('libseccomp is not installed'); raise SystemExit
class Argument(ctypes.Structure):
    _fields_ = [('number', ctypes.c_uint), ('kind', ctypes.c_int),
                ('mask', ctypes.c_uint64), ('value', ctypes.c_uint64)]
library.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(library.seccomp_init(0x7FFF0000))  # SCMP_ACT_ALLOW
executable = Argument(2, 7, 4, 4)  # the third argument has the bit PROT_EXEC
call = library.seccomp_syscall_resolve_name(b'mprotect')
library.seccomp_rule_add(context, 0x00050000 | errno.EPERM, call, 1, executable)
if library.seccomp_load(context):
    print('no filter can be set here'); raise SystemExit
""",
}


@pytest.mark.skipif(sys.platform != "linux", reason="protections of Linux")
@pytest.mark.parametrize("protection", PROTECTED.values(), ids=PROTECTED)
def test_a_protected_process_goes_on(protection: str) -> None:
    """As a service that systemd hardens does; the machine code is refused, and does not crash."""
    code = protection + (
        "from filedecryptor.lanes.machine import Machine\n"
        "from filedecryptor.lanes.compiler import function_of\n"
        "found = Machine(); found.make_ready()\n"
        "print(found.in_use, found.trouble)\n"
        "try: function_of(b'\\xc3')\n"
        "except OSError as error: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    if "refused" not in done.stdout and "None" not in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.stdout.startswith("None the extra 'lanes' does not work here (its test run failed)")
    assert done.stdout.endswith("refused\n")
