"""The formats opus, mp3 and wav, recognised by their first bytes. Nothing else is guessed."""

from __future__ import annotations

from typing import NamedTuple

FORMATS = ("opus", "mp3", "wav")
"""What VNS records (`recordCallFormat`); each name is also the file name extension."""

HEAD_SIZE = 1 << 11
"""Bytes that `detect` wants: the longest MP3 frame (1,441) and the header after it fit in."""


def detect(head: bytes) -> str | None:
    """Return `opus`, `mp3` or `wav`; None if the audio is none of them.

    Args:
        head: The first bytes of the audio: `HEAD_SIZE` of them, or all if there are fewer.
    """
    if _is_ogg_opus(head):
        return "opus"
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return "wav"
    if _has_id3_tag(head) or _has_two_mp3_frames(head):
        return "mp3"
    return None


def _is_ogg_opus(head: bytes) -> bool:
    """Return whether an Ogg page (RFC 3533, section 6) begins with `OpusHead` (RFC 7845, 5.1)."""
    if len(head) < 27 or head[:5] != b"OggS\0":
        return False
    segments = head[26]
    return head[27 + segments :].startswith(b"OpusHead")


def _has_id3_tag(head: bytes) -> bool:
    """Return whether an ID3v2 header (ID3v2.4.0, section 3.1) comes first.

    No byte of its size is above 127.
    """
    return (
        len(head) >= 10
        and head[:3] == b"ID3"
        and 0xFF not in head[3:5]
        and all(byte < 0x80 for byte in head[6:10])
    )


class Frame(NamedTuple):
    """An MPEG layer III frame: what stays the same from frame to frame, and its length."""

    version: int
    sample_rate: int
    length: int


# ISO 11172-3, 2.4.2.3, and ISO 13818-3, 2.4.2.3, by the header's two version bits:
# 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5 (1 is reserved). kbit/s, without "free" and "bad".
_MPEG_1_BIT_RATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2_BIT_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = {
    3: (44100, 48000, 32000),
    2: (22050, 24000, 16000),
    0: (11025, 12000, 8000),
}
_LAYER_III = 1


def mp3_frame(header: bytes) -> Frame | None:
    """Return what the header of an MPEG layer III frame says; None if it is none.

    Args:
        header: Its four bytes.
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate_index, sample_rate_index = header[2] >> 4, header[2] >> 2 & 3
    if (
        version not in _SAMPLE_RATES
        or layer != _LAYER_III
        or bit_rate_index in {0, 15}
        or sample_rate_index == 3
        or header[3] & 3 == 2  # the reserved emphasis
    ):
        return None
    mpeg_1 = version == 3
    bit_rate = (_MPEG_1_BIT_RATES if mpeg_1 else _MPEG_2_BIT_RATES)[bit_rate_index - 1]
    sample_rate = _SAMPLE_RATES[version][sample_rate_index]
    padding = header[2] >> 1 & 1
    length = (144 if mpeg_1 else 72) * bit_rate * 1000 // sample_rate + padding
    return Frame(version, sample_rate, length)


def _has_two_mp3_frames(head: bytes) -> bool:
    first = mp3_frame(head[:4])
    if first is None:
        return False
    second = mp3_frame(head[first.length : first.length + 4])
    return second is not None and first[:2] == second[:2]
