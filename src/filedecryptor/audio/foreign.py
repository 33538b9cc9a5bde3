"""What bytes are that are neither Opus, MP3 nor WAV: their first ones tell."""

from __future__ import annotations

import codecs
import re

_KINDS = (
    (rb"\x1f\x8b\x08[\x00-\x1f]....[\x00\x02\x04][\x00-\x0d\xff]", "a gzip archive"),
    (rb"PK\x03\x04[\x0a-\x3f]\x00", "a zip archive"),
    (rb"PK\x05\x06\x00\x00\x00\x00", "a zip archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (rb"Rar!\x1a\x07", "a rar archive"),
    (rb"BZh[1-9]1AY&SY", "a bzip2 archive"),
    (rb"\xfd7zXZ\x00", "an xz archive"),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive"),
    (rb".{257}ustar[\x00 ]", "a tar archive"),
    (rb"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (rb"\xff\xd8\xff[\xe0-\xef\xdb].{2}(JFIF|Exif|ICC_|Adob|http)", "a JPEG picture"),
    (rb"\xff\xd8\xff\xdb\x00[\x43\x84]\x00", "a JPEG picture"),
    (rb"GIF8[79]a", "a GIF picture"),
    (rb"RIFF.{4}WEBP", "a WebP picture"),
    (rb"BM.{4}\x00\x00\x00\x00.\x00\x00\x00[\x0c\x28\x6c\x7c]\x00\x00\x00", "a BMP picture"),
    (rb"(II\x2a\x00|MM\x00\x2a).{0,3}\x00", "a TIFF picture"),
    (rb"\x00\x00\x01\x00[\x01-\x20]\x00.{2}[\x00-\xff]\x00[\x00\x01]\x00", "an icon"),
    (rb"%PDF-[0-9]", "a PDF document"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (rb"\x7fELF[\x01\x02][\x01\x02]\x01", "a program"),
)
"""Beginnings, by the documents that define the formats, as regular expressions."""

ENOUGH = 512
"""Bytes without a control character that are a text, whatever its encoding."""

CONTROL = frozenset(range(0x20)) - frozenset(b"\t\n\v\f\r\x1b") | {0x7F}

PRINTABLE = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\r\n")


def kind_of(head: bytes) -> str | None:
    """Return what a file is that is no recording, with its article; None if it may be one.

    Args:
        head: Its first bytes: some thousand, or all if there are fewer.
    """
    for pattern, kind in _KINDS:
        if re.match(pattern, head, re.DOTALL):
            return kind
    if (text := text_of(head)) is None:
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype", "<html", "<?xml", "<head", "<body", "<title")):
        return "an HTML or XML page"
    return "a JSON text" if start.startswith(("{", "[")) else "a text"


def text_of(head: bytes) -> str | None:
    """Return the text at the beginning of a file, in whatever encoding; None if it is none."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            return _decoded(head[len(mark) :], encoding)
    for encoding, zeros, others in (
        ("utf-16-le", head[1::2], head[::2]),
        ("utf-16-be", head[::2], head[1::2]),
    ):
        # Letters of most alphabets share their upper byte; that of ASCII is zero.
        if zeros.count(0) * 4 > len(zeros) * 3 and others.count(0) * 4 < len(others):
            return _decoded(head, encoding)
    if (text := _decoded(head, "utf-8")) is not None:
        return text
    printable = sum(byte in PRINTABLE for byte in head)
    is_text = (
        head
        and CONTROL.isdisjoint(head)
        and (len(head) >= ENOUGH or printable * 4 >= len(head) * 3)
    )
    return head.decode("cp1252", "replace") if is_text else None


def _decoded(data: bytes, encoding: str) -> str | None:
    """Return a text whose end may be missing; None if it is none, or holds what none does."""
    if not data:
        return None
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None
    visible = "".join(text.split()).replace("\ufeff", "").replace("\x1b", "")
    return text if visible and visible.isprintable() else None


_SIGNATURES = (
    (rb"\xff[\xf0\xf1\xf8\xf9][\x00-\xff][\x00-\xff]", "AAC"),
    (rb"ADIF", "AAC"),
    (rb"\x56[\xe0-\xff].{200,}\x56[\xe0-\xff]", "AAC"),
    (rb"fLaC", "FLAC"),
    (rb".{4}ftyp(M4[ABP]|F4A)", "M4A"),
    (rb".{4}ftyp3g", "3GP"),
    (rb".{4}(ftyp|moov|mdat|moof|styp|sidx|uuid|pdin|free|skip|wide|pnot)", "MP4"),
    (rb"\x1a\x45\xdf\xa3.{0,64}webm", "WebM"),
    (rb"\x1a\x45\xdf\xa3", "Matroska"),
    (rb"#!AMR", "AMR"),
    (rb"\x02?#!SILK", "SILK"),
    (rb"OggS.{22,280}\x01vorbis", "Ogg Vorbis"),
    (rb"OggS.{22,280}\x7fFLAC", "FLAC in Ogg"),
    (rb"OggS.{22,280}Speex   ", "Speex"),
    (rb"OggS", "Ogg, but not Opus alone"),
    (rb"\xff[\xe4\xe5\xf4\xf5\xfc\xfd][\x10-\xef][\x00-\xff]", "MP2"),
    (rb"\xff[\xf6\xf7\xfe][\x10-\xef][\x00-\xff]", "MPEG layer I"),
    (rb"RIFF.{4}RMP3", "MP3 in a RIFF container"),
    (rb"(RIFF|RIFX|RF64|BW64).{4}WAVE", "a wav header without audio"),
    (rb"RIFF.{4}AVI ", "AVI"),
    (rb"RIFF|RIFX|RF64|BW64", "another RIFF container"),
    (rb"riff\x2e\x91\xcf\x11", "Wave64"),
    (rb"FORM.{4}AIF[FC]", "AIFF"),
    (rb"FORM|FRM8|DSD ", "another container of samples"),
    (rb"\.snd|dns\.", "Sun audio"),
    (rb"caff\x00", "CAF"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (rb"\.RMF|\.ra\xfd", "RealAudio"),
    (rb"wvpk", "WavPack"),
    (rb"MAC [\x00-\xff]", "Monkey's Audio"),
    (rb"MP\+|MPCK", "Musepack"),
    (rb"TTA[12]", "TTA"),
    (rb"OFR ", "OptimFROG"),
    (rb"ajkg", "Shorten"),
    (rb"\x0b\x77|\x77\x0b", "AC-3"),
    (rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80", "DTS"),
    (rb"FLV\x01|[FCZ]WS[\x01-\x40]", "Flash"),
    (rb"NSV[fs]", "NSV"),
    (rb"nut/multimedia container", "NUT"),
    (rb"\x00\x00\x01[\xb3-\xff]", "an MPEG stream"),
    (rb"\x47.{187}\x47.{187}\x47", "an MPEG stream"),
    (rb"\x47.{191}\x47|.{4}\x47.{191}\x47.{191}\x47", "an MPEG stream"),
    (rb"MThd", "MIDI"),
    (rb"Creative Voice File", "VOC"),
    (rb"NIST_1A", "SPHERE"),
    (rb"MSCF\0\0\0\0|!<arch>\n|07070[127]", "an archive"),
)
"""Beginnings, by the documents that define the formats, as regular expressions. The first counts."""


def guess(head: bytes) -> str | None:
    """Return what some audio, or what is in its place, may be; None if nothing shows it.

    Args:
        head: Its first bytes, which are not those of opus, mp3 or wav.
    """
    for pattern, name in _SIGNATURES:
        if re.match(pattern, head, re.DOTALL):
            return name
    return kind_of(head)
