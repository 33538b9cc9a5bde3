"""Frames of MPEG layer III, as encoders write them, and as recorders leave them."""

from __future__ import annotations

import os

import pytest
from support.audio import detect
from support.recordings import MP3

from filedecryptor.audio.mpeg import SEARCHED, begins_with_frames, frame_at

FRAMES: list[bytes] = []
while found := frame_at(rest := MP3[sum(map(len, FRAMES)) :]):
    FRAMES.append(rest[: found.length])


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
    """At the beginning, a frame counts only if the next one follows where its length says."""
    for more, is_mp3 in ((0, True), (1, False), (-1, False)):
        audio = header + bytes(length - 4 + more) + header
        assert begins_with_frames(audio, is_whole=False) == is_mp3
        assert not begins_with_frames(audio[:-1], is_whole=False)


@pytest.mark.parametrize("tail", [b"", b"TAG".ljust(128, b"x"), b"APETAGEX\xd0\7", bytes(50)])
def test_one_frame_is_an_mp3_if_it_is_all(tail: bytes) -> None:
    """What is behind a single frame must be nothing, or a tag, and all must be there."""
    assert begins_with_frames(FRAMES[0] + tail, is_whole=True)
    assert not begins_with_frames(FRAMES[0] + b"x" + tail, is_whole=True)
    assert not begins_with_frames(FRAMES[0] + tail, is_whole=False)
    assert not begins_with_frames(FRAMES[0][:-1], is_whole=True)


@pytest.mark.parametrize(
    "header",
    [
        b"\xff\xfd\x90\x00",  # layer II
        b"\xff\xeb\x90\x00",  # the reserved version
        b"\xff\xfb\xf0\x00",  # the bad bit rate
        b"\xff\xfb\x00\x00",  # the free bit rate, which tells no length
        b"\xff\xfb\x9c\x00",  # the reserved sample rate
        b"\xff\xfb\x90\x02",  # the reserved emphasis
        b"\xfe\xfb\x90\x00",
        b"\xff\xdb\x90\x00",
        b"\xff\xfb\x90",
    ],
)
def test_headers_that_are_no_layer_iii_frame(header: bytes) -> None:
    """Nothing is guessed from a header that the standard does not allow."""
    assert frame_at(header) is None


CUTS = {
    "a zero": b"\0" + MP3,
    "zeros": bytes(144) + MP3,
    "a line end": b"\r\n" + MP3,
    "its first bytes cut off": MP3[10:],
    "half a frame": MP3[len(FRAMES[0]) // 2 :],
    "junk": os.urandom(100) + MP3,
    "more junk": os.urandom(SEARCHED - 100) + MP3,
    "a server's header": b"ICY 200 OK\r\nicy-br: 32\r\n\r\n" + MP3,
    "a hole behind the first": FRAMES[0] + os.urandom(700) + b"".join(FRAMES[1:]),
    "half the second frame lost": FRAMES[0] + FRAMES[1][:50] + b"".join(FRAMES[2:]),
    "another sample rate at first": b"\xff\xfb\x94\0" + bytes(380) + MP3,
    "few frames behind junk": b"abc" + b"".join(FRAMES[:2]),
}


@pytest.mark.parametrize("cut", CUTS)
def test_mp3_as_it_is_met(cut: str) -> None:
    """A decoder may start at any frame, so the audio may as well."""
    assert detect(CUTS[cut]) == "mp3"


def test_what_is_not_mp3() -> None:
    """Frames behind too many other bytes, of different kinds, or of a length that is not told."""
    assert detect(bytes(SEARCHED - 1) + MP3) == "mp3"
    assert detect(bytes(SEARCHED) + MP3) is None
    for other in (b"\xff\xfb\x94\x00", b"\xff\xf3\x90\x00"):  # another sample rate or version
        assert detect(b"\xff\xfb\x90\x00" + bytes(413) + other) is None
    assert detect((b"\xff\xfb\x00\x00" + bytes(413)) * 30) is None


@pytest.mark.parametrize("value", [0xFF, 0xFB, 0x55, 0x7B])
def test_quiet_telephone_audio_is_no_mp3(value: int) -> None:
    """The bytes of quiet mu-law audio are nearly those of headers, but do not follow each other."""
    noise = os.urandom(40_000)
    assert (
        detect(bytes(value ^ byte & 4 if byte < 0xC0 else 0xFF - (byte & 4) for byte in noise))
        is None
    )
