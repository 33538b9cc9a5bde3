"""How long plain audio is, and whether that is as long as its own headers say."""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO, NamedTuple

from filedecryptor import audio
from filedecryptor.audio import mpeg

UNKNOWN_SIZES = {0, 0xFFFFFFFF}  # lengths in a RIFF header that stand for an unknown one
# Two numbers, and by most encoders the samples that they added before and behind, in 12 bits each.
_XING = re.compile(rb"(?:Xing|Info)(.{12})(?:.{104}(?:LAME|Lav[cf]).{17}(.{3}))?", re.DOTALL)


class Extent(NamedTuple):
    """How long some audio is, and whether its end is missing."""

    seconds: float | None  # of what is there, to the millisecond; None if it cannot be told
    is_cut: bool


def measure(file: BinaryIO, audio_format: str) -> Extent:
    """Return the extent of some audio, as far as its headers tell. Nothing is decoded."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    measure_format = {"opus": _measure_opus, "mp3": _measure_mp3, "wav": _measure_wav}[audio_format]
    seconds, is_cut = measure_format(file, size)
    return Extent(None if seconds is None else round(seconds, 3), is_cut)


def _measure_wav(file: BinaryIO, size: int) -> Extent:
    """Return the extent by the chunks of a file (Microsoft, "RIFF"; EBU Tech 3306, RF64)."""
    head = file.read(12).ljust(12, b"\0")
    order = ">" if head[:4] == b"RIFX" else "<"
    (riff_size,) = struct.unpack(f"{order}I", head[4:8])
    is_cut = riff_size not in UNKNOWN_SIZES and riff_size + 8 > size + 1  # some forget the padding
    position, longer, byte_rate = 12, 0, 0
    while len(header := file.read(8)) == 8:
        name, chunk_size = struct.unpack(f"{order}4sI", header)
        position += 8
        if name == b"ds64":
            (longer,) = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))
        if name == b"fmt ":
            (byte_rate,) = struct.unpack(f"{order}8xI", file.read(12).ljust(12, b"\0"))
        if name == b"data":
            told, there = longer if chunk_size in UNKNOWN_SIZES else chunk_size, size - position
            seconds = min(told or there, there) / byte_rate if byte_rate else None
            return Extent(seconds, is_cut or told > there)
        position += chunk_size + chunk_size % 2
        file.seek(position)
    return Extent(None, is_cut=True)  # there is no audio in it at all


def _measure_opus(file: BinaryIO, size: int) -> Extent:
    """Return the extent by the pages up to the last (RFC 3533, section 6).

    Their granule positions count samples at 48 kHz, and are taken to begin at 0 (RFC 7845, 4).
    If streams are mixed, or something interrupts the pages, the length cannot be told.
    """
    position = samples = reached = 0
    stream, is_told, is_last = None, True, False
    while len(header := file.read(27)) == 27:
        capture, flags, granule, serial, count = struct.unpack("<4sxBqI8xB", header)
        if capture != b"OggS":
            is_told = is_told and is_last  # what follows the last page does not matter
            break
        segments = file.read(count)
        position += 27 + count + sum(segments)
        is_last = bool(flags & 4) and position <= size
        if position > size:
            break
        if flags & 2:
            head = file.read(sum(segments))
            stream = serial if head.startswith(b"OpusHead") else None
            reached = int.from_bytes(head[10:12], "little")  # the pre-skip
        is_told = is_told and serial == stream
        samples += max(0, granule - reached)
        reached = max(reached, granule)
        file.seek(position)
    return Extent(None if stream is None or not is_told else samples / 48_000, not is_last)


def _measure_mp3(file: BinaryIO, size: int) -> Extent:
    """Return the extent by the frames, of which a Xing header may say that there are more.

    If something interrupts them, or none tells its own length, that of the audio cannot be told.
    """
    position, seconds, is_cut = 0, 0.0, False
    while length := audio.tag_length(file.read(32)):
        position += length
        file.seek(position)
    first = position
    while position + 4 <= size:
        file.seek(position)
        header = file.read(200)  # in the first frame, a Xing header has its place there
        frame = mpeg.frame_at(header)
        if frame is None:
            seconds = seconds if header.startswith(mpeg.TAIL) else 0.0
            break
        samples = 1152 if frame.version == 3 else 576
        xing = _XING.search(header) if position == first else None
        if xing:
            flags, *numbers = struct.unpack(">III", xing[1])  # of frames and bytes, by two flags
            is_cut = position + (numbers[flags & 1] if flags & 2 else 0) > size
            padding = int.from_bytes(xing[2] or b"", "big")
            samples = -(padding >> 12) - (padding & 0xFFF)  # this frame has no audio itself
        position += frame.length
        if position <= size:
            seconds += samples / frame.sample_rate
    return Extent(seconds if seconds > 0 else None, is_cut or position > size)
