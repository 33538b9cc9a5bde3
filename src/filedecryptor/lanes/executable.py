"""Machine code in memory, as a function."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable


def function_of(code: bytes) -> Callable[[object, int], object]:
    """Return the function that some machine code is, of a memory and a number.

    Its pages stay to the end of the process: a thread may be in them while the interpreter ends.

    Args:
        code: Begins with the function, and refers to nothing outside of itself.

    Raises:
        OSError: The system lets no memory become executable.
    """
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)(_executable(code))


if sys.platform == "win32":
    _MEM_COMMIT_AND_RESERVE, _PAGE_READWRITE, _PAGE_EXECUTE_READ = 0x3000, 0x04, 0x20

    def _executable(code: bytes) -> int:
        """Return the address of a copy that can be run, and not be written to."""
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
        """Return the address of a copy that can be run, and not be written to."""
        system = ctypes.CDLL(None, use_errno=True)
        system.mmap.restype = ctypes.c_void_p
        size, offset = ctypes.c_size_t(len(code)), ctypes.c_long()
        access, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANON
        address = system.mmap(None, size, access, flags, -1, offset)
        if address == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        ctypes.memmove(address, code, len(code))
        if system.mprotect(ctypes.c_void_p(address), size, mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return int(address)
