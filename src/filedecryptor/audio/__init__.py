"""The formats opus, mp3 and wav, recognised by their first bytes, or by those behind a tag."""

from __future__ import annotations

import os
from typing import BinaryIO

FORMATS = ("opus", "mp3", "wav")  # what VNS records (`recordCallFormat`), and names of extensions

_OTHER_NAMES = {"ogg": "opus", "oga": "opus", "mpga": "mp3", "wave": "wav"}

SAMPLE_SIZE = 48 * 1024  # bytes that are looked at: an MP3 frame may begin in the first third
TAGS_LIMIT = 1 << 28  # bytes that may be tags: no ID3v2 header can announce more
_RIFF = {b"RIFF", b"RIFX", b"RF64", b"BW64"}  # WAVE; the last two may be over 4 GiB (EBU 3306)


class Head:
    """What tells the format of some audio: its first bytes, and those behind its tags."""

    def __init__(self) -> None:
        self._first = b""
        self._data = b""
        self._tags = 0
        self._to_skip = 0

    def add(self, piece: bytes | memoryview) -> None:
        """Look at the next piece of the audio."""
        self._first += piece[: SAMPLE_SIZE - len(self._first)]
        while len(piece) and not self.is_enough:
            begin = min(self._to_skip, len(piece))
            end = begin + SAMPLE_SIZE - len(self._data)
            self._to_skip -= begin
            self._data += piece[begin:end]
            piece = piece[end:]
            while (length := tag_length(self._data)) and self._tags + length <= TAGS_LIMIT:
                self._tags += length
                self._to_skip = max(0, length - len(self._data))
                self._data = self._data[length:]

    @property
    def is_enough(self) -> bool:
        """Whether more of the audio would tell nothing more."""
        return len(self._data) == SAMPLE_SIZE

    @property
    def format(self) -> str | None:
        """The format: `opus`, `mp3` or `wav`; None if the audio is none of them."""
        data = self._data
        if data[:4] in _RIFF and data[8:12] == b"WAVE" and len(data) >= 20:  # with a chunk's header
            return "wav"
        if data.startswith(b"OggS"):  # RFC 3533, section 6; its first page has one segment
            return "opus" if data[4:5] == b"\0" and data.startswith(b"OpusHead", 28) else None
        return "mp3" if self._is_mp3() else None

    def _is_mp3(self) -> bool:
        from filedecryptor.audio import mpeg  # most audio needs it only if it is MP3

        data, is_whole = self._data, not self.is_enough
        if mpeg.begins_with_frames(data, is_whole=is_whole):
            return True
        if self._tags and mpeg.frame_at(data):  # nothing else has such a header behind a tag
            return True
        # A tag may be longer or shorter than it says.
        if not mpeg.holds_frames(data, is_whole=is_whole) and not (
            self._tags and mpeg.holds_frames(self._first, is_whole=len(self._first) < SAMPLE_SIZE)
        ):
            return False
        from filedecryptor.audio.foreign import kind_of

        return kind_of(data, is_authentic=True) is None  # others may hold MP3 frames as well

    def __str__(self) -> str:
        if not self._first:
            return "it holds no audio"
        from filedecryptor.audio.foreign import kind_of

        found = kind_of(self._data, is_authentic=True)
        if found is None and not self._data:
            found = "a tag without audio"
        maybe = "" if found is None else f"; it may be {found}"
        shown = self._first[:8].hex(" ")
        return f"its audio begins with {shown}, which is not opus, mp3 or wav{maybe}"


def detect_in(file: BinaryIO) -> str | None:
    """Return the format of the audio in a file, of which no more is read than that takes."""
    file.seek(0)
    head = Head()
    while not head.is_enough and (piece := file.read(SAMPLE_SIZE)):
        head.add(piece)
    return head.format


def misnamed(path: str, audio_format: str | None) -> str | None:
    """Return a note for a name whose suffix is none of the audio's format; else None."""
    suffix = os.path.splitext(path)[1][1:].lower()
    if not suffix or audio_format in {None, _OTHER_NAMES.get(suffix, suffix)}:
        return None
    from difflib import get_close_matches

    is_typo = suffix.startswith("auto") or get_close_matches(suffix, ["auto"], cutoff=0.75)
    advice = "did you mean 'auto'?" if is_typo else "'auto' names it right"
    return f"the audio is {audio_format}, and nothing is converted; {advice}"


def tag_length(head: bytes) -> int:
    """Return the length in bytes of the tag that comes first; 0 if its first 32 show none.

    It is ID3v2 (ID3v2.4.0, section 3.1) or APEv2. Some write the size of the first as a plain
    number, though no byte of it should be above 127.
    """
    if head[:3] == b"ID3" and len(head) >= 10 and head[3] in {2, 3, 4} and head[4] != 0xFF:
        bits = 8 if max(head[6:10]) > 0x7F else 7
        length = 0
        for byte in head[6:10]:
            length = length << bits | byte
        return 10 + length + (10 if head[5] & 0x10 else 0)
    if head[:8] == b"APETAGEX" and len(head) >= 32:
        return 32 + int.from_bytes(head[12:16], "little")
    return 0
