"""Whatever is altered in a recording, however little: it is refused, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import encryptor
from support.folders import contents, nothing_changes
from support.recordings import PASSWORD

from filedecryptor import AuthenticationError, NotEncError
from filedecryptor.core import crypto
from filedecryptor.core.format import SMALLEST_SIZE
from filedecryptor.jobs.job import Job, try_job

AUDIO = b"OggS, and twenty more bytes"
RECORDING = encryptor.encrypt(AUDIO, PASSWORD, iterations=1)
SIZE = len(RECORDING)


def with_a_bit_flipped() -> Iterator[bytes]:
    """Yield recordings in which one bit of salt, nonce, ciphertext or tag is another one."""
    for position in range(8 * SIZE):
        altered = bytearray(RECORDING)
        altered[position // 8] ^= 1 << position % 8
        yield bytes(altered)


def with_bytes_missing() -> Iterator[bytes]:
    """Yield recordings cut at every length, as a broken download is, and from the beginning."""
    yield RECORDING[1:]
    yield from (RECORDING[:size] for size in range(SIZE))
    yield from (RECORDING[SIZE - size :] for size in range(SMALLEST_SIZE))


def with_bytes_added() -> Iterator[bytes]:
    """Yield recordings with up to 64 bytes more: zeros, chance, their own again; or one before."""
    yield b"\0" + RECORDING
    for count in range(1, 65):
        yield from (
            RECORDING + more for more in (bytes(count), os.urandom(count), RECORDING[-count:])
        )


@pytest.mark.parametrize("alter", [with_a_bit_flipped, with_bytes_missing, with_bytes_added])
def test_what_is_altered_is_refused(
    here: Path, alter: Callable[[], Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes nothing, and leaves an older output alone; the recording as it is decrypts."""
    monkeypatch.setattr(crypto, "ITERATIONS", 1)
    (here / "old.opus").write_bytes(b"old")
    source = here / "a.enc"
    for data in alter():
        source.write_bytes(data)
        expected = NotEncError if len(data) < SMALLEST_SIZE else AuthenticationError
        with nothing_changes(here):
            for output in (None, "old.opus"):
                outcome = try_job(Job("a.enc", "opus", output=output), PASSWORD)
                assert outcome.status == "failed"
                assert type(outcome.error) is expected
    source.write_bytes(RECORDING)
    assert try_job(Job("a.enc", "opus"), PASSWORD).status == "decrypted"
    assert contents(here) == {"a.enc": RECORDING, "a.opus": AUDIO, "old.opus": b"old"}
