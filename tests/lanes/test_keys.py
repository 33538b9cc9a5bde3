"""The keys of a run, asked for by many threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import Any

import pytest
from support.commands import wait_until
from support.lanes import broken_lanes, good_lanes, use

from filedecryptor.core.crypto import Password, derive_key
from filedecryptor.core.decryptor import ignore
from filedecryptor.errors import AuthenticationError, UsageError
from filedecryptor.lanes.kernel import Lanes
from filedecryptor.lanes.keys import Keys, WantedKey

pytest.importorskip("llvmlite", reason="the extra lanes is not installed")

SALT = bytes(16)


def expected(password: Password, salt: bytes) -> bytes:
    """Return the key that `cryptography` derives."""
    with derive_key(password, salt) as key:
        return bytes(key)


def derived(
    keys: Keys, password: Password, salt: bytes, on_progress: Callable[[int], object] = ignore
) -> bytes:
    """Return a copy of a key."""
    return keys.use(password, salt, bytes, on_progress, is_repeatable=True)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 23])
@pytest.mark.parametrize("lanes", [2, 8])
def test_each_thread_gets_its_own_key(
    monkeypatch: pytest.MonkeyPatch, count: int, lanes: int
) -> None:
    """However many wait: fewer than there are lanes, as many, or more; and whatever passwords."""
    use(monkeypatch, good_lanes(lanes))
    keys = Keys(2)
    wanted = [(("one", b"two", "drei")[number % 3], os.urandom(16)) for number in range(count)]
    with ThreadPoolExecutor(count) as executor:
        found = list(executor.map(lambda one: derived(keys, *one), wanted))
    assert found == [expected(*one) for one in wanted]
    assert keys.waiting == []


def gathered(
    keys: Keys, salts: list[bytes], on_progress: Callable[[int], object] = ignore
) -> list[Future[bytes]]:
    """Ask for keys in threads, all of which wait before the first is derived."""
    with ThreadPoolExecutor(len(salts)) as executor, keys.processors:
        futures = [executor.submit(derived, keys, "x", salt, on_progress) for salt in salts]
        wait_until(lambda: len(keys.waiting) == len(salts))
    return futures


def test_those_who_wait_are_served_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one derives, the others gather; of too few, each is served by OpenSSL."""
    lanes = copy(good_lanes(4))
    use(monkeypatch, lanes)
    groups: list[int] = []
    derive = lanes.derive

    def counted(wanted: Sequence[Any], *rest: Any) -> list[bytearray]:
        groups.append(len(wanted))
        return derive(wanted, *rest)

    monkeypatch.setattr(lanes, "derive", counted)
    salts = [os.urandom(16) for _ in range(9)]
    futures = gathered(Keys(1), salts)
    assert [future.result() for future in futures] == [expected("x", salt) for salt in salts]
    assert groups == [4, 4]


@pytest.mark.parametrize("lanes", [good_lanes, broken_lanes])
@pytest.mark.parametrize("error", [AuthenticationError("the tag does not fit"), KeyError()])
def test_keys_are_wiped_whatever_fails_under_them(
    monkeypatch: pytest.MonkeyPatch, lanes: Callable[[], Lanes], error: Exception
) -> None:
    """A tag that fails under a wrong key is tried again, and the lanes are left, which is told.

    It is told once a run; a pipe, which is read once, is not left to the lanes. No secret shows.
    """
    machine = use(monkeypatch, lanes())
    keys = Keys(1)
    seen: list[bytearray] = []

    def fail(key: bytearray) -> None:
        seen.append(key)
        raise error

    is_found_out = lanes is broken_lanes and not isinstance(error, KeyError)
    for is_repeatable, tried in ((False, 1), (True, 2 + is_found_out)):
        with pytest.raises(type(error)):
            keys.use("geheim", SALT, fail, ignore, is_repeatable=is_repeatable)
        assert seen == [bytes(32)] * tried
    assert (machine.in_use is None, keys.threads == 0) == (is_found_out, is_found_out)
    news = [keys.news(), keys.news(), Keys(1).news()]
    assert [text is not None for text in news] == [is_found_out, False, is_found_out]
    assert "geheim" not in repr(keys) + repr(WantedKey(b"geheim", SALT))
    with pytest.raises(UsageError):
        derived(keys, "geheim\ud800", SALT)
    assert keys.waiting == []


def test_those_who_still_wait_get_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the thread that derives for them is ended, another of them does it."""
    use(monkeypatch, good_lanes(4))
    keys = Keys(1)
    salts = [os.urandom(16) for _ in range(4)]
    ended: list[int] = []

    def end_the_first(_: int) -> None:
        if not keys.waiting and not ended:
            ended.append(1)
            raise KeyError

    futures = gathered(keys, salts, end_the_first)
    errors = [future.exception() for future in futures]
    assert [type(error) for error in errors if error] == [KeyError]
    for future, salt, error in zip(futures, salts, errors, strict=True):
        assert error or future.result() == expected("x", salt)
