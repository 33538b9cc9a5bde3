"""Recordings in, audio out; and what is said where that fails."""

from __future__ import annotations

import gzip
import io
import os
import re

import pytest
from support.audio import id3
from support.recordings import AUDIO, MP3, PASSWORD, WAV, MakeEnc, encrypt

from filedecryptor import AuthenticationError, NotEncError, decrypt, open_recording
from filedecryptor.core.decryptor import decrypted, ignore
from filedecryptor.core.spool import MEMORY_LIMIT, Beginning
from filedecryptor.jobs.job import Job, try_job


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


LOOK, GET = "look into it, then download the recording again", "it is not complete: run this again"
UNPACK, DECRYPT = "unpack it, and decrypt what is in it", "decrypt it with that program, and then"
RENAME = "either it is decrypted, or it was recorded without a password; if its name ends in .enc, "
HIGH, SHORT = bytes(range(128, 256)), "not an .enc file: it is {} bytes long, the smallest is 44"


@pytest.mark.parametrize("behind", [HIGH, b"", MP3])
@pytest.mark.parametrize(
    ("data", "cause", "hint"),
    [
        (AUDIO[:1000], "opus audio already", RENAME),
        (MP3[:4000], "mp3 audio already", RENAME),
        (WAV[:1000], "wav audio already", RENAME),
        (id3(9000), "audio already, behind a tag", RENAME),
        (b"fLaC\0\0\0\x22", "FLAC audio already", RENAME),
        (b"\0\0\0\x1cftypM4A ", "M4A audio already", RENAME),
        (b"\0\0\0\x1cftypisom", "MP4, not a recording", LOOK),
        (b"RIFF\0\0\1\0AVI LIST", "another RIFF container, not a recording", LOOK),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "a zip archive, not a recording", UNPACK),
        (gzip.compress(b"x", mtime=0), "a gzip archive, not a recording", UNPACK),
        (b"Rar!\x1a\x07\x01\0", "a rar archive, not a recording", UNPACK),
        (b"LZIP\x01\x0c", "an archive, not a recording", UNPACK),
        (b"Salted__12345678", "a file that another program encrypted, not a recording", DECRYPT),
        (b"age-encryption.org/v1\n-> X", "a file that another program encrypted, not a ", DECRYPT),
        (b"\x8c\x0d\x04\x09\x03\x08", "a file that another program encrypted, not a ", DECRYPT),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture, not a recording", LOOK),
        (b"%PDF-1.7\n", "a PDF document, not a recording", LOOK),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document, not a recording", LOOK),
        (b"\x7fELF\2\1\1", "a program, not a recording", LOOK),
        (b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut, not a recording", LOOK),
    ],
)
def test_what_is_known_to_be_something_else(
    data: bytes, cause: str, hint: str, behind: bytes
) -> None:
    """Whatever follows, and however short it is, it is called by its name: the password is not."""
    for password in (PASSWORD, ["wrong", "p\xe4ssword"], ""):
        with pytest.raises(NotEncError) as caught:
            decrypted(Beginning(io.BytesIO(data + behind)), password)
        assert caught.value.cause.startswith(f"this is {cause}")
        assert str(caught.value.hint).startswith(hint)
        assert "password" not in str(caught.value.hint).removeprefix(RENAME)


@pytest.mark.parametrize(
    ("data", "cause", "hint"),
    [
        (b'\r\n{"error": "no such recording", "id": null}', "this is a JSON text, not a", LOOK),
        (b"<HTML><body>f\xfcr Sie\xa0:-(</body></HTML>" * 2, "this is an HTML or XML page", LOOK),
        # The head ends in the middle of a letter.
        (b"Gone:\t" + "é".encode() * 1500, "this is a text, not a recording", LOOK),
        (b'{"error":"not found"}', "this is a JSON text, not a recording", LOOK),
        (b"-----BEGIN PGP MESSAGE-----\n", "this is a file that another program", DECRYPT),
        (b"{\\rtf1\\ansi ", "this is an Office document", LOOK),
        *((bytes(size), SHORT.format(size), GET) for size in (1, 28, 43)),
        (b"", "not an .enc file: it is empty", GET),
    ],
)
def test_texts_and_what_is_too_short(data: bytes, cause: str, hint: str) -> None:
    """Before a length, a text is called what it is; the password does not matter."""
    with pytest.raises(NotEncError, match=re.escape(cause)) as caught:
        decrypt(data, "")
    assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    ("data", "password", "hint"),
    [
        (None, "EncryptMe\n", "white space or a line end"),
        (None, '"EncryptMe"', "in quotation marks, which count as"),
        (bytes(60), PASSWORD, IN_FORCE),
        (bytes(60), PASSWORD, "it begins with nothing but zeros, so it may be no recording; "),
        (b"\xff\xf1\x50" + HIGH, PASSWORD, "as AAC does, so it may be no record"),
        (b"\x0b\x77" + HIGH, "", "as AC-3 does, so it may be no recording; the passwo"),
    ],
)
def test_a_failed_authentication_names_the_likely_cause(
    data: bytes | None, password: str, hint: str
) -> None:
    """As far as the password shows it, or bytes with which a recording may begin by chance."""
    data = encrypt(b"spoken words") if data is None else data
    with pytest.raises(AuthenticationError, match="authentication failed") as caught:
        decrypt(data, password)
    assert hint in str(caught.value.hint)


def test_a_file_that_is_not_complete_yet(make_enc: MakeEnc) -> None:
    """A copy that ends at a block, or to which something is added while it is read."""
    source = make_enc()

    def grow(_: int) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    for size, on_progress, error, hint in (
        (4095, ignore, AuthenticationError, IN_FORCE),
        (4097, ignore, AuthenticationError, IN_FORCE),
        (8192, ignore, AuthenticationError, "the file may be an unfinished copy"),
        (5000, grow, NotEncError, "run this again once it is complete"),
    ):
        os.truncate(source, size)
        failure = try_job(Job(str(source), "opus"), "secret", on_progress=on_progress).error
        assert isinstance(failure, error)
        assert ("the file is still growing" in str(failure)) == (on_progress is grow)
        assert hint in str(failure.hint)
