"""Whatever is altered in a recording, before it is read or while it is: never wrong audio."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from support import encryptor
from support.folders import contents, nothing_changes
from support.posix import IS_WINDOWS
from support.recordings import PASSWORD, encrypt

from filedecryptor import AuthenticationError, NotEncError
from filedecryptor.core import crypto
from filedecryptor.core.format import CHUNK_SIZE, SMALLEST_SIZE
from filedecryptor.jobs.job import Job, do_job, try_job
from filedecryptor.storage.atomic import Written

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


# While it is read

LONG = os.urandom(3 * CHUNK_SIZE)
PIECES = 4
"""In so many it is worked on here: half a chunk from memory, then chunks."""

OTHER_RECORDING = encrypt(os.urandom(3 * CHUNK_SIZE), PASSWORD)


def overwrite(path: Path) -> None:
    """Write another recording into the same file."""
    with path.open("r+b") as file:
        file.write(OTHER_RECORDING)


def replace(path: Path) -> None:
    """Put another file in its place, as a careful writer does."""
    other = path.with_name("other")
    other.write_bytes(OTHER_RECORDING)
    other.replace(path)


CHANGES: dict[str, tuple[Callable[[Path], object], list[int]]] = {
    "cut off where nothing was read yet": (lambda path: os.truncate(path, 2 * CHUNK_SIZE), [1, 2]),
    "emptied": (lambda path: os.truncate(path, 0), [1, 2]),
    "overwritten": (overwrite, [1, 2]),
    # The end of the file decides which bytes are the tag, also if it was reached before.
    "grown": (lambda path: os.truncate(path, path.stat().st_size + 1), [1, 2, PIECES]),
    # An open file stays what it was, whatever happens to its name.
    "replaced": (replace, []),
    "removed": (Path.unlink, []),
    "filled again": (lambda path: path.write_bytes(path.read_bytes()), []),
}
"""What happens to a recording, and after which pieces it is refused then; else it is decrypted."""


@pytest.mark.parametrize("piece", [1, 2, PIECES])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_under_our_hands(tmp_path: Path, change: str, piece: int) -> None:
    """As long as there is more to read, the tag does not fit, and the old output stays."""
    if IS_WINDOWS and not CHANGES[change][1]:
        pytest.skip("Windows takes no names from open files")
    source = tmp_path / "a.enc"
    source.write_bytes(encrypt(LONG, PASSWORD))
    (tmp_path / "a.wav").write_bytes(b"old")
    done = 0

    def on_progress(_: int) -> None:
        nonlocal done
        done += 1
        if done == piece:
            CHANGES[change][0](source)

    # Too little memory for the whole, so that it is read while it is worked on.
    do = partial(do_job, written=Written(), memory_limit=CHUNK_SIZE // 2, on_progress=on_progress)
    expected, is_said = LONG, False
    try:
        do(Job(str(source), "wav"), PASSWORD)
    except (AuthenticationError, NotEncError) as error:
        expected = b"old"
        is_said = "still growing" in error.cause
    assert done >= piece
    assert (expected == b"old") == (piece in CHANGES[change][1])
    assert is_said == (change == "grown" and piece in CHANGES[change][1])
    found = contents(tmp_path)
    assert found["a.wav"] == expected
    assert found.keys() == {"a.wav", *(["a.enc"] if change != "removed" else [])}
