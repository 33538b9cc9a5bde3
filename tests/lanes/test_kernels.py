"""The kernels as text. That they compute the right keys is seen with the lanes."""

from __future__ import annotations

import re

import pytest

from filedecryptor.lanes.compiler import code_in
from filedecryptor.lanes.kernel import ROWS, Kernel, with_sha_instructions, with_vectors

KERNELS = {
    "4": with_vectors(4),
    "8": with_vectors(8),
    "16": with_vectors(16),
    "sha": with_sha_instructions(),
}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_every_word_has_its_own_place(kernel: Kernel) -> None:
    """No two words share one, and the memory has no gaps."""
    lanes = len(kernel.places[0])
    found = [place for row in kernel.places for lane in row for place in lane]
    assert len(kernel.places) == ROWS
    assert sorted(found) == list(range(8 * ROWS * lanes))


@pytest.mark.parametrize(
    ("name", "target", "cpu", "instructions"),
    [
        ("4", "x86_64-unknown-linux-gnu", "x86-64", r"%xmm"),
        ("8", "x86_64-unknown-linux-gnu", "haswell", r"%ymm"),
        ("16", "x86_64-unknown-linux-gnu", "skylake-avx512", r"vprord\s.*%zmm"),
        ("16", "x86_64-pc-windows-msvc", "znver5", r"vprord\s.*%zmm"),
        ("sha", "x86_64-unknown-linux-gnu", "znver1", r"sha256rnds2"),
        ("4", "aarch64-unknown-linux-gnu", "neoverse-n1", r"v\d+\.4s"),
        ("4", "arm64-apple-macosx", "apple-m1", r"\.4s"),
    ],
)
def test_a_kernel_uses_what_the_cpu_has(
    name: str, target: str, cpu: str, instructions: str
) -> None:
    """The vectors are as wide as the registers, for each system and CPU."""
    binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(target).create_target_machine(cpu=cpu, opt=1)
    assembly = machine.emit_assembly(binding.parse_assembly(KERNELS[name].text))
    assert len(re.findall(instructions, assembly)) > 50


@pytest.mark.parametrize("target", ["linux-gnu", "windows-msvc", "apple-macosx"])
@pytest.mark.parametrize(
    ("name", "cpu"),
    [
        ("8", "haswell"),
        ("8", "skylake-avx512"),
        ("sha", "goldmont"),
        ("sha", "znver3"),
        ("sha", "znver5"),
        ("sha", "sapphirerapids"),
    ],
)
def test_a_kernel_refers_to_nothing_outside_of_itself(name: str, cpu: str, target: str) -> None:
    """Its machine code is copied, and runs at any address: no constants beside it, no calls."""
    binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(f"x86_64-unknown-{target}").create_target_machine(
        cpu=cpu, opt=1, reloc="pic", codemodel="small"
    )
    module = binding.parse_assembly(KERNELS[name].text)
    assembly = machine.emit_assembly(module)
    assert not re.findall(r"\(%rip\)|\bcall|\.(ro|r)data|literal|__const", assembly)
    assert len(code_in(machine.emit_object(module))) > 3000
