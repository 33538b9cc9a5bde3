"""Telling the formats apart."""

from __future__ import annotations

import io
import os
import struct

import pytest
from support.audio import ape, id3, page
from support.recordings import AUDIO as OPUS
from support.recordings import MP3, PLAIN, RECORDINGS

from filedecryptor.audio import SAMPLE_SIZE, TAGS_LIMIT, Head, detect, detect_in


@pytest.mark.parametrize("entry", RECORDINGS, ids=lambda entry: entry["format"])
def test_real_audio_is_recognised(entry: dict[str, str]) -> None:
    """Real files of all three formats are known by their first bytes."""
    plain = PLAIN / entry["file"].replace(".enc", f".{entry['format']}")
    assert detect(plain.read_bytes()[:SAMPLE_SIZE]) == entry["format"]


CHUNK = b"fmt \x10\0\0\0"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"RIFF\x24\0\0\0WAVE" + CHUNK, "wav"),
        (b"RF64\xff\xff\xff\xffWAVE" + CHUNK, "wav"),
        (b"BW64\xff\xff\xff\xffWAVE" + CHUNK, "wav"),
        (b"RIFX\0\0\0\x24WAVE" + CHUNK, "wav"),
        (b"RIFF\x24\0\0\0WAVE" + CHUNK[:7], None),
        (b"RIFF\x24\0\0\0AVI " + CHUNK, None),
        (b"RIFF\x24\0\0\0WAV", None),
        (OPUS[:36], "opus"),
        (OPUS[:35], None),
        (OPUS[:26], None),
        (b"OggS\0" + bytes(21) + b"\2\0\0 OpusHead", None),
        (OPUS[:4] + b"\1" + OPUS[5:100], None),
        (OPUS.replace(b"OpusHead", b"\x01vorbis ")[:100], None),
        (page(b"fishead\0" + bytes(72)) + OPUS[:36], "opus"),
        (page(b"fishead\0" + bytes(72)) + page(b"\x01vorbis") + OPUS[:36], None),
        (page(b"fishead\0" + bytes(72)), None),
        (b"fLaC", None),
        (b"", None),
    ],
)
def test_headers(head: bytes, expected: str | None) -> None:
    """Each rule, at its edge."""
    assert detect(head) == expected


TAGS = {
    "ID3v2.2": id3(100, 2),
    "ID3v2.3": id3(2000),
    "ID3v2.4": id3(30_000, 4),
    "ID3v2.4 with a footer": b"ID3\x04\0\x10\0\0\0\1\x55" + b"3DI\x04\0\x10\0\0\0\1",
    "a megabyte of ID3": id3(1 << 20),
    "two of ID3": id3(50) + id3(70_000, 4),
    "empty ones of ID3": id3(0) + id3(0) + id3(0),
    "APEv2": ape(100),
    "APEv2 and ID3": ape(100_000) + id3(100),
    "a size that is no ID3 size": b"ID3\x03\0\0\0\0\x01\xf0" + b"\x55" * 0x1F0,
    "a size that is too small": b"ID3\x03\0\0\0\0\0\0" + b"\x55" * 3000,
    "a size that is too large": b"ID3\x03\0\0\x7f\0\0\0" + b"\x55" * 3000,
    "zeros behind it": id3(100) + bytes(4000),
}


@pytest.mark.parametrize("tag", TAGS)
def test_what_follows_a_tag_is_looked_at(tag: str) -> None:
    """A tag may be in front of any format, and is none of its own."""
    assert detect(TAGS[tag] + MP3) == "mp3"
    assert detect(TAGS[tag] + b"fLaC" + os.urandom(10_000)) is None
    assert detect(TAGS[tag]) is None


def test_a_file_is_read_as_far_as_it_takes() -> None:
    """Behind a tag of any length, and from the first byte on, wherever the file stands."""
    file = io.BytesIO(TAGS["a megabyte of ID3"] + MP3 + bytes(1 << 20))
    file.seek(7)
    assert detect_in(file) == "mp3"
    assert file.tell() < (1 << 20) + 3 * SAMPLE_SIZE


def test_a_tag_beyond_the_limit_is_not_skipped() -> None:
    """No more than `TAGS_LIMIT` bytes are passed over, whatever a header says."""
    head = Head()
    head.add(b"ID3\x03\0\0\xff\xff\xff\xff" + MP3)
    assert head.format == "mp3"
    head = Head()
    head.add(b"APETAGEX" + struct.pack("<III", 2000, TAGS_LIMIT, 1) + bytes(12))
    for _ in range(5):
        head.add(bytes(TAGS_LIMIT // 4))
    assert head.format is None


@pytest.mark.parametrize("text", [b"ID3 tags are useful. ", b"ID3\x05\0\0", b"ID3\x03\xff\0"])
def test_what_is_no_tag_is_none(text: bytes) -> None:
    """The letters ID3 alone are no tag."""
    assert detect(text * 20) is None


NOT_KNOWN = "which is not opus, mp3 or wav"


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (b"", "it holds no audio"),
        (b"\x81\x82", f"its audio begins with 81 82, {NOT_KNOWN}"),
        (
            id3(40),
            f"its audio begins with 49 44 33 03 00 00 00 00, {NOT_KNOWN}; it may be a tag without audio",
        ),
    ],
)
def test_words_for_the_unknown(audio: bytes, words: str) -> None:
    """What is said of it is its beginning, and a guess only where there is one."""
    head = Head()
    head.add(audio)
    assert head.format is None
    assert str(head) == words


def test_random_bytes_are_unknown() -> None:
    """What encryption makes passes for no audio, however much there is of it."""
    assert not any(detect(os.urandom(SAMPLE_SIZE)) for _ in range(1_000))
    assert not any(detect(os.urandom(size)) for size in range(1, 3000))
