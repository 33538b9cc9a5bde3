"""The kernel for this CPU, compiled and tried out."""

from __future__ import annotations

import pytest

from filedecryptor.lanes import machine
from filedecryptor.lanes.compiler import KERNELS
from filedecryptor.lanes.machine import Machine, TrialError, compiled

binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")


def test_a_cpu_that_no_kernel_suits_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on ARM, whose SHA instructions OpenSSL uses; there is nothing to tell."""
    program = (
        machine.PROGRAM.removesuffix("main") + "from filedecryptor.lanes.compiler import KERNELS; "
    )
    monkeypatch.setattr(machine, "PROGRAM", f"{program}KERNELS.clear(); main")
    found = Machine()
    found.make_ready()
    assert (found.in_use, found.trouble, found.lanes) == (None, None, 0)


@pytest.mark.parametrize("feature", KERNELS)
def test_wrong_machine_code_is_not_handed_on(monkeypatch: pytest.MonkeyPatch, feature: str) -> None:
    """The child has tried it out, for each of the kernels."""
    if not binding.get_host_cpu_features().get(feature):
        pytest.skip(f"this CPU has no {feature}")
    only_it = f"[c.KERNELS.pop(name) for name in list(c.KERNELS) if name != {feature!r}]"
    begin = machine.PROGRAM.removesuffix("main") + "from filedecryptor.lanes import compiler as c; "
    program = f"{begin}{only_it}; "
    monkeypatch.setattr(machine, "PROGRAM", f"{program}main")
    assert compiled() is not None
    wrong = "good = c.machine_code; c.machine_code = lambda kernel: b'\\xc3' + good(kernel)"
    monkeypatch.setattr(machine, "PROGRAM", f"{program}{wrong}; main")
    with pytest.raises(TrialError):
        compiled()
