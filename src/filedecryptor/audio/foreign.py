"""What bytes are that are neither Opus, MP3 nor WAV: their first ones tell."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

TEXT_SIZE = 512  # bytes without a control character that are a text, whatever its encoding

_KINDS = {
    "a gzip archive": rb"\x1f\x8b\x08[\x00-\x1f]....[\x00\x02\x04][\x00-\x0d\xff]",
    "a zip archive": rb"PK\x03\x04[\x0a-\x3f]\x00|PK\x05\x06\x00\x00\x00\x00",
    "a 7z archive": rb"7z\xbc\xaf\x27\x1c",
    "a rar archive": rb"Rar!\x1a\x07",
    "a bzip2 archive": rb"BZh[1-9]1AY&SY",
    "an xz archive": rb"\xfd7zXZ\x00",
    "a zstd archive": rb"\x28\xb5\x2f\xfd",
    "a tar archive": rb".{257}ustar[\x00 ]",
    "a PNG picture": rb"\x89PNG\r\n\x1a\n",
    "a JPEG picture": (
        rb"\xff\xd8\xff([\xe0-\xef\xdb].{2}(JFIF|Exif|ICC_|Adob|http)|\xdb\x00[\x43\x84]\x00)"
    ),
    "a GIF picture": rb"GIF8[79]a",
    "a WebP picture": rb"RIFF.{4}WEBP",
    "a PDF document": rb"%PDF-[0-9]",
}
"""Beginnings, by the documents that define the formats, as regular expressions."""

_OTHER_AUDIO = {
    "AAC": rb"\xff[\xf0\xf1\xf8\xf9]..|ADIF|\x56[\xe0-\xff].{200,}\x56[\xe0-\xff]",
    "FLAC": rb"fLaC",
    "M4A": rb".{4}ftyp(M4[ABP]|F4A)",
    "MP4": rb".{4}(ftyp|moov|mdat|moof|styp|sidx|uuid|pdin|free|skip|wide|pnot)",
    "WebM": rb"\x1a\x45\xdf\xa3.{0,64}webm",
    "Matroska": rb"\x1a\x45\xdf\xa3",
    "AMR": rb"#!AMR",
    "SILK": rb"\x02?#!SILK",
    "Ogg Vorbis": rb"OggS.{22,280}\x01vorbis",
    "Speex": rb"OggS.{22,280}Speex   ",
    "Ogg, but not Opus alone": rb"OggS",
    "MP2": rb"\xff[\xe4\xe5\xf4\xf5\xfc\xfd][\x10-\xef].",
    "a wav header without audio": rb"(RIFF|RIFX|RF64|BW64).{4}WAVE",
    "another RIFF container": rb"RIFF|RIFX|RF64|BW64",
    "AIFF": rb"FORM.{4}AIF[FC]",
    "WMA": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "AC-3": rb"\x0b\x77|\x77\x0b",
    "audio of a rarer kind": (
        rb"FORM|FRM8|DSD |caff\x00|riff\x2e\x91\xcf\x11|\.snd|dns\.|\.RMF|\.ra\xfd|wvpk|MAC .|MP\+|MPCK"
        rb"|TTA[12]|FLV\x01|[FCZ]WS[\x01-\x40]|NSV[fs]|nut/multimedia container"
    ),
    "another archive": rb"MSCF\0\0\0\0|!<arch>\n|07070[127]",
    "an MPEG stream": (
        rb"\x00\x00\x01[\xb3-\xff]|(\x47.{187}){2}\x47|\x47.{191}\x47|.{4}(\x47.{191}){2}\x47"
    ),
}
"""The same for what may be in the place of audio. Some are so short that chance makes them."""


def kind_of(head: bytes, *, is_authentic: bool = False) -> str | None:
    """Return what begins so, with its article if it has one; None if nothing shows it.

    A recording's first bytes are random: they must not pass for other audio by chance.
    """
    head = head[:4096]
    for name, pattern in (_OTHER_AUDIO | _KINDS if is_authentic else _KINDS).items():
        if re.match(pattern, head, re.DOTALL):
            return name
    if (text := text_of(head)) is None:
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype", "<html", "<?xml", "<head", "<body", "<title")):
        return "an HTML or XML page"
    return "a JSON text" if start.startswith(("{", "[")) else "a text"


def text_of(head: bytes) -> str | None:
    """Return the text at the beginning of a file, whose end may be missing; None if it is none."""
    is_marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if is_marked else "utf-8-sig"
    with suppress(UnicodeDecodeError):
        text = codecs.getincrementaldecoder(encoding)().decode(head)
        visible = "".join(text.split()).replace("\ufeff", "").replace("\x1b", "")
        if visible and visible.isprintable():
            return text.removeprefix("\ufeff")
    printable = len(re.findall(rb"[\t\r\n -~]", head))
    is_text = len(head) >= TEXT_SIZE or printable * 4 >= len(head) * 3 > 0
    if is_text and not re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):
        return head.decode("cp1252", "replace")
    return None
