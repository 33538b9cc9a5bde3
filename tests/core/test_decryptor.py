"""Recordings in, audio out; and what is said where that fails."""

from __future__ import annotations

import io
import os

import pytest
from support.recordings import MP3, PASSWORD, MakeEnc, encrypt

from filedecryptor import AuthenticationError, NotEncError, decrypt, open_recording
from filedecryptor.core.decryptor import ignore
from filedecryptor.core.spool import MEMORY_LIMIT
from filedecryptor.jobs.job import Job, do_job


@pytest.mark.parametrize("size", [0, 5, MEMORY_LIMIT, MEMORY_LIMIT + 1])
def test_open_recording_is_a_real_file(size: int, make_enc: MakeEnc) -> None:
    """Readable and seekable at any byte, in memory or, beyond the limit, from a private copy."""
    audio = os.urandom(size)
    with open_recording(make_enc(audio=audio), PASSWORD) as recording:
        assert recording.readable()
        assert recording.seekable()
        assert recording.read() == audio
        recording.seek(-1, os.SEEK_END) if size else None
        assert recording.read() == audio[-1:]
        assert isinstance(recording, io.BytesIO) == (size <= MEMORY_LIMIT)
        for position in (0, 1, 15, 16, 17, size // 2 + 3, size + 100):
            assert recording.seek(position) == position
            assert recording.read(100) == audio[position : position + 100]
        recording.seek(0)
        with pytest.raises(ValueError, match="negative"):  # where salt and nonce are
            recording.seek(-1)
        assert recording.read(100) == audio[:100]
    with pytest.raises(ValueError, match="closed"):
        recording.read(1)


def test_open_recording_takes_an_open_file() -> None:
    """It reads from where the file stands, and leaves it open."""
    source = io.BytesIO(b"before" + encrypt(b"spoken words"))
    source.seek(6)
    assert open_recording(source, PASSWORD).read() == b"spoken words"
    assert not source.closed


IN_FORCE = "the password is the one that was in force when the call was recorded"


@pytest.mark.parametrize(
    ("data", "password", "error", "hint"),
    [
        (MP3, PASSWORD, "authentication failed", "plain mp3 audio"),
        (b'\r\n{"error": "no such recording", "id": null}', PASSWORD, "authentication", "JSON"),
        (b"<HTML><body>f\xfcr Sie\xa0:-(</body></HTML>" * 2, PASSWORD, "authentication", "HTML"),
        # The head ends in the middle of a letter.
        (b"Gone:\t" + "é".encode() * 1500, PASSWORD, "authentication failed", "is a text"),
        (None, "EncryptMe\n", "authentication failed", "white space or a line end"),
        (None, '"EncryptMe"', "authentication failed", "in quotation marks, which count as"),
        (bytes(60), PASSWORD, "authentication failed", IN_FORCE),
        # Below 44 bytes the password does not matter.
        *((bytes(size), "", f"it is {size} bytes long, the", "None") for size in (0, 28, 43)),
        (b'{"error":"not found"}', "", "it is 21 bytes long, the", "JSON"),
    ],
)
def test_a_failure_names_the_likely_cause(
    data: bytes | None, password: str, error: str, hint: str
) -> None:
    """As far as the first bytes of a page, or the password of a good recording, show it."""
    data = encrypt(b"spoken words") if data is None else data
    with pytest.raises((AuthenticationError, NotEncError), match=error) as caught:
        decrypt(data, password)
    assert isinstance(caught.value, NotEncError) == (len(data) < 44)
    assert hint in str(caught.value.hint)


def test_a_file_that_is_not_complete_yet(make_enc: MakeEnc) -> None:
    """A copy that ends at a block, or to which something is added while it is read."""
    source = make_enc()

    def grow(_: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    for size, on_progress, hint in (
        (4095, ignore, IN_FORCE),
        (4097, ignore, IN_FORCE),
        (8192, ignore, "the password may be wrong, or the file incomplete"),
        (5000, grow, "the file is still growing: run this again once it is complete"),
    ):
        os.truncate(source, size)
        with pytest.raises(AuthenticationError) as caught:
            do_job(Job(str(source), "opus"), PASSWORD, on_progress=on_progress)
        assert hint in str(caught.value.hint)
