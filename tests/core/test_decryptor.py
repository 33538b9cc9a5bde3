"""The public functions."""

from __future__ import annotations

import io
import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.posix import resource
from support.recordings import FIXTURES, PASSWORD, PLAIN, MakeEnc, encrypt

from filedecryptor import AuthenticationError, NotEncError, decrypt, decrypt_file, open_recording
from filedecryptor.core.spool import MEMORY_LIMIT
from filedecryptor.jobs.job import Job, do_job

# A derivation takes some 60 ms, so examples are few.
few = settings(max_examples=20, deadline=None)


@few
@given(plaintext=st.binary(max_size=2000), password=st.text() | st.binary())
def test_any_plaintext_and_password_round_trip(plaintext: bytes, password: str | bytes) -> None:
    """What the encryptor made, comes out as it was."""
    assert decrypt(encrypt(plaintext, password), password) == plaintext


SEALED = encrypt(b"spoken words", PASSWORD)


@few
@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(position: int, change: int) -> None:
    """Salt, nonce, ciphertext or tag: each byte counts."""
    altered = bytearray(SEALED)
    altered[position] ^= change
    with pytest.raises(AuthenticationError):
        decrypt(bytes(altered), PASSWORD)


@pytest.mark.parametrize(
    "altered",
    [SEALED[:-1], SEALED + b"\0", SEALED[1:], b"\0" + SEALED],
    ids=["end missing", "end added", "beginning missing", "beginning added"],
)
def test_bytes_cut_off_or_added_are_refused(altered: bytes) -> None:
    """At either end."""
    with pytest.raises(AuthenticationError):
        decrypt(altered, PASSWORD)


def test_too_short_is_not_an_enc_file() -> None:
    """Below 44 bytes there is nothing to authenticate."""
    with pytest.raises(NotEncError, match="43 bytes"):
        decrypt(bytes(43), PASSWORD)


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


def test_open_recording_hands_out_nothing_unauthenticated(make_enc: MakeEnc) -> None:
    """One altered byte at the very end, and there is no file at all."""
    source = make_enc(audio=bytes(MEMORY_LIMIT + 1))
    data = bytearray(source.read_bytes())
    data[-1] ^= 1
    source.write_bytes(data)
    with pytest.raises(AuthenticationError) as caught:
        open_recording(source, PASSWORD)
    assert caught.value.filename == str(source)


@pytest.mark.parametrize(
    ("page", "password", "hint"),
    [
        ((PLAIN / "recording_def456.mp3").read_bytes(), PASSWORD, "plain mp3 audio"),
        (b'\r\n{"error": "no such recording", "code": 404, "id": null}', PASSWORD, "JSON"),
        (b'[{"error": "no such recording", "code": 404, "id": "\xc3\xa9"}]', PASSWORD, "JSON"),
        (b"\xef\xbb\xbf<!DOCTYPE html>\n<html><body>Not found</body></html>", PASSWORD, "HTML"),
        (b"<HTML><body>Nicht gefunden f\xfcr Sie\xa0:-(</body></HTML>", PASSWORD, "HTML"),
        (b"502 Bad Gateway: the upstream server did not answer in time", PASSWORD, "is a text"),
        (b"Gone:\t" + "é".encode() * 1500, PASSWORD, "is a text"),  # the head ends in a letter
        (None, "", "password is empty"),
        (None, "EncryptMe\n", "white space or a line end"),
        (None, " EncryptMe", "white space or a line end"),
        (None, "encryptme", "in force when the call was recorded"),
        (bytes(60), PASSWORD, "in force when the call was recorded"),
    ],
)
def test_a_failed_authentication_names_the_likely_cause(
    page: bytes | None, password: str, hint: str
) -> None:
    """As far as the first bytes of a page, or the password of a good recording, show it."""
    with pytest.raises(AuthenticationError) as caught:
        decrypt(SEALED if page is None else page, password)
    assert hint in str(caught.value.hint)


def test_a_short_error_page_is_recognised_too() -> None:
    """An API's error is often shorter than the smallest `.enc` file."""
    with pytest.raises(NotEncError) as caught:
        decrypt(b'{"error":"not found"}', PASSWORD)
    assert "JSON" in str(caught.value.hint)


@pytest.mark.parametrize("data", [b"", bytes(20)])
def test_too_short_is_no_matter_of_the_password(data: bytes) -> None:
    """Where the bytes show nothing, there is no hint."""
    with pytest.raises(NotEncError) as caught:
        decrypt(data, "")
    assert caught.value.hint is None


def test_a_full_temporary_directory_is_named(
    make_enc: MakeEnc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither the recording nor the audio that has no room."""
    source = make_enc(audio=bytes(MEMORY_LIMIT + 1_000_000))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108 - the usual place
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            open_recording(source, PASSWORD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == "/tmp"  # noqa: S108 - the usual place


def test_a_file_cut_off_at_a_block_may_be_incomplete(make_enc: MakeEnc) -> None:
    """So ends a copy that is still under way, or was never finished."""
    source = make_enc()
    os.truncate(source, 2 * 4096)
    with pytest.raises(AuthenticationError) as caught:
        decrypt_file(source, PASSWORD, "opus")
    assert "incomplete" in (caught.value.hint or "")


def test_a_file_that_grows_is_not_complete_yet(make_enc: MakeEnc) -> None:
    """What is added while it is read shows that somebody still writes it."""
    source = make_enc()

    def grow(_: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    with source.open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(AuthenticationError) as caught:
        do_job(Job(str(source), "opus"), PASSWORD, on_progress=grow)
    assert "still growing" in (caught.value.hint or "")
