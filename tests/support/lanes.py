"""Lanes that are right, and lanes that are broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from filedecryptor import kernels, keys, machine, sha256
from filedecryptor.compiler import machine_code
from filedecryptor.executable import function_of
from filedecryptor.lanes import Lanes
from filedecryptor.machine import Machine


def kernels_here() -> dict[str, kernels.Kernel]:
    """Return the kernels that this CPU can run, whether they are the fastest or not."""
    binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")
    found = {f"{lanes} lanes": kernels.with_vectors(lanes) for lanes in (4, 8, 16)}
    if binding.get_host_cpu_features().get("sha"):
        found["SHA instructions"] = kernels.with_sha_instructions()
    return found


def built(kernel: kernels.Kernel) -> Lanes:
    """Compile a kernel in this process."""
    return Lanes(kernel, function_of(machine_code(kernel)))


@contextmanager
def one_constant_changed() -> Iterator[None]:
    """Have SHA-256 computed with another constant, in kernels that are made meanwhile."""
    before = sha256.CONSTANTS
    changed = (*before[:40], before[40] ^ 1, *before[41:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sha256, "CONSTANTS", changed)
        patch.setattr(kernels, "CONSTANTS", changed)
        yield


@cache
def good_lanes(lanes: int = 4) -> Lanes:
    """Return lanes that derive right keys."""
    return built(kernels.with_vectors(lanes))


@cache
def broken_lanes(lanes: int = 4) -> Lanes:
    """Return lanes that derive wrong keys."""
    with one_constant_changed():
        return built(kernels.with_vectors(lanes))


def use(monkeypatch: pytest.MonkeyPatch, lanes: Lanes | None = None, fewest: int = 1) -> Machine:
    """Have the keys of this process derived by some lanes, however they were checked.

    Args:
        monkeypatch: Takes that back.
        lanes: They; None for none yet.
        fewest: The keys from which on they are used.
    """
    found = Machine()
    if lanes is not None:
        monkeypatch.setattr(lanes, "fewest", fewest)
        found.in_use = lanes
        monkeypatch.setattr(machine, "ENOUGH", 1_000_000)  # they are not to be replaced by others
    monkeypatch.setattr(keys, "MACHINE", found)
    return found
