"""Lanes that are right, and lanes that are broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from filedecryptor.lanes import kernel, keys, machine
from filedecryptor.lanes.compiler import function_of, machine_code
from filedecryptor.lanes.kernel import Lanes
from filedecryptor.lanes.machine import Machine


def built(kernel: kernel.Kernel) -> Lanes:
    """Compile a kernel in this process."""
    return Lanes(kernel, function_of(machine_code(kernel)))


@contextmanager
def one_constant_changed() -> Iterator[None]:
    """Have SHA-256 computed with another constant, in kernels that are made meanwhile."""
    before = kernel.CONSTANTS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "CONSTANTS", (*before[:40], before[40] ^ 1, *before[41:]))
        yield


@cache
def good_lanes(lanes: int = 2) -> Lanes:
    """Return lanes that derive right keys; two of them also derive a single one."""
    return built(kernel.with_vectors(lanes))


@cache
def broken_lanes(lanes: int = 2) -> Lanes:
    """Return lanes that derive wrong keys."""
    with one_constant_changed():
        return built(kernel.with_vectors(lanes))


def use(monkeypatch: pytest.MonkeyPatch, lanes: Lanes | None = None) -> Machine:
    """Have the keys of this process derived by these lanes, or by none yet."""
    found = Machine()
    if lanes is not None:
        found.in_use = lanes
        monkeypatch.setattr(machine, "ENOUGH_KEYS", 1_000_000)  # so no others replace them
    monkeypatch.setattr(keys, "MACHINE", found)
    return found
