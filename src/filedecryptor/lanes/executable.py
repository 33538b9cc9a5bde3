"""Machine code in memory, as a function."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable


def function_of(code: bytes) -> Callable[[object, int], object]:
    """Return machine code that refers to nothing outside of itself as a function.

    It takes a memory and a number. Its pages stay to the end of the process, since a thread may be
    in them while the interpreter ends. They can be run, and not be written to; where the system
    lets no memory become executable, an `OSError` is raised.
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
