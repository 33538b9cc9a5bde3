"""The program of a child process: compile the kernel for this CPU by LLVM, and try it out.

LLVM ends its process where memory is short or may not become executable, or its package is broken.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

from filedecryptor.lanes.executable import function_of
from filedecryptor.lanes.kernel import Kernel, Lanes, with_sha_instructions, with_vectors

KERNELS: dict[str, Callable[[], Kernel]] = {
    "sha": with_sha_instructions,  # OpenSSL uses these instructions as well, for one key at a time
    "avx2": partial(with_vectors, 8),
}
"""The kernels, by the feature of a CPU, in LLVM's words, that each takes; the fastest first."""

NO_KERNEL = b"none"

_PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h: by which signal the child ends with the thread that waits for it."""


def main(timeout: float) -> None:
    """Print the CPU's feature and the machine code; end after some seconds, however it hangs."""
    faulthandler.dump_traceback_later(timeout, exit=True)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stdout = os.dup(1)
    os.dup2(2, 1)  # whatever LLVM prints
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    content = NO_KERNEL + b"\n"
    if feature := next(filter(features.get, KERNELS), None):
        kernel = KERNELS[feature]()
        code = machine_code(kernel)
        if not Lanes(kernel, function_of(code)).are_right():
            sys.exit(1)
        content = feature.encode() + b"\n" + code
    with os.fdopen(stdout, "wb") as file:
        file.write(content)


def machine_code(kernel: Kernel) -> bytes:
    """Compile a kernel for this CPU. LLVM may end the process."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=1,
        reloc="pic",
        codemodel="small",
    )
    return code_in(machine.emit_object(binding.parse_assembly(kernel.text)))


def code_in(objects: bytes) -> bytes:
    """Return the machine code in an object file, which has one section of it."""
    from llvmlite import binding

    sections = binding.ObjectFileRef.from_data(objects).sections()
    [code] = [section.data() for section in sections if section.is_text() and section.size()]
    return bytes(code)
