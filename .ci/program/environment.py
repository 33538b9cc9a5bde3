"""What the program puts right in its environment before anything else."""

import _signal

# As `filedecryptor.__main__` does, some milliseconds later.
if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os
import sys

# What is started may start this program again, which would believe that it has its libraries.
for name in [name for name in os.environ if name.startswith("_PYI_")]:
    del os.environ[name]

# The executable finds its libraries by a folder or a variable; what it starts must not find them.
# PyInstaller's manual has it under "Launching External Programs from the Frozen Application".
if sys.platform == "win32":
    import ctypes

    os.add_dll_directory(sys._MEIPASS)  # noqa: SLF001 - the name that PyInstaller documents
    ctypes.windll.kernel32.SetDllDirectoryW(None)

if sys.platform == "linux":
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    os.environ.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before

if sys.platform != "win32" and not os.path.exists("/usr/lib/ssl/certs"):
    # OpenSSL looks for certificates where the system has them on which the program was built: in
    # that folder of Debian, or on macOS in one that others do not have.
    CERTIFICATES = (
        "/etc/ssl/certs/ca-certificates.crt",  # Arch Linux
        "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
        "/etc/ssl/ca-bundle.pem",  # openSUSE
        "/etc/ssl/cert.pem",  # macOS
    )
    if not os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        for path in filter(os.path.exists, CERTIFICATES):
            os.environ["SSL_CERT_FILE"] = path
            break
