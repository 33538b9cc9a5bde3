"""Files that are no recordings: pages and other texts, archives, pictures.

The first bytes of a recording are random. What is looked for here is so long, or so regular, that
no recording will ever begin with it.
"""

from __future__ import annotations

import codecs
import re

_SIGNATURES = (
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
    for pattern, kind in _SIGNATURES:
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
