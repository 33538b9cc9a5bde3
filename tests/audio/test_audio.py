"""Telling the formats apart, and what bytes are that are none of the three."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib

import pytest
from support.audio import ape, detect, id3, page
from support.recordings import AUDIO as OPUS
from support.recordings import BY_FORMAT, MP3

from filedecryptor.audio import SAMPLE_SIZE, TAGS_LIMIT, Head, detect_in, misnamed
from filedecryptor.audio.foreign import kind_of, refusal, text_of

CHUNK = b"fmt \x10\0\0\0"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        *((audio[:SAMPLE_SIZE], name) for name, audio in BY_FORMAT.items()),
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
        (page(b"fishead\0" + bytes(72)) + OPUS[:36], None),
        (b"fLaC", None),
        (b"", None),
        (b"ID3 tags are useful. " * 20, None),
        (b"ID3\x05\0\0" * 20, None),
        (b"ID3\x03\xff\0" * 20, None),
    ],
)
def test_headers(head: bytes, expected: str | None) -> None:
    """Those of real files, and each rule, at its edge."""
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
    "a size that is no ID3 size": b"ID3\x03\0\0\0\0\x9c\x40" + b"\x55" * 40_000,
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
    assert detect(b"ID3\x03\0\0\xff\xff\xff\xff" + MP3) == "mp3"
    head = Head()
    head.add(b"APETAGEX" + struct.pack("<III", 2000, TAGS_LIMIT, 1) + bytes(12))
    for _ in range(5):
        head.add(bytes(TAGS_LIMIT // 4))
    assert head.format is None


def test_random_bytes_are_unknown() -> None:
    """What encryption makes passes for no audio, however much there is of it."""
    assert not any(detect(os.urandom(SAMPLE_SIZE)) for _ in range(1_000))
    assert not any(detect(os.urandom(size)) for size in range(1, 3000))


PAGE = "<!DOCTYPE html><title>Zugriff verweigert</title><p>F\u00fcr Sie gesperrt."


def archived(kind: str) -> bytes:
    """Return a zip or tar archive."""
    file = io.BytesIO()
    if kind == "zip":
        zipfile.ZipFile(file, "w").close()
    else:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.opus"))
    return file.getvalue()


KINDS = {
    "an HTML or XML page": [
        *(PAGE.encode(name) for name in ("utf-8", "utf-8-sig", "latin-1", "utf-16")),
        codecs.BOM_UTF16_BE + PAGE.encode("utf-16-be"),
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
    """Texts in any encoding, of which the end may be missing; archives; pictures."""
    assert {kind_of(data) for data in KINDS[kind]} == {kind}
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
    "WMA": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "another RIFF container": b"RIFF\0\0\1\0AVI LIST",
    "audio of a rarer kind": b"MP+\x07",
    "an archive": b"!<arch>\n",
    "Speex": page(b"Speex   1.2"),
    "Ogg Vorbis": page(b"\x01vorbis"),
    "a zip archive": b"PK\x03\x04\x14\0\0\0\0\0",
    "a tar archive": b"a.mp3".ljust(257, b"\0") + b"ustar\x0000".ljust(255, b"\0"),
    "an MPEG stream": b"\0\0\1\xba\x21\0",
}


@pytest.mark.parametrize("size", [44, 100, 4096])
def test_random_bytes_are_never_taken_for_something_else(size: int) -> None:
    """For a recording's first bytes are random, and it exists nowhere else."""
    for _ in range(min(2000, 1_000_000 // size)):
        head = os.urandom(size)
        assert kind_of(head) is None
        assert refusal(head) is None


@pytest.mark.parametrize("name", sorted(KINDS.keys() | OTHERS.keys() | BY_FORMAT.keys() | {"ID3"}))
def test_two_or_three_bytes_do_not_show_that_it_is_no_recording(name: str) -> None:
    """They are made by chance once in 65,536 or 16 million times; what follows must fit as well."""
    others = {**OTHERS, **BY_FORMAT, "ID3": id3(100)}
    for example in [others[name]] if name in others else KINDS[name]:
        for length, most in (2, 10), (3, 75):
            found = [refusal(example[:length] + os.urandom(4093)) for _ in range(200)]
            assert sum(map(bool, found)) <= most


@pytest.mark.parametrize("name", OTHERS)
def test_other_audio_is_not_mp3(name: str) -> None:
    """Neither behind a tag nor if it holds frames of MP3; it is said what it may be."""
    unknown = (
        OTHERS[name] + MP3,
        id3(300) + OTHERS[name] + os.urandom(5000),
        ape(30) + OTHERS[name] + MP3,
    )
    assert {said_of(audio)[1] for audio in unknown} == {f"; it may be {name}"}
    assert said_of(b"\x81\x82") == (b"\x81\x82", "")
    assert said_of(id3(40)) == (id3(40)[:8], "; it may be a tag without audio")


def said_of(audio: bytes) -> tuple[bytes, str]:
    """Return how unknown audio begins, and what it may be, as it is said."""
    head = Head()
    head.add(audio)
    assert head.format is None
    begins, _, rest = str(head).partition(", which is not opus, mp3 or wav")
    return bytes.fromhex(begins.removeprefix("its audio begins with ")), rest


@pytest.mark.parametrize("own", ["x.opus", "x.OGG", "x.oga", "x.mp3", "x.mpga", "x.wav", "x.wave"])
@pytest.mark.parametrize("audio_format", ["opus", "mp3", "wav", None])
def test_a_suffix_that_is_not_the_formats_own(own: str, audio_format: str | None) -> None:
    """It is noted, whatever it is; a name without one, and unknown audio, have no wrong one."""
    others = {"opus": ".og", "mp3": ".mp", "wav": ".wav"}
    is_own = audio_format is None or own.lower()[1:].startswith(others[audio_format])
    is_own = is_own or own == f"x.{audio_format}"
    assert (misnamed(own, audio_format) is None) == is_own
    assert misnamed("x", audio_format) is None
    assert (misnamed("a.xyz", audio_format) is None) == (audio_format is None)
