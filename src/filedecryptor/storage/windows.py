"""What Windows does in its own way: files that keep others out, and names that it does not have."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable

SHARING_PATIENCE = 2.0  # seconds to wait for another program that has a file open for a moment

DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    port + number for port in ("com", "lpt") for number in "123456789\u00b9\u00b2\u00b3"
}
"""Names that stand for devices, with any extension (Microsoft, "Naming Files, Paths, and
Namespaces")."""


def is_impossible(name: str) -> bool:
    """Return whether Windows cannot give a file this name, or would change it."""
    return (
        name[-1:] in {".", " "}
        or re.search(r'[<>:"|?*\0-\x1f]', name) is not None
        or name.partition(".")[0].rstrip(" ").lower() in DEVICES
    )


def patiently(function: Callable[[], object]) -> None:
    """Call a function; on Windows again while it is refused, for `SHARING_PATIENCE` seconds at most."""
    deadline = time.monotonic() + (SHARING_PATIENCE if sys.platform == "win32" else 0)
    while True:
        try:
            function()
            break
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)


if sys.platform == "win32":
    import ctypes
    import msvcrt
    import os
    import struct
    from ctypes.wintypes import BOOL, DWORD, HANDLE, LPCWSTR, LPVOID

    _GENERIC_READ_AND_WRITE, _DELETE = 0xC0000000, 0x00010000
    _SHARE_ALL = 0x7
    _CREATE_NEW = 1
    _ATTRIBUTE_NORMAL = 0x80
    _RENAME_INFO = 3
    _INVALID_HANDLE = ctypes.c_void_p(-1).value

    _system = ctypes.WinDLL("kernel32", use_last_error=True)
    _create_file = _system.CreateFileW
    _create_file.restype = HANDLE
    _create_file.argtypes = [LPCWSTR, DWORD, DWORD, LPVOID, DWORD, DWORD, HANDLE]
    _set_information = _system.SetFileInformationByHandle
    _set_information.restype = BOOL
    _set_information.argtypes = [HANDLE, ctypes.c_int, LPVOID, DWORD]

    def _last_error() -> OSError:
        """Return what went wrong, in the words of Python's own functions: without a full stop."""
        code = ctypes.get_last_error()
        return OSError(None, ctypes.FormatError(code).rstrip(" .\r\n"), None, code)

    def create(path: str) -> int:
        """Make a new file, and return its descriptor; it can be renamed while it is open."""
        access = _GENERIC_READ_AND_WRITE | _DELETE
        handle = _create_file(path, access, _SHARE_ALL, None, _CREATE_NEW, _ATTRIBUTE_NORMAL, None)
        if handle == _INVALID_HANDLE:
            raise _last_error()
        return msvcrt.open_osfhandle(handle, os.O_RDWR)

    def rename(descriptor: int, target: str, *, replace: bool) -> None:
        """Rename a file that `create` has made, and let its new name last through a power cut."""
        name = os.path.abspath(target).encode("utf-16-le", "surrogatepass")
        # FILE_RENAME_INFO; its length does not count the NUL that ends the name all the same.
        info = struct.pack("IPI", replace, 0, len(name)) + name + bytes(2)

        def attempt() -> None:
            handle = msvcrt.get_osfhandle(descriptor)
            if not _set_information(handle, _RENAME_INFO, info, len(info)):
                raise _last_error()

        patiently(attempt)
        os.fsync(descriptor)
