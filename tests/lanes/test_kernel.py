"""The kernels: keys derived side by side are those that other implementations derive."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import time

import pytest
from support.lanes import broken_lanes, built, good_lanes

from filedecryptor.lanes.compiler import OPTIONS, machine_code
from filedecryptor.lanes.kernel import KEY, HmacKey, Lanes, with_sha_instructions, with_vectors

binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")

ITERATIONS = 500
PASSWORDS = [b"x" * length for length in (0, 1, 63, 64, 65, 200)]
KERNELS = {f"{lanes} lanes": with_vectors(lanes) for lanes in (2, 8)}
if binding.get_host_cpu_features().get("sha"):
    KERNELS["SHA instructions"] = with_sha_instructions()


@pytest.fixture(scope="module", params=KERNELS)
def lanes(request: pytest.FixtureRequest) -> Lanes:
    """One kernel after the other."""
    return built(KERNELS[request.param])


def test_keys_are_those_of_the_standard_library(lanes: Lanes) -> None:
    """For any number of keys, any password, and random salts."""
    for count in range(1, lanes.count + 1):
        for first in range(len(PASSWORDS)):
            passwords = [PASSWORDS[(first + lane) % len(PASSWORDS)] for lane in range(count)]
            wanted = [(HmacKey(password), os.urandom(16)) for password in passwords]
            found = lanes.derive(wanted, ITERATIONS, lambda: None)
            for (password, salt), key in zip(wanted, found, strict=True):
                right = hashlib.pbkdf2_hmac("sha256", password.password, salt, ITERATIONS)
                assert key == right


def test_as_many_iterations_as_recordings_have(lanes: Lanes) -> None:
    """They are done piece by piece, and none is lost between two pieces."""
    salt = os.urandom(16)
    pieces: list[int] = []
    [key] = lanes.derive([(HmacKey(b"x"), salt)], 310_000, lambda: pieces.append(1))
    assert bytes(key) == hashlib.pbkdf2_hmac("sha256", b"x", salt, 310_000)
    assert len(pieces) == 10


def test_what_pause_raises_ends_the_work() -> None:
    """After a piece, not after the whole derivation."""

    def pause() -> None:
        raise KeyError

    begin = time.monotonic()
    with pytest.raises(KeyError):
        good_lanes().derive([(HmacKey(b"x"), bytes(16))], 1_000_000_000, pause)
    assert time.monotonic() - begin < 10


def test_no_secret_is_left() -> None:
    """The states that follow from the password, and the keys, are wiped and show in no `repr`."""
    seen: list[ctypes.Array[ctypes.c_uint32]] = []

    def spy(memory: object, _iterations: int) -> None:
        assert isinstance(memory, ctypes.Array)
        assert any(memory)
        seen.append(memory)

    Lanes(with_vectors(4), spy).derive([(HmacKey(b"x"), bytes(16))], 2, lambda: None)
    assert not any(seen[0])
    assert "geheim" not in repr(HmacKey(b"geheim"))


def test_all_lanes_are_checked() -> None:
    """One wrong key is enough, whichever it is."""
    good, places = good_lanes(4), with_vectors(4).places[KEY]
    assert good.are_right()
    assert not broken_lanes().are_right()
    for lane in range(4):

        def spoilt(memory: object, iterations: int, place: int = places[lane][7]) -> None:
            good.function(memory, iterations)
            memory[place] ^= 1  # type: ignore[index]

        assert not Lanes(with_vectors(4), spoilt).are_right()


@pytest.mark.parametrize(
    ("cpu", "instruction", "target"),
    [
        ("skylake-avx512", "vprord.*%ymm", "linux-gnu"),
        ("goldmont", "sha256rnds2", "linux-gnu"),
        ("haswell", "%ymm", "windows-msvc"),
        ("znver3", "sha256rnds2", "apple-macosx"),
    ],
)
def test_a_kernel_refers_to_nothing_outside_of_itself(
    cpu: str, instruction: str, target: str
) -> None:
    """Its machine code is copied, and runs at any address; it uses what the CPU has."""
    kernel = with_sha_instructions() if "sha" in instruction else with_vectors(8)
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(f"x86_64-unknown-{target}").create_target_machine(
        cpu=cpu, **OPTIONS
    )
    assembly = machine.emit_assembly(binding.parse_assembly(kernel.text))
    assert len(re.findall(instruction, assembly)) > 50
    assert not re.findall(r"\(%rip\)|\bcall|\.(ro|r)data|literal|__const", assembly)
    assert len(machine_code(kernel, machine)) > 3000
