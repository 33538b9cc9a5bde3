"""A recording that changes while it is read: refused or correct, never wrong audio."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from support.folders import contents
from support.posix import posix_only
from support.recordings import PASSWORD, encrypt

from filedecryptor import AuthenticationError
from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.jobs.job import Job, Shared, do_job
from filedecryptor.storage.atomic import Written

AUDIO = os.urandom(3 * CHUNK_SIZE)
PIECES = 4
"""In so many it is worked on here: half a chunk from memory, then chunks."""

OTHER_AUDIO = os.urandom(3 * CHUNK_SIZE)


def overwrite(path: Path) -> None:
    """Write another recording into the same file."""
    with path.open("r+b") as file:
        file.write(encrypt(OTHER_AUDIO, PASSWORD))


def replace(path: Path) -> None:
    """Put another file in its place, as a careful writer does."""
    other = path.with_name("other")
    other.write_bytes(encrypt(OTHER_AUDIO, PASSWORD))
    other.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut off where nothing was read yet": lambda path: os.truncate(path, 2 * CHUNK_SIZE),
    "emptied": lambda path: os.truncate(path, 0),
    "grown": lambda path: os.truncate(path, path.stat().st_size + 1),
    "overwritten": overwrite,
    "replaced": replace,
    "removed": Path.unlink,
    "filled again": lambda path: path.write_bytes(path.read_bytes()),
}


@pytest.mark.parametrize(
    ("change", "piece"),
    [*product([*CHANGES][:4], (1, 2)), ("grown", PIECES)],
)
def test_what_changes_under_our_hands_is_refused(tmp_path: Path, change: str, piece: int) -> None:
    """As long as there is more to read, the tag does not fit; the old output stays.

    The end of the file decides which bytes are the tag, also if it was reached before.
    """
    with pytest.raises(AuthenticationError):
        decrypt_while(change, tmp_path, piece)
    assert contents(tmp_path).get("a.wav") == b"old"
    assert set(contents(tmp_path)) == {"a.enc", "a.wav"}


@pytest.mark.parametrize("change", [*[*CHANGES][:2], "overwritten"])
def test_what_was_read_whole_is_decrypted(tmp_path: Path, change: str) -> None:
    """What happens afterwards does not matter."""
    decrypt_while(change, tmp_path, PIECES)
    assert (tmp_path / "a.wav").read_bytes() == AUDIO


@posix_only("names to take from open files")
@pytest.mark.parametrize("change", [*CHANGES][4:])
@pytest.mark.parametrize("piece", [1, 2, PIECES])
def test_what_stays_readable_is_decrypted(tmp_path: Path, change: str, piece: int) -> None:
    """An open file stays what it was, whatever happens to its name."""
    decrypt_while(change, tmp_path, piece)
    assert (tmp_path / "a.wav").read_bytes() == AUDIO


def decrypt_while(change: str, folder: Path, piece: int) -> None:
    """Decrypt a recording, changing it once that many pieces of it have been worked on."""
    source = folder / "a.enc"
    source.write_bytes(encrypt(AUDIO, PASSWORD))
    (folder / "a.wav").write_bytes(b"old")
    done = 0

    def on_progress(_: int) -> None:
        nonlocal done
        done += 1
        if done == piece:
            CHANGES[change](source)

    # Too little memory for the whole, so that it is read while it is worked on.
    shared = Shared(Written(), memory_limit=CHUNK_SIZE // 2)
    do_job(Job(str(source), "wav"), PASSWORD, shared=shared, on_progress=on_progress)
    assert done >= piece
