"""What bytes are that are none of the three formats."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib

import pytest
from support.audio import ape, id3, page
from support.recordings import MP3

from filedecryptor.audio import Head
from filedecryptor.audio.foreign import kind_of, text_of

PAGE = "<!DOCTYPE html><title>Zugriff verweigert</title><p>F\u00fcr Sie gesperrt."


def archived(kind: str) -> bytes:
    """Return a zip or tar archive."""
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.opus", b"x" * 100)
    else:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.opus"))
    return file.getvalue()


KINDS = {
    "an HTML or XML page": [
        *(PAGE.encode(encoding) for encoding in ("utf-8", "utf-8-sig", "latin-1")),
        *(PAGE.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-16-be")),
    ],
    "a text": [("\u0395\u03bb " * 200).encode("iso-8859-7"), b"not found\r\n"],
    "a JSON text": [b'{"error": "no"}', b'[{"error": "\xc3\xa9"}]'],
    "a gzip archive": [gzip.compress(PAGE.encode())],
    "a zip archive": [archived("zip")],
    "a tar archive": [archived("tar")],
    "a bzip2 archive": [bz2.compress(PAGE.encode())],
    "an xz archive": [lzma.compress(PAGE.encode())],
    "a PNG picture": [b"\x89PNG\r\n\x1a\n" + zlib.compress(b"x")],
    "a JPEG picture": [b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(50), b"\xff\xd8\xff\xdb\0\x43\0"],
    "a GIF picture": [b"GIF89a" + bytes(50)],
    "a WebP picture": [b"RIFF\x10\0\0\0WEBPVP8 " + bytes(50)],
    "a PDF document": [b"%PDF-1.7\n" + bytes(50)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_recording(kind: str) -> None:
    """Texts in any encoding, archives, pictures."""
    assert {kind_of(data) for data in KINDS[kind]} == {kind}


@pytest.mark.parametrize("size", [44, 60, 100, 500, 4096])
def test_random_bytes_are_never_taken_for_something_else(size: int) -> None:
    """For a recording's first bytes are random, and it exists nowhere else."""
    for _ in range(4000):
        assert kind_of(os.urandom(size)) is None


def test_a_text_whose_end_is_missing() -> None:
    """A letter may be cut in its middle."""
    assert text_of("f\u00fcr".encode()[:2]) == "f"


OTHERS = {
    "AAC": b"\xff\xf1\x50\x40\x21\x3f\xfc\xde",
    "FLAC": b"fLaC\0\0\0\x22",
    "M4A": b"\0\0\0\x1cftypM4A ",
    "MP4": b"\0\0\0\x1cftypisom",
    "WebM": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\xf7\x81\1\x42\x82\x84webm",
    "Matroska": b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\1\x42\x82\x88matroska",
    "AMR": b"#!AMR\n\x3c\x91",
    "MP2": b"\xff\xfd\x90\xc4",
    "TTA": b"TTA1\1\0\2\0",
    "Monkey's Audio": b"MAC \x96\x0f\0\0",
    "Musepack": b"MP+\x07",
    "RealAudio": b".RMF\0\0\0\x12",
    "WMA": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "AVI": b"RIFF\0\0\1\0AVI LIST",
    "MP3 in a RIFF container": b"RIFF\0\0\1\0RMP3data",
    "Flash": b"FLV\x01\x04\0\0\0\x09",
    "Speex": page(b"Speex   1.2"),
    "Ogg Vorbis": page(b"\x01vorbis"),
    "a zip archive": b"PK\x03\x04\x14\0\0\0\0\0",
    "a tar archive": b"a.mp3".ljust(257, b"\0") + b"ustar\x0000".ljust(255, b"\0"),
    "an MPEG stream": b"\0\0\1\xba\x21\0",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_audio_is_not_mp3(name: str) -> None:
    """Neither behind a tag nor if it holds frames of MP3; it is said what it may be."""
    for audio in (
        OTHERS[name] + MP3,
        id3(300) + OTHERS[name] + os.urandom(5000),
        ape(30) + OTHERS[name] + MP3,
    ):
        head = Head()
        head.add(audio)
        assert head.format is None
        assert str(head).startswith(f"its audio begins with {audio[:8].hex(' ')}, which is not")
        assert str(head).endswith(f"; it may be {name}")
