"""Frames of MPEG audio layer III: what a header says, and where some follow each other.

Their source is ISO 11172-3, 2.4.2.3, and ISO 13818-3, 2.4.2.3. MPEG-2.5 is an extension that no
standard has.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SEARCHED = 16 * 1024
"""Bytes in which the first frame is looked for: a decoder may start at any (ISO 11172-3, 2.4.3.1)."""

_GAP = 32
"""Bytes between two frames that a recorder may have put there or left over."""

_FRAMES, _FRAMES_WITH_GAPS, _FREE_FRAMES = 3, 6, 4
"""Frames in a row that no other data has by chance: with the next where it must be, with gaps, and
with a length that is the first distance found."""

_SHORTEST_FREE, _LONGEST_FREE = 24, 5761
"""Bytes of a frame of the free format. A frame has its header and side information at least; the
longest that an encoder makes has 640 kbit/s at 8 kHz."""

# By the header's two version bits: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5 (1 is reserved).
# kbit/s; the first is the free format, the last, which is not here, is not allowed.
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
    """An MPEG layer III frame: what stays the same from frame to frame, and its length.

    Attributes:
        version: The two version bits.
        sample_rate: In Hz.
        is_free: Whether its bit rate is free: its length is then how far it is to the next one.
        padding: One if it is a byte longer than the bit rate asks for, or zero.
        length: In bytes; zero for the free format.
    """

    version: int
    sample_rate: int
    is_free: bool
    padding: int
    length: int

    def is_like(self, other: Frame | None) -> bool:
        """Return whether another frame may be of the same audio."""
        return other is not None and self[:3] == other[:3]


def frame_at(data: bytes, position: int = 0) -> Frame | None:
    """Return what the header of a layer III frame says; None if there is none.

    Args:
        data: Holds the four bytes of the header.
        position: Where it begins.
    """
    header = data[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate_index, sample_rate_index = header[2] >> 4, header[2] >> 2 & 3
    if (
        version not in _SAMPLE_RATES
        or layer != _LAYER_III
        or bit_rate_index == 15
        or sample_rate_index == 3
        or header[3] & 3 == 2  # the reserved emphasis
    ):
        return None
    mpeg_1 = version == 3
    bit_rate = (_MPEG_1_BIT_RATES if mpeg_1 else _MPEG_2_BIT_RATES)[bit_rate_index]
    sample_rate = _SAMPLE_RATES[version][sample_rate_index]
    padding = header[2] >> 1 & 1
    length = (144 if mpeg_1 else 72) * bit_rate * 1000 // sample_rate + padding if bit_rate else 0
    return Frame(version, sample_rate, not bit_rate, padding, length)


def begins_with_frames(data: bytes, *, is_whole: bool) -> bool:
    """Return whether the first byte is that of a frame, and what follows bears it out.

    That is another frame where the first one ends, or the end of the audio.

    Args:
        data: The beginning of the audio.
        is_whole: Whether it is all of it.
    """
    first = frame_at(data)
    if first is None or first.is_free:
        return False
    if first.is_like(frame_at(data, first.length)):
        return True
    return is_whole and first.length <= len(data) and _is_tail(data[first.length :])


def holds_frames(data: bytes, *, is_whole: bool) -> bool:
    """Return whether frames follow each other somewhere, from one of the first `SEARCHED` bytes on.

    Args:
        data: The beginning of the audio.
        is_whole: Whether it is all of it.
    """
    for match in _SYNC.finditer(data, 0, SEARCHED + 1):
        position = match.start()
        frame = frame_at(data, position)
        if frame is None:
            continue
        if frame.is_free:
            found = _has_free_frames(data, position, frame, is_whole=is_whole)
        else:
            found = _follow(data, position, frame, _FRAMES, is_whole=is_whole) or _follow(
                data, position, frame, _FRAMES_WITH_GAPS, gap=_GAP
            )
        if found:
            return True
    return False


def _follow(
    data: bytes,
    position: int,
    frame: Frame,
    frames: int,
    *,
    gap: int = 0,
    free_length: int = 0,
    is_whole: bool = False,
) -> bool:
    """Return whether so many frames follow each other; the end of the audio counts as one.

    Args:
        data: The beginning of the audio.
        position: Where the first of them is.
        frame: The first of them.
        frames: How many there must be.
        gap: The most bytes between two of them.
        free_length: The length of each without its padding, in the free format.
        is_whole: Whether `data` is all of the audio.
    """
    count = 1
    while count < frames:
        position += free_length + frame.padding if frame.is_free else frame.length
        if is_whole and count > 1 and position <= len(data) and _is_tail(data[position:]):
            return True
        places = range(position, position + gap + 1)
        found = next((place for place in places if frame.is_like(frame_at(data, place))), None)
        if found is None:
            return False
        frame = frame_at(data, found) or frame
        position = found
        count += 1
    return True


def _has_free_frames(data: bytes, position: int, frame: Frame, *, is_whole: bool) -> bool:
    """Return whether frames of the free format follow each other, in whatever distance."""
    for match in _SYNC.finditer(data, position + _SHORTEST_FREE, position + _LONGEST_FREE + 4):
        if frame.is_like(frame_at(data, match.start())):
            length = match.start() - position - frame.padding
            if _follow(data, position, frame, _FREE_FRAMES, free_length=length, is_whole=is_whole):
                return True
    return False


def _is_tail(rest: bytes) -> bool:
    """Return whether nothing but a tag or zeros is left."""
    return rest.startswith(_TAIL) or not rest.strip(b"\0")
