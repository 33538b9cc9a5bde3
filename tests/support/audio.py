"""Pieces of audio files, made by the documents of their formats."""

from __future__ import annotations

import io
import struct

from filedecryptor.audio import detect_in


def page(*packets: bytes, flags: int = 2, granule: int = 0, serial: int = 0) -> bytes:
    """Return an Ogg page with whole packets, the first of its stream (RFC 3533, section 6)."""
    header = b"OggS\0" + struct.pack("<BqI8xB", flags, granule, serial, len(packets))
    return header + bytes(map(len, packets)) + b"".join(packets)


def id3(size: int, version: int = 3) -> bytes:
    """Return an ID3v2 tag whose content is so long (ID3v2.4.0, section 3.1)."""
    announced = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + announced + b"\x55" * size


def ape(size: int) -> bytes:
    """Return an APEv2 tag with a header, as it stands before the audio."""
    marks = b"APETAGEX" + struct.pack("<III", 2000, size + 32, 1)
    header, footer = (marks + struct.pack("<IQ", flags << 29, 0) for flags in (5, 4))
    return header + b"\x55" * size + footer


def detect(head: bytes) -> str | None:
    """Return the format of audio that is in memory."""
    return detect_in(io.BytesIO(head))
