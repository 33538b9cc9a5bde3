"""The keys of a run, asked for by many threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any

import pytest
from support.lanes import broken_lanes, good_lanes, use

from filedecryptor import lanes
from filedecryptor.core.crypto import Password, WrongKeyError, derive_key
from filedecryptor.errors import AuthenticationError, UsageError
from filedecryptor.lanes import Keys, warn_by_python

pytest.importorskip("llvmlite", reason="the extra lanes is not installed")


def go_on(_: int) -> None:
    """Want the key."""


def expected(password: Password, salt: bytes) -> bytes:
    """Return the key that `cryptography` derives."""
    with derive_key(password, salt) as key:
        return bytes(key)


def derived(
    source: Keys,
    password: Password,
    salt: bytes,
    on_progress: Callable[[int], object] = go_on,
) -> bytes:
    """Return a copy of a key."""
    with source.derive(password, salt, on_progress, is_repeatable=True) as key:
        return bytes(key)


@pytest.mark.parametrize("count", [*range(1, 10), 23])
@pytest.mark.parametrize("fewest", [1, 3])
def test_each_thread_gets_its_own_key(
    monkeypatch: pytest.MonkeyPatch, count: int, fewest: int
) -> None:
    """However many wait: fewer than there are lanes, as many, or more; and whatever passwords."""
    use(monkeypatch, good_lanes(), fewest)
    source = Keys(2)
    wanted = [(("one", b"two", "drei")[number % 3], os.urandom(16)) for number in range(count)]
    with ThreadPoolExecutor(count) as executor:
        found = list(executor.map(lambda one: derived(source, *one), wanted))
    assert found == [expected(*one) for one in wanted]
    assert source.waiting == []


def test_those_who_wait_are_served_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one derives, the others gather; then one of them derives for as many as fit."""
    lanes = copy(good_lanes())
    use(monkeypatch, lanes)
    groups: list[int] = []
    function, go = lanes.function, threading.Event()

    def slow(memory: object, iterations: int) -> None:
        go.wait(30)
        function(memory, iterations)

    lanes.function = slow
    derive = lanes.derive

    def counted(wanted: Sequence[Any], *rest: Any) -> list[bytearray]:
        groups.append(len(wanted))
        return derive(wanted, *rest)

    monkeypatch.setattr(lanes, "derive", counted)
    source = Keys(1)
    salts = [os.urandom(16) for _ in range(10)]
    with ThreadPoolExecutor(len(salts)) as executor:
        futures = [executor.submit(derived, source, "x", salt) for salt in salts]
        while len(source.waiting) < len(salts) - 1:
            pass
        go.set()
        assert [future.result(30) for future in futures] == [expected("x", salt) for salt in salts]
    assert groups == [1, 4, 4, 1]


def test_too_few_are_served_by_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lanes would take longer."""
    machine = use(monkeypatch, broken_lanes(), fewest=4)
    source = Keys(1)
    with ThreadPoolExecutor(3) as executor:
        with source.processors:
            futures = [executor.submit(derived, source, "x", bytes(16)) for _ in range(3)]
            while len(source.waiting) < len(futures):
                pass
        assert {future.result(30) for future in futures} == {expected("x", bytes(16))}
    assert machine.trouble is None


def test_what_cannot_be_done_again_is_not_left_to_the_lanes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pipe is read once, so its key has to be right at once."""
    use(monkeypatch, broken_lanes())
    with Keys(1).derive("x", bytes(16), go_on, is_repeatable=False) as key:
        assert bytes(key) == expected("x", bytes(16))


def test_a_tag_that_fails_under_a_right_key_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording was altered, or the password is wrong; the lanes go on."""
    machine = use(monkeypatch, good_lanes())
    source = Keys(1)
    with (
        pytest.raises(AuthenticationError),
        source.derive("x", bytes(16), go_on, is_repeatable=True),
    ):
        raise AuthenticationError("the tag does not fit")
    assert machine.in_use is not None
    assert source.news() is None


def test_a_tag_that_fails_under_a_wrong_key_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is to be done again; the lanes are not used any more, which is told once."""
    use(monkeypatch, broken_lanes())
    source = Keys(1)
    with (
        pytest.raises(WrongKeyError),
        source.derive("x", bytes(16), go_on, is_repeatable=True),
    ):
        raise AuthenticationError("the tag does not fit")
    assert derived(source, "x", bytes(16)) == expected("x", bytes(16))
    assert source.threads == 0
    assert source.news() == (
        "the extra 'lanes' derived a wrong key, and is not used any more; the keys are derived "
        "without it, and no recording is affected"
    )
    assert source.news() is None
    assert Keys(1).news() is not None, "the next run tells it as well"


@pytest.mark.parametrize("is_repeatable", [True, False])
def test_keys_are_wiped(monkeypatch: pytest.MonkeyPatch, is_repeatable: bool) -> None:  # noqa: FBT001
    """After the block, and after an error in it."""
    use(monkeypatch, good_lanes())
    source = Keys(1)
    with source.derive("x", bytes(16), go_on, is_repeatable=is_repeatable) as key:
        assert any(key)
    with (
        pytest.raises(KeyError),
        source.derive("x", bytes(16), go_on, is_repeatable=is_repeatable) as key_of_failure,
    ):
        raise KeyError
    assert key == key_of_failure == bytes(32)


def test_those_who_still_wait_get_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the thread that derives for them is ended, another of them does it."""
    use(monkeypatch, good_lanes())
    source = Keys(1)
    salts = [os.urandom(16) for _ in range(4)]
    ended: list[int] = []

    def end_the_first(_: int) -> None:
        if not source.waiting and not ended:
            ended.append(1)
            raise KeyError

    with ThreadPoolExecutor(4) as executor:
        with source.processors:
            futures = [executor.submit(derived, source, "x", salt, end_the_first) for salt in salts]
            while len(source.waiting) < len(salts):
                pass
        errors = [future.exception(30) for future in futures]
    assert [type(error) for error in errors if error] == [KeyError]
    for future, salt, error in zip(futures, salts, errors, strict=True):
        assert error or future.result() == expected("x", salt)


def test_a_password_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for one recording, and nobody waits for a key of it."""
    use(monkeypatch, good_lanes())
    source = Keys(1)
    with pytest.raises(UsageError):
        derived(source, "geheim\ud800", bytes(16))
    assert source.waiting == []


def test_no_secret_shows() -> None:
    """Objects get into logs."""
    assert "geheim" not in repr(lanes.Request(b"geheim", bytes(16)))
    assert "geheim" not in repr(vars(Keys(1)))


def test_a_caller_is_warned_as_python_does_it() -> None:
    """There is no terminal to write to."""
    with pytest.warns(RuntimeWarning, match="something"):
        warn_by_python("something")
