"""The formats opus, mp3 and wav, recognised by their first bytes, or by those behind a tag."""

from __future__ import annotations

import os
from typing import BinaryIO

FORMATS = ("opus", "mp3", "wav")
"""What VNS records (`recordCallFormat`); each name is also the file name extension."""

_OTHER_NAMES = {"ogg": "opus", "oga": "opus", "wave": "wav"}
_NAMES_OF_OTHERS = {"aac", "aif", "aiff", "amr", "flac", "m4a", "mp2", "mp4", "webm", "wma"}
"""Extensions that stand for formats: for one of the three, and for none of them."""

HEAD_SIZE = 48 * 1024
"""Bytes that are looked at: an MP3 frame may begin in the first third, and others must follow."""

TAGS_LIMIT = 1 << 28
"""Bytes at the beginning that may be tags: an ID3v2 header can announce no longer one."""

SHOWN = 8
"""Bytes that are shown of what is not recognised."""


class Head:
    """What tells the format of some audio: its first bytes, and those behind its tags."""

    def __init__(self) -> None:
        self._position = 0
        self._first = b""
        self._begin = 0
        self._data = b""

    def add(self, piece: bytes | memoryview) -> None:
        """Look at the next piece of the audio."""
        position = self._position
        self._position += len(piece)
        if len(self._data) == HEAD_SIZE:
            return
        self._first += piece[: HEAD_SIZE - len(self._first)]
        while (wanted := HEAD_SIZE - len(self._data)) and (
            offset := self._begin + len(self._data) - position
        ) < len(piece):
            self._data += piece[offset : offset + wanted]
            if not self._skip_tags():
                return

    def _skip_tags(self) -> bool:
        """Drop the tags that come first, and return whether there are any."""
        begin = self._begin
        while length := tag_length(self._data):
            if self._begin + length > TAGS_LIMIT:
                break
            self._begin += length
            self._data = self._data[length:]
        return self._begin > begin

    @property
    def is_enough(self) -> bool:
        """Whether more of the audio would tell nothing more."""
        return len(self._data) == HEAD_SIZE

    @property
    def format(self) -> str | None:
        """The format: `opus`, `mp3` or `wav`; None if the audio is none of them."""
        if is_wav(self._data):
            return "wav"
        if self._data.startswith(b"OggS"):
            return "opus" if _is_ogg_opus(self._data) else None
        return "mp3" if self._is_mp3() else None

    def _is_mp3(self) -> bool:
        from filedecryptor.audio import mpeg  # most audio needs it only if it is MP3

        data, is_tagged = self._data, self._begin > 0
        is_whole = len(data) < HEAD_SIZE
        if mpeg.begins_with_frames(data, is_whole=is_whole):
            return True
        if is_tagged and mpeg.frame_at(data):  # nothing else has such a header behind a tag
            return True
        from filedecryptor.audio.foreign import guess  # most audio does not need it

        if guess(data) is not None:  # others may hold MP3 frames as well
            return False
        if mpeg.holds_frames(data, is_whole=is_whole):
            return True
        # A tag may be longer or shorter than it says.
        is_whole = len(self._first) < HEAD_SIZE
        return is_tagged and mpeg.holds_frames(self._first, is_whole=is_whole)

    @property
    def unknown(self) -> str:
        """What there is to say of audio that is none of the three formats, as a half-sentence."""
        if not self._position:
            return "it holds no audio"
        from filedecryptor.audio.foreign import guess

        shown = self._first[:SHOWN].hex(" ")
        found = guess(self._data)
        if found is None and self._begin and not self._data:
            found = "a tag without audio"
        maybe = "" if found is None else f"; it may be {found}"
        return f"its audio begins with {shown}, which is not opus, mp3 or wav{maybe}"


def detect(head: bytes) -> str | None:
    """Return `opus`, `mp3` or `wav`; None if the audio is none of them.

    Args:
        head: The first bytes of the audio: `HEAD_SIZE` of them, or all if there are fewer. Behind
            a tag, as many more.
    """
    found = Head()
    found.add(head)
    return found.format


def detect_in(file: BinaryIO) -> str | None:
    """Return what `detect` does for the audio in a file, from its first byte on."""
    file.seek(0)
    head = Head()
    while not head.is_enough and (piece := file.read(HEAD_SIZE)):
        head.add(piece)
    return head.format


def misnamed(path: str, audio_format: str | None) -> str | None:
    """Return a note for a name that stands for another format than the audio has; else None.

    Args:
        path: The name.
        audio_format: The format; None if it is not known.
    """
    suffix = os.path.splitext(path)[1][1:].lower()
    named = _OTHER_NAMES.get(suffix, suffix)
    if audio_format in {None, named} or named not in {*FORMATS, *_NAMES_OF_OTHERS}:
        return None
    return f"the audio is {audio_format}, and nothing is converted; 'auto' names it right"


def is_wav(head: bytes) -> bool:
    """Return whether some audio is WAVE: a RIFF header, and that of a chunk.

    RIFX has its numbers the other way round; RF64 (EBU Tech 3306) and BW64 (ITU-R BS.2088) may be
    longer than 4 GiB.
    """
    is_riff = head[:4] in {b"RIFF", b"RIFX", b"RF64", b"BW64"} and head[8:12] == b"WAVE"
    return is_riff and len(head) >= 20


def _is_ogg_opus(head: bytes) -> bool:
    """Return whether an Ogg stream begins with Opus (RFC 7845, 5.1), or a skeleton before that.

    The first pages (RFC 3533, section 6) are those that begin a stream, each with its own codec.
    """
    position = 0
    while head[position : position + 5] == b"OggS\0" and len(head) > position + 27:
        segments = head[position + 27 : position + 27 + head[position + 26]]
        body = position + 27 + head[position + 26]
        if head.startswith(b"OpusHead", body):
            return True
        if not head.startswith(b"fishead\0", body):
            return False
        position = body + sum(segments)
    return False


def tag_length(head: bytes) -> int:
    """Return the length in bytes of the tag that comes first; 0 if there is none.

    It is ID3v2 (ID3v2.4.0, section 3.1) or APEv2. Some write the size of the first as a plain
    number, though no byte of it should be above 127.

    Args:
        head: The tag's first 32 bytes, or more.
    """
    if head[:3] == b"ID3" and len(head) >= 10 and head[3] in {2, 3, 4} and head[4] != 0xFF:
        size = head[6:10]
        is_plain = any(byte > 0x7F for byte in size)
        length = 0
        for byte in size:
            length = length << (8 if is_plain else 7) | byte
        return 10 + length + (10 if head[5] & 0x10 else 0)
    if head[:8] == b"APETAGEX" and len(head) >= 32:
        return 32 + int.from_bytes(head[12:16], "little")
    return 0
