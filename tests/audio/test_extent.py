"""How long audio is, as its headers tell, and whether all of it is there."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import pytest
from support.audio import ape, id3, page
from support.recordings import BY_FORMAT, MP3, WAV

from filedecryptor.audio.extent import Extent, measure


def extent(audio_format: str, audio: bytes) -> Extent:
    """Return the extent of audio in memory."""
    return measure(io.BytesIO(audio), audio_format)


# Whether all of it is there.


def with_xing(count: int) -> bytes:
    """Return MP3 whose first frame says that there are so many bytes."""
    frame = MP3[:4] + bytes(32) + b"Info" + struct.pack(">III", 3, 100, count)
    return frame.ljust(MP3.index(MP3[:3], 4), b"\0") + MP3


def streamed(size: bytes) -> bytes:
    """Return WAV that was written to a pipe, so that nobody knew its length."""
    begin = WAV.index(b"data") + 4
    return WAV[:4] + size + WAV[8:begin] + size + WAV[begin + 4 :]


def test_what_is_cut() -> None:
    """In a page, a frame or a chunk, or by a Xing header; but not what has something behind it."""
    whole = [("wav", streamed(bytes(4))), ("wav", streamed(b"\xff" * 4))]
    whole += [("mp3", with_xing(len(MP3)))]
    cut = [("mp3", with_xing(2 * len(MP3)))]
    for name, audio in BY_FORMAT.items():
        whole += [(name, audio), (name, audio + b"TAG" + bytes(125))]
        cut += [(name, audio[: len(audio) * percent // 100 + 1]) for percent in (99, 70, 31)]
    assert [name for name, audio in whole if extent(name, audio).is_cut] == []
    assert [name for name, audio in cut if not extent(name, audio).is_cut] == []


# How long it is.


@pytest.mark.parametrize("name", BY_FORMAT)
def test_recordings(name: str) -> None:
    """What is behind the audio, and all but itself, leaves it as long as it is."""
    seconds = 4.896 if name == "mp3" else 4.816
    assert extent(name, BY_FORMAT[name]) == (seconds, False)
    assert extent(name, BY_FORMAT[name] + b"TAG" + bytes(125)) == (seconds, False)


ENCODED = [
    *(("WAV", name, 8000) for name in ("PCM_U8", "PCM_16", "FLOAT", "ULAW", "ALAW", "GSM610")),
    *(("WAV", name, 44_100) for name in ("PCM_24", "IMA_ADPCM", "MS_ADPCM")),
    *((name, "PCM_16", 8000) for name in ("RF64", "WAVEX", "RIFX")),
    *(("OGG", "OPUS", rate) for rate in (8000, 24_000, 48_000)),
    *(("MP3", mode, rate) for mode in ("CONSTANT", "VARIABLE") for rate in (8000, 22_050, 44_100)),
]


def encoded(kind: str, coding: str, rate: int, seconds: float, channels: int = 1) -> bytes:
    """Return a tone as libsndfile writes it."""
    soundfile = pytest.importorskip("soundfile")
    tone = [[math.sin(at / 9) / 2] * channels for at in range(round(seconds * rate))]
    file = io.BytesIO()
    how: dict[str, Any] = {"format": kind, "subtype": coding}
    if kind == "RIFX":
        how = {"format": "WAV", "subtype": coding, "endian": "BIG"}
    if kind == "MP3":
        how = {"format": kind, "bitrate_mode": coding, "compression_level": 0.5}
    soundfile.write(file, tone, rate, **how)
    return file.getvalue()


def decoded(audio: bytes) -> float:
    """Return the seconds that libsndfile finds in some audio."""
    duration: float = pytest.importorskip("soundfile").info(io.BytesIO(audio)).duration
    return duration


@pytest.mark.parametrize(("kind", "coding", "rate"), ENCODED)
@pytest.mark.parametrize(("seconds", "channels"), [(0.02, 1), (1.2345, 2), (7, 1)])
def test_as_long_as_a_decoder_finds_it(
    kind: str, coding: str, rate: int, seconds: float, channels: int
) -> None:
    """To the millisecond, unless the bytes of a second are no whole number, or come in blocks.

    libsndfile counts one block of GSM too many where a byte of padding follows the last.
    """
    if coding == "GSM610":
        channels = 1  # it knows no others
    audio = encoded(kind, coding, rate, seconds, channels)
    found = extent({"OGG": "opus", "MP3": "mp3"}.get(kind, "wav"), audio)
    block = 0.04 * (coding == "GSM610")
    share = 0.001 * ("ADPCM" in coding)
    assert found.seconds == pytest.approx(decoded(audio), abs=0.001 + block, rel=share)
    assert not found.is_cut


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate", [8000, 22_050, 44_100])
def test_mp3_that_does_not_tell_what_was_added(rate: int, mode: str) -> None:
    """It is as long as its frames. From a few of changing bit rate, libsndfile guesses its length."""
    whole = encoded("MP3", mode, rate, 5)
    audio = whole[whole.index(whole[:2], 4) :]
    assert b"LAME" in whole.removesuffix(audio)
    seconds = extent("mp3", audio).seconds
    assert seconds is not None
    assert 0 < (seconds - 5) * rate < 4 * 576
    if mode == "CONSTANT":
        assert seconds == pytest.approx(decoded(audio), abs=0.1)


HEAD = b"OpusHead\1\1" + struct.pack("<HIhB", 480, 8000, 0, 0)  # 10 ms are to be skipped
BEGIN = page(HEAD) + page(b"OpusTags", flags=0)
LAST = 4


def second(number: int, flags: int = 0, serial: int = 0) -> bytes:
    """Return a page with a second of Opus, in 50 packets, that ends so many after the begin."""
    return page(*[b"\x08"] * 50, flags=flags, granule=48_000 * number, serial=serial)


def unfinished(flags: int = 0) -> bytes:
    """Return a page on which no packet ends, so that it has no granule position."""
    return page(flags=flags, granule=-1)


OPUS = {
    "whole": (BEGIN + second(1) + second(2, LAST), 1.99, False),
    "without an end": (BEGIN + second(1) + second(2), 1.99, True),
    "cut in a page": ((BEGIN + second(1) + second(2, LAST))[:-1], 0.99, True),
    "cut in a header": (BEGIN + second(1) + second(2, LAST)[:26], 0.99, True),
    "cut in the lengths of packets": (BEGIN + second(1) + second(2, LAST)[:30], 0.99, True),
    "no audio": (BEGIN, 0.0, True),
    "less than is to be skipped": (BEGIN + page(b"\x08", flags=LAST, granule=470), 0.0, False),
    "a page between": (BEGIN + second(1) + unfinished() + second(2, LAST), 1.99, False),
    "a page without a position first": (BEGIN + unfinished() + second(1, LAST), 0.99, False),
    "a page without a position last": (BEGIN + second(1) + unfinished(LAST), 0.99, False),
    "back in time": (BEGIN + second(1) + second(3) + second(2) + second(3, LAST), 2.99, False),
    "one after another": (2 * (BEGIN + second(1) + second(2, LAST)), 3.98, False),
    "junk behind": (BEGIN + second(1, LAST) + bytes(100), 0.99, False),
    "junk between": (BEGIN + second(1) + bytes(100) + second(2, LAST), None, True),
    "another stream between": (BEGIN + second(1) + second(2, 0, 1) + second(2, LAST), None, False),
    "two streams": (
        page(HEAD) + page(HEAD, serial=1) + second(1, LAST) + second(1, LAST, 1),
        None,
        False,
    ),
    "another codec": (page(b"\x01vorbis".ljust(30)) + second(1, LAST), None, False),
    "no beginning": (second(1) + second(2, LAST), None, False),
    "nothing": (b"", None, True),
    "less than a page": (BEGIN[:28], None, True),
}


@pytest.mark.parametrize("case", OPUS)
def test_opus(case: str) -> None:
    """By the positions of pages, less what is to be skipped."""
    audio, *expected = OPUS[case]
    assert extent("opus", audio) == tuple(expected)


FRAME = b"\xff\xe3\x18\0" + bytes(68)  # MPEG-2.5, 8 kbit/s, 8 kHz: 72 ms
TWICE = b"\xff\xe3\x28\0" + bytes(140)  # the same at 16 kbit/s
TAG = b"TAG" + bytes(125)


def xing(
    added: int = 0, told: tuple[int, int, int] = (1, 10, 9999), name: bytes = b"LAME3.100"
) -> bytes:
    """Return a frame with a Xing header, and what LAME appends, which tells the samples added."""
    head = b"\xff\xe3\x38\0" + bytes(9) + b"Xing" + struct.pack(">III", *told) + bytes(104)
    numbers = (added << 12 | added).to_bytes(3, "big")
    return (head + name.ljust(21, b"\0") + numbers).ljust(216, b"\0")


MP3S = {
    "frames": (FRAME * 10, 0.72, False),
    "frames of MPEG-2": ((b"\xff\xf3\x80\0" + bytes(204)) * 100, 2.612, False),
    "frames of MPEG-1": ((b"\xff\xfb\x90\0" + bytes(413)) * 100, 2.612, False),
    "changing bit rates": (FRAME * 5 + TWICE * 5, 0.72, False),
    "tags": (id3(300) + ape(100) + FRAME * 10 + TAG, 0.72, False),
    "cut in a frame": ((FRAME * 10)[:-1], 0.648, True),
    "cut in the first frame": (FRAME[:-1], None, True),
    "a Xing header": (xing() + FRAME * 10, 0.72, False),
    "a Xing header behind": (FRAME * 3 + xing(400) + FRAME * 6, 0.72, False),
    "a Xing header that tells of more": (xing(told=(3, 10, 937)) + FRAME * 10, 0.72, True),
    "of as much": (xing(told=(3, 10, 936)) + FRAME * 10, 0.72, False),
    "of more bytes alone": (xing(told=(2, 937, 0)) + FRAME * 10, 0.72, True),
    "samples added": (xing(400) + FRAME * 10, 0.62, False),
    "samples added by FFmpeg": (xing(400, name=b"Lavc60.3") + FRAME * 10 + TAG, 0.62, False),
    "something else behind it": (xing(400, name=b"\xaa") + FRAME * 10 + TAG, 0.72, False),
    "more added than there are": (xing(4000) + FRAME * 10, None, False),
    "more added, and a tag": (xing(4000) + FRAME * 10 + TAG, None, False),
    "junk between": (FRAME * 5 + bytes(50) + FRAME * 5, None, False),
    "junk in front": (b"\r\n" + FRAME * 5, None, False),
    "frames that do not tell their length": ((b"\xff\xe3\x08\0" + bytes(68)) * 10, None, False),
    "a tag": (id3(100), None, False),
    "part of a tag": (id3(100)[:90], None, True),
    "nothing": (b"", None, False),
}


@pytest.mark.parametrize("case", MP3S)
def test_mp3(case: str) -> None:
    """By the frames, less what an encoder says that it added."""
    audio, *expected = MP3S[case]
    assert extent("mp3", audio) == tuple(expected)


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    """Return a RIFF chunk, which may lie about its size."""
    padding = bytes(len(content) % 2)
    return name + struct.pack("<I", len(content) if size is None else size) + content + padding


def wave(*chunks: bytes, size: int = 0) -> bytes:
    """Return WAV of some chunks."""
    return b"RIFF" + struct.pack("<I", size) + b"WAVE" + b"".join(chunks)


def format_chunk(byte_rate: int = 8000) -> bytes:
    """Return the chunk that tells how audio is coded: here, mu-law."""
    return chunk(b"fmt ", struct.pack("<HHIIHH", 7, 1, 8000, byte_rate, 1, 8))


FORMAT = format_chunk()
SECOND = bytes(8000)
UNKNOWN = 0xFFFFFFFF
LONGER = chunk(b"ds64", struct.pack("<QQQI", 0, 4000, 4000, 0))
LIST = chunk(b"LIST", bytes(33))

WAVS = {
    "whole": (wave(FORMAT, chunk(b"data", SECOND)), 1.0, False),
    "an unknown size": (wave(FORMAT, chunk(b"data", SECOND, UNKNOWN)), 1.0, False),
    "no size": (wave(FORMAT, chunk(b"data", SECOND, 0)), 1.0, False),
    "a size in 64 bits": (wave(LONGER, FORMAT, chunk(b"data", SECOND, UNKNOWN)), 0.5, False),
    "one in 32 bits as well": (wave(LONGER, FORMAT, chunk(b"data", SECOND)), 1.0, False),
    "others beside it": (wave(LIST, FORMAT, LIST, chunk(b"data", SECOND), LIST), 1.0, False),
    "the end cut off": (wave(FORMAT, chunk(b"data", SECOND))[:-2000], 0.75, True),
    "shorter than all": (wave(FORMAT, chunk(b"data", SECOND), size=9000), 1.0, True),
    "empty": (wave(FORMAT, chunk(b"data", b"")), 0.0, False),
    "no format": (wave(chunk(b"data", SECOND)), None, False),
    "no bytes in a second": (wave(format_chunk(0), chunk(b"data", SECOND)), None, False),
    "part of a size in 64 bits": (wave(LONGER)[:-20], None, True),
    "part of a format": (wave(FORMAT)[:-8], None, True),
    "no audio": (wave(FORMAT, LIST), None, True),
    "part of a header": (b"RIFF\0\0\0", None, True),
    "nothing": (b"", None, True),
}


@pytest.mark.parametrize("case", WAVS)
def test_wav(case: str) -> None:
    """By the bytes that are there, and those in a second."""
    audio, *expected = WAVS[case]
    assert extent("wav", audio) == tuple(expected)


class Counting(io.BytesIO):
    """A file that counts the bytes read from it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        data = super().read(size)
        self.count += len(data)
        return data


LONG = {
    "opus": (BEGIN + second(1) + page(*[bytes(255 - 1)] * 255, flags=LAST, granule=1) * 100, 0.99),
    "mp3": ((b"\xff\xfb\xe8\0" + bytes(1436)) * 1000, 36.0),  # 320 kbit/s
    "wav": (wave(FORMAT, chunk(b"data", SECOND * 1000)), 1000.0),
}


@pytest.mark.parametrize("name", LONG)
def test_long_audio_is_not_read_as_a_whole(name: str) -> None:
    """Only headers are, whatever their number."""
    audio, seconds = LONG[name]
    file = Counting(audio)
    assert measure(file, name) == (seconds, False)
    assert file.count < len(audio) / 7
