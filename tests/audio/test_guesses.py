"""What audio may be that is none of the three formats."""

from __future__ import annotations

import os

import pytest
from support.audio import ape, id3, page
from support.recordings import MP3

from filedecryptor.audio import Head

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
def test_others_are_no_mp3(name: str) -> None:
    """Neither behind a tag nor if they hold frames of MP3; the guess is right."""
    for audio in (
        OTHERS[name] + MP3,
        id3(300) + OTHERS[name] + os.urandom(5000),
        ape(30) + OTHERS[name] + MP3,
    ):
        head = Head()
        head.add(audio)
        assert head.format is None
        assert head.unknown.startswith(f"its audio begins with {audio[:8].hex(' ')}, which is not")
        assert head.unknown.endswith(f"; it may be {name}")
