"""Machine code: made by LLVM in a child process, whose program is `main`, and called in this one.

LLVM ends its process where memory is short or may not become executable, or its package is broken.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from filedecryptor.lanes.kernel import Kernel, Lanes, with_sha_instructions, with_vectors
from filedecryptor.lanes.machine import COMPILE_TIMEOUT

KERNELS: dict[str, Callable[[], Kernel]] = {
    "sha": with_sha_instructions,  # OpenSSL uses these instructions as well, for one key at a time
    "avx2": partial(with_vectors, 8),
}
"""The kernels, by the feature of a CPU, in LLVM's words, that each takes; the fastest first."""

NO_KERNEL = "none"

OPTIONS: dict[str, Any] = {"opt": 1, "reloc": "pic", "codemodel": "small"}
"""How LLVM makes code that runs at any address, and refers to nothing outside of itself."""


def main() -> None:
    """Compile the kernel for this CPU, try it out, and print the CPU's feature and the code."""
    faulthandler.dump_traceback_later(COMPILE_TIMEOUT, exit=True)  # however it hangs
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: as the parent's thread ends
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stdout = os.dup(1)
    os.dup2(2, 1)  # whatever LLVM prints
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    feature, code = next(filter(features.get, KERNELS), None), b""
    if feature is not None:
        kernel = KERNELS[feature]()
        code = machine_code(kernel)
        if not Lanes(kernel, function_of(code)).are_right():
            sys.exit(1)
    with os.fdopen(stdout, "wb") as file:
        file.write((feature or NO_KERNEL).encode() + b"\n" + code)


def machine_code(kernel: Kernel, target: Any = None) -> bytes:  # noqa: ANN401 - LLVM has no types
    """Compile a kernel for this CPU, or for another machine. LLVM may end the process."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = target or binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        **OPTIONS,
    )
    objects = machine.emit_object(binding.parse_assembly(kernel.text))
    sections = binding.ObjectFileRef.from_data(objects).sections()
    [code] = [section.data() for section in sections if section.is_text() and section.size()]
    return bytes(code)


def function_of(code: bytes) -> Callable[[object, int], object]:
    """Return machine code as a function of a memory and a number.

    Its pages, which can be run and not be written to, stay to the end of the process: a thread may
    be in them while the interpreter ends. Where no memory may become executable, that is an `OSError`.
    """
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)(_executable(code))


if sys.platform == "win32":
    _MEM_COMMIT_AND_RESERVE, _PAGE_READWRITE, _PAGE_EXECUTE_READ = 0x3000, 0x04, 0x20

    def _executable(code: bytes) -> int:
        system = ctypes.WinDLL("kernel32", use_last_error=True)
        system.VirtualAlloc.restype = ctypes.c_void_p
        size, before = ctypes.c_size_t(len(code)), ctypes.c_uint32()
        address = system.VirtualAlloc(None, size, _MEM_COMMIT_AND_RESERVE, _PAGE_READWRITE)
        if not address:
            raise ctypes.WinError(ctypes.get_last_error())
        ctypes.memmove(address, code, len(code))
        place = ctypes.c_void_p(address)
        if not system.VirtualProtect(place, size, _PAGE_EXECUTE_READ, ctypes.byref(before)):
            raise ctypes.WinError(ctypes.get_last_error())
        return int(address)

else:

    def _executable(code: bytes) -> int:
        memory = mmap.mmap(-1, len(code), mmap.MAP_PRIVATE | mmap.MAP_ANON)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(memory))  # so that it is never unmapped
        memory[:] = code
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        place, size = ctypes.c_void_p(address), ctypes.c_size_t(len(code))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        if protect(place, size, mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return address
