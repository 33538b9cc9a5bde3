"""Recordings in, audio out; and what is said where that fails."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recordings import FIXTURES, PASSWORD, PLAIN, MakeEnc, encrypt

from filedecryptor import AuthenticationError, NotEncError, decrypt, open_recording
from filedecryptor.core.decryptor import ignore
from filedecryptor.core.spool import MEMORY_LIMIT
from filedecryptor.jobs.job import Job, do_job


@settings(max_examples=20, deadline=None)
@given(plaintext=st.binary(max_size=2000), password=st.text() | st.binary())
def test_any_plaintext_and_password_round_trip(plaintext: bytes, password: str | bytes) -> None:
    """What the encryptor made comes out as it was."""
    assert decrypt(encrypt(plaintext, password), password) == plaintext


SEALED = encrypt(b"spoken words", PASSWORD)


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
    source = io.BytesIO(b"before" + SEALED)
    source.seek(6)
    assert open_recording(source, PASSWORD).read() == b"spoken words"
    assert not source.closed


@pytest.mark.real_iterations
def test_open_recording_goes_straight_into_a_decoder() -> None:
    """No named file is needed to play a recording."""
    soundfile = pytest.importorskip("soundfile")
    with open_recording(FIXTURES / "recording_abc123.enc", PASSWORD) as recording:
        assert soundfile.info(recording).duration == pytest.approx(4.82, abs=0.01)


IN_FORCE = "the password is the one that was in force when the call was recorded"


@pytest.mark.parametrize(
    ("page", "password", "hint"),
    [
        ((PLAIN / "recording_def456.mp3").read_bytes(), PASSWORD, "plain mp3 audio"),
        (b'\r\n{"error": "no such recording", "code": 404, "id": null}', PASSWORD, "JSON"),
        (b"<HTML><body>Nicht gefunden f\xfcr Sie\xa0:-(</body></HTML>", PASSWORD, "HTML"),
        (b"Gone:\t" + "é".encode() * 1500, PASSWORD, "is a text"),  # the head ends in a letter
        (None, "", "the password is empty"),
        (None, "EncryptMe\n", "white space or a line end"),
        (None, " EncryptMe", "white space or a line end"),
        (None, '"EncryptMe"', "in quotation marks, which count as part of it"),
        (None, "encryptme", IN_FORCE),
        (bytes(60), PASSWORD, IN_FORCE),
    ],
)
def test_a_failed_authentication_names_the_likely_cause(
    page: bytes | None, password: str, hint: str
) -> None:
    """As far as the first bytes of a page, or the password of a good recording, show it."""
    with pytest.raises(AuthenticationError) as caught:
        decrypt(page or SEALED, password)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("data", [b"", bytes(28), bytes(43), b'{"error":"not found"}'])
def test_too_short_is_not_an_enc_file(data: bytes) -> None:
    """Below 44 bytes the password does not matter, but the bytes may show an API's error."""
    with pytest.raises(NotEncError, match=f"it is {len(data)} bytes long, the") as caught:
        decrypt(data, "")
    assert ("JSON" if data.strip(b"\0") else "None") in str(caught.value.hint)


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
