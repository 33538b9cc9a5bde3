"""A recording that changes while it is read: refused or correct, never wrong audio."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.folders import contents
from support.posix import IS_WINDOWS
from support.recordings import PASSWORD, encrypt

from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.errors import AuthenticationError
from filedecryptor.jobs.job import Job, Shared, do_job
from filedecryptor.storage.atomic import Written

AUDIO = os.urandom(3 * CHUNK_SIZE)
PIECES = 4
"""In so many it is worked on here: half a chunk from memory, then chunks."""

OTHER = encrypt(os.urandom(3 * CHUNK_SIZE), PASSWORD)


def overwrite(path: Path) -> None:
    """Write another recording into the same file."""
    with path.open("r+b") as file:
        file.write(OTHER)


def replace(path: Path) -> None:
    """Put another file in its place, as a careful writer does."""
    other = path.with_name("other")
    other.write_bytes(OTHER)
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
    source.write_bytes(encrypt(AUDIO, PASSWORD))
    (tmp_path / "a.wav").write_bytes(b"old")
    done = 0

    def on_progress(_: int) -> None:
        nonlocal done
        done += 1
        if done == piece:
            CHANGES[change][0](source)

    # Too little memory for the whole, so that it is read while it is worked on.
    shared = Shared(Written(), memory_limit=CHUNK_SIZE // 2)
    expected = AUDIO
    try:
        do_job(Job(str(source), "wav"), PASSWORD, shared=shared, on_progress=on_progress)
    except AuthenticationError:
        expected = b"old"
    assert done >= piece
    assert (expected == b"old") == (piece in CHANGES[change][1])
    found = contents(tmp_path)
    assert found["a.wav"] == expected
    assert found.keys() == {"a.wav", *(["a.enc"] if change != "removed" else [])}
