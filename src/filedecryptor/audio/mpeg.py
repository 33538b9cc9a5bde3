"""Frames of MPEG audio layer III: what a header says, and where some follow each other.

Their source is ISO 11172-3, 2.4.2.3, and ISO 13818-3, 2.4.2.3. MPEG-2.5 is an extension that no
standard has.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SEARCHED = 16 * 1024  # bytes where the first frame is looked for (ISO 11172-3, 2.4.3.1)

# By the two version bits: MPEG-1, MPEG-2 and MPEG-2.5. Bit rates are in kbit/s; their first stands
# for the free format, and their last, which is not here, is not allowed.
_BIT_RATES = dict.fromkeys((0, 2), (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))
_BIT_RATES[3] = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")  # how each header of layer III begins
TAIL = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # how tags begin that stand behind the last frame


class Frame(NamedTuple):
    """The version bits and the rate (Hz), which stay the same, and the length of a frame."""

    version: int
    sample_rate: int
    length: int


def frame_at(data: bytes, position: int = 0) -> Frame | None:
    """Return the layer III frame whose header is at a position; None if there is none.

    A frame of the free format does not count, since its header does not tell its length.
    """
    header = data[position : position + 4]
    if len(header) < 4 or not _SYNC.match(header):
        return None
    word = int.from_bytes(header, "big")
    version, bit_rate_index, sample_rate_index = word >> 19 & 3, word >> 12 & 15, word >> 10 & 3
    is_reserved = sample_rate_index == 3 or word & 3 == 2  # the emphasis
    if is_reserved or bit_rate_index in {0, 15}:
        return None
    bit_rate = 1000 * _BIT_RATES[version][bit_rate_index]
    sample_rate = _SAMPLE_RATES[version][sample_rate_index]
    length = (144 if version == 3 else 72) * bit_rate // sample_rate + (word >> 9 & 1)  # padding
    return Frame(version, sample_rate, length)


def begins_with_frames(data: bytes, *, is_whole: bool) -> bool:
    """Return whether audio begins with a frame that another one, or the end, follows at once."""
    return _follow(data, 0, 2, is_whole=is_whole)


def holds_frames(data: bytes, *, is_whole: bool) -> bool:
    """Return whether frames follow each other from one of the first `SEARCHED` bytes on.

    No other data has three in a row by chance, each where it must be.
    """
    return any(
        _follow(data, match.start(), 3, is_whole=is_whole)
        for match in _SYNC.finditer(data, 0, SEARCHED + 1)
    )


def _follow(data: bytes, position: int, frames: int, *, is_whole: bool) -> bool:
    """Return whether so many frames follow each other, or one fewer up to the end of the audio."""
    frame = frame_at(data, position)
    if frame is None:
        return False
    for left in range(frames - 1, 0, -1):
        end = position + frame.length
        if left == 1 and is_whole and end <= len(data):
            rest = data[end:]
            if rest.startswith(TAIL) or not rest.strip(b"\0"):
                return True
        following = frame_at(data, end)
        if following is None or following[:2] != frame[:2]:
            return False
        frame, position = following, end
    return True
