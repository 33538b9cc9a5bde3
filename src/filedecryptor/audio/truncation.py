"""Whether plain audio is as long as its own headers say. Encrypted audio has its tag for that."""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO

from filedecryptor import audio
from filedecryptor.audio import mpeg

UNKNOWN_SIZES = {0, 0xFFFFFFFF}  # lengths in a RIFF header that stand for an unknown one
XING_FRAME = 200  # bytes of the first MP3 frame in which a Xing header has its place, at most


def is_cut(file: BinaryIO, audio_format: str) -> bool:
    """Return whether the end of some audio is missing, as far as its headers tell."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return {"opus": _is_ogg_cut, "mp3": _is_mp3_cut, "wav": _is_wav_cut}[audio_format](file, size)


def _is_wav_cut(file: BinaryIO, size: int) -> bool:
    """Return whether a chunk reaches beyond the end (Microsoft, "RIFF"; EBU Tech 3306, RF64)."""
    head = file.read(12)
    order = ">" if head[:4] == b"RIFX" else "<"
    (riff_size,) = struct.unpack(f"{order}I", head[4:8])
    position, longer = 12, 0
    if riff_size not in UNKNOWN_SIZES and riff_size + 8 > size + 1:  # some forget the last padding
        return True
    while len(header := file.read(8)) == 8:
        name, chunk_size = struct.unpack(f"{order}4sI", header)
        if name == b"ds64":
            (longer,) = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))
        if name == b"data":
            return bool(
                position + 8 + (longer if chunk_size in UNKNOWN_SIZES else chunk_size) > size
            )
        position += 8 + chunk_size + chunk_size % 2
        file.seek(position)
    return True  # there is no audio in it at all


def _is_ogg_cut(file: BinaryIO, size: int) -> bool:
    """Return whether the last page (RFC 3533, section 6) is missing, or is not whole."""
    position, is_last = 0, False
    while len(header := file.read(27)) == 27 and header[:4] == b"OggS":
        segments = file.read(header[26])
        position += 27 + header[26] + sum(segments)
        if len(segments) < header[26] or position > size:
            return True
        is_last = bool(header[5] & 4)
        file.seek(position)
    return not is_last  # what follows the last page does not matter


def _is_mp3_cut(file: BinaryIO, size: int) -> bool:
    """Return whether the last frame is not whole, or a Xing header says that there is more."""
    position = 0
    while length := audio.tag_length(file.read(32)):
        position += length
        file.seek(position)
    first = position
    while position + 4 <= size:
        file.seek(position)
        header = file.read(XING_FRAME)
        frame = mpeg.frame_at(header)
        if frame is None:
            return False  # a tag at the end, or something that does not tell its length
        if position == first and position + _bytes_by_xing(header) > size:
            return True
        position += frame.length
    return position > size


def _bytes_by_xing(frame: bytes) -> int:
    """Return the bytes of audio that a Xing or Info header tells, 0 if it does not."""
    found = re.search(rb"(?:Xing|Info)(.{12})", frame, re.DOTALL)
    if found is None:
        return 0
    flags, *numbers = struct.unpack(">III", found[1])  # of frames and of bytes, by two flags
    return numbers[flags & 1] if flags & 2 else 0
