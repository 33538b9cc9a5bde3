"""Whatever is altered in a recording, however little: it is refused, and nothing is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import encryptor
from support.folders import contents
from support.recordings import PASSWORD

from filedecryptor import AuthenticationError, NotEncError
from filedecryptor.core import crypto
from filedecryptor.core.format import SMALLEST_SIZE
from filedecryptor.jobs.job import Job, try_job

AUDIO = b"OggS, and twenty more bytes"
RECORDING = encryptor.encrypt(AUDIO, PASSWORD, iterations=1)
SIZE = len(RECORDING)


@pytest.fixture(autouse=True)
def cheaper_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive thousands of keys in no time."""
    monkeypatch.setattr(crypto, "ITERATIONS", 1)


def refused(folder: Path, altered: bytes) -> type[Exception | None]:
    """Decrypt an altered recording twice, see that nothing is written; return what it raised."""
    assert altered != RECORDING
    (folder / "a.enc").write_bytes(altered)
    (folder / "old.opus").write_bytes(b"old")
    before = contents(folder)
    fresh = try_job(Job("a.enc", "opus"), PASSWORD)
    over_an_old_one = try_job(Job("a.enc", "opus", output="old.opus"), PASSWORD)
    assert contents(folder) == before
    assert fresh.status == over_an_old_one.status == "failed"
    assert type(fresh.error) is type(over_an_old_one.error)
    return type(fresh.error)


def test_the_recording_as_it_is_decrypts(here: Path) -> None:
    """What is altered below is a good recording, or its refusal would mean nothing."""
    (here / "a.enc").write_bytes(RECORDING)
    assert try_job(Job("a.enc", "opus"), PASSWORD).status == "decrypted"
    assert (here / "a.opus").read_bytes() == AUDIO


def test_no_bit_can_be_flipped(here: Path) -> None:
    """Of salt, nonce, ciphertext and tag: each of them is authenticated."""
    for position in range(8 * SIZE):
        altered = bytearray(RECORDING)
        altered[position // 8] ^= 1 << position % 8
        assert refused(here, bytes(altered)) is AuthenticationError, position


def test_no_byte_can_be_missing(here: Path) -> None:
    """Cut at every length, from the end as a broken download is, and from the beginning."""
    assert refused(here, RECORDING[1:]) is AuthenticationError
    for size in range(SIZE):
        expected = NotEncError if size < SMALLEST_SIZE else AuthenticationError
        assert refused(here, RECORDING[:size]) is expected, size
    for size in range(SMALLEST_SIZE):
        assert refused(here, RECORDING[SIZE - size :]) is NotEncError, size


def test_no_byte_can_be_added(here: Path) -> None:
    """From 1 to 64 bytes more: zeros, chance, or the recording's own over again; or one before."""
    assert refused(here, b"\0" + RECORDING) is AuthenticationError
    for count in range(1, 65):
        for more in (bytes(count), os.urandom(count), RECORDING[-count:]):
            assert refused(here, RECORDING + more) is AuthenticationError, more
