"""Frames of MPEG audio layer III: what a header says, and where some follow each other.

Their source is ISO 11172-3, 2.4.2.3, and ISO 13818-3, 2.4.2.3. MPEG-2.5 is an extension that no
standard has.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SEARCHED = 16 * 1024
"""Bytes in which the first frame is looked for: a decoder may start at any (ISO 11172-3, 2.4.3.1)."""

GAP = 32
"""Bytes between two frames that a recorder may have put there or left over."""

# By the header's two version bits: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5 (1 is reserved).
# kbit/s; the first stands for the free format, the last, which is not here, is not allowed.
_MPEG_1_BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2_BIT_RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = {
    3: (44100, 48000, 32000),
    2: (22050, 24000, 16000),
    0: (11025, 12000, 8000),
}
_LAYER_III = 1
_SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")
"""The first two bytes of each header of layer III."""

_TAIL = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")
"""How tags begin that stand behind the last frame."""


class Frame(NamedTuple):
    """A frame: what stays the same from one to the next (version bits, Hz), and its bytes."""

    version: int
    sample_rate: int
    length: int


def frame_at(data: bytes, position: int = 0) -> Frame | None:
    """Return the layer III frame whose header is at a position; None if there is none.

    A frame of the free format does not count, since its header does not tell its length.
    """
    header = data[position : position + 4]
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
    bit_rate = (_MPEG_1_BIT_RATES if mpeg_1 else _MPEG_2_BIT_RATES)[bit_rate_index]
    sample_rate = _SAMPLE_RATES[version][sample_rate_index]
    padding = header[2] >> 1 & 1
    length = (144 if mpeg_1 else 72) * bit_rate * 1000 // sample_rate + padding
    return Frame(version, sample_rate, length)


def begins_with_frames(data: bytes, *, is_whole: bool) -> bool:
    """Return whether audio begins with a frame that another one, or the end, follows at once."""
    return _follow(data, 0, 2, ends_after=1 if is_whole else None)


def holds_frames(data: bytes, *, is_whole: bool) -> bool:
    """Return whether frames follow each other from one of the first `SEARCHED` bytes on.

    No other data has three in a row by chance, the next where it must be, or six with gaps.
    """
    return any(
        _follow(data, match.start(), 3, ends_after=2 if is_whole else None)
        or _follow(data, match.start(), 6, gap=GAP)
        for match in _SYNC.finditer(data, 0, SEARCHED + 1)
    )


def _follow(
    data: bytes, position: int, frames: int, *, gap: int = 0, ends_after: int | None = None
) -> bool:
    """Return whether so many frames follow each other, or fewer up to the end of the audio."""
    frame = frame_at(data, position)
    if frame is None:
        return False
    for count in range(1, frames):
        end = position + frame.length
        if ends_after is not None and count >= ends_after and end <= len(data):
            rest = data[end:]
            if rest.startswith(_TAIL) or not rest.strip(b"\0"):
                return True
        for place in range(end, end + gap + 1):
            following = frame_at(data, place)
            if following is not None and following[:2] == frame[:2]:
                frame, position = following, place
                break
        else:
            return False
    return True
