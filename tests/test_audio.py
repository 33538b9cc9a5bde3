"""Telling the formats apart."""

from __future__ import annotations

import os

import pytest
from support.recordings import PLAIN, RECORDINGS

from filedecryptor.audio import HEAD_SIZE, detect

MP3 = (PLAIN / "recording_def456.mp3").read_bytes()
OPUS = (PLAIN / "recording_abc123.opus").read_bytes()
WAV = (PLAIN / "recording_ghi789.wav").read_bytes()


@pytest.mark.parametrize("entry", RECORDINGS, ids=lambda entry: entry["format"])
def test_real_audio_is_recognised(entry: dict[str, str]) -> None:
    """Real files of all three formats are known by their first bytes."""
    plain = PLAIN / entry["file"].replace(".enc", f".{entry['format']}")
    assert detect(plain.read_bytes()[:HEAD_SIZE]) == entry["format"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"RF64\xff\xff\xff\xffWAVE", "wav"),
        (b"RIFF\x24\0\0\0AVI ", None),
        (b"RIFF\x24\0\0\0WAV", None),
        (b"ID3\x04\0\0\0\0\x02\x01", "mp3"),
        (b"ID3\x04\0\0\0\0\x02\x80", None),
        (b"ID3\xff\0\0\0\0\x02\x01", None),
        (b"ID3\x04\xff\0\0\0\x02\x01", None),
        (b"ID3\x04\0\0\x80\0\x02\x01", None),
        (b"ID3\x04\0\0\0\0\x02", None),
        (OPUS[:36], "opus"),
        (OPUS[:35], None),
        (OPUS[:26], None),
        (b"OggS\0" + bytes(21) + b"\2\0\0 OpusHead", None),
        (OPUS[:4] + b"\1" + OPUS[5:100], None),
        (OPUS.replace(b"OpusHead", b"\x01vorbis ")[:100], None),
        (b"fLaC", None),
        (b"", None),
    ],
)
def test_headers(head: bytes, expected: str | None) -> None:
    """Each rule, at its edge."""
    assert detect(head) == expected


def frame(header: bytes, length: int) -> bytes:
    """Return a frame of that length, followed by the header of the next."""
    return header + bytes(length - 4) + header


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"\xff\xfb\x90\x00", 417),  # MPEG-1, 128 kbit/s, 44.1 kHz
        (b"\xff\xfb\x92\x00", 418),  # the same, padded
        (b"\xff\xfb\xe8\x00", 1440),  # MPEG-1, 320 kbit/s, 32 kHz: the longest
        (b"\xff\xf3\x80\x00", 208),  # MPEG-2, 64 kbit/s, 22.05 kHz
        (b"\xff\xe3\x18\x00", 72),  # MPEG-2.5, 8 kbit/s, 8 kHz
    ],
)
def test_two_frames_make_an_mp3(header: bytes, length: int) -> None:
    """A frame counts only if the next one begins where its length says (ISO 11172-3)."""
    assert detect(frame(header, length)) == "mp3"
    assert detect(frame(header, length + 1)) is None
    assert detect(frame(header, length - 1)) is None
    assert detect(frame(header, length)[:-1]) is None


@pytest.mark.parametrize(
    "header",
    [
        b"\xff\xfd\x90\x00",  # layer II
        b"\xff\xeb\x90\x00",  # the reserved version
        b"\xff\xfb\x00\x00",  # free bit rate: no length follows from it
        b"\xff\xfb\xf0\x00",  # the bad bit rate
        b"\xff\xfb\x9c\x00",  # the reserved sample rate
        b"\xff\xfb\x90\x02",  # the reserved emphasis
        b"\xfe\xfb\x90\x00",
        b"\xff\xdb\x90\x00",
    ],
)
def test_headers_that_are_no_layer_iii_frame(header: bytes) -> None:
    """Nothing is guessed from a header that the standard does not allow."""
    assert not any(detect(frame(header, length)) for length in range(4, 1500))


def test_frames_of_different_kinds_are_no_mp3() -> None:
    """Version and sample rate stay the same within a file."""
    assert detect(b"\xff\xfb\x90\x00" + bytes(413) + b"\xff\xfb\x94\x00") is None
    assert detect(b"\xff\xfb\x90\x00" + bytes(413) + b"\xff\xf3\x90\x00") is None


def test_random_bytes_are_unknown() -> None:
    """What encryption makes passes for no audio."""
    assert not any(detect(os.urandom(HEAD_SIZE)) for _ in range(10_000))
