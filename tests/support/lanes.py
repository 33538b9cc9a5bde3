"""Lanes that are right, and lanes that are broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

import filedecryptor.lanes
from filedecryptor.lanes import kernel, machine
from filedecryptor.lanes.compiler import machine_code
from filedecryptor.lanes.executable import function_of
from filedecryptor.lanes.kernel import Lanes
from filedecryptor.lanes.machine import Machine


def kernels_here() -> dict[str, kernel.Kernel]:
    """Return the kernels that this CPU can run, whether they are the fastest or not."""
    binding = pytest.importorskip("llvmlite.binding", reason="the extra lanes is not installed")
    found = {f"{lanes} lanes": kernel.with_vectors(lanes) for lanes in (4, 8, 16)}
    if binding.get_host_cpu_features().get("sha"):
        found["SHA instructions"] = kernel.with_sha_instructions()
    return found


def built(kernel: kernel.Kernel) -> Lanes:
    """Compile a kernel in this process."""
    return Lanes(kernel, function_of(machine_code(kernel)))


@contextmanager
def one_constant_changed() -> Iterator[None]:
    """Have SHA-256 computed with another constant, in kernels that are made meanwhile."""
    before = kernel.CONSTANTS
    changed = (*before[:40], before[40] ^ 1, *before[41:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "CONSTANTS", changed)
        yield


@cache
def good_lanes(lanes: int = 4) -> Lanes:
    """Return lanes that derive right keys."""
    return built(kernel.with_vectors(lanes))


@cache
def broken_lanes(lanes: int = 4) -> Lanes:
    """Return lanes that derive wrong keys."""
    with one_constant_changed():
        return built(kernel.with_vectors(lanes))


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
    monkeypatch.setattr(filedecryptor.lanes, "MACHINE", found)
    return found
